//! Makes one answer of the parts of all processes.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use differential_dataflow::difference::{IsZero, Semigroup};
use spoor_operators::session::Session;
use spoor_operators::time::{Epoch, EventTime};
use spoor_operators::totals::Totals;

use crate::engine::feed::Differences;
use crate::query::{
    DeadLetterPage, Order, Overview, RegroupStatus, SessionPage, SourceStatus, Status,
};
use crate::service::ServiceError;
use crate::store::check_steps;

/// Which of two sessions comes first in an order.
fn by_order(order: Order, one: &Session, other: &Session) -> Ordering {
    let by_value = order.compare(order.by.of(one), order.by.of(other));
    by_value.then_with(|| one.id().cmp(&other.id()))
}

/// The page of all of pages that begin at one cursor.
#[must_use]
pub fn sessions(order: Order, first: usize, pages: Vec<SessionPage>) -> SessionPage {
    let mut whole = SessionPage::default();
    for page in pages {
        whole.has_next |= page.has_next;
        whole.sessions.extend(page.sessions);
        if let Some(more) = page.total {
            *whole.total.get_or_insert(0) += more;
        }
    }
    whole.sessions.sort_unstable_by(|one, other| by_order(order, one, other));
    whole.has_next |= whole.sessions.len() > first;
    whole.sessions.truncate(first);
    whole
}

/// The page of all of pages that begin at one place.
#[must_use]
pub fn dead_letters(first: usize, pages: Vec<DeadLetterPage>) -> DeadLetterPage {
    let mut whole = DeadLetterPage::default();
    for page in pages {
        whole.has_next |= page.has_next;
        whole.total += page.total;
        whole.letters.extend(page.letters);
    }
    whole.letters.sort_unstable_by_key(|letter| std::cmp::Reverse(letter.place()));
    whole.has_next |= whole.letters.len() > first;
    whole.letters.truncate(first);
    whole
}

/// The sums of partial sums, which may be negative; what comes to nothing is not there.
///
/// # Errors
/// [`ServiceError::Limit`] for too many steps.
pub fn overview(epoch: Epoch, parts: Vec<Overview>) -> Result<Overview, ServiceError> {
    let mut whole = Overview { epoch, ..Overview::default() };
    let (mut series, mut apps) = (BTreeMap::new(), BTreeMap::new());
    for part in parts {
        whole.totals.plus_equals(&part.totals);
        add(&mut series, part.series);
        add(&mut apps, part.apps);
    }
    check_steps(series.len())?;
    whole.series = series.into_iter().collect();
    whole.apps = apps.into_iter().collect();
    Ok(whole)
}

fn add<K: Ord>(sums: &mut BTreeMap<K, Totals>, more: Vec<(K, Totals)>) {
    for (key, totals) in more {
        sums.entry(key).or_default().plus_equals(&totals);
    }
    sums.retain(|_, totals| !totals.is_zero());
}

/// From the first retained day of any process to the last.
#[must_use]
pub fn retained(parts: Vec<Option<(EventTime, EventTime)>>) -> Option<(EventTime, EventTime)> {
    let days = parts.into_iter().flatten();
    days.reduce(|one, other| (one.0.min(other.0), one.1.max(other.1)))
}

/// The state of the whole: sums, and what is the same everywhere of the first.
#[must_use]
pub fn status(mut parts: Vec<Status>) -> Status {
    if parts.len() == 1 {
        return parts.remove(0);
    }
    let mut parts = parts.into_iter();
    let mut whole = parts.next().unwrap_or_default();
    let mut sources: BTreeMap<String, SourceStatus> = BTreeMap::new();
    let first = std::mem::take(&mut whole.sources);
    first.into_iter().for_each(|source| add_source(&mut sources, source));
    for part in parts {
        whole.lag_ms = whole.lag_ms.max(part.lag_ms);
        whole.open_sessions += part.open_sessions;
        whole.sessions += part.sessions;
        whole.requests += part.requests;
        whole.hot_bytes += part.hot_bytes;
        whole.hot_budget_bytes += part.hot_budget_bytes;
        whole.resident_bytes += part.resident_bytes;
        whole.store_bytes += part.store_bytes;
        whole.workers += part.workers;
        whole.regroup = regroup(whole.regroup, part.regroup);
        whole.processes.extend(part.processes);
        part.sources.into_iter().for_each(|source| add_source(&mut sources, source));
    }
    whole.sources = sources.into_values().collect();
    whole
}

/// Processes may read one source each in part, and each has its own pushes.
fn add_source(sources: &mut BTreeMap<String, SourceStatus>, more: SourceStatus) {
    let Some(known) = sources.get_mut(&more.source) else {
        sources.insert(more.source.clone(), more);
        return;
    };
    known.offset += more.offset;
    known.watermark = known.watermark.max(more.watermark);
    known.idle &= more.idle;
    known.counts.add(&more.counts);
    known.error = known.error.take().or(more.error);
    known.missing = known.missing.take().or(more.missing);
}

fn regroup(one: Option<RegroupStatus>, other: Option<RegroupStatus>) -> Option<RegroupStatus> {
    match (one, other) {
        (Some(one), Some(other)) if one.version == other.version => Some(RegroupStatus {
            version: one.version,
            done: one.done + other.done,
            total: one.total + other.total,
        }),
        // One process is done with it already, or has not begun.
        (one, other) => [one, other].into_iter().flatten().max_by_key(|status| status.version),
    }
}

/// The differences of all; none when those of one are not known.
#[must_use]
pub fn differences(parts: Vec<Option<Differences>>) -> Option<Differences> {
    let mut whole = Differences::default();
    for part in parts {
        let part = part?;
        whole.added.extend(part.added);
        whole.updated.extend(part.updated);
        whole.removed.extend(part.removed);
    }
    whole.added.sort_unstable_by_key(|session| session.id());
    whole.updated.sort_unstable_by_key(|session| session.id());
    whole.removed.sort_unstable();
    Some(whole)
}
