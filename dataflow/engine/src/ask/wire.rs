//! Questions and answers as bytes. Whatever comes from outside is bounded before it is believed.
//!
//! An answer is `Result<T, ServiceError>` with the `T` of its question; sessions are their rows.
//! What may be sent at all is listed in `crossing.rs`.

use std::sync::Arc;

use bincode::{DefaultOptions, Options};
use serde::{Deserialize, Serialize};
use spoor_operators::rules::RuleSet;
use spoor_operators::rules::edit::{EditError, RuleEdit};
use spoor_operators::time::Epoch;

use crate::ask::crossing::Crossing;
use crate::ask::reads::AnyRead;
use crate::limits::MESSAGE_BYTES_MAX;
use spoor_api::service::{Push, RuleChange, RuleChangeError, ServiceError};

/// What one process asks of another.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Question {
    /// The newest epoch everybody may see, of the leader. Answered by an [`Epoch`].
    Newest,
    /// What it has of something, as of an epoch. Answered as the read says.
    Read {
        /// As of this epoch.
        epoch: Epoch,
        /// What.
        read: AnyRead,
    },
    /// To keep an epoch for the next page of a list. Answered by nothing: nobody waits for it.
    Keep {
        /// Which.
        epoch: Epoch,
    },
    /// To change the rules, of the leader. Answered by a [`Changed`].
    Change {
        /// How.
        edit: RuleEdit,
        /// The version it was made for.
        expected: Option<u64>,
        /// Makes a repeat harmless.
        key: Option<String>,
    },
    /// To take records whose repeat is to be harmless, of the leader. Answered by a
    /// [`spoor_api::service::PushAnswer`].
    Push(Push),
}

/// What came of a change of rules.
pub type Changed = Result<(RuleSet, Epoch), ChangeRefused>;

/// A refused change of rules, as it travels.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum ChangeRefused {
    /// See [`RuleChangeError::Conflict`].
    Conflict(Box<RuleSet>),
    /// See [`RuleChangeError::Invalid`].
    Invalid(Vec<EditError>),
    /// See [`RuleChangeError::KeyReused`].
    KeyReused,
    /// See [`RuleChangeError::Service`].
    Service(ServiceError),
}

/// The outcome of a change, to be sent.
///
/// # Errors
/// Why it was refused: that is sent, too.
pub fn changed(outcome: Result<RuleChange, RuleChangeError>) -> Changed {
    match outcome {
        Ok(change) => Ok(((*change.rules).clone(), change.effective_epoch)),
        Err(error) => Err(match error {
            RuleChangeError::Conflict { current } => {
                ChangeRefused::Conflict(Box::new((*current).clone()))
            }
            RuleChangeError::Invalid(errors) => ChangeRefused::Invalid(errors),
            RuleChangeError::KeyReused => ChangeRefused::KeyReused,
            RuleChangeError::Service(error) => ChangeRefused::Service(error),
        }),
    }
}

/// The outcome of a change, as it was before it was sent.
///
/// # Errors
/// Why the change was refused.
pub fn read_changed(changed: Changed) -> Result<RuleChange, RuleChangeError> {
    match changed {
        Ok((rules, effective_epoch)) => Ok(RuleChange { rules: Arc::new(rules), effective_epoch }),
        Err(ChangeRefused::Conflict(current)) => {
            Err(RuleChangeError::Conflict { current: Arc::new(*current) })
        }
        Err(ChangeRefused::Invalid(errors)) => Err(RuleChangeError::Invalid(errors)),
        Err(ChangeRefused::KeyReused) => Err(RuleChangeError::KeyReused),
        Err(ChangeRefused::Service(error)) => Err(error.into()),
    }
}

fn options() -> impl Options {
    DefaultOptions::new().with_limit(MESSAGE_BYTES_MAX)
}

/// A question or an answer as bytes.
///
/// # Errors
/// [`ServiceError::Limit`] when it is longer than a message may be.
pub fn encode<T: Crossing>(message: &T) -> Result<Vec<u8>, ServiceError> {
    options().serialize(message).map_err(|error| match *error {
        bincode::ErrorKind::SizeLimit => ServiceError::Limit(format!(
            "an answer has more than {} MB; ask for a shorter page",
            MESSAGE_BYTES_MAX >> 20
        )),
        other => ServiceError::Store(format!("a message cannot be written: {other}")),
    })
}

/// Reads what [`encode`] wrote.
///
/// # Errors
/// What is wrong with it.
pub fn decode<T: Crossing>(message: &[u8]) -> Result<T, String> {
    options().deserialize(message).map_err(|error| error.to_string())
}

/// An answer as bytes; why there is none, if it is too long.
#[must_use]
pub fn answer<T: Crossing>(answer: &Result<T, ServiceError>) -> Vec<u8> {
    encode(answer).unwrap_or_else(|error| {
        let refusal: Result<(), ServiceError> = Err(error);
        encode(&refusal).expect("an error is short")
    })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use spoor_api::query::{FILTER_DEPTH_MAX, Filter, Statistic};

    fn deep(depth: u32) -> Filter {
        let filter = Filter::Range(Statistic::Users, None, Some(f64::INFINITY));
        (0..depth).fold(filter, |inner, _| Filter::Not(Box::new(Filter::And(vec![inner]))))
    }

    #[test]
    fn filters_come_back_and_too_deep_ones_are_refused() {
        let fits = deep(FILTER_DEPTH_MAX / 2);
        assert_eq!(decode::<Filter>(&encode(&fits).unwrap()), Ok(fits));
        let error = decode::<Filter>(&encode(&deep(FILTER_DEPTH_MAX)).unwrap()).unwrap_err();
        assert!(error.contains("too deep"), "{error}");
        // The next one is not blamed for it.
        assert!(decode::<Filter>(&encode(&deep(1)).unwrap()).is_ok());
    }

    #[test]
    fn no_bytes_make_the_reader_panic_or_take_much_memory() {
        let question = Question::Push(Push {
            body: Bytes::from_static(b"{}"),
            format: Some("har".into()),
            key: Some("k".into()),
        });
        let good = encode(&question).unwrap();
        for len in 0..good.len() {
            assert!(decode::<Question>(&good[..len]).is_err());
        }
        assert!(decode::<Question>(&[good.as_slice(), &[0]].concat()).is_err());
        // A length of 2^64 - 1 bytes.
        let huge = [&[3, 253][..], &[255; 8]].concat();
        assert!(decode::<Question>(&huge).is_err());
    }

    #[test]
    fn a_change_comes_back_as_it_was() {
        let rules = RuleSet { version: 7, ..RuleSet::default() };
        let change = RuleChange { rules: Arc::new(rules.clone()), effective_epoch: Epoch(3) };
        let there = |outcome| {
            let sent = answer(&Ok(changed(outcome)));
            read_changed(decode::<Result<Changed, ServiceError>>(&sent).unwrap().unwrap())
        };
        let back = there(Ok(change)).unwrap();
        assert_eq!((&*back.rules, back.effective_epoch), (&rules, Epoch(3)));
        let current = Arc::new(rules);
        for error in [
            RuleChangeError::Conflict { current },
            RuleChangeError::Invalid(RuleSet::default().edited(&wrong_edit()).unwrap_err()),
            RuleChangeError::KeyReused,
            RuleChangeError::Service(ServiceError::Limit("l".into())),
        ] {
            let text = format!("{error:?}");
            assert_eq!(format!("{:?}", there(Err(error)).unwrap_err()), text);
        }
    }

    fn wrong_edit() -> RuleEdit {
        RuleEdit::BuiltIn { name: "no such key".into(), enabled: true }
    }
}
