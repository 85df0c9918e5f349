//! A large identity-day under changed rules, told and retracted in pieces.
//!
//! After every epoch the sessions and totals must be those of a state machine that is given the
//! requests, as the rules that reached them see them, all at once. Requests come late meanwhile,
//! some share explicit ids, and the state is lost between any two pieces.

#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeMap;
use std::mem;

use proptest::prelude::*;
use spoor_operators::facts::{Assigned, NO_GAP};
use spoor_operators::sessionize::backend::{
    BackfillStep, Backfilled, DayChange, DayKey, EpochCounts, IdSet, LogChange, Piece,
    SessionBackend, Sessions,
};
use spoor_operators::sessionize::memory::MemoryState;
use spoor_operators::sessionize::{Differences, Sessionizer};
use spoor_operators::time::{Day, Epoch};
use support::{Accumulated, Req};

const OLD_GAP: u32 = 30_000;

/// Rules a day is backfilled under.
#[derive(Clone, Copy, Debug)]
struct Rules {
    /// Requests of `a` whose body this divides belong to somebody else.
    divisor: u64,
    to: &'static str,
    gap_ms: u32,
    gap_there: u32,
}

/// A request as some rules see it.
#[derive(Clone, Debug, PartialEq)]
struct Seen {
    request: Req,
    flow: &'static str,
}

impl Rules {
    fn see(self, request: &Req) -> Seen {
        let moves = request.who == "a" && request.body.is_multiple_of(self.divisor);
        let (who, gap_ms) = match moves || request.who == self.to {
            true => (self.to, self.gap_there),
            false => (request.who.as_str(), self.gap_ms),
        };
        Seen { request: Req { who: who.to_owned(), gap_ms, ..request.clone() }, flow: "new" }
    }

    /// Facts and gap, wherever the request is meanwhile.
    fn see_here(self, request: &Req) -> Seen {
        let Seen { request: seen, flow } = self.see(request);
        Seen { request: Req { who: request.who.clone(), ..seen }, flow }
    }
}

impl Seen {
    fn assigned(&self) -> Assigned {
        self.request.labelled(self.flow)
    }

    fn is(&self, who: &str, stored: &[u8]) -> bool {
        self.request.who == who && self.request.stored() == stored
    }
}

/// State in memory that says of nothing that it is large, but what it is told to say.
#[derive(Default)]
struct Backend {
    inner: MemoryState,
    rules: Option<Rules>,
    known: BTreeMap<Vec<u8>, Req>,
    steps: Vec<BackfillStep>,
    answer: Option<Backfilled>,
    /// Identity-days that were read at once.
    asked: Vec<DayKey>,
}

impl SessionBackend for Backend {
    fn ready(&mut self, epoch: Epoch) -> bool {
        self.inner.ready(epoch)
    }
    fn sessions(&mut self, key: DayKey) -> Sessions {
        self.inner.sessions(key)
    }
    fn ids(&mut self, key: DayKey, out: &mut IdSet) {
        self.inner.ids(key, out);
    }
    fn requests(&mut self, key: DayKey) -> Vec<Assigned> {
        if !key.identity.is_unassigned() {
            self.asked.push(key);
        }
        let Some(rules) = self.rules else { return self.inner.requests(key) };
        let again = |old: Assigned| {
            let who = if key == the_day() { "a" } else { rules.to };
            let request = Req { who: who.to_owned(), ..self.known[old.stored()].clone() };
            Assigned { identity: key.identity, ..rules.see_here(&request).assigned() }
        };
        self.inner.requests(key).into_iter().map(again).collect()
    }
    fn backfill(&mut self, _: Epoch) -> Vec<BackfillStep> {
        mem::take(&mut self.steps)
    }
    fn backfilled(&mut self, _: DayKey, outcome: Backfilled) {
        self.answer = Some(outcome);
    }
    fn change(&mut self, epoch: Epoch, change: DayChange) {
        // What is taken out must have been there.
        if let LogChange::Exchange { removed, .. } = &change.log {
            let mut there = self.inner.requests(change.key);
            for gone in removed {
                let at = there.iter().position(|known| known.stored() == gone.stored()).unwrap();
                there.remove(at);
            }
        }
        self.inner.change(epoch, change);
    }
    fn seal(&mut self, epoch: Epoch, counts: EpochCounts) {
        self.inner.seal(epoch, counts);
    }
}

/// What happens, and how far it is.
struct Case {
    sessionizer: Sessionizer<Backend>,
    epoch: u64,
    all: Accumulated,
    retained: Vec<Seen>,
    /// Requests that come, the last first; a few in every epoch.
    late: Vec<Req>,
    late_by_epoch: usize,
}

fn the_day() -> DayKey {
    let of_a = Req { ms: 0, id: 0, body: 0, who: "a".into(), status: 200, gap_ms: OLD_GAP };
    DayKey { day: Day(0), identity: of_a.identity() }
}

impl Case {
    fn backend(&mut self) -> &mut Backend {
        self.sessionizer.backend()
    }

    /// An epoch: a step, what is retracted and asserted, and some requests that come.
    fn epoch(&mut self, step: Option<BackfillStep>, moved: &[(Seen, Seen)]) {
        let rules = self.backend().rules;
        let mut events = Vec::new();
        for (old, new) in moved {
            let DayKey { day, identity } = the_day();
            events.push((Assigned { day, identity, ..old.assigned() }, -1));
            events.push((new.assigned(), 1));
        }
        let left = self.late.len().saturating_sub(self.late_by_epoch);
        let come: Vec<Seen> = self
            .late
            .split_off(left)
            .into_iter()
            .map(|request| match rules {
                Some(rules) => rules.see(&request),
                None => Seen { request, flow: "" },
            })
            .collect();
        events.extend(come.iter().map(|seen| (seen.assigned(), 1)));
        for seen in &come {
            self.backend().known.insert(seen.request.stored(), seen.request.clone());
        }
        self.backend().steps.extend(step);
        let asked = self.backend().asked.len();
        let mut out = Differences::default();
        self.sessionizer.process(Epoch(self.epoch), &mut events, &mut out);
        self.epoch += 1;
        self.all.add(&mut out);
        for (old, _) in moved {
            let at = self.retained.iter().position(|seen| seen.is("a", &old.request.stored()));
            self.retained.swap_remove(at.unwrap());
        }
        for seen in moved.iter().map(|(_, new)| new).chain(&come) {
            let (who, stored) = (&seen.request.who, seen.request.stored());
            let is_known = self.retained.iter().any(|known| known.is(who, &stored));
            if seen.request.id == 0 || who.is_empty() || !is_known {
                self.retained.push(seen.clone());
            }
        }
        for key in self.backend().asked.split_off(asked) {
            self.all_are_seen_again(key);
            self.backend().asked.push(key);
        }
    }

    /// The rules have reached every request of a day.
    fn all_are_seen_again(&mut self, key: DayKey) {
        let Some(rules) = self.backend().rules else { return };
        let of_day = |seen: &&mut Seen| seen.request.identity() == key.identity;
        for seen in self.retained.iter_mut().filter(of_day) {
            *seen = rules.see_here(&seen.request);
        }
    }

    fn check(&self) -> Result<(), TestCaseError> {
        let mut events = self.retained.iter().map(|seen| (seen.assigned(), 1)).collect();
        let (mut out, mut expected) = (Differences::default(), Accumulated::default());
        let mut at_once = Sessionizer::new(MemoryState::default(), usize::MAX);
        at_once.process(Epoch(0), &mut events, &mut out);
        expected.add(&mut out);
        prop_assert_eq!(&self.all.sessions, &expected.sessions);
        prop_assert_eq!(&self.all.totals, &expected.totals);
        Ok(())
    }

    /// The state is lost, as by a restart.
    fn lose(&mut self) {
        let backend = mem::take(self.backend());
        self.sessionizer = Sessionizer::new(backend, 0);
    }

    /// The retained requests of the day, in the order of the log.
    fn log(&mut self) -> Vec<Req> {
        let backend = self.backend();
        let log = backend.inner.requests(the_day());
        log.iter()
            .map(|one| Req { who: "a".into(), ..backend.known[one.stored()].clone() })
            .collect()
    }

    /// Tells the day and retracts what moves; answers whether it came to its end. The state is lost
    /// after so many epochs.
    fn backfill(
        &mut self,
        rules: Rules,
        piece: usize,
        lost_after: usize,
    ) -> Result<bool, TestCaseError> {
        let (log, mut epochs) = (self.log(), 0);
        let mut is_lost = || {
            epochs += 1;
            epochs > lost_after
        };
        let leaves = |request: &&Req| rules.see(request).request.who != "a";
        self.backend().answer = None;
        let pieces: Vec<_> = log.chunks(piece.max(1)).collect();
        for (number, told) in pieces.iter().enumerate() {
            let here = |request: &Req| Assigned {
                identity: the_day().identity,
                ..rules.see_here(request).assigned()
            };
            let told = Piece {
                is_first: number == 0,
                is_last: number + 1 == pieces.len(),
                stays: told.iter().filter(|one| !leaves(one)).map(here).collect(),
                leaves: told.iter().filter(leaves).map(here).collect(),
            };
            let is_last = told.is_last;
            self.epoch(Some(BackfillStep::Tell(the_day(), told)), &[]);
            if is_last && self.backend().answer == Some(Backfilled::Ready) {
                self.all_are_seen_again(the_day());
            }
            self.check()?;
            if self.backend().answer == Some(Backfilled::AtOnce) {
                break;
            }
            if is_lost() {
                self.lose();
                return Ok(false);
            }
            if self.backend().answer == Some(Backfilled::Again) {
                return Ok(false);
            }
        }
        let as_it_was = |request: &Req| (rules.see_here(request), rules.see(request));
        for retracted in &pieces {
            if self.backend().answer == Some(Backfilled::AtOnce) {
                break;
            }
            let moved: Vec<_> = retracted.iter().filter(leaves).map(as_it_was).collect();
            if moved.is_empty() {
                continue;
            }
            self.epoch(None, &moved);
            self.check()?;
            if is_lost() {
                self.lose();
                return Ok(false);
            }
        }
        if self.backend().answer == Some(Backfilled::AtOnce) {
            // At once, as a day that is not large: whatever is left of what was there.
            let moved: Vec<_> = self.log().iter().map(as_it_was).collect();
            self.epoch(None, &moved);
            self.all_are_seen_again(the_day());
            self.check()?;
        }
        Ok(true)
    }
}

fn requests(ids: u64, most: usize) -> impl Strategy<Value = Vec<Req>> {
    let request = (0..400_i64, 0..=ids, 0..9_u64).prop_map(|(seconds, id, body)| {
        // What is counted follows from what is stored.
        let (status, who) = (100 + (body % 4) as u16 * 100, "a".to_owned());
        Req { who, ms: seconds * 1000, id, body, status, gap_ms: OLD_GAP }
    });
    prop::collection::vec(request, 1..most)
}

fn rules() -> impl Strategy<Value = Rules> {
    let gap = || prop::sample::select(vec![30_000, 5_000, 200_000, NO_GAP]);
    let divisor = prop::sample::select(vec![1, 2, 3, 100]);
    let to = prop::sample::select(vec!["x", ""]);
    (divisor, to, gap(), gap()).prop_map(|(divisor, to, gap_ms, gap_there)| {
        // In no session there is one gap, that of the settings.
        let gap_there = if to.is_empty() { gap_ms } else { gap_there };
        Rules { divisor, to, gap_ms, gap_there }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn in_pieces_every_epoch_is_as_if_all_came_at_once(
        early in requests(0, 40),
        late in requests(0, 20),
        (shared, come_late) in (prop::option::of(requests(4, 8)), any::<bool>()),
        (rules, again) in (rules(), prop::option::of(rules())),
        (piece, late_by_epoch) in (1..6_usize, 0..4_usize),
        losses in prop::collection::vec(1..8_usize, 0..3),
    ) {
        let (mut early, mut late) = (early, late);
        // Some have an id of their own, and some of those come twice.
        for (number, request) in early.iter_mut().chain(&mut late).enumerate() {
            request.id = if number % 3 == 0 { 0 } else { 100 + number as u64 };
        }
        late.extend(early.iter().step_by(4).filter(|request| request.id != 0).cloned());
        // What shares an id with what is retained makes a day anew, unless it is known to.
        let conflicts = shared.is_some() && come_late;
        late.extend(shared.clone().filter(|_| conflicts).unwrap_or_default());
        late.sort_by_key(|request| request.body);
        let early: Vec<_> = early.into_iter().chain(shared.unwrap_or_default()).collect();
        let mut case = Case {
            sessionizer: Sessionizer::new(Backend::default(), 0),
            epoch: 0,
            all: Accumulated::default(),
            retained: Vec::new(),
            late: early,
            late_by_epoch: 7,
        };
        while !case.late.is_empty() {
            case.epoch(None, &[]);
            case.check()?;
        }
        (case.late, case.late_by_epoch) = (late, late_by_epoch);
        case.backend().asked.clear();
        for rules in again.into_iter().chain([rules]) {
            case.backend().rules = Some(rules);
            let mut losses = losses.iter();
            while !case.backfill(rules, piece, losses.next().copied().unwrap_or(usize::MAX))? {}
        }
        let is_asked = case.backend().asked.contains(&the_day());
        prop_assert!(conflicts || !is_asked, "a day was read at once");
    }
}
