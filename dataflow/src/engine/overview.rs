//! Totals by minute and app, maintained by `count_total`, and what the commit is told of them.
//!
//! `sessionize` gives differences of totals; counting them by minute and app is plain differential
//! and exact under retraction. The counts of a store are fed in again when it is opened, and those
//! of days that retention drops are taken out, so the arrangement holds what is retained.

use std::collections::HashMap;
use std::sync::Arc;

use differential_dataflow::operators::CountTotal;
use differential_dataflow::{AsCollection, VecCollection};
use spoor_operators::time::{Day, DayZone};
use spoor_operators::totals::Totals;
use timely::container::CapacityContainerBuilder;
use timely::dataflow::operators::generic::operator::source;
use timely::dataflow::{ProbeHandle, Scope};

use crate::engine::plan::{Bucket, Plan};
use crate::store::Store;

type Update = (Bucket, u64, Totals);

/// Counts totals and notes in each epoch's findings the ones that changed.
pub fn overview<'s>(
    totals: VecCollection<'s, u64, Bucket, Totals>,
    retained: VecCollection<'s, u64, Bucket, Totals>,
    plan: Arc<Plan>,
    probe: &ProbeHandle<u64>,
) {
    totals
        .concat(retained)
        .count_total()
        .inspect_batch(move |_, changes| {
            for changes in changes.chunk_by(|(_, one, _), (_, other, _)| one == other) {
                if let Some(plan) = plan.get(changes[0].1) {
                    note(changes, &mut plan.findings.lock().totals);
                }
            }
        })
        .probe_with(probe);
}

type Counted = ((Bucket, Totals), u64, isize);

/// Takes up what `count_total` says: the old totals of a bucket go, the new ones come, in any order.
fn note(changes: &[Counted], known: &mut HashMap<Bucket, Option<Totals>>) {
    for ((bucket, totals), _, weight) in changes {
        let entry = known.entry(bucket.clone()).or_default();
        if *weight > 0 {
            *entry = Some(*totals);
        }
    }
}

/// What a store retains, at the first epoch; less what it drops, when it drops it. The first worker
/// reads it for all.
pub fn retained<'s>(
    scope: Scope<'s, u64>,
    plan: Arc<Plan>,
    store: Store,
    first: u64,
) -> VecCollection<'s, u64, Bucket, Totals> {
    let is_first_worker = scope.index() == 0;
    source::<_, CapacityContainerBuilder<Vec<Update>>, _, _>(
        scope,
        "Retained totals",
        move |mut capability, info| {
            plan.on_wake(scope.worker().sync_activator_for(info.address.to_vec()));
            let activator = scope.activator_for(info.address);
            capability.downgrade(&first);
            let mut capability = is_first_worker.then_some(capability);
            move |output| {
                let Some(held) = &mut capability else { return };
                let epoch = *held.time();
                if plan.has_failed() || plan.is_past_end(epoch) {
                    capability = None;
                    return;
                }
                let Some(here) = plan.get(epoch) else { return };
                let dropped = here.first_day.filter(|_| here.drops_days);
                if dropped.is_some() && plan.committed() + 1 < epoch {
                    return;
                }
                let updates = match updates(&store, epoch, first, dropped) {
                    Ok(updates) => updates,
                    Err(error) => {
                        tracing::error!(%error, "totals cannot be read; stopping");
                        plan.fail();
                        return;
                    }
                };
                output.session(&*held).give_iterator(updates.into_iter());
                held.downgrade(&(epoch + 1));
                activator.activate();
            }
        },
    )
    .as_collection()
}

fn updates(
    store: &Store,
    epoch: u64,
    first: u64,
    dropped: Option<Day>,
) -> Result<Vec<Update>, crate::store::StoreError> {
    let mut updates = Vec::new();
    if epoch == first {
        let all = store.totals_before(None)?;
        updates.extend(all.into_iter().map(|(bucket, totals)| (bucket, epoch, totals)));
    }
    if let Some(day) = dropped {
        let end = first_minute_of(store.zone(), day);
        let gone = store.totals_before(Some(end))?;
        updates.extend(gone.into_iter().map(|(bucket, totals)| (bucket, epoch, totals.negated())));
    }
    Ok(updates)
}

/// The first minute of a day.
fn first_minute_of(zone: &DayZone, day: Day) -> i64 {
    zone.start_of(day).0.div_euclid(60_000)
}
