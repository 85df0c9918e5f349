//! Names of what the engine keeps in the store's `meta`.

use spoor_operators::time::EventTime;

/// The watermark of the whole.
pub const WATERMARK: &[u8] = b"engine/watermark";
/// The first retained day.
pub const FIRST_DAY: &[u8] = b"engine/first-day";
/// Version of the rules a regroup that has not ended brings about.
pub const REGROUP: &[u8] = b"engine/regroup";
/// What the keys of [`open_second`] begin with.
pub const OPEN_PREFIX: &[u8] = b"engine/open/";

/// The row of a second in which sessions close.
#[must_use]
pub fn open_second(second: i64) -> Vec<u8> {
    [OPEN_PREFIX, &(second.cast_unsigned() ^ (1 << 63)).to_be_bytes()].concat()
}

/// The value of [`WATERMARK`].
#[must_use]
pub fn watermark_value(watermark: EventTime) -> Vec<u8> {
    watermark.0.to_be_bytes().to_vec()
}

/// The inverse of [`watermark_value`].
#[must_use]
pub fn read_watermark(value: &[u8]) -> Option<EventTime> {
    value.try_into().ok().map(|bytes| EventTime(i64::from_be_bytes(bytes)))
}
