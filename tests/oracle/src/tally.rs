//! The statistics of sessions of one identity and day, from its requests in order, one at a time.
//!
//! For whoever has too many requests to hold: what is kept is the session that is open, the ids
//! that were seen, and one number for each duration.

use std::collections::{BTreeMap, HashSet};

use super::record::Record;
use super::rules::{Identity, Labels, Rules, shown};

/// A session with what is counted of it. Sums are exact.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub start: i64,
    pub end: i64,
    pub requests: u128,
    pub detections: u128,
    pub malicious: u128,
    pub blocked: u128,
    pub errors: u128,
    pub server_errors: u128,
    pub request_bytes: u128,
    pub response_bytes: u128,
    pub shadow: u128,
    pub zombie: u128,
    /// Of each request that has one, in nanoseconds, ascending.
    pub durations: Vec<u128>,
    /// By field and value.
    pub counts: BTreeMap<(&'static str, String), u64>,
}

impl Tally {
    fn new(ts: i64) -> Self {
        Self { start: ts, end: ts, ..Self::default() }
    }

    fn add(&mut self, request: &Record, labels: &Labels) {
        self.end = request.ts;
        self.requests += 1;
        self.detections += request.attacks.len() as u128;
        for (sum, holds) in [
            (&mut self.malicious, !request.attacks.is_empty()),
            (&mut self.blocked, request.blocked),
            (&mut self.errors, request.status >= 400),
            (&mut self.server_errors, request.status >= 500),
            (&mut self.shadow, labels.shadow),
            (&mut self.zombie, labels.zombie),
        ] {
            *sum += u128::from(holds);
        }
        self.request_bytes += u128::from(request.request_bytes);
        self.response_bytes += u128::from(request.response_bytes);
        self.durations.extend(request.duration_ns);
        let status = if request.status > 0 { request.status.to_string() } else { String::new() };
        for (field, text) in [
            ("method", request.method.clone()),
            ("status", status),
            ("host", request.host.clone()),
            ("app", labels.app.clone()),
            ("endpoint", labels.endpoint.clone()),
            ("ip", shown(request, &request.ip)),
            ("user_agent", shown(request, &request.user_agent)),
        ] {
            if !text.is_empty() {
                self.count(field, text);
            }
        }
        request.attacks.iter().for_each(|attack| self.count("attack", attack.clone()));
        labels.flows.iter().for_each(|flow| self.count("flow", flow.clone()));
        // A request has a value once, whatever number of parameters give it.
        let mut seen = HashSet::new();
        for (name, kind, value) in &labels.context {
            let own = match kind.as_str() {
                "user" => Some(("user", value.clone())),
                "role" => Some(("role", value.clone())),
                _ => None,
            };
            for (field, text) in own.into_iter().chain([("parameter", format!("{name}={value}"))]) {
                if seen.insert((field, text.clone())) {
                    self.count(field, text);
                }
            }
        }
    }

    fn count(&mut self, field: &'static str, text: String) {
        *self.counts.entry((field, text)).or_default() += 1;
    }

    /// The duration at a quantile, by nearest rank.
    pub fn quantile(&self, q: f64) -> Option<u128> {
        let rank = ((q * self.durations.len() as f64).ceil() as usize).max(1);
        self.durations.get(rank - 1).copied()
    }
}

/// Sessions of one identity and day.
pub struct Day<'r> {
    rules: &'r Rules,
    identity: Identity,
    seen: HashSet<[u8; 16]>,
    open: Option<Tally>,
}

impl<'r> Day<'r> {
    /// Before its first request.
    pub fn new(rules: &'r Rules, identity: Identity) -> Self {
        Self { rules, identity, seen: HashSet::new(), open: None }
    }

    /// Whose.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Takes the next request in order of `(ts, stored request)`, of which the first with an
    /// explicit id counts. The session that ended before it, if one did.
    pub fn next(&mut self, request: &Record) -> Option<Tally> {
        if request.explicit_id {
            let mut id = [0; 16];
            id.copy_from_slice(&blake3::hash(request.id.as_bytes()).as_bytes()[..16]);
            if !self.seen.insert(id) {
                return None;
            }
        }
        let follows = |open: &Tally| {
            self.identity.gap_ms.is_none_or(|gap| request.ts - open.end < gap.max(1))
        };
        let ended = if self.open.as_ref().is_some_and(follows) { None } else { self.finish() };
        let open = self.open.get_or_insert_with(|| Tally::new(request.ts));
        open.add(request, &self.rules.labels(request));
        ended
    }

    /// No more requests follow: the last session.
    pub fn finish(&mut self) -> Option<Tally> {
        let mut last = self.open.take()?;
        last.durations.sort_unstable();
        Some(last)
    }
}
