//! The series of the fleet as a whole, written at scrape time.

use super::snapshot::{Family, Sample};
use crate::domain::fleet::{Overview, Share};

/// All of them.
pub(super) fn write(fleet: &Overview, text: &mut String) {
    gauge(
        text,
        "rekeyd_fleet_halted",
        "Whether nothing begins until a person resumes the fleet.",
        fleet.halt.is_some(),
    );
    if let Some((_, since)) = &fleet.halt {
        let help = "Since when the fleet is halted; absent while it is not.";
        gauge(text, "rekeyd_fleet_halted_since_timestamp_seconds", help, *since);
    }
    gauge(
        text,
        "rekeyd_fuse_blown",
        "Whether more rotations want to begin than the fuse lets in 24 hours.",
        fleet.is_fuse_blown(),
    );
    gauge(
        text,
        "rekeyd_fuse_rotations_limit",
        "How many rotations the fuse lets begin in 24 hours.",
        fleet.fuse_limit,
    );
    gauge(
        text,
        "rekeyd_fuse_rotations_remaining",
        "How many rotations the fuse still lets begin.",
        fleet.fuse_left(),
    );
    if let Some(at) = fleet.fuse_opens_at {
        let help = "When the fuse lets the next rotation begin; absent while it lets one.";
        gauge(text, "rekeyd_fuse_opens_timestamp_seconds", help, at);
    }
    gauge(
        text,
        "rekeyd_rotation_queue_length",
        "Credentials that are due, or were asked for, and wait for the fleet to let them begin.",
        fleet.waiting,
    );
    gauge(
        text,
        "rekeyd_rotations_under_way",
        "Rotations that began and are not proven yet.",
        fleet.under_way,
    );
    let mut share = Family::new("rekeyd_fleet_share", "Who may begin: exactly one is 1.");
    for of in Share::ALL {
        share.set(&[("class", of.as_str())], of == fleet.share);
    }
    share.finish(text);
}

fn gauge(text: &mut String, name: &'static str, help: &'static str, value: impl Sample) {
    let mut family = Family::new(name, help);
    family.set(&[], value);
    family.finish(text);
}
