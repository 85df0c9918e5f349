//! Bounds and parses a query text before the engine sees it, and chooses its operation.
//!
//! The engine's own checks walk fragments as often as they are spread and its parser recurses with
//! the nesting of the text, so both are bounded here first, in time linear in the text: tokens and
//! nesting by a scan, expanded fields by one memoised count for each fragment.

use std::collections::HashMap;

use async_graphql::parser::parse_query;
use async_graphql::parser::types::{
    ExecutableDocument, OperationDefinition, OperationType, Selection, SelectionSet,
};
use async_graphql::{Name, ServerError, Variables};

use crate::coerce;
use crate::error::{Code, coded};
use crate::options::OperationLimits;

/// Deepest nesting of brackets in a query text.
const NESTING_MAX: usize = 64;

/// A query that may be executed.
#[derive(Debug)]
pub struct Document {
    /// Parsed.
    pub parsed: ExecutableDocument,
    /// Kind of the operation that was chosen.
    pub kind: OperationType,
}

/// Parses a query and chooses its operation.
///
/// # Errors
/// What the client is told: a limit, the place of a syntax error, an unknown operation, a missing
/// variable.
pub fn prepare(
    query: &str,
    operation: Option<&str>,
    variables: &Variables,
    limits: &OperationLimits,
) -> Result<Document, ServerError> {
    if query.len() > limits.query_bytes_max {
        let most = limits.query_bytes_max;
        return Err(exhausted(format!("the query text is longer than {most} bytes")));
    }
    scan(query, limits.tokens_max)?;
    let parsed = parse_query(query).map_err(unparsed)?;
    Expansion::of(&parsed, limits.fields_max)?;
    let chosen = choose(&parsed, operation)?;
    coerce::check(&parsed, chosen, variables)?;
    let kind = chosen.ty;
    if kind == OperationType::Subscription {
        check_single_root(&parsed, chosen)?;
    }
    Ok(Document { parsed, kind })
}

fn exhausted(message: String) -> ServerError {
    coded(Code::ResourceExhausted, message)
}

/// Counts tokens and nesting without recursion; texts and comments are skipped.
fn scan(query: &str, tokens_max: usize) -> Result<(), ServerError> {
    let bytes = query.as_bytes();
    let (mut at, mut tokens, mut nesting) = (0, 0_usize, 0_usize);
    while let Some(&byte) = bytes.get(at) {
        let start = at;
        at += 1;
        match byte {
            b' ' | b'\t' | b'\r' | b'\n' | b',' | 0xef | 0xbb | 0xbf => continue,
            b'#' => {
                while bytes.get(at).is_some_and(|&b| b != b'\n' && b != b'\r') {
                    at += 1;
                }
                continue;
            }
            b'"' => at = end_of_string(bytes, start),
            b'{' | b'(' | b'[' => nesting += 1,
            b'}' | b')' | b']' => nesting = nesting.saturating_sub(1),
            _ => {
                let word = |b: &u8| b.is_ascii_alphanumeric() || *b == b'_';
                if word(&byte) {
                    at += bytes[at..].iter().take_while(|b| word(b)).count();
                }
            }
        }
        tokens += 1;
        if tokens > tokens_max {
            return Err(exhausted(format!("the query has more than {tokens_max} tokens")));
        }
        if nesting > NESTING_MAX {
            return Err(exhausted(format!("the query nests more than {NESTING_MAX} brackets")));
        }
    }
    Ok(())
}

/// Just after the string that begins at `start`, or the end of the text.
fn end_of_string(bytes: &[u8], start: usize) -> usize {
    let block = bytes[start..].starts_with(b"\"\"\"");
    let mut at = start + if block { 3 } else { 1 };
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'\\' if !block => at += 2,
            b'\\' if bytes[at..].starts_with(b"\\\"\"\"") => at += 4,
            b'"' if !block => return at + 1,
            b'"' if bytes[at..].starts_with(b"\"\"\"") => return at + 3,
            b'\n' | b'\r' if !block => return at,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// Size of a document with its fragments expanded.
struct Expansion<'a> {
    document: &'a ExecutableDocument,
    /// `None` while a fragment is being counted: seeing it again is a cycle.
    known: HashMap<&'a Name, Option<usize>>,
}

impl<'a> Expansion<'a> {
    fn of(document: &'a ExecutableDocument, most: usize) -> Result<(), ServerError> {
        let mut expansion = Self { document, known: HashMap::new() };
        let mut total = 0_usize;
        for (_, operation) in document.operations.iter() {
            total = total.saturating_add(expansion.count(&operation.node.selection_set.node)?);
        }
        for name in document.fragments.keys() {
            expansion.fragment(name)?;
        }
        if total > most {
            return Err(exhausted(format!("the query selects more than {most} fields")));
        }
        Ok(())
    }

    fn count(&mut self, set: &'a SelectionSet) -> Result<usize, ServerError> {
        let mut total = 0_usize;
        for selection in &set.items {
            total = total.saturating_add(match &selection.node {
                Selection::Field(field) => {
                    self.count(&field.node.selection_set.node)?.saturating_add(1)
                }
                Selection::InlineFragment(inline) => {
                    self.count(&inline.node.selection_set.node)?.saturating_add(1)
                }
                Selection::FragmentSpread(spread) => {
                    self.fragment(&spread.node.fragment_name.node)?.saturating_add(1)
                }
            });
        }
        Ok(total)
    }

    /// Recurses at most as deep as there are fragments, each of which costs tokens.
    fn fragment(&mut self, name: &'a Name) -> Result<usize, ServerError> {
        match self.known.get(name) {
            Some(Some(count)) => return Ok(*count),
            Some(None) => {
                let text = format!("Cannot spread fragment \"{name}\" within itself");
                return Err(coded(Code::ValidationFailed, text));
            }
            None => {}
        }
        if self.known.len() > FRAGMENTS_MAX {
            return Err(exhausted(format!("the query has more than {FRAGMENTS_MAX} fragments")));
        }
        self.known.insert(name, None);
        let count = match self.document.fragments.get(name) {
            Some(fragment) => self.count(&fragment.node.selection_set.node)?,
            None => 0,
        };
        self.known.insert(name, Some(count));
        Ok(count)
    }
}

/// Most fragments of a document: bounds the recursion over fragments that spread one another.
const FRAGMENTS_MAX: usize = 100;

fn choose<'a>(
    document: &'a ExecutableDocument,
    name: Option<&str>,
) -> Result<&'a OperationDefinition, ServerError> {
    let mut all = document.operations.iter();
    let chosen = match name {
        Some(name) => all.find(|(known, _)| known.is_some_and(|known| known == name)),
        None => all.next().filter(|_| all.next().is_none()),
    };
    let refused = || match name {
        Some(name) => coded(Code::BadRequest, format!("Unknown operation named \"{name}\"")),
        None => coded(
            Code::BadRequest,
            "The document has several operations: `operationName` must name one",
        ),
    };
    chosen.map(|(_, operation)| &operation.node).ok_or_else(refused)
}

/// What the parser says in several lines, with the query's own text among them, in one.
fn unparsed(error: async_graphql::parser::Error) -> ServerError {
    let mut error = ServerError::from(error);
    if let Some((_, expected)) = error.message.rsplit_once("\n  = ") {
        error.message = format!("Syntax error: {}", expected.replace('_', " "));
    }
    error.extensions.get_or_insert_default().set("code", Code::ParseFailed.as_str());
    error
}

fn check_single_root(
    document: &ExecutableDocument,
    operation: &OperationDefinition,
) -> Result<(), ServerError> {
    fn roots(document: &ExecutableDocument, set: &SelectionSet) -> usize {
        let of = |selection: &Selection| match selection {
            Selection::Field(_) => 1,
            Selection::InlineFragment(inline) => roots(document, &inline.node.selection_set.node),
            Selection::FragmentSpread(spread) => document
                .fragments
                .get(&spread.node.fragment_name.node)
                .map_or(0, |fragment| roots(document, &fragment.node.selection_set.node)),
        };
        set.items.iter().map(|item| of(&item.node)).sum()
    }
    if roots(document, &operation.selection_set.node) == 1 {
        return Ok(());
    }
    Err(coded(Code::ValidationFailed, "A subscription must select exactly one top level field"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(query: &str, expected: Result<OperationType, &str>) {
        let found = prepare(query, None, &Variables::default(), &OperationLimits::default());
        let found = found.map(|document| document.kind).map_err(|error| {
            let values = error.extensions.expect("every refusal has a code");
            values.get("code").expect("every refusal has a code").to_string()
        });
        assert_eq!(found, expected.map_err(|code| format!("\"{code}\"")), "{query:.80}");
    }

    #[test]
    fn a_query_is_refused_before_it_can_cost_anything() {
        check("{ a }", Ok(OperationType::Query));
        check("mutation { a }", Ok(OperationType::Mutation));
        check("subscription { a }", Ok(OperationType::Subscription));
        check("subscription { a b }", Err("GRAPHQL_VALIDATION_FAILED"));
        check("subscription { ...F } fragment F on S { a b }", Err("GRAPHQL_VALIDATION_FAILED"));
        check("query A { a } query B { a }", Err("BAD_REQUEST"));
        check("query ($x: Int!) { a }", Err("BAD_USER_INPUT"));
        check("query ($x: Int! = 1) { a }", Ok(OperationType::Query));
        check("{", Err("GRAPHQL_PARSE_FAILED"));
        check("", Err("GRAPHQL_PARSE_FAILED"));
        check("{ a(x: \"}}}\\\"\") } # {{{", Ok(OperationType::Query));
        check("{ a(x: \"\"\"{ \\\"\"\" { \"\"\") }", Ok(OperationType::Query));
        check(&"{a".repeat(30_000), Err("RESOURCE_EXHAUSTED"));
        check(&"[".repeat(60_000), Err("RESOURCE_EXHAUSTED"));
        check(&format!("{{{}}}", "a ".repeat(9_000)), Err("RESOURCE_EXHAUSTED"));
        check(&"#".repeat(70_000), Err("RESOURCE_EXHAUSTED"));
    }

    #[test]
    fn a_syntax_error_is_told_in_one_line() {
        for (query, message) in [
            ("{a", "Syntax error: expected selection set, selection, directive, or arguments"),
            ("", "Syntax error: expected executable definition"),
            ("{\n  = }\n", "Syntax error: expected selection"),
        ] {
            let limits = OperationLimits::default();
            let refused = prepare(query, None, &Variables::default(), &limits).unwrap_err();
            assert_eq!(refused.message, message, "{query}");
            assert_eq!(refused.locations.len(), 1);
        }
    }

    #[test]
    fn fragments_that_multiply_or_circle_are_refused_at_once() {
        let multiply: String =
            (0..40).map(|n| format!("fragment F{n} on Q {{ ...F{0} ...F{0} }}", n + 1)).collect();
        check(
            &format!("{{ ...F0 }} {multiply} fragment F40 on Q {{ a }}"),
            Err("RESOURCE_EXHAUSTED"),
        );
        let circle = "{ ...A } fragment A on Q { ...B } fragment B on Q { ...A }";
        check(circle, Err("GRAPHQL_VALIDATION_FAILED"));
        let many: String =
            (0..200).map(|n| format!("fragment F{n} on Q {{ ...F{} }}", n + 1)).collect();
        check(&format!("{{ ...F0 }} {many}"), Err("RESOURCE_EXHAUSTED"));
    }
}
