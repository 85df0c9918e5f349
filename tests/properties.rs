//! The engine as a library against the batch oracle: random requests, batches, changes of rules,
//! worker counts, restarts and failures, in one process and in clusters of two and three.
//!
//! What happens, and what is checked after each step, is in `common/engines.rs`.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use common::engines::{Action, Case, RULES};
use proptest::prelude::*;

fn action() -> impl Strategy<Value = Action> {
    let numbers = || prop::collection::vec(0..120_u32, 1..40);
    prop_oneof![
        6 => numbers().prop_map(Action::Push),
        3 => (0..RULES.len(), any::<bool>()).prop_map(|(rules, wait)| Action::Rules(rules, wait)),
        2 => (1..=4_usize).prop_map(Action::Restart),
        1 => (numbers(), 1..=4_usize).prop_map(|(pushed, workers)| Action::Fail(pushed, workers)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_the_sessions_are_those_of_a_batch_run(
        actions in prop::collection::vec(action(), 1..12)
    ) {
        let mut case = Case::new(1);
        for action in &actions {
            case.act(action);
        }
        case.end();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, max_shrink_iters: 50, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_in_a_cluster_the_sessions_are_those_of_a_batch_run(
        processes in 2..=3_usize,
        actions in prop::collection::vec(action(), 1..9)
    ) {
        let mut case = Case::new(processes);
        for action in &actions {
            case.act(action);
        }
        case.end();
    }
}

#[test]
fn a_restart_in_the_middle_of_a_regroup_finishes_it() {
    let mut case = Case::new(1);
    case.push(&(0..120).collect::<Vec<_>>());
    for (number, workers) in [(1, 3), (2, 1), (4, 4), (5, 2), (0, 1)] {
        case.change(number, false);
        case.act(&Action::Restart(workers));
        case.push(&[number as u32 * 7 + 1, 100]);
    }
    case.end();
}

#[test]
fn the_same_requests_in_other_batches_and_orders_give_the_same_sessions() {
    let all: Vec<u32> = (0..120_u32).filter(|n| !n.is_multiple_of(5)).collect();
    let mut reversed = all.clone();
    reversed.reverse();
    let run = |order: &[u32], batch: usize| {
        let mut case = Case::new(1);
        order.chunks(batch).for_each(|numbers| case.push(numbers));
        let found = case.sessions();
        case.end();
        found
    };
    let expected = run(&all, 200);
    for (order, batch) in [(&all, 1), (&reversed, 7), (&reversed, 120)] {
        assert_eq!(run(order, batch), expected);
    }
}
