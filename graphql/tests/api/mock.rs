//! The four services in memory: enough of an engine to serve, and to be slow or fail on demand.
//!
//! A pushed line is a request of the identity its `x-session-id` header names; an identity has one
//! session. Every push is an epoch.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use serde_json::Value;
use spoor_api::codes::RefusalCode;
use spoor_api::lineage::{Lineage, OpeningId};
use spoor_api::patience;
use spoor_api::query::*;
use spoor_api::service::*;
use spoor_operators::facts::{Assigned, Fact, Field, IdentityText, NO_GAP, Numbers, encode_head};
use spoor_operators::identity::{Identity, IdentityId, SessionId};
use spoor_operators::request::Request;
use spoor_operators::rules::RuleSet;
use spoor_operators::rules::edit::RuleEdit;
use spoor_operators::session::Session;
use spoor_operators::summary::Summary;
use spoor_operators::time::{Day, Epoch, EventTime};
use tokio::sync::{oneshot, watch};

/// Namespace of all mock sessions.
pub const NAMESPACE: &str = "session-id";
const GAP_MS: u32 = 1_800_000;

#[derive(Clone, Default)]
struct State {
    epoch: u64,
    sessions: HashMap<IdentityId, Known>,
    letters: Vec<DeadLetter>,
    rules: Arc<RuleSet>,
}

#[derive(Clone)]
struct Known {
    session: Arc<Session>,
    requests: Vec<Bytes>,
    created: u64,
    changed: u64,
}

/// Answers a push.
type PushReply = oneshot::Sender<Result<PushAnswer, ServiceError>>;

/// The mock engine.
pub struct Mock {
    state: Mutex<Arc<State>>,
    epochs: watch::Sender<Epoch>,
    lineage: Arc<Lineage>,
    keys: Mutex<HashMap<String, (RuleEdit, RuleChange)>>,
    pushes: Mutex<HashMap<String, ([u8; 32], PushAnswer)>>,
    /// Session pages are not read while this is so.
    pub blocked: AtomicBool,
    /// Reads of session pages that run.
    pub reading: AtomicU64,
    /// Pushes are not answered while this is so; they are kept here.
    pub held: Mutex<Option<Vec<PushReply>>>,
    /// Epochs older than this are forgotten: a resume from before gets a snapshot.
    pub remembered_from: AtomicU64,
    /// Reads of session pages take this long.
    pub read_delay: Mutex<Duration>,
    /// Reads of session pages fail with this.
    pub failure: Mutex<Option<ServiceError>>,
    /// The engine has stopped, for this reason.
    pub stopped: Mutex<Option<ServiceError>>,
    /// Events that subscriptions handed out.
    pub events: AtomicU64,
    /// Events that are being made, and the most there were at one time.
    pub made: Mutex<(usize, usize)>,
    /// Subscriptions that are open.
    pub open: AtomicU64,
    /// Epochs that are kept for lists.
    kept: Mutex<Vec<Arc<State>>>,
}

impl Mock {
    /// An empty engine at epoch 1.
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(Arc::new(State { epoch: 1, ..State::default() })),
            epochs: watch::Sender::new(Epoch(1)),
            lineage: Arc::new(Lineage::new(OpeningId(RandomState::new().hash_one(1)))),
            keys: Mutex::default(),
            pushes: Mutex::default(),
            held: Mutex::default(),
            blocked: AtomicBool::new(false),
            reading: AtomicU64::new(0),
            remembered_from: AtomicU64::new(0),
            read_delay: Mutex::default(),
            failure: Mutex::default(),
            stopped: Mutex::default(),
            events: AtomicU64::new(0),
            made: Mutex::default(),
            open: AtomicU64::new(0),
            kept: Mutex::default(),
        })
    }

    /// As the program hands them to the server.
    pub fn services(self: &Arc<Self>) -> Services {
        Services {
            reader: Arc::new(Handle(self.clone())),
            feed: Arc::new(Handle(self.clone())),
            admin: Arc::new(Handle(self.clone())),
            ingest: Arc::new(Handle(self.clone())),
        }
    }

    /// Commits lines as one epoch.
    pub fn commit(&self, lines: &str) -> PushAnswer {
        let mut slot = self.state.lock();
        let mut state = State::clone(&slot);
        state.epoch += 1;
        let mut answer = PushAnswer { epoch: state.epoch, ..PushAnswer::default() };
        for (at, line) in lines.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            answer.counts.read += 1;
            match state.take(line) {
                Ok(()) => answer.counts.accepted += 1,
                Err(reason) => {
                    answer.counts.bad += 1;
                    let (line, code) = (at as u64 + 1, RefusalCode::BadJson);
                    answer.errors.push(PushError { line, code, reason });
                }
            }
        }
        let epoch = Epoch(state.epoch);
        *slot = Arc::new(state);
        drop(slot);
        self.epochs.send_replace(epoch);
        answer
    }

    fn making(&self, more: isize) {
        let mut made = self.made.lock();
        made.0 = made.0.saturating_add_signed(more);
        made.1 = made.1.max(made.0);
    }

    /// An epoch, as clients hand it back.
    pub fn token(&self, epoch: u64) -> String {
        self.lineage.token(Epoch(epoch)).to_string()
    }

    /// Forgets the epochs that are kept for lists.
    pub fn forget_lists(&self) {
        self.kept.lock().clear();
    }

    fn while_blocked(&self) -> Result<(), ServiceError> {
        while self.blocked.load(Ordering::SeqCst) {
            if patience::has_ended() {
                return Err(ServiceError::Unwanted);
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    fn at(&self) -> Arc<State> {
        self.state.lock().clone()
    }
}

/// A line for [`Mock::commit`] and `POST /v1/requests`.
pub fn line(session: &str, id: &str, ts: i64) -> String {
    format!(
        r#"{{"id":"{id}","ts":{ts},"method":"GET","path":"/p","status":200,"ip":"192.0.2.7","request":{{"headers":{{"x-session-id":"{session}"}}}}}}"#
    )
}

impl State {
    fn take(&mut self, line: &str) -> Result<(), String> {
        let record: Value = serde_json::from_str(line).map_err(|error| error.to_string())?;
        let text = |name: &str| record[name].as_str().unwrap_or_default().to_owned();
        let ts = match &record["ts"] {
            Value::String(text) => {
                text.parse::<jiff::Timestamp>().map_err(|error| error.to_string())?.as_millisecond()
            }
            ts => ts.as_i64().ok_or("ts is missing")?,
        };
        let value = record["request"]["headers"]["x-session-id"].as_str().unwrap_or("none");
        let request = Request {
            id: text("id").into(),
            ts: EventTime(ts),
            method: text("method").into(),
            path: text("path").into(),
            ip: text("ip").into(),
            status: record["status"].as_u64().unwrap_or(0) as u16,
            duration_ns: record["duration_ms"].as_f64().map(|ms| (ms * 1e6) as u64),
            ..Request::default()
        };
        self.add(value, &request);
        Ok(())
    }

    fn add(&mut self, value: &str, request: &Request<'_>) {
        let id = IdentityId::of(NAMESPACE, value, "");
        let identity = Arc::new(Identity {
            id,
            namespace: NAMESPACE.into(),
            value: value.into(),
            qualifier: "".into(),
            weak: false,
            secret: false,
        });
        let mut stored = Vec::new();
        request.encode(&mut stored);
        let epoch = self.epoch;
        let known = self.sessions.entry(id).or_insert_with(|| Known {
            session: Arc::new(Session {
                identity,
                day: Day(0),
                start: request.ts,
                end: request.ts,
                gap_ms: GAP_MS,
                summary: Summary::default(),
            }),
            requests: Vec::new(),
            created: epoch,
            changed: epoch,
        });
        known.changed = epoch;
        known.requests.push(stored.into());
        known.requests.sort_by_cached_key(|stored| {
            let request = Request::decode(stored).unwrap();
            (request.ts, request.id.into_owned())
        });
        let mut session = Session::clone(&known.session);
        session.start = session.start.min(request.ts);
        session.end = session.end.max(request.ts);
        count(&mut session.summary, request);
        known.session = Arc::new(session);
    }
}

fn count(summary: &mut Summary, request: &Request<'_>) {
    let words =
        IdentityText { namespace: NAMESPACE, value: "", qualifier: "", weak: false, secret: false };
    let numbers =
        Numbers { status: request.status, duration_ns: request.duration_ns, ..Numbers::default() };
    let (status, endpoint) = (request.status.to_string(), format!("GET {}", request.path));
    let mut facts = vec![
        Fact::new(Field::Method, &request.method),
        Fact::new(Field::Ip, &request.ip),
        Fact::new(Field::Endpoint, &endpoint),
    ];
    if request.status > 0 {
        facts.push(Fact::new(Field::Status, &status));
    }
    let mut head = Vec::new();
    encode_head(&mut head, words, &numbers, &facts);
    let assigned = Assigned {
        day: Day(0),
        identity: IdentityId(1),
        ts: request.ts,
        id_hash: 0,
        gap_ms: NO_GAP,
        origin: 0,
        head_len: head.len() as u32,
        payload: head.into(),
    };
    summary.add(&assigned.head().unwrap().1);
}

fn holds(filter: &Filter, session: &Session) -> bool {
    match filter {
        Filter::And(all) => all.iter().all(|filter| holds(filter, session)),
        Filter::Or(any) => any.iter().any(|filter| holds(filter, session)),
        Filter::Not(filter) => !holds(filter, session),
        Filter::Identity(id) => session.identity.id == *id,
        Filter::Namespace(text) => *session.identity.namespace == **text,
        Filter::Value(text) => *session.identity.value == **text,
        Filter::Session(id) => session.identity.id == id.identity && session.contains(id.start),
        Filter::Time { from, until } => {
            from.is_none_or(|from| session.end >= from)
                && until.is_none_or(|until| session.start < until)
        }
        Filter::Range(by, min, max) => within(by.of(session), *min, *max),
        Filter::Request(request) => request
            .fields
            .iter()
            .all(|(field, texts)| texts.iter().any(|text| session.summary.count(*field, text) > 0)),
        Filter::Weak(weak) => session.identity.weak == *weak,
        Filter::Malicious(is) => (session.summary.malicious > 0) == *is,
        Filter::Blocked(is) => (session.summary.blocked > 0) == *is,
        Filter::Open(open) => *open,
    }
}

struct Handle(Arc<Mock>);

impl Reader for Handle {
    fn view(&self) -> Result<Arc<dyn View>, ServiceError> {
        if let Some(error) = self.0.stopped.lock().clone() {
            return Err(error);
        }
        Ok(Arc::new(MockView { mock: self.0.clone(), state: self.0.at() }))
    }

    fn view_at(&self, epoch: Epoch) -> Result<Arc<dyn View>, ServiceError> {
        let newest = self.0.at();
        let kept = self.0.kept.lock();
        let states = kept.iter().chain([&newest]);
        let found = states.into_iter().find(|state| state.epoch == epoch.0).cloned();
        let state = found.ok_or(ServiceError::Gone(epoch.0))?;
        Ok(Arc::new(MockView { mock: self.0.clone(), state }))
    }

    fn wait_for(&self, epoch: Epoch, _: Duration) -> Result<(), ServiceError> {
        if self.0.at().epoch >= epoch.0 { Ok(()) } else { Err(ServiceError::NotYet(epoch.0)) }
    }
}

struct MockView {
    mock: Arc<Mock>,
    state: Arc<State>,
}

impl View for MockView {
    fn keep_for_list(&self) {
        self.mock.kept.lock().push(self.state.clone());
    }

    fn epoch(&self) -> Epoch {
        Epoch(self.state.epoch)
    }

    fn watermark(&self) -> Option<EventTime> {
        self.state.sessions.values().map(|known| known.session.end).max()
    }

    fn closes_at(&self, session: &Session) -> EventTime {
        EventTime(session.end.0 + i64::from(GAP_MS))
    }

    fn continues(&self, _: &Session) -> Result<Option<SessionId>, ServiceError> {
        Ok(None)
    }

    fn sessions(&self, query: &SessionQuery) -> Result<SessionPage, ServiceError> {
        std::thread::sleep(*self.mock.read_delay.lock());
        self.mock.reading.fetch_add(1, Ordering::SeqCst);
        let waited = self.mock.while_blocked();
        self.mock.reading.fetch_sub(1, Ordering::SeqCst);
        waited?;
        if let Some(failure) = self.mock.failure.lock().clone() {
            return Err(failure);
        }
        let mut found: Vec<_> =
            self.state.sessions.values().map(|known| known.session.clone()).collect();
        found.retain(|session| holds(&query.filter, session));
        let total = found.len() as u64;
        let key = |session: &Session| query.order.by.of(session);
        found.sort_by(|a, b| query.order.compare(key(a), key(b)).then(a.id().cmp(&b.id())));
        if let Some(after) = &query.after {
            let at = found.iter().position(|session| session.id() == after.id);
            found.drain(..at.map_or(0, |at| at + 1));
        }
        let has_next = found.len() > query.first;
        found.truncate(query.first);
        Ok(SessionPage { sessions: found, has_next, total: query.count.then_some(total) })
    }

    fn session(&self, id: SessionId) -> Result<Option<Arc<Session>>, ServiceError> {
        let known = self.state.sessions.get(&id.identity);
        Ok(known.map(|known| known.session.clone()).filter(|session| session.contains(id.start)))
    }

    fn identity(&self, id: IdentityId) -> Result<Option<Arc<Identity>>, ServiceError> {
        Ok(self.state.sessions.get(&id).map(|known| known.session.identity.clone()))
    }

    fn requests(
        &self,
        session: &Session,
        query: &RequestQuery,
    ) -> Result<RequestPage, ServiceError> {
        let stored = &self.state.sessions[&session.identity.id].requests;
        let mut previous = None;
        let mut found = Vec::new();
        for stored in stored {
            let request = Request::decode(stored).unwrap();
            let step_ms = previous.map(|previous| request.ts.0 - previous);
            previous = Some(request.ts.0);
            let ids = &query.filter.ids;
            let position = (request.ts, request.id.to_string());
            let within = query.filter.from.is_none_or(|from| request.ts >= from)
                && query.filter.until.is_none_or(|until| request.ts < until);
            let after = within && query.after.as_ref().is_none_or(|after| position > *after);
            if after && (ids.is_empty() || ids.iter().any(|id| *id == request.id)) {
                found.push(RequestDetail {
                    stored: stored.clone(),
                    step_ms,
                    endpoint: format!("GET {}", request.path),
                    flows: Vec::new(),
                    context: Vec::new(),
                    keys_tried: vec![KeyTried {
                        key: NAMESPACE.into(),
                        namespace: NAMESPACE.into(),
                        point: "$request.header.x-session-id".into(),
                        worked: true,
                        reason: session.identity.value.to_string(),
                    }],
                });
            }
        }
        let (total, has_next) = (stored.len() as u64, found.len() > query.first);
        found.truncate(query.first);
        Ok(RequestPage { requests: found, has_next, total })
    }

    fn overview(
        &self,
        _: Option<EventTime>,
        _: Option<EventTime>,
        step_minutes: Option<u32>,
    ) -> Result<Overview, ServiceError> {
        let mut overview = Overview { epoch: Epoch(self.state.epoch), ..Overview::default() };
        for known in self.state.sessions.values() {
            overview.totals.requests += known.session.summary.requests as i64;
            overview.totals.sessions += 1;
            // Each identity is an app of its own.
            let app = known.session.identity.value.to_string();
            let requests = known.session.summary.requests as i64;
            overview.apps.push((app, Totals { requests, sessions: 1, ..Totals::default() }));
        }
        if let Some(step) = step_minutes {
            let at = EventTime(i64::from(step) * 60_000);
            overview.series.push((at, overview.totals));
        }
        Ok(overview)
    }

    fn retained(&self) -> Result<Option<(EventTime, EventTime)>, ServiceError> {
        let day = EventTime(24 * 3_600_000);
        Ok((!self.state.sessions.is_empty()).then_some((EventTime(0), day)))
    }

    fn rules(&self) -> Arc<RuleSet> {
        self.state.rules.clone()
    }

    fn dead_letters(
        &self,
        _: usize,
        _: Option<LetterPlace>,
    ) -> Result<DeadLetterPage, ServiceError> {
        Ok(DeadLetterPage { letters: self.state.letters.clone(), ..DeadLetterPage::default() })
    }

    fn status(&self) -> Result<Status, ServiceError> {
        Ok(Status {
            epoch: self.state.epoch,
            sessions: self.state.sessions.len() as u64,
            workers: 1,
            ..Status::default()
        })
    }
}

impl ChangeFeed for Handle {
    fn session_changes(&self, query: ChangesQuery) -> Result<Box<dyn Changes>, ServiceError> {
        let ChangesQuery { filter, since, snapshot, .. } = query;
        let remembered = self.0.remembered_from.load(Ordering::SeqCst);
        let since = since.and_then(|token| self.0.lineage.epoch_of(token));
        let since = since.map(|epoch| epoch.0).filter(|epoch| *epoch >= remembered);
        self.0.open.fetch_add(1, Ordering::SeqCst);
        let epochs = self.0.epochs.subscribe();
        Ok(Box::new(MockChanges { mock: self.0.clone(), epochs, filter, since, snapshot }))
    }

    fn lineage(&self) -> Arc<Lineage> {
        self.0.lineage.clone()
    }

    fn epochs(&self) -> watch::Receiver<Epoch> {
        self.0.epochs.subscribe()
    }
}

struct MockChanges {
    mock: Arc<Mock>,
    epochs: watch::Receiver<Epoch>,
    filter: Filter,
    since: Option<u64>,
    snapshot: usize,
}

impl Drop for MockChanges {
    fn drop(&mut self) {
        self.mock.open.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Changes for MockChanges {
    fn ready(&mut self) -> BoxFuture<'_, bool> {
        async move {
            match self.since {
                Some(since) => self.epochs.wait_for(|epoch| epoch.0 > since).await.is_ok(),
                None => true,
            }
        }
        .boxed()
    }

    fn take(&mut self) -> BoxFuture<'_, Result<Option<Event>, ServiceError>> {
        async move {
            let since = self.since;
            self.mock.making(1);
            for _ in 0..10 {
                tokio::task::yield_now().await;
            }
            self.mock.making(-1);
            let state = self.mock.at();
            let epoch = Epoch(state.epoch);
            self.since = Some(state.epoch);
            self.mock.events.fetch_add(1, Ordering::SeqCst);
            let known = state.sessions.values().filter(|known| holds(&self.filter, &known.session));
            let Some(since) = since else {
                let mut sessions: Vec<_> = known.map(|known| known.session.clone()).collect();
                let truncated = sessions.len() > self.snapshot;
                sessions.truncate(self.snapshot);
                return Ok(Some(Event::Snapshot { epoch, sessions, truncated }));
            };
            let (mut added, mut updated) = (Vec::new(), Vec::new());
            for known in known.filter(|known| known.changed > since) {
                let list = if known.created > since { &mut added } else { &mut updated };
                list.push(known.session.clone());
            }
            Ok(Some(Event::Changes { epoch, added, updated, removed: Vec::new() }))
        }
        .boxed()
    }
}

impl RuleAdmin for Handle {
    fn change(
        &self,
        edit: RuleEdit,
        expected_version: Option<u64>,
        key: Option<String>,
    ) -> oneshot::Receiver<Result<RuleChange, RuleChangeError>> {
        let (answer, receiver) = oneshot::channel();
        let _ = answer.send(self.0.change(edit, expected_version, key));
        receiver
    }
}

impl Mock {
    fn change(
        &self,
        edit: RuleEdit,
        expected: Option<u64>,
        key: Option<String>,
    ) -> Result<RuleChange, RuleChangeError> {
        let mut keys = self.keys.lock();
        if let Some((known, change)) = key.as_ref().and_then(|key| keys.get(key)) {
            return if *known == edit {
                Ok(change.clone())
            } else {
                Err(RuleChangeError::KeyReused)
            };
        }
        let mut slot = self.state.lock();
        let current = slot.rules.clone();
        if expected.is_some_and(|expected| expected != current.version) {
            return Err(RuleChangeError::Conflict { current });
        }
        let rules = Arc::new(current.edited(&edit).map_err(RuleChangeError::Invalid)?);
        let mut state = State::clone(&slot);
        state.epoch += 1;
        state.rules = rules.clone();
        let effective_epoch = Epoch(state.epoch);
        *slot = Arc::new(state);
        drop(slot);
        self.epochs.send_replace(effective_epoch);
        let change = RuleChange { rules, effective_epoch };
        if let Some(key) = key {
            keys.insert(key, (edit, change.clone()));
        }
        Ok(change)
    }
}

impl Ingest for Handle {
    fn take(&self, push: Push) -> oneshot::Receiver<Result<PushAnswer, ServiceError>> {
        let content = push.content_hash();
        let Push { body, format, key } = push;
        let (sender, receiver) = oneshot::channel();
        if let Some(error) = self.0.stopped.lock().clone() {
            let _ = sender.send(Err(error));
            return receiver;
        }
        if let Some(format) = format.filter(|format| format != "ndjson") {
            let _ = sender.send(Err(ServiceError::UnknownFormat(format!("no format {format}"))));
            return receiver;
        }
        if let Some(held) = &mut *self.0.held.lock() {
            held.push(sender);
            return receiver;
        }
        let mut pushes = self.0.pushes.lock();
        let known = key.as_ref().and_then(|key| pushes.get(key).cloned());
        if known.as_ref().is_some_and(|(used, _)| *used != content) {
            let _ = sender.send(Err(ServiceError::KeyReused));
            return receiver;
        }
        let commit = || self.0.commit(&String::from_utf8_lossy(&body));
        let answer = known.map_or_else(commit, |(_, answer)| answer);
        if let Some(key) = key {
            pushes.insert(key, (content, answer.clone()));
        }
        let _ = sender.send(Ok(answer));
        receiver
    }
}
