//! Changes of the rules: one input, one payload, refusals as data.
//!
//! Every mutation goes through [`apply`]. Its key is the mutation's name and the client's own id,
//! so a repeat answers what the first call answered.

use async_graphql::{ComplexObject, Context, Enum, InputObject, Object, SimpleObject};
use spoor_api::service::{RuleChangeError, ServiceError};
use spoor_operators::rules::edit::{EditCode, EditError, ListEdit, RuleEdit};

use super::operation::{Nullable, Operation, bad};
use super::rule_inputs::{
    ContextParameterInput, FlowInput, GroupingKeyInput, ScopeRuleInput, SettingsInput,
};
use super::rules::RuleSet;
use super::scalars::{EpochToken, Long};
use crate::error::ApiError;

/// Longest `clientMutationId`, in bytes.
const CLIENT_ID_BYTES_MAX: usize = 128;

/// What became of a change of the rules.
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
    /// In words; for a point with the place and what was expected.
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

/// What every change carries.
struct Call {
    name: &'static str,
    id: Option<String>,
    expected: Option<Long>,
}

async fn apply(
    ctx: &Context<'_>,
    call: Call,
    edit: RuleEdit,
) -> Result<RuleChangePayload, ApiError> {
    if call.id.as_ref().is_some_and(|id| id.len() > CLIENT_ID_BYTES_MAX) {
        return Err(bad(format!("clientMutationId is longer than {CLIENT_ID_BYTES_MAX} bytes")));
    }
    let expected = match call.expected {
        None => None,
        Some(version) => {
            Some(version.as_u64().ok_or_else(|| bad("expectedVersion is not a version"))?)
        }
    };
    let key = call.id.as_ref().map(|id| format!("{}:{id}", call.name));
    let admin = &Operation::of(ctx)?.services().admin;
    let answer = admin.change(edit, expected, key).await;
    let answer = answer.map_err(|_| ApiError::from(ServiceError::Stopped))?;
    let mut payload = RuleChangePayload { client_mutation_id: call.id, ..Default::default() };
    match answer {
        Ok(change) => {
            payload.version = Some(change.rules.version.into());
            payload.effective_epoch = Some(change.effective_epoch.0.into());
            payload.rules = Some(RuleSet::from(&*change.rules));
        }
        Err(refusal) => payload.errors = refusals(refusal)?,
    }
    Ok(payload)
}

fn refusals(refusal: RuleChangeError) -> Result<Vec<RuleError>, ApiError> {
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

/// Adds a rule to its list.
#[derive(InputObject)]
pub struct CreateScopeRuleInput {
    /// Makes a repeat harmless.
    pub client_mutation_id: Option<String>,
    /// Refuse if the rules are at another version.
    pub expected_version: Option<Long>,
    /// The new rule.
    pub rule: ScopeRuleInput,
    /// Put it before the rule of this name; absent: at the end.
    pub before: Option<String>,
}

/// Replaces a rule.
#[derive(InputObject)]
pub struct UpdateScopeRuleInput {
    /// Makes a repeat harmless.
    pub client_mutation_id: Option<String>,
    /// Refuse if the rules are at another version.
    pub expected_version: Option<Long>,
    /// The rule to replace.
    pub name: String,
    /// What it becomes; its name may change.
    pub rule: ScopeRuleInput,
}

/// Adds a grouping key.
#[derive(InputObject)]
pub struct CreateGroupingKeyInput {
    /// Makes a repeat harmless.
    pub client_mutation_id: Option<String>,
    /// Refuse if the rules are at another version.
    pub expected_version: Option<Long>,
    /// The new key.
    pub key: GroupingKeyInput,
    /// Put it before the key of this name; absent: at the end.
    pub before: Option<String>,
}

/// Replaces a grouping key.
#[derive(InputObject)]
pub struct UpdateGroupingKeyInput {
    /// Makes a repeat harmless.
    pub client_mutation_id: Option<String>,
    /// Refuse if the rules are at another version.
    pub expected_version: Option<Long>,
    /// The key to replace.
    pub name: String,
    /// What it becomes; its name may change.
    pub key: GroupingKeyInput,
}

/// Adds a context parameter.
#[derive(InputObject)]
pub struct CreateContextParameterInput {
    /// Makes a repeat harmless.
    pub client_mutation_id: Option<String>,
    /// Refuse if the rules are at another version.
    pub expected_version: Option<Long>,
    /// The new parameter.
    pub parameter: ContextParameterInput,
    /// Put it before the parameter of this name; absent: at the end.
    pub before: Option<String>,
}

/// Replaces a context parameter.
#[derive(InputObject)]
pub struct UpdateContextParameterInput {
    /// Makes a repeat harmless.
    pub client_mutation_id: Option<String>,
    /// Refuse if the rules are at another version.
    pub expected_version: Option<Long>,
    /// The parameter to replace.
    pub name: String,
    /// What it becomes; its name may change.
    pub parameter: ContextParameterInput,
}

/// Adds a business flow.
#[derive(InputObject)]
pub struct CreateFlowInput {
    /// Makes a repeat harmless.
    pub client_mutation_id: Option<String>,
    /// Refuse if the rules are at another version.
    pub expected_version: Option<Long>,
    /// The new flow.
    pub flow: FlowInput,
    /// Put it before the flow of this name; absent: at the end.
    pub before: Option<String>,
}

/// Replaces a business flow.
#[derive(InputObject)]
pub struct UpdateFlowInput {
    /// Makes a repeat harmless.
    pub client_mutation_id: Option<String>,
    /// Refuse if the rules are at another version.
    pub expected_version: Option<Long>,
    /// The flow to replace.
    pub name: String,
    /// What it becomes; its name may change.
    pub flow: FlowInput,
}

/// Removes the named rule from its list.
#[derive(InputObject)]
pub struct DeleteRuleInput {
    /// Makes a repeat harmless.
    pub client_mutation_id: Option<String>,
    /// Refuse if the rules are at another version.
    pub expected_version: Option<Long>,
    /// The rule to remove.
    pub name: String,
}

/// Puts a list of rules in another order.
#[derive(InputObject)]
pub struct ReorderRulesInput {
    /// Makes a repeat harmless.
    pub client_mutation_id: Option<String>,
    /// Refuse if the rules are at another version.
    pub expected_version: Option<Long>,
    /// The names of all rules of the list, in the new order.
    pub names: Vec<String>,
}

/// Switches a built-in key on or off.
#[derive(InputObject)]
pub struct SetBuiltInKeyInput {
    /// Makes a repeat harmless.
    pub client_mutation_id: Option<String>,
    /// Refuse if the rules are at another version.
    pub expected_version: Option<Long>,
    /// Its name, such as `PHPSESSID`.
    pub name: String,
    /// Whether it is tried.
    pub enabled: bool,
}

/// Replaces the settings.
#[derive(InputObject)]
pub struct UpdateSettingsInput {
    /// Makes a repeat harmless.
    pub client_mutation_id: Option<String>,
    /// Refuse if the rules are at another version.
    pub expected_version: Option<Long>,
    /// All settings.
    pub settings: SettingsInput,
}

macro_rules! call {
    ($name:literal, $input:ident) => {
        Call { name: $name, id: $input.client_mutation_id, expected: $input.expected_version }
    };
}

macro_rules! create {
    ($ctx:ident, $name:literal, $list:ident, $input:ident, $item:expr) => {{
        let edit = ListEdit::Create { item: $item, before: $input.before };
        Some(apply($ctx, call!($name, $input), RuleEdit::$list(edit)).await)
    }};
}

macro_rules! update {
    ($ctx:ident, $name:literal, $list:ident, $input:ident, $item:expr) => {{
        let edit = ListEdit::Update { item: $item, name: $input.name };
        Some(apply($ctx, call!($name, $input), RuleEdit::$list(edit)).await)
    }};
}

macro_rules! delete {
    ($ctx:ident, $name:literal, $list:ident, $input:ident) => {{
        let edit = ListEdit::Delete { name: $input.name };
        Some(apply($ctx, call!($name, $input), RuleEdit::$list(edit)).await)
    }};
}

macro_rules! reorder {
    ($ctx:ident, $name:literal, $list:ident, $input:ident) => {{
        let edit = ListEdit::Reorder { names: $input.names };
        Some(apply($ctx, call!($name, $input), RuleEdit::$list(edit)).await)
    }};
}

type Answer = Nullable<RuleChangePayload>;

/// Changes of the rules. Each takes effect at an epoch and regroups the retained requests it
/// touches; a refusal is in `errors` of the payload.
pub struct Mutation;

/// Changes of the rules. Each takes effect at an epoch and regroups the retained requests it
/// touches; a refusal is in `errors` of the payload.
#[Object]
impl Mutation {
    /// Adds a scope rule.
    async fn create_scope_rule(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The change, and when to refuse it.")] input: CreateScopeRuleInput,
    ) -> Answer {
        create!(ctx, "createScopeRule", Scope, input, input.rule.into())
    }

    /// Replaces a scope rule.
    async fn update_scope_rule(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The change, and when to refuse it.")] input: UpdateScopeRuleInput,
    ) -> Answer {
        update!(ctx, "updateScopeRule", Scope, input, input.rule.into())
    }

    /// Removes a scope rule.
    async fn delete_scope_rule(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The change, and when to refuse it.")] input: DeleteRuleInput,
    ) -> Answer {
        delete!(ctx, "deleteScopeRule", Scope, input)
    }

    /// Puts the scope rules in another order.
    async fn reorder_scope_rules(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The change, and when to refuse it.")] input: ReorderRulesInput,
    ) -> Answer {
        reorder!(ctx, "reorderScopeRules", Scope, input)
    }

    /// Adds a grouping key.
    async fn create_grouping_key(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The change, and when to refuse it.")] input: CreateGroupingKeyInput,
    ) -> Answer {
        create!(ctx, "createGroupingKey", Grouping, input, input.key.into())
    }

    /// Replaces a grouping key.
    async fn update_grouping_key(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The change, and when to refuse it.")] input: UpdateGroupingKeyInput,
    ) -> Answer {
        update!(ctx, "updateGroupingKey", Grouping, input, input.key.into())
    }

    /// Removes a grouping key.
    async fn delete_grouping_key(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The change, and when to refuse it.")] input: DeleteRuleInput,
    ) -> Answer {
        delete!(ctx, "deleteGroupingKey", Grouping, input)
    }

    /// Puts the grouping keys in another order.
    async fn reorder_grouping_keys(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The change, and when to refuse it.")] input: ReorderRulesInput,
    ) -> Answer {
        reorder!(ctx, "reorderGroupingKeys", Grouping, input)
    }

    /// Switches a built-in key on or off.
    async fn set_built_in_key(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The change, and when to refuse it.")] input: SetBuiltInKeyInput,
    ) -> Answer {
        let edit = RuleEdit::BuiltIn { name: input.name, enabled: input.enabled };
        Some(apply(ctx, call!("setBuiltInKey", input), edit).await)
    }

    /// Adds a context parameter.
    async fn create_context_parameter(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The change, and when to refuse it.")] input: CreateContextParameterInput,
    ) -> Answer {
        create!(ctx, "createContextParameter", Context, input, input.parameter.into())
    }

    /// Replaces a context parameter.
    async fn update_context_parameter(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The change, and when to refuse it.")] input: UpdateContextParameterInput,
    ) -> Answer {
        update!(ctx, "updateContextParameter", Context, input, input.parameter.into())
    }

    /// Removes a context parameter.
    async fn delete_context_parameter(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The change, and when to refuse it.")] input: DeleteRuleInput,
    ) -> Answer {
        delete!(ctx, "deleteContextParameter", Context, input)
    }

    /// Puts the context parameters in another order.
    async fn reorder_context_parameters(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The change, and when to refuse it.")] input: ReorderRulesInput,
    ) -> Answer {
        reorder!(ctx, "reorderContextParameters", Context, input)
    }

    /// Adds a business flow.
    async fn create_flow(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The change, and when to refuse it.")] input: CreateFlowInput,
    ) -> Answer {
        create!(ctx, "createFlow", Flow, input, input.flow.into())
    }

    /// Replaces a business flow.
    async fn update_flow(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The change, and when to refuse it.")] input: UpdateFlowInput,
    ) -> Answer {
        update!(ctx, "updateFlow", Flow, input, input.flow.into())
    }

    /// Removes a business flow.
    async fn delete_flow(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The change, and when to refuse it.")] input: DeleteRuleInput,
    ) -> Answer {
        delete!(ctx, "deleteFlow", Flow, input)
    }

    /// Puts the business flows in another order.
    async fn reorder_flows(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The change, and when to refuse it.")] input: ReorderRulesInput,
    ) -> Answer {
        reorder!(ctx, "reorderFlows", Flow, input)
    }

    /// Replaces the settings.
    async fn update_settings(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The change, and when to refuse it.")] input: UpdateSettingsInput,
    ) -> Answer {
        let edit = RuleEdit::Settings(input.settings.into());
        Some(apply(ctx, call!("updateSettings", input), edit).await)
    }
}
