//! Reading a base: the value a request has at a place, borrowed wherever it can be.
//!
//! Nothing here knows of secrets: a redacted value reads as the marker it is, and `redact.rs`
//! decides what that means. A body is parsed once for a request and side, when it is first asked.

use std::borrow::Cow;

use super::json::Index;
use super::{Base, Point, Pointer, Side, gql, pipe};
use crate::request::{Body, Fields, Message, Request};

/// Parsed bodies of the request at hand, and buffers. Reset it for each request.
#[derive(Debug, Default)]
pub struct Bodies {
    request: Parsed,
    response: Parsed,
    /// For JSON inside values.
    pub(crate) spare: Index,
}

#[derive(Debug, Default)]
struct Parsed {
    state: State,
    index: Index,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Unknown,
    NotJson,
    Json,
}

impl Bodies {
    /// Forgets the bodies: before another request, or when a body has changed.
    #[inline]
    pub fn reset(&mut self) {
        self.request.state = State::Unknown;
        self.response.state = State::Unknown;
    }

    /// A body as JSON, whether it came as JSON or as a text that holds some.
    pub(crate) fn json<'r>(
        &mut self,
        request: &'r Request<'_>,
        side: Side,
    ) -> Option<(&'r str, &Index)> {
        let (message, parsed) = match side {
            Side::Request => (&request.request, &mut self.request),
            Side::Response => (&request.response, &mut self.response),
        };
        let text = body_text(&message.body)?;
        if parsed.state == State::Unknown {
            let json = parsed.index.parse(text);
            parsed.state = if json { State::Json } else { State::NotJson };
        }
        (parsed.state == State::Json).then_some((text, &parsed.index))
    }
}

impl Point {
    /// The value of the point in a request; none when it did not work.
    pub fn read<'r>(&self, request: &'r Request<'_>, bodies: &mut Bodies) -> Option<Cow<'r, str>> {
        let value = self.base.read(request, bodies)?;
        self.pass(value, bodies)
    }

    /// Puts a value of the base through the pipes.
    pub(crate) fn pass<'r>(
        &self,
        mut value: Cow<'r, str>,
        bodies: &mut Bodies,
    ) -> Option<Cow<'r, str>> {
        for step in &self.pipes {
            value = pipe::apply(step, value, &mut bodies.spare)?;
            if value.is_empty() {
                return None;
            }
        }
        Some(value)
    }
}

impl Base {
    /// Whether a rule that reads here may be secret: what routes a request, or names what it does,
    /// cannot be.
    pub(crate) fn can_be_secret(&self) -> bool {
        !matches!(
            self,
            Self::Method
                | Self::Host
                | Self::Status
                | Self::App
                | Self::RpcMethod
                | Self::McpTool
                | Self::GqlOperation
        )
    }

    /// The value at this place; none when it did not work.
    #[inline]
    pub(crate) fn read<'r>(
        &self,
        request: &'r Request<'_>,
        bodies: &mut Bodies,
    ) -> Option<Cow<'r, str>> {
        let text: &'r str = match self {
            Base::Method => &request.method,
            Base::Host => &request.host,
            Base::Path => &request.path,
            Base::App => &request.app,
            Base::ClientIp => &request.ip,
            Base::ClientUserAgent => &request.user_agent,
            Base::Header(side, name) => header(message(request, *side), name)?,
            Base::Cookie(side, name) => field(&message(request, *side).cookies, name)?,
            Base::Segment(number) => segment(&request.path, *number)?.1,
            _ => return self.read_inside(request, bodies),
        };
        (!text.is_empty()).then_some(Cow::Borrowed(text))
    }

    /// The places that take parsing.
    fn read_inside<'r>(
        &self,
        request: &'r Request<'_>,
        bodies: &mut Bodies,
    ) -> Option<Cow<'r, str>> {
        let value = match self {
            Base::Url => Cow::Owned(url(request)),
            Base::Status if request.status > 0 => Cow::Owned(request.status.to_string()),
            Base::Query(name) => parameter(&request.query, name)?,
            Base::Form(name) => form(request, name)?,
            Base::Body(side, pointer) => body(request, bodies, *side, pointer)?,
            Base::RpcMethod => rpc(request, bodies, &["method"], &[])?,
            Base::McpTool if is_tool_call(request, bodies) => {
                rpc(request, bodies, &["params", "name"], &[])?
            }
            Base::McpArg(pointer) if is_tool_call(request, bodies) => {
                rpc(request, bodies, &["params", "arguments"], pointer.tokens())?
            }
            Base::GqlOperation => gql::operation(request, bodies)?,
            Base::GqlVar(pointer) => gql::variable(request, bodies, pointer)?,
            _ => return None,
        };
        (!value.is_empty()).then_some(value)
    }
}

pub(crate) fn message<'r, 'a>(request: &'r Request<'a>, side: Side) -> &'r Message<'a> {
    match side {
        Side::Request => &request.request,
        Side::Response => &request.response,
    }
}

#[inline]
fn header<'r>(message: &'r Message<'_>, name: &str) -> Option<&'r str> {
    let found = message.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value.as_ref())
}

#[inline]
fn field<'r>(fields: &'r Fields<'_>, name: &str) -> Option<&'r str> {
    fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_ref())
}

/// A segment of a raw path and its place; a trailing `/` does not begin one.
pub(crate) fn segment(path: &str, number: i32) -> Option<(usize, &str)> {
    let inner = path.strip_prefix('/').unwrap_or(path);
    let offset = path.len() - inner.len();
    let inner = inner.strip_suffix('/').unwrap_or(inner);
    let mut places = inner.split('/').scan(offset, |at, text| {
        let place = *at;
        *at += text.len() + 1;
        Some((place, text))
    });
    match usize::try_from(number) {
        Ok(number) => places.nth(number),
        Err(_) => {
            let count = inner.bytes().filter(|b| *b == b'/').count() + 1;
            let back = usize::try_from(number.unsigned_abs()).ok()?;
            places.nth(count.checked_sub(back)?)
        }
    }
}

pub(crate) fn url(request: &Request<'_>) -> String {
    let mut out = String::new();
    if !request.host.is_empty() && !request.path.starts_with('\u{1}') {
        out.push_str("//");
        out.push_str(&request.host);
    }
    out.push_str(&request.path);
    if !request.query.is_empty() {
        out.push('?');
        out.push_str(&request.query);
    }
    out
}

/// Percent-decoded, `+` as a space; bytes that are not UTF-8 become U+FFFD.
pub(crate) fn percent_decode(raw: &str) -> Cow<'_, str> {
    if memchr::memchr2(b'%', b'+', raw.as_bytes()).is_none() {
        return Cow::Borrowed(raw);
    }
    let spaced: Cow<'_, str> =
        if raw.contains('+') { raw.replace('+', " ").into() } else { raw.into() };
    percent_encoding::percent_decode_str(&spaced).decode_utf8_lossy().into_owned().into()
}

/// Places of the pairs of a query or form: whole name and whole value, raw.
pub(crate) fn pairs(raw: &str) -> impl Iterator<Item = (&str, &str)> {
    raw.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

/// The first value of a name in a query or form.
pub(crate) fn parameter<'r>(raw: &'r str, name: &str) -> Option<Cow<'r, str>> {
    if raw.is_empty() {
        return None;
    }
    let found = pairs(raw).find(|(known, _)| percent_decode(known) == name);
    found.map(|(_, value)| percent_decode(value))
}

/// The body as a form, when its content type says so.
pub(crate) fn form_text<'r>(request: &'r Request<'_>) -> Option<&'r str> {
    const FORM: &str = "application/x-www-form-urlencoded";
    let Body::Text(text) = &request.request.body else { return None };
    let kind = header(&request.request, "content-type")?;
    kind.get(..FORM.len()).is_some_and(|kind| kind.eq_ignore_ascii_case(FORM)).then_some(text)
}

fn form<'r>(request: &'r Request<'_>, name: &str) -> Option<Cow<'r, str>> {
    let known = field(&request.request.form, name).map(Cow::Borrowed);
    known.or_else(|| parameter(form_text(request)?, name))
}

fn body_text<'r>(body: &'r Body<'_>) -> Option<&'r str> {
    match body {
        Body::Absent => None,
        Body::Json(text) | Body::Text(text) => Some(text),
    }
}

fn body<'r>(
    request: &'r Request<'_>,
    bodies: &mut Bodies,
    side: Side,
    pointer: &Pointer,
) -> Option<Cow<'r, str>> {
    if let (Body::Text(text), true) = (&message(request, side).body, pointer.is_whole()) {
        return Some(Cow::Borrowed(text));
    }
    let (text, index) = bodies.json(request, side)?;
    index.read(text, pointer)
}

/// A member of the request's JSON-RPC call; of a batch, of the first.
fn rpc<'r>(
    request: &'r Request<'_>,
    bodies: &mut Bodies,
    path: &[&str],
    inside: &[String],
) -> Option<Cow<'r, str>> {
    let (text, index) = bodies.json(request, Side::Request)?;
    let node = index.find(text, 0, if index.is_array() { &["0"] } else { &[] })?;
    let node = index.find(text, node, path)?;
    let inside: smallvec::SmallVec<[&str; 8]> = inside.iter().map(String::as_str).collect();
    let node = index.find(text, node, &inside)?;
    index.value(text, node)
}

fn is_tool_call(request: &Request<'_>, bodies: &mut Bodies) -> bool {
    rpc(request, bodies, &["method"], &[]).is_some_and(|method| method == "tools/call")
}
