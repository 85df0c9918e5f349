//! Finds a page of sessions: walks what the plan leads to, looks at rows, keeps the best.
//!
//! Every way of looking hands rows to one [`Collector`], which checks the filter, counts, and keeps
//! the first rows of the order after the cursor. In the order by start, days and minutes come in
//! order, so looking stops once nothing to come can be on the page. Ways, best first: sessions or
//! identities that are named; the index of request ids; the shortest posting list, if it is short;
//! the time index (for a page in the order by start); all rows of the days in question.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::sync::Arc;

use hashbrown::HashSet;
use rocksdb::DBRawIterator;
use spoor_operators::identity::{IdentityId, SessionId};
use spoor_operators::session::{Session, SessionView};
use spoor_operators::sessionize::backend::DayKey;
use spoor_operators::time::{Day, EventTime};

use super::error::keep_on;
use super::facets::{Facets, Row};
use super::keys::{self, IndexKind, Offset};
use super::limits::{
    BUCKET_KEYS_MAX, LOOKUP_BATCH, PAGE_BYTES_MAX, POSTINGS_MAX, SORT_RUN, WALK_MAX,
};
use super::plan::{Lead, Plan};
use super::postings::{self, Term};
use super::view::{StoreView, check_page};
use super::{Family, StoreError};
use spoor_api::query::{Cursor, Filter, Order, SessionPage, SessionQuery, Statistic};

/// A place in an order. Sooner is less.
#[derive(Clone, Copy, Debug)]
struct Place {
    value: Option<f64>,
    id: SessionId,
    order: Order,
}

impl Ord for Place {
    fn cmp(&self, other: &Self) -> Ordering {
        self.order.compare(self.value, other.value).then(self.id.cmp(&other.id))
    }
}

impl PartialOrd for Place {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Place {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Place {}

/// Checks rows and keeps the first of the order.
struct Collector<'a> {
    view: &'a StoreView,
    filter: &'a Filter,
    order: Order,
    after: Option<Place>,
    /// One more than the page has, to know whether more follow.
    room: usize,
    kept: BinaryHeap<(Place, Vec<u8>)>,
    /// Bytes of the rows that are kept.
    kept_bytes: usize,
    /// Rows were let go because the page had grown too large.
    cut: bool,
    matching: u64,
    examined: usize,
    /// Everything has to be looked at.
    exhaustive: bool,
}

impl<'a> Collector<'a> {
    fn new(view: &'a StoreView, query: &'a SessionQuery, count: bool) -> Self {
        let order = query.order;
        let place = |after: &Cursor| Place { value: after.value, id: after.id, order };
        Self {
            view,
            filter: &query.filter,
            order,
            after: query.after.as_ref().map(place),
            room: query.first + 1,
            kept: BinaryHeap::new(),
            kept_bytes: 0,
            cut: false,
            matching: 0,
            examined: 0,
            exhaustive: count || query.order.by != Statistic::Start,
        }
    }

    /// Looks at a row. To be called once for each session.
    fn row(&mut self, row: &[u8]) -> Result<(), StoreError> {
        keep_on()?;
        self.examined += 1;
        let session = Row { session: SessionView::new(row)?, view: self.view };
        let place =
            Place { value: session.statistic(self.order.by)?, id: session.id(), order: self.order };
        let listed = self.after.is_none_or(|after| place > after) && self.has_room(&place);
        if !listed && !self.exhaustive || !self.view.is_selected(self.filter, &session)? {
            return Ok(());
        }
        self.matching += 1;
        if listed {
            self.kept_bytes += row.len();
            self.kept.push((place, row.to_vec()));
            self.make_fit();
        }
        Ok(())
    }

    /// Lets go of what comes last in the order until the rest is few and small enough. Whatever
    /// was let go for its size stays out, so that the page remains the beginning of the list.
    fn make_fit(&mut self) {
        if self.kept.len() > self.room {
            self.let_go();
        }
        while self.kept_bytes > PAGE_BYTES_MAX && self.kept.len() > 1 {
            self.let_go();
            self.room = self.kept.len();
            self.cut = true;
        }
    }

    fn let_go(&mut self) {
        if let Some((_, row)) = self.kept.pop() {
            self.kept_bytes -= row.len();
        }
    }

    fn has_room(&self, place: &Place) -> bool {
        self.kept.len() < self.room || self.kept.peek().is_some_and(|(last, _)| place < last)
    }

    /// Whether nothing is missing once all that is left starts at `bound` or further on.
    fn complete(&self, bound: EventTime) -> bool {
        if self.exhaustive || self.kept.len() < self.room {
            return false;
        }
        let bound = bound.0 as f64;
        self.kept.peek().and_then(|(last, _)| last.value).is_some_and(|last| {
            match self.order.descending {
                true => last > bound,
                false => last < bound,
            }
        })
    }

    /// Whether everything that starts from `first` to `last` comes before the cursor.
    fn passed(&self, first: EventTime, last: EventTime) -> bool {
        !self.exhaustive
            && self.after.and_then(|after| after.value).is_some_and(|after| {
                match self.order.descending {
                    true => first.0 as f64 > after,
                    false => (last.0 as f64) < after,
                }
            })
    }

    fn page(self, first: usize, total: Option<u64>) -> Result<SessionPage, StoreError> {
        let has_next = self.cut || self.kept.len() > first;
        let rows = self.kept.into_sorted_vec();
        let decode = |(_, row): (Place, Vec<u8>)| Ok(Arc::new(Session::decode(&row)?));
        let sessions = rows.into_iter().take(first).map(decode).collect::<Result<_, StoreError>>();
        Ok(SessionPage { sessions: sessions?, has_next, total })
    }
}

/// Candidates of a posting list: an instant, and the leading half of an identity.
type Candidates = Vec<(Offset, u64)>;

/// An entry of the list by start.
type Start = (Offset, IdentityId);

/// Takes the row of a session.
type Visit<'a> = &'a mut dyn FnMut(SessionId, &[u8]) -> Result<(), StoreError>;

impl StoreView {
    pub(super) fn find_sessions(&self, query: &SessionQuery) -> Result<SessionPage, StoreError> {
        check_page(query.first)?;
        let known_total =
            (query.filter == Filter::all()).then(|| self.committed.numbers().sessions);
        let count = query.count && known_total.is_none();
        let mut collector = Collector::new(self, query, count);
        let plan = Plan::of(&query.filter);
        match plan.leads.first() {
            Some(Lead::Sessions(ids)) => self.named_sessions(ids, &mut collector)?,
            Some(Lead::Identities(ids)) => self.named_identities(ids, &plan, &mut collector)?,
            Some(Lead::RequestIds(ids)) => self.by_request_ids(ids, &plan, &mut collector)?,
            Some(Lead::Terms(_)) | None => self.by_days(&plan, &mut collector)?,
        }
        let total = query.count.then(|| known_total.unwrap_or(collector.matching));
        collector.page(query.first, total)
    }

    fn admitted(&self, plan: &Plan, descending: bool) -> Vec<Day> {
        let zone = &self.inner().zone;
        let admitted = self.days().keys().copied().filter(|day| plan.admits(*day, zone));
        let mut days: Vec<_> = admitted.collect();
        if descending {
            days.reverse();
        }
        days
    }

    fn named_sessions(&self, ids: &[SessionId], to: &mut Collector<'_>) -> Result<(), StoreError> {
        let (mut rows, mut seen) = (self.range(Family::Sessions, &[]), HashSet::new());
        for id in ids {
            let day = self.inner().zone.day_of(id.start);
            if self.row_at(&mut rows, day, id.identity, id.start)?
                && let Some((key, row)) = rows.item()
                && seen.insert(key.to_vec())
            {
                to.row(row)?;
            }
        }
        Ok(())
    }

    fn named_identities(
        &self,
        ids: &[IdentityId],
        plan: &Plan,
        to: &mut Collector<'_>,
    ) -> Result<(), StoreError> {
        let ids: HashSet<_> = ids.iter().copied().collect();
        for day in self.admitted(plan, true) {
            for identity in &ids {
                let key = DayKey { day, identity: *identity };
                let options = self.options();
                self.inner()
                    .of_identity_day(Family::Sessions, key, options, |_, row| to.row(row))?;
            }
        }
        Ok(())
    }

    fn by_request_ids(
        &self,
        ids: &[String],
        plan: &Plan,
        to: &mut Collector<'_>,
    ) -> Result<(), StoreError> {
        if !self.inner().index_request_ids {
            return self.by_days(&Plan { leads: Vec::new(), ..plan.clone() }, to);
        }
        for day in self.admitted(plan, true) {
            let mut heads = Vec::new();
            for id in ids.iter().map(|id| Term::request_id(id)) {
                let bucket = keys::bucket(day, IndexKind::RequestIds, id.bucket());
                let mut parts = self.range(Family::Index, &bucket);
                parts.seek_to_first();
                while let Some(part) = parts.value() {
                    postings::read_ids(part, id, &mut heads)?;
                    parts.next();
                }
                parts.status()?;
            }
            heads.sort_unstable();
            heads.dedup();
            for head in heads {
                let mut rows = self.range(Family::Sessions, &keys::identity_head(day, head));
                rows.seek_to_first();
                while let Some(row) = rows.value() {
                    to.row(row)?;
                    rows.next();
                }
                rows.status()?;
            }
        }
        Ok(())
    }

    /// Day by day, each by its shortest posting list, the time index, or all of its rows.
    fn by_days(&self, plan: &Plan, to: &mut Collector<'_>) -> Result<(), StoreError> {
        let descending = to.order.descending;
        for day in self.admitted(plan, descending) {
            let zone = &self.inner().zone;
            let first = zone.start_of(day);
            let last = EventTime(zone.start_of(Day(day.0.saturating_add(1))).0 - 1);
            if to.complete(if descending { last } else { first }) {
                break;
            }
            if to.passed(first, last) {
                continue;
            }
            if let Some(candidates) = self.shortest(day, plan, to.exhaustive)? {
                self.resolve(day, candidates, to)?;
            } else if to.exhaustive || to.examined > WALK_MAX {
                self.scan(day, to, |_| false)?;
            } else {
                self.walk(day, plan, to)?;
            }
        }
        Ok(())
    }

    /// The shortest of the posting lists a plan asks for, if it is worth following.
    fn shortest(
        &self,
        day: Day,
        plan: &Plan,
        exhaustive: bool,
    ) -> Result<Option<Candidates>, StoreError> {
        let sessions = self.days().get(&day).map_or(0, |count| count.sessions.max(0) as usize);
        // Following an entry costs about eight times what reading a row in passing does.
        let mut limit = if exhaustive { 1000 + sessions / 8 } else { POSTINGS_MAX };
        let mut best = None;
        for lead in &plan.leads {
            let Lead::Terms(terms) = lead else { continue };
            if let Some(found) = self.candidates(day, terms, limit)? {
                limit = found.len();
                best = Some(found);
                if limit == 0 {
                    break;
                }
            }
        }
        Ok(best)
    }

    /// Candidates with one of these terms; none when there are more than `limit`.
    fn candidates(
        &self,
        day: Day,
        terms: &[Term],
        limit: usize,
    ) -> Result<Option<Candidates>, StoreError> {
        let (mut found, mut read) = (Candidates::new(), 0);
        for term in terms {
            let bucket = keys::bucket(day, IndexKind::Terms, term.bucket());
            let mut parts = self.range(Family::Index, &bucket);
            parts.seek_to_first();
            while let Some(part) = parts.value() {
                keep_on()?;
                postings::read_term(part, *term, &mut found)?;
                read += 1;
                if found.len() > limit || read > BUCKET_KEYS_MAX {
                    return Ok(None);
                }
                parts.next();
            }
            parts.status()?;
        }
        Ok(Some(found))
    }

    /// Looks at the sessions that contain the candidates' instants.
    fn resolve(
        &self,
        day: Day,
        mut candidates: Candidates,
        to: &mut Collector<'_>,
    ) -> Result<(), StoreError> {
        let newest_first = !to.exhaustive && to.order.descending;
        if newest_first {
            candidates.sort_unstable_by(|a, b| b.cmp(a));
        } else {
            candidates.sort_unstable_by_key(|(offset, head)| (*head, *offset));
        }
        candidates.dedup();
        let mut rows = self.range(Family::Sessions, &keys::day_prefix(day));
        let mut seen = HashSet::new();
        for (offset, head) in candidates {
            let at = offset.instant(day);
            // The session starts at its entry's instant or before.
            if newest_first && to.complete(at) {
                break;
            }
            self.contains(day, head, at, &mut rows, &mut |id, row| {
                if seen.insert(id) { to.row(row) } else { Ok(()) }
            })?;
        }
        Ok(())
    }

    /// Visits the sessions that contain an instant, of all identities with these leading bits.
    fn contains(
        &self,
        day: Day,
        head: u64,
        at: EventTime,
        rows: &mut DBRawIterator<'_>,
        visit: Visit<'_>,
    ) -> Result<(), StoreError> {
        let prefix = keys::identity_head(day, head);
        rows.seek(prefix);
        while let Some(key) = rows.key().filter(|key| key.starts_with(&prefix)) {
            keep_on()?;
            let (_, identity, start) = keys::parse_session(key)?;
            let first = rows.value().map(SessionView::new).transpose()?;
            let found = first.is_some_and(|first| start <= at && at <= first.end)
                || self.row_at(rows, day, identity, at)?;
            if found && let Some((key, row)) = rows.item() {
                let (_, identity, start) = keys::parse_session(key)?;
                visit(SessionId { identity, start }, row)?;
            }
            match keys::after(&keys::identity_day(day, identity)) {
                Some(next) => rows.seek(next),
                None => break,
            }
        }
        Ok(rows.status()?)
    }

    /// Looks at all rows of a day but those of the minutes that were `visited`.
    fn scan(
        &self,
        day: Day,
        to: &mut Collector<'_>,
        visited: impl Fn(u16) -> bool,
    ) -> Result<(), StoreError> {
        let mut rows = self.range(Family::Sessions, &keys::day_prefix(day));
        rows.seek_to_first();
        while let Some((key, row)) = rows.item() {
            let start = keys::parse_session(key)?.2;
            if !visited(Offset::of(day, start).minute_bucket()) {
                to.row(row)?;
            }
            rows.next();
        }
        Ok(rows.status()?)
    }

    /// Looks at the sessions of a day in the order of their starts until the page is complete.
    fn walk(&self, day: Day, plan: &Plan, to: &mut Collector<'_>) -> Result<(), StoreError> {
        let descending = to.order.descending;
        let prefix = keys::bucket(day, IndexKind::Time, 0);
        let mut parts = self.range(Family::Index, &prefix[..5]);
        let edge = self.edge(day, plan, to);
        match (descending, edge) {
            (true, None) => parts.seek_to_first(),
            (true, Some(bucket)) => parts.seek(keys::bucket(day, IndexKind::Time, bucket)),
            (false, None) => parts.seek_to_last(),
            (false, Some(u16::MAX)) => parts.seek_to_last(),
            (false, Some(bucket)) => {
                parts.seek_for_prev(keys::bucket(day, IndexKind::Time, bucket + 1));
            }
        }
        let mut starts = Vec::new();
        while let Some(key) = parts.key() {
            let bucket = keys::parse_bucket(key)?;
            if to.examined > WALK_MAX {
                let visited = |other: u16| if descending { other < bucket } else { other > bucket };
                return self.scan(day, to, visited);
            }
            starts.clear();
            while let Some((key, part)) = parts.item()
                && keys::parse_bucket(key)? == bucket
            {
                postings::read_starts(part, &mut starts)?;
                if descending { parts.next() } else { parts.prev() }
            }
            if self.walk_minute(day, &mut starts, to)? {
                return Ok(());
            }
        }
        Ok(parts.status()?)
    }

    /// Looks at the sessions that start in a minute, in order; whether the page is complete.
    ///
    /// A minute can have very many, of which the first few usually fill the page: they are sorted
    /// as far as they are looked at.
    fn walk_minute(
        &self,
        day: Day,
        starts: &mut [Start],
        to: &mut Collector<'_>,
    ) -> Result<bool, StoreError> {
        let descending = to.order.descending;
        let by_order = |a: &Start, b: &Start| match descending {
            true => b.0.cmp(&a.0).then(a.1.cmp(&b.1)),
            false => a.cmp(b),
        };
        let batch_len = (2 * to.room + 30).min(LOOKUP_BATCH);
        let (mut left, mut run) = (starts, SORT_RUN);
        let (mut fresh, mut last) = (Vec::new(), None);
        while !left.is_empty() {
            if run < left.len() {
                left.select_nth_unstable_by(run, by_order);
            }
            let (first, rest) = left.split_at_mut(run.min(left.len()));
            first.sort_unstable_by(by_order);
            // Equal starts can lie on both sides of the split.
            fresh.clear();
            fresh
                .extend(first.iter().copied().filter(|start| last.replace(*start) != Some(*start)));
            for batch in fresh.chunks(batch_len) {
                if batch.first().is_some_and(|(offset, _)| to.complete(offset.instant(day))) {
                    return Ok(true);
                }
                self.look_up(day, batch, to)?;
            }
            left = rest;
            run = run.saturating_mul(8);
        }
        Ok(false)
    }

    /// The first minute that can have sessions on the page, as its bucket.
    fn edge(&self, day: Day, plan: &Plan, to: &Collector<'_>) -> Option<u16> {
        let cursor = to.after.and_then(|after| after.value).map(|after| EventTime(after as i64));
        let edge = match to.order.descending {
            true => match (cursor, plan.until) {
                (Some(cursor), Some(until)) => Some(cursor.min(until)),
                (cursor, until) => cursor.or(until),
            },
            false => cursor,
        };
        edge.map(|at| Offset::of(day, at).minute_bucket())
    }

    /// Looks at the rows of exact starts, if they are there.
    fn look_up(
        &self,
        day: Day,
        starts: &[Start],
        to: &mut Collector<'_>,
    ) -> Result<(), StoreError> {
        let key = |(offset, identity): &Start| keys::session(day, *identity, offset.instant(day));
        let mut wanted: Vec<_> = starts.iter().map(key).collect();
        wanted.sort_unstable();
        let inner = self.inner();
        let rows = inner.db.batched_multi_get_cf_opt(
            inner.cf(Family::Sessions),
            &wanted,
            true,
            &self.options(),
        );
        for row in rows {
            if let Some(row) = row? {
                to.row(&row)?;
            }
        }
        Ok(())
    }
}
