//! Stories: read, run, and compared with what was seen when they were last looked at.

use std::fs;
use std::path::{Path, PathBuf};

use crate::phrases;
use crate::scene::Scene;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios")
}

/// The names of the files in `stories`, without their ending.
pub(crate) fn names() -> Vec<String> {
    let files = fs::read_dir(folder().join("stories")).unwrap();
    let mut names: Vec<String> =
        files.map(|file| file.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// The sentence of a line without its first word; `None` for headings and empty lines.
fn sentence(line: &str) -> Option<&str> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return None;
    }
    let (first, rest) = line.split_once(' ').unwrap_or((line, ""));
    assert!(["Given", "When", "Then", "And", "But"].contains(&first), "`{line}` begins with no known word");
    Some(rest)
}

/// Runs a story and answers its transcript; `Err` says which line does not hold.
fn run(text: &str) -> Result<String, String> {
    let mut scene = Scene::new();
    let mut transcript = String::new();
    for (number, line) in text.lines().enumerate() {
        transcript.push_str(line.trim_end());
        transcript.push('\n');
        let Some(sentence) = sentence(line) else { continue };
        if let Err(why) = phrases::follow(&mut scene, sentence) {
            return Err(format!("line {}: `{line}`: {why}\n{transcript}{}", number + 1, scene.told()));
        }
        transcript.push_str(&scene.told());
    }
    assert!(text.contains("\nThen "), "a story ends with what is to hold");
    transcript.push_str(&scene.now());
    Ok(transcript)
}

fn check(name: &str) {
    let text = fs::read_to_string(folder().join(format!("stories/{name}.txt"))).unwrap();
    let seen = run(&text).unwrap_or_else(|why| panic!("{why}"));
    let golden = folder().join(format!("golden/{name}.txt"));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&golden, &seen).unwrap();
        return;
    }
    let expected = fs::read_to_string(&golden).unwrap_or_default();
    if seen == expected {
        return;
    }
    let differs = seen.lines().zip(expected.lines()).find(|(seen, expected)| seen != expected);
    panic!(
        "`{}` is not what was seen: {differs:#?}\nUPDATE_GOLDEN=1 writes it anew\n{seen}",
        golden.display()
    );
}

/// A test for each story, so that one can be run alone.
macro_rules! stories {
    ($($test:ident: $name:literal),+ $(,)?) => {
        const TOLD: &[&str] = &[$($name),+];
        $(
            #[test]
            fn $test() {
                check($name);
            }
        )+
    };
}

stories! {
    s01_killed_before_the_create: "01-killed-before-the-create",
    s02_the_reply_is_lost_and_the_process_dies: "02-the-reply-is-lost-and-the-process-dies",
    s02_the_reply_to_the_create_is_lost: "02-the-reply-to-the-create-is-lost",
    s03_two_keys_of_one_name: "03-two-keys-of-one-name",
    s04_a_foreign_key_with_our_prefix: "04-a-foreign-key-with-our-prefix",
    s04_a_key_of_ours_that_nobody_remembers: "04-a-key-of-ours-that-nobody-remembers",
    s05_ciapi_is_made_and_cirt_refused: "05-ciapi-is-made-and-cirt-refused",
    s06_the_put_took_effect_and_was_not_journalled: "06-the-put-took-effect-and-was-not-journalled",
    s07_a_death_at_every_moment: "07-a-death-at-every-moment",
    s11_a_restored_backup: "11-a-restored-backup",
    s13_a_key_without_a_date: "13-a-key-without-a-date",
    s14_a_hundred_restarts: "14-a-hundred-restarts",
    s15_suspended_past_the_due_time: "15-suspended-past-the-due-time",
    s19_the_certificate_ends_first: "19-the-certificate-ends-first",
    s19_the_certificate_has_ended: "19-the-certificate-has-ended",
    s22_a_push_passes_over_the_backoff_and_no_gate: "22-a-push-passes-over-the-backoff-and-no-gate",
    s23_throttled: "23-throttled",
    s26_a_value_that_is_rejected: "26-a-value-that-is-rejected",
    s29_the_cycles_are_used_up: "29-the-cycles-are-used-up",
    s30_a_consumer_that_fails_for_days: "30-a-consumer-that-fails-for-days",
    s30_an_issuer_that_fails_for_a_week: "30-an-issuer-that-fails-for-a-week",
    s31_the_first_cause_is_kept: "31-the-first-cause-is-kept",
    s32_thirty_of_thirty_keys: "32-thirty-of-thirty-keys",
    s33_a_consumer_that_never_verifies: "33-a-consumer-that-never-verifies",
    s34_the_same_secret: "34-the-same-secret",
    s35_a_put_that_is_ignored_and_a_run_with_the_old_key: "35-a-put-that-is-ignored-and-a-run-with-the-old-key",
    s35_a_put_that_is_ignored_and_nothing_moves: "35-a-put-that-is-ignored-and-nothing-moves",
    s36_a_put_that_answers_500_and_was_applied: "36-a-put-that-answers-500-and-was-applied",
    s37_another_landscape: "37-another-landscape",
    s39_a_fresh_key_that_is_not_known_yet: "39-a-fresh-key-that-is-not-known-yet",
    s40_a_cached_token: "40-a-cached-token",
    s41_the_consumer_is_edited_by_hand: "41-the-consumer-is-edited-by-hand",
    s42_a_status_that_lags: "42-a-status-that-lags",
    s43_down_for_longer_than_the_soak: "43-down-for-longer-than-the-soak",
    s44_a_hold_just_before_the_delete: "44-a-hold-just-before-the-delete",
    s45_the_delete_times_out: "45-the-delete-times-out",
    s46_a_deleted_key_that_still_works: "46-a-deleted-key-that-still-works",
    s47_restore_during_the_soak: "47-restore-during-the-soak",
}

#[test]
fn every_story_is_told() {
    assert_eq!(names(), TOLD);
}

#[test]
fn every_story_has_its_golden_file_and_no_other_is_there() {
    let files = fs::read_dir(folder().join("golden")).unwrap();
    let mut golden: Vec<String> =
        files.map(|file| file.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned()).collect();
    golden.sort();
    if std::env::var_os("UPDATE_GOLDEN").is_none() {
        assert_eq!(golden, names());
    }
}

#[test]
fn a_story_that_does_not_hold_fails() {
    let check = |text: &str, expected: &str| {
        let problem = run(text).unwrap_err();
        assert!(problem.contains(expected), "{problem}");
    };
    check("Given a credential that is due\nThen exactly 7 keys were created", "not 7");
    check("Given a credential that is blue\nThen nothing was created", "no phrase");
    check(
        "Given a credential that is due\nWhen the daemon runs until it is halted\nThen nothing was created",
        "never",
    );
}
