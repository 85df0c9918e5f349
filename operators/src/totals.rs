//! Totals of a minute and an app: the difference type of the overview.
//!
//! A group: what was added can be subtracted, so `count_total` over it is exact when a request or
//! a session is retracted.

use differential_dataflow::difference::{IsZero, Monoid, Semigroup};
use serde::{Deserialize, Serialize};

/// Sums over requests, and over sessions by the minute they start in.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[allow(missing_docs, reason = "named as in SEMANTICS 6")]
pub struct Totals {
    pub requests: i64,
    pub errors: i64,
    pub server_errors: i64,
    pub detections: i64,
    pub malicious: i64,
    pub blocked: i64,
    pub request_bytes: i64,
    pub response_bytes: i64,
    pub duration_ns: i64,
    /// Sessions that start in the minute.
    pub sessions: i64,
    /// Those of them with a malicious request.
    pub malicious_sessions: i64,
    /// Those of them with a weak identity.
    pub weak_sessions: i64,
}

impl Totals {
    /// The fields in the order they are stored.
    #[must_use]
    pub fn to_array(self) -> [i64; 12] {
        [
            self.requests,
            self.errors,
            self.server_errors,
            self.detections,
            self.malicious,
            self.blocked,
            self.request_bytes,
            self.response_bytes,
            self.duration_ns,
            self.sessions,
            self.malicious_sessions,
            self.weak_sessions,
        ]
    }

    /// The inverse of [`Totals::to_array`].
    #[must_use]
    pub fn from_array(fields: [i64; 12]) -> Self {
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
        }
    }

    /// The inverse element.
    #[must_use]
    pub fn negated(self) -> Self {
        Self::from_array(self.to_array().map(i64::wrapping_neg))
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
