//! What the engine keeps in a store, as the check of a store reads it.

use spoor_input::source;
use spoor_store::StoreError;
use spoor_store::care::KeptRows;

use crate::cluster::hello::Shape;
use crate::divide::read_row;
use crate::open_sessions::OpenSessions;
use crate::{answers, keys, marker};

/// The rows the engine registers with the store.
#[derive(Clone, Copy, Debug, Default)]
pub struct Kept;

impl KeptRows for Kept {
    fn source(&self, name: &str, row: &[u8]) -> Result<(), StoreError> {
        let row = read_row(name, row)?;
        if source::is_checkpoint(&row.checkpoint) {
            Ok(())
        } else {
            Err(damaged(format!("source {name}: its checkpoint is none")))
        }
    }

    fn answer(&self, answer: &[u8]) -> Result<(), StoreError> {
        if answers::is_answer(answer) {
            Ok(())
        } else {
            Err(damaged("a remembered answer is none"))
        }
    }

    fn value(&self, name: &str, value: &[u8]) -> Result<(), StoreError> {
        let length = |bytes: usize| {
            if value.len() == bytes { Ok(()) } else { Err(damaged("length of an engine's value")) }
        };
        match name {
            keys::FIRST_DAY => length(4),
            keys::REGROUP => length(8),
            keys::SHAPE => Shape::decode(value).map(drop),
            keys::RESHAPE => marker::state_of(value).map(drop),
            _ if name.starts_with(keys::OPEN_PREFIX) => open(name, value),
            _ => Err(damaged(format!("an engine's value `{name}`"))),
        }
    }
}

/// The sessions that close in a second.
fn open(name: &str, value: &[u8]) -> Result<(), StoreError> {
    let sessions = OpenSessions::restore([value], None)?;
    let mut seconds = sessions.seconds();
    let is_named = |second: i64| keys::open_second(second) == name;
    match (seconds.next(), seconds.next()) {
        (Some(second), None) if is_named(second) => Ok(()),
        _ => Err(damaged("open sessions of another second")),
    }
}

fn damaged(text: impl Into<String>) -> StoreError {
    StoreError::Damaged(text.into())
}
