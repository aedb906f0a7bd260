//! From files and environment to a configuration, or to everything that is wrong with them.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::assemble;
use super::check::{self, Gaps};
use super::daemon::{self, Daemon};
use super::document::{self, Node};
use super::environment::{self, Environment};
use super::keys;
use super::problem::{Problem, Severity, Site};
use super::reader::{self, Section};
use super::secrets::Look;
use super::tenant::{Credential, IssuerKind, Tenant};
use super::{Config, Loaded};

/// The longest configuration file that is read.
const SIZE_LIMIT: u64 = 1 << 20;

/// The most tenants one daemon takes.
const TENANT_LIMIT: usize = 100_000;

/// Reads the configuration at `path`, the environment over it, and the tenants beside it. Reads files and nothing else
/// of the world. `Err` has every problem, warnings among them, sorted by place.
pub fn load(path: &Path, environment: &Environment) -> Result<Loaded, Vec<Problem>> {
    let mut problems = Vec::new();
    let daemon = daemon(path, environment, &mut problems);
    let tenants = tenants(&daemon, environment, &mut problems);
    check::fuse(&daemon, &tenants, path, &mut problems);
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
    let daemon = daemon(path, environment, &mut problems);
    let is_wrong = problems.iter().any(|problem| problem.severity == Severity::Error);
    if is_wrong { Err(problems) } else { Ok(daemon) }
}

/// The control socket, as far as the daemon's part can be read; the default where it cannot. For commands, which need
/// no more than that.
pub fn control_socket(path: &Path, environment: &Environment) -> PathBuf {
    daemon(path, environment, &mut Vec::new()).control_socket
}

/// The daemon's part. Where it is wrong, which was reported, the defaults stand in, so that the tenants are read all
/// the same and their problems are found in the same run.
fn daemon(path: &Path, environment: &Environment, problems: &mut Vec<Problem>) -> Daemon {
    let look = Look { environment, folder: folder(path), file_stem: None, allow_http: false };
    // The kernel is asked, and not /proc/sys, which a unit with ProcSubset=pid does not see.
    let hostname = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let mut stand_in = stand_in(path, &look);
    let Some(document) = document(path, problems) else { return stand_in };
    let section = reader::read(keys::DAEMON, &environment::merge(document, environment), &look, problems);
    if let Some(daemon) = daemon::daemon(&section, &hostname, problems) {
        return daemon;
    }
    assert!(
        problems.iter().any(|problem| problem.severity == Severity::Error),
        "what is missing was reported"
    );
    stand_in.tenants_dir = section.path("tenants-dir").unwrap_or(stand_in.tenants_dir);
    let allows_http = section.table("http").and_then(|http| http.flag("allow-http"));
    stand_in.http.allow_http = allows_http.unwrap_or(stand_in.http.allow_http);
    stand_in
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
    instances: BTreeMap<Vec<String>, Site>,
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

    /// Two tenants may share their instances; more often somebody copied a file and forgot to change them.
    fn instances(&mut self, root: &Section, tenant: &Tenant, problems: &mut Vec<Problem>) {
        let remote = |credential: &&Credential| credential.issuer == IssuerKind::CloudFoundry;
        for credential in tenant.credentials.iter().filter(remote) {
            let pin = &credential.policy.pin;
            let key: Vec<String> = [&pin.issuer].into_iter().chain(pin.places.values()).cloned().collect();
            let site = root.site_of("id");
            if let Some(first) = self.instances.get(&key) {
                let id = &credential.policy.credential;
                let found = format!("`{id}` has the same service instances as the tenant at {first}");
                let problem = Problem::warning(site, "credential.keys", found);
                problems.push(problem.remedy("if the file was copied, set the instances of this tenant"));
            } else {
                self.instances.insert(key, site.clone());
            }
        }
    }
}

/// The files of the tenants, by name. Hidden ones and other endings are somebody else's.
fn tenant_files(folder: &Path, problems: &mut Vec<Problem>) -> Vec<PathBuf> {
    let site = Site::Whole(folder.into());
    let mut paths = match names(folder) {
        Ok(paths) => paths,
        Err(error) => {
            let found = format!("the folder of the tenants cannot be read ({})", error.kind());
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
    let site = Site::Whole(path.into());
    let text = match text(path) {
        Ok(text) => text,
        Err(found) => {
            problems.push(Problem::error(&site, "", found));
            return None;
        }
    };
    document::read(path, &text).map_err(|found| problems.extend(found)).ok()
}

fn text(path: &Path) -> Result<String, String> {
    let failed = |error: io::Error| format!("this file cannot be read ({})", error.kind());
    if !fs::metadata(path).map_err(failed)?.is_file() {
        return Err("this is no regular file".to_owned());
    }
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(SIZE_LIMIT + 1).read_to_end(&mut bytes)).map_err(failed)?;
    if bytes.len() as u64 > SIZE_LIMIT {
        return Err("this file is longer than 1 MiB".to_owned());
    }
    String::from_utf8(bytes).map_err(|error| {
        let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = before.split(|byte| *byte == b'\n').count();
        format!("line {line} of this file is no text (UTF-8)")
    })
}

fn folder(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new(""))
}
