//! What is wrong with a tenant's file, and the exact words for it.

use super::check;
use crate::config::tests::Edit::{File, NoFile, Tenant};
use crate::config::tests::TENANT;

#[test]
fn keys_and_ids() {
    check(
        &[Tenant("[dataspace]", "[dataspace]\nsetle = \"5 min\"")],
        &[
            "tenants.d/acme.toml:5:1: error: unknown key `setle` in `[dataspace]`: expected one of `service-key`, `url`, `base-path`, `settle`, `provision`, `deadline`, `poll`, `status-words`; did you mean `settle`?",
        ],
    );
    check(
        &[Tenant("[dataspace]", "[datspace]")],
        &[
            "tenants.d/acme.toml:4:2: error: unknown key `datspace` at the top level: expected one of `version`, `id`, `schedule`, `maintenance`, `subaccount`, `dataspace`, `cloud-foundry`, `service-manager`, `portal`, `registration`, `files`, `credential`; did you mean `dataspace`?",
            "tenants.d/acme.toml:14:12: error: `consumer` in `[[credential]]` is `dataspace`, but there is no section `[dataspace]`; add the section `[dataspace]`",
        ],
    );
    check(
        &[Tenant("version = 1\nid = \"acme\"", "")],
        &[
            r#"tenants.d/acme.toml:1:1: error: missing key `id` at the top level: expected 1 to 48 characters of a-z, 0-9 and `-`, the first a letter or digit; for example `id = "acme"`"#,
            "tenants.d/acme.toml:1:1: error: missing key `version` at the top level: expected `1`",
        ],
    );
    check(
        &[Tenant("\"acme\"", "\"Acme Corp\"")],
        &[
            "tenants.d/acme.toml:2:6: error: `id` is `Acme Corp`: expected 1 to 48 characters of a-z, 0-9 and `-`, the first a letter or digit",
        ],
    );
    check(
        &[File("zeta.toml", TENANT, 0o644)],
        &[
            "tenants.d/zeta.toml:2:6: error: tenant `acme` is already there, at tenants.d/acme.toml:2:6: expected an id of its own",
        ],
    );
    check(
        &[File("zeta.toml", "version = 1\nid = \"zeta\"\ncredential = []", 0o644)],
        &[
            "tenants.d/zeta.toml:3:14: warning: tenant `zeta` has no credential: nothing of it will be rotated; add a section `[[credential]]`, or take the file out",
        ],
    );
    check(
        &[
            Tenant("https://api.cf.example.com", "http://api.cf.example.com"),
            Tenant("[dataspace]", "[dataspace]\nurl = \"https://u:NotARealSecret@x.example\""),
        ],
        &[
            "tenants.d/acme.toml:5:7: error: `url` in `[dataspace]` has a user in it: expected an address without user and password",
            "tenants.d/acme.toml:9:7: error: `api` in `[cloud-foundry]` is an `http` address, over which secrets travel in the open: expected `https`; for a sandbox on this machine, set `http.allow-http`",
        ],
    );
}

#[test]
fn addresses_and_times() {
    check(
        &[
            Tenant("https://api.cf.example.com", "https://api.cf.example.com?x=1"),
            Tenant("[dataspace]", "[dataspace]\nurl = \"x.example\"\nbase-path = \"api/\""),
        ],
        &[
            "tenants.d/acme.toml:5:7: error: `url` in `[dataspace]` is no address: expected an address such as `https://api.example.com`",
            "tenants.d/acme.toml:6:13: error: `base-path` in `[dataspace]` is `api/`: expected the path of an address such as `/api/v1/dsi`",
            "tenants.d/acme.toml:10:7: error: `api` in `[cloud-foundry]` has a query or a fragment: expected an address that ends with its path",
        ],
    );
    check(
        &[
            Tenant("https://api.cf.example.com", "https://api cf"),
            Tenant("[dataspace]", "[dataspace]\nurl = \"ftp://x.example\""),
        ],
        &[
            "tenants.d/acme.toml:5:7: error: `url` in `[dataspace]` is no web address: expected an address such as `https://api.example.com`",
            "tenants.d/acme.toml:9:7: error: `api` in `[cloud-foundry]` has no valid host: expected an address such as `https://api.example.com`",
        ],
    );
    check(
        &[Tenant("\"30 days\"", "\"2 days\"")],
        &[
            "tenants.d/acme.toml:15:8: error: `lead` in `[[credential]]` is 2 days: expected at least 3 days 6 h 37 min, which is soak 2 days + settle 5 min + deadline 30 min + proof-span 2 min + token-life 1 day + slowest retry 6 h; a rotation would not end before its keys do",
        ],
    );
    check(
        &[Tenant("lead = \"30 days\"", "lead = \"30 days\"\nwindow = \"30 days\"")],
        &[
            "tenants.d/acme.toml:15:8: error: `lead` in `[[credential]]` is 30 days: expected less than the window, which may be as short as 30 days; every key would be due the moment it is made",
        ],
    );
    check(
        &[Tenant("lead = \"30 days\"", "window = \"13 months\"\nsoak = \"0 s\"")],
        &[
            "tenants.d/acme.toml:15:10: error: `window` in `[[credential]]` is longer than 12 months: expected at most `12 months`; SAP lets these keys expire after that",
            "tenants.d/acme.toml:16:8: error: `soak` in `[[credential]]` is 0 s: expected more than nothing; without it there is no way back",
        ],
    );
    check(
        &[Tenant("lead = \"30 days\"", "lead = \"30 days\"\nsoak = \"1 hour\"")],
        &[
            "tenants.d/acme.toml:16:8: warning: `soak` in `[[credential]]` is 1 h, less than token-life 1 day; a token made with the old key may outlive the soak and hide that the new one does not work",
        ],
    );
    check(
        &[Tenant("version = 1", "version = 1\nschedule = { cron = \"0 0 0 1 * *\" }")],
        &[
            "tenants.d/acme.toml:16:8: error: `lead` in `[[credential]]` is 30 days, but the schedule pauses for up to 31 days: expected a schedule that looks more often; no look may fall between the time a rotation is due and the end of its keys",
        ],
    );
}

#[test]
fn times_and_places() {
    check(
        &[Tenant(
            "[dataspace]",
            "[dataspace]\ndeadline = \"20 min\"\npoll = \"20 min\"\nstatus-words = { OK = \"succes\", BAD = 5 }\nprovision = \"sometimes\"",
        )],
        &[
            "tenants.d/acme.toml:5:12: warning: `deadline` in `[dataspace]` is 20 min: expected at least 25 min; SAP may take 20 minutes for what would then succeed",
            "tenants.d/acme.toml:6:8: error: `poll` in `[dataspace]` is 20 min: expected less than deadline 20 min",
            "tenants.d/acme.toml:7:16: error: `status-words` in `[dataspace]` has `BAD`, which is a number: expected one of `success`, `in-progress`, `error`, `not-provisioned`; write it in quotes",
            "tenants.d/acme.toml:8:13: error: `provision` in `[dataspace]` is `sometimes`: expected one of `when-needed`, `always`, `never`",
        ],
    );
    check(
        &[Tenant(
            "{ name = \"cirt\", space = \"prod\", org = \"acme\" }",
            "\"6F1C0B9E-2a64-4c1e-9d57-0c5f7d1f6a01\"",
        )],
        &[
            "tenants.d/acme.toml:19:29: error: `service-instance` in `[credential.keys.cirt]` is that of `ciapi`, too: expected an instance of plan `api` and one of plan `integration-flow`",
        ],
    );
    check(
        &[
            Tenant("{ name = \"cirt\", space = \"prod\", org = \"acme\" }", "{ name = \"cirt\" }"),
            Tenant("6f1c0b9e-", ""),
        ],
        &[
            r#"tenants.d/acme.toml:18:30: error: `service-instance` in `[credential.keys.ciapi]` is `2a64-4c1e-9d57-0c5f7d1f6a01`: expected a guid or `{ name = "…", space = "…", org = "…" }`"#,
            r#"tenants.d/acme.toml:19:29: error: `service-instance` in `[credential.keys.cirt]` is a table with other keys: expected a guid or `{ name = "…", space = "…", org = "…" }`"#,
        ],
    );
    check(
        &[Tenant("service-instance = { name = \"cirt\", space = \"prod\", org = \"acme\" }, ", "")],
        &[
            r#"tenants.d/acme.toml:19:1: error: missing key `service-instance` in `[credential.keys.cirt]`: expected a guid or `{ name = "…", space = "…", org = "…" }`"#,
        ],
    );
    check(
        &[
            Tenant("issuer = \"cloud-foundry\"", "issuer = \"portl\""),
            Tenant("consumer = \"dataspace\"", "consumer = \"dataspce\""),
        ],
        &[
            "tenants.d/acme.toml:13:10: error: `issuer` in `[[credential]]` is `portl`: expected one of `cloud-foundry`, `service-manager`, `portal`, `file`; did you mean `portal`?",
            "tenants.d/acme.toml:14:12: error: `consumer` in `[[credential]]` is `dataspce`: expected one of `dataspace`, `file`, `command`, `manual`; did you mean `dataspace`?",
        ],
    );
    check(
        &[Tenant("issuer = \"cloud-foundry\"", "issuer = \"file\"")],
        &[
            "tenants.d/acme.toml:13:10: error: `issuer` in `[[credential]]` is `file`, but there is no section `[files]`; add the section `[files]`",
            "tenants.d/acme.toml:18:30: error: `service-instance` in `[credential.keys.ciapi]` means nothing to issuer `file`; take it out",
            "tenants.d/acme.toml:19:29: error: `service-instance` in `[credential.keys.cirt]` means nothing to issuer `file`; take it out",
        ],
    );
    check(
        &[Tenant(
            "[[credential]]\n",
            "[[credential]]\nname = \"dataplane\"\nissuer = \"cloud-foundry\"\nconsumer = \"dataspace\"\nkeys.ciapi.service-instance = \"6f1c0b9e-2a64-4c1e-9d57-0c5f7d1f6a02\"\nkeys.cirt.service-instance = \"6f1c0b9e-2a64-4c1e-9d57-0c5f7d1f6a03\"\n[[credential]]\n",
        )],
        &[
            "tenants.d/acme.toml:18:8: error: credential `dataplane` is already there, at tenants.d/acme.toml:12:8: expected a name of its own",
        ],
    );
}

#[test]
fn issuers_consumers_and_names() {
    check(
        &[NoFile("acme.toml")],
        &[
            "tenants.d: warning: there is no tenant here: nothing will be rotated; add a file that ends in `.toml`",
        ],
    );
    check(
        &[Tenant("[[credential]]", "[credential]")],
        &["tenants.d/acme.toml:11:1: error: `credential` is a table: expected `[[credential]]`"],
    );
}

#[test]
fn the_fleets_own_name_is_taken() {
    check(
        &[Tenant("\"acme\"", "\"rekeyd\"")],
        &[
            "tenants.d/acme.toml:2:6: error: `rekeyd` is the name of the fleet itself in the journal: expected another id",
        ],
    );
}

#[test]
fn spread_and_proofs() {
    check(
        &[Tenant(
            "lead = \"30 days\"",
            "lead = \"30 days\"\nspread = \"30 days\"\nproofs = 0\nproof-span = \"2 days\"",
        )],
        &[
            "tenants.d/acme.toml:16:10: error: `spread` in `[[credential]]` is 30 days: expected less than lead 30 days; keys would be replaced long before they must be",
            "tenants.d/acme.toml:17:10: error: `proofs` in `[[credential]]` is 0: expected a whole number from 1 to 20",
            "tenants.d/acme.toml:18:14: error: `proof-span` in `[[credential]]` is `2 days`: expected a duration such as `5 min`, from 0 s to 1 day",
        ],
    );
    check(
        &[Tenant("lead = \"30 days\"", "lead = \"30 days\"\nwindow = \"40 days\"\nspread = \"10 days\"")],
        &[
            "tenants.d/acme.toml:17:10: error: `spread` in `[[credential]]` is 10 days: expected less than 10 days, window minus lead; some keys would be due the moment they are made",
        ],
    );
}

#[test]
fn maintenance_windows() {
    let with = |windows: &'static str| Tenant("[dataspace]", windows);
    check(
        &[with(
            "[[maintenance]]\nschedule = \"0 22 * * Sat\"\nduration = \"30 days\"\ntime-zone = \"Berlin\"\n[[maintenance]]\nschedule = \"0 0 0 30 2 *\"\n[dataspace]",
        )],
        &[
            "tenants.d/acme.toml:5:12: error: `schedule` in `[[maintenance]]` is `0 22 * * Sat`, which is not six fields but 5: expected six fields: second, minute, hour, day of month, month, day of week; put `0` in front for the second",
            "tenants.d/acme.toml:6:12: error: `duration` in `[[maintenance]]` is `30 days`: expected a duration such as `5 min`, from 1 min to 7 days",
            "tenants.d/acme.toml:7:13: error: `time-zone` in `[[maintenance]]` is `Berlin`: expected a time zone such as `UTC` or `Europe/Berlin`",
            "tenants.d/acme.toml:8:1: error: missing key `duration` in `[[maintenance]]`: expected a duration such as `5 min`, from 1 min to 7 days",
            "tenants.d/acme.toml:9:12: error: `schedule` in `[[maintenance]]` is `0 0 0 30 2 *`, which never comes round: expected a date that exists",
        ],
    );
    check(
        &[with(
            "[[maintenance]]\nschedule = \"0 0 22 1 * *\"\nduration = \"4 h\"\ntime-zone = \"Europe/Berlin\"\n[dataspace]",
        )],
        &[
            "tenants.d/acme.toml:19:8: error: `lead` in `[[credential]]` is 30 days, and a rotation that begins when a maintenance window opens may end too late: expected at least 34 days 7 h 37 min, which is 31 days 1 h without a window and 3 days 6 h 37 min for the rotation; give it more time, or open windows more often",
        ],
    );
    check(
        &[with(
            "[[maintenance]]\nschedule = \"0 0 22 * * *\"\nduration = \"1 day\"\n[[maintenance]]\nschedule = \"0 0 22 1 * *\"\nduration = \"4 h\"\n[dataspace]",
        )],
        &[
            "tenants.d/acme.toml:6:12: warning: `duration` in `[[maintenance]]` is 1 day, and the window opens every 1 day; it never closes: take it out, or shorten it",
        ],
    );
}
