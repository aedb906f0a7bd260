//! Files of the exporter toolkit: those that are taken, and what is said of the others. What promtool says of the same
//! file is held against it.

use std::fs;
use std::path::Path;
use std::process::Command;

use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};

use super::file::{self, WebFile};

const HASH: &str = "$2y$04$QOauhQNbBCuQDKes6eFzPeMqBSjb7Mr5DUmpZ/VcEd00UAV/LDeSi";

/// A folder with a certificate that is its own authority, and another key.
fn folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("there is room");
    let mut parameters = CertificateParams::new(vec!["localhost".to_owned()]).expect("it is a name");
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let (key, other) = (KeyPair::generate().expect("a key"), KeyPair::generate().expect("a key"));
    let cert = parameters.self_signed(&key).expect("it is signed");
    let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).expect("there is room");
    write("cert.pem", &cert.pem());
    write("key.pem", &key.serialize_pem());
    write("other.pem", &other.serialize_pem());
    dir
}

fn read(dir: &Path, text: &str) -> Result<WebFile, Vec<String>> {
    let path = dir.join("web.config.yml");
    fs::write(&path, text).expect("there is room");
    file::read(&path).map_err(|problems| {
        let shown = format!("{}/", dir.display());
        problems.iter().map(|problem| problem.to_string().replace(&shown, "")).collect()
    })
}

fn promtool(dir: &Path) -> bool {
    let output =
        Command::new("promtool").args(["check", "web-config"]).arg(dir.join("web.config.yml")).output();
    output.expect("promtool is installed by `make setup`").status.success()
}

const TLS: &str = "tls_server_config:\n  cert_file: cert.pem\n  key_file: key.pem\n";

#[test]
fn what_promtool_takes_is_taken() {
    let dir = folder();
    let users = format!("basic_auth_users:\n  alice: {HASH}\n  bob: '{HASH}'\n");
    let more = |lines: &str| format!("{TLS}{lines}");
    let verified = "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: cert.pem\n";
    let suites = "  cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, TLS_AES_128_GCM_SHA256]\n";
    let headers = "http_server_config:\n  http2: false\n  headers:\n    X-Frame-Options: deny\n    Strict-Transport-Security: max-age=1\n";
    for (text, tls, users) in [
        ("", false, 0),
        ("# nothing yet\n", false, 0),
        ("{}\n", false, 0),
        ("tls_server_config:\nbasic_auth_users:\n", false, 0),
        (TLS, true, 0),
        (&users, false, 2),
        (&more(&users), true, 2),
        (&more("  client_auth_type: RequestClientCert\n"), true, 0),
        (&more("  client_auth_type: RequireClientCert\n"), true, 0),
        (&more("  client_auth_type: RequireAnyClientCert\n"), true, 0),
        (&more(verified), true, 0),
        (&more("  client_auth_type: VerifyClientCertIfGiven\n  client_ca_file: cert.pem\n"), true, 0),
        (&more("  min_version: TLS13\n  max_version: TLS13\n"), true, 0),
        (
            &more(
                "  prefer_server_cipher_suites: false\n  curve_preferences: [X25519, CurveP256, CurveP384]\n",
            ),
            true,
            0,
        ),
        (&more(suites), true, 0),
        (headers, false, 0),
    ] {
        let found = read(dir.path(), text).unwrap_or_else(|problems| panic!("{problems:?} in\n{text}"));
        assert_eq!((found.tls.is_some(), found.users.len()), (tls, users), "{text}");
        assert!(promtool(dir.path()), "promtool refuses\n{text}");
    }
}

#[test]
fn what_newer_toolkits_take_is_taken() {
    let dir = folder();
    let verified = "  client_auth_type: VerifyClientCertIfGiven\n  client_ca_file: cert.pem\n  client_allowed_sans: [a.example]\n";
    let inline = |name: &str| {
        let text = fs::read_to_string(dir.path().join(name)).expect("it is there");
        text.lines().flat_map(|line| ["    ", line, "\n"]).collect::<String>()
    };
    let inline =
        format!("tls_server_config:\n  cert: |\n{}  key: |\n{}", inline("cert.pem"), inline("key.pem"));
    let curve = "  curve_preferences: [X25519MLKEM768]\n";
    for text in [format!("{TLS}{verified}"), inline, format!("{TLS}{curve}")] {
        assert!(read(dir.path(), &text).expect("it is in order").tls.is_some());
    }
    let found = read(dir.path(), "rate_limit:\n  interval: 100ms\n  burst: 20\n").expect("it is in order");
    let rate = file::Rate { interval: std::time::Duration::from_millis(100), burst: 20 };
    assert_eq!(found.rate, Some(rate));
    assert_eq!(read(dir.path(), "rate_limit:\n  burst: 20\n").expect("it is in order").rate, None);
}

/// Both refuse `text`, and rekeyd with these words.
fn check(text: &str, is_known_to_promtool: bool, expected: &[&str]) {
    let dir = folder();
    let found = read(dir.path(), text).expect_err("it is wrong");
    assert_eq!(found, expected, "{text}");
    assert_eq!(promtool(dir.path()), !is_known_to_promtool, "promtool on\n{text}");
}

#[test]
fn what_is_wrong_is_named() {
    check(
        "tls_server_confg:\n  cert_file: cert.pem\n",
        true,
        &[
            "web.config.yml:1:1: error: unknown key `tls_server_confg`: expected one of `tls_server_config`, `http_server_config`, `basic_auth_users`, `rate_limit`",
        ],
    );
    check(
        "basic_auth_users:\n  a: b\n",
        true,
        &[
            "web.config.yml:2:3: error: the password of `a` is no bcrypt hash: expected a bcrypt hash; make the hash with `htpasswd -nBC 10 \"\" | tr -d ':'`",
        ],
    );
    let twice = format!("basic_auth_users:\n  a: {HASH}\n  a: {HASH}\n");
    check(&twice, true, &["web.config.yml:3:3: error: a key is there twice"]);
    check(
        "tls_server_config:\n  cert_file: cert.pem\n",
        true,
        &[
            "web.config.yml:1:1: error: `tls_server_config` has neither `key` nor `key_file`: expected one of them",
        ],
    );
    check(
        "tls_server_config:\n  cert_file: nowhere.pem\n  key_file: key.pem\n",
        true,
        &[
            "web.config.yml:2:3: error: `cert_file` names `nowhere.pem`, which cannot be read (entity not found): expected a file in PEM",
        ],
    );
    check(
        "tls_server_config:\n  cert_file: key.pem\n  key_file: cert.pem\n",
        true,
        &[
            "web.config.yml:2:3: error: `cert_file` holds no certificate: expected certificates in PEM",
            "web.config.yml:3:3: error: `key_file` holds no private key, or one with a passphrase: expected a private key in PEM",
        ],
    );
    check(
        "tls_server_config:\n  cert_file: cert.pem\n  key_file: other.pem\n",
        true,
        &[
            "web.config.yml:1:1: error: certificate, key and versions do not make a TLS server (keys may not be consistent: KeyMismatch): expected a certificate and its own key",
        ],
    );
    check(
        &format!("{TLS}  client_auth_type: Sometimes\n"),
        true,
        &[
            "web.config.yml:4:3: error: `client_auth_type` is `Sometimes`: expected one of NoClientCert, RequestClientCert, RequireClientCert, RequireAnyClientCert, VerifyClientCertIfGiven, RequireAndVerifyClientCert",
        ],
    );
    check(
        &format!("{TLS}  client_ca_file: cert.pem\n"),
        true,
        &[
            "web.config.yml:1:1: error: client certificates are described, and `client_auth_type` asks for none: expected one of RequestClientCert, RequireClientCert, RequireAnyClientCert, VerifyClientCertIfGiven, RequireAndVerifyClientCert",
        ],
    );
}

#[test]
fn headers_are_few_and_nothing_is_repeated() {
    check(
        "http_server_config:\n  headers:\n    X-Frame-Options: allow\n    Server: me\n",
        true,
        &[
            "web.config.yml:3:5: error: `X-Frame-Options` is `allow`: expected `deny` or `sameorigin`",
            "web.config.yml:4:5: error: the header `Server` cannot be set: expected one of `Content-Security-Policy`, `X-Frame-Options`, `X-Content-Type-Options`, `X-XSS-Protection`, `Strict-Transport-Security`",
        ],
    );
    let unclosed = "basic_auth_users: {a: \"NotARealSecret\n";
    let found = read(folder().path(), unclosed).expect_err("it is wrong").concat();
    assert!(
        found.contains("this cannot be read as the YAML") && !found.contains("NotARealSecret"),
        "{found}"
    );
    let found =
        read(folder().path(), "basic_auth_users: NotARealSecret\n").expect_err("it is wrong").concat();
    assert!(!found.contains("NotARealSecret"), "{found}");
}

#[test]
fn what_rustls_has_not_is_refused_and_never_left_out() {
    for (line, expected) in [
        (
            "  min_version: TLS10\n",
            "web.config.yml:4:3: error: `min_version` is `TLS10`: expected `TLS12` or `TLS13`; older ones are not there",
        ),
        (
            "  min_version: TLS13\n  max_version: TLS12\n",
            "web.config.yml:4:3: error: `min_version` is above `max_version`: expected the other way round",
        ),
        (
            "  curve_preferences: [CurveP521]\n",
            "web.config.yml:4:3: error: `curve_preferences` has `CurveP521`, which is not there: expected some of X25519, CurveP256, CurveP384, X25519MLKEM768",
        ),
        (
            "  client_auth_type: RequireAndVerifyClientCert\n",
            "web.config.yml:4:3: error: `client_auth_type` is `RequireAndVerifyClientCert`, and there is nothing to verify with: expected `client_ca_file`",
        ),
    ] {
        assert_eq!(read(folder().path(), &format!("{TLS}{line}")).expect_err(line), [expected]);
    }
    let weak = format!("{TLS}  cipher_suites: [TLS_RSA_WITH_AES_128_CBC_SHA]\n");
    let found = read(folder().path(), &weak).expect_err("it is weak").concat();
    assert!(
        found.contains("`cipher_suites` has `TLS_RSA_WITH_AES_128_CBC_SHA`, which is not there"),
        "{found}"
    );
    let dear = format!("basic_auth_users:\n  a: {}\n", HASH.replace("$04$", "$31$"));
    let found = read(folder().path(), &dear).expect_err("nobody waits for that").concat();
    assert!(found.contains("is hashed with cost 31: expected a cost from 4 to 16"), "{found}");
}
