//! Every row of every column family, decoded, and counted against what the store says it holds.

use std::collections::BTreeMap;

use bytes::Bytes;
use spoor_operators::breakdown::Breakdown;
use spoor_operators::facts::Field;
use spoor_operators::request::Request;
use spoor_operators::time::{Day, DayZone};
use spoor_operators::wire::Reader;

use super::super::commit::Committed;
use super::super::hot::decode_row;
use super::super::keys::{self, IndexKind};
use super::super::meta::{self, DayCount, Standing};
use super::super::postings::{Term, read_ids, read_starts, read_term};
use super::super::{Family, StoreError, dead_letters, log, staged};
use super::{KeptRows, info};
use spoor_api::codes::RefusalCode;

/// What the rows come to.
pub(super) struct Tally<'a> {
    kept: &'a dyn KeptRows,
    /// Rows by day: sessions and requests.
    days: BTreeMap<Day, DayCount>,
    /// Requests the sessions of a day say they have.
    inside: BTreeMap<Day, i64>,
    /// Breakdowns in parts by the key their parts begin with: values by field, less those the head
    /// in the session's row says there are.
    in_parts: BTreeMap<[u8; keys::ROW_KEY_BYTES], [i64; Field::ALL.len()]>,
    letters: Numbered,
    answers: Numbered,
}

/// Rows that are numbered.
#[derive(Debug, Default)]
struct Numbered {
    rows: u64,
    /// The least number and one more than the greatest.
    range: Option<(u64, u64)>,
}

impl Numbered {
    fn add(&mut self, number: u64) {
        self.rows += 1;
        let (from, until) = self.range.unwrap_or((number, number));
        self.range = Some((from.min(number), until.max(number.saturating_add(1))));
    }

    /// What is wrong when these are to be the numbers of the rows, all of them.
    fn difference(&self, what: &str, (from, until): (u64, u64)) -> Option<String> {
        let counted = until.saturating_sub(from);
        if counted != self.rows {
            return Some(format!("{counted} {what} are counted, {} are there", self.rows));
        }
        let other = self.range.filter(|range| *range != (from, until));
        other.map(|_| format!("{what} have other numbers than {from} to {until}"))
    }
}

fn damaged(text: impl Into<String>) -> StoreError {
    StoreError::Damaged(text.into())
}

/// Refuses a value that has more, or other bytes, than what was read of it is written as.
fn same(written: &[u8], value: &[u8], what: &str) -> Result<(), StoreError> {
    if written == value { Ok(()) } else { Err(damaged(format!("{what} is not written so"))) }
}

impl<'a> Tally<'a> {
    /// Nothing yet; what others keep is read so.
    pub(super) fn new(kept: &'a dyn KeptRows) -> Self {
        Self {
            kept,
            days: BTreeMap::new(),
            inside: BTreeMap::new(),
            in_parts: BTreeMap::new(),
            letters: Numbered::default(),
            answers: Numbered::default(),
        }
    }

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
            Family::Offsets => self.kept.source(&info::source_name(key)?, value),
            // What the pieces come to is read when all were seen.
            Family::Staged => Ok(staged::parse_key(key).map(drop)?),
            Family::Findings => {
                Err(damaged("a row of `findings`, which this program never writes"))
            }
            Family::DeadLetters => {
                let letter = dead_letters::decode(key, value)?;
                self.letters.add(letter.sequence);
                match letter.code {
                    RefusalCode::Unknown => Err(damaged("a refused record has an unknown code")),
                    _ => Ok(()),
                }
            }
            Family::Requests => self.block(key, value, zone),
            Family::Sessions => self.session(key, value, zone),
            Family::Parts => self.part(key, value),
            Family::Index => posting(key, value),
        }
    }

    fn meta(&mut self, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        let rest = key.get(1..).unwrap_or_default();
        match key.first().copied() {
            Some(b'=') => identity(key, value)?,
            Some(meta::DAYS) => {
                let day = keys::day_of(rest)?;
                same(&keys::day_prefix(day), rest, "the day of a count")?;
                same(&DayCount::decode(value)?.encode(), value, "the count of a day")?;
            }
            Some(meta::TOTALS) => {
                let (.., totals) = meta::parse_totals(key, value)?;
                same(&meta::encode_totals(totals), value, "a total")?;
            }
            Some(meta::IDEMPOTENT) => {
                let mut from = Reader(value);
                from.u64()?;
                self.kept.answer(from.0)?;
            }
            Some(meta::IDEMPOTENT_ORDER) => {
                let (number, rest) = meta::parse_numbered(key)?;
                same(b"", rest, "the number of a remembered answer")?;
                if value.is_empty() {
                    return Err(damaged("the number of a remembered answer has no key"));
                }
                self.answers.add(number as u64);
            }
            Some(meta::BLOB) => self.kept.value(&String::from_utf8_lossy(rest), value)?,
            // Counters of closing sessions, as stores had them once; nobody reads them any more.
            Some(b'c') => drop(meta::parse_numbered(key)?),
            _ => return Err(damaged("a row of `meta` of an unknown kind")),
        }
        Ok(())
    }

    fn block(&mut self, key: &[u8], value: &[u8], zone: &DayZone) -> Result<(), StoreError> {
        let (day, ..) = keys::parse_block(key)?;
        let mut requests = Vec::new();
        log::split(&Bytes::copy_from_slice(value), &mut requests)?;
        if requests.is_empty() {
            return Err(damaged("a block of the log holds no request"));
        }
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
        if let Some(head) = session.head() {
            if !session.contains(head.anchor) {
                return Err(damaged(format!("the session {} has another's values", session.id())));
            }
            let key = keys::session(session.day, session.identity.id, head.anchor);
            let left = self.in_parts.entry(key).or_default();
            for (left, field) in left.iter_mut().zip(Field::ALL) {
                *left -= head.distinct(field) as i64;
            }
        }
        Ok(())
    }

    fn part(&mut self, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        let (day, identity, anchor, part) = keys::parse_part(key)?;
        let values = Breakdown::check_part(part, value)?;
        let key = keys::session(day, identity, anchor);
        let left = self.in_parts.entry(key).or_default();
        for (left, field) in left.iter_mut().zip(Field::ALL) {
            *left += if field == part.field() { values as i64 } else { 0 };
        }
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
        let wrong = self.in_parts.iter().filter(|(_, left)| left.iter().any(|left| *left != 0));
        found.extend(wrong.map(|(key, _)| match keys::parse_session(key) {
            Ok((day, identity, _)) => format!(
                "day {}: a session of {identity} has other values than its row counts",
                day.0
            ),
            Err(error) => error.to_string(),
        }));
        found.extend(self.letters.difference("dead letters", committed.letters));
        found.extend(self.answers.difference("remembered answers", committed.answers));
        found
    }
}

/// What the store says of itself.
fn identity(key: &[u8], value: &[u8]) -> Result<(), StoreError> {
    match key {
        // They were read, and compared, before the rows.
        meta::FORMAT_KEY | meta::FINGERPRINT_KEY | meta::ZONE_KEY => Ok(()),
        meta::COMMITTED_KEY => {
            same(&Standing::decode(value)?.encode(), value, "where the store stands")
        }
        meta::INCARNATION_KEY => {
            meta::Openings::decode(value)?;
            Ok(())
        }
        _ => Err(damaged("what the store says of itself has an unknown name")),
    }
}

fn posting(key: &[u8], value: &[u8]) -> Result<(), StoreError> {
    let bucket = keys::parse_bucket(key)?;
    if value.is_empty() {
        return Err(damaged("a list of the index is empty"));
    }
    // Whichever is looked for, the whole list is read.
    let any = Term::request_id("");
    match key[4] {
        kind if kind == IndexKind::Time as u8 => {
            let mut starts = Vec::new();
            read_starts(value, &mut starts)?;
            if starts.iter().any(|(offset, _)| offset.minute_bucket() != bucket) {
                return Err(damaged("the index has a session at another minute"));
            }
        }
        kind if kind == IndexKind::Terms as u8 => read_term(value, any, &mut Vec::new())?,
        kind if kind == IndexKind::RequestIds as u8 => read_ids(value, any, &mut Vec::new())?,
        _ => return Err(damaged("a list of the index of an unknown kind")),
    }
    Ok(())
}
