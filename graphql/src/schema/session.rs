//! Sessions and identities.

use std::sync::Arc;

use async_graphql::{ComplexObject, Context, ID, Object, SimpleObject};
use spoor_dataflow::query::{Cursor, Filter, Order, RequestQuery, SessionQuery};
use spoor_dataflow::values;
use spoor_operators::facts::NO_GAP;
use spoor_operators::identity::Identity;
use spoor_operators::session::Session;

use super::filter::{RequestFilter, requests as request_filter};
use super::ids::{GlobalId, by_start, read_request_cursor, read_session_cursor, session_cursor};
use super::operation::{Nullable, Operation, Snapshot, nullable};
use super::page::{self, PageInfo};
use super::request::{RequestConnection, RequestNode};
use super::scalars::{DateTime, EpochToken, Long};
use super::statistics::{Breakdown, BreakdownField, Statistics};
use crate::error::ApiError;

/// Values of a breakdown unless asked otherwise.
const BREAKDOWN_DEFAULT: usize = 10;
/// Most values of a breakdown.
const BREAKDOWN_MAX: usize = 1_000;

/// A session with the view it is read from.
#[derive(Clone)]
pub struct SessionNode {
    session: Arc<Session>,
    at: Snapshot,
}

impl SessionNode {
    /// A session of a view.
    #[must_use]
    pub fn new(session: Arc<Session>, at: Snapshot) -> Self {
        Self { session, at }
    }
}

/// A maximal run of one identity's requests inside one day, with every step shorter than the gap.
#[Object(name = "Session")]
impl SessionNode {
    /// Global id.
    pub async fn id(&self) -> ID {
        GlobalId::Session(self.session.id()).encode()
    }

    /// `<identity>.<start in milliseconds>`. It stays good when an earlier request arrives late.
    async fn session_id(&self) -> String {
        self.session.id().to_string()
    }

    /// Whose session.
    async fn identity(&self) -> IdentityNode {
        IdentityNode::new(self.session.identity.clone(), self.at.clone())
    }

    /// First request.
    async fn start(&self) -> DateTime {
        self.session.start.into()
    }

    /// Last request.
    async fn end(&self) -> DateTime {
        self.session.end.into()
    }

    /// From the first request to the last, in milliseconds.
    async fn duration_ms(&self) -> Long {
        self.session.duration_ms().into()
    }

    /// The watermark has not reached `closesAt`. A late request may still change a closed session.
    async fn open(&self) -> bool {
        let view = self.at.view();
        view.watermark().is_none_or(|watermark| watermark < view.closes_at(&self.session))
    }

    /// When it closes if no request follows: `end` and the gap, or the next day if that is sooner.
    async fn closes_at(&self) -> DateTime {
        self.at.view().closes_at(&self.session).into()
    }

    /// The gap in force for it, in milliseconds; none: only the day ends it.
    async fn gap_ms(&self) -> Option<Long> {
        (self.session.gap_ms != NO_GAP).then(|| self.session.gap_ms.into())
    }

    /// The session it continues: its previous neighbour, when that lies closer than the gap on the
    /// other side of midnight.
    async fn continues(&self) -> Nullable<SessionNode> {
        nullable(async {
            let session = self.session.clone();
            let found = self.at.read(move |view| match view.continues(&session)? {
                Some(id) => view.session(id),
                None => Ok(None),
            });
            Ok(found.await?.map(|session| Self::new(session, self.at.clone())))
        })
        .await
    }

    /// Its numbers.
    async fn statistics(&self) -> Statistics {
        Statistics::of(&self.session)
    }

    /// Its requests counted by a field, the most frequent values first. `first` is at most 1000;
    /// 10 unless given.
    #[graphql(complexity = "2 + child_complexity")]
    async fn breakdown(
        &self,
        by: BreakdownField,
        first: Option<i32>,
    ) -> Result<Breakdown, ApiError> {
        let first = page::bounded(first, BREAKDOWN_DEFAULT, BREAKDOWN_MAX)?;
        let query = by.query(first);
        let found = if self.session.summary.breakdown.is_head() {
            let session = Arc::clone(&self.session);
            self.at.read(move |view| view.values(&session, &query)).await?
        } else {
            values::of(&self.session, &query)
        };
        Ok(Breakdown::of(&self.session, by, first, found))
    }

    /// Its requests in order of time. `first` is at most 200; 20 unless given.
    #[graphql(complexity = "page::cost(first, child_complexity)")]
    async fn requests(
        &self,
        filter: Option<RequestFilter>,
        first: Option<i32>,
        after: Option<String>,
    ) -> Nullable<RequestConnection> {
        nullable(async {
            let query = RequestQuery {
                filter: request_filter(filter)?,
                first: page::size(first)?,
                after: after.as_deref().map(read_request_cursor).transpose()?,
            };
            let (id, after, session) =
                (self.session.id(), query.after.is_some(), self.session.clone());
            let found = self.at.read(move |view| view.requests(&session, &query)).await?;
            RequestConnection::new(id, found, after).map(Some)
        })
        .await
    }

    /// One request of it by its id.
    async fn request(&self, id: String) -> Nullable<RequestNode> {
        nullable(async { RequestNode::find(&self.at, self.session.clone(), id).await }).await
    }
}

/// An identity with the view it is read from.
pub struct IdentityNode {
    identity: Arc<Identity>,
    at: Snapshot,
}

impl IdentityNode {
    /// An identity of a view.
    #[must_use]
    pub fn new(identity: Arc<Identity>, at: Snapshot) -> Self {
        Self { identity, at }
    }
}

/// Whose requests: a value that a grouping key found, within the key's namespace.
#[Object(name = "Identity")]
impl IdentityNode {
    /// Global id.
    pub async fn id(&self) -> ID {
        GlobalId::Identity(self.identity.id).encode()
    }

    /// 32 hex digits: the hash of namespace, value and qualifier, the same everywhere.
    async fn identity_id(&self) -> String {
        self.identity.id.to_string()
    }

    /// Namespace of the grouping key that decided.
    async fn namespace(&self) -> &str {
        &self.identity.namespace
    }

    /// The value; for a secret key a keyed hash of it.
    async fn value(&self) -> &str {
        &self.identity.value
    }

    /// App or host, for a key whose values are distinct for each.
    async fn qualifier(&self) -> Option<&str> {
        Some(&*self.identity.qualifier).filter(|text| !text.is_empty())
    }

    /// The identity is the client address, alone or with the user agent: several people may share
    /// it, and one may have several.
    async fn weak(&self) -> bool {
        self.identity.weak
    }

    /// The value is a keyed hash.
    async fn secret(&self) -> bool {
        self.identity.secret
    }

    /// All its sessions, newest first. `first` is at most 200; 20 unless given.
    #[graphql(complexity = "page::cost(first, child_complexity)")]
    async fn sessions(
        &self,
        ctx: &Context<'_>,
        first: Option<i32>,
        after: Option<String>,
    ) -> Nullable<SessionConnection> {
        nullable(async {
            let filter = Filter::Identity(self.identity.id);
            SessionConnection::find(ctx, &self.at, filter, by_start(), first, after).await.map(Some)
        })
        .await
    }
}

/// A page of sessions.
#[derive(SimpleObject)]
#[graphql(complex)]
pub struct SessionConnection {
    /// The sessions with their cursors.
    pub edges: Vec<SessionEdge>,
    /// The sessions alone.
    pub nodes: Vec<SessionNode>,
    /// Where the page lies.
    pub page_info: PageInfo,
    /// All sessions the filter selects. Costs a look at each, so ask only if you show it.
    pub total_count: Option<Long>,
    /// The committed epoch the page is read at.
    pub epoch: Long,
}

#[ComplexObject]
impl SessionConnection {
    /// That epoch, to be handed back as `atLeastEpoch`, or as `since` of `sessionChanges`.
    async fn epoch_token(&self, ctx: &Context<'_>) -> Result<EpochToken, ApiError> {
        Ok(Operation::of(ctx)?.token_of(self.epoch))
    }
}

/// A session in a list.
#[derive(SimpleObject)]
pub struct SessionEdge {
    /// The session.
    pub node: SessionNode,
    /// Give it as `after` to read on from here.
    pub cursor: String,
}

impl SessionConnection {
    /// Reads a page; counts all only if the client asks for it.
    pub async fn find(
        ctx: &Context<'_>,
        at: &Snapshot,
        filter: Filter,
        order: Order,
        first: Option<i32>,
        after: Option<String>,
    ) -> Result<Self, ApiError> {
        let query = SessionQuery {
            filter,
            order,
            first: page::size(first)?,
            after: after.as_deref().map(|text| read_session_cursor(order, text)).transpose()?,
            count: ctx.look_ahead().field("totalCount").exists(),
        };
        let after = query.after.is_some();
        let found = at.read(move |view| view.sessions(&query)).await?;
        let cursor = |session: &Session| {
            let value = order.by.of(session);
            session_cursor(order, &Cursor { value, id: session.id() })
        };
        let cursors: Vec<String> = found.sessions.iter().map(|session| cursor(session)).collect();
        let node = |session: &Arc<Session>| SessionNode::new(session.clone(), at.clone());
        let edge = |(session, cursor): (&Arc<Session>, &String)| SessionEdge {
            node: node(session),
            cursor: cursor.clone(),
        };
        Ok(Self {
            edges: found.sessions.iter().zip(&cursors).map(edge).collect(),
            nodes: found.sessions.iter().map(node).collect(),
            page_info: PageInfo::new(found.has_next, after, &cursors),
            total_count: found.total.map(Long::from),
            epoch: at.view().epoch().0.into(),
        })
    }
}
