//! What the operator costs: requests a second through `sessionize` on one worker, beside a
//! hand-written loop that keeps the same statistics, and the cost of a request in a long session.
//!
//! Requests come parsed and assigned, made an epoch at a time outside the clock, their payloads in
//! one arena an epoch, as the engine makes them. The backend keeps nothing. The hand-written loop
//! has no differences, no log, no totals and no retractions: it is what the operator's freedom costs.
//! `SPOOR_BENCH_REQUESTS` sets the number of requests, 10 million by default.

mod common;

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::time::{Duration, Instant};

use bytes::Bytes;
use common::number;
use differential_dataflow::AsCollection;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use spoor_operators::facts::{Assigned, Fact, Field, IdentityText, Numbers, encode_head};
use spoor_operators::identity::IdentityId;
use spoor_operators::sessionize::backend::{
    DayChange, DayKey, EpochCounts, IdSet, SessionBackend, Sessions,
};
use spoor_operators::sessionize::operator::{Sessionize, SessionizeOptions};
use spoor_operators::time::{DAY_MS, Day, EventTime};
use timely::dataflow::operators::{Input, Probe};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const EPOCH_REQUESTS: usize = 50_000;
const GAP_MS: u32 = 30_000;
const ZIPF: f64 = 1.05;

/// Keeps nothing: what is measured is the operator.
struct NullBackend;

impl<T> SessionBackend<T> for NullBackend {
    fn ready(&mut self, _: T) -> bool {
        true
    }
    fn sessions(&mut self, _: DayKey) -> Sessions {
        Sessions::new()
    }
    fn ids(&mut self, _: DayKey, _: &mut IdSet) {}
    fn requests(&mut self, _: DayKey) -> Vec<Assigned> {
        Vec::new()
    }
    fn change(&mut self, _: T, _: DayChange) {}
    fn seal(&mut self, _: T, _: EpochCounts) {}
}

/// How the requests of a run are made.
#[derive(Clone, Copy)]
struct Load {
    requests: usize,
    identities: usize,
    zipf: bool,
    explicit_ids: bool,
    /// Requests in a millisecond of event time.
    per_ms: usize,
}

/// Makes the requests of a load, the same ones every time.
struct Generator {
    load: Load,
    rng: ChaCha8Rng,
    /// Cumulated weights of the identities.
    weights: Vec<f64>,
    ids: Vec<(IdentityId, String)>,
    made: usize,
}

impl Generator {
    fn new(load: Load) -> Self {
        let mut sum = 0.0;
        let weight = |rank: usize| if load.zipf { (rank as f64 + 1.0).powf(-ZIPF) } else { 1.0 };
        let cumulated = |rank| {
            sum += weight(rank);
            sum
        };
        let weights = (0..load.identities).map(cumulated).collect();
        let name = |n: usize| format!("session-{n:08x}-0123456789abcdef");
        let id = |n| (IdentityId::of("session-id", &name(n), ""), name(n));
        let ids = (0..load.identities).map(id).collect();
        Self { load, rng: ChaCha8Rng::seed_from_u64(1), weights, ids, made: 0 }
    }

    fn epoch(&mut self) -> Vec<Assigned> {
        let len = EPOCH_REQUESTS.min(self.load.requests - self.made);
        let mut arena = Vec::with_capacity(len * 400);
        let made: Vec<_> = (0..len).map(|_| self.request(&mut arena)).collect();
        let arena = Bytes::from(arena);
        let slice = |(mut item, from, to): (Assigned, usize, usize)| {
            item.payload = arena.slice(from..to);
            item
        };
        made.into_iter().map(slice).collect()
    }

    fn request(&mut self, arena: &mut Vec<u8>) -> (Assigned, usize, usize) {
        let rng = &mut self.rng;
        let total = self.weights[self.weights.len() - 1];
        let drawn = rng.random_range(0.0..total);
        let who = self.weights.partition_point(|weight| *weight <= drawn);
        let (identity, name) = &self.ids[who];
        let now = (self.made / self.load.per_ms) as i64;
        let late = if rng.random_range(0..20) == 0 { rng.random_range(0..5000) } else { 0 };
        self.made += 1;
        let attacked = rng.random_range(0..100) == 0;
        let status = [200, 200, 200, 201, 304, 404, 500][rng.random_range(0..7)];
        let numbers = Numbers {
            status,
            request_bytes: 300,
            response_bytes: rng.random_range(100..20_000),
            duration_ns: Some(rng.random_range(10..300_u64).pow(2) * 1000),
            detections: u32::from(attacked),
            ..Numbers::default()
        };
        let words = IdentityText {
            namespace: "session-id",
            value: name,
            qualifier: "",
            weak: false,
            secret: false,
        };
        let (status, endpoint) = (status.to_string(), rng.random_range(0..20));
        let endpoint = format!("GET /api/v1/resources/{{int}}/part{endpoint}");
        let ip = format!("10.{}.{}.{}", who >> 16, who >> 8 & 255, who & 255);
        let agent = format!("Mozilla/5.0 (X11; Linux x86_64; rv:{0}.0) Firefox/{0}.0", who % 100);
        let mut facts = vec![
            Fact::new(Field::Method, ["GET", "GET", "POST"][rng.random_range(0..3)]),
            Fact::new(Field::Status, &status),
            Fact::new(Field::Host, "shop.example.com"),
            Fact::new(Field::App, "shop"),
            Fact::new(Field::Endpoint, &endpoint),
            Fact::new(Field::Ip, &ip),
            Fact::new(Field::UserAgent, &agent),
        ];
        facts.extend(attacked.then(|| Fact::new(Field::Attack, "sqli")));
        let from = arena.len();
        encode_head(arena, words, &numbers, &facts);
        let head_len = (arena.len() - from) as u32;
        // In place of a stored request: only its length and that it is its own matter here.
        arena.extend_from_slice(&self.made.to_le_bytes());
        arena.extend_from_slice(&[b'x'; 120]);
        let id_hash = (self.made as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let item = Assigned {
            day: Day((now / DAY_MS) as i32),
            identity: *identity,
            ts: EventTime((now - late).max(0)),
            id_hash: if self.load.explicit_ids { id_hash } else { 0 },
            gap_ms: GAP_MS,
            origin: 0,
            head_len,
            payload: Bytes::new(),
        };
        (item, from, arena.len())
    }
}

/// Time taken: on the clock, and on the processor, which other programs disturb less.
#[derive(Clone, Copy, Default)]
struct Clock {
    wall: Duration,
    processor: Duration,
}

impl Clock {
    fn time<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let (start, processor) = (Instant::now(), Self::processor());
        let done = work();
        self.wall += start.elapsed();
        self.processor += Self::processor().saturating_sub(processor);
        done
    }

    /// Processor time of this thread so far; zero where the system does not say.
    fn processor() -> Duration {
        let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
        let nanos = text.split(' ').next().and_then(|nanos| nanos.parse().ok());
        Duration::from_nanos(nanos.unwrap_or(0))
    }
}

fn dataflow(load: Load) -> Clock {
    timely::execute_directly(move |worker| {
        let (mut input, probe) = worker.dataflow::<u64, _, _>(|scope| {
            let (input, stream) = scope.new_input::<Vec<(Assigned, u64, isize)>>();
            let options = SessionizeOptions { requests: false, ..SessionizeOptions::default() };
            let out = stream.as_collection().sessionize_with(NullBackend, options);
            let (probe, _) = out.sessions.inner.probe();
            (input, probe)
        });
        let mut generator = Generator::new(load);
        let (mut clock, mut epoch) = (Clock::default(), 0);
        while generator.made < load.requests {
            let requests = generator.epoch();
            let mut batch: Vec<_> = requests.into_iter().map(|item| (item, epoch, 1)).collect();
            epoch += 1;
            clock.time(|| {
                input.send_batch(&mut batch);
                input.advance_to(epoch);
                while probe.less_than(&epoch) {
                    worker.step();
                }
            });
        }
        clock
    })
}

/// A session of the hand-written loop.
#[derive(Default)]
struct HandSession {
    start: i64,
    end: i64,
    requests: u64,
    errors: u64,
    server_errors: u64,
    detections: u64,
    malicious: u64,
    blocked: u64,
    request_bytes: u64,
    response_bytes: u64,
    duration_sum: u64,
    duration_max: u64,
    /// Bucket and count, ascending.
    durations: Vec<(u16, u32)>,
    counts: Vec<(u64, u64, Field, Box<str>)>,
}

/// Identities are hashes already.
#[derive(Default)]
struct TakeHash(u64);

impl Hasher for TakeHash {
    fn write(&mut self, _: &[u8]) {}
    fn write_u128(&mut self, id: u128) {
        self.0 = id as u64;
    }
    fn finish(&self) -> u64 {
        self.0
    }
}

type Identities = HashMap<IdentityId, Vec<HandSession>, BuildHasherDefault<TakeHash>>;

fn by_hand(load: Load) -> Clock {
    let mut identities = Identities::default();
    let mut generator = Generator::new(load);
    let mut clock = Clock::default();
    while generator.made < load.requests {
        let requests = generator.epoch();
        clock.time(|| {
            for item in &requests {
                count_by_hand(identities.entry(item.identity).or_default(), item);
            }
            drop(requests);
        });
    }
    println!("{} sessions", identities.values().map(Vec::len).sum::<usize>());
    clock
}

fn count_by_hand(sessions: &mut Vec<HandSession>, item: &Assigned) {
    let (ts, gap) = (item.ts.0, i64::from(GAP_MS));
    let found = sessions.iter().rposition(|s| ts > s.start - gap && ts < s.end + gap);
    let at = found.unwrap_or_else(|| {
        sessions.push(HandSession { start: ts, end: ts, ..HandSession::default() });
        sessions.len() - 1
    });
    let session = &mut sessions[at];
    let Ok((_, facts)) = item.head() else { return };
    let numbers = facts.numbers;
    (session.start, session.end) = (session.start.min(ts), session.end.max(ts));
    session.requests += 1;
    session.errors += u64::from(numbers.status >= 400);
    session.server_errors += u64::from(numbers.status >= 500);
    session.detections += u64::from(numbers.detections);
    session.malicious += u64::from(numbers.detections > 0);
    session.blocked += u64::from(numbers.blocked);
    session.request_bytes += numbers.request_bytes;
    session.response_bytes += numbers.response_bytes;
    if let Some(duration) = numbers.duration_ns {
        session.duration_sum += duration;
        session.duration_max = session.duration_max.max(duration);
        let above = 57 - (duration >> 7 | 1).leading_zeros().min(57);
        let bucket = (duration >> above) as u16 + 64 * above as u16;
        match session.durations.binary_search_by_key(&bucket, |known| known.0) {
            Ok(at) => session.durations[at].1 += 1,
            Err(at) => session.durations.insert(at, (bucket, 1)),
        }
    }
    for fact in facts.iter() {
        match session.counts.iter_mut().find(|known| known.0 == fact.hash) {
            Some(known) => known.1 += 1,
            None => session.counts.push((fact.hash, 1, fact.field, fact.text.into())),
        }
    }
}

/// Prints what a run took, and answers the nanoseconds a request took: on the processor if known.
fn report(name: &str, load: Load, clock: Clock) -> f64 {
    let each = |time: Duration| time.as_nanos() as f64 / load.requests as f64;
    let (wall, processor) = (each(clock.wall), each(clock.processor));
    let per_second = 1e9 / wall;
    println!("{name:<34} {per_second:>10.0}/s {wall:>6.0} ns each, processor {processor:>6.0} ns");
    if processor > 0.0 { processor } else { wall }
}

fn main() {
    let requests = number("REQUESTS", 10_000_000) as usize;
    let only = std::env::args().skip(1).find(|arg| !arg.starts_with('-'));
    let wants = |part: &str| only.as_deref().is_none_or(|only| only == part);
    println!("{requests} requests, epochs of {EPOCH_REQUESTS}; load {}", common::load());
    let load = Load { requests, identities: 200_000, zipf: true, explicit_ids: false, per_ms: 10 };
    if wants("hand") {
        let hand = report("by hand", load, by_hand(load));
        let ours = report("sessionize", load, dataflow(load));
        println!("{:.2} times the loop by hand (goal: at most 3)", ours / hand);
    }
    if wants("ids") {
        let load = Load { explicit_ids: true, ..load };
        report("sessionize, explicit ids", load, dataflow(load));
    }
    if wants("profile") {
        report("sessionize", load, dataflow(load));
    }
    if wants("length") {
        let long = Load { identities: 1, requests: requests.min(1_000_000), ..load };
        let short = Load { identities: 1000, zipf: false, ..long };
        let short = report("sessionize, a thousand sessions", short, dataflow(short));
        let long = report("sessionize, one session", long, dataflow(long));
        println!("{:.2} times in one session (goal: at most 1.5)", long / short);
    }
}
