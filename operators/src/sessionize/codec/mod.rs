//! Identity-days as bytes: how hot state that has no room in memory waits in a [`spill`](super::spill).
//!
//! [`rows`] is what is used unless somebody asks for something else: the rows sessions are stored as,
//! without `unsafe`. With the cargo feature `abomonation` there is the codec of that name as well.
//! Both write into a frame ([`frame`]) that is checked before anything of it is read: what another
//! process, another build or another identity-day wrote, and what was damaged, is refused with its
//! reason, and the state is then asked of the backend, as if it had never been kept.

#[cfg(feature = "abomonation")]
pub mod abomonation;
pub mod frame;
pub mod rows;

use super::backend::{DayKey, IdSet, Sessions};
use crate::wire::Malformed;

/// What is known of an identity-day in memory.
#[derive(Clone, Debug)]
pub struct HotDay {
    /// Its sessions, ascending by start.
    pub sessions: Sessions,
    /// All its explicit ids; none when they were not loaded yet.
    pub ids: Option<IdSet>,
}

/// Writes identity-days as bytes, and reads back what it wrote in this very process.
pub trait HotCodec: Send {
    /// Appends an identity-day.
    fn encode(&self, key: DayKey, day: &HotDay, out: &mut Vec<u8>);

    /// Reads an identity-day; the bytes must be the whole of what was appended.
    ///
    /// # Errors
    /// [`CodecError`] for bytes this codec did not write for that identity-day in this process.
    fn decode(&self, key: DayKey, bytes: &[u8]) -> Result<HotDay, CodecError>;
}

/// Why bytes are not taken for an identity-day.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
pub enum CodecError {
    /// They are shorter than a frame, or not as long as it says.
    #[error("another length than it was written with")]
    Length,
    /// Another codec wrote them, or none.
    #[error("not written by this codec")]
    Codec,
    /// Another build, or one with other types, wrote them.
    #[error("written by another build")]
    Build,
    /// Another process wrote them.
    #[error("written by another process")]
    Process,
    /// They are those of another identity-day.
    #[error("written for another identity-day")]
    Day,
    /// They were changed since.
    #[error("damaged: the checksum differs")]
    Checksum,
    /// Nothing of the above, and still not what it should be.
    #[error(transparent)]
    Malformed(#[from] Malformed),
}

/// Identity-days for the tests and benches of the codecs.
#[cfg(test)]
pub(super) mod tests {
    use std::sync::Arc;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::facts::{Assigned, Fact, Field, IdentityText, Numbers, encode_head};
    use crate::identity::{Identity, IdentityId};
    use crate::session::Session;
    use crate::summary::Summary;
    use crate::time::{Day, EventTime};

    pub const KEY: DayKey = DayKey { day: Day(19_000), identity: IdentityId(7 << 64 | 9) };

    /// A session that counts so many different values.
    pub fn session(start: i64, values: usize, text: &str) -> Arc<Session> {
        let mut summary = Summary::default();
        for value in 0..values {
            let numbers = Numbers {
                status: 404,
                duration_ns: Some(value as u64 * 1_000_003),
                request_bytes: u64::MAX / 3,
                ..Numbers::default()
            };
            let text = format!("{text}{value}");
            let facts = [Fact::new(Field::App, "shop"), Fact::new(Field::Endpoint, &text)];
            let mut payload = Vec::new();
            encode_head(&mut payload, IdentityText::default(), &numbers, &facts);
            let item = Assigned {
                day: KEY.day,
                identity: KEY.identity,
                ts: EventTime(start),
                id_hash: 0,
                gap_ms: 0,
                origin: 0,
                head_len: payload.len() as u32,
                payload: payload.into(),
            };
            summary.add(&item.facts().unwrap());
        }
        let identity = Identity {
            id: KEY.identity,
            namespace: "user".into(),
            value: text.into(),
            qualifier: "".into(),
            weak: start % 2 == 0,
            secret: values.is_multiple_of(2),
        };
        let (start, end) = (EventTime(start), EventTime(start + values as i64));
        Arc::new(Session {
            identity: identity.into(),
            day: KEY.day,
            start,
            end,
            gap_ms: 1_800_000,
            summary,
        })
    }

    pub fn day() -> impl Strategy<Value = HotDay> {
        let sessions = vec((any::<i64>(), 0..60_usize, "[a-zé]{0,9}"), 0..4);
        let ids = prop::option::of(vec((any::<u64>(), any::<u64>()), 0..40));
        (sessions, ids).prop_map(|(sessions, ids)| HotDay {
            sessions: sessions
                .iter()
                .map(|(start, values, text)| session(*start >> 8, *values, text))
                .collect(),
            ids: ids.map(|ids| ids.into_iter().collect()),
        })
    }

    fn written(codec: &impl HotCodec, day: &HotDay) -> Vec<u8> {
        let mut bytes = vec![b'x'];
        codec.encode(KEY, day, &mut bytes);
        bytes.remove(0);
        bytes
    }

    /// An identity-day comes back as it was.
    pub fn check_round_trip(codec: &impl HotCodec, day: &HotDay) -> Result<(), TestCaseError> {
        let bytes = written(codec, day);
        let again =
            codec.decode(KEY, &bytes).map_err(|error| TestCaseError::fail(error.to_string()))?;
        prop_assert_eq!(&again.sessions, &day.sessions);
        let sorted = |ids: &IdSet| {
            let mut ids: Vec<_> = ids.iter().collect();
            ids.sort_unstable();
            ids
        };
        prop_assert_eq!(again.ids.as_ref().map(sorted), day.ids.as_ref().map(sorted));
        for session in &again.sessions {
            // What was restored goes on counting.
            let mut more = session.summary.clone();
            more.merge(&session.summary);
            prop_assert_eq!(more.counters.requests, 2 * session.summary.counters.requests);
            prop_assert_eq!(more.breakdown.len(), session.summary.breakdown.len());
        }
        Ok(())
    }

    /// Every changed byte, every cut, and what is another's is refused.
    pub fn check_refusals(codec: &impl HotCodec, every_bit: bool) {
        let day = HotDay {
            sessions: [session(0, 3, "é"), session(100, 40, "b")].into_iter().collect(),
            ids: Some([(1, 2), (3, 4)].into_iter().collect()),
        };
        let whole = written(codec, &day);
        assert!(codec.decode(KEY, &whole).is_ok());
        // Miri is slow: some bytes have to do.
        for at in (0..whole.len()).step_by(if cfg!(miri) { 131 } else { 1 }) {
            for bit in if every_bit { 0..8 } else { at as u32 % 8..at as u32 % 8 + 1 } {
                let mut damaged = whole.clone();
                damaged[at] ^= 1 << bit;
                assert!(codec.decode(KEY, &damaged).is_err(), "byte {at}, bit {bit}");
            }
            assert!(codec.decode(KEY, &whole[..at]).is_err(), "cut at {at}");
        }
        let longer = [&whole[..], &[0; 8]].concat();
        assert_eq!(codec.decode(KEY, &longer).err(), Some(CodecError::Length));
        let other = DayKey { day: Day(1), ..KEY };
        assert_eq!(codec.decode(other, &whole).err(), Some(CodecError::Day));
        let other = DayKey { identity: IdentityId(7), ..KEY };
        assert_eq!(codec.decode(other, &whole).err(), Some(CodecError::Day));
    }
}
