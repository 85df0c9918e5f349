//! Where a secret value sits in a record, and how it is replaced there.
//!
//! A base names one value, but a record may hold it in several places: a cookie is also in the
//! cookie header, a name may repeat, a form may still be the text it was. All of them go.

use std::borrow::Cow;
use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::super::marker::{MARKER, Marker};
use super::super::read::AUTHORIZATION;
use super::{Sealer, percent_coded};
use crate::point::json::Index;
use crate::point::read::{form_text, pairs, percent_decode, segment};
use crate::point::{Base, Pointer, Side};
use crate::request::{Body, Fields, Message, Request};

/// Replaces every value a base can mean. True: a body may have changed.
pub(super) fn redact(base: &Base, request: &mut Request<'_>, sealer: &mut Sealer<'_>) -> bool {
    match base {
        Base::Url => url(request, sealer),
        Base::Path => sealer.replace(&mut request.path),
        Base::Segment(number) => path_segment(&mut request.path, *number, sealer),
        Base::ClientIp => sealer.replace(&mut request.ip),
        Base::ClientUserAgent => user_agent(request, sealer),
        Base::Header(Side::Request, name) if name == "user-agent" => user_agent(request, sealer),
        Base::Header(side, name) => headers(request, *side, name, sealer),
        Base::Cookie(side, name) => cookies(request, *side, name, sealer),
        Base::Query(name) => parameters(&mut request.query, name, sealer),
        Base::Form(name) => return form(request, name, sealer),
        Base::Body(side, pointer) => {
            body(request, *side, pointer, sealer);
            return true;
        }
        Base::McpArg(pointer) => {
            calls(request, &["params", "arguments"], pointer, sealer);
            return true;
        }
        Base::GqlVar(pointer) => {
            calls(request, &["variables"], pointer, sealer);
            query_variables(&mut request.query, pointer, sealer);
            return true;
        }
        // Rules that read these are never secret.
        Base::Method
        | Base::Host
        | Base::Status
        | Base::App
        | Base::RpcMethod
        | Base::McpTool
        | Base::GqlOperation => {}
    }
    false
}

/// Credentials with a user's name and no password.
pub(super) fn encode_user(name: &str) -> String {
    STANDARD.encode(format!("{name}:"))
}

fn side<'r, 'a>(request: &'r mut Request<'a>, side: Side) -> &'r mut Message<'a> {
    match side {
        Side::Request => &mut request.request,
        Side::Response => &mut request.response,
    }
}

fn url(request: &mut Request<'_>, sealer: &mut Sealer<'_>) {
    // A marker in the path's place: the whole was replaced before.
    if sealer.is_marker(&request.path) {
        return;
    }
    let whole = crate::point::read::url(request);
    if let Some(marker) = sealer.seal(&whole) {
        request.path = Cow::Owned(marker);
        request.query = Cow::Borrowed("");
    }
}

fn path_segment(path: &mut Cow<'_, str>, number: i32, sealer: &mut Sealer<'_>) {
    let Some((at, text)) = segment(path, number) else { return };
    let end = at + text.len();
    if let Some(marker) = sealer.seal(text) {
        *path = Cow::Owned(format!("{}{marker}{}", &path[..at], &path[end..]));
    }
}

fn user_agent(request: &mut Request<'_>, sealer: &mut Sealer<'_>) {
    sealer.replace(&mut request.user_agent);
    headers(request, Side::Request, "user-agent", sealer);
}

fn headers(request: &mut Request<'_>, of: Side, name: &str, sealer: &mut Sealer<'_>) {
    let message = side(request, of);
    for (known, value) in &mut message.headers {
        if !known.eq_ignore_ascii_case(name) {
            continue;
        }
        // Of credentials the built-in key redacted, nothing but the marker stays.
        if name == AUTHORIZATION
            && let Some((before, _)) = Marker::at_end(value)
            && sealer.is_marker(&value[before.len()..])
        {
            *value = Cow::Owned(value[before.len()..].to_owned());
        }
        sealer.replace(value);
    }
    let holds_cookies = match of {
        Side::Request => name == "cookie",
        Side::Response => name == "set-cookie",
    };
    if holds_cookies {
        message.cookies.iter_mut().for_each(|(_, value)| sealer.replace(value));
    }
}

fn cookies(request: &mut Request<'_>, of: Side, name: &str, sealer: &mut Sealer<'_>) {
    let message = side(request, of);
    replace_named(&mut message.cookies, name, sealer);
    let (header, count) = match of {
        Side::Request => ("cookie", usize::MAX),
        Side::Response => ("set-cookie", 1),
    };
    for (known, value) in &mut message.headers {
        if known.eq_ignore_ascii_case(header)
            && let Some(redacted) = cookie_header(value, name, count, sealer)
        {
            *value = Cow::Owned(redacted);
        }
    }
}

fn replace_named(fields: &mut Fields<'_>, name: &str, sealer: &mut Sealer<'_>) {
    for (known, value) in fields {
        if known == name {
            sealer.replace(value);
        }
    }
}

/// A cookie header with a cookie's value replaced, looking at the first `count` parts.
fn cookie_header(text: &str, name: &str, count: usize, sealer: &mut Sealer<'_>) -> Option<String> {
    let mut changes = Vec::new();
    let mut at = 0;
    for part in text.split(';').take(count) {
        if let Some((known, value)) = part.split_once('=')
            && known.trim() == name
            && let Some(marker) = sealer.seal(value.trim())
        {
            let start = at + known.len() + 1;
            changes.push((start..at + part.len(), marker));
        }
        at += part.len() + 1;
    }
    replaced(text, changes)
}

/// A text with some ranges, in order, replaced; none when there are none.
pub(super) fn replaced(text: &str, changes: Vec<(Range<usize>, String)>) -> Option<String> {
    if changes.is_empty() {
        return None;
    }
    let (mut out, mut at) = (String::with_capacity(text.len() + 64), 0);
    for (range, with) in changes {
        out.push_str(&text[at..range.start]);
        out.push_str(&with);
        at = range.end;
    }
    out.push_str(&text[at..]);
    Some(out)
}

/// A query or form with a parameter's values replaced.
fn redacted_pairs(
    text: &str,
    name: &str,
    mut redacted: impl FnMut(&str) -> Option<String>,
) -> Option<String> {
    let mut changes = Vec::new();
    let mut at = 0;
    for (pair, (known, value)) in text.split('&').zip(pairs(text)) {
        if percent_decode(known) == name
            && let Some(with) = redacted(&percent_decode(value))
        {
            changes.push((at + pair.len() - value.len()..at + pair.len(), with));
        }
        at += pair.len() + 1;
    }
    replaced(text, changes)
}

fn parameters(text: &mut Cow<'_, str>, name: &str, sealer: &mut Sealer<'_>) {
    let sealed = |value: &str| sealer.seal(value).map(|marker| percent_coded(&marker));
    if let Some(redacted) = redacted_pairs(text, name, sealed) {
        *text = Cow::Owned(redacted);
    }
}

fn form(request: &mut Request<'_>, name: &str, sealer: &mut Sealer<'_>) -> bool {
    replace_named(&mut request.request.form, name, sealer);
    let Some(text) = form_text(request) else { return false };
    let sealed = |value: &str| sealer.seal(value).map(|marker| percent_coded(&marker));
    let Some(redacted) = redacted_pairs(text, name, sealed) else { return false };
    request.request.body = Body::Text(Cow::Owned(redacted));
    true
}

fn body(request: &mut Request<'_>, of: Side, pointer: &Pointer, sealer: &mut Sealer<'_>) {
    let body = &mut side(request, of).body;
    if let (Body::Text(text), true) = (&mut *body, pointer.is_whole()) {
        sealer.replace(text);
        return;
    }
    let tokens: Vec<&str> = pointer.tokens().iter().map(String::as_str).collect();
    members(body, &[tokens], sealer);
}

/// A place inside a call; of a batch, inside each of its calls.
fn calls(request: &mut Request<'_>, head: &[&str], pointer: &Pointer, sealer: &mut Sealer<'_>) {
    let tail = pointer.tokens().iter().map(String::as_str);
    let path: Vec<&str> = head.iter().copied().chain(tail).collect();
    let body = &mut request.request.body;
    let mut index = Index::default();
    let count = match &*body {
        Body::Json(text) | Body::Text(text) if index.parse(text) => index.array_len(),
        _ => return,
    };
    let Some(count) = count else { return members(body, &[path], sealer) };
    let numbers: Vec<String> = (0..count).map(|number| number.to_string()).collect();
    let calls = numbers.iter().map(|number| {
        std::iter::once(number.as_str()).chain(path.iter().copied()).collect::<Vec<&str>>()
    });
    members(body, &calls.collect::<Vec<_>>(), sealer);
}

fn members(body: &mut Body<'_>, paths: &[Vec<&str>], sealer: &mut Sealer<'_>) {
    let (Body::Json(text) | Body::Text(text)) = body else { return };
    if let Some(redacted) = json(text, paths, sealer) {
        *text = Cow::Owned(redacted);
    }
}

/// A JSON text with the values at some paths replaced.
fn json(text: &str, paths: &[Vec<&str>], sealer: &mut Sealer<'_>) -> Option<String> {
    let mut index = Index::default();
    if !index.parse(text) {
        return None;
    }
    let mut changes = Vec::new();
    for path in paths {
        for node in index.find_all(text, path) {
            if let Some(marker) = index.value(text, node).and_then(|value| sealer.seal(&value)) {
                let quoted = format!("\"\\u0001{}\"", marker.trim_start_matches(MARKER));
                changes.push((index.span(node), quoted));
            }
        }
    }
    changes.sort_by_key(|(range, _)| range.start);
    replaced(text, changes)
}

/// Variables of a GraphQL GET.
fn query_variables(query: &mut Cow<'_, str>, pointer: &Pointer, sealer: &mut Sealer<'_>) {
    let path: Vec<&str> = pointer.tokens().iter().map(String::as_str).collect();
    let redacted = redacted_pairs(query, "variables", |value| {
        let redacted = json(value, std::slice::from_ref(&path), sealer)?;
        let coded = percent_encoding::NON_ALPHANUMERIC;
        Some(percent_encoding::utf8_percent_encode(&redacted, coded).to_string())
    });
    if let Some(redacted) = redacted {
        *query = Cow::Owned(redacted);
    }
}
