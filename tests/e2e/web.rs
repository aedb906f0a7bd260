//! web.config.yml on the real process: TLS, client certificates, passwords, changes without a restart, the probes beside
//! it, and sockets that somebody else opened.

use std::os::fd::AsRawFd;
use std::process::Stdio;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rekeyd::clock::{Clock, SystemClock};
use reqwest::{Certificate, Client, Identity};
use sap_sandbox::scenario::Scenario;
use sap_sandbox::scenario::tenant::TenantPlan;

use crate::fleet::{Fleet, Knobs, PATIENCE, POLL, Rekeyd};
use crate::{prompt, quick};

/// An authority, and who it vouches for.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    fn new(name: &str) -> Self {
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name.push(DnType::CommonName, name);
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate().unwrap();
        let pem = parameters.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(parameters, key), pem }
    }

    /// Certificate and key of somebody.
    fn vouch(&self, name: &str, usage: ExtendedKeyUsagePurpose) -> (String, String) {
        let mut parameters = CertificateParams::new(vec![name.to_owned()]).unwrap();
        parameters.distinguished_name.push(DnType::CommonName, name);
        parameters.extended_key_usages = vec![usage];
        let key = KeyPair::generate().unwrap();
        (parameters.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }

    fn client(&self, name: &str) -> Identity {
        let (cert, key) = self.vouch(name, ExtendedKeyUsagePurpose::ClientAuth);
        Identity::from_pem(format!("{cert}{key}").as_bytes()).unwrap()
    }
}

#[expect(clippy::disallowed_methods, reason = "the one client of these tests")]
fn client(trusted: &Authority, identity: Option<Identity>) -> Client {
    let builder = Client::builder()
        .tls_certs_only([Certificate::from_pem(trusted.pem.as_bytes()).unwrap()])
        .pool_max_idle_per_host(0)
        .no_proxy();
    match identity {
        Some(identity) => builder.identity(identity).build().unwrap(),
        None => builder.build().unwrap(),
    }
}

async fn fleet() -> Fleet {
    let scenario = quick(Scenario::of([TenantPlan::new("young").aged(20).with(prompt())]));
    Fleet::new(scenario.kindly(), Knobs::default()).await
}

/// The address of a kind of page, from the log.
fn address(fleet: &Fleet, what: &str) -> String {
    let log = fleet.log();
    let line = log.lines().rev().find_map(|line| line.split_once(what)).unwrap_or_else(|| panic!("{log}"));
    line.1.split('/').next().unwrap().to_owned()
}

async fn start(fleet: &Fleet, variables: &[(&str, &str)]) -> Rekeyd {
    let mut rekeyd = fleet.launch_with(variables);
    rekeyd.await_answer(fleet).await;
    rekeyd
}

/// The status that comes of it, or that there was no answer.
async fn status(client: &Client, url: &str, user: Option<(&str, &str)>) -> Option<u16> {
    let request = client.get(url);
    let request = match user {
        Some((user, password)) => request.basic_auth(user, Some(password)),
        None => request,
    };
    request.send().await.ok().map(|response| response.status().as_u16())
}

/// Waits until the log says it.
async fn logged(fleet: &Fleet, text: &str) {
    let clock = SystemClock::new();
    while !fleet.log().contains(text) {
        assert!(clock.monotonic() < PATIENCE, "`{text}` is not in\n{}", fleet.log());
        clock.sleep(POLL).await;
    }
}

fn hash(password: &str) -> String {
    bcrypt::hash(password, 4).unwrap()
}

const TLS: &str = "tls_server_config:\n  cert_file: server.pem\n  key_file: server.key\n";

#[tokio::test(flavor = "multi_thread")]
async fn clients_prove_who_they_are() {
    let fleet = fleet().await;
    let (ours, others) = (Authority::new("ours"), Authority::new("others"));
    let (cert, key) = ours.vouch("localhost", ExtendedKeyUsagePurpose::ServerAuth);
    fleet.write("server.pem", &cert);
    fleet.write("server.key", &key);
    fleet.write("clients.pem", &ours.pem);
    let clients = "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: clients.pem\n";
    let users = format!("basic_auth_users:\n  ops: {}\n", hash("open sesame"));
    let headers = "http_server_config:\n  headers:\n    X-Frame-Options: deny\n    Strict-Transport-Security: max-age=7\n";
    fleet.write("web.config.yml", &format!("{TLS}{clients}{users}{headers}"));
    let variables =
        [("REKEYD__WEB__CONFIG_FILE", "web.config.yml"), ("REKEYD__WEB__PROBE_LISTEN", "127.0.0.1:0")];
    let rekeyd = start(&fleet, &variables).await;
    let port = address(&fleet, "pages on https://127.0.0.1:");
    let url = format!("https://localhost:{port}/metrics");
    let right = Some(("ops", "open sesame"));
    let known = client(&ours, Some(ours.client("scraper")));
    let response = known.get(&url).basic_auth("ops", Some("open sesame")).send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["x-frame-options"], "deny");
    assert_eq!(response.headers()["strict-transport-security"], "max-age=7");
    assert!(response.text().await.unwrap().contains("rekeyd_build_info"));
    assert_eq!(status(&known, &url, None).await, Some(401));
    assert_eq!(status(&known, &url, Some(("ops", "wrong"))).await, Some(401));
    assert_eq!(status(&known, &url, Some(("nobody", "open sesame"))).await, Some(401));
    let refused = known.get(&url).send().await.unwrap();
    assert_eq!(refused.headers()["www-authenticate"], "Basic");
    // Every page is behind it, what is not there as well.
    for page in ["", "-/healthy", "-/ready", "api/v1/status", "nothing"] {
        assert_eq!(
            status(&known, &format!("https://localhost:{port}/{page}"), None).await,
            Some(401),
            "{page}"
        );
    }
    for (who, stranger) in [
        ("nobody", client(&ours, None)),
        ("a client of others", client(&ours, Some(others.client("scraper")))),
        ("who trusts others", client(&others, Some(ours.client("scraper")))),
    ] {
        assert_eq!(status(&stranger, &url, right).await, None, "{who}");
    }
    assert_eq!(
        status(&known, &format!("http://localhost:{port}/metrics"), right).await,
        None,
        "not in plain"
    );
    let probes = address(&fleet, "probes on http://");
    for (page, expected) in
        [("-/healthy", 200), ("-/ready", 200), ("metrics", 404), ("", 404), ("api/v1/status", 404)]
    {
        assert_eq!(status(&known, &format!("http://{probes}/{page}"), None).await, Some(expected), "{page}");
    }
    let text =
        known.get(&url).basic_auth("ops", Some("open sesame")).send().await.unwrap().text().await.unwrap();
    assert!(text.contains("\nrekeyd_http_auth_failures_total 9\n"), "{text}");
    assert!(!fleet.log().contains("open sesame"));
    assert!(rekeyd.stop().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_counts_at_once_and_a_broken_one_never() {
    let fleet = fleet().await;
    let (ours, next) = (Authority::new("ours"), Authority::new("next"));
    let file = |password: &str| format!("{TLS}basic_auth_users:\n  ops: {}\n", hash(password));
    let server = |authority: &Authority| {
        let (cert, key) = authority.vouch("localhost", ExtendedKeyUsagePurpose::ServerAuth);
        fleet.write("server.pem", &cert);
        fleet.write("server.key", &key);
    };
    server(&ours);
    fleet.write("web.config.yml", &file("one"));
    let rekeyd = start(&fleet, &[("REKEYD__WEB__CONFIG_FILE", "web.config.yml")]).await;
    let port = address(&fleet, "pages on https://127.0.0.1:");
    let url = format!("https://localhost:{port}/metrics");
    let (one, two) = (Some(("ops", "one")), Some(("ops", "two")));
    let known = client(&ours, None);
    assert_eq!(status(&known, &url, one).await, Some(200));

    fleet.write("web.config.yml", &file("two"));
    assert_eq!(status(&known, &url, one).await, Some(401));
    assert_eq!(status(&known, &url, two).await, Some(200));

    // Each of these is told, and nothing of it counts.
    let broken = [
        ("basic_auth_user:\n", "unknown key `basic_auth_user`"),
        ("", "the file takes TLS away from the pages"),
        (TLS, "the file takes every password away from the pages"),
        ("tls_server_config: {\n", "this cannot be read as the YAML of a web.config.yml"),
    ];
    for (text, told) in broken {
        fleet.write("web.config.yml", text);
        assert_eq!(status(&known, &url, one).await, Some(401), "{text}");
        assert_eq!(status(&known, &url, two).await, Some(200), "{text}");
        logged(&fleet, told).await;
        let page = known.get(&url).basic_auth("ops", Some("two")).send().await.unwrap().text().await.unwrap();
        assert!(page.contains("\nrekeyd_config_last_reload_successful 0\n"), "{text}");
    }
    assert_eq!(fleet.log().matches("the file takes TLS away").count(), 1, "it is told once");
    // A reload refuses the broken file, too, with its place.
    let reload = fleet.ask(&["reload"]);
    assert!(!reload.status.success());
    assert!(String::from_utf8_lossy(&reload.stderr).contains("web.config.yml:1:"), "{reload:?}");

    // Another certificate, another authority, at the next connection.
    fleet.write("web.config.yml", &file("two"));
    server(&next);
    assert_eq!(status(&client(&next, None), &url, two).await, Some(200));
    assert_eq!(status(&known, &url, two).await, None);
    assert!(fleet.ask(&["reload"]).status.success());
    let page = client(&next, None).get(&url).basic_auth("ops", Some("two")).send().await.unwrap();
    assert!(page.text().await.unwrap().contains("\nrekeyd_config_last_reload_successful 1\n"));
    assert!(rekeyd.stop().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn names_of_clients_and_limits() {
    let fleet = fleet().await;
    let ours = Authority::new("ours");
    let (cert, key) = ours.vouch("localhost", ExtendedKeyUsagePurpose::ServerAuth);
    fleet.write("server.pem", &cert);
    fleet.write("server.key", &key);
    fleet.write("clients.pem", &ours.pem);
    let clients = "  client_auth_type: VerifyClientCertIfGiven\n  client_ca_file: clients.pem\n  client_allowed_sans: [scraper.example]\n";
    fleet.write("web.config.yml", &format!("{TLS}{clients}rate_limit:\n  interval: 1h\n  burst: 3\n"));
    let rekeyd = start(&fleet, &[("REKEYD__WEB__CONFIG_FILE", "web.config.yml")]).await;
    let port = address(&fleet, "pages on https://127.0.0.1:");
    let url = format!("https://localhost:{port}/-/healthy");
    assert_eq!(status(&client(&ours, Some(ours.client("else.example"))), &url, None).await, None);
    let named = client(&ours, Some(ours.client("scraper.example")));
    assert_eq!(status(&named, &url, None).await, Some(200));
    assert_eq!(status(&client(&ours, None), &url, None).await, Some(200));
    assert_eq!(status(&named, &url, None).await, Some(200));
    assert_eq!(status(&named, &url, None).await, Some(429));
    assert!(rekeyd.stop().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_file_is_found_before_the_start() {
    let fleet = fleet().await;
    fleet.write("web.config.yml", "basic_auth_users:\n  ops: not-a-hash\n");
    let variables = [("REKEYD__WEB__CONFIG_FILE", "web.config.yml")];
    let checked = fleet.command(&["check-config"]).envs(variables).output().unwrap();
    assert_eq!(checked.status.code(), Some(78));
    let told = String::from_utf8(checked.stdout).unwrap() + &String::from_utf8(checked.stderr).unwrap();
    assert!(told.contains("web.config.yml:2:3") && told.contains("is no bcrypt hash"), "{told}");
    assert!(!told.contains("not-a-hash"), "{told}");
    let mut rekeyd = fleet.launch_with(&variables);
    assert_eq!(rekeyd.ended(PATIENCE).await.code(), Some(78));
}

#[tokio::test(flavor = "multi_thread")]
async fn sockets_that_were_passed_are_used() {
    let fleet = fleet().await;
    let (web, probe) = (listener(), listener());
    let addresses = [&web, &probe].map(|listener| listener.local_addr().unwrap());
    // What systemd does: descriptors from 3 on, and the id of the process that they are for.
    let mut command = std::process::Command::new("bash");
    let script = "exec 3<&\"$1\" 4<&\"$2\"; export LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=web:probe; shift 2; exec \"$@\"";
    let fds = [&web, &probe].map(|listener| listener.as_raw_fd().to_string());
    let rekeyd = fleet.command(&["run"]);
    command.args(["-c", script, "bash", &fds[0], &fds[1]]).arg(rekeyd.get_program()).args(rekeyd.get_args());
    command.envs(rekeyd.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let log = fleet.path("log");
    let file = std::fs::File::create(&log).unwrap();
    let mut rekeyd = fleet.run(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(file), log);
    rekeyd.await_answer(&fleet).await;
    let client = client(&Authority::new("nobody"), None);
    let [web, probe] = addresses;
    assert_eq!(status(&client, &format!("http://{web}/metrics"), None).await, Some(200));
    assert_eq!(status(&client, &format!("http://{probe}/-/ready"), None).await, Some(200));
    assert_eq!(status(&client, &format!("http://{probe}/metrics"), None).await, Some(404));
    assert!(rekeyd.stop().await.success());
}

/// A listener that a child inherits.
fn listener() -> std::net::TcpListener {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    rustix::io::fcntl_setfd(&listener, rustix::io::FdFlags::empty()).unwrap();
    listener
}
