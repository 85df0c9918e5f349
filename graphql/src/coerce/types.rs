//! The schema as far as values are concerned: which arguments and input fields there are, and of
//! which types. Read from the schema's own text, so that the checks cannot disagree with what is
//! served.

use std::collections::HashMap;
use std::sync::LazyLock;

use async_graphql::Positioned;
use async_graphql::indexmap::IndexMap;
use async_graphql::parser::parse_schema;
use async_graphql::parser::types::{
    BaseType, FieldDefinition, InputValueDefinition, Type, TypeKind, TypeSystemDefinition,
};

/// The schema as far as values are concerned.
#[derive(Default)]
pub struct Types {
    /// Their values, sorted.
    pub enums: HashMap<String, Vec<String>>,
    /// Input objects.
    pub inputs: HashMap<String, Input>,
    /// Of objects and interfaces.
    pub fields: HashMap<String, HashMap<String, Field>>,
}

/// An input object.
pub struct Input {
    /// In the schema's order.
    pub fields: IndexMap<String, Place>,
    /// It takes exactly one of its fields.
    pub one_of: bool,
}

/// An argument or input field.
pub struct Place {
    /// What is expected.
    pub of: Type,
    /// What is absent has a value all the same.
    pub has_default: bool,
}

/// A field of an object or interface.
pub struct Field {
    /// By name.
    pub arguments: HashMap<String, Place>,
    /// Name of the type it answers with, without lists.
    pub answer: String,
}

/// The schema, read once from its own text.
pub static TYPES: LazyLock<Types> = LazyLock::new(|| {
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

fn place(it: Positioned<InputValueDefinition>) -> (String, Place) {
    let it = it.node;
    let place = Place { of: it.ty.node, has_default: it.default_value.is_some() };
    (it.name.node.to_string(), place)
}

fn field(it: Positioned<FieldDefinition>) -> (String, Field) {
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
