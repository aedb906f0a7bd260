//! What comes after the way back: a rotation that is still due is tried again, though nobody asks for it.

use std::time::Duration;

use super::Common;
use super::client::Daemon;
use crate::clock::{Clock, SystemClock};
use crate::daemon::report::Status;
use crate::domain::names::CredentialId;

/// The journal says a moment before the status that a rotation is over.
const PAUSE: Duration = Duration::from_millis(200);

/// How often the status is asked for.
const LOOKS: u32 = 10;

/// Says when the rotation of `id`, which is settled with its old keys, is tried again.
pub(super) async fn tell(common: &Common, daemon: &Daemon, id: &CredentialId) {
    if common.json || common.quiet {
        return;
    }
    let clock = SystemClock::new();
    for _ in 0..LOOKS {
        // Who hears nothing more has been told how it ended.
        let Ok(status) = daemon.try_get::<Status>("/v1/status").await else { return };
        let Some(mine) = status.credentials.iter().find(|status| status.credential == *id) else { return };
        if mine.stage == "settled" {
            if let Some(again) = sentence(mine.tries_again.as_deref(), status.fleet.halt.is_some()) {
                println!("`{id}` is tried again {again}");
            }
            return;
        }
        clock.sleep(PAUSE).await;
    }
}

fn sentence(again: Option<&str>, is_fleet_halted: bool) -> Option<String> {
    let before = if is_fleet_halted {
        ", and not before `rekeyd resume --fleet` ends the halt of the fleet"
    } else {
        ""
    };
    again.map(|again| format!("{again}{before}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_halt_of_the_fleet_is_named_where_it_comes_before() {
        assert_eq!(sentence(None, true), None);
        assert_eq!(sentence(Some("by itself soon"), false).as_deref(), Some("by itself soon"));
        let expected = "by itself soon, and not before `rekeyd resume --fleet` ends the halt of the fleet";
        assert_eq!(sentence(Some("by itself soon"), true).as_deref(), Some(expected));
    }
}
