//! Which committed epochs are part of a store's history.
//!
//! Epochs count from 1 in every store, so a number alone does not tell an epoch of this store from
//! one of another: of a store that was made anew, of the original of a restored copy, or of a
//! future that was lost with the last commits. Every opening of a store therefore draws a random
//! [`OpeningId`], and an epoch that is given to a client goes with the opening that committed it:
//! an [`EpochToken`]. The store keeps its last openings with the epoch each ended at, its
//! [`Lineage`]: a token is known when its opening is among them and its epoch survived it. In a
//! cluster the lineage of process 0 counts.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use spoor_operators::time::Epoch;
use spoor_operators::wire::{Malformed, Reader, put_u64};

/// Openings a store remembers; tokens of older ones are no longer known.
pub const OPENINGS_MAX: usize = 64;

/// One opening of one store: a random number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpeningId(pub u64);

/// An epoch and the opening it was told in: what clients hand back. Written
/// `<opening>-<epoch>`, the opening as 16 hex digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochToken {
    /// Who committed it, or told of it.
    pub opening: OpeningId,
    /// The epoch.
    pub epoch: Epoch,
}

impl fmt::Display for EpochToken {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{:016x}-{}", self.opening.0, self.epoch.0)
    }
}

/// A text that is no [`EpochToken`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an epoch token such as 5f0c3a9be1d24477-1042")]
pub struct NoEpochToken;

impl FromStr for EpochToken {
    type Err = NoEpochToken;

    fn from_str(text: &str) -> Result<Self, NoEpochToken> {
        let (opening, epoch) = text.split_once('-').ok_or(NoEpochToken)?;
        let read = || {
            let opening = u64::from_str_radix(opening, 16).ok()?;
            Some(Self { opening: OpeningId(opening), epoch: Epoch(epoch.parse().ok()?) })
        };
        // Only what is written as we write it: no signs, no leading zeros.
        read().filter(|token| token.to_string() == text).ok_or(NoEpochToken)
    }
}

/// The last openings of a store.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lineage {
    /// Openings before this one, oldest first, each with the last of its epochs that survived.
    past: Vec<(OpeningId, u64)>,
    current: OpeningId,
}

impl Lineage {
    /// That of a new store.
    #[must_use]
    pub fn new(first: OpeningId) -> Self {
        Self { past: Vec::new(), current: first }
    }

    /// That of the same store when it is opened again and stands at `committed`.
    #[must_use]
    pub fn reopened(mut self, next: OpeningId, committed: Epoch) -> Self {
        self.past.push((self.current, committed.0));
        let excess = self.past.len().saturating_sub(OPENINGS_MAX);
        self.past.drain(..excess);
        Self { past: self.past, current: next }
    }

    /// A committed epoch, as it is told to clients.
    #[must_use]
    pub fn token(&self, epoch: Epoch) -> EpochToken {
        EpochToken { opening: self.current, epoch }
    }

    /// The epoch of this store that a token names; none when it is of another store, of a future
    /// that was lost, or of an opening that is no longer remembered. It may not be committed yet.
    #[must_use]
    pub fn epoch_of(&self, token: EpochToken) -> Option<Epoch> {
        let survived = |(opening, until): &(OpeningId, u64)| {
            *opening == token.opening && token.epoch.0 <= *until
        };
        let known = token.opening == self.current || self.past.iter().any(survived);
        known.then_some(token.epoch)
    }

    /// Appends the stored form.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_u64(out, self.past.len() as u64);
        for (opening, until) in &self.past {
            put_u64(out, opening.0);
            put_u64(out, *until);
        }
        put_u64(out, self.current.0);
    }

    /// Reads the stored form.
    ///
    /// # Errors
    /// [`Malformed`] when it ends early, or has more openings than are kept.
    pub fn decode(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        let length = usize::try_from(from.u64()?).unwrap_or(usize::MAX);
        if length > OPENINGS_MAX {
            return Err(Malformed("openings of a store"));
        }
        let mut past = Vec::with_capacity(length);
        for _ in 0..length {
            past.push((OpeningId(from.u64()?), from.u64()?));
        }
        Ok(Self { past, current: OpeningId(from.u64()?) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(opening: u64, epoch: u64) -> EpochToken {
        EpochToken { opening: OpeningId(opening), epoch: Epoch(epoch) }
    }

    #[test]
    fn only_epochs_of_this_history_are_known() {
        let first = Lineage::new(OpeningId(1));
        let second = first.clone().reopened(OpeningId(2), Epoch(80));
        // A copy of the store as it stood at epoch 80, opened elsewhere.
        let restored = first.clone().reopened(OpeningId(3), Epoch(80));
        let again = restored.clone().reopened(OpeningId(4), Epoch(120));
        let check = |lineage: &Lineage, token: EpochToken, known: bool| {
            let found = lineage.epoch_of(token);
            assert_eq!(found, known.then_some(token.epoch), "{token} in {lineage:?}");
        };
        check(&first, first.token(Epoch(5)), true);
        check(&first, token(9, 5), false);
        check(&second, token(1, 80), true);
        check(&second, token(1, 81), false);
        check(&second, token(2, 81), true);
        check(&restored, token(2, 79), false);
        // The first opening went on to 100 elsewhere; the copy has an epoch 100 of its own.
        check(&again, token(1, 100), false);
        check(&again, token(3, 100), true);
        check(&again, token(3, 121), false);
    }

    #[test]
    fn a_store_remembers_its_last_openings() {
        let mut lineage = Lineage::new(OpeningId(0));
        for opening in 1..=OPENINGS_MAX as u64 + 1 {
            lineage = lineage.reopened(OpeningId(opening), Epoch(7));
        }
        assert_eq!(lineage.epoch_of(token(0, 7)), None);
        assert_eq!(lineage.epoch_of(token(1, 7)), Some(Epoch(7)));
        let mut stored = Vec::new();
        lineage.encode(&mut stored);
        assert_eq!(Lineage::decode(&mut Reader(&stored)), Ok(lineage));
        for length in 0..stored.len() {
            assert!(Lineage::decode(&mut Reader(&stored[..length])).is_err());
        }
    }

    #[test]
    fn tokens_are_written_in_one_way() {
        for good in ["0000000000000000-0", "5f0c3a9be1d24477-18446744073709551615"] {
            assert_eq!(good.parse::<EpochToken>().unwrap().to_string(), good);
        }
        for bad in [
            "",
            "5",
            "-",
            "1-1",
            "5F0C3A9BE1D24477-1",
            "5f0c3a9be1d24477-01",
            "5f0c3a9be1d24477-+1",
            "5f0c3a9be1d24477-18446744073709551616",
            "5f0c3a9be1d24477-1 ",
        ] {
            assert_eq!(bad.parse::<EpochToken>(), Err(NoEpochToken), "{bad}");
        }
    }
}
