//! Spoor as a library: the configuration, and one name for the crates of the dataflow.
//!
//! Whoever embeds the engine (the program `spoor`, tests) depends on this crate alone. It holds how
//! the program is configured ([`config`]); everything else is re-exported from where it lives:
//! `spoor-api` (queries, answers, service traits), `spoor-input` (formats and sources),
//! `spoor-store` (RocksDB) and `spoor-engine` (cluster, graph, commit, reads, jobs).

pub mod config;

pub use spoor_api::{codes, lineage, patience, query, service, values};
pub use spoor_engine as engine;
pub use spoor_engine::{cluster, replay, reshape, verify};
pub use spoor_input::{decode, source};
pub use spoor_store::failpoint;

/// The store, and its tools with what the engine keeps in it.
pub mod store {
    pub use spoor_store::*;

    /// Looking after a store.
    pub mod care {
        pub use spoor_engine::store_tools::{Info, SourceInfo, check, info, salvage};
        pub use spoor_store::care::*;
    }
}
