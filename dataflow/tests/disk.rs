//! A disk that is slow, full or broken, as the engine sees it: late is not wrong, and what was
//! acknowledged is there afterwards.

#![allow(clippy::unwrap_used, reason = "a failed test is what it is for")]

mod common;

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use common::{settings, verified};
use parking_lot::{Condvar, Mutex};
use spoor_dataflow::engine::{Engine, EpochLimits, Settings};
use spoor_dataflow::service::{PushAnswer, ServiceError};
use spoor_dataflow::store::{Store, StoreError, StoreOptions, WriteHook};
use tokio::sync::oneshot::Receiver;
use tokio::sync::oneshot::error::TryRecvError;

/// Small, so that a few pushes fill all epochs that may be on their way.
const EPOCH_BYTES: usize = 256;
/// More pushes than may wait anywhere.
const PUSHES_MAX: u64 = 1000;

type Answer = Receiver<Result<PushAnswer, ServiceError>>;

fn start(dir: &Path, hook: Option<WriteHook>) -> Engine {
    let options = StoreOptions { before_write: hook, ..StoreOptions::default() };
    let epochs = EpochLimits {
        age_min: Duration::from_millis(1),
        bytes_max: EPOCH_BYTES,
        ..EpochLimits::default()
    };
    let store = Store::open(dir, options).unwrap();
    Engine::start(Settings { epochs, ..settings(store, 2, None) }).unwrap()
}

fn push(engine: &Engine, number: u64) -> Answer {
    let line = format!(
        r#"{{"id":"r{number}","ts":{},"method":"GET","host":"h","path":"/","ip":"10.0.0.{}"}}"#,
        1_772_431_200_000 + number,
        number % 50
    );
    engine.services().ingest.push(line.into(), None)
}

/// What is there after a restart is exactly what was acknowledged, and whole.
fn check_after_restart(dir: &Path, acknowledged: u64) {
    let (store, ..) = verified(dir);
    assert_eq!(store.numbers().requests, acknowledged);
    drop(store);
    let engine = start(dir, None);
    assert_eq!(push(&engine, PUSHES_MAX).blocking_recv().unwrap().unwrap().counts.accepted, 1);
    engine.stop();
    engine.join().unwrap();
}

#[test]
fn while_the_disk_is_slow_pushes_wait_or_are_told_to_come_back_and_none_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let gate = Arc::new((Mutex::new(true), Condvar::new()));
    let disk = Arc::clone(&gate);
    let engine = start(
        dir.path(),
        Some(WriteHook(Arc::new(move |_| {
            let mut open = disk.0.lock();
            disk.1.wait_while(&mut open, |open| !*open);
            Ok(())
        }))),
    );
    assert!(push(&engine, 0).blocking_recv().unwrap().is_ok());
    *gate.0.lock() = false;
    let (mut waiting, mut refused) = (Vec::new(), None);
    for number in 1..PUSHES_MAX {
        let mut answer = push(&engine, number);
        match answer.try_recv() {
            Err(TryRecvError::Empty) => waiting.push(answer),
            Ok(Err(error)) => {
                refused = Some(error);
                break;
            }
            other => panic!("answered before the disk has it: {other:?}"),
        }
    }
    let refused = refused.expect("the room for what waits is bounded");
    assert!(matches!(refused, ServiceError::Limit(_)), "{refused}");
    assert!(engine.services().reader.view().is_ok(), "it can be read meanwhile");
    *gate.0.lock() = true;
    gate.1.notify_all();
    let mut acknowledged = 1;
    for answer in waiting {
        acknowledged += answer.blocking_recv().unwrap().unwrap().counts.accepted;
    }
    engine.stop();
    engine.join().unwrap();
    check_after_restart(dir.path(), acknowledged);
}

#[test]
fn a_failed_write_stops_everything_says_why_and_loses_nothing_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let (fails, failing) = mpsc::channel();
    let failing = Mutex::new(failing);
    let engine = start(
        dir.path(),
        Some(WriteHook(Arc::new(move |_| match failing.lock().try_recv() {
            Ok(()) => Err(StoreError::NoRoom("IO error: No space left on device".into())),
            Err(_) => Ok(()),
        }))),
    );
    let mut acknowledged = 0;
    for number in 0..20 {
        acknowledged += push(&engine, number).blocking_recv().unwrap().unwrap().counts.accepted;
    }
    fails.send(()).unwrap();
    let answers: Vec<_> = (20..40).map(|number| push(&engine, number)).collect();
    for answer in answers {
        assert!(!matches!(answer.blocking_recv(), Ok(Ok(_))), "nothing is acknowledged any more");
    }
    let Err(ServiceError::Failed(said)) = engine.services().reader.view() else {
        panic!("readers are told that it failed");
    };
    assert!(said.contains("no room") && said.contains("No space left"), "{said}");
    assert!(!engine.is_running());
    let ended = engine.join().unwrap_err().to_string();
    assert!(ended.contains("no room") && ended.contains("make room"), "{ended}");
    check_after_restart(dir.path(), acknowledged);
}

#[test]
fn when_a_slow_disk_fails_whoever_waits_hears_of_it() {
    /// What the disk does with a write.
    enum Disk {
        Works,
        Waits,
        Fails,
    }
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new((Mutex::new(Disk::Works), Condvar::new()));
    let writing = Arc::clone(&disk);
    let engine = start(
        dir.path(),
        Some(WriteHook(Arc::new(move |_| {
            let mut disk = writing.0.lock();
            writing.1.wait_while(&mut disk, |disk| matches!(disk, Disk::Waits));
            match *disk {
                Disk::Fails => Err(StoreError::NoRoom("No space left on device".into())),
                _ => Ok(()),
            }
        }))),
    );
    assert!(push(&engine, 0).blocking_recv().unwrap().is_ok());
    *disk.0.lock() = Disk::Waits;
    // Until one is refused: then some are in closed epochs, some in the open one, some in neither.
    let mut waiting = Vec::new();
    let refused = loop {
        let mut answer = push(&engine, 1 + waiting.len() as u64);
        match answer.try_recv() {
            Ok(answered) => break answered,
            Err(_) => waiting.push(answer),
        }
    };
    assert!(matches!(refused, Err(ServiceError::Limit(_))), "{refused:?}");
    *disk.0.lock() = Disk::Fails;
    disk.1.notify_all();
    for answer in waiting {
        assert!(!matches!(answer.blocking_recv(), Ok(Ok(_))), "nothing was written");
    }
    assert!(engine.join().unwrap_err().to_string().contains("no room"));
    check_after_restart(dir.path(), 1);
}
