//! The file where hot state waits that has no room in memory, if the configuration says so.
//!
//! Each worker has a part of the configured bytes: a nameless file in the store's directory, gone
//! with the process however that ends. It is written round and round; what is overwritten is
//! forgotten. Nothing here is state: the store holds all of it, and an entry that was lost,
//! damaged or mixed up (places are found by a hash) is refused by its codec and read from the store.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use hashbrown::HashTable;
use serde::{Deserialize, Serialize};
use spoor_operators::seeded;
use spoor_operators::sessionize::backend::DayKey;
use spoor_operators::sessionize::codec::HotCodec;
use spoor_operators::sessionize::codec::rows::Rows;
use spoor_operators::sessionize::spill::{Spill, Spilling};
use spoor_operators::time::Day;

/// Places in the file are multiples of this.
const UNIT: u64 = 64;
/// Bytes a hash table needs for each of its slots besides the slot.
const TABLE_BYTE: usize = 1;

/// What of hot state is spilled, and how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SpillOptions {
    /// Most bytes of all workers' files; 0: nothing is spilled.
    pub bytes_max: u64,
    /// How it is written.
    pub codec: SpillCodec,
}

/// How identity-days are written for the spill.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SpillCodec {
    /// As the rows sessions are stored as.
    #[default]
    Rows,
    /// As they lie in memory; only in a build with the feature `abomonation`.
    Abomonation,
}

impl SpillCodec {
    /// The codec; none where this build has not got it.
    #[must_use]
    pub fn codec(self) -> Option<Box<dyn HotCodec>> {
        match self {
            Self::Rows => Some(Box::new(Rows::default())),
            #[cfg(feature = "abomonation")]
            Self::Abomonation => {
                Some(Box::new(spoor_operators::sessionize::codec::abomonation::Mirrors::default()))
            }
            #[cfg(not(feature = "abomonation"))]
            Self::Abomonation => None,
        }
    }
}

/// A spill for one of so many workers; none where nothing is to be spilled.
///
/// # Errors
/// The file cannot be made.
pub(super) fn spilling(
    directory: &Path,
    options: SpillOptions,
    workers: usize,
) -> io::Result<Option<Spilling>> {
    let bytes_max = options.bytes_max / workers.max(1) as u64;
    let Some(codec) = options.codec.codec().filter(|_| bytes_max > 0) else { return Ok(None) };
    let file = FileSpill::new(tempfile::tempfile_in(directory)?, bytes_max);
    Ok(Some(Spilling::new(Box::new(file), codec)))
}

/// A file written round and round.
struct FileSpill {
    file: File,
    /// Bytes of the file, in units.
    units_max: u32,
    /// Where the next entry goes, in units.
    head: u32,
    index: HashTable<Slot>,
    /// Entries as they were written, the oldest first: those of the last round from `head` on, then
    /// those of this one before it. Some were taken since.
    order: VecDeque<(u64, u32)>,
    /// The file failed: nothing is kept any more.
    failed: bool,
}

/// Where an entry is.
struct Slot {
    hash: u64,
    at: u32,
    len: u32,
    day: Day,
}

/// What an entry is found by. An identity's bits can be chosen by trying values.
fn hash(key: DayKey) -> u64 {
    seeded::hash(key)
}

impl FileSpill {
    fn new(file: File, bytes_max: u64) -> Self {
        Self {
            file,
            units_max: u32::try_from(bytes_max / UNIT).unwrap_or(u32::MAX),
            head: 0,
            index: HashTable::new(),
            order: VecDeque::new(),
            failed: false,
        }
    }

    fn forget(&mut self, hash: u64) -> Option<Slot> {
        let found = self.index.find_entry(hash, |slot| slot.hash == hash).ok()?;
        Some(found.remove().0)
    }

    /// Makes `units` free at the head: the entries there are the oldest.
    fn make_room(&mut self, units: u32) {
        if units > self.units_max - self.head {
            self.forget_from(|at, head| at >= head);
            self.head = 0;
        }
        self.forget_from(|at, head| at >= head && at - head < units);
    }

    /// Forgets the oldest entries while they are where `is_there` says, given the head.
    fn forget_from(&mut self, is_there: impl Fn(u32, u32) -> bool) {
        while let Some(&(hash, at)) = self.order.front().filter(|(_, at)| is_there(*at, self.head))
        {
            self.order.pop_front();
            let same = |slot: &Slot| slot.hash == hash && slot.at == at;
            if let Ok(found) = self.index.find_entry(hash, same) {
                found.remove();
            }
        }
    }

    fn fail(&mut self, error: &io::Error) {
        tracing::warn!(%error, "hot state is not spilled any more: its file failed");
        self.failed = true;
        self.index = HashTable::new();
        self.order = VecDeque::new();
    }
}

impl Spill for FileSpill {
    fn put(&mut self, key: DayKey, bytes: &[u8]) {
        let hash = hash(key);
        self.forget(hash);
        let Ok(len) = u32::try_from(bytes.len()) else { return };
        let units = len.div_ceil(UNIT as u32);
        if self.failed || units > self.units_max {
            return;
        }
        self.make_room(units);
        if let Err(error) = self.file.write_all_at(bytes, u64::from(self.head) * UNIT) {
            return self.fail(&error);
        }
        let slot = Slot { hash, at: self.head, len, day: key.day };
        self.index.insert_unique(hash, slot, |slot| slot.hash);
        self.order.push_back((hash, self.head));
        self.head += units;
    }

    fn take(&mut self, key: DayKey, out: &mut Vec<u8>) -> bool {
        let Some(slot) = self.forget(hash(key)) else { return false };
        out.resize(slot.len as usize, 0);
        match self.file.read_exact_at(out, u64::from(slot.at) * UNIT) {
            Ok(()) => true,
            Err(error) => {
                self.fail(&error);
                false
            }
        }
    }

    fn drop_before(&mut self, day: Day) {
        self.index.retain(|slot| slot.day >= day);
    }

    fn memory_bytes(&self) -> usize {
        self.index.capacity() * (size_of::<Slot>() + TABLE_BYTE)
            + self.order.capacity() * size_of::<(u64, u32)>()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;
    use spoor_operators::identity::IdentityId;

    use super::*;

    /// What is done to a spill: a small world of identity-days, so that things repeat.
    #[derive(Clone, Debug)]
    enum Act {
        Put(u8, usize),
        Take(u8),
        DropBefore(i32),
    }

    fn act() -> impl Strategy<Value = Act> {
        prop_oneof![
            6 => (0..20_u8, 0..400_usize).prop_map(|(key, len)| Act::Put(key, len)),
            3 => (0..20_u8).prop_map(Act::Take),
            1 => (0..5_i32).prop_map(Act::DropBefore),
        ]
    }

    fn key(number: u8) -> DayKey {
        DayKey { day: Day(i32::from(number % 5)), identity: IdentityId(u128::from(number)) }
    }

    fn spill(bytes_max: u64) -> FileSpill {
        FileSpill::new(tempfile::tempfile().unwrap(), bytes_max)
    }

    proptest! {
        #[test]
        fn nothing_comes_back_but_the_last_that_was_put_and_the_file_stays_bounded(
            acts in prop::collection::vec(act(), 0..200),
            bytes_max in prop_oneof![Just(0), Just(1_000), Just(4_096), Just(1 << 20)],
        ) {
            let (mut spill, mut known) = (spill(bytes_max), HashMap::new());
            for (number, act) in acts.into_iter().enumerate() {
                match act {
                    Act::Put(who, len) => {
                        let bytes = vec![number as u8; len];
                        spill.put(key(who), &bytes);
                        known.insert(key(who), bytes);
                    }
                    Act::Take(who) => {
                        let mut out = Vec::new();
                        let expected = known.remove(&key(who));
                        if spill.take(key(who), &mut out) {
                            prop_assert_eq!(Some(out), expected);
                        } else {
                            // Only what is too old may be lost.
                            prop_assert!(expected.is_none() || bytes_max < 1 << 20);
                        }
                    }
                    Act::DropBefore(day) => {
                        spill.drop_before(Day(day));
                        known.retain(|key, _| key.day >= Day(day));
                    }
                }
                prop_assert!(spill.file.metadata().unwrap().len() <= bytes_max);
            }
        }
    }

    #[test]
    fn the_newest_entries_are_kept() {
        let mut spill = spill(10 * UNIT);
        let mut out = Vec::new();
        (0..25).for_each(|number| spill.put(key(number), &[number; UNIT as usize]));
        let kept: Vec<u8> = (0..25)
            .filter(|number| {
                out.clear();
                spill.take(key(*number), &mut out) && out == [*number; UNIT as usize]
            })
            .collect();
        assert_eq!(kept, (15..25).collect::<Vec<_>>());
    }

    #[test]
    fn a_file_that_fails_keeps_nothing() {
        let path = tempfile::NamedTempFile::new().unwrap();
        let mut spill = FileSpill::new(File::open(path.path()).unwrap(), 1 << 20);
        spill.put(key(1), b"a");
        assert!(spill.failed && !spill.take(key(1), &mut Vec::new()));
    }
}
