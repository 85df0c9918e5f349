//! The JSON formats that are built in: mappings like those of a configuration, and what tells a
//! line of each.

use std::sync::{Arc, LazyLock};

use serde::Deserialize;
use serde_json::Value;

use super::settings as config;
use super::{Format, Mapping};

/// A built-in mapping.
#[derive(Debug)]
pub struct Known {
    /// The mapping as a format.
    pub format: Arc<Format>,
    when: Vec<String>,
}

#[derive(Deserialize)]
struct File {
    known: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    name: String,
    when: Vec<String>,
    #[serde(flatten)]
    mapping: config::Mapping,
}

static KNOWN: LazyLock<Vec<Known>> = LazyLock::new(|| {
    let file: File = toml::from_str(include_str!("known.toml")).expect("the built-in list is TOML");
    let compiled = file.known.into_iter().map(|Entry { name, when, mapping }| {
        let mapping = Mapping::compile(&name, &mapping).expect("a built-in mapping makes sense");
        Known { format: Arc::new(Format::Json(Arc::new(mapping))), when }
    });
    compiled.collect()
});

/// Every built-in mapping.
#[must_use]
pub fn all() -> &'static [Known] {
    &KNOWN
}

/// The built-in mapping of this name.
#[must_use]
pub fn named(name: &str) -> Option<Arc<Format>> {
    let found = KNOWN.iter().find(|known| known.format.to_string() == name);
    found.map(|known| known.format.clone())
}

impl Known {
    /// Whether an object has the members that tell the format.
    #[must_use]
    pub fn is_meant_for(&self, object: &Value) -> bool {
        let there = |pointer: &String| object.pointer(pointer).is_some_and(|it| !it.is_null());
        self.when.iter().all(there)
    }
}
