//! Changes of rules and repeatable pushes are the leader's, whichever process a client asks.

use std::sync::Arc;

use spoor_operators::rules::RuleSet;
use spoor_operators::rules::edit::RuleEdit;
use spoor_operators::time::Epoch;
use tokio::sync::oneshot::Receiver;
use tokio::sync::oneshot::error::TryRecvError;

use super::{Cluster, Happening, Mood};
use crate::ask::LEADER;
use crate::command::Command;
use crate::limits::{FORWARDED_MAX, PUSHES_WAITING_MAX};
use spoor_api::query::SourceCounts;
use spoor_api::service::{Push, PushAnswer, RuleChange, RuleChangeError, ServiceError};

fn edit() -> RuleEdit {
    RuleEdit::BuiltIn { name: "client-ip".into(), enabled: false }
}

#[test]
fn a_change_is_answered_when_the_asked_process_shows_it() {
    let mut cluster = Cluster::of(3);
    cluster.feed(Happening::default());
    for (number, process) in [1, 2, LEADER].into_iter().enumerate() {
        let epoch = Epoch(number as u64 + 2);
        let rules = Arc::new(RuleSet { version: epoch.0, ..RuleSet::default() });
        let admin = &cluster.processes[process].services.admin;
        let mut answer = admin.change(edit(), Some(7), Some("key".into()));
        let command = cluster.processes[LEADER].commands.recv().unwrap();
        let Command::Change { edit: found, expected, key, reply } = command else { panic!() };
        assert_eq!((*found, expected, key.as_deref()), (edit(), Some(7), Some("key")));
        if process != LEADER {
            let change = RuleChange { rules: Arc::clone(&rules), effective_epoch: epoch };
            assert!(reply.send(Ok(change)).is_ok());
            assert!(matches!(answer.try_recv(), Err(TryRecvError::Empty)));
            cluster.feed(Happening::default());
        } else {
            cluster.feed(Happening::default());
            let change = RuleChange { rules: Arc::clone(&rules), effective_epoch: epoch };
            assert!(reply.send(Ok(change)).is_ok());
        }
        let change = answer.blocking_recv().unwrap().unwrap();
        assert_eq!((change.rules, change.effective_epoch), (rules, epoch));
    }
}

#[test]
fn a_refused_change_is_refused_with_its_reasons() {
    let cluster = Cluster::of(2);
    let ask = || cluster.processes[1].services.admin.change(edit(), None, None);
    let refuse = |error| {
        let answer = ask();
        let command = cluster.processes[LEADER].commands.recv().unwrap();
        let Command::Change { reply, .. } = command else { panic!() };
        assert!(reply.send(Err(error)).is_ok());
        answer.blocking_recv().unwrap().unwrap_err()
    };
    let current = Arc::new(RuleSet { version: 5, ..RuleSet::default() });
    let conflict = refuse(RuleChangeError::Conflict { current: Arc::clone(&current) });
    let RuleChangeError::Conflict { current: found } = conflict else { panic!("{conflict}") };
    assert_eq!(found, current);
    assert!(matches!(refuse(RuleChangeError::KeyReused), RuleChangeError::KeyReused));
    // The leader ends before it answers, or is not there.
    let answer = ask();
    drop(cluster.processes[LEADER].commands.recv().unwrap());
    let stopped = |answer: Receiver<Result<RuleChange, RuleChangeError>>| {
        let error = answer.blocking_recv().unwrap().unwrap_err();
        assert!(matches!(error, RuleChangeError::Service(ServiceError::Stopped)), "{error}");
    };
    stopped(answer);
    cluster.mood(LEADER, Mood::Gone);
    stopped(ask());
}

#[test]
fn pushes_are_taken_here_but_repeatable_ones_by_the_leader() {
    let mut cluster = Cluster::of(2);
    cluster.feed(Happening::default());
    let push = |key: Option<&str>| {
        let ingest = &cluster.processes[1].services.ingest;
        let body = bytes::Bytes::from_static(b"{}\n");
        ingest.take(Push { body, format: Some("har".into()), key: key.map(String::from) })
    };
    for (key, taken_by) in [(None, 1), (Some("k"), LEADER)] {
        let answer = push(key);
        let command = cluster.processes[taken_by].pushes.recv().unwrap();
        let Command::Push { push, reply } = command else { panic!() };
        let found = (&push.body[..], push.format.as_deref(), push.key.as_deref());
        assert_eq!(found, (&b"{}\n"[..], Some("har"), key));
        let counts = SourceCounts { read: 1, bad: 1, ..SourceCounts::default() };
        let told = PushAnswer { epoch: 1, counts, errors: Vec::new() };
        assert!(reply.send(Ok(told.clone())).is_ok());
        assert_eq!(answer.blocking_recv().unwrap(), Ok(told));
    }
    // The leader has no room: as many wait as may.
    let leader = &cluster.processes[LEADER];
    let ingest = &leader.services.ingest;
    let push_there = |_| ingest.push(bytes::Bytes::from_static(b"{}\n"), None);
    let waiting: Vec<_> = (0..PUSHES_WAITING_MAX).map(push_there).collect();
    assert_eq!(leader.pushes.len(), PUSHES_WAITING_MAX);
    let refused = push(Some("c")).blocking_recv().unwrap();
    assert!(matches!(refused, Err(ServiceError::Limit(_))), "{refused:?}");
    drop((cluster, waiting));
}

#[test]
fn only_so_many_wait_for_the_leader() {
    let cluster = Cluster::of(2);
    cluster.mood(LEADER, Mood::Silent);
    let ask = || cluster.processes[1].services.admin.change(edit(), None, None);
    let waiting: Vec<_> = (0..FORWARDED_MAX).map(|_| ask()).collect();
    let error = ask().blocking_recv().unwrap().unwrap_err();
    assert!(matches!(error, RuleChangeError::Service(ServiceError::Limit(_))), "{error}");
    // They are not refused, and whoever comes when they are done is taken.
    while cluster.net.waiting.lock().len() < FORWARDED_MAX {
        std::thread::yield_now();
    }
    cluster.net.waiting.lock().clear();
    for answer in waiting {
        let error = answer.blocking_recv().unwrap().unwrap_err();
        assert!(matches!(error, RuleChangeError::Service(ServiceError::Stopped)), "{error}");
    }
    cluster.mood(LEADER, Mood::Gone);
    let error = ask().blocking_recv().unwrap().unwrap_err();
    assert!(matches!(error, RuleChangeError::Service(ServiceError::Stopped)), "{error}");
}
