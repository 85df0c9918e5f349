//! The hash of everything that lies in a table in memory and comes from outside.
//!
//! Its seed is drawn from the system's randomness when the process first needs it, so nobody can
//! choose keys that meet in one slot. Nothing that is stored, sent or shown may depend on it.

use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::LazyLock;

use foldhash::SharedSeed;
use foldhash::quality::SeedableRandomState;

static SEED: LazyLock<SeedableRandomState> = LazyLock::new(|| {
    static SHARED: LazyLock<SharedSeed> = LazyLock::new(|| SharedSeed::from_u64(random(0)));
    SeedableRandomState::with_seed(random(1), &SHARED)
});

/// A random number: the keys of the standard hasher come from the system.
fn random(which: u64) -> u64 {
    RandomState::new().hash_one(which)
}

/// The hash of a value, the same as long as the process lives.
#[inline]
pub fn hash<T: Hash>(value: T) -> u64 {
    SEED.hash_one(value)
}
