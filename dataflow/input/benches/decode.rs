//! Decoding alone, on one thread: the native form against sonic-rs into typed borrowed structs (a
//! fixed reference, whatever decoder is used), and the other formats for comparison.
//!
//! Rounds are short and alternate, and the best of each counts, so that a busy machine disturbs the
//! ratio little. `cargo bench -p spoor-input --bench decode`.

use std::borrow::Cow;
use std::fmt;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use spoor_input::decode::line::{Dialect, LineFormat};
use spoor_input::decode::{Decoder, Format};
use spoor_input::source::{CHUNK_BYTES, Chunk};

const ROUNDS: usize = 60;
/// Combined as a user pastes it, and as a regular expression.
const PASTED: &str = r#"$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent""#;
const REGEX: &str = r#"^(?P<ip>\S+) \S+ (?P<user>\S+) \[(?P<ts>[^\]]+)\] "(?P<request_line>[^"]*)" (?P<status>\d+) (?P<response_bytes>\d+) "(?P<referer>[^"]*)" "(?P<user_agent>[^"]*)""#;

#[derive(serde::Deserialize)]
struct Typed<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    ts: i64,
    #[serde(borrow)]
    method: Cow<'a, str>,
    #[serde(borrow)]
    host: Cow<'a, str>,
    #[serde(borrow)]
    path: Cow<'a, str>,
    status: u16,
    duration_ms: f64,
    response_bytes: u64,
    #[serde(borrow)]
    ip: Cow<'a, str>,
    #[serde(borrow)]
    request: TypedSide<'a>,
}

#[derive(serde::Deserialize)]
struct TypedSide<'a> {
    #[serde(borrow)]
    headers: Pairs<'a>,
}

/// Names and values in order, borrowed.
struct Pairs<'a>(Vec<(&'a str, &'a str)>);

impl<'de: 'a, 'a> Deserialize<'de> for Pairs<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Borrowing;
        impl<'de> Visitor<'de> for Borrowing {
            type Value = Pairs<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of strings")
            }
            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
                let mut pairs = Vec::with_capacity(4);
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }
        from.deserialize_map(Borrowing)
    }
}

fn native(number: usize) -> String {
    let agent = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0 Safari/537.36";
    format!(
        "{{\"id\":\"req-{number:09}\",\"ts\":{},\"method\":\"GET\",\"host\":\"shop.example.com\",\"path\":\"/api/v1/products/{number}/reviews\",\"query\":\"page=2&sort=new\",\"status\":200,\"duration_ms\":{}.{},\"request_bytes\":512,\"response_bytes\":{},\"ip\":\"10.{}.{}.7\",\"request\":{{\"headers\":{{\"user-agent\":\"{agent}\",\"accept\":\"application/json\",\"x-session-id\":\"{number:032x}\",\"cookie\":\"sid={number:016x}; theme=dark\"}}}}}}\n",
        1_714_557_600_000 + number,
        number % 400,
        number % 10,
        number % 90_000,
        number % 256,
        number / 256 % 256,
    )
}

fn combined(number: usize) -> String {
    format!(
        "10.{}.{}.7 - - [20/Feb/2016:00:00:45 -0500] \"GET /2015/08/10/apache-drill/{number}?page=2 HTTP/1.1\" 200 {number} \"http://example.com/from/here\" \"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0 Safari/537.36\"\n",
        number % 256,
        number / 256 % 256,
    )
}

/// A chunk of lines, and how many.
fn chunk(format: Format, line: fn(usize) -> String) -> (Chunk, usize) {
    let (mut bytes, mut lines) = (String::new(), 0);
    while bytes.len() < CHUNK_BYTES {
        bytes.push_str(&line(lines));
        lines += 1;
    }
    (Chunk::whole("bench".into(), Arc::new(format), Bytes::from(bytes)), lines)
}

fn decode(chunk: &Chunk) -> usize {
    let mut good = 0;
    Decoder::new().decode(chunk, &mut |record, _| good += usize::from(black_box(record).is_ok()));
    good
}

fn reference(chunk: &Chunk) -> usize {
    let mut good = 0;
    for line in chunk.bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let typed: Typed<'_> = sonic_rs::from_slice(line).expect("the lines are of this shape");
        let Typed { id, ts, method, host, path, status, duration_ms, response_bytes, ip, request } =
            &typed;
        black_box((id, ts, method, host, path, status, duration_ms, response_bytes, ip));
        black_box(&request.headers.0);
        good += 1;
    }
    good
}

fn main() {
    let ((native, lines), (combined, log_lines)) =
        (chunk(Format::Ndjson, native), chunk(Format::Combined, combined));
    let with = |format: Result<LineFormat, String>| {
        let format = Arc::new(Format::Lines(Arc::new(format.expect("the format makes sense"))));
        Chunk { format, ..combined.clone() }
    };
    let pasted = with(LineFormat::pasted("pasted", Dialect::Nginx, PASTED));
    let regex = with(LineFormat::regex("regex", REGEX));
    type Case<'a> = (&'a str, &'a Chunk, usize, fn(&Chunk) -> usize);
    let cases: [Case<'_>; 5] = [
        ("ndjson", &native, lines, decode),
        ("ndjson, sonic-rs typed", &native, lines, reference),
        ("combined", &combined, log_lines, decode),
        ("combined, pasted", &pasted, log_lines, decode),
        ("combined, regex", &regex, log_lines, decode),
    ];
    let mut best = [Duration::MAX; 5];
    for _ in 0..ROUNDS {
        for (best, (_, chunk, lines, run)) in best.iter_mut().zip(&cases) {
            let from = Instant::now();
            assert_eq!(run(chunk), *lines);
            *best = from.elapsed().min(*best);
        }
    }
    for (best, (name, chunk, lines, _)) in best.iter().zip(&cases) {
        let (seconds, bytes) = (best.as_secs_f64(), chunk.bytes.len() as f64);
        println!(
            "{name:24} {:6.2} M records/s  {:5.2} GB/s  {:4.0} bytes a record",
            *lines as f64 / seconds / 1e6,
            bytes / seconds / 1e9,
            bytes / *lines as f64,
        );
    }
    println!("pasted to built in: {:.2}", best[3].as_secs_f64() / best[2].as_secs_f64());
    println!("ratio to the reference: {:.2}", best[0].as_secs_f64() / best[1].as_secs_f64());
}
