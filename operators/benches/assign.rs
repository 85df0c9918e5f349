//! Cost of `assign` for one request: the default rules, one key of an admin, two parameters.
//!
//! Prints nanoseconds a request for typical kinds of traffic, the best of some rounds, beside a
//! fixed reference (decoding and encoding the stored form), so that two machines can be compared.

#![allow(clippy::unwrap_used, reason = "a bench stops where it fails")]

mod common;

use std::hint::black_box;
use std::time::Instant;

use spoor_operators::assign::{Applications, CompiledRules, Scratch, SecretKey};
use spoor_operators::inventory::Descriptions;
use spoor_operators::request::{Message, Request};
use spoor_operators::rules::RuleSet;

const REQUESTS: usize = 1_000;
const ROUNDS: usize = 1_000;

const RULES: &str = r#"{
    "grouping": [{"name": "account", "point": "$request.header.x-account-id"}],
    "context": [
        {"name": "user", "point": "$request.header.x-user", "type": "user"},
        {"name": "plan", "point": "$request.cookie.plan"}]}"#;

const AGENT: &str = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) \
                     Chrome/130.0.0.0 Safari/537.36";
/// `{"alg":"none"}`, `{"sub":"u-7"}`, and a signature.
const BEARER: &str = "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJ1LTcifQ.c2lnbmF0dXJl";

fn main() {
    let rules: RuleSet = serde_json::from_str(RULES).unwrap();
    let (key, apps) = (SecretKey([7; 32]), Applications::default());
    let rules = CompiledRules::new(&rules, &key, &apps, &Descriptions::default()).unwrap();
    println!("load {}", common::load());
    for (name, headers, cookies) in [
        ("account key", &[("X-Account-Id", "acc-48151623")][..], &[][..]),
        (
            "session cookie",
            &[("Accept", "*/*"), ("X-User", "ada")],
            &[("plan", "pro"), ("sid", "0f1e2d3c4b5a")],
        ),
        ("bearer token", &[("Authorization", BEARER), ("X-User", "ada")], &[]),
        ("address and agent", &[("Accept", "*/*")], &[]),
    ] {
        run(name, &rules, &encoded(headers, cookies));
    }
}

fn encoded(
    headers: &[(&'static str, &'static str)],
    cookies: &[(&'static str, &'static str)],
) -> Vec<u8> {
    let fields = |pairs: &[(&'static str, &'static str)]| {
        pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()
    };
    let request = Request {
        id: "r-00000001".into(),
        explicit_id: true,
        app: "shop".into(),
        method: "GET".into(),
        host: "shop.example".into(),
        path: "/api/v1/users/48151623/orders/0f8fad5b-d9cb-469f-a165-70867728950e".into(),
        status: 200,
        duration_ns: Some(12_000_000),
        ip: "198.51.100.7".into(),
        user_agent: AGENT.into(),
        request: Message {
            headers: fields(headers),
            cookies: fields(cookies),
            ..Message::default()
        },
        ..Request::default()
    };
    let mut bytes = Vec::new();
    request.encode(&mut bytes);
    bytes
}

fn run(name: &str, rules: &CompiledRules, bytes: &[u8]) {
    let (mut scratch, mut arena) = (Scratch::default(), Vec::with_capacity(1 << 20));
    let reference = best(|| {
        let request = Request::decode(black_box(bytes)).unwrap();
        room(&mut arena);
        request.encode(&mut arena);
    });
    let whole = best(|| {
        let mut request = Request::decode(black_box(bytes)).unwrap();
        room(&mut arena);
        black_box(rules.assign(&mut request, true, &mut scratch, &mut arena));
    });
    let own = whole - reference;
    println!(
        "{name:<18} assign {own:>5.0} ns, decode and encode {reference:>4.0} ns, ratio {:.1}",
        own / reference
    );
}

/// Keeps the arena in cache, as a batch of the engine is.
fn room(arena: &mut Vec<u8>) {
    if arena.len() > 1 << 19 {
        arena.clear();
    }
}

/// Nanoseconds of one call: the best round.
fn best(mut call: impl FnMut()) -> f64 {
    let round = |_| {
        let start = Instant::now();
        (0..REQUESTS).for_each(|_| call());
        start.elapsed().as_nanos() as f64 / REQUESTS as f64
    };
    (0..ROUNDS).map(round).fold(f64::INFINITY, f64::min)
}
