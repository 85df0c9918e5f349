//! Questions between the processes of a cluster: what makes any of them able to answer anything.
//!
//! Every process owns some virtual partitions and answers for the sessions of their identities.
//! Whoever is asked by a client names one epoch ([`LEADER`] says which is the newest), asks the
//! processes that own what is asked for, and merges their answers, all as of that epoch. So epochs
//! never go back for a client that goes from process to process, provided that the leader lets
//! everybody see an epoch before the others do. How questions travel is not known here: see
//! [`Peers`] and [`Answerer`]. A process alone has no peers and takes none of these ways.

pub mod asker;
pub mod crossing;
pub mod desk;
pub mod export;
pub mod forward;
pub mod history;
pub mod lists;
pub mod merge;
pub mod reads;
pub mod solo;
#[cfg(test)]
mod tests;
pub mod view;
pub mod wire;

use std::sync::Arc;

use crossbeam_channel::Receiver;

pub use desk::Desk;

pub use crate::LEADER;
use crate::serving::Serving;

/// How a process reaches the others of its cluster.
pub trait Peers: Send + Sync + 'static {
    /// The number of this process.
    fn me(&self) -> usize;

    /// Processes there are, this one included.
    fn count(&self) -> usize;

    /// The process that owns a virtual partition.
    fn owner(&self, partition: u16) -> usize;

    /// Sends a question to another process. Its answer comes; or nothing (the sender is dropped)
    /// when the cluster stops. Never blocks.
    fn ask(&self, process: usize, question: Vec<u8>) -> Asked;
}

/// A question that was asked. Whoever drops it waits for its answer no more.
pub struct Asked {
    pub(crate) answer: Receiver<Vec<u8>>,
    /// Called when it is dropped.
    forget: Option<Box<dyn FnOnce() + Send>>,
}

impl Asked {
    /// A question whose answer comes there; `forget` is called when nobody waits for it any more.
    pub fn new(answer: Receiver<Vec<u8>>, forget: impl FnOnce() + Send + 'static) -> Self {
        Self { answer, forget: Some(Box::new(forget)) }
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        if let Some(forget) = self.forget.take() {
            forget();
        }
    }
}

/// Sends an answer to whoever asked; may be called later, from any thread.
pub type Reply = Box<dyn FnOnce(Vec<u8>) + Send>;

/// Answers the questions of other processes.
pub trait Answerer: Send + Sync + 'static {
    /// Takes a question of another process. Never blocks: the work is done by threads of its own.
    fn handle(&self, from: usize, question: Vec<u8>, reply: Reply);
}

impl Serving {
    /// The other processes, if there are any.
    pub(crate) fn cluster(&self) -> Option<&Arc<dyn Peers>> {
        self.peers.get().filter(|peers| peers.count() > 1)
    }
}
