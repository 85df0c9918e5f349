//! Spoor's operators: requests and rules in, sessions and their statistics out.
//!
//! A plugin for timely and differential dataflow, usable without the rest of Spoor: nothing here
//! knows of files, sockets, stores or servers. `request` is the record, `point` where a value is
//! read, `rules` what an admin can change, `assign` whose request it is, `sessionize` the reason
//! this crate exists, `summary` what is counted.

pub mod address;
pub mod assign;
pub mod breakdown;
pub mod endpoint;
pub mod facts;
pub mod histogram;
pub mod identity;
pub mod interner;
pub mod inventory;
pub mod point;
pub mod request;
pub mod rules;
pub mod seeded;
pub mod session;
pub mod sessionize;
pub mod summary;
pub mod time;
pub mod totals;
pub mod wire;
