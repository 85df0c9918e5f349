//! The index: where to look for sessions, never whether they match.
//!
//! Three lists a day, each in buckets, each bucket in parts (one a worker and epoch, so that an
//! epoch costs one write for each bucket it touches, whatever it holds):
//!
//! - by start: a session's exact `(start, identity)`, from when it has that start;
//! - by term (a hash of a value or flag): `(instant, leading half of the identity)`;
//! - by the hash of a request's id: the leading half of the identity.
//!
//! Invariant: for every session and every term of it there is an entry whose instant lies within
//! it, and for every session an entry at its start. Entries are hints and never deleted but with
//! their day: a reader looks at the row of the session that contains the instant, if any.

use spoor_operators::facts::{Fact, Field};
use spoor_operators::identity::IdentityId;
use spoor_operators::session::Session;
use spoor_operators::time::{Day, Epoch};
use spoor_operators::wire::{Malformed, Reader, put_u64};

use super::keys::{self, INDEX_KEY_BYTES, IndexKind, Offset};

/// The hash of something a session can be found by. Its upper bits are the bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Term(u64);

/// Buckets are the upper 12 bits.
const BUCKET_SHIFT: u32 = 52;

/// A property of a session that is no [`Fact`] of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Flag {
    Weak = 1,
    Malicious = 2,
    Blocked = 3,
    Errors = 4,
    ServerErrors = 5,
    Shadow = 6,
    Zombie = 7,
}

impl Flag {
    const ALL: [Self; 7] = [
        Self::Weak,
        Self::Malicious,
        Self::Blocked,
        Self::Errors,
        Self::ServerErrors,
        Self::Shadow,
        Self::Zombie,
    ];

    fn of(self, session: &Session) -> bool {
        let counters = &session.summary.counters;
        match self {
            Self::Weak => session.identity.weak,
            Self::Malicious => counters.malicious > 0,
            Self::Blocked => counters.blocked > 0,
            Self::Errors => counters.errors > 0,
            Self::ServerErrors => counters.server_errors > 0,
            Self::Shadow => counters.shadow > 0,
            Self::Zombie => counters.zombie > 0,
        }
    }
}

/// Seeds of the terms that are no facts; those of facts are below 256.
const FLAG_SEED: u64 = 0x100;
const NAMESPACE_SEED: u64 = 0x101;
const VALUE_SEED: u64 = 0x102;

impl Term {
    pub(super) fn fact(field: Field, text: &str) -> Self {
        Self(field.hash(text))
    }

    pub(super) fn of_fact(fact: &Fact<'_>) -> Self {
        Self(fact.hash)
    }

    pub(super) fn flag(flag: Flag) -> Self {
        Self(xxhash_rust::xxh3::xxh3_64_with_seed(&[flag as u8], FLAG_SEED))
    }

    pub(super) fn namespace(text: &str) -> Self {
        Self(xxhash_rust::xxh3::xxh3_64_with_seed(text.as_bytes(), NAMESPACE_SEED))
    }

    pub(super) fn value(text: &str) -> Self {
        Self(xxhash_rust::xxh3::xxh3_64_with_seed(text.as_bytes(), VALUE_SEED))
    }

    pub(super) fn request_id(id: &str) -> Self {
        Self(super::log::id_hash(id))
    }

    pub(super) fn bucket(self) -> u16 {
        (self.0 >> BUCKET_SHIFT) as u16
    }

    /// What tells the terms of a bucket apart, but for chance.
    fn rest(self) -> u32 {
        (self.0 >> (BUCKET_SHIFT - 32)) as u32
    }
}

/// Terms of `new` that `old` does not lead to, handed to `found`.
///
/// `grown`: requests were only added, so values that are as many are the same.
pub(super) fn new_terms(
    old: Option<&Session>,
    new: &Session,
    grown: bool,
    mut found: impl FnMut(Term),
) {
    let old = old.filter(|old| new.start <= old.start && old.end <= new.end);
    for flag in Flag::ALL {
        if flag.of(new) && !old.is_some_and(|old| flag.of(old)) {
            found(Term::flag(flag));
        }
    }
    let Some(old) = old else {
        found(Term::namespace(&new.identity.namespace));
        found(Term::value(&new.identity.value));
        new.summary.breakdown.facts().for_each(|(fact, _)| found(Term::of_fact(&fact)));
        return;
    };
    if grown && old.summary.breakdown.len() == new.summary.breakdown.len() {
        return;
    }
    new.summary.breakdown.each_new(&old.summary.breakdown, &mut |fact| found(Term::of_fact(&fact)));
}

/// What an epoch adds to the index on one worker.
#[derive(Default)]
pub(super) struct Additions {
    starts: Vec<(Day, u16, Offset, IdentityId)>,
    terms: Vec<(Day, Term, Offset, u64)>,
    ids: Vec<(Day, Term, u64)>,
}

fn head(identity: IdentityId) -> u64 {
    (identity.0 >> 64) as u64
}

impl Additions {
    pub(super) fn start(&mut self, session: &Session) {
        let offset = Offset::of(session.day, session.start);
        self.starts.push((session.day, offset.minute_bucket(), offset, session.identity.id));
    }

    pub(super) fn term(&mut self, session: &Session, term: Term) {
        let offset = Offset::of(session.day, session.start);
        self.terms.push((session.day, term, offset, head(session.identity.id)));
    }

    pub(super) fn request_id(&mut self, day: Day, identity: IdentityId, id: &str) {
        self.ids.push((day, Term::request_id(id), head(identity)));
    }

    /// Writes everything, one key a bucket, and forgets it.
    pub(super) fn write(
        &mut self,
        epoch: Epoch,
        part: u16,
        mut put: impl FnMut([u8; INDEX_KEY_BYTES], &[u8]),
    ) {
        let mut value = Vec::new();
        self.starts.sort_unstable();
        for bucket in self.starts.chunk_by(|a, b| (a.0, a.1) == (b.0, b.1)) {
            value.clear();
            for (.., offset, identity) in bucket {
                value.extend_from_slice(&offset.0.to_le_bytes());
                value.extend_from_slice(&identity.0.to_be_bytes());
            }
            put(keys::posting(bucket[0].0, IndexKind::Time, bucket[0].1, epoch, part), &value);
        }
        self.terms.sort_unstable();
        for bucket in self.terms.chunk_by(|a, b| (a.0, a.1.bucket()) == (b.0, b.1.bucket())) {
            value.clear();
            for group in bucket.chunk_by(|a, b| a.1.rest() == b.1.rest()) {
                value.extend_from_slice(&group[0].1.rest().to_le_bytes());
                put_u64(&mut value, group.len() as u64);
                for (.., offset, head) in group {
                    value.extend_from_slice(&offset.0.to_le_bytes());
                    value.extend_from_slice(&head.to_le_bytes());
                }
            }
            let number = bucket[0].1.bucket();
            put(keys::posting(bucket[0].0, IndexKind::Terms, number, epoch, part), &value);
        }
        self.ids.sort_unstable();
        for bucket in self.ids.chunk_by(|a, b| (a.0, a.1.bucket()) == (b.0, b.1.bucket())) {
            value.clear();
            for (_, id, head) in bucket {
                value.extend_from_slice(&id.rest().to_le_bytes());
                value.extend_from_slice(&head.to_le_bytes());
            }
            let number = bucket[0].1.bucket();
            put(keys::posting(bucket[0].0, IndexKind::RequestIds, number, epoch, part), &value);
        }
        *self = Self::default();
    }
}

/// Bytes of an entry of the list by start.
const START_BYTES: usize = 20;
/// Bytes of an entry of the list by term, after the head of its group.
const TERM_BYTES: usize = 12;
/// Bytes of an entry of the list by request id.
const ID_BYTES: usize = 12;

fn fixed<const N: usize>(from: &mut Reader<'_>) -> Result<[u8; N], Malformed> {
    let mut bytes = [0; N];
    bytes.copy_from_slice(from.bytes(N)?);
    Ok(bytes)
}

fn whole(value: &[u8], entry: usize) -> Result<(), Malformed> {
    if value.len().is_multiple_of(entry) { Ok(()) } else { Err(Malformed("length of postings")) }
}

/// Entries of a part of the list by start.
pub(super) fn read_starts(
    value: &[u8],
    into: &mut Vec<(Offset, IdentityId)>,
) -> Result<(), Malformed> {
    whole(value, START_BYTES)?;
    let mut from = Reader(value);
    while !from.is_empty() {
        let offset = Offset(u32::from_le_bytes(fixed(&mut from)?));
        into.push((offset, IdentityId(u128::from_be_bytes(fixed(&mut from)?))));
    }
    Ok(())
}

/// Entries of a term in a part of its bucket.
pub(super) fn read_term(
    value: &[u8],
    term: Term,
    into: &mut Vec<(Offset, u64)>,
) -> Result<(), Malformed> {
    let mut from = Reader(value);
    while !from.is_empty() {
        let rest = u32::from_le_bytes(fixed(&mut from)?);
        let entries = usize::try_from(from.u64()?).map_err(|_| Malformed("length of postings"))?;
        let bytes = entries.checked_mul(TERM_BYTES).ok_or(Malformed("length of postings"))?;
        let mut group = Reader(from.bytes(bytes)?);
        if rest == term.rest() {
            while !group.is_empty() {
                let offset = Offset(u32::from_le_bytes(fixed(&mut group)?));
                into.push((offset, u64::from_le_bytes(fixed(&mut group)?)));
            }
        }
    }
    Ok(())
}

/// Heads of the identities that have a request with this id, in a part of its bucket.
pub(super) fn read_ids(value: &[u8], id: Term, into: &mut Vec<u64>) -> Result<(), Malformed> {
    whole(value, ID_BYTES)?;
    let mut from = Reader(value);
    while !from.is_empty() {
        let rest = u32::from_le_bytes(fixed(&mut from)?);
        let head = from.fixed_u64()?;
        if rest == id.rest() {
            into.push(head);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #[test]
        fn what_was_added_is_found_under_its_term_and_only_there(
            terms in prop::collection::vec((0..3_u64, any::<u32>(), any::<u64>()), 0..40),
        ) {
            let term = |number: u64| Term(number << 40 | 7);
            let mut additions = Additions::default();
            for &(number, offset, head) in &terms {
                additions.terms.push((Day(1), term(number), Offset(offset), head));
            }
            let mut written = BTreeMap::new();
            additions.write(Epoch(1), 0, |key, value| {
                written.insert(key, value.to_vec());
            });
            for number in 0..3 {
                let mut found = Vec::new();
                for value in written.values() {
                    read_term(value, term(number), &mut found).unwrap();
                }
                let mut expected: Vec<_> = terms.iter().filter(|entry| entry.0 == number)
                    .map(|&(_, offset, head)| (Offset(offset), head)).collect();
                expected.sort_unstable();
                prop_assert_eq!(found, expected);
            }
        }

        #[test]
        fn no_bytes_make_a_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = (read_starts(&bytes, &mut Vec::new()), read_ids(&bytes, Term(0), &mut Vec::new()));
            let _ = read_term(&bytes, Term(0), &mut Vec::new());
        }
    }
}
