//! The keys of a portal, and of a technical user there.

use super::{Form, Key, optional, place, required};

#[rustfmt::skip]
pub(super) static PORTAL: &[Key] = &[
    required("url", Form::Url, "\"https://portal-backend.example.com\"", "The address of the portal's backend."),
    required("token-url", Form::Url, "\"https://centralidp.example.com/auth/realms/CX-Central/protocol/openid-connect/token\"", "Where tokens of the portal's own technical users are had."),
    required("login", Form::Table(LOGIN), "", "A technical user of rekeyd's own, with the role *Connector Management*."),
    optional("seal-key", Form::Password, "{ credential = \"portal-seal\" }", "What secrets are sealed with that are reset in place: any text of 32 characters or more that is kept. Required for them."),
];

#[rustfmt::skip]
static LOGIN: &[Key] = &[
    required("client-id", Form::Text, "\"sa7\"", "Its client id."),
    required("secret", Form::Password, "{ credential = \"tenants_acme-cf\" }", "Where its secret is."),
];

/// The one key of a credential, of whatever issuer.
pub(super) static SOLE: &[Key] = &{
    let [instance, key] = place("\"0b9e6f1c-2a64-4c1e-9d57-0c5f7d1f6a01\"");
    [instance, USER, REPLACE, SINCE, key]
};

#[rustfmt::skip]
const USER: Key = optional("technical-user", Form::Text, "\"6f1c0b9e-2a64-4c1e-9d57-0c5f7d1f6a02\"", "The portal's id of the technical user, not its client id. For the issuer `portal`, and required there.");
#[rustfmt::skip]
const REPLACE: Key = optional("replace", Form::Choice(&["by-hand", "reset", "second-user"], &[]), "\"reset\"", "How its secret is replaced: a person resets it, rekeyd resets it, or a second technical user takes its place. A reset kills the secret in use. For the issuer `portal`; `by-hand`, if left out.");
#[rustfmt::skip]
const SINCE: Key = optional("since", Form::Day, "\"2026-01-31\"", "The day on which its secret was made, where rekeyd did not make it. The day on which rekeyd first saw it, if left out. For the issuer `portal`.");
