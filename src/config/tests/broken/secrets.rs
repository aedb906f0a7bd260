//! What is wrong with secrets and service keys, and the exact words for it.

use super::check;
use crate::config::tests::Edit::{File, NoFile, Tenant};

#[test]
fn references() {
    check(
        &[Tenant("{ file = \"password\" }", "\"NotARealSecret\"")],
        &[
            r#"tenants.d/acme.toml:9:38: error: `password` in `[cloud-foundry.login]` is a text: expected one of `{ file = "…" }`, `{ credential = "…" }`, `{ env = "…" }`; write where the secret is, never the secret; replace it if it was one"#,
        ],
    );
    check(
        &[Tenant("{ file = \"password\" }", "{ fil = \"NotARealSecret\" }")],
        &[
            r#"tenants.d/acme.toml:9:38: error: `password` in `[cloud-foundry.login]` has the unknown key `fil`: expected one of `{ file = "…" }`, `{ credential = "…" }`, `{ env = "…" }`; did you mean `file`?"#,
        ],
    );
    check(
        &[Tenant("{ file = \"password\" }", "{ file = \"a\", env = \"b\" }")],
        &[
            r#"tenants.d/acme.toml:9:38: error: `password` in `[cloud-foundry.login]` names 2 places: expected one of `{ file = "…" }`, `{ credential = "…" }`, `{ env = "…" }`"#,
        ],
    );
    check(
        &[Tenant("{ file = \"password\" }", "{}")],
        &[
            r#"tenants.d/acme.toml:9:38: error: `password` in `[cloud-foundry.login]` names 0 places: expected one of `{ file = "…" }`, `{ credential = "…" }`, `{ env = "…" }`"#,
        ],
    );
    check(
        &[Tenant("{ file = \"password\" }", "{ file = 5 }")],
        &[
            "tenants.d/acme.toml:9:38: error: `password` in `[cloud-foundry.login]` has a `file` that is a number: expected a text",
        ],
    );
    check(
        &[Tenant("{ file = \"password\" }", "{ file = \"\" }")],
        &[
            "tenants.d/acme.toml:9:38: error: `password` in `[cloud-foundry.login]` has a `file` that is empty: expected a text",
        ],
    );
    check(
        &[Tenant("{ file = \"password\" }", "5")],
        &[
            r#"tenants.d/acme.toml:9:38: error: `password` in `[cloud-foundry.login]` is a number: expected one of `{ file = "…" }`, `{ credential = "…" }`, `{ env = "…" }`"#,
        ],
    );
}

#[test]
fn files() {
    check(
        &[Tenant("{ file = \"password\" }", "{ env = \"MISSING\" }")],
        &[
            "tenants.d/acme.toml:9:38: error: `password` in `[cloud-foundry.login]` names the environment variable `MISSING`, which is not set; set it for the daemon, or name a file",
        ],
    );
    check(
        &[Tenant("{ file = \"password\" }", "{ env = \"NotA$RealSecret\" }")],
        &[
            "tenants.d/acme.toml:9:38: error: `password` in `[cloud-foundry.login]` has an `env` that is no name of a variable: expected letters, digits and `_`; replace the secret if it was one",
        ],
    );
    check(
        &[Tenant("{ file = \"password\" }", "{ credential = \"acme-cf\" }")],
        &[
            "tenants.d/acme.toml:9:38: error: `password` in `[cloud-foundry.login]` names the credential `acme-cf`, but systemd passed none; add `LoadCredential=acme-cf:/path/to/secret` to the unit",
        ],
    );
    check(
        &[Tenant("{ file = \"password\" }", "{ credential = \"../x\" }")],
        &[
            "tenants.d/acme.toml:9:38: error: `password` in `[cloud-foundry.login]` has a `credential` that is no name of one: expected letters, digits, `.`, `_` and `-`",
        ],
    );
    check(
        &[File("password", "NotARealSecret", 0o604)],
        &[
            "tenants.d/acme.toml:9:38: error: `password` in `[cloud-foundry.login]` names `tenants.d/password`, which everybody on this machine may read; run `chmod 640 tenants.d/password`",
        ],
    );
    check(
        &[File("password", "\n", 0o600)],
        &[
            "tenants.d/acme.toml:9:38: error: `password` in `[cloud-foundry.login]` refers to an empty password; write the password there",
        ],
    );
    check(
        &[NoFile("password")],
        &[
            "tenants.d/acme.toml:9:38: error: `password` in `[cloud-foundry.login]` names `tenants.d/password`, which does not exist; put it there, or name where it is",
        ],
    );
}

#[test]
fn service_keys() {
    check(
        &[Tenant("{ file = \"password\" }", "{ file = \"..\" }")],
        &[
            "tenants.d/acme.toml:9:38: error: `password` in `[cloud-foundry.login]` names `tenants.d/..`, which is no regular file; name a file",
        ],
    );
    check(
        &[Tenant("{ file = \"password\" }", "{ file = \"/dev/zero\" }")],
        &[
            "tenants.d/acme.toml:9:38: error: `password` in `[cloud-foundry.login]` names `/dev/zero`, which is no regular file; name a file",
        ],
    );
    check(
        &[File("dsi.json", "NotARealSecret", 0o600)],
        &[
            "tenants.d/acme.toml:5:15: error: `service-key` in `[dataspace]` refers to something that is no service key (it is not JSON (line 1, column 1)): expected the JSON of a service key, as downloaded",
        ],
    );
    check(
        &[File(
            "dsi.json",
            r#"{"oauth": {"clientid": "NotARealSecret", "tokenurl": "https://x.example"}}"#,
            0o600,
        )],
        &[
            "tenants.d/acme.toml:5:15: error: `service-key` in `[dataspace]` refers to something that is no service key (it has neither a `clientsecret` nor a `certificate` with its `key`): expected the JSON of a service key, as downloaded",
        ],
    );
    check(
        &[File(
            "dsi.json",
            r#"{"oauth": {"clientid": "sb-1!b1|it-rt-acme!b2", "clientsecret": "s", "url": "https://x.example", "tokenurl": "https://x.example"}}"#,
            0o600,
        )],
        &[
            "tenants.d/acme.toml:5:15: warning: the service key of `[dataspace]` looks like one for `cirt`: expected a key of Data Space Integration API Access; check which key this is",
        ],
    );
    check(
        &[File(
            "dsi.json",
            r#"{"oauth": {"clientid": "a|it!b2", "clientsecret": "s", "url": "http://x.example", "tokenurl": "http://x.example"}}"#,
            0o600,
        )],
        &[
            "tenants.d/acme.toml:5:15: error: `tokenurl` of the service key of `[dataspace]` is an `http` address, over which secrets travel in the open: expected `https`; for a sandbox on this machine, set `http.allow-http`",
            "tenants.d/acme.toml:5:15: error: `url` of the service key of `[dataspace]` is an `http` address, over which secrets travel in the open: expected `https`; for a sandbox on this machine, set `http.allow-http`",
            "tenants.d/acme.toml:5:15: warning: the service key of `[dataspace]` looks like one for `ciapi`: expected a key of Data Space Integration API Access; check which key this is",
        ],
    );
    check(
        &[File("dsi.json", r#"{"clientid": "a", "clientsecret": "s", "url": "https://x.example"}"#, 0o600)],
        &[
            "tenants.d/acme.toml:4:2: error: the service key of `[dataspace]` has no address; set `url` in `[dataspace]`",
        ],
    );
}
