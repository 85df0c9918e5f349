//! API requests in, live user sessions out: operators for [timely] and [differential dataflow].
//!
//! ```text
//!  Record ---> assign ----by identity----> sessionize --+--> sessions             (Arc<Session>)
//!    ^           ^                             |         +--> requests by session  (SessionId, Record)
//!  NewRequest  RuleSet               MemoryState, or     +--> totals by minute and app
//!  (builder,   (a collection          a backend of
//!   serde)      or fixed)             your own
//! ```
//!
//! A *session* is a maximal run of one identity's requests on one day in which every step is shorter
//! than the gap. [`Assign`] finds whose a request is, by rules that may change while the dataflow
//! runs; [`Sessionize`] joins requests into sessions and keeps their statistics. Requests may come
//! late and in any order, be retracted and come twice: at every time the output is what a batch over
//! the same requests would give, and a request costs O(log sessions of its identity and day).
//!
//! # Example
//!
//! ```
//! use std::sync::{Arc, Mutex};
//!
//! use differential_dataflow::input::Input;
//! use spoor_operators::{
//!     Assign, AssignOptions, MemoryState, NewRequest, RuleSet, SecretKey, Sessionize,
//! };
//!
//! let seen = Arc::new(Mutex::new(Vec::new()));
//! let told = Arc::clone(&seen);
//! timely::execute_directly(move |worker| {
//!     let mut requests = worker.dataflow::<u64, _, _>(|scope| {
//!         let (input, requests) = scope.new_collection();
//!         let rules = scope.new_collection_from([Arc::new(RuleSet::default())]).1;
//!         let options = AssignOptions::new(SecretKey([7; 32]));
//!         let out = requests.assign(rules, options).sessionize(MemoryState::default());
//!         out.sessions.inspect(move |(session, time, diff)| {
//!             let seconds = session.duration_ms() / 1000;
//!             told.lock().unwrap().push((*time, *diff, session.requests(), seconds));
//!         });
//!         input
//!     });
//!     let request = |minute: i64| {
//!         let at = 1_700_000_000_000 + minute * 60_000;
//!         NewRequest::new("GET", "/orders/7", at).cookie("sid", "ann").status(200).build().unwrap()
//!     };
//!     requests.insert(request(0));
//!     requests.insert(request(50));
//!     requests.advance_to(1);
//!     // It comes late, and makes one session of two.
//!     requests.insert(request(25));
//! });
//! let mut seen = seen.lock().unwrap().clone();
//! seen.sort();
//! // Time, difference, requests, seconds.
//! assert_eq!(seen, [(0, 1, 1, 0), (0, 1, 1, 0), (1, -1, 1, 0), (1, -1, 1, 0), (1, 1, 3, 3000)]);
//! ```
//!
//! The sessions, the requests by session and the totals are ordinary collections: `join`, `count` and
//! `reduce` follow. With a backend that had state before, or that drops days, their changes are
//! relative to that state; [`Sessionize::sessionize_full`] makes full collections of them
//! ([`keyed`] has the contract). Timestamps are any totally ordered type.
//!
//! # Where to go on
//!
//! | to | see |
//! | --- | --- |
//! | decide whose a request is, and what else is read of it | [`rules`], [`point`] |
//! | read a session's statistics | [`Session`], [`summary`] |
//! | keep something else for each session | [`sessionize::own`] |
//! | keep sessions elsewhere than in memory | [`sessionize::backend`] |
//! | write another operator with state by key | [`keyed`] |
//!
//! # Features
//!
//! - `engine`: what an engine around the operators needs as well: the layout of stored rows and of
//!   what travels between processes, the codecs and the spill of state. Not covered by semantic
//!   versioning.
//! - `abomonation`: a codec for spilled state; the only `unsafe` code.
//!
//! [timely]: https://docs.rs/timely
//! [differential dataflow]: https://docs.rs/differential-dataflow
#![cfg_attr(docsrs, feature(doc_cfg))]
// Without the engine some of what it needs is not used.
#![cfg_attr(not(feature = "engine"), allow(dead_code, unused_imports))]

#[cfg(feature = "engine")]
pub mod address;
#[cfg(not(feature = "engine"))]
mod address;
pub mod assign;
#[cfg(feature = "engine")]
pub mod breakdown;
#[cfg(not(feature = "engine"))]
mod breakdown;
#[cfg(feature = "engine")]
pub mod endpoint;
#[cfg(not(feature = "engine"))]
mod endpoint;
#[cfg(feature = "engine")]
pub mod facts;
#[cfg(not(feature = "engine"))]
mod facts;
#[cfg(feature = "engine")]
pub mod histogram;
#[cfg(not(feature = "engine"))]
mod histogram;
pub mod identity;
#[cfg(feature = "engine")]
pub mod interner;
#[cfg(not(feature = "engine"))]
mod interner;
pub mod inventory;
pub mod keyed;
pub mod point;
pub mod record;
pub mod request;
pub mod rules;
#[cfg(feature = "engine")]
pub mod seeded;
#[cfg(not(feature = "engine"))]
mod seeded;
pub mod session;
pub mod sessionize;
pub mod summary;
pub mod time;
pub mod totals;
#[cfg(feature = "engine")]
pub mod wire;
#[cfg(not(feature = "engine"))]
mod wire;

pub use assign::operator::{Assign, AssignOptions};
pub use assign::{CompiledRules, SecretKey};
pub use facts::{Assigned, Field};
pub use identity::SessionId;
pub use record::{NewRequest, Record};
pub use rules::RuleSet;
pub use session::Session;
pub use sessionize::memory::MemoryState;
pub use sessionize::operator::{Sessionize, SessionizeOptions, Sessionized};
pub use totals::Totals;
pub use wire::Malformed;
