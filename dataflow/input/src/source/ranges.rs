//! Ranges of bytes: which parts of a file were read, and who reads the rest.
//!
//! A file that several processes can read is divided among them by bytes, at line starts, so each
//! reads one stretch of what nobody has read. What was read is kept as ranges with each process's
//! state of the source; the union over all processes is what is done, whoever reads on.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

/// Disjoint ranges `from..until`, in order, that do not touch each other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ranges(Vec<(u64, u64)>);

impl Ranges {
    /// One range, or none when it is empty.
    #[must_use]
    pub fn one(from: u64, until: u64) -> Self {
        let mut ranges = Self::default();
        ranges.add(from, until);
        ranges
    }

    /// The ranges, in order.
    #[must_use]
    pub fn list(&self) -> &[(u64, u64)] {
        &self.0
    }

    /// Number of bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.0.iter().map(|(from, until)| until - from).sum()
    }

    /// Adds a range.
    pub fn add(&mut self, from: u64, until: u64) {
        if from >= until {
            return;
        }
        let (mut from, mut until) = (from, until);
        self.0.retain(|&(other_from, other_until)| {
            let touches = other_from <= until && from <= other_until;
            if touches {
                (from, until) = (from.min(other_from), until.max(other_until));
            }
            !touches
        });
        let at = self.0.partition_point(|(other, _)| *other < from);
        self.0.insert(at, (from, until));
    }

    /// Adds all of others.
    pub fn union(&mut self, others: &Self) {
        others.0.iter().for_each(|(from, until)| self.add(*from, *until));
    }

    /// What they leave of the first `len` bytes.
    #[must_use]
    pub fn missing(&self, len: u64) -> Self {
        let (mut missing, mut at) = (Self::default(), 0);
        for &(from, until) in &self.0 {
            missing.add(at, from.min(len));
            at = until;
        }
        missing.add(at, len);
        missing
    }

    /// As the checkpoint of a divided source.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(&self.0).expect("numbers are plain data")
    }

    /// What a checkpoint says was read: ranges, or everything before an offset.
    #[must_use]
    pub fn decode(checkpoint: &[u8]) -> Option<Self> {
        let Ok(list) = serde_json::from_slice::<Vec<(u64, u64)>>(checkpoint) else {
            let offset = <[u8; 8]>::try_from(checkpoint).ok()?;
            return Some(Self::one(0, u64::from_le_bytes(offset)));
        };
        let mut ranges = Self::default();
        list.into_iter().for_each(|(from, until)| ranges.add(from, until));
        Some(ranges)
    }

    /// The share of the `at`-th of `shares` readers: a stretch of these ranges, cut where `align`
    /// says a line starts. Together the shares are these ranges, and no two overlap.
    ///
    /// # Errors
    /// Those of `align`, which is given an offset and how far it may look.
    pub fn share(
        &self,
        at: usize,
        shares: usize,
        mut align: impl FnMut(u64, u64) -> io::Result<u64>,
    ) -> io::Result<Self> {
        let cut = |number: usize| (self.bytes() as u128 * number as u128 / shares as u128) as u64;
        let mut place = |number: usize| self.place(cut(number), &mut align);
        let (first, last) = (place(at)?, place(at + 1)?);
        let mut share = Self::default();
        for &(from, until) in &self.0 {
            share.add(from.max(first), until.min(last));
        }
        Ok(share)
    }

    /// The aligned place that so many bytes of the ranges lie before.
    fn place(
        &self,
        mut before: u64,
        align: &mut impl FnMut(u64, u64) -> io::Result<u64>,
    ) -> io::Result<u64> {
        for &(from, until) in &self.0 {
            if before == 0 {
                return Ok(from);
            }
            if before < until - from {
                return align(from + before, until);
            }
            before -= until - from;
        }
        Ok(self.0.last().map_or(0, |(_, until)| *until))
    }
}

/// The first line of a file that starts at `offset` or behind it, but not behind `until`.
///
/// # Errors
/// The file cannot be read.
pub fn line_start(path: &Path, offset: u64, until: u64) -> io::Result<u64> {
    let Some(before) = offset.checked_sub(1) else { return Ok(0) };
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(before))?;
    let mut buffer = [0; 1 << 14];
    let mut at = before;
    loop {
        let read = file.read(&mut buffer)?;
        if let Some(end) = memchr::memchr(b'\n', &buffer[..read]) {
            return Ok((at + end as u64 + 1).min(until));
        }
        at += read as u64;
        if read == 0 || at >= until {
            return Ok(until);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_checkpoint_is_ranges_or_an_offset() {
        let check = |checkpoint: &[u8], expected: Option<&[(u64, u64)]>| {
            assert_eq!(Ranges::decode(checkpoint).as_ref().map(Ranges::list), expected);
        };
        check(&7_u64.to_le_bytes(), Some(&[(0, 7)]));
        check(&0_u64.to_le_bytes(), Some(&[]));
        check(b"[[0,5],[9,12]]", Some(&[(0, 5), (9, 12)]));
        check(b"[[5,9],[0,5]]", Some(&[(0, 9)]));
        check(&0x5b_u64.to_le_bytes(), Some(&[(0, 0x5b)]));
        check(b"[[1,23]]x", None);
        check(b"", None);
    }

    proptest! {
        #[test]
        fn ranges_are_the_set_of_their_bytes(
            added in prop::collection::vec((0_u64..60, 0_u64..60), 0..12), len in 0_u64..70,
        ) {
            let (mut ranges, mut bytes) = (Ranges::default(), [false; 70]);
            for (from, until) in added {
                ranges.add(from, until);
                (from..until.max(from)).for_each(|at| bytes[at as usize] = true);
            }
            let has = |ranges: &Ranges, at: u64| {
                ranges.list().iter().any(|(from, until)| (*from..*until).contains(&at))
            };
            for at in 0..70 {
                prop_assert_eq!(has(&ranges, at), bytes[at as usize]);
                let missing = at < len && !bytes[at as usize];
                prop_assert_eq!(has(&ranges.missing(len), at), missing);
            }
            prop_assert!(ranges.list().windows(2).all(|pair| pair[0].1 < pair[1].0));
            prop_assert_eq!(Ranges::decode(&ranges.encode()), Some(ranges));
        }

        #[test]
        fn shares_are_everything_once_and_begin_with_lines(
            lines in prop::collection::vec(0_usize..20, 1..40), shares in 1_usize..5,
            done in prop::collection::vec((0_usize..40, 0_usize..40), 0..3),
        ) {
            let text: String = lines.iter().map(|len| format!("{}\n", "x".repeat(*len))).collect();
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("log");
            std::fs::write(&path, &text).unwrap();
            let mut starts: Vec<u64> =
                text.bytes().zip(1..).filter(|(byte, _)| *byte == b'\n').map(|(_, at)| at).collect();
            starts.insert(0, 0);
            let mut read = Ranges::default();
            for (one, other) in done {
                read.add(starts[one % starts.len()], starts[other % starts.len()]);
            }
            let left = read.missing(text.len() as u64);
            let mut together = Ranges::default();
            for at in 0..shares {
                let share =
                    left.share(at, shares, |from, until| line_start(&path, from, until)).unwrap();
                let before = together.bytes();
                together.union(&share);
                prop_assert_eq!(together.bytes(), before + share.bytes(), "no byte twice");
                prop_assert!(share.list().iter().all(|(from, _)| starts.contains(from)));
            }
            prop_assert_eq!(together, left);
        }
    }
}
