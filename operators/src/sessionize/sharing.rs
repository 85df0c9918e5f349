//! Requests of a large identity-day that share explicit ids, while it is backfilled.
//!
//! Which of the requests with one id counts depends on all of them, wherever they are in the log, so
//! they are in no layer: they are kept apart, and a layer is made of those that count whenever
//! one of them comes or leaves. Their ids must be known before the day is told. Where telling
//! finds a new one, it notes the ids only, and the day is told once more.
//!
//! Their number is bounded: a day with more is not taken in pieces.

use std::collections::HashSet;

use bytes::Bytes;

use super::rebuild::counted;
use crate::facts::Assigned;

/// Requests that share ids a day may have, to be taken in pieces.
const SHARED_MAX: usize = 10_000;
/// Bytes of them.
const SHARED_BYTES_MAX: usize = 16 << 20;

/// See the module's description.
#[derive(Debug, Default)]
pub(super) struct Sharing {
    ids: HashSet<u64>,
    /// An id was found to be shared after a request with it went to a layer.
    found: bool,
    requests: Vec<Assigned>,
    /// For each of them the number of the piece it leaves with, if it does.
    leaves: Vec<Option<u64>>,
    bytes: usize,
}

impl Sharing {
    /// The same ids, for telling the day once more.
    pub fn again(self) -> Self {
        Self { ids: self.ids, ..Self::default() }
    }

    /// Notes that requests share an id.
    pub fn find(&mut self, id_hash: u64) {
        self.found |= self.ids.insert(id_hash);
    }

    /// Whether a request with a shared id may be in a layer.
    pub fn has_found(&self) -> bool {
        self.found
    }

    /// Whether there are more than there may be.
    pub fn is_beyond(&self) -> bool {
        self.ids.len().max(self.requests.len()) > SHARED_MAX || self.bytes > SHARED_BYTES_MAX
    }

    /// Whether a request's id is known to be shared.
    pub fn has(&self, request: &Assigned) -> bool {
        request.id_hash != 0 && self.ids.contains(&request.id_hash)
    }

    /// Keeps a request that leaves with a piece, or stays.
    pub fn add(&mut self, request: &Assigned, leaves: Option<u64>) {
        // A payload may be a slice of a large buffer.
        let payload = Bytes::copy_from_slice(&request.payload);
        self.bytes += payload.len();
        self.requests.push(Assigned { payload, ..request.clone() });
        self.leaves.push(leaves);
    }

    /// Forgets the requests that leave with a piece.
    pub fn leave(&mut self, piece: u64) {
        let mut left = self.leaves.iter().map(|leaves| *leaves != Some(piece));
        self.requests.retain(|_| left.next().unwrap_or(true));
        self.leaves.retain(|leaves| *leaves != Some(piece));
        self.bytes = self.requests.iter().map(|request| request.payload.len()).sum();
    }

    /// Those that count, in order.
    pub fn counted(&self) -> Vec<Assigned> {
        counted(&self.requests).into_iter().cloned().collect()
    }

    /// Approximate bytes on the heap.
    pub fn heap_bytes(&self) -> usize {
        self.bytes
            + self.requests.capacity() * size_of::<(Assigned, Option<u64>)>()
            + self.ids.capacity() * size_of::<u64>()
    }
}
