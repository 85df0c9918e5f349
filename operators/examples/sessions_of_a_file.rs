//! The sessions of a file of requests, one JSON object a line.
//!
//! `cargo run --example sessions_of_a_file [FILE]`

use std::fs;
use std::sync::Arc;

use differential_dataflow::input::Input;
use spoor_operators::{
    Assign, AssignOptions, Field, MemoryState, NewRequest, Record, RuleSet, SecretKey, Sessionize,
};

fn main() -> anyhow::Result<()> {
    let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/requests.ndjson");
    let file = std::env::args().nth(1).unwrap_or_else(|| sample.into());
    let mut requests: Vec<Record> = Vec::new();
    for line in fs::read_to_string(file)?.lines() {
        requests.push(serde_json::from_str::<NewRequest>(line)?.build()?);
    }
    timely::execute_directly(move |worker| {
        worker.dataflow::<u64, _, _>(|scope| {
            let requests = scope.new_collection_from(requests).1;
            let rules = scope.new_collection_from([Arc::new(RuleSet::default())]).1;
            let options = AssignOptions::new(SecretKey([7; 32]));
            let out = requests.assign(rules, options).sessionize(MemoryState::default());
            out.sessions.inspect(|(session, _, _)| {
                let (who, requests, errors) = (session.who(), session.requests(), session.errors());
                let seconds = session.duration_ms() / 1000;
                println!("{who}: {requests} requests in {seconds} s, {errors} errors");
                for (endpoint, count) in session.values(Field::Endpoint) {
                    println!("    {count} x {endpoint}");
                }
            });
        });
    });
    Ok(())
}
