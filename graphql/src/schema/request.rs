//! Requests of a session: the stored, redacted record, its step, and why it is where it is.

use std::borrow::Cow;
use std::sync::Arc;

use async_graphql::{ComplexObject, Enum, ID, SimpleObject};
use spoor_api::query::{
    ContextValue as FoundValue, KeyTried as FoundKey, RequestDetail, RequestFilter, RequestPage,
    RequestQuery,
};
use spoor_operators::identity::IdentityId;
use spoor_operators::request::{
    Attack as StoredAttack, Body, Fields, Message, NANOS_PER_MS, Request,
};
use spoor_operators::rules;
use spoor_operators::session::Session;
use spoor_operators::time::EventTime;

use super::ids::{GlobalId, request_cursor};
use super::lists::{Page, ReadAt};
use super::operation::Snapshot;
use super::page::PageInfo;
use super::scalars::{DateTime, Long};
use crate::error::ApiError;

/// One API exchange, as it is stored: secret values are replaced by keyed hashes.
#[derive(Clone, Debug, SimpleObject)]
#[graphql(name = "Request", complex)]
pub struct RequestNode {
    #[graphql(skip)]
    identity: IdentityId,
    /// The record's own id; `<source>:<offset>` when it came without one.
    pub request_id: String,
    /// When the request started.
    pub ts: DateTime,
    /// Milliseconds since the previous request of the session; none for the first.
    pub step_ms: Option<Long>,
    /// Application.
    pub app: String,
    /// Method, in upper case.
    pub method: String,
    /// Host.
    pub host: Option<String>,
    /// Raw path, without the query.
    pub path: String,
    /// Raw query, without `?`.
    pub query: Option<String>,
    /// Method and path template, under the rules in force.
    pub endpoint: String,
    /// Response status; none when no response was seen.
    pub status: Option<i32>,
    /// Time to the full response, in milliseconds.
    pub duration_ms: Option<f64>,
    /// Bytes of the request.
    pub request_bytes: Long,
    /// Bytes of the response.
    pub response_bytes: Long,
    /// Client address, or the host name a log has instead.
    pub ip: Option<String>,
    /// User agent.
    pub user_agent: Option<String>,
    /// What the client sent.
    pub request: MessageNode,
    /// What the server answered.
    pub response: MessageNode,
    /// Detections made upstream.
    pub attacks: Vec<Attack>,
    /// Has a detection.
    pub malicious: bool,
    /// Was blocked upstream.
    pub blocked: bool,
    /// Business flows it touches.
    pub flows: Vec<String>,
    /// Context parameters that worked.
    pub context: Vec<ContextValue>,
    /// Why it is in this session: the keys in the order they were tried, up to the one that
    /// decided.
    pub why: Vec<KeyTried>,
}

/// One side of the exchange.
#[derive(Clone, Debug, SimpleObject)]
#[graphql(name = "Message")]
pub struct MessageNode {
    /// Header fields as they came; a name may repeat.
    pub headers: Vec<NamedValue>,
    /// Cookies.
    pub cookies: Vec<NamedValue>,
    /// Form fields.
    pub form: Vec<NamedValue>,
    /// The body as text; none when none was recorded.
    pub body: Option<String>,
    /// The body is a JSON value rather than a text.
    pub body_is_json: bool,
}

/// A name with a value.
#[derive(Clone, Debug, SimpleObject)]
pub struct NamedValue {
    /// The name.
    pub name: String,
    /// The value.
    pub value: String,
}

/// A detection made upstream, such as by a web application firewall.
#[derive(Clone, Debug, SimpleObject)]
pub struct Attack {
    /// Such as `sqli`.
    #[graphql(name = "type")]
    pub kind: String,
    /// A finer kind.
    pub subtype: Option<String>,
    /// Where it was found.
    pub point: Option<String>,
    /// What was found.
    pub payload: Option<String>,
    /// This detection led to a block.
    pub blocked: bool,
}

/// A context parameter that worked for a request.
#[derive(Clone, Debug, SimpleObject)]
pub struct ContextValue {
    /// The parameter's name.
    pub name: String,
    /// What it is about.
    #[graphql(name = "type")]
    pub kind: ParameterType,
    /// Its value; for a secret parameter a keyed hash of it.
    pub value: String,
}

/// What a context parameter is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "rules::ParameterType")]
pub enum ParameterType {
    /// Anything.
    Text,
    /// Names the user.
    User,
    /// Names a role.
    Role,
}

/// A grouping key that was tried for a request.
#[derive(Clone, Debug, SimpleObject)]
pub struct KeyTried {
    /// Name of the grouping key; built-in keys have theirs too.
    pub key: String,
    /// Its namespace.
    pub namespace: String,
    /// Where it looks.
    pub point: String,
    /// It decided.
    pub worked: bool,
    /// Why it did not; what it found, otherwise.
    pub reason: String,
}

/// A page of a session's requests.
#[derive(SimpleObject)]
pub struct RequestConnection {
    /// The requests with their cursors.
    pub edges: Vec<RequestEdge>,
    /// The requests alone.
    pub nodes: Vec<RequestNode>,
    /// Where the page lies.
    pub page_info: PageInfo,
    /// All requests of the session that the filter selects.
    pub total_count: Long,
}

/// A request in a list.
#[derive(SimpleObject)]
pub struct RequestEdge {
    /// The request.
    pub node: RequestNode,
    /// Give it as `after` to read on from here.
    pub cursor: String,
}

impl Page for RequestPage {
    fn has_next(&self) -> bool {
        self.has_next
    }
}

impl RequestConnection {
    /// A page that was found.
    pub fn new(
        identity: IdentityId,
        page: RequestPage,
        after: bool,
        read: &ReadAt,
    ) -> Result<Self, ApiError> {
        let nodes = page.requests.into_iter().map(|detail| RequestNode::new(identity, detail));
        let nodes = nodes.collect::<Result<Vec<_>, _>>()?;
        let cursor = |node: &RequestNode| request_cursor(read.list, node.ts.0, &node.request_id);
        let cursors: Vec<String> = nodes.iter().map(cursor).collect();
        let edge = |(node, cursor): (&RequestNode, &String)| RequestEdge {
            node: node.clone(),
            cursor: cursor.clone(),
        };
        Ok(Self {
            edges: nodes.iter().zip(&cursors).map(edge).collect(),
            page_info: PageInfo::new(page.has_next, after, &cursors, read),
            total_count: page.total.into(),
            nodes,
        })
    }
}

impl RequestNode {
    /// Finds a request of a session by its id and, if that is known, its time.
    pub async fn find(
        at: &Snapshot,
        session: Arc<Session>,
        id: String,
        ts: Option<EventTime>,
    ) -> Result<Option<Self>, ApiError> {
        let owner = session.identity.id;
        let until = ts.map(|ts| EventTime(ts.0.saturating_add(1)));
        let filter = RequestFilter { ids: vec![id], from: ts, until, ..RequestFilter::default() };
        let query = RequestQuery { filter, first: 1, after: None };
        let page = at.scan(move |view| view.requests(&session, &query)).await?;
        page.requests.into_iter().next().map(|detail| Self::new(owner, detail)).transpose()
    }

    fn new(identity: IdentityId, detail: RequestDetail) -> Result<Self, ApiError> {
        let stored = Request::decode(&detail.stored);
        let stored = stored.map_err(|error| ApiError::Internal(format!("{identity}: {error}")))?;
        Ok(Self {
            identity,
            ts: stored.ts.into(),
            step_ms: detail.step_ms.map(Long::from),
            app: stored.app.into_owned(),
            method: stored.method.into_owned(),
            host: some(stored.host),
            path: stored.path.into_owned(),
            query: some(stored.query),
            endpoint: detail.endpoint,
            status: (stored.status != 0).then_some(stored.status.into()),
            duration_ms: stored.duration_ns.map(|ns| ns as f64 / NANOS_PER_MS),
            request_bytes: stored.request_bytes.into(),
            response_bytes: stored.response_bytes.into(),
            ip: some(stored.ip),
            user_agent: some(stored.user_agent),
            request: MessageNode::new(stored.request),
            response: MessageNode::new(stored.response),
            malicious: !stored.attacks.is_empty(),
            attacks: stored.attacks.into_iter().map(Attack::new).collect(),
            blocked: stored.blocked,
            flows: detail.flows,
            context: detail.context.into_iter().map(ContextValue::new).collect(),
            why: detail.keys_tried.into_iter().map(KeyTried::new).collect(),
            request_id: stored.id.into_owned(),
        })
    }
}

#[ComplexObject]
impl RequestNode {
    /// Global id, made of the identity, the time and the request's own id: it stays good whatever
    /// becomes of the session the request is in. A change of the rules that gives the request to
    /// another identity gives it another id.
    pub async fn id(&self) -> ID {
        GlobalId::Request(self.identity, self.ts.0, self.request_id.clone()).encode()
    }
}

fn some(text: Cow<'_, str>) -> Option<String> {
    (!text.is_empty()).then(|| text.into_owned())
}

fn named(fields: Fields<'_>) -> Vec<NamedValue> {
    let one = |(name, value): (Cow<'_, str>, Cow<'_, str>)| NamedValue {
        name: name.into_owned(),
        value: value.into_owned(),
    };
    fields.into_iter().map(one).collect()
}

impl MessageNode {
    fn new(message: Message<'_>) -> Self {
        let (body, body_is_json) = match message.body {
            Body::Absent => (None, false),
            Body::Json(text) => (Some(text.into_owned()), true),
            Body::Text(text) => (Some(text.into_owned()), false),
        };
        Self {
            headers: named(message.headers),
            cookies: named(message.cookies),
            form: named(message.form),
            body,
            body_is_json,
        }
    }
}

impl Attack {
    fn new(attack: StoredAttack<'_>) -> Self {
        Self {
            kind: attack.kind.into_owned(),
            subtype: some(attack.subtype),
            point: some(attack.point),
            payload: some(attack.payload),
            blocked: attack.blocked,
        }
    }
}

impl ContextValue {
    fn new(value: FoundValue) -> Self {
        Self { name: value.name, kind: value.kind.into(), value: value.value }
    }
}

impl KeyTried {
    fn new(tried: FoundKey) -> Self {
        Self {
            key: tried.key,
            namespace: tried.namespace,
            point: tried.point,
            worked: tried.worked,
            reason: tried.reason,
        }
    }
}
