//! The pages as a whole: links lead somewhere, decisions are complete, references name every key.
//!
//! `tests/docs.rs` runs the examples and compares the numbers; this compares lists with the program.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::collections::BTreeSet;
use std::fmt::Write as _;

use common::pages::{blocks, page, path, rows};
use spoor_dataflow::codes::RefusalCode;
use spoor_dataflow::config::Config;

/// Every page of the documentation.
fn pages() -> Vec<String> {
    let mut pages: Vec<String> = ["README", "ARCHITECTURE", "SECURITY", "CONTRIBUTING"]
        .map(|name| format!("{name}.md"))
        .into();
    for directory in ["docs", "docs/decisions"] {
        let entries = std::fs::read_dir(path(directory)).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        pages.extend(
            names.filter(|name| name.ends_with(".md")).map(|name| format!("{directory}/{name}")),
        );
    }
    pages
}

/// The anchors a page's headings have.
fn anchors(page: &str) -> BTreeSet<String> {
    let headings = page.lines().filter(|line| line.starts_with('#'));
    headings
        .map(|line| {
            let text = line.trim_start_matches('#').trim().to_lowercase();
            let kept = |c: &char| c.is_alphanumeric() || " -_".contains(*c);
            text.chars().filter(kept).map(|c| if c == ' ' { '-' } else { c }).collect()
        })
        .collect()
}

#[test]
fn links_lead_somewhere() {
    let link = regex::Regex::new(r"\]\(([^)\s]+)\)").unwrap();
    for name in pages() {
        let text = page(&name);
        for target in link.captures_iter(&text).map(|found| found[1].to_owned()) {
            if target.contains("://") {
                continue;
            }
            let (file, anchor) = target.split_once('#').unwrap_or((&target, ""));
            let here = path(&name);
            let there =
                if file.is_empty() { here.clone() } else { here.parent().unwrap().join(file) };
            assert!(there.exists(), "{name}: {target}");
            if !anchor.is_empty() {
                let known = anchors(&std::fs::read_to_string(&there).unwrap());
                assert!(known.contains(anchor), "{name}: {target}");
            }
        }
    }
}

#[test]
fn decisions_are_numbered_listed_and_complete() {
    let list = page("docs/decisions/README.md");
    let mut names: Vec<String> = pages()
        .into_iter()
        .filter_map(|name| name.strip_prefix("docs/decisions/").map(str::to_owned))
        .filter(|name| name != "README.md")
        .collect();
    names.sort();
    for (number, name) in (1..).zip(&names) {
        assert!(name.starts_with(&format!("{number:04}-")), "{name} should have number {number}");
        let text = page(&format!("docs/decisions/{name}"));
        let title = text.lines().next().unwrap().trim_start_matches("# ");
        assert!(title.starts_with(&format!("{number}. ")), "{name}: {title}");
        assert!(list.contains(&format!("- [{title}]({name})")), "{name} is not in the list");
        for part in ["**Status:** ", "## Context\n", "## Decision\n", "## Consequences\n"] {
            assert!(text.contains(part), "{name} has no {part}");
        }
    }
    assert_eq!(list.matches("\n- [").count(), names.len());
}

/// A configuration in which every key has a value, so that all of them are written.
const EVERYTHING: &str = r#"
[secrets]
key = "0123456789abcdef"
key_file = "key"
[[sources]]
name = "a"
path = "a.log"
[[applications]]
name = "a"
[[descriptions]]
app = "a"
file = "a.json"
[client_ip]
from = ["a"]
trusted = []
hops = 1
[[rules.scope]]
name = "a"
action = "include"
[[rules.grouping]]
name = "a"
point = "$host"
[[rules.context]]
name = "a"
point = "$host"
[[rules.flows]]
name = "a"
endpoints = [{ app = "a" }]
"#;

/// The keys of a value, joined by dots; elements of a list have the keys of the list.
fn keys(value: &serde_json::Value, at: &str, found: &mut BTreeSet<String>) {
    match value {
        serde_json::Value::Object(fields) if !fields.is_empty() => {
            for (name, value) in fields {
                keys(value, &format!("{at}.{name}"), found);
            }
        }
        serde_json::Value::Array(list)
            if list.first().is_some_and(serde_json::Value::is_object) =>
        {
            list.iter().for_each(|value| keys(value, at, found));
        }
        _ => {
            found.insert(at.trim_start_matches('.').to_owned());
        }
    }
}

#[test]
fn every_key_of_the_configuration_has_its_row_with_its_default() {
    let mut told = BTreeSet::new();
    let mut defaults = String::new();
    for row in rows(&page("docs/configuration.md")) {
        for key in row[0].split(", ").map(|key| key.trim_matches('`')) {
            told.insert(key.to_owned());
            // Defaults of tables that are there without being asked for, as a file has them.
            let (table, name) = key.rsplit_once('.').unwrap();
            let is_there =
                ["store", "engine", "server", "rules", "rules.settings"].contains(&table);
            if is_there && row[2].starts_with('`') {
                writeln!(defaults, "[{table}]\n{name} = {}", row[2].trim_matches('`')).unwrap();
            }
        }
    }
    let everything: Config = toml::from_str(EVERYTHING).unwrap();
    let mut known = BTreeSet::new();
    keys(&serde_json::to_value(everything).unwrap(), "", &mut known);
    // Mappings and formats have pages of their own. Durations are told as people write them.
    known.remove("mappings");
    known.remove("formats");
    let known: BTreeSet<String> = known
        .into_iter()
        .map(|key| {
            key.trim_end_matches("_ms").trim_end_matches("_days").trim_end_matches(".ms").to_owned()
        })
        .collect();
    assert_eq!(told, known);

    let mut tables = std::collections::BTreeMap::<&str, Vec<&str>>::new();
    let lines: Vec<&str> = defaults.lines().collect();
    lines.chunks(2).for_each(|pair| tables.entry(pair[0]).or_default().push(pair[1]));
    let text: String =
        tables.iter().map(|(table, keys)| format!("{table}\n{}\n", keys.join("\n"))).collect();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("defaults.toml");
    std::fs::write(&file, &text).unwrap();
    assert_eq!(Config::load(Some(&file)).unwrap(), Config::default(), "{text}");
    assert!(text.lines().count() > 20, "the defaults were found");
}

#[test]
fn the_sample_configuration_has_the_defaults_it_says() {
    let sample = Config::load(Some(&path("configs/spoor.toml"))).unwrap();
    let default = Config::default();
    assert_eq!(sample.store, default.store);
    assert_eq!(sample.engine, default.engine);
    assert_eq!(sample.server, default.server);
    assert_eq!(sample.rules.settings, default.rules.settings);
    let text = page("configs/spoor.toml");
    for row in rows(&page("docs/configuration.md")) {
        let key = row[0].trim_matches('`').rsplit('.').next().unwrap().to_owned();
        let section = row[0].trim_start_matches('`').split('.').next().unwrap();
        if ["store", "engine", "server"].contains(&section) {
            assert!(text.lines().any(|line| line.starts_with(&format!("{key} = "))), "{key}");
        }
    }
}

/// The rows of the table below a heading.
fn table(name: &str, heading: &str) -> Vec<Vec<String>> {
    let text = page(name);
    let section = text.split("\n## ").find(|section| section.starts_with(heading)).unwrap();
    rows(section)
}

fn column(table: &[Vec<String>], number: usize) -> BTreeSet<String> {
    table.iter().map(|row| row[number].trim_matches('`').to_owned()).collect()
}

/// What a pattern finds in a file of the program.
fn found(file: &str, pattern: &str) -> BTreeSet<String> {
    let text = page(file);
    let pattern = regex::Regex::new(pattern).unwrap();
    pattern.captures_iter(&text).map(|found| found[1].to_owned()).collect()
}

#[test]
fn every_code_a_client_can_meet_has_its_row() {
    let errors = "docs/errors.md";
    let graphql = found("graphql/src/error.rs", r#"Self::\w+ => "([A-Z_]+)""#);
    assert!(graphql.len() > 5, "the codes are found");
    assert_eq!(column(&table(errors, "GraphQL"), 0), graphql);

    let schema = page("graphql/schema.graphql");
    let rules = schema.split("enum RuleErrorCode {").nth(1).unwrap().split("\n}").next().unwrap();
    let upper = |line: &&str| line.chars().all(|c| c.is_ascii_uppercase() || c == '_');
    let codes = rules.lines().map(str::trim).filter(upper).filter(|line| !line.is_empty());
    assert_eq!(column(&table(errors, "Changes"), 0), codes.map(Into::into).collect());

    // The last is what is answered before a push is looked at.
    let mut pushes = found("graphql/src/http/push.rs", r#"\(StatusCode::\w+, "([a-z_]+)"\)"#);
    assert!(pushes.len() > 5, "the codes are found");
    pushes.extend(found("graphql/src/http/ready.rs", r#""code": "([a-z]+)""#));
    assert_eq!(column(&table(errors, "Pushes"), 1), pushes);

    let refused = RefusalCode::ALL.map(|code| code.as_str().to_owned());
    assert_eq!(column(&table(errors, "Refused"), 0), refused.into());

    let closes = found("graphql/src/ws/protocol.rs", r"Self::[^=\n]+ => (\d{4}),");
    assert!(closes.len() > 5, "the codes are found");
    assert_eq!(column(&table(errors, "WebSockets"), 0), closes);

    // Which statuses there are; that each is answered when the page says is for the API's tests.
    let files = ["mod", "negotiate", "ready", "body"];
    let names = files
        .iter()
        .flat_map(|file| found(&format!("graphql/src/http/{file}.rs"), r"StatusCode::([A-Z_]+)"));
    let numbers = [
        ("OK", 200),
        ("BAD_REQUEST", 400),
        ("METHOD_NOT_ALLOWED", 405),
        ("NOT_ACCEPTABLE", 406),
        ("REQUEST_TIMEOUT", 408),
        ("PAYLOAD_TOO_LARGE", 413),
        ("UNSUPPORTED_MEDIA_TYPE", 415),
        ("SERVICE_UNAVAILABLE", 503),
    ];
    let status = |name: String| {
        let known = numbers.iter().find(|(known, _)| *known == name);
        known.unwrap_or_else(|| panic!("{name} is new")).1.to_string()
    };
    let mut statuses: BTreeSet<String> = names.map(status).collect();
    // Hosts and origins are judged before.
    statuses.insert("403".into());
    assert_eq!(column(&table(errors, "HTTP"), 0), statuses);
}

#[test]
fn the_plugin_of_the_readme_is_a_part_of_an_example_that_is_compiled() {
    let example = page("operators/examples/sessions_of_a_file.rs");
    let block = &blocks(&page("README.md"), "rust")[0];
    let mut lines = example.lines().map(str::trim);
    for line in block.lines().map(str::trim) {
        assert!(lines.any(|known| known == line), "the example has no `{line}` there");
    }
}
