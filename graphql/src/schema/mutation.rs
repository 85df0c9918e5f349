//! Changes of the rules: one input, one payload, refusals as data.
//!
//! Every mutation goes through [`apply`]. Its key is the mutation's name and the client's own id,
//! so a repeat answers what the first call answered.

use async_graphql::{Context, Object};
use spoor_api::service::ServiceError;
use spoor_operators::rules::edit::{ListEdit, RuleEdit};

use super::change_inputs::{
    CreateContextParameterInput, CreateFlowInput, CreateGroupingKeyInput, CreateScopeRuleInput,
    DeleteRuleInput, ReorderRulesInput, SetBuiltInKeyInput, UpdateContextParameterInput,
    UpdateFlowInput, UpdateGroupingKeyInput, UpdateScopeRuleInput, UpdateSettingsInput,
};
use super::operation::{Nullable, Operation, bad};
use super::rule_change::{RuleChangePayload, refusals};
use super::rules::RuleSet;
use super::scalars::Long;
use crate::error::ApiError;

/// Longest `clientMutationId`, in bytes.
const CLIENT_ID_BYTES_MAX: usize = 128;

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
