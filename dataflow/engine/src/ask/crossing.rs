//! Everything that processes of a cluster tell each other while they run, in one list.
//!
//! What is sent must come back as it was, whatever its values: bincode writes no names, so a form
//! that leaves fields out, or that depends on what it reads, does not. [`Crossing`] is asked for
//! wherever something is sent or read, and only what is in the list has it; every type of the list
//! is tested with arbitrary values. What the operators exchange is in the list of their own crate
//! (`operators/tests/crossing.rs`).

use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use spoor_operators::identity::{Identity, SessionId};
use spoor_operators::rules::RuleSet;
use spoor_operators::session::Session;
use spoor_operators::time::{Epoch, EventTime};

use crate::ask::reads::ExportPage;
use crate::ask::wire::{ChangeRefused, Question};
use crate::feed::Differences;
use crate::mail::Note;
use spoor_api::query::{DeadLetterPage, Filter, Overview, RequestPage, SessionPage, Status};
use spoor_api::service::{PushAnswer, ServiceError};
use spoor_api::values::ValuePage;

/// Something processes send each other by bincode.
pub trait Crossing: Serialize + DeserializeOwned {}

/// An answer, or why there is none.
impl<T: Crossing> Crossing for Result<T, ServiceError> {}

macro_rules! crossing {
    ($($test:ident: $type:ty),* $(,)?) => {
        $(impl Crossing for $type {})*

        #[cfg(test)]
        mod tests {
            use super::*;

            $(#[test]
            fn $test() {
                anything::comes_back_from_bincode::<$type>(stringify!($type));
                anything::comes_back_from_bincode::<Result<$type, ServiceError>>("an answer");
            })*
        }
    };
}

crossing! {
    note: Note,
    question: Question,
    filter: Filter,
    nothing: (),
    epoch: Epoch,
    session_page: SessionPage,
    session: Option<Arc<Session>>,
    value_page: ValuePage,
    identity: Option<Arc<Identity>>,
    request_page: RequestPage,
    neighbour: Option<SessionId>,
    overview: Overview,
    days: Option<(EventTime, EventTime)>,
    dead_letters: DeadLetterPage,
    status: Status,
    differences: Option<Differences>,
    export_page: ExportPage,
    rule_change: Result<(RuleSet, Epoch), ChangeRefused>,
    push_answer: PushAnswer,
}

/// Writes a note of the mail.
pub fn write<T: Crossing>(message: &T) -> Vec<u8> {
    #[allow(clippy::disallowed_methods, reason = "what is written is in the list")]
    bincode::serialize(message).expect("what crosses is plain data")
}

/// Reads what [`write`] wrote.
///
/// # Errors
/// Bytes that it did not write.
pub fn read<T: Crossing>(bytes: &[u8]) -> Result<T, bincode::Error> {
    #[allow(clippy::disallowed_methods, reason = "what is read is in the list")]
    bincode::deserialize(bytes)
}

#[cfg(test)]
#[path = "../../../../operators/tests/support/anything.rs"]
mod anything;
