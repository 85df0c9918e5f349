//! The store by itself: how fast epochs are written, how fast pages are found meanwhile.
//!
//! Requests over Zipf-distributed identities go through the real sessionizer; timed are the
//! encoding of parts (done by workers), the commit (the committer's thread), first-sight reads, and
//! pages with one filter while epochs keep being committed.
//!
//! `cargo bench -p spoor-store --bench store -- [requests] [identities] [requests an epoch]
//! [milliseconds between requests]`

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use spoor_api::query::{Filter, Order, RequestFilter, SessionQuery, Statistic, Status};
use spoor_api::service::View;
use spoor_operators::assign::{Applications, CompiledRules, Scratch, SecretKey};
use spoor_operators::facts::{Assigned, Field};
use spoor_operators::inventory::Descriptions;
use spoor_operators::request::Request;
use spoor_operators::rules::RuleSet;
use spoor_operators::sessionize::backend::{
    DayChange, DayKey, EpochCounts, IdSet, SessionBackend, Sessions,
};
use spoor_operators::sessionize::{Differences, HOT_BYTES_DEFAULT, Sessionizer};
use spoor_operators::time::{Epoch, EventTime};
use spoor_store::{Commit, Part, Store, StoreOptions, StoreView, ViewContext};

/// Multiplicative congruential numbers: the same in every run.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        (self.0 >> 33) ^ self.0 >> 11
    }

    fn unit(&mut self) -> f64 {
        (self.next() & 0xffff_ffff) as f64 / f64::from(u32::MAX)
    }
}

/// Keeps an epoch's changes, and asks the store what is not hot.
struct Recorder {
    store: Store,
    changes: Vec<DayChange>,
    reads: u32,
    reading: Duration,
}

impl SessionBackend for Recorder {
    fn ready(&mut self, _: Epoch) -> bool {
        true
    }

    fn sessions(&mut self, key: DayKey) -> Sessions {
        let start = Instant::now();
        let found = self.store.load_sessions(key).expect("readable");
        self.reading += start.elapsed();
        self.reads += 1;
        found
    }

    fn ids(&mut self, _: DayKey, _: &mut IdSet) {}

    fn requests(&mut self, _: DayKey) -> Vec<Assigned> {
        Vec::new()
    }

    fn change(&mut self, _: Epoch, change: DayChange) {
        self.changes.push(change);
    }

    fn seal(&mut self, _: Epoch, _: EpochCounts) {}
}

struct Load {
    numbers: Numbers,
    cumulative: Vec<f64>,
    compiled: Arc<CompiledRules>,
    made: u64,
    millis_each: f64,
}

impl Load {
    fn new(identities: usize, millis_each: f64) -> Self {
        let mut sum = 0.0;
        let weight = |rank: usize| {
            sum += 1.0 / (rank as f64 + 1.0).powf(1.05);
            sum
        };
        let cumulative = (0..identities).map(weight).collect();
        let compiled = CompiledRules::new(
            &RuleSet::default(),
            &SecretKey([1; 32]),
            &Applications::default(),
            &Descriptions::default(),
        );
        let compiled = Arc::new(compiled.expect("the default rules compile"));
        Self { numbers: Numbers(42), cumulative, compiled, made: 0, millis_each }
    }

    fn epoch(&mut self, requests: usize) -> Vec<(Assigned, isize)> {
        let mut scratch = Scratch::default();
        let mut one = || {
            let numbers = &mut self.numbers;
            let at = numbers.unit() * self.cumulative[self.cumulative.len() - 1];
            let identity = self.cumulative.partition_point(|sum| *sum < at);
            self.made += 1;
            let late = if numbers.next().is_multiple_of(20) { numbers.next() % 5000 } else { 0 };
            let ts = 1_700_006_400_000 + (self.made as f64 * self.millis_each) as i64 - late as i64;
            let status = [200, 200, 200, 200, 201, 302, 404, 500][numbers.next() as usize % 8];
            let mut request = Request {
                id: format!("req-{:016x}", numbers.next()).into(),
                explicit_id: false,
                ts: EventTime(ts),
                app: ["shop", "bank", "mail", "search"][identity % 4].into(),
                method: ["GET", "GET", "POST"][numbers.next() as usize % 3].into(),
                host: "api.example.com".into(),
                path: format!("/v1/items{}/{}", numbers.next() % 40, numbers.next() % 9999).into(),
                status,
                duration_ns: Some(numbers.next() % 400_000_000),
                response_bytes: numbers.next() % 20_000,
                ip: format!("10.{}.{}.1", identity >> 8 & 255, identity & 255).into(),
                user_agent: "Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/128.0".into(),
                ..Request::default()
            };
            request.request.headers.push(("x-session-id".into(), format!("s{identity}").into()));
            let mut arena = Vec::with_capacity(512);
            let assignment = self.compiled.assign(&mut request, true, &mut scratch, &mut arena);
            (assignment.into_assigned(arena.into()), 1)
        };
        (0..requests).map(|_| one()).collect()
    }
}

/// Time this thread was on a processor: what a busy machine does not distort.
fn on_processor() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanos = text.split(' ').next().and_then(|field| field.parse().ok());
    Duration::from_nanos(nanos.unwrap_or(0))
}

#[derive(Default)]
struct Spent {
    encode: Duration,
    commit: Duration,
    commit_waited: Duration,
    bytes: usize,
    days: usize,
}

fn write_epoch(
    sessionizer: &mut Sessionizer<Recorder>,
    store: &Store,
    load: &mut Load,
    (epoch, requests): (u64, usize),
    spent: &mut Spent,
) {
    let mut events = load.epoch(requests);
    sessionizer.process(Epoch(epoch), &mut events, &mut Differences::default());
    let changes = std::mem::take(&mut sessionizer.backend().changes);
    spent.days += changes.len();
    let start = on_processor();
    let mut part = store.part(Epoch(epoch), 0);
    for change in &changes {
        part.day_change(change).expect("encodable");
    }
    Part::seal(&mut part);
    spent.encode += on_processor() - start;
    spent.bytes += part.bytes();
    let (start, on) = (Instant::now(), on_processor());
    let commit = Commit { epoch: Epoch(epoch), parts: vec![part], ..Commit::default() };
    store.commit(commit).expect("writable");
    spent.commit += on_processor() - on;
    spent.commit_waited += start.elapsed();
}

fn main() {
    let numbers: Vec<f64> = std::env::args().filter_map(|arg| arg.parse().ok()).collect();
    let argument = |at: usize, default: f64| numbers.get(at).copied().unwrap_or(default);
    let (total, identities) = (argument(0, 2e6) as u64, argument(1, 2e5) as usize);
    let (each, millis) = (argument(2, 5e4) as usize, argument(3, 0.1));
    let directory = tempfile::tempdir().expect("a directory");
    let store = Store::open(directory.path(), StoreOptions::default()).expect("a new store");
    let recorder =
        Recorder { store: store.clone(), changes: Vec::new(), reads: 0, reading: Duration::ZERO };
    let mut sessionizer = Sessionizer::new(recorder, HOT_BYTES_DEFAULT);
    let mut load = Load::new(identities, millis);
    let mut spent = Spent::default();
    let epochs = total / each as u64;
    for epoch in 1..=epochs {
        write_epoch(&mut sessionizer, &store, &mut load, (epoch, each), &mut spent);
    }
    let made = (epochs * each as u64) as f64;
    let rate = |time: Duration| made / time.as_secs_f64() / 1e6;
    let stored = store.numbers();
    println!(
        "{made} requests, {} sessions, {} identity-days touched, epochs of {each}",
        stored.sessions, spent.days
    );
    println!(
        "on processor: encode {:.2} s ({:.2} M requests/s), commit {:.2} s ({:.2} M requests/s; \
         {:.2} s waited); {:.0} bytes a request in batches, {:.0} on disk",
        spent.encode.as_secs_f64(),
        rate(spent.encode),
        spent.commit.as_secs_f64(),
        rate(spent.commit),
        spent.commit_waited.as_secs_f64(),
        spent.bytes as f64 / made,
        stored.disk_bytes as f64 / made,
    );
    let recorder = sessionizer.backend();
    println!(
        "{} identity-days asked for, {:.2} us each",
        recorder.reads,
        recorder.reading.as_secs_f64() * 1e6 / f64::from(recorder.reads.max(1))
    );
    pages(&store, &mut sessionizer, &mut load, epochs);
}

fn view(store: &Store, compiled: &Arc<CompiledRules>) -> Arc<StoreView> {
    let context = ViewContext {
        rules: Arc::new(RuleSet::default()),
        compiled: compiled.clone(),
        status: Arc::new(Status::default),
    };
    Arc::new(store.view(context).expect("a view"))
}

fn questions() -> Vec<(&'static str, SessionQuery)> {
    let fields = |field: Field, text: &str| {
        Filter::Request(RequestFilter {
            fields: vec![(field, vec![text.to_owned()])],
            ..RequestFilter::default()
        })
    };
    let query = |filter| SessionQuery {
        filter,
        order: Order::default(),
        first: 50,
        after: None,
        count: false,
    };
    let errors = Order { by: Statistic::Errors, descending: true };
    let agent =
        RequestFilter { user_agent_contains: Some("nowhere".into()), ..RequestFilter::default() };
    vec![
        ("all", query(Filter::all())),
        ("app", query(fields(Field::App, "bank"))),
        ("endpoint", query(fields(Field::Endpoint, "GET /v1/items7/{int}"))),
        ("rare address", query(fields(Field::Ip, "10.77.7.1"))),
        ("value", query(Filter::Value("s1234".into()))),
        ("no such term", query(fields(Field::App, "none"))),
        ("app, count", SessionQuery { count: true, ..query(fields(Field::App, "bank")) }),
        ("all by errors", SessionQuery { order: errors, ..query(Filter::all()) }),
        ("agent part, none", query(Filter::Request(agent))),
    ]
}

/// Pages while 50,000 requests a second are committed, ten epochs a second.
fn pages(store: &Store, sessionizer: &mut Sessionizer<Recorder>, load: &mut Load, last: u64) {
    let stop = AtomicBool::new(false);
    let compiled = load.compiled.clone();
    let published = Mutex::new(view(store, &compiled));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut epoch = last;
            while !stop.load(Ordering::Relaxed) {
                let start = Instant::now();
                epoch += 1;
                let spent = &mut Spent::default();
                write_epoch(sessionizer, store, load, (epoch, 5_000), spent);
                *published.lock() = view(store, &compiled);
                std::thread::sleep(Duration::from_millis(100).saturating_sub(start.elapsed()));
            }
        });
        for (name, query) in questions() {
            let (mut times, begin) = (Vec::new(), Instant::now());
            let mut found = 0;
            while begin.elapsed() < Duration::from_secs(3) || times.len() < 5 {
                let view = published.lock().clone();
                let start = Instant::now();
                found = view.sessions(&query).expect("an answer").sessions.len();
                times.push(start.elapsed());
                std::thread::sleep(Duration::from_millis(2));
            }
            times.sort_unstable();
            let at = |share: f64| times[(times.len() as f64 * share) as usize].as_secs_f64() * 1e3;
            println!(
                "{name:18} {found:3} found, {} asked: p50 {:.2} ms, p99 {:.2} ms",
                times.len(),
                at(0.5),
                at(0.99)
            );
        }
        stop.store(true, Ordering::Relaxed);
    });
}
