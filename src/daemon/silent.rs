//! Upstreams that do not answer, for people: before anybody has looked again the rows of the status would not show it.

use std::time::Duration;

use super::Daemon;
use super::fleet_status::SilentStatus;
use super::report::Status;
use crate::domain::Timestamp;
use crate::domain::names::CredentialId;
use crate::domain::stage::Stage;
use crate::domain::view::View;
use crate::http::address::Address;

/// How long somebody who asks for a rotation is kept waiting for what the first look shows.
const PATIENCE: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(50);

/// What a look says that could not see, and what a step says that failed.
const BLIND: [&str; 2] = ["cannot-see", "backoff"];

impl Daemon {
    /// Says of everybody who needs a host that does not answer since when that is, where no look has shown it yet.
    pub(super) fn tell_silence(&self, status: &mut Status) {
        let silent = self.http.silent();
        for one in &mut status.credentials {
            let Some(view) = self.engine.view(&one.credential).filter(|_| !silent.is_empty()) else {
                continue;
            };
            let host = hosts(&view).into_iter().find(|host| silent.contains_key(host));
            if let Some(host) =
                host.filter(|_| !one.code.as_deref().is_some_and(|code| BLIND.contains(&code)))
            {
                let since = silent[&host].since.format("%Y-%m-%d %H:%M UTC");
                let rest = one.reason.take().map_or_else(String::new, |reason| format!("; {reason}"));
                one.reason = Some(format!("`{host}` does not answer since {since}{rest}"));
            }
        }
        let told = silent.into_iter().map(|(host, silence)| SilentStatus {
            host,
            since: silence.since,
            last_at: silence.last_at,
            cause: silence.cause,
        });
        status.fleet.silent = told.collect();
    }

    /// What the first look after `asked_at` could not see, where it is over soon: the rotation that was asked for waits for it.
    pub(super) async fn unseen_since(&self, id: &CredentialId, asked_at: Timestamp) -> Option<String> {
        let until = self.clock.monotonic() + PATIENCE;
        while self.clock.monotonic() < until {
            let view = self.engine.view(id)?;
            let begun =
                view.record.as_ref().is_none_or(|record| !matches!(record.stage, Stage::Settled { .. }));
            if begun || view.rested_at.is_some_and(|at| at >= asked_at) {
                return unseen(&view);
            }
            self.clock.sleep(PAUSE).await;
        }
        let text = "it is looked at now, and nothing has answered yet: it begins once that is over, as long as it takes";
        Some(text.to_owned())
    }
}

/// The hosts of issuer and consumer.
fn hosts(view: &View) -> Vec<String> {
    let pin = &view.policy.pin;
    let parsed = [&pin.issuer, &pin.consumer].into_iter().filter_map(|text| Address::parse(text).ok());
    parsed.map(|address| address.host()).collect()
}

fn unseen(view: &View) -> Option<String> {
    let reason = view.reason.as_ref().filter(|reason| BLIND.contains(&reason.code))?;
    let next = view.next_look.map_or_else(String::new, |at| {
        format!(
            ": it is looked at again {} by itself, and at once with `rekeyd rotate --due`",
            at.format("%Y-%m-%d %H:%M:%S UTC")
        )
    });
    Some(format!("it cannot begin before SAP answers: {}{next}", reason.text))
}
