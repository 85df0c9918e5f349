//! What makes a rule set one that can be in force: names, counts, numbers, points and globs.
//!
//! Every reason is reported, each with its place, so that all can be corrected at once.

use std::cell::RefCell;
use std::collections::BTreeSet;

use super::edit::{EditCode, EditError, Named, unknown_built_in};
use super::glob::Of;
use super::place::Place;
use super::{BUILT_IN_KEYS, Gap, RuleSet, Settings};
use crate::facts::NO_GAP;
use crate::time::DayZone;

/// Longest name of a rule or namespace, in characters.
pub const NAME_CHARS_MAX: usize = 128;
/// Most rules of a list, globs of a rule, endpoint patterns of a flow, and values to ignore.
pub const RULES_MAX: usize = 256;
/// Longest glob or value to ignore, in bytes.
pub const TEXT_BYTES_MAX: usize = 1024;
/// Greatest `min_length` of a key.
pub const MIN_LENGTH_MAX: u32 = 65_536;
/// Greatest lateness, idle timeout and look ahead: ten years, in milliseconds.
pub const SPAN_MS_MAX: u64 = 10 * 366 * 86_400_000;
/// Most days of retention: a hundred years.
pub const RETENTION_DAYS_MAX: u32 = 36_600;

impl RuleSet {
    /// Checks every name, point, glob and number.
    ///
    /// # Errors
    /// Every reason the rules cannot be in force.
    pub fn check(&self) -> Result<(), Vec<EditError>> {
        let errors = RefCell::new(Vec::new());
        check_list(&self.scope, &errors);
        check_list(&self.grouping, &errors);
        check_list(&self.context, &errors);
        check_list(&self.flows, &errors);
        self.check_scope(&errors);
        self.check_grouping(&errors);
        self.check_flows(&errors);
        self.check_built_in(&errors);
        check_settings(&self.settings, &Place::new(&errors, "settings"));
        for (number, rule) in self.context.iter().enumerate() {
            if rule.name.contains('=') {
                let place = Place::new(&errors, "context").at(number).at("name");
                place.refuse(EditCode::InvalidName, "the name of a parameter has no `=`");
            }
        }
        self.check_texts(&errors);
        let errors = errors.into_inner();
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }

    fn check_scope(&self, errors: &RefCell<Vec<EditError>>) {
        for (number, rule) in self.scope.iter().enumerate() {
            let place = Place::new(errors, "scope").at(number);
            for (field, glob) in [
                ("app", &rule.app),
                ("host", &rule.host),
                ("path", &rule.path),
                ("method", &rule.method),
            ] {
                check_text(glob.as_deref(), &place.at(field));
            }
        }
    }

    fn check_grouping(&self, errors: &RefCell<Vec<EditError>>) {
        for (number, key) in self.grouping.iter().enumerate() {
            let place = Place::new(errors, "grouping").at(number);
            if let Some(namespace) = &key.namespace {
                check_name(namespace, &place.at("namespace"));
            }
            for (field, texts) in [
                ("apps", &key.apps),
                ("hosts", &key.hosts),
                ("paths", &key.paths),
                ("ignore", &key.ignore),
            ] {
                check_count(texts.len(), &place.at(field));
                for (number, text) in texts.iter().enumerate() {
                    check_text(Some(text), &place.at(field).at(number));
                }
            }
            if !(1..=MIN_LENGTH_MAX).contains(&key.min_length) {
                let reason = format!("a least length is 1 to {MIN_LENGTH_MAX}");
                place.at("min_length").refuse(EditCode::OutOfRange, reason);
            }
            check_gap(key.gap, &place.at("gap"));
        }
    }

    fn check_flows(&self, errors: &RefCell<Vec<EditError>>) {
        for (number, flow) in self.flows.iter().enumerate() {
            let place = Place::new(errors, "flows").at(number).at("endpoints");
            check_count(flow.endpoints.len(), &place);
            for (number, pattern) in flow.endpoints.iter().enumerate() {
                for (field, glob) in [
                    ("app", &pattern.app),
                    ("host", &pattern.host),
                    ("method", &pattern.method),
                    ("path", &pattern.path),
                ] {
                    check_text(glob.as_deref(), &place.at(number).at(field));
                }
            }
        }
    }

    /// Whether every glob and point parses.
    fn check_texts(&self, errors: &RefCell<Vec<EditError>>) {
        let check = |place: &Place<'_>, globs: &[(&str, &Option<String>, Of)]| {
            for (field, glob, of) in globs {
                place.at(field).glob(glob.as_deref(), *of);
            }
        };
        let scope = Place::new(errors, "scope");
        for (number, rule) in self.scope.iter().enumerate() {
            check(
                &scope.at(number),
                &[
                    ("app", &rule.app, Of::App),
                    ("host", &rule.host, Of::Host),
                    ("path", &rule.path, Of::Path),
                    ("method", &rule.method, Of::Method),
                ],
            );
        }
        let grouping = Place::new(errors, "grouping");
        for (number, key) in self.grouping.iter().enumerate() {
            let place = grouping.at(number);
            place.at("apps").globs(&key.apps, Of::App);
            place.at("hosts").globs(&key.hosts, Of::Host);
            place.at("paths").globs(&key.paths, Of::Path);
            place.at("point").point(&key.point, key.secret);
        }
        let context = Place::new(errors, "context");
        for (number, rule) in self.context.iter().enumerate() {
            context.at(number).at("point").point(&rule.point, rule.secret);
        }
        let flows = Place::new(errors, "flows");
        for (number, flow) in self.flows.iter().enumerate() {
            for (pattern, globs) in flow.endpoints.iter().enumerate() {
                check(
                    &flows.at(number).at("endpoints").at(pattern),
                    &[
                        ("app", &globs.app, Of::App),
                        ("host", &globs.host, Of::Host),
                        ("method", &globs.method, Of::Method),
                        ("path", &globs.path, Of::Template),
                    ],
                );
            }
        }
    }

    fn check_built_in(&self, errors: &RefCell<Vec<EditError>>) {
        let mut seen = BTreeSet::new();
        for (number, name) in self.disabled_built_in.iter().enumerate() {
            let place = Place::new(errors, "disabled_built_in").at(number);
            if !BUILT_IN_KEYS.contains(&name.as_str()) {
                let number = number.to_string();
                errors.borrow_mut().push(unknown_built_in(name, &["disabled_built_in", &number]));
            } else if !seen.insert(name) {
                place.refuse(EditCode::NameTaken, format!("`{name}` is there twice"));
            }
        }
    }
}

fn check_list<T: Named>(list: &[T], errors: &RefCell<Vec<EditError>>) {
    let place = Place::new(errors, T::LIST);
    check_count(list.len(), &place);
    let mut seen = BTreeSet::new();
    for (number, rule) in list.iter().enumerate() {
        let place = place.at(number).at("name");
        check_name(rule.name(), &place);
        if !seen.insert(rule.name()) {
            let reason = format!("another {} is named `{}`", T::WHAT, rule.name());
            place.refuse(EditCode::NameTaken, reason);
        }
    }
}

fn check_count(count: usize, place: &Place<'_>) {
    if count > RULES_MAX {
        place.refuse(EditCode::TooMany, format!("at most {RULES_MAX}, and there are {count}"));
    }
}

fn check_name(name: &str, place: &Place<'_>) {
    let reason = if name.trim() != name || name.is_empty() {
        "a name is not empty, and neither begins nor ends with white space".into()
    } else if name.chars().any(char::is_control) {
        "a name has no control characters".into()
    } else if name.chars().nth(NAME_CHARS_MAX).is_some() {
        format!("a name has at most {NAME_CHARS_MAX} characters")
    } else {
        return;
    };
    place.refuse(EditCode::InvalidName, reason);
}

fn check_text(text: Option<&str>, place: &Place<'_>) {
    if text.is_some_and(|text| text.len() > TEXT_BYTES_MAX) {
        place.refuse(EditCode::OutOfRange, format!("at most {TEXT_BYTES_MAX} bytes"));
    }
}

fn check_gap(gap: Option<Gap>, place: &Place<'_>) {
    if matches!(gap, Some(Gap::Ms(0 | NO_GAP))) {
        let reason = format!("a gap is 1 to {} ms, or none", NO_GAP - 1);
        place.refuse(EditCode::OutOfRange, reason);
    }
}

fn check_settings(settings: &Settings, place: &Place<'_>) {
    check_gap(Some(settings.gap), &place.at("gap"));
    if let Err(error) = DayZone::named(&settings.day_zone) {
        place.at("day_zone").refuse(EditCode::OutOfRange, error.to_string());
    }
    for (field, span) in [
        ("lateness_ms", settings.lateness_ms),
        ("idle_timeout_ms", settings.idle_timeout_ms),
        ("future_ms", settings.future_ms.unwrap_or(0)),
    ] {
        if span > SPAN_MS_MAX {
            place
                .at(field)
                .refuse(EditCode::OutOfRange, format!("a span is 0 to {SPAN_MS_MAX} ms"));
        }
    }
    if settings.retention_days.is_some_and(|days| !(1..=RETENTION_DAYS_MAX).contains(&days)) {
        let reason = format!("retention is 1 to {RETENTION_DAYS_MAX} days, or none");
        place.at("retention_days").refuse(EditCode::OutOfRange, reason);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(rules: &str, expected: &[(EditCode, &str)]) {
        let rules: RuleSet = serde_json::from_str(rules).unwrap();
        let errors = rules.check().err().unwrap_or_default();
        let found: Vec<_> = errors.iter().map(|error| (error.code, error.path.join("."))).collect();
        let expected: Vec<_> =
            expected.iter().map(|(code, path)| (*code, (*path).to_owned())).collect();
        assert_eq!(found, expected, "{errors:?}");
    }

    #[test]
    fn every_reason_is_told_with_its_place() {
        use EditCode::{
            InvalidGlob, InvalidName, InvalidPoint, NameTaken, NotFound, OutOfRange, TooMany,
        };
        check("{}", &[]);
        check(
            r#"{"grouping":[{"name":"a","point":"$nope"},{"name":"a","point":"$request.body#/x"}]}"#,
            &[(NameTaken, "grouping.1.name"), (InvalidPoint, "grouping.0.point")],
        );
        check(
            r#"{"grouping":[{"name":"","point":"$host","namespace":" n","min_length":0,
                "gap":{"ms":0},"paths":["/a","["]}]}"#,
            &[
                (InvalidName, "grouping.0.name"),
                (InvalidName, "grouping.0.namespace"),
                (OutOfRange, "grouping.0.min_length"),
                (OutOfRange, "grouping.0.gap"),
                (InvalidGlob, "grouping.0.paths.1"),
            ],
        );
        check(
            r#"{"scope":[{"name":"s","host":"{a","action":"include"}]}"#,
            &[(InvalidGlob, "scope.0.host")],
        );
        check(
            r#"{"context":[{"name":"a=b","point":"$status","secret":true}]}"#,
            &[(InvalidName, "context.0.name"), (InvalidPoint, "context.0.point")],
        );
        check(
            r#"{"flows":[{"name":"f","endpoints":[{},{"path":"/{int}/["}]}]}"#,
            &[(InvalidGlob, "flows.0.endpoints.1.path")],
        );
        check(
            r#"{"disabled_built_in":["sid","sid","nope"]}"#,
            &[(NameTaken, "disabled_built_in.1"), (NotFound, "disabled_built_in.2")],
        );
        check(
            r#"{"settings":{"gap":{"ms":4294967295},"day_zone":"x","retention_days":0}}"#,
            &[
                (OutOfRange, "settings.gap"),
                (OutOfRange, "settings.day_zone"),
                (OutOfRange, "settings.retention_days"),
            ],
        );
        let many: Vec<String> =
            (0..257).map(|n| format!(r#"{{"name":"{n}","endpoints":[]}}"#)).collect();
        check(&format!(r#"{{"flows":[{}]}}"#, many.join(",")), &[(TooMany, "flows")]);
    }

    #[test]
    fn a_wrong_point_is_told_with_the_character_and_the_reason() {
        let mut rules = RuleSet::default();
        let key = r#"{"name":"é","point":"$request.cookie.é | uppper"}"#;
        rules.grouping.push(serde_json::from_str(key).unwrap());
        let errors = rules.check().unwrap_err();
        let expected = "grouping.0.point: at character 20: unknown pipe `uppper`; expected";
        assert!(errors[0].to_string().starts_with(expected), "{}", errors[0]);
    }
}
