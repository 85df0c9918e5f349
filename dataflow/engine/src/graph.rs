//! The dataflow, on one page.
//!
//! ```text
//! sources -> ingest (decode, scope, assign) -+==exchange by identity==> sessionize -+-> commit
//!                     rules -> regroup ------+                                      +-> overview
//! ```
//!
//! Every worker builds the same graph. What leaves it at the right is gathered in the epoch's
//! [`Findings`](crate::plan::Findings) and committed when the probe has passed the epoch.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use differential_dataflow::VecCollection;
use spoor_operators::session::Session;
use spoor_operators::sessionize::backend::ByEpoch;
use spoor_operators::sessionize::operator::{Sessionize, SessionizeOptions};
use spoor_operators::sessionize::spill::Spilling;
use timely::dataflow::ProbeHandle;
use timely::worker::Worker;

use crate::Context;
use crate::backend::StoreBackend;
use crate::backfill::SharedSteps;
use crate::ingest::ingest;
use crate::limits::{FAREWELL, PARK_MAX};
use crate::mail::{self, Inbox, MailProgress};
use crate::overview::overview;
use crate::plan::Plan;
use crate::progress::Progress;
use crate::regroup::regroup;
use spoor_store::failpoint;

/// Builds the graph on a worker and runs it to its end.
pub fn run(worker: &mut Worker, context: &Context, progress: &Progress, inbox: &Arc<Inbox>) {
    // Among the workers of this process.
    let (index, first) = (worker.index() % context.place.workers, context.place.first_epoch);
    let mail = context.place.mail.as_ref().map(|mail| mail::install(worker, mail, inbox));
    let probe = ProbeHandle::new();
    worker.dataflow::<u64, _, _>(|scope| {
        let plan = &context.plan;
        let store = &context.store;
        let (steps, limit) = (SharedSteps::default(), context.choices.limits.regroup());
        let backend = StoreBackend::new(
            Arc::clone(plan),
            store.clone(),
            index,
            Arc::clone(&context.gauges.hot),
            context.choices.remembers_changes,
            (Rc::clone(&steps), limit),
        );
        let wake = Arc::clone(plan);
        let options = SessionizeOptions {
            hot_bytes_max: context.choices.hot_bytes_max / context.place.workers,
            first,
            requests: false,
            route: Some(context.place.ownership.route()),
            spilling: spilling(context),
            waker: Some(Box::new(move |activator| wake.on_wake(activator))),
        };

        let live = ingest(scope, Arc::clone(plan), context.formats.settings(), first);
        let route = context.place.ownership.route();
        let regrouped =
            regroup(scope, Arc::clone(plan), store.clone(), route, steps, (limit, first));
        let sessionized = live.concat(regrouped).sessionize_with(ByEpoch(backend), options);
        closing(sessionized.sessions, context, &probe);
        overview(sessionized.totals, Arc::clone(plan), &probe);
    });
    let is_done = || probe.done() && mail.as_ref().is_none_or(MailProgress::is_done);
    while !is_done() && !context.plan.has_failed() {
        worker.step_or_park(Some(PARK_MAX));
        if let Some(mail) = &mail {
            mail.look();
        }
        probe.with_frontier(|frontier| {
            progress.reached(index, frontier.first().copied().unwrap_or(u64::MAX));
        });
    }
    if context.plan.has_failed() {
        if mail.is_some() {
            say_farewell(worker, context, index == 0);
        }
        // Operators may hold epochs that will never be processed.
        for dataflow in worker.installed_dataflows() {
            worker.drop_dataflow(dataflow);
        }
    } else {
        progress.reached(index, u64::MAX);
    }
}

/// Goes on for a moment, so that the others hear why this process stops.
fn say_farewell(worker: &mut Worker, context: &Context, is_first: bool) {
    if is_first {
        context.fate.say_why();
    }
    let end = Instant::now() + FAREWELL;
    while let Some(left) = end.checked_duration_since(Instant::now()) {
        worker.step_or_park(Some(left.min(PARK_MAX)));
    }
}

/// Where hot state goes that has no room in memory. Without it everything works as well.
fn spilling(context: &Context) -> Option<Spilling> {
    context.store.spilling(context.place.workers).unwrap_or_else(|error| {
        tracing::warn!(%error, "hot state is not spilled");
        None
    })
}

/// Notes when sessions close, for the count of open ones.
fn closing(
    sessions: VecCollection<'_, u64, Arc<Session>, isize>,
    context: &Context,
    probe: &ProbeHandle<u64>,
) {
    let plan: Arc<Plan> = Arc::clone(&context.plan);
    let closes = context.store.closing();
    sessions
        .inspect_batch(move |_, changes| {
            failpoint::hit("panic-worker");
            // Nearly always of one epoch.
            for changes in changes.chunk_by(|(_, one, _), (_, other, _)| one == other) {
                let Some(plan) = plan.get(changes[0].1) else { continue };
                let mut closing: HashMap<i64, i64> = HashMap::new();
                for (session, _, weight) in changes {
                    *closing.entry(closes.at(session).0).or_default() += *weight as i64;
                }
                let known = &mut plan.findings.lock().closing;
                for (at, weight) in closing {
                    *known.entry(at).or_default() += weight;
                }
            }
        })
        .probe_with(probe);
}
