//! The inputs of the mutations: the rule as the client writes it, an id that makes a repeat harmless,
//! and the version the change is meant for.

use async_graphql::InputObject;

use super::rule_inputs::{
    ContextParameterInput, FlowInput, GroupingKeyInput, ScopeRuleInput, SettingsInput,
};
use super::scalars::Long;

/// Adds a rule to its list.
#[derive(InputObject)]
pub struct CreateScopeRuleInput {
    /// Chosen by the client: a repeat with the same id answers what the first call did, and changes
    /// nothing.
    pub client_mutation_id: Option<String>,
    /// Refuses the change with `VERSION_CONFLICT` if the rules are at another version.
    pub expected_version: Option<Long>,
    /// The new rule.
    pub rule: ScopeRuleInput,
    /// Put it before the rule of this name; absent: at the end.
    pub before: Option<String>,
}

/// Replaces a rule.
#[derive(InputObject)]
pub struct UpdateScopeRuleInput {
    /// Chosen by the client: a repeat with the same id answers what the first call did, and changes
    /// nothing.
    pub client_mutation_id: Option<String>,
    /// Refuses the change with `VERSION_CONFLICT` if the rules are at another version.
    pub expected_version: Option<Long>,
    /// The rule to replace.
    pub name: String,
    /// What it becomes; its name may change.
    pub rule: ScopeRuleInput,
}

/// Adds a grouping key.
#[derive(InputObject)]
pub struct CreateGroupingKeyInput {
    /// Chosen by the client: a repeat with the same id answers what the first call did, and changes
    /// nothing.
    pub client_mutation_id: Option<String>,
    /// Refuses the change with `VERSION_CONFLICT` if the rules are at another version.
    pub expected_version: Option<Long>,
    /// The new key.
    pub key: GroupingKeyInput,
    /// Put it before the key of this name; absent: at the end.
    pub before: Option<String>,
}

/// Replaces a grouping key.
#[derive(InputObject)]
pub struct UpdateGroupingKeyInput {
    /// Chosen by the client: a repeat with the same id answers what the first call did, and changes
    /// nothing.
    pub client_mutation_id: Option<String>,
    /// Refuses the change with `VERSION_CONFLICT` if the rules are at another version.
    pub expected_version: Option<Long>,
    /// The key to replace.
    pub name: String,
    /// What it becomes; its name may change.
    pub key: GroupingKeyInput,
}

/// Adds a context parameter.
#[derive(InputObject)]
pub struct CreateContextParameterInput {
    /// Chosen by the client: a repeat with the same id answers what the first call did, and changes
    /// nothing.
    pub client_mutation_id: Option<String>,
    /// Refuses the change with `VERSION_CONFLICT` if the rules are at another version.
    pub expected_version: Option<Long>,
    /// The new parameter.
    pub parameter: ContextParameterInput,
    /// Put it before the parameter of this name; absent: at the end.
    pub before: Option<String>,
}

/// Replaces a context parameter.
#[derive(InputObject)]
pub struct UpdateContextParameterInput {
    /// Chosen by the client: a repeat with the same id answers what the first call did, and changes
    /// nothing.
    pub client_mutation_id: Option<String>,
    /// Refuses the change with `VERSION_CONFLICT` if the rules are at another version.
    pub expected_version: Option<Long>,
    /// The parameter to replace.
    pub name: String,
    /// What it becomes; its name may change.
    pub parameter: ContextParameterInput,
}

/// Adds a business flow.
#[derive(InputObject)]
pub struct CreateFlowInput {
    /// Chosen by the client: a repeat with the same id answers what the first call did, and changes
    /// nothing.
    pub client_mutation_id: Option<String>,
    /// Refuses the change with `VERSION_CONFLICT` if the rules are at another version.
    pub expected_version: Option<Long>,
    /// The new flow.
    pub flow: FlowInput,
    /// Put it before the flow of this name; absent: at the end.
    pub before: Option<String>,
}

/// Replaces a business flow.
#[derive(InputObject)]
pub struct UpdateFlowInput {
    /// Chosen by the client: a repeat with the same id answers what the first call did, and changes
    /// nothing.
    pub client_mutation_id: Option<String>,
    /// Refuses the change with `VERSION_CONFLICT` if the rules are at another version.
    pub expected_version: Option<Long>,
    /// The flow to replace.
    pub name: String,
    /// What it becomes; its name may change.
    pub flow: FlowInput,
}

/// Removes the named rule from its list.
#[derive(InputObject)]
pub struct DeleteRuleInput {
    /// Chosen by the client: a repeat with the same id answers what the first call did, and changes
    /// nothing.
    pub client_mutation_id: Option<String>,
    /// Refuses the change with `VERSION_CONFLICT` if the rules are at another version.
    pub expected_version: Option<Long>,
    /// The rule to remove.
    pub name: String,
}

/// Puts a list of rules in another order.
#[derive(InputObject)]
pub struct ReorderRulesInput {
    /// Chosen by the client: a repeat with the same id answers what the first call did, and changes
    /// nothing.
    pub client_mutation_id: Option<String>,
    /// Refuses the change with `VERSION_CONFLICT` if the rules are at another version.
    pub expected_version: Option<Long>,
    /// The names of all rules of the list, in the new order.
    pub names: Vec<String>,
}

/// Switches a built-in key on or off.
#[derive(InputObject)]
pub struct SetBuiltInKeyInput {
    /// Chosen by the client: a repeat with the same id answers what the first call did, and changes
    /// nothing.
    pub client_mutation_id: Option<String>,
    /// Refuses the change with `VERSION_CONFLICT` if the rules are at another version.
    pub expected_version: Option<Long>,
    /// Its name, such as `PHPSESSID`.
    pub name: String,
    /// Whether it is tried.
    pub enabled: bool,
}

/// Replaces the settings.
#[derive(InputObject)]
pub struct UpdateSettingsInput {
    /// Chosen by the client: a repeat with the same id answers what the first call did, and changes
    /// nothing.
    pub client_mutation_id: Option<String>,
    /// Refuses the change with `VERSION_CONFLICT` if the rules are at another version.
    pub expected_version: Option<Long>,
    /// All settings.
    pub settings: SettingsInput,
}
