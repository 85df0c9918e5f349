//! The API over a mock engine: what a client is told, and what it can never cause.

#![allow(clippy::unwrap_used, reason = "a failure ends a test")]

mod connections;
mod console;
mod frames;
mod http;
mod limits;
mod lists;
mod mock;
mod nulls;
mod push;
mod rules;
mod schema;
mod sockets;
mod subscribers;
mod support;
mod values;
