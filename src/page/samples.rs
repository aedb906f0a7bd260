//! Fleets for the tests of the pages.

use super::model::{Board, Fleet, Halt, Row, Teller};
use crate::domain::Timestamp;
use crate::domain::forecast::{Coming, Forecast, Stopped};

pub(super) const NOW: &str = "2026-07-02T12:00:00Z";

fn at(text: &str) -> Timestamp {
    text.parse().expect("it is an instant")
}

pub(super) fn row(tenant: &str) -> Row {
    Row {
        credential: format!("{tenant}/dataplane").parse().expect("it is a name"),
        phase: "settled".to_owned(),
        stage: "settled".to_owned(),
        since: Some(at("2026-01-03T00:00:00Z")),
        made_at: Some(at("2026-01-01T00:00:00Z")),
        due_at: Some(at("2026-12-02T00:00:00Z")),
        ends_at: Some(at("2027-01-01T00:00:00Z")),
        evidence: 5,
        evidence_required: 4,
        soak_ends_at: None,
        reason: Some("not due before 2026-12-02".to_owned()),
        person: None,
        halt: None,
        hold: None,
        hold_until: None,
        failures: 0,
        cause: None,
        checked_at: Some(at("2026-07-02T11:00:00Z")),
        looked_at: Some(at("2026-07-02T11:00:01Z")),
        unseen: None,
        next_look: Some(at("2026-07-02T17:00:00Z")),
        lease_held: true,
        turned_back: None,
    }
}

pub(super) fn halt() -> Halt {
    Halt {
        reason: "the consumer never said what came of it".to_owned(),
        remedy: "look at it, then `rekeyd resume acme/dataplane`".to_owned(),
        since: at("2026-07-01T12:00:00Z"),
    }
}

pub(super) fn teller() -> Teller {
    Teller {
        at: at(NOW),
        version: "1.2.3".to_owned(),
        instance: "test".to_owned(),
        is_stopping: false,
        stands_still: None,
        reload_refused: false,
    }
}

pub(super) fn fleet() -> Fleet {
    Fleet { share: "everybody".to_owned(), fuse_limit: 10, ..Fleet::default() }
}

pub(super) fn board(size: usize) -> Board {
    let rows = (0..size).map(|index| row(&format!("t{index:04}"))).collect();
    Board {
        daemon: teller(),
        fleet: fleet(),
        rows,
        accounts: Vec::new(),
        calendar: None,
        told: Some(Vec::new()),
    }
}

pub(super) fn coming(row: &Row, begins_at: Timestamp) -> Coming {
    Coming {
        credential: row.credential.clone(),
        generation: 2,
        under_way: false,
        due_at: row.due_at,
        begins_at,
        retires_at: begins_at + chrono::TimeDelta::days(2),
        over_at: begins_at + chrono::TimeDelta::days(3),
        ends_at: row.ends_at,
        waited_for: None,
        goes_before: None,
        held_until: None,
    }
}

pub(super) fn stopped(row: &Row) -> Stopped {
    Stopped {
        credential: row.credential.clone(),
        why: "held: audit".to_owned(),
        remedy: format!("`rekeyd unhold {}` lifts the hold", row.credential),
        ends_at: row.ends_at,
    }
}

pub(super) fn calendar(rows: &[Row]) -> Forecast {
    let begins = |index: usize| {
        at(NOW) + chrono::TimeDelta::days(i64::try_from(index).expect("it is small") * 9 % 400)
    };
    let coming = rows.iter().enumerate().map(|(index, row)| coming(row, begins(index))).collect();
    Forecast {
        from: at(NOW),
        until: at("2027-09-02T12:00:00Z"),
        coming,
        stopped: Vec::new(),
        fleet_halted: false,
        cut_off: false,
    }
}
