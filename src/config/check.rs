//! What single values cannot show: whether they make sense together.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{TimeZone, Utc};

use super::problem::{Problem, Site};
use super::reader::Section;
use super::schedule::{Schedule, reference};
use super::tenant::{Credential, Tenant, roles};
use crate::domain::between;
use crate::domain::names::CredentialName;
use crate::domain::policy::Policy;
use crate::domain::window::Window;

/// The slowest rung of the backoff ladder: a rotation may wait this long for its next attempt.
const SLOWEST_RETRY: Duration = Duration::from_hours(6);

/// SAP's own limit to the consumer's work is 20 minutes; a deadline this near to it halts what would have worked.
const SHORT_DEADLINE: Duration = Duration::from_mins(25);

/// The longest pause of a schedule, found once per expression and zone: many tenants share a few.
#[derive(Default)]
pub(super) struct Gaps(BTreeMap<(String, &'static str), Duration>);

impl Gaps {
    fn widest(&mut self, schedule: &Schedule) -> Duration {
        let key = (schedule.text().to_owned(), schedule.zone().name());
        *self.0.entry(key).or_insert_with(|| schedule.widest_gap(reference()))
    }
}

/// Checks a tenant against itself.
pub(super) fn tenant(root: &Section, tenant: &Tenant, gaps: &mut Gaps, problems: &mut Vec<Problem>) {
    names(root, problems);
    if root.list("credential").is_empty() {
        return;
    }
    let gap = gaps.widest(&tenant.schedule);
    for credential in &tenant.credentials {
        let name = credential.policy.credential.name.as_str();
        let sections = root.list("credential").iter();
        let Some(section) = sections.clone().find(|section| section.text("name").as_deref() == Some(name))
        else {
            continue;
        };
        one_instance_per_role(section, credential, problems);
        let mut report = Report { section, problems };
        lead(&credential.policy, gap, &mut report);
        window(&credential.policy, &mut report);
        soak(&credential.policy, &mut report);
    }
    if let Some(section) = root.table("dataspace") {
        dataspace(section, problems);
    }
}

/// Puts a section's name and place to what is found.
struct Report<'a> {
    section: &'a Section,
    problems: &'a mut Vec<Problem>,
}

impl Report<'_> {
    fn error(&mut self, key: &'static str, found: &str, expected: String, remedy: &str) {
        let problem = Problem::error(self.section.site_of(key), &self.section.path_of(key), found);
        self.problems.push(problem.expected(expected).remedy(remedy));
    }
}

fn lead(policy: &Policy, gap: Duration, report: &mut Report<'_>) {
    let lead = time(policy.lead);
    let found = format!("`lead` in `[[credential]]` is {lead}");
    let needed = policy.soak + policy.settle + policy.deadline + policy.token_life + SLOWEST_RETRY;
    if policy.lead < needed {
        let expected = format!(
            "at least {}: soak {}, settle {}, deadline {}, token-life {}, slowest retry {}",
            time(needed),
            time(policy.soak),
            time(policy.settle),
            time(policy.deadline),
            time(policy.token_life),
            time(SLOWEST_RETRY)
        );
        report.error("lead", &found, expected, "a rotation would not end before its keys do");
    }
    let shortest = shortest(policy.window);
    if policy.lead >= shortest {
        let expected = format!("less than the window, which may be as short as {}", time(shortest));
        report.error("lead", &found, expected, "every key would be due the moment it is made");
    }
    if gap >= policy.lead {
        let pause = if gap == Duration::MAX { "for ever".to_owned() } else { time(gap) };
        let found = format!("{found}, but the schedule pauses for {pause}");
        report.error(
            "lead",
            &found,
            "a schedule that looks more often".to_owned(),
            "a rotation could be missed",
        );
    }
}

fn window(policy: &Policy, report: &mut Report<'_>) {
    let is_too_long = match policy.window {
        Window::Months(months) => months > 12,
        Window::Span(span) => span > Duration::from_hours(365 * 24),
    };
    if is_too_long {
        let found = "`window` in `[[credential]]` is longer than 12 months";
        report.error(
            "window",
            found,
            "at most `12 months`".to_owned(),
            "SAP lets these keys expire after that",
        );
    }
}

fn soak(policy: &Policy, report: &mut Report<'_>) {
    let found = format!("`soak` in `[[credential]]` is {}", time(policy.soak));
    if policy.soak.is_zero() {
        let remedy = "without it there is no way back";
        report.error("soak", &found, "more than nothing".to_owned(), remedy);
    } else if policy.soak < policy.token_life {
        let site = report.section.site_of("soak");
        let found = format!("{found}, less than token-life {}", time(policy.token_life));
        let remedy =
            "a token made with the old key may outlive the soak and hide that the new one does not work";
        report.problems.push(Problem::warning(site, &report.section.path_of("soak"), found).remedy(remedy));
    }
}

/// The two roles are two plans, so never one instance.
fn one_instance_per_role(section: &Section, credential: &Credential, problems: &mut Vec<Problem>) {
    let mut seen = BTreeMap::new();
    for (role, keys) in roles(section) {
        let Some(place) = keys.place("service-instance") else { continue };
        if let Some(other) = seen.insert(place, role) {
            let name = &credential.policy.credential.name;
            let found = format!("`{role}` of `{name}` has the service instance of `{other}`");
            let site = keys.site_of("service-instance");
            let problem = Problem::error(site, &keys.path_of("service-instance"), found);
            problems.push(problem.expected("an instance of plan `api` and one of plan `integration-flow`"));
        }
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

fn dataspace(section: &Section, problems: &mut Vec<Problem>) {
    let (Some(deadline), Some(poll)) = (section.span("deadline"), section.span("poll")) else { return };
    if deadline < SHORT_DEADLINE {
        let found = format!("`deadline` in `[dataspace]` is {}", time(deadline));
        let problem = Problem::warning(section.site_of("deadline"), &section.path_of("deadline"), found);
        problems.push(
            problem.expected("at least 25m").remedy("SAP may take 20 minutes for what would then succeed"),
        );
    }
    if poll >= deadline {
        let found = format!("`poll` in `[dataspace]` is {}", time(poll));
        let problem = Problem::error(section.site_of("poll"), &section.path_of("poll"), found);
        problems.push(problem.expected(format!("less than deadline {}", time(deadline))));
    }
}

/// The shortest the window can be: calendar months differ. No year is shorter than 2026 and 2027.
fn shortest(window: Window) -> Duration {
    let starts = (1..=12).map(|month| Utc.with_ymd_and_hms(2026, month, 1, 0, 0, 0).single());
    let starts = starts.map(|start| start.expect("every month has a first day"));
    starts.map(|start| between(start, window.end(start))).min().expect("a year has months")
}

fn time(span: Duration) -> String {
    humantime::format_duration(span).to_string()
}
