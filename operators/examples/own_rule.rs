//! A rule of one's own, changed while the dataflow runs: sessions by client address become sessions
//! by user, the past included. And a summary of one's own: the paths of each session.
//!
//! `cargo run --example own_rule`

use std::collections::BTreeMap;
use std::sync::Arc;

use differential_dataflow::input::Input;
use spoor_operators::request::Request;
use spoor_operators::sessionize::own::{OwnSummary, Summarize};
use spoor_operators::{
    Assign, AssignOptions, MemoryState, NewRequest, RuleSet, SecretKey, Sessionize,
};

/// How often each path was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Paths(BTreeMap<String, isize>);

impl OwnSummary for Paths {
    fn add(&mut self, request: &Request<'_>, times: isize) {
        *self.0.entry(request.path.to_string()).or_default() += times;
        self.0.retain(|_, count| *count != 0);
    }
}

fn main() -> anyhow::Result<()> {
    let by_user: RuleSet = serde_json::from_str(
        r#"{"version": 2, "grouping": [{"name": "user", "point": "$request.query.user | lower"}]}"#,
    )?;
    by_user.check().map_err(|errors| anyhow::anyhow!("{errors:?}"))?;
    let request = |url: &str, ts| NewRequest::new("GET", url, ts).ip("192.0.2.1").build();
    let past = [request("/a?user=Ann", 0)?, request("/b?user=bob", 1)?, request("/c?user=ann", 2)?];
    timely::execute_directly(move |worker| {
        let (mut requests, mut rules) = worker.dataflow::<u64, _, _>(|scope| {
            let (requests, stream) = scope.new_collection();
            let (rules, rule_sets) = scope.new_collection();
            let options = AssignOptions::new(SecretKey([7; 32]));
            let out = stream.assign(rule_sets, options).sessionize(MemoryState::default());
            out.sessions.inspect(|(session, time, diff)| {
                println!("time {time}: {diff:+} {} x{}", session.who(), session.requests());
            });
            out.requests.summarize::<Paths>().inspect(|((_, paths), time, diff)| {
                println!("time {time}: {diff:+} {:?}", paths.0);
            });
            (requests, rules)
        });
        let by_address = Arc::new(RuleSet::default());
        rules.insert(Arc::clone(&by_address));
        past.into_iter().for_each(|request| requests.insert(request));
        requests.advance_to(1);
        rules.advance_to(1);
        rules.remove(by_address);
        rules.insert(Arc::new(by_user));
    });
    Ok(())
}
