//! Names of what the engine keeps in the store for itself.

/// The first retained day.
pub const FIRST_DAY: &str = "first-day";
/// Version of the rules a regroup that has not ended brings about.
pub const REGROUP: &str = "regroup";
/// Which process of how many the store belongs to; none: the only one.
pub const SHAPE: &str = "shape";
/// Mark of a store that is being brought to another number of processes, or has left.
pub const RESHAPE: &str = "reshape";
/// What the names of [`open_second`] begin with.
pub const OPEN_PREFIX: &str = "open/";

/// The row of a second in which sessions close.
#[must_use]
pub fn open_second(second: i64) -> String {
    format!("{OPEN_PREFIX}{second}")
}
