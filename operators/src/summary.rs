//! The statistics of a session as retractable summaries (section 6 of the semantics).
//!
//! A [`Summary`] is sums ([`Counters`]), a histogram of durations and counts by value. It is the
//! same whatever order requests are added or summaries merged in. Sums of outside numbers saturate
//! and so stay independent of order; what is lost by that, and the maximum, are why
//! [`Summary::subtract`] may ask for a recomputation.

use std::ops::{Deref, DerefMut};

use crate::breakdown::Breakdown;
use crate::facts::{Fact, Facts, Field, Numbers};
use crate::histogram::Histogram;
use crate::request::NANOS_PER_MS;
use crate::wire::{Malformed, Reader, put_u64};

/// Statistics over a set of requests. The counters are reached through it.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Summary {
    /// Sums.
    pub counters: Counters,
    /// Durations in nanoseconds, of the requests that have one.
    pub histogram: Histogram,
    /// Counts by value: attacks by detections, the others by requests.
    pub breakdown: Breakdown,
}

/// The sums of a summary.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Counters {
    /// Requests.
    pub requests: u64,
    /// Detections: each attack of each request.
    pub detections: u64,
    /// Requests with at least one detection.
    pub malicious: u64,
    /// Requests blocked upstream.
    pub blocked: u64,
    /// Requests answered with a status of 400 or more.
    pub errors: u64,
    /// Requests answered with a status of 500 or more.
    pub server_errors: u64,
    /// Bytes of the requests.
    pub request_bytes: u64,
    /// Bytes of the responses.
    pub response_bytes: u64,
    /// Nanoseconds of all known durations.
    pub duration_sum_ns: u64,
    /// The longest known duration, in nanoseconds.
    pub duration_max_ns: u64,
    /// Calls that are in no description of their app.
    pub shadow: u64,
    /// Calls that only an earlier description has, or that are marked deprecated.
    pub zombie: u64,
}

/// Whether a subtraction did what it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Subtracted {
    /// The summary is now that of the requests without the one taken back.
    Exact,
    /// It is not, and cannot be had without those requests: the maximum may have gone, a sum had
    /// saturated, or the request had never been added.
    Recompute,
}

/// Lowest status that counts as an error.
pub const STATUS_ERROR: u16 = 400;
/// Lowest status that counts as a server error.
pub const STATUS_SERVER_ERROR: u16 = 500;

impl Counters {
    /// The sums of one request.
    #[must_use]
    pub fn of(numbers: &Numbers) -> Self {
        let duration = numbers.duration_ns.unwrap_or(0);
        Self {
            requests: 1,
            detections: u64::from(numbers.detections),
            malicious: u64::from(numbers.detections > 0),
            blocked: u64::from(numbers.blocked),
            errors: u64::from(numbers.status >= STATUS_ERROR),
            server_errors: u64::from(numbers.status >= STATUS_SERVER_ERROR),
            request_bytes: numbers.request_bytes,
            response_bytes: numbers.response_bytes,
            duration_sum_ns: duration,
            duration_max_ns: duration,
            shadow: u64::from(numbers.shadow),
            zombie: u64::from(numbers.zombie),
        }
    }

    /// The fields in the order they are stored.
    #[must_use]
    pub fn to_array(self) -> [u64; 12] {
        [
            self.requests,
            self.detections,
            self.malicious,
            self.blocked,
            self.errors,
            self.server_errors,
            self.request_bytes,
            self.response_bytes,
            self.duration_sum_ns,
            self.duration_max_ns,
            self.shadow,
            self.zombie,
        ]
    }

    /// The inverse of [`Counters::to_array`].
    #[must_use]
    pub fn from_array(fields: [u64; 12]) -> Self {
        let [
            requests,
            detections,
            malicious,
            blocked,
            errors,
            server_errors,
            request_bytes,
            response_bytes,
            duration_sum_ns,
            duration_max_ns,
            shadow,
            zombie,
        ] = fields;
        Self {
            requests,
            detections,
            malicious,
            blocked,
            errors,
            server_errors,
            request_bytes,
            response_bytes,
            duration_sum_ns,
            duration_max_ns,
            shadow,
            zombie,
        }
    }

    /// Adds sums of other requests.
    #[inline]
    pub fn merge(&mut self, other: &Self) {
        let max = self.duration_max_ns.max(other.duration_max_ns);
        let (mut sums, more) = (self.to_array(), other.to_array());
        for (sum, more) in sums.iter_mut().zip(more) {
            *sum = sum.saturating_add(more);
        }
        *self = Self { duration_max_ns: max, ..Self::from_array(sums) };
    }

    /// Takes back the sums of one request; not when that cannot be exact. `longest`: the longest
    /// duration that is left, where it is known.
    fn subtract(&mut self, one: &Self, longest: Option<u64>) -> Subtracted {
        let max = self.duration_max_ns;
        let without_max = |counters: &Self| Self { duration_max_ns: 0, ..*counters }.to_array();
        let (mut sums, less) = (without_max(self), without_max(one));
        for (sum, less) in sums.iter_mut().zip(less) {
            match sum.checked_sub(less) {
                Some(left) if *sum < u64::MAX => *sum = left,
                _ => return Subtracted::Recompute,
            }
        }
        let max = match longest {
            Some(longest) => longest,
            None if one.duration_max_ns > 0 && one.duration_max_ns >= max => {
                return Subtracted::Recompute;
            }
            None => max,
        };
        *self = Self { duration_max_ns: max, ..Self::from_array(sums) };
        Subtracted::Exact
    }

    /// Appends the stored form.
    pub fn encode(&self, out: &mut Vec<u8>) {
        self.to_array().into_iter().for_each(|field| put_u64(out, field));
    }

    /// Reads the stored form.
    ///
    /// # Errors
    /// [`Malformed`] when it ends early.
    pub fn decode(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        let mut fields = [0; 12];
        for field in &mut fields {
            *field = from.u64()?;
        }
        Ok(Self::from_array(fields))
    }
}

impl Summary {
    /// Counts a request.
    pub fn add(&mut self, facts: &Facts<'_>) {
        self.add_noting(facts, Field::App);
    }

    /// Counts a request, and answers its first value of a field.
    #[inline]
    pub(crate) fn add_noting<'a>(&mut self, facts: &Facts<'a>, wanted: Field) -> Option<Fact<'a>> {
        self.counters.merge(&Counters::of(&facts.numbers));
        if let Some(duration) = facts.numbers.duration_ns {
            self.histogram.add(duration);
        }
        let (mut hint, mut noted) = (0, None);
        for fact in facts.raw() {
            hint = self.breakdown.add(fact, 1, hint);
            if fact.field == wanted && noted.is_none() {
                noted = Some(fact);
            }
        }
        noted?.checked()
    }

    /// Counts everything another summary counted; no request may be in both.
    pub fn merge(&mut self, other: &Self) {
        self.counters.merge(&other.counters);
        self.histogram.merge(&other.histogram);
        self.breakdown.merge(&other.breakdown);
    }

    /// Takes back a request that was added. After [`Subtracted::Recompute`] the summary is
    /// invalid and must be recomputed from the requests.
    pub fn subtract(&mut self, facts: &Facts<'_>) -> Subtracted {
        self.subtract_leaving(facts, None)
    }

    /// As [`Summary::subtract`], where the longest duration of the requests that are left is known.
    pub(crate) fn subtract_leaving(
        &mut self,
        facts: &Facts<'_>,
        longest_ns: Option<u64>,
    ) -> Subtracted {
        let numbers = self.counters.subtract(&Counters::of(&facts.numbers), longest_ns);
        let duration = facts.numbers.duration_ns;
        let known = duration.is_none_or(|duration| self.histogram.subtract(duration))
            && facts.iter().all(|fact| self.breakdown.subtract(&fact, 1));
        if known { numbers } else { Subtracted::Recompute }
    }

    /// The count of a value; 0 when there was none.
    #[must_use]
    pub fn count(&self, field: Field, text: &str) -> u64 {
        self.breakdown.count(field, text)
    }

    /// Number of distinct values of a field, exactly.
    #[must_use]
    pub fn distinct(&self, field: Field) -> usize {
        self.breakdown.distinct(field)
    }

    /// Values of a field and their counts, in no order that means anything. None where only the
    /// [head](Breakdown::is_head) of the breakdown is here.
    pub fn entries(&self, field: Field) -> impl Iterator<Item = (&str, u64)> {
        self.breakdown.of_field(field).map(|(fact, count)| (fact.text, count))
    }

    /// The duration in milliseconds at quantile `q` in 0..=1 of the requests that have one, within
    /// 1 %; none when there is no such request.
    #[must_use]
    pub fn quantile_ms(&self, q: f64) -> Option<f64> {
        let found = self.histogram.quantile(q)?;
        // The middle of the last bucket may lie above everything in it.
        Some(found.min(self.duration_max_ns) as f64 / NANOS_PER_MS)
    }

    /// Reads a little of everything, to have it in the processor's cache soon.
    #[inline]
    pub(crate) fn warm(&self) -> u64 {
        self.counters.shadow.wrapping_add(self.breakdown.warm()).wrapping_add(self.histogram.warm())
    }

    /// Approximate bytes on the heap. Known without looking at values.
    #[must_use]
    pub(crate) fn heap_bytes(&self) -> usize {
        self.breakdown.heap_bytes() + self.histogram.heap_bytes()
    }

    /// Approximate bytes on the heap that are not shared with another one.
    #[must_use]
    pub(crate) fn bytes_beside(&self, other: &Self) -> usize {
        self.breakdown.bytes_beside(&other.breakdown) + self.histogram.heap_bytes()
    }
}

impl Deref for Summary {
    type Target = Counters;

    fn deref(&self) -> &Counters {
        &self.counters
    }
}

impl DerefMut for Summary {
    fn deref_mut(&mut self) -> &mut Counters {
        &mut self.counters
    }
}
