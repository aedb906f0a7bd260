//! `discover --write`: a tenant's file for each subaccount without one, to be filled in by a person. Nothing is overwritten,
//! and nothing secret is in it.

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::{Common, Exit, fail, tell};
use crate::daemon::unmanaged::{Covered, Discovery};

/// The longest id of a tenant.
const LONGEST: usize = 48;

/// Writes a file for each subaccount without a tenant, and says which.
pub(super) async fn write(common: &Common, folder: &Path, found: &Discovery) -> Result<(), Exit> {
    let mut taken: BTreeSet<String> = BTreeSet::new();
    taken.extend(tell::known(common).await?.into_iter().map(|id| id.tenant.to_string()));
    let mut open: Vec<&Covered> = found.accounts.iter().flat_map(|account| &account.subaccounts).collect();
    open.retain(|of| of.cover == "uncovered");
    open.sort_by_key(|of| (&of.subaccount.name, &of.subaccount.guid));
    let mut written = Vec::new();
    if !open.is_empty()
        && let Err(problem) = std::fs::create_dir_all(folder)
    {
        let text =
            format!("`{}` cannot be made: {problem}; name a folder that may be written", folder.display());
        return Err(fail(Exit::Failed, &text));
    }
    for of in &open {
        let id = id(of, &taken);
        let path = folder.join(format!("{id}.toml"));
        match create(&path, &file(&id, of)) {
            Ok(()) => {
                if !common.quiet && !common.json {
                    println!("`{}` is written for `{}`", path.display(), of.subaccount.name);
                }
                written.push(path);
            }
            Err(problem) if problem.kind() == ErrorKind::AlreadyExists => {
                eprintln!("rekeyd: `{}` is there already, and is left alone", path.display());
            }
            Err(problem) => {
                let exit = match problem.kind() {
                    ErrorKind::PermissionDenied => Exit::Permission,
                    _ => Exit::Failed,
                };
                let text = format!("`{}` cannot be written, and no more is: {problem}", path.display());
                return Err(fail(exit, &text));
            }
        }
        taken.insert(id);
    }
    if !written.is_empty() && !common.quiet && !common.json {
        println!(
            "fill in what is empty, and put them beside the other tenants: `rekeyd check-config` names what is missing"
        );
    }
    Ok(())
}

/// A file that was not there, for owner and group.
fn create(path: &Path, text: &str) -> std::io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o640).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// An id from the subaccount's name; with the beginning of its guid where another tenant has it.
fn id(of: &Covered, taken: &BTreeSet<String>) -> String {
    let name = of.subaccount.name.to_lowercase();
    let mut id = String::new();
    for letter in name.chars() {
        match letter {
            'a'..='z' | '0'..='9' => id.push(letter),
            _ if id.is_empty() || id.ends_with('-') => {}
            _ => id.push('-'),
        }
    }
    id.truncate(LONGEST - 10);
    let id = id.trim_end_matches('-');
    if !id.is_empty() && !taken.contains(id) {
        return id.to_owned();
    }
    let guid = of.subaccount.guid.chars().filter(char::is_ascii_alphanumeric).take(8);
    let guid: String = guid.collect::<String>().to_lowercase();
    format!("{}-{guid}", if id.is_empty() { "subaccount" } else { id })
}

/// The file. What a person must fill in is empty, so that `check-config` names it.
fn file(id: &str, of: &Covered) -> String {
    let subaccount = &of.subaccount;
    let (api, from) = api(of);
    let org = of
        .organization
        .as_ref()
        .map_or_else(String::new, |org| format!("\n# Its organization there is `{org}`."));
    format!(
        r#"# The subaccount `{name}` ({guid}) in {region}, which had no tenant.
# Fill in every empty text; `rekeyd check-config --online` says what is missing.
version = 1
id      = "{id}"

[dataspace]
# The service key of Data Space Integration API Access, exactly as downloaded.
service-key = {{ file = "" }}

[cloud-foundry]
# {from}{org}
api   = "{api}"
# A technical user with the role Space Developer in the space of the two instances, and where its password is.
login = {{ user = "", password = {{ file = "" }} }}

[[credential]]
name     = "dataplane"
issuer   = "cloud-foundry"
consumer = "dataspace"

[credential.keys]
# Process Integration Runtime, plan `api`: the guid of the instance, as `cf service --guid <name>` shows it. Where it has
# several keys, `key = "…"` names the one in use.
ciapi = {{ service-instance = "" }}
# Process Integration Runtime, plan `integration-flow`.
cirt  = {{ service-instance = "" }}
"#,
        name = subaccount.name,
        guid = subaccount.guid,
        region = subaccount.region,
    )
}

/// The address of its Cloud Foundry, and where that is from.
fn api(of: &Covered) -> (String, &'static str) {
    if let Some(api) = of.cloud_foundry.as_ref().filter(|api| is_plain(api)) {
        return (api.clone(), "As the subaccount says it.");
    }
    let region = of.subaccount.region.strip_prefix("cf-").unwrap_or(&of.subaccount.region);
    let is_region = (4..=6).contains(&region.len())
        && region.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    if is_region {
        let api = format!("https://api.cf.{region}.hana.ondemand.com");
        return (
            api,
            "What the region suggests; the cockpit shows it, and some regions have several, such as eu10-004.",
        );
    }
    (String::new(), "The cockpit shows it.")
}

/// Whether an address may stand in quotes.
fn is_plain(text: &str) -> bool {
    text.starts_with("https://")
        && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\')
}
