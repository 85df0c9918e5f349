//! What the engine knew when an epoch was committed and the store does not keep: for the status.

use std::sync::Arc;

use spoor_operators::assign::CompiledRules;
use spoor_operators::time::EventTime;

use crate::clock::{Clock, wall_clock};
use crate::health::Health;
use crate::hot::HotBytes;
use crate::regroup::Regroup;
use crate::serving::Published;
use spoor_api::query::{SourceStatus, Status};
use spoor_store::{Store, StoreError, StoreNumbers, ViewContext};

/// See the module's description.
pub struct Standing {
    /// The watermark of the whole.
    pub watermark: Option<EventTime>,
    /// Sessions that are open.
    pub open_sessions: u64,
    /// By source.
    pub sources: Vec<SourceStatus>,
    /// What is wrong with them, also since then.
    pub health: Arc<Health>,
    /// A change of rules on its way.
    pub regroup: Option<Arc<Regroup>>,
    /// What the workers hold.
    pub hot: Arc<HotBytes>,
    /// What they may hold.
    pub hot_bytes_max: usize,
    /// Dataflow workers.
    pub workers: usize,
    /// Of this process.
    pub clock: Arc<Clock>,
}

impl Published {
    /// What may be seen of a store right after a commit, by whoever commits.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn of(
        store: &Store,
        standing: Standing,
        rules: &Arc<CompiledRules>,
    ) -> Result<Self, StoreError> {
        let numbers = store.numbers();
        let version = rules.rules().version;
        let view = store.view(ViewContext {
            rules: Arc::new(rules.rules().clone()),
            compiled: Arc::clone(rules),
            status: Arc::new(move || standing.status(&numbers, version)),
        })?;
        Ok(Self { view: Arc::new(view), rules: Arc::clone(rules), numbers })
    }
}

impl Standing {
    fn status(&self, numbers: &StoreNumbers, rules_version: u64) -> Status {
        let mut sources = self.sources.clone();
        self.health.add_to(&mut sources);
        Status {
            // The view knows its epoch.
            epoch: 0,
            watermark: self.watermark.map(EventTime::millis),
            lag_ms: self.watermark.map(|watermark| wall_clock().0 - watermark.0),
            open_sessions: self.open_sessions,
            sessions: numbers.sessions,
            requests: numbers.requests,
            sources,
            hot_bytes: self.hot.total(),
            hot_budget_bytes: self.hot_bytes_max as u64,
            resident_bytes: resident_bytes(),
            store_bytes: numbers.disk_bytes,
            rules_version,
            regroup: self.regroup.as_ref().map(|regroup| regroup.status()),
            workers: self.workers,
            clock_jump_ms: self.clock.jump(),
            // The view knows its numbers.
            processes: Vec::new(),
        }
    }
}

/// Resident memory of this process, as the kernel counts it; 0 where there is no `/proc`.
fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kilobytes.unwrap_or(0) * 1024
}
