//! From the sections of a tenant's file to the issuers of its keys.

use std::collections::BTreeMap;

use super::assemble::{check_addresses, roles};
use super::daemon::Daemon;
use super::problem::Problem;
use super::reader::Section;
use super::tenant::{CloudFoundry, IssuerKind, Place, ServiceManager};
use crate::domain::names::Role;

pub(super) fn cloud_foundry(section: &Section) -> Option<CloudFoundry> {
    let login = section.table("login")?;
    Some(CloudFoundry {
        api: section.text("api")?,
        user: login.text("user")?,
        password: login.password("password")?,
        origin: login.text("origin"),
        uaa: section.text("uaa"),
    })
}

pub(super) fn service_manager(
    section: &Section,
    daemon: &Daemon,
    problems: &mut Vec<Problem>,
) -> Option<ServiceManager> {
    let key = *section.service_key("service-key")?;
    let url = key.endpoints.get("sm_url").map(|url| url.trim_end_matches('/').to_owned());
    let addresses = [("url", Some(key.token_url.as_str())), ("sm_url", url.as_deref())];
    check_addresses(section, &addresses, daemon, problems);
    if url.is_none() {
        let found = "the service key of `[service-manager]` has no `sm_url`";
        let problem = Problem::error(section.site_of("service-key"), &section.path_of("service-key"), found);
        let expected = "a key of an instance of `service-manager`, plan `subaccount-admin`";
        problems.push(problem.expected(expected).remedy("check which key this is"));
    }
    let calls_per_hour = u32::try_from(section.count("calls-per-hour")?).ok()?;
    Some(ServiceManager { url: url?, key, calls_per_hour })
}

/// Where each role's keys are: an instance at Cloud Foundry or Service Manager, the folder with files.
pub(super) fn places(
    section: &Section,
    issuer: IssuerKind,
    problems: &mut Vec<Problem>,
) -> BTreeMap<Role, Place> {
    const KEY: &str = "service-instance";
    let mut places = BTreeMap::new();
    for (role, keys) in roles(section) {
        let error = |found: String| Problem::error(keys.site_of(KEY), &keys.path_of(KEY), found);
        let problem = match (issuer, keys.place(KEY)) {
            (IssuerKind::ServiceManager, Some(Place::Named { .. })) => {
                let found =
                    format!("`{KEY}` in `[{}]` is no guid, and Service Manager knows no spaces", keys.path);
                error(found).expected("the guid of the instance, as the cockpit shows it")
            }
            (IssuerKind::CloudFoundry | IssuerKind::ServiceManager, Some(place)) => {
                places.insert(role, place);
                continue;
            }
            (IssuerKind::File, None) => {
                places.insert(role, Place::Folder);
                continue;
            }
            (IssuerKind::CloudFoundry | IssuerKind::ServiceManager, None) if keys.has(KEY) => continue,
            (IssuerKind::CloudFoundry | IssuerKind::ServiceManager, None) => {
                let found = format!("missing key `{KEY}` in `[{}]`", keys.path);
                error(found).expected(super::leaf::expectation(&super::keys::Form::Instance))
            }
            (IssuerKind::File, Some(_)) => {
                let found = format!("`{KEY}` in `[{}]` means nothing to issuer `file`", keys.path);
                error(found).remedy("take it out")
            }
        };
        problems.push(problem);
    }
    places
}
