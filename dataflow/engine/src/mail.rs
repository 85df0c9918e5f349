//! Mail: how the processes of a cluster talk while the dataflow runs, and how they learn that all
//! have staged an epoch.
//!
//! A small dataflow of its own, over the same connections as the requests: letters go from process
//! to process, in the order they were posted. Beside it each process holds the capability of the
//! first epoch it has not staged; when that frontier has passed an epoch, every process has staged
//! it, and it may be promoted. Nobody else coordinates.
//!
//! Letters are read on a worker's thread: whoever gets them only hands them on.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use timely::container::CapacityContainerBuilder;
use timely::dataflow::ProbeHandle;
use timely::dataflow::channels::pact::{Exchange, Pipeline};
use timely::dataflow::operators::Probe;
use timely::dataflow::operators::generic::operator::{Operator, source};
use timely::scheduling::SyncActivator;
use timely::worker::Worker;

use crate::ask::{Answerer, Asked, Peers, crossing};
use crate::signal::Signal;

/// What processes tell each other.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Note {
    /// From the leader: the open epoch is closed and this one begins.
    Turn(Turn),
    /// From the leader: the open epoch, which is this one, is the last.
    End(u64),
    /// From the leader: every process has staged this epoch and the leader has published it.
    Visible(u64),
    /// To the leader: there is work in this epoch; `full`: and no room for more.
    Wants {
        /// The epoch that is open at the sender.
        epoch: u64,
        /// Input waits until it is closed.
        full: bool,
    },
    /// To the leader: no source has anything to come.
    SourcesEnded {
        /// Why some could not be read to their end.
        failures: Vec<String>,
    },
    /// From the leader of a replay: nobody asks anything any more.
    Released,
    /// To the leader: somebody asked a process to stop.
    Stop,
    /// What the workers of a process found out in an epoch.
    Found(Found),
    /// To be answered under this number.
    Question(u64, Vec<u8>),
    /// The answer to the question of this number.
    Answer(u64, Vec<u8>),
    /// The sender cannot go on, because a process has failed.
    Failed {
        /// The one that failed first.
        process: usize,
        /// Why.
        reason: String,
    },
}

/// The beginning of an epoch.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Turn {
    /// Its number.
    pub epoch: u64,
    /// Rules that are in force from it on, as JSON; none: as before.
    pub rules: Option<String>,
    /// A regroup on its way: version of the rules, first epoch under them.
    pub regroup: Option<(u64, u64)>,
    /// The first retained day.
    pub first_day: Option<i32>,
    /// Days are dropped in this epoch.
    pub drops_days: bool,
}

/// What one process found out in an epoch, for the others.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Found {
    /// Which epoch.
    pub epoch: u64,
    /// Least watermark of its live sources, and the furthest of all.
    pub reach: Reach,
    /// Duplicates of requests the receiver had brought, by origin.
    pub duplicates: Vec<(u32, u64)>,
    /// Its workers are done with the regroup that is on its way.
    pub is_regrouped: bool,
}

/// How far the event time of some sources is, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reach {
    /// The least watermark of the live ones.
    pub live: Option<i64>,
    /// The greatest of all.
    pub furthest: Option<i64>,
}

type Letter = (u64, u32, Vec<u8>);

/// Takes letters: who sent it, what it says.
pub type Inbox = dyn Fn(usize, Note) + Send + Sync;

/// See the module's description.
pub struct Mail {
    me: usize,
    processes: usize,
    workers: usize,
    post: Sender<Letter>,
    posted: Receiver<Letter>,
    wake: Mutex<Vec<SyncActivator>>,
    /// One more than the last epoch this process has staged.
    unstaged: AtomicU64,
    unstaged_by_any: AtomicU64,
    is_closed: AtomicBool,
    is_released: AtomicBool,
    signal: Arc<Signal>,
    next_question: AtomicU64,
    /// Who waits for answers, by the numbers of their questions.
    asked: Mutex<Option<HashMap<u64, Sender<Vec<u8>>>>>,
}

impl Mail {
    /// Of process `me`, which goes on behind the epoch `committed`.
    #[must_use]
    pub fn new(
        (me, processes): (usize, usize),
        workers: usize,
        committed: u64,
        signal: Arc<Signal>,
    ) -> Arc<Self> {
        let (post, posted) = unbounded();
        Arc::new(Self {
            me,
            processes,
            workers,
            post,
            posted,
            wake: Mutex::default(),
            unstaged: AtomicU64::new(committed + 1),
            unstaged_by_any: AtomicU64::new(committed + 1),
            is_closed: AtomicBool::new(false),
            is_released: AtomicBool::new(false),
            signal,
            next_question: AtomicU64::new(0),
            asked: Mutex::new(Some(HashMap::new())),
        })
    }

    /// Number of this process.
    #[must_use]
    pub fn me(&self) -> usize {
        self.me
    }

    /// Number of processes.
    #[must_use]
    pub fn processes(&self) -> usize {
        self.processes
    }

    /// The others.
    pub fn others(&self) -> impl Iterator<Item = usize> + use<> {
        let me = self.me;
        (0..self.processes).filter(move |process| *process != me)
    }

    /// Sends a note to a process, which may be this one.
    pub fn send(&self, to: usize, note: &Note) {
        let bytes = crossing::write(note);
        // Both ends are here.
        let _ = self.post.send(((to * self.workers) as u64, self.me as u32, bytes));
        self.activate();
    }

    /// Sends a note to all others.
    pub fn broadcast(&self, note: &Note) {
        self.others().for_each(|process| self.send(process, note));
    }

    /// This process has staged an epoch.
    pub fn staged(&self, epoch: u64) {
        self.unstaged.store(epoch + 1, Ordering::Release);
        self.activate();
    }

    /// Waits until every process has staged an epoch, or `give_up` says so. Whether they have.
    pub fn wait_staged(&self, epoch: u64, give_up: impl Fn() -> bool) -> bool {
        let all = || self.unstaged_by_any.load(Ordering::Acquire) > epoch;
        let look = || if all() { Some(true) } else { give_up().then_some(false) };
        self.signal.wait(None, look).unwrap_or(false)
    }

    /// Nobody asks this process anything any more.
    pub fn release(&self) {
        self.is_released.store(true, Ordering::Release);
        self.signal.tell();
    }

    /// Waits until nobody asks this process anything any more, or `give_up` says so.
    pub fn wait_released(&self, give_up: impl Fn() -> bool) {
        let is_over = || self.is_released.load(Ordering::Acquire) || give_up();
        self.signal.wait(None, || is_over().then_some(()));
    }

    /// Nothing is sent any more; what was sent arrives.
    pub fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
        self.activate();
    }

    /// Nobody will be answered any more.
    pub fn forget_questions(&self) {
        self.asked.lock().take();
    }

    /// Nobody waits for this answer any more.
    fn forget_question(&self, question: u64) {
        if let Some(asked) = self.asked.lock().as_mut() {
            asked.remove(&question);
        }
    }

    /// Hands an answer to whoever asked, if somebody waits for it.
    pub fn answered(&self, question: u64, answer: Vec<u8>) {
        let asked = self.asked.lock().as_mut().and_then(|asked| asked.remove(&question));
        if let Some(asker) = asked {
            // It may not wait any more.
            let _ = asker.send(answer);
        }
    }

    /// Has a question of another process answered, whenever that is done.
    pub fn hand_over(self: &Arc<Self>, to: &dyn Answerer, from: usize, id: u64, question: Vec<u8>) {
        let mail = Arc::clone(self);
        let reply = move |answer| mail.send(from, &Note::Answer(id, answer));
        to.handle(from, question, Box::new(reply));
    }

    fn activate(&self) {
        for activator in self.wake.lock().iter() {
            // A worker that is gone need not be woken.
            let _ = activator.activate();
        }
    }
}

/// The processes of a cluster, over its mail.
pub struct MailPeers {
    /// The mail.
    pub mail: Arc<Mail>,
    /// Who owns what.
    pub ownership: crate::cluster::Ownership,
}

impl Peers for MailPeers {
    fn me(&self) -> usize {
        self.mail.me
    }

    fn count(&self) -> usize {
        self.mail.processes
    }

    fn owner(&self, partition: u16) -> usize {
        self.ownership.process(partition)
    }

    fn ask(&self, process: usize, question: Vec<u8>) -> Asked {
        let (answer, answered) = bounded(1);
        let id = self.mail.next_question.fetch_add(1, Ordering::Relaxed);
        if let Some(asked) = self.mail.asked.lock().as_mut() {
            asked.insert(id, answer);
            self.mail.send(process, &Note::Question(id, question));
        }
        let mail = Arc::clone(&self.mail);
        Asked::new(answered, move || mail.forget_question(id))
    }
}

/// How far the mail of a worker is.
pub struct MailProgress {
    letters: ProbeHandle<u64>,
    staged: ProbeHandle<u64>,
    mail: Arc<Mail>,
    is_first: bool,
}

impl MailProgress {
    /// Whether every process has closed its mail and everything has arrived.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.letters.done() && self.staged.done()
    }

    /// To be called after every step of the worker.
    pub fn look(&self) {
        if !self.is_first {
            return;
        }
        let frontier = self.staged.with_frontier(|frontier| frontier.first().copied());
        let frontier = frontier.unwrap_or(u64::MAX);
        if self.mail.unstaged_by_any.fetch_max(frontier, Ordering::AcqRel) < frontier {
            self.mail.signal.tell();
        }
    }
}

/// Builds the mail's dataflow on a worker.
pub fn install(worker: &mut Worker, mail: &Arc<Mail>, inbox: &Arc<Inbox>) -> MailProgress {
    let is_first = worker.index() == mail.me * mail.workers;
    let (letters, staged) = (ProbeHandle::new(), ProbeHandle::new());
    let (mail_here, inbox) = (Arc::clone(mail), Arc::clone(inbox));
    worker.dataflow::<u64, _, _>(|scope| {
        let post = Arc::clone(&mail_here);
        source::<_, CapacityContainerBuilder<Vec<Letter>>, _, _>(
            scope,
            "Post",
            move |capability, info| {
                let mut capability = is_first.then_some(capability);
                if is_first {
                    let activator = scope.worker().sync_activator_for(info.address.to_vec());
                    post.wake.lock().push(activator);
                }
                move |output| {
                    let Some(held) = &capability else { return };
                    // What was posted before the mail was closed is sent.
                    let is_closed = post.is_closed.load(Ordering::Acquire);
                    output.session(held).give_iterator(post.posted.try_iter());
                    if is_closed {
                        capability = None;
                    }
                }
            },
        )
        .unary::<CapacityContainerBuilder<Vec<()>>, _, _, _>(
            Exchange::new(|(to, _, _): &Letter| *to),
            "Deliver",
            move |_, _| {
                move |input, _output| {
                    input.for_each(|_, letters| {
                        for (_, from, bytes) in letters.drain(..) {
                            deliver(&*inbox, from, &bytes);
                        }
                    });
                }
            },
        )
        .probe_with(&letters);

        let stage = Arc::clone(&mail_here);
        source::<_, CapacityContainerBuilder<Vec<()>>, _, _>(
            scope,
            "Staged",
            move |capability, info| {
                let mut capability = is_first.then_some(capability);
                if is_first {
                    let activator = scope.worker().sync_activator_for(info.address.to_vec());
                    stage.wake.lock().push(activator);
                }
                move |_output| {
                    let Some(held) = &mut capability else { return };
                    held.downgrade(&stage.unstaged.load(Ordering::Acquire));
                    if stage.is_closed.load(Ordering::Acquire) {
                        capability = None;
                    }
                }
            },
        )
        .unary::<CapacityContainerBuilder<Vec<()>>, _, _, _>(Pipeline, "All staged", |_, _| {
            |_, _| {}
        })
        .probe_with(&staged);
    });
    MailProgress { letters, staged, mail: mail_here, is_first }
}

fn deliver(inbox: &Inbox, from: u32, bytes: &[u8]) {
    match crossing::read(bytes) {
        Ok(note) => inbox(from as usize, note),
        Err(error) => tracing::error!(%error, "process {from} sent what is not understood"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::Ownership;

    #[test]
    fn a_question_is_noted_as_long_as_somebody_waits_for_its_answer() {
        let mail = Mail::new((0, 2), 1, 0, Arc::default());
        let peers = MailPeers { mail: Arc::clone(&mail), ownership: Ownership::new(2, 1) };
        let noted = || mail.asked.lock().as_ref().map(HashMap::len);
        let (first, second) = (peers.ask(1, vec![1]), peers.ask(1, vec![2]));
        assert_eq!(noted(), Some(2));
        drop(first);
        assert_eq!(noted(), Some(1));
        // An answer that comes too late is nobody's.
        mail.answered(0, vec![7]);
        mail.answered(1, vec![8]);
        assert_eq!((noted(), second.answer.try_recv()), (Some(0), Ok(vec![8])));
        let third = peers.ask(1, vec![3]);
        mail.forget_questions();
        assert!(third.answer.recv().is_err());
        drop((second, third));
        assert_eq!(noted(), None);
    }
}
