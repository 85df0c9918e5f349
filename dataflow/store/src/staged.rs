//! Staged epochs: durable, and seen by nobody until they are promoted.
//!
//! Processes of a cluster commit an epoch together: each stages its batch, and when all have, each
//! promotes it. Staging writes the batch's bytes, checked, into a column family of their own and
//! waits for the disk. Promoting is one write: the batch, and the deletion of what was staged; it
//! need not wait, because what a loss of power takes from it leaves the staged bytes to promote
//! again. The next staging makes it durable.
//!
//! Invariants: at most one epoch is staged; nothing else is committed meanwhile, so a batch that
//! was computed from the state before it is still right when it is promoted.

use rocksdb::{DB, FlushOptions, IteratorMode, WriteBatch};
use spoor_operators::time::Epoch;
use spoor_operators::wire::{Malformed, Reader, put_u64};
use xxhash_rust::xxh3::xxh3_64;

use super::commit::{Commit, Committed, Prepared};
use super::limits::{STAGED_FLUSH_BYTES, STAGED_PIECE_BYTES};
use super::upgrade::{self, FORMAT_OLDEST};
use super::write::{self, Durability};
use super::{FORMAT, Family, Inner, Store, StoreError};
use crate::failpoint;

/// A staged epoch, to be promoted. Dropping it leaves it staged.
#[must_use = "a staged epoch is to be promoted or discarded"]
pub struct Staged {
    prepared: Prepared,
    pieces: u32,
}

impl Staged {
    /// Which.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.prepared.epoch
    }

    /// Bytes of its batch.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.prepared.batch.size_in_bytes()
    }
}

/// What writes of a store take turns by.
#[derive(Debug, Default)]
pub(super) struct Writer {
    pub(super) staged: Option<Epoch>,
    /// Bytes staged since their memory was given back.
    bytes: usize,
}

impl Writer {
    /// Reads which epoch an earlier run staged.
    pub(super) fn load(db: &DB) -> Result<Self, StoreError> {
        let first = db.iterator_cf(family(db), IteratorMode::Start).next().transpose()?;
        let staged = first.map(|(key, _)| parse_key(&key)).transpose()?;
        Ok(Self { staged: staged.map(|(epoch, _)| epoch), bytes: 0 })
    }

    /// Refuses while an epoch is staged.
    pub(super) fn check_free(&self, given: Epoch) -> Result<(), StoreError> {
        match self.staged {
            None => Ok(()),
            Some(staged) => Err(StoreError::Staged { staged: staged.0, given: given.0 }),
        }
    }
}

fn family(db: &DB) -> &rocksdb::ColumnFamily {
    db.cf_handle(Family::Staged.name()).expect("every column family was opened")
}

const KEY_BYTES: usize = 12;

/// Key of a piece; number 0 is the head.
fn key(epoch: Epoch, piece: u32) -> [u8; KEY_BYTES] {
    let mut key = [0; KEY_BYTES];
    key[..8].copy_from_slice(&epoch.0.to_be_bytes());
    key[8..].copy_from_slice(&piece.to_be_bytes());
    key
}

pub(super) fn parse_key(key: &[u8]) -> Result<(Epoch, u32), Malformed> {
    let (epoch, piece) = key.split_first_chunk::<8>().ok_or(Malformed("length of a key"))?;
    let piece = piece.try_into().map_err(|_| Malformed("length of a key"))?;
    Ok((Epoch(u64::from_be_bytes(*epoch)), u32::from_be_bytes(piece)))
}

/// What is known of a batch's bytes besides themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Head {
    format: u64,
    bytes: u64,
    checksum: u64,
}

impl Head {
    fn of(bytes: &[u8]) -> Self {
        Self { format: u64::from(FORMAT), bytes: bytes.len() as u64, checksum: xxh3_64(bytes) }
    }

    fn encode(self) -> Vec<u8> {
        let mut out = Vec::with_capacity(24);
        for field in [self.format, self.bytes, self.checksum] {
            put_u64(&mut out, field);
        }
        out
    }

    fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut from = Reader(bytes);
        Ok(Self { format: from.u64()?, bytes: from.u64()?, checksum: from.u64()? })
    }
}

/// The staged bytes of an epoch, as the disk has them.
pub(super) struct Found {
    pub(super) epoch: Epoch,
    pieces: u32,
    /// Of its batch, which has the checksum it was staged with.
    pub(super) bytes: Vec<u8>,
}

/// What is staged, if anything.
pub(super) fn found(db: &DB) -> Result<Option<Found>, StoreError> {
    let damaged = |what: &str| StoreError::Damaged(format!("what is staged: {what}"));
    let mut entries = db.iterator_cf(family(db), IteratorMode::Start);
    let Some(first) = entries.next() else { return Ok(None) };
    let (first, head) = first?;
    let (epoch, 0) = parse_key(&first)? else { return Err(damaged("it has no head")) };
    let head = Head::decode(&head)?;
    let (mut bytes, mut pieces) = (Vec::new(), 0);
    for entry in entries {
        let (found, piece) = entry?;
        pieces += 1;
        if parse_key(&found)? != (epoch, pieces) {
            return Err(damaged("a piece is missing"));
        }
        bytes.extend_from_slice(&piece);
    }
    // An older format stages the same way.
    let known = (u64::from(FORMAT_OLDEST)..=u64::from(FORMAT)).contains(&head.format);
    if !known || (Head { format: head.format, ..Head::of(&bytes) }) != head {
        return Err(damaged("its checksum does not fit"));
    }
    Ok(Some(Found { epoch, pieces, bytes }))
}

impl Inner {
    fn staged(&self) -> Result<Option<Found>, StoreError> {
        found(&self.db)
    }

    fn put_staged(&self, epoch: Epoch, bytes: &[u8]) -> (WriteBatch, u32) {
        let cf = self.cf(Family::Staged);
        let mut batch = WriteBatch::with_capacity_bytes(bytes.len() + 256);
        batch.put_cf(cf, key(epoch, 0), Head::of(bytes).encode());
        let mut pieces = 0;
        for piece in bytes.chunks(STAGED_PIECE_BYTES) {
            pieces += 1;
            batch.put_cf(cf, key(epoch, pieces), piece);
        }
        (batch, pieces)
    }

    /// Each key was put once, so both vanish when their memory is given back, and reach no file.
    fn delete_staged(&self, batch: &mut WriteBatch, epoch: Epoch, pieces: u32) {
        let cf = self.cf(Family::Staged);
        (0..=pieces).for_each(|piece| batch.single_delete_cf(cf, key(epoch, piece)));
    }

    /// Gives the memory of what was staged and is staged no more back, when it is much. To be done
    /// while nothing is staged: then nothing is written to a file.
    fn free_staged(&self, writer: &mut Writer, bytes: usize) -> Result<(), StoreError> {
        writer.bytes += bytes;
        if writer.bytes >= STAGED_FLUSH_BYTES {
            writer.bytes = 0;
            let mut options = FlushOptions::default();
            options.set_wait(false);
            self.db.flush_cf_opt(self.cf(Family::Staged), &options)?;
        }
        Ok(())
    }
}

impl Store {
    /// Makes an epoch durable without showing anything of it. With [`super::StoreOptions::sync`] it
    /// is on the disk when this returns; without, it survives the process, not the loss of power.
    ///
    /// # Errors
    /// [`StoreError::Staged`] while another is staged, [`StoreError::Order`] for an epoch not after
    /// the last one, [`StoreError::Moved`], failures of RocksDB.
    pub fn stage(&self, commit: Commit) -> Result<Staged, StoreError> {
        let mut writer = self.inner.writer.lock();
        writer.check_free(commit.epoch)?;
        let prepared = self.prepare(commit)?;
        let (batch, pieces) = self.inner.put_staged(prepared.epoch, prepared.batch.data());
        failpoint::hit("before-stage");
        write::write(&self.inner.db, batch, Durability::when(self.inner.sync))?;
        self.inner.place.check()?;
        failpoint::hit("after-stage");
        writer.staged = Some(prepared.epoch);
        Ok(Staged { prepared, pieces })
    }

    /// Commits a staged epoch: readers see it when this returns. It survives the process at once;
    /// after a loss of power it may be found staged again. Harmless when it was promoted before.
    ///
    /// # Errors
    /// [`StoreError::NotStaged`] when it was discarded, failures of RocksDB.
    pub fn promote(&self, staged: Staged) -> Result<(), StoreError> {
        let mut writer = self.inner.writer.lock();
        let Staged { mut prepared, pieces } = staged;
        if !self.must_promote(&writer, prepared.epoch)? {
            return Ok(());
        }
        let bytes = prepared.batch.size_in_bytes();
        self.inner.delete_staged(&mut prepared.batch, prepared.epoch, pieces);
        failpoint::hit("before-promote");
        // What is staged is on the disk, if this is not; unless nothing waits for the disk.
        self.apply(prepared, Durability::Later, self.inner.sync)?;
        failpoint::hit("after-promote");
        writer.staged = None;
        self.inner.free_staged(&mut writer, bytes)?;
        self.reclaim()
    }

    /// Whether an epoch waits to be promoted: not when it is committed already.
    fn must_promote(&self, writer: &Writer, epoch: Epoch) -> Result<bool, StoreError> {
        if writer.staged == Some(epoch) {
            return Ok(true);
        }
        if self.committed() >= Some(epoch) {
            return Ok(false);
        }
        Err(StoreError::NotStaged(epoch.0))
    }

    /// The epoch that is staged, if any; what is staged of it was read and is whole.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], failures of RocksDB.
    pub fn staged(&self) -> Result<Option<Epoch>, StoreError> {
        let _writer = self.inner.writer.lock();
        Ok(self.inner.staged()?.map(|found| found.epoch))
    }

    /// Commits what an earlier run staged; it is on the disk when this returns. Before anything is
    /// read. Harmless when it is committed already.
    ///
    /// # Errors
    /// [`StoreError::NotStaged`], [`StoreError::Damaged`], failures of RocksDB.
    pub fn promote_found(&self, epoch: Epoch) -> Result<(), StoreError> {
        let mut writer = self.inner.writer.lock();
        if !self.must_promote(&writer, epoch)? {
            return Ok(());
        }
        let found = self.inner.staged()?.filter(|found| found.epoch == epoch);
        let Some(found) = found else { return Err(StoreError::NotStaged(epoch.0)) };
        let mut batch = WriteBatch::from_data(&found.bytes);
        self.inner.delete_staged(&mut batch, epoch, found.pieces);
        let mut committed = self.inner.committed.lock();
        write::write(&self.inner.db, batch, Durability::Now)?;
        self.inner.witness.note(epoch)?;
        *committed = Committed::load(&self.inner.db)?;
        writer.staged = None;
        upgrade::run(&self.inner.db, &self.inner.zone, &committed)?;
        drop(committed);
        self.inner.free_staged(&mut writer, found.bytes.len())?;
        self.reclaim_dropped()?;
        failpoint::hit("recovery");
        Ok(())
    }

    /// Forgets what is staged, if anything; that is on the disk when this returns.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], failures of RocksDB.
    pub fn discard_staged(&self) -> Result<(), StoreError> {
        let mut writer = self.inner.writer.lock();
        if let Some(found) = self.inner.staged()? {
            let mut batch = WriteBatch::default();
            self.inner.delete_staged(&mut batch, found.epoch, found.pieces);
            write::write(&self.inner.db, batch, Durability::Now)?;
            writer.staged = None;
            self.inner.free_staged(&mut writer, found.bytes.len())?;
        }
        upgrade::run(&self.inner.db, &self.inner.zone, &self.inner.committed.lock())?;
        failpoint::hit("recovery");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn keys_and_heads_come_back(epoch: u64, piece: u32, bytes: Vec<u8>) {
            prop_assert_eq!(parse_key(&key(Epoch(epoch), piece)), Ok((Epoch(epoch), piece)));
            let head = Head::of(&bytes);
            prop_assert_eq!(Head::decode(&head.encode()), Ok(head));
            let _ = (parse_key(&bytes), Head::decode(&bytes));
        }
    }
}
