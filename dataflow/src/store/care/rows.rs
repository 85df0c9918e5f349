//! Every row of every column family, decoded, and counted against what the store says it holds.

use std::collections::BTreeMap;

use bytes::Bytes;
use spoor_operators::request::Request;
use spoor_operators::time::{Day, DayZone};
use spoor_operators::wire::Reader;

use super::super::commit::Committed;
use super::super::hot::decode_row;
use super::super::keys::{self, IndexKind};
use super::super::meta::{self, DayCount};
use super::super::postings::{Term, read_ids, read_starts, read_term};
use super::super::{Family, StoreError, dead_letters, log};
use super::info;
use crate::engine::{keys as names, open_sessions::OpenSessions};

/// What the rows come to.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Rows by day: sessions and requests.
    days: BTreeMap<Day, DayCount>,
    /// Requests the sessions of a day say they have.
    inside: BTreeMap<Day, i64>,
    letters: u64,
    answers: u64,
}

fn damaged(text: impl Into<String>) -> StoreError {
    StoreError::Damaged(text.into())
}

impl Tally {
    /// Takes up a row.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when it is not what this program writes.
    pub(super) fn row(
        &mut self,
        family: Family,
        zone: &DayZone,
        (key, value): (&[u8], &[u8]),
    ) -> Result<(), StoreError> {
        match family {
            Family::Meta => self.meta(key, value),
            Family::Rules => {
                let (rules, _) = meta::decode_rules(value)?;
                if key == rules.version.to_be_bytes() {
                    Ok(())
                } else {
                    Err(damaged("rules lie under another version"))
                }
            }
            Family::Offsets => info::source(key, value).map(drop),
            Family::Staged | Family::Findings => Ok(()),
            Family::DeadLetters => {
                self.letters += 1;
                Ok(dead_letters::decode(key, value).map(drop)?)
            }
            Family::Requests => self.block(key, value, zone),
            Family::Sessions => self.session(key, value, zone),
            Family::Index => posting(key, value),
        }
    }

    fn meta(&mut self, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        let rest = key.get(1..).unwrap_or_default();
        match key.first().copied() {
            Some(b'=') if key == meta::COMMITTED_KEY => {
                meta::Standing::decode(value)?;
            }
            Some(b'=') => {}
            Some(meta::DAYS) => {
                keys::day_of(rest)?;
                DayCount::decode(value)?;
            }
            Some(meta::TOTALS) => {
                meta::parse_totals(key, value)?;
            }
            Some(meta::IDEMPOTENT) => {
                Reader(value).u64()?;
            }
            Some(meta::IDEMPOTENT_ORDER) => {
                meta::parse_numbered(key)?;
                self.answers += 1;
            }
            Some(meta::BLOB) => blob(rest, value)?,
            // Counters of closing sessions, as stores had them once; nobody reads them any more.
            Some(b'c') => {
                meta::parse_numbered(key)?;
            }
            _ => return Err(damaged("a row of `meta` of an unknown kind")),
        }
        Ok(())
    }

    fn block(&mut self, key: &[u8], value: &[u8], zone: &DayZone) -> Result<(), StoreError> {
        let (day, ..) = keys::parse_block(key)?;
        let mut requests = Vec::new();
        log::split(&Bytes::copy_from_slice(value), &mut requests)?;
        for stored in &requests {
            let request = Request::decode(stored)?;
            if zone.day_of(request.ts) != day {
                return Err(damaged(format!("a request of another day lies under day {}", day.0)));
            }
        }
        self.days.entry(day).or_default().requests += requests.len() as i64;
        Ok(())
    }

    fn session(&mut self, key: &[u8], value: &[u8], zone: &DayZone) -> Result<(), StoreError> {
        let session = decode_row(key, value)?;
        if zone.day_of(session.start) != session.day || session.end < session.start {
            return Err(damaged(format!("the session {} has another day", session.id())));
        }
        self.days.entry(session.day).or_default().sessions += 1;
        *self.inside.entry(session.day).or_default() += session.summary.requests as i64;
        Ok(())
    }

    /// What the store says it holds and does not, or holds and does not say.
    pub(super) fn differences(&self, committed: &Committed) -> Vec<String> {
        let mut found = Vec::new();
        let days = self.days.keys().chain(committed.days.keys());
        for day in days.collect::<std::collections::BTreeSet<_>>() {
            let rows = self.days.get(day).copied().unwrap_or_default();
            let counted = committed.days.get(day).copied().unwrap_or_default();
            if rows != counted {
                found.push(format!(
                    "day {}: {} sessions and {} requests are counted, {} and {} are there",
                    day.0, counted.sessions, counted.requests, rows.sessions, rows.requests
                ));
            }
            let inside = self.inside.get(day).copied().unwrap_or_default();
            if inside > rows.requests {
                found.push(format!(
                    "day {}: sessions have {inside} requests, the log has {}",
                    day.0, rows.requests
                ));
            }
        }
        for (what, (from, until), rows) in [
            ("dead letters", committed.letters, self.letters),
            ("remembered answers", committed.answers, self.answers),
        ] {
            if until.saturating_sub(from) != rows {
                let counted = until.saturating_sub(from);
                found.push(format!("{counted} {what} are counted, {rows} are there"));
            }
        }
        found
    }
}

/// A value of the engine's own.
fn blob(name: &[u8], value: &[u8]) -> Result<(), StoreError> {
    let length = |bytes: usize| {
        if value.len() == bytes { Ok(()) } else { Err(damaged("length of an engine's value")) }
    };
    match name {
        _ if name == names::FIRST_DAY.as_bytes() => length(4),
        _ if name == names::REGROUP.as_bytes() => length(8),
        _ if name.starts_with(names::OPEN_PREFIX.as_bytes()) => {
            Ok(OpenSessions::restore([value], None).map(drop)?)
        }
        _ => Ok(()),
    }
}

fn posting(key: &[u8], value: &[u8]) -> Result<(), StoreError> {
    keys::parse_bucket(key)?;
    // Whichever is looked for, the whole list is read.
    let any = Term::request_id("");
    match key[4] {
        kind if kind == IndexKind::Time as u8 => read_starts(value, &mut Vec::new())?,
        kind if kind == IndexKind::Terms as u8 => read_term(value, any, &mut Vec::new())?,
        kind if kind == IndexKind::RequestIds as u8 => read_ids(value, any, &mut Vec::new())?,
        _ => return Err(damaged("a list of the index of an unknown kind")),
    }
    Ok(())
}
