//! Answers the questions of other processes, on threads of its own.
//!
//! It holds the engine weakly: the transport holds the desk, and the engine the transport.

use std::io;
use std::sync::{Arc, Weak};
use std::time::Instant;

use crossbeam_channel::Sender;
use spoor_operators::time::Epoch;
use tokio::runtime::Runtime;

use crate::ask::crossing::Crossing;
use crate::ask::reads::Here;
use crate::ask::wire::{self, Question};
use crate::ask::{Answerer, Reply};
use crate::command::Command;
use crate::limits::{ANSWER_THREADS_MAX, ANSWER_WAIT, EPOCH_WAIT};
use crate::serving::Serving;
use crate::{Engine, reader};
use spoor_api::patience::Patience;
use spoor_api::service::{ServiceError, View};

/// See the module's description.
pub struct Desk {
    shared: Arc<Shared>,
    /// Taken when the desk is closed.
    threads: Option<Runtime>,
}

struct Shared {
    serving: Weak<Serving>,
    /// The number of this process.
    me: usize,
    commands: Sender<Command>,
    pushes: Sender<Command>,
}

impl Desk {
    /// The desk of an engine that is process `me` of its cluster.
    ///
    /// # Errors
    /// The system refuses a thread.
    pub fn of(engine: &Engine, me: usize) -> io::Result<Self> {
        Self::new(&engine.context.serving, me, engine.commands.clone(), engine.pushes.clone())
    }

    /// As [`Desk::of`], of the parts of an engine.
    ///
    /// # Errors
    /// The system refuses a thread.
    pub(crate) fn new(
        serving: &Arc<Serving>,
        me: usize,
        commands: Sender<Command>,
        pushes: Sender<Command>,
    ) -> io::Result<Self> {
        let threads = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .max_blocking_threads(ANSWER_THREADS_MAX)
            .thread_name("answers")
            .build()?;
        let shared = Shared { serving: Arc::downgrade(serving), me, commands, pushes };
        Ok(Self { shared: Arc::new(shared), threads: Some(threads) })
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        // Whoever drops it may be on an async thread, where waiting is not allowed.
        if let Some(threads) = self.threads.take() {
            threads.shutdown_background();
        }
    }
}

impl Answerer for Desk {
    fn handle(&self, from: usize, question: Vec<u8>, reply: Reply) {
        let Some(threads) = &self.threads else { return };
        let shared = Arc::clone(&self.shared);
        let later = threads.handle().clone();
        threads.spawn_blocking(move || match wire::decode(&question) {
            Ok(question) => shared.answer(question, &later, reply),
            Err(reason) => {
                tracing::error!(from, %reason, "a question of another process is not understood");
                let refusal = ServiceError::Peer { process: shared.me, reason };
                reply(wire::answer::<()>(&Err(refusal)));
            }
        });
    }
}

impl Shared {
    fn answer(&self, question: Question, later: &tokio::runtime::Handle, reply: Reply) {
        match question {
            Question::Newest => reply(wire::answer(&self.newest())),
            Question::Read { epoch, read } => {
                let serving = match self.serving() {
                    Ok(serving) => serving,
                    Err(error) => return reply(wire::answer::<()>(&Err(error))),
                };
                let answer = match serving.published_at(epoch, EPOCH_WAIT) {
                    // By then the asker has given up.
                    Ok(at) => Patience::until(Instant::now() + ANSWER_WAIT).while_waiting(|| {
                        read.answer(&Here { serving: &serving, process: self.me, at: &at })
                    }),
                    Err(error) => wire::answer::<()>(&Err(error)),
                };
                // The asker may be done with the engine as soon as it is told.
                drop(serving);
                reply(answer);
            }
            Question::Keep { epoch } => {
                let kept = self.serving().and_then(|serving| {
                    let at = serving.published_at(epoch, EPOCH_WAIT)?;
                    serving.keep_for_lists(&at);
                    Ok(())
                });
                reply(wire::answer(&kept));
            }
            Question::Change { edit, expected, key } => {
                let outcome = reader::change(&self.commands, edit, expected, key);
                later.spawn(async move {
                    let changed = outcome.await.ok().map(|outcome| Ok(wire::changed(outcome)));
                    reply(answer_of(changed));
                });
            }
            Question::Push(push) => {
                let outcome = reader::take(&self.pushes, push);
                later.spawn(async move { reply(answer_of(outcome.await.ok())) });
            }
        }
    }

    fn serving(&self) -> Result<Arc<Serving>, ServiceError> {
        self.serving.upgrade().ok_or(ServiceError::Stopped)
    }

    fn newest(&self) -> Result<Epoch, ServiceError> {
        Ok(self.serving()?.published_from(Epoch(0), EPOCH_WAIT)?.view.epoch())
    }
}

/// The answer to a command; none: the engine ended before there was one.
fn answer_of<T: Crossing>(outcome: Option<Result<T, ServiceError>>) -> Vec<u8> {
    wire::answer(&outcome.unwrap_or(Err(ServiceError::Stopped)))
}
