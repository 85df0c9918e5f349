//! Asks other processes and waits for their answers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::RecvTimeoutError;
use spoor_operators::time::Epoch;

use crate::ask::crossing::Crossing;
use crate::ask::reads::{Here, Read};
use crate::ask::wire::{self, Question};
use crate::ask::{Asked, LEADER, Peers};
use crate::limits::{ANSWER_WAIT, EPOCH_WAIT};
use crate::serving::{Published, Serving};
use spoor_api::patience;
use spoor_api::service::{ServiceError, View};

/// The newest epoch everybody may see, as the leader says.
///
/// # Errors
/// It does not answer, or the cluster stops.
pub(crate) fn newest(
    serving: &Serving,
    peers: &Arc<dyn Peers>,
) -> Result<Arc<Published>, ServiceError> {
    if peers.me() == LEADER {
        return serving.published_from(Epoch(0), EPOCH_WAIT);
    }
    let question = wire::encode(&Question::Newest)?;
    let epoch = receive(LEADER, &peers.ask(LEADER, question), Instant::now() + EPOCH_WAIT)?;
    serving.published_at(epoch, EPOCH_WAIT)
}

/// The parts of some processes, in their order, as of one epoch.
///
/// # Errors
/// Of any of them: then nothing can be said.
pub(crate) fn parts<R: Read>(
    serving: &Serving,
    peers: &Arc<dyn Peers>,
    at: &Published,
    read: &R,
    processes: impl Iterator<Item = usize>,
) -> Result<Vec<R::Answer>, ServiceError> {
    let (me, epoch) = (peers.me(), at.view.epoch());
    let deadline = Instant::now() + ANSWER_WAIT;
    let mut question = None;
    let mut asked = Vec::new();
    for process in processes {
        let answer = if process == me {
            None
        } else {
            let bytes = match &question {
                Some(bytes) => Vec::clone(bytes),
                None => {
                    let read = read.clone().into();
                    question.insert(wire::encode(&Question::Read { epoch, read })?).clone()
                }
            };
            Some(peers.ask(process, bytes))
        };
        asked.push((process, answer));
    }
    // The others work meanwhile.
    let mine = asked.iter().any(|(process, _)| *process == me);
    let mut mine = mine.then(|| read.read(&Here { serving, process: me, at })).transpose()?;
    let answers = asked.into_iter().map(|(process, answer)| match answer {
        Some(answer) => receive(process, &answer, deadline),
        None => Ok(mine.take().expect("it was read, and each process is asked once")),
    });
    answers.collect()
}

/// The parts of all processes.
///
/// # Errors
/// See [`parts`].
pub(crate) fn all<R: Read>(
    serving: &Serving,
    peers: &Arc<dyn Peers>,
    at: &Published,
    read: &R,
) -> Result<Vec<R::Answer>, ServiceError> {
    parts(serving, peers, at, read, 0..peers.count())
}

/// How often a waiting read looks whether anybody still waits for it: patience tells nobody when it
/// ends.
const PATIENCE_LOOK: Duration = Duration::from_millis(50);

/// Waits for an answer.
///
/// # Errors
/// What the other process says, or that it says nothing.
pub(crate) fn receive<T: Crossing>(
    process: usize,
    asked: &Asked,
    deadline: Instant,
) -> Result<T, ServiceError> {
    let answer = loop {
        if patience::has_ended() {
            return Err(ServiceError::Unwanted);
        }
        match asked.answer.recv_deadline(deadline.min(Instant::now() + PATIENCE_LOOK)) {
            Err(RecvTimeoutError::Timeout) if Instant::now() < deadline => {}
            answer => break answer,
        }
    };
    match answer {
        Ok(bytes) => {
            let read = wire::decode::<Result<T, ServiceError>>(&bytes);
            read.map_err(|reason| ServiceError::Peer { process, reason })?
        }
        Err(RecvTimeoutError::Timeout) => Err(ServiceError::Unanswered(process)),
        Err(RecvTimeoutError::Disconnected) => Err(ServiceError::Stopped),
    }
}
