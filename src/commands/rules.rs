//! `spoor rules check`: every mistake of a rule file, with its place.

use std::path::Path;

use spoor_dataflow::config::Config;
use spoor_operators::rules::RuleSet;

use super::{Failure, say};

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

/// The rules of a file, whether it is a configuration or rules alone.
fn read(file: &Path) -> Result<RuleSet, Failure> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| Failure::usage(format!("cannot read {}: {error}", file.display())))?;
    let table: toml::Table = parse(file, &text)?;
    if table.contains_key("rules") {
        return Config::load(Some(file)).map(|config| config.rules).map_err(Failure::usage);
    }
    parse(file, &text)
}

fn parse<T: serde::de::DeserializeOwned>(file: &Path, text: &str) -> Result<T, Failure> {
    toml::from_str(text).map_err(|error| {
        let before = error.span().map_or(0, |span| span.start);
        let line = 1 + text.bytes().take(before).filter(|byte| *byte == b'\n').count();
        let message = error.message().trim().replace('\n', ", ");
        Failure::usage(format!("{}, line {line}: {message}", file.display()))
    })
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
