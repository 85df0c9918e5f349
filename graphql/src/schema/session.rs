//! Sessions and identities.

use std::sync::Arc;

use async_graphql::{ComplexObject, Context, ID, Object, SimpleObject};
use spoor_api::query::{Cursor, Filter, Order, RequestQuery, SessionPage, SessionQuery};
use spoor_api::service::View;
use spoor_operators::facts::NO_GAP;
use spoor_operators::identity::{Identity, SessionId};
use spoor_operators::session::Session;
use spoor_operators::time::Epoch;

use super::filter::{RequestFilter, requests as request_filter};
use super::ids::{
    GlobalId, by_start, read_request_cursor, read_session_cursor, read_value_cursor, session_cursor,
};
use super::lists::{self, Page};
use super::operation::{Nullable, Operation, Snapshot, nullable};
use super::page::{self, PageInfo};
use super::request::{RequestConnection, RequestNode};
use super::scalars::{DateTime, EpochToken, Long};
use super::statistics::{Breakdown, BreakdownField, Counted, Statistics};
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
    /// 10 unless given. `after` is the `endCursor` of the page before.
    #[graphql(complexity = "2 + child_complexity")]
    async fn breakdown(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which field's values are counted.")] by: BreakdownField,
        #[graphql(desc = "At most this many values; 0 to 1000, 10 unless given.")] first: Option<
            i32,
        >,
        #[graphql(desc = "Cursor of the entry to go on after; absent: from the beginning.")]
        after: Option<String>,
    ) -> Nullable<Breakdown> {
        nullable(async {
            let first = page::bounded("first", first, BREAKDOWN_DEFAULT, BREAKDOWN_MAX)?;
            let after = after.map(|after| read_value_cursor(&after, by.tag())).transpose()?;
            let (list, place) = after.map(|after| (after.list, after.place)).unzip();
            let (session, shown) = (self.session.clone(), self.at.view().epoch());
            let is_after = place.is_some();
            let page = move |view: &dyn View| {
                let then = match &place {
                    Some((start, _)) if view.epoch() != shown => {
                        view.session(SessionId { identity: session.identity.id, start: *start })?
                    }
                    _ => None,
                };
                let session = then.as_ref().unwrap_or(&session);
                let after = place.as_ref().map(|(_, place)| place);
                Counted::of(view, session, by, first, after)
            };
            let (found, read) = lists::read(ctx, &self.at, list, Epoch(0), page).await?;
            Ok(Some(Breakdown::new(found, by, is_after, &read)))
        })
        .await
    }

    /// Its requests in order of time. `first` is at most 200; 20 unless given.
    #[graphql(complexity = "page::cost(first, child_complexity)")]
    async fn requests(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which requests; absent: all.")] filter: Option<RequestFilter>,
        #[graphql(desc = "At most this many; 0 to 200, 20 unless given.")] first: Option<i32>,
        #[graphql(desc = "Cursor of the entry to go on after; absent: from the beginning.")]
        after: Option<String>,
    ) -> Nullable<RequestConnection> {
        nullable(async {
            let after = after.as_deref().map(read_request_cursor).transpose()?;
            let (list, after) = after.map(|after| (after.list, after.place)).unzip();
            let (session, shown) = (self.session.clone(), self.at.view().epoch());
            let query =
                RequestQuery { filter: request_filter(filter)?, first: page::size(first)?, after };
            let (identity, is_after) = (session.identity.id, query.after.is_some());
            let page = move |view: &dyn View| {
                // At another epoch the session may begin and end elsewhere: it is the one that
                // contains the request the list has come to.
                let then = match &query.after {
                    Some((ts, _)) if view.epoch() != shown => {
                        view.session(SessionId { identity, start: *ts })?
                    }
                    _ => None,
                };
                view.requests(then.as_ref().unwrap_or(&session), &query)
            };
            let (found, read) = lists::read(ctx, &self.at, list, Epoch(0), page).await?;
            RequestConnection::new(identity, found, is_after, &read).map(Some)
        })
        .await
    }

    /// One request of it by its id.
    async fn request(
        &self,
        #[graphql(desc = "The request's own id, not a global one.")] id: String,
    ) -> Nullable<RequestNode> {
        nullable(async { RequestNode::find(&self.at, self.session.clone(), id, None).await }).await
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
        #[graphql(desc = "At most this many; 0 to 200, 20 unless given.")] first: Option<i32>,
        #[graphql(desc = "Cursor of the entry to go on after; absent: from the beginning.")]
        after: Option<String>,
    ) -> Nullable<SessionConnection> {
        nullable(async {
            let filter = Filter::Identity(self.identity.id);
            let (order, at_least) = (by_start(), Epoch(0));
            let search = Search { filter, order, first, after, at_least };
            SessionConnection::find(ctx, &self.at, search).await.map(Some)
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

/// Which page of which list of sessions.
pub struct Search {
    /// Which sessions.
    pub filter: Filter,
    /// In what order.
    pub order: Order,
    /// At most so many; unchecked.
    pub first: Option<i32>,
    /// The end of the page before.
    pub after: Option<String>,
    /// Not as of an epoch before this one.
    pub at_least: Epoch,
}

impl Page for SessionPage {
    fn has_next(&self) -> bool {
        self.has_next
    }
}

impl SessionConnection {
    /// Reads a page; counts all only if the client asks for it.
    pub async fn find(
        ctx: &Context<'_>,
        newest: &Snapshot,
        search: Search,
    ) -> Result<Self, ApiError> {
        let Search { filter, order, first, after, at_least } = search;
        let after = after.map(|after| read_session_cursor(order, &after)).transpose()?;
        let (list, after) = after.map(|after| (after.list, after.place)).unzip();
        let count = ctx.look_ahead().field("totalCount").exists();
        let query = SessionQuery { filter, order, first: page::size(first)?, after, count };
        let is_after = query.after.is_some();
        let page = move |view: &dyn View| view.sessions(&query);
        let (found, read) = lists::read(ctx, newest, list, at_least, page).await?;
        let cursor = |session: &Session| {
            let place = Cursor { value: order.by.of(session), id: session.id() };
            session_cursor(order, read.list, &place)
        };
        let cursors: Vec<String> = found.sessions.iter().map(|session| cursor(session)).collect();
        let node = |session: &Arc<Session>| SessionNode::new(session.clone(), read.at.clone());
        let edge = |(session, cursor): (&Arc<Session>, &String)| SessionEdge {
            node: node(session),
            cursor: cursor.clone(),
        };
        Ok(Self {
            edges: found.sessions.iter().zip(&cursors).map(edge).collect(),
            nodes: found.sessions.iter().map(node).collect(),
            page_info: PageInfo::new(found.has_next, is_after, &cursors, &read),
            total_count: found.total.map(Long::from),
            epoch: read.epoch().0.into(),
        })
    }
}
