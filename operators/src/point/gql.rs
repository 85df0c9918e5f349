//! GraphQL over HTTP: the operation's name and its variables, from a body or a GET's query.
//!
//! The operation is what `operationName` says, else the first named operation of the document. Of
//! a batch, the first request counts.

use std::borrow::Cow;

use super::read::{Bodies, parameter};
use super::{Pointer, Side};
use crate::request::Request;

/// The operation's name.
pub(super) fn operation<'r>(request: &'r Request<'_>, bodies: &mut Bodies) -> Option<Cow<'r, str>> {
    if let Some(name) = member(request, bodies, &["operationName"]) {
        return Some(name);
    }
    if let Some(document) = member(request, bodies, &["query"]) {
        return first_named(document);
    }
    let named = parameter(&request.query, "operationName").filter(|name| !name.is_empty());
    named.or_else(|| first_named(parameter(&request.query, "query")?))
}

/// A variable.
pub(super) fn variable<'r>(
    request: &'r Request<'_>,
    bodies: &mut Bodies,
    pointer: &Pointer,
) -> Option<Cow<'r, str>> {
    let mut path = smallvec::SmallVec::<[&str; 8]>::from_slice(&["variables"]);
    path.extend(pointer.tokens().iter().map(String::as_str));
    if let Some(value) = member(request, bodies, &path) {
        return Some(value);
    }
    let variables = parameter(&request.query, "variables")?;
    if !bodies.spare.parse(&variables) {
        return None;
    }
    bodies.spare.read(&variables, pointer).map(|value| Cow::Owned(value.into_owned()))
}

fn member<'r>(
    request: &'r Request<'_>,
    bodies: &mut Bodies,
    path: &[&str],
) -> Option<Cow<'r, str>> {
    let (text, index) = bodies.json(request, Side::Request)?;
    let node = index.find(text, 0, if index.is_array() { &["0"] } else { &[] })?;
    let node = index.find(text, node, path)?;
    index.value(text, node)
}

fn first_named(document: Cow<'_, str>) -> Option<Cow<'_, str>> {
    match document {
        Cow::Borrowed(text) => named_operation(text).map(Cow::Borrowed),
        Cow::Owned(text) => named_operation(&text).map(|name| Cow::Owned(name.to_owned())),
    }
}

/// The first name that follows `query`, `mutation` or `subscription` outside all braces.
fn named_operation(document: &str) -> Option<&str> {
    let bytes = document.as_bytes();
    let (mut at, mut depth, mut keyword) = (0, 0_usize, false);
    while at < bytes.len() {
        match bytes[at] {
            b'{' | b'(' | b'[' => (depth, keyword) = (depth + 1, false),
            b'}' | b')' | b']' => depth = depth.saturating_sub(1),
            b'#' => at += bytes[at..].iter().position(|b| *b == b'\n').unwrap_or(bytes.len() - at),
            b'"' => at = end_of_string(bytes, at),
            b'_' | b'a'..=b'z' | b'A'..=b'Z' => {
                let rest = &bytes[at..];
                let inside = |b: &u8| !(b.is_ascii_alphanumeric() || *b == b'_');
                let end = at + rest.iter().position(inside).unwrap_or(rest.len());
                let word = &document[at..end];
                if keyword && depth == 0 {
                    return Some(word);
                }
                keyword = depth == 0 && matches!(word, "query" | "mutation" | "subscription");
                at = end;
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    None
}

/// The last byte of the string or block string that begins here.
fn end_of_string(bytes: &[u8], start: usize) -> usize {
    let block = bytes[start..].starts_with(b"\"\"\"");
    let mut at = start + if block { 3 } else { 1 };
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 1,
            b'"' if !block => return at,
            b'"' if bytes[at..].starts_with(b"\"\"\"") => return at + 2,
            _ => {}
        }
        at += 1;
    }
    at
}
