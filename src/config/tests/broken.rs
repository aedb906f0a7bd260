//! Inputs and their fate: what is wrong, and the exact words for it.

use super::Edit::{self, Daemon, Env, File, NoFile, Tenant};
use super::World;

#[track_caller]
fn check(edits: &[Edit], expected: &[&str]) {
    assert_eq!(World::new(edits).messages(), expected);
}

#[test]
fn print() {
    let own = "[[credential]]\n";
    let cases: &[&[Edit]] = &[
        &[Tenant("[dataspace]", "[dataspace]\nsetle = \"5 min\"")],
        &[Tenant("[dataspace]", "[datspace]")],
        &[Daemon("version = 1", "version = 1\nlissten = 5\n\"a.b\\nc\" = 1")],
        &[Daemon("version = 1", "version = 2")],
        &[Daemon("version = 1\n", "")],
        &[Daemon("version = 1", "version = \"1\"")],
        &[Daemon(
            "version = 1",
            "version = 1\nconcurrency = 0\nstate-dir = 5\n[web]\nlisten = true\n[http]\nallow-http = \"yes\"\nmax-body = \"1 GiB\"\nread-timeout = \"5 parsecs\"",
        )],
        &[Daemon(
            "version = 1",
            "version = 1\nhttp = 5\n[limits]\nattempts = 1.5\ncycles = 99999999999999999999\nstage-time = 2026-01-01",
        )],
        &[Daemon("version = 1", "version = \"unclosed NotARealSecret")],
        &[Daemon("version = 1", "version = 1\nversion = 1")],
        &[Daemon("version = 1", "version = 1\n[schedule]\ncron = \"*/5 * * * *\"\nzone = \"Europe/Berln\"")],
        &[Daemon("version = 1", "version = 1\n[schedule]\ncron = \"0 0 0 31 2 *\"")],
        &[Daemon("version = 1", "version = 1\n[schedule]\ncron = \"0 99 * * * *\"")],
        &[Daemon("version = 1", "version = 1\n[schedule]\ncron = \"@daily\"")],
        &[Daemon(
            "version = 1",
            "version = 1\n[log]\nlevel = \"inof\"\nformat = \"jsn\"\n[signal]\nusr1 = \"al\"",
        )],
        &[
            Env("REKEYD__HTTP__READ_TIMOUT", "5 s"),
            Env("REKEYD__CONCURRENCY", "many"),
            Env("REKEYD__LOG__LEVEL", ""),
            Env("REKEYD__HTTP__ALLOW_HTTP", "1"),
            Env("REKEYD__TENANTS__ACME__ID", "x"),
            Env("REKEYD__WEB", "x"),
        ],
        &[Tenant("version = 1\nid = \"acme\"", "")],
        &[Tenant("\"acme\"", "\"Acme Corp\"")],
        &[File("zeta.toml", super::TENANT, 0o644)],
        &[File("zeta.toml", "version = 1\nid = \"zeta\"\ncredential = []", 0o644)],
        &[Tenant("{ file = \"password\" }", "\"NotARealSecret\"")],
        &[Tenant("{ file = \"password\" }", "{ fil = \"NotARealSecret\" }")],
        &[Tenant("{ file = \"password\" }", "{ file = \"a\", env = \"b\" }")],
        &[Tenant("{ file = \"password\" }", "{}")],
        &[Tenant("{ file = \"password\" }", "{ file = 5 }")],
        &[Tenant("{ file = \"password\" }", "{ file = \"\" }")],
        &[Tenant("{ file = \"password\" }", "5")],
        &[Tenant("{ file = \"password\" }", "{ env = \"MISSING\" }")],
        &[Tenant("{ file = \"password\" }", "{ credential = \"acme-cf\" }")],
        &[Tenant("{ file = \"password\" }", "{ credential = \"../x\" }")],
        &[File("password", "NotARealSecret", 0o604)],
        &[File("password", "\n", 0o600)],
        &[NoFile("password")],
        &[Tenant("{ file = \"password\" }", "{ file = \"..\" }")],
        &[Tenant("{ file = \"password\" }", "{ file = \"/dev/zero\" }")],
        &[File("dsi.json", "NotARealSecret", 0o600)],
        &[File(
            "dsi.json",
            r#"{"oauth": {"clientid": "NotARealSecret", "tokenurl": "https://x.example"}}"#,
            0o600,
        )],
        &[File(
            "dsi.json",
            r#"{"oauth": {"clientid": "sb-1!b1|it-rt-acme!b2", "clientsecret": "s", "url": "https://x.example", "tokenurl": "https://x.example"}}"#,
            0o600,
        )],
        &[File(
            "dsi.json",
            r#"{"oauth": {"clientid": "a|it!b2", "clientsecret": "s", "url": "http://x.example", "tokenurl": "http://x.example"}}"#,
            0o600,
        )],
        &[File("dsi.json", r#"{"clientid": "a", "clientsecret": "s", "url": "https://x.example"}"#, 0o600)],
        &[
            Tenant("https://api.cf.example.com", "http://api.cf.example.com"),
            Tenant("[dataspace]", "[dataspace]\nurl = \"https://u:NotARealSecret@x.example\""),
        ],
        &[
            Tenant("https://api.cf.example.com", "https://api.cf.example.com?x=1"),
            Tenant("[dataspace]", "[dataspace]\nurl = \"x.example\"\nbase-path = \"api/\""),
        ],
        &[
            Tenant("https://api.cf.example.com", "https://api cf"),
            Tenant("[dataspace]", "[dataspace]\nurl = \"ftp://x.example\""),
        ],
        &[Tenant("\"30 days\"", "\"2 days\"")],
        &[Tenant("lead = \"30 days\"", "lead = \"30 days\"\nwindow = \"30 days\"")],
        &[Tenant("lead = \"30 days\"", "window = \"13 months\"\nsoak = \"0 s\"")],
        &[Tenant("lead = \"30 days\"", "lead = \"30 days\"\nsoak = \"1 hour\"")],
        &[Tenant("version = 1", "version = 1\nschedule = { cron = \"0 0 0 1 * *\" }")],
        &[Tenant(
            "[dataspace]",
            "[dataspace]\ndeadline = \"20 min\"\npoll = \"20 min\"\nstatus-words = { OK = \"succes\", BAD = 5 }\nprovision = \"sometimes\"",
        )],
        &[Tenant(
            "{ name = \"cirt\", space = \"prod\", org = \"acme\" }",
            "\"6F1C0B9E-2a64-4c1e-9d57-0c5f7d1f6a01\"",
        )],
        &[
            Tenant("{ name = \"cirt\", space = \"prod\", org = \"acme\" }", "{ name = \"cirt\" }"),
            Tenant("6f1c0b9e-", ""),
        ],
        &[Tenant("service-instance = { name = \"cirt\", space = \"prod\", org = \"acme\" }, ", "")],
        &[
            Tenant("issuer = \"cloud-foundry\"", "issuer = \"portal\""),
            Tenant("consumer = \"dataspace\"", "consumer = \"dataspce\""),
        ],
        &[Tenant("issuer = \"cloud-foundry\"", "issuer = \"file\"")],
        &[Tenant(
            own,
            "[[credential]]\nname = \"dataplane\"\nissuer = \"cloud-foundry\"\nconsumer = \"dataspace\"\nkeys.ciapi.service-instance = \"6f1c0b9e-2a64-4c1e-9d57-0c5f7d1f6a02\"\nkeys.cirt.service-instance = \"6f1c0b9e-2a64-4c1e-9d57-0c5f7d1f6a03\"\n[[credential]]\n",
        )],
        &[Daemon("version = 1", "version = 1\ntenants-dir = \"nowhere\"")],
        &[NoFile("acme.toml")],
        &[Daemon(
            "version = 1",
            "version = 1\ncontrol-socket = \"/0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678\"",
        )],
        &[Tenant("[[credential]]", "[credential]")],
    ];
    for case in cases {
        for m in World::new(case).messages() {
            println!("{m}");
        }
        println!("--");
    }
}
