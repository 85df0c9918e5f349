//! Whether a store is whole: every block read, every row decoded, the counters counted.
//!
//! Nothing is written. A damaged file does not end the check: it goes on behind it, so that one run
//! lists everything. That the sessions are those of the requests is for `spoor verify`.

use std::path::Path;

use rocksdb::{DB, ReadOptions};
use spoor_operators::time::{DayZone, Epoch};

use super::super::commit::Committed;
use super::super::options::Recovery;
use super::super::staged::{self, Writer};
use super::super::{Family, StoreError, secret};
use super::rows::Tally;
use super::{KeptRows, Lock, Watch, check_is_store, info, open, records, witness};

/// Problems listed; more are counted.
const PROBLEMS_MAX: usize = 100;
/// Rows from one telling to the next.
const WATCH_ROWS: u64 = 4096;

/// What a check found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckReport {
    /// Rows read and understood.
    pub rows: u64,
    /// Files read.
    pub files: u64,
    /// The last epoch that can be read.
    pub epoch: Option<u64>,
    /// The number of problems.
    pub problems: u64,
    /// The first of them, each in a line.
    pub listed: Vec<String>,
}

impl CheckReport {
    pub(super) fn problem(&mut self, text: impl ToString) {
        self.problems += 1;
        if self.listed.len() < PROBLEMS_MAX {
            self.listed.push(text.to_string());
        }
    }
}

/// Checks a store that is not in use, or a backup. What others keep in it is read by `kept`.
///
/// # Errors
/// [`StoreError::InUse`], [`StoreError::NotAStore`]. Whatever is damaged is in the report.
pub fn check(
    directory: &Path,
    kept: &dyn KeptRows,
    watch: Watch<'_>,
) -> Result<CheckReport, StoreError> {
    check_is_store(directory)?;
    let _lock = Lock::take_to_read(directory)?;
    let mut report = CheckReport::default();
    if let Err(error) = secret::check(directory) {
        report.problem(error);
    }
    let db = match open::to_read(directory, Recovery::Strict) {
        Ok(db) => db,
        Err(error) => {
            report.problem(error);
            // What comes before the damage may still be whole.
            match open::to_read(directory, Recovery::UpToDamage) {
                Ok(db) => db,
                Err(_) => return Ok(report),
            }
        }
    };
    let Some((committed, zone)) = standing(&db, directory, &mut report) else { return Ok(report) };
    let promised = Writer::load(&db).map(|writer| committed.epoch.max(writer.staged));
    if let Err(error) = promised.and_then(|epoch| witness::check(directory, epoch)) {
        report.problem(error);
    }
    rows(&db, (&zone, kept), &committed, &mut report, watch);
    report.epoch = committed.epoch.map(|epoch: Epoch| epoch.0);
    Ok(report)
}

/// Where the store stands, if it says so in words of this program.
pub(super) fn standing(
    db: &DB,
    directory: &Path,
    report: &mut CheckReport,
) -> Option<(Committed, DayZone)> {
    let known = match info::identify(db, directory) {
        Ok(known) => known,
        Err(error) => {
            report.problem(error);
            return None;
        }
    };
    let program = super::fingerprint(known.format);
    if let Some(found) = known.fingerprint.filter(|found| !super::is_understood(found)) {
        report.problem(StoreError::Fingerprint { path: directory.into(), found, known: program });
        return None;
    }
    let zone = DayZone::named(&known.zone);
    match (info::read(db), zone) {
        (Ok(committed), Ok(zone)) => Some((committed, zone)),
        (committed, zone) => {
            if let Err(error) = committed {
                report.problem(error);
            }
            if let Err(error) = zone {
                report.problem(error);
            }
            None
        }
    }
}

/// Reads every row of every column family.
pub(super) fn rows(
    db: &DB,
    (zone, kept): (&DayZone, &dyn KeptRows),
    committed: &Committed,
    report: &mut CheckReport,
    watch: Watch<'_>,
) {
    let files = match db.live_files() {
        Ok(files) => files,
        Err(error) => return report.problem(StoreError::from(error)),
    };
    report.files = files.len() as u64;
    let total: u64 = files.iter().map(|file| file.num_entries).sum();
    let mut tally = Tally::new(kept);
    for family in open::families(db) {
        let starts = files.iter().filter(|file| file.column_family_name == family.name());
        let mut starts: Vec<_> = starts.filter_map(|file| file.start_key.clone()).collect();
        starts.sort_unstable();
        let mut from = Some(Vec::new());
        while let Some(begin) = from.take() {
            let mut scan = Scan { db, zone, total, family };
            match scan.from(&begin, &mut tally, report, watch) {
                Ok(()) => {}
                Err((error, reached)) => {
                    report.problem(format!("{}: {error}", family.name()));
                    from = starts.iter().find(|start| **start > reached).cloned();
                }
            }
        }
    }
    if let Err(error) = staged(db, (zone, kept), committed, report) {
        report.problem(format!("{}: {error}", Family::Staged.name()));
    }
    if report.problems == 0 {
        tally.differences(committed).into_iter().for_each(|text| report.problem(text));
    }
}

/// Reads what is staged as its promotion would write it, every row as if it lay in its place.
fn staged(
    db: &DB,
    (zone, kept): (&DayZone, &dyn KeptRows),
    committed: &Committed,
    report: &mut CheckReport,
) -> Result<(), StoreError> {
    open::cf(db, Family::Staged)?;
    let Some(found) = staged::found(db)? else { return Ok(()) };
    if committed.epoch >= Some(found.epoch) {
        report.problem(format!("epoch {} is staged and committed", found.epoch.0));
    }
    let families = records::families(db)?;
    // Counted when it is promoted.
    let mut tally = Tally::new(kept);
    for record in records::read(&found.bytes)? {
        let family = families.iter().find(|(number, _)| *number == record.family);
        let Some((_, family)) = family else {
            report.problem("a staged row is of an unknown column family");
            continue;
        };
        let Some(value) = record.value else { continue };
        if let Err(error) = tally.row(*family, zone, (record.key, value)) {
            report.problem(format!("staged for {}: {error}", family.name()));
        }
    }
    Ok(())
}

/// Reads the rows of a column family.
struct Scan<'a> {
    db: &'a DB,
    zone: &'a DayZone,
    total: u64,
    family: Family,
}

impl Scan<'_> {
    /// From a key on; a failure says how far it came.
    fn from(
        &mut self,
        begin: &[u8],
        tally: &mut Tally<'_>,
        report: &mut CheckReport,
        watch: Watch<'_>,
    ) -> Result<(), (StoreError, Vec<u8>)> {
        let cf = open::cf(self.db, self.family).map_err(|error| (error, vec![u8::MAX; 64]))?;
        let mut options = ReadOptions::default();
        options.set_total_order_seek(true);
        options.set_verify_checksums(true);
        options.fill_cache(false);
        let mut rows = self.db.raw_iterator_cf_opt(cf, options);
        rows.seek(begin);
        let mut reached = begin.to_vec();
        while let Some((key, value)) = rows.item() {
            reached.clear();
            reached.extend_from_slice(key);
            match tally.row(self.family, self.zone, (key, value)) {
                Ok(()) => report.rows += 1,
                Err(error) => report.problem(format!("{}: {error}", self.family.name())),
            }
            if report.rows.is_multiple_of(WATCH_ROWS) {
                watch(self.family.name(), report.rows.min(self.total), self.total);
            }
            rows.next();
        }
        rows.status().map_err(|error| (error.into(), reached))
    }
}
