//! Bringing the stores of a cluster to another number of processes, while none of them runs.
//!
//! ```text
//! plan -> mark every store -> move identity-days, slice by slice -> merge what leaves -> settle
//! ```
//!
//! Only identity-days of partitions that get another owner are touched. Each slice is committed
//! where it goes, then deleted where it was, so whenever the work is cut off, the next run finds
//! what is done and does the rest: an identity-day that has come is not copied again. From the
//! first mark until a store is settled no engine starts on it. Process 0 is marked first and
//! settled last, so no cluster of either shape runs meanwhile.

mod begin;
mod merge;
mod moves;
mod plan;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use spoor_operators::time::Epoch;

use crate::cluster::PROCESSES_MAX;
use crate::open_sessions::OpenSessions;
use spoor_store::{Commit, Store, StoreError};

use crate::marker::UnderWay;
pub use crate::marker::{ReshapeState, check_settled};

/// Why stores were not brought to another number of processes.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReshapeError {
    /// These stores cannot be, as they are or as they were given; nothing was moved.
    #[error("{0}")]
    Refused(String),
    /// A store failed. Another run goes on.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It was told to stop. Another run goes on.
    #[error("stopped before the end; the same command goes on")]
    Stopped,
}

/// How far it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Requests moved by this run.
    pub requests: u64,
    /// Requests to move by this run, estimated: identities are spread evenly over partitions.
    pub total: u64,
}

/// What one run did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reshaped {
    /// Number of processes before; none when the stores were of the wanted shape already.
    pub from: Option<usize>,
    /// Number of processes now.
    pub to: usize,
    /// Identity-days that got another owner.
    pub identity_days: u64,
    /// Their sessions.
    pub sessions: u64,
    /// Their requests.
    pub requests: u64,
    /// Bytes of their request log.
    pub bytes: u64,
    /// Directories of stores that are not needed any more.
    pub left: Vec<PathBuf>,
}

/// Called before each write; when it says no, the work stops there.
pub type Watch<'a> = &'a mut dyn FnMut(Progress) -> bool;

/// Brings the stores in these directories, in the order of their processes, to so many processes.
/// When they grow in number, the last directories are new or empty; when they shrink, the last
/// ones' stores are not needed afterwards.
///
/// # Errors
/// [`ReshapeError`].
pub fn reshape(
    directories: &[PathBuf],
    processes: usize,
    watch: Watch<'_>,
) -> Result<Reshaped, ReshapeError> {
    if processes == 0 || processes > PROCESSES_MAX {
        return Err(ReshapeError::Refused(format!(
            "{processes} processes cannot be; give a number from 1 to {PROCESSES_MAX}"
        )));
    }
    let Some(mut reshape) = begin::begin(directories, processes, watch)? else {
        let left = directories.get(processes..).unwrap_or_default().to_vec();
        return Ok(Reshaped { to: processes, left, ..Reshaped::default() });
    };
    reshape.mark()?;
    reshape.move_days()?;
    reshape.merge_leaving()?;
    reshape.settle()?;
    Ok(reshape.done)
}

/// One process's store.
struct Member {
    directory: PathBuf,
    store: Store,
    open: OpenSessions,
    stage: Stage,
}

/// How far a store is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Stage {
    /// As it was.
    Unmarked,
    /// Nothing was ever committed to it.
    New,
    UnderWay(UnderWay),
    /// Of the new shape, or merged into process 0.
    Settled,
}

/// The work.
struct Reshape<'a> {
    members: Vec<Member>,
    from: usize,
    to: usize,
    /// The epoch all stood at before.
    base: Epoch,
    watch: Watch<'a>,
    progress: Progress,
    done: Reshaped,
}

impl Reshape<'_> {
    /// The epoch of a store's next commit.
    fn next_epoch(&self, process: usize) -> Epoch {
        let committed = self.members[process].store.committed();
        Epoch(committed.unwrap_or_default().max(self.base).0 + 1)
    }

    /// Every write goes through here.
    fn commit(&mut self, process: usize, commit: Commit) -> Result<(), ReshapeError> {
        if !(self.watch)(self.progress) {
            return Err(ReshapeError::Stopped);
        }
        Ok(self.members[process].store.commit(commit)?)
    }

    fn directory(&self, process: usize) -> &Path {
        &self.members[process].directory
    }
}
