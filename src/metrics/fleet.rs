//! The series of the fleet as a whole, written at scrape time.

use super::seconds;
use super::snapshot::Family;
use crate::domain::fleet::{Overview, Share};

/// All of them.
pub(super) fn write(fleet: &Overview) -> String {
    let mut text = String::new();
    let mut gauge = |name, help, value: f64| {
        let mut family = Family::new(name, help);
        family.set(&[], value);
        family.finish(&mut text);
    };
    gauge(
        "rekeyd_fleet_halted",
        "Whether nothing begins until a person resumes the fleet.",
        f64::from(u8::from(fleet.halt.is_some())),
    );
    if let Some((_, since)) = &fleet.halt {
        let help = "Since when the fleet is halted; absent while it is not.";
        gauge("rekeyd_fleet_halted_since_timestamp_seconds", help, seconds(*since));
    }
    gauge(
        "rekeyd_fuse_blown",
        "Whether more rotations want to begin than the fuse lets in 24 hours.",
        f64::from(u8::from(fleet.is_fuse_blown())),
    );
    gauge(
        "rekeyd_fuse_rotations_limit",
        "How many rotations the fuse lets begin in 24 hours.",
        number(fleet.fuse_limit),
    );
    gauge(
        "rekeyd_fuse_rotations_remaining",
        "How many rotations the fuse still lets begin.",
        number(fleet.fuse_left()),
    );
    if let Some(at) = fleet.fuse_opens_at {
        let help = "When the fuse lets the next rotation begin; absent while it lets one.";
        gauge("rekeyd_fuse_opens_timestamp_seconds", help, seconds(at));
    }
    gauge(
        "rekeyd_rotation_queue_length",
        "Credentials that are due, or were asked for, and wait for the fleet to let them begin.",
        number(fleet.waiting),
    );
    gauge(
        "rekeyd_rotations_under_way",
        "Rotations that began and are not proven yet.",
        number(fleet.under_way),
    );
    let mut share = Family::new("rekeyd_fleet_share", "Who may begin: exactly one is 1.");
    for of in Share::ALL {
        share.set(&[("class", of.as_str())], f64::from(u8::from(of == fleet.share)));
    }
    share.finish(&mut text);
    text
}

fn number(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::MAX, f64::from)
}
