//! The first operator: takes chunks of the epoch it is in, decodes, applies scope and rules.
//!
//! Decoding, scope and assignment are one pass over a chunk, because a decoded request borrows the
//! chunk: what leaves here is one arena of bytes for each chunk and a small fixed item for each
//! request. One chunk is done for each activation, so that a worker never keeps its other
//! operators waiting. The operator holds the capability of the epoch it is in, and of no earlier.

use std::sync::Arc;

use bytes::Bytes;
use differential_dataflow::{AsCollection, VecCollection};
use spoor_operators::assign::{Assignment, Outcome, Scratch};
use spoor_operators::facts::Assigned;
use spoor_operators::request::Request;
use spoor_operators::time::EventTime;
use timely::container::CapacityContainerBuilder;
use timely::dataflow::Scope;
use timely::dataflow::operators::generic::operator::source;

use crate::limits::{DEAD_LETTERS_PER_CHUNK_MAX, PUSH_ERRORS_MAX};
use crate::plan::{EpochPlan, Outcomes, Plan, Task};
use spoor_api::codes::RefusalCode;
use spoor_api::query::{DeadLetter, RecordPlace};
use spoor_api::service::PushError;
use spoor_input::decode::site::InputSettings;
use spoor_input::decode::{Decoder, Format, refused};
use spoor_input::source::Content;

type Update = (Assigned, u64, isize);

/// Requests of the planned epochs with their identities.
pub fn ingest<'s>(
    scope: Scope<'s, u64>,
    plan: Arc<Plan>,
    settings: &Arc<InputSettings>,
    first: u64,
) -> VecCollection<'s, u64, Assigned, isize> {
    let mut chunks =
        ChunkReader { decoder: Decoder::with(Arc::clone(settings)), scratch: Scratch::default() };
    source::<_, CapacityContainerBuilder<Vec<Update>>, _, _>(
        scope,
        "Ingest",
        move |mut capability, info| {
            plan.on_wake(scope.worker().sync_activator_for(info.address.to_vec()));
            let activator = scope.activator_for(info.address);
            capability.downgrade(&first);
            let mut capability = Some(capability);
            let mut current: Option<Arc<EpochPlan>> = None;
            move |output| {
                let Some(held) = &mut capability else { return };
                let epoch = *held.time();
                if plan.has_failed() || plan.is_past_end(epoch) {
                    capability = None;
                    return;
                }
                current = current.take().or_else(|| plan.get(epoch));
                let Some(here) = &current else { return };
                if let Some(task) = here.take() {
                    let requests = chunks.read(here, &task);
                    let updates = requests.into_iter().map(|request| (request, epoch, 1));
                    output.session(&*held).give_iterator(updates);
                    activator.activate();
                } else if here.is_exhausted() {
                    current = None;
                    held.downgrade(&(epoch + 1));
                    activator.activate();
                }
            }
        },
    )
    .as_collection()
}

/// Reads chunks; keeps its buffers between them.
struct ChunkReader {
    decoder: Decoder,
    scratch: Scratch,
}

impl ChunkReader {
    /// The requests of a chunk; what else is found goes to the epoch's findings.
    fn read(&mut self, plan: &EpochPlan, task: &Task) -> Vec<Assigned> {
        let mut reading = Reading::new(plan, task);
        let scratch = &mut self.scratch;
        self.decoder.decode(&task.chunk, &mut |record, raw| {
            reading.seen += 1;
            match record {
                Ok(mut request) => reading.request(&mut request, raw, scratch),
                Err(bad) => {
                    reading.outcomes.counts.bad += 1;
                    let (rules, format) = (&plan.rules, &task.chunk.format);
                    let place = (bad.offset, bad.line);
                    reading.refuse(bad.code, &bad.reason, place, || {
                        refused::bad(format, raw, rules, scratch)
                    });
                }
            }
        });
        reading.finish()
    }
}

/// Why a good record comes at a wrong time.
#[derive(Clone, Copy)]
enum Late {
    Future,
    Expired,
}

/// What one chunk comes to, while it is read.
struct Reading<'a> {
    plan: &'a EpochPlan,
    task: &'a Task,
    assignments: Vec<(Assignment, usize)>,
    arena: Vec<u8>,
    outcomes: Outcomes,
    letters: Vec<DeadLetter>,
    /// Records seen.
    seen: u64,
    latest: Option<EventTime>,
}

impl<'a> Reading<'a> {
    fn new(plan: &'a EpochPlan, task: &'a Task) -> Self {
        Self {
            plan,
            task,
            assignments: Vec::new(),
            arena: Vec::with_capacity(task.chunk.bytes.len()),
            outcomes: Outcomes::default(),
            letters: Vec::new(),
            seen: 0,
            latest: plan.future.as_ref().map(|(clock, ms)| clock.latest(*ms)),
        }
    }

    fn request(&mut self, request: &mut Request<'_>, raw: &[u8], scratch: &mut Scratch) {
        let plan = self.plan;
        let counts = &mut self.outcomes.counts;
        if self.latest.is_some_and(|latest| request.ts > latest) {
            counts.future += 1;
            return self.refuse_time(Late::Future, request, raw, scratch);
        }
        if plan.first_day.is_some_and(|first| plan.rules.zone().day_of(request.ts) < first) {
            counts.expired += 1;
            return self.refuse_time(Late::Expired, request, raw, scratch);
        }
        let from = self.arena.len();
        let assignment = plan.rules.assign(request, true, scratch, &mut self.arena);
        match assignment.outcome {
            Outcome::Session => counts.accepted += 1,
            Outcome::Excluded => counts.excluded += 1,
            Outcome::Unkeyed => counts.unkeyed += 1,
        }
        counts.repaired += u64::from(request.repaired);
        self.outcomes.latest = self.outcomes.latest.max(Some(assignment.ts));
        self.assignments.push((assignment, from));
    }

    fn refuse_time(
        &mut self,
        late: Late,
        request: &mut Request<'_>,
        raw: &[u8],
        scratch: &mut Scratch,
    ) {
        let chunk = &self.task.chunk;
        // `raw` is a part of the chunk, but for formats that unwrap it.
        let at = (raw.as_ptr() as usize).wrapping_sub(chunk.bytes.as_ptr() as usize);
        let at = if at < chunk.bytes.len() { at } else { 0 };
        let offset = chunk.offset + at as u64;
        // Only an answer shows the line, so only for what it has room for are lines counted.
        let by_number = chunk.content == Content::Array || chunk.format.is_document();
        let line = match self.answers() {
            true if by_number => self.seen,
            true => line_at(&chunk.bytes, at),
            false => 0,
        };
        let (code, reason) = match late {
            Late::Future => (RefusalCode::Future, "its time is ahead of the wall clock"),
            Late::Expired => (RefusalCode::Expired, "retention has dropped its day"),
        };
        let rules = &self.plan.rules;
        self.refuse(code, reason, (offset, line), || refused::good(request, rules, scratch));
    }

    /// `place`: offset and line; `shown`: what is kept of the record, without its secrets.
    fn refuse(
        &mut self,
        code: RefusalCode,
        reason: &str,
        place: (u64, u64),
        shown: impl FnOnce() -> Vec<u8>,
    ) {
        let (offset, line) = place;
        let record = match *self.task.chunk.format {
            Format::Har => RecordPlace::Entry(offset),
            _ => RecordPlace::Byte(offset),
        };
        self.outcomes.refusals.see(code, record, reason);
        if self.answers() {
            let error = PushError { line, code, reason: reason.into() };
            self.outcomes.errors.push(error);
        }
        if self.letters.len() < DEAD_LETTERS_PER_CHUNK_MAX {
            self.letters.push(DeadLetter {
                sequence: 0,
                process: 0,
                source: self.task.chunk.name.to_string(),
                offset,
                code,
                reason: reason.into(),
                raw: shown(),
                epoch: self.plan.epoch,
            });
        }
    }

    /// Whether somebody waits for an answer that has room for one more mistake.
    fn answers(&self) -> bool {
        self.task.origin.is_push() && self.outcomes.errors.len() < PUSH_ERRORS_MAX
    }

    /// Freezes the arena and hands each request its slice of it.
    fn finish(self) -> Vec<Assigned> {
        let Self { plan, task, assignments, arena, mut outcomes, letters, .. } = self;
        let counts = &mut outcomes.counts;
        counts.read = counts.accepted
            + counts.excluded
            + counts.unkeyed
            + counts.bad
            + counts.future
            + counts.expired;
        {
            let mut findings = plan.findings.lock();
            findings.outcomes.entry(task.origin).or_default().add(outcomes);
            findings.dead_letters.extend(letters);
        }
        let arena = Bytes::from(arena);
        let mut end = arena.len();
        let mut requests: Vec<_> = assignments
            .into_iter()
            .rev()
            .map(|(assignment, from)| {
                let payload = arena.slice(from..end);
                end = from;
                let mut request = assignment.into_assigned(payload);
                request.origin = task.origin.0;
                request
            })
            .collect();
        requests.reverse();
        requests
    }
}

/// Number of the line that holds the byte at `at`, from 1 on, as decoders count.
fn line_at(bytes: &[u8], at: usize) -> u64 {
    1 + bytes[..at].iter().filter(|byte| **byte == b'\n').count() as u64
}
