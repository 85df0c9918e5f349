//! Assignment: the rules in force, compiled, applied to one request.
//!
//! [`CompiledRules::assign`] is a pure function of the request and the rules. It first redacts
//! what a secret rule reads (`redact.rs`), then does everything else on the redacted record, so a
//! request taken from the log gives exactly what it gave when it was new. It appends the head and
//! the stored request to the batch's arena and returns the fixed part; nothing is allocated for
//! the usual request.

mod compile;
mod explain;
mod key;
mod keys;
mod marker;
pub mod operator;
mod read;
mod redact;

pub use explain::{ContextRead, Explanation, KeyTry};
pub use key::{AppRule, Applications, DEFAULT_APP, SecretKey};
pub use marker::{MARKER, Marker};
pub use redact::SecretPlaces;

use std::borrow::Cow;
use std::cell::RefCell;
use std::fmt;

use bytes::Bytes;
use smallvec::SmallVec;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use self::read::Value;
use crate::facts::{Assigned, Fact, Field, IdentityText, Numbers, encode_head};
use crate::identity::IdentityId;
use crate::inventory::{Descriptions, Verdict};
use crate::point::Bodies;
use crate::request::Request;
use crate::rules::edit::{EditCode, EditError};
use crate::rules::place::Place;
use crate::rules::{BUILT_IN_KEYS, ParameterType, RuleSet};
use crate::time::{Day, DayZone, EventTime};
use crate::wire::Malformed;

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
    /// Whose request; [`IdentityId::unassigned`] unless the outcome is [`Outcome::Session`].
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

/// Buffers reused from request to request. One for each thread.
#[derive(Debug, Default)]
pub struct Scratch {
    bodies: Bodies,
    identity: String,
    endpoint: String,
    parameters: String,
}

/// Room for a head beside its stored request.
const HEAD_BYTES: usize = 256;

/// A rule set ready to be applied; shared by the workers.
pub struct CompiledRules {
    rules: RuleSet,
    zone: DayZone,
    secret: SecretKey,
    id_seed: u64,
    apps: Vec<compile::App>,
    scope: Vec<compile::Scope>,
    keys: Vec<keys::Key>,
    built_in: keys::BuiltIn,
    context: Vec<compile::Context>,
    flows: Vec<compile::CompiledFlow>,
    secrets: redact::Secrets,
    descriptions: Descriptions,
}

impl fmt::Debug for CompiledRules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CompiledRules").field("rules", &self.rules).finish_non_exhaustive()
    }
}

/// Which key decided, and what it found.
struct Decision<'r> {
    namespace: &'r str,
    value: Value<'r>,
    qualifier: &'r str,
    gap_ms: u32,
    weak: bool,
}

type FactList<'f> = SmallVec<[Fact<'f>; 16]>;
type ContextValues<'r> = SmallVec<[(usize, Value<'r>); 4]>;

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
        let errors = RefCell::new(Vec::new());
        let place = |list| Place::new(&errors, list);
        let zone = DayZone::named(&rules.settings.day_zone).unwrap_or_else(|error| {
            place("settings").at("day_zone").refuse(EditCode::OutOfRange, error.to_string());
            DayZone::utc()
        });
        let keys = compile::keys(rules, key, &place("grouping"));
        let context = compile::context(rules, &place("context"));
        let built_in = compile::built_in(rules, key);
        let compiled = Self {
            secrets: redact::Secrets::new(&keys, &context),
            zone,
            id_seed: key.id_seed(),
            apps: compile::apps(apps, &place("applications")),
            scope: compile::scope(rules, &place("scope")),
            keys,
            built_in,
            context,
            flows: compile::flows(rules, &place("flows")),
            descriptions: descriptions.clone(),
            rules: rules.clone(),
            secret: key.clone(),
        };
        let errors = errors.into_inner();
        if errors.is_empty() { Ok(compiled) } else { Err(errors) }
    }

    /// The rules as data.
    #[must_use]
    pub fn rules(&self) -> &RuleSet {
        &self.rules
    }

    /// The key of the hashes of secret values.
    #[must_use]
    pub fn secret_key(&self) -> &SecretKey {
        &self.secret
    }

    /// What the applications' interfaces are said to be.
    #[must_use]
    pub fn descriptions(&self) -> &Descriptions {
        &self.descriptions
    }

    /// The zone days are counted in.
    #[must_use]
    pub fn zone(&self) -> &DayZone {
        &self.zone
    }

    /// The gap of a namespace in milliseconds; [`crate::facts::NO_GAP`]: none.
    #[must_use]
    pub fn gap_of(&self, namespace: &str) -> u32 {
        compile::gap_of(&self.rules, namespace)
    }

    /// Applies the rules to a request and appends its head and its stored form to `arena`.
    ///
    /// `fresh`: the record comes from a source, as it was; otherwise it comes from the request log
    /// and may be redacted. Afterwards `request` is the record as it is stored.
    pub fn assign(
        &self,
        request: &mut Request<'_>,
        fresh: bool,
        scratch: &mut Scratch,
        arena: &mut Vec<u8>,
    ) -> Assignment {
        if fresh && request.app.is_empty() {
            request.app = self.app_of(request);
        }
        let Scratch { bodies, identity, endpoint, parameters } = scratch;
        bodies.reset();
        let origin = if fresh { redact::Origin::Fresh } else { redact::Origin::Stored };
        self.secrets.redact(request, origin, &self.secret, bodies);
        let request = &*request;
        let hash = self.id_hash(&request.id);
        let (outcome, decision) = if self.includes(request) {
            match self.decide(request, bodies, identity) {
                Some(decision) => (Outcome::Session, Some(decision)),
                None => (Outcome::Unkeyed, None),
            }
        } else {
            (Outcome::Excluded, None)
        };
        let start = arena.len();
        let (id, gap_ms) = match &decision {
            Some(found) => {
                let texts = Texts { endpoint, parameters };
                self.put_head(request, found, bodies, texts, arena);
                (IdentityId::of(found.namespace, &found.value.text, found.qualifier), found.gap_ms)
            }
            None => {
                // What other rules counted is taken back with these facts: from the same app.
                let app = Fact::new(Field::App, &request.app);
                let facts = if request.app.is_empty() { &[][..] } else { &[app][..] };
                encode_head(arena, NOBODY, &numbers(request, Verdict::default()), facts);
                (IdentityId::unassigned(hash), compile::gap_ms(self.rules.settings.gap))
            }
        };
        let head_len = (arena.len() - start) as u32;
        request.encode(arena);
        Assignment {
            outcome,
            identity: id,
            day: self.zone.day_of(request.ts),
            ts: request.ts,
            id_hash: if request.explicit_id { hash } else { 0 },
            gap_ms,
            head_len,
        }
    }

    /// Applies the rules to one request in its stored form, for callers that do not fill the arena of
    /// a batch. `fresh` as in [`CompiledRules::assign`].
    ///
    /// # Errors
    /// [`Malformed`] when the bytes are no stored request.
    pub fn assign_stored(
        &self,
        stored: &[u8],
        fresh: bool,
        scratch: &mut Scratch,
    ) -> Result<Assigned, Malformed> {
        let mut request = Request::decode(stored)?;
        let mut arena = Vec::with_capacity(stored.len() + HEAD_BYTES);
        let assignment = self.assign(&mut request, fresh, scratch, &mut arena);
        Ok(assignment.into_assigned(arena.into()))
    }

    /// Redacts what could be read of a record that is refused, as a good record is: rules apply
    /// whatever they are limited to, as that may be what is missing.
    pub fn redact_refused(&self, request: &mut Request<'_>, scratch: &mut Scratch) {
        scratch.bodies.reset();
        self.secrets.redact(request, redact::Origin::Refused, &self.secret, &mut scratch.bodies);
    }

    /// Which places that are usually shown of an unreadable record a rule makes secret.
    #[must_use]
    pub fn secret_places(&self) -> SecretPlaces {
        self.secrets.refused_places()
    }

    /// The keyed hash of an explicit id, never 0.
    #[must_use]
    pub fn id_hash(&self, id: &str) -> u64 {
        xxh3_64_with_seed(id.as_bytes(), self.id_seed).max(1)
    }

    fn app_of<'a>(&self, request: &Request<'_>) -> Cow<'a, str> {
        let found = self.apps.iter().find(|app| app.limits.allow(request));
        found.map_or(Cow::Borrowed(DEFAULT_APP), |app| Cow::Owned(app.name.clone()))
    }

    #[inline]
    fn includes(&self, request: &Request<'_>) -> bool {
        self.scope.iter().find(|rule| rule.matches(request)).is_some_and(|rule| rule.include)
    }

    fn decide<'r>(
        &'r self,
        request: &'r Request<'_>,
        bodies: &mut Bodies,
        buffer: &'r mut String,
    ) -> Option<Decision<'r>> {
        for key in &self.keys {
            if let Ok(value) = key.attempt(request, &self.secret, bodies) {
                return Some(Decision {
                    namespace: &key.namespace,
                    value,
                    qualifier: key.qualifier(request),
                    gap_ms: key.gap_ms,
                    weak: false,
                });
            }
        }
        let (number, value) = self.built_in.decide(request, &self.secret, buffer)?;
        Some(Decision {
            namespace: BUILT_IN_KEYS[number],
            value,
            qualifier: "",
            gap_ms: self.built_in.gaps[number],
            weak: number >= keys::CLIENT,
        })
    }

    fn context_values<'r>(
        &self,
        request: &'r Request<'_>,
        bodies: &mut Bodies,
    ) -> ContextValues<'r> {
        let rules = self.context.iter().enumerate();
        rules
            .filter_map(|(number, rule)| {
                Some((number, rule.read.value(request, &self.secret, bodies)?))
            })
            .collect()
    }

    fn flows_of<'f>(
        &'f self,
        request: &'f Request<'_>,
        template: &'f str,
    ) -> impl Iterator<Item = &'f str> {
        let flows = self.flows.iter().filter(move |flow| flow.matches(request, template));
        flows.map(|flow| flow.name.as_str())
    }

    fn put_head(
        &self,
        request: &Request<'_>,
        decision: &Decision<'_>,
        bodies: &mut Bodies,
        texts: Texts<'_>,
        arena: &mut Vec<u8>,
    ) {
        let Texts { endpoint, parameters } = texts;
        endpoint.clear();
        endpoint.push_str(&request.method);
        endpoint.push(' ');
        let template_at = endpoint.len();
        let verdict = self.descriptions.judge(request, endpoint);
        let values = self.context_values(request, bodies);
        let parameters = write_parameters(&self.context, &values, parameters);
        let mut digits = [0; 3];
        let mut facts = FactList::new();
        let status = status_text(request.status, &mut digits);
        put_facts(request, status, endpoint, &mut facts);
        for flow in self.flows_of(request, &endpoint[template_at..]) {
            facts.push(Fact::new(Field::Flow, flow));
        }
        for ((number, value), parameter) in values.iter().zip(&parameters) {
            match self.context[*number].kind {
                ParameterType::User => put_once(&mut facts, Field::User, &value.text),
                ParameterType::Role => put_once(&mut facts, Field::Role, &value.text),
                ParameterType::Text => {}
            }
            put_once(&mut facts, Field::Parameter, parameter);
        }
        let identity = IdentityText {
            namespace: decision.namespace,
            value: &decision.value.text,
            qualifier: decision.qualifier,
            weak: decision.weak,
            secret: decision.value.hashed.is_some(),
        };
        encode_head(arena, identity, &numbers(request, verdict), &facts);
    }
}

/// Buffers of texts that facts borrow.
struct Texts<'s> {
    endpoint: &'s mut String,
    parameters: &'s mut String,
}

/// The identity of a request that is in no session.
const NOBODY: IdentityText<'static> =
    IdentityText { namespace: "", value: "", qualifier: "", weak: false, secret: false };

fn numbers(request: &Request<'_>, verdict: Verdict) -> Numbers {
    Numbers {
        status: request.status,
        request_bytes: request.request_bytes,
        response_bytes: request.response_bytes,
        duration_ns: request.duration_ns,
        detections: u32::try_from(request.attacks.len()).unwrap_or(u32::MAX),
        blocked: request.blocked,
        shadow: verdict.shadow,
        zombie: verdict.zombie,
    }
}

/// Facts that come from the record alone.
fn put_facts<'f>(
    request: &'f Request<'_>,
    status: &'f str,
    endpoint: &'f str,
    facts: &mut FactList<'f>,
) {
    for (field, text) in [
        (Field::Method, request.method.as_ref()),
        (Field::Status, status),
        (Field::Host, request.host.as_ref()),
        (Field::App, request.app.as_ref()),
        (Field::Endpoint, endpoint),
        (Field::Ip, keys::shown(&request.ip)),
        (Field::UserAgent, keys::shown(&request.user_agent)),
    ] {
        if !text.is_empty() {
            facts.push(Fact::new(field, text));
        }
    }
    facts.extend(request.attacks.iter().map(|attack| Fact::new(Field::Attack, &attack.kind)));
}

fn put_once<'f>(facts: &mut FactList<'f>, field: Field, text: &'f str) {
    if !facts.iter().any(|fact| fact.field == field && fact.text == text) {
        facts.push(Fact::new(field, text));
    }
}

/// `name=value` of each context value, in one buffer.
fn write_parameters<'s>(
    context: &[compile::Context],
    values: &ContextValues<'_>,
    buffer: &'s mut String,
) -> SmallVec<[&'s str; 4]> {
    buffer.clear();
    let mut ends = SmallVec::<[usize; 4]>::new();
    for (number, value) in values {
        buffer.push_str(&context[*number].name);
        buffer.push('=');
        buffer.push_str(&value.text);
        ends.push(buffer.len());
    }
    let mut start = 0;
    let place = |end: usize| &buffer[std::mem::replace(&mut start, end)..end];
    ends.into_iter().map(place).collect()
}

/// A status in decimal; empty when no response was seen.
fn status_text(status: u16, digits: &mut [u8; 3]) -> &str {
    if status == 0 {
        return "";
    }
    let status = status.min(999);
    let mut used = 3;
    let mut rest = status;
    while rest > 0 {
        used -= 1;
        digits[used] = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    std::str::from_utf8(&digits[used..]).unwrap_or_default()
}

#[cfg(test)]
mod tests;
