//! The services of a running engine: reads, rules, ingest.
//!
//! Of a process alone, everything is answered here and now; of a cluster, see `ask/`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::Sender;
use spoor_operators::rules::edit::RuleEdit;
use spoor_operators::time::Epoch;
use tokio::sync::oneshot;

use crate::ask::view::ClusterView;
use crate::ask::{LEADER, Peers, forward};
use crate::command::Command;
use crate::feed::EngineFeed;
use crate::limits::{EPOCH_WAIT, PUSHES_WAITING_MAX};
use crate::serving::Serving;
use spoor_api::service::{
    Ingest, Push, PushAnswer, Reader, RuleAdmin, RuleChange, RuleChangeError, ServiceError,
    Services, View,
};
use spoor_store::StoreView;

/// The services of an engine.
pub(crate) fn services(
    serving: &Arc<Serving>,
    commands: &Sender<Command>,
    pushes: &Sender<Command>,
) -> Services {
    Services {
        reader: Arc::new(EngineReader(Arc::clone(serving))),
        feed: Arc::new(EngineFeed(Arc::clone(serving))),
        admin: Arc::new(EngineAdmin { serving: Arc::clone(serving), commands: commands.clone() }),
        ingest: Arc::new(EngineIngest { serving: Arc::clone(serving), pushes: pushes.clone() }),
    }
}

struct EngineReader(Arc<Serving>);

impl Reader for EngineReader {
    fn ready(&self) -> Result<Epoch, ServiceError> {
        let epoch = self.0.view()?.epoch();
        if self.0.fate.is_stopped() {
            return Err(ServiceError::Stopped);
        }
        match self.0.fate.silent() {
            Some(process) => Err(ServiceError::Unanswered(process)),
            None => Ok(epoch),
        }
    }

    fn view(&self) -> Result<Arc<dyn View>, ServiceError> {
        match self.0.cluster() {
            None => {
                self.0.view()?;
                Ok(Arc::new(ClusterView::alone(&self.0, self.0.published())))
            }
            Some(peers) => Ok(Arc::new(ClusterView::newest(&self.0, peers)?)),
        }
    }

    fn view_at(&self, epoch: Epoch) -> Result<Arc<dyn View>, ServiceError> {
        // In a cluster another process may have told of an epoch that is not here yet.
        let cluster = self.0.cluster();
        let wait = if cluster.is_some() { EPOCH_WAIT } else { Duration::ZERO };
        let at = self.0.published_at(epoch, wait).map_err(|error| match error {
            ServiceError::NotYet(epoch) => ServiceError::Gone(epoch),
            other => other,
        })?;
        Ok(Arc::new(match cluster {
            None => ClusterView::alone(&self.0, at),
            Some(peers) => ClusterView::at(&self.0, peers, at),
        }))
    }

    fn wait_for(&self, epoch: Epoch, timeout: Duration) -> Result<(), ServiceError> {
        let plan = &self.0.plan;
        let look = || {
            let is_there = plan.committed() >= epoch.0;
            let stopped = || self.0.fate.is_stopped().then_some(Err(ServiceError::Stopped));
            if is_there { Some(Ok(())) } else { stopped() }
        };
        // A time too far away for a clock is none.
        let waited = plan.signal().wait(Instant::now().checked_add(timeout), look);
        waited.unwrap_or(Err(ServiceError::NotYet(epoch.0)))
    }
}

impl Serving {
    /// A view of the newest committed epoch.
    pub(crate) fn view(&self) -> Result<Arc<StoreView>, ServiceError> {
        if self.plan.has_failed() {
            return Err(ServiceError::Failed(self.fate.why_failed()));
        }
        Ok(Arc::clone(&self.published().view))
    }
}

struct EngineAdmin {
    serving: Arc<Serving>,
    commands: Sender<Command>,
}

impl RuleAdmin for EngineAdmin {
    fn change(
        &self,
        edit: RuleEdit,
        expected_version: Option<u64>,
        key: Option<String>,
    ) -> oneshot::Receiver<Result<RuleChange, RuleChangeError>> {
        match elsewhere(&self.serving) {
            Some(peers) => forward::change(&self.serving, peers, edit, expected_version, key),
            None => change(&self.commands, edit, expected_version, key),
        }
    }
}

/// The cluster, when its leader is another process.
fn elsewhere(serving: &Serving) -> Option<&Arc<dyn Peers>> {
    serving.cluster().filter(|peers| peers.me() != LEADER)
}

/// Has the coordinator of this process change the rules.
pub(crate) fn change(
    commands: &Sender<Command>,
    edit: RuleEdit,
    expected: Option<u64>,
    key: Option<String>,
) -> oneshot::Receiver<Result<RuleChange, RuleChangeError>> {
    let (reply, answer) = oneshot::channel();
    let command = Command::Change { edit: Box::new(edit), expected, key, reply };
    if let Err(error) = commands.send(command)
        && let Command::Change { reply, .. } = error.0
    {
        let _ = reply.send(Err(ServiceError::Stopped.into()));
    }
    answer
}

struct EngineIngest {
    serving: Arc<Serving>,
    pushes: Sender<Command>,
}

impl Ingest for EngineIngest {
    fn take(&self, push: Push) -> oneshot::Receiver<Result<PushAnswer, ServiceError>> {
        match elsewhere(&self.serving) {
            Some(peers) if push.key.is_some() => forward::push(&self.serving, peers, push),
            _ => take(&self.pushes, push),
        }
    }
}

/// Has the coordinator of this process take records. Few wait for it: callers at the same instant
/// may exceed [`PUSHES_WAITING_MAX`] by their number.
pub(crate) fn take(
    pushes: &Sender<Command>,
    push: Push,
) -> oneshot::Receiver<Result<PushAnswer, ServiceError>> {
    let (reply, answer) = oneshot::channel();
    if pushes.len() >= PUSHES_WAITING_MAX {
        let error = ServiceError::Limit("too many pushes wait; try again later".into());
        let _ = reply.send(Err(error));
    } else if let Err(error) = pushes.send(Command::Push { push, reply })
        && let Command::Push { reply, .. } = error.0
    {
        let _ = reply.send(Err(ServiceError::Stopped));
    }
    answer
}
