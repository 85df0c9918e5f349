//! What a worker's scan of the log and its state say to each other about a large identity-day.
//!
//! The scan ([`regroup`](crate::regroup)) and the state
//! ([`StoreBackend`](crate::backend)) of a worker run on one thread, but the scan may be some
//! epochs ahead. So it notes, epoch by epoch, what the state is to do, and the state answers when it
//! has done it:
//!
//! 1. the scan meets a day with more requests than a slice, and asks in every epoch for one more
//!    piece of it to be *told*;
//! 2. the state tells all of them, and answers that the day is ready, or is to be told once more
//!    because requests share ids, or cannot be taken in pieces;
//! 3. the scan retracts what moves, a piece in every epoch, cut at the same blocks.
//!
//! Nothing of this is stored: after a restart the scan meets the day again, as far as it has come.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use spoor_operators::sessionize::backend::DayKey;
use spoor_operators::time::Epoch;

/// What the scan wants of the state in an epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Tell one more piece of a day.
    Tell(Attempt),
    /// Requests of these blocks, from the first to the last, are retracted.
    Retract {
        /// Of this day.
        key: DayKey,
        /// Epochs of the blocks.
        blocks: (Epoch, Epoch),
    },
    /// The day is not looked at any more.
    Drop(DayKey),
}

/// A day that is being backfilled. Another attempt at the same day has another number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// Which day.
    pub key: DayKey,
    /// Counted by the scan.
    pub number: u64,
}

/// What the state answers to an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// All requests retained before an epoch are told.
    Ready {
        /// That epoch.
        until: Epoch,
        /// How many requests were told.
        requests: u64,
        /// Whether any of them is to be retracted.
        moves: bool,
    },
    /// The day is to be told once more: by another attempt.
    Again,
    /// The day has to be retracted at once.
    AtOnce,
}

/// See the module's description.
#[derive(Debug, Default)]
pub struct Steps {
    wanted: BTreeMap<u64, Vec<Step>>,
    told: Option<(u64, Told)>,
}

/// Of one worker.
pub type SharedSteps = Rc<RefCell<Steps>>;

impl Steps {
    /// Notes what an epoch is to do.
    pub fn want(&mut self, epoch: u64, step: Step) {
        self.wanted.entry(epoch).or_default().push(step);
    }

    /// What an epoch is to do; those before it are over.
    pub fn take(&mut self, epoch: Epoch) -> Vec<Step> {
        let later = self.wanted.split_off(&(epoch.0 + 1));
        let wanted = std::mem::replace(&mut self.wanted, later);
        wanted.into_iter().filter(|(at, _)| *at == epoch.0).flat_map(|(_, steps)| steps).collect()
    }

    /// The state's answer to an attempt; the last one holds.
    pub fn tell(&mut self, attempt: Attempt, told: Told) {
        self.told = Some((attempt.number, told));
    }

    /// See [`Steps::tell`].
    #[must_use]
    pub fn told(&self, attempt: Attempt) -> Option<Told> {
        self.told.filter(|(number, _)| *number == attempt.number).map(|(_, told)| told)
    }
}
