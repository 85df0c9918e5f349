//! Spoor's engine: sources, the graph, keyed state, the store, commit and recovery, reader and
//! change feed.
//!
//! It knows nothing of GraphQL or HTTP: whoever serves it sees the traits of [`service`].

pub mod cluster;
pub mod config;
pub mod decode;
pub mod engine;
pub mod failpoint;
pub mod replay;
pub mod reshape;
pub mod sorted;
pub mod source;
pub mod store;
pub mod verify;

pub use spoor_api::{codes, lineage, patience, query, service, values};
