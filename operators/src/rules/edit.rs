//! Edits of a rule set: what a mutation asks for, applied to a value or refused with reasons.

use serde::{Deserialize, Serialize};

use super::{ContextParameter, Flow, GroupingKey, RuleSet, ScopeRule, Settings};

/// A change of one list of rules, which are addressed by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ListEdit<T> {
    /// Adds a rule before the named one, or at the end.
    Create {
        /// The new rule.
        item: T,
        /// Absent: at the end.
        before: Option<String>,
    },
    /// Replaces the named rule; its name may change.
    Update {
        /// The rule to replace.
        name: String,
        /// What it becomes.
        item: T,
    },
    /// Removes the named rule.
    Delete {
        /// The rule to remove.
        name: String,
    },
    /// Puts the rules in this order; the names must be exactly those there are.
    Reorder {
        /// All names.
        names: Vec<String>,
    },
}

/// A change of the rules.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RuleEdit {
    /// Scope rules.
    Scope(ListEdit<ScopeRule>),
    /// Grouping keys.
    Grouping(ListEdit<GroupingKey>),
    /// Context parameters.
    Context(ListEdit<ContextParameter>),
    /// Business flows.
    Flow(ListEdit<Flow>),
    /// Switches a built-in key on or off.
    BuiltIn {
        /// One of [`super::BUILT_IN_KEYS`].
        name: String,
        /// On or off.
        enabled: bool,
    },
    /// Replaces the settings.
    Settings(Settings),
    /// Replaces everything.
    Replace(Box<RuleSet>),
}

/// Closed set of reasons for refusing an edit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum EditCode {
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
}

/// One reason an edit or a rule set is refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{}: {message}", path.join("."))]
pub struct EditError {
    /// Which kind of reason.
    pub code: EditCode,
    /// Where: such as `["grouping", "3", "point"]`.
    pub path: Vec<String>,
    /// In words, for a point with the place (character offset) and what was expected.
    pub message: String,
}

impl RuleSet {
    /// The rule set after an edit: checked, and one version on.
    ///
    /// # Errors
    /// Every reason it is refused for; `self` is unchanged.
    pub fn edited(&self, _edit: &RuleEdit) -> Result<RuleSet, Vec<EditError>> {
        Err(Vec::new())
    }

    /// Checks every name, point, glob and number.
    ///
    /// # Errors
    /// Every reason the rules cannot be in force.
    pub fn check(&self) -> Result<(), Vec<EditError>> {
        Ok(())
    }
}
