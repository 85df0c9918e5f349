//! The main job while serving: pages of sessions and changes seen by a subscriber, while requests
//! arrive at a steady pace.
//!
//! One process, the engine as a library with the server's settings and allocator. The store is
//! filled to `SPOOR_BENCH_SESSIONS` sessions (1 million); then, for `SPOOR_BENCH_SECONDS` (20), a
//! feeder pushes `SPOOR_BENCH_RATE` (50,000) requests a second, a reader asks for pages of sessions
//! by one filter each, and a subscriber waits for marked requests. With `-- cluster` two processes
//! of one worker each share the requests, and the second, which does not lead, is asked. With
//! `-- memory` the store is only filled, to 10 million sessions of as many identities, and the peak
//! of resident memory is the figure. At the end the store is opened again: how long until a first
//! page, against an empty store. Everything runs on one machine: generator, reader and subscriber
//! take processor time from the engine.

mod common;

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use common::{free_addresses, load, number};
use spoor_dataflow::cluster::{ClusterSecret, Membership};
use spoor_dataflow::decode::Formats;
use spoor_dataflow::engine::{Engine, EpochLimits, Settings};
use spoor_dataflow::query::{Filter, Order, RequestFilter, SessionQuery};
use spoor_dataflow::service::{
    ChangesQuery, Event, Ingest, Push, PushAnswer, ServiceError, Services,
};
use spoor_dataflow::store::{Store, StoreOptions};
use spoor_operators::assign::{Applications, SecretKey};
use spoor_operators::facts::Field;
use spoor_operators::inventory::Descriptions;
use spoor_operators::rules::RuleSet;
use tokio::sync::oneshot::Receiver;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Sessions the pages are found among.
const SESSIONS: u64 = 1_000_000;
/// Sessions of the measurement of memory.
const SESSIONS_MEMORY: u64 = 10_000_000;
/// Requests that arrive a second.
const RATE: u64 = 50_000;
/// How long they do, in seconds.
const SECONDS: u64 = 20;
/// Goals.
const PAGE_P99_MAX: Duration = Duration::from_millis(50);
const CHANGE_P99_MAX: Duration = Duration::from_millis(250);
const RESIDENT_MAX: u64 = 1_500_000_000;
const RESTART_MAX: Duration = Duration::from_secs(3);

const WORKERS: usize = 2;
const HOT_BYTES: usize = 512 << 20;
/// Lines of a pushed body.
const BODY_LINES: usize = 1000;
/// Bodies pushed and not committed while the store is filled.
const BODIES_WAITING_MAX: usize = 32;
/// Sessions on a page.
const PAGE: usize = 20;
/// From one page to the next, and from one marked request to the next.
const PAGE_PACE: Duration = Duration::from_millis(10);
const MARK_PACE: Duration = Duration::from_millis(50);
/// From a refused push to its repetition.
const RETRY_PACE: Duration = Duration::from_millis(1);
/// How long the last marked request is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

/// 2026-03-02 at six o'clock; the fill ends at noon, and no session reaches midnight.
const BEGIN_MS: u64 = 1_772_431_200_000;
const FILL_MS: u64 = 6 * 3_600_000;
/// Two requests of a session are this part of the fill apart, 108 seconds: well below the gap.
const STRIDES: u64 = 200;
const REQUESTS_PER_SESSION_MAX: u64 = 5;

const APPS: u64 = 8;
const ENDPOINTS: u64 = 48;
const ADDRESSES: u64 = 200_000;
const MARKER: &str = "marker-of-the-bench";

fn main() {
    let memory = std::env::args().any(|argument| argument == "memory");
    let sessions = number("SESSIONS", if memory { SESSIONS_MEMORY } else { SESSIONS });
    println!("load before: {}", load());
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a temporary directory");
    let cluster = std::env::args().any(|argument| argument == "cluster");
    let engines = start_all(dir.path(), if cluster { 2 } else { 1 });
    let services = services(&engines);
    let mut traffic = Traffic { slot: 0, stride: sessions.div_ceil(STRIDES) };
    fill(&services, &mut traffic, sessions);
    if !memory {
        serve(&services, &mut traffic);
    }
    let peak = high_water();
    let resident = verdict(peak <= RESIDENT_MAX);
    println!(
        "peak resident memory {} MB, hot budget {} MB{}",
        peak / 1_000_000,
        HOT_BYTES >> 20,
        if memory {
            format!(" (at most {} MB: {resident})", RESIDENT_MAX / 1_000_000)
        } else {
            String::new()
        }
    );
    println!("load after: {}", load());
    drop(services);
    end_all(engines);
    if !cluster {
        restart(&dir.path().join("0"), sessions);
    }
}

/// Engines that are one, in this process but over real connections.
fn start_all(dir: &Path, processes: usize) -> Vec<Engine> {
    let hosts = free_addresses(processes);
    let hosts = &hosts;
    std::thread::scope(|scope| {
        let start = |process: usize| {
            let cluster = (processes > 1).then(|| {
                let secret = ClusterSecret::new("only of this bench").expect("it is long");
                Membership::new(process, hosts.clone(), secret)
            });
            scope.spawn(move || start(&dir.join(process.to_string()), cluster))
        };
        let started: Vec<_> = (0..processes).map(start).collect();
        started.into_iter().map(|thread| thread.join().expect("an engine starts")).collect()
    })
}

fn end_all(engines: Vec<Engine>) {
    engines[0].stop();
    for engine in engines {
        engine.join().expect("the engine ends well");
    }
}

/// Those of the last process, but what is pushed goes to all in turn.
fn services(engines: &[Engine]) -> Services {
    let mut services = engines.last().expect("there is an engine").services();
    let ingests = engines.iter().map(|engine| engine.services().ingest).collect();
    services.ingest = Arc::new(InTurn { ingests, next: AtomicUsize::new(0) });
    services
}

/// Pushes to one after the other.
struct InTurn {
    ingests: Vec<Arc<dyn Ingest>>,
    next: AtomicUsize,
}

impl Ingest for InTurn {
    fn take(&self, push: Push) -> Receiver<Result<PushAnswer, ServiceError>> {
        let turn = self.next.fetch_add(1, Ordering::Relaxed) % self.ingests.len();
        self.ingests[turn].take(push)
    }
}

/// From opening the store to a first page, against the same with an empty store.
fn restart(full: &Path, sessions: u64) {
    let empty = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a temporary directory");
    let ready = |dir: &Path| {
        let begin = Instant::now();
        let engine = start(dir, None);
        let view = engine.services().reader.view().expect("a view");
        let query = SessionQuery {
            filter: Filter::all(),
            order: Order::default(),
            first: PAGE,
            after: None,
            count: false,
        };
        view.sessions(&query).expect("a page");
        let took = begin.elapsed();
        drop(view);
        engine.stop();
        engine.join().expect("the engine ends well");
        took
    };
    let [full, empty] = [full, empty.path()].map(|dir| {
        let mut times = [ready(dir), ready(dir), ready(dir)];
        println!("  restarts: {times:.0?}");
        times.sort();
        times[1]
    });
    let good = verdict(full <= RESTART_MAX);
    println!(
        "restart to a first page, {sessions} sessions: {} ms (at most {} ms: {good}); empty store: {} ms",
        full.as_millis(),
        RESTART_MAX.as_millis(),
        empty.as_millis()
    );
}

/// The server's, but for what is tried out here.
fn store_options() -> StoreOptions {
    let default = StoreOptions::default();
    let mb = |name: &str, bytes: usize| (number(name, (bytes >> 20) as u64) as usize) << 20;
    StoreOptions {
        cache_bytes: mb("CACHE_MB", default.cache_bytes),
        write_buffer_bytes: mb("BUFFERS_MB", default.write_buffer_bytes),
        ..default
    }
}

fn start(dir: &Path, cluster: Option<Membership>) -> Engine {
    let processes = cluster.as_ref().map_or(1, |cluster| cluster.hosts.len());
    Engine::start(Settings {
        store: Store::open(dir, store_options()).expect("a new store"),
        rules: RuleSet::default(),
        key: SecretKey([7; 32]),
        applications: Applications::default(),
        descriptions: Descriptions::default(),
        formats: Formats::default(),
        sources: Vec::new(),
        cluster,
        workers: WORKERS / processes,
        hot_bytes_max: HOT_BYTES / processes,
        epochs: EpochLimits::default(),
        ends_with_sources: false,
        refuses_future: false,
        remembers_changes: true,
    })
    .expect("the engine starts")
}

/// Pushes as fast as it is taken until there are so many sessions.
fn fill(services: &Services, traffic: &mut Traffic, sessions: u64) {
    let begin = Instant::now();
    let mut requests = 0;
    let mut waiting = VecDeque::new();
    let mut told = sessions / 4;
    while traffic.slot < sessions {
        if waiting.len() == BODIES_WAITING_MAX {
            requests += waiting.pop_front().map_or(0, committed);
        }
        let body = traffic.body(|slot| BEGIN_MS + FILL_MS * slot.min(sessions) / sessions);
        waiting.push_back(services.ingest.push(body.into(), None));
        if traffic.slot >= told {
            let rate = requests as f64 / begin.elapsed().as_secs_f64();
            println!("  {told} sessions, {rate:.0} requests/s, {} MB", high_water() / 1_000_000);
            told += sessions / 4;
        }
    }
    requests += waiting.into_iter().map(committed).sum::<u64>();
    let status = services.reader.view().and_then(|view| view.status()).expect("the engine runs");
    let seconds = begin.elapsed().as_secs_f64();
    println!(
        "filled: {} sessions of {requests} requests in {seconds:.1} s, {:.0} requests/s, {} MB on disk",
        status.sessions,
        requests as f64 / seconds,
        status.store_bytes / 1_000_000
    );
}

/// Requests of a push once it is committed.
fn committed(answer: Receiver<Result<PushAnswer, ServiceError>>) -> u64 {
    let answer = answer.blocking_recv().expect("the engine answers").expect("a push is taken");
    assert_eq!(answer.counts.accepted, answer.counts.read, "{:?}", answer.errors);
    answer.counts.accepted
}

/// Feeds, reads and waits for changes, all at the same time.
fn serve(services: &Services, traffic: &mut Traffic) {
    let rate = number("RATE", RATE);
    let until = Instant::now() + Duration::from_secs(number("SECONDS", SECONDS));
    println!("pages of {PAGE} in default order, and changes, while {rate} requests/s arrive");
    std::thread::scope(|scope| {
        scope.spawn(move || feed(&*services.ingest, traffic, rate, until));
        let (sent, marks) = mpsc::channel();
        scope.spawn(move || mark(&*services.ingest, until, &sent));
        let changes = scope.spawn(move || watch(services, &marks));
        let pages = read_pages(services, until);
        let changes = changes.join().expect("the subscriber ends well");
        let mut all = Vec::new();
        for (filter, times) in pages {
            all.extend_from_slice(&times);
            report(&format!("page by {filter}"), times, PAGE_P99_MAX);
        }
        report("page by any of these", all, PAGE_P99_MAX);
        report("change seen by a subscriber", changes, CHANGE_P99_MAX);
    });
}

/// Pushes bodies at a steady pace and says what rate was reached.
fn feed(ingest: &dyn Ingest, traffic: &mut Traffic, rate: u64, until: Instant) {
    let begin = Instant::now();
    let pace = Duration::from_secs_f64(BODY_LINES as f64 / rate as f64);
    let mut answers = Vec::new();
    let mut next = begin;
    while next < until {
        let now = BEGIN_MS + FILL_MS + begin.elapsed().as_millis() as u64;
        let body = traffic.body(|_| now);
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
        answers.push(ingest.push(body.into(), None));
        next += pace;
    }
    let pushed = begin.elapsed().as_secs_f64();
    let (mut taken, mut refused) = (0, 0);
    for answer in answers {
        match answer.blocking_recv().expect("the engine answers") {
            Ok(answer) => taken += answer.counts.accepted,
            Err(_) => refused += 1,
        }
    }
    let behind = begin.elapsed().as_secs_f64() - pushed;
    println!(
        "fed: {:.0} requests/s for {pushed:.1} s, {refused} bodies refused, all committed {:.0} ms later",
        taken as f64 / pushed,
        behind * 1000.0
    );
}

/// Asks for the first page by one filter after another.
fn read_pages(services: &Services, until: Instant) -> Vec<(&'static str, Vec<Duration>)> {
    let mut times: Vec<(&str, Vec<Duration>)> =
        filters(0).into_iter().map(|(name, _)| (name, Vec::new())).collect();
    let mut round = 0;
    while Instant::now() < until {
        for ((_, filter), (name, times)) in filters(round).into_iter().zip(&mut times) {
            let query = SessionQuery {
                filter,
                order: Order::default(),
                first: PAGE,
                after: None,
                count: false,
            };
            let begin = Instant::now();
            let view = services.reader.view().expect("the engine runs");
            let page = view.sessions(&query).expect("a page is found");
            times.push(begin.elapsed());
            // An address has a few sessions, everything else more than a page.
            let least = if *name == "address" { 0 } else { PAGE };
            assert!(page.sessions.len() >= least, "{name}: {} sessions", page.sessions.len());
            std::thread::sleep(PAGE_PACE);
        }
        round += 1;
    }
    times
}

/// Filters of a round; the values differ from round to round.
fn filters(round: u64) -> [(&'static str, Filter); 5] {
    let by = |field, text: String| {
        Filter::Request(RequestFilter { fields: vec![(field, vec![text])], ..Default::default() })
    };
    let number = scattered(round);
    [
        ("application", by(Field::App, app(number))),
        ("endpoint", by(Field::Endpoint, format!("GET {}", path(number)))),
        ("malicious", Filter::Malicious(true)),
        ("status 500", by(Field::Status, "500".into())),
        ("address", by(Field::Ip, address(number))),
    ]
}

/// Pushes marked requests and tells when. One that is refused is pushed again, its time runs on.
fn mark(ingest: &dyn Ingest, until: Instant, sent: &mpsc::Sender<Instant>) {
    let mut answers = Vec::new();
    while Instant::now() < until {
        let mut line = String::new();
        let ts = BEGIN_MS + FILL_MS + answers.len() as u64;
        write_request(&mut line, &format!("m{}", answers.len()), MARKER, ts, 1);
        let at = Instant::now();
        let answer = loop {
            let mut answer = ingest.push(line.clone().into(), None);
            match answer.try_recv() {
                Ok(Err(ServiceError::Limit(_))) => std::thread::sleep(RETRY_PACE),
                _ => break answer,
            }
        };
        answers.push(answer);
        if sent.send(at).is_err() {
            break;
        }
        std::thread::sleep(MARK_PACE);
    }
}

/// From the push of each marked request until a subscriber saw its session with it.
fn watch(services: &Services, marks: &mpsc::Receiver<Instant>) -> Vec<Duration> {
    let filter = Filter::Value(MARKER.into());
    let query = ChangesQuery::of(filter, PAGE);
    let mut changes = services.feed.session_changes(query).expect("a subscription");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let runtime = runtime.expect("a runtime");
    let (mut seen, mut times) = (0, Vec::new());
    while let Ok(sent) = marks.recv() {
        while seen <= times.len() as u64 {
            let event =
                runtime.block_on(async { tokio::time::timeout(PATIENCE, changes.next()).await });
            let event = event.expect("a change comes").expect("the engine runs").expect("an event");
            let sessions = match event {
                Event::Snapshot { sessions, .. } => sessions,
                Event::Changes { added, updated, .. } => [added, updated].concat(),
                Event::Progress { .. } => Vec::new(),
            };
            seen = sessions.iter().map(|session| session.summary.requests).fold(seen, u64::max);
        }
        times.push(sent.elapsed());
    }
    times
}

/// Requests of sessions that overlap: in each place a session begins and some go on.
struct Traffic {
    /// The place it is at.
    slot: u64,
    /// Places between two requests of a session.
    stride: u64,
}

impl Traffic {
    /// About [`BODY_LINES`] lines, each at the time of its place.
    fn body(&mut self, time: impl Fn(u64) -> u64) -> String {
        let mut body = String::with_capacity(BODY_LINES * 360);
        let mut lines = 0;
        let mut session = String::new();
        let mut id = String::new();
        while lines < BODY_LINES {
            let ts = time(self.slot);
            for step in 0..REQUESTS_PER_SESSION_MAX {
                let Some(number) = self.slot.checked_sub(step * self.stride) else { break };
                if step > scattered(number) % REQUESTS_PER_SESSION_MAX {
                    continue;
                }
                session.clear();
                id.clear();
                let _ = write!(session, "s{:012x}", scattered(number) >> 16);
                let _ = write!(id, "r{number}-{step}");
                write_request(&mut body, &id, &session, ts, scattered(number + (step << 40)));
                lines += 1;
            }
            self.slot += 1;
        }
        body
    }
}

/// A line of native NDJSON; `chance` decides what the request is.
fn write_request(out: &mut String, id: &str, session: &str, ts: u64, chance: u64) {
    let choose = |shift: u64, of: u64| (chance >> shift) % of;
    let status = match choose(3, 100) {
        0..2 => 500,
        2..6 => 404,
        6..10 => 201,
        _ => 200,
    };
    let attack = match choose(7, 100) {
        0 => {
            r#","attacks":[{"type":"sqli","point":"$request.query.q","payload":"' or 1=1","blocked":true}],"blocked":true"#
        }
        1 => r#","attacks":[{"type":"xss","point":"$request.query.q","payload":"<script>"}]"#,
        _ => "",
    };
    let _ = writeln!(
        out,
        r#"{{"id":"{id}","ts":{ts},"app":"{}","method":"GET","host":"{}.example.com","path":"{}","query":"q={}","status":{status},"duration_ms":{}.5,"request_bytes":{},"response_bytes":{},"ip":"{}","user_agent":"Mozilla/5.0 ({})","request":{{"headers":{{"x-session-id":"{session}"}}}}{attack}}}"#,
        app(chance),
        app(chance),
        path(choose(5, 1 << 20)),
        choose(11, 1000),
        choose(13, 400),
        100 + choose(17, 900),
        200 + choose(19, 20_000),
        address(choose(23, 1 << 30)),
        choose(29, 12),
    );
}

fn app(number: u64) -> String {
    format!("app-{}", (number >> 1) % APPS)
}

fn path(number: u64) -> String {
    format!("/api/v1/resource-{}/list", char::from(b'a' + (number % ENDPOINTS / 2) as u8))
        + if number.is_multiple_of(2) { "" } else { "/all" }
}

fn address(number: u64) -> String {
    let number = number % ADDRESSES;
    format!("10.{}.{}.{}", number >> 16, number >> 8 & 255, number & 255)
}

/// A number without a pattern for each number (`SplitMix64`).
fn scattered(number: u64) -> u64 {
    let mut x = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

fn report(what: &str, mut times: Vec<Duration>, p99_max: Duration) {
    times.sort_unstable();
    let at = |share: f64| {
        let index = (times.len() as f64 * share).ceil() as usize;
        times.get(index.saturating_sub(1)).copied().unwrap_or_default()
    };
    let ms = |time: Duration| time.as_secs_f64() * 1000.0;
    println!(
        "{what:28} p50 {:7.2} ms, p95 {:7.2} ms, p99 {:7.2} ms, max {:7.2} ms of {} (p99 at most {} ms: {})",
        ms(at(0.5)),
        ms(at(0.95)),
        ms(at(0.99)),
        ms(at(1.0)),
        times.len(),
        p99_max.as_millis(),
        verdict(!times.is_empty() && at(0.99) <= p99_max)
    );
}

fn verdict(within: bool) -> &'static str {
    if within { "within" } else { "MISSED" }
}

/// Peak resident bytes of this process.
fn high_water() -> u64 {
    let text = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    kib.unwrap_or(0) << 10
}
