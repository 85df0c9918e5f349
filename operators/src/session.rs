//! Sessions and their statistics.
//!
//! A [`Session`] is a maximal run of one identity's requests inside one day with every step shorter
//! than the gap, and a [`Summary`] of them (SEMANTICS 6). It is a function of the set of those
//! requests: nothing in it depends on the order they came in.

use crate::identity::{Identity, SessionId};
use crate::summary::Summary;
use crate::time::{Day, EventTime};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// One session, as it stands at some epoch. Cheap to share, never changed in place once shared.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Session {
    /// Whose.
    pub identity: Arc<Identity>,
    /// The day it lies in.
    pub day: Day,
    /// First request's time.
    pub start: EventTime,
    /// Last request's time.
    pub end: EventTime,
    /// The gap in force for it, in milliseconds; [`crate::facts::NO_GAP`]: none.
    pub gap_ms: u32,
    /// Its statistics.
    pub summary: Summary,
}

impl Session {
    /// `<identity id>.<start>`.
    #[must_use]
    pub fn id(&self) -> SessionId {
        SessionId { identity: self.identity.id, start: self.start }
    }

    /// `end - start` in milliseconds.
    #[must_use]
    pub fn duration_ms(&self) -> i64 {
        self.end.0 - self.start.0
    }
}
