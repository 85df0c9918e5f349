//! What an operator writes of a format: the name that stands for "by content", and mappings of JSON
//! logs.
//!
//! These are the plain values of the configuration file; `mapping.rs` compiles them. They live here,
//! so that decoding needs nothing of how the program is configured.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The format that is found by content.
pub const FORMAT_AUTO: &str = "auto";

/// One of `[mappings.NAME]`: how a JSON object of another shape becomes a request.
///
/// A *template* is text with `{/json/pointer}` where a value of the object goes: `"POST"` is a
/// constant, `"{/eventTime}"` a value, `"/{/eventName}"` both, `"{/errorCode?400:200}"` one of two
/// texts, by whether there is a value. A template is absent when one of its
/// values is missing, null, empty or in `ignore`. A list of templates: the first that is not
/// absent. A value that is an object or an array goes in as its JSON text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Mapping {
    /// Field of the native record (`id`, `ts`, `app`, `method`, `host`, `path`, `query`, `url`,
    /// `status`, `duration_ms`, `request_bytes`, `response_bytes`, `ip`, `user_agent`): template.
    pub fields: BTreeMap<String, Templates>,
    /// Request header: template.
    pub request_headers: BTreeMap<String, Templates>,
    /// Request cookie: template.
    pub request_cookies: BTreeMap<String, Templates>,
    /// Response header: template.
    pub response_headers: BTreeMap<String, Templates>,
    /// Pointer to what becomes the request's body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_body: Option<String>,
    /// Pointer to what becomes the response's body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_body: Option<String>,
    /// Texts that stand for absence, such as `-`.
    pub ignore: Vec<String>,
    /// What a number in `ts` counts; absent: what its magnitude tells. A text that is a time is
    /// read as that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ts_unit: Option<TimeUnit>,
    /// What the number in `duration_ms` counts, before it becomes milliseconds.
    pub duration_unit: TimeUnit,
    /// Pointer to an array of records inside of each JSON value of the input, if they are wrapped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub records: Option<String>,
    /// Fields that are left out, instead of making a bad record, when their value breaks the
    /// record's rules.
    pub drop_invalid: Vec<String>,
}

/// One template, or several of which the first that is not absent counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Templates {
    /// One.
    One(String),
    /// In order.
    Any(Vec<String>),
}

impl Templates {
    /// The templates in order.
    #[must_use]
    pub fn as_slice(&self) -> &[String] {
        match self {
            Self::One(template) => std::slice::from_ref(template),
            Self::Any(templates) => templates,
        }
    }
}

/// A unit of time in a mapped record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TimeUnit {
    /// Seconds, with a fraction.
    S,
    /// Milliseconds.
    #[default]
    Ms,
    /// Microseconds.
    Us,
    /// Nanoseconds.
    Ns,
}
