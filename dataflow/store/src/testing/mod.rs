//! A store fed by the real sessionizer, and what it should hold: for tests of the store and, with the
//! feature `testing`, of the crates above it. Nothing here is compiled into the program.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::new_without_default,
    reason = "only tests see it"
)]

pub mod cases;

use std::collections::BTreeMap;
use std::sync::Arc;

use rocksdb::IteratorMode;
use spoor_operators::assign::{Applications, CompiledRules, Scratch, SecretKey};
use spoor_operators::facts::Assigned;
use spoor_operators::identity::SessionId;
use spoor_operators::inventory::Descriptions;
use spoor_operators::request::{Attack, Request};
use spoor_operators::rules::RuleSet;
use spoor_operators::session::Session;
use spoor_operators::sessionize::backend::{
    DayChange, DayKey, EpochCounts, IdSet, SessionBackend, SessionChange, Sessions,
};
use spoor_operators::sessionize::{Differences, Sessionizer};
use spoor_operators::time::{Day, DayZone, Epoch, EventTime};

use super::{
    Commit, Family, Part, Store, StoreOptions, StoreView, ViewContext, keys, meta,
    options as settings,
};
use spoor_api::query::Status;

/// A day in the middle of everything.
pub const DAY: i64 = 20_000;

/// What a test says of a request; the rest follows from it.
#[derive(Clone, Debug, Default)]
pub struct Spec {
    pub identity: u8,
    /// Minutes since the midnight before `DAY`.
    pub minute: i64,
    pub app: u8,
    pub path: u8,
    pub status: u16,
    pub ip: u8,
    pub agent: u8,
    pub attack: bool,
    pub blocked: bool,
    pub explicit_id: bool,
}

pub const APPS: [&str; 3] = ["shop", "bank", "mail"];
pub const AGENTS: [&str; 3] = ["curl/8", "Mozilla/5.0 (X11)", "Mobile App"];

impl Spec {
    pub fn ts(&self) -> EventTime {
        EventTime(DAY * 86_400_000 + self.minute * 60_000 + i64::from(self.path))
    }

    pub fn request(&self, id: &str) -> Request<'static> {
        let mut request = Request {
            id: id.to_owned().into(),
            explicit_id: self.explicit_id,
            ts: self.ts(),
            app: APPS[usize::from(self.app) % 3].into(),
            method: "GET".into(),
            path: format!("/page{}", self.path % 4).into(),
            status: self.status,
            // None, none at all, and some.
            duration_ns: u64::from(self.path % 4).checked_sub(1).map(|time| time * 5_000_000),
            ip: format!("10.0.0.{}", self.ip % 4).into(),
            user_agent: AGENTS[usize::from(self.agent) % 3].into(),
            blocked: self.blocked,
            ..Request::default()
        };
        // Two identities of three by a header, the third by address and agent.
        if !self.identity.is_multiple_of(3) {
            let value = format!("s{}", self.identity);
            request.request.headers.push(("x-session-id".into(), value.into()));
        }
        if self.attack {
            request.attacks.push(Attack { kind: "sqli".into(), ..Attack::default() });
        }
        request
    }
}

/// The rules, compiled; what a test assigns by.
pub fn compiled() -> Arc<CompiledRules> {
    let rules = RuleSet::default();
    let key = SecretKey([7; 32]);
    let compiled =
        CompiledRules::new(&rules, &key, &Applications::default(), &Descriptions::default());
    Arc::new(compiled.unwrap())
}

pub fn assign(compiled: &CompiledRules, mut request: Request<'_>) -> Assigned {
    let mut arena = Vec::new();
    let assignment = compiled.assign(&mut request, true, &mut Scratch::default(), &mut arena);
    assignment.into_assigned(arena.into())
}

/// State in a store, changes into a part.
pub struct StoreBackend {
    store: Store,
    compiled: Arc<CompiledRules>,
    part: Option<Part>,
    changes: Vec<SessionChange>,
    expire: Option<Day>,
}

impl SessionBackend for StoreBackend {
    fn ready(&mut self, _: Epoch) -> bool {
        true
    }

    fn expire_before(&mut self, _: Epoch) -> Option<Day> {
        self.expire.take()
    }

    fn sessions(&mut self, key: DayKey) -> Sessions {
        self.store.load_sessions(key).unwrap()
    }

    fn ids(&mut self, key: DayKey, out: &mut IdSet) {
        for request in self.requests(key).iter().filter(|request| request.id_hash != 0) {
            out.insert_also(request.id_hash, request.stored());
        }
    }

    fn requests(&mut self, key: DayKey) -> Vec<Assigned> {
        let log = self.store.load_log(key).unwrap();
        log.iter().map(|stored| assign(&self.compiled, Request::decode(stored).unwrap())).collect()
    }

    fn change(&mut self, epoch: Epoch, change: DayChange) {
        let part = self.part.get_or_insert_with(|| self.store.part(epoch, 0));
        part.day_change(&change).unwrap();
        self.changes.extend(change.sessions);
    }

    fn seal(&mut self, _: Epoch, _: EpochCounts) {}
}

/// A store with what is fed into it, and what it should hold.
pub struct Fed {
    pub directory: tempfile::TempDir,
    pub store: Store,
    pub compiled: Arc<CompiledRules>,
    pub sessionizer: Sessionizer<StoreBackend>,
    /// Epochs are staged and promoted, as several processes do it.
    pub stages: bool,
    /// The totals that sessionize gives are committed.
    pub counts: bool,
    pub epoch: u64,
    pub sessions: BTreeMap<SessionId, Arc<Session>>,
    pub requests: Vec<Assigned>,
}

/// Hot state for almost nothing, so that nearly every epoch reads from the store.
const HOT_BYTES: usize = 4 << 10;

/// What is acknowledged is noted, and the log is read strictly.
pub fn synced() -> StoreOptions {
    StoreOptions { sync: true, ..options() }
}

pub fn options() -> StoreOptions {
    let small = 16 << 20;
    StoreOptions {
        cache_bytes: small,
        write_buffer_bytes: small,
        sync: false,
        ..StoreOptions::default()
    }
}

impl Fed {
    pub fn new() -> Self {
        Self::with(options())
    }

    pub fn with(options: StoreOptions) -> Self {
        let directory = tempfile::tempdir().unwrap();
        Self::in_directory(directory, options)
    }

    pub fn in_directory(directory: tempfile::TempDir, options: StoreOptions) -> Self {
        let store = Store::open(directory.path(), options).unwrap();
        let compiled = compiled();
        Self {
            sessionizer: sessionizer(&store, &compiled, HOT_BYTES),
            directory,
            store,
            compiled,
            stages: false,
            counts: false,
            epoch: 0,
            sessions: BTreeMap::new(),
            requests: Vec::new(),
        }
    }

    /// Gives the hot state more room than anything needs.
    pub fn keep_hot(&mut self) {
        self.sessionizer = sessionizer(&self.store, &self.compiled, usize::MAX);
    }

    pub fn hot_bytes(&self) -> usize {
        self.sessionizer.hot_bytes()
    }

    /// Closes the store and opens it again.
    pub fn reopen(self) -> Self {
        let Self { directory, store, sessionizer: old, .. } = self;
        drop((store, old));
        let store = Store::open(directory.path(), options()).unwrap();
        let sessionizer = sessionizer(&store, &self.compiled, HOT_BYTES);
        Self { directory, store, sessionizer, ..self }
    }

    /// One epoch of new requests; `remove` picks known ones to take back.
    pub fn feed(&mut self, specs: &[Spec], remove: &[usize]) {
        self.feed_with(specs, remove, Commit::default());
    }

    /// One epoch with one request.
    pub fn feed_assigned(&mut self, request: Assigned) {
        self.requests.push(request.clone());
        let commit = self.process(vec![(request, 1)], Commit::default());
        self.write(commit);
    }

    /// One epoch of requests that come and go; the changes of sessions.
    pub fn feed_events(
        &mut self,
        events: Vec<(Assigned, isize)>,
        commit: Commit,
    ) -> Vec<SessionChange> {
        let commit = self.process(events, commit);
        self.write(commit);
        std::mem::take(&mut self.sessionizer.backend().changes)
    }

    pub fn feed_with(&mut self, specs: &[Spec], remove: &[usize], commit: Commit) {
        let commit = self.commit_of(specs, remove, commit);
        self.write(commit);
    }

    /// One epoch that is not written yet; to be written before anything else is fed.
    pub fn commit_of(&mut self, specs: &[Spec], remove: &[usize], commit: Commit) -> Commit {
        let mut events = Vec::new();
        for (number, spec) in specs.iter().enumerate() {
            let request = spec.request(&format!("r{}-{number}", self.epoch + 1));
            let assigned = assign(&self.compiled, request);
            self.requests.push(assigned.clone());
            events.push((assigned, 1));
        }
        for at in remove {
            if !self.requests.is_empty() {
                let at = at % self.requests.len();
                events.push((self.requests.swap_remove(at), -1));
            }
        }
        self.process(events, commit)
    }

    pub fn write(&self, commit: Commit) {
        if self.stages {
            let staged = self.store.stage(commit).unwrap();
            self.store.promote(staged).unwrap();
        } else {
            self.store.commit(commit).unwrap();
        }
    }

    pub fn process(&mut self, mut events: Vec<(Assigned, isize)>, commit: Commit) -> Commit {
        self.epoch += 1;
        let epoch = Epoch(self.epoch);
        if let Some(day) = commit.expire_before {
            self.sessionizer.backend().expire = Some(day);
            self.requests.retain(|request| request.day >= day);
            self.sessions.retain(|_, session| session.day >= day);
        }
        let mut out = Differences::default();
        self.sessionizer.process(epoch, &mut events, &mut out);
        out.sessions.sort_by_key(|(_, diff)| *diff);
        for (session, diff) in out.sessions {
            match diff {
                -1 => drop(self.sessions.remove(&session.id())),
                _ => drop(self.sessions.insert(session.id(), session)),
            }
        }
        let parts = self.sessionizer.backend().part.take().into_iter().collect();
        let totals = if self.counts { out.totals } else { commit.totals };
        Commit { epoch, parts, totals, ..commit }
    }

    pub fn view(&self) -> StoreView {
        let context = ViewContext {
            rules: Arc::new(RuleSet::default()),
            compiled: self.compiled.clone(),
            status: Arc::new(Status::default),
        };
        self.store.view(context).unwrap()
    }

    /// The requests of a session, as the sessionizer saw them.
    pub fn requests_of(&self, session: &Session) -> Vec<Request<'_>> {
        let inside = |request: &&Assigned| {
            request.identity == session.identity.id && session.contains(request.ts)
        };
        let inside = self.requests.iter().filter(inside);
        let mut requests: Vec<_> =
            inside.map(|request| Request::decode(request.stored()).unwrap()).collect();
        requests.sort_by(|a, b| (a.ts, &a.id).cmp(&(b.ts, &b.id)));
        requests
    }
}

impl Store {
    /// Rewrites what is left of the days before `day` on disk. Only tests need to: of dropped days
    /// at most the files at the boundary stay, and they go with the next days.
    pub fn compact_before(&self, day: Day) {
        for family in Family::BY_DAY {
            let (from, until) = ([0; keys::DAY_BYTES], keys::day_prefix(day));
            let (cf, options) = (self.inner.cf(family), settings::compaction());
            self.inner.db.compact_range_cf_opt(cf, Some(from), Some(until), &options);
        }
    }
}

/// A column family, a key, its value.
pub type Contents = Vec<(&'static str, Box<[u8]>, Box<[u8]>)>;

/// All keys and values of a store, without what is staged and how often it was opened.
pub fn contents(store: &Store) -> Contents {
    let mut all = Vec::new();
    for family in Family::ALL.into_iter().filter(|family| *family != Family::Staged) {
        let entries = store.inner.db.full_iterator_cf(store.inner.cf(family), IteratorMode::Start);
        for entry in entries {
            let (key, value) = entry.unwrap();
            if &*key != meta::INCARNATION_KEY {
                all.push((family.name(), key, value));
            }
        }
    }
    all
}

fn sessionizer(
    store: &Store,
    compiled: &Arc<CompiledRules>,
    hot_bytes_max: usize,
) -> Sessionizer<StoreBackend> {
    let backend = StoreBackend {
        store: store.clone(),
        compiled: compiled.clone(),
        part: None,
        changes: Vec::new(),
        expire: None,
    };
    Sessionizer::new(backend, hot_bytes_max)
}

/// When sessions close in the zone of the tests.
pub fn closes_at(session: &Session) -> EventTime {
    let next_day = DayZone::utc().start_of(Day(session.day.0 + 1));
    EventTime(session.end.0 + i64::from(session.gap_ms)).min(next_day)
}
