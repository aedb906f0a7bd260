//! What a configuration that holds becomes.

use std::time::Duration;

use chrono::{TimeZone, Utc};

use super::{Edit, SERVICE_KEY, World, loaded};
use crate::config::daemon::Usr1;
use crate::config::schedule::Schedule;
use crate::config::tenant::Place;
use crate::config::{difference, other_logins};
use crate::domain::names::Role;
use crate::domain::observation::Verdict;

fn hours(number: u64) -> Duration {
    Duration::from_hours(number)
}

#[test]
fn a_tenant_becomes_a_policy() {
    let config = loaded(&[]).config;
    let tenant = &config.tenants[0];
    let credential = &tenant.credentials[0];
    let policy = &credential.policy;
    assert_eq!(policy.credential.to_string(), "acme/dataplane");
    assert_eq!(policy.roles, [Role::Ciapi, Role::Cirt]);
    assert_eq!((policy.lead, policy.soak), (hours(30 * 24), hours(48)));
    assert_eq!(policy.pin.issuer, "https://api.cf.example.com");
    assert_eq!(policy.pin.consumer, "https://acme.dsi.example.com/api/v1/dsi");
    assert_eq!(policy.pin.places[&Role::Ciapi], "6f1c0b9e-2a64-4c1e-9d57-0c5f7d1f6a01");
    assert_eq!(policy.pin.places[&Role::Cirt], "acme/prod/cirt");
    assert_eq!(policy.in_use[&Role::Cirt].0, "by-hand");
    let named = Place::Named { org: "acme".into(), space: "prod".into(), name: "cirt".into() };
    assert_eq!(credential.places[&Role::Cirt], named);
    let login = tenant.cloud_foundry.as_ref().expect("the tenant has Cloud Foundry");
    assert_eq!(login.password.expose(), "NotARealSecret", "the line break is dropped");
}

#[test]
fn the_environment_goes_over_the_file_and_never_into_a_tenant() {
    let edits = [
        Edit::Daemon("version = 1", "version = 1\nconcurrency = 4"),
        Edit::Env("REKEYD__CONCURRENCY", "8"),
        Edit::Env("REKEYD__HTTP__READ_TIMEOUT", "5 s"),
        Edit::Env("REKEYD__HTTP__ALLOW_HTTP", "true"),
        Edit::Env("REKEYD__WEB__LISTEN", ""),
        Edit::Env("REKEYD__SIGNAL__USR1", "all"),
        Edit::Env("REKEYD_LOG", "no key of ours"),
    ];
    let daemon = loaded(&edits).config.daemon;
    assert_eq!(daemon.concurrency, 8);
    assert_eq!(daemon.http.read_timeout, Duration::from_secs(5));
    assert!(daemon.http.allow_http);
    assert_eq!(daemon.web.listen, None);
    assert_eq!(daemon.usr1, Usr1::All);
}

#[test]
fn secrets_come_from_three_places_and_show_nowhere() {
    let places = [
        Edit::Tenant(r#"{ file = "password" }"#, r#"{ env = "PASSWORD" }"#),
        Edit::Env("PASSWORD", "NotARealSecret"),
        Edit::Tenant(r#"{ file = "dsi.json" }"#, r#"{ credential = "dsi.json" }"#),
        Edit::Env("CREDENTIALS_DIRECTORY", "{folder}/tenants.d"),
    ];
    for edits in [&places[..2], &places[2..], &places[..]] {
        let loaded = loaded(edits);
        assert!(!format!("{loaded:?}").contains("NotARealSecret"));
        let login = loaded.config.tenants[0].cloud_foundry.as_ref().expect("the tenant has Cloud Foundry");
        assert_eq!(login.password.expose(), "NotARealSecret");
    }
}

#[test]
fn a_sandbox_may_be_reached_without_tls() {
    let http = Edit::Tenant("https://api.cf.example.com", "http://127.0.0.1:8080/");
    let config = loaded(&[http, Edit::Env("REKEYD__HTTP__ALLOW_HTTP", "true")]).config;
    assert_eq!(config.tenants[0].credentials[0].policy.pin.issuer, "http://127.0.0.1:8080");
}

#[test]
fn status_words_are_kept_as_written() {
    let words = "[dataspace]\nstatus-words = { Deployed = \"success\", GONE = \"not-provisioned\" }";
    let config = loaded(&[Edit::Tenant("[dataspace]", words)]).config;
    let dataspace = config.tenants[0].dataspace.as_ref().expect("the tenant has a data space");
    let verdicts: Vec<_> =
        dataspace.status_words.iter().map(|(word, verdict)| (word.as_str(), *verdict)).collect();
    assert_eq!(verdicts, [("Deployed", Verdict::Success), ("GONE", Verdict::NotProvisioned)]);
}

#[test]
fn a_folder_of_keys_needs_no_cloud_foundry() {
    let edits = [
        Edit::Tenant(
            "[cloud-foundry]\napi = \"https://api.cf.example.com\"\n",
            "[files]\nfolder = \"incoming\"\n",
        ),
        Edit::Tenant("login = { user = \"robot\", password = { file = \"password\" } }\n", ""),
        Edit::Tenant("issuer = \"cloud-foundry\"", "issuer = \"file\""),
        Edit::Tenant("{ service-instance = \"6f1c0b9e-2a64-4c1e-9d57-0c5f7d1f6a01\" }", "{}"),
        Edit::Tenant("service-instance = { name = \"cirt\", space = \"prod\", org = \"acme\" }, ", ""),
    ];
    let config = loaded(&edits).config;
    assert_eq!(config.tenants[0].credentials[0].places[&Role::Ciapi], Place::Folder);
}

#[test]
fn a_difference_is_by_value() {
    let after = |edit: Edit| {
        let mut world = World::new(&[]);
        let old = world.load().expect("it loads").config;
        world.edit(edit);
        difference(&old, &world.load().expect("it loads").config)
    };
    assert!(after(Edit::Tenant("version", "# a remark\nversion")).is_empty());
    assert!(after(Edit::File("dsi.json", SERVICE_KEY, 0o600)).is_empty());
    let changed = after(Edit::File("password", "Another", 0o600));
    assert_eq!((changed.changed.len(), changed.added.len(), changed.daemon), (1, 0, false));
    let renamed = after(Edit::Tenant("id = \"acme\"", "id = \"zeta\""));
    assert_eq!((renamed.added.len(), renamed.removed.len(), renamed.changed.len()), (1, 1, 0));
    assert!(after(Edit::Daemon("\"one\"", "\"two\"")).daemon);
}

#[test]
fn another_login_is_told_from_another_wish() {
    let others = |edit: Edit| {
        let mut world = World::new(&[]);
        let old = world.load().expect("it loads").config;
        world.edit(edit);
        other_logins(&old, &world.load().expect("it loads").config).len()
    };
    assert_eq!(others(Edit::File("password", "Another", 0o600)), 1);
    assert_eq!(others(Edit::Tenant("user = \"robot\"", "user = \"robot2\"")), 1);
    assert_eq!(others(Edit::Tenant("lead = \"30 days\"", "lead = \"40 days\"")), 0);
    assert_eq!(others(Edit::File("dsi.json", SERVICE_KEY, 0o600)), 0);
}

#[test]
fn schedules_keep_local_time_over_the_change_of_the_clock() {
    let at = |text: &str| text.parse::<chrono::DateTime<Utc>>().expect("the test writes instants");
    let check = |cron: &str, from: &str, expected: [&str; 3]| {
        let schedule = Schedule::new(cron, chrono_tz::Europe::Berlin).expect("the test writes schedules");
        assert_eq!(schedule.next_three(at(from)), expected.map(at), "{cron}");
    };
    let evening = ["2026-10-24T18:00:00Z", "2026-10-25T19:00:00Z", "2026-10-26T19:00:00Z"];
    check("0 0 20 * * *", "2026-10-24T00:00:00Z", evening);
    // 02:30 does not exist on the day the clock goes forward: it runs at 03:00.
    let night = ["2026-03-28T01:30:00Z", "2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"];
    check("0 30 2 * * *", "2026-03-28T00:00:00Z", night);
    // A fraction of a second is not carried over to the ticks.
    check("0 0 20 * * *", "2026-10-24T17:59:59.999Z", evening);
    check("0 0 20 * * *", "2026-10-23T18:00:00.001Z", evening);
}

#[test]
fn the_widest_gap_is_found() {
    let from = Utc.with_ymd_and_hms(2026, 1, 1, 0, 0, 0).single().expect("the day exists");
    let gap =
        |cron: &str| Schedule::new(cron, chrono_tz::UTC).expect("the test writes schedules").widest_gap(from);
    assert_eq!(gap("0 17 */6 * * *"), hours(6));
    assert_eq!(gap("0 0 3 * * MON"), hours(7 * 24));
    assert_eq!(gap("* * 0-11 1 1 *"), hours(364 * 24 + 12) + Duration::from_secs(1));
    assert_eq!(gap("0 0 0 1 * *"), hours(31 * 24));
    assert!(gap("* * * * * *") < hours(1));
    assert_eq!(gap("0 0 0 29 2 *"), hours(1461 * 24));
}
