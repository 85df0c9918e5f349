//! Serves a reader, a change feed, rules and ingest over GraphQL and HTTP.
//!
//! The engine of GraphQL is `async-graphql`; the schema (`schema/`) and the transports (`http/`,
//! `ws/`, `sse`) are our own. Nothing here knows how the four services are made: the tests bring
//! their own.

pub mod budget;
mod coerce;
pub mod connections;
pub mod document;
pub mod error;
pub mod execute;
pub mod http;
pub mod options;
pub mod schema;
pub mod server;
pub mod sse;
pub mod subscribers;
mod tcp;
pub mod ws;

pub use options::ServerOptions;
pub use schema::sdl;
pub use server::{router, routes, serve};
