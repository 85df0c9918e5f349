//! Counts by `(field, text)`: what a session was made of, with exact distinct counts.
//!
//! A small breakdown, which nearly all are, is one vector ([`counts`]): a copy of it is one
//! `memcpy`. Beyond [`WHOLE_MAX`] entries it is kept in [`parts`] that copies share, so that a
//! change costs what changed however large the session is, in memory and in the store, where each
//! part is a row. A reader that needs no values has only its [`Head`]: how many there are of each
//! field. Which form it is depends on the number of entries alone, and nothing observable on the
//! order they came in or on a seed: equal breakdowns have equal stored forms.

mod counts;
mod parts;
mod stored;
#[cfg(test)]
mod tests;

use std::cmp::Ordering;
use std::hash::{Hash, Hasher};

use crate::facts::{Fact, Field, RawFact};
use crate::time::EventTime;
use crate::wire::{Malformed, put_str, put_u64};
use counts::Counts;
pub use counts::SCAN_MAX;
use parts::Parts;
pub use parts::{PART_KEY_BYTES, PART_MAX, PartKey};
pub use stored::{Head, StoredBreakdown};

/// A breakdown of more entries is kept in parts.
pub const WHOLE_MAX: usize = 512;

/// Counts by `(field, text)`.
#[derive(Clone)]
pub struct Breakdown {
    form: Form,
}

#[derive(Clone)]
enum Form {
    Whole(Counts),
    Parts(Box<InParts>),
    Head(Box<Head>),
}

#[derive(Clone)]
struct InParts {
    parts: Parts,
    /// See [`Head::anchor`]; none until a session that is about to be stored gives one.
    anchor: Option<EventTime>,
}

/// A part of a large breakdown.
#[derive(Clone, Copy, Debug)]
pub struct Part<'a>(&'a Counts);

impl Part<'_> {
    /// Appends the stored form: that of a breakdown with these entries alone.
    pub fn encode(&self, out: &mut Vec<u8>) {
        self.0.encode(out);
    }

    /// Number of its entries.
    #[must_use]
    pub fn entries(&self) -> usize {
        self.0.len()
    }
}

/// Takes a part's key, and what it is now; none: it is no more.
pub type VisitPart<'a> = dyn FnMut(PartKey, Option<Part<'_>>) + 'a;

/// Where a field's numbers are in an array of all fields.
fn index(field: Field) -> usize {
    field as usize - 1
}

impl Default for Breakdown {
    fn default() -> Self {
        Self { form: Form::Whole(Counts::default()) }
    }
}

impl Breakdown {
    /// Number of entries, of all fields.
    #[must_use]
    pub fn len(&self) -> usize {
        match &self.form {
            Form::Whole(counts) => counts.len(),
            Form::Parts(large) => large.parts.len(),
            Form::Head(head) => usize::try_from(head.entries()).unwrap_or(usize::MAX),
        }
    }

    /// Whether nothing was counted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether there are too many entries to be kept as one.
    #[must_use]
    pub fn is_large(&self) -> bool {
        !matches!(self.form, Form::Whole(_))
    }

    /// Whether only the numbers of values are here: the values are to be asked of the store.
    #[must_use]
    pub fn is_head(&self) -> bool {
        matches!(self.form, Form::Head(_))
    }

    /// Number of distinct values of a field, exactly. Needs no values.
    #[must_use]
    pub fn distinct(&self, field: Field) -> usize {
        match &self.form {
            Form::Whole(counts) => counts.facts().filter(|(fact, _)| fact.field == field).count(),
            Form::Parts(large) => large.parts.distinct(field) as usize,
            Form::Head(head) => usize::try_from(head.distinct(field)).unwrap_or(usize::MAX),
        }
    }

    /// Adds to a value's count. `hint` is where to look first; answers where to look for the next.
    #[inline]
    pub(crate) fn add(&mut self, fact: RawFact<'_>, count: u64, hint: usize) -> usize {
        match &mut self.form {
            Form::Whole(counts) => {
                let next = counts.add(fact, count, hint);
                if counts.len() > WHOLE_MAX {
                    self.divide();
                }
                next
            }
            Form::Parts(large) => {
                large.parts.add(fact, count);
                0
            }
            Form::Head(_) => unreachable!("what is added to was read whole"),
        }
    }

    /// From one vector to parts.
    #[cold]
    fn divide(&mut self) {
        let mut parts = Parts::default();
        for (fact, count) in self.facts() {
            parts.add(fact.into(), count);
        }
        self.form = Form::Parts(Box::new(InParts { parts, anchor: None }));
    }

    /// Takes from a value's count; whether that much had been counted.
    pub(crate) fn subtract(&mut self, fact: &Fact<'_>, count: u64) -> bool {
        match &mut self.form {
            Form::Whole(counts) => counts.subtract(fact, count),
            Form::Parts(large) => {
                let known = large.parts.subtract(fact, count);
                if large.parts.len() <= WHOLE_MAX {
                    self.unite();
                }
                known
            }
            Form::Head(_) => false,
        }
    }

    /// From parts to one vector.
    #[cold]
    fn unite(&mut self) {
        let mut counts = Counts::default();
        for (fact, count) in self.facts() {
            counts.append(&fact, count);
        }
        self.form = Form::Whole(counts);
    }

    /// Adds everything another one counted.
    pub(crate) fn merge(&mut self, other: &Self) {
        for (at, (fact, count)) in other.facts().enumerate() {
            self.add(fact.into(), count, at);
        }
    }

    /// The count of a value; 0 when there was none.
    #[must_use]
    pub fn count(&self, field: Field, text: &str) -> u64 {
        self.count_of(&Fact::new(field, text))
    }

    fn count_of(&self, fact: &Fact<'_>) -> u64 {
        match &self.form {
            Form::Whole(counts) => counts.count(fact, 0),
            Form::Parts(large) => large.parts.count(fact),
            Form::Head(_) => 0,
        }
    }

    /// Values and their counts, in no order that means anything. None of a head.
    pub fn facts(&self) -> impl Iterator<Item = (Fact<'_>, u64)> {
        self.entries_of(None)
    }

    /// Values of a field and their counts, in no order that means anything. None of a head.
    pub fn of_field(&self, field: Field) -> impl Iterator<Item = (Fact<'_>, u64)> {
        self.entries_of(Some(field)).filter(move |(fact, _)| fact.field == field)
    }

    fn entries_of(&self, field: Option<Field>) -> Entries<'_> {
        let (first, rest) = match &self.form {
            Form::Whole(counts) => (Some(counts), Vec::new()),
            Form::Parts(large) => (None, large.parts.leaves(field)),
            Form::Head(_) => (None, Vec::new()),
        };
        Entries { part: first, at: 0, rest: rest.into_iter() }
    }

    /// Visits the values that an earlier one does not have.
    pub fn each_new<'a>(&'a self, old: &'a Self, visit: &mut dyn FnMut(Fact<'_>)) {
        if let (Form::Parts(new), Form::Parts(old)) = (&self.form, &old.form) {
            new.parts.changes(&old.parts, &mut |_, part| {
                let facts = part.into_iter().flat_map(Counts::facts);
                facts
                    .filter(|(fact, _)| old.parts.count(fact) == 0)
                    .for_each(|(fact, _)| visit(fact));
            });
            return;
        }
        for (fact, _) in self.facts().filter(|(fact, _)| old.count_of(fact) == 0) {
            visit(fact);
        }
    }

    /// Names the parts as those of another breakdown, if both are in parts.
    pub(crate) fn anchor_as(&mut self, other: Option<&Self>) {
        if let (Form::Parts(large), Some(Form::Parts(other))) =
            (&mut self.form, other.map(|other| &other.form))
            && other.anchor.is_some()
        {
            large.anchor = other.anchor;
        }
    }

    /// Names the parts of a large breakdown of a session by its start, unless they have a name that
    /// lies within it. To be called for what is about to be stored only.
    pub(crate) fn anchor(&mut self, start: EventTime, end: EventTime) {
        if let Form::Parts(large) = &mut self.form
            && !large.anchor.is_some_and(|anchor| start <= anchor && anchor <= end)
        {
            large.anchor = Some(start);
        }
    }

    /// What is stored instead of the values of a large one whose parts have a name.
    #[must_use]
    pub fn head(&self) -> Option<Head> {
        match &self.form {
            Form::Whole(_) => None,
            Form::Parts(large) => Some(Head::new(large.anchor?, large.parts.all_distinct())),
            Form::Head(head) => Some(**head),
        }
    }

    /// Visits the parts that have to be written or deleted where those of `old` are stored under
    /// the same anchor. None: nothing is stored there.
    pub fn changed_parts(&self, old: Option<&Self>, visit: &mut VisitPart<'_>) {
        let none = Parts::default();
        let parts = |of: Option<&Self>| match of.map(|of| &of.form) {
            Some(Form::Parts(large)) => large.parts.clone(),
            _ => none.clone(),
        };
        let (new, old) = (parts(Some(self)), parts(old));
        new.changes(&old, &mut |key, part| visit(key, part.map(Part)));
    }

    /// The number of values in a stored part.
    ///
    /// # Errors
    /// [`Malformed`] when it is none, or not that of its key.
    pub fn check_part(key: PartKey, stored: &[u8]) -> Result<usize, Malformed> {
        let mut parts = Parts::default();
        parts.take_in(key, Counts::decode(stored)?)?;
        Ok(parts.len())
    }

    /// A breakdown from its head and its parts, as they were stored.
    ///
    /// # Errors
    /// [`Malformed`] when these are not the parts of one breakdown, all of them.
    pub fn from_stored_parts<'a>(
        head: Head,
        parts: impl IntoIterator<Item = (PartKey, &'a [u8])>,
    ) -> Result<Self, Malformed> {
        let mut read = Assembly::new(head);
        for (key, part) in parts {
            read.part(key, part)?;
        }
        read.finish()
    }

    /// See [`crate::summary::Summary::warm`].
    #[inline]
    pub(crate) fn warm(&self) -> u64 {
        match &self.form {
            Form::Whole(counts) => counts.warm(),
            Form::Parts(_) | Form::Head(_) => 0,
        }
    }

    /// Approximate bytes on the heap. Known without looking at the parts.
    #[must_use]
    pub(crate) fn heap_bytes(&self) -> usize {
        match &self.form {
            Form::Whole(counts) => counts.heap_bytes(),
            Form::Parts(large) => size_of::<InParts>() + large.parts.heap_bytes(),
            Form::Head(_) => size_of::<Head>(),
        }
    }

    /// Approximate bytes on the heap that are not shared with another one: at the cost of what
    /// differs.
    #[must_use]
    pub(crate) fn bytes_beside(&self, other: &Self) -> usize {
        let (Form::Parts(large), Form::Parts(other)) = (&self.form, &other.form) else {
            return self.heap_bytes();
        };
        let mut bytes = size_of::<InParts>();
        large.parts.changes(&other.parts, &mut |_, part| {
            bytes += part.map_or(0, |part| part.heap_bytes() + parts::WAY_BYTES);
        });
        bytes.min(self.heap_bytes())
    }

    /// Appends the stored form of all values: the number of entries, then field, count and text of
    /// each.
    pub fn encode(&self, out: &mut Vec<u8>) {
        if let Form::Whole(counts) = &self.form {
            return counts.encode(out);
        }
        let sorted = self.sorted();
        put_u64(out, sorted.len() as u64);
        for (fact, count) in sorted {
            out.push(fact.field as u8);
            put_u64(out, count);
            put_str(out, fact.text);
        }
    }

    /// Reads the stored form of all values, which must be the whole slice.
    ///
    /// # Errors
    /// [`Malformed`] for anything [`Breakdown::encode`] does not write.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        Counts::decode(bytes).map(Self::of)
    }

    fn of(counts: Counts) -> Self {
        let is_large = counts.len() > WHOLE_MAX;
        let mut read = Self { form: Form::Whole(counts) };
        if is_large {
            read.divide();
        }
        read
    }

    fn sorted(&self) -> Vec<(Fact<'_>, u64)> {
        let mut sorted: Vec<_> = self.facts().collect();
        sorted.sort_unstable_by_key(|(fact, _)| (fact.field, fact.hash, fact.text));
        sorted
    }
}

impl From<Head> for Breakdown {
    fn from(head: Head) -> Self {
        Self { form: Form::Head(Box::new(head)) }
    }
}

/// A large breakdown that is read part by part.
#[derive(Debug)]
pub struct Assembly {
    head: Head,
    parts: Parts,
}

impl Assembly {
    /// Nothing is read yet.
    #[must_use]
    pub fn new(head: Head) -> Self {
        Self { head, parts: Parts::default() }
    }

    /// Takes a stored part.
    ///
    /// # Errors
    /// [`Malformed`] when it is none, or has no place beside the others.
    pub fn part(&mut self, key: PartKey, stored: &[u8]) -> Result<(), Malformed> {
        self.parts.take_in(key, Counts::decode(stored)?)
    }

    /// The breakdown.
    ///
    /// # Errors
    /// [`Malformed`] when the parts are not those of the head.
    pub fn finish(self) -> Result<Breakdown, Malformed> {
        let Self { head, parts } = self;
        if Head::new(head.anchor, parts.all_distinct()) != head || !parts.is_canonical() {
            return Err(Malformed("parts of a breakdown are missing, or another's"));
        }
        let anchor = Some(head.anchor);
        Ok(Breakdown { form: Form::Parts(Box::new(InParts { parts, anchor })) })
    }
}

/// Values and their counts.
struct Entries<'a> {
    part: Option<&'a Counts>,
    at: usize,
    rest: std::vec::IntoIter<(PartKey, &'a Counts)>,
}

impl<'a> Iterator for Entries<'a> {
    type Item = (Fact<'a>, u64);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(entry) = self.part.and_then(|part| part.get(self.at)) {
                self.at += 1;
                return Some(entry);
            }
            (self.part, self.at) = (Some(self.rest.next()?.1), 0);
        }
    }
}

#[cfg(feature = "abomonation")]
impl Breakdown {
    /// The entries, hash, count and tag of each, and their texts. Of a large one: nothing, because
    /// it is never spilled.
    pub(crate) fn parts(&self) -> (Vec<[u64; 3]>, &str) {
        match &self.form {
            Form::Whole(counts) => {
                let (entries, texts) = counts.parts();
                (entries.collect(), texts)
            }
            Form::Parts(_) | Form::Head(_) => (Vec::new(), ""),
        }
    }

    /// The inverse of [`Breakdown::parts`]; that hashes are those of the texts is believed.
    ///
    /// # Errors
    /// [`Malformed`] for entries of no field, or whose texts are none.
    pub(crate) fn from_parts(
        parts: impl ExactSizeIterator<Item = [u64; 3]>,
        texts: &str,
    ) -> Result<Self, Malformed> {
        Counts::from_parts(parts, texts).map(Self::of)
    }
}

impl PartialEq for Breakdown {
    fn eq(&self, other: &Self) -> bool {
        match (&self.form, &other.form) {
            (Form::Whole(one), Form::Whole(other)) => one == other,
            (Form::Parts(one), Form::Parts(other)) => one.parts == other.parts,
            (Form::Head(one), Form::Head(other)) => one == other,
            _ => false,
        }
    }
}

impl Eq for Breakdown {}

impl Ord for Breakdown {
    fn cmp(&self, other: &Self) -> Ordering {
        let rank = |form: &Form| match form {
            Form::Whole(_) => None,
            Form::Parts(_) => Some(None),
            Form::Head(head) => Some(Some(**head)),
        };
        if self.is_large() && self == other {
            return Ordering::Equal;
        }
        let by_form = rank(&self.form).cmp(&rank(&other.form));
        by_form.then_with(|| {
            let view = |(fact, count): (Fact<'_>, u64)| {
                (fact.field, fact.hash, fact.text.to_owned(), count)
            };
            self.sorted().into_iter().map(view).cmp(other.sorted().into_iter().map(view))
        })
    }
}

impl PartialOrd for Breakdown {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Hash for Breakdown {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // A sum does not depend on the order.
        state.write_u64(match &self.form {
            Form::Whole(counts) => counts.sum(),
            Form::Parts(large) => large
                .parts
                .leaves(None)
                .iter()
                .fold(0, |sum, (_, part)| sum.wrapping_add(part.sum())),
            Form::Head(head) => head.entries(),
        });
    }
}

impl std::fmt::Debug for Breakdown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Form::Head(head) = &self.form {
            return head.fmt(f);
        }
        let mut map = f.debug_map();
        for (fact, count) in self.sorted() {
            map.entry(&(fact.field, fact.text), &count);
        }
        map.finish()
    }
}
