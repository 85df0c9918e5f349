//! A worker's scan and state without the dataflow: how much of an identity-day they hold at once.

use spoor_operators::assign::{Applications, SecretKey};
use spoor_operators::identity::IdentityId;
use spoor_operators::inventory::Descriptions;
use spoor_operators::rules::{Gap, GroupingKey, RuleSet};
use spoor_operators::sessionize::backend::{
    BackfillStep, Backfilled, DayChange, EpochCounts, IdSet, SessionBackend, Sessions,
};
use spoor_operators::sessionize::{Differences, Sessionizer};
use spoor_operators::time::{Day, EventTime};
use tempfile::TempDir;

use spoor_operators::request::Request;

use super::*;
use crate::backend::StoreBackend;
use crate::hot::HotBytes;
use spoor_store::{Commit, StoreOptions};

const LIMIT: LogLimit = LogLimit { requests: 50, bytes: usize::MAX };
/// Requests that come in an epoch, and so are a block of the log.
const BLOCK: usize = 20;
const DAY_START: i64 = 1_772_409_600_000;

/// State in a store that notes how much it gives out at once.
struct Watched {
    inner: StoreBackend,
    most_told: usize,
    /// Identity-days that were read whole.
    whole: usize,
}

impl SessionBackend for Watched {
    fn ready(&mut self, epoch: Epoch) -> bool {
        self.inner.ready(epoch)
    }
    fn sessions(&mut self, key: DayKey) -> Sessions {
        self.inner.sessions(key)
    }
    fn ids(&mut self, key: DayKey, out: &mut IdSet) {
        self.inner.ids(key, out);
    }
    fn requests(&mut self, key: DayKey) -> Vec<Assigned> {
        self.whole += 1;
        self.inner.requests(key)
    }
    fn backfill(&mut self, epoch: Epoch) -> Vec<BackfillStep> {
        let steps = self.inner.backfill(epoch);
        for step in &steps {
            if let BackfillStep::Tell(_, piece) = step {
                self.most_told = self.most_told.max(piece.stays.len() + piece.leaves.len());
            }
        }
        steps
    }
    fn backfilled(&mut self, key: DayKey, outcome: Backfilled) {
        self.inner.backfilled(key, outcome);
    }
    fn change(&mut self, epoch: Epoch, change: DayChange) {
        self.inner.change(epoch, change);
    }
    fn seal(&mut self, epoch: Epoch, counts: EpochCounts) {
        self.inner.seal(epoch, counts);
    }
}

struct Worker {
    _directory: TempDir,
    store: Store,
    plan: Arc<Plan>,
    scan: Scan,
    sessionizer: Sessionizer<Watched>,
    epoch: u64,
    most_retracted: usize,
}

fn compiled(rules: &RuleSet) -> Arc<CompiledRules> {
    let (apps, descriptions) = (Applications::default(), Descriptions::default());
    let compiled = CompiledRules::new(rules, &SecretKey([7; 32]), &apps, &descriptions);
    Arc::new(compiled.unwrap())
}

impl Worker {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path(), StoreOptions::default()).unwrap();
        let plan = Arc::new(Plan::after(Epoch(0)));
        let (steps, hot) = (SharedSteps::default(), Arc::new(HotBytes::new(1)));
        let read = (SharedSteps::clone(&steps), LIMIT);
        let inner = StoreBackend::new(Arc::clone(&plan), store.clone(), 0, hot, false, read);
        let route = vec![0; usize::from(spoor_operators::identity::PARTITIONS)].into();
        let watched = Watched { inner, most_told: 0, whole: 0 };
        Self {
            scan: Scan::new(store.clone(), (0, route), steps, LIMIT),
            sessionizer: Sessionizer::new(watched, usize::MAX),
            _directory: directory,
            store,
            plan,
            epoch: 0,
            most_retracted: 0,
        }
    }

    /// An epoch with requests, and a slice of a change of rules.
    fn epoch(
        &mut self,
        rules: &Arc<CompiledRules>,
        requests: Vec<Assigned>,
        regroup: Option<&Arc<Regroup>>,
    ) {
        self.epoch += 1;
        let epoch = Epoch(self.epoch);
        let mut here = EpochPlan::open(epoch, Arc::clone(rules));
        here.regroup = regroup.cloned();
        let here = Arc::new(here);
        self.plan.begin(Arc::clone(&here));
        let mut events: Vec<_> = requests.into_iter().map(|request| (request, 1)).collect();
        if let Some(regroup) = regroup {
            let slice = self.scan.slice(regroup, &here, self.plan.committed()).unwrap();
            let retracted = slice.iter().filter(|(_, _, diff)| *diff < 0).count();
            self.most_retracted = self.most_retracted.max(retracted);
            events.extend(slice.into_iter().map(|(request, _, diff)| (request, diff)));
        }
        assert!(self.sessionizer.backend().ready(epoch));
        self.sessionizer.process(epoch, &mut events, &mut Differences::default());
        let parts = std::mem::take(&mut here.findings.lock().parts);
        self.store.commit(Commit { epoch, parts, ..Commit::default() }).unwrap();
        self.plan.committed_through(epoch);
    }

    /// Requests of an identity, and its sessions.
    fn of(&self, namespace: &str, value: &str) -> (usize, usize) {
        let day = Day((DAY_START / 86_400_000) as i32);
        let key = DayKey { day, identity: IdentityId::of(namespace, value, "") };
        let requests = self.store.load_log(key).unwrap().len();
        (requests, self.store.load_sessions(key).unwrap().len())
    }
}

fn request(n: usize, shares: bool, rules: &CompiledRules) -> Assigned {
    // Of every ten, two have one id.
    let id = if shares && n.is_multiple_of(10) { n + 1 } else { n };
    let mut request = Request {
        id: format!("r{id}").into(),
        explicit_id: true,
        ts: EventTime(DAY_START + n as i64 * 1000),
        method: "GET".into(),
        path: "/".into(),
        ..Request::default()
    };
    request.request.headers.push(("x-session-id".into(), "s".to_owned().into()));
    request.request.cookies.push(("uid".into(), "u".to_owned().into()));
    let mut arena = Vec::new();
    let assignment = rules.assign(&mut request, true, &mut Scratch::default(), &mut arena);
    assignment.into_assigned(arena.into())
}

/// Changes the rules for a day of so many requests. The most that was held at once.
fn most_held(name: &str, new: &RuleSet, requests: usize, shares: bool) -> usize {
    let mut worker = Worker::new();
    let old = compiled(&RuleSet { version: 1, ..RuleSet::default() });
    for from in (0..requests).step_by(BLOCK) {
        let come = (from..requests.min(from + BLOCK)).map(|n| request(n, shares, &old));
        worker.epoch(&old, come.collect(), None);
    }
    worker.sessionizer.backend().whole = 0;
    let (new, version) = (compiled(new), new.version);
    let regroup = Arc::new(Regroup::new(version, Epoch(worker.epoch + 1), requests as u64, 1));
    while !regroup.is_done_here(Epoch(worker.epoch)) {
        worker.epoch(&new, Vec::new(), Some(&regroup));
        assert!(worker.epoch < 1000, "{name}: the change does not end");
    }
    let (here, there) = (worker.of("session-id", "s"), worker.of("uid", "u"));
    match new.rules().grouping.is_empty() {
        true => assert_eq!((here.0, there), (requests, (0, 0)), "{name}"),
        false => assert_eq!((here, there), ((0, 0), (requests, 1)), "{name}"),
    }
    if !shares {
        // Where requests share ids, the day they come to is made anew by the first of them.
        assert_eq!(worker.sessionizer.backend().whole, 0, "{name}: a day was read whole");
    }
    worker.sessionizer.backend().most_told.max(worker.most_retracted)
}

#[test]
fn a_change_holds_a_slice_of_a_day_however_large_the_day_is() {
    let base = RuleSet { version: 2, ..RuleSet::default() };
    let mut counted = base.clone();
    counted.settings.gap = Gap::Ms(500);
    let mut moved = base;
    let key = r#"{"name":"uid","point":"$request.cookie.uid"}"#;
    moved.grouping.push(serde_json::from_str::<GroupingKey>(key).unwrap());
    for (name, rules, shares) in [
        ("counts differently", &counted, false),
        ("moves", &moved, false),
        ("shares ids and counts differently", &counted, true),
        ("shares ids and moves", &moved, true),
    ] {
        let [small, large] = [200, 800].map(|size| most_held(name, rules, size, shares));
        assert!(small > 0 && small <= LIMIT.requests + BLOCK, "{name}: {small}");
        assert_eq!(small, large, "{name}");
    }
}
