//! What the engine refuses of a change of rules that is well formed.

use spoor_operators::rules::RuleSet;
use spoor_operators::rules::edit::{EditCode, EditError};

/// Refuses changes of what a store is built on: its keys begin with days, so the zone is fixed
/// once it holds requests.
///
/// # Errors
/// [`EditCode::Fixed`].
pub fn check_fixed(current: &RuleSet, next: &RuleSet, empty: bool) -> Result<(), Vec<EditError>> {
    if empty || current.settings.day_zone == next.settings.day_zone {
        return Ok(());
    }
    Err(vec![EditError {
        code: EditCode::Fixed,
        path: ["settings", "day_zone"].map(String::from).to_vec(),
        message: format!(
            "the store holds requests by days in {}; replay them into a new store to change it",
            current.settings.day_zone
        ),
    }])
}
