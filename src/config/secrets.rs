//! References to secrets: a configuration says where a secret is, and never what it is.

use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::document::{Node, Raw};
use super::environment::Environment;
use super::leaf::Complaint;
use super::problem::{let_read, shown};
use crate::domain::spelling::nearest;
use crate::secret::{Secret, ServiceKey};

/// What a reference looks like.
pub(super) const EXPECTED: &str = "one of `{ file = \"…\" }`, `{ credential = \"…\" }`, `{ env = \"…\" }`";

/// The longest secret that is read.
const SIZE_LIMIT: u64 = 1 << 20;

/// What a value is read against.
pub(super) struct Look<'a> {
    /// The environment.
    pub(super) environment: &'a Environment,
    /// The folder of the file, for relative paths.
    pub(super) folder: &'a Path,
    /// The file's name without `.toml`, as a hint to what its tenant is called.
    pub(super) file_stem: Option<&'a str>,
    /// Whether addresses may be `http`.
    pub(super) allow_http: bool,
}

/// A password: the text without the line break that editors put at its end.
pub(super) fn password(node: &Node, look: &Look<'_>) -> Result<Secret, Complaint> {
    let mut text = referred(node, look)?;
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    if text.is_empty() {
        return Err(Complaint::new("refers to an empty password").remedy("write the password there"));
    }
    Ok(Secret::new(text))
}

/// A service key, in any of SAP's shapes.
pub(super) fn service_key(node: &Node, look: &Look<'_>) -> Result<ServiceKey, Complaint> {
    let text = referred(node, look)?;
    ServiceKey::parse(&text).map_err(|why| {
        let complaint = Complaint::new(format!("refers to something that is no service key ({why})"));
        complaint.expected("the JSON of a service key, as downloaded")
    })
}

/// The content of a file with certificates.
pub(super) fn certificates(path: &str, look: &Look<'_>) -> Result<String, Complaint> {
    let path = look.folder.join(path);
    let text = content(&path, false)?;
    if !text.contains("-----BEGIN CERTIFICATE-----") {
        let complaint = Complaint::new(format!("names `{}`, which holds no certificate", path.display()));
        return Err(complaint.expected("certificates in PEM"));
    }
    Ok(text)
}

/// What a reference refers to.
fn referred(node: &Node, look: &Look<'_>) -> Result<String, Complaint> {
    let (kind, target) = reference(node)?;
    match kind {
        "file" => content(&look.folder.join(target), true),
        "credential" => content(&credential_path(target, look)?, true),
        _ => variable(target, look),
    }
}

/// A variable's value. What is no name is not repeated: somebody may have put the secret there.
fn variable(name: &str, look: &Look<'_>) -> Result<String, Complaint> {
    if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
        let complaint = Complaint::new("has an `env` that is no name of a variable");
        return Err(complaint.expected("letters, digits and `_`").remedy("replace the secret if it was one"));
    }
    look.environment.get(name).map(str::to_owned).ok_or_else(|| {
        let complaint =
            Complaint::new(format!("names the environment variable `{}`, which is not set", shown(name)));
        complaint.remedy("set it for the daemon, or name a file")
    })
}

/// The one member of a reference.
fn reference(node: &Node) -> Result<(&'static str, &str), Complaint> {
    const KINDS: [&str; 3] = ["file", "credential", "env"];
    let members = match &node.raw {
        Raw::Table(members) => members,
        Raw::Text(_) | Raw::Loose(_) => {
            let complaint = Complaint::new("is a text").expected(EXPECTED);
            return Err(
                complaint.remedy("write where the secret is, never the secret; replace it if it was one")
            );
        }
        other => return Err(Complaint::new(format!("is {}", other.kind())).expected(EXPECTED)),
    };
    if let Some(word) = members.keys().find(|word| !KINDS.contains(&word.as_str())) {
        let near = nearest(word, KINDS).map_or_else(String::new, |name| format!("did you mean `{name}`?"));
        return Err(Complaint::new(format!("has the unknown key `{}`", shown(word)))
            .expected(EXPECTED)
            .remedy(near));
    }
    let mut found = KINDS.iter().filter_map(|kind| Some((*kind, members.get(*kind)?)));
    match (found.next(), found.next()) {
        (Some((kind, Node { raw: Raw::Text(target), .. })), None) if !target.is_empty() => Ok((kind, target)),
        (Some((kind, node)), None) => {
            Err(Complaint::new(format!("has a `{kind}` that is {}", emptiness(&node.raw))).expected("a text"))
        }
        _ => Err(Complaint::new(format!("names {} places", members.len())).expected(EXPECTED)),
    }
}

fn emptiness(raw: &Raw) -> &'static str {
    if matches!(raw, Raw::Text(_)) { "empty" } else { raw.kind() }
}

/// Where systemd put a credential (systemd.exec(5), `LoadCredential=`).
fn credential_path(name: &str, look: &Look<'_>) -> Result<PathBuf, Complaint> {
    let is_name = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    if !is_name || name.starts_with('.') {
        let complaint = Complaint::new("has a `credential` that is no name of one");
        return Err(complaint.expected("letters, digits, `.`, `_` and `-`"));
    }
    let folder = look.environment.get("CREDENTIALS_DIRECTORY").ok_or_else(|| {
        let complaint =
            Complaint::new(format!("names the credential `{}`, but systemd passed none", shown(name)));
        complaint.remedy(format!("add `LoadCredential={name}:/path/to/secret` to the unit"))
    })?;
    Ok(Path::new(folder).join(name))
}

/// The text of a file that is regular, not too long, and, if secret, not everybody's.
fn content(path: &Path, is_secret: bool) -> Result<String, Complaint> {
    let names = |what: &str| Complaint::new(format!("names `{}`, which {what}", path.display()));
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => names("does not exist").remedy("put it there, or name where it is"),
        io::ErrorKind::PermissionDenied => {
            names(&format!("this user (uid {}) may not read", nix::unistd::geteuid())).remedy(let_read(path))
        }
        kind => names(&format!("cannot be read ({kind})")).remedy("look after the file system it is on"),
    };
    // A pipe would block on opening, so the kind is asked first.
    if !fs::metadata(path).map_err(failed)?.is_file() {
        return Err(names("is no regular file").remedy("name a file"));
    }
    let file = File::open(path).map_err(failed)?;
    if is_secret && is_open_to_all(&file.metadata().map_err(failed)?) {
        return Err(
            names("everybody on this machine may read").remedy(format!("run `chmod 640 {}`", path.display()))
        );
    }
    let mut bytes = Vec::new();
    file.take(SIZE_LIMIT + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > SIZE_LIMIT {
        return Err(names("is longer than 1 MiB").remedy("name the file with the secret alone"));
    }
    String::from_utf8(bytes).map_err(|_| names("is no text (UTF-8)").remedy("save it as UTF-8"))
}

fn is_open_to_all(metadata: &Metadata) -> bool {
    metadata.permissions().mode() & 0o007 != 0
}
