//! `config/`: configurations that are wrong, and every word that is said of them.
//!
//! A case is a file `NN-what.toml` with the words in `NN-what.stderr`. It takes the place of `tenants.d/acme.toml` in a
//! configuration that holds, or that of the file its first lines name. They are stage directions: `#: is rekeyd.toml`,
//! `#: copy NAME` (of the tenant's file, with another id), `#: remove NAME`, `#: chmod MODE NAME`, `#: set NAME VALUE`,
//! `#: write NAME TEXT`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::ground::Ground;
use crate::{at_once, compare, files, here};

/// The stage a case is played on.
struct Stage {
    ground: Ground,
    variables: BTreeMap<String, String>,
}

impl Stage {
    fn set(case: &Path) -> Self {
        let text = fs::read_to_string(case).unwrap();
        let directions: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("#: ")).collect();
        let place =
            directions.iter().find_map(|line| line.strip_prefix("is ")).unwrap_or("tenants.d/acme.toml");
        let mut stage = Self { ground: Ground::configured(), variables: BTreeMap::new() };
        for other in ["beta", "gamma"] {
            fs::remove_file(stage.ground.path(&format!("tenants.d/{other}.toml"))).unwrap();
        }
        stage.ground.write(place, &text, 0o644);
        for line in directions {
            stage.direct(line, &text);
        }
        stage
    }

    fn direct(&mut self, line: &str, text: &str) {
        let words: Vec<&str> = line.splitn(3, ' ').collect();
        match words[..] {
            ["is", _] => {}
            ["copy", name] => {
                let copy = text.replace("\"acme\"", "\"zeta\"");
                self.ground.write(name, &copy, 0o644);
            }
            ["remove", name] => fs::remove_file(self.ground.path(name)).unwrap(),
            ["chmod", mode, name] => self.ground.chmod(name, u32::from_str_radix(mode, 8).unwrap()),
            ["set", name, value] => {
                self.variables.insert(name.to_owned(), value.to_owned());
            }
            ["write", name, text] => self.ground.write(name, text, 0o600),
            _ => panic!("`{line}` is no direction"),
        }
    }

    /// What `check-config` says, and whether the configuration holds.
    fn told(&self) -> (String, bool) {
        let output = self.ground.run(&self.variables, &["check-config"]);
        let holds = match output.status.code() {
            Some(0) => true,
            Some(78) => false,
            other => panic!("it ends with {other:?}"),
        };
        (self.ground.plain(&output.stderr), holds)
    }
}

/// The problems of a text: the first line of each.
fn problems(told: &str) -> Vec<&str> {
    told.lines().filter(|line| line.contains(": error: ") || line.contains(": warning: ")).collect()
}

/// Plays a case: every word is compared, an error is refused and a warning is not.
fn play(case: &Path) -> Result<(), String> {
    let (told, holds) = Stage::set(case).told();
    let is_refused = problems(&told).iter().any(|line| line.contains(": error: "));
    assert_eq!(holds, !is_refused, "{}", case.display());
    compare(&case.with_extension("stderr"), &told)
}

#[test]
fn every_broken_configuration_is_described() {
    let wrong = at_once(&files(&here("config"), "toml"), play);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_problem_has_its_place_a_caret_and_a_way_out() {
    let cases = files(&here("config"), "toml");
    assert!(cases.len() >= 40, "{} cases", cases.len());
    for case in cases {
        let told = fs::read_to_string(case.with_extension("stderr")).unwrap();
        let name = case.display();
        assert!(!problems(&told).is_empty(), "{name}: nothing is said");
        let mut lines = told.lines().peekable();
        while let Some(line) = lines.next() {
            let Some((place, problem)) =
                line.split_once(": error: ").or_else(|| line.split_once(": warning: "))
            else {
                continue;
            };
            assert!(problem.contains(": expected ") || problem.contains("; "), "{name}: no way out: {line}");
            // Of a file or a folder as a whole, and of the environment, there is no line.
            let is_whole = place.starts_with("REKEYD__") || !place.contains(':');
            let caret = lines.clone().nth(1).is_some_and(|line| line.trim_end().ends_with('^'));
            assert!(is_whole || caret, "{name}: no caret: {line}");
        }
    }
}

/// Without the case's fault the stage holds: it is the fault that is described.
#[test]
fn the_stage_itself_holds() {
    let ground = Ground::configured();
    let output = ground.run(&BTreeMap::new(), &["check-config"]);
    assert!(output.status.success() && output.stderr.is_empty(), "{}", ground.plain(&output.stderr));
}
