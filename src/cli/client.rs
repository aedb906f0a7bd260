//! The daemon, as the commands see it.

use std::path::PathBuf;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Common, Exit, Which, fail};
use crate::daemon::protocol::Refusal;
use crate::daemon::report::Status;
use crate::http::local::{Local, LocalError};

/// A connection to the control socket.
pub(super) struct Daemon {
    local: Local,
    path: PathBuf,
}

impl Daemon {
    /// The daemon whose socket is configured. Nothing is sent yet.
    pub(super) fn of(common: &Common) -> Self {
        let path = common.socket.clone().unwrap_or_else(|| configured(common));
        Self { local: Local::new(&path), path }
    }

    /// Asks for a document.
    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Exit> {
        let answer = self.local.get(path).await;
        self.read(answer)
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

    /// Sends a request.
    pub(super) async fn post<B: Serialize + Sync, T: DeserializeOwned>(
        &self,
        path: &str,
        body: &B,
    ) -> Result<T, Exit> {
        let body = serde_json::to_vec(body).map_err(|problem| fail(Exit::Failed, &problem.to_string()))?;
        let answer = self.local.post(path, body).await;
        self.read(answer)
    }

    /// Whether a daemon answers.
    pub(super) async fn is_up(&self) -> bool {
        self.local.get("/v1/status").await.is_ok()
    }

    fn read<T: DeserializeOwned>(&self, answer: Result<(u16, Vec<u8>), LocalError>) -> Result<T, Exit> {
        let (status, body) = answer.map_err(|problem| self.unreachable(&problem))?;
        if (200..300).contains(&status) {
            let read = serde_json::from_slice(&body);
            return read.map_err(|problem| {
                fail(Exit::Failed, &format!("the daemon's answer cannot be read: {problem}"))
            });
        }
        match serde_json::from_slice::<Refusal>(&body) {
            Ok(refusal) => Err(fail(Exit::of_refusal(refusal.exit), &refusal.error)),
            Err(_) => Err(fail(Exit::Failed, &format!("the daemon answered {status}"))),
        }
    }

    fn unreachable(&self, problem: &LocalError) -> Exit {
        let path = self.path.display();
        match problem {
            LocalError::Denied => fail(
                Exit::Permission,
                &format!("the control socket `{path}` may not be opened: be its owner or in its group"),
            ),
            LocalError::Absent => fail(
                Exit::Unavailable,
                &format!("no daemon answers on `{path}`: is it running? try `systemctl status rekeyd`"),
            ),
            LocalError::Other(text) => {
                fail(Exit::Unavailable, &format!("the daemon on `{path}` did not answer: {text}"))
            }
        }
    }
}

/// The socket in the configuration, as far as it can be read.
fn configured(common: &Common) -> PathBuf {
    crate::config::load::control_socket(&common.config, &crate::daemon::environment())
}
