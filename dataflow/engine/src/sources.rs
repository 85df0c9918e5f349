//! What is known of each source: where it is, what it counted, how far its time is.
//!
//! The watermark of a source is its greatest time less the lateness; that of the whole is the least
//! of the live sources', and never goes back. A source that has ended, or was silent for the idle
//! timeout, is not live; when none is, the furthest counts.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use spoor_operators::rules::Settings;
use spoor_operators::time::EventTime;

use crate::mail::Reach;
use crate::plan::Outcomes;
use spoor_api::query::{Refusals, SourceCounts, SourceStatus};
use spoor_input::source::named::FileId;
use spoor_input::source::ranges::Ranges;

/// What the store keeps of a source.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceRow {
    /// Given to [`spoor_input::source::resume`]; empty: from the beginning.
    pub checkpoint: Vec<u8>,
    /// Bytes of it that are committed.
    pub offset: u64,
    /// By outcome.
    pub counts: SourceCounts,
    /// Greatest time taken, in milliseconds.
    pub latest: Option<i64>,
    /// Read to its end.
    pub ended: bool,
    /// Which file it is; none: not known, or no file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<FileId>,
}

impl SourceRow {
    /// The file it is of, if that is known, as of its last checkpoint.
    #[must_use]
    pub fn file(&self) -> Option<FileId> {
        let path = || self.file.as_ref().map(|file| file.path.clone()).unwrap_or_default();
        match FileId::of_places(&self.checkpoint) {
            Some((id, _)) => Some(FileId { path: path(), ..id }),
            None => self.file.clone(),
        }
    }

    /// Adds what another process keeps of the same source: counts add up; what either has read is
    /// read. Where the checkpoints are not ranges of bytes, the one that is further counts.
    pub fn merge(&mut self, other: &Self) {
        self.counts.add(&other.counts);
        self.latest = self.latest.max(other.latest);
        self.file = self.file.take().or_else(|| other.file.clone());
        let is_divided = [&self.checkpoint, &other.checkpoint].iter().any(|c| is_ranges(c));
        let ranges = [&self.checkpoint, &other.checkpoint].map(|checkpoint| {
            if checkpoint.is_empty() { Some(Ranges::default()) } else { Ranges::decode(checkpoint) }
        });
        match ranges {
            [Some(mut own), Some(others)] if is_divided => {
                own.union(&others);
                self.checkpoint = own.encode();
                self.offset = self.offset.max(other.offset);
                // Whoever reads on finds out whether anything is left.
                self.ended &= other.ended;
            }
            _ if (other.ended, other.offset) > (self.ended, self.offset) => {
                self.checkpoint.clone_from(&other.checkpoint);
                (self.ended, self.offset) = (other.ended, other.offset);
            }
            _ => {}
        }
    }
}

/// Whether a checkpoint is one of a divided source.
fn is_ranges(checkpoint: &[u8]) -> bool {
    checkpoint.first() == Some(&b'[') && Ranges::decode(checkpoint).is_some()
}

/// A source in this run.
#[derive(Clone, Debug)]
pub struct SourceState {
    /// Its name.
    pub name: String,
    /// What is kept.
    pub row: SourceRow,
    /// Why records were refused in this run.
    pub refusals: Refusals,
    /// It had something in the epoch being committed.
    pub touched: bool,
    active: Instant,
}

impl SourceState {
    /// A source as the store knows it.
    #[must_use]
    pub fn new(name: String, row: SourceRow) -> Self {
        let (refusals, active) = (Refusals::default(), Instant::now());
        Self { name, row, refusals, touched: false, active }
    }

    /// Adds what an epoch came to.
    pub fn add(&mut self, outcomes: &Outcomes) {
        self.row.counts.add(&outcomes.counts);
        self.refusals.add(&outcomes.refusals);
        self.row.latest = self.row.latest.max(outcomes.latest.map(EventTime::millis));
        self.touched = true;
        self.active = Instant::now();
    }

    /// Its greatest time less the lateness.
    #[must_use]
    pub fn watermark(&self, settings: &Settings) -> Option<EventTime> {
        let lateness = i64::try_from(settings.lateness_ms).unwrap_or(i64::MAX);
        self.row.latest.map(|latest| EventTime(latest.saturating_sub(lateness)))
    }

    /// Silent for longer than the idle timeout.
    #[must_use]
    pub fn is_idle(&self, settings: &Settings) -> bool {
        self.active.elapsed() > Duration::from_millis(settings.idle_timeout_ms)
    }

    /// For the status.
    #[must_use]
    pub fn status(&self, settings: &Settings) -> SourceStatus {
        SourceStatus {
            source: self.name.clone(),
            offset: self.row.offset,
            watermark: self.watermark(settings).map(EventTime::millis),
            idle: self.is_idle(settings),
            counts: self.row.counts,
            error: None,
            missing: None,
            refusals: self.refusals.clone(),
        }
    }
}

/// How far the sources of this process are.
#[must_use]
pub fn reach(sources: &[SourceState], settings: &Settings) -> Reach {
    let known = |source: &SourceState| source.watermark(settings).map(EventTime::millis);
    let live = |source: &&SourceState| !source.row.ended && !source.is_idle(settings);
    Reach {
        live: sources.iter().filter(live).filter_map(known).min(),
        furthest: sources.iter().filter_map(known).max(),
    }
}

/// The watermark of the whole, which was at `before`, of what every process says of its sources.
#[must_use]
pub fn watermark(
    reaches: impl IntoIterator<Item = Reach>,
    before: Option<EventTime>,
) -> Option<EventTime> {
    let (mut live, mut furthest): (Option<i64>, Option<i64>) = (None, None);
    for reach in reaches {
        live = live.into_iter().chain(reach.live).min();
        furthest = furthest.max(reach.furthest);
    }
    before.max(live.or(furthest).map(EventTime))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(latest: i64, ended: bool) -> SourceState {
        let row = SourceRow { latest: Some(latest), ended, ..SourceRow::default() };
        SourceState::new("s".into(), row)
    }

    #[test]
    fn rows_of_one_source_become_one() {
        let row = |checkpoint: &[u8], offset: u64, latest: i64, ended: bool| SourceRow {
            checkpoint: checkpoint.into(),
            offset,
            counts: SourceCounts { read: 2, bad: 1, ..SourceCounts::default() },
            latest: Some(latest),
            ended,
            file: None,
        };
        let check =
            |one: &SourceRow, other: &SourceRow, checkpoint: &[u8], at: u64, ended: bool| {
                for (one, other) in [(one, other), (other, one)] {
                    let mut merged = one.clone();
                    merged.merge(other);
                    let counts = SourceCounts { read: 4, bad: 2, ..SourceCounts::default() };
                    let latest = one.latest.max(other.latest);
                    let checkpoint = checkpoint.into();
                    let file = None;
                    let expected =
                        SourceRow { checkpoint, offset: at, counts, latest, ended, file };
                    assert_eq!(merged, expected, "{one:?} and {other:?}");
                }
            };
        // Of a divided file: the union. What one read before it was divided is a range too.
        check(
            &row(b"[[0,5]]", 5, 1, true),
            &row(b"[[7,9]]", 9, 3, true),
            b"[[0,5],[7,9]]",
            9,
            true,
        );
        let until_6 = 6_u64.to_le_bytes();
        check(&row(b"[[5,9]]", 9, 1, true), &row(&until_6, 6, 3, false), b"[[0,9]]", 9, false);
        check(&row(b"[[5,9]]", 9, 1, true), &row(b"", 0, 3, false), b"[[5,9]]", 9, false);
        // Of any other: the further one.
        let until_8 = 8_u64.to_le_bytes();
        check(&row(&until_8, 8, 1, false), &row(&until_6, 6, 3, false), &until_8, 8, false);
        check(&row(b"x", 8, 1, false), &row(b"[[0,9]]", 6, 3, true), b"[[0,9]]", 6, true);
    }

    #[test]
    fn the_watermark_is_the_least_of_the_live_sources_and_never_goes_back() {
        let settings = Settings { lateness_ms: 5, ..Settings::default() };
        let check = |sources: &[SourceState], before: Option<i64>, expected: Option<i64>| {
            let before = before.map(EventTime);
            let found = watermark([reach(sources, &settings)], before);
            assert_eq!(found.map(EventTime::millis), expected);
            // Divided among processes in whatever way, it is the same.
            for at in 0..=sources.len() {
                let (one, other) = sources.split_at(at);
                let reaches = [reach(one, &settings), reach(other, &settings)];
                assert_eq!(watermark(reaches, before), found);
            }
        };
        check(&[], None, None);
        check(&[source(100, false), source(50, false)], None, Some(45));
        check(&[source(100, false), source(50, true)], None, Some(95));
        check(&[source(100, true), source(50, true)], None, Some(95));
        check(&[source(100, false), source(50, false)], Some(60), Some(60));
    }
}
