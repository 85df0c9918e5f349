//! The root of queries.

use async_graphql::{Context, ID, Interface, Object};
use spoor_api::query::Order;
use spoor_api::service::View;
use spoor_operators::identity::SessionId;

use super::filter::{SessionFilter, sessions as session_filter};
use super::ids::{GlobalId, identity_id, read_letter_cursor, session_id};
use super::lists;
use super::operation::{Nullable, Operation, Snapshot, bad, nullable};
use super::order::SessionOrder;
use super::overview::{Overview, OverviewRange};
use super::page;
use super::request::RequestNode;
use super::rules::RuleSet;
use super::scalars::EpochToken;
use super::session::{IdentityNode, Search, SessionConnection, SessionNode};
use super::status::{DeadLetterConnection, Status};
use crate::error::ApiError;

/// Most ids of one `nodes`.
const NODES_MAX: usize = page::PAGE_MAX;

/// Anything with a global id.
#[derive(Interface)]
#[graphql(field(name = "id", ty = "ID", desc = "Global id."))]
pub enum Node {
    /// A session.
    Session(SessionNode),
    /// An identity.
    Identity(IdentityNode),
    /// A request.
    Request(Box<RequestNode>),
}

/// Everything here is read at one committed epoch; what was seen is never taken back by a crash.
pub struct Query;

/// Everything here is read at one committed epoch; what was seen is never taken back by a crash.
/// What can fail is nullable, so that one failure does not hide the rest of an answer.
/// `atLeastEpoch`, an `epochToken` that was given before, waits (for at most five seconds) until that
/// epoch is committed; given in the `extensions` of the request (`{"atLeastEpoch": "..."}`) it holds
/// for every field of the operation, also for `node` and `nodes`.
#[Object]
impl Query {
    /// Sessions by filter, newest start first unless ordered otherwise. `first` is at most 200; 20
    /// unless given.
    #[graphql(complexity = "page::cost(first, child_complexity)")]
    async fn sessions(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which sessions; absent: all.")] filter: Option<SessionFilter>,
        #[graphql(desc = "In which order; absent: newest start first.")] order_by: Option<
            SessionOrder,
        >,
        #[graphql(desc = "At most this many; 0 to 200, 20 unless given.")] first: Option<i32>,
        #[graphql(desc = "Cursor of the entry to go on after; absent: from the beginning.")]
        after: Option<String>,
        #[graphql(desc = "Wait, for at most five seconds, until this epoch is committed.")]
        at_least_epoch: Option<EpochToken>,
    ) -> Nullable<SessionConnection> {
        nullable(async {
            let filter = session_filter(filter)?;
            let order = order_by.map(Order::from).unwrap_or_default();
            let at = Operation::of(ctx)?.snapshot(at_least_epoch).await?;
            let at_least = Operation::of(ctx)?.epoch_of(at_least_epoch)?;
            let search = Search { filter, order, first, after, at_least };
            SessionConnection::find(ctx, &at, search).await.map(Some)
        })
        .await
    }

    /// A session by its global id or `<identity>.<start>`: the session of that identity that
    /// contains the instant.
    async fn session(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "A global id, or `<identity>.<start in milliseconds>`.")] id: ID,
        #[graphql(desc = "Wait, for at most five seconds, until this epoch is committed.")]
        at_least_epoch: Option<EpochToken>,
    ) -> Nullable<SessionNode> {
        nullable(async {
            let id = session_id(&id)?;
            let at = Operation::of(ctx)?.snapshot(at_least_epoch).await?;
            let found = at.read(move |view| view.session(id)).await?;
            Ok(found.map(|session| SessionNode::new(session, at)))
        })
        .await
    }

    /// An identity that has at least one retained session, by its global id or 32 hex digits.
    async fn identity(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "A global id, or 32 hex digits.")] id: ID,
        #[graphql(desc = "Wait, for at most five seconds, until this epoch is committed.")]
        at_least_epoch: Option<EpochToken>,
    ) -> Nullable<IdentityNode> {
        nullable(async {
            let id = identity_id(&id)?;
            let at = Operation::of(ctx)?.snapshot(at_least_epoch).await?;
            let found = at.read(move |view| view.identity(id)).await?;
            Ok(found.map(|identity| IdentityNode::new(identity, at)))
        })
        .await
    }

    /// Anything by its global id.
    async fn node(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "A global id.")] id: ID,
    ) -> Nullable<Node> {
        nullable(async {
            let at = Operation::of(ctx)?.snapshot(None).await?;
            find(&at, &id).await
        })
        .await
    }

    /// Several things by their global ids, in the same order; at most 200.
    #[graphql(complexity = "ids.len().max(1).saturating_mul(1 + child_complexity)")]
    async fn nodes(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Global ids, at most 200.")] ids: Vec<ID>,
    ) -> Nullable<Vec<Nullable<Node>>> {
        nullable(async {
            if ids.len() > NODES_MAX {
                return Err(ApiError::Limit(format!("`nodes` takes at most {NODES_MAX} ids")));
            }
            let at = Operation::of(ctx)?.snapshot(None).await?;
            let mut found = Vec::with_capacity(ids.len());
            for id in ids {
                found.push(find(&at, &id).await.transpose());
            }
            Ok(Some(found))
        })
        .await
    }

    /// Totals and time series. Without a range: everything retained.
    async fn overview(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which part of event time, in which steps.")] range: Option<OverviewRange>,
        #[graphql(desc = "Wait, for at most five seconds, until this epoch is committed.")]
        at_least_epoch: Option<EpochToken>,
    ) -> Nullable<Overview> {
        nullable(async {
            let at = Operation::of(ctx)?.snapshot(at_least_epoch).await?;
            let wants_series = ctx.look_ahead().field("series").exists();
            Overview::read(&at, range.unwrap_or_default(), wants_series).await.map(Some)
        })
        .await
    }

    /// The rules in force.
    async fn rules(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Wait, for at most five seconds, until this epoch is committed.")]
        at_least_epoch: Option<EpochToken>,
    ) -> Nullable<RuleSet> {
        nullable(async {
            let at = Operation::of(ctx)?.snapshot(at_least_epoch).await?;
            Ok(Some(RuleSet::from(&*at.view().rules())))
        })
        .await
    }

    /// Records that were refused, newest first. `first` is at most 200; 20 unless given.
    #[graphql(complexity = "page::cost(first, child_complexity)")]
    async fn dead_letters(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "At most this many; 0 to 200, 20 unless given.")] first: Option<i32>,
        #[graphql(desc = "Cursor of the entry to go on after; absent: from the beginning.")]
        after: Option<String>,
        #[graphql(desc = "Wait, for at most five seconds, until this epoch is committed.")]
        at_least_epoch: Option<EpochToken>,
    ) -> Nullable<DeadLetterConnection> {
        nullable(async {
            let first = page::size(first)?;
            let operation = Operation::of(ctx)?;
            let after = after.as_deref().map(read_letter_cursor).transpose()?;
            let (list, before) = after.map(|after| (after.list, after.place)).unzip();
            // Places among the refused records of another store mean nothing here.
            operation.epoch_of(list.map(|list| EpochToken(list.token())))?;
            let at = operation.snapshot(at_least_epoch).await?;
            let at_least = operation.epoch_of(at_least_epoch)?;
            let page = move |view: &dyn View| view.dead_letters(first, before);
            let (found, read) = lists::read(ctx, &at, list, at_least, page).await?;
            Ok(Some(DeadLetterConnection::new(found, before.is_some(), &read)))
        })
        .await
    }

    /// State of the whole.
    async fn status(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Wait, for at most five seconds, until this epoch is committed.")]
        at_least_epoch: Option<EpochToken>,
    ) -> Nullable<Status> {
        nullable(async {
            let at = Operation::of(ctx)?.snapshot(at_least_epoch).await?;
            Ok(Some(at.read(|view| view.status()).await?.into()))
        })
        .await
    }
}

async fn find(at: &Snapshot, id: &str) -> Result<Option<Node>, ApiError> {
    let global =
        GlobalId::decode(id).ok_or_else(|| bad(format!("`{id:.80}` is not a global id")))?;
    match global {
        GlobalId::Session(id) => {
            let found = at.read(move |view| view.session(id)).await?;
            Ok(found.map(|session| Node::Session(SessionNode::new(session, at.clone()))))
        }
        GlobalId::Identity(id) => {
            let found = at.read(move |view| view.identity(id)).await?;
            Ok(found.map(|identity| Node::Identity(IdentityNode::new(identity, at.clone()))))
        }
        GlobalId::Request(identity, ts, id) => {
            // The session that contains the request now, wherever it begins.
            let within = SessionId { identity, start: ts };
            let Some(session) = at.read(move |view| view.session(within)).await? else {
                return Ok(None);
            };
            let found = RequestNode::find(at, session, id, Some(ts)).await?;
            Ok(found.map(|request| Node::Request(Box::new(request))))
        }
    }
}
