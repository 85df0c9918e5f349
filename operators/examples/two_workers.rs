//! Two processes' workers over TCP, here two threads on loopback that share nothing else. Each reads
//! its part of the requests; a session is made by the worker that owns its identity.
//!
//! `cargo run --example two_workers`

use std::net::TcpListener;
use std::sync::Arc;
use std::thread;

use differential_dataflow::input::Input;
use spoor_operators::{
    Assign, AssignOptions, MemoryState, NewRequest, Record, RuleSet, SecretKey, Sessionize,
};
use timely::{CommunicationConfig, Config, WorkerConfig};

fn main() -> anyhow::Result<()> {
    let free = [TcpListener::bind("127.0.0.1:0")?, TcpListener::bind("127.0.0.1:0")?];
    let addresses: Vec<String> =
        free.iter().map(|at| Ok(at.local_addr()?.to_string())).collect::<anyhow::Result<_>>()?;
    drop(free);
    let processes = [0, 1].map(|process| {
        let addresses = addresses.clone();
        thread::spawn(move || run(process, addresses))
    });
    for process in processes {
        process.join().expect("the process does not panic")?;
    }
    Ok(())
}

fn run(process: usize, addresses: Vec<String>) -> anyhow::Result<()> {
    let communication = CommunicationConfig::Cluster {
        threads: 1,
        process,
        addresses,
        report: false,
        zerocopy: false,
    };
    let config = Config { communication, worker: WorkerConfig::default() };
    let guards = timely::execute(config, move |worker| {
        let index = worker.index();
        let mut requests = worker.dataflow::<u64, _, _>(|scope| {
            let (requests, stream) = scope.new_collection();
            // The rules are one collection: one worker inserts them.
            let rules = (index == 0).then(|| Arc::new(RuleSet::default()));
            let rules = scope.new_collection_from(rules).1;
            let options = AssignOptions::new(SecretKey([7; 32]));
            let out = stream.assign(rules, options).sessionize(MemoryState::default());
            out.sessions.inspect(move |(session, _, _)| {
                println!("worker {index}: {} x{}", session.who(), session.requests());
            });
            requests
        });
        // Requests of one identity come to both workers.
        for request in part(index) {
            requests.insert(request);
        }
    });
    let joined = guards.map_err(anyhow::Error::msg)?.join();
    joined.into_iter().try_for_each(|worker| worker.map_err(anyhow::Error::msg))
}

fn part(index: usize) -> impl Iterator<Item = Record> {
    let request = |number: usize| {
        let client = format!("192.0.2.{}", number % 4);
        NewRequest::new("GET", "/", number as i64 * 1000).ip(client).build()
    };
    (0..40).filter(move |number| number % 2 == index).filter_map(move |number| request(number).ok())
}
