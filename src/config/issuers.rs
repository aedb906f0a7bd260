//! From the sections of a tenant's file to the issuers of its keys.

use std::collections::BTreeMap;

use super::assemble::{check_addresses, roles};
use super::daemon::Daemon;
use super::leaf;
use super::problem::Problem;
use super::reader::Section;
use super::tenant::{CloudFoundry, IssuerKind, Place, Portal, Replace, ServiceManager};
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

/// A seal key of fewer characters is no key.
const SEAL_KEY: usize = 32;

pub(super) fn portal(section: &Section, problems: &mut Vec<Problem>) -> Option<Portal> {
    let login = section.table("login")?;
    let seal_key = section.password("seal-key");
    if seal_key.as_ref().is_some_and(|key| key.expose().chars().count() < SEAL_KEY) {
        let found = "the `seal-key` of `[portal]` is too short to protect anything";
        let problem = Problem::error(section.site_of("seal-key"), &section.path_of("seal-key"), found);
        let remedy = "make one with `head -c 32 /dev/urandom | base64`, and keep it: what was sealed cannot be read without it";
        problems.push(problem.expected("32 characters or more").remedy(remedy));
    }
    Some(Portal {
        url: section.text("url")?.trim_end_matches('/').to_owned(),
        token_url: section.text("token-url")?,
        client_id: login.text("client-id")?,
        secret: login.password("secret")?,
        seal_key,
    })
}

/// A secret that is reset in place must never be lost, so it is sealed, and there must be something to do that with.
pub(super) fn sealed(
    root: &Section,
    section: &Section,
    places: &BTreeMap<Role, Place>,
    problems: &mut Vec<Problem>,
) {
    let Some(portal) = root.table("portal").filter(|portal| !portal.has("seal-key")) else { return };
    if places.values().any(Place::is_in_place) {
        let found =
            "missing key `seal-key` in `[portal]`: a secret that is reset in place is sealed on disk first";
        let problem = Problem::error(&portal.site, &portal.path_of("seal-key"), found);
        let name = section.text("name").unwrap_or_default();
        problems
            .push(problem.remedy(format!("set it, or `replace = \"second-user\"` for credential `{name}`")));
    }
}

/// A technical user of the portal, where the issuer is one.
fn technical_user(keys: &Section) -> Option<Place> {
    let replace = match keys.text("replace").as_deref() {
        Some("reset") => Replace::Reset,
        Some("second-user") => Replace::SecondUser,
        _ => Replace::ByHand,
    };
    let since = keys.text("since").and_then(|text| leaf::day(&text));
    Some(Place::TechnicalUser { id: keys.text("technical-user")?, replace, since })
}

/// Each issuer has its keys, and those of another mean nothing to it.
fn out_of_place(keys: &Section, issuer: IssuerKind, problems: &mut Vec<Problem>) {
    let of_portal: &[&'static str] = &["technical-user", "replace", "since"];
    let strange: &[&'static str] = match issuer {
        IssuerKind::Portal => &["service-instance"],
        IssuerKind::CloudFoundry | IssuerKind::ServiceManager | IssuerKind::File => of_portal,
    };
    for key in strange.iter().copied().filter(|key| keys.has(key)) {
        let found = format!("`{key}` in `[{}]` means nothing to issuer `{}`", keys.path, issuer.as_str());
        problems.push(Problem::error(keys.site_of(key), &keys.path_of(key), found).remedy("take it out"));
    }
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
        out_of_place(keys, issuer, problems);
        let problem = match (issuer, keys.place(KEY)) {
            (IssuerKind::Portal, _) => match technical_user(keys) {
                Some(place) => {
                    places.insert(role, place);
                    continue;
                }
                None if keys.has("technical-user") => continue,
                None => {
                    let found = format!("missing key `technical-user` in `[{}]`", keys.path);
                    let problem = Problem::error(&keys.site, &keys.path_of("technical-user"), found);
                    problem.expected("the portal's id of the technical user, from its page in the portal")
                }
            },
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
