//! The requests of a session, read from the log and explained by the rules in force.
//!
//! The log of an identity-day may hold several requests with one explicit id; the least of them by
//! `(ts, stored form)` is the one that counts, as in `sessionize`. What is not stored (endpoint,
//! flows, context) is derived anew by assignment, which gives for a stored request exactly what it
//! gave when the request was new under the same rules.

use std::sync::Arc;

use bytes::Bytes;
use hashbrown::HashMap;
use spoor_operators::assign::{CompiledRules, Scratch};
use spoor_operators::request::Request;
use spoor_operators::session::Session;
use spoor_operators::sessionize::backend::DayKey;
use spoor_operators::time::EventTime;

use super::error::keep_on;
use super::facets::request_matches;
use super::hot::check_bytes;
use super::limits::PAGE_BYTES_MAX;
use super::view::{StoreView, check_page};
use super::{StoreError, log};
use spoor_api::query::{
    ContextValue, KeyTried, RequestDetail, RequestFilter, RequestPage, RequestQuery,
};

/// A stored request with what orders it.
pub(super) struct Logged {
    ts: EventTime,
    stored: Bytes,
}

impl Logged {
    pub(super) fn id(&self) -> Result<&str, StoreError> {
        Ok(log::peek(&self.stored)?.1)
    }
}

/// Derives facts of stored requests.
struct Deriver {
    compiled: Arc<CompiledRules>,
    scratch: Scratch,
}

impl Deriver {
    fn new(compiled: &Arc<CompiledRules>) -> Self {
        Self { compiled: compiled.clone(), scratch: Scratch::default() }
    }

    fn matches(&mut self, group: &RequestFilter, logged: &Logged) -> Result<bool, StoreError> {
        if *group == RequestFilter::default() {
            return Ok(true);
        }
        let assigned = self.compiled.assign_stored(&logged.stored, false, &mut self.scratch)?;
        Ok(request_matches(group, logged.id()?, logged.ts, &assigned.head()?.1))
    }
}

impl StoreView {
    /// The requests of an identity-day from `start` to `end`, both included, by `(ts, id)`.
    pub(super) fn logged(
        &self,
        key: DayKey,
        start: EventTime,
        end: EventTime,
    ) -> Result<Vec<Logged>, StoreError> {
        let (mut stored, mut bytes) = (Vec::new(), 0);
        let family = super::Family::Requests;
        self.inner().of_identity_day(family, key, self.options(), |_, block| {
            bytes += block.len();
            check_bytes(bytes)?;
            Ok(log::split(&Bytes::copy_from_slice(block), &mut stored)?)
        })?;
        let mut peeked = Vec::with_capacity(stored.len());
        for stored in &stored {
            let (ts, id, explicit) = log::peek(stored)?;
            peeked.push((ts, id, explicit, stored));
        }
        let mut least: HashMap<&str, (EventTime, &Bytes)> = HashMap::new();
        for &(ts, id, _, stored) in peeked.iter().filter(|(.., explicit, _)| *explicit) {
            let known = least.entry(id).or_insert((ts, stored));
            *known = (*known).min((ts, stored));
        }
        peeked.retain(|(ts, id, explicit, stored)| {
            start <= *ts
                && *ts <= end
                && (!explicit || least.get(id).is_some_and(|least| std::ptr::eq(least.1, *stored)))
        });
        peeked.sort_unstable_by(|a, b| (a.0, a.1, a.3).cmp(&(b.0, b.1, b.3)));
        Ok(peeked
            .into_iter()
            .map(|(ts, _, _, stored)| Logged { ts, stored: stored.clone() })
            .collect())
    }

    /// Answers whether one request of a session satisfies a group; reads the log once, when first
    /// asked.
    pub(super) fn ask(
        &self,
        key: DayKey,
        start: EventTime,
        end: EventTime,
    ) -> impl FnMut(&RequestFilter) -> Result<bool, StoreError> {
        let mut read: Option<(Vec<Logged>, Deriver)> = None;
        move |group| {
            let (requests, deriver) = match &mut read {
                Some(read) => read,
                None => {
                    let deriver = Deriver::new(&self.context.compiled);
                    read.insert((self.logged(key, start, end)?, deriver))
                }
            };
            for request in requests.iter() {
                keep_on()?;
                if deriver.matches(group, request)? {
                    return Ok(true);
                }
            }
            Ok(false)
        }
    }

    pub(super) fn find_requests(
        &self,
        session: &Session,
        query: &RequestQuery,
    ) -> Result<RequestPage, StoreError> {
        check_page(query.first)?;
        let key = DayKey { day: session.day, identity: session.identity.id };
        let all = self.logged(key, session.start, session.end)?;
        let mut deriver = Deriver::new(&self.context.compiled);
        let (mut page, mut previous) = (RequestPage::default(), None);
        let mut bytes = 0;
        for logged in &all {
            keep_on()?;
            let step = previous.map(|previous: EventTime| logged.ts.0.saturating_sub(previous.0));
            previous = Some(logged.ts);
            if !deriver.matches(&query.filter, logged)? {
                continue;
            }
            page.total += 1;
            let id = logged.id()?;
            let after = query.after.as_ref();
            if after.is_some_and(|(ts, after)| (logged.ts, id) <= (*ts, after.as_str())) {
                continue;
            }
            bytes += logged.stored.len();
            let is_full = bytes > PAGE_BYTES_MAX && !page.requests.is_empty();
            if page.requests.len() == query.first || is_full || page.has_next {
                page.has_next = true;
                continue;
            }
            page.requests.push(self.detail(logged, step)?);
        }
        Ok(page)
    }

    fn detail(&self, logged: &Logged, step_ms: Option<i64>) -> Result<RequestDetail, StoreError> {
        let request = Request::decode(&logged.stored)?;
        let why = self.context.compiled.explain(&request);
        let context = why.context.into_iter().map(|read| ContextValue {
            name: read.name,
            kind: read.kind,
            value: read.value,
        });
        let keys_tried = why.keys_tried.into_iter().map(|tried| KeyTried {
            key: tried.name,
            namespace: tried.namespace,
            point: tried.point,
            worked: tried.worked,
            reason: tried.reason,
        });
        Ok(RequestDetail {
            stored: logged.stored.clone(),
            step_ms,
            endpoint: why.endpoint,
            flows: why.flows,
            context: context.collect(),
            keys_tried: keys_tried.collect(),
        })
    }
}
