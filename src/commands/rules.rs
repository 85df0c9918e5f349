//! `spoor rules`: every mistake of a rule file, with its place; what it would change in a store.

use std::path::Path;

use spoor_dataflow::config::Config;
use spoor_dataflow::store::{Store, care};
use spoor_operators::rules::RuleSet;
use spoor_operators::rules::diff::differences;

use super::{Failure, say, setup};

/// Checks a file of rules, or the `[rules]` of a configuration.
pub fn check(file: &Path) -> Result<(), Failure> {
    let rules = read(file)?;
    let Err(errors) = rules.check() else {
        say(format_args!("{}: {}", file.display(), summary(&rules)))?;
        return Ok(());
    };
    for error in &errors {
        say(format_args!("{}: {error}", file.display()))?;
    }
    let what = if errors.len() == 1 { "mistake" } else { "mistakes" };
    Err(Failure::Failed(format!("{} {what} in {}", errors.len(), file.display())))
}

/// What a file would change of the rules in force in a store.
pub fn diff(file: &Path, state: &Path) -> Result<(), Failure> {
    let rules = read(file)?;
    rules.check().map_err(|errors| setup::rules_refused(&errors))?;
    let Some((current, _)) = care::rules_in_force(state).map_err(Failure::failed)? else {
        return Err(Failure::Failed(format!("there are no rules in {} yet", state.display())));
    };
    let found = differences(&current, &rules);
    if found.is_empty() {
        return say(format_args!("{}: as in force, version {}", file.display(), current.version));
    }
    // A list nobody reads to its end makes no difference to the answer.
    let listed = found.iter().try_for_each(say);
    if matches!(listed, Err(Failure::Failed(_))) { listed } else { Err(Failure::Told(DIFFERENT)) }
}

/// Exit status when rules differ, as of `diff`.
const DIFFERENT: u8 = 1;
/// Differences a warning shows; `spoor rules diff` shows all.
const WARNED_MAX: usize = 3;

/// Warns when a store keeps other rules than the configuration has: those of the file are only
/// what a new store begins with.
pub fn warn_if_ignored(config: &RuleSet, file: Option<&Path>, store: &Store, state: &Path) {
    let Ok(Some((current, _))) = store.rules() else { return };
    if *config == RuleSet::default() {
        return;
    }
    let found = differences(&current, config);
    if found.is_empty() {
        return;
    }
    let shown: Vec<String> = found.iter().take(WARNED_MAX).map(ToString::to_string).collect();
    let more = match found.len() - shown.len() {
        0 => String::new(),
        more => format!("; and {more} more"),
    };
    let (shown, state) = (shown.join("; "), state.display());
    let file = file.map_or("FILE".into(), |file| file.display().to_string());
    tracing::warn!(
        "the rules of the configuration are not in force: this store keeps its own, version {}, \
         changed by GraphQL mutations. Differences: {shown}{more}. \
         `spoor rules diff {file} --state {state}` lists all",
        current.version
    );
}

/// The rules of a file, whether it is a configuration or rules alone.
pub fn read(file: &Path) -> Result<RuleSet, Failure> {
    Config::load_rules(file).map_err(Failure::usage)
}

fn summary(rules: &RuleSet) -> String {
    format!(
        "good: scope rules {}, grouping keys {}, context parameters {}, flows {}",
        rules.scope.len(),
        rules.grouping.len(),
        rules.context.len(),
        rules.flows.len()
    )
}
