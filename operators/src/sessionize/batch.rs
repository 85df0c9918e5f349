//! Requests on their way from worker to worker, and the bytes they are between processes.
//!
//! Between the threads of a process a [`Batch`] is moved as it is. Between processes it is written
//! as a header, a row of nine words for each request, and one arena: all payloads, then the distinct
//! timestamps, which the rows name by position. It is read back without an allocation for each
//! request, payloads being slices of the buffer they were received in. Such a slice keeps that
//! buffer (1 MiB of timely's, nearly all of it payloads of the same time) until it is dropped:
//! whoever keeps a payload beyond its time should copy it.
//!
//! Only the processes of one cluster send batches. Bytes that are none are an error, never
//! undefined: the batch is then empty and says why ([`Batch::refused`]).

use std::io::Write;

use bytes::Bytes;
use timely::Accountable;
use timely::bytes::arc::Bytes as Received;
use timely::dataflow::channels::ContainerBytes;
use timely::progress::Timestamp;

use crate::facts::Assigned;
use crate::identity::IdentityId;
use crate::time::{Day, EventTime};
use crate::wire::Malformed;

/// A request, its time, and how often it is added.
pub type Update<T = u64> = (Assigned, T, isize);

/// First bytes of a written batch: what it is, and the version of its layout.
const MAGIC: u64 = u64::from_le_bytes(*b"spoorrq2");
/// Bytes of the header: magic, number of requests, bytes of the payloads, bytes of the times.
const HEADER: usize = 4 * WORD;
/// Bytes of a request's row.
const ROW: usize = 9 * WORD;
const WORD: usize = size_of::<u64>();

/// Requests of a collection, on their way.
#[derive(Clone, Debug)]
pub struct Batch<T = u64> {
    /// The requests.
    pub updates: Vec<Update<T>>,
    /// Why there are none, where received bytes were no batch.
    pub refused: Option<Malformed>,
}

impl<T> Default for Batch<T> {
    fn default() -> Self {
        Vec::new().into()
    }
}

impl<T: Timestamp> Batch<T> {
    /// Reads what [`ContainerBytes::into_bytes`] wrote, the whole of it. Payloads are slices of
    /// `bytes`.
    ///
    /// # Errors
    /// [`Malformed`] for any other bytes, as far as can be told.
    pub fn read(bytes: &Bytes) -> Result<Vec<Update<T>>, Malformed> {
        let (header, rest) = bytes.split_at_checked(HEADER).ok_or(Malformed("batch ends early"))?;
        let [magic, count, payloads, times] = words(header);
        if magic != MAGIC {
            return Err(Malformed("not a batch of requests"));
        }
        let of_length = || {
            let rows = usize::try_from(count).ok()?.checked_mul(ROW)?;
            let payloads = rows.checked_add(usize::try_from(payloads).ok()?)?;
            let times = payloads.checked_add(usize::try_from(times).ok()?)?;
            (times.checked_next_multiple_of(WORD)? == rest.len()).then_some((rows, payloads, times))
        };
        let (rows, payloads, times) = of_length().ok_or(Malformed("batch of another length"))?;
        let times = read_times(&rest[payloads..times])?;
        let mut updates = Vec::with_capacity(rows / ROW);
        let mut from = HEADER + rows;
        let end = HEADER + payloads;
        for row in rest[..rows].chunks_exact(ROW) {
            let [low, high, ts, id_hash, time, diff, day_gap, origin_head, length] = words(row);
            let time = usize::try_from(time).ok().and_then(|time| times.get(time));
            let time: &T = time.ok_or(Malformed("time of a request"))?;
            let length = usize::try_from(length).ok().filter(|length| *length <= end - from);
            let to = from + length.ok_or(Malformed("payload past its batch"))?;
            let (day, gap_ms) = halves(day_gap);
            let (origin, head_len) = halves(origin_head);
            let item = Assigned {
                day: Day(day as i32),
                identity: IdentityId(u128::from(high) << 64 | u128::from(low)),
                ts: EventTime(ts as i64),
                id_hash,
                gap_ms,
                origin,
                head_len,
                payload: bytes.slice(from..to),
            };
            updates.push((item, time.clone(), diff as i64 as isize));
            from = to;
        }
        if from == end { Ok(updates) } else { Err(Malformed("payloads short of their batch")) }
    }

    fn payloads_len(&self) -> usize {
        self.updates.iter().map(|(item, _, _)| item.payload.len()).sum()
    }

    /// The distinct times in the order of the updates, as they are written: runs of one time.
    fn times(&self) -> impl Iterator<Item = &T> {
        let run = self.updates.chunk_by(|(_, a, _), (_, b, _)| a == b);
        run.map(|run| &run[0].1)
    }

    fn times_len(&self) -> usize {
        self.times().map(time_len).sum()
    }
}

/// Bytes of a written time.
fn time_len<T: Timestamp>(time: &T) -> usize {
    let size = bincode::serialized_size(time).expect("a timestamp can be sent to other processes");
    size as usize
}

#[allow(clippy::disallowed_methods, reason = "a timestamp: timely sends it in the same form")]
fn time_bytes<T: Timestamp>(time: &T) -> Vec<u8> {
    bincode::serialize(time).expect("a timestamp can be sent to other processes")
}

/// Reads all times of a batch.
fn read_times<T: Timestamp>(mut bytes: &[u8]) -> Result<Vec<T>, Malformed> {
    let mut times = Vec::new();
    while !bytes.is_empty() {
        let before = bytes.len();
        let time = bincode::deserialize_from(&mut bytes);
        times.push(time.map_err(|_| Malformed("times of a batch"))?);
        if bytes.len() == before {
            return Err(Malformed("times of a batch"));
        }
    }
    Ok(times)
}

impl<T> From<Vec<Update<T>>> for Batch<T> {
    fn from(updates: Vec<Update<T>>) -> Self {
        Self { updates, refused: None }
    }
}

/// Little-endian words; `bytes` has exactly so many.
fn words<const N: usize>(bytes: &[u8]) -> [u64; N] {
    let mut words = [0; N];
    for (word, bytes) in words.iter_mut().zip(bytes.as_chunks::<WORD>().0) {
        *word = u64::from_le_bytes(*bytes);
    }
    words
}

fn halves(word: u64) -> (u32, u32) {
    (word as u32, (word >> 32) as u32)
}

fn joined(low: u32, high: u32) -> u64 {
    u64::from(low) | u64::from(high) << 32
}

fn row<T>((item, _, diff): &Update<T>, time: u64) -> [u8; ROW] {
    let words = [
        item.identity.0 as u64,
        (item.identity.0 >> 64) as u64,
        item.ts.0 as u64,
        item.id_hash,
        time,
        *diff as i64 as u64,
        joined(item.day.0 as u32, item.gap_ms),
        joined(item.origin, item.head_len),
        item.payload.len() as u64,
    ];
    let mut row = [0; ROW];
    for (bytes, word) in row.as_chunks_mut::<WORD>().0.iter_mut().zip(words) {
        *bytes = word.to_le_bytes();
    }
    row
}

/// What keeps a received buffer while slices of it live.
struct Owner(Received);

impl AsRef<[u8]> for Owner {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl<T: Timestamp> ContainerBytes for Batch<T> {
    fn from_bytes(bytes: Received) -> Self {
        match Self::read(&Bytes::from_owner(Owner(bytes))) {
            Ok(updates) => updates.into(),
            Err(error) => Self { updates: Vec::new(), refused: Some(error) },
        }
    }

    fn length_in_bytes(&self) -> usize {
        let arena = self.payloads_len() + self.times_len();
        (HEADER + self.updates.len() * ROW + arena).next_multiple_of(WORD)
    }

    fn into_bytes<W: Write>(&self, writer: &mut W) {
        let (payloads, times) = (self.payloads_len(), self.times_len());
        let mut put = |bytes: &[u8]| {
            // timely gives a buffer of `length_in_bytes`.
            writer.write_all(bytes).expect("room for a batch of the length it said");
        };
        for word in [MAGIC, self.updates.len() as u64, payloads as u64, times as u64] {
            put(&word.to_le_bytes());
        }
        let runs = self.updates.chunk_by(|(_, a, _), (_, b, _)| a == b);
        for (time, run) in runs.enumerate() {
            run.iter().for_each(|update| put(&row(update, time as u64)));
        }
        self.updates.iter().for_each(|(item, _, _)| put(&item.payload));
        for time in self.times() {
            put(&time_bytes(time));
        }
        let arena = payloads + times;
        put(&[0; WORD][..arena.next_multiple_of(WORD) - arena]);
    }
}

impl<T> Accountable for Batch<T> {
    fn record_count(&self) -> i64 {
        self.updates.len() as i64
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn update() -> impl Strategy<Value = Update> {
        let fixed = (any::<(i32, u128, i64, u64)>(), any::<(u32, u32, u32)>());
        let rest = (vec(any::<u8>(), 0..40), any::<u64>(), any::<isize>());
        (fixed, rest).prop_map(|((a, b), (payload, epoch, diff))| {
            let ((day, identity, ts, id_hash), (gap_ms, origin, head_len)) = (a, b);
            let item = Assigned {
                day: Day(day),
                identity: IdentityId(identity),
                ts: EventTime(ts),
                id_hash,
                gap_ms,
                origin,
                head_len,
                payload: payload.into(),
            };
            (item, epoch, diff)
        })
    }

    fn written(updates: Vec<Update>) -> Vec<u8> {
        let (batch, mut bytes) = (Batch::from(updates), Vec::new());
        batch.into_bytes(&mut bytes);
        assert_eq!(bytes.len(), batch.length_in_bytes());
        assert_eq!(bytes.len() % WORD, 0);
        bytes
    }

    fn received(bytes: Vec<u8>) -> Batch {
        Batch::from_bytes(timely::bytes::arc::BytesMut::from(bytes).freeze())
    }

    proptest! {
        #[test]
        fn a_batch_comes_back_as_it_was_sent(updates in vec(update(), 0..20)) {
            let batch = received(written(updates.clone()));
            prop_assert_eq!(batch.refused, None);
            prop_assert_eq!(batch.updates, updates);
        }

        #[test]
        fn what_is_cut_or_longer_is_refused(
            updates in vec(update(), 0..5),
            cut in any::<prop::sample::Index>(),
            more in vec(any::<u8>(), 1..100),
        ) {
            let whole = written(updates);
            let cut = whole[..cut.index(whole.len())].to_vec();
            for bytes in [cut, [whole, more].concat()] {
                let batch = received(bytes);
                prop_assert!(batch.refused.is_some() && batch.updates.is_empty());
            }
        }

        #[test]
        fn no_bytes_are_undefined(
            updates in vec(update(), 0..5),
            damage in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        ) {
            let mut bytes = written(updates);
            for (at, byte) in damage {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            let batch = received(bytes);
            prop_assert!(batch.refused.is_none() || batch.updates.is_empty());
        }
    }

    #[test]
    fn lengths_that_do_not_fit_are_refused() {
        let update = (0..3).map(|_| u64::MAX).chain([0; 6]).collect::<Vec<_>>();
        for (count, arena) in [(u64::MAX, 0), (0, u64::MAX), (u64::MAX / 72, 1), (1, 8), (2, 0)] {
            let words = [&[MAGIC, count, arena, 0][..], &update].concat();
            let bytes = words.iter().flat_map(|word| word.to_le_bytes()).collect();
            assert!(received(bytes).refused.is_some(), "{count} {arena}");
        }
    }
}
