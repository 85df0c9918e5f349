//! Requests in short, and what sessions they make, for the tests of `sessionize`.
//!
//! A request is written `who@seconds`, then optionally `#id` (explicit), `~status`, `/gap` (seconds,
//! `/-` for none), `!body` (another stored request). `-` before it takes it back.

#![allow(dead_code, clippy::unwrap_used, reason = "not every test uses all of it")]

use std::collections::BTreeMap;
use std::sync::Arc;

use differential_dataflow::difference::Semigroup;
use spoor_operators::facts::{Assigned, Fact, Field, IdentityText, NO_GAP, Numbers, encode_head};
use spoor_operators::identity::{IdentityId, SessionId};
use spoor_operators::record::Record;
use spoor_operators::session::Session;
use spoor_operators::sessionize::{Differences, MinuteApp};
use spoor_operators::time::{DAY_MS, Day, EventTime};
use spoor_operators::totals::Totals;

/// A request, and the gap and status the rules in force make of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Req {
    pub ms: i64,
    pub id: u64,
    pub body: u64,
    /// Empty: in no session.
    pub who: String,
    pub status: u16,
    pub gap_ms: u32,
}

/// Namespace of all identities here.
const NAMESPACE: &str = "user";

impl Req {
    pub fn day(&self) -> Day {
        Day(self.ms.div_euclid(DAY_MS) as i32)
    }

    /// The stored form: what stays when rules change. Ordered as its bytes are.
    pub fn stored(&self) -> Vec<u8> {
        [self.ms as u64, self.id, self.body].map(u64::to_be_bytes).concat()
    }

    pub fn app(&self) -> &'static str {
        if self.body.is_multiple_of(4) { "shop" } else { "bank" }
    }

    pub fn assigned(&self) -> Assigned {
        self.labelled("")
    }

    /// With a business flow, if it has a name: what rules may change without moving the request.
    pub fn labelled(&self, flow: &str) -> Assigned {
        let words = IdentityText {
            namespace: NAMESPACE,
            value: &self.who,
            qualifier: "",
            weak: self.who == "b",
            secret: false,
        };
        let numbers = Numbers {
            status: self.status,
            request_bytes: self.body + 1,
            response_bytes: 10,
            duration_ns: (self.body.is_multiple_of(2)).then_some(self.body * 1000),
            detections: (self.body % 3) as u32,
            blocked: self.body.is_multiple_of(5),
            ..Numbers::default()
        };
        let (status, endpoint) = (self.status.to_string(), format!("GET /{}", self.body % 7));
        let mut facts = vec![
            Fact::new(Field::Status, &status),
            Fact::new(Field::App, self.app()),
            Fact::new(Field::Endpoint, &endpoint),
        ];
        facts.extend((!flow.is_empty()).then(|| Fact::new(Field::Flow, flow)));
        facts.extend((0..numbers.detections).map(|_| Fact::new(Field::Attack, "sqli")));
        let mut payload = Vec::new();
        encode_head(&mut payload, words, &numbers, &facts);
        let head_len = payload.len() as u32;
        payload.extend(self.stored());
        let unassigned = IdentityId::unassigned(self.body.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        Assigned {
            day: self.day(),
            identity: if self.who.is_empty() { unassigned } else { self.identity() },
            ts: EventTime(self.ms),
            id_hash: self.id,
            gap_ms: self.gap_ms,
            origin: 3,
            head_len,
            payload: payload.into(),
        }
    }

    pub fn identity(&self) -> IdentityId {
        IdentityId::of(NAMESPACE, &self.who, "")
    }
}

/// Reads `who@seconds#id~status/gap!body`.
pub fn parse(text: &str) -> (Req, isize) {
    let (text, diff) = text.strip_prefix('-').map_or((text, 1), |rest| (rest, -1));
    let part = |mark: char| {
        let rest = text.split_once(mark)?.1;
        Some(rest.split(['@', '#', '~', '/', '!']).next().unwrap().to_owned())
    };
    let number = |mark, or: u64| part(mark).map_or(or, |text| text.parse().unwrap());
    let gap_ms = match part('/').as_deref() {
        Some("-") => NO_GAP,
        Some(seconds) => seconds.parse::<u32>().unwrap() * 1000,
        None => 30_000,
    };
    let request = Req {
        who: text.split('@').next().unwrap().to_owned(),
        ms: (part('@').unwrap().parse::<f64>().unwrap() * 1000.0) as i64,
        id: number('#', 0),
        body: number('!', 0),
        status: number('~', 200) as u16,
        gap_ms,
    };
    (request, diff)
}

/// A session in short: who, from and to in seconds, requests, errors if any.
pub fn show(session: &Session) -> String {
    let seconds = |ts: EventTime| ts.0 as f64 / 1000.0;
    let (who, requests) = (&session.identity.value, session.summary.requests);
    let mut text =
        format!("{who} {}..{} x{requests}", seconds(session.start), seconds(session.end));
    if session.summary.errors > 0 {
        text += &format!(" {}err", session.summary.errors);
    }
    text
}

/// What came out so far.
#[derive(Debug, Default)]
pub struct Accumulated {
    pub sessions: BTreeMap<Arc<Session>, isize>,
    pub requests: BTreeMap<(SessionId, Record), isize>,
    pub totals: BTreeMap<MinuteApp, Totals>,
}

impl Accumulated {
    /// Adds an epoch; panics unless it is consolidated and leaves every session there once.
    pub fn add(&mut self, out: &mut Differences) {
        let mut seen = BTreeMap::new();
        for (session, diff) in out.sessions.drain(..) {
            assert_eq!(seen.insert(Arc::clone(&session), diff), None, "not consolidated");
            *self.sessions.entry(session).or_default() += diff;
        }
        self.sessions.retain(|_, count| *count != 0);
        assert!(self.sessions.values().all(|count| *count == 1), "{:?}", self.sessions);
        for (request, diff) in out.requests.drain(..) {
            *self.requests.entry(request).or_default() += diff;
        }
        self.requests.retain(|_, count| *count != 0);
        assert!(self.requests.values().all(|count| *count > 0), "{:?}", self.requests);
        for (key, totals) in out.totals.drain(..) {
            assert_ne!(totals, Totals::default(), "nothing to say");
            self.totals.entry(key).or_default().plus_equals(&totals);
        }
        self.totals.retain(|_, totals| *totals != Totals::default());
    }
}
