//! The layers, read off the manifests: which crate of the workspace may use which.
//!
//! Cargo lets nobody use a crate that its manifest does not name, so the manifests are where an edge
//! against the order of `ARCHITECTURE.md` would appear, and this is where it is refused. A crate that
//! is not in the table has to be put there, with what it may use.

#![allow(clippy::unwrap_used, reason = "a failed test is what it is for")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// What each crate of ours may use of ours, in the program and in its tests.
const LAYERS: [(&str, &[&str]); 9] = [
    ("spoor-operators", &[]),
    ("spoor-oracle", &[]),
    ("spoor-api", &["spoor-operators"]),
    ("spoor-input", &["spoor-operators", "spoor-api"]),
    ("spoor-store", &["spoor-operators", "spoor-api"]),
    (
        "spoor-engine",
        &["spoor-operators", "spoor-api", "spoor-input", "spoor-store", "spoor-oracle"],
    ),
    (
        "spoor-dataflow",
        &["spoor-operators", "spoor-api", "spoor-input", "spoor-store", "spoor-engine"],
    ),
    ("spoor-graphql", &["spoor-operators", "spoor-api"]),
    ("spoor", &["spoor-operators", "spoor-dataflow", "spoor-graphql", "spoor-oracle"]),
];

/// Libraries that only these crates name, in the program or in its tests.
const ONLY: [(&str, &[&str]); 8] = [
    ("rocksdb", &["spoor-store"]),
    ("self_cell", &["spoor-store"]),
    ("snow", &["spoor-engine"]),
    ("figment", &["spoor-dataflow"]),
    ("axum", &["spoor-graphql"]),
    ("async-graphql", &["spoor-graphql"]),
    ("hyper", &["spoor-graphql"]),
    ("clap", &["spoor"]),
];

/// What the source of a folder never names: paths and crates that stand below it.
const NEVER: [(&str, &[&str]); 3] = [
    ("dataflow/input/src/decode", &["crate::source"]),
    ("dataflow/store/src", &["spoor_input", "spoor_engine"]),
    ("dataflow/engine/src/cluster", &["crate::ask", "crate::mail", "crate::Context"]),
];

struct Manifest {
    name: String,
    used: BTreeSet<String>,
}

fn manifest(directory: &Path) -> Manifest {
    let path = directory.join("Cargo.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let table: toml::Table = toml::from_str(&text).unwrap();
    let mut used = BTreeSet::new();
    dependencies(&table, &mut used);
    let name = table["package"]["name"].as_str().unwrap().to_owned();
    Manifest { name, used }
}

/// Names below every table of dependencies, those of a target among them.
fn dependencies(table: &toml::Table, used: &mut BTreeSet<String>) {
    for (key, value) in table {
        let Some(inner) = value.as_table() else { continue };
        if key.ends_with("dependencies") {
            used.extend(inner.keys().cloned());
        } else if key == "target" || key.starts_with("cfg(") {
            dependencies(inner, used);
        }
    }
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every crate of the workspace by name, the program itself among them.
fn workspace() -> BTreeMap<String, BTreeSet<String>> {
    let text = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let table: toml::Table = toml::from_str(&text).unwrap();
    let members = table["workspace"]["members"].as_array().unwrap();
    let members = members.iter().map(|member| member.as_str().unwrap()).chain(["."]);
    // The root's table of versions, below `workspace`, uses nothing.
    let manifests = members.map(|member| manifest(&root().join(member)));
    manifests.map(|Manifest { name, used }| (name, used)).collect()
}

#[test]
fn every_crate_uses_only_what_stands_above_it() {
    let workspace = workspace();
    let names: BTreeSet<_> = workspace.keys().map(String::as_str).collect();
    assert_eq!(names, LAYERS.iter().map(|(name, _)| *name).collect(), "the table has every crate");
    for (name, allowed) in LAYERS {
        // Its own tests may ask for more features of it.
        let others = workspace[name].iter().filter(|used| used.as_str() != name);
        for used in others.filter(|used| names.contains(used.as_str())) {
            assert!(allowed.contains(&&**used), "{name} may not use {used}");
        }
    }
}

#[test]
fn what_binds_a_layer_to_the_world_is_named_by_that_layer_alone() {
    for (library, users) in ONLY {
        let found: Vec<_> = workspace()
            .into_iter()
            .filter(|(_, used)| used.contains(library))
            .map(|(name, _)| name)
            .collect();
        assert_eq!(found, users, "who names {library}");
    }
}

fn sources(directory: &Path, visit: &mut dyn FnMut(&Path, &str)) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, visit);
        } else if path.extension().is_some_and(|end| end == "rs") {
            visit(&path, &std::fs::read_to_string(&path).unwrap());
        }
    }
}

#[test]
fn no_folder_names_what_stands_below_it() {
    for (folder, names) in NEVER {
        let mut files = 0;
        sources(&root().join(folder), &mut |path, text| {
            files += 1;
            for name in names {
                assert!(!text.contains(name), "{} names {name}", path.display());
            }
        });
        assert!(files > 0, "{folder} is there");
    }
}
