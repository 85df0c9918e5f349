//! What a change of the rules answers: the rules in force, or every reason it is refused for.

use async_graphql::{ComplexObject, Context, Enum, SimpleObject};
use spoor_api::service::RuleChangeError;
use spoor_operators::rules::edit::{EditCode, EditError};

use super::operation::Operation;
use super::rules::RuleSet;
use super::scalars::{EpochToken, Long};
use crate::error::ApiError;

/// Result of a change of the rules.
#[derive(Clone, Debug, Default, SimpleObject)]
#[graphql(complex)]
pub struct RuleChangePayload {
    /// As it was given.
    pub client_mutation_id: Option<String>,
    /// The rules now in force; none when the change is refused.
    pub rules: Option<RuleSet>,
    /// The first epoch under them: from it on new requests follow them and the retained past is
    /// being regrouped.
    pub effective_epoch: Option<Long>,
    /// Their version.
    pub version: Option<Long>,
    /// Why the change is refused, every reason; empty when it is accepted.
    pub errors: Vec<RuleError>,
}

#[ComplexObject]
impl RuleChangePayload {
    /// The first epoch under them, to be handed back: give it as `atLeastEpoch` to see them at work.
    async fn effective_epoch_token(
        &self,
        ctx: &Context<'_>,
    ) -> Result<Option<EpochToken>, ApiError> {
        let operation = Operation::of(ctx)?;
        Ok(self.effective_epoch.map(|epoch| operation.token_of(epoch)))
    }
}

/// One reason a change is refused. Nothing has changed then.
#[derive(Clone, Debug, SimpleObject)]
pub struct RuleError {
    /// Which kind of reason.
    pub code: RuleErrorCode,
    /// Where in the rules, by the names of this schema: such as `["grouping", "3", "minLength"]`.
    pub path: Vec<String>,
    /// The reason in words; for a point with the place and what was expected.
    pub message: String,
    /// For `VERSION_CONFLICT` the rules in force, to merge with.
    pub current: Option<RuleSet>,
}

/// Closed set of reasons for refusing a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub enum RuleErrorCode {
    /// No rule has this name.
    NotFound,
    /// Another rule has this name.
    NameTaken,
    /// A name that is empty, too long or has control characters.
    InvalidName,
    /// A point that does not parse.
    InvalidPoint,
    /// A glob that does not parse.
    InvalidGlob,
    /// A number or zone out of bounds.
    OutOfRange,
    /// Too many rules.
    TooMany,
    /// The setting cannot change once the store holds requests.
    Fixed,
    /// The names to order are not exactly the names there are.
    WrongNames,
    /// Somebody else changed the rules since `expectedVersion`.
    VersionConflict,
    /// The `clientMutationId` was used for another change.
    KeyReused,
}

impl From<EditCode> for RuleErrorCode {
    fn from(code: EditCode) -> Self {
        match code {
            EditCode::NotFound => Self::NotFound,
            EditCode::NameTaken => Self::NameTaken,
            EditCode::InvalidName => Self::InvalidName,
            EditCode::InvalidPoint => Self::InvalidPoint,
            EditCode::InvalidGlob => Self::InvalidGlob,
            EditCode::OutOfRange => Self::OutOfRange,
            EditCode::TooMany => Self::TooMany,
            EditCode::Fixed => Self::Fixed,
            EditCode::WrongNames => Self::WrongNames,
        }
    }
}

impl From<EditError> for RuleError {
    fn from(error: EditError) -> Self {
        let EditError { code, path, message } = error;
        let path = path.into_iter().map(field_name).collect();
        Self { code: code.into(), path, message, current: None }
    }
}

/// A step of a path as the schema names it. What is not a field, such as a rule's own name, stays.
fn field_name(step: String) -> String {
    let known = match step.as_str() {
        "day_zone" => "dayZone",
        "disabled_built_in" => "builtInKeys",
        "future_ms" => "futureMs",
        "idle_timeout_ms" => "idleTimeoutMs",
        "lateness_ms" => "latenessMs",
        "min_length" => "minLength",
        "retention_days" => "retentionDays",
        _ => return step,
    };
    known.into()
}

/// A refusal as data; what is wrong with the server is an error.
pub fn refusals(refusal: RuleChangeError) -> Result<Vec<RuleError>, ApiError> {
    let message = refusal.to_string();
    let one = |code, current| vec![RuleError { code, path: Vec::new(), message, current }];
    match refusal {
        RuleChangeError::Invalid(errors) => Ok(errors.into_iter().map(RuleError::from).collect()),
        RuleChangeError::Conflict { current } => {
            Ok(one(RuleErrorCode::VersionConflict, Some(RuleSet::from(&*current))))
        }
        RuleChangeError::KeyReused => Ok(one(RuleErrorCode::KeyReused, None)),
        RuleChangeError::Service(error) => Err(error.into()),
    }
}
