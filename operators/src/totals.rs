//! Totals of a minute and an app: the difference type of the overview.
//!
//! A group: what was added can be subtracted, so `count_total` over it is exact when a request or
//! a session is retracted. Sums of outside numbers have 128 bits, so that no requests there can be
//! make one wrap; what is shown of a sum is [`shown`], for totals and for sessions alike.

use differential_dataflow::difference::{IsZero, Monoid, Semigroup};
use serde::{Deserialize, Serialize};

/// Sums over requests, and over sessions by the minute they start in. Those of an app are over its
/// requests, and over the sessions that have at least one of them: a session counts in each app it
/// touches, so the sessions of all apps may be more than there are.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[allow(missing_docs, reason = "named as in section 6 of the semantics")]
pub struct Totals {
    pub requests: i64,
    pub errors: i64,
    pub server_errors: i64,
    pub detections: i64,
    pub malicious: i64,
    pub blocked: i64,
    pub request_bytes: i128,
    pub response_bytes: i128,
    pub duration_ns: i128,
    /// Sessions that start in the minute.
    pub sessions: i64,
    /// Those of them with a malicious request.
    pub malicious_sessions: i64,
    /// Those of them with a weak identity.
    pub weak_sessions: i64,
}

/// What is shown of a sum: at most 2^64 - 1, and nothing below zero. The sum itself stays exact, so
/// what is taken back from it later counts in full. A session's sums, which are never taken back
/// from, saturate as they are added up and come to the same.
#[must_use]
pub fn shown(sum: i128) -> u64 {
    u64::try_from(sum.max(0)).unwrap_or(u64::MAX)
}

impl Totals {
    /// The fields in the order they are stored.
    #[must_use]
    pub fn to_array(self) -> [i128; 12] {
        [
            self.requests.into(),
            self.errors.into(),
            self.server_errors.into(),
            self.detections.into(),
            self.malicious.into(),
            self.blocked.into(),
            self.request_bytes,
            self.response_bytes,
            self.duration_ns,
            self.sessions.into(),
            self.malicious_sessions.into(),
            self.weak_sessions.into(),
        ]
    }

    /// The inverse of [`Totals::to_array`]; counts of requests and sessions have 64 bits.
    #[must_use]
    pub fn from_array(fields: [i128; 12]) -> Self {
        let count = |field: i128| field as i64;
        let [
            requests,
            errors,
            server_errors,
            detections,
            malicious,
            blocked,
            request_bytes,
            response_bytes,
            duration_ns,
            sessions,
            malicious_sessions,
            weak_sessions,
        ] = fields;
        Self {
            requests: count(requests),
            errors: count(errors),
            server_errors: count(server_errors),
            detections: count(detections),
            malicious: count(malicious),
            blocked: count(blocked),
            request_bytes,
            response_bytes,
            duration_ns,
            sessions: count(sessions),
            malicious_sessions: count(malicious_sessions),
            weak_sessions: count(weak_sessions),
        }
    }

    /// The sums over requests alone.
    #[must_use]
    pub fn of_requests(self) -> Self {
        Self { sessions: 0, malicious_sessions: 0, weak_sessions: 0, ..self }
    }

    /// The inverse element.
    #[must_use]
    pub fn negated(self) -> Self {
        Self::from_array(self.to_array().map(i128::wrapping_neg))
    }
}

impl IsZero for Totals {
    fn is_zero(&self) -> bool {
        *self == Self::default()
    }
}

impl Semigroup for Totals {
    fn plus_equals(&mut self, rhs: &Self) {
        let mut fields = self.to_array();
        for (field, more) in fields.iter_mut().zip(rhs.to_array()) {
            *field = field.wrapping_add(more);
        }
        *self = Self::from_array(fields);
    }
}

impl Monoid for Totals {
    fn zero() -> Self {
        Self::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_numbers_make_a_sum_wrap_and_what_is_taken_back_counts_in_full() {
        let most = i128::from(u64::MAX);
        let one =
            Totals { requests: 1, duration_ns: most, request_bytes: most, ..Totals::default() };
        let mut sum = Totals::default();
        for (times, diff, expected) in [
            (5, 1, u64::MAX),
            (4, -1, u64::MAX),
            (1, -1, 0),
            (1, -1, 0),
            (1, 1, 0),
            (1, 1, u64::MAX),
        ] {
            for _ in 0..times {
                sum.plus_equals(&if diff > 0 { one } else { one.negated() });
            }
            assert_eq!((shown(sum.duration_ns), shown(sum.request_bytes)), (expected, expected));
        }
        assert_eq!((sum, shown(0), shown(-1)), (one, 0, 0));
    }
}
