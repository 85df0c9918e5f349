//! Recomputes the sessions of a store in batch from its request log, and compares.
//!
//! Every identity-day's requests are assigned anew by the rules in force and joined into sessions
//! from nothing; what comes out must be the rows of the store, and every request must lie under
//! the identity that the rules give it. Rows of identity-days without a log are found by counting.

use spoor_operators::assign::{CompiledRules, Scratch};
use spoor_operators::session::Session;
use spoor_operators::sessionize::backend::{DayKey, Sessions};
use spoor_operators::sessionize::memory::MemoryBackend;
use spoor_operators::sessionize::{Differences, Sessionizer};
use spoor_operators::time::Epoch;

use crate::engine::regroup::reassign;
use crate::store::{Store, StoreError};

/// Requests read at a time.
const SLICE: usize = 50_000;

/// What a verification found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Requests in the log, those in no session included.
    pub requests: u64,
    /// Sessions recomputed.
    pub sessions: u64,
    /// Number of differences.
    pub differences: u64,
    /// The first of them, in words.
    pub listed: Vec<String>,
}

impl Report {
    fn differ(&mut self, most: usize, text: impl FnOnce() -> String) {
        self.differences += 1;
        if self.listed.len() < most {
            self.listed.push(text());
        }
    }
}

/// Compares a store with a batch run over its log. At most `most` differences are listed; `watch`
/// is called now and then with the number of requests looked at.
///
/// # Errors
/// The store cannot be read.
pub fn verify(
    store: &Store,
    rules: &CompiledRules,
    most: usize,
    watch: &mut dyn FnMut(u64),
) -> Result<Report, StoreError> {
    let mut report = Report::default();
    let mut scratch = Scratch::default();
    let mut after = None;
    loop {
        let days = store.scan_log(|_| true, after, SLICE)?;
        let Some((last, _)) = days.last() else { break };
        after = Some(*last);
        for (key, log) in &days {
            report.requests += log.len() as u64;
            let mut events = Vec::with_capacity(log.len());
            for stored in log {
                let request = reassign(stored, rules, &mut scratch)?;
                let found = DayKey { day: request.day, identity: request.identity };
                if found != *key {
                    report.differ(most, || {
                        format!(
                            "a request of {} on day {} lies under {key:?}",
                            found.identity, found.day.0
                        )
                    });
                }
                events.push((request, 1));
            }
            compare(*key, &batch(events), &store.load_sessions(*key)?, most, &mut report);
        }
        watch(report.requests);
    }
    let counted = store.numbers();
    for (what, kept, found) in [
        ("sessions", counted.sessions, report.sessions),
        ("requests", counted.requests, report.requests),
    ] {
        if kept != found {
            report
                .differ(most, || format!("the store counts {kept} {what}, its log gives {found}"));
        }
    }
    Ok(report)
}

/// The sessions of an identity-day from nothing.
fn batch(mut events: Vec<(spoor_operators::facts::Assigned, isize)>) -> Sessions {
    let mut out = Differences::default();
    let mut sessionizer = Sessionizer::new(MemoryBackend::default(), usize::MAX);
    sessionizer.process(Epoch(0), &mut events, &mut out);
    let mut sessions: Sessions = out.sessions.into_iter().map(|(session, _)| session).collect();
    sessions.sort_by_key(|session| session.start);
    sessions
}

fn compare(key: DayKey, batch: &Sessions, stored: &Sessions, most: usize, report: &mut Report) {
    report.sessions += batch.len() as u64;
    let describe = |session: &Session| {
        format!("{} to {} with {} requests", session.id(), session.end.0, session.summary.requests)
    };
    for session in batch.iter().filter(|session| !stored.contains(session)) {
        report.differ(most, || format!("not in the store: {}", describe(session)));
    }
    for session in stored.iter().filter(|session| !batch.contains(session)) {
        report.differ(most, || format!("only in the store: {} ({key:?})", describe(session)));
    }
}
