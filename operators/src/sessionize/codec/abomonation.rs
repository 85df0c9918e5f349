//! The optional codec: a plain mirror of an identity-day, copied as it lies in memory.
//!
//! The crate `abomonation` writes values with their pointers and makes them point into what was
//! read. That is only as sound as the bytes are our own: RUSTSEC-2021-0120 says why nobody should
//! use it on any others. So this codec is off by default, is only used on what this very process
//! wrote ([`Seal`]: codec, version, layout of every type here, process, place, length, checksum; all
//! checked first), and every type here is made so that the crate's known
//! faults cannot happen: no padding (all fields are whole words), everything aligned to a word
//! (also texts, which are padded), no reference of one byte made one of a whole value (`decode` of
//! the crate does that; it is not called). This is the only file with `unsafe`.

#![allow(unsafe_code, reason = "the one exception; off by default, and guarded by the seal")]
#![allow(deprecated, reason = "instead of its macro the crate recommends one more crate")]

use std::mem::{ManuallyDrop, align_of, offset_of, size_of};
use std::sync::Arc;

use ::abomonation::{Abomonation, unsafe_abomonate};
use xxhash_rust::xxh3::xxh3_64;

use super::frame::Seal;
use super::{CodecError, HotCodec, HotDay};
use crate::breakdown::Breakdown;
use crate::facts::Assigned;
use crate::histogram::Histogram;
use crate::identity::{Identity, IdentityId};
use crate::session::Session;
use crate::sessionize::backend::{DayKey, IdSet};
use crate::sessionize::batch::Update;
use crate::summary::{Counters, Summary};
use crate::time::{Day, EventTime};
use crate::wire::Malformed;

const WORD: usize = size_of::<u64>();

#[repr(C)]
struct MirrorDay {
    identities: Vec<MirrorIdentity>,
    sessions: Vec<MirrorSession>,
    /// Explicit ids and fingerprints, if `ids_known` is not 0.
    ids: Vec<[u64; 2]>,
    ids_known: u64,
}
unsafe_abomonate!(MirrorDay: identities, sessions, ids, ids_known);

#[repr(C)]
struct MirrorIdentity {
    namespace: Text,
    value: Text,
    qualifier: Text,
    weak: u64,
    secret: u64,
}
unsafe_abomonate!(MirrorIdentity: namespace, value, qualifier, weak, secret);

#[repr(C)]
struct MirrorSession {
    /// Position in `identities`.
    identity: u64,
    start: i64,
    end: i64,
    gap_ms: u64,
    counters: [u64; 12],
    histogram: Vec<u64>,
    breakdown: Vec<[u64; 3]>,
    texts: Text,
}
unsafe_abomonate!(
    MirrorSession: identity, start, end, gap_ms, counters, histogram, breakdown, texts);

/// A text, padded to whole words.
#[repr(C)]
struct Text {
    bytes: Vec<u8>,
    len: u64,
}
unsafe_abomonate!(Text: bytes, len);

/// A request on its way, for the comparison of encodings: never used to send one.
#[repr(C)]
struct MirrorRequest {
    words: [u64; 9],
    payload: Text,
}
unsafe_abomonate!(MirrorRequest: words, payload);

impl Text {
    fn new(text: &[u8]) -> Self {
        let mut bytes = Vec::with_capacity(text.len().next_multiple_of(WORD));
        bytes.extend_from_slice(text);
        bytes.resize(text.len().next_multiple_of(WORD), 0);
        Self { bytes, len: text.len() as u64 }
    }

    fn bytes(&self) -> Result<&[u8], Malformed> {
        let len = usize::try_from(self.len).ok();
        len.and_then(|len| self.bytes.get(..len)).ok_or(Malformed("length of a text"))
    }

    fn text(&self) -> Result<&str, Malformed> {
        std::str::from_utf8(self.bytes()?).map_err(|_| Malformed("text is not UTF-8"))
    }
}

/// Identity-days as they lie in memory.
#[derive(Clone, Copy, Debug)]
pub struct Mirrors {
    seal: Seal,
}

impl Default for Mirrors {
    fn default() -> Self {
        Self { seal: Seal::new(*b"abomon 1", build()) }
    }
}

/// What must be the same for bytes to be read: the program's version, and how every type above lies
/// in memory. That the same program was built by the same compiler follows from the number of the
/// process, which the seal has as well: one process is one build.
fn build() -> u64 {
    let mut what = env!("CARGO_PKG_VERSION").as_bytes().to_vec();
    macro_rules! layout {
        ($($of:ty: $($field:ident),*;)*) => {$(
            what.extend_from_slice(stringify!($of).as_bytes());
            for number in [size_of::<$of>(), align_of::<$of>(), $(offset_of!($of, $field)),*] {
                what.extend_from_slice(&number.to_ne_bytes());
            }
        )*};
    }
    layout! {
        MirrorDay: identities, sessions, ids, ids_known;
        MirrorIdentity: namespace, value, qualifier, weak, secret;
        MirrorSession: identity, start, end, gap_ms, counters, histogram, breakdown, texts;
        Text: bytes, len;
        MirrorRequest: words, payload;
        Vec<u64>: ;
        Vec<u8>: ;
        usize: ;
        u64: ;
    }
    xxh3_64(&what)
}

/// Appends a value as it lies in memory, then everything it points to.
fn write<T: Abomonation>(value: &T, out: &mut Vec<u8>) {
    const { assert!(align_of::<T>() == WORD && size_of::<T>().is_multiple_of(WORD)) };
    // SAFETY: the types of this file have no padding (all their fields are words, or vectors,
    // which are three words), so every byte that is read is initialized.
    let written = unsafe { ::abomonation::encode(value, out) };
    written.expect("a vector takes everything");
}

/// Lends the value that [`write`] appended as the whole of `body`, in this process.
///
/// # Safety
/// `body` must be exactly what [`write`] appended for a `T` in this process.
unsafe fn read<T: Abomonation, R>(body: &[u8], lend: impl FnOnce(&T) -> R) -> Option<R> {
    let mut words = vec![0_u64; body.len().div_ceil(WORD)];
    // SAFETY: these are the bytes of `words`, which is not used itself until they are gone.
    let bytes: &mut [u8] =
        unsafe { std::slice::from_raw_parts_mut(words.as_mut_ptr().cast(), body.len()) };
    bytes.copy_from_slice(body);
    let (head, rest) = bytes.split_at_mut_checked(size_of::<T>())?;
    // SAFETY: `head` holds a `T` as it was in this process, aligned to a word as `words` is. Its
    // pointers lead nowhere any more; nothing is read through them, and it is never dropped.
    let mut value = ManuallyDrop::new(unsafe { head.as_ptr().cast::<T>().read() });
    // SAFETY: `rest` holds what `entomb` of the very same value wrote. Parts are whole words long,
    // so each begins aligned. What `value` then points to is in `words`, which outlives the loan,
    // is not freed with it, and is reachable through nothing else.
    let left = unsafe { value.exhume(rest) }?;
    left.is_empty().then(|| lend(&value))
}

impl HotCodec for Mirrors {
    fn encode(&self, key: DayKey, day: &HotDay, out: &mut Vec<u8>) {
        self.seal.write(key, out, |out| write(&MirrorDay::of(day), out));
    }

    fn decode(&self, key: DayKey, bytes: &[u8]) -> Result<HotDay, CodecError> {
        let body = self.seal.open(key, bytes)?;
        // SAFETY: the seal is only on what `encode` wrote in this process, unchanged.
        let day = unsafe { read(body, |mirror: &MirrorDay| mirror.day(key)) };
        day.ok_or(CodecError::Length)?.map_err(CodecError::Malformed)
    }
}

impl Mirrors {
    /// Appends requests: what sending them like this would be, for comparisons.
    pub fn encode_requests(&self, updates: &[Update], out: &mut Vec<u8>) {
        let mirrors: Vec<MirrorRequest> = updates.iter().map(MirrorRequest::of).collect();
        self.seal.write(NOWHERE, out, |out| write(&mirrors, out));
    }

    /// Reads what [`Mirrors::encode_requests`] appended.
    ///
    /// # Errors
    /// [`CodecError`] for anything else.
    pub fn decode_requests(&self, bytes: &[u8]) -> Result<Vec<Update>, CodecError> {
        let body = self.seal.open(NOWHERE, bytes)?;
        let requests = |mirrors: &Vec<MirrorRequest>| -> Result<Vec<Update>, Malformed> {
            mirrors.iter().map(MirrorRequest::request).collect()
        };
        // SAFETY: the seal is only on what `encode_requests` wrote in this process, unchanged: no
        // identity-day has this place, as no identity is 0.
        let requests = unsafe { read(body, requests) };
        requests.ok_or(CodecError::Length)?.map_err(CodecError::Malformed)
    }
}

/// The place of what belongs to no identity-day.
const NOWHERE: DayKey = DayKey { day: Day(i32::MIN), identity: IdentityId(0) };

impl MirrorDay {
    fn of(day: &HotDay) -> Self {
        let mut identities: Vec<&Identity> = Vec::new();
        let mut sessions = Vec::with_capacity(day.sessions.len());
        for session in &day.sessions {
            // Nearly always all sessions have the same one.
            let known = identities.iter().rposition(|known| **known == *session.identity);
            let identity = known.unwrap_or_else(|| {
                identities.push(&session.identity);
                identities.len() - 1
            });
            let (breakdown, texts) = session.summary.breakdown.parts();
            sessions.push(MirrorSession {
                identity: identity as u64,
                start: session.start.0,
                end: session.end.0,
                gap_ms: u64::from(session.gap_ms),
                counters: session.summary.counters.to_array(),
                histogram: session.summary.histogram.cells().to_vec(),
                breakdown,
                texts: Text::new(texts.as_bytes()),
            });
        }
        Self {
            identities: identities.into_iter().map(MirrorIdentity::of).collect(),
            sessions,
            ids: day.ids.iter().flat_map(IdSet::iter).map(|(id, print)| [id, print]).collect(),
            ids_known: u64::from(day.ids.is_some()),
        }
    }

    fn day(&self, key: DayKey) -> Result<HotDay, Malformed> {
        let identity = |mirror: &MirrorIdentity| mirror.identity(key).map(Arc::new);
        let identities = self.identities.iter().map(identity).collect::<Result<Vec<_>, _>>()?;
        let session = |mirror: &MirrorSession| mirror.session(key, &identities).map(Arc::new);
        let ids = self.ids.iter().map(|[id, print]| (*id, *print));
        Ok(HotDay {
            sessions: self.sessions.iter().map(session).collect::<Result<_, _>>()?,
            ids: (self.ids_known != 0).then(|| ids.collect()),
        })
    }
}

impl MirrorIdentity {
    fn of(identity: &Identity) -> Self {
        Self {
            namespace: Text::new(identity.namespace.as_bytes()),
            value: Text::new(identity.value.as_bytes()),
            qualifier: Text::new(identity.qualifier.as_bytes()),
            weak: u64::from(identity.weak),
            secret: u64::from(identity.secret),
        }
    }

    fn identity(&self, key: DayKey) -> Result<Identity, Malformed> {
        Ok(Identity {
            id: key.identity,
            namespace: self.namespace.text()?.into(),
            value: self.value.text()?.into(),
            qualifier: self.qualifier.text()?.into(),
            weak: self.weak != 0,
            secret: self.secret != 0,
        })
    }
}

impl MirrorSession {
    fn session(&self, key: DayKey, identities: &[Arc<Identity>]) -> Result<Session, Malformed> {
        let identity = usize::try_from(self.identity).ok().and_then(|at| identities.get(at));
        let entries = self.breakdown.iter().copied();
        Ok(Session {
            identity: Arc::clone(identity.ok_or(Malformed("identity of a session"))?),
            day: key.day,
            start: EventTime(self.start),
            end: EventTime(self.end),
            gap_ms: u32::try_from(self.gap_ms).map_err(|_| Malformed("gap"))?,
            summary: Summary {
                counters: Counters::from_array(self.counters),
                histogram: Histogram::from_cells(self.histogram.clone())?,
                breakdown: Breakdown::from_parts(entries, self.texts.text()?)?,
            },
        })
    }
}

impl MirrorRequest {
    fn of((item, epoch, diff): &Update) -> Self {
        let words = [
            item.day.0 as u64,
            (item.identity.0 >> 64) as u64,
            item.identity.0 as u64,
            item.ts.0 as u64,
            item.id_hash,
            u64::from(item.gap_ms) << 32 | u64::from(item.origin),
            u64::from(item.head_len),
            *epoch,
            *diff as u64,
        ];
        Self { words, payload: Text::new(&item.payload) }
    }

    fn request(&self) -> Result<Update, Malformed> {
        let [day, high, low, ts, id_hash, gap_origin, head_len, epoch, diff] = self.words;
        let item = Assigned {
            day: Day(day as i32),
            identity: IdentityId(u128::from(high) << 64 | u128::from(low)),
            ts: EventTime(ts as i64),
            id_hash,
            gap_ms: (gap_origin >> 32) as u32,
            origin: gap_origin as u32,
            head_len: head_len as u32,
            payload: bytes::Bytes::copy_from_slice(self.payload.bytes()?),
        };
        Ok((item, epoch, diff as isize))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::tests::{check_refusals, check_round_trip, day};
    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 4 } else { 64 }))]

        #[test]
        fn an_identity_day_comes_back(day in day()) {
            check_round_trip(&Mirrors::default(), &day)?;
        }
    }

    #[test]
    fn damage_and_what_is_anothers_is_refused() {
        check_refusals(&Mirrors::default(), !cfg!(miri));
    }

    #[test]
    fn requests_come_back() {
        let update = |n: u64| {
            let item = Assigned {
                day: Day(-3),
                identity: IdentityId(u128::from(n) << 100 | 5),
                ts: EventTime(-9),
                id_hash: n,
                gap_ms: u32::MAX,
                origin: 7,
                head_len: 1,
                payload: vec![n as u8; n as usize].into(),
            };
            (item, n, -1)
        };
        let updates: Vec<Update> = (0..20).map(update).collect();
        let (codec, mut bytes) = (Mirrors::default(), Vec::new());
        codec.encode_requests(&updates, &mut bytes);
        assert_eq!(codec.decode_requests(&bytes), Ok(updates));
        bytes[100] ^= 1;
        assert_eq!(codec.decode_requests(&bytes), Err(CodecError::Checksum));
    }
}
