//! The committer: one thread that makes each epoch durable, visible and answered, in that order.
//!
//! It waits until every worker has completed the epoch, writes one atomic batch, and only then
//! lets anybody see it: first the view that readers get, then subscribers, then whoever waits for
//! an answer. If the batch cannot be written nothing of the epoch is visible and the engine stops.

use std::collections::HashMap;
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, select};
use spoor_operators::time::{Epoch, EventTime};

use crate::cluster::hello::Shape;
use crate::command::{Closed, Command, PendingChange, PendingPush};
use crate::mail::{Found, Mail, Note};
use crate::open_sessions::OpenSessions;
use crate::plan::{Findings, Origin, Outcomes};
use crate::progress::Progress;
use crate::sources::{SourceState, reach, watermark};
use crate::standing::Standing;
use crate::{Context, LEADER, PUSH_SOURCE_ID, answers, keys};
use spoor_api::query::SourceCounts;
use spoor_api::service::{PushAnswer, RuleChange};
use spoor_store::failpoint;
use spoor_store::{Commit, StoreError};

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
    /// By [`spoor_input::source::SourceId`].
    pub sources: Vec<SourceState>,
    /// Which sessions are open.
    pub open: OpenSessions,
    /// As of the last commit.
    pub watermark: Option<EventTime>,
    /// The other processes, if there are any.
    pub others: Option<Others>,
    /// What a new store is marked with by its first commit.
    pub shape: Option<Shape>,
}

/// What the committer hears of the other processes.
pub struct Others {
    /// How it is told them.
    pub mail: Arc<Mail>,
    /// What each found out in the epoch being committed.
    pub found: Receiver<Found>,
    /// Epochs the leader has published.
    pub visible: Receiver<u64>,
}

impl Committer {
    /// Runs until no epoch comes any more, or one cannot be committed.
    pub fn run(mut self) {
        while let Ok(closed) = self.closed.recv() {
            let plan = &self.context.plan;
            if !self.progress.wait_for(closed.plan.epoch.0, || plan.has_failed()) {
                return;
            }
            match self.commit(closed) {
                Ok(true) => {}
                // Another thread, or another process, has failed.
                Ok(false) => return,
                Err(error) => {
                    tracing::error!(%error, "an epoch cannot be committed; stopping");
                    self.context.fate.fail(error.to_string());
                    return;
                }
            }
        }
    }

    /// Whether the epoch is committed; it is not when somebody else has failed meanwhile.
    fn commit(&mut self, closed: Closed) -> Result<bool, StoreError> {
        let epoch = closed.plan.epoch;
        failpoint::hit("panic-committer");
        failpoint::hit("hang-committer");
        let mut findings = std::mem::take(&mut *closed.plan.findings.lock());
        self.advance_sources(&closed, &findings);
        let Some(found) = self.exchange(&closed, &mut findings) else { return Ok(false) };
        if let Some(regroup) = &closed.plan.regroup
            && found.iter().all(|found| found.is_regrouped)
        {
            regroup.end(epoch);
        }
        self.take_duplicates_off(&mut findings);
        self.watermark = watermark(found.iter().map(|found| found.reach), self.watermark);
        let answered = answer_texts(epoch, &closed, &findings);
        let commit = self.batch(&closed, &mut findings, &answered);
        if !self.write(commit)? {
            return Ok(false);
        }
        self.publish(&closed, findings)?;
        self.context.plan.committed_through(epoch);
        if let Some(others) = self.others.as_ref().filter(|others| others.mail.me() == LEADER) {
            others.mail.broadcast(&Note::Visible(epoch.0));
        }
        // The coordinator may have ended already.
        let _ = self.coordinator.send(Command::Committed);
        reply(closed, answered);
        Ok(true)
    }

    /// What every process found out in an epoch, this one included; none when one has failed.
    /// Duplicates of requests that others brought go to them, and theirs of ours come here.
    fn exchange(&self, closed: &Closed, findings: &mut Findings) -> Option<Vec<Found>> {
        let (epoch, me) = (closed.plan.epoch, self.context.place.process);
        let settings = &closed.plan.rules.rules().settings;
        let regroup = closed.plan.regroup.as_ref();
        let mine = Found {
            epoch: epoch.0,
            reach: reach(&self.sources, settings),
            duplicates: Vec::new(),
            is_regrouped: regroup.is_none_or(|regroup| regroup.is_done_here(epoch)),
        };
        let mut all = vec![mine];
        let Some(others) = &self.others else { return Some(all) };
        let mut theirs: HashMap<usize, Vec<(u32, u64)>> = HashMap::new();
        for (origin, count) in findings.duplicates.extract_if(|origin, _| origin.process() != me) {
            theirs.entry(origin.process()).or_default().push((origin.0, count));
        }
        for process in others.mail.others() {
            let duplicates = theirs.remove(&process).unwrap_or_default();
            others.mail.send(process, &Note::Found(Found { duplicates, ..all[0].clone() }));
        }
        for _process in others.mail.others() {
            let found = self.hear(&others.found)?;
            assert_eq!(found.epoch, epoch.0, "no process is an epoch ahead of another");
            for (origin, count) in &found.duplicates {
                *findings.duplicates.entry(Origin(*origin)).or_default() += count;
            }
            all.push(found);
        }
        Some(all)
    }

    /// What another process says; none when somebody has failed.
    fn hear<T>(&self, from: &Receiver<T>) -> Option<T> {
        select! {
            recv(from) -> heard => heard.ok(),
            recv(self.context.plan.failure()) -> _ => None,
        }
    }

    /// Writes an epoch. In a cluster it is staged first, and promoted when all have staged it and,
    /// for a follower, the leader has published it: nobody sees what a crash could take back.
    fn write(&self, commit: Commit) -> Result<bool, StoreError> {
        let (store, epoch) = (&self.context.store, commit.epoch.0);
        let Some(others) = &self.others else {
            store.commit(commit)?;
            return Ok(true);
        };
        let staged = store.stage(commit)?;
        others.mail.staged(epoch);
        let has_failed = || self.context.plan.has_failed();
        if !others.mail.wait_staged(epoch, has_failed) {
            return Ok(false);
        }
        if others.mail.me() != LEADER && self.hear(&others.visible).is_none() {
            return Ok(false);
        }
        store.promote(staged)?;
        Ok(true)
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

    /// Corrects the counts of sources and pushes by what turned out to be there already.
    fn take_duplicates_off(&mut self, findings: &mut Findings) {
        for (origin, count) in findings.duplicates.drain() {
            let source = origin.as_source().unwrap_or(PUSH_SOURCE_ID);
            let state = &mut self.sources[source.0 as usize];
            mark_duplicates(&mut state.row.counts, count);
            state.touched = true;
            if let Some(outcomes) = findings.outcomes.get_mut(&origin) {
                mark_duplicates(&mut outcomes.counts, count);
            }
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
        if let Some(shape) = self.shape.take() {
            let shape = serde_json::to_vec(&shape).expect("a shape is plain data");
            commit.blobs.push((keys::SHAPE.into(), Some(shape)));
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
            if let Some((key, content)) = &key.0 {
                let kept = answers::pushed(answer, *content);
                commit.answers.push((answers::push_key(key).to_vec(), kept));
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
            health: Arc::clone(&context.gauges.health),
            hot: Arc::clone(&context.gauges.hot),
            hot_bytes_max: context.choices.hot_bytes_max,
            workers: context.place.workers,
            clock: Arc::clone(&context.gauges.clock),
        };
        context.publish(standing, &plan.rules, findings.changes)
    }
}

/// The key under which a push's answer is remembered, if any, with the hash of what was pushed.
struct PendingKey(Option<(String, [u8; 32])>);

/// A duplicate was counted as accepted when it was decoded.
fn mark_duplicates(counts: &mut SourceCounts, duplicates: u64) {
    counts.accepted = counts.accepted.saturating_sub(duplicates);
    counts.duplicate += duplicates;
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
