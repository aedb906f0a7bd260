//! Fleets that there are not, of any size: for the browser and for the bench of the pages.

use std::sync::Arc;

use async_trait::async_trait;
use chrono::TimeDelta;
use rekeyd::domain::Timestamp;
use rekeyd::domain::forecast::{Coming, Forecast, Stopped};
use rekeyd::page::Source;
use rekeyd::page::model::{Board, Credential, Fleet, Halt, Key, Row, Teller, Tenant, Told};

/// What the whole fleet is seen at; the pages take the time from what they are told.
const NOW: &str = "2026-11-28T09:30:00Z";

fn now() -> Timestamp {
    NOW.parse().expect("it is an instant")
}

fn row(index: i64) -> Row {
    // Made over the last eleven months, as evenly as a fleet that has been rotated for years.
    let made_at = now() - TimeDelta::hours(index * 7919 % (334 * 24) + 1);
    let ends_at = made_at + TimeDelta::days(365);
    let due_at = ends_at - TimeDelta::days(30);
    Row {
        credential: format!("tenant-{index:05}/dataplane").parse().expect("it is a name"),
        phase: "settled".to_owned(),
        stage: "settled".to_owned(),
        since: Some(made_at),
        made_at: Some(made_at),
        due_at: Some(due_at),
        ends_at: Some(ends_at),
        evidence: 5,
        evidence_required: 4,
        soak_ends_at: None,
        reason: Some(format!("not due before {}", due_at.format("%Y-%m-%d"))),
        person: None,
        halt: None,
        hold: None,
        hold_until: None,
        failures: 0,
        cause: None,
        checked_at: Some(now() - TimeDelta::minutes(index * 31 % 360)),
        looked_at: Some(now() - TimeDelta::minutes(index * 31 % 360)),
        unseen: None,
        next_look: Some(now() + TimeDelta::minutes(360 - index * 31 % 360)),
        lease_held: true,
        turned_back: None,
    }
}

/// Of so many a few that are not at rest.
fn colour(index: usize, row: &mut Row) {
    let id = row.credential.to_string();
    match index % 1000 {
        7 => {
            let reason = "the consumer took the delivery and never said what came of it";
            let remedy = format!(
                "look at the data plane in SAP's user interface, then `rekeyd resume {id}` or `rekeyd restore {id}`"
            );
            row.halt = Some(Halt { reason: reason.to_owned(), remedy, since: now() - TimeDelta::hours(5) });
            (row.phase, row.stage) = ("halted".to_owned(), "provisioning".to_owned());
            (row.evidence, row.evidence_required) = (3, 4);
        }
        40..43 => {
            (row.phase, row.stage) = ("soaking".to_owned(), "soaking".to_owned());
            (row.evidence, row.soak_ends_at) = (4, Some(now() + TimeDelta::hours(20)));
            row.since = Some(now() - TimeDelta::hours(28));
            row.reason = Some("the soak lasts until 2026-11-29 05:30 UTC".to_owned());
        }
        80 => {
            (row.failures, row.cause) = (3, Some("HTTP 503 from `api.cf.eu10.hana.ondemand.com`".to_owned()));
            row.reason =
                Some("the keys at the issuer cannot be seen; again at 2026-11-28 09:42 UTC".to_owned());
        }
        120 => row.hold = Some("audit until Christmas".to_owned()),
        _ => {}
    }
}

fn calendar(rows: &[Row]) -> Forecast {
    let mut coming = Vec::new();
    for row in rows.iter().filter(|row| row.halt.is_none() && row.hold.is_none()) {
        let begins_at = row.due_at.map_or_else(now, |due| due.max(now()));
        coming.push(Coming {
            credential: row.credential.clone(),
            generation: 4,
            under_way: row.is_rotating(),
            due_at: row.due_at,
            begins_at,
            retires_at: begins_at + TimeDelta::hours(49),
            over_at: begins_at + TimeDelta::hours(97),
            ends_at: row.ends_at,
            waited_for: None,
            goes_before: None,
            held_until: None,
        });
    }
    coming.sort_by_key(|coming| coming.begins_at);
    let stopped = rows.iter().filter(|row| row.hold.is_some()).map(|row| Stopped {
        credential: row.credential.clone(),
        why: "held: audit until Christmas".to_owned(),
        remedy: format!("`rekeyd unhold {}` lifts the hold", row.credential),
        ends_at: row.ends_at,
    });
    let until = now() + TimeDelta::days(426);
    Forecast { from: now(), until, stopped: stopped.collect(), coming, fleet_halted: false, cut_off: false }
}

/// One of them in full.
pub(crate) fn full(row: &Row) -> Credential {
    let key = |role: &str| Key {
        role: role.to_owned(),
        name: format!("rekeyd-{role}-g3-7d1f"),
        in_use: true,
        made_at: row.made_at,
        ends_at: row.ends_at,
    };
    Credential {
        row: row.clone(),
        generation: Some(3),
        keys: vec![key("ciapi"), key("cirt")],
        consumer: Some("SUCCESS".to_owned()),
        asked: None,
        tries_again: None,
        last_success_at: row.since,
        gates: Vec::new(),
        reached: Vec::new(),
    }
}

/// What a fleet looks like in which too many rotations failed.
pub(crate) fn halted(board: &mut Board) {
    let cause = "the consumer reports an error: the data plane did not start (`FAILED`)";
    for (index, row) in board.rows.iter_mut().enumerate().skip(2).take(3) {
        let at = now() - TimeDelta::minutes(40 + 9 * i64::try_from(index).unwrap_or_default());
        board.fleet.failed.push((row.credential.clone(), at, cause.to_owned()));
        (row.stage, row.phase) = ("restoring".to_owned(), "restoring".to_owned());
        row.since = Some(at);
        (row.turned_back, row.evidence) = (Some(cause.to_owned()), 1);
        row.reason = Some("the old keys are put back, and the consumer is watched".to_owned());
    }
    board.fleet.halt = Some(Halt {
        reason: "3 of the last 10 rotations failed".to_owned(),
        remedy: "remove the cause, then `rekeyd resume --fleet`".to_owned(),
        since: now() - TimeDelta::minutes(38),
    });
    if let Some(calendar) = &mut board.calendar {
        Arc::make_mut(calendar).fleet_halted = true;
    }
}

/// A fleet of so many tenants.
pub(crate) fn board(size: usize) -> Board {
    let mut rows: Vec<Row> = (0..i64::try_from(size).expect("it is no such number")).map(row).collect();
    for (index, row) in rows.iter_mut().enumerate() {
        colour(index, row);
    }
    let told = rows.iter().skip(40).take(8).enumerate().map(|(index, row)| Told {
        at: now() - TimeDelta::minutes(7 * i64::try_from(index).unwrap_or_default()),
        credential: Some(row.credential.clone()),
        text: "the consumer is proven to work (evidence 4): report".to_owned(),
    });
    let daemon = Teller {
        at: now(),
        version: "0.0.0".to_owned(),
        instance: "many".to_owned(),
        is_stopping: false,
        stands_still: None,
        reload_refused: false,
    };
    let fleet = Fleet { share: "everybody".to_owned(), fuse_used: 37, fuse_limit: 500, ..Fleet::default() };
    let calendar = Some(Arc::new(calendar(&rows)));
    Board { daemon, fleet, told: Some(told.collect()), accounts: Vec::new(), calendar, rows }
}

/// Shows the pages of a board, always as of the same moment.
pub(crate) struct Invented(pub(crate) Board);

#[async_trait]
impl Source for Invented {
    fn asked(&self) {}

    fn daemon(&self) -> Teller {
        self.0.daemon.clone()
    }

    async fn board(&self) -> Option<Board> {
        Some(self.0.clone())
    }

    async fn tenant(&self, name: &str) -> Result<Tenant, String> {
        let found = self.0.rows.iter().find(|row| row.credential.tenant.as_str() == name);
        let row = found
            .ok_or_else(|| format!("there is no tenant of that name; {} have one", self.0.rows.len()))?;
        let told =
            self.0.told.iter().flatten().cloned().map(|told| Told { credential: None, ..told }).collect();
        Ok(Tenant {
            daemon: self.daemon(),
            fleet: self.0.fleet.clone(),
            tenant: row.credential.tenant.clone(),
            credentials: vec![full(row)],
            calendar: self.0.calendar.clone(),
            told: Some(told),
        })
    }
}
