//! Everything of this crate that may cross from process to process comes back as it was: timely and
//! differential send what a dataflow exchanges by bincode, and so does whoever embeds the crate.
//!
//! [`crossing`] is the one list. A type that is made serializable and is not in it fails the last
//! test.

#![allow(clippy::unwrap_used)]

#[path = "support/anything.rs"]
mod anything;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use anything::{comes_back_from_bincode, comes_back_from_json};
use spoor_operators::assign::{AppRule, Applications};
use spoor_operators::facts::{Assigned, Field};
use spoor_operators::identity::{Identity, IdentityId, SessionId};
use spoor_operators::point::Point;
use spoor_operators::record::Record;
use spoor_operators::rules::edit::{EditCode, EditError, ListEdit, RuleEdit};
use spoor_operators::rules::{
    ContextParameter, EndpointPattern, Flow, Gap, GroupingKey, ParameterType, Per, RuleSet,
    ScopeAction, ScopeRule, Settings,
};
use spoor_operators::session::Session;
use spoor_operators::sessionize::MinuteApp;
use spoor_operators::time::{Day, Epoch, EventTime};
use spoor_operators::totals::Totals;

macro_rules! crossing {
    ($($test:ident: $type:ty),* $(,)?) => {
        $(#[test]
        fn $test() {
            comes_back_from_bincode::<$type>(stringify!($type));
            comes_back_from_json::<$type>(stringify!($type));
        })*

        const LISTED: &[&str] = &[$(stringify!($type)),*];
    };
}

crossing! {
    // What the operators exchange between workers.
    part_of_requests: (u64, Record),
    part_of_rules: (u64, Arc<RuleSet>),
    assigned: Assigned,
    // What they give, for whatever dataflow follows.
    session: Arc<Session>,
    request_by_session: (SessionId, Record),
    minute_app: MinuteApp,
    totals: Totals,
    // Rules and their parts.
    rule_set: RuleSet,
    scope_rule: ScopeRule,
    scope_action: ScopeAction,
    grouping_key: GroupingKey,
    per: Per,
    gap: Gap,
    context_parameter: ContextParameter,
    parameter_type: ParameterType,
    flow: Flow,
    endpoint_pattern: EndpointPattern,
    settings: Settings,
    rule_edit: RuleEdit,
    list_edit: ListEdit<ScopeRule>,
    edit_error: EditError,
    edit_code: EditCode,
    point: Point,
    applications: Applications,
    app_rule: AppRule,
    // What they are made of.
    field: Field,
    identity: Identity,
    identity_id: IdentityId,
    session_id: SessionId,
    event_time: EventTime,
    day: Day,
    epoch: Epoch,
}

/// Read from and written as JSON alone, as programs do with what they turn into a [`Record`]: they
/// are no records of a collection.
const JSON_ALONE: &[&str] = &["NewAttack", "NewMessage", "NewRequest"];

/// Names of the serializable types of the crate.
fn serializable(directory: &Path, into: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(directory).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            serializable(&entry.path(), into);
            continue;
        }
        let text = std::fs::read_to_string(entry.path()).unwrap();
        let name = |item: &str| {
            item.split(|letter: char| !letter.is_alphanumeric()).next().map(String::from)
        };
        for after in text.split("derive(").skip(1) {
            let (derived, item) = after.split_once(')').unwrap();
            if !derived.split(',').any(|one| one.trim() == "Serialize") {
                continue;
            }
            let item = item.lines().find_map(|line| {
                line.strip_prefix("pub struct ").or_else(|| line.strip_prefix("pub enum "))
            });
            into.extend(item.and_then(name));
        }
        into.extend(text.split(" Serialize for ").skip(1).filter_map(name));
    }
}

#[test]
fn every_serializable_type_is_listed() {
    let mut found = BTreeSet::new();
    serializable(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
    assert!(
        found.contains("Assigned") && found.contains("Session") && found.len() > 20,
        "{found:?}"
    );
    let is_listed = |name: &String| {
        let words = |text: &&str| {
            text.split(|letter: char| !letter.is_alphanumeric()).any(|word| word == name)
        };
        LISTED.iter().any(words) || JSON_ALONE.contains(&name.as_str())
    };
    let missing: Vec<_> = found.into_iter().filter(|name| !is_listed(name)).collect();
    assert!(missing.is_empty(), "to be added to the list: {missing:?}");
}
