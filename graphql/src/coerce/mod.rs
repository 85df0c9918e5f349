//! Whether the values a client gave fit the schema, checked before anything runs.
//!
//! The engine finds a wrong variable only in the middle of execution and does not say which
//! argument it was for, and of a wrong literal it does not say what is wrong. Here every value is
//! held against the type the schema gives its place; the refusal names the place
//! (`filter.time.from`) and what was expected. What is not checked here (unknown fields and
//! arguments, variables of another type than their place) the engine's own validation refuses.

mod types;
mod values;

use std::collections::HashSet;
use std::convert::Infallible;

use async_graphql::parser::types::{
    ExecutableDocument, OperationDefinition, OperationType, Selection, SelectionSet,
    VariableDefinition,
};
use async_graphql::{Name, Pos, Positioned, ServerError, Value, Variables};

use crate::error::{Code, coded};
use types::{Field, TYPES};
use values::{Known, Written, value_fits};

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
