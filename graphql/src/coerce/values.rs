//! Whether one value fits one type; if not, where in it the fault is and what was expected.
//!
//! A value from the variables is JSON; a literal of the query may name variables, which are judged
//! by their types.

use std::collections::HashMap;

use async_graphql::parser::types::{BaseType, Type, VariableDefinition};
use async_graphql::{InputType, InputValueResult, Pos, ScalarType, Value};

use super::types::{Input, Place, TYPES};
use crate::schema::scalars::{Cidr, DateTime, EpochToken, Long};

/// Characters of a value that a refusal repeats.
const SHOWN_CHARS_MAX: usize = 60;

/// The variables of an operation by name.
pub type Known<'d> = HashMap<&'d str, &'d VariableDefinition>;

/// Where a value is written.
#[derive(Clone, Copy)]
pub enum Written<'d> {
    /// In the variables: JSON.
    Variable,
    /// In the query, where it may name these variables.
    Literal(&'d Known<'d>),
}

impl Place {
    /// Whether a value, or a variable, fits here.
    pub fn takes(
        &self,
        value: &Value,
        written: Written<'_>,
        path: &mut Vec<String>,
    ) -> Result<(), String> {
        if let (Written::Literal(variables), Some(name)) = (written, variable(value)) {
            return variable_fits(name, variables, &self.of, self.has_default);
        }
        value_fits(value, &self.of, written, path)
    }
}

/// The name of the variable a value stands for.
fn variable(value: &Value) -> Option<&str> {
    match value {
        Value::Enum(name) => name.strip_prefix('$'),
        _ => None,
    }
}

/// Whether a variable may stand where a value of a type is expected, as the specification has it;
/// unlike it, where a list is expected a variable of what is in it may stand too.
fn variable_fits(
    name: &str,
    variables: &Known<'_>,
    expected: &Type,
    has_default: bool,
) -> Result<(), String> {
    // The engine refuses a name that is no variable's.
    let Some(definition) = variables.get(name) else { return Ok(()) };
    let given = &definition.var_type.node;
    let default = definition.default_value.as_ref().map(|default| &default.node);
    let never_null = !given.nullable || default.is_some_and(|default| *default != Value::Null);
    if base_fits(&given.base, &expected.base) && (expected.nullable || never_null || has_default) {
        return Ok(());
    }
    Err(format!("expected {expected}, found the variable \"${name}\" of type {given}"))
}

fn base_fits(given: &BaseType, expected: &BaseType) -> bool {
    match (given, expected) {
        (BaseType::Named(given), BaseType::Named(expected)) => given == expected,
        (BaseType::List(given), BaseType::List(expected)) => {
            base_fits(&given.base, &expected.base) && (expected.nullable || !given.nullable)
        }
        (BaseType::Named(_), BaseType::List(expected)) => base_fits(given, &expected.base),
        (BaseType::List(_), BaseType::Named(_)) => false,
    }
}

/// Whether a value fits a type; if not, `path` leads to what does not.
pub fn value_fits(
    value: &Value,
    of: &Type,
    written: Written<'_>,
    path: &mut Vec<String>,
) -> Result<(), String> {
    match (value, &of.base) {
        (Value::Null, _) if of.nullable => Ok(()),
        (Value::Null, _) => Err(format!("expected a value of type {of}, found null")),
        (Value::List(values), BaseType::List(of)) => {
            let entry = Place { of: (**of).clone(), has_default: false };
            for (number, value) in values.iter().enumerate() {
                path.push(number.to_string());
                entry.takes(value, written, path)?;
                path.pop();
            }
            Ok(())
        }
        // One value stands for a list of it.
        (_, BaseType::List(of)) => value_fits(value, of, written, path),
        (_, BaseType::Named(name)) => named_fits(value, name, written, path),
    }
}

fn named_fits(
    value: &Value,
    name: &str,
    written: Written<'_>,
    path: &mut Vec<String>,
) -> Result<(), String> {
    if let Some(values) = TYPES.enums.get(name) {
        let given = match (value, written) {
            (Value::Enum(given), _) => Some(given.as_str()),
            (Value::String(given), Written::Variable) => Some(given.as_str()),
            _ => None,
        };
        let known = given.is_some_and(|given| values.iter().any(|value| value == given));
        return if known { Ok(()) } else { Err(expected(name, value)) };
    }
    if let Some(input) = TYPES.inputs.get(name) {
        return object_fits(value, name, input, written, path);
    }
    match name {
        "Int" => {
            let whole = match value {
                Value::Number(number) => number.as_i64(),
                _ => None,
            };
            fits(whole.is_some_and(|number| i32::try_from(number).is_ok()), name, value)
        }
        "Float" => fits(matches!(value, Value::Number(_)), name, value),
        "String" => fits(matches!(value, Value::String(_)), name, value),
        "Boolean" => fits(matches!(value, Value::Boolean(_)), name, value),
        "ID" => {
            let whole =
                matches!(value, Value::Number(number) if number.is_i64() || number.is_u64());
            fits(whole || matches!(value, Value::String(_)), name, value)
        }
        "DateTime" => parses::<DateTime>(value, name),
        "Long" => parses::<Long>(value, name),
        "Cidr" => parses::<Cidr>(value, name),
        "EpochToken" => parses::<EpochToken>(value, name),
        _ => Ok(()),
    }
}

fn object_fits(
    value: &Value,
    name: &str,
    input: &Input,
    written: Written<'_>,
    path: &mut Vec<String>,
) -> Result<(), String> {
    let Value::Object(given) = value else { return Err(expected(name, value)) };
    for (field, value) in given {
        path.push(field.to_string());
        let Some(place) = input.fields.get(field.as_str()) else {
            return Err(format!("{name} has no field \"{field}\""));
        };
        place.takes(value, written, path)?;
        path.pop();
    }
    for (field, place) in &input.fields {
        let absent = !given.contains_key(field.as_str());
        if absent && !place.of.nullable && !place.has_default {
            path.push(field.clone());
            return Err(format!("the field \"{field}\" of type {} is missing", place.of));
        }
    }
    if input.one_of && (given.len() != 1 || given.values().any(|value| *value == Value::Null)) {
        let names: Vec<&str> = input.fields.keys().map(String::as_str).collect();
        return Err(format!("{name} takes exactly one of {}", names.join(", ")));
    }
    Ok(())
}

fn parses<S: ScalarType + InputType>(value: &Value, name: &str) -> Result<(), String> {
    let parsed: InputValueResult<S> = ScalarType::parse(value.clone());
    parsed.map(|_| ()).map_err(|error| {
        let message = error.into_server_error(Pos::default()).message;
        let prefix = format!("Failed to parse \"{name}\": ");
        let why = message.strip_prefix(&prefix).unwrap_or(&message);
        if why.starts_with("Expected input type") {
            return expected(name, value);
        }
        format!("expected {name}, found {}: {why}", shown(value))
    })
}

fn fits(fits: bool, name: &str, value: &Value) -> Result<(), String> {
    if fits { Ok(()) } else { Err(expected(name, value)) }
}

fn expected(name: &str, value: &Value) -> String {
    let found = shown(value);
    match described(name) {
        Some(what) => format!("expected {name}, {what}, found {found}"),
        None => format!("expected {name}, found {found}"),
    }
}

/// What the values of a type are, where its name does not say it.
fn described(name: &str) -> Option<String> {
    if let Some(values) = TYPES.enums.get(name) {
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        return Some(format!("one of {}", values.join(", ")));
    }
    let what = match name {
        "Int" => return Some(format!("a whole number from {} to {}", i32::MIN, i32::MAX)),
        "Long" => "a whole number of 64 bits or a string of its digits",
        "DateTime" => "a string such as \"2026-11-23T20:33:00Z\"",
        "Cidr" => "a string such as \"10.0.0.0/8\"",
        "EpochToken" => "a string that the server gave as an `epochToken`",
        "ID" => "a string",
        _ => return None,
    };
    Some(what.to_owned())
}

/// A value, cut short.
fn shown(value: &Value) -> String {
    let whole = match value {
        Value::Object(_) => return "an object".into(),
        Value::List(_) => return "a list".into(),
        value => value.to_string(),
    };
    match whole.char_indices().nth(SHOWN_CHARS_MAX) {
        Some((at, _)) => format!("{}...", &whole[..at]),
        None => whole,
    }
}
