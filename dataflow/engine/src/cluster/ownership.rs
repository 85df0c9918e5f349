//! Which process and which worker own a virtual partition.
//!
//! The process is a jump consistent hash of the partition (Lamping and Veach, "A Fast, Minimal
//! Memory, Consistent Hash Algorithm", 2014), so that one more process takes its share from all
//! others and nothing else moves. The worker within the process is the partition modulo the number
//! of workers, so other numbers of workers move nothing between stores.

use std::sync::Arc;

use spoor_operators::identity::PARTITIONS;

/// See the module's description.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ownership {
    processes: usize,
    workers: usize,
}

impl Ownership {
    /// Of `processes` with `workers` each.
    ///
    /// # Panics
    /// When one of them is zero.
    #[must_use]
    pub fn new(processes: usize, workers: usize) -> Self {
        assert!(processes > 0 && workers > 0, "somebody has to own a partition");
        Self { processes, workers }
    }

    /// The process that owns a partition.
    #[must_use]
    pub fn process(&self, partition: u16) -> usize {
        jump_hash(u64::from(partition), self.processes)
    }

    /// The worker that owns a partition, by its index in the whole cluster.
    #[must_use]
    pub fn worker(&self, partition: u16) -> usize {
        self.process(partition) * self.workers + usize::from(partition) % self.workers
    }

    /// The worker that owns each partition.
    #[must_use]
    pub fn route(&self) -> Arc<[u32]> {
        (0..PARTITIONS).map(|partition| self.worker(partition) as u32).collect()
    }
}

/// The bucket of a key among `buckets`, by Lamping and Veach.
fn jump_hash(key: u64, buckets: usize) -> usize {
    // Neighbouring partitions are to go to different processes: spread them first.
    let mut key = key.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0x5851_F42D_4C95_7F2D;
    let (mut bucket, mut next) = (0_u64, 0_u64);
    while next < buckets as u64 {
        bucket = next;
        key = key.wrapping_mul(2_862_933_555_777_941_757).wrapping_add(1);
        let step = (1_u64 << 31) as f64 / ((key >> 33) + 1) as f64;
        next = ((bucket + 1) as f64 * step) as u64;
    }
    bucket as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owned(processes: usize) -> Vec<usize> {
        (0..PARTITIONS).map(|partition| Ownership::new(processes, 1).process(partition)).collect()
    }

    #[test]
    fn a_process_alone_owns_everything_and_its_workers_share_it_evenly() {
        let alone = Ownership::new(1, 3);
        for partition in 0..PARTITIONS {
            assert_eq!(alone.process(partition), 0);
            assert_eq!(alone.worker(partition), usize::from(partition) % 3);
        }
    }

    #[test]
    fn one_more_process_takes_its_share_and_nothing_else_moves() {
        for processes in 1..16 {
            let (before, after) = (owned(processes), owned(processes + 1));
            let moved = before.iter().zip(&after).filter(|(before, after)| before != after);
            assert!(moved.clone().all(|(_, &after)| after == processes), "only to the new one");
            let share = usize::from(PARTITIONS) / (processes + 1);
            let moved = moved.count();
            assert!(moved.abs_diff(share) <= share / 2, "{moved} of {share} moved");
        }
    }

    #[test]
    fn other_numbers_of_workers_move_nothing_between_processes() {
        for partition in 0..PARTITIONS {
            let of = |workers| Ownership::new(3, workers);
            assert_eq!(of(1).process(partition), of(4).process(partition));
            assert_eq!(of(4).worker(partition) / 4, of(1).process(partition));
        }
        assert_eq!(Ownership::new(2, 2).route().len(), usize::from(PARTITIONS));
    }
}
