//! Joining a cluster: what happens between opening the store and the first epoch.
//!
//! The processes meet, agree on the epoch all go on from, bring their stores there, and tell each
//! other what they know as of it. When one is lost on the way they meet again; everything done until
//! then may be done once more. After that a process begins as it would alone, with the rules of the
//! leader.

use spoor_operators::assign::SecretKey;
use spoor_operators::time::Epoch;

use crate::cluster::agree::{Recovery, agree, recovery, same_standing};
use crate::cluster::hello::{PROTOCOL, Shape};
use crate::cluster::meeting::{Connections, Meeting};
use crate::cluster::{ClusterError, Hello, Membership, Standing};
use crate::marker::check_settled;
use crate::startup::Startup;
use crate::{EngineError, Settings, keys};
use spoor_store::{Store, StoreError};

/// A process that has found the others, and whose store stands where all stand.
pub struct Joined<T> {
    /// To the others.
    pub connections: Connections,
    /// What this process is.
    pub shape: Shape,
    /// What is known here.
    pub known: T,
    /// What each process knows. By number.
    pub standings: Vec<Standing>,
}

/// Meets the others, agrees and recovers. The key of the settings becomes that of the cluster.
/// `read` says what the store knows once it stands where all stand.
///
/// # Errors
/// [`EngineError::Cluster`], [`EngineError::Store`], [`EngineError::Cancelled`].
pub fn join<T>(
    settings: &mut Settings,
    membership: &Membership,
    startup: &Startup,
    mut read: impl FnMut(&Settings) -> Result<(T, Standing), StoreError>,
) -> Result<Joined<T>, EngineError> {
    let mut meeting = Meeting::open(membership, startup)?;
    loop {
        match meet(settings, membership, &mut meeting, &mut read) {
            Ok((known, standings)) => {
                let shape =
                    Shape { process: membership.process, processes: membership.processes() };
                return Ok(Joined { connections: meeting.close(), shape, known, standings });
            }
            Err(EngineError::Cluster(ClusterError::Left(who))) => {
                tracing::warn!("{who} was lost while the cluster met: it meets again");
                meeting.begin_again();
            }
            Err(EngineError::Cluster(ClusterError::Cancelled)) => {
                return Err(EngineError::Cancelled);
            }
            Err(error) => return Err(error),
        }
    }
}

/// One meeting, until all know the same and know that of each other.
fn meet<T>(
    settings: &mut Settings,
    membership: &Membership,
    meeting: &mut Meeting,
    read: &mut impl FnMut(&Settings) -> Result<(T, Standing), StoreError>,
) -> Result<(T, Vec<Standing>), EngineError> {
    meeting.gather()?;
    let store = &settings.store;
    let hello = Hello {
        protocol: PROTOCOL,
        shape: Shape { process: membership.process, processes: membership.processes() },
        workers: settings.workers,
        store: store.committed().map(|_| shape_of(store)).transpose()?,
        committed: store.committed().map(|epoch| epoch.0),
        staged: store.staged()?.map(|epoch| epoch.0),
        zone: store.zone().name().to_owned(),
        key: settings.key.0,
        settings: fingerprint(settings),
    };
    let hellos = meeting.exchange(&hello)?;
    let target = agree(&hellos)?;
    match recovery(&hello, target) {
        Recovery::Nothing => {}
        Recovery::Promote(epoch) => {
            tracing::info!(epoch, "going on with an epoch that was staged here");
            store.promote_found(Epoch(epoch))?;
        }
        Recovery::Discard(epoch) => {
            tracing::info!(epoch, "an epoch that nobody has committed is discarded");
            store.discard_staged()?;
        }
    }
    let leader = &hellos[0];
    if target.is_none() && settings.key.0 != leader.key {
        store.keep_secret_key(&leader.key)?;
        settings.key = SecretKey(leader.key);
    }
    let (known, standing) = read(settings)?;
    let standings = meeting.exchange(&standing)?;
    same_standing(&standings)?;
    // Whoever goes on knows that nobody waits for what a lost process has not said.
    meeting.exchange(&())?;
    Ok((known, standings))
}

/// What a store was written as; refused while that is being changed.
///
/// # Errors
/// [`StoreError`].
pub fn shape_of(store: &Store) -> Result<Shape, StoreError> {
    check_settled(store)?;
    match store.blob(keys::SHAPE)? {
        None => Ok(Shape { process: 0, processes: 1 }),
        Some(shape) => Shape::decode(&shape),
    }
}

/// Refuses the store of a cluster to a process that is alone.
///
/// # Errors
/// [`ClusterError::Disagree`], failures of the store.
pub fn check_alone(store: &Store) -> Result<(), EngineError> {
    let shape = shape_of(store)?;
    if shape.processes == 1 {
        return Ok(());
    }
    let text = format!(
        "the store is that of process {} of {}: start all of them with --hosts, or run \
         `spoor store reshape --processes 1` first",
        shape.process, shape.processes
    );
    Err(ClusterError::Disagree(text).into())
}

/// What decides, besides rules and key, how a request is assigned.
fn fingerprint(settings: &Settings) -> String {
    let text = format!("{:?} {:?}", settings.applications, settings.descriptions.listing());
    blake3::hash(text.as_bytes()).to_hex().to_string()
}
