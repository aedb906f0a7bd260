//! Following a rotation: a line per event, and on a terminal a spinner between them.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use super::client::Daemon;
use super::{Common, Exit, fail, show};
use crate::clock::{Clock, SystemClock};
use crate::daemon::protocol::History;
use crate::daemon::report::{CredentialStatus, Status};
use crate::domain::event::{Entry, Event, Wish};
use crate::domain::names::CredentialId;
use crate::domain::story::Teller;

/// Between two looks at the daemon.
const POLL: Duration = Duration::from_millis(400);

/// Without a terminal a line is printed at least this often, so that nobody thinks that it hangs.
const QUIET: Duration = Duration::from_mins(1);

/// What has happened so far.
pub(super) struct Past {
    /// The number of the last entry.
    sequence: u64,
    /// How what comes next is told.
    teller: Teller,
}

/// What has happened to the credential so far.
pub(super) async fn past(daemon: &Daemon, credential: &CredentialId) -> Result<Past, Exit> {
    let mut past = Past { sequence: 0, teller: Teller::default() };
    loop {
        let path = format!("/v1/history?credential={credential}&after={}", past.sequence);
        let history: History = daemon.get(&path).await?;
        if history.entries.is_empty() {
            return Ok(past);
        }
        for entry in &history.entries {
            past.teller.tell(entry);
            past.sequence = entry.sequence;
        }
    }
}

/// Whether what is wished for is asked for already, or under way, and goes on by itself.
pub(super) async fn is_under_way(daemon: &Daemon, credential: &CredentialId, wish: &Wish) -> bool {
    let Ok(status) = daemon.try_get::<Status>("/v1/status").await else { return false };
    let mine = status.credentials.iter().find(|status| status.credential == *credential);
    mine.is_some_and(|mine| goes_on(mine, wish))
}

fn goes_on(status: &CredentialStatus, wish: &Wish) -> bool {
    match (wish, status.stage.as_str()) {
        _ if status.halt.is_some() => false,
        (Wish::Rotate { .. }, "settled") => status.asked.is_some() && status.hold.is_none(),
        (Wish::Rotate { .. }, stage) => stage != "unknown",
        // Who wants to go back is not shown the way forward.
        (Wish::Restore { .. }, stage) => stage == "restoring",
        _ => false,
    }
}

/// Follows until the credential is settled again, or a person is needed. Ctrl-C detaches from the first moment on.
pub(super) async fn watch(common: &Common, daemon: &Daemon, credential: &CredentialId, past: Past) -> Exit {
    let mut screen = Screen::new(common, credential, past.teller);
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
        exit = look_on(daemon, credential, past.sequence, &mut screen) => Some(exit),
        _ = interrupts.recv() => None,
    };
    exit.unwrap_or_else(|| {
        screen.detach();
        Exit::Done
    })
}

async fn look_on(daemon: &Daemon, credential: &CredentialId, from: u64, screen: &mut Screen<'_>) -> Exit {
    let clock = SystemClock::new();
    let mut after = from;
    loop {
        let path = format!("/v1/history?credential={credential}&after={after}");
        let entries = match daemon.get::<History>(&path).await {
            Ok(history) => history.entries,
            Err(exit) => return exit,
        };
        for entry in entries {
            after = entry.sequence;
            screen.event(&entry);
            if let Some(exit) = outcome(&entry) {
                screen.end(exit);
                return exit;
            }
        }
        match daemon.get::<Status>("/v1/status").await {
            Ok(status) => {
                let mine = status.credentials.into_iter().find(|status| status.credential == *credential);
                screen.tick(mine.as_ref(), &clock);
            }
            Err(exit) => return exit,
        }
        clock.sleep(POLL).await;
    }
}

fn outcome(entry: &Entry) -> Option<Exit> {
    match &entry.event {
        Event::Completed => Some(Exit::Done),
        Event::Halted(_) => Some(Exit::Person),
        Event::Wished(Wish::Withdraw { .. }) => Some(Exit::Failed),
        _ => None,
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
    credential: &'a CredentialId,
    spinner: bool,
    turned_back: bool,
    /// What was last said to be waited for.
    waits: String,
    teller: Teller,
    spoken: Duration,
    frame: usize,
}

impl<'a> Screen<'a> {
    fn new(common: &'a Common, credential: &'a CredentialId, teller: Teller) -> Self {
        // A terminal that is dumb knows no way to wipe a line.
        let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let spinner = !common.json && !common.quiet && !is_dumb && std::io::stdout().is_terminal();
        let (waits, spoken) = (String::new(), Duration::ZERO);
        Self { common, credential, spinner, turned_back: false, waits, teller, spoken, frame: 0 }
    }

    fn event(&mut self, entry: &Entry) {
        let told = self.teller.tell(entry);
        self.turned_back |= matches!(entry.event, Event::TurnedBack { .. } | Event::SameSecret { .. });
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
            (self.waits, self.spoken) = (waits, now);
        } else if self.spinner {
            const FRAMES: [char; 4] = ['|', '/', '-', '\\'];
            self.frame = (self.frame + 1) % FRAMES.len();
            print!("\r\x1b[K{} {}", FRAMES[self.frame], show::clip(&text, 100));
            let _ = std::io::stdout().flush();
        } else if now >= self.spoken + QUIET {
            self.spoken = now;
            println!("{}", show::clip(&text, 160));
        }
    }

    fn clear(&self) {
        if self.spinner {
            print!("\r\x1b[K");
        }
    }

    fn end(&self, exit: Exit) {
        self.clear();
        if self.common.json || self.common.quiet {
            return;
        }
        let id = self.credential;
        match exit {
            Exit::Done if self.turned_back => {
                println!("`{id}` is settled with its old keys; `rekeyd history {id}` tells why");
            }
            Exit::Done => println!("`{id}` is settled with fresh keys; `rekeyd status {id}` shows them"),
            Exit::Failed => println!("`{id}` is as it was: nothing begins; `rekeyd status {id}` shows it"),
            _ => println!("`{id}` needs a person; `rekeyd explain {id}` says what to do"),
        }
    }

    fn detach(&self) {
        self.clear();
        let id = self.credential;
        eprintln!(
            "detached: what was asked for goes on. `rekeyd history {id} --follow` shows what comes of it; until it is over \
             `rekeyd rotate {id} --wait` follows it to its end"
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
            assert_eq!(goes_on(status, wish), expected, "{wish:?} while `{}`", status.stage);
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
