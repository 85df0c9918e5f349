//! Sessions joined with another collection: which plan the user of a session has, kept up to date
//! when either changes. Behind it, `count` says how many sessions there are of each plan.
//!
//! `cargo run --example join`

use std::sync::Arc;

use differential_dataflow::input::Input;
use spoor_operators::{
    Assign, AssignOptions, MemoryState, NewRequest, RuleSet, SecretKey, Sessionize,
};

fn main() -> anyhow::Result<()> {
    // Whoever sends a header `X-User` is that user.
    let rules: RuleSet = serde_json::from_str(
        r#"{"grouping": [{"name": "user", "point": "$request.header.x-user"}]}"#,
    )?;
    let request = |user: &str, minute: i64| {
        NewRequest::new("GET", "/", minute * 60_000).header("X-User", user).build()
    };
    let first = [request("ann", 0)?, request("bob", 1)?, request("ann", 2)?];
    let later = request("ann", 90)?;
    timely::execute_directly(move |worker| {
        let (mut requests, mut plans) = worker.dataflow::<u64, _, _>(|scope| {
            let (requests, stream) = scope.new_collection();
            let (plans, plan_of_user) = scope.new_collection::<(String, String), isize>();
            let rules = scope.new_collection_from([Arc::new(rules)]).1;
            let options = AssignOptions::new(SecretKey([7; 32]));
            let sessions =
                stream.assign(rules, options).sessionize(MemoryState::default()).sessions;
            sessions
                .map(|session| (session.who().to_owned(), session.id()))
                .join(plan_of_user)
                .map(|(_user, (_session, plan))| plan)
                .count()
                .inspect(|((plan, sessions), time, diff)| {
                    println!("time {time}: {diff:+} {sessions} sessions of plan {plan}");
                });
            (requests, plans)
        });
        first.into_iter().for_each(|request| requests.insert(request));
        plans.insert(("ann".into(), "free".into()));
        plans.insert(("bob".into(), "free".into()));
        requests.advance_to(1);
        plans.advance_to(1);
        // Ann begins another session, and then buys.
        requests.insert(later);
        requests.advance_to(2);
        plans.advance_to(2);
        plans.remove(("ann".into(), "free".into()));
        plans.insert(("ann".into(), "paid".into()));
    });
    Ok(())
}
