//! Makes one answer of the parts of all processes.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use differential_dataflow::difference::{IsZero, Semigroup};
use spoor_operators::session::Session;
use spoor_operators::time::{Epoch, EventTime};
use spoor_operators::totals::Totals;

use crate::feed::Differences;
use spoor_api::query::{
    DeadLetterPage, Order, Overview, RegroupStatus, SessionPage, SourceStatus, Status,
};
use spoor_api::service::ServiceError;
use spoor_store::check_steps;

/// Which of two sessions comes first in an order.
fn by_order(order: Order, one: &Session, other: &Session) -> Ordering {
    let by_value = order.compare(order.by.of(one), order.by.of(other));
    by_value.then_with(|| one.id().cmp(&other.id()))
}

/// The page of all of pages that begin at one cursor.
#[must_use]
pub fn sessions(order: Order, first: usize, pages: Vec<SessionPage>) -> SessionPage {
    let mut whole = SessionPage::default();
    // A page that was cut because of its size says nothing of what comes behind its end.
    let mut known_up_to: Option<Arc<Session>> = None;
    for page in pages {
        whole.has_next |= page.has_next;
        if let Some(last) = page.sessions.last()
            && page.has_next
            && page.sessions.len() < first
            && known_up_to.as_ref().is_none_or(|known| by_order(order, last, known).is_lt())
        {
            known_up_to = Some(Arc::clone(last));
        }
        whole.sessions.extend(page.sessions);
        if let Some(more) = page.total {
            *whole.total.get_or_insert(0) += more;
        }
    }
    whole.sessions.sort_unstable_by(|one, other| by_order(order, one, other));
    whole.has_next |= whole.sessions.len() > first;
    whole.sessions.truncate(first);
    if let Some(known) = known_up_to {
        whole.sessions.retain(|session| by_order(order, session, &known).is_le());
    }
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
        whole.clock_jump_ms = whole.clock_jump_ms.or(part.clock_jump_ms);
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
    known.refusals.add(&more.refusals);
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

#[cfg(test)]
mod tests {
    use spoor_operators::identity::{Identity, IdentityId};
    use spoor_operators::summary::Summary;
    use spoor_operators::time::{Day, EventTime};

    use super::*;
    use spoor_api::query::Statistic;

    fn page(starts: &[i64], has_next: bool) -> SessionPage {
        let session = |start: &i64| {
            let identity = Identity {
                id: IdentityId(1),
                namespace: "n".into(),
                value: "v".into(),
                qualifier: "".into(),
                weak: false,
                secret: false,
            };
            let (start, summary) = (EventTime(*start), Summary::default());
            let identity = Arc::new(identity);
            Arc::new(Session { identity, day: Day(0), start, end: start, gap_ms: 0, summary })
        };
        SessionPage { sessions: starts.iter().map(session).collect(), has_next, total: None }
    }

    fn check(first: usize, pages: Vec<SessionPage>, expected: &[i64], has_next: bool) {
        let order = Order { by: Statistic::Start, descending: true };
        let whole = sessions(order, first, pages);
        let starts: Vec<_> = whole.sessions.iter().map(|session| session.start.0).collect();
        assert_eq!((starts.as_slice(), whole.has_next), (expected, has_next));
    }

    #[test]
    fn a_page_that_was_cut_hides_what_comes_behind_its_end() {
        check(5, vec![page(&[10, 8], false), page(&[9, 7], false)], &[10, 9, 8, 7], false);
        check(3, vec![page(&[10, 8, 6], true), page(&[9, 7, 5], true)], &[10, 9, 8], true);
        // Whether 8 is followed by 7.5 is not known.
        check(5, vec![page(&[10, 8], true), page(&[9, 7, 6], false)], &[10, 9, 8], true);
        check(5, vec![page(&[10, 8], true), page(&[9], true)], &[10, 9], true);
        check(5, vec![page(&[1], true), page(&[9, 7, 6], false)], &[9, 7, 6, 1], true);
    }
}
