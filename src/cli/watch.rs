//! Following a rotation: a line per event, and on a terminal a spinner between them.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use super::client::Daemon;
use super::{Common, Exit, show};
use crate::clock::{Clock, SystemClock};
use crate::daemon::protocol::History;
use crate::daemon::report::{CredentialStatus, Status};
use crate::domain::event::{Entry, Event};
use crate::domain::names::CredentialId;
use crate::domain::story;

/// Between two looks at the daemon.
const POLL: Duration = Duration::from_millis(400);

/// Without a terminal a line is printed at least this often, so that nobody thinks that it hangs.
const QUIET: Duration = Duration::from_mins(1);

/// The sequence number of the credential's last entry.
pub(super) async fn last_sequence(daemon: &Daemon, credential: &CredentialId) -> Result<u64, Exit> {
    let history: History = daemon.get(&format!("/v1/history?credential={credential}")).await?;
    Ok(history.entries.last().map_or(0, |entry| entry.sequence))
}

/// Follows until the credential is settled again, or a person is needed.
pub(super) async fn watch(common: &Common, daemon: &Daemon, credential: &CredentialId, from: u64) -> Exit {
    let clock = SystemClock::new();
    let mut signal = std::pin::pin!(tokio::signal::ctrl_c());
    let mut screen = Screen::new(common, credential);
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
                screen.tick(mine.as_ref(), clock.monotonic());
            }
            Err(exit) => return exit,
        }
        tokio::select! {
            () = clock.sleep(POLL) => {}
            _ = &mut signal => {
                screen.detach();
                return Exit::Done;
            }
        }
    }
}

fn outcome(entry: &Entry) -> Option<Exit> {
    match &entry.event {
        Event::Completed => Some(Exit::Done),
        Event::Halted(_) => Some(Exit::Person),
        _ => None,
    }
}

struct Screen<'a> {
    common: &'a Common,
    credential: &'a CredentialId,
    spinner: bool,
    turned_back: bool,
    spoken: Duration,
    frame: usize,
}

impl<'a> Screen<'a> {
    fn new(common: &'a Common, credential: &'a CredentialId) -> Self {
        let spinner = !common.json && !common.quiet && std::io::stdout().is_terminal();
        Self { common, credential, spinner, turned_back: false, spoken: Duration::ZERO, frame: 0 }
    }

    fn event(&mut self, entry: &Entry) {
        self.turned_back |= matches!(entry.event, Event::TurnedBack { .. } | Event::SameSecret { .. });
        if self.common.json {
            println!("{}", serde_json::to_string(entry).expect("an entry is plain data"));
        } else if !self.common.quiet {
            self.clear();
            println!("{}  {}", show::time(entry.at), story::tell(&entry.event));
        }
    }

    fn tick(&mut self, status: Option<&CredentialStatus>, now: Duration) {
        let Some(status) = status else { return };
        let text = format!("{}: {}", status.phase, status.reason.as_deref().unwrap_or("at work"));
        if self.spinner {
            const FRAMES: [char; 4] = ['|', '/', '-', '\\'];
            self.frame = (self.frame + 1) % FRAMES.len();
            print!("\r\x1b[K{} {}", FRAMES[self.frame], show::clip(&text, 100));
            let _ = std::io::stdout().flush();
        } else if !self.common.json && !self.common.quiet && now >= self.spoken + QUIET {
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
            _ => println!("`{id}` needs a person; `rekeyd explain {id}` says what to do"),
        }
    }

    fn detach(&self) {
        self.clear();
        let id = self.credential;
        eprintln!(
            "detached: the rotation of `{id}` goes on; `rekeyd status {id}` or `rekeyd history {id} --follow` shows it"
        );
    }
}
