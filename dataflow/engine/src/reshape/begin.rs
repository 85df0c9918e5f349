//! Opening the stores, bringing them to one epoch as a start of the cluster would, and marking
//! them.
//!
//! A store is marked before anything moves, process 0 first, so that whatever is cut off later no
//! engine takes a store of which a part is elsewhere.

use std::path::{Path, PathBuf};

use spoor_operators::time::{Day, DayZone, Epoch};

use super::plan::{Found, Plan, plan};
use super::{Member, Reshape, ReshapeError, Reshaped, Stage, Watch};
use crate::cluster::agree::{Recovery, agree, recovery, same_standing};
use crate::cluster::hello::{PROTOCOL, Shape};
use crate::cluster::{Hello, Standing};
use crate::marker::{Marker, UnderWay};
use crate::open_sessions::OpenSessions;
use crate::{LEADER, divide, join, keys};
use spoor_store::{Commit, Store, StoreError, StoreOptions, care};

/// Memory of each store: several are open at once.
const CACHE_BYTES: usize = 32 << 20;
const WRITE_BUFFER_BYTES: usize = 64 << 20;

/// What is to be done, and where; none when there is nothing to do.
pub(super) fn begin<'a>(
    directories: &[PathBuf],
    to: usize,
    watch: Watch<'a>,
) -> Result<Option<Reshape<'a>>, ReshapeError> {
    let mut stores = Vec::new();
    for directory in directories {
        stores.push(open_known(directory)?);
    }
    let pairs = directories.iter().zip(&stores);
    let found = pairs.map(|(directory, store)| find(directory, store.as_ref()));
    let found = found.collect::<Result<Vec<_>, _>>()?;
    let begun = match plan(&found, to).map_err(ReshapeError::Refused)? {
        Plan::Done => return Ok(None),
        Plan::GoOn(begun) => begun,
        Plan::Begin { from } => {
            let old: Vec<&Store> = stores[..from].iter().flatten().collect();
            let epoch = to_one_epoch(&old)?;
            UnderWay::new(LEADER, from, to, epoch)
        }
    };
    let zone = stores.iter().flatten().next().map(|store| store.zone().clone());
    let zone = zone.unwrap_or_else(DayZone::utc);
    let mut members = Vec::new();
    for ((directory, store), found) in directories.iter().zip(stores).zip(&found) {
        let store = match store {
            Some(store) => store,
            None => Store::open(directory, options(zone.clone()))?,
        };
        members.push(member(directory, store, found, &begun)?);
    }
    share_key(&members)?;
    let done = Reshaped { from: Some(begun.from), to, ..Reshaped::default() };
    let mut reshape = Reshape {
        members,
        from: begun.from,
        to,
        base: Epoch(begun.epoch),
        watch,
        progress: Default::default(),
        done,
    };
    reshape.done.left =
        (to..begun.from).map(|process| reshape.directory(process).to_owned()).collect();
    Ok(Some(reshape))
}

fn options(zone: DayZone) -> StoreOptions {
    StoreOptions {
        cache_bytes: CACHE_BYTES,
        write_buffer_bytes: WRITE_BUFFER_BYTES,
        zone,
        ..StoreOptions::default()
    }
}

/// The store in a directory, in its own zone; none is made.
fn open_known(directory: &Path) -> Result<Option<Store>, ReshapeError> {
    if !directory.join("db").join("CURRENT").exists() || care::is_unfinished(directory) {
        return Ok(None);
    }
    let zone = DayZone::named(&care::info(directory, &[])?.zone);
    let zone = zone.map_err(|error| StoreError::Damaged(format!("day zone: {error}")))?;
    Ok(Some(Store::open(directory, options(zone))?))
}

fn find(directory: &Path, store: Option<&Store>) -> Result<Found, ReshapeError> {
    let Some(store) = store else { return Ok(Found::Nothing) };
    if let Some(mark) = Marker::read(store)? {
        return Ok(Found::Marked(mark));
    }
    if store.committed().is_some() {
        return Ok(Found::Store(join::shape_of(store)?));
    }
    match store.staged()? {
        None => Ok(Found::Nothing),
        // What it is is staged too.
        Some(_) => Err(ReshapeError::Refused(format!(
            "the first epoch of the store {} is not decided yet; start its cluster once, then run \
             this again",
            directory.display()
        ))),
    }
}

fn member(
    directory: &Path,
    store: Store,
    found: &Found,
    begun: &UnderWay,
) -> Result<Member, ReshapeError> {
    let stage = match found {
        Found::Nothing => Stage::New,
        Found::Marked(Marker::UnderWay(mark)) => Stage::UnderWay(mark.clone()),
        Found::Marked(Marker::Merged { .. }) => Stage::Settled,
        Found::Store(shape) if shape.processes == begun.to => Stage::Settled,
        Found::Store(_) => Stage::Unmarked,
    };
    if stage == Stage::Unmarked && store.committed() != Some(Epoch(begun.epoch)) {
        return Err(ReshapeError::Refused(format!(
            "the store {} was changed since the work was begun, at epoch {}; restore the stores of \
             all processes from one backup",
            directory.display(),
            begun.epoch
        )));
    }
    let rows = store.blobs_with_prefix(keys::OPEN_PREFIX)?;
    let open = OpenSessions::restore(rows.iter().map(Vec::as_slice), store.watermark());
    let open = open.map_err(StoreError::from)?;
    Ok(Member { directory: directory.into(), store, open, stage })
}

/// Brings all to one epoch, as a start of the cluster would. Says which.
fn to_one_epoch(stores: &[&Store]) -> Result<u64, ReshapeError> {
    let known = keys_of(stores)?;
    let mut hellos = Vec::new();
    for (process, store) in stores.iter().enumerate() {
        let shape = Shape { process, processes: stores.len() };
        hellos.push(Hello {
            protocol: PROTOCOL,
            shape,
            workers: 1,
            store: Some(shape),
            committed: store.committed().map(|epoch| epoch.0),
            staged: store.staged()?.map(|epoch| epoch.0),
            zone: store.zone().name().to_owned(),
            // A configured key lies in no file.
            key: known[process].or(known.iter().flatten().next().copied()).unwrap_or_default(),
            settings: String::new(),
        });
    }
    let refused = |error: crate::cluster::ClusterError| ReshapeError::Refused(error.to_string());
    let target = agree(&hellos).map_err(refused)?;
    for (store, hello) in stores.iter().zip(&hellos) {
        match recovery(hello, target) {
            Recovery::Nothing => {}
            Recovery::Promote(epoch) => store.promote_found(Epoch(epoch))?,
            Recovery::Discard(_) => store.discard_staged()?,
        }
    }
    let standings = stores.iter().map(|store| standing(store)).collect::<Result<Vec<_>, _>>()?;
    same_standing(&standings).map_err(refused)?;
    target.ok_or_else(|| ReshapeError::Refused("nothing was ever committed to these stores".into()))
}

fn standing(store: &Store) -> Result<Standing, StoreError> {
    let rules = store.rules()?;
    Ok(Standing {
        is_new: rules.is_none(),
        rules: rules.map(|(rules, _)| rules).unwrap_or_default(),
        first_day: first_day(store)?.map(|day| day.0),
        regroup: store
            .blob(keys::REGROUP)?
            .and_then(|version| version.try_into().ok())
            .map(u64::from_be_bytes),
        ..Standing::default()
    })
}

fn first_day(store: &Store) -> Result<Option<Day>, StoreError> {
    let day = store.blob(keys::FIRST_DAY)?.and_then(|value| value.try_into().ok());
    Ok(day.map(|bytes| Day(i32::from_be_bytes(bytes))))
}

fn keys_of(stores: &[&Store]) -> Result<Vec<Option<[u8; 32]>>, StoreError> {
    stores.iter().map(|store| store.known_secret_key()).collect()
}

/// New stores get the key of process 0, unless it is configured.
fn share_key(members: &[Member]) -> Result<(), ReshapeError> {
    let is_new = |member: &&Member| member.stage == Stage::New;
    let old: Vec<&Store> = members.iter().filter(|m| !is_new(m)).map(|m| &m.store).collect();
    let Some(key) = keys_of(&old)?.into_iter().flatten().next() else { return Ok(()) };
    for member in members.iter().filter(is_new) {
        member.store.keep_secret_key(&key)?;
    }
    Ok(())
}

impl Reshape<'_> {
    /// Marks every store that is not, process 0 first: from then on no engine starts.
    pub(super) fn mark(&mut self) -> Result<(), ReshapeError> {
        let watermark = self.members.iter().filter_map(|member| member.store.watermark()).max();
        for process in 0..self.members.len() {
            let is_new = match self.members[process].stage {
                Stage::New => true,
                Stage::Unmarked => false,
                Stage::UnderWay(_) | Stage::Settled => continue,
            };
            let mark = UnderWay::new(process, self.from, self.to, self.base.0);
            let mut commit =
                Commit { epoch: self.next_epoch(process), watermark, ..Commit::default() };
            if is_new {
                self.begin_store(process, &mut commit)?;
            }
            commit.blobs.push(Marker::UnderWay(mark.clone()).blob());
            let rows = self.members[process].open.apply(&Default::default(), watermark);
            commit.blobs.extend(rows.into_iter().map(|(at, row)| (keys::open_second(at), row)));
            self.commit(process, commit)?;
            self.members[process].stage = Stage::UnderWay(mark);
        }
        Ok(())
    }

    /// What a new store begins with: what all know, and what an earlier process of this number
    /// left at process 0.
    fn begin_store(&self, process: usize, commit: &mut Commit) -> Result<(), StoreError> {
        let leader = &self.members[LEADER].store;
        let mut part = self.members[process].store.part(commit.epoch, 0);
        for (version, row) in leader.rules_rows()? {
            part.put_rules(&version, &row);
        }
        commit.parts.push(part);
        for name in [keys::FIRST_DAY, keys::REGROUP] {
            commit.blobs.push((name.into(), leader.blob(name)?));
        }
        commit.expire_before = leader.floor();
        let mut sources = leader.sources()?;
        sources.retain(|(name, _)| divide::owner(name) == Some(process));
        commit.sources = sources;
        Ok(())
    }
}
