//! Summaries of one's own: what is kept for each session beside its statistics.
//!
//! A session carries the API statistics ([`crate::summary::Summary`]), whose place on the fast path
//! and on disk is fixed. Anything else is an [`OwnSummary`], kept by a second
//! [keyed](crate::keyed) operator behind the requests by session, at a cost that does not depend on
//! how long a session is: a request that comes is added, one that leaves (a retraction, a session
//! whose start moves) is taken away. So a summary must be a group: what was added can be taken away.
//! What cannot (a maximum, a set without counts) is a `reduce` over the same collection.

use std::fmt::Debug;
use std::marker::PhantomData;

use differential_dataflow::VecCollection;
use timely::order::TotalOrder;
use timely::progress::Timestamp;

use crate::identity::SessionId;
use crate::keyed::{Keyed, KeyedOperator, KeyedOptions, Updates};
use crate::record::Record;
use crate::request::Request;

/// What is kept for each session, beside its statistics. Its default is that of no request.
pub trait OwnSummary: Clone + Debug + Default + Ord + 'static {
    /// Adds a request so many times, or takes it away with negative `times`. The order must not
    /// matter, and adding and taking away the same must leave what was.
    fn add(&mut self, request: &Request<'_>, times: isize);

    /// Approximate bytes, `size_of::<Self>()` included.
    fn bytes(&self) -> usize {
        size_of::<Self>()
    }
}

/// Keeps summaries for the sessions of a collection of requests by session.
pub trait Summarize<'scope, T: Timestamp> {
    /// The summary of each session. Kept in memory; where days are dropped, give it the full
    /// collection ([`super::operator::Sessionize::sessionize_full`]).
    ///
    /// # Examples
    ///
    /// The distinct query strings of each session:
    ///
    /// ```
    /// use std::collections::BTreeMap;
    /// use spoor_operators::sessionize::own::OwnSummary;
    ///
    /// #[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
    /// struct Queries(BTreeMap<String, isize>);
    ///
    /// impl OwnSummary for Queries {
    ///     fn add(&mut self, request: &spoor_operators::request::Request<'_>, times: isize) {
    ///         let count = self.0.entry(request.query.to_string()).or_default();
    ///         *count += times;
    ///         self.0.retain(|_, count| *count != 0);
    ///     }
    /// }
    /// ```
    fn summarize<S: OwnSummary>(self) -> VecCollection<'scope, T, (SessionId, S), isize>;
}

impl<'scope, T: Timestamp + TotalOrder> Summarize<'scope, T>
    for VecCollection<'scope, T, (SessionId, Record), isize>
{
    fn summarize<S: OwnSummary>(self) -> VecCollection<'scope, T, (SessionId, S), isize> {
        // The states are kept nowhere else, so none may be evicted.
        let options =
            KeyedOptions { name: "Summarize", bytes_max: usize::MAX, ..KeyedOptions::default() };
        self.keyed(Summaries::<T, S>(PhantomData), options)
    }
}

/// The summaries by session.
struct Summaries<T, S>(PhantomData<(T, S)>);

impl<T: Timestamp, S: OwnSummary> Keyed for Summaries<T, S> {
    type Time = T;
    type Key = SessionId;
    type Input = (SessionId, Record);
    type State = S;
    type Item = (SessionId, S);
    type Output = Vec<((SessionId, S), isize)>;

    fn key((session, _): &Self::Input) -> SessionId {
        *session
    }

    fn load(&mut self, _: &SessionId) -> S {
        S::default()
    }

    fn step(
        &mut self,
        _: &T,
        key: &SessionId,
        state: &mut S,
        updates: &mut Updates<'_, SessionId, Self::Input>,
        out: &mut Self::Output,
    ) {
        let before = state.clone();
        for ((_, record), diff) in updates.iter() {
            if let Ok(request) = record.request() {
                state.add(&request, *diff);
            }
        }
        if before != *state {
            let was = Self::collection(key, &before).into_iter().map(|item| (item, -1));
            out.extend(was.chain(Self::collection(key, state).into_iter().map(|item| (item, 1))));
        }
    }

    fn collection(key: &SessionId, state: &S) -> Vec<(SessionId, S)> {
        Vec::from_iter((!Self::is_empty(state)).then(|| (*key, state.clone())))
    }

    fn is_empty(state: &S) -> bool {
        *state == S::default()
    }

    fn bytes(state: &S) -> usize {
        state.bytes()
    }
}
