//! The series of a tenant: its lease, its checks, how many keys it is to report.

use std::collections::BTreeMap;

use super::{Detail, Family, Snapshot, flag, number, seconds};
use crate::domain::view::View;

pub(super) fn write(of: Snapshot<'_>, detail: Detail, text: &mut String) {
    let mut tenants: BTreeMap<&str, Vec<&View>> = BTreeMap::new();
    for view in of.views {
        tenants.entry(view.credential.tenant.as_str()).or_default().push(view);
    }
    needed(&tenants, detail, text);
    if detail == Detail::Full {
        instants(&tenants, text);
    }
    checks(of, text);
}

/// What the rules cannot do without.
fn needed(tenants: &BTreeMap<&str, Vec<&View>>, detail: Detail, text: &mut String) {
    let mut configured = Family::new(
        "rekeyd_credentials_configured",
        "How many series with the end of a window the tenant should have.",
    );
    let mut held = Family::new("rekeyd_lease_held", "Whether this instance may work on the tenant.");
    for (tenant, views) in tenants {
        let labels = [("tenant", *tenant)];
        let expected = match detail {
            Detail::Full => views.iter().map(|view| view.policy.roles.len()).sum(),
            Detail::Summary => views.len(),
        };
        configured.set(&labels, number(expected));
        held.set(&labels, flag(views.iter().all(|view| view.lease_held)));
    }
    configured.finish(text);
    held.finish(text);
}

fn instants(tenants: &BTreeMap<&str, Vec<&View>>, text: &mut String) {
    let mut checked = Family::new(
        "rekeyd_check_last_success_timestamp_seconds",
        "The last complete check; absent before the first.",
    );
    let mut tick = Family::new("rekeyd_scheduler_next_tick_timestamp_seconds", "The next scheduled check.");
    let mut until =
        Family::new("rekeyd_lease_expiry_timestamp_seconds", "When the lease ends without renewal.");
    for (tenant, views) in tenants {
        let labels = [("tenant", *tenant)];
        if let Some(oldest) = views.iter().map(|view| view.checked_at).min().flatten() {
            checked.set(&labels, seconds(oldest));
        }
        if let Some(next) = views.iter().filter_map(|view| view.next_tick).min() {
            tick.set(&labels, seconds(next));
        }
        if let Some(end) = views.iter().filter_map(|view| view.lease_until).min() {
            until.set(&labels, seconds(end));
        }
    }
    for family in [checked, tick, until] {
        family.finish(text);
    }
}

fn checks(of: Snapshot<'_>, text: &mut String) {
    let mut checks = Family::counter("rekeyd_checks_total", "Checks of a tenant.");
    let mut failures = Family::counter(
        "rekeyd_check_failures_total",
        "Checks of a tenant in which something could not be seen.",
    );
    for (tenant, count) in of.tally.tenants() {
        let labels = [("tenant", tenant.as_str())];
        checks.set(&labels, count.checks.as_value());
        failures.set(&labels, count.failures.as_value());
    }
    checks.finish(text);
    failures.finish(text);
}
