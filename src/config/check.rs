//! What single values cannot show: whether they make sense together.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{TimeZone, Utc};

use super::assemble::roles;
use super::changes;
use super::daemon::Daemon;
use super::local;
use super::problem::{Problem, Site, lasting};
use super::reader::Section;
use super::schedule::{Schedule, reference};
use super::tenant::Tenant;
use crate::domain::fleet::FUSE_SPAN;
use crate::domain::names::{CredentialName, RESERVED_TENANT};
use crate::domain::window::Window;
use crate::domain::{between, spelling};

/// The slowest rung of the backoff ladder: a rotation may wait this long for its next attempt.
const SLOWEST_RETRY: Duration = Duration::from_hours(6);

/// SAP's own limit to the consumer's work is 20 minutes; a deadline this near to it halts what would have worked.
const SHORT_DEADLINE: Duration = Duration::from_mins(25);

/// The shortest life of an access token that an instance can be given (facts: DSI, section 6).
const SHORTEST_TOKEN_LIFE: Duration = Duration::from_hours(1);

/// The longest pause of a schedule, found once per expression and zone: many tenants share a few.
#[derive(Default)]
pub(super) struct Gaps(BTreeMap<(String, &'static str), Duration>);

impl Gaps {
    fn widest(&mut self, schedule: &Schedule) -> Duration {
        let key = (schedule.text().to_owned(), schedule.zone().name());
        *self.0.entry(key).or_insert_with(|| schedule.widest_gap(reference()))
    }
}

/// Warns of the times in `section`'s `key` that the clocks skip or show twice.
pub(super) fn odd_times(
    section: &Section,
    key: &'static str,
    schedule: &Schedule,
    gaps: &mut Gaps,
    problems: &mut Vec<Problem>,
) {
    for odd in changes::odd_times(schedule, gaps.widest(schedule)) {
        let found = format!("{} {}", section.called(key), odd.found);
        let problem = Problem::warning(section.site_of(key), &section.path_of(key), found);
        problems.push(problem.remedy(odd.remedy));
    }
}

/// Checks a tenant against itself. Works on what was read, so that one bad value hides no other problem.
pub(super) fn tenant(
    root: &Section,
    schedule: Option<&Schedule>,
    gaps: &mut Gaps,
    problems: &mut Vec<Problem>,
) {
    names(root, problems);
    reserved(root, problems);
    let opens = opens(root, gaps, problems);
    if let (Some(own), Some(schedule)) = (root.table("schedule"), schedule) {
        odd_times(own, "cron", schedule, gaps, problems);
    }
    let gap = schedule.map(|schedule| gaps.widest(schedule));
    let dataspace = root.table("dataspace");
    for section in root.list("credential") {
        one_instance_per_role(section, problems);
        let mut report = Report { section, problems };
        let needed = lead_and_work(dataspace, &mut report);
        lead_and_window(&mut report);
        lead_and_maintenance(opens, needed, &mut report);
        lead_and_schedule(gap, needed, &mut report);
        soak(&mut report);
        token_life(&mut report);
    }
    if let Some(section) = dataspace {
        deadline(section, problems);
    }
}

/// Puts a section's name and place to what is found.
struct Report<'a> {
    section: &'a Section,
    problems: &'a mut Vec<Problem>,
}

impl Report<'_> {
    fn error(&mut self, key: &'static str, found: &str, expected: &str, remedy: &str) {
        let problem = Problem::error(self.section.site_of(key), &self.section.path_of(key), found);
        self.problems.push(problem.expected(expected).remedy(remedy));
    }

    /// The section's `lead` with the words for it.
    fn lead(&self) -> Option<(Duration, String)> {
        let lead = self.section.span("lead")?;
        Some((lead, format!("`lead` in `[[credential]]` is {}", lasting(lead))))
    }
}

/// From the moment it is due, a rotation needs this long even if everything goes slowly.
fn lead_and_work(dataspace: Option<&Section>, report: &mut Report<'_>) -> Duration {
    let Some((lead, found)) = report.lead() else { return Duration::ZERO };
    let own = report.section.text("consumer").filter(|consumer| consumer != "dataspace");
    let own = own.and_then(|consumer| local::section(report.section, &consumer));
    let of_consumer = |key| match own {
        Some(section) if key == "deadline" => local::deadline(section),
        Some(_) => Duration::ZERO,
        None => dataspace.and_then(|section| section.span(key)).unwrap_or_default(),
    };
    let of_credential = |key| report.section.span(key).unwrap_or_default();
    let parts = [
        ("soak", of_credential("soak")),
        ("settle", of_consumer("settle")),
        ("deadline", of_consumer("deadline")),
        ("proof-span", of_credential("proof-span")),
        ("token-life", of_credential("token-life")),
        ("slowest retry", SLOWEST_RETRY),
    ];
    let needed = parts.iter().map(|(_, span)| *span).sum();
    if lead < needed {
        // What could not be read is reported, and no part of the sum.
        let parts = parts.iter().filter(|(_, span)| !span.is_zero());
        let parts: Vec<String> = parts.map(|(name, span)| format!("{name} {}", lasting(*span))).collect();
        let expected = format!("at least {}, which is {}", lasting(needed), parts.join(" + "));
        report.error("lead", &found, &expected, "a rotation would not end before its keys do");
    }
    needed
}

fn lead_and_window(report: &mut Report<'_>) {
    let Some(window) = report.section.window("window") else { return };
    let is_too_long = match window {
        Window::Months(months) => months > 12,
        Window::Span(span) => span > Duration::from_hours(365 * 24),
    };
    if is_too_long {
        let found = "`window` in `[[credential]]` is longer than 12 months";
        report.error("window", found, "at most `12 months`", "SAP lets these keys expire after that");
    }
    let Some((lead, found)) = report.lead() else { return };
    let shortest = shortest(window);
    if lead >= shortest {
        let expected = format!("less than the window, which may be as short as {}", lasting(shortest));
        report.error("lead", &found, &expected, "every key would be due the moment it is made");
        return;
    }
    let Some(spread) = report.section.span("spread") else { return };
    let found = format!("`spread` in `[[credential]]` is {}", lasting(spread));
    if report.section.has("spread") && spread >= lead {
        let expected = format!("less than lead {}", lasting(lead));
        report.error("spread", &found, &expected, "keys would be replaced long before they must be");
    } else if lead + spread >= shortest {
        let expected = format!("less than {}, window minus lead", lasting(shortest.saturating_sub(lead)));
        report.error("spread", &found, &expected, "some keys would be due the moment they are made");
    }
}

/// After the longest pause between two windows there must still be time for a whole rotation.
fn lead_and_maintenance(opens: Option<Duration>, needed: Duration, report: &mut Report<'_>) {
    let (Some(opens), Some((lead, found))) = (opens, report.lead()) else { return };
    if lead >= needed && opens + needed > lead {
        let found =
            format!("{found}, and a rotation that begins when a maintenance window opens may end too late");
        let expected = format!(
            "at least {}, which is {} without a window and {} for the rotation",
            lasting(opens + needed),
            lasting(opens),
            lasting(needed)
        );
        report.error("lead", &found, &expected, "give it more time, or open windows more often");
    }
}

/// Between the time a rotation is due and the end of its keys somebody must look, and early enough.
fn lead_and_schedule(gap: Option<Duration>, needed: Duration, report: &mut Report<'_>) {
    let (Some(gap), Some((lead, found))) = (gap, report.lead()) else { return };
    let found = format!("{found}, but the schedule pauses for up to {}", lasting(gap));
    if gap >= lead {
        let remedy = "no look may fall between the time a rotation is due and the end of its keys";
        report.error("lead", &found, "a schedule that looks more often", remedy);
    } else if lead >= needed && gap + needed > lead {
        let expected =
            format!("at least {}, the pause and {} for the rotation", lasting(gap + needed), lasting(needed));
        let remedy =
            "a rotation that is noticed late ends after its keys: look more often, or give it more time";
        let section = report.section;
        let problem = Problem::warning(section.site_of("lead"), &section.path_of("lead"), found);
        report.problems.push(problem.expected(expected).remedy(remedy));
    }
}

fn soak(report: &mut Report<'_>) {
    let (Some(soak), Some(life)) = (report.section.span("soak"), report.section.span("token-life")) else {
        return;
    };
    let found = format!("`soak` in `[[credential]]` is {}", lasting(soak));
    if soak.is_zero() {
        report.error("soak", &found, "more than nothing", "without it there is no way back");
    } else if soak < life {
        let found = format!("{found}, less than token-life {}", lasting(life));
        let problem =
            Problem::warning(report.section.site_of("soak"), &report.section.path_of("soak"), found);
        let remedy =
            "a token made with the old key may outlive the soak and hide that the new one does not work";
        report.problems.push(problem.remedy(remedy));
    }
}

/// The two roles are two plans, so never one instance.
fn one_instance_per_role(section: &Section, problems: &mut Vec<Problem>) {
    let mut seen = BTreeMap::new();
    for (role, keys) in roles(section) {
        let Some(place) = keys.place("service-instance") else { continue };
        if let Some(other) = seen.insert(place, role) {
            let found = format!("`service-instance` in `[{}]` is that of `{other}`, too", keys.path);
            let site = keys.site_of("service-instance");
            let problem = Problem::error(site, &keys.path_of("service-instance"), found);
            problems.push(problem.expected("an instance of plan `api` and one of plan `integration-flow`"));
        }
    }
}

/// The journal keeps the fleet's own entries under a tenant of this name.
fn reserved(root: &Section, problems: &mut Vec<Problem>) {
    if root.text("id").is_some_and(|id| id == RESERVED_TENANT) {
        let found = format!("`{RESERVED_TENANT}` is the name of the fleet itself in the journal");
        problems.push(Problem::error(root.site_of("id"), "id", found).expected("another id"));
    }
}

/// The longest pause until some maintenance window opens, as far as the windows can be read; `None` without windows.
fn opens(root: &Section, gaps: &mut Gaps, problems: &mut Vec<Problem>) -> Option<Duration> {
    let mut shortest = None;
    for section in root.list("maintenance") {
        let (Some(cron), Some(zone)) = (section.text("schedule"), section.zone("time-zone")) else {
            continue;
        };
        let Ok(schedule) = Schedule::new(&cron, zone) else { continue };
        odd_times(section, "schedule", &schedule, gaps, problems);
        let gap = gaps.widest(&schedule);
        shortest = Some(shortest.map_or(gap, |known: Duration| known.min(gap)));
        if let Some(duration) = section.span("duration").filter(|duration| *duration >= gap) {
            let found = format!(
                "`duration` in `[[maintenance]]` is {}, and the window opens every {}",
                lasting(duration),
                lasting(gap)
            );
            let problem = Problem::warning(section.site_of("duration"), &section.path_of("duration"), found);
            problems.push(problem.remedy("it never closes: take it out, or shorten it"));
        }
    }
    shortest
}

/// Whether the fuse lets a whole fleet of one age rotate in the shortest lead.
pub(super) fn fuse(daemon: &Daemon, tenants: &[Tenant], site: &Site, problems: &mut Vec<Problem>) {
    let policies = || tenants.iter().flat_map(|tenant| &tenant.credentials).map(|one| &one.policy);
    let (many, Some(lead)) = (policies().count(), policies().map(|policy| policy.lead).min()) else { return };
    let limit = daemon.rules.fuse_limit(many);
    let days = u32::try_from(many.div_ceil(limit)).unwrap_or(u32::MAX);
    let needed = FUSE_SPAN.saturating_mul(days);
    if needed > lead {
        let found = format!(
            "the fuse lets {} begin in a day, so {} of one age take {}",
            spelling::many(limit, "rotation", "rotations"),
            spelling::many(many, "credential", "credentials"),
            lasting(needed)
        );
        let problem = Problem::warning(site, "fleet.fuse-rotations", found);
        let expected = format!("less than the shortest lead, {}", lasting(lead));
        problems.push(problem.expected(expected).remedy("raise `fuse-rotations` or `fuse-percent`"));
    }
}

fn names(root: &Section, problems: &mut Vec<Problem>) {
    let mut seen: BTreeMap<CredentialName, Site> = BTreeMap::new();
    for section in root.list("credential") {
        let Some(name) = section.text("name").and_then(|name| name.parse::<CredentialName>().ok()) else {
            continue;
        };
        let site = section.site_of("name");
        if let Some(first) = seen.get(&name) {
            let found = format!("credential `{name}` is already there, at {first}");
            problems.push(Problem::error(site, "credential.name", found).expected("a name of its own"));
        } else {
            seen.insert(name, site.clone());
        }
    }
}

/// SAP gives the tokens of these keys between one hour and one day, 12 hours unless told otherwise.
fn token_life(report: &mut Report<'_>) {
    let Some(life) = report.section.span("token-life").filter(|life| *life < SHORTEST_TOKEN_LIFE) else {
        return;
    };
    let section = report.section;
    let found = format!("`token-life` in `[[credential]]` is {}", lasting(life));
    let problem = Problem::warning(section.site_of("token-life"), &section.path_of("token-life"), found);
    let expected = problem.expected("at least 1 hour, the least that SAP allows");
    report.problems.push(
        expected
            .remedy("a proof by exclusion counts only after the last token made with the old key is dead"),
    );
}

fn deadline(section: &Section, problems: &mut Vec<Problem>) {
    let (Some(deadline), Some(poll)) = (section.span("deadline"), section.span("poll")) else { return };
    if deadline < SHORT_DEADLINE {
        let found = format!("`deadline` in `[dataspace]` is {}", lasting(deadline));
        let problem = Problem::warning(section.site_of("deadline"), &section.path_of("deadline"), found);
        problems.push(
            problem.expected("at least 25 min").remedy("SAP may take 20 minutes for what would then succeed"),
        );
    }
    if poll >= deadline {
        let found = format!("`poll` in `[dataspace]` is {}", lasting(poll));
        let problem = Problem::error(section.site_of("poll"), &section.path_of("poll"), found);
        problems.push(problem.expected(format!("less than deadline {}", lasting(deadline))));
    }
}

/// The shortest the window can be: calendar months differ. No year is shorter than 2026 and 2027.
fn shortest(window: Window) -> Duration {
    let starts = (1..=12).map(|month| Utc.with_ymd_and_hms(2026, month, 1, 0, 0, 0).single());
    let starts = starts.map(|start| start.expect("every month has a first day"));
    starts.map(|start| between(start, window.end(start))).min().expect("a year has months")
}
