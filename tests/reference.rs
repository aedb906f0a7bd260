//! The reference is what the program says of itself: `docs/reference/` is written from its own tables where there are
//! any, and held against them where a person wrote it. `UPDATE_GOLDEN=1` writes the former anew.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use clap::{Arg, CommandFactory};
use rekeyd::cli::{Command, Exit};
use rekeyd::config::keys::{self, Form, Key, Need};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

/// Holds a page against what it should be, or writes it.
fn is(page: &str, expected: &str) {
    let path = root().join("docs/reference").join(page);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, expected).unwrap();
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    let lines = found.lines().zip(expected.lines()).enumerate();
    let first = lines.into_iter().find(|(_, (found, expected))| found != expected);
    assert!(
        found == expected,
        "{page} is not what the program says, see {first:?}: run the test once with UPDATE_GOLDEN=1"
    );
}

/// The rows of a page's tables: their first cell's quoted words.
fn rows(page: &str) -> BTreeSet<String> {
    let text = read(&format!("docs/reference/{page}"));
    let firsts = text.lines().filter_map(|line| line.strip_prefix("| `"));
    firsts.map(|rest| rest.split('`').next().unwrap().to_owned()).collect()
}

// ---- cli.md

const CLI: &str = "\
# Commands

Written from the program's own definition, as are its help, its manual pages and its completions. How a command ends is in
[exit-codes.md](exit-codes.md).

";

/// A text on one line of a table.
fn cell(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}

fn argument(arg: &Arg) -> String {
    let value = || arg.get_value_names().map_or_else(String::new, |names| format!(" {}", names[0]));
    let takes_value = arg.get_action().takes_values();
    match (arg.get_long(), arg.get_short()) {
        (Some(long), short) => {
            let short = short.map_or_else(String::new, |short| format!("`-{short}`, "));
            let value = if takes_value { value() } else { String::new() };
            format!("{short}`--{long}{value}`")
        }
        (None, _) => format!("`{}`", value().trim()),
    }
}

fn about(arg: &Arg) -> String {
    let mut text = arg.get_help().map(ToString::to_string).unwrap_or_default();
    if !text.ends_with('.') {
        text.push('.');
    }
    let values: Vec<String> =
        arg.get_possible_values().iter().map(|value| format!("`{}`", value.get_name())).collect();
    if arg.get_action().takes_values() && !values.is_empty() {
        write!(text, " One of {}.", values.join(", ")).unwrap();
    }
    let defaults: Vec<_> = arg.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
    if arg.get_action().takes_values() && !defaults.is_empty() {
        write!(text, " Default: `{}`.", defaults.join(" ")).unwrap();
    }
    if let Some(variable) = arg.get_env() {
        write!(text, " Variable: `{}`.", variable.to_string_lossy()).unwrap();
    }
    cell(&text)
}

fn arguments<'a>(args: impl Iterator<Item = &'a Arg>, text: &mut String) {
    let rows: Vec<String> =
        args.map(|arg| format!("| {} | {} |\n", cell(&argument(arg)), about(arg))).collect();
    if !rows.is_empty() {
        writeln!(text, "| argument | what |\n|---|---|\n{}", rows.concat()).unwrap();
    }
}

fn is_own(arg: &Arg) -> bool {
    !arg.is_global_set() && !["help", "version"].contains(&arg.get_id().as_str())
}

fn verb(command: &clap::Command, name: &str, text: &mut String) {
    let sentence = command.get_about().map(ToString::to_string).unwrap_or_default();
    writeln!(text, "## rekeyd {name}\n\n{}.\n", sentence.trim_end_matches('.')).unwrap();
    let usage = command.clone().render_usage().to_string();
    writeln!(text, "`{}`\n", usage.trim_start_matches("Usage: ")).unwrap();
    arguments(command.get_arguments().filter(|arg| is_own(arg)), text);
    if let Some(after) = command.get_after_help() {
        let after = after.to_string();
        let (examples, prose) = after.split_once("\n\n").unwrap_or((&after, ""));
        let lines: Vec<&str> = examples.lines().skip(1).map(str::trim).collect();
        writeln!(text, "```\n{}\n```\n", lines.join("\n")).unwrap();
        if !prose.is_empty() {
            writeln!(text, "{prose}\n").unwrap();
        }
    }
    for inner in command.get_subcommands().filter(|inner| inner.get_name() != "help") {
        verb(inner, &format!("{name} {}", inner.get_name()), text);
    }
}

#[test]
fn the_commands_are_the_programs() {
    let mut whole = Command::command().disable_help_subcommand(true);
    whole.build();
    let mut text = CLI.to_owned();
    text.push_str("## What every command takes\n\n");
    arguments(whole.get_arguments().filter(|arg| arg.is_global_set()), &mut text);
    for command in whole.get_subcommands() {
        verb(command, command.get_name(), &mut text);
    }
    is("cli.md", &format!("{}\n", text.trim_end()));
}

// ---- configuration.md

const CONFIGURATION: &str = "\
# Configuration

Written from the program's own table, as are `config/reference.toml`, `rekeyd.toml(5)` and the JSON Schema. The daemon reads
`rekeyd.toml` for itself and one file for each tenant from the folder `tenants-dir`. Secrets are never written in them, only
where they are: `{ file = \"…\" }`, `{ credential = \"…\" }` of systemd, `{ env = \"…\" }`. A variable
`REKEYD__SECTION__KEY` overrides a key of the daemon, never one of a tenant. `rekeyd check-config` names every problem at once.

";

fn section(keys: &[Key], path: &str, text: &mut String) {
    if keys.iter().any(|key| key.section(path).is_none()) {
        text.push_str("| key | what may stand there | default | what it is for |\n|---|---|---|---|\n");
    }
    for key in keys.iter().filter(|key| key.section(path).is_none()) {
        let default = match key.need {
            Need::Required(_) => "required".to_owned(),
            Need::Optional(_) => "none".to_owned(),
            Need::Default(value) => format!("`{}`", if value.is_empty() { "\"\"" } else { value }),
        };
        let (form, what) = (cell(&key.expectation()), cell(key.doc));
        writeln!(text, "| `{}` | {form} | {default} | {what} |", key.name).unwrap();
    }
    for (key, inner) in keys.iter().filter_map(|key| Some((key, key.section(path)?))) {
        writeln!(text, "\n### `{}`\n\n{}\n", inner.head, key.doc).unwrap();
        section(inner.keys, &inner.path, text);
    }
}

#[test]
fn the_configuration_is_the_table_of_keys() {
    let mut text = CONFIGURATION.to_owned();
    text.push_str("## rekeyd.toml\n\n");
    section(keys::DAEMON, "", &mut text);
    text.push_str("\n## tenants.d/*.toml\n\n");
    section(keys::TENANT, "", &mut text);
    is("configuration.md", &text);
}

// ---- what a person wrote

#[test]
fn every_exit_code_has_its_row() {
    let codes: BTreeSet<String> = Exit::ALL.iter().map(|exit| exit.code().to_string()).collect();
    let is_code = |row: &String| row.parse::<u8>().is_ok();
    assert_eq!(rows("exit-codes.md").into_iter().filter(is_code).collect::<BTreeSet<_>>(), codes);
    // The help has those that every command may end with.
    let help = Command::command().get_after_help().unwrap().to_string();
    for exit in Exit::ALL.into_iter().filter(|exit| *exit != Exit::Unknown) {
        assert!(format!("{help} ").contains(&format!(" {} ", exit.code())), "{exit:?} is not in the help");
    }
}

#[test]
fn every_signal_has_its_row() {
    let code = read("src/daemon/triggers.rs");
    let installed =
        code.split("SignalKind::").skip(1).filter_map(|rest| rest.split_once("()").map(|(name, _)| name));
    let names: BTreeSet<String> = installed
        .map(|name| match name {
            "hangup" => "SIGHUP",
            "user_defined1" => "SIGUSR1",
            "user_defined2" => "SIGUSR2",
            "terminate" => "SIGTERM",
            "interrupt" => "SIGINT",
            other => panic!("`{other}` is a signal that nobody has described"),
        })
        .map(str::to_owned)
        .collect();
    assert!(names.len() >= 5);
    assert_eq!(rows("signals.md"), names);
    let page = read("docs/reference/signals.md");
    for word in rekeyd::config::daemon::Usr1::WORDS {
        assert!(page.contains(&format!("`\"{word}\"`")), "`usr1 = \"{word}\"` is not described");
    }
}

#[test]
fn every_file_has_its_row() {
    let rows = rows("files.md");
    let mut wanted = BTreeSet::new();
    // Where the daemon's files are by default.
    for key in keys::DAEMON {
        if let (Form::Path, Need::Default(path)) = (&key.form, key.need) {
            let absolute =
                if path.starts_with('/') { path.to_owned() } else { format!("/etc/rekeyd/{path}") };
            wanted.insert(absolute);
        }
    }
    // What the package installs, but pages and texts.
    let manifest = read("Cargo.toml");
    let (_, assets) = manifest.split_once("\nassets = [").unwrap();
    for line in assets.lines().skip(1).take_while(|line| !line.starts_with(']')) {
        let target = line.split('"').nth(3).unwrap();
        if !target.starts_with("usr/share/") {
            wanted.insert(format!("/{target}"));
        }
    }
    // What the daemon writes beside its journal.
    let state = ["/var/lib/rekeyd/journal.db", "/var/lib/rekeyd/journal.head"];
    wanted.extend(state.map(str::to_owned));
    let missing: Vec<_> =
        wanted.iter().filter(|path| !rows.iter().any(|row| row.trim_end_matches('/') == *path)).collect();
    assert!(missing.is_empty(), "{missing:?} have no row");
}

#[test]
fn every_page_of_the_reference_is_linked() {
    let readme = read("README.md");
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(readme.contains(&format!("(docs/reference/{name})")), "`{name}` is not in the README");
    }
}

// ---- http.md

const HTTP: &str = "\
# HTTP

At `[web] listen`, read-only: nothing over HTTP changes anything, and nothing that it shows holds a secret or a client id. Whoever
can connect can read, so it listens on this machine alone unless told otherwise; TLS, client certificates and passwords come from
`config-file`, see below.

| path | answer |
|---|---|
| `/metrics` | the metrics in the text format 0.0.4 ([metrics.md](metrics.md)); always 200 |
| `/-/healthy` | 200 while the main loop moves, else 503 with the reason; what fails outside, such as SAP, is no matter of health |
| `/-/ready` | 200 from the moment on when configuration, journal, control socket and this listener are up; 503 while it stops |
| `/api/v1/status` | the document below, as `rekeyd status --json` prints it |
| `/` | the page for people: the fleet ([read-the-page.md](../how-to/read-the-page.md)); `q` is a part of a name, `show` one of `all`, `person`, `trouble`, `rotating`, `held`, `page` a number from 1 on |
| `/tenants/{tenant}` | the same of one tenant; 404 where there is none |
| `/assets/{file}` | the style and the icon of these pages, named after their content, to be kept for a year |

`GET` and `HEAD` are answered, everything else is 405, and every other path 404. The pages for people are made on the server, one at
a time, and hold no script: their policy is `default-src 'none'` with style and icon from here, they are not to be stored or framed,
and send no address on. Making one calls no SAP system. A forecast that takes longer than 2 seconds is shown the next time.

`[web] probe-listen` is a second listener for `/-/healthy` and `/-/ready`
alone, in plain and without a password. HTTP is 1.1.

## web.config.yml

The file of Prometheus' exporter toolkit: `promtool check web-config` reads it, and so does `rekeyd check-config`. Relative paths
begin at its folder, unknown keys are refused, an empty file means neither TLS nor passwords. What rustls has not (TLS 1.0 and 1.1,
CBC suites, CurveP521) is refused with a sentence, and so is a bcrypt cost above 16.

```yaml
tls_server_config:               # each of cert, key and client_ca in place, or as a file
  cert_file: server.pem
  key_file: server.key
  client_auth_type: RequireAndVerifyClientCert     # or NoClientCert, RequestClientCert, RequireAnyClientCert, VerifyClientCertIfGiven
  client_ca_file: clients.pem
  client_allowed_sans: [scraper.example.com]       # only clients with one of these names
  min_version: TLS12             # also max_version, cipher_suites (of TLS 1.2), curve_preferences
http_server_config:
  headers: {Strict-Transport-Security: max-age=31536000}
basic_auth_users:                # bcrypt: htpasswd -nBC 10 '' | tr -d ':'
  prometheus: $2y$10$QOauhQNbBCuQDKes6eFzPeMqBSjb7Mr5DUmpZ/VcEd00UAV/LDeSi
rate_limit: {interval: 100ms, burst: 20}
```

A change of the file, or of one that it names, counts from the next request on, a certificate from the next connection on. What cannot
be read changes nothing, and neither does a file that takes TLS or every password away, which counts from the next start on: both are
logged, `rekeyd_config_last_reload_successful` is 0 meanwhile, and RekeydConfigReloadFailed fires. Without the right password a request
is answered with 401 and counted in `rekeyd_http_auth_failures_total`; the limit acts before the password, with 429. One hash is
computed at a time and what came of it is remembered; an unknown user takes as long as a wrong password.

## Slow and hostile clients

A handshake and the header of a request must be whole within 10 s; a header has at most 16 KiB. A connection takes requests for 2
minutes and has 20 s after that to read the last answer. There are at most 128 connections: beyond, the oldest of the address with
most of them ends, so that one client costs the others nothing.

## Sockets of systemd

A socket that systemd passes is taken instead of `listen`, one with `FileDescriptorName=probe` instead of `probe-listen`: the port is
then open before rekeyd is, and may be below 1024.

```ini
# /etc/systemd/system/rekeyd-web.socket
[Socket]
ListenStream=127.0.0.1:7356
FileDescriptorName=web
Service=rekeyd.service
[Install]
WantedBy=sockets.target
```

## The status

Instants are RFC 3339 in UTC; what is unknown is `null`. `schema` grows when a field changes its meaning; fields may be added
without that. This part is written from the program's sources.

";

/// The fields of a structure, each with its description, from its source.
fn fields(file: &str, structure: &str) -> String {
    let text = read(file);
    let start = text.find(&format!("pub struct {structure} {{")).unwrap();
    let mut rows = format!("### {structure}\n\n| field | what |\n|---|---|\n");
    let mut about = String::new();
    for line in text[start..].lines().skip(1).take_while(|line| *line != "}") {
        let line = line.trim();
        if let Some(words) = line.strip_prefix("/// ") {
            let gap = if about.is_empty() { "" } else { " " };
            write!(about, "{gap}{words}").unwrap();
        } else if let Some(rest) = line.strip_prefix("pub ") {
            writeln!(rows, "| `{}` | {} |", rest.split(':').next().unwrap(), std::mem::take(&mut about))
                .unwrap();
        }
    }
    rows
}

#[test]
fn every_page_over_http_and_every_field_of_the_status_is_described() {
    let report = "src/daemon/report.rs";
    let fleet = "src/daemon/fleet_status.rs";
    let structures = [
        (report, "Status"),
        (fleet, "FleetStatus"),
        (fleet, "EmergencyStatus"),
        (fleet, "SilentStatus"),
        (report, "CredentialStatus"),
        (report, "KeyStatus"),
        (report, "HaltStatus"),
        ("src/daemon/unmanaged.rs", "CisStatus"),
    ];
    let tables: Vec<String> = structures.iter().map(|(file, name)| fields(file, name)).collect();
    is("http.md", &format!("{HTTP}{}", tables.join("\n")));
    let web = read("src/daemon/web.rs") + &read("src/page/mod.rs");
    let routes: BTreeSet<&str> =
        web.split(".route(\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    let paths: BTreeSet<String> = rows("http.md").into_iter().filter(|row| row.starts_with('/')).collect();
    assert_eq!(paths, routes.into_iter().map(str::to_owned).collect());
}
