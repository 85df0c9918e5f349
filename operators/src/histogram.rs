//! A histogram of durations: log-linear buckets, counts exact, retractable.
//!
//! Every power of two is cut into [`SUB_BUCKETS`] equal parts, so a bucket's middle is within
//! 1/128 (0.8 %) of anything in it, and values below 128 ns are exact. Only integer arithmetic
//! decides the bucket: every machine agrees. Buckets are kept sparse and sorted, one `u64` each
//! (bucket above, count below), so a copy is one `memcpy` and adding is a binary search over at
//! most [`BUCKETS`] of them. What was added can be subtracted.

use crate::wire::{Malformed, Reader, put_u64};

/// Parts of every power of two.
pub const SUB_BUCKETS: u64 = 64;
/// Number of buckets a `u64` can fall into.
pub const BUCKETS: u64 = 59 * SUB_BUCKETS;

const SUB_BITS: u32 = SUB_BUCKETS.trailing_zeros();
const COUNT_BITS: u32 = 48;
const COUNT_MASK: u64 = (1 << COUNT_BITS) - 1;

/// Counts of values by bucket.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Histogram {
    /// `bucket << COUNT_BITS | count`, ascending; no count is 0.
    cells: Vec<u64>,
}

fn bucket_of(value: u64) -> u64 {
    let above = u64::BITS - (value >> (SUB_BITS + 1)).leading_zeros();
    (value >> above) + u64::from(above) * SUB_BUCKETS
}

/// The middle of a bucket, rounded down.
fn middle_of(bucket: u64) -> u64 {
    let above = (bucket / SUB_BUCKETS).saturating_sub(1);
    let low = (bucket - above * SUB_BUCKETS) << above;
    low + ((1_u64 << above) >> 1)
}

impl Histogram {
    /// Counts a value.
    #[inline]
    pub fn add(&mut self, value: u64) {
        self.add_count(bucket_of(value), 1);
    }

    fn add_count(&mut self, bucket: u64, count: u64) {
        let key = bucket << COUNT_BITS;
        let at = self.cells.partition_point(|cell| *cell < key);
        match self.cells.get_mut(at) {
            Some(cell) if *cell >> COUNT_BITS == bucket => {
                *cell = key | (*cell & COUNT_MASK).saturating_add(count).min(COUNT_MASK);
            }
            _ => self.cells.insert(at, key | count.min(COUNT_MASK)),
        }
    }

    /// Takes back a value that was counted; whether it was.
    pub fn subtract(&mut self, value: u64) -> bool {
        let bucket = bucket_of(value);
        let at = self.cells.partition_point(|cell| *cell < bucket << COUNT_BITS);
        match self.cells.get_mut(at) {
            Some(cell) if *cell >> COUNT_BITS == bucket => {
                *cell -= 1;
                if *cell & COUNT_MASK == 0 {
                    self.cells.remove(at);
                }
                true
            }
            _ => false,
        }
    }

    /// Counts everything another one counted.
    pub fn merge(&mut self, other: &Self) {
        if self.cells.is_empty() {
            self.cells.clone_from(&other.cells);
            return;
        }
        for cell in &other.cells {
            self.add_count(cell >> COUNT_BITS, cell & COUNT_MASK);
        }
    }

    /// Number of values counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.cells.iter().map(|cell| cell & COUNT_MASK).sum()
    }

    /// Number of buckets in use.
    #[must_use]
    pub fn buckets(&self) -> usize {
        self.cells.len()
    }

    /// See [`crate::summary::Summary::warm`].
    #[inline]
    pub(crate) fn warm(&self) -> u64 {
        self.cells.get(self.cells.len() / 2).copied().unwrap_or(0)
    }

    /// Approximate bytes on the heap.
    #[must_use]
    pub(crate) fn heap_bytes(&self) -> usize {
        self.cells.capacity() * size_of::<u64>()
    }

    /// The value at quantile `q` in 0..=1 by nearest rank, within 1 % of the exact one; none when
    /// nothing was counted.
    #[must_use]
    pub fn quantile(&self, q: f64) -> Option<u64> {
        let count = self.count();
        let rank = ((q.clamp(0.0, 1.0) * count as f64).ceil() as u64).clamp(1, count.max(1));
        let mut seen = 0;
        for cell in &self.cells {
            seen += cell & COUNT_MASK;
            if seen >= rank {
                return Some(middle_of(cell >> COUNT_BITS));
            }
        }
        None
    }

    /// Appends the stored form: the number of cells, then bucket steps and counts.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_u64(out, self.cells.len() as u64);
        let mut before = 0;
        for cell in &self.cells {
            let bucket = cell >> COUNT_BITS;
            put_u64(out, bucket - before);
            put_u64(out, cell & COUNT_MASK);
            before = bucket;
        }
    }

    /// Reads the stored form.
    ///
    /// # Errors
    /// [`Malformed`] for anything [`Histogram::encode`] does not write.
    pub fn decode(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        let len = from.u64()?;
        if len > BUCKETS {
            return Err(Malformed("buckets of a histogram"));
        }
        let mut cells = Vec::with_capacity(len as usize);
        let mut bucket = 0_u64;
        for at in 0..len {
            let (step, count) = (from.u64()?, from.u64()?);
            bucket = bucket.saturating_add(step);
            let in_order = at == 0 || step > 0;
            if !in_order || bucket >= BUCKETS || count == 0 || count > COUNT_MASK {
                return Err(Malformed("cell of a histogram"));
            }
            cells.push(bucket << COUNT_BITS | count);
        }
        Ok(Self { cells })
    }
}

impl Histogram {
    /// Passes over a stored form.
    ///
    /// # Errors
    /// [`Malformed`] when it ends early.
    pub(crate) fn skip(from: &mut Reader<'_>) -> Result<(), Malformed> {
        for _ in 0..from.u64()? {
            from.u64()?;
            from.u64()?;
        }
        Ok(())
    }
}

#[cfg(feature = "abomonation")]
impl Histogram {
    /// All there is to it.
    pub(crate) fn cells(&self) -> &[u64] {
        &self.cells
    }

    /// The inverse of [`Histogram::cells`].
    ///
    /// # Errors
    /// [`Malformed`] unless buckets ascend and none is empty or unknown.
    pub(crate) fn from_cells(cells: Vec<u64>) -> Result<Self, Malformed> {
        let bucket = |cell: &u64| *cell >> COUNT_BITS;
        let known = |cell: &u64| bucket(cell) < BUCKETS && *cell & COUNT_MASK > 0;
        if cells.iter().all(known) && cells.is_sorted_by(|a, b| bucket(a) < bucket(b)) {
            Ok(Self { cells })
        } else {
            Err(Malformed("cell of a histogram"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn values() -> impl Strategy<Value = Vec<u64>> {
        let any_size = (0_u32..64, any::<u64>()).prop_map(|(shift, value)| value >> shift);
        prop::collection::vec(any_size, 1..200)
    }

    #[test]
    fn every_value_has_a_bucket_and_buckets_follow_the_order_of_values() {
        let mut before = 0;
        for value in (0..4096).chain((12..64).flat_map(|bit| {
            let power = 1_u64 << bit;
            [power - 1, power, power + power / 3]
        })) {
            let bucket = bucket_of(value);
            assert!(bucket >= before && bucket < BUCKETS, "{value}");
            let error = middle_of(bucket).abs_diff(value) as f64;
            assert!(error <= value as f64 / 128.0, "{value}: {error}");
            assert!(value >= 128 || error == 0.0, "{value}");
            before = bucket;
        }
        assert_eq!(bucket_of(u64::MAX), BUCKETS - 1);
    }

    proptest! {
        #[test]
        fn quantiles_are_within_one_percent_of_nearest_rank(mut all in values(), q in 0.0..=1.0_f64) {
            let mut histogram = Histogram::default();
            all.iter().for_each(|value| histogram.add(*value));
            all.sort_unstable();
            let rank = ((q * all.len() as f64).ceil() as usize).max(1);
            let exact = all[rank - 1];
            let found = histogram.quantile(q).unwrap();
            prop_assert!(found.abs_diff(exact) as f64 <= exact as f64 * 0.01, "{found} {exact}");
        }

        #[test]
        fn what_was_added_can_be_subtracted_and_merged(all in values(), more in values()) {
            let count = |values: &[u64]| {
                let mut histogram = Histogram::default();
                values.iter().for_each(|value| histogram.add(*value));
                histogram
            };
            let mut both = count(&all);
            both.merge(&count(&more));
            prop_assert_eq!(&both, &count(&[all.clone(), more.clone()].concat()));
            prop_assert!(more.iter().all(|value| both.subtract(*value)));
            prop_assert_eq!(&both, &count(&all));
            let mut bytes = Vec::new();
            both.encode(&mut bytes);
            prop_assert_eq!(Histogram::decode(&mut Reader(&bytes)), Ok(both));
            for len in 0..bytes.len() {
                prop_assert!(Histogram::decode(&mut Reader(&bytes[..len])).is_err());
            }
        }
    }

    #[test]
    fn nothing_counted_has_no_quantile_and_nothing_to_take_back() {
        let mut none = Histogram::default();
        assert_eq!(none.quantile(0.5), None);
        assert!(!none.subtract(1));
    }
}
