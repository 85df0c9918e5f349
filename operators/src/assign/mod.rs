//! Assignment: the rules in force, compiled, applied to one request.
//!
//! [`CompiledRules::assign`] is a pure function of the request and the rules. It first redacts
//! what a secret rule reads (`redact.rs`), then does everything else on the redacted record, so a
//! request taken from the log gives exactly what it gave when it was new. It appends the head and
//! the stored request to the batch's arena and returns the fixed part; nothing is allocated for
//! the usual request.

mod key;

pub use key::{AppRule, Applications, DEFAULT_APP, SecretKey};

use std::fmt;

use bytes::Bytes;

use crate::facts::{Assigned, Fact, Field, IdentityText, NO_GAP, Numbers, encode_head};
use crate::identity::IdentityId;
use crate::inventory::Descriptions;
use crate::request::Request;
use crate::rules::edit::EditError;
use crate::rules::{Gap, ParameterType, RuleSet};
use crate::time::{Day, DayZone, EventTime};

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It belongs to a session of its identity.
    Session,
    /// Out of scope: retained, in no session.
    Excluded,
    /// No key worked: retained, in no session.
    Unkeyed,
}

/// The fixed part of an assigned request; the rest was appended to the arena.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// In a session, or why not.
    pub outcome: Outcome,
    /// Whose request; a limbo id unless the outcome is [`Outcome::Session`].
    pub identity: IdentityId,
    /// The day of `ts` in the configured zone.
    pub day: Day,
    /// When the request started.
    pub ts: EventTime,
    /// See [`Assigned::id_hash`].
    pub id_hash: u64,
    /// See [`Assigned::gap_ms`].
    pub gap_ms: u32,
    /// See [`Assigned::head_len`].
    pub head_len: u32,
}

impl Assignment {
    /// The item that travels, of no origin. `payload` is the slice of the arena that this
    /// assignment appended.
    #[must_use]
    pub fn into_assigned(self, payload: Bytes) -> Assigned {
        Assigned {
            day: self.day,
            identity: self.identity,
            ts: self.ts,
            id_hash: self.id_hash,
            gap_ms: self.gap_ms,
            origin: 0,
            head_len: self.head_len,
            payload,
        }
    }
}

/// Why a request is where it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Explanation {
    /// Method and path template.
    pub endpoint: String,
    /// Business flows it touches.
    pub flows: Vec<String>,
    /// Context parameters that worked.
    pub context: Vec<ContextRead>,
    /// Keys in the order they were tried, up to and with the one that worked.
    pub keys_tried: Vec<KeyTry>,
}

/// A context parameter that worked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContextRead {
    /// The parameter's name.
    pub name: String,
    /// What it is about.
    pub kind: ParameterType,
    /// Its value, or the keyed hash of a secret one.
    pub value: String,
}

/// One key that was tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyTry {
    /// Name of the grouping key; built-in keys have theirs.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// Where it looks.
    pub point: String,
    /// It decided.
    pub worked: bool,
    /// Why it did not work; what it found otherwise.
    pub reason: String,
}

/// Buffers reused from request to request. One for each thread.
#[derive(Debug, Default)]
pub struct Scratch {
    identity: String,
}

/// A rule set ready to be applied; shared by the workers.
pub struct CompiledRules {
    rules: RuleSet,
    zone: DayZone,
}

impl fmt::Debug for CompiledRules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CompiledRules").field("rules", &self.rules).finish_non_exhaustive()
    }
}

impl CompiledRules {
    /// Compiles rules.
    ///
    /// # Errors
    /// Every reason the rules, or the applications' globs, cannot be in force.
    pub fn new(
        rules: &RuleSet,
        key: &SecretKey,
        apps: &Applications,
        descriptions: &Descriptions,
    ) -> Result<Self, Vec<EditError>> {
        rules.check()?;
        let _ = (key, apps, descriptions);
        let zone = DayZone::named(&rules.settings.day_zone).unwrap_or_else(|_| DayZone::utc());
        Ok(Self { rules: rules.clone(), zone })
    }

    /// The rules as data.
    #[must_use]
    pub fn rules(&self) -> &RuleSet {
        &self.rules
    }

    /// The zone days are counted in.
    #[must_use]
    pub fn zone(&self) -> &DayZone {
        &self.zone
    }

    /// The gap of a namespace in milliseconds; [`NO_GAP`]: none.
    #[must_use]
    pub fn gap_of(&self, _namespace: &str) -> u32 {
        match self.rules.settings.gap {
            Gap::Ms(ms) => ms,
            Gap::None => NO_GAP,
        }
    }

    /// Applies the rules to a request and appends its head and its stored form to `arena`.
    ///
    /// `fresh`: the record comes from a source, as it was; otherwise it comes from the request log
    /// and may be redacted. Afterwards `request` is the record as it is stored.
    pub fn assign(
        &self,
        request: &mut Request<'_>,
        _fresh: bool,
        scratch: &mut Scratch,
        arena: &mut Vec<u8>,
    ) -> Assignment {
        scratch.identity.clear();
        scratch.identity.push_str(&request.ip);
        let identity = IdentityText {
            namespace: "client-ip",
            value: &scratch.identity,
            qualifier: "",
            weak: true,
            secret: false,
        };
        let numbers = Numbers { status: request.status, ..Numbers::default() };
        let before = arena.len();
        encode_head(arena, identity, &numbers, &[Fact::new(Field::Method, &request.method)]);
        let head_len = (arena.len() - before) as u32;
        request.encode(arena);
        Assignment {
            outcome: Outcome::Session,
            identity: IdentityId::of("client-ip", &scratch.identity, ""),
            day: self.zone.day_of(request.ts),
            ts: request.ts,
            id_hash: 0,
            gap_ms: self.gap_of("client-ip"),
            head_len,
        }
    }

    /// Why a stored request is where it is.
    #[must_use]
    pub fn explain(&self, _request: &Request<'_>) -> Explanation {
        Explanation::default()
    }
}
