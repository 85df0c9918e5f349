//! What the coordinator is asked for, and what it hands the committer.
//!
//! Whoever waits for an answer has put the sending half of a channel in here; when the engine ends
//! all of these are dropped, and who waits hears of it.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use spoor_operators::rules::RuleSet;
use spoor_operators::rules::edit::RuleEdit;
use tokio::sync::oneshot;

use crate::mail::Note;
use crate::plan::{EpochPlan, Origin};
use spoor_api::service::{Push, PushAnswer, RuleChange, RuleChangeError, ServiceError};
use spoor_input::source::SourceId;

/// Answers a push.
pub type PushReply = oneshot::Sender<Result<PushAnswer, ServiceError>>;
/// Answers a change of rules.
pub type RuleReply = oneshot::Sender<Result<RuleChange, RuleChangeError>>;

/// What the coordinator is asked for.
pub enum Command {
    /// Take records.
    Push {
        /// What to take.
        push: Push,
        /// Where the answer goes.
        reply: PushReply,
    },
    /// Change the rules.
    Change {
        /// How.
        edit: Box<RuleEdit>,
        /// The version it was made for.
        expected: Option<u64>,
        /// Makes a repeat harmless.
        key: Option<String>,
        /// Where the answer goes.
        reply: RuleReply,
    },
    /// An epoch was committed.
    Committed,
    /// Another process of the cluster says something.
    Told(usize, Note),
    /// Commit what was taken, then end.
    Stop,
}

/// A push that waits for its commit.
pub struct PendingPush {
    /// Which requests are its.
    pub origin: Origin,
    /// Under which its answer is remembered, with the hash of what was pushed.
    pub key: Option<(String, [u8; 32])>,
    /// Who waits.
    pub replies: Vec<PushReply>,
}

/// A change of rules that waits for its commit.
pub struct PendingChange {
    /// The new rules.
    pub rules: Arc<RuleSet>,
    /// Under which it is remembered, with the edit it was used for.
    pub key: Option<(String, Vec<u8>)>,
    /// Who waits.
    pub replies: Vec<RuleReply>,
}

/// A closed epoch, for the committer.
pub struct Closed {
    /// What the workers do in it.
    pub plan: Arc<EpochPlan>,
    /// Where each source is after it: checkpoint and offset.
    pub marks: HashMap<SourceId, (Bytes, u64)>,
    /// Sources read to their end in it.
    pub ended: Vec<SourceId>,
    /// Pushes to answer.
    pub pushes: Vec<PendingPush>,
    /// A change of rules it begins with.
    pub change: Option<PendingChange>,
}

impl Closed {
    /// With nothing in it yet.
    #[must_use]
    pub fn new(plan: Arc<EpochPlan>) -> Self {
        Self { plan, marks: HashMap::new(), ended: Vec::new(), pushes: Vec::new(), change: None }
    }
}
