//! The store, fed by the real sessionizer and compared with what a list of sessions would answer.

mod bounds;
mod care;
mod check;
mod crash;
mod damage;
mod large;
mod lifecycle;
mod making;
mod query;
mod retention;
mod staged;

use super::care::KeptRows;
use super::testing::*;
use super::{Commit, StoreError};

/// What these tests keep in a store: sources and answers are JSON, values are fixed texts.
pub(super) struct Kept;

impl KeptRows for Kept {
    fn source(&self, name: &str, row: &[u8]) -> Result<(), StoreError> {
        json("source", name, row)
    }

    fn answer(&self, answer: &[u8]) -> Result<(), StoreError> {
        json("answer", "", answer)
    }

    fn value(&self, name: &str, value: &[u8]) -> Result<(), StoreError> {
        if ["one", "two/5"].contains(&name) && value == name.as_bytes() {
            return Ok(());
        }
        Err(StoreError::Damaged(format!("value {name}")))
    }
}

fn json(what: &str, name: &str, row: &[u8]) -> Result<(), StoreError> {
    let read: Result<serde_json::Value, _> = serde_json::from_slice(row);
    read.map(drop).map_err(|error| StoreError::Damaged(format!("{what} {name}: {error}")))
}
