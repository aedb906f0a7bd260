//! From the sections of a tenant's file to the tenant.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono_tz::Tz;

use super::daemon::Daemon;
use super::issuers;
use super::local;
use super::maintenance::Maintenance;
use super::problem::Problem;
use super::reader::Section;
use super::registration;
use super::schedule::Schedule;
use super::tenant::{ConsumerKind, Credential, Dataspace, Files, IssuerKind, Local, Place, Tenant};
use super::url;
use crate::domain::names::{CredentialId, KeyName, Role, TenantId};
use crate::domain::observation::Verdict;
use crate::domain::policy::{Limits, Pin, Policy, Provision, Witness};
use crate::secret::ServiceKey;

/// The keys a consumer holds, in the order in which old ones are retired.
fn roles_of(consumer: ConsumerKind) -> &'static [Role] {
    match consumer {
        ConsumerKind::Dataspace => &Role::PAIR,
        ConsumerKind::File | ConsumerKind::Command | ConsumerKind::Manual => &[Role::Sole],
    }
}

/// Makes a tenant. `None` if something is missing, which was reported.
pub(super) fn tenant(
    root: &Section,
    schedule: Arc<Schedule>,
    daemon: &Daemon,
    problems: &mut Vec<Problem>,
) -> Option<Tenant> {
    let id: TenantId = root.text("id")?.parse().ok()?;
    let dataspace = root.table("dataspace");
    let cloud_foundry = root.table("cloud-foundry");
    let service_manager = root.table("service-manager");
    let portal = root.table("portal");
    let files = root.table("files");
    let mut tenant = Tenant {
        id,
        schedule,
        maintenance: root.list("maintenance").iter().filter_map(|one| maintenance(one, problems)).collect(),
        subaccount: root.text("subaccount").map(|guid| guid.to_lowercase()),
        dataspace: dataspace.and_then(|section| self::dataspace(section, daemon, problems)),
        cloud_foundry: cloud_foundry.and_then(issuers::cloud_foundry),
        service_manager: service_manager
            .and_then(|section| issuers::service_manager(section, daemon, problems)),
        portal: portal.and_then(|section| issuers::portal(section, problems)),
        registration: root.table("registration").and_then(registration::registration),
        files: files.and_then(|section| Some(Files { folder: section.path("folder")? })),
        credentials: Vec::new(),
    };
    if root.is_empty("credential") {
        let found = format!("tenant `{}` has no credential: nothing of it will be rotated", tenant.id);
        let problem = Problem::warning(root.site_of("credential"), "credential", found);
        problems.push(problem.remedy("add a section `[[credential]]`, or take the file out"));
    }
    for section in root.list("credential") {
        missing_sections(root, section, problems);
        let credential = credential(root, section, &tenant, daemon, problems);
        tenant.credentials.extend(credential);
    }
    Some(tenant)
}

/// The tenant's own schedule, or the daemon's.
pub(super) fn schedule(
    own: Option<&Section>,
    daemon: &Arc<Schedule>,
    problems: &mut Vec<Problem>,
) -> Option<Arc<Schedule>> {
    let Some(own) = own else { return Some(Arc::clone(daemon)) };
    let cron = own.text("cron").unwrap_or_else(|| daemon.text().to_owned());
    let zone: Tz = own.zone("zone").unwrap_or_else(|| daemon.zone());
    coming_round(own, "cron", &cron, zone, problems).map(Arc::new)
}

fn coming_round(
    section: &Section,
    key: &'static str,
    cron: &str,
    zone: Tz,
    problems: &mut Vec<Problem>,
) -> Option<Schedule> {
    let refuse = |why| {
        let found = format!("the schedule {why} in {zone}");
        let problem = Problem::error(section.site_of(key), &section.path_of(key), found);
        problem.remedy("name a time that exists in this zone")
    };
    Schedule::new(cron, zone).map_err(|why| problems.push(refuse(why))).ok()
}

fn maintenance(section: &Section, problems: &mut Vec<Problem>) -> Option<Maintenance> {
    let (cron, zone) = (section.text("schedule")?, section.zone("time-zone")?);
    let schedule = coming_round(section, "schedule", &cron, zone, problems)?;
    Some(Maintenance { schedule, duration: section.span("duration")? })
}

fn dataspace(section: &Section, daemon: &Daemon, problems: &mut Vec<Problem>) -> Option<Dataspace> {
    let key = *section.service_key("service-key")?;
    // The address in the key counts where the file names no other.
    let from_key = if section.text("url").is_some() { None } else { key.url.as_deref() };
    check_addresses(section, &[("tokenurl", Some(&key.token_url)), ("url", from_key)], daemon, problems);
    check_role(section, &key, problems);
    let Some(url) = section.text("url").or_else(|| key.url.clone()) else {
        let found = "the service key of `[dataspace]` has no address";
        problems
            .push(Problem::error(&section.site, "dataspace.url", found).remedy("set `url` in `[dataspace]`"));
        return None;
    };
    let url = url.trim_end_matches('/');
    Some(Dataspace {
        // The connector's own address ends in the path of the protocol; the management calls are beside it.
        url: url.strip_suffix("/api/v1/dsp").unwrap_or(url).to_owned(),
        key,
        base_path: section.text("base-path")?,
        status_words: section
            .words("status-words")
            .unwrap_or_default()
            .into_iter()
            .filter_map(verdict)
            .collect(),
    })
}

/// The addresses inside a service key obey the same rules as those in the file.
pub(super) fn check_addresses(
    section: &Section,
    addresses: &[(&str, Option<&str>)],
    daemon: &Daemon,
    problems: &mut Vec<Problem>,
) {
    for (name, address) in addresses {
        let Some(Err(complaint)) = address.map(|address| url::checked(address, daemon.http.allow_http))
        else {
            continue;
        };
        let found = format!("`{name}` of the service key of `[{}]` {}", section.path, complaint.found);
        let problem = Problem::error(section.site_of("service-key"), &section.path_of("service-key"), found);
        problems.push(problem.expected(complaint.expected).remedy(complaint.remedy));
    }
}

/// The key of the consumer itself is none of those it is given.
fn check_role(section: &Section, key: &ServiceKey, problems: &mut Vec<Problem>) {
    let Some(role) = key.role_hint() else { return };
    let found = format!("the service key of `[dataspace]` looks like one for `{role}`");
    let problem = Problem::warning(section.site_of("service-key"), &section.path_of("service-key"), found);
    let expected = "a key of Data Space Integration API Access";
    problems.push(problem.expected(expected).remedy("check which key this is"));
}

fn verdict((word, meaning): (String, String)) -> Option<(String, Verdict)> {
    let verdict = match meaning.as_str() {
        "success" => Verdict::Success,
        "in-progress" => Verdict::InProgress,
        "error" => Verdict::Error,
        "not-provisioned" => Verdict::NotProvisioned,
        _ => return None,
    };
    Some((word, verdict))
}

/// The sections a credential rests on must be there, even if empty of sense otherwise.
fn missing_sections(root: &Section, section: &Section, problems: &mut Vec<Problem>) {
    for key in ["issuer", "consumer"] {
        let Some(kind) = section.text(key) else { continue };
        let (table, needed) = match kind.as_str() {
            "cloud-foundry" => (root.table("cloud-foundry"), "cloud-foundry"),
            "service-manager" => (root.table("service-manager"), "service-manager"),
            "portal" => (root.table("portal"), "portal"),
            "file" if key == "issuer" => (root.table("files"), "files"),
            "dataspace" => (root.table("dataspace"), "dataspace"),
            // Its section is the credential's own.
            _ => continue,
        };
        if table.is_none() {
            let found =
                format!("`{key}` in `[[credential]]` is `{kind}`, but there is no section `[{needed}]`");
            let problem = Problem::error(section.site_of(key), &section.path_of(key), found);
            problems.push(problem.remedy(format!("add the section `[{needed}]`")));
        }
    }
}

fn credential(
    root: &Section,
    section: &Section,
    tenant: &Tenant,
    daemon: &Daemon,
    problems: &mut Vec<Problem>,
) -> Option<Credential> {
    let issuer = IssuerKind::of(&section.text("issuer")?)?;
    let consumer = ConsumerKind::of(&section.text("consumer")?)?;
    let places = issuers::places(section, issuer, problems);
    issuers::sealed(root, section, &places, problems);
    right_roles(section, consumer, problems);
    let behaviour = behaviour(root, section, tenant, consumer, problems)?;
    let pin = Pin {
        issuer: match issuer {
            IssuerKind::CloudFoundry => tenant.cloud_foundry.as_ref()?.api.clone(),
            IssuerKind::ServiceManager => tenant.service_manager.as_ref()?.url.clone(),
            IssuerKind::Portal => tenant.portal.as_ref()?.url.clone(),
            IssuerKind::File => tenant.files.as_ref()?.folder.display().to_string(),
        },
        places: places.iter().map(|(role, place)| (*role, place.to_string())).collect(),
        consumer: behaviour.pin,
        in_place: places.values().any(Place::is_in_place),
    };
    let policy = Policy {
        credential: CredentialId { tenant: tenant.id.clone(), name: section.text("name")?.parse().ok()? },
        issuer: issuer.as_str(),
        consumer: consumer.as_str(),
        roles: roles_of(consumer).to_vec(),
        window: section.window("window")?,
        lead: section.span("lead")?,
        soak: section.span("soak")?,
        settle: behaviour.settle,
        provision: behaviour.provision,
        witness: behaviour.witness,
        deadline: behaviour.deadline,
        poll: behaviour.poll,
        token_life: section.span("token-life")?,
        propagation: section.span("propagation")?,
        lag: section.span("lag")?,
        proofs: u32::try_from(section.count("proofs")?).ok()?,
        proof_span: section.span("proof-span")?,
        spread: section.span("spread")?,
        evidence_life: section.span("evidence-life")?,
        retire_foreign: section.flag("retire-foreign")?,
        in_use: in_use(section),
        limits: Limits { keys_per_instance: section.count("keys-per-instance")?, ..daemon.limits },
        pin,
    };
    Some(Credential { policy, issuer, consumer, places, local: behaviour.local })
}

/// How the consumer of a credential is spoken to.
struct Behaviour {
    settle: Duration,
    provision: Provision,
    witness: Witness,
    deadline: Duration,
    poll: Duration,
    pin: String,
    local: Option<Local>,
}

fn behaviour(
    root: &Section,
    section: &Section,
    tenant: &Tenant,
    consumer: ConsumerKind,
    problems: &mut Vec<Problem>,
) -> Option<Behaviour> {
    if consumer != ConsumerKind::Dataspace {
        let described = local::described(section, consumer, problems)?;
        return Some(Behaviour {
            settle: Duration::ZERO,
            // It acts on the delivery itself; there is nothing to ask for afterwards.
            provision: Provision::Never,
            witness: described.witness,
            deadline: described.deadline,
            poll: described.poll,
            pin: described.pin,
            local: Some(described.local),
        });
    }
    let dataspace = tenant.dataspace.as_ref()?;
    let settings = root.table("dataspace")?;
    Some(Behaviour {
        settle: settings.span("settle")?,
        provision: provision(&settings.text("provision")?)?,
        witness: Witness::Consumer,
        deadline: settings.span("deadline")?,
        poll: settings.span("poll")?,
        pin: format!("{}{}", dataspace.url, dataspace.base_path),
        local: None,
    })
}

/// Each consumer has its roles: one that is missing is no rotation, and one too many would never reach it.
fn right_roles(section: &Section, consumer: ConsumerKind, problems: &mut Vec<Problem>) {
    let Some(keys) = section.table("keys") else { return };
    let wanted = roles_of(consumer);
    for role in Role::ALL {
        match (wanted.contains(&role), keys.has(role.as_str())) {
            (true, false) => {
                let found = format!("missing key `{role}` in `[{}]`", keys.path);
                let problem = Problem::error(&keys.site, &keys.path_of(role.as_str()), found);
                problems.push(problem.expected("a section"));
            }
            (false, true) => {
                let names: Vec<String> = wanted.iter().map(|role| format!("`{role}`")).collect();
                let found = format!(
                    "`{role}` in `[{}]` means nothing to consumer `{}`",
                    keys.path,
                    consumer.as_str()
                );
                let problem =
                    Problem::error(keys.site_of(role.as_str()), &keys.path_of(role.as_str()), found);
                problems.push(problem.expected(names.join(" and ")).remedy("take it out"));
            }
            _ => {}
        }
    }
}

fn provision(word: &str) -> Option<Provision> {
    match word {
        "when-needed" => Some(Provision::WhenNeeded),
        "always" => Some(Provision::Always),
        "never" => Some(Provision::Never),
        _ => None,
    }
}

fn in_use(section: &Section) -> BTreeMap<Role, KeyName> {
    roles(section).filter_map(|(role, keys)| Some((role, KeyName(keys.text("key")?)))).collect()
}

/// The section of each role of a credential.
pub(super) fn roles(section: &Section) -> impl Iterator<Item = (Role, &Section)> {
    let keys = section.table("keys");
    Role::ALL.into_iter().filter_map(move |role| Some((role, keys?.table(role.as_str())?)))
}
