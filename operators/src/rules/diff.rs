//! What differs between two rule sets, as lines a person reads: rules by name, fields by name.
//!
//! Versions are not compared. The order of scope rules and grouping keys is, because the first that
//! matches decides; that of context parameters and flows means nothing.

use std::fmt;

use serde::Serialize;
use serde_json::Value;

use super::RuleSet;

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Such as `grouping.user` or `settings.gap`.
    pub place: String,
    /// What became of it.
    pub change: Change,
}

/// What became of a rule or a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// It is only in the second set.
    Added(String),
    /// It is only in the first set.
    Removed,
    /// Its value in the first set, and in the second.
    Changed(String, String),
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place, change } = self;
        match change {
            Change::Added(value) => write!(f, "+ {place}: {value}"),
            Change::Removed => write!(f, "- {place}"),
            Change::Changed(from, to) => write!(f, "~ {place}: {from} -> {to}"),
        }
    }
}

/// What has to be done to `from` to make `to` of it; nothing when they mean the same.
///
/// # Examples
///
/// ```
/// use spoor_operators::rules::RuleSet;
/// use spoor_operators::rules::diff::differences;
///
/// let mut changed = RuleSet::default();
/// changed.settings.lateness_ms = 9;
/// let found = differences(&RuleSet::default(), &changed);
/// assert_eq!(found[0].to_string(), "~ settings.lateness_ms: 5000 -> 9");
/// assert_eq!(found.len(), 1);
/// ```
#[must_use]
pub fn differences(from: &RuleSet, to: &RuleSet) -> Vec<Difference> {
    let mut found = Vec::new();
    named("scope", &from.scope, &to.scope, true, &mut found);
    named("grouping", &from.grouping, &to.grouping, true, &mut found);
    named("context", &from.context, &to.context, false, &mut found);
    named("flows", &from.flows, &to.flows, false, &mut found);
    let sorted = |rules: &RuleSet| {
        let mut names = rules.disabled_built_in.clone();
        names.sort();
        names.dedup();
        names
    };
    let disabled = (value(&sorted(from)), value(&sorted(to)));
    changed("disabled_built_in".into(), &disabled.0, &disabled.1, &mut found);
    fields("settings", &value(&from.settings), &value(&to.settings), &mut found);
    found
}

fn named<T: Serialize>(
    list: &str,
    from: &[T],
    to: &[T],
    ordered: bool,
    found: &mut Vec<Difference>,
) {
    let (from, to): (Vec<_>, Vec<_>) =
        (from.iter().map(value).collect(), to.iter().map(value).collect());
    let other = |rules: &[Value], rule: &Value| {
        rules.iter().find(|other| other["name"] == rule["name"]).cloned()
    };
    for rule in &from {
        let place = format!("{list}.{}", name(rule));
        match other(&to, rule) {
            None => found.push(Difference { place, change: Change::Removed }),
            Some(now) => fields(&place, rule, &now, found),
        }
    }
    for rule in to.iter().filter(|rule| other(&from, rule).is_none()) {
        let place = format!("{list}.{}", name(rule));
        found.push(Difference { place, change: Change::Added(said_of(rule).to_string()) });
    }
    if ordered {
        let kept = |rules: &[Value], others: &[Value]| -> Vec<String> {
            rules.iter().filter(|rule| other(others, rule).is_some()).map(name).collect()
        };
        let (before, after) = (value(&kept(&from, &to)), value(&kept(&to, &from)));
        changed(format!("{list}, in order"), &before, &after, found);
    }
}

/// A rule without what it does not say: fields that are absent or empty lists.
fn said_of(rule: &Value) -> Value {
    let mut rule = rule.clone();
    let is_empty = |value: &Value| value.is_null() || value.as_array().is_some_and(Vec::is_empty);
    if let Some(fields) = rule.as_object_mut() {
        fields.retain(|_, value| !is_empty(value));
    }
    rule
}

fn fields(place: &str, from: &Value, to: &Value, found: &mut Vec<Difference>) {
    let keys = |value: &Value| -> Vec<String> {
        value.as_object().map(|object| object.keys().cloned().collect()).unwrap_or_default()
    };
    let mut all = keys(from);
    all.extend(keys(to).into_iter().filter(|key| from.get(key).is_none()));
    for key in all {
        let (before, after) = (&from[&key], &to[&key]);
        changed(format!("{place}.{key}"), before, after, found);
    }
}

fn changed(place: String, from: &Value, to: &Value, found: &mut Vec<Difference>) {
    if from != to {
        let said = |value: &Value| match value {
            Value::Null => "none".to_owned(),
            value => value.to_string(),
        };
        found.push(Difference { place, change: Change::Changed(said(from), said(to)) });
    }
}

fn name(rule: &Value) -> String {
    rule["name"].as_str().unwrap_or_default().to_owned()
}

fn value(of: &impl Serialize) -> Value {
    serde_json::to_value(of).expect("rules are plain data with text keys")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_name_the_rule_and_the_field() {
        let parse = |json: &str| -> RuleSet { serde_json::from_str(json).unwrap() };
        let from = parse(
            r#"{"grouping":[{"name":"a","point":"$path"},{"name":"b","point":"$host"}],
                "context":[{"name":"x","point":"$path"},{"name":"y","point":"$host"}],
                "disabled_built_in":["sid","client"]}"#,
        );
        let check = |to: &str, expected: &[&str]| {
            let mut to = parse(to);
            to.version = 9;
            let found: Vec<String> =
                differences(&from, &to).iter().map(ToString::to_string).collect();
            assert_eq!(found, expected);
        };
        check(
            r#"{"grouping":[{"name":"a","point":"$path"},{"name":"b","point":"$host"}],
                "context":[{"name":"y","point":"$host"},{"name":"x","point":"$path"}],
                "disabled_built_in":["client","sid"]}"#,
            &[],
        );
        check(
            r#"{"grouping":[{"name":"c","point":"$url"},{"name":"b","point":"$host","gap":{"ms":5}},
                            {"name":"a","point":"$method"}],
                "context":[{"name":"x","point":"$path"}],
                "disabled_built_in":["sid"],"settings":{"retention_days":null}}"#,
            &[
                r#"~ grouping.a.point: "$path" -> "$method""#,
                r#"~ grouping.b.gap: none -> {"ms":5}"#,
                r#"+ grouping.c: {"name":"c","point":"$url","min_length":1,"ignore":["null","undefined","-"],"per":"none","secret":false}"#,
                r#"~ grouping, in order: ["a","b"] -> ["b","a"]"#,
                "- context.y",
                r#"~ disabled_built_in: ["client","sid"] -> ["sid"]"#,
                "~ settings.retention_days: 7 -> none",
            ],
        );
    }
}
