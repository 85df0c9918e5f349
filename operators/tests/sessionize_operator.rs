//! The operator's manners: it waits for its backend, visits epochs in order and only those that
//! exist, lets nobody downstream think an epoch complete before it is sealed, and asks the backend
//! only what it must.

#![allow(clippy::unwrap_used)]

mod support;

use std::ops::Bound;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use differential_dataflow::AsCollection;
use spoor_operators::facts::Assigned;
use spoor_operators::sessionize::backend::{
    DayChange, DayKey, EpochCounts, IdSet, SessionBackend, Sessions,
};
use spoor_operators::sessionize::codec::rows::Rows;
use spoor_operators::sessionize::codec::{CodecError, HotCodec, HotDay};
use spoor_operators::sessionize::memory::MemoryState;
use spoor_operators::sessionize::operator::{Sessionize, SessionizeOptions};
use spoor_operators::sessionize::spill::{MemorySpill, Spilling};
use spoor_operators::sessionize::{Differences, Sessionizer};
use spoor_operators::time::Day;
use support::{Accumulated, parse, show};
use timely::dataflow::operators::{Input, Inspect, Probe};
use timely::scheduling::SyncActivator;

/// What a backend was asked and told.
#[derive(Default)]
struct Asked {
    /// Epochs before this one are durable.
    ready_until: u64,
    ready: usize,
    sessions: usize,
    ids: usize,
    requests: usize,
    sealed: Vec<u64>,
    changed: Vec<(u64, DayKey)>,
    seals_every_epoch: bool,
}

/// A memory backend that says what it was asked.
#[derive(Clone, Default)]
struct Watched {
    inner: Arc<Mutex<MemoryState>>,
    asked: Arc<Mutex<Asked>>,
}

impl SessionBackend<u64> for Watched {
    fn ready(&mut self, epoch: u64) -> bool {
        let mut asked = self.asked.lock().unwrap();
        asked.ready += 1;
        epoch <= asked.ready_until
    }
    fn sessions(&mut self, key: DayKey) -> Sessions {
        self.asked.lock().unwrap().sessions += 1;
        self.inner.lock().unwrap().sessions(key)
    }
    fn ids(&mut self, key: DayKey, out: &mut IdSet) {
        self.asked.lock().unwrap().ids += 1;
        self.inner.lock().unwrap().ids(key, out);
    }
    fn requests(&mut self, key: DayKey) -> Vec<Assigned> {
        self.asked.lock().unwrap().requests += 1;
        self.inner.lock().unwrap().requests(key)
    }
    fn change(&mut self, epoch: u64, change: DayChange) {
        self.asked.lock().unwrap().changed.push((epoch, change.key));
        self.inner.lock().unwrap().change(epoch, change);
    }
    fn due(&self, from: Bound<&u64>) -> Option<u64> {
        let every = self.asked.lock().unwrap().seals_every_epoch;
        match from {
            _ if !every => None,
            Bound::Included(from) => Some(*from),
            Bound::Excluded(last) => last.checked_add(1),
            Bound::Unbounded => unreachable!("there is a first epoch"),
        }
    }
    fn seal(&mut self, epoch: u64, _: EpochCounts) {
        self.asked.lock().unwrap().sealed.push(epoch);
    }
}

#[test]
fn epochs_wait_for_the_backend_and_are_sealed_in_order_from_the_first_one_on() {
    timely::execute_directly(|worker| {
        let backend = Watched::default();
        let asked = Arc::clone(&backend.asked);
        asked.lock().unwrap().seals_every_epoch = true;
        let activator = Arc::new(Mutex::new(None::<SyncActivator>));
        let kept = Arc::clone(&activator);
        let waker = Box::new(move |activator| *kept.lock().unwrap() = Some(activator));
        let (mut input, probe) = worker.dataflow::<u64, _, _>(|scope| {
            let (input, stream) = scope.new_input::<Vec<_>>();
            let options = SessionizeOptions { first: 5, waker: Some(waker), ..Default::default() };
            let out = stream.as_collection().sessionize_with(backend, options);
            (input, out.sessions.inner.probe().0)
        });
        input.advance_to(5);
        input.send((parse("a@0").0.assigned(), 5, 1));
        input.advance_to(7);
        input.send((parse("a@1").0.assigned(), 7, 1));
        input.advance_to(8);
        let mut settle = || (0..10).for_each(|_| _ = worker.step());
        settle();
        assert!(probe.less_equal(&5), "nothing is complete before the backend is ready");
        let asked_before = asked.lock().unwrap().ready;
        settle();
        assert_eq!(asked.lock().unwrap().ready, asked_before, "it sleeps until it is woken");

        for (ready_until, sealed) in [(5, vec![5]), (6, vec![5, 6]), (100, vec![5, 6, 7])] {
            asked.lock().unwrap().ready_until = ready_until;
            activator.lock().unwrap().as_ref().unwrap().activate().unwrap();
            settle();
            let next = sealed.last().unwrap() + 1;
            assert_eq!(asked.lock().unwrap().sealed, sealed);
            assert!(!probe.less_than(&next) && probe.less_equal(&next));
        }
        input.send((parse("b@1").0.assigned(), 8, 1));
        input.close();
        while worker.step() {}
        assert_eq!(asked.lock().unwrap().sealed, [5, 6, 7, 8]);
        assert!(!probe.less_equal(&u64::MAX), "the end of the input is the end of the output");
    });
}

/// Input of an operator: what to send at an epoch, and then how far to go.
type Steps = [(&'static [(&'static str, u64)], Option<u64>)];

/// The epochs that are sealed and those in which something comes out.
fn visited(first: u64, seals_every_epoch: bool, steps: &'static Steps) -> (Vec<u64>, Vec<u64>) {
    timely::execute_directly(move |worker| {
        let backend = Watched::default();
        let asked = Arc::clone(&backend.asked);
        asked.lock().unwrap().ready_until = u64::MAX;
        asked.lock().unwrap().seals_every_epoch = seals_every_epoch;
        let told = Arc::new(Mutex::new(Vec::new()));
        let telling = Arc::clone(&told);
        let (input, probe) = worker.dataflow::<u64, _, _>(|scope| {
            let (input, stream) = scope.new_input::<Vec<_>>();
            let options = SessionizeOptions { first, ..Default::default() };
            let out = stream.as_collection().sessionize_with(backend, options);
            let tell = move |(_, epoch, _): &(_, u64, _)| telling.lock().unwrap().push(*epoch);
            (input, out.sessions.inner.inspect(tell).probe().0)
        });
        let mut input = Some(input);
        for (events, until) in steps {
            for (text, epoch) in *events {
                let of_time = (parse(text).0.assigned(), *epoch, 1);
                input.as_mut().unwrap().send(of_time);
            }
            match until {
                Some(until) => input.as_mut().unwrap().advance_to(*until),
                None => drop(input.take()),
            }
            (0..10).for_each(|_| _ = worker.step());
            let passed = until.is_none_or(|until| !probe.less_than(&until));
            assert!(passed, "everything before {until:?} is complete");
        }
        while worker.step() {}
        let visits = asked.lock().unwrap();
        assert!(visits.ready <= 2 * visits.sealed.len() + steps.len(), "{} asked", visits.ready);
        (visits.sealed.clone(), told.lock().unwrap().clone())
    })
}

#[test]
fn only_epochs_that_exist_are_visited() {
    const NOW: u64 = 1_790_000_000_000;
    const DAY: u64 = 86_400_000;
    const END: u64 = u64::MAX;
    /// What happens, the first epoch, whether every one is sealed, the input; what is sealed, told.
    type Case = (&'static str, u64, bool, &'static Steps, &'static [u64], &'static [u64]);
    const CASES: &[Case] = &[
        (
            "wall-clock milliseconds, a day apart, the first one far from where it begins",
            0,
            false,
            &[
                (&[], Some(NOW)),
                (&[("a@0", NOW), ("a@1", NOW + DAY)], Some(NOW + 2 * DAY)),
                (&[("a@2", NOW + 3 * DAY)], None),
            ],
            &[NOW, NOW + DAY, NOW + 3 * DAY],
            &[NOW, NOW + DAY, NOW + DAY, NOW + 3 * DAY, NOW + 3 * DAY],
        ),
        (
            "the input ends without anything more",
            7,
            false,
            &[(&[("a@0", 7)], Some(NOW)), (&[], None)],
            &[7],
            &[7],
        ),
        ("the input is empty", 0, false, &[(&[], None)], &[], &[]),
        ("the last epoch there can be", 0, false, &[(&[("a@0", END)], None)], &[END], &[END]),
        (
            "a frontier at the last epoch there can be",
            0,
            false,
            &[(&[], Some(END)), (&[("a@0", END)], None)],
            &[END],
            &[END],
        ),
        (
            "a backend that must hear of every epoch",
            5,
            true,
            &[(&[("a@0", 5), ("a@1", 7)], Some(9)), (&[("a@2", 10)], None)],
            &[5, 6, 7, 8, 9, 10],
            &[5, 7, 7, 10, 10],
        ),
    ];
    for (name, first, every, steps, sealed, told) in CASES {
        assert_eq!(visited(*first, *every, steps), (sealed.to_vec(), told.to_vec()), "{name}");
    }
}

#[test]
fn an_insertion_asks_for_an_identity_day_once_and_never_for_its_requests() {
    let backend = Watched::default();
    let asked = Arc::clone(&backend.asked);
    asked.lock().unwrap().ready_until = u64::MAX;
    let mut sessionizer = Sessionizer::new(backend, usize::MAX);
    let mut out = Differences::default();
    for epoch in 0..100_u64 {
        let request = |n: u64| {
            let at = epoch * 100 + (n * 37) % 150;
            (parse(&format!("a@{at}#{}!{n}", epoch * 100 + n + 1)).0.assigned(), 1)
        };
        let mut events = (0..100).map(request).collect();
        out.sessions.clear();
        sessionizer.process(epoch, &mut events, &mut out);
        assert!(out.sessions.len() <= 2, "one session goes on, whatever came before");
    }
    let asked = asked.lock().unwrap();
    assert_eq!((asked.sessions, asked.ids, asked.requests), (1, 0, 0));
}

/// Restores what was spilled; refuses every second time.
struct Doubting(Rows, AtomicUsize);

impl HotCodec for Doubting {
    fn encode(&self, key: DayKey, day: &HotDay, out: &mut Vec<u8>) {
        self.0.encode(key, day, out);
    }
    fn decode(&self, key: DayKey, bytes: &[u8]) -> Result<HotDay, CodecError> {
        match self.1.fetch_add(1, Ordering::Relaxed) % 2 {
            0 => self.0.decode(key, bytes),
            _ => Err(CodecError::Checksum),
        }
    }
}

#[test]
fn what_was_spilled_is_not_asked_for_again_unless_it_is_refused_or_its_day_was_dropped() {
    let backend = Watched::default();
    let (asked, inner) = (Arc::clone(&backend.asked), Arc::clone(&backend.inner));
    let codec = Doubting(Rows::default(), AtomicUsize::new(0));
    let spilling = Spilling::new(Box::new(MemorySpill::new(1 << 20)), Box::new(codec));
    let mut sessionizer = Sessionizer::new(backend, 0).with_spill(Some(spilling));
    let mut all = Accumulated::default();
    // Each epoch needs the state the one before left; ids are known without asking, too.
    for (epoch, sessions, ids) in [(0, 1, 0), (1, 1, 0), (2, 2, 1), (3, 2, 1)] {
        let mut events = vec![(parse(&format!("a@{epoch}#{}", epoch + 1)).0.assigned(), 1)];
        let mut out = Differences::default();
        sessionizer.process(epoch, &mut events, &mut out);
        all.add(&mut out);
        let asked = asked.lock().unwrap();
        assert_eq!((asked.sessions, asked.ids), (sessions, ids), "epoch {epoch}");
    }
    assert_eq!(all.sessions.keys().map(|session| show(session)).collect::<Vec<_>>(), ["a 0..3 x4"]);

    inner.lock().unwrap().expire(Day(1));
    let _ = inner.lock().unwrap().expire_before(4_u64);
    sessionizer.process(4, &mut Vec::new(), &mut Differences::default());
    sessionizer.drop_before(Day(1));
    let mut out = Differences::default();
    sessionizer.process(5, &mut vec![(parse("a@9").0.assigned(), 1)], &mut out);
    let found: Vec<_> = out.sessions.iter().map(|(session, _)| show(session)).collect();
    assert_eq!(found, ["a 9..9 x1"], "what was dropped does not come back");
}

#[test]
fn identity_days_are_told_in_order_and_once_an_epoch() {
    let backend = Watched::default();
    let asked = Arc::clone(&backend.asked);
    let mut sessionizer = Sessionizer::new(backend, usize::MAX);
    let requests = ["b@90000", "a@0", "c@5", "a@90000", "a@7", "@3!1", "c@6", "b@1", "-z@1"];
    let mut events =
        requests.iter().map(|text| parse(text)).map(|(r, d)| (r.assigned(), d)).collect();
    sessionizer.process(0, &mut events, &mut Differences::default());
    let changed = asked.lock().unwrap().changed.clone();
    assert_eq!(changed.len(), 6);
    assert!(changed.is_sorted() && changed.windows(2).all(|pair| pair[0] != pair[1]));
}
