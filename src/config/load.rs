//! From files and environment to a configuration, or to everything that is wrong with them.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::assemble;
use super::check::{self, Gaps};
use super::daemon::{self, Daemon};
use super::document::{self, Node, Raw};
use super::environment::{self, Environment};
use super::keys;
use super::problem::{Problem, Severity, Site, let_read};
use super::reader::{self, Section};
use super::secrets::Look;
use super::tenant::{IssuerKind, Place, Replace, Tenant};
use super::{Config, Loaded, web};

/// The longest configuration file that is read.
const SIZE_LIMIT: u64 = 1 << 20;

/// The most tenants one daemon takes.
const TENANT_LIMIT: usize = 100_000;

/// Reads the configuration at `path`, the environment over it, and the tenants beside it. Reads files and nothing else
/// of the world. `Err` has every problem, warnings among them, sorted by place.
pub fn load(path: &Path, environment: &Environment) -> Result<Loaded, Vec<Problem>> {
    let mut problems = Vec::new();
    let (daemon, rules) = daemon(path, environment, &mut problems);
    // Where the daemon's file is not there, that is what is wrong, and not that no tenants are beside it.
    let is_there = path.exists() || daemon.tenants_dir.exists();
    let tenants = if is_there { tenants(&daemon, environment, &mut problems) } else { Vec::new() };
    check::fuse(&daemon, &tenants, &rules, &mut problems);
    // Not in the daemon's part: who only reads the journal need not be let at the key of the pages.
    if let Some(Err(found)) = daemon.web.file.as_deref().map(web::file::read) {
        problems.extend(found);
    }
    problems.sort();
    if problems.iter().any(|problem| problem.severity == Severity::Error) {
        return Err(problems);
    }
    Ok(Loaded { config: Config { daemon, tenants }, warnings: problems })
}

/// The daemon's part alone, for who only reads the journal: a tenant's secret may come from systemd, which passes it to
/// the unit and to nobody else.
pub fn load_daemon(path: &Path, environment: &Environment) -> Result<Daemon, Vec<Problem>> {
    let mut problems = Vec::new();
    let (daemon, _) = daemon(path, environment, &mut problems);
    let is_wrong = problems.iter().any(|problem| problem.severity == Severity::Error);
    if is_wrong { Err(problems) } else { Ok(daemon) }
}

/// The control socket, as far as the daemon's part can be read; the default where it cannot, and why it could not. For
/// commands, which need no more than that: what else is wrong with a daemon's file is not in their way.
pub fn control_socket(path: &Path, environment: &Environment) -> (PathBuf, Option<Problem>) {
    let mut problems = Vec::new();
    let socket = daemon(path, environment, &mut problems).0.control_socket;
    if problems.iter().all(|problem| problem.severity != Severity::Error) {
        return (socket, None);
    }
    let look = Look { environment, folder: folder(path), file_stem: None, allow_http: true };
    let Some(document) = document(path, &mut Vec::new()) else { return (socket, first_error(problems)) };
    let merged = environment::merge(document.clone(), environment);
    let section = reader::read(keys::DAEMON, &merged, &look, &mut Vec::new());
    let Raw::Table(table) = &document.raw else { return (socket, first_error(problems)) };
    let is_known = |name: &String| keys::DAEMON.iter().any(|key| key.name == name);
    if table.contains_key("credential") {
        let found = "this is the file of a tenant";
        return (socket, Some(Problem::error(&Site::Whole(path.into()), "", found)));
    }
    if !section.has("version") || !table.keys().all(is_known) {
        return (socket, first_error(problems));
    }
    (section.path("control-socket").unwrap_or(socket), None)
}

fn first_error(problems: Vec<Problem>) -> Option<Problem> {
    problems.into_iter().find(|problem| problem.severity == Severity::Error)
}

/// The daemon's part, and where the rules of the fleet stand in it. What of it cannot be read is not held against the
/// tenants. Where it is wrong, which was reported, the defaults stand in, so that the tenants are read all
/// the same and their problems are found in the same run.
fn daemon(path: &Path, environment: &Environment, problems: &mut Vec<Problem>) -> (Daemon, Site) {
    // Whether `http` is allowed is written in this very file: who uses an address looks at that.
    let look = Look { environment, folder: folder(path), file_stem: None, allow_http: true };
    // The kernel is asked, and not /proc/sys, which a unit with ProcSubset=pid does not see.
    let hostname = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let mut stand_in = stand_in(path, &look);
    let Some(document) = document(path, problems) else {
        stand_in.http.allow_http = true;
        return (stand_in, Site::Whole(path.into()));
    };
    let section = reader::read(keys::DAEMON, &environment::merge(document, environment), &look, problems);
    let rules = section.table("fleet").map_or_else(|| section.site.clone(), |fleet| fleet.site.clone());
    if let Some(daemon) = daemon::daemon(&section, &hostname, problems) {
        if let Some(schedule) = section.table("schedule") {
            check::odd_times(schedule, "cron", &daemon.schedule, &mut Gaps::default(), problems);
        }
        return (daemon, rules);
    }
    assert!(
        problems.iter().any(|problem| problem.severity == Severity::Error),
        "what is missing was reported"
    );
    stand_in.tenants_dir = section.path("tenants-dir").unwrap_or(stand_in.tenants_dir);
    let allows_http = section.table("http").and_then(|http| http.flag("allow-http"));
    stand_in.http.allow_http = allows_http.unwrap_or(true);
    (stand_in, rules)
}

fn stand_in(path: &Path, look: &Look<'_>) -> Daemon {
    let mut problems = Vec::new();
    let smallest = document::read(path, "version = 1").expect("this is TOML");
    let section = reader::read(keys::DAEMON, &smallest, look, &mut problems);
    daemon::daemon(&section, "stand-in", &mut problems).expect("every default is right")
}

fn tenants(daemon: &Daemon, environment: &Environment, problems: &mut Vec<Problem>) -> Vec<Tenant> {
    let mut known = Known::default();
    let mut gaps = Gaps::default();
    let mut tenants = Vec::new();
    for path in tenant_files(&daemon.tenants_dir, problems) {
        let Some(node) = document(&path, problems) else { continue };
        let file_stem = path.file_stem().and_then(|stem| stem.to_str());
        let allow_http = daemon.http.allow_http;
        let look = Look { environment, folder: folder(&path), file_stem, allow_http };
        let root = reader::read(keys::TENANT, &node, &look, problems);
        let is_new = known.id(&root, problems);
        let schedule = assemble::schedule(root.table("schedule"), &daemon.schedule, problems);
        check::tenant(&root, schedule.as_deref(), &mut gaps, problems);
        if let Some(tenant) =
            schedule.and_then(|schedule| assemble::tenant(&root, schedule, daemon, problems))
        {
            if is_new {
                known.instances(&root, &tenant, problems);
            }
            tenants.push(tenant);
        }
    }
    tenants.sort_by(|left, right| left.id.cmp(&right.id));
    tenants
}

/// What must not be there twice over all files.
#[derive(Default)]
struct Known {
    ids: BTreeMap<String, Site>,
    /// Who has an instance of a landscape, and where that is written.
    instances: BTreeMap<(String, Place), (String, Site)>,
}

impl Known {
    /// Whether the id is new.
    fn id(&mut self, root: &Section, problems: &mut Vec<Problem>) -> bool {
        let Some(id) = root.text("id") else { return false };
        let site = root.site_of("id");
        if let Some(first) = self.ids.get(&id) {
            let found = format!("tenant `{id}` is already there, at {first}");
            problems.push(Problem::error(site, "id", found).expected("an id of its own"));
            return false;
        }
        self.ids.insert(id, site.clone());
        true
    }

    /// Two credentials may share an instance; more often somebody copied a file and forgot to change it.
    fn instances(&mut self, root: &Section, tenant: &Tenant, problems: &mut Vec<Problem>) {
        for section in root.list("credential") {
            let issuer = section.text("issuer");
            let Some(landscape) = issuer.and_then(|issuer| landscape(tenant, &issuer)) else { continue };
            let name = section.text("name").unwrap_or_default();
            for (_, keys) in assemble::roles(section) {
                let Some((key, place)) = place_of(keys) else { continue };
                let site = keys.site_of(key);
                let id = format!("{}/{name}", tenant.id);
                let instance = (landscape.clone(), place);
                let Some((other, first)) = self.instances.get(&instance) else {
                    self.instances.insert(instance, (id, site.clone()));
                    continue;
                };
                // Two roles of one credential are another problem, and an error.
                if *other == id {
                    continue;
                }
                let found = format!("`{key}` in `[{}]` is also that of `{other}`, at {first}", keys.path);
                if key == TECHNICAL_USER {
                    let problem = Problem::error(site, &keys.path_of(key), found);
                    let remedy =
                        "a secret that one of them resets is dead for the other: leave it to one credential";
                    problems.push(problem.expected("a technical user of its own").remedy(remedy));
                    continue;
                }
                let remedy = "each would take the other's keys for a stranger's: if the file was copied, set the \
                              instance of this tenant";
                let problem = Problem::warning(site, &keys.path_of(key), found);
                problems.push(problem.expected("an instance of its own").remedy(remedy));
            }
        }
    }
}

const TECHNICAL_USER: &str = "technical-user";

/// What a role's keys are made of, and the key that says so.
fn place_of(keys: &Section) -> Option<(&'static str, Place)> {
    let instance = keys.place("service-instance").map(|place| ("service-instance", place));
    instance.or_else(|| {
        let (id, replace, since) = (keys.text(TECHNICAL_USER)?, Replace::ByHand, None);
        Some((TECHNICAL_USER, Place::TechnicalUser { id, replace, since }))
    })
}

/// Whose instances an issuer's are.
fn landscape<'t>(tenant: &'t Tenant, issuer: &str) -> Option<&'t String> {
    match IssuerKind::of(issuer)? {
        IssuerKind::CloudFoundry => tenant.cloud_foundry.as_ref().map(|login| &login.api),
        IssuerKind::ServiceManager => tenant.service_manager.as_ref().map(|login| &login.url),
        IssuerKind::Portal => tenant.portal.as_ref().map(|login| &login.url),
        IssuerKind::File => None,
    }
}

/// The files of the tenants, by name. Hidden ones and other endings are somebody else's.
fn tenant_files(folder: &Path, problems: &mut Vec<Problem>) -> Vec<PathBuf> {
    let site = Site::Whole(folder.into());
    let mut paths = match names(folder) {
        Ok(paths) => paths,
        Err(error) => {
            let found = format!("the folder of the tenants cannot be read ({})", what(&error));
            problems
                .push(Problem::error(&site, "tenants-dir", found).remedy("make it, or set `tenants-dir`"));
            return Vec::new();
        }
    };
    if paths.is_empty() {
        let problem =
            Problem::warning(&site, "tenants-dir", "there is no tenant here: nothing will be rotated");
        problems.push(problem.remedy("add a file that ends in `.toml`"));
    }
    if paths.len() > TENANT_LIMIT {
        let found = format!("there are {} tenants here", paths.len());
        let problem = Problem::error(&site, "tenants-dir", found).expected(format!("at most {TENANT_LIMIT}"));
        problems.push(problem.remedy("share them among several daemons"));
        paths.clear();
    }
    paths.sort();
    paths
}

fn names(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let is_hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if !is_hidden && path.extension().is_some_and(|extension| extension == "toml") {
            paths.push(path);
        }
    }
    Ok(paths)
}

/// The tree in a file, or its problems.
fn document(path: &Path, problems: &mut Vec<Problem>) -> Option<Node> {
    let read = text(path)
        .map_err(|unread| {
            let site = unread.site.unwrap_or_else(|| Site::Whole(path.into()));
            vec![Problem::error(&site, "", unread.found).remedy(unread.remedy)]
        })
        .and_then(|text| document::read(path, &text));
    read.map_err(|found| problems.extend(found)).ok()
}

/// Why a file has no text: where, if not as a whole, what was found, and what to do.
struct Unread {
    site: Option<Site>,
    found: String,
    remedy: String,
}

impl Unread {
    fn new(found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { site: None, found: found.into(), remedy: remedy.into() }
    }
}

/// What is wrong, in the words that people use for it.
fn what(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "there is none".to_owned(),
        kind => kind.to_string(),
    }
}

fn text(path: &Path) -> Result<String, Unread> {
    let failed = |error: io::Error| {
        let remedy = match error.kind() {
            io::ErrorKind::NotFound => "make it, or name another with `--config`".to_owned(),
            io::ErrorKind::PermissionDenied => let_read(path),
            _ => "look after the file system it is on".to_owned(),
        };
        Unread::new(format!("this file cannot be read ({})", what(&error)), remedy)
    };
    if !fs::metadata(path).map_err(failed)?.is_file() {
        return Err(Unread::new("this is no regular file", "put a file in its place"));
    }
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(SIZE_LIMIT + 1).read_to_end(&mut bytes)).map_err(failed)?;
    if bytes.len() as u64 > SIZE_LIMIT {
        let remedy = "see whether it is another file: a configuration has some lines";
        return Err(Unread::new("this file is longer than 1 MiB", remedy));
    }
    String::from_utf8(bytes).map_err(|error| {
        let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let site = document::end(path, &String::from_utf8_lossy(before));
        Unread { site: Some(site), ..Unread::new("this is no text (UTF-8)", "save the file as UTF-8") }
    })
}

fn folder(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new(""))
}
