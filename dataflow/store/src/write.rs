//! The only place where an open store changes what is on disk.
//!
//! Everything goes through these functions, so a test can stop after any of them and look at what
//! a loss of power there would have left. A write is atomic; one that is [`Durability::Later`]
//! survives the process at once, and the loss of power after the next one that is
//! [`Durability::Now`]: the log is one sequence, so what is lost is always its end.

use rocksdb::{ColumnFamily, DB, WriteBatch, WriteOptions};

use super::StoreError;

/// When a write survives the loss of power.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Durability {
    /// When the call returns.
    Now,
    /// When a later write does.
    Later,
}

impl Durability {
    pub(super) fn when(synced: bool) -> Self {
        if synced { Self::Now } else { Self::Later }
    }
}

/// Writes a batch, whole or not at all.
pub(super) fn write(db: &DB, batch: WriteBatch, durability: Durability) -> Result<(), StoreError> {
    let mut options = WriteOptions::default();
    options.set_sync(durability == Durability::Now);
    // The parts of a batch are sorted.
    options.set_memtable_insert_hint_per_batch(true);
    db.write_opt(batch, &options)?;
    #[cfg(test)]
    watch::told(durability);
    Ok(())
}

/// Makes all that was written survive the loss of power.
pub(super) fn sync(db: &DB) -> Result<(), StoreError> {
    db.flush_wal(true)?;
    #[cfg(test)]
    watch::told(Durability::Now);
    Ok(())
}

/// Deletes the files that hold keys of a range and no others. Not undone by the loss of power: what
/// made the range of no more use must be durable.
pub(super) fn delete_files<K: AsRef<[u8]>>(
    db: &DB,
    cf: &ColumnFamily,
    from: K,
    until: K,
) -> Result<(), StoreError> {
    db.delete_file_in_range_cf(cf, from, until)?;
    #[cfg(test)]
    watch::told(Durability::Later);
    Ok(())
}

/// Tells a test of every write of its thread.
#[cfg(test)]
pub(super) mod watch {
    use std::cell::RefCell;

    use super::Durability;

    type Watcher = Box<dyn FnMut(Durability)>;

    thread_local! {
        static WATCHER: RefCell<Option<Watcher>> = const { RefCell::new(None) };
    }

    pub(super) fn told(durability: Durability) {
        WATCHER.with_borrow_mut(|watcher| {
            if let Some(watcher) = watcher {
                watcher(durability);
            }
        });
    }

    /// Runs something while `watcher` is told of every write.
    pub(crate) fn during<T>(
        watcher: impl FnMut(Durability) + 'static,
        run: impl FnOnce() -> T,
    ) -> T {
        WATCHER.set(Some(Box::new(watcher)));
        let outcome = run();
        WATCHER.set(None);
        outcome
    }
}
