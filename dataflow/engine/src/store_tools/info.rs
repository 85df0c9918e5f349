//! What a store is, the engine's part included.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;
use spoor_api::query::SourceCounts;
use spoor_store::StoreError;
use spoor_store::care::{self, Stored};

use crate::cluster::hello::Shape;
use crate::divide::read_row;
use crate::keys;
use crate::marker::{self, ReshapeState};
use crate::sources::SourceRow;

/// What `spoor store info` says.
#[derive(Clone, Debug, Serialize)]
pub struct Info {
    /// Format of everything on disk.
    pub format: u32,
    /// Hash over what decides the meaning of the rows; none: made before there was one.
    pub fingerprint: Option<String>,
    /// Whether this program gives the rows the same meaning.
    pub readable: bool,
    /// The zone days are counted in.
    pub zone: String,
    /// Whose store it is, of how many; none while nothing was committed, in a store that was left
    /// behind, and in one that is new to a cluster until its reshape has ended.
    pub shape: Option<Shape>,
    /// A change of the number of processes that has not ended, or has left this store behind.
    pub reshape: Option<ReshapeState>,
    /// Times it was opened.
    pub incarnation: u64,
    /// The last committed epoch.
    pub epoch: Option<u64>,
    /// The last epoch somebody was told of, where that is noted.
    pub acknowledged: Option<u64>,
    /// An epoch written and not yet promoted.
    pub staged: Option<u64>,
    /// Milliseconds since the Unix epoch.
    pub watermark: Option<i64>,
    /// Days that hold something.
    pub days: u64,
    /// Sessions retained.
    pub sessions: u64,
    /// Requests retained, those in no session included.
    pub requests: u64,
    /// Refused records kept.
    pub dead_letters: u64,
    /// Version of the rules in force, and the epoch since when.
    pub rules: Option<(u64, u64)>,
    /// Where each source is.
    pub sources: Vec<SourceInfo>,
    /// Bytes on disk by column family.
    pub bytes: BTreeMap<&'static str, u64>,
    /// Bytes of all files of the database, the write-ahead log included.
    pub total_bytes: u64,
    /// The process that has it open.
    pub in_use_by: Option<u32>,
}

/// Where a source is.
#[derive(Clone, Debug, Serialize)]
pub struct SourceInfo {
    /// Its name.
    pub name: String,
    /// Bytes of it that are committed.
    pub offset: u64,
    /// Read to its end.
    pub ended: bool,
    /// What became of its records.
    pub counts: SourceCounts,
}

/// Reads what a store is, in use or not.
///
/// # Errors
/// [`StoreError::NotAStore`], [`StoreError::Damaged`], [`StoreError::Format`].
pub fn info(directory: &Path) -> Result<Info, StoreError> {
    let stored = care::info(directory, &[keys::SHAPE, keys::RESHAPE])?;
    let mark = stored.values.get(keys::RESHAPE);
    let reshape = mark.map(|mark| marker::state_of(mark)).transpose()?;
    Ok(Info {
        shape: shape(&stored, reshape)?,
        reshape,
        sources: stored.sources.iter().map(source).collect::<Result<_, _>>()?,
        format: stored.format,
        fingerprint: stored.fingerprint,
        readable: stored.readable,
        zone: stored.zone,
        incarnation: stored.incarnation,
        epoch: stored.epoch,
        acknowledged: stored.acknowledged,
        staged: stored.staged,
        watermark: stored.watermark,
        days: stored.days,
        sessions: stored.sessions,
        requests: stored.requests,
        dead_letters: stored.dead_letters,
        rules: stored.rules,
        bytes: stored.bytes,
        total_bytes: stored.total_bytes,
        in_use_by: stored.in_use_by,
    })
}

/// What the store was written as: one that does not say was written by a process alone.
fn shape(stored: &Stored, reshape: Option<ReshapeState>) -> Result<Option<Shape>, StoreError> {
    if matches!(reshape, Some(ReshapeState::Left { .. })) {
        return Ok(None);
    }
    if let Some(shape) = stored.values.get(keys::SHAPE) {
        return Shape::decode(shape).map(Some);
    }
    let is_alone = stored.epoch.is_some() && reshape.is_none();
    Ok(is_alone.then_some(Shape { process: 0, processes: 1 }))
}

fn source((name, row): &(String, Vec<u8>)) -> Result<SourceInfo, StoreError> {
    let SourceRow { offset, ended, counts, .. } = read_row(name, row)?;
    Ok(SourceInfo { name: name.clone(), offset, ended, counts })
}
