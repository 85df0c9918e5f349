//! A view: everything as of one committed epoch.
//!
//! It holds a RocksDB snapshot taken right after that epoch's write, and what the engine knew then
//! and the store does not keep (rules, status). How sessions are found is `find.rs`, their requests
//! `requests.rs`; here is the rest.

use std::collections::BTreeMap;
use std::sync::Arc;

use rocksdb::{DBRawIterator, ReadOptions, Snapshot};
use self_cell::self_cell;
use spoor_operators::assign::CompiledRules;
use spoor_operators::breakdown::StoredBreakdown;
use spoor_operators::facts::{Field, NO_GAP};
use spoor_operators::identity::{Identity, IdentityId, SessionId};
use spoor_operators::rules::RuleSet;
use spoor_operators::session::{Session, SessionView};
use spoor_operators::sessionize::backend::DayKey;
use spoor_operators::time::{Day, Epoch, EventTime};

use super::batch::closes_at;
use super::commit::Committed;
use super::facets::{Clock, Facets, Row, decide};
use super::hot::decode_row;
use super::limits::PAGE_MAX;
use super::{Family, Inner, Store, StoreError, dead_letters, keys, meta};
use spoor_api::query::{
    DeadLetterPage, Filter, LetterPlace, Overview, RequestPage, RequestQuery, SessionPage,
    SessionQuery, Status,
};
use spoor_api::service::{ServiceError, View};
use spoor_api::values::{self, Page, ValuePage, ValueQuery};

/// What the engine knows of an epoch besides what it committed.
#[derive(Clone)]
pub struct ViewContext {
    /// The rules in force.
    pub rules: Arc<RuleSet>,
    /// The same, compiled: what is derived from a stored request is derived by them.
    pub compiled: Arc<CompiledRules>,
    /// Answers the status; epoch, watermark, and the numbers of sessions, requests and bytes on
    /// disk are filled in by the view.
    pub status: Arc<dyn Fn() -> Status + Send + Sync>,
}

self_cell!(
    struct Pinned {
        owner: Arc<Inner>,
        #[covariant]
        dependent: Snapshot,
    }
);

/// Everything as of one epoch. Hold it briefly: it keeps what was overwritten since on disk.
pub struct StoreView {
    pinned: Pinned,
    pub(super) context: ViewContext,
    pub(super) committed: Committed,
    epoch: Epoch,
}

impl Store {
    /// A view of the last commit. To be made by whoever commits, before the next commit.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], failures of RocksDB.
    pub fn view(&self, context: ViewContext) -> Result<StoreView, StoreError> {
        let committed = self.inner.committed.lock();
        let pinned = Pinned::new(self.inner.clone(), |inner| inner.db.snapshot());
        let epoch = committed.epoch.unwrap_or_default();
        self.inner.views.lock().opened(epoch);
        Ok(StoreView { pinned, context, committed: committed.clone(), epoch })
    }
}

impl Drop for StoreView {
    fn drop(&mut self) {
        self.inner().views.lock().closed(self.epoch);
    }
}

impl StoreView {
    pub(super) fn inner(&self) -> &Inner {
        self.pinned.borrow_owner()
    }

    /// Options that read as of this view.
    pub(super) fn options(&self) -> ReadOptions {
        let mut options = ReadOptions::default();
        options.set_snapshot(self.pinned.borrow_dependent());
        options
    }

    /// An iterator over a range of a column family in order of its keys.
    pub(super) fn range(&self, family: Family, prefix: &[u8]) -> DBRawIterator<'_> {
        let mut options = self.options();
        options.set_total_order_seek(true);
        options.set_iterate_lower_bound(prefix);
        if let Some(after) = keys::after(prefix) {
            options.set_iterate_upper_bound(after);
        }
        self.inner().db.raw_iterator_cf_opt(self.inner().cf(family), options)
    }

    pub(super) fn clock(&self) -> Clock<'_> {
        Clock { zone: &self.inner().zone, watermark: self.committed.watermark }
    }

    /// Days that have something, with their numbers.
    pub(super) fn days(&self) -> &BTreeMap<Day, meta::DayCount> {
        &self.committed.days
    }

    /// The row of the session of an identity that contains an instant, with its key.
    pub(super) fn row_at(
        &self,
        rows: &mut DBRawIterator<'_>,
        day: Day,
        identity: IdentityId,
        at: EventTime,
    ) -> Result<bool, StoreError> {
        rows.seek_for_prev(keys::session(day, identity, at));
        rows.status()?;
        let Some((key, row)) = rows.item() else { return Ok(false) };
        if !key.starts_with(&keys::identity_day(day, identity)) {
            return Ok(false);
        }
        Ok(SessionView::new(row)?.end >= at)
    }

    /// The last session of an identity on a day that starts before an instant.
    fn last_before(
        &self,
        day: Day,
        identity: IdentityId,
        before: EventTime,
    ) -> Result<Option<Session>, StoreError> {
        let mut rows = self.range(Family::Sessions, &keys::identity_day(day, identity));
        rows.seek_for_prev(keys::session(day, identity, EventTime(before.0.saturating_sub(1))));
        rows.status()?;
        rows.item().map(|(key, row)| decode_row(key, row)).transpose()
    }

    fn previous_neighbour(&self, session: &Session) -> Result<Option<SessionId>, StoreError> {
        let identity = session.identity.id;
        if self.last_before(session.day, identity, session.start)?.is_some() {
            return Ok(None);
        }
        let reach = match session.gap_ms {
            NO_GAP => EventTime::MIN,
            gap => EventTime(session.start.0.saturating_sub(i64::from(gap))),
        };
        let first = self.inner().zone.day_of(reach);
        for (day, _) in self.days().range(first..session.day).rev() {
            if let Some(previous) = self.last_before(*day, identity, session.start)? {
                return Ok((previous.end > reach).then(|| previous.id()));
            }
        }
        Ok(None)
    }

    fn find_session(&self, id: SessionId) -> Result<Option<Arc<Session>>, StoreError> {
        let day = self.inner().zone.day_of(id.start);
        let mut rows = self.range(Family::Sessions, &keys::identity_day(day, id.identity));
        if !self.row_at(&mut rows, day, id.identity, id.start)? {
            return Ok(None);
        }
        Ok(rows.item().map(|(key, row)| decode_row(key, row)).transpose()?.map(Arc::new))
    }

    /// Visits the values of a field of a breakdown that is stored in parts.
    pub(super) fn stored_values(
        &self,
        key: DayKey,
        anchor: EventTime,
        field: Field,
        visit: &mut dyn FnMut(&str, u64),
    ) -> Result<(), StoreError> {
        let options = self.options();
        self.inner().breakdown_parts(key, anchor, Some(field), options, |_, part| {
            for entry in StoredBreakdown::new(part)? {
                let (_, text, count) = entry?;
                visit(text, count);
            }
            Ok(())
        })
    }

    /// Values of the session that contains an instant; of a large one only the parts of the field
    /// are read. None of no session.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], failures of RocksDB.
    pub fn find_values(&self, id: SessionId, query: &ValueQuery) -> Result<ValuePage, StoreError> {
        let Some(session) = self.find_session(id)? else { return Ok(ValuePage::default()) };
        let Some(head) = session.head() else { return Ok(values::of(&session, query)) };
        let mut page = Page::new(query);
        let key = DayKey { day: session.day, identity: id.identity };
        self.stored_values(key, head.anchor, query.field, &mut |text, count| {
            page.offer(text, count);
        })?;
        Ok(page.finish())
    }

    fn find_identity(&self, id: IdentityId) -> Result<Option<Arc<Identity>>, StoreError> {
        for day in self.days().keys().rev() {
            let mut found = None;
            let key = DayKey { day: *day, identity: id };
            let family = Family::Sessions;
            self.inner().of_identity_day(family, key, self.options(), |_, row| {
                found = Some(SessionView::new(row)?.identity());
                Ok(())
            })?;
            if let Some(found) = found {
                return Ok(Some(Arc::new(found)));
            }
        }
        Ok(None)
    }

    /// Whether a session, stored or not, matches a filter, as far as its statistics alone decide.
    ///
    /// # Errors
    /// [`StoreError::Damaged`].
    pub fn matches_by_statistics(
        &self,
        filter: &Filter,
        session: &Session,
    ) -> Result<Option<bool>, StoreError> {
        decide(filter, session, &self.clock(), &mut |_| Ok(None))
    }

    /// Whether a session, stored or not, matches a filter; predicates its statistics cannot answer
    /// are asked of the request log. One without its values is looked at as it is in this view.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], [`StoreError::Limit`], failures of RocksDB.
    pub fn matches(&self, filter: &Filter, session: &Session) -> Result<bool, StoreError> {
        if !session.summary.breakdown.is_head() {
            return self.is_selected(filter, session);
        }
        // Only the values that are asked for are read.
        let (day, identity) = (session.day, session.identity.id);
        let mut rows = self.range(Family::Sessions, &keys::identity_day(day, identity));
        let is_there = self.row_at(&mut rows, day, identity, session.start)?;
        match rows.value().filter(|_| is_there) {
            Some(row) => {
                self.is_selected(filter, &Row { session: SessionView::new(row)?, view: self })
            }
            None => Ok(false),
        }
    }

    /// As [`StoreView::matches`], of a session in either form.
    pub(super) fn is_selected(
        &self,
        filter: &Filter,
        session: &impl Facets,
    ) -> Result<bool, StoreError> {
        let clock = self.clock();
        if let Some(known) = decide(filter, session, &clock, &mut |_| Ok(None))? {
            return Ok(known);
        }
        let (day, start, end) = session.span();
        let key = DayKey { day, identity: session.identity() };
        let mut asked = self.ask(key, start, end);
        Ok(decide(filter, session, &clock, &mut |group| asked(group).map(Some))?.unwrap_or(false))
    }

    /// Refused records of this process, newest first, those before `before` only.
    ///
    /// # Errors
    /// [`StoreError::Limit`], [`StoreError::Damaged`], failures of RocksDB.
    pub fn letters_before(
        &self,
        first: usize,
        before: LettersBefore,
    ) -> Result<DeadLetterPage, StoreError> {
        check_page(first)?;
        let (oldest, next) = self.committed.letters;
        let newest = match before {
            LettersBefore::End => next,
            LettersBefore::Sequence(before) => before.min(next),
            LettersBefore::Epoch(epoch) => self.first_letter_of(epoch)?,
        };
        let mut page = DeadLetterPage { total: next - oldest, ..DeadLetterPage::default() };
        let mut letters = self.range(Family::DeadLetters, &[]);
        if let Some(last) = newest.checked_sub(1) {
            letters.seek_for_prev(dead_letters::key(last));
            while let Some((key, value)) = letters.item() {
                if page.letters.len() == first {
                    page.has_next = true;
                    break;
                }
                page.letters.push(dead_letters::decode(key, value)?);
                letters.prev();
            }
        }
        letters.status()?;
        Ok(page)
    }

    /// The first dead letter of an epoch or a later one; the next one to come when there is none.
    fn first_letter_of(&self, epoch: Epoch) -> Result<u64, StoreError> {
        let (mut low, mut high) = self.committed.letters;
        let mut letters = self.range(Family::DeadLetters, &[]);
        while low < high {
            let middle = low + (high - low) / 2;
            letters.seek(dead_letters::key(middle));
            letters.status()?;
            let Some((key, value)) = letters.item() else { break };
            if dead_letters::decode(key, value)?.epoch < epoch {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }
}

/// Where a page of the dead letters of a process begins.
#[derive(Clone, Copy, Debug)]
pub enum LettersBefore {
    /// With the newest.
    End,
    /// Before this one.
    Sequence(u64),
    /// Before those of this epoch.
    Epoch(Epoch),
}

/// Refuses a page longer than memory is meant for.
pub(super) fn check_page(first: usize) -> Result<(), StoreError> {
    if first <= PAGE_MAX {
        return Ok(());
    }
    Err(StoreError::Limit(format!("a page has at most {PAGE_MAX} entries")))
}

impl View for StoreView {
    fn epoch(&self) -> Epoch {
        self.epoch
    }

    fn watermark(&self) -> Option<EventTime> {
        self.committed.watermark
    }

    fn closes_at(&self, session: &Session) -> EventTime {
        let next_day = self.inner().zone.start_of(Day(session.day.0.saturating_add(1)));
        closes_at(session.end, session.gap_ms, next_day)
    }

    fn continues(&self, session: &Session) -> Result<Option<SessionId>, ServiceError> {
        Ok(self.previous_neighbour(session)?)
    }

    fn sessions(&self, query: &SessionQuery) -> Result<SessionPage, ServiceError> {
        Ok(self.find_sessions(query)?)
    }

    fn session(&self, id: SessionId) -> Result<Option<Arc<Session>>, ServiceError> {
        Ok(self.find_session(id)?)
    }

    fn values(&self, session: &Session, query: &ValueQuery) -> Result<ValuePage, ServiceError> {
        if !session.summary.breakdown.is_head() {
            return Ok(values::of(session, query));
        }
        Ok(self.find_values(session.id(), query)?)
    }

    fn identity(&self, id: IdentityId) -> Result<Option<Arc<Identity>>, ServiceError> {
        Ok(self.find_identity(id)?)
    }

    fn requests(
        &self,
        session: &Session,
        query: &RequestQuery,
    ) -> Result<RequestPage, ServiceError> {
        Ok(self.find_requests(session, query)?)
    }

    fn overview(
        &self,
        from: Option<EventTime>,
        until: Option<EventTime>,
        step_minutes: Option<u32>,
    ) -> Result<Overview, ServiceError> {
        Ok(self.find_overview(from, until, step_minutes)?)
    }

    fn retained(&self) -> Result<Option<(EventTime, EventTime)>, ServiceError> {
        Ok(self.retained_days())
    }

    fn rules(&self) -> Arc<RuleSet> {
        self.context.rules.clone()
    }

    fn dead_letters(
        &self,
        first: usize,
        before: Option<LetterPlace>,
    ) -> Result<DeadLetterPage, ServiceError> {
        let before = before.map(|before| LettersBefore::Sequence(before.sequence));
        Ok(self.letters_before(first, before.unwrap_or(LettersBefore::End))?)
    }

    fn status(&self) -> Result<Status, ServiceError> {
        let numbers = self.committed.numbers();
        let mut status = Status {
            epoch: self.epoch.0,
            watermark: self.committed.watermark.map(|at| at.0),
            sessions: numbers.sessions,
            requests: numbers.requests,
            store_bytes: self.inner().disk_bytes(),
            ..(self.context.status)()
        };
        status.processes = vec![status.of_process(0)];
        Ok(status)
    }
}
