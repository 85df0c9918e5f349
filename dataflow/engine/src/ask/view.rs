//! Everything as of one epoch, of a cluster: each read asks the processes that own what is asked.
//!
//! An epoch may be forgotten by another process before it is asked. As long as nothing of the epoch
//! was given out, the view then moves on to a newer one; after that it fails, because its reader
//! would put two epochs side by side.

use std::sync::Arc;

use parking_lot::Mutex;
use spoor_operators::identity::{Identity, IdentityId, SessionId};
use spoor_operators::rules::RuleSet;
use spoor_operators::session::Session;
use spoor_operators::time::{Epoch, EventTime};

use crate::ask::reads::{
    ContinuesOf, Extent, IdentityOf, Letters, OverviewOf, Read, RequestsOf, RetainedOf, SessionAt,
    Sessions, StatusOf, ValuesOf,
};
use crate::ask::solo::Solo;
use crate::ask::wire::{self, Question};
use crate::ask::{Peers, asker, merge};
use crate::limits::READ_BEGINNINGS_MAX;
use crate::serving::{Published, Serving};
use spoor_api::query::{
    DeadLetterPage, Filter, LetterPlace, Overview, RequestPage, RequestQuery, SessionPage,
    SessionQuery, Status,
};
use spoor_api::service::{ServiceError, View};
use spoor_api::values::{self, ValuePage, ValueQuery};

/// See the module's description.
pub(crate) struct ClusterView {
    serving: Arc<Serving>,
    peers: Arc<dyn Peers>,
    held: Mutex<Held>,
}

struct Held {
    at: Arc<Published>,
    /// Something of this epoch was given out.
    fixed: bool,
}

impl ClusterView {
    /// A view of the newest epoch.
    ///
    /// # Errors
    /// The leader does not answer, or the cluster stops.
    pub(crate) fn newest(
        serving: &Arc<Serving>,
        peers: &Arc<dyn Peers>,
    ) -> Result<Self, ServiceError> {
        let at = asker::newest(serving, peers)?;
        Ok(Self::begun(serving, peers, Held { at, fixed: false }))
    }

    /// What a process alone shows of an epoch.
    pub(crate) fn alone(serving: &Arc<Serving>, at: Arc<Published>) -> Self {
        let peers: Arc<dyn Peers> = Arc::new(Solo);
        Self::at(serving, &peers, at)
    }

    /// A view of an epoch and no other.
    pub(crate) fn at(serving: &Arc<Serving>, peers: &Arc<dyn Peers>, at: Arc<Published>) -> Self {
        Self::begun(serving, peers, Held { at, fixed: true })
    }

    fn begun(serving: &Arc<Serving>, peers: &Arc<dyn Peers>, held: Held) -> Self {
        let (serving, peers) = (Arc::clone(serving), Arc::clone(peers));
        Self { serving, peers, held: Mutex::new(held) }
    }

    /// The epoch, from now on for good.
    fn fixed(&self) -> Arc<Published> {
        let mut held = self.held.lock();
        held.fixed = true;
        Arc::clone(&held.at)
    }

    /// Asks at the epoch, or at a newer one if that is forgotten and nothing of it was given out.
    fn read<T>(
        &self,
        ask: impl Fn(&Published) -> Result<T, ServiceError>,
    ) -> Result<T, ServiceError> {
        for _ in 1..READ_BEGINNINGS_MAX {
            let at = Arc::clone(&self.held.lock().at);
            let answer = ask(&at);
            let mut held = self.held.lock();
            let forgotten = matches!(answer, Err(ServiceError::Gone(_)));
            if Arc::ptr_eq(&held.at, &at) {
                if !forgotten || held.fixed {
                    held.fixed = true;
                    return answer;
                }
                drop(held);
                self.renew(&at)?;
            } else if answer.as_ref().is_err_and(|_| !forgotten) {
                return answer;
            }
        }
        ask(&self.fixed())
    }

    /// Moves on from an epoch, unless something of it was given out meanwhile.
    fn renew(&self, from: &Arc<Published>) -> Result<(), ServiceError> {
        let newest = asker::newest(&self.serving, &self.peers)?;
        let mut held = self.held.lock();
        if !held.fixed && Arc::ptr_eq(&held.at, from) {
            held.at = newest;
        }
        Ok(())
    }

    /// The parts of all processes.
    fn all<R: Read>(&self, at: &Published, read: &R) -> Result<Vec<R::Answer>, ServiceError> {
        asker::all(&self.serving, &self.peers, at, read)
    }

    /// The part of the one process that owns an identity.
    fn owner<R: Read>(&self, identity: IdentityId, read: &R) -> Result<R::Answer, ServiceError> {
        let owner = self.peers.owner(identity.partition());
        self.read(|at| self.one(owner, at, read))
    }

    fn one<R: Read>(
        &self,
        process: usize,
        at: &Published,
        read: &R,
    ) -> Result<R::Answer, ServiceError> {
        let asked = std::iter::once(process);
        let mut parts = asker::parts(&self.serving, &self.peers, at, read, asked)?;
        Ok(parts.pop().expect("one process was asked"))
    }
}

/// The identity a filter is about, if it is about one only.
pub(crate) fn only_identity(filter: &Filter) -> Option<IdentityId> {
    match filter {
        Filter::Identity(id) => Some(*id),
        Filter::Session(id) => Some(id.identity),
        Filter::And(all) => all.iter().find_map(only_identity),
        _ => None,
    }
}

impl View for ClusterView {
    fn epoch(&self) -> Epoch {
        self.fixed().view.epoch()
    }

    fn watermark(&self) -> Option<EventTime> {
        self.fixed().view.watermark()
    }

    fn closes_at(&self, session: &Session) -> EventTime {
        self.held.lock().at.view.closes_at(session)
    }

    fn continues(&self, session: &Session) -> Result<Option<SessionId>, ServiceError> {
        self.owner(session.identity.id, &ContinuesOf(Extent::of(session)))
    }

    fn keep_for_list(&self) {
        let at = self.fixed();
        self.serving.keep_for_lists(&at);
        let Ok(question) = wire::encode(&Question::Keep { epoch: at.view.epoch() }) else { return };
        let others = (0..self.peers.count()).filter(|process| *process != self.peers.me());
        // Nobody waits: until it arrives, they keep the last epochs anyway.
        others.for_each(|process| drop(self.peers.ask(process, question.clone())));
    }

    fn sessions(&self, query: &SessionQuery) -> Result<SessionPage, ServiceError> {
        let read = Sessions(query.clone());
        match only_identity(&query.filter) {
            Some(identity) => self.owner(identity, &read),
            None => {
                self.read(|at| Ok(merge::sessions(query.order, query.first, self.all(at, &read)?)))
            }
        }
    }

    fn session(&self, id: SessionId) -> Result<Option<Arc<Session>>, ServiceError> {
        self.owner(id.identity, &SessionAt(id))
    }

    fn values(&self, session: &Session, query: &ValueQuery) -> Result<ValuePage, ServiceError> {
        if !session.summary.breakdown.is_head() {
            return Ok(values::of(session, query));
        }
        self.owner(session.identity.id, &ValuesOf(session.id(), query.clone()))
    }

    fn identity(&self, id: IdentityId) -> Result<Option<Arc<Identity>>, ServiceError> {
        self.owner(id, &IdentityOf(id))
    }

    fn requests(
        &self,
        session: &Session,
        query: &RequestQuery,
    ) -> Result<RequestPage, ServiceError> {
        self.owner(session.identity.id, &RequestsOf(Extent::of(session), query.clone()))
    }

    fn overview(
        &self,
        from: Option<EventTime>,
        until: Option<EventTime>,
        step_minutes: Option<u32>,
    ) -> Result<Overview, ServiceError> {
        let read = OverviewOf { from, until, step_minutes };
        self.read(|at| merge::overview(at.view.epoch(), self.all(at, &read)?))
    }

    fn retained(&self) -> Result<Option<(EventTime, EventTime)>, ServiceError> {
        self.read(|at| Ok(merge::retained(self.all(at, &RetainedOf)?)))
    }

    fn rules(&self) -> Arc<RuleSet> {
        self.fixed().view.rules()
    }

    fn dead_letters(
        &self,
        first: usize,
        before: Option<LetterPlace>,
    ) -> Result<DeadLetterPage, ServiceError> {
        let read = Letters { first, before };
        self.read(|at| Ok(merge::dead_letters(first, self.all(at, &read)?)))
    }

    fn status(&self) -> Result<Status, ServiceError> {
        self.read(|at| Ok(merge::status(self.all(at, &StatusOf)?)))
    }
}
