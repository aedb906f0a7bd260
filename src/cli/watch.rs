//! Following a rotation: a line per event, and on a terminal a spinner between them.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use super::ask::say;
use super::client::Daemon;
use super::{Common, Exit, again, fail, show};
use crate::clock::{Clock, SystemClock};
use crate::daemon::protocol::{History, WishRequest};
use crate::daemon::report::{CredentialStatus, Status};
use crate::domain::event::{Entry, Event, Wish};
use crate::domain::names::CredentialId;
use crate::domain::story::Teller;

/// Between two looks at the daemon.
const POLL: Duration = Duration::from_millis(400);

/// Without a terminal a line is printed at least this often, so that nobody thinks that it hangs.
const QUIET: Duration = Duration::from_mins(1);

/// What has happened so far.
#[derive(Default)]
pub(super) struct Past {
    /// The number of the last entry.
    sequence: u64,
    /// How what comes next is told.
    teller: Teller,
    course: Course,
}

/// Which way the last rotation goes, or went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Course {
    /// Towards fresh keys, if there is one at all.
    #[default]
    Forth,
    /// The same, and a person has asked for the old keys.
    AskedBack,
    /// Back to the old keys.
    Back,
    /// It is over, with fresh keys.
    Fresh,
    /// It is over, with the old keys.
    Old,
}

impl Course {
    fn after(self, event: &Event) -> Self {
        match (event, self) {
            (Event::Begun { .. } | Event::Adopted { .. }, _) | (Event::Halted(_), Self::AskedBack) => {
                Self::Forth
            }
            (Event::Wished(Wish::Restore { .. }), Self::Forth) => Self::AskedBack,
            (Event::TurnedBack { .. } | Event::SameSecret { .. }, _) => Self::Back,
            (Event::Completed, Self::Back) => Self::Old,
            (Event::Completed, _) => Self::Fresh,
            _ => self,
        }
    }
}

impl Past {
    /// The next entry as a sentence.
    fn tell(&mut self, entry: &Entry) -> String {
        self.sequence = entry.sequence;
        self.course = self.course.after(&entry.event);
        self.teller.tell(entry)
    }

    /// Whether the old keys are on their way back.
    pub(super) fn goes_back(&self) -> bool {
        matches!(self.course, Course::AskedBack | Course::Back)
    }

    /// Whether the old keys are back, and nothing has begun since.
    pub(super) fn went_back(&self) -> bool {
        self.course == Course::Old
    }
}

/// How what was followed ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The fresh keys are in use.
    Fresh,
    /// The old keys stay in use.
    Old,
    /// It was taken back before it began.
    Withdrawn,
    /// Only a person goes on from here.
    Person,
}

impl End {
    /// Whether `entry`, the last one of `past`, is the end, and which.
    fn of(entry: &Entry, past: &Past) -> Option<Self> {
        match &entry.event {
            Event::Completed if past.went_back() => Some(Self::Old),
            Event::Completed => Some(Self::Fresh),
            Event::Halted(_) => Some(Self::Person),
            Event::Wished(Wish::Withdraw { .. }) => Some(Self::Withdrawn),
            _ => None,
        }
    }

    /// Who wants to go back wants the old keys, who rotates the fresh ones.
    fn exit(self, wish: &Wish) -> Exit {
        match (self, wish) {
            (Self::Old, Wish::Restore { .. }) => Exit::Done,
            (Self::Fresh, wish) if !matches!(wish, Wish::Restore { .. }) => Exit::Done,
            (Self::Person, _) => Exit::Person,
            (Self::Fresh | Self::Old | Self::Withdrawn, _) => Exit::Failed,
        }
    }

    /// The same in words.
    fn sentence(self, asked: &WishRequest) -> String {
        let id = &asked.credential;
        match (self, self.exit(&asked.wish)) {
            (Self::Fresh, Exit::Done) => {
                format!("`{id}` is settled with fresh keys; `rekeyd status {id}` shows them")
            }
            (Self::Fresh, _) => {
                format!(
                    "`{id}` is settled with fresh keys: nothing went back; `rekeyd history {id}` tells why"
                )
            }
            (Self::Old, Exit::Done) => {
                format!("`{id}` is settled with its old keys; `rekeyd history {id}` tells why")
            }
            (Self::Old, _) => format!(
                "`{id}` is settled with its old keys: the rotation brought no fresh ones; `rekeyd history {id}` tells why"
            ),
            (Self::Withdrawn, _) => {
                format!("`{id}` is as it was: nothing begins; `rekeyd status {id}` shows it")
            }
            (Self::Person, _) => format!("`{id}` needs a person; `rekeyd explain {id}` says what to do"),
        }
    }
}

/// What has happened to the credential so far.
pub(super) async fn past(daemon: &Daemon, credential: &CredentialId) -> Result<Past, Exit> {
    let mut past = Past::default();
    loop {
        let path = format!("/v1/history?credential={credential}&after={}", past.sequence);
        let history: History = daemon.get(&path).await?;
        if history.entries.is_empty() {
            return Ok(past);
        }
        for entry in &history.entries {
            past.tell(entry);
        }
    }
}

/// Whether what is wished for is asked for already, or under way, and goes on by itself.
pub(super) async fn is_under_way(daemon: &Daemon, asked: &WishRequest, past: &Past) -> bool {
    let Ok(status) = daemon.try_get::<Status>("/v1/status").await else { return false };
    let mine = status.credentials.iter().find(|status| status.credential == asked.credential);
    mine.is_some_and(|mine| goes_on(mine, &asked.wish, past))
}

fn goes_on(status: &CredentialStatus, wish: &Wish, past: &Past) -> bool {
    match (wish, status.stage.as_str()) {
        _ if status.halt.is_some() => false,
        (Wish::Rotate { .. }, "settled") => status.asked.is_some() && status.hold.is_none(),
        (Wish::Rotate { .. }, stage) => stage != "unknown",
        // Who wants to go back is not shown the way forward. The way back soaks and retires, too.
        (Wish::Restore { .. }, stage) => stage == "restoring" || past.goes_back(),
        _ => false,
    }
}

/// The command that follows it.
fn command(asked: &WishRequest) -> String {
    let verb = if matches!(asked.wish, Wish::Restore { .. }) { "restore" } else { "rotate" };
    format!("rekeyd {verb} {} --wait", asked.credential)
}

/// What becomes of it without a daemon.
fn bereft(asked: &WishRequest) -> String {
    let what = if matches!(asked.wish, Wish::Restore { .. }) { "the way back" } else { "the rotation" };
    format!(
        "{what} stands in the journal and goes on at the daemon's next start, and `{}` follows it then; \
         `rekeyd diagnose` says what is in the daemon's way",
        command(asked)
    )
}

/// Says that the way back is over, which nobody has to ask for.
pub(super) async fn back_already(common: &Common, daemon: &Daemon, asked: &WishRequest) -> Exit {
    say(common, &format!("the way back is over, and nothing is asked: {}", End::Old.sentence(asked)));
    again::tell(common, daemon, &asked.credential).await;
    End::Old.exit(&asked.wish)
}

/// Follows what was asked for until the credential is settled again, or a person is needed. Ctrl-C detaches from the first
/// moment on.
pub(super) async fn watch(common: &Common, daemon: &Daemon, asked: &WishRequest, past: Past) -> Exit {
    let credential = &asked.credential;
    let mut screen = Screen::new(common, asked, past);
    let mut interrupts = match signal(SignalKind::interrupt()) {
        Ok(interrupts) => interrupts,
        Err(problem) => {
            let text = format!(
                "Ctrl-C cannot be handled, so it is not followed: {problem}; `rekeyd status {credential}` shows it"
            );
            return fail(Exit::Failed, &text);
        }
    };
    let exit = tokio::select! {
        exit = look_on(daemon, &mut screen) => Some(exit),
        _ = interrupts.recv() => None,
    };
    exit.unwrap_or_else(|| {
        screen.detach();
        Exit::Later
    })
}

async fn look_on(daemon: &Daemon, screen: &mut Screen<'_>) -> Exit {
    let clock = SystemClock::new();
    let credential = &screen.asked.credential;
    let then = bereft(screen.asked);
    loop {
        let path = format!("/v1/history?credential={credential}&after={}", screen.past.sequence);
        let entries = match daemon.get_again::<History>(&path, &then).await {
            Ok(history) => history.entries,
            Err(exit) => return exit,
        };
        for entry in entries {
            screen.event(&entry);
            if let Some(end) = End::of(&entry, &screen.past) {
                let exit = screen.end(end);
                if end == End::Old {
                    again::tell(screen.common, daemon, credential).await;
                }
                return exit;
            }
        }
        match daemon.get_again::<Status>("/v1/status", &then).await {
            Ok(status) => {
                let mine = status.credentials.into_iter().find(|status| status.credential == *credential);
                screen.tick(mine.as_ref(), &clock);
            }
            Err(exit) => return exit,
        }
        clock.sleep(POLL).await;
    }
}

/// What it waits for before it begins, or a person for; what was decided before it was asked for tells nothing.
fn waits(status: &CredentialStatus) -> Option<String> {
    let is_waiting = status.is_settled() || status.person.is_some();
    let is_told = !matches!(status.code.as_deref(), None | Some("not-due"));
    let reason = status.reason.clone().filter(|_| is_waiting && is_told)?;
    Some(status.person.as_ref().map_or_else(|| reason.clone(), |person| format!("{reason}; {person}")))
}

struct Screen<'a> {
    common: &'a Common,
    asked: &'a WishRequest,
    spinner: bool,
    /// What was last said to be waited for.
    waits: String,
    past: Past,
    /// When a line was last printed for want of news; never, if missing.
    spoken: Option<Duration>,
    frame: usize,
}

impl<'a> Screen<'a> {
    fn new(common: &'a Common, asked: &'a WishRequest, past: Past) -> Self {
        // A terminal that is dumb knows no way to wipe a line.
        let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let spinner = !common.json && !common.quiet && !is_dumb && std::io::stdout().is_terminal();
        Self { common, asked, spinner, waits: String::new(), past, spoken: None, frame: 0 }
    }

    fn event(&mut self, entry: &Entry) {
        let told = self.past.tell(entry);
        if self.common.json {
            println!("{}", serde_json::to_string(entry).expect("an entry is plain data"));
        } else if !self.common.quiet {
            self.clear();
            println!("{}  {told}", show::time(entry.at));
        }
    }

    fn tick(&mut self, status: Option<&CredentialStatus>, clock: &SystemClock) {
        let Some(status) = status else { return };
        let text = format!("{}: {}", status.phase, status.reason.as_deref().unwrap_or("at work"));
        if self.common.json || self.common.quiet {
            return;
        }
        let now = clock.monotonic();
        if let Some(waits) = waits(status).filter(|waits| *waits != self.waits) {
            self.clear();
            println!("{}  it waits: {waits}", show::time(clock.now()));
            (self.waits, self.spoken) = (waits, Some(now));
        } else if self.spinner {
            const FRAMES: [char; 4] = ['|', '/', '-', '\\'];
            self.frame = (self.frame + 1) % FRAMES.len();
            print!("\r\x1b[K{} {}", FRAMES[self.frame], show::clip(&text, 100));
            let _ = std::io::stdout().flush();
        } else if self.spoken.is_none_or(|spoken| now >= spoken + QUIET) {
            self.spoken = Some(now);
            println!("{}", show::clip(&text, 160));
        }
    }

    fn clear(&self) {
        if self.spinner {
            print!("\r\x1b[K");
        }
    }

    fn end(&self, end: End) -> Exit {
        self.clear();
        let (exit, sentence) = (end.exit(&self.asked.wish), end.sentence(self.asked));
        if exit != Exit::Done {
            return fail(exit, &sentence);
        }
        if !self.common.json && !self.common.quiet {
            println!("{sentence}");
        }
        exit
    }

    fn detach(&self) {
        self.clear();
        let id = &self.asked.credential;
        eprintln!(
            "detached: what was asked for goes on. `rekeyd history {id} --follow` shows what comes of it; until it is over \
             `{}` follows it to its end",
            command(self.asked)
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::event::Trigger;
    use crate::domain::fleet::Pass;

    fn status(stage: &str) -> CredentialStatus {
        let document = serde_json::json!({
            "credential": "acme/dataplane", "phase": stage, "stage": stage, "in_use": {}, "others": {}, "evidence": 0,
            "evidence_required": 4, "failures": 0,
        });
        serde_json::from_value(document).unwrap()
    }

    #[test]
    fn only_what_goes_on_by_itself_is_followed() {
        let reason = String::new();
        let rotate =
            Wish::Rotate { trigger: Trigger::Command, reason: reason.clone(), pass: Pass::default() };
        let restore = Wish::Restore { reason };
        let check = |status: &CredentialStatus, wish, expected| {
            let past = Past::default();
            assert_eq!(goes_on(status, wish, &past), expected, "{wish:?} while `{}`", status.stage);
        };
        for (stage, forth, back) in [
            ("unknown", false, false),
            ("settled", false, false),
            ("soaking", true, false),
            ("restoring", true, true),
        ] {
            check(&status(stage), &rotate, forth);
            check(&status(stage), &restore, back);
        }
        let asked = CredentialStatus { asked: Some("drill".to_owned()), ..status("settled") };
        check(&asked, &rotate, true);
        check(&CredentialStatus { hold: Some("audit".to_owned()), ..asked }, &rotate, false);
        for stage in ["provisioning", "soaking", "retiring"] {
            for (course, expected) in
                [(Course::Forth, false), (Course::AskedBack, true), (Course::Back, true)]
            {
                let past = Past { course, ..Past::default() };
                assert_eq!(goes_on(&status(stage), &restore, &past), expected, "{course:?} while `{stage}`");
            }
        }
    }

    #[test]
    fn what_was_decided_before_the_wish_is_not_waited_for() {
        let reason = |code: &str, stage: &str| CredentialStatus {
            code: Some(code.to_owned()),
            reason: Some("why".to_owned()),
            ..status(stage)
        };
        assert_eq!(waits(&reason("fleet", "settled")).as_deref(), Some("why"));
        assert_eq!(waits(&reason("not-due", "settled")), None);
        assert_eq!(waits(&reason("soaking", "soaking")), None);
        let person = CredentialStatus { person: Some("do it".to_owned()), ..reason("held", "soaking") };
        assert_eq!(waits(&person).as_deref(), Some("why; do it"));
    }
}
