//! `spoor generate`: realistic API traffic as native NDJSON, the same bytes for the same options.
//!
//! A pool of *visits* ([`visit`]) is alive at any time; each record is the next step of one of
//! them, chosen at random, so that thousands of sessions interleave as they do in a real log. A
//! visit that ends makes room for a new one. Some records are delayed and some repeated, so that
//! the stream is late, out of order and not free of duplicates. Time is virtual (a fixed start and
//! exponential steps) unless a rate is asked for: then records come at that rate, dated now.

mod corpus;
mod line;
mod visit;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::{self, Write};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use line::Line;
use visit::Visit;

/// Records when neither a number nor a rate is given.
pub const REQUESTS_DEFAULT: u64 = 100_000;
/// Users when not said otherwise.
pub const USERS_DEFAULT: u32 = 2_000;
/// Share of delayed records when not said otherwise.
pub const LATE_DEFAULT: f64 = 0.02;
/// Where virtual time starts, so that a long run crosses midnight.
pub const START_DEFAULT: &str = "2026-01-05T20:00:00Z";

/// Requests a second of virtual time.
const VIRTUAL_RATE: f64 = 50.0;
/// Mean pause between two requests of a visit, which together with the rate sizes the pool.
const PAUSE_SECONDS: f64 = 10.0;
/// Most visits at a time.
const VISITS_MAX: usize = 50_000;
/// Least number of visits at a time, or a slow stream would be one visit after the other.
const VISITS_MIN: usize = 48;
/// One in this many records is repeated as it is.
const DUPLICATE_ONE_IN: u32 = 2_000;
/// Longest usual delay of a late record: what the default lateness forgives.
const LATE_MS: f64 = 5_000.0;
/// Longest delay of the few that are very late.
const VERY_LATE_MS: f64 = 300_000.0;
/// How often a stream at a rate writes.
const TICK: Duration = Duration::from_millis(10);
/// Bytes gathered before a write.
const CHUNK_BYTES: usize = 1 << 18;

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Options {
    /// How many records; none: without end.
    pub requests: Option<u64>,
    /// Records a second of real time; none: as fast as possible, in virtual time.
    pub rate: Option<f64>,
    /// The same seed gives the same bytes (in virtual time).
    pub seed: u64,
    /// Start of virtual time, milliseconds since the Unix epoch.
    pub start_ms: i64,
    /// Number of users that come back.
    pub users: u32,
    /// Share of delayed records.
    pub late: f64,
}

/// Writes traffic until there was enough, or the reader is gone.
///
/// # Errors
/// What writing failed with; a reader that went away is no error.
pub fn run(options: &Options, out: &mut dyn Write) -> io::Result<()> {
    let done = match options.rate {
        Some(rate) => stream(options, rate, out),
        None => batch(options, out),
    };
    match done.and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

/// Virtual time, as fast as possible.
fn batch(options: &Options, out: &mut dyn Write) -> io::Result<()> {
    let mut traffic = Traffic::new(options, options.start_ms, VIRTUAL_RATE);
    let mut now = options.start_ms as f64;
    let mut chunk = Vec::with_capacity(2 * CHUNK_BYTES);
    while traffic.wants_more() {
        // Exponential steps: requests of independent clients.
        let uniform: f64 = traffic.rng.random();
        now -= (1.0 - uniform).ln() * 1000.0 / VIRTUAL_RATE;
        traffic.record(now, &mut chunk);
        if chunk.len() >= CHUNK_BYTES {
            out.write_all(&chunk)?;
            chunk.clear();
        }
    }
    traffic.release(f64::INFINITY, &mut chunk);
    out.write_all(&chunk)
}

/// Real time: as many records as are due, every [`TICK`].
fn stream(options: &Options, rate: f64, out: &mut dyn Write) -> io::Result<()> {
    let mut traffic = Traffic::new(options, wall_ms() as i64, rate);
    let begin = Instant::now();
    let mut chunk = Vec::new();
    // A reader that stalls is not flooded afterwards: at most one second is caught up.
    let (mut sent, mut skipped) = (0_f64, 0_f64);
    while traffic.wants_more() {
        let due = (begin.elapsed().as_secs_f64() * rate - skipped - sent).floor();
        skipped += (due - rate.max(1.0)).max(0.0);
        let count = due.min(rate.max(1.0)) as u64;
        let now = wall_ms();
        for nth in 0..count {
            if !traffic.wants_more() {
                break;
            }
            let before = (count - 1 - nth) as f64 * 1000.0 / rate;
            traffic.record(now - before.min(1000.0), &mut chunk);
        }
        sent += count as f64;
        traffic.release(now, &mut chunk);
        if !chunk.is_empty() {
            out.write_all(&chunk)?;
            out.flush()?;
            chunk.clear();
        }
        std::thread::sleep(TICK);
    }
    traffic.release(f64::INFINITY, &mut chunk);
    out.write_all(&chunk)
}

fn wall_ms() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64() * 1000.0)
}

/// A record that is held back until its time: the due time in microseconds, an order, the bytes.
type Held = Reverse<(u64, u64, Vec<u8>)>;

/// The traffic: visits, and records held back.
struct Traffic {
    rng: ChaCha8Rng,
    visits: Vec<Visit>,
    visits_wanted: usize,
    world: visit::World,
    held: BinaryHeap<Held>,
    late: f64,
    made: u64,
    left: Option<u64>,
    line: Line,
}

impl Traffic {
    fn new(options: &Options, start_ms: i64, rate: f64) -> Self {
        let visits_wanted = ((rate * PAUSE_SECONDS) as usize).clamp(VISITS_MIN, VISITS_MAX);
        let run = visit::mix(options.seed ^ (start_ms as u64).rotate_left(20));
        Self {
            rng: ChaCha8Rng::seed_from_u64(options.seed),
            visits: Vec::new(),
            visits_wanted,
            world: visit::World { seed: options.seed, users: options.users.max(1) },
            held: BinaryHeap::new(),
            late: options.late.clamp(0.0, 1.0),
            made: 0,
            left: options.requests,
            line: Line::new(run),
        }
    }

    fn wants_more(&self) -> bool {
        self.left != Some(0)
    }

    /// Appends what is due, then one more record dated `now` (unless that one is held back).
    fn record(&mut self, now: f64, out: &mut Vec<u8>) {
        self.release(now, out);
        // The pool fills gradually, or the log would begin with nothing but first steps.
        if self.visits.len() < self.visits_wanted && self.made.is_multiple_of(3) {
            self.visits.push(Visit::begin(&self.world, &mut self.rng));
        }
        let chosen = self.rng.random_range(0..self.visits.len());
        self.line.clear();
        if self.visits[chosen].step(now as i64, &mut self.rng, &mut self.line) {
            self.visits[chosen] = Visit::begin(&self.world, &mut self.rng);
        }
        let begin = out.len();
        self.line.write(self.made, now as i64, out);
        self.made += 1;
        self.left = self.left.map(|left| left.saturating_sub(1));
        self.perhaps_repeat(now, begin, out);
        self.perhaps_hold(now, begin, out);
    }

    fn perhaps_repeat(&mut self, now: f64, begin: usize, out: &[u8]) {
        if self.left != Some(0) && self.rng.random_range(0..DUPLICATE_ONE_IN) == 0 {
            let delay = self.rng.random_range(0.0..2.0 * LATE_MS);
            self.hold(now + delay, out[begin..].to_vec());
            self.left = self.left.map(|left| left.saturating_sub(1));
        }
    }

    fn perhaps_hold(&mut self, now: f64, begin: usize, out: &mut Vec<u8>) {
        if self.rng.random::<f64>() >= self.late {
            return;
        }
        let most = if self.rng.random_range(0..20) == 0 { VERY_LATE_MS } else { LATE_MS };
        let delay = self.rng.random_range(0.0..most);
        self.hold(now + delay, out.split_off(begin));
    }

    fn hold(&mut self, until: f64, bytes: Vec<u8>) {
        self.held.push(Reverse(((until * 1000.0) as u64, self.made, bytes)));
    }

    /// Appends the held records that are due.
    fn release(&mut self, now: f64, out: &mut Vec<u8>) {
        while let Some(Reverse((due, ..))) = self.held.peek() {
            if *due as f64 > now * 1000.0 {
                return;
            }
            if let Some(Reverse((_, _, bytes))) = self.held.pop() {
                out.extend_from_slice(&bytes);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;
    use std::collections::HashSet;

    fn traffic(requests: u64, seed: u64) -> Vec<u8> {
        let options = Options {
            requests: Some(requests),
            rate: None,
            seed,
            start_ms: START_DEFAULT.parse::<jiff::Timestamp>().unwrap().as_millisecond(),
            users: 500,
            late: 0.05,
        };
        let mut out = Vec::new();
        run(&options, &mut out).unwrap();
        out
    }

    fn records(bytes: &[u8]) -> Vec<Value> {
        bytes
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
            .map(|line| serde_json::from_slice(line).unwrap())
            .collect()
    }

    #[test]
    fn the_same_seed_gives_the_same_bytes_and_another_seed_others() {
        assert_eq!(traffic(2_000, 7), traffic(2_000, 7));
        assert_ne!(traffic(2_000, 7), traffic(2_000, 8));
    }

    #[test]
    fn exactly_the_number_asked_for_is_written() {
        for requests in [0, 1, 17, 5_000] {
            assert_eq!(records(&traffic(requests, 1)).len() as u64, requests);
        }
    }

    #[test]
    fn every_line_is_a_record_of_a_realistic_size() {
        let bytes = traffic(20_000, 3);
        let records = records(&bytes);
        assert!((350..650).contains(&(bytes.len() / records.len())), "{}", bytes.len() / 20_000);
        for record in &records {
            assert!(record["ts"].is_string() && record["method"].is_string(), "{record}");
            assert!(record["path"].as_str().unwrap().starts_with('/'), "{record}");
        }
        let apps: HashSet<_> = records.iter().filter_map(|record| record["app"].as_str()).collect();
        for app in ["shop", "api", "admin", "mcp", "graphql"] {
            assert!(apps.contains(app), "{app} in {apps:?}");
        }
    }

    #[test]
    fn some_records_are_late_some_very_late_and_some_repeated() {
        let records = records(&traffic(30_000, 5));
        let ids: Vec<_> = records.iter().filter_map(|record| record["id"].as_str()).collect();
        let distinct: HashSet<_> = ids.iter().collect();
        assert!(distinct.len() < ids.len() && distinct.len() + 60 > ids.len());
        let mut newest = i64::MIN;
        let lags: Vec<i64> = records
            .iter()
            .map(|record| {
                let ts: jiff::Timestamp = record["ts"].as_str().unwrap().parse().unwrap();
                newest = newest.max(ts.as_millisecond());
                newest - ts.as_millisecond()
            })
            .collect();
        let late = lags.iter().filter(|lag| **lag > 0).count();
        let very = lags.iter().filter(|lag| **lag > 5_000).count();
        assert!((900..2_500).contains(&late), "{late}");
        assert!((20..200).contains(&very), "{very}");
    }

    #[test]
    fn a_token_of_a_response_comes_back_in_requests() {
        let records = records(&traffic(20_000, 11));
        let tokens: HashSet<&str> = records
            .iter()
            .filter_map(|record| record["response"]["body"]["access_token"].as_str())
            .collect();
        let used: HashSet<&str> = records
            .iter()
            .filter_map(|record| record["request"]["headers"]["authorization"].as_str())
            .filter_map(|value| value.strip_prefix("Bearer "))
            .collect();
        assert!(tokens.len() > 100, "{}", tokens.len());
        assert!(used.intersection(&tokens).count() * 2 > tokens.len());
    }
}
