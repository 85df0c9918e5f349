//! Everything of a view, one after another: what a replay writes out.

use spoor_operators::identity::SessionId;
use spoor_operators::session::Session;
use spoor_operators::sessionize::backend::DayKey;
use spoor_operators::time::Day;

use super::hot::decode_row;
use super::view::StoreView;
use super::{Family, StoreError, keys};

impl StoreView {
    /// Visits every session, with all its values, in order of day, partition, identity and start, until `visit` says no.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], failures of RocksDB.
    pub fn for_each_session(
        &self,
        visit: &mut dyn FnMut(&Session) -> bool,
    ) -> Result<(), StoreError> {
        self.for_each_session_after(None, visit)
    }

    /// As [`StoreView::for_each_session`], those after the one with this day and id only.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], failures of RocksDB.
    pub fn for_each_session_after(
        &self,
        after: Option<(Day, SessionId)>,
        visit: &mut dyn FnMut(&Session) -> bool,
    ) -> Result<(), StoreError> {
        let mut options = self.options();
        options.set_total_order_seek(true);
        options.fill_cache(false);
        let mut rows =
            self.inner().db.raw_iterator_cf_opt(self.inner().cf(Family::Sessions), options);
        let after = after.map(|(day, id)| keys::session(day, id.identity, id.start));
        match &after {
            Some(after) => rows.seek(after),
            None => rows.seek_to_first(),
        }
        if after.is_some_and(|after| rows.key().is_some_and(|key| *key == after)) {
            rows.next();
        }
        while let Some((key, row)) = rows.item() {
            let session = self.inner().whole(decode_row(key, row)?, self.options())?;
            if !visit(&session) {
                break;
            }
            rows.next();
        }
        Ok(rows.status()?)
    }

    /// The ids of a session's requests, in `(ts, id)` order.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], [`StoreError::Limit`], failures of RocksDB.
    pub fn request_ids(&self, session: &Session) -> Result<Vec<String>, StoreError> {
        let key = DayKey { day: session.day, identity: session.identity.id };
        let requests = self.logged(key, session.start, session.end)?;
        requests.iter().map(|request| Ok(request.id()?.to_owned())).collect()
    }
}
