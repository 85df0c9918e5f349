//! Whether the values a client gave fit the schema, checked before anything runs.
//!
//! The engine finds a wrong variable only in the middle of execution and does not say which
//! argument it was for, and of a wrong literal it does not say what is wrong. Here every value is
//! held against the type the schema gives its place; the refusal names the place
//! (`filter.time.from`) and what was expected. What is not checked here (unknown fields and
//! arguments, variables of another type than their place) the engine's own validation refuses.

use std::collections::{HashMap, HashSet};
use std::convert::Infallible;
use std::sync::LazyLock;

use async_graphql::parser::parse_schema;
use async_graphql::parser::types::{
    BaseType, ExecutableDocument, OperationDefinition, OperationType, Selection, SelectionSet,
    Type, TypeKind, TypeSystemDefinition, VariableDefinition,
};
use async_graphql::{
    InputType, InputValueResult, Name, Pos, Positioned, ScalarType, ServerError, Value,
};
use async_graphql::{Variables, indexmap::IndexMap};

use crate::error::{Code, coded};
use crate::schema::scalars::{Cidr, DateTime, EpochToken, Long};

/// Characters of a value that a refusal repeats.
const SHOWN_CHARS_MAX: usize = 60;

/// The schema as far as values are concerned.
#[derive(Default)]
struct Types {
    enums: HashMap<String, Vec<String>>,
    inputs: HashMap<String, Input>,
    /// Of objects and interfaces.
    fields: HashMap<String, HashMap<String, Field>>,
}

struct Input {
    fields: IndexMap<String, Place>,
    one_of: bool,
}

/// An argument or input field.
struct Place {
    of: Type,
    has_default: bool,
}

struct Field {
    arguments: HashMap<String, Place>,
    answer: String,
}

static TYPES: LazyLock<Types> = LazyLock::new(|| {
    let document = parse_schema(crate::sdl()).expect("the schema's own text parses");
    let mut types = Types::default();
    for definition in document.definitions {
        let TypeSystemDefinition::Type(Positioned { node: definition, .. }) = definition else {
            continue;
        };
        let name = definition.name.node.to_string();
        match definition.kind {
            TypeKind::Enum(kind) => {
                let values = kind.values.into_iter().map(|value| value.node.value.node.to_string());
                types.enums.insert(name, values.collect());
            }
            TypeKind::InputObject(kind) => {
                let one_of = definition.directives.iter().any(|it| it.node.name.node == "oneOf");
                let fields = kind.fields.into_iter().map(place).collect();
                types.inputs.insert(name, Input { fields, one_of });
            }
            TypeKind::Object(kind) => {
                types.fields.insert(name, kind.fields.into_iter().map(field).collect());
            }
            TypeKind::Interface(kind) => {
                types.fields.insert(name, kind.fields.into_iter().map(field).collect());
            }
            TypeKind::Scalar | TypeKind::Union(_) => {}
        }
    }
    types
});

fn place(it: Positioned<async_graphql::parser::types::InputValueDefinition>) -> (String, Place) {
    let it = it.node;
    let place = Place { of: it.ty.node, has_default: it.default_value.is_some() };
    (it.name.node.to_string(), place)
}

fn field(it: Positioned<async_graphql::parser::types::FieldDefinition>) -> (String, Field) {
    let it = it.node;
    let arguments = it.arguments.into_iter().map(place).collect();
    (it.name.node.to_string(), Field { arguments, answer: innermost(&it.ty.node).to_owned() })
}

fn innermost(of: &Type) -> &str {
    match &of.base {
        BaseType::Named(name) => name.as_str(),
        BaseType::List(of) => innermost(of),
    }
}

/// Checks the variables and literals of an operation.
///
/// # Errors
/// The first value that does not fit, with its place.
pub fn check(
    document: &ExecutableDocument,
    operation: &OperationDefinition,
    variables: &Variables,
) -> Result<(), ServerError> {
    for definition in &operation.variable_definitions {
        check_variable(definition, variables)?;
    }
    let root = match operation.ty {
        OperationType::Query => "Query",
        OperationType::Mutation => "Mutation",
        OperationType::Subscription => "Subscription",
    };
    let known = operation.variable_definitions.iter();
    let known = known.map(|it| (it.node.name.node.as_str(), &it.node)).collect();
    let mut walk = Walk { document, variables: known, seen: HashSet::new() };
    walk.set(&operation.selection_set.node, root)
}

/// Whether a variable was given that has to be, and its value or default fits its type.
fn check_variable(
    definition: &Positioned<VariableDefinition>,
    variables: &Variables,
) -> Result<(), ServerError> {
    let Positioned { node: definition, pos } = definition;
    let (name, of) = (&definition.name.node, &definition.var_type.node);
    let mut path = vec![name.to_string()];
    let what = format!("Variable \"${name}\"");
    if let Some(default) = &definition.default_value {
        let found = value_fits(&default.node, of, Written::Literal(&Known::new()), &mut path);
        found.map_err(|why| {
            let what = format!("The default of the variable \"${name}\"");
            refused(Code::ValidationFailed, &what, &path, &why, *pos)
        })?;
    } else if !of.nullable && !variables.contains_key(name) {
        let why = format!("it is of type {of} and was not given");
        return Err(refused(Code::BadUserInput, &what, &path, &why, *pos));
    }
    let Some(value) = variables.get(name) else { return Ok(()) };
    value_fits(value, of, Written::Variable, &mut path)
        .map_err(|why| refused(Code::BadUserInput, &what, &path, &why, *pos))
}

/// The variables of an operation by name.
type Known<'d> = HashMap<&'d str, &'d VariableDefinition>;

/// Where a value is written.
#[derive(Clone, Copy)]
enum Written<'d> {
    /// In the variables: JSON.
    Variable,
    /// In the query, where it may name these variables.
    Literal(&'d Known<'d>),
}

/// The fields of an operation, each fragment once.
struct Walk<'d> {
    document: &'d ExecutableDocument,
    variables: Known<'d>,
    seen: HashSet<&'d Name>,
}

impl<'d> Walk<'d> {
    fn set(&mut self, set: &'d SelectionSet, of: &str) -> Result<(), ServerError> {
        for selection in &set.items {
            match &selection.node {
                Selection::Field(it) => {
                    let name = it.node.name.node.as_str();
                    let known = TYPES.fields.get(of).and_then(|fields| fields.get(name));
                    let Some(known) = known else { continue };
                    for (argument, value) in &it.node.arguments {
                        // A variable stands as a name that no enum value has.
                        let constant = value.node.clone().into_const_with(|name| {
                            Ok::<_, Infallible>(Value::Enum(Name::new(format!("${name}"))))
                        });
                        let Ok(constant) = constant;
                        let argument = argument.node.as_str();
                        self.literal(name, known, argument, &constant, value.pos)?;
                    }
                    self.set(&it.node.selection_set.node, &known.answer)?;
                }
                Selection::InlineFragment(it) => {
                    let on = it.node.type_condition.as_ref();
                    let on = on.map_or(of, |on| on.node.on.node.as_str());
                    self.set(&it.node.selection_set.node, on)?;
                }
                Selection::FragmentSpread(it) => {
                    let name = &it.node.fragment_name.node;
                    let Some((name, fragment)) = self.document.fragments.get_key_value(name) else {
                        continue;
                    };
                    if self.seen.insert(name) {
                        let on = fragment.node.type_condition.node.on.node.as_str();
                        self.set(&fragment.node.selection_set.node, on)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn literal(
        &self,
        field: &str,
        known: &Field,
        argument: &str,
        value: &Value,
        pos: Pos,
    ) -> Result<(), ServerError> {
        let Some(place) = known.arguments.get(argument) else { return Ok(()) };
        let mut path = vec![argument.to_owned()];
        place.takes(value, Written::Literal(&self.variables), &mut path).map_err(|why| {
            let what = format!("Argument \"{argument}\" of \"{field}\"");
            refused(Code::ValidationFailed, &what, &path, &why, pos)
        })
    }
}

impl Place {
    /// Whether a value, or a variable, fits here.
    fn takes(
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

fn refused(code: Code, what: &str, path: &[String], why: &str, pos: Pos) -> ServerError {
    let at = match path {
        [] | [_] => String::new(),
        longer => format!(" at \"{}\"", longer.join(".")),
    };
    let mut error = coded(code, format!("{what} got an invalid value{at}: {why}"));
    error.locations.push(pos);
    let path = path.iter().map(|step| Value::from(step.as_str())).collect();
    error.extensions.get_or_insert_default().set("input", Value::List(path));
    error
}

/// Whether a value fits a type; if not, `path` leads to what does not.
fn value_fits(
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
