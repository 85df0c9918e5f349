//! State of the whole, and the records it refused.

use async_graphql::{ComplexObject, Context, SimpleObject};
use spoor_api::query::{
    DeadLetter as FoundLetter, DeadLetterPage, ProcessStatus as FoundProcess,
    SourceStatus as FoundSource, Status as Found,
};
use spoor_operators::time::EventTime;

use super::ids::letter_cursor;
use super::lists::{Page, ReadAt};
use super::operation::Operation;
use super::page::PageInfo;
use super::scalars::{DateTime, EpochToken, Long};
use crate::error::ApiError;

/// State of the whole, as of the last committed epoch.
#[derive(Clone, Debug, SimpleObject)]
#[graphql(complex)]
pub struct Status {
    /// Last committed epoch.
    pub epoch: Long,
    /// Least watermark of the live sources: how far event time is complete.
    pub watermark: Option<DateTime>,
    /// Wall clock less watermark, in milliseconds.
    pub lag_ms: Option<Long>,
    /// Sessions whose close the watermark has not reached.
    pub open_sessions: Long,
    /// Sessions retained.
    pub sessions: Long,
    /// Requests retained, those in no session included.
    pub requests: Long,
    /// By source.
    pub sources: Vec<SourceStatus>,
    /// Memory and disk.
    pub memory: MemoryStatus,
    /// Version of the rules in force.
    pub rules_version: Long,
    /// A change of the rules on its way through the retained past; none when there is none.
    pub regroup: Option<RegroupStatus>,
    /// Dataflow workers.
    pub workers: Long,
    /// Milliseconds by which the wall clock has jumped since the start, by more than a day. It is not
    /// believed until a restart: nothing is dropped or refused because of it. None while it is right.
    pub clock_jump_ms: Option<Long>,
    /// By process; one where there is one only. The numbers of the whole are their sums.
    pub processes: Vec<ProcessStatus>,
}

#[ComplexObject]
impl Status {
    /// That epoch, to be handed back as `atLeastEpoch`, or as `since` of `sessionChanges`.
    async fn epoch_token(&self, ctx: &Context<'_>) -> Result<EpochToken, ApiError> {
        Ok(Operation::of(ctx)?.token_of(self.epoch))
    }
}

/// One process of the cluster.
#[derive(Clone, Debug, SimpleObject)]
pub struct ProcessStatus {
    /// Its number, from 0.
    pub process: Long,
    /// As of this epoch.
    pub epoch: Long,
    /// Sessions of the identities it owns.
    pub sessions: Long,
    /// Their requests, and its share of those in no session.
    pub requests: Long,
    /// Bytes of its hot state.
    pub hot_bytes: Long,
    /// Its resident memory in bytes.
    pub resident_bytes: Long,
    /// Bytes of its store on disk.
    pub store_bytes: Long,
    /// Its dataflow workers.
    pub workers: Long,
}

/// Memory and disk, in bytes.
#[derive(Clone, Debug, SimpleObject)]
pub struct MemoryStatus {
    /// Hot state.
    pub hot_bytes: Long,
    /// Budget of the hot state.
    pub hot_budget_bytes: Long,
    /// Resident memory of all processes.
    pub resident_bytes: Long,
    /// The store on disk.
    pub store_bytes: Long,
}

/// Progress of a change of the rules through the retained past.
#[derive(Clone, Debug, SimpleObject)]
pub struct RegroupStatus {
    /// Version of the rules it brings about.
    pub version: Long,
    /// Requests looked at.
    pub done: Long,
    /// Requests to look at.
    pub total: Long,
}

/// State of one source.
#[derive(Clone, Debug, SimpleObject)]
pub struct SourceStatus {
    /// Its name.
    pub source: String,
    /// Bytes (or pushed records) committed.
    pub offset: Long,
    /// Greatest time seen less the allowed lateness.
    pub watermark: Option<DateTime>,
    /// Silent for longer than the idle timeout, so that it does not hold the whole back.
    pub idle: bool,
    /// What happened to its records.
    pub counts: SourceCounts,
    /// Why it cannot be read now. A followed file is tried again, any other by the next start.
    pub error: Option<String>,
    /// What could no longer be read since the process started, such as a deleted rotated file.
    pub missing: Option<String>,
}

/// What happened to the records of a source.
#[derive(Clone, Debug, SimpleObject)]
pub struct SourceCounts {
    /// Records read, blank lines not among them.
    pub read: Long,
    /// In a session.
    pub accepted: Long,
    /// Refused as bad.
    pub bad: Long,
    /// Out of scope.
    pub excluded: Long,
    /// Nothing to group by.
    pub unkeyed: Long,
    /// For a day already dropped.
    pub expired: Long,
    /// Too far ahead of the wall clock.
    pub future: Long,
    /// Known already.
    pub duplicate: Long,
}

fn instant(ms: i64) -> DateTime {
    EventTime(ms).into()
}

impl From<Found> for Status {
    fn from(found: Found) -> Self {
        let regroup = found.regroup.map(|regroup| RegroupStatus {
            version: regroup.version.into(),
            done: regroup.done.into(),
            total: regroup.total.into(),
        });
        Self {
            epoch: found.epoch.into(),
            watermark: found.watermark.map(instant),
            lag_ms: found.lag_ms.map(Long::from),
            open_sessions: found.open_sessions.into(),
            sessions: found.sessions.into(),
            requests: found.requests.into(),
            sources: found.sources.into_iter().map(SourceStatus::from).collect(),
            memory: MemoryStatus {
                hot_bytes: found.hot_bytes.into(),
                hot_budget_bytes: found.hot_budget_bytes.into(),
                resident_bytes: found.resident_bytes.into(),
                store_bytes: found.store_bytes.into(),
            },
            rules_version: found.rules_version.into(),
            regroup,
            workers: found.workers.into(),
            clock_jump_ms: found.clock_jump_ms.map(Long::from),
            processes: found.processes.into_iter().map(ProcessStatus::from).collect(),
        }
    }
}

impl From<FoundProcess> for ProcessStatus {
    fn from(found: FoundProcess) -> Self {
        Self {
            process: u64::from(found.process).into(),
            epoch: found.epoch.into(),
            sessions: found.sessions.into(),
            requests: found.requests.into(),
            hot_bytes: found.hot_bytes.into(),
            resident_bytes: found.resident_bytes.into(),
            store_bytes: found.store_bytes.into(),
            workers: found.workers.into(),
        }
    }
}

impl From<FoundSource> for SourceStatus {
    fn from(found: FoundSource) -> Self {
        let counts = found.counts;
        Self {
            source: found.source,
            offset: found.offset.into(),
            watermark: found.watermark.map(instant),
            idle: found.idle,
            counts: SourceCounts {
                read: counts.read.into(),
                accepted: counts.accepted.into(),
                bad: counts.bad.into(),
                excluded: counts.excluded.into(),
                unkeyed: counts.unkeyed.into(),
                expired: counts.expired.into(),
                future: counts.future.into(),
                duplicate: counts.duplicate.into(),
            },
            error: found.error,
            missing: found.missing,
        }
    }
}

/// A record that was refused.
#[derive(Clone, Debug, SimpleObject)]
pub struct DeadLetter {
    /// Position in the list of its process; newer ones are greater.
    pub sequence: Long,
    /// The process that refused it; 0 where there is one only.
    pub process: Long,
    /// Which source.
    pub source: String,
    /// Byte offset in the source, or line number of a push.
    pub offset: Long,
    /// Closed code, such as `bad_json`.
    pub code: String,
    /// The reason in words.
    pub reason: String,
    /// The record, capped; bytes that are not UTF-8 are shown as U+FFFD.
    pub raw: String,
    /// The epoch that refused it.
    pub epoch: Long,
}

/// A page of dead letters, newest first.
#[derive(Clone, Debug, SimpleObject)]
pub struct DeadLetterConnection {
    /// The records with their cursors.
    pub edges: Vec<DeadLetterEdge>,
    /// The records alone.
    pub nodes: Vec<DeadLetter>,
    /// Where the page lies.
    pub page_info: PageInfo,
    /// All that are kept.
    pub total_count: Long,
}

/// A refused record in a list.
#[derive(Clone, Debug, SimpleObject)]
pub struct DeadLetterEdge {
    /// The record.
    pub node: DeadLetter,
    /// Give it as `after` to read on from here.
    pub cursor: String,
}

impl From<FoundLetter> for DeadLetter {
    fn from(found: FoundLetter) -> Self {
        Self {
            sequence: found.sequence.into(),
            process: u64::from(found.process).into(),
            source: found.source,
            offset: found.offset.into(),
            code: found.code.to_string(),
            reason: found.reason,
            raw: String::from_utf8_lossy(&found.raw).into_owned(),
            epoch: found.epoch.0.into(),
        }
    }
}

impl Page for DeadLetterPage {
    fn has_next(&self) -> bool {
        self.has_next
    }
}

impl DeadLetterConnection {
    /// A page that was found.
    #[must_use]
    pub fn new(page: DeadLetterPage, after: bool, read: &ReadAt) -> Self {
        let cursor = |letter: &FoundLetter| letter_cursor(read.list, letter.place());
        let cursors: Vec<String> = page.letters.iter().map(cursor).collect();
        let nodes: Vec<DeadLetter> = page.letters.into_iter().map(DeadLetter::from).collect();
        let edge = |(node, cursor): (&DeadLetter, &String)| DeadLetterEdge {
            node: node.clone(),
            cursor: cursor.clone(),
        };
        Self {
            edges: nodes.iter().zip(&cursors).map(edge).collect(),
            page_info: PageInfo::new(page.has_next, after, &cursors, read),
            total_count: page.total.into(),
            nodes,
        }
    }
}
