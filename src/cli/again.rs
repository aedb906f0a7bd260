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
            if let Some(again) = &mine.tries_again {
                println!("`{id}` is tried again {again}");
            }
            return;
        }
        clock.sleep(PAUSE).await;
    }
}
