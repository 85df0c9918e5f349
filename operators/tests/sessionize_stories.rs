//! What sessions requests make, told as stories: an epoch a line.

#![allow(clippy::unwrap_used)]

mod support;

use std::sync::Arc;

use spoor_operators::session::Session;
use spoor_operators::sessionize::backend::SessionBackend;
use spoor_operators::sessionize::memory::MemoryState;
use spoor_operators::sessionize::{Differences, Sessionizer};
use spoor_operators::time::{Day, Epoch};
use support::{Accumulated, parse, show};

/// A state machine and what came out of it.
struct Story {
    sessionizer: Sessionizer<MemoryState>,
    epoch: Epoch,
    all: Accumulated,
    changed: Vec<String>,
}

impl Story {
    fn new(hot_bytes_max: usize) -> Self {
        let sessionizer = Sessionizer::new(MemoryState::default(), hot_bytes_max);
        Self { sessionizer, epoch: Epoch(0), all: Accumulated::default(), changed: Vec::new() }
    }

    fn epoch(&mut self, requests: &str) {
        let parsed = requests.split_whitespace().map(parse);
        let mut events = parsed.map(|(request, diff)| (request.assigned(), diff)).collect();
        let mut out = Differences::default();
        assert!(self.sessionizer.backend().ready(self.epoch));
        self.sessionizer.process(self.epoch, &mut events, &mut out);
        let sign = |diff| if diff > 0 { '+' } else { '-' };
        let show =
            |(session, diff): &(Arc<Session>, isize)| format!("{}{}", sign(*diff), show(session));
        self.changed = out.sessions.iter().map(show).collect();
        self.all.add(&mut out);
        self.epoch.0 += 1;
    }

    fn sessions(&self) -> Vec<String> {
        let mut sessions: Vec<_> = self.all.sessions.keys().collect();
        sessions.sort_by_key(|session| (session.identity.value.clone(), session.start));
        sessions.into_iter().map(|session| show(session)).collect()
    }
}

/// The epochs must end in these sessions, by these changes in the last of them; the same when
/// nothing stays in memory from epoch to epoch.
fn check(name: &str, epochs: &[&str], sessions: &[&str], changed: &[&str]) {
    for hot_bytes_max in [0, usize::MAX] {
        let mut story = Story::new(hot_bytes_max);
        epochs.iter().for_each(|epoch| story.epoch(epoch));
        assert_eq!(story.sessions(), sessions, "{name}");
        story.changed.sort();
        let mut changed = changed.to_vec();
        changed.sort_unstable();
        assert_eq!(story.changed, changed, "{name}");
    }
}

#[test]
fn insertions() {
    check("one request is a session", &["a@5"], &["a 5..5 x1"], &["+a 5..5 x1"]);
    check(
        "a request after less than the gap extends",
        &["a@0", "a@29.999"],
        &["a 0..29.999 x2"],
        &["-a 0..0 x1", "+a 0..29.999 x2"],
    );
    check(
        "a request exactly a gap later starts a session",
        &["a@0", "a@30"],
        &["a 0..0 x1", "a 30..30 x1"],
        &["+a 30..30 x1"],
    );
    check(
        "a late request extends to the front",
        &["a@20", "a@0"],
        &["a 0..20 x2"],
        &["-a 20..20 x1", "+a 0..20 x2"],
    );
    check(
        "a late request in the middle is counted",
        &["a@0 a@20", "a@10"],
        &["a 0..20 x3"],
        &["-a 0..20 x2", "+a 0..20 x3"],
    );
    check(
        "a late request merges its neighbours",
        &["a@0 a@50~500", "a@25"],
        &["a 0..50 x3 1err"],
        &["-a 0..0 x1", "-a 50..50 x1 1err", "+a 0..50 x3 1err"],
    );
    check(
        "sessions that an epoch begins and merges never were",
        &["", "a@0 a@50 a@25"],
        &["a 0..50 x3"],
        &["+a 0..50 x3"],
    );
    check(
        "an old session and one of this epoch merge",
        &["a@0", "a@50 a@25"],
        &["a 0..50 x3"],
        &["-a 0..0 x1", "+a 0..50 x3"],
    );
    check("equal times are one session", &["a@7!1 a@7!2"], &["a 7..7 x2"], &["+a 7..7 x2"]);
    check(
        "identities have nothing to do with each other",
        &["a@0 b@1", "b@2"],
        &["a 0..0 x1", "b 1..2 x2"],
        &["-b 1..1 x1", "+b 1..2 x2"],
    );
    check(
        "midnight ends a session however near the next request",
        &["a@86399.999 a@86400"],
        &["a 86399.999..86399.999 x1", "a 86400..86400 x1"],
        &["+a 86399.999..86399.999 x1", "+a 86400..86400 x1"],
    );
    check(
        "without a gap only midnight ends a session",
        &["a@0/- a@80000/- a@86400/-"],
        &["a 0..80000 x2", "a 86400..86400 x1"],
        &["+a 0..80000 x2", "+a 86400..86400 x1"],
    );
    check("an epoch without events changes nothing", &["a@0", ""], &["a 0..0 x1"], &[]);
}

#[test]
fn duplicates() {
    check("in one epoch", &["a@0#1 a@0#1"], &["a 0..0 x1"], &["+a 0..0 x1"]);
    check("in a later epoch", &["a@0#1 a@5#2", "a@0#1"], &["a 0..5 x2"], &[]);
    check(
        "only within an identity and a day",
        &["a@0#1", "b@0#1 a@86400#1"],
        &["a 0..0 x1", "a 86400..86400 x1", "b 0..0 x1"],
        &["+b 0..0 x1", "+a 86400..86400 x1"],
    );
    check(
        "of two different requests with one id the first in time counts",
        &["a@9#1", "a@4#1~500"],
        &["a 4..4 x1 1err"],
        &["-a 9..9 x1", "+a 4..4 x1 1err"],
    );
    check("whichever came first", &["a@4#1~500", "a@9#1"], &["a 4..4 x1 1err"], &[]);
    check(
        "and the other one counts once the first is taken back",
        &["a@4#1", "a@9#1", "-a@4#1"],
        &["a 9..9 x1"],
        &["-a 4..4 x1", "+a 9..9 x1"],
    );
    let mut story = Story::new(usize::MAX);
    story.epoch("a@0#1 a@0#1 b@0#1 a@0#2");
    assert_eq!(story.sessionizer.backend().counts().duplicates[..], [(3, 1)]);
    assert_eq!(story.sessionizer.backend().counts().inserted, 3);
}

#[test]
fn retractions() {
    check(
        "the middle one splits",
        &["a@0 a@20 a@40", "-a@20"],
        &["a 0..0 x1", "a 40..40 x1"],
        &["-a 0..40 x3", "+a 0..0 x1", "+a 40..40 x1"],
    );
    check("the last one ends the session", &["a@0", "-a@0"], &[], &["-a 0..0 x1"]);
    check(
        "an end shrinks",
        &["a@0 a@20 a@25", "-a@25"],
        &["a 0..20 x2"],
        &["-a 0..25 x3", "+a 0..20 x2"],
    );
    check(
        "other sessions of the day stay as they are",
        &["a@0 a@100 a@110 a@200", "-a@110"],
        &["a 0..0 x1", "a 100..100 x1", "a 200..200 x1"],
        &["-a 100..110 x2", "+a 100..100 x1"],
    );
    check("of what never was is nothing", &["a@0", "-a@1 -b@1"], &["a 0..0 x1"], &[]);
    check(
        "of two equal ones takes one",
        &["a@0 a@0", "-a@0"],
        &["a 0..0 x1"],
        &["-a 0..0 x2", "+a 0..0 x1"],
    );
    check("in the epoch it came", &["a@0", "a@5 -a@5"], &["a 0..0 x1"], &[]);
    check(
        "a request moves to another identity",
        &["a@0 a@10", "-a@10 b@10"],
        &["a 0..0 x1", "b 10..10 x1"],
        &["-a 0..10 x2", "+a 0..0 x1", "+b 10..10 x1"],
    );
    check(
        "two requests with one id join, and part again",
        &["a@0#1 b@9#1", "-b@9#1 a@9#1", "-a@9#1 b@9#1"],
        &["a 0..0 x1", "b 9..9 x1"],
        &["+b 9..9 x1"],
    );
}

#[test]
fn changed_rules() {
    check(
        "a smaller gap splits",
        &["a@0 a@20 a@25", "-a@0 a@0/10 -a@20 a@20/10 -a@25 a@25/10"],
        &["a 0..0 x1", "a 20..25 x2"],
        &["-a 0..25 x3", "+a 0..0 x1", "+a 20..25 x2"],
    );
    check(
        "a larger gap joins, as soon as one request has it",
        &["a@0 a@40", "a@60/50"],
        &["a 0..60 x3"],
        &["-a 0..0 x1", "-a 40..40 x1", "+a 0..60 x3"],
    );
    check(
        "facts change while the request stays",
        &["a@0~200 a@5", "-a@0~200 a@0~500"],
        &["a 0..5 x2 1err"],
        &["-a 0..5 x2", "+a 0..5 x2 1err"],
    );
    check(
        "and stay changed",
        &["a@0~200 a@5", "-a@0~200 a@0~500", "-a@5"],
        &["a 0..0 x1 1err"],
        &["-a 0..5 x2 1err", "+a 0..0 x1 1err"],
    );
    check("what changes nothing says nothing", &["a@0", "-a@0 a@0"], &["a 0..0 x1"], &[]);
    check(
        "excluded requests are retained and come back",
        &["@0!1 @0!1#7 @0!1#7", "-@0!1 a@0!1"],
        &["a 0..0 x1"],
        &["+a 0..0 x1"],
    );
    let mut story = Story::new(usize::MAX);
    story.epoch("@0!1#7 @0!1#7 @5!1");
    assert_eq!(story.sessionizer.backend().counts().inserted, 3);
    story.epoch("-@0!1#7");
    assert_eq!(story.sessionizer.backend().counts().removed, 1);
    assert_eq!(story.sessionizer.hot_bytes(), 0);
}

#[test]
fn expired_days_are_forgotten_without_a_word() {
    let mut story = Story::new(usize::MAX);
    story.epoch("a@0 b@100000");
    let bytes = story.sessionizer.hot_bytes();
    story.sessionizer.backend().expire(Day(1));
    story.epoch("");
    assert_eq!((story.changed.len(), story.sessionizer.backend().days()), (0, 1));
    assert_eq!(story.sessionizer.hot_bytes(), bytes / 2);
}

#[test]
fn memory_stays_within_its_budget() {
    let budget = 64 * 1024;
    let mut story = Story::new(budget);
    for epoch in 0..50 {
        let requests = (0..20).map(|n| format!("u{epoch}-{n}@{n}#{} ", n + 1));
        story.epoch(&requests.collect::<String>());
        assert!(story.sessionizer.hot_bytes() < budget + 20 * 2048);
    }
    assert_eq!(story.sessionizer.backend().days(), 1000);
    story.epoch("u0-3@3#4 u0-4@9");
    assert_eq!(story.changed, ["-u0-4 4..4 x1", "+u0-4 4..9 x2"]);
}
