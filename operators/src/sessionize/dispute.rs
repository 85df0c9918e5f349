//! Requests that share an explicit id: which of them counts, without looking at all others.
//!
//! Of the requests of an identity-day with one explicit id the least by `(ts, stored request)`
//! counts. Once two such requests were seen, the day's state has a [`Dispute`]: the request that
//! counts for each explicit id, and when every request that counts was and how long it took. So a
//! further request costs what it costs to find its id: if it does not count it goes to the log
//! alone, and if it does, the one it replaces is taken out of its session. Only where that cannot be
//! exact is the identity-day recomputed.
//!
//! It is made from the requests of the day when the first such request comes, and is forgotten with
//! the day's hot state.

use std::collections::BTreeMap;

use bytes::Bytes;
use hashbrown::HashMap;
use hashbrown::hash_map::Entry;
use smallvec::SmallVec;

use super::backend::Known;
use super::state::DayState;
use crate::facts::Assigned;
use crate::time::EventTime;

/// See the module's description.
#[derive(Debug, Default)]
pub(super) struct Dispute {
    counted: HashMap<u64, Assigned>,
    timeline: Timeline,
    payload_bytes: usize,
}

/// What an epoch's requests do to an identity-day with a dispute.
#[derive(Debug, Default)]
pub(super) struct Settled {
    /// Requests that count from now on.
    pub came: Vec<Assigned>,
    /// Requests that count no more.
    pub went: Vec<Assigned>,
    /// Positions, among those given, of requests that are retained.
    pub retained: Vec<u32>,
    /// Origins of the requests whose id was known.
    pub duplicates: Vec<u32>,
}

/// Times of the requests that count, and their durations.
#[derive(Debug, Default)]
pub(super) struct Timeline {
    at: BTreeMap<EventTime, SmallVec<[Option<u64>; 1]>>,
    requests: usize,
}

impl Timeline {
    /// Adds a request.
    pub fn add(&mut self, ts: EventTime, duration_ns: Option<u64>) {
        self.at.entry(ts).or_default().push(duration_ns);
        self.requests += 1;
    }

    /// Takes a request away. Whether it was there.
    pub fn remove(&mut self, ts: EventTime, duration_ns: Option<u64>) -> bool {
        let Some(durations) = self.at.get_mut(&ts) else { return false };
        let Some(at) = durations.iter().position(|known| *known == duration_ns) else {
            return false;
        };
        durations.swap_remove(at);
        if durations.is_empty() {
            self.at.remove(&ts);
        }
        self.requests -= 1;
        true
    }

    /// The nearest instants with a request: at or before one, and at or after it.
    pub fn around(&self, ts: EventTime) -> (Option<EventTime>, Option<EventTime>) {
        let before = self.at.range(..=ts).next_back().map(|(at, _)| *at);
        (before, self.at.range(ts..).next().map(|(at, _)| *at))
    }

    /// The longest duration between two instants, both included; 0 when there is none.
    pub fn longest(&self, from: EventTime, to: EventTime) -> u64 {
        let durations = self.at.range(from..=to).flat_map(|(_, durations)| durations);
        durations.flatten().copied().max().unwrap_or(0)
    }
}

impl Dispute {
    /// Of the requests that count.
    pub fn of(counted: &[&Assigned]) -> Self {
        let mut dispute = Self::default();
        for request in counted {
            if request.id_hash != 0 {
                dispute.payload_bytes += request.payload.len();
                dispute.counted.insert(request.id_hash, kept(request));
            }
            dispute.timeline.add(request.ts, duration(request));
        }
        dispute
    }

    /// Approximate bytes on the heap.
    pub fn heap_bytes(&self) -> usize {
        let instants = self.timeline.requests * (size_of::<SmallVec<[Option<u64>; 1]>>() + 16);
        self.counted.capacity() * size_of::<(u64, Assigned)>() + self.payload_bytes + instants
    }

    pub fn timeline(&mut self) -> &mut Timeline {
        &mut self.timeline
    }

    /// The request that counts for an id from now on; the one that counted before.
    fn replace(&mut self, request: &Assigned) -> Option<Assigned> {
        self.payload_bytes += request.payload.len();
        let before = self.counted.insert(request.id_hash, kept(request));
        self.payload_bytes -= before.as_ref().map_or(0, |before| before.payload.len());
        before
    }
}

/// A copy that keeps nothing else alive: a payload may be a slice of a large buffer.
fn kept(request: &Assigned) -> Assigned {
    Assigned { payload: Bytes::copy_from_slice(&request.payload), ..request.clone() }
}

fn duration(request: &Assigned) -> Option<u64> {
    request.facts().ok().and_then(|facts| facts.numbers.duration_ns)
}

/// Decides which of an epoch's requests count, and notes their ids in `state`, whose ids must be
/// complete. None: the state has no dispute, or a request cannot be read.
pub(super) fn settle<'a>(
    state: &mut DayState,
    requests: impl Iterator<Item = (u32, &'a Assigned)>,
) -> Option<Settled> {
    let dispute = state.dispute.as_deref_mut()?;
    let mut settled = Settled::default();
    // By id: the request that counted when the epoch began.
    let mut before: HashMap<u64, Option<Assigned>> = HashMap::new();
    for (place, request) in requests {
        request.facts().ok()?;
        if request.id_hash == 0 {
            settled.came.push(request.clone());
            settled.retained.push(place);
            continue;
        }
        let known = state.ids.insert(request.id_hash, request.stored());
        if known != Known::New {
            settled.duplicates.push(request.origin);
        }
        if known == Known::Same {
            continue;
        }
        settled.retained.push(place);
        if known == Known::Other {
            state.ids.insert_also(request.id_hash, request.stored());
            let counts = dispute.counted.get(&request.id_hash)?;
            if (request.ts, request.stored()) > (counts.ts, counts.stored()) {
                continue;
            }
        }
        let replaced = dispute.replace(request);
        if let Entry::Vacant(first) = before.entry(request.id_hash) {
            first.insert(replaced);
        }
    }
    for (id, went) in before {
        settled.came.extend(dispute.counted.get(&id).cloned());
        settled.went.extend(went);
    }
    for request in &settled.came {
        dispute.timeline.add(request.ts, duration(request));
    }
    Some(settled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeline_knows_neighbours_and_the_longest_duration() {
        let mut timeline = Timeline::default();
        for (at, duration) in [(10, Some(5)), (10, None), (20, Some(9)), (30, Some(9))] {
            timeline.add(EventTime(at), duration);
        }
        let around = |timeline: &Timeline, at| {
            let (before, after) = timeline.around(EventTime(at));
            (before.map(|at| at.0), after.map(|at| at.0))
        };
        assert_eq!(around(&timeline, 9), (None, Some(10)));
        assert_eq!(around(&timeline, 10), (Some(10), Some(10)));
        assert_eq!(around(&timeline, 25), (Some(20), Some(30)));
        assert_eq!(timeline.longest(EventTime(0), EventTime(30)), 9);
        assert!(
            timeline.remove(EventTime(20), Some(9)) && !timeline.remove(EventTime(20), Some(9))
        );
        assert!(timeline.remove(EventTime(30), Some(9)));
        assert_eq!(timeline.longest(EventTime(0), EventTime(30)), 5);
        assert!(timeline.remove(EventTime(10), Some(5)));
        assert_eq!(around(&timeline, 15), (Some(10), None));
        assert_eq!((timeline.longest(EventTime(0), EventTime(30)), timeline.requests), (0, 1));
    }
}
