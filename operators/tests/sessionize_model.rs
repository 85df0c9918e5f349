//! Sessions against a batch model that knows nothing of increments: random requests, moves,
//! retractions, changed gaps and duplicates, in random epochs, on one to four workers, with state
//! in memory, forgotten at once, or spilled by every codec there is.

#![allow(clippy::unwrap_used)]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use differential_dataflow::AsCollection;
use proptest::prelude::*;
use spoor_operators::facts::{Field, NO_GAP};
use spoor_operators::identity::{IdentityId, SessionId};
use spoor_operators::record::Record;
use spoor_operators::session::Session;
use spoor_operators::sessionize::codec::HotCodec;
use spoor_operators::sessionize::memory::MemoryState;
use spoor_operators::sessionize::operator::{Sessionize, SessionizeOptions};
use spoor_operators::sessionize::spill::{MemorySpill, Spilling};
use spoor_operators::sessionize::{Differences, MinuteApp, Sessionizer};
use spoor_operators::time::{Day, Epoch};
use spoor_operators::totals::Totals;
use support::{Accumulated, Req};
use timely::CommunicationConfig;
use timely::dataflow::operators::{Input, Inspect};
use timely::order::TotalOrder;
use timely::progress::Timestamp;
use timely::progress::timestamp::Refines;

/// What happens in an epoch; positions choose among the requests retained before it.
#[derive(Clone, Debug)]
enum Act {
    Insert(Req),
    Retract(usize),
    Move(usize, &'static str),
    Regap(&'static str, u32),
    Recount(usize, u16),
}

fn who() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["a", "a", "b", "c", ""])
}

fn gap() -> impl Strategy<Value = u32> {
    prop::sample::select(vec![30_000, 30_000, 30_000, 5_000, 200_000, 1, NO_GAP])
}

fn request() -> impl Strategy<Value = Req> {
    let midnight = 86_400_000_i64;
    let ms = prop_oneof![0..40_i64, 0..400_i64, midnight / 1000 - 100..midnight / 1000 + 100]
        .prop_map(|seconds| seconds * 1000);
    let id = prop_oneof![3 => Just(0_u64), 1 => 1..6_u64];
    (who(), ms, id, 0..9_u64, 0..6_u16, gap()).prop_map(|(who, ms, id, body, hundreds, gap_ms)| {
        Req { who: who.to_owned(), ms, id, body, status: hundreds * 100, gap_ms }
    })
}

fn act(one_gap: bool) -> impl Strategy<Value = Act> {
    let insert = request().prop_map(move |request| {
        Act::Insert(Req { gap_ms: if one_gap { 30_000 } else { request.gap_ms }, ..request })
    });
    prop_oneof![
        12 => insert,
        2 => any::<usize>().prop_map(Act::Retract),
        2 => (any::<usize>(), who()).prop_map(|(at, who)| Act::Move(at, who)),
        1 => (who(), gap()).prop_map(|(who, gap_ms)| Act::Regap(who, gap_ms)),
        1 => (any::<usize>(), 0..600_u16).prop_map(|(at, status)| Act::Recount(at, status)),
    ]
}

fn acts() -> impl Strategy<Value = Vec<Vec<Act>>> {
    any::<bool>().prop_flat_map(|one_gap| {
        prop::collection::vec(prop::collection::vec(act(one_gap), 0..12), 1..8)
    })
}

/// The retained requests of every identity-day.
#[derive(Clone, Debug, Default)]
struct Model {
    retained: BTreeMap<(Day, String), Vec<Req>>,
}

impl Model {
    /// The events of an epoch, as `assign` and a regroup would send them.
    fn events(&self, acts: &[Act]) -> Vec<(Req, isize)> {
        let mut left: Vec<_> = self.retained.values().flatten().cloned().collect();
        let mut events = Vec::new();
        for act in acts {
            let mut replace = |at: usize, new: &dyn Fn(&Req) -> Option<Req>| {
                if left.is_empty() {
                    return;
                }
                let old = left.swap_remove(at % left.len());
                events.extend(new(&old).map(|new| (new, 1)));
                events.push((old, -1));
            };
            match act {
                Act::Insert(request) => events.push((request.clone(), 1)),
                Act::Retract(at) => replace(*at, &|_| None),
                Act::Move(at, who) => {
                    replace(*at, &|old| Some(Req { who: (*who).to_owned(), ..old.clone() }));
                }
                Act::Recount(at, status) => {
                    replace(*at, &|old| Some(Req { status: *status, ..old.clone() }));
                }
                Act::Regap(who, gap_ms) => {
                    while let Some(at) = left.iter().position(|request| request.who == **who) {
                        replace_all(&mut left, at, *gap_ms, &mut events);
                    }
                }
            }
        }
        events
    }

    fn apply(&mut self, events: &[(Req, isize)]) {
        let mut groups = BTreeMap::<_, Vec<_>>::new();
        for (request, diff) in events {
            let key = (request.day(), request.who.clone());
            groups.entry(key).or_default().push((request.clone(), *diff));
        }
        for (key, events) in groups {
            let retained = self.retained.entry(key).or_default();
            let mut taken: Vec<_> =
                events.iter().filter(|(_, diff)| *diff < 0).map(|(old, _)| old.stored()).collect();
            let mut take = |request: &Req| {
                let found = taken.iter().position(|stored| *stored == request.stored());
                found.map(|at| taken.swap_remove(at)).is_some()
            };
            retained.retain(|request| !take(request));
            for (new, _) in events.iter().filter(|(_, diff)| *diff > 0) {
                let same = |known: &Req| known.stored() == new.stored();
                let duplicate = new.id != 0 && !new.who.is_empty() && retained.iter().any(same);
                if !take(new) && !duplicate {
                    retained.push(new.clone());
                }
            }
        }
        self.retained.retain(|_, requests| !requests.is_empty());
    }

    /// Requests that count, of identity-days that have sessions.
    fn counted(&self) -> Vec<((Day, String), Vec<Req>)> {
        let in_sessions = self.retained.iter().filter(|((_, who), _)| !who.is_empty());
        let counted = in_sessions.map(|(key, requests)| {
            let mut requests = requests.clone();
            requests.sort_by_key(|request| (request.ms, request.stored()));
            let mut ids = BTreeSet::new();
            requests.retain(|request| request.id == 0 || ids.insert(request.id));
            (key.clone(), requests)
        });
        counted.collect()
    }

    /// Sessions in short, by the definition.
    fn sessions(&self) -> Vec<Expected> {
        let mut sessions: Vec<Expected> = Vec::new();
        for ((_, who), requests) in self.counted() {
            let gap = requests.iter().map(|request| request.gap_ms).max().unwrap();
            for (at, request) in requests.iter().enumerate() {
                let step = at.checked_sub(1).map(|before| request.ms - requests[before].ms);
                if step.is_none_or(|step| gap != NO_GAP && step >= i64::from(gap)) {
                    let (who, gap_ms) = (who.clone(), gap);
                    sessions.push(Expected {
                        who,
                        gap_ms,
                        start: request.ms,
                        ..Expected::default()
                    });
                }
                sessions.last_mut().unwrap().add(request);
            }
        }
        sessions.sort();
        sessions
    }

    /// Requests that count, by the session they are in: identity, start, stored form, how many.
    fn by_session(&self) -> BTreeMap<(IdentityId, i64, Vec<u8>), isize> {
        let mut by_session = BTreeMap::new();
        let sessions = self.sessions();
        for request in self.counted().into_iter().flat_map(|(_, requests)| requests) {
            let of = |session: &&Expected| {
                let within = session.start <= request.ms && request.ms <= session.end;
                session.who == request.who && within
            };
            let start = sessions.iter().find(of).unwrap().start;
            *by_session.entry((request.identity(), start, request.stored())).or_default() += 1;
        }
        by_session
    }

    fn totals(&self) -> BTreeMap<MinuteApp, Totals> {
        let mut totals = BTreeMap::<MinuteApp, Totals>::new();
        for request in self.counted().into_iter().flat_map(|(_, requests)| requests) {
            let minute = request.ms.div_euclid(60_000);
            let sums = totals.entry((minute, request.app().into())).or_default();
            sums.requests += 1;
            sums.errors += i64::from(request.status >= 400);
            sums.server_errors += i64::from(request.status >= 500);
            sums.detections += (request.body % 3) as i64;
            sums.malicious += i64::from(request.body % 3 > 0);
            sums.blocked += i64::from(request.body.is_multiple_of(5));
            sums.request_bytes += i128::from(request.body) + 1;
            sums.response_bytes += 10;
            sums.duration_ns +=
                if request.body.is_multiple_of(2) { i128::from(request.body) * 1000 } else { 0 };
        }
        for session in self.sessions() {
            // Once among all, and once in each app it touches.
            for app in session.apps.iter().copied().chain([""]) {
                let minute = session.start.div_euclid(60_000);
                let sums = totals.entry((minute, app.into())).or_default();
                sums.sessions += 1;
                sums.malicious_sessions += i64::from(session.attacks > 0);
                sums.weak_sessions += i64::from(session.who == "b");
            }
        }
        totals
    }
}

fn replace_all(left: &mut Vec<Req>, at: usize, gap_ms: u32, events: &mut Vec<(Req, isize)>) {
    let old = left.swap_remove(at);
    events.push((Req { gap_ms, ..old.clone() }, 1));
    events.push((old, -1));
}

/// What is compared of a session.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Expected {
    who: String,
    start: i64,
    end: i64,
    gap_ms: u32,
    requests: u64,
    errors: u64,
    attacks: u64,
    request_bytes: u64,
    longest_ns: u64,
    timed: u64,
    statuses: BTreeMap<String, u64>,
    apps: BTreeSet<&'static str>,
}

impl Expected {
    fn add(&mut self, request: &Req) {
        self.apps.insert(request.app());
        self.end = request.ms;
        self.requests += 1;
        self.errors += u64::from(request.status >= 400);
        self.attacks += request.body % 3;
        self.request_bytes += request.body + 1;
        if request.body.is_multiple_of(2) {
            self.timed += 1;
            self.longest_ns = self.longest_ns.max(request.body * 1000);
        }
        *self.statuses.entry(request.status.to_string()).or_default() += 1;
    }

    fn of(session: &Session) -> Self {
        let summary = &session.summary;
        assert_eq!(summary.count(Field::Attack, "sqli"), summary.detections);
        let statuses = summary.entries(Field::Status);
        let known = |app: &str| ["shop", "bank"].into_iter().find(|known| *known == app).unwrap();
        Self {
            apps: summary.entries(Field::App).map(|(app, _)| known(app)).collect(),
            who: session.identity.value.to_string(),
            start: session.start.0,
            end: session.end.0,
            gap_ms: session.gap_ms,
            requests: summary.requests,
            errors: summary.errors,
            attacks: summary.detections,
            request_bytes: summary.request_bytes,
            longest_ns: summary.duration_max_ns,
            timed: summary.histogram.count(),
            statuses: statuses.map(|(text, count)| (text.to_owned(), count)).collect(),
        }
    }
}

fn compare(all: &Accumulated, model: &Model) -> Result<(), TestCaseError> {
    let mut sessions: Vec<_> = all.sessions.keys().map(|session| Expected::of(session)).collect();
    sessions.sort();
    prop_assert_eq!(sessions, model.sessions());
    prop_assert_eq!(&all.totals, &model.totals());
    let found = all.requests.iter().map(|((session, request), count)| {
        ((session.identity, session.start.0, request.as_bytes().to_vec()), *count)
    });
    prop_assert_eq!(found.collect::<BTreeMap<_, _>>(), model.by_session());
    Ok(())
}

/// What came out of a dataflow, and when.
#[derive(Debug)]
struct Output<T> {
    sessions: Vec<(Arc<Session>, T, isize)>,
    requests: Vec<((SessionId, Record), T, isize)>,
    totals: Vec<(MinuteApp, T, Totals)>,
}

impl<T> Default for Output<T> {
    fn default() -> Self {
        Self { sessions: Vec::new(), requests: Vec::new(), totals: Vec::new() }
    }
}

/// Where the state of an identity-day is between epochs.
#[derive(Clone, Copy, Debug)]
enum Place {
    Memory,
    Backend,
    /// A spill of so many bytes.
    Spill(Codec, usize),
}

#[derive(Clone, Copy, Debug)]
enum Codec {
    Rows,
    #[cfg(feature = "abomonation")]
    Mirrors,
}

impl Place {
    /// In a dataflow, or by itself.
    fn hot_bytes_max(self) -> usize {
        if matches!(self, Self::Memory) { usize::MAX } else { 0 }
    }

    fn spilling(self) -> Option<Spilling> {
        let Self::Spill(codec, bytes_max) = self else { return None };
        let codec: Box<dyn HotCodec> = match codec {
            Codec::Rows => Box::new(spoor_operators::sessionize::codec::rows::Rows::default()),
            #[cfg(feature = "abomonation")]
            Codec::Mirrors => {
                Box::new(spoor_operators::sessionize::codec::abomonation::Mirrors::default())
            }
        };
        Some(Spilling::new(Box::new(MemorySpill::new(bytes_max)), codec))
    }
}

fn place() -> impl Strategy<Value = Place> {
    let codecs = prop::sample::select(vec![
        Codec::Rows,
        #[cfg(feature = "abomonation")]
        Codec::Mirrors,
    ]);
    // One that is always full, and one that keeps everything.
    let spill = (codecs, prop_oneof![Just(500), Just(usize::MAX)]);
    let spill = spill.prop_map(|(codec, bytes_max)| Place::Spill(codec, bytes_max));
    prop_oneof![Just(Place::Memory), Just(Place::Backend), spill.clone(), spill]
}

/// How a dataflow is run.
struct Setting {
    communication: CommunicationConfig,
    place: Place,
    route: Option<Arc<[u32]>>,
}

/// Runs epochs of events, each event given to some worker, and answers all that came out.
fn run<T: Timestamp + TotalOrder + Refines<()>>(
    epochs: Vec<Vec<(Req, isize)>>,
    setting: Setting,
    at: fn(u64) -> T,
) -> Output<T> {
    let Setting { communication, place, route } = setting;
    let epochs = Arc::new(epochs);
    let out = Arc::new(Mutex::new(Output::default()));
    let collected = Arc::clone(&out);
    let config = timely::Config { communication, worker: timely::WorkerConfig::default() };
    let guards = timely::execute(config, move |worker| {
        let route = route.clone();
        let (index, peers, out) = (worker.index(), worker.peers(), Arc::clone(&collected));
        let mut input = worker.dataflow::<T, _, _>(|scope| {
            let (input, stream) = scope.new_input::<Vec<_>>();
            let options = SessionizeOptions {
                hot_bytes_max: place.hot_bytes_max(),
                spilling: place.spilling(),
                route,
                ..Default::default()
            };
            let requests = stream.as_collection();
            let sessionized = requests.sessionize_with(MemoryState::default(), options);
            let (sessions, requests, totals) = (Arc::clone(&out), Arc::clone(&out), out);
            let keep = move |it: &(_, _, _)| sessions.lock().unwrap().sessions.push(it.clone());
            sessionized.sessions.inner.inspect(keep);
            let keep = move |it: &(_, _, _)| requests.lock().unwrap().requests.push(it.clone());
            sessionized.requests.inner.inspect(keep);
            let keep = move |it: &(_, _, _)| totals.lock().unwrap().totals.push(it.clone());
            sessionized.totals.inner.inspect(keep);
            input
        });
        for (epoch, events) in epochs.iter().enumerate() {
            for (number, (request, diff)) in events.iter().enumerate() {
                if number % peers == index {
                    input.send((request.assigned(), at(epoch as u64), *diff));
                }
            }
            input.advance_to(at(epoch as u64 + 1));
            worker.step();
        }
    });
    guards.unwrap().join().into_iter().for_each(|worker| worker.unwrap());
    std::mem::take(&mut out.lock().unwrap())
}

/// At every time what came out so far must equal the model.
fn follow<T: Timestamp>(
    mut output: Output<T>,
    at: fn(u64) -> T,
    models: &[Model],
) -> Result<(), TestCaseError> {
    let Output { sessions, requests, totals } = &mut output;
    let mut all = Accumulated::default();
    for (epoch, model) in models.iter().enumerate() {
        let now = |time: &T| *time == at(epoch as u64);
        let mut out = Differences::default();
        out.sessions.extend(sessions.extract_if(.., |it| now(&it.1)).map(|it| (it.0, it.2)));
        out.requests.extend(requests.extract_if(.., |it| now(&it.1)).map(|it| (it.0, it.2)));
        out.totals.extend(totals.extract_if(.., |it| now(&it.1)).map(|it| (it.0, it.2)));
        all.add(&mut out);
        compare(&all, model)?;
    }
    prop_assert!(sessions.is_empty() && requests.is_empty() && totals.is_empty());
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn the_state_machine_equals_the_batch(acts in acts(), place in place()) {
        let sessionizer = Sessionizer::new(MemoryState::default(), place.hot_bytes_max());
        let mut sessionizer = sessionizer.with_spill(place.spilling()).with_requests();
        let (mut model, mut all) = (Model::default(), Accumulated::default());
        for (epoch, acts) in acts.iter().enumerate() {
            let events = model.events(acts);
            model.apply(&events);
            let mut given: Vec<_> =
                events.iter().map(|(request, diff)| (request.assigned(), *diff)).collect();
            let mut out = Differences::default();
            sessionizer.process(Epoch(epoch as u64), &mut given, &mut out);
            all.add(&mut out);
            compare(&all, &model)?;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn any_number_of_workers_equals_the_batch(
        acts in acts(),
        workers in 1..=4_usize,
        place in place(),
        as_bytes in any::<bool>(),
        in_durations in any::<bool>(),
        owners in prop::option::of(prop::collection::vec(any::<u32>(), 1024)),
    ) {
        let (mut model, mut models, mut epochs) = (Model::default(), Vec::new(), Vec::new());
        for acts in &acts {
            epochs.push(model.events(acts));
            model.apply(epochs.last().unwrap());
            models.push(model.clone());
        }
        let communication = match workers {
            1 => CommunicationConfig::Thread,
            // As between processes, everything sent is written and read.
            _ if as_bytes => CommunicationConfig::ProcessBinary(workers),
            _ => CommunicationConfig::Process(workers),
        };
        let owner = |owner: u32| owner % workers as u32;
        let route = owners.map(|owners| owners.into_iter().map(owner).collect());
        let setting = Setting { communication, place, route };
        // Any totally ordered time will do.
        match in_durations {
            true => follow(run(epochs, setting, Duration::from_secs), Duration::from_secs, &models)?,
            false => follow(run(epochs, setting, |epoch| epoch), |epoch| epoch, &models)?,
        }
    }

    /// The order of arrival and the cut into epochs never show, statistics included.
    #[test]
    fn equal_sets_of_requests_have_equal_rows(
        requests in prop::collection::vec(request(), 1..40),
        cut in 1..40_usize,
    ) {
        let rows = |requests: Vec<&Req>, cut: usize| {
            let mut sessionizer = Sessionizer::new(MemoryState::default(), usize::MAX);
            let mut all = Accumulated::default();
            for (epoch, requests) in requests.chunks(cut).enumerate() {
                let mut events = requests.iter().map(|request| (request.assigned(), 1)).collect();
                let mut out = Differences::default();
                sessionizer.process(Epoch(epoch as u64), &mut events, &mut out);
                all.add(&mut out);
            }
            let row = |session: &Arc<Session>| {
                let mut row = Vec::new();
                session.encode(&mut row);
                row
            };
            all.sessions.keys().map(row).collect::<Vec<_>>()
        };
        let forth = rows(requests.iter().collect(), cut);
        let back = rows(requests.iter().rev().collect(), 1);
        prop_assert_eq!(forth, back);
    }
}
