//! What the processes of a cluster tell each other before the dataflow begins.
//!
//! Two rounds: a [`Hello`] says who a process is and where its store stands; after all stores stand
//! at one epoch, a [`Standing`] says what is known as of that epoch. Both are JSON.

use serde::{Deserialize, Serialize};
use spoor_operators::rules::RuleSet;

use spoor_api::lineage::Lineage;
use spoor_input::source::named::FileId;
use spoor_store::StoreError;

/// Processes with another protocol do not work together.
pub const PROTOCOL: u32 = 2;

/// Which process of how many a store belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shape {
    /// The process's number.
    pub process: usize,
    /// Number of processes.
    pub processes: usize,
}

impl Shape {
    /// As the engine's own value [`crate::keys::SHAPE`].
    ///
    /// # Errors
    /// [`StoreError::Damaged`].
    pub(crate) fn decode(value: &[u8]) -> Result<Self, StoreError> {
        let damaged = |text: String| StoreError::Damaged(format!("shape: {text}"));
        let shape: Self =
            serde_json::from_slice(value).map_err(|error| damaged(error.to_string()))?;
        if shape.process < shape.processes {
            Ok(shape)
        } else {
            Err(damaged(format!("process {} of {}", shape.process, shape.processes)))
        }
    }
}

/// Who a process is, and where its store stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// [`PROTOCOL`].
    pub protocol: u32,
    /// What it was started as.
    pub shape: Shape,
    /// Workers it runs.
    pub workers: usize,
    /// What its store was written as; none for a new one.
    pub store: Option<Shape>,
    /// The last committed epoch.
    pub committed: Option<u64>,
    /// An epoch that is staged and not promoted.
    pub staged: Option<u64>,
    /// The zone of its days.
    pub zone: String,
    /// Key of the hashes of secret values.
    pub key: [u8; 32],
    /// Fingerprint of what else decides how a request is assigned: applications and descriptions.
    pub settings: String,
}

/// A divisible file a process is to read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Readable {
    /// The source's name.
    pub name: String,
    /// Its length in bytes; none when it can only be read from its beginning by one process.
    pub bytes: Option<u64>,
    /// Which file it is, if it could be looked at.
    #[serde(default)]
    pub file: Option<FileId>,
}

/// What a process knows as of the epoch all stand at.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Standing {
    /// The rules in force; for a new store those it was configured with.
    pub rules: RuleSet,
    /// The store has no rules yet.
    pub is_new: bool,
    /// The history of its store; that of process 0 is the history of the whole.
    pub lineage: Lineage,
    /// The watermark, in milliseconds.
    pub watermark: Option<i64>,
    /// The first retained day.
    pub first_day: Option<i32>,
    /// Version of the rules a regroup that has not ended brings about.
    pub regroup: Option<u64>,
    /// Rows of its sources, by name.
    pub sources: Vec<(String, Vec<u8>)>,
    /// Files it is to read.
    pub reads: Vec<Readable>,
}
