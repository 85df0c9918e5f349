//! What a server may ask of the engine, and what it is told: queries and answers, service traits,
//! closed codes, the epochs a client is handed.
//!
//! Servers (`graphql/`) depend on this crate and on `spoor-operators` alone, so that they build and
//! test without RocksDB. Nothing here knows how an answer is found. [`service`] has the traits; the
//! other modules have the plain types that pass through them.

pub mod codes;
pub mod lineage;
pub mod patience;
pub mod query;
pub mod service;
pub mod values;
