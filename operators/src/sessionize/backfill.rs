//! A large identity-day under changed rules, a piece of its log at a time.
//!
//! A retraction makes an identity-day anew from all its requests, which takes memory and time as the
//! day has requests. A large day is *told* first: in each epoch the backend gives some of its
//! retained requests as the new rules see them, and tells those that stay from those that will be
//! retracted. Their sessions are kept in layers: one of everything that stays, and one for each
//! piece that leaves. When all is told, the sessions of the day are the union of the layers; then
//! each epoch retracts one piece, which takes its layer away. So nothing is ever subtracted, a
//! session that falls apart needs no request again, and an epoch costs a piece and the sessions.
//!
//! Requests that come meanwhile go to the sessions of the day as always, and to the layer that stays.
//! Requests that share an explicit id are in no layer ([`sharing`](super::sharing)).
//! Invariants: any other request is in one layer; the layers that leave are retracted whole, in their
//! order. Where that cannot be kept, the backfill is given up, the backend is told, and the day is
//! made anew from all its requests.

use std::collections::VecDeque;
use std::mem;
use std::sync::Arc;

use smallvec::SmallVec;

use super::backend::{
    BackfillStep, Backfilled, DayKey, IdSet, Known, LogChange, Piece, SessionBackend,
};
use super::rebuild::count_duplicate;
use super::sharing::Sharing;
use super::state::{DayState, Edits, within_gap};
use super::{Changed, Group, SessionLogic, Work, empty_session, nothing};
use crate::facts::Assigned;
use crate::identity::Identity;
use crate::keyed::{Cache, Keyed};
use crate::session::Session;

/// See the module's description.
#[derive(Debug, Default)]
pub(super) struct Backfill {
    stays: Layer,
    leaves: VecDeque<Leaving>,
    /// Layers that leave, those that have left included.
    pieces: u64,
    sharing: Sharing,
    /// All explicit ids, until the day is told.
    ids: IdSet,
    is_told: bool,
}

/// A piece that will be retracted.
#[derive(Debug, Default)]
struct Leaving {
    layer: Layer,
    requests: usize,
    /// Sum of the hashes of the stored requests.
    print: u64,
}

/// Sessions of some requests of the day by themselves.
#[derive(Debug, Default)]
struct Layer(DayState);

/// Too many requests share ids, a gap differs, or a request cannot be read: the day has no layers.
struct NoLayers;

impl Layer {
    fn add<'a>(
        &mut self,
        requests: impl Iterator<Item = &'a Assigned>,
        identity: &Arc<Identity>,
        gap_ms: u32,
    ) -> Result<(), NoLayers> {
        if self.0.gap_ms().is_some_and(|gap| gap != gap_ms) {
            return Err(NoLayers);
        }
        let mut edits = Edits::default();
        for request in requests {
            let facts = request.facts().map_err(|_| NoLayers)?;
            let new =
                |_: Option<&Arc<Identity>>| empty_session(Arc::clone(identity), request, gap_ms);
            self.0.session_at(request.ts, gap_ms, &mut edits, new).summary.add(&facts);
        }
        self.0.finish(&mut edits, &mut SmallVec::new());
        Ok(())
    }
}

fn print_of(request: &Assigned) -> u64 {
    xxhash_rust::xxh3::xxh3_64(request.stored())
}

/// Adds requests of one gap.
fn add<'a>(
    layer: &mut Layer,
    requests: impl Iterator<Item = &'a Assigned> + Clone,
    identity: &Arc<Identity>,
) -> Result<(), NoLayers> {
    let Some(gap_ms) = greatest_gap(requests.clone()) else { return Ok(()) };
    if requests.clone().any(|request| request.gap_ms != gap_ms) {
        return Err(NoLayers);
    }
    layer.add(requests, identity, gap_ms)
}

fn greatest_gap<'a>(requests: impl Iterator<Item = &'a Assigned>) -> Option<u32> {
    requests.map(|request| request.gap_ms).max()
}

impl Backfill {
    /// Whether all retained requests are in layers, so that they are what the day is made of.
    pub fn is_told(&self) -> bool {
        self.is_told
    }

    /// Approximate bytes on the heap.
    pub fn heap_bytes(&self) -> usize {
        let layers = self.leaves.iter().map(|leaving| &leaving.layer).chain([&self.stays]);
        let layers = layers.map(|layer| layer.0.bytes()).sum::<usize>();
        layers + self.sharing.heap_bytes() + self.ids.heap_bytes()
    }

    /// Takes retained requests in.
    fn tell(&mut self, piece: &Piece, identity: &Arc<Identity>) -> Result<(), NoLayers> {
        let explicit = piece.stays.iter().chain(&piece.leaves).filter(|one| one.id_hash != 0);
        for request in explicit {
            if self.ids.insert(request.id_hash, request.stored()) != Known::New {
                self.ids.insert_also(request.id_hash, request.stored());
                self.sharing.find(request.id_hash);
            }
        }
        if self.sharing.has_found() {
            // Only the ids are of use, for the next time.
            (self.stays, self.leaves) = (Layer::default(), VecDeque::new());
            return if self.sharing.is_beyond() { Err(NoLayers) } else { Ok(()) };
        }
        self.share(piece.stays.iter(), None)?;
        let sharing = &self.sharing;
        add(&mut self.stays, piece.stays.iter().filter(|one| !sharing.has(one)), identity)?;
        if piece.leaves.is_empty() {
            return Ok(());
        }
        self.share(piece.leaves.iter(), Some(self.pieces))?;
        let (sharing, mut layer) = (&self.sharing, Layer::default());
        let own = piece.leaves.iter().filter(|one| !sharing.has(one));
        if let Some(gap_ms) = greatest_gap(own.clone()) {
            layer.add(own, identity, gap_ms)?;
        }
        let print = piece.leaves.iter().map(print_of).fold(0, u64::wrapping_add);
        self.leaves.push_back(Leaving { layer, requests: piece.leaves.len(), print });
        self.pieces += 1;
        Ok(())
    }

    /// Keeps those of some requests that share ids, with the piece they leave with.
    fn share<'a>(
        &mut self,
        requests: impl Iterator<Item = &'a Assigned>,
        leaves: Option<u64>,
    ) -> Result<(), NoLayers> {
        for request in requests {
            if self.sharing.has(request) {
                request.facts().map_err(|_| NoLayers)?;
                self.sharing.add(request, leaves);
            }
        }
        if self.sharing.is_beyond() { Err(NoLayers) } else { Ok(()) }
    }

    /// The piece whose turn it is leaves; it must be these requests.
    fn leave(&mut self, requests: &[&Assigned]) -> Result<(), NoLayers> {
        let number = self.pieces - self.leaves.len() as u64;
        let next = self.leaves.pop_front().ok_or(NoLayers)?;
        let print = requests.iter().map(|one| print_of(one)).fold(0, u64::wrapping_add);
        if (next.requests, next.print) != (requests.len(), print) {
            return Err(NoLayers);
        }
        self.sharing.leave(number);
        Ok(())
    }

    /// The sessions of all layers together, under the greatest gap of any, ascending by start.
    fn sessions(&self, identity: &Arc<Identity>) -> Vec<Arc<Session>> {
        let (mut shared, counted) = (Layer::default(), self.sharing.counted());
        if let Some(gap_ms) = greatest_gap(counted.iter()) {
            let readable = shared.add(counted.iter(), identity, gap_ms).is_ok();
            debug_assert!(readable, "requests that cannot be read are not kept");
        }
        let leaves = self.leaves.iter().map(|leaving| &leaving.layer);
        let layers = || leaves.clone().chain([&self.stays, &shared]);
        let gap_ms = layers().filter_map(|layer| layer.0.gap_ms()).max().unwrap_or_default();
        let mut all: Vec<_> = layers().flat_map(|layer| layer.0.sessions()).collect();
        all.sort_by_key(|session| session.start);
        let mut sessions: Vec<Arc<Session>> = Vec::new();
        for session in all {
            match sessions.last_mut() {
                Some(last) if within_gap(last.end, session.start, gap_ms) => {
                    let last = Arc::make_mut(last);
                    last.end = last.end.max(session.end);
                    last.summary.merge(&session.summary);
                }
                _ => sessions.push(Arc::clone(session)),
            }
        }
        for session in sessions.iter_mut().filter(|session| session.gap_ms != gap_ms) {
            Arc::make_mut(session).gap_ms = gap_ms;
        }
        sessions
    }
}

impl<B: SessionBackend<T>, T: Clone + Ord> SessionLogic<B, T> {
    /// What this epoch does for the backfill of a large identity-day. One that has been told whole
    /// gets an update that changes nothing, so that its sessions are made of the layers.
    pub(super) fn backfill(
        &mut self,
        time: &T,
        states: &mut Cache<DayKey, DayState>,
        updates: &mut Vec<(Assigned, isize)>,
    ) {
        for step in self.backend.backfill(time.clone()) {
            let key = match step {
                BackfillStep::Drop(key) => {
                    if let Some(at) = states.find(&key) {
                        states.state(at).backfill = None;
                    }
                    key
                }
                BackfillStep::Tell(key, piece) => {
                    let at = states.position(&key, || {
                        let state = self.load(&key);
                        let bytes = state.bytes();
                        (state, bytes)
                    });
                    // Which request is in which session is not kept in layers.
                    let told = match self.wants_requests {
                        true => Some(Backfilled::AtOnce),
                        false => tell(states.state(at), &piece),
                    };
                    if let Some(outcome) = told {
                        self.backend.backfilled(key, outcome);
                        if outcome == Backfilled::Ready {
                            let DayKey { day, identity } = key;
                            updates.push((Assigned { day, identity, ..nothing() }, 0));
                        }
                    }
                    key
                }
            };
            if let Some(at) = states.find(&key) {
                let (bytes, is_empty) = (states.state(at).bytes(), states.state(at).is_empty());
                match is_empty {
                    true => drop(states.remove(at)),
                    false => states.settle(at, bytes),
                }
            }
        }
    }

    /// Requests that were found to be new come to an identity-day that is not told whole.
    pub(super) fn tell_new(&mut self, key: DayKey, state: &mut DayState, group: &Group<'_>) {
        let Some(mut backfill) = state.backfill.take() else { return };
        let new = self.work.kept.iter().map(|place| &group.get(*place).0);
        let piece = Piece { stays: new.cloned().collect(), ..Piece::default() };
        let identity = state.identity().cloned();
        match identity.map(|identity| backfill.tell(&piece, &identity)) {
            Some(Ok(())) => state.backfill = Some(backfill),
            _ => self.backend.backfilled(key, Backfilled::AtOnce),
        }
    }

    /// An epoch of an identity-day that is told whole. None: the backfill was given up, and the day
    /// must be recomputed from its requests.
    pub(super) fn told_day(
        &mut self,
        state: &mut DayState,
        group: &mut Group<'_>,
    ) -> Option<(LogChange, Changed)> {
        let (mut backfill, identity) = (state.backfill.take()?, Arc::clone(state.identity()?));
        if group.iter().any(|(_, diff)| !(-1..=1).contains(diff)) {
            return None;
        }
        let of = |wanted: isize| {
            let items = group.iter().filter(move |(_, diff)| *diff == wanted);
            items.map(|(request, _)| request)
        };
        let counted = backfill.sharing.counted();
        if of(-1).next().is_some() {
            backfill.leave(&of(-1).collect::<Vec<_>>()).ok()?;
            for request in of(-1).filter(|request| request.id_hash != 0) {
                state.ids.remove(request.id_hash, request.stored());
            }
        }
        let (mut came, mut duplicates) = (Vec::new(), Vec::new());
        for request in of(1) {
            if request.id_hash != 0 {
                match state.ids.insert(request.id_hash, request.stored()) {
                    Known::New => {}
                    Known::Same => {
                        duplicates.push(request.origin);
                        continue;
                    }
                    Known::Other if !backfill.sharing.has(request) => return None,
                    Known::Other => {
                        state.ids.insert_also(request.id_hash, request.stored());
                        duplicates.push(request.origin);
                    }
                }
            }
            came.push(request);
        }
        backfill.share(came.iter().copied(), None).ok()?;
        let Backfill { stays, sharing, .. } = &mut *backfill;
        add(stays, came.iter().copied().filter(|one| !sharing.has(one)), &identity).ok()?;
        let Work { counts, totals, .. } = &mut self.work;
        let counted_now = sharing.counted();
        let own = |request: &&Assigned| !sharing.has(request);
        of(-1).filter(own).for_each(|request| totals.add(request, -1));
        came.iter().copied().filter(own).for_each(|request| totals.add(request, 1));
        if counted != counted_now {
            counted.iter().for_each(|request| totals.add(request, -1));
            counted_now.iter().for_each(|request| totals.add(request, 1));
        }
        duplicates.into_iter().for_each(|origin| count_duplicate(counts, origin));
        let removed: Vec<_> = of(-1).cloned().collect();
        let added: Vec<_> = came.into_iter().cloned().collect();
        counts.removed += removed.len() as u64;
        counts.inserted += added.len() as u64;
        let mut changes = SmallVec::new();
        state.replace(backfill.sessions(&identity), &mut changes);
        if !backfill.leaves.is_empty() {
            state.backfill = Some(backfill);
        }
        Some((LogChange::exchanged(removed, added), changes))
    }
}

/// Takes a piece in. What comes of it, once that is known.
fn tell(state: &mut DayState, piece: &Piece) -> Option<Backfilled> {
    if piece.is_first {
        // Which requests count is found out here, too.
        state.dispute = None;
        let before = state.backfill.take();
        let sharing = before.map(|before| before.sharing.again()).unwrap_or_default();
        state.backfill = Some(Box::new(Backfill { sharing, ..Backfill::default() }));
    }
    let identity = state.identity().cloned();
    let told = match (&mut state.backfill, identity) {
        (Some(backfill), Some(identity)) if !backfill.is_told => backfill.tell(piece, &identity),
        _ => Err(NoLayers),
    };
    if told.is_err() {
        state.backfill = None;
        return Some(Backfilled::AtOnce);
    }
    let backfill = state.backfill.as_mut().filter(|_| piece.is_last)?;
    if backfill.sharing.has_found() {
        return Some(Backfilled::Again);
    }
    backfill.is_told = true;
    (state.ids, state.ids_loaded) = (mem::take(&mut backfill.ids), true);
    Some(Backfilled::Ready)
}
