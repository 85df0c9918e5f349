//! Questions between the processes of a cluster: what makes any of them able to answer anything.
//!
//! Every process owns some virtual partitions and answers for the sessions of their identities.
//! Whoever is asked by a client names one epoch, asks the processes that own what is asked for, and
//! merges their answers. How questions travel is not known here: see [`Peers`] and [`Answerer`].
//! A process alone has no peers and takes none of these ways.

use crossbeam_channel::Receiver;

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
    fn ask(&self, process: usize, question: Vec<u8>) -> Receiver<Vec<u8>>;
}

/// Sends an answer to whoever asked; may be called later, from any thread.
pub type Reply = Box<dyn FnOnce(Vec<u8>) + Send>;

/// Answers the questions of other processes.
pub trait Answerer: Send + Sync + 'static {
    /// Takes a question of another process. Never blocks: the work is done by threads of its own.
    fn handle(&self, from: usize, question: Vec<u8>, reply: Reply);
}
