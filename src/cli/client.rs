//! The daemon, as the commands see it.

use std::path::PathBuf;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::whose::Whose;
use super::{Common, Exit, Which, fail};
use crate::config::load::control_socket;
use crate::daemon::protocol::Refusal;
use crate::daemon::report::Status;
use crate::http::local::{Local, LocalError};

/// A connection to the control socket.
pub(super) struct Daemon {
    local: Local,
    /// Where it is.
    pub(super) path: PathBuf,
    /// The configuration that should have said where the socket is, and is not there.
    guessed: Option<PathBuf>,
    /// Where the configuration says that it is, if a person named another place.
    other: Option<PathBuf>,
}

impl Daemon {
    /// The daemon whose socket is configured. Nothing is sent yet.
    pub(super) fn of(common: &Common) -> Self {
        let (configured, unread) = control_socket(&common.config, &crate::daemon::environment());
        let is_read = unread.is_none();
        let is_guess = common.socket.is_none() && !is_read;
        let other = common.socket.as_ref().filter(|socket| **socket != configured && is_read);
        let other = other.is_some().then(|| configured.clone());
        let path = common.socket.clone().unwrap_or(configured);
        Self { local: Local::new(&path), path, guessed: is_guess.then(|| common.config.clone()), other }
    }

    /// Refuses to look for the daemon of a file that somebody named and that is no daemon's: another one may answer at the
    /// usual place.
    pub(super) fn is_named_well(common: &Common) -> Result<(), Exit> {
        if !common.named || common.socket.is_some() {
            return Ok(());
        }
        let (_, unread) = control_socket(&common.config, &crate::daemon::environment());
        let Some(problem) = unread else { return Ok(()) };
        let text = format!(
            "`{}` is not the configuration of a daemon, so nobody was asked: {}; name the daemon's own file with `--config`, \
             or its socket with `--socket`; `rekeyd check-config` names every problem",
            common.config.display(),
            problem.found
        );
        Err(fail(Exit::Config, &text))
    }

    /// Whether it is known where the daemon of the configuration that somebody named is, or whether nobody named one.
    pub(super) fn is_known(common: &Common) -> bool {
        let is_read = || control_socket(&common.config, &crate::daemon::environment()).1.is_none();
        !common.named || common.socket.is_some() || is_read()
    }

    /// Asks for a document.
    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Exit> {
        let answer = self.local.get(path).await;
        self.read(answer)?.map_err(|refusal| fail(Exit::of_refusal(refusal.exit), &refusal.error))
    }

    /// Asks for a document about what is under way. Something answered before: `then` says what it means that nobody does now.
    pub(super) async fn get_again<T: DeserializeOwned>(&self, path: &str, then: &str) -> Result<T, Exit> {
        let answer = self.local.get(path).await;
        if let Err(problem) = &answer {
            let path = self.path.display();
            let text = format!("the daemon on `{path}` answers no more ({problem}): {then}");
            return Err(fail(Exit::Unavailable, &text));
        }
        self.read(answer)?.map_err(|refusal| fail(Exit::of_refusal(refusal.exit), &refusal.error))
    }

    /// Asks for a document, and says nothing to anybody where that fails.
    pub(super) async fn try_get<T: DeserializeOwned>(&self, path: &str) -> Result<T, LocalError> {
        let (status, body) = self.local.get(path).await?;
        let read = serde_json::from_slice(&body);
        read.map_err(|problem| {
            LocalError::Other(format!("it answered {status}, which cannot be read: {problem}"))
        })
    }

    /// Asks for a document about each credential that `which` means, one after the other.
    pub(super) async fn get_each<T: DeserializeOwned>(
        &self,
        which: &Which,
        path: &str,
    ) -> Result<Vec<T>, Exit> {
        let status: Status = self.get("/v1/status").await?;
        let mut documents = Vec::new();
        for id in status.credentials.iter().map(|status| &status.credential).filter(|id| which.matches(id)) {
            documents.push(self.get(&format!("{path}?credential={id}")).await?);
        }
        Ok(documents)
    }

    /// Sends a request; says why where it is refused.
    pub(super) async fn post<B: Serialize + Sync, T: DeserializeOwned>(
        &self,
        path: &str,
        body: &B,
    ) -> Result<T, Exit> {
        let answer = self.ask(path, body).await?;
        answer.map_err(|refusal| fail(Exit::of_refusal(refusal.exit), &refusal.error))
    }

    /// Sends a request, and hands a refusal on without a word.
    pub(super) async fn ask<B: Serialize + Sync, T: DeserializeOwned>(
        &self,
        path: &str,
        body: &B,
    ) -> Result<Result<T, Refusal>, Exit> {
        let body = serde_json::to_vec(body).map_err(|problem| fail(Exit::Failed, &problem.to_string()))?;
        let answer = self.local.post(path, body).await;
        self.read(answer)
    }

    /// The process that listens on the socket.
    pub(super) async fn process(&self) -> Option<i32> {
        let stream = tokio::net::UnixStream::connect(&self.path).await.ok()?;
        stream.peer_cred().ok()?.pid()
    }

    /// Whether a daemon answers.
    pub(super) async fn is_up(&self) -> bool {
        self.local.get("/v1/status").await.is_ok()
    }

    fn read<T: DeserializeOwned>(
        &self,
        answer: Result<(u16, Vec<u8>), LocalError>,
    ) -> Result<Result<T, Refusal>, Exit> {
        const OTHER: &str =
            "it may be of another release; compare `rekeyd --version` with what its log says at the start";
        let (status, body) = answer.map_err(|problem| self.unreachable(&problem))?;
        if (200..300).contains(&status) {
            return match serde_json::from_slice(&body) {
                Ok(document) => Ok(Ok(document)),
                Err(problem) => {
                    let text = format!("the daemon's answer cannot be read ({problem}): {OTHER}");
                    Err(fail(Exit::Failed, &text))
                }
            };
        }
        serde_json::from_slice::<Refusal>(&body).map(Err).map_err(|_| {
            let text = format!("the daemon answered {status} and nothing that is known here: {OTHER}");
            fail(Exit::Failed, &text)
        })
    }

    /// Where a daemon answers although none does on the socket that was named, and what to do then.
    pub(super) fn elsewhere(&self) -> Option<String> {
        let other = self.other.as_ref().filter(|other| answers(other))?;
        Some(format!(
            "one answers on `{}`, where the configuration has it: leave `--socket` and `REKEYD_SOCKET` out",
            other.display()
        ))
    }

    fn denied(&self) -> String {
        let whose = Whose::of(&self.path);
        let who = whose.as_ref().map_or_else(|| "its owner and its group".to_owned(), Whose::may_open);
        let join = if whose.is_none_or(|whose| whose.admits) { ", or be added to the group" } else { "" };
        format!(
            "the control socket `{}` may not be opened, so nothing was asked: only {who} may; ask as the daemon's user, \
             `sudo -u rekeyd rekeyd …`{join}",
            self.path.display()
        )
    }

    pub(super) fn unreachable(&self, problem: &LocalError) -> Exit {
        let path = self.path.display();
        let (exit, text) = match problem {
            LocalError::Denied => (Exit::Permission, self.denied()),
            LocalError::Absent if let Some(other) = self.elsewhere() => (
                Exit::Unavailable,
                format!("no daemon answers on `{path}`, so nothing was asked and nothing changes: {other}"),
            ),
            LocalError::Absent => (
                Exit::Unavailable,
                format!(
                    "no daemon answers on `{path}`, so nothing was asked and nothing changes: \
                     `rekeyd run` starts one, where systemd does `systemctl status rekeyd` says whether it runs, and \
                     `rekeyd diagnose` what is in its way"
                ),
            ),
            LocalError::Other(text) => (
                Exit::Unavailable,
                format!(
                    "the daemon on `{path}` did not answer ({text}): whether it heard is not known; \
                     `rekeyd status` and `rekeyd history` show what came of it"
                ),
            ),
        };
        let guessed = self.guessed.as_ref().map_or_else(String::new, |config| {
            format!(
                "; this is the usual place, for `{}` cannot be read as the configuration of a daemon: `--config` names another",
                config.display()
            )
        });
        fail(exit, &format!("{text}{guessed}"))
    }
}

/// Whether somebody listens there.
fn answers(socket: &std::path::Path) -> bool {
    std::os::unix::net::UnixStream::connect(socket).is_ok()
}
