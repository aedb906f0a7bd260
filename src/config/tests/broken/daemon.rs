//! What is wrong with the daemon's file and the environment, and the exact words for it.

use super::check;
use crate::config::tests::Edit::{Daemon, Env};
use crate::config::tests::{TENANT, World};

#[test]
fn unknown_keys_and_wrong_types() {
    check(
        &[Daemon("\"one\"\n", "\"one\"\nlissten = 5\n\"a.b\\nc\" = 1")],
        &[
            "rekeyd.toml:3:1: error: unknown key `lissten` at the top level: expected one of `version`, `state-dir`, `tenants-dir`, `control-socket`, `instance`, `concurrency`, `schedule`, `lease`, `web`, `metrics`, `log`, `tracing`, `http`, `fleet`, `signal`, `limits`, `cis`, `sink`",
            "rekeyd.toml:4:1: error: unknown key `a.b�c` at the top level: expected one of `version`, `state-dir`, `tenants-dir`, `control-socket`, `instance`, `concurrency`, `schedule`, `lease`, `web`, `metrics`, `log`, `tracing`, `http`, `fleet`, `signal`, `limits`, `cis`, `sink`",
        ],
    );
    check(
        &[Daemon("version = 1", "version = 2")],
        &[
            "rekeyd.toml:1:11: error: `version` is 2: expected `1`; this file is for another release of rekeyd",
        ],
    );
    check(
        &[Daemon("version = 1\n", "")],
        &["rekeyd.toml:1:1: error: missing key `version` at the top level: expected `1`"],
    );
    check(
        &[Daemon("version = 1", "version = \"1\"")],
        &["rekeyd.toml:1:11: error: `version` is a text: expected `1`; write it without quotes"],
    );
    check(
        &[Daemon(
            "\"one\"\n",
            "\"one\"\nconcurrency = 0\nstate-dir = 5\n[web]\nlisten = true\n[http]\nallow-http = \"yes\"\nmax-body = \"1 GiB\"\nread-timeout = \"5 parsecs\"",
        )],
        &[
            "rekeyd.toml:3:15: error: `concurrency` is 0: expected a whole number from 1 to 1024",
            "rekeyd.toml:4:13: error: `state-dir` is a number: expected a path; write it in quotes",
            "rekeyd.toml:6:10: error: `listen` in `[web]` is true or false: expected an IP address and port such as `127.0.0.1:7356`, or an empty text; write it in quotes",
            "rekeyd.toml:8:14: error: `allow-http` in `[http]` is a text: expected `true` or `false`; write it without quotes",
            "rekeyd.toml:9:12: error: `max-body` in `[http]` is `1 GiB`: expected a size such as `1 MiB`, from 64 KiB to 65536 KiB",
            "rekeyd.toml:10:16: error: `read-timeout` in `[http]` is `5 parsecs`: expected a duration such as `5 min`, from 1 s to 10 min",
        ],
    );
    check(
        &[Daemon(
            "\"one\"\n",
            "\"one\"\nhttp = 5\n[limits]\nattempts = 1.5\ncycles = 99999999999999999999\nstage-time = 2026-01-01",
        )],
        &[
            "rekeyd.toml:3:8: error: `http` is a number: expected a section `[http]`",
            "rekeyd.toml:5:12: error: `attempts` in `[limits]` is a number with a fraction: expected a whole number from 1 to 100",
            "rekeyd.toml:6:10: error: `cycles` in `[limits]` is a huge number: expected a whole number from 1 to 100",
            "rekeyd.toml:7:14: error: `stage-time` in `[limits]` is a date: expected a duration such as `5 min`, from 1 h to 90 days; write it in quotes",
        ],
    );
    check(
        &[Daemon("version = 1", "version = \"unclosed NotARealSecret")],
        &[
            r#"rekeyd.toml:1:35: error: this is not TOML: invalid basic string, expected `"`; a value is written `key = "value"`, the head of a section `[section]`"#,
        ],
    );
}

#[test]
fn syntax_and_schedules() {
    check(
        &[Daemon("\"one\"\n", "\"one\"\nversion = 1")],
        &[
            "rekeyd.toml:3:1: error: this is not TOML: duplicate key; a value is written `key = \"value\"`, the head of a section `[section]`",
        ],
    );
    check(
        &[Daemon("\"one\"\n", "\"one\"\n[schedule]\ncron = \"*/5 * * * *\"\nzone = \"Europe/Berln\"")],
        &[
            "rekeyd.toml:4:8: error: `cron` in `[schedule]` is `*/5 * * * *`, which is not six fields but 5: expected six fields: second, minute, hour, day of month, month, day of week; put `0` in front for the second",
            "rekeyd.toml:5:8: error: `zone` in `[schedule]` is `Europe/Berln`: expected a time zone such as `UTC` or `Europe/Berlin`",
        ],
    );
    check(
        &[Daemon("\"one\"\n", "\"one\"\n[schedule]\ncron = \"0 0 0 31 2 *\"")],
        &[
            "rekeyd.toml:4:8: error: `cron` in `[schedule]` is `0 0 0 31 2 *`, which never comes round: expected a date that exists",
        ],
    );
    check(
        &[Daemon("\"one\"\n", "\"one\"\n[schedule]\ncron = \"0 99 * * * *\"")],
        &[
            "rekeyd.toml:4:8: error: `cron` in `[schedule]` is `0 99 * * * *`, which is no cron expression (number out of bounds): expected six fields: second, minute, hour, day of month, month, day of week",
        ],
    );
    check(
        &[Daemon("\"one\"\n", "\"one\"\n[schedule]\ncron = \"@daily\"")],
        &[
            "rekeyd.toml:4:8: error: `cron` in `[schedule]` is `@daily`, which is not six fields but 1: expected six fields: second, minute, hour, day of month, month, day of week",
        ],
    );
    check(
        &[Daemon("\"one\"\n", "\"one\"\n[log]\nlevel = \"inof\"\nformat = \"jsn\"\n[signal]\nusr1 = \"al\"")],
        &[
            "rekeyd.toml:4:9: error: `level` in `[log]` is `inof`: expected a level such as `info`, or a filter such as `info,rekeyd::http=debug`",
            "rekeyd.toml:5:10: error: `format` in `[log]` is `jsn`: expected one of `auto`, `text`, `logfmt`, `json`; did you mean `json`?",
            "rekeyd.toml:7:8: error: `usr1` in `[signal]` is `al`: expected one of `due`, `all`, `ignore`; did you mean `all`?",
        ],
    );
    check(
        &[
            Env("REKEYD__HTTP__READ_TIMOUT", "5 s"),
            Env("REKEYD__CONCURRENCY", "many"),
            Env("REKEYD__LOG__LEVEL", ""),
            Env("REKEYD__HTTP__ALLOW_HTTP", "1"),
            Env("REKEYD__TENANTS__ACME__ID", "x"),
            Env("REKEYD__WEB", "x"),
        ],
        &[
            "REKEYD__CONCURRENCY: error: `concurrency` is `many`: expected a whole number from 1 to 1024",
            "REKEYD__HTTP__ALLOW_HTTP: error: `allow-http` in `[http]` is `1`: expected `true` or `false`",
            "REKEYD__HTTP__READ_TIMOUT: error: unknown key `read-timout` in `[http]`: expected one of `connect-timeout`, `read-timeout`, `total-timeout`, `ca-file`, `max-body`, `calls-per-hour`, `burst`, `allow-http`; did you mean `read-timeout`?",
            "REKEYD__LOG__LEVEL: error: `level` in `[log]` is empty: expected a level such as `info`, or a filter such as `info,rekeyd::http=debug`",
            "REKEYD__TENANTS__ACME__ID: error: unknown key `tenants` at the top level: expected one of `version`, `state-dir`, `tenants-dir`, `control-socket`, `instance`, `concurrency`, `schedule`, `lease`, `web`, `metrics`, `log`, `tracing`, `http`, `fleet`, `signal`, `limits`, `cis`, `sink`",
            "REKEYD__WEB: error: `web` is a text: expected a section `[web]`",
        ],
    );
}

#[test]
fn words_environment_and_paths() {
    check(
        &[Daemon("\"one\"\n", "\"one\"\ntenants-dir = \"nowhere\"")],
        &[
            "nowhere: error: the folder of the tenants cannot be read (there is none); make it, or set `tenants-dir`",
        ],
    );
    check(
        &[Daemon(
            "\"one\"\n",
            "\"one\"\ncontrol-socket = \"/0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678\"",
        )],
        &[
            "rekeyd.toml:3:18: error: `control-socket` is 110 bytes long: expected a path of at most 107 bytes",
        ],
    );
}

#[test]
fn the_rules_of_the_fleet() {
    check(
        &[Daemon(
            "\"one\"",
            "\"one\"\n[fleet]\nfuse-rotations = 0\ncanary = 1\nfirst-share-percent = 101\nrotations-at-once = \"many\"",
        )],
        &[
            "rekeyd.toml:4:18: error: `fuse-rotations` in `[fleet]` is 0: expected a whole number from 1 to 100000",
            "rekeyd.toml:5:10: error: `canary` in `[fleet]` is a number: expected `true` or `false`",
            "rekeyd.toml:6:23: error: `first-share-percent` in `[fleet]` is 101: expected a whole number from 1 to 100",
            "rekeyd.toml:7:21: error: `rotations-at-once` in `[fleet]` is a text: expected a whole number from 1 to 1024; write it without quotes",
        ],
    );
    check(
        &[Daemon(
            "\"one\"",
            "\"one\"\n[fleet]\nfuse-percent = 100\nfirst-share-percent = 30\nhalt-percent = 100",
        )],
        &[
            "rekeyd.toml:3:2: error: `second-share-percent` in `[fleet]` is 25: expected at least first-share-percent 30",
            "rekeyd.toml:4:16: warning: `fuse-percent` in `[fleet]` is 100; the fuse will never hold: the whole fleet may rotate in a day",
            "rekeyd.toml:6:16: warning: `halt-percent` in `[fleet]` is 100; no share of failures will ever halt the fleet",
        ],
    );
}

#[test]
fn a_fuse_that_is_too_slow_for_the_fleet_is_noticed() {
    let world = World::new(&[Daemon("\"one\"", "\"one\"\n[fleet]\nfuse-rotations = 1\nfuse-percent = 0")]);
    for number in 0..30 {
        let tenant = TENANT
            .replace("\"acme\"\n", &format!("\"acme-{number}\"\n"))
            .replace("0c5f7d1f6a01", &format!("0c5f7d1f6b{number:02}"))
            .replace("\"cirt\"", &format!("\"cirt-{number}\""));
        world.write(&format!("tenants.d/acme-{number}.toml"), &tenant, 0o644);
    }
    assert_eq!(
        world.messages(),
        [
            "rekeyd.toml:3:2: warning: the fuse lets 1 rotation begin in a day, so 31 credentials of one age take 31 days: expected less than the shortest lead, 30 days; raise `fuse-rotations` or `fuse-percent`"
        ]
    );
}

#[test]
fn the_pages_and_the_detail() {
    check(
        &[Daemon(
            "\"one\"\n",
            "\"one\"\n[web]\nprobe-listen = \"127.0.0.1:7356\"\nconfig-fil = \"x\"\n[metrics]\ndetail = \"sumary\"\n",
        )],
        &[
            "rekeyd.toml:4:16: error: `probe-listen` in `[web]` is the address of `listen`: expected an address of its own",
            "rekeyd.toml:5:1: error: unknown key `config-fil` in `[web]`: expected one of `listen`, `probe-listen`, `config-file`; did you mean `config-file`?",
            "rekeyd.toml:7:10: error: `detail` in `[metrics]` is `sumary`: expected one of `full`, `summary`; did you mean `summary`?",
        ],
    );
    check(
        &[Daemon("\"one\"\n", "\"one\"\n[web]\nconfig-file = \"web.config.yml\"\n")],
        &["web.config.yml: error: this file of `config-file` in `[web]` cannot be read (entity not found)"],
    );
    check(
        &[Daemon("\"one\"\n", "\"one\"\n[tracing]\notlp-endpoint = \"http://me:s3cret@127.0.0.1:4318\"\n")],
        &[
            "rekeyd.toml:4:17: error: `otlp-endpoint` in `[tracing]` has a user in it: expected an address without user and password",
        ],
    );
}
