//! What a store is, read without writing, in use or not.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use rocksdb::DB;
use spoor_operators::rules::RuleSet;
use spoor_operators::time::Epoch;

use super::super::commit::Committed;
use super::super::meta::{self, FINGERPRINT_KEY, FORMAT_KEY, INCARNATION_KEY, ZONE_KEY};
use super::super::options::Recovery;
use super::super::{Family, StoreError};
use super::{Lock, check_is_store, copy, open, witness};

/// What a store says of itself, with what others keep in it as it lies there.
#[derive(Clone, Debug)]
pub struct Stored {
    /// Format of everything on disk.
    pub format: u32,
    /// Hash over what decides the meaning of the rows; none: made before there was one.
    pub fingerprint: Option<String>,
    /// Whether this program gives the rows the same meaning.
    pub readable: bool,
    /// The zone days are counted in.
    pub zone: String,
    /// The named values that were asked for and are there.
    pub values: BTreeMap<String, Vec<u8>>,
    /// Times it was opened.
    pub incarnation: u64,
    /// The last committed epoch.
    pub epoch: Option<u64>,
    /// The last epoch somebody was told of, where that is noted.
    pub acknowledged: Option<u64>,
    /// An epoch written and not yet promoted.
    pub staged: Option<u64>,
    /// Milliseconds since the Unix epoch.
    pub watermark: Option<i64>,
    /// Days that hold something.
    pub days: u64,
    /// Sessions retained.
    pub sessions: u64,
    /// Requests retained, those in no session included.
    pub requests: u64,
    /// Refused records kept.
    pub dead_letters: u64,
    /// Version of the rules in force, and the epoch since when.
    pub rules: Option<(u64, u64)>,
    /// Where each source is: its name and its row.
    pub sources: Vec<(String, Vec<u8>)>,
    /// Bytes on disk by column family.
    pub bytes: BTreeMap<&'static str, u64>,
    /// Bytes of all files of the database, the write-ahead log included.
    pub total_bytes: u64,
    /// The process that has it open.
    pub in_use_by: Option<u32>,
}

/// How often a store in use is looked at before its failure is believed, and the time between.
const LOOKS_MAX: u32 = 20;
const LOOK_PACE: Duration = Duration::from_millis(50);

/// Reads what a store is, and the named values somebody keeps in it.
///
/// # Errors
/// [`StoreError::NotAStore`], [`StoreError::Damaged`], [`StoreError::Format`].
pub fn info(directory: &Path, values: &[&str]) -> Result<Stored, StoreError> {
    look(directory, |directory, in_use_by| gather(directory, values, in_use_by))
}

/// Reads the rules in force and the epoch since when; none in a store without any.
///
/// # Errors
/// [`StoreError::NotAStore`], [`StoreError::Damaged`], [`StoreError::Format`].
pub fn rules_in_force(directory: &Path) -> Result<Option<(RuleSet, Epoch)>, StoreError> {
    look(directory, |directory, _| {
        let db = open::to_read(directory, Recovery::Strict)?;
        identify(&db, directory)?;
        let newest = open::last(&db, Family::Rules)?;
        newest.map(|(_, rules)| meta::decode_rules(&rules)).transpose()
    })
}

/// Reads a store that may be in use: the process that has it open may remove a file between our
/// reading of its name and of it, and then it is read again.
fn look<T>(
    directory: &Path,
    read: impl Fn(&Path, Option<u32>) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    check_is_store(directory)?;
    let mut looks = 1;
    loop {
        match Lock::take_to_read(directory) {
            Ok(_lock) => return read(directory, None),
            Err(StoreError::InUse { pid, .. }) => match read(directory, Some(pid.unwrap_or(0))) {
                Err(_) if looks < LOOKS_MAX => std::thread::sleep(LOOK_PACE),
                found => return found,
            },
            Err(other) => return Err(other),
        }
        looks += 1;
    }
}

fn gather(directory: &Path, names: &[&str], in_use_by: Option<u32>) -> Result<Stored, StoreError> {
    let db = open::to_read(directory, Recovery::Strict)?;
    let known = identify(&db, directory)?;
    let committed = read(&db)?;
    let numbers = committed.numbers();
    let rules = open::last(&db, Family::Rules)?.map(|(_, rules)| meta::decode_rules(&rules));
    let staged = open::last(&db, Family::Staged)?.map(|(key, _)| staged_epoch(&key));
    let files = copy::database_files(&directory.join("db"))?;
    Ok(Stored {
        format: known.format,
        readable: known.fingerprint.as_deref().is_none_or(super::is_understood),
        fingerprint: known.fingerprint,
        zone: known.zone,
        values: values(&db, names)?,
        incarnation: known.incarnation,
        epoch: committed.epoch.map(|epoch| epoch.0),
        acknowledged: witness::read(directory).map(|epoch| epoch.0),
        staged: staged.flatten(),
        watermark: committed.watermark.map(|at| at.0),
        days: committed.days.len() as u64,
        sessions: numbers.sessions,
        requests: numbers.requests,
        dead_letters: committed.letters.1.saturating_sub(committed.letters.0),
        rules: rules.transpose()?.map(|(rules, epoch)| (rules.version, epoch.0)),
        sources: sources(&db)?,
        bytes: open::families(&db).map(|family| (family.name(), bytes(&db, family))).collect(),
        total_bytes: files.iter().map(|(_, bytes)| bytes).sum(),
        in_use_by,
    })
}

/// What a store says of itself.
pub(super) struct Identified {
    pub(super) format: u32,
    pub(super) fingerprint: Option<String>,
    pub(super) zone: String,
    pub(super) incarnation: u64,
}

/// Reads what a store says of itself; another format is refused.
pub(super) fn identify(db: &DB, directory: &Path) -> Result<Identified, StoreError> {
    let cf = open::cf(db, Family::Meta)?;
    let text = |key| -> Result<Option<String>, StoreError> {
        let value = db.get_cf(cf, key)?;
        Ok(value.map(|value| String::from_utf8_lossy(&value).into_owned()))
    };
    let format = meta::read_format(directory, text(FORMAT_KEY)?.unwrap_or_default().as_bytes())?;
    let incarnation = db.get_cf(cf, INCARNATION_KEY)?.unwrap_or_default();
    Ok(Identified {
        format,
        fingerprint: text(FINGERPRINT_KEY)?,
        zone: text(ZONE_KEY)?.unwrap_or_default(),
        incarnation: if incarnation.is_empty() {
            0
        } else {
            meta::Openings::decode(&incarnation)?.count
        },
    })
}

/// Where a store stands.
pub(super) fn read(db: &DB) -> Result<Committed, StoreError> {
    open::cf(db, Family::Meta)?;
    Committed::load(db)
}

/// The values of these names that are there.
fn values(db: &DB, names: &[&str]) -> Result<BTreeMap<String, Vec<u8>>, StoreError> {
    let cf = open::cf(db, Family::Meta)?;
    let mut found = BTreeMap::new();
    for name in names {
        if let Some(value) = db.get_cf(cf, meta::blob_key(name))? {
            found.insert((*name).to_owned(), value);
        }
    }
    Ok(found)
}

/// The epoch at the front of a key of `staged`.
fn staged_epoch(key: &[u8]) -> Option<u64> {
    key.first_chunk().map(|bytes| u64::from_be_bytes(*bytes)).map(Epoch).map(|epoch| epoch.0)
}

fn sources(db: &DB) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
    let mut sources = Vec::new();
    for entry in db.iterator_cf(open::cf(db, Family::Offsets)?, rocksdb::IteratorMode::Start) {
        let (name, row) = entry?;
        sources.push((source_name(&name)?, row.into_vec()));
    }
    Ok(sources)
}

/// The key of a row of `offsets`.
pub(super) fn source_name(name: &[u8]) -> Result<String, StoreError> {
    String::from_utf8(name.to_vec()).map_err(|_| StoreError::Damaged("name of a source".into()))
}

fn bytes(db: &DB, family: Family) -> u64 {
    let Ok(cf) = open::cf(db, family) else { return 0 };
    let size = db.property_int_value_cf(cf, "rocksdb.total-sst-files-size");
    size.ok().flatten().unwrap_or(0)
}
