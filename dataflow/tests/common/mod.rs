//! What the tests of the engine share: how one is started, told something and asked, and that its
//! store is what a batch run over its log gives.
//!
//! Epochs are as short as they can be, so that a test waits for commits and not for clocks.

#![allow(dead_code, reason = "each test file uses its part")]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use spoor_dataflow::cluster::Membership;
use spoor_dataflow::decode::Formats;
use spoor_dataflow::engine::{Engine, EpochLimits, Settings};
use spoor_dataflow::service::{PushAnswer, View};
use spoor_dataflow::store::{Store, StoreOptions};
use spoor_dataflow::verify::verify;
use spoor_operators::assign::{Applications, CompiledRules, SecretKey};
use spoor_operators::inventory::Descriptions;
use spoor_operators::rules::{GroupingKey, Per, RuleSet, ignore_default};

pub const KEY: SecretKey = SecretKey([7; 32]);
pub const MINUTE: i64 = 60_000;

pub fn open(dir: &Path) -> Store {
    Store::open(dir, StoreOptions::default()).unwrap()
}

/// Default rules over a store, with epochs as short as they can be.
pub fn settings(store: Store, workers: usize, cluster: Option<Membership>) -> Settings {
    Settings {
        store,
        rules: RuleSet::default(),
        key: KEY,
        applications: Applications::default(),
        descriptions: Descriptions::default(),
        formats: Formats::default(),
        sources: Vec::new(),
        cluster,
        workers,
        hot_bytes_max: 1 << 20,
        epochs: EpochLimits { age_min: Duration::from_millis(1), ..EpochLimits::default() },
        ends_with_sources: false,
        refuses_future: false,
        remembers_changes: true,
    }
}

pub fn push(engine: &Engine, lines: &[String]) -> PushAnswer {
    let answer = engine.services().ingest.push(lines.join("\n").into(), None);
    answer.blocking_recv().unwrap().unwrap()
}

pub fn view(engine: &Engine) -> Arc<dyn View> {
    engine.services().reader.view().unwrap()
}

/// Waits until something holds.
pub fn wait(until: impl Fn() -> bool) {
    for _ in 0..10_000 {
        if until() {
            return;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    panic!("it does not come about");
}

pub fn wait_for(engine: &Engine, until: impl Fn(&dyn View) -> bool) {
    wait(|| {
        assert!(engine.is_running(), "the engine stopped");
        until(&*view(engine))
    });
}

/// A grouping key that reads a header.
pub fn by_header(name: &str, header: &str) -> GroupingKey {
    GroupingKey {
        name: name.into(),
        point: format!("$request.header.{header}"),
        namespace: None,
        apps: Vec::new(),
        hosts: Vec::new(),
        paths: Vec::new(),
        min_length: 1,
        ignore: ignore_default(),
        per: Per::None,
        secret: false,
        gap: None,
    }
}

/// The store is what a batch run over its log gives; it and its rules.
pub fn verified(dir: &Path) -> (Store, RuleSet, Arc<CompiledRules>) {
    let store = open(dir);
    let rules = store.rules().unwrap().unwrap().0;
    let (applications, descriptions) = (Applications::default(), Descriptions::default());
    let compiled = CompiledRules::new(&rules, &KEY, &applications, &descriptions);
    let compiled = Arc::new(compiled.unwrap());
    let report = verify(&store, &compiled, 10, &mut |_| ()).unwrap();
    assert_eq!(report.listed, [""; 0]);
    (store, rules, compiled)
}
