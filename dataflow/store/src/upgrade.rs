//! Stores of an older format, brought to this one when they are opened.
//!
//! - Format 1 counted sessions by minute alone; since format 2 they are counted by app, too. The
//!   sessions that are retained say which apps they touch, so the counts are made of them, day by
//!   day. The format is written last: an upgrade that was cut off begins anew and comes to the same.
//!
//! Nothing is upgraded while an epoch is staged, because its batch was made for the rows as they
//! were: whoever promotes or discards it upgrades after that. In a cluster each process counts the
//! sessions it holds, which is what it adds to the sums of all.

use std::collections::BTreeMap;

use differential_dataflow::difference::{IsZero, Semigroup};
use rocksdb::{DB, Direction, IteratorMode, WriteBatch};
use spoor_operators::facts::Field;
use spoor_operators::session::SessionView;
use spoor_operators::time::{Day, DayZone};
use spoor_operators::totals::Totals;

use super::batch::minute_of;
use super::commit::Committed;
use super::write::{self, Durability};
use super::{FORMAT, Family, StoreError, keys, meta};

/// The oldest format that is upgraded.
pub(super) const FORMAT_OLDEST: u32 = 1;

/// Sums of the sessions that start in a minute and touch an app.
type AppSessions = BTreeMap<(i64, String), Totals>;

/// Upgrades a store in which nothing is staged.
pub(super) fn run(db: &DB, zone: &DayZone, committed: &Committed) -> Result<(), StoreError> {
    if meta::format(db)? == Some(FORMAT) {
        return Ok(());
    }
    for day in committed.days.keys() {
        count_by_app(db, zone, *day)?;
    }
    let mut batch = WriteBatch::default();
    meta::put_format(db, &mut batch);
    write::write(db, batch, Durability::Now)?;
    tracing::info!(format = FORMAT, "the store was upgraded");
    Ok(())
}

/// Writes the counts of the sessions of a day by app.
fn count_by_app(db: &DB, zone: &DayZone, day: Day) -> Result<(), StoreError> {
    let mut counts = sessions_by_app(db, day)?;
    let cf = family(db, Family::Meta);
    let [first, after] =
        [day, Day(day.0.saturating_add(1))].map(|day| minute_of(zone.start_of(day)));
    let start = meta::numbered(meta::TOTALS, first);
    let mut batch = WriteBatch::default();
    for entry in db.iterator_cf(cf, IteratorMode::From(&start, Direction::Forward)) {
        let (key, value) = entry?;
        if key.first() != Some(&meta::TOTALS) {
            break;
        }
        let (minute, app, totals) = meta::parse_totals(&key, &value)?;
        if minute >= after {
            break;
        }
        if app.is_empty() {
            continue;
        }
        let mut counted = totals.of_requests();
        counted.plus_equals(&counts.remove(&(minute, app.into())).unwrap_or_default());
        if counted.is_zero() {
            batch.delete_cf(cf, key);
        } else if counted != totals {
            batch.put_cf(cf, key, meta::encode_totals(counted));
        }
    }
    for ((minute, app), totals) in counts {
        batch.put_cf(cf, meta::totals_key(minute, &app), meta::encode_totals(totals));
    }
    write::write(db, batch, Durability::Now)
}

fn sessions_by_app(db: &DB, day: Day) -> Result<AppSessions, StoreError> {
    let mut counts = AppSessions::new();
    let prefix = keys::day_prefix(day);
    let start = IteratorMode::From(&prefix, Direction::Forward);
    for entry in db.iterator_cf(family(db, Family::Sessions), start) {
        let (key, row) = entry?;
        if !key.starts_with(&prefix) {
            break;
        }
        let session = SessionView::new(&row)?;
        let sums = Totals {
            sessions: 1,
            malicious_sessions: i64::from(session.counters.malicious > 0),
            weak_sessions: i64::from(session.weak),
            ..Totals::default()
        };
        for entry in session.entries()? {
            let (field, app, _) = entry?;
            if field == Field::App {
                let known = counts.entry((minute_of(session.start), app.to_owned())).or_default();
                known.plus_equals(&sums);
            }
        }
    }
    Ok(counts)
}

fn family(db: &DB, family: Family) -> &rocksdb::ColumnFamily {
    db.cf_handle(family.name()).expect("every column family was opened")
}
