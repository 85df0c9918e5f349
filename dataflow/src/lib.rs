//! Spoor's engine: sources, the graph, keyed state, the store, commit and recovery, reader and
//! change feed.
//!
//! It knows nothing of GraphQL or HTTP: whoever serves it sees the traits of [`service`].

pub mod config;
pub mod decode;
pub mod query;
pub mod service;
pub mod source;
pub mod store;
