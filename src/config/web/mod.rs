//! What `[web]` and `[metrics]` say; what `web.config.yml` says is in [`file`](mod@file).

mod document;
pub mod file;
mod sans;
#[cfg(test)]
mod tests;
mod tls;

use std::net::SocketAddr;
use std::path::PathBuf;

use super::daemon::choice;
use super::problem::Problem;
use super::reader::Section;

choice! {
    /// How much is told of each credential.
    Detail {
        /// At most 20 series.
        Full = "full",
        /// At most 6 series.
        Summary = "summary",
    }
}

/// Where and how the pages are served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Web {
    /// The pages; nowhere if `None`.
    pub listen: Option<SocketAddr>,
    /// The probes alone.
    pub probe: Option<SocketAddr>,
    /// The file with TLS and passwords.
    pub file: Option<PathBuf>,
}

pub(super) fn web(section: &Section, problems: &mut Vec<Problem>) -> Option<Web> {
    let web = Web {
        listen: section.listen("listen")?,
        probe: section.listen("probe-listen")?,
        file: section.has("config-file").then(|| section.path("config-file")).flatten(),
    };
    if web.probe.is_some_and(|probe| Some(probe) == web.listen && probe.port() != 0) {
        let found = "`probe-listen` in `[web]` is the address of `listen`";
        let problem =
            Problem::error(section.site_of("probe-listen"), &section.path_of("probe-listen"), found);
        problems.push(problem.expected("an address of its own"));
    }
    Some(web)
}
