//! The batch oracle: what a replay must give, and what a store must hold, computed the plain way
//! from all requests.
//!
//! It shares no code with the product: JSON through `serde_json`, access logs and globs through
//! regular expressions, rules from their text, sessions by sorting. Two use it. Tests give an
//! [`Oracle`] whole inputs; it is slow, holds all requests in memory, and knows of no order of
//! arrival but the first of two requests with one id. `spoor verify` gives a [`tally::Day`] the
//! stored requests of one identity and day in order, and holds little. With a retention an
//! [`Oracle`] keeps the days that are kept when everything has been read: a request that was refused
//! because its day was dropped already is of such a day, as the watermark never goes back.

#![allow(missing_docs, reason = "fields are named as in docs/semantics.md")]

pub mod described;
pub mod formats;
pub mod glob;
mod json;
pub mod points;
pub mod record;
pub mod rules;
pub mod sessions;
pub mod tally;

use std::collections::{BTreeMap, HashSet};

use serde_json::Value;

use record::Record;
use rules::{Decision, Rules};
use sessions::Session;

/// What became of the records, named as in the replay's summary.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub read: u64,
    pub accepted: u64,
    pub bad: u64,
    pub excluded: u64,
    pub unkeyed: u64,
    pub duplicate: u64,
}

/// All requests of a batch, and the rules that group them.
pub struct Oracle {
    rules: Rules,
    requests: Vec<Record>,
    /// The greatest time of each source.
    latest: BTreeMap<String, i64>,
    bad: u64,
}

/// Everything that follows from the requests and the rules.
pub struct Outcome {
    pub counts: Counts,
    /// Sorted by namespace, value and start.
    pub sessions: Vec<Session>,
}

impl Oracle {
    /// An oracle for the configuration of a run; secret values are hashed with its key.
    pub fn new(config: &str) -> Self {
        let (requests, latest) = (Vec::new(), BTreeMap::new());
        Self { rules: Rules::parse(config), requests, latest, bad: 0 }
    }

    /// The rules change: all of the past follows.
    pub fn set_rules(&mut self, config: &str) {
        self.rules = Rules::parse(config);
    }

    /// Takes an input as the program reads it, under the name the program gives its source.
    pub fn read(&mut self, source: &str, format: &str, bytes: &[u8]) {
        let mapping = self.rules.mappings.get(format).cloned();
        for record in formats::read(source, format, mapping.as_ref(), bytes) {
            match record {
                Ok(record) => {
                    let latest = self.latest.entry(source.into()).or_insert(record.ts);
                    *latest = record.ts.max(*latest);
                    self.requests.push(record);
                }
                Err(_) => self.bad += 1,
            }
        }
    }

    /// The first day that is kept; none: every day is.
    pub fn first_day(&self) -> Option<i64> {
        self.rules.first_day(self.latest.values().copied())
    }

    /// What a batch run over everything read so far gives.
    pub fn outcome(&self) -> Outcome {
        let mut counts = Counts {
            read: self.bad + self.requests.len() as u64,
            bad: self.bad,
            ..Counts::default()
        };
        let mut days: BTreeMap<(String, i64), (rules::Identity, Vec<&Record>)> = BTreeMap::new();
        let mut known = HashSet::new();
        let first_day = self.first_day();
        let kept = |request: &&Record| first_day <= Some(self.rules.day_of(request.ts));
        for request in self.requests.iter().filter(kept) {
            let identity = match self.rules.decide(request) {
                Decision::Excluded => {
                    counts.excluded += 1;
                    continue;
                }
                Decision::Unkeyed => {
                    counts.unkeyed += 1;
                    continue;
                }
                Decision::Identity(identity) => identity,
            };
            let day = self.rules.day_of(request.ts);
            if request.explicit_id && !known.insert((identity.id.clone(), day, request.id.clone()))
            {
                counts.duplicate += 1;
                continue;
            }
            counts.accepted += 1;
            let key = (identity.id.clone(), day);
            days.entry(key).or_insert_with(|| (identity, Vec::new())).1.push(request);
        }
        let mut sessions: Vec<Session> = days
            .into_values()
            .flat_map(|(identity, requests)| sessions::split(&identity, requests))
            .collect();
        sessions.sort_by(|a, b| a.order().cmp(&b.order()));
        Outcome { counts, sessions }
    }
}

/// Sums over requests and over the sessions that have one of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    pub requests: i64,
    pub errors: i64,
    pub sessions: i64,
    pub malicious_sessions: i64,
    pub weak_sessions: i64,
}

impl Outcome {
    /// The sums of everything, each session once, and of each application, where a session counts
    /// in each it touches.
    pub fn overview(&self) -> (Sums, BTreeMap<String, Sums>) {
        let (mut whole, mut apps) = (Sums::default(), BTreeMap::<String, Sums>::new());
        for session in &self.sessions {
            session.add_to(&mut whole, None);
            for app in session.apps() {
                session.add_to(apps.entry(app.to_owned()).or_default(), Some(app));
            }
        }
        (whole, apps)
    }

    /// The replay's output, one object a session.
    pub fn lines(&self, with_requests: bool) -> Vec<Value> {
        self.sessions.iter().map(|session| session.line(with_requests)).collect()
    }

    /// Number of identities with at least one session.
    pub fn identities(&self) -> usize {
        let ids: HashSet<_> = self.sessions.iter().map(|session| &session.identity.id).collect();
        ids.len()
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn it_depends_on_nothing_it_judges() {
        let manifest = include_str!("../Cargo.toml");
        let (_, dependencies) = manifest.split_once("[dependencies]").expect("there are some");
        assert!(!dependencies.contains("spoor"), "{dependencies}");
    }
}
