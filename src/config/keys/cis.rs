//! The keys of `[[cis]]`.

use super::{DAY, Form, HOUR, Key, default, optional, required, seconds};

#[rustfmt::skip]
pub(super) static CIS: &[Key] = &[
    required("name", Form::Word, "\"main\"", "Its name in metrics, messages and `rekeyd discover`."),
    required("service-key", Form::ServiceKey, "{ file = \"/etc/rekeyd/keys/cis.json\" }", "The service key of an instance of *Cloud Management Service*, plan `central-viewer`, as downloaded. Guard it: it may read secrets of Service Manager."),
    default("every", seconds(1, DAY), "6 hours", "How often the daemon looks."),
    optional("ignore", Form::Texts, "[\"0b9e6f1c-2a64-4c1e-9d57-0c5f7d1f6a01\"]", "Subaccounts without a tenant that nobody is to be told of, by guid."),
    optional("created", Form::Day, "\"2026-01-31\"", "The day on which the service key was made, as the cockpit shows it: the key does not say so. When rekeyd first saw it, if left out."),
    default("window", Form::Window, "12 months", "How old the service key may become. It is replaced by hand."),
    default("lead", seconds(HOUR, 366 * DAY), "30 days", "How long before that it is due."),
    optional("local", Form::Tables(LOCAL), "", "Keys of single subaccounts, which show the Cloud Foundry in them: only needed where a tenant's own keys do not say where it is."),
];

#[rustfmt::skip]
static LOCAL: &[Key] = &[
    required("service-key", Form::ServiceKey, "{ file = \"/etc/rekeyd/keys/cis-acme.json\" }", "The service key of an instance of *Cloud Management Service*, plan `local-viewer`, made in the subaccount, as downloaded."),
];
