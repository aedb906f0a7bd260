//! The series of a tenant: its lease, its checks, how many keys it is to report.

use super::{Detail, Family, Snapshot};

pub(super) fn write(of: Snapshot<'_>, detail: Detail, text: &mut String) {
    needed(of, detail, text);
    if detail == Detail::Full {
        instants(of, text);
    }
    checks(of, text);
}

/// What the rules cannot do without.
fn needed(of: Snapshot<'_>, detail: Detail, text: &mut String) {
    let mut configured = Family::new(
        "rekeyd_credentials_configured",
        "How many series with the end of a window the tenant should have.",
    );
    let mut held = Family::new("rekeyd_lease_held", "Whether this instance may work on the tenant.");
    for (tenant, lines) in of.tenants() {
        let labels = [("tenant", tenant)];
        let views = || lines.iter().map(|line| line.view);
        let expected = match detail {
            Detail::Full => views().map(|view| view.policy.roles.len()).sum(),
            Detail::Summary => lines.len(),
        };
        configured.set(&labels, expected);
        held.set(&labels, views().all(|view| view.lease_held));
    }
    configured.finish(text);
    held.finish(text);
}

fn instants(of: Snapshot<'_>, text: &mut String) {
    let mut checked = Family::new(
        "rekeyd_check_last_success_timestamp_seconds",
        "The last complete check; absent before the first.",
    );
    let mut tick = Family::new("rekeyd_scheduler_next_tick_timestamp_seconds", "The next scheduled check.");
    let mut until =
        Family::new("rekeyd_lease_expiry_timestamp_seconds", "When the lease ends without renewal.");
    for (tenant, lines) in of.tenants() {
        let labels = [("tenant", tenant)];
        let views = || lines.iter().map(|line| line.view);
        if let Some(oldest) = views().map(|view| view.checked_at).min().flatten() {
            checked.set(&labels, oldest);
        }
        if let Some(next) = views().filter_map(|view| view.next_tick).min() {
            tick.set(&labels, next);
        }
        if let Some(end) = views().filter_map(|view| view.lease_until).min() {
            until.set(&labels, end);
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
