//! What `[[cis]]` says: the global accounts whose subaccounts rekeyd looks at.

use std::collections::BTreeSet;
use std::time::Duration;

use super::leaf;
use super::problem::Problem;
use super::reader::Section;
use super::url;
use crate::domain::Timestamp;
use crate::domain::window::Window;
use crate::secret::ServiceKey;

/// A global account as a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cis {
    /// Its name.
    pub name: String,
    /// How rekeyd logs in.
    pub key: ServiceKey,
    /// How often it is looked at.
    pub every: Duration,
    /// Subaccounts that nobody is told of.
    pub ignore: BTreeSet<String>,
    /// When the key was made, where the operator says it.
    pub created: Option<Timestamp>,
    /// How old the key may become.
    pub window: Window,
    /// How long before that it is due.
    pub lead: Duration,
    /// Keys of single subaccounts.
    pub locals: Vec<ServiceKey>,
}

/// The accounts that can be made; what is wrong with the others is reported.
pub(super) fn all(root: &Section, problems: &mut Vec<Problem>) -> Vec<Cis> {
    let allow_http = root.table("http").and_then(|http| http.flag("allow-http")).unwrap_or(false);
    let mut all: Vec<Cis> = Vec::new();
    for section in root.list("cis") {
        let Some(cis) = cis(section, allow_http, problems) else { continue };
        if all.iter().any(|known| known.name == cis.name) {
            let found = format!("cis `{}` is already there", cis.name);
            let problem = Problem::error(section.site_of("name"), "cis.name", found);
            problems.push(problem.expected("a name of its own"));
        }
        all.push(cis);
    }
    all
}

fn cis(section: &Section, allow_http: bool, problems: &mut Vec<Problem>) -> Option<Cis> {
    let key = section.service_key("service-key");
    if let Some(key) = &key {
        check_key(section, key, ("accounts_service_url", "central-viewer"), allow_http, problems);
    }
    let locals = section.list("local").iter().filter_map(|local| {
        let key = *local.service_key("service-key")?;
        check_key(local, &key, ("provisioning_service_url", "local-viewer"), allow_http, problems);
        Some(key)
    });
    let locals = locals.collect();
    let ignore = ignored(section, problems);
    let (window, lead) = (section.window("window")?, section.span("lead")?);
    check_lead(section, window, lead, problems);
    Some(Cis {
        name: section.text("name")?,
        key: *key?,
        every: section.span("every")?,
        ignore,
        created: section.text("created").and_then(|text| leaf::day(&text)),
        window,
        lead,
        locals,
    })
}

/// Whether a key leads to what is asked of it: its addresses, and a grant without a person.
fn check_key(
    section: &Section,
    key: &ServiceKey,
    (service, plan): (&'static str, &str),
    allow_http: bool,
    problems: &mut Vec<Problem>,
) {
    let path = &section.path;
    let mut error = |found: String, expected: String, remedy: String| {
        let problem = Problem::error(section.site_of("service-key"), &section.path_of("service-key"), found);
        problems.push(problem.expected(expected).remedy(remedy));
    };
    let to = key.endpoints.get(service);
    for (name, address) in [("url", Some(&key.token_url)), (service, to)] {
        if let Some(Err(complaint)) = address.map(|address| url::checked(address, allow_http)) {
            let found = format!("`{name}` of the service key of `[[{path}]]` {}", complaint.found);
            error(found, complaint.expected, complaint.remedy);
        }
    }
    if to.is_none() {
        let found = format!("the service key of `[[{path}]]` has no `{service}`");
        let expected = format!("a key of an instance of Cloud Management Service, plan `{plan}`");
        error(found, expected, "check which key this is".to_owned());
    }
    if let Some(grant) = key.grant_type().filter(|grant| grant != "client_credentials") {
        let found =
            format!("the service key of `[[{path}]]` is for the grant `{grant}`, which needs a person");
        let expected = "`client_credentials`".to_owned();
        error(found, expected, format!("make the instance with plan `{plan}`, which has no other grant"));
    }
}

/// Subaccounts by guid; what is none would be ignored in vain.
fn ignored(section: &Section, problems: &mut Vec<Problem>) -> BTreeSet<String> {
    let texts = section.texts("ignore").unwrap_or_default();
    for text in texts.iter().filter(|text| !leaf::is_guid(text)) {
        let shown = super::problem::shown(text);
        let found = format!("`ignore` in `[[{}]]` holds `{shown}`, which is no guid", section.path);
        let problem = Problem::error(section.site_of("ignore"), &section.path_of("ignore"), found);
        problems.push(problem.expected("guids of subaccounts, as `rekeyd discover --json` shows them"));
    }
    texts.iter().map(|text| text.to_lowercase()).collect()
}

fn check_lead(section: &Section, window: Window, lead: Duration, problems: &mut Vec<Problem>) {
    let shortest = match window {
        Window::Months(months) => Duration::from_hours(28 * 24) * months,
        Window::Span(span) => span,
    };
    if lead >= shortest {
        let found = format!(
            "`lead` in `[[{}]]` is {}, and the window no longer than that",
            section.path,
            super::problem::lasting(lead)
        );
        let problem = Problem::error(section.site_of("lead"), &section.path_of("lead"), found);
        problems
            .push(problem.expected("less than the window").remedy("the key would be due the day it is made"));
    }
}
