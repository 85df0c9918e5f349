//! What a request costs on its way to another process, and hot state on its way to the spill.
//!
//! Side by side, in interleaved rounds, the median of each: how requests are sent ([`Batch`]), what
//! timely would do by itself (bincode), `columnar`, and, with `--features abomonation`, that codec.
//! Requests are what `assign` makes of `spoor generate`'s traffic, in batches as they are sent.
//! Writing includes finding the length, as timely asks for it first; reading ends with requests that
//! `sessionize` takes, and with their being dropped. Then the exchange as a whole, between two
//! threads of a process, by value and as bytes, beside timely's own; then the codecs of the spill.
//! `SPOOR_BENCH_REQUESTS` sets the number of requests. `cargo bench --bench exchange`.

#![allow(clippy::unwrap_used, reason = "a bench stops where it fails")]

mod common;

use std::hint::black_box;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use columnar::bytes::indexed;
use columnar::{Borrow, Clear, FromBytes, Index, Len, Vecs, bytemuck};
use common::{load, median, number};
use spoor_dataflow::decode::{Decoder, Format};
use spoor_dataflow::source::Chunk;
use spoor_operators::assign::{Applications, CompiledRules, Scratch, SecretKey};
use spoor_operators::facts::Assigned;
use spoor_operators::identity::IdentityId;
use spoor_operators::inventory::Descriptions;
use spoor_operators::rules::RuleSet;
use spoor_operators::sessionize::backend::{DayKey, IdSet};
use spoor_operators::sessionize::batch::{Batch, Update};
use spoor_operators::sessionize::codec::{HotCodec, HotDay, rows::Rows};
use spoor_operators::sessionize::exchange::ByOwner;
use spoor_operators::sessionize::memory::MemoryState;
use spoor_operators::sessionize::{Differences, Sessionizer};
use spoor_operators::time::{Day, Epoch, EventTime};
use timely::CommunicationConfig;
use timely::bytes::arc::{Bytes as Received, BytesMut};
use timely::container::CapacityContainerBuilder;
use timely::dataflow::channels::ContainerBytes;
use timely::dataflow::channels::pact::{Exchange, ParallelizationContract};
use timely::dataflow::operators::generic::operator::Operator;
use timely::dataflow::operators::{Input, Probe};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const REQUESTS: u64 = 100_000;
/// As many as are sent at once.
const BATCH: usize = 256;
const ROUNDS: usize = 21;
/// Requests of a session of the spilled days.
const SESSION_REQUESTS: usize = 10;
const GAP_MS: u32 = 1_000;

fn main() {
    let updates = traffic(number("REQUESTS", REQUESTS));
    let payload: usize = updates.iter().map(|(item, _, _)| item.payload.len()).sum();
    println!("load {}", load());
    println!("{} requests, payloads of {} bytes", updates.len(), payload / updates.len());
    encodings(&updates);
    exchanges(&updates);
    states(&updates);
    println!("load {}", load());
}

/// Assigned requests of generated traffic, the payloads of each chunk in one arena.
fn traffic(requests: u64) -> Vec<Update> {
    let requests = requests.to_string();
    let mut program = Command::new(env!("CARGO_BIN_EXE_spoor"));
    let output = program.args(["generate", "--requests", &requests]).output().unwrap();
    assert!(output.status.success());
    let chunk = Chunk::whole("bench".into(), Arc::new(Format::Ndjson), output.stdout.into());
    let (key, apps) = (SecretKey([7; 32]), Applications::default());
    let rules =
        CompiledRules::new(&RuleSet::default(), &key, &apps, &Descriptions::default()).unwrap();
    let (mut scratch, mut arena, mut made) = (Scratch::default(), Vec::new(), Vec::new());
    Decoder::new().decode(&chunk, &mut |record, _| {
        let from = arena.len();
        let assignment = rules.assign(&mut record.unwrap(), true, &mut scratch, &mut arena);
        made.push((assignment, from..arena.len()));
    });
    let arena = Bytes::from(arena);
    let update = |(assignment, at): (spoor_operators::assign::Assignment, _)| {
        (assignment.into_assigned(arena.slice(at)), 7, 1)
    };
    made.into_iter().map(update).collect()
}

/// A way to send requests: writes each batch, and makes requests of what was written.
trait Encoding {
    fn name(&self) -> &'static str;
    /// Writes a batch; what is sent.
    fn write(&mut self, updates: &[Update]) -> Sent;
    fn read(&self, sent: Sent) -> Vec<Update>;
}

/// Bytes, aligned as timely receives them, or words.
enum Sent {
    Bytes(Vec<u8>),
    Received(Received),
    Words(Vec<u64>),
}

impl Sent {
    fn len(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::Received(bytes) => bytes.len(),
            Self::Words(words) => 8 * words.len(),
        }
    }
}

/// A container that timely sends.
struct Sending<C> {
    name: &'static str,
    container: Option<C>,
    wrap: fn(Vec<Update>) -> C,
    unwrap: fn(C) -> Vec<Update>,
}

impl<C: ContainerBytes> Encoding for Sending<C> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn write(&mut self, _: &[Update]) -> Sent {
        let container = self.container.as_ref().unwrap();
        let mut bytes = vec![0; container.length_in_bytes()];
        container.into_bytes(&mut &mut bytes[..]);
        Sent::Bytes(bytes)
    }

    fn read(&self, sent: Sent) -> Vec<Update> {
        let Sent::Received(bytes) = sent else { unreachable!("made ready by the round") };
        (self.unwrap)(C::from_bytes(bytes))
    }
}

type Numbers = (Vec<u64>, Vec<u64>, Vec<i64>, Vec<u64>, Vec<u64>, Vec<i64>);
type Small = (Vec<i32>, Vec<u32>, Vec<u32>, Vec<u32>);

/// One column for each field, and one of all payloads.
#[derive(Default)]
struct Columns((Numbers, Small, Vecs<Vec<u8>>));

/// What keeps received words while slices of them live.
struct Owner(Vec<u64>);

impl AsRef<[u8]> for Owner {
    fn as_ref(&self) -> &[u8] {
        bytemuck::cast_slice(&self.0)
    }
}

impl Encoding for Columns {
    fn name(&self) -> &'static str {
        "columnar"
    }

    fn write(&mut self, updates: &[Update]) -> Sent {
        self.0.clear();
        let (numbers, small, payloads) = &mut self.0;
        for (item, epoch, diff) in updates {
            numbers.0.push((item.identity.0 >> 64) as u64);
            numbers.1.push(item.identity.0 as u64);
            numbers.2.push(item.ts.0);
            numbers.3.push(item.id_hash);
            numbers.4.push(*epoch);
            numbers.5.push(*diff as i64);
            small.0.push(item.day.0);
            small.1.push(item.gap_ms);
            small.2.push(item.origin);
            small.3.push(item.head_len);
            payloads.values.extend_from_slice(&item.payload);
            payloads.bounds.push(payloads.values.len() as u64);
        }
        let columns = self.0.borrow();
        let mut words = Vec::with_capacity(indexed::length_in_words(&columns));
        indexed::encode(&mut words, &columns);
        Sent::Words(words)
    }

    fn read(&self, sent: Sent) -> Vec<Update> {
        type Borrowed<'a> = <(Numbers, Small, Vecs<Vec<u8>>) as Borrow>::Borrowed<'a>;
        let Sent::Words(words) = sent else { unreachable!("words were written") };
        // The columns are looked at in the buffer that payloads are slices of.
        let bytes = Bytes::from_owner(Owner(words));
        let words: &[u64] = bytemuck::cast_slice(&bytes);
        let columns = Borrowed::from_bytes(&mut indexed::decode(words));
        let ((high, low, ts, id_hash, epoch, diff), (day, gap, origin, head), payloads) = columns;
        let update = |at: usize| {
            let payload = payloads.get(at);
            let item = Assigned {
                day: Day(day[at]),
                identity: IdentityId(u128::from(high[at]) << 64 | u128::from(low[at])),
                ts: EventTime(ts[at]),
                id_hash: id_hash[at],
                gap_ms: gap[at],
                origin: origin[at],
                head_len: head[at],
                payload: bytes.slice_ref(&payload.slice[payload.lower..payload.upper]),
            };
            (item, epoch[at], diff[at] as isize)
        };
        (0..ts.len()).map(update).collect()
    }
}

#[cfg(feature = "abomonation")]
mod optional {
    use super::*;
    pub use spoor_operators::sessionize::codec::abomonation::Mirrors;

    impl Encoding for Mirrors {
        fn name(&self) -> &'static str {
            "abomonation, checked"
        }

        fn write(&mut self, updates: &[Update]) -> Sent {
            let mut bytes = Vec::new();
            self.encode_requests(updates, &mut bytes);
            Sent::Bytes(bytes)
        }

        fn read(&self, sent: Sent) -> Vec<Update> {
            let Sent::Received(bytes) = sent else { unreachable!("made ready by the round") };
            self.decode_requests(&bytes).unwrap()
        }
    }
}

fn encodings(updates: &[Update]) {
    let batches: Vec<&[Update]> = updates.chunks(BATCH).collect();
    let mut ours = Sending {
        name: "batch (in use)",
        container: None,
        wrap: Batch::from,
        unwrap: |batch: Batch| batch.updates,
    };
    let mut bincode = Sending {
        name: "bincode (timely's own)",
        container: None,
        wrap: |updates| updates,
        unwrap: |updates: Vec<Update>| updates,
    };
    let mut columns = Columns::default();
    #[cfg(feature = "abomonation")]
    let mut mirrors = optional::Mirrors::default();
    let mut found: Vec<(&str, Figures)> = Vec::new();
    for round in 0..ROUNDS {
        let mut of = Vec::new();
        of.push(run(&batches, &mut ours, |ours, batch| {
            ours.container = Some((ours.wrap)(batch.to_vec()));
        }));
        of.push(run(&batches, &mut bincode, |bincode, batch| {
            bincode.container = Some((bincode.wrap)(batch.to_vec()));
        }));
        of.push(run(&batches, &mut columns, |_, _| {}));
        #[cfg(feature = "abomonation")]
        of.push(run(&batches, &mut mirrors, |_, _| {}));
        for (at, (name, write, read, bytes)) in of.into_iter().enumerate() {
            if round == 0 {
                found.push((name, Figures { bytes, ..Figures::default() }));
            }
            found[at].1.write.push(write);
            found[at].1.read.push(read);
        }
    }
    println!("requests between processes, {BATCH} at once, median of {ROUNDS} rounds:");
    let requests = updates.len() as f64;
    for (name, mut figures) in found {
        println!(
            "  {name:<24} write {:>6.1} ns, read {:>6.1} ns, {:>6.1} bytes a request",
            median(&mut figures.write).as_nanos() as f64 / requests,
            median(&mut figures.read).as_nanos() as f64 / requests,
            figures.bytes as f64 / requests,
        );
    }
}

#[derive(Default)]
struct Figures {
    write: Vec<Duration>,
    read: Vec<Duration>,
    bytes: usize,
}

/// All batches once: name, time of writing and of reading, bytes. What is not timed: making a
/// container of a batch, and giving what was written to timely's buffers.
fn run<E: Encoding>(
    batches: &[&[Update]],
    encoding: &mut E,
    ready: impl Fn(&mut E, &[Update]),
) -> (&'static str, Duration, Duration, usize) {
    let (mut write, mut read, mut bytes) = (Duration::ZERO, Duration::ZERO, 0);
    for batch in batches {
        ready(encoding, batch);
        let start = Instant::now();
        let sent = black_box(encoding.write(batch));
        write += start.elapsed();
        bytes += sent.len();
        let sent = match sent {
            Sent::Bytes(bytes) => Sent::Received(BytesMut::from(bytes).freeze()),
            sent => sent,
        };
        let start = Instant::now();
        let updates = black_box(encoding.read(sent));
        let equal = updates.len() == batch.len();
        drop(updates);
        read += start.elapsed();
        assert!(equal, "{}", encoding.name());
    }
    (encoding.name(), write, read, bytes)
}

/// The exchange of two workers as a whole.
fn exchanges(updates: &[Update]) {
    let updates = Arc::new(updates.to_vec());
    let own = || Exchange::new(|(item, _, _): &Update| u64::from(item.identity.partition()));
    let mut times: [Vec<Duration>; 4] = Default::default();
    for _ in 0..ROUNDS {
        let by_value = CommunicationConfig::Process(2);
        let as_bytes = CommunicationConfig::ProcessBinary(2);
        times[0].push(through(&updates, by_value.clone(), ByOwner::default));
        times[1].push(through(&updates, by_value, own));
        times[2].push(through(&updates, as_bytes.clone(), ByOwner::default));
        times[3].push(through(&updates, as_bytes, own));
    }
    println!("the exchange of two workers, wall time a request, median of {ROUNDS} rounds:");
    let names =
        ["by value, ours", "by value, timely's own", "as bytes, ours", "as bytes, timely's own"];
    for (name, mut times) in names.into_iter().zip(times) {
        let each = median(&mut times).as_nanos() as f64 / updates.len() as f64;
        println!("  {name:<24} {each:>6.1} ns");
    }
}

/// Time from the first request sent until all are received and dropped.
fn through<P: ParallelizationContract<u64, Vec<Update>> + 'static>(
    updates: &Arc<Vec<Update>>,
    communication: CommunicationConfig,
    pact: impl Fn() -> P + Send + Sync + 'static,
) -> Duration {
    let updates = Arc::clone(updates);
    let config = timely::Config { communication, worker: timely::WorkerConfig::default() };
    let barrier = std::sync::Barrier::new(2);
    let guards = timely::execute(config, move |worker| {
        let (mut input, probe) = worker.dataflow::<u64, _, _>(|scope| {
            let (input, stream) = scope.new_input::<Vec<Update>>();
            let received = stream.unary::<CapacityContainerBuilder<Vec<u64>>, _, _, _>(
                pact(),
                "Receive",
                |_, _| |input, _| input.for_each(|_, updates| updates.clear()),
            );
            (input, received.probe().0)
        });
        let (index, peers) = (worker.index(), worker.peers());
        let own = updates.iter().skip(index).step_by(peers).cloned();
        let mut batches: Vec<Vec<Update>> = Vec::new();
        for update in own {
            match batches.last_mut() {
                Some(last) if last.len() < 1024 => last.push(update),
                _ => batches.push(vec![update]),
            }
        }
        barrier.wait();
        let start = Instant::now();
        for mut batch in batches {
            input.send_batch(&mut batch);
            worker.step();
        }
        input.close();
        while !probe.done() {
            worker.step();
        }
        start.elapsed()
    });
    let times = guards.unwrap().join().into_iter().map(Result::unwrap);
    times.max().unwrap()
}

/// The codecs of the spill.
fn states(updates: &[Update]) {
    let rows = Rows::default();
    #[cfg(feature = "abomonation")]
    let mirrors = optional::Mirrors::default();
    let codecs: &[(&str, &dyn HotCodec)] = &[
        ("rows (default)", &rows),
        #[cfg(feature = "abomonation")]
        ("abomonation", &mirrors),
    ];
    println!(
        "identity-days of sessions of {SESSION_REQUESTS} requests, median of {ROUNDS} rounds:"
    );
    for sessions in [1, 10, 1_000] {
        let (key, day) = identity_day(updates, sessions);
        let repeats = (2_000 / sessions).max(1);
        let mut found: Vec<Figures> = codecs.iter().map(|_| Figures::default()).collect();
        for _ in 0..ROUNDS {
            for ((_, codec), figures) in codecs.iter().zip(&mut found) {
                let mut bytes = Vec::new();
                let start = Instant::now();
                for _ in 0..repeats {
                    bytes.clear();
                    codec.encode(key, black_box(&day), &mut bytes);
                }
                figures.write.push(start.elapsed() / repeats as u32);
                let start = Instant::now();
                for _ in 0..repeats {
                    drop(black_box(codec.decode(key, &bytes).unwrap()));
                }
                figures.read.push(start.elapsed() / repeats as u32);
                figures.bytes = bytes.len();
            }
        }
        for ((name, _), mut figures) in codecs.iter().zip(found) {
            println!(
                "  {sessions:>4} sessions, {name:<15} write {:>9} ns, read {:>9} ns, {:>8} bytes",
                median(&mut figures.write).as_nanos(),
                median(&mut figures.read).as_nanos(),
                figures.bytes,
            );
        }
    }
}

/// The state of an identity-day with so many sessions.
fn identity_day(updates: &[Update], sessions: usize) -> (DayKey, HotDay) {
    let key = DayKey { day: Day(0), identity: IdentityId::of("user", "ann", "") };
    let mut sessionizer = Sessionizer::new(MemoryState::default(), usize::MAX);
    let item = |at: usize| {
        let session = (at / SESSION_REQUESTS) as i64 * 3 * i64::from(GAP_MS);
        let ts = EventTime(session + (at % SESSION_REQUESTS) as i64);
        let (item, _, _) = updates[at % updates.len()].clone();
        let (day, identity, gap_ms, id_hash) = (key.day, key.identity, GAP_MS, at as u64 + 1);
        (Assigned { day, identity, ts, gap_ms, id_hash, ..item }, 1)
    };
    let mut events = (0..sessions * SESSION_REQUESTS).map(item).collect();
    sessionizer.process(Epoch(0), &mut events, &mut Differences::default());
    let mut ids = IdSet::default();
    MemoryState::ids(sessionizer.backend(), key, &mut ids);
    let found = MemoryState::sessions(sessionizer.backend(), key);
    assert_eq!(found.len(), sessions);
    (key, HotDay { sessions: found, ids: Some(ids) })
}
