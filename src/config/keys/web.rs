//! The keys of `[web]` and `[metrics]`.

use super::{Form, Key, default, optional};
use crate::config::web::Detail;

#[rustfmt::skip]
pub(super) static WEB: &[Key] = &[
    default("listen", Form::Listen, "127.0.0.1:7356", "IP address and port. An empty text turns it off. A socket that systemd passes is taken instead."),
    default("probe-listen", Form::Listen, "", "IP address and port of a second listener: `/-/healthy` and `/-/ready` alone, in plain and without a password. An empty text turns it off."),
    optional("config-file", Form::Path, "\"/etc/rekeyd/web.config.yml\"", "TLS, client certificates, passwords and headers of `listen`, in the file that Prometheus and its exporters read. Changes count from the next request on."),
];

#[rustfmt::skip]
pub(super) static METRICS: &[Key] = &[
    default("detail", Form::Choice(Detail::WORDS, &[]), "full", "How much is told of each credential: at most 20 series, or with `summary`, for fleets of thousands, at most 6. Every alert works with both."),
];
