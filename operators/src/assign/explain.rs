//! Explanations: why a stored request is where it is, from the same compiled rules.

use super::read::Value;
use super::{CompiledRules, keys};
use crate::point::Bodies;
use crate::request::Request;
use crate::rules::{BUILT_IN_KEYS, ParameterType};

/// Why a request is where it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Explanation {
    /// Method and path template.
    pub endpoint: String,
    /// Business flows it touches.
    pub flows: Vec<String>,
    /// Context parameters that worked.
    pub context: Vec<ContextRead>,
    /// Keys in the order they were tried, up to and with the one that worked.
    pub keys_tried: Vec<KeyTry>,
}

/// A context parameter that worked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContextRead {
    /// The parameter's name.
    pub name: String,
    /// What it is about.
    pub kind: ParameterType,
    /// Its value, or the keyed hash of a secret one.
    pub value: String,
}

/// One key that was tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyTry {
    /// Name of the grouping key; built-in keys have theirs.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// Where it looks.
    pub point: String,
    /// It decided.
    pub worked: bool,
    /// Why it did not work; what it found otherwise.
    pub reason: String,
}

impl CompiledRules {
    /// Why a stored request is where it is.
    #[must_use]
    pub fn explain(&self, request: &Request<'_>) -> Explanation {
        let mut bodies = Bodies::default();
        let mut template = String::new();
        self.descriptions.judge(request, &mut template);
        let shown = |(number, value): (usize, Value<'_>)| ContextRead {
            name: self.context[number].name.clone(),
            kind: self.context[number].kind,
            value: value.text.into_owned(),
        };
        Explanation {
            endpoint: format!("{} {template}", request.method),
            flows: self.flows_of(request, &template).map(String::from).collect(),
            context: self.context_values(request, &mut bodies).into_iter().map(shown).collect(),
            keys_tried: self.keys_tried(request, &mut bodies),
        }
    }

    fn keys_tried(&self, request: &Request<'_>, bodies: &mut Bodies) -> Vec<KeyTry> {
        let mut tried = Vec::new();
        if !self.includes(request) {
            return tried;
        }
        let found = |text: &str, hashed: bool| {
            let what = if hashed { "found a secret value, hashed" } else { "found" };
            format!("{what}: {text}")
        };
        for key in &self.keys {
            let result = key.attempt(request, &self.secret, bodies);
            let worked = result.is_ok();
            tried.push(KeyTry {
                name: key.name.clone(),
                namespace: key.namespace.clone(),
                point: key.read.point.to_string(),
                worked,
                reason: match result {
                    Ok(value) => found(&value.text, value.hashed.is_some()),
                    Err(miss) => miss.reason().into(),
                },
            });
            if worked {
                return tried;
            }
        }
        for (number, name) in BUILT_IN_KEYS.iter().enumerate() {
            let result = self.built_in.attempt(number, request, &self.secret);
            let worked = result.is_ok();
            tried.push(KeyTry {
                name: (*name).into(),
                namespace: (*name).into(),
                point: keys::built_in_point(number),
                worked,
                reason: match result {
                    Ok((text, hashed)) => found(&text, hashed),
                    Err(miss) => miss.reason().into(),
                },
            });
            if worked {
                return tried;
            }
        }
        tried
    }
}
