//! An epoch's totals, gathered: few minutes and apps, many requests.

use std::sync::Arc;

use differential_dataflow::difference::{IsZero, Semigroup};
use hashbrown::HashTable;

use super::backend::SessionChange;
use crate::facts::{Assigned, Fact, Facts, Field};
use crate::interner::Interner;
use crate::seeded;
use crate::session::Session;
use crate::summary::Counters;
use crate::time::EventTime;
use crate::totals::Totals;

/// Milliseconds in a minute.
const MINUTE_MS: i64 = 60_000;

/// A minute, counted from the Unix epoch, and an app. Under the empty app are all sessions, each
/// once; under an app its requests, and the sessions that have one of them.
pub type MinuteApp = (i64, Arc<str>);

/// Sums by minute and app.
#[derive(Debug, Default)]
pub(super) struct EpochTotals {
    sums: Vec<(MinuteApp, Totals)>,
    index: HashTable<(u64, u32)>,
    last: usize,
    apps: Interner,
}

fn minute_of(ts: EventTime) -> i64 {
    ts.0.div_euclid(MINUTE_MS)
}

impl EpochTotals {
    /// Adds a request of an app, or takes it back with a negative `sign`.
    pub fn request(&mut self, ts: EventTime, app: Option<&Fact<'_>>, facts: &Facts<'_>, sign: i64) {
        let sums = Counters::of(&facts.numbers);
        // Numbers of one request: counts are small, the others outside numbers of 64 bits.
        let signed = |count: u64| count as i64 * sign;
        let signed_sum = |sum: u64| i128::from(sum) * i128::from(sign);
        self.at(minute_of(ts), app.map_or("", |app| app.text)).plus_equals(&Totals {
            requests: sign,
            errors: signed(sums.errors),
            server_errors: signed(sums.server_errors),
            detections: signed(sums.detections),
            malicious: signed(sums.malicious),
            blocked: signed(sums.blocked),
            request_bytes: signed_sum(sums.request_bytes),
            response_bytes: signed_sum(sums.response_bytes),
            duration_ns: signed_sum(sums.duration_sum_ns),
            ..Totals::default()
        });
    }

    /// Adds a request of whatever app, or takes it back with a negative `sign`.
    pub fn add(&mut self, request: &Assigned, sign: i64) {
        if let Ok(facts) = request.facts() {
            let app = facts.iter().find(|fact| fact.field == Field::App);
            self.request(request.ts, app.as_ref(), &facts, sign);
        }
    }

    /// Adds what a change does to the sessions of the minutes they start in: to all of them, and to
    /// those of each app the session touches.
    pub fn session(&mut self, change: &SessionChange) {
        let of = |session: &Session, sign: i64| Totals {
            sessions: sign,
            malicious_sessions: sign * i64::from(session.summary.malicious > 0),
            weak_sessions: sign * i64::from(session.identity.weak),
            ..Totals::default()
        };
        for (session, sign) in [(&change.old, -1), (&change.new, 1)] {
            let Some(session) = session else { continue };
            let (minute, sums) = (minute_of(session.start), of(session, sign));
            self.at(minute, "").plus_equals(&sums);
            for (app, _) in session.summary.entries(Field::App) {
                self.at(minute, app).plus_equals(&sums);
            }
        }
    }

    fn at(&mut self, minute: i64, app: &str) -> &mut Totals {
        let is = |sums: &[(MinuteApp, Totals)], at: usize| {
            sums.get(at).is_some_and(|((known, text), _)| *known == minute && **text == *app)
        };
        if !is(&self.sums, self.last) {
            let hash = seeded::hash((minute, app));
            let found = self.index.find(hash, |(_, at)| is(&self.sums, *at as usize));
            self.last = match found {
                Some((_, at)) => *at as usize,
                None => {
                    let at = self.sums.len();
                    let app = self.apps.get(app);
                    self.sums.push(((minute, app), Totals::default()));
                    self.index.insert_unique(hash, (hash, at as u32), |(hash, _)| *hash);
                    at
                }
            };
        }
        &mut self.sums[self.last].1
    }

    /// Moves the sums that are not zero to `out` and starts an empty epoch.
    pub fn drain_into(&mut self, out: &mut Vec<(MinuteApp, Totals)>) {
        self.index.clear();
        out.extend(self.sums.drain(..).filter(|(_, totals)| !totals.is_zero()));
    }
}
