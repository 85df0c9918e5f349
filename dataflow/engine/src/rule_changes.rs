//! Changes of rules, prepared beside the traffic: compiling many patterns takes seconds, in which the
//! coordinator goes on closing epochs and taking pushes.
//!
//! One change is prepared at a time, in a thread of its own, and applied by the coordinator before
//! the next is begun: each is an edit of the rules that are in force when its turn comes.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, bounded};
use spoor_operators::assign::CompiledRules;
use spoor_operators::rules::RuleSet;
use spoor_operators::rules::edit::RuleEdit;

use crate::Context;
use crate::command::RuleReply;
use spoor_api::service::RuleChangeError;

/// A change somebody asked for.
pub struct Request {
    /// How.
    pub edit: Box<RuleEdit>,
    /// The version it was made for.
    pub expected: Option<u64>,
    /// Makes a repeat harmless.
    pub key: Option<String>,
    /// Where the answer goes.
    pub reply: RuleReply,
}

/// The rules after a change, in both forms.
pub type Changed = (Arc<RuleSet>, Arc<CompiledRules>);

/// A change that can be applied, or why not.
pub struct Prepared {
    /// What was asked for.
    pub request: Request,
    /// What comes of it.
    pub outcome: Result<Changed, RuleChangeError>,
}

/// Changes that wait, and where the one in preparation arrives.
pub struct RuleChanges {
    waiting: VecDeque<Request>,
    is_preparing: bool,
    prepared: (Sender<Prepared>, Receiver<Prepared>),
}

impl Default for RuleChanges {
    fn default() -> Self {
        // One at a time: its thread never waits for room.
        Self { waiting: VecDeque::new(), is_preparing: false, prepared: bounded(1) }
    }
}

impl RuleChanges {
    /// Where a prepared change arrives; [`RuleChanges::applied`] is to be called for each.
    pub fn prepared(&self) -> &Receiver<Prepared> {
        &self.prepared.1
    }

    /// Takes a change. `current` are the rules in force.
    pub fn ask(&mut self, context: &Arc<Context>, current: &Arc<CompiledRules>, request: Request) {
        self.waiting.push_back(request);
        self.prepare(context, current);
    }

    /// The change that arrived is dealt with: the next may begin, with the rules now in force.
    pub fn applied(&mut self, context: &Arc<Context>, current: &Arc<CompiledRules>) {
        self.is_preparing = false;
        self.prepare(context, current);
    }

    fn prepare(&mut self, context: &Arc<Context>, current: &Arc<CompiledRules>) {
        if self.is_preparing {
            return;
        }
        let Some(request) = self.waiting.pop_front() else { return };
        self.is_preparing = true;
        let (context, current) = (Arc::clone(context), Arc::clone(current));
        let to = self.prepared.0.clone();
        let fails = Arc::clone(&context);
        let work = move || {
            let outcome = changed(&context, current.rules(), &request);
            // Only a coordinator that has ended does not listen; then nobody waits for an answer.
            let _ = to.send(Prepared { request, outcome });
        };
        let thread = std::thread::Builder::new().name("rules".into()).spawn(move || {
            if catch_unwind(AssertUnwindSafe(work)).is_err() {
                let context = &fails;
                context.fate.fail("a thread that compiles rules panicked; see the log".into());
            }
        });
        if let Err(error) = thread {
            // The request was dropped with the closure: whoever waits hears of it.
            tracing::error!(%error, "no thread to compile rules in; the change is dropped");
            self.is_preparing = false;
        }
    }
}

/// The rules after an edit, if it is well formed.
fn changed(
    context: &Context,
    current: &RuleSet,
    request: &Request,
) -> Result<Changed, RuleChangeError> {
    if request.expected.is_some_and(|expected| expected != current.version) {
        return Err(RuleChangeError::Conflict { current: Arc::new(current.clone()) });
    }
    let rules = current.edited(&request.edit).map_err(RuleChangeError::Invalid)?;
    let compiled = context.rulebook.compile(&rules).map_err(RuleChangeError::Invalid)?;
    Ok((Arc::new(rules), compiled))
}
