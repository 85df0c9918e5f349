//! Changes of rules and repeatable pushes go to the leader, wherever a client asks for them.
//!
//! The leader orders changes of rules; and it alone remembers the keys of pushes, so that a repeat
//! is recognised whichever process it is sent to. The client is answered when this process lets
//! everybody see the epoch of the change. A thread waits for each; their number is bounded.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use spoor_operators::rules::edit::RuleEdit;
use spoor_operators::time::Epoch;
use tokio::sync::oneshot;

use crate::ask::crossing::Crossing;
use crate::ask::wire::{self, Changed, Question};
use crate::ask::{LEADER, Peers, asker};
use crate::limits::{EPOCH_WAIT, FORWARDED_MAX, MUTATION_WAIT};
use crate::serving::Serving;
use spoor_api::service::{Push, PushAnswer, RuleChange, RuleChangeError, ServiceError};

/// Number of commands that wait for the leader.
#[derive(Default)]
pub struct Forwarded(AtomicUsize);

/// One of them.
struct Seat(Arc<Serving>);

impl Seat {
    fn take(serving: &Arc<Serving>) -> Result<Self, ServiceError> {
        let seat = Self(Arc::clone(serving));
        if serving.forwarded.0.fetch_add(1, Ordering::AcqRel) >= FORWARDED_MAX {
            return Err(ServiceError::Limit(
                "too many changes and pushes wait; try again later".into(),
            ));
        }
        Ok(seat)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.forwarded.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Has the leader change the rules.
pub(crate) fn change(
    serving: &Arc<Serving>,
    peers: &Arc<dyn Peers>,
    edit: RuleEdit,
    expected: Option<u64>,
    key: Option<String>,
) -> oneshot::Receiver<Result<RuleChange, RuleChangeError>> {
    let question = Question::Change { edit, expected, key };
    forward(serving, peers, question, |serving, outcome: Result<Changed, ServiceError>| {
        let change = wire::read_changed(outcome?)?;
        serving.published_from(change.effective_epoch, EPOCH_WAIT)?;
        Ok(change)
    })
}

/// Has the leader take records.
pub(crate) fn push(
    serving: &Arc<Serving>,
    peers: &Arc<dyn Peers>,
    push: Push,
) -> oneshot::Receiver<Result<PushAnswer, ServiceError>> {
    let question = Question::Push(push);
    forward(serving, peers, question, |serving, outcome: Result<PushAnswer, ServiceError>| {
        let answer = outcome?;
        serving.published_from(Epoch(answer.epoch), EPOCH_WAIT)?;
        Ok(answer)
    })
}

fn forward<T, A, E>(
    serving: &Arc<Serving>,
    peers: &Arc<dyn Peers>,
    question: Question,
    finish: impl FnOnce(&Serving, Result<T, ServiceError>) -> Result<A, E> + Send + 'static,
) -> oneshot::Receiver<Result<A, E>>
where
    T: Crossing,
    A: Send + 'static,
    E: From<ServiceError> + Send + 'static,
{
    let (reply, answer) = oneshot::channel();
    let seat = match Seat::take(serving) {
        Ok(seat) => seat,
        Err(error) => {
            let _ = reply.send(Err(error.into()));
            return answer;
        }
    };
    let peers = Arc::clone(peers);
    let work = move || {
        let outcome = wire::encode(&question).and_then(|question| {
            let asked = peers.ask(LEADER, question);
            asker::receive(LEADER, &asked, Instant::now() + MUTATION_WAIT)
        });
        let answer = finish(&seat.0, outcome);
        // Whoever is answered may ask for the next: the seat is free before.
        drop((seat, peers));
        let _ = reply.send(answer);
    };
    // Without a thread the reply is dropped, which tells the client that it is not answered.
    if let Err(error) = std::thread::Builder::new().name("forward".into()).spawn(work) {
        tracing::error!(%error, "a thread cannot be started to ask the leader");
    }
    answer
}
