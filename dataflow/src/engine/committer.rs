//! The committer: one thread that makes each epoch durable, visible and answered, in that order.
//!
//! It waits until every worker has completed the epoch, writes one atomic batch, and only then
//! lets anybody see it: first the view that readers get, then subscribers, then whoever waits for
//! an answer. If the batch cannot be written nothing of the epoch is visible and the engine stops.

use std::collections::HashMap;
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender};
use spoor_operators::time::{Epoch, EventTime};

use crate::engine::coordinator::{Closed, Command, PendingChange, PendingPush};
use crate::engine::open_sessions::OpenSessions;
use crate::engine::plan::{Findings, Origin, Outcomes};
use crate::engine::progress::Progress;
use crate::engine::sources::{SourceState, watermark};
use crate::engine::standing::Standing;
use crate::engine::{Context, PUSH_SOURCE_ID, answers, keys};
use crate::service::{PushAnswer, RuleChange};
use crate::store::{Commit, StoreError};

/// See the module's description.
pub struct Committer {
    /// Shared with everything else.
    pub context: Arc<Context>,
    /// How far the workers are.
    pub progress: Arc<Progress>,
    /// Closed epochs, in order.
    pub closed: Receiver<Closed>,
    /// Told of every commit.
    pub coordinator: Sender<Command>,
    /// By [`crate::source::SourceId`].
    pub sources: Vec<SourceState>,
    /// Which sessions are open.
    pub open: OpenSessions,
    /// As of the last commit.
    pub watermark: Option<EventTime>,
}

impl Committer {
    /// Runs until no epoch comes any more, or one cannot be committed.
    pub fn run(mut self) {
        while let Ok(closed) = self.closed.recv() {
            let plan = &self.context.plan;
            if !self.progress.wait_for(closed.plan.epoch.0, || plan.has_failed()) {
                return;
            }
            if let Err(error) = self.commit(closed) {
                tracing::error!(%error, "an epoch cannot be committed; stopping");
                self.context.fail(error.to_string());
                return;
            }
        }
    }

    fn commit(&mut self, closed: Closed) -> Result<(), StoreError> {
        let epoch = closed.plan.epoch;
        let mut findings = std::mem::take(&mut *closed.plan.findings.lock());
        take_duplicates_off(&mut findings);
        self.advance_sources(&closed, &findings);
        let settings = &closed.plan.rules.rules().settings;
        self.watermark = watermark(&self.sources, settings, self.watermark);
        let answered = answer_texts(epoch, &closed, &findings);
        let commit = self.batch(&closed, &mut findings, &answered);
        self.context.store.commit(commit)?;
        self.publish(&closed, findings)?;
        self.context.plan.committed_through(epoch);
        // The coordinator may have ended already.
        let _ = self.coordinator.send(Command::Committed);
        reply(closed, answered);
        Ok(())
    }

    fn advance_sources(&mut self, closed: &Closed, findings: &Findings) {
        for (&source, (checkpoint, offset)) in &closed.marks {
            let state = &mut self.sources[source.0 as usize];
            state.row.checkpoint = checkpoint.to_vec();
            state.row.offset = *offset;
            state.touched = true;
        }
        for &source in &closed.ended {
            let state = &mut self.sources[source.0 as usize];
            state.row.ended = true;
            state.touched = true;
        }
        for (&origin, outcomes) in &findings.outcomes {
            let source = origin.as_source().unwrap_or(PUSH_SOURCE_ID);
            self.sources[source.0 as usize].add(outcomes);
        }
    }

    /// Everything of an epoch.
    fn batch(
        &mut self,
        closed: &Closed,
        findings: &mut Findings,
        answered: &[(PendingKey, PushAnswer)],
    ) -> Commit {
        let plan = &closed.plan;
        let mut commit = Commit {
            epoch: plan.epoch,
            parts: std::mem::take(&mut findings.parts),
            dead_letters: std::mem::take(&mut findings.dead_letters),
            totals: findings.totals.drain().collect(),
            watermark: self.watermark,
            expire_before: plan.first_day.filter(|_| plan.drops_days),
            ..Commit::default()
        };
        for state in self.sources.iter_mut().filter(|state| state.touched) {
            state.touched = false;
            let row = serde_json::to_vec(&state.row).expect("a source row is plain data");
            commit.sources.push((state.name.clone(), row));
        }
        for (second, row) in self.open.apply(&findings.closing, self.watermark) {
            commit.blobs.push((keys::open_second(second), row));
        }
        if let Some(change) = &closed.change {
            commit.rules = Some(Arc::clone(&change.rules));
            if let Some((key, edit)) = &change.key {
                let answer = answers::change(plan.epoch, edit);
                commit.answers.push((answers::change_key(key).to_vec(), answer));
            }
        }
        let regrouping = plan.regroup.as_ref().filter(|regroup| !regroup.is_done_by(plan.epoch));
        let pending = regrouping.map(|regroup| regroup.version.to_be_bytes().to_vec());
        commit.blobs.push((keys::REGROUP.into(), pending));
        if let Some(first) = plan.first_day {
            commit.blobs.push((keys::FIRST_DAY.into(), Some(first.0.to_be_bytes().to_vec())));
        }
        for (key, answer) in answered {
            if let Some(key) = &key.0 {
                let text = serde_json::to_vec(answer).expect("an answer is plain data");
                commit.answers.push((answers::push_key(key).to_vec(), text));
            }
        }
        commit
    }

    fn publish(&mut self, closed: &Closed, findings: Findings) -> Result<(), StoreError> {
        let (plan, context) = (&closed.plan, &self.context);
        let settings = &plan.rules.rules().settings;
        let standing = Standing {
            watermark: self.watermark,
            open_sessions: self.open.count(),
            sources: self.sources.iter().map(|source| source.status(settings)).collect(),
            regroup: plan.regroup.clone().filter(|regroup| !regroup.is_done_by(plan.epoch)),
            hot: Arc::clone(&context.hot),
            hot_bytes_max: context.hot_bytes_max,
            workers: context.workers,
        };
        context.publish(standing, &plan.rules, findings.changes)
    }
}

/// The key under which a push's answer is remembered, if any.
struct PendingKey(Option<String>);

/// A duplicate was counted as accepted when it was decoded.
fn take_duplicates_off(findings: &mut Findings) {
    for (origin, count) in findings.duplicates.drain() {
        let outcomes = findings.outcomes.entry(origin).or_default();
        outcomes.counts.accepted = outcomes.counts.accepted.saturating_sub(count);
        outcomes.counts.duplicate += count;
    }
}

/// The answers of the epoch's pushes, in their order.
fn answer_texts(
    epoch: Epoch,
    closed: &Closed,
    findings: &Findings,
) -> Vec<(PendingKey, PushAnswer)> {
    let none = Outcomes::default();
    let outcomes: &HashMap<Origin, Outcomes> = &findings.outcomes;
    let answer = |push: &PendingPush| {
        let outcomes = outcomes.get(&push.origin).unwrap_or(&none);
        let mut errors = outcomes.errors.clone();
        errors.sort_by_key(|error| error.line);
        let answer = PushAnswer { epoch: epoch.0, counts: outcomes.counts, errors };
        (PendingKey(push.key.clone()), answer)
    };
    closed.pushes.iter().map(answer).collect()
}

/// Tells everybody who waits. Whoever does not wait any more is not told.
fn reply(closed: Closed, answered: Vec<(PendingKey, PushAnswer)>) {
    let epoch = closed.plan.epoch;
    for (push, (_, answer)) in closed.pushes.into_iter().zip(answered) {
        for reply in push.replies {
            let _ = reply.send(Ok(answer.clone()));
        }
    }
    if let Some(PendingChange { rules, replies, .. }) = closed.change {
        for reply in replies {
            let change = RuleChange { rules: Arc::clone(&rules), effective_epoch: epoch };
            let _ = reply.send(Ok(change));
        }
    }
}
