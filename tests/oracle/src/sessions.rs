//! Sessions and their statistics, from all requests of one identity and day.

use std::collections::{BTreeMap, BTreeSet};

use regex::Regex;
use serde_json::{Value, json};
use std::sync::LazyLock;

use super::Sums;
use super::record::Record;
use super::rules::Identity;

/// One session with its requests in order.
#[derive(Clone, Debug)]
pub struct Session {
    pub identity: Identity,
    pub start: i64,
    pub end: i64,
    requests: Vec<Record>,
}

/// A maximal run of an identity's requests inside one day, every step shorter than the gap.
pub fn split(identity: &Identity, mut requests: Vec<&Record>) -> Vec<Session> {
    requests.sort_by(|a, b| (a.ts, &a.id).cmp(&(b.ts, &b.id)));
    let mut sessions: Vec<Session> = Vec::new();
    for request in requests {
        let follows =
            |session: &Session| identity.gap_ms.is_none_or(|gap| request.ts - session.end < gap);
        match sessions.last_mut().filter(|session| follows(session)) {
            Some(session) => {
                session.end = request.ts;
                session.requests.push(request.clone());
            }
            None => sessions.push(Session {
                identity: identity.clone(),
                start: request.ts,
                end: request.ts,
                requests: vec![request.clone()],
            }),
        }
    }
    sessions
}

impl Session {
    /// The order of the output.
    pub fn order(&self) -> (&str, &str, i64, &str) {
        (&self.identity.namespace, &self.identity.value, self.start, &self.identity.id)
    }

    /// `<identity id>.<start>`.
    pub fn id(&self) -> String {
        format!("{}.{}", self.identity.id, self.start)
    }

    /// Ids of its requests in order.
    pub fn request_ids(&self) -> Vec<&str> {
        self.requests.iter().map(|request| request.id.as_str()).collect()
    }

    /// The applications it touches.
    pub fn apps(&self) -> BTreeSet<&str> {
        self.requests.iter().map(|request| request.app.as_str()).collect()
    }

    /// Adds it, and its requests of an application or all.
    pub fn add_to(&self, sums: &mut Sums, app: Option<&str>) {
        let of_app = |request: &&Record| app.is_none_or(|app| request.app == app);
        for request in self.requests.iter().filter(of_app) {
            sums.requests += 1;
            sums.errors += i64::from(request.status >= 400);
        }
        sums.sessions += 1;
        sums.malicious_sessions +=
            i64::from(self.requests.iter().any(|request| !request.attacks.is_empty()));
        sums.weak_sessions += i64::from(self.identity.weak);
    }

    /// The line of the replay's output.
    pub fn line(&self, with_requests: bool) -> Value {
        let all = &self.requests;
        let count = |holds: &dyn Fn(&Record) -> bool| all.iter().filter(|r| holds(r)).count();
        let sum = |of: &dyn Fn(&Record) -> u64| shown(all.iter().map(|r| u128::from(of(r))).sum());
        let attacks = all.iter().flat_map(|request| request.attacks.iter().cloned());
        let distinct = |of: &dyn Fn(&Record) -> String| {
            let values: BTreeSet<_> = all.iter().map(of).filter(|text| !text.is_empty()).collect();
            values.len()
        };
        let durations = || all.iter().filter_map(|request| request.duration_ns);
        let seen = all.iter().filter(|request| request.status > 0);
        let mut line = json!({
            "id": self.id(),
            "identity": self.identity.id,
            "namespace": self.identity.namespace,
            "value": self.identity.value,
            "weak": self.identity.weak,
            "start": self.start,
            "end": self.end,
            "requests": all.len(),
            "errors": count(&|r| r.status >= 400),
            "server_errors": count(&|r| r.status >= 500),
            "detections": sum(&|r| r.attacks.len() as u64),
            "malicious": count(&|r| !r.attacks.is_empty()),
            "blocked": count(&|r| r.blocked),
            "request_bytes": sum(&|r| r.request_bytes),
            "response_bytes": sum(&|r| r.response_bytes),
            "duration_ms_sum": ms(shown(durations().sum())),
            "duration_ms_max": shown(durations().max().unwrap_or(0)) as f64 / 1e6,
            "ips": distinct(&|r| r.ip.clone()),
            "endpoints": distinct(&|r| format!("{} {}", r.method, template(&r.path))),
            "methods": counts(all.iter().map(|request| request.method.clone())),
            "statuses": counts(seen.map(|request| request.status.to_string())),
            "attacks": counts(attacks),
        });
        if with_requests {
            line["request_ids"] = json!(self.request_ids());
        }
        line
    }
}

/// What is shown of an exact sum: at most 2^64 - 1.
fn shown(sum: u128) -> u64 {
    u64::try_from(sum).unwrap_or(u64::MAX)
}

/// Milliseconds, rounded to three decimals.
fn ms(nanos: u64) -> f64 {
    ((u128::from(nanos) + 500) / 1000) as f64 / 1000.0
}

fn counts(values: impl Iterator<Item = String>) -> Value {
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    for value in values {
        *counts.entry(value).or_default() += 1;
    }
    json!(counts)
}

/// A path with what varies replaced by what it is.
pub fn template(path: &str) -> String {
    static KINDS: LazyLock<[(Regex, &str); 4]> = LazyLock::new(|| {
        let uuid = "^[0-9a-fA-F]{8}-([0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}$";
        [
            ("^[0-9]+$", "{int}"),
            (r"^[0-9]+\.[0-9]+$", "{float}"),
            (uuid, "{uuid}"),
            ("^[0-9a-fA-F]{16,}$", "{hex}"),
        ]
        .map(|(re, kind)| (Regex::new(re).expect("a regular expression"), kind))
    });
    let path = if path == "/" { path } else { path.strip_suffix('/').unwrap_or(path) };
    let segments = path.split('/').map(|segment| {
        let found = KINDS.iter().find(|(re, _)| re.is_match(segment)).map(|(_, kind)| *kind);
        match found {
            // What stands for a redacted one.
            _ if segment.starts_with('\u{1}') => "{secret}",
            Some("{hex}") if !segment.bytes().any(|byte| byte.is_ascii_digit()) => segment,
            Some(kind) => kind,
            None => segment,
        }
    });
    segments.collect::<Vec<_>>().join("/")
}
