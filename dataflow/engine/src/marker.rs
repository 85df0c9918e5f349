//! The mark of a store that is being brought to another number of processes, or has left.
//!
//! It is a value of the engine's own in the store, written by the commits of the work itself: it
//! never says more or less than what was done. Engines refuse a store that has one.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::keys;
use spoor_store::{Store, StoreError};

/// See the module's description.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Marker {
    /// The work has begun and not ended.
    UnderWay(UnderWay),
    /// All of it was moved to the stores of so many processes.
    Merged { processes: usize },
}

/// Work that is under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct UnderWay {
    /// Whose store this is.
    pub(crate) process: usize,
    /// Number of processes before.
    pub(crate) from: usize,
    /// Number of processes after.
    pub(crate) to: usize,
    /// The epoch all stood at before.
    pub(crate) epoch: u64,
    /// In the store of process 0: how far what the leaving processes keep is merged into it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) merged: BTreeMap<usize, Merged>,
    /// In the store of process 0: it has the refused records of all that leave.
    #[serde(default)]
    pub(crate) has_letters: bool,
}

/// What of a leaving process's store process 0 has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Merged {
    /// Totals up to this minute and app.
    pub(crate) totals: Option<(i64, String)>,
    /// All totals, and the sources.
    pub(crate) done: bool,
}

impl UnderWay {
    /// The first mark of a store.
    pub(crate) fn new(process: usize, from: usize, to: usize, epoch: u64) -> Self {
        Self { process, from, to, epoch, merged: BTreeMap::new(), has_letters: false }
    }

    /// Whether two marks are of the same work.
    pub(crate) fn is_same_work(&self, other: &Self) -> bool {
        (self.from, self.to, self.epoch) == (other.from, other.to, other.epoch)
    }
}

impl Marker {
    /// The mark of a store, if it has one.
    pub(crate) fn read(store: &Store) -> Result<Option<Self>, StoreError> {
        store.blob(keys::RESHAPE)?.map(|mark| Self::decode(&mark)).transpose()
    }

    fn decode(mark: &[u8]) -> Result<Self, StoreError> {
        serde_json::from_slice(mark)
            .map_err(|error| StoreError::Damaged(format!("mark of a reshape: {error}")))
    }

    /// As the engine's own value.
    pub(crate) fn blob(&self) -> (String, Option<Vec<u8>>) {
        let mark = serde_json::to_vec(self).expect("a mark is plain data");
        (keys::RESHAPE.into(), Some(mark))
    }
}

/// What the mark of a store says, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum ReshapeState {
    /// It is being brought to another number of processes.
    UnderWay {
        /// Whose store this is.
        process: usize,
        /// Number of processes before.
        from: usize,
        /// Number of processes after.
        to: usize,
    },
    /// What it held is in the stores of so many processes; it can be deleted.
    Left {
        /// Their number.
        processes: usize,
    },
}

/// Reads the engine's own value [`keys::RESHAPE`].
///
/// # Errors
/// [`StoreError::Damaged`].
pub(crate) fn state_of(mark: &[u8]) -> Result<ReshapeState, StoreError> {
    Ok(match Marker::decode(mark)? {
        Marker::UnderWay(UnderWay { process, from, to, .. }) => {
            ReshapeState::UnderWay { process, from, to }
        }
        Marker::Merged { processes } => ReshapeState::Left { processes },
    })
}

/// Refuses a store that is being brought to another number of processes, or has left.
///
/// # Errors
/// [`StoreError::Reshape`], [`StoreError::Damaged`], failures of RocksDB.
pub fn check_settled(store: &Store) -> Result<(), StoreError> {
    match Marker::read(store)? {
        None => Ok(()),
        Some(Marker::UnderWay(UnderWay { process, from, to, .. })) => {
            Err(StoreError::Reshape(format!(
                "the store of process {process} is being brought from {from} to {to} processes, \
                 and that has not ended: run `spoor store reshape --processes {to}` again, with \
                 the same directories"
            )))
        }
        Some(Marker::Merged { processes }) => Err(StoreError::Reshape(format!(
            "what this store held is in the {}: it can be deleted; a process that is new begins \
             with an empty directory",
            stores_of(processes)
        ))),
    }
}

/// Names the stores of so many processes.
fn stores_of(processes: usize) -> String {
    match processes.saturating_sub(1) {
        0 => "store of process 0".into(),
        last => format!("stores of processes 0 to {last}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stores_are_named_by_their_processes() {
        assert_eq!(stores_of(1), "store of process 0");
        assert_eq!(stores_of(3), "stores of processes 0 to 2");
    }
}
