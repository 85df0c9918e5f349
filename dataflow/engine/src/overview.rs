//! Totals by minute and app: what an epoch adds to them, for the commit.
//!
//! `sessionize` gives differences of totals. They are summed where they come up and never exchanged:
//! the store adds them to its rows, so a process keeps partial sums of a minute, and whoever asks
//! adds up those of all processes. Nothing of it is held in memory from epoch to epoch.

use std::sync::Arc;

use differential_dataflow::VecCollection;
use differential_dataflow::difference::Semigroup;
use spoor_operators::totals::Totals;
use timely::dataflow::ProbeHandle;

use crate::plan::{Bucket, Plan};

/// Sums the differences of totals into each epoch's findings.
pub fn overview(
    totals: VecCollection<'_, u64, Bucket, Totals>,
    plan: Arc<Plan>,
    probe: &ProbeHandle<u64>,
) {
    totals
        .inspect_batch(move |_, changes| {
            // Nearly always of one epoch.
            for changes in changes.chunk_by(|(_, one, _), (_, other, _)| one == other) {
                let Some(plan) = plan.get(changes[0].1) else { continue };
                let known = &mut plan.findings.lock().totals;
                for (bucket, _, difference) in changes {
                    known.entry(bucket.clone()).or_default().plus_equals(difference);
                }
            }
        })
        .probe_with(probe);
}
