//! What a sink was told already, durably: how far in the journal, and which standing matters.
//!
//! The journal is the queue. A crash between telling and writing this down tells a notice twice, never not at all; its id
//! is the same then.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::disk;
use crate::domain::notice::Notice;
use crate::domain::{Timestamp, before};

/// A standing matter that was told is remembered for longer than any window lasts.
const MEMORY: std::time::Duration = std::time::Duration::from_hours(400 * 24);

/// More standing matters than this are not remembered; the oldest go first.
const MOST: usize = 100_000;

/// The state of one sink.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    /// The last entry of the journal that was told, or needed no telling.
    cursor: u64,
    /// The standing matters that were told, and when.
    #[serde(default)]
    told: BTreeMap<String, Timestamp>,
}

/// What a sink was told already.
#[derive(Debug)]
pub struct Outbox {
    path: PathBuf,
    state: State,
}

impl Outbox {
    /// Opens the outbox at `path`. Where there is none, or it cannot be read, or it is ahead of the journal, telling begins at
    /// `end`, the last entry of the journal: nobody wants to hear last year again. That is on disk before anything is told, or
    /// a crash before the first message would begin later once more.
    pub async fn open(path: PathBuf, end: u64) -> io::Result<Self> {
        let read = fs::read(&path).ok().and_then(|text| serde_json::from_slice::<State>(&text).ok());
        let state = match read {
            Some(state) if state.cursor <= end => state,
            Some(state) => State { cursor: end, ..state },
            None => State { cursor: end, told: BTreeMap::new() },
        };
        let outbox = Self { path, state };
        outbox.write().await?;
        Ok(outbox)
    }

    /// The last entry of the journal that need not be told any more.
    pub fn cursor(&self) -> u64 {
        self.state.cursor
    }

    /// Whether this standing matter is still to be told.
    pub fn is_new(&self, notice: &Notice) -> bool {
        !self.state.told.contains_key(&notice.id)
    }

    /// Everything up to this entry was told.
    pub async fn told_up_to(&mut self, sequence: u64) -> io::Result<()> {
        self.state.cursor = self.state.cursor.max(sequence);
        self.write().await
    }

    /// This standing matter was told.
    pub async fn told(&mut self, notice: &Notice) -> io::Result<()> {
        self.state.told.insert(notice.id.clone(), notice.at);
        let from = before(notice.at, MEMORY);
        self.state.told.retain(|_, at| *at >= from);
        while self.state.told.len() > MOST {
            let oldest = self.state.told.iter().min_by_key(|(_, at)| **at).map(|(id, _)| id.clone());
            oldest.and_then(|id| self.state.told.remove(&id));
        }
        self.write().await
    }

    async fn write(&self) -> io::Result<()> {
        disk::put(self.path.clone(), serde_json::to_vec(&self.state)?).await
    }
}
