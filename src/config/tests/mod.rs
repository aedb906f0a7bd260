//! A folder with a configuration that holds, edits to it, and what is said of them.

mod broken;
mod cis;
mod local;
mod made;
mod samples;
mod schema;
mod service_manager;
mod sinks;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::Loaded;
use super::environment::Environment;
use super::load::load;
use super::problem::Problem;

const DAEMON: &str = "version = 1\ninstance = \"one\"\n";

const TENANT: &str = r#"version = 1
id = "acme"

[dataspace]
service-key = { file = "dsi.json" }

[cloud-foundry]
api = "https://api.cf.example.com"
login = { user = "robot", password = { file = "password" } }

[[credential]]
name = "dataplane"
issuer = "cloud-foundry"
consumer = "dataspace"
lead = "30 days"

[credential.keys]
ciapi = { service-instance = "6f1c0b9e-2a64-4c1e-9d57-0c5f7d1f6a01" }
cirt = { service-instance = { name = "cirt", space = "prod", org = "acme" }, key = "by-hand" }
"#;

const SERVICE_KEY: &str = r#"{"oauth": {"clientid": "sb-1!b1|dsi!b2", "clientsecret": "NotARealSecret",
    "url": "https://acme.dsi.example.com/api/v1/dsp/", "tokenurl": "https://auth.example.com/oauth/token"}}"#;

/// A change to the folder or the environment.
#[derive(Clone, Copy)]
enum Edit {
    /// Replaces a text in `rekeyd.toml`.
    Daemon(&'static str, &'static str),
    /// Replaces a text in `tenants.d/acme.toml`.
    Tenant(&'static str, &'static str),
    /// Writes a file in `tenants.d` with a mode.
    File(&'static str, &'static str, u32),
    /// Takes a file in `tenants.d` away.
    NoFile(&'static str),
    /// Sets a variable.
    Env(&'static str, &'static str),
}

struct World {
    folder: TempDir,
    environment: Vec<(String, String)>,
}

impl World {
    fn new(edits: &[Edit]) -> Self {
        let folder = tempfile::tempdir().expect("a scratch folder can be made");
        fs::create_dir(folder.path().join("tenants.d")).unwrap();
        let mut world = Self { folder, environment: Vec::new() };
        world.write("rekeyd.toml", DAEMON, 0o644);
        world.write("tenants.d/acme.toml", TENANT, 0o644);
        world.write("tenants.d/dsi.json", SERVICE_KEY, 0o640);
        world.write("tenants.d/password", "NotARealSecret\n", 0o600);
        for edit in edits {
            world.edit(*edit);
        }
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str, mode: u32) {
        fs::write(self.path(name), text).unwrap();
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(mode)).unwrap();
    }

    fn edit(&mut self, edit: Edit) {
        match edit {
            Edit::Daemon(from, to) => self.replace("rekeyd.toml", from, to),
            Edit::Tenant(from, to) => self.replace("tenants.d/acme.toml", from, to),
            Edit::File(name, text, mode) => self.write(&format!("tenants.d/{name}"), text, mode),
            Edit::NoFile(name) => fs::remove_file(self.path(&format!("tenants.d/{name}"))).unwrap(),
            Edit::Env(name, value) => self.environment.push((name.to_owned(), value.to_owned())),
        }
    }

    fn replace(&self, name: &str, from: &str, to: &str) {
        let text = fs::read_to_string(self.path(name)).unwrap();
        assert!(text.contains(from), "`{from}` is in {name}");
        fs::write(self.path(name), text.replacen(from, to, 1)).unwrap();
    }

    fn load(&self) -> Result<Loaded, Vec<Problem>> {
        let folder = self.folder.path().display().to_string();
        let placed = |(name, value): &(String, String)| (name.clone(), value.replace("{folder}", &folder));
        load(&self.path("rekeyd.toml"), &self.environment.iter().map(placed).collect::<Environment>())
    }

    /// What is said of it, without the folder's name.
    fn messages(&self) -> Vec<String> {
        self.said(self.load())
    }

    fn said(&self, result: Result<Loaded, Vec<Problem>>) -> Vec<String> {
        let problems = result.map_or_else(|problems| problems, |loaded| loaded.warnings);
        problems.iter().map(|problem| without(self.folder.path(), &problem.to_string())).collect()
    }
}

fn without(folder: &Path, message: &str) -> String {
    message.replace(&format!("{}/", folder.display()), "")
}

#[track_caller]
fn loaded(edits: &[Edit]) -> Loaded {
    let world = World::new(edits);
    world.load().unwrap_or_else(|_| panic!("it loads: {:#?}", world.messages()))
}
