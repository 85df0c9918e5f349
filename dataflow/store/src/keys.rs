//! The keys of the store: how days, partitions, identities, epochs and instants become bytes.
//!
//! Every key of `requests`, `sessions`, `parts` and `index` begins with the event-time day, so a day
//! is one key range of each and retention drops it whole. In the first three the virtual partition
//! and the identity follow, so an identity-day is one contiguous run and a worker can seek to the
//! partitions it owns. A part of a session's breakdown then has the breakdown's anchor (an instant
//! within the session that stays the same when its start moves) and its place in the breakdown. `index` has a kind byte there instead of a partition: every
//! process has a store of its own, and entries of all its workers are told apart by epoch and part.
//! Numbers are big endian with the sign flipped, so bytes order as the numbers do.

use spoor_operators::breakdown::{PART_KEY_BYTES, PartKey};
use spoor_operators::identity::{IdentityId, PARTITIONS};
use spoor_operators::time::{DAY_MS, Day, Epoch, EventTime};
use spoor_operators::wire::Malformed;

/// Bytes of the day at the front of a key.
pub(super) const DAY_BYTES: usize = 4;
/// Bytes of `(day, partition, identity)`: the prefix an identity-day's rows and blocks share.
pub(super) const IDENTITY_DAY_BYTES: usize = 22;
/// Bytes of a key of `sessions` or `requests`.
pub(super) const ROW_KEY_BYTES: usize = 30;
/// Bytes of a key of `parts`.
pub(super) const BREAKDOWN_KEY_BYTES: usize = ROW_KEY_BYTES + PART_KEY_BYTES;
/// Bytes of `(day, kind, bucket)`: the prefix the parts of a posting list share.
pub(super) const BUCKET_BYTES: usize = 7;
/// Bytes of a key of `index`.
pub(super) const INDEX_KEY_BYTES: usize = 17;

/// What a key of `index` leads to. The numbers are part of the store's format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum IndexKind {
    /// Sessions by the minute they start in, newest first.
    Time = 1,
    /// Sessions by a value they have.
    Terms = 2,
    /// Identities by the id of a request.
    RequestIds = 3,
}

/// A session's start inside its day, in milliseconds since the midnight (UTC) before the day
/// before: a day of any zone begins and ends within that and three days more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Offset(pub(super) u32);

impl Offset {
    pub(super) fn of(day: Day, at: EventTime) -> Self {
        let base = (i64::from(day.0) - 1) * DAY_MS;
        Self((at.0 - base).clamp(0, i64::from(u32::MAX)) as u32)
    }

    pub(super) fn instant(self, day: Day) -> EventTime {
        EventTime((i64::from(day.0) - 1) * DAY_MS + i64::from(self.0))
    }

    /// The time index's bucket: minutes, counted down so that the newest comes first.
    pub(super) fn minute_bucket(self) -> u16 {
        !u16::try_from(self.0 / 60_000).unwrap_or(u16::MAX)
    }
}

pub(super) fn day_prefix(day: Day) -> [u8; DAY_BYTES] {
    ((day.0 as u32) ^ (1 << 31)).to_be_bytes()
}

/// The day a key begins with.
pub(super) fn day_of(key: &[u8]) -> Result<Day, Malformed> {
    let bytes = key.first_chunk::<DAY_BYTES>().ok_or(Malformed("key without a day"))?;
    Ok(Day((u32::from_be_bytes(*bytes) ^ (1 << 31)) as i32))
}

fn signed(value: i64) -> [u8; 8] {
    ((value as u64) ^ (1 << 63)).to_be_bytes()
}

fn unsigned(bytes: [u8; 8]) -> i64 {
    (u64::from_be_bytes(bytes) ^ (1 << 63)) as i64
}

/// `(day, partition, identity)`.
pub(super) fn identity_day(day: Day, identity: IdentityId) -> [u8; IDENTITY_DAY_BYTES] {
    let mut key = [0; IDENTITY_DAY_BYTES];
    key[..4].copy_from_slice(&day_prefix(day));
    key[4..6].copy_from_slice(&identity.partition().to_be_bytes());
    key[6..].copy_from_slice(&identity.0.to_be_bytes());
    key
}

/// `(day, partition)`: where the identities of a partition begin.
pub(super) fn partition_prefix(day: Day, partition: u16) -> [u8; 6] {
    let mut key = [0; 6];
    key[..4].copy_from_slice(&day_prefix(day));
    key[4..].copy_from_slice(&partition.to_be_bytes());
    key
}

/// Where the rows of the identities with these leading 64 bits begin.
pub(super) fn identity_head(day: Day, head: u64) -> [u8; 14] {
    let mut key = [0; 14];
    key[..4].copy_from_slice(&day_prefix(day));
    key[4..6].copy_from_slice(&((head >> 54) as u16).to_be_bytes());
    key[6..].copy_from_slice(&head.to_be_bytes());
    key
}

fn row(day: Day, identity: IdentityId, last: [u8; 8]) -> [u8; ROW_KEY_BYTES] {
    let mut key = [0; ROW_KEY_BYTES];
    key[..IDENTITY_DAY_BYTES].copy_from_slice(&identity_day(day, identity));
    key[IDENTITY_DAY_BYTES..].copy_from_slice(&last);
    key
}

/// Key of a session row.
pub(super) fn session(day: Day, identity: IdentityId, start: EventTime) -> [u8; ROW_KEY_BYTES] {
    row(day, identity, signed(start.0))
}

/// Key of a block of the request log.
pub(super) fn block(day: Day, identity: IdentityId, epoch: Epoch) -> [u8; ROW_KEY_BYTES] {
    row(day, identity, epoch.0.to_be_bytes())
}

/// Key of a part of the breakdown with an anchor. Its first [`ROW_KEY_BYTES`] are those of all parts
/// of that breakdown, as of a session row that starts at the anchor.
pub(super) fn part(
    day: Day,
    identity: IdentityId,
    anchor: EventTime,
    part: PartKey,
) -> [u8; BREAKDOWN_KEY_BYTES] {
    let mut key = [0; BREAKDOWN_KEY_BYTES];
    key[..ROW_KEY_BYTES].copy_from_slice(&session(day, identity, anchor));
    key[ROW_KEY_BYTES..].copy_from_slice(&part.to_bytes());
    key
}

/// Day, identity and anchor of the key of a part, and its place.
pub(super) fn parse_part(key: &[u8]) -> Result<(Day, IdentityId, EventTime, PartKey), Malformed> {
    let (row, part) = key.split_at_checked(ROW_KEY_BYTES).ok_or(Malformed("length of a key"))?;
    let (day, identity, anchor) = parse_session(row)?;
    Ok((day, identity, anchor, PartKey::from_bytes(part)?))
}

/// Day and identity of a key of `sessions` or `requests`, and its last eight bytes.
fn parse_row(key: &[u8]) -> Result<(Day, IdentityId, [u8; 8]), Malformed> {
    let key: &[u8; ROW_KEY_BYTES] = key.try_into().map_err(|_| Malformed("length of a key"))?;
    let (mut identity, mut last) = ([0; 16], [0; 8]);
    identity.copy_from_slice(&key[6..IDENTITY_DAY_BYTES]);
    last.copy_from_slice(&key[IDENTITY_DAY_BYTES..]);
    let identity = IdentityId(u128::from_be_bytes(identity));
    let partition = u16::from_be_bytes([key[4], key[5]]);
    if partition != identity.partition() || partition >= PARTITIONS {
        return Err(Malformed("partition of a key"));
    }
    Ok((day_of(key)?, identity, last))
}

/// Day, identity and start of a session's key.
pub(super) fn parse_session(key: &[u8]) -> Result<(Day, IdentityId, EventTime), Malformed> {
    let (day, identity, last) = parse_row(key)?;
    Ok((day, identity, EventTime(unsigned(last))))
}

/// Day, identity and epoch of a block's key.
pub(super) fn parse_block(key: &[u8]) -> Result<(Day, IdentityId, Epoch), Malformed> {
    let (day, identity, last) = parse_row(key)?;
    Ok((day, identity, Epoch(u64::from_be_bytes(last))))
}

/// `(day, kind, bucket)`.
pub(super) fn bucket(day: Day, kind: IndexKind, bucket: u16) -> [u8; BUCKET_BYTES] {
    let mut key = [0; BUCKET_BYTES];
    key[..4].copy_from_slice(&day_prefix(day));
    key[4] = kind as u8;
    key[5..].copy_from_slice(&bucket.to_be_bytes());
    key
}

/// Key of one part of a posting list.
pub(super) fn posting(
    day: Day,
    kind: IndexKind,
    number: u16,
    epoch: Epoch,
    part: u16,
) -> [u8; INDEX_KEY_BYTES] {
    let mut key = [0; INDEX_KEY_BYTES];
    key[..BUCKET_BYTES].copy_from_slice(&bucket(day, kind, number));
    key[7..15].copy_from_slice(&epoch.0.to_be_bytes());
    key[15..].copy_from_slice(&part.to_be_bytes());
    key
}

/// The bucket of a key of `index`.
pub(super) fn parse_bucket(key: &[u8]) -> Result<u16, Malformed> {
    let key: &[u8; INDEX_KEY_BYTES] = key.try_into().map_err(|_| Malformed("length of a key"))?;
    Ok(u16::from_be_bytes([key[5], key[6]]))
}

/// The least key that does not begin with `prefix`; none when there is no such key.
pub(super) fn after(prefix: &[u8]) -> Option<Vec<u8>> {
    let mut key = prefix.to_vec();
    while let Some(last) = key.last_mut() {
        if *last < u8::MAX {
            *last += 1;
            return Some(key);
        }
        key.pop();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_offset_gives_back_the_instant_in_any_zone() {
        for day in [-719_162, -1, 0, 19_813, 2_932_896] {
            for at in [-14 * 3_600_000, 0, DAY_MS - 1, DAY_MS + 12 * 3_600_000] {
                let at = EventTime(i64::from(day) * DAY_MS + at);
                assert_eq!(Offset::of(Day(day), at).instant(Day(day)), at);
            }
        }
        assert!(Offset(0).minute_bucket() > Offset(60_000).minute_bucket());
    }

    #[test]
    fn the_key_after_a_prefix_is_the_next_range() {
        assert_eq!(after(&[1, 2]), Some(vec![1, 3]));
        assert_eq!(after(&[1, 255]), Some(vec![2]));
        assert_eq!(after(&[255, 255]), None);
    }

    proptest! {
        #[test]
        fn keys_parse_back_and_order_as_their_parts(
            a in (any::<i32>(), any::<u128>(), any::<i64>()),
            b in (any::<i32>(), any::<u128>(), any::<i64>()),
        ) {
            let key = |(day, id, start)| session(Day(day), IdentityId(id), EventTime(start));
            prop_assert_eq!(key(a).cmp(&key(b)), a.cmp(&b));
            let parts = (Day(a.0), IdentityId(a.1), EventTime(a.2));
            prop_assert_eq!(parse_session(&key(a)).unwrap(), parts);
            let log = block(Day(a.0), IdentityId(a.1), Epoch(a.2 as u64));
            prop_assert_eq!(parse_block(&log).unwrap().2, Epoch(a.2 as u64));
            prop_assert!(key(a).starts_with(&identity_head(Day(a.0), (a.1 >> 64) as u64)));
            prop_assert!(key(a).starts_with(&partition_prefix(Day(a.0), IdentityId(a.1).partition())));
        }

        #[test]
        fn no_bytes_make_a_key_reader_panic(key in prop::collection::vec(any::<u8>(), 0..40)) {
            let _ = (parse_session(&key), parse_block(&key), parse_bucket(&key), day_of(&key));
            let _ = parse_part(&key);
        }
    }
}
