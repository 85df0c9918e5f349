//! Edits of a rule set: what a mutation asks for, applied to a value or refused with reasons.

use serde::{Deserialize, Serialize};

use super::{BUILT_IN_KEYS, ContextParameter, Flow, GroupingKey, RuleSet, ScopeRule, Settings};

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
    pub fn edited(&self, edit: &RuleEdit) -> Result<RuleSet, Vec<EditError>> {
        let mut rules = self.clone();
        let applied = match edit {
            RuleEdit::Scope(edit) => apply(&mut rules.scope, edit),
            RuleEdit::Grouping(edit) => apply(&mut rules.grouping, edit),
            RuleEdit::Context(edit) => apply(&mut rules.context, edit),
            RuleEdit::Flow(edit) => apply(&mut rules.flows, edit),
            RuleEdit::BuiltIn { name, enabled } => {
                rules.disabled_built_in.retain(|off| off != name);
                if !enabled {
                    rules.disabled_built_in.push(name.clone());
                }
                let known = BUILT_IN_KEYS.contains(&name.as_str());
                if known { Ok(()) } else { Err(unknown_built_in(name, &["disabled_built_in"])) }
            }
            RuleEdit::Settings(settings) => {
                rules.settings = settings.clone();
                Ok(())
            }
            RuleEdit::Replace(all) => {
                rules = (**all).clone();
                Ok(())
            }
        };
        applied.map_err(|error| vec![error])?;
        rules.check()?;
        rules.version = self.version + 1;
        Ok(rules)
    }
}

/// A rule that is addressed by its name.
pub(super) trait Named: Clone {
    /// Name of the list it is in.
    const LIST: &'static str;
    /// What it is called in messages.
    const WHAT: &'static str;
    /// Its name.
    fn name(&self) -> &str;
}

macro_rules! named {
    ($($type:ty, $list:literal, $what:literal;)*) => {
        $(impl Named for $type {
            const LIST: &'static str = $list;
            const WHAT: &'static str = $what;
            fn name(&self) -> &str {
                &self.name
            }
        })*
    };
}

named! {
    ScopeRule, "scope", "scope rule";
    GroupingKey, "grouping", "grouping key";
    ContextParameter, "context", "context parameter";
    Flow, "flows", "business flow";
}

/// The refusal of an unknown built-in key.
pub(super) fn unknown_built_in(name: &str, path: &[&str]) -> EditError {
    EditError {
        code: EditCode::NotFound,
        path: path.iter().map(ToString::to_string).collect(),
        message: format!(
            "no built-in key is named `{name}`; they are {}",
            BUILT_IN_KEYS.join(", ")
        ),
    }
}

fn refuse<T: Named>(code: EditCode, message: String) -> EditError {
    EditError { code, path: vec![T::LIST.into()], message }
}

fn find<T: Named>(list: &[T], name: &str) -> Result<usize, EditError> {
    let missing = || refuse::<T>(EditCode::NotFound, format!("no {} is named `{name}`", T::WHAT));
    list.iter().position(|rule| rule.name() == name).ok_or_else(missing)
}

fn apply<T: Named>(list: &mut Vec<T>, edit: &ListEdit<T>) -> Result<(), EditError> {
    match edit {
        ListEdit::Create { item, before } => {
            let at = before.as_ref().map_or(Ok(list.len()), |name| find(list, name))?;
            list.insert(at, item.clone());
        }
        ListEdit::Update { name, item } => {
            let at = find(list, name)?;
            list[at] = item.clone();
        }
        ListEdit::Delete { name } => {
            list.remove(find(list, name)?);
        }
        ListEdit::Reorder { names } => *list = reordered(list, names)?,
    }
    Ok(())
}

fn reordered<T: Named>(list: &[T], names: &[String]) -> Result<Vec<T>, EditError> {
    let message = format!("the names must be those of every {}, each once", T::WHAT);
    let wrong = || refuse::<T>(EditCode::WrongNames, message.clone());
    let distinct: std::collections::BTreeSet<&String> = names.iter().collect();
    if names.len() != list.len() || distinct.len() != list.len() {
        return Err(wrong());
    }
    let rules = names.iter().map(|name| find(list, name).map(|at| list[at].clone()));
    rules.collect::<Result<_, _>>().map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> GroupingKey {
        let text = format!(r#"{{"name":"{name}","point":"$request.header.{name}"}}"#);
        serde_json::from_str(&text).unwrap()
    }

    fn keys(edits: &[ListEdit<GroupingKey>]) -> Result<(u64, String), EditCode> {
        let mut rules = RuleSet::default();
        for edit in edits {
            let edited = rules.edited(&RuleEdit::Grouping(edit.clone()));
            rules = edited.map_err(|errors| errors[0].code)?;
        }
        let names: Vec<&str> = rules.grouping.iter().map(|key| key.name.as_str()).collect();
        Ok((rules.version, names.join(" ")))
    }

    #[test]
    fn an_edit_gives_the_next_version_or_says_why_not() {
        let create = |name: &str, before: Option<&str>| ListEdit::Create {
            item: key(name),
            before: before.map(String::from),
        };
        let update = |name: &str, to: &str| ListEdit::Update { name: name.into(), item: key(to) };
        let delete = |name: &str| ListEdit::Delete { name: name.into() };
        let order = |names: &[&str]| ListEdit::Reorder {
            names: names.iter().map(|name| (*name).to_owned()).collect(),
        };
        let (a, b) = (create("a", None), create("b", None));
        let ok = |version: u64, names: &str| Ok((version, names.to_owned()));
        for (edits, expected) in [
            (vec![a.clone(), b.clone()], ok(3, "a b")),
            (vec![a.clone(), create("b", Some("a"))], ok(3, "b a")),
            (vec![a.clone(), b.clone(), update("a", "c")], ok(4, "c b")),
            (vec![a.clone(), b.clone(), delete("a")], ok(4, "b")),
            (vec![a.clone(), b.clone(), order(&["b", "a"])], ok(4, "b a")),
            (vec![a.clone(), create("b", Some("z"))], Err(EditCode::NotFound)),
            (vec![a.clone(), a.clone()], Err(EditCode::NameTaken)),
            (vec![a.clone(), b.clone(), update("a", "b")], Err(EditCode::NameTaken)),
            (vec![delete("a")], Err(EditCode::NotFound)),
            (vec![a.clone(), b.clone(), order(&["a"])], Err(EditCode::WrongNames)),
            (vec![a.clone(), b.clone(), order(&["a", "a"])], Err(EditCode::WrongNames)),
            (vec![a, b, order(&["a", "c"])], Err(EditCode::WrongNames)),
        ] {
            assert_eq!(keys(&edits), expected, "{edits:?}");
        }
    }

    #[test]
    fn built_in_keys_go_off_and_on_again() {
        let switch = |name: &str, enabled| RuleEdit::BuiltIn { name: name.into(), enabled };
        let off = RuleSet::default().edited(&switch("sid", false)).unwrap();
        let still = off.edited(&switch("sid", false)).unwrap();
        assert_eq!(still.disabled_built_in, ["sid"]);
        let on = still.edited(&switch("sid", true)).unwrap();
        assert_eq!((on.version, on.disabled_built_in.len()), (4, 0));
        let errors = on.edited(&switch("nope", false)).unwrap_err();
        assert_eq!(errors[0].code, EditCode::NotFound);
    }

    #[test]
    fn a_replacement_is_checked_and_counts_on() {
        let mut other = RuleSet { version: 77, ..RuleSet::default() };
        let replaced = RuleSet::default().edited(&RuleEdit::Replace(Box::new(other.clone())));
        assert_eq!(replaced.unwrap().version, 2);
        other.settings.day_zone = "Mars/Olympus".into();
        let errors = RuleSet::default().edited(&RuleEdit::Settings(other.settings)).unwrap_err();
        assert_eq!(errors[0].code, EditCode::OutOfRange);
        assert_eq!(errors[0].path, ["settings", "day_zone"]);
    }
}
