//! Points: where a value is read, and the pipes it goes through.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_PAD_INDIFFERENT, URL_SAFE_PAD_INDIFFERENT};
use regex::Regex;

use super::json;
use super::record::{Body, Record, Side};

/// A side of the exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of {
    Request,
    Response,
}

#[derive(Clone, Debug)]
enum Place {
    Method,
    Host,
    Path,
    Url,
    Status,
    App,
    Ip,
    Agent,
    Header(Of, String),
    Cookie(Of, String),
    Query(String),
    Segment(i64),
    Form(String),
    Body(Of, Vec<String>),
    RpcMethod,
    McpTool,
    McpArg(Vec<String>),
    GqlOperation,
    GqlVar(Vec<String>),
}

#[derive(Clone, Debug)]
enum Pipe {
    Jwt(usize, Vec<String>),
    BasicUsername,
    Json(Vec<String>),
    Base64,
    Url,
    Lower,
    Trim,
    Prefix(usize),
    Split(String, i64),
    Regex(Regex, usize),
}

/// A point, and the text it was read from.
#[derive(Clone, Debug)]
pub struct Point {
    place: Place,
    pipes: Vec<Pipe>,
    pub text: String,
}

impl Point {
    /// Reads a point; why not, in words.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut parts = parts(text).into_iter();
        let place = place(parts.next().unwrap_or_default().trim())?;
        let pipes = parts.map(|part| pipe(part.trim())).collect::<Result<_, _>>()?;
        Ok(Self { place, pipes, text: text.to_owned() })
    }

    /// The value before any pipe.
    pub fn base(&self, request: &Record, app: &str) -> Option<String> {
        self.place.read(request, app).filter(|value| !value.is_empty())
    }

    /// The value after all pipes, of the one before any.
    pub fn pass(&self, mut value: String) -> Option<String> {
        for pipe in &self.pipes {
            value = pipe.apply(value).filter(|value| !value.is_empty())?;
        }
        Some(value)
    }

    /// Whether there are pipes.
    pub fn has_pipes(&self) -> bool {
        !self.pipes.is_empty()
    }

    /// Whether it reads the header whose readable parts outlive redaction.
    pub fn is_authorization(&self) -> bool {
        matches!(&self.place, Place::Header(Of::Request, name) if name == "authorization")
    }

    /// Whether it reads such parts of credentials.
    pub fn reads_credentials(&self) -> bool {
        matches!(self.pipes.first(), Some(Pipe::Jwt(..) | Pipe::BasicUsername))
    }
}

/// The parts between `|` outside quotes.
fn parts(text: &str) -> Vec<&str> {
    let (mut parts, mut start, mut quote, mut escaped) = (Vec::new(), 0, None, false);
    for (at, c) in text.char_indices() {
        match quote {
            _ if escaped => escaped = false,
            Some(_) if c == '\\' => escaped = true,
            Some(open) if c == open => quote = None,
            Some(_) => {}
            None if c == '"' || c == '\'' => quote = Some(c),
            None if c == '|' => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            None => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

/// A text that may be quoted.
fn unquote(text: &str) -> String {
    let Some(quote) = text.chars().next().filter(|c| matches!(c, '"' | '\'')) else {
        return text.to_owned();
    };
    let (mut out, mut chars) = (String::new(), text[1..].chars());
    while let Some(c) = chars.next() {
        if c == quote {
            break;
        }
        match (c, chars.clone().next()) {
            ('\\', Some(next)) if next == quote || next == '\\' => {
                chars.next();
                out.push(next);
            }
            ('\\', Some(next)) => {
                chars.next();
                out.extend(['\\', next]);
            }
            _ => out.push(c),
        }
    }
    out
}

/// The tokens of what follows a name: `#/a/b`, quoted or not; nothing: the whole.
fn pointer(text: &str) -> Result<Vec<String>, String> {
    let text = unquote(text.strip_prefix('#').unwrap_or_default());
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let tokens = text.strip_prefix('/').ok_or_else(|| format!("pointer {text}"))?;
    Ok(tokens.split('/').map(|token| token.replace("~1", "/").replace("~0", "~")).collect())
}

fn place(text: &str) -> Result<Place, String> {
    let unknown = || format!("unknown point {text}");
    let (of, rest) = if let Some(rest) = text.strip_prefix("$request.") {
        (Of::Request, rest)
    } else if let Some(rest) = text.strip_prefix("$response.") {
        (Of::Response, rest)
    } else {
        return Ok(match text {
            "$method" => Place::Method,
            "$host" => Place::Host,
            "$path" => Place::Path,
            "$url" => Place::Url,
            "$status" => Place::Status,
            "$app" => Place::App,
            "$client.ip" => Place::Ip,
            "$client.user_agent" => Place::Agent,
            _ => return Err(unknown()),
        });
    };
    if let Some(name) = rest.strip_prefix("header.") {
        return Ok(Place::Header(of, unquote(name).to_ascii_lowercase()));
    }
    if let Some(name) = rest.strip_prefix("cookie.") {
        return Ok(Place::Cookie(of, unquote(name)));
    }
    if let Some(at) = rest.strip_prefix("body") {
        return Ok(Place::Body(of, pointer(at)?));
    }
    if of == Of::Response {
        return Err(unknown());
    }
    if let Some(name) = rest.strip_prefix("query.") {
        return Ok(Place::Query(unquote(name)));
    }
    if let Some(name) = rest.strip_prefix("form.") {
        return Ok(Place::Form(unquote(name)));
    }
    if let Some(number) = rest.strip_prefix("segment.") {
        return Ok(Place::Segment(number.parse().map_err(|_| unknown())?));
    }
    if let Some(at) = rest.strip_prefix("mcp.arg") {
        return Ok(Place::McpArg(pointer(at)?));
    }
    if let Some(at) = rest.strip_prefix("gql.var") {
        return Ok(Place::GqlVar(pointer(at)?));
    }
    match rest {
        "rpc.method" => Ok(Place::RpcMethod),
        "mcp.tool" => Ok(Place::McpTool),
        "gql.operation" => Ok(Place::GqlOperation),
        _ => Err(unknown()),
    }
}

/// The arguments of `name(text, number)`: the text may be quoted.
fn arguments<'t>(text: &'t str, name: &str) -> Option<(String, &'t str)> {
    let inside = text.strip_prefix(name)?.trim_start().strip_prefix('(')?.strip_suffix(')')?;
    let (first, last) = inside.rsplit_once(',').unwrap_or(("", inside));
    Some((unquote(first.trim()), last.trim()))
}

fn pipe(text: &str) -> Result<Pipe, String> {
    let unknown = || format!("unknown pipe {text}");
    if let Some(at) = text.strip_prefix("jwt.payload") {
        return Ok(Pipe::Jwt(1, pointer(at)?));
    }
    if let Some(at) = text.strip_prefix("jwt.header") {
        return Ok(Pipe::Jwt(0, pointer(at)?));
    }
    if let Some(at) = text.strip_prefix("json") {
        return Ok(Pipe::Json(pointer(at)?));
    }
    if let Some((_, count)) = arguments(text, "prefix") {
        return Ok(Pipe::Prefix(count.parse().map_err(|_| unknown())?));
    }
    if let Some((separator, part)) = arguments(text, "split") {
        return Ok(Pipe::Split(separator, part.parse().map_err(|_| unknown())?));
    }
    if let Some((pattern, group)) = arguments(text, "regex") {
        let regex = Regex::new(&pattern).map_err(|_| unknown())?;
        return Ok(Pipe::Regex(regex, group.parse().map_err(|_| unknown())?));
    }
    match text {
        "basic.username" => Ok(Pipe::BasicUsername),
        "base64" => Ok(Pipe::Base64),
        "url" => Ok(Pipe::Url),
        "lower" => Ok(Pipe::Lower),
        "trim" => Ok(Pipe::Trim),
        _ => Err(unknown()),
    }
}

fn side(request: &Record, of: Of) -> &Side {
    match of {
        Of::Request => &request.request,
        Of::Response => &request.response,
    }
}

fn first(pairs: &[(String, String)], name: &str) -> Option<String> {
    pairs.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
}

impl Place {
    fn read(&self, request: &Record, app: &str) -> Option<String> {
        Some(match self {
            Self::Method => request.method.clone(),
            Self::Host => request.host.clone(),
            Self::Path => request.path.clone(),
            Self::Url => url(request),
            Self::Status => (request.status > 0).then(|| request.status.to_string())?,
            Self::App => app.to_owned(),
            Self::Ip => request.ip.clone(),
            Self::Agent => request.user_agent.clone(),
            Self::Header(of, name) => side(request, *of).header(name)?.to_owned(),
            Self::Cookie(of, name) => first(&side(request, *of).cookies, name)?,
            Self::Query(name) => parameter(&request.query, name)?,
            Self::Segment(number) => segment(&request.path, *number)?,
            Self::Form(name) => {
                first(&request.request.form, name).or_else(|| parameter(form(request)?, name))?
            }
            Self::Body(of, tokens) => match &side(request, *of).body {
                Body::Text(text) if tokens.is_empty() => text.clone(),
                body => json::find(json::whole(body.text()?)?, tokens).and_then(json::scalar)?,
            },
            Self::RpcMethod => member(request, &["method"], &[])?,
            Self::McpTool if is_tool_call(request) => member(request, &["params", "name"], &[])?,
            Self::McpArg(tokens) if is_tool_call(request) => {
                member(request, &["params", "arguments"], tokens)?
            }
            Self::McpTool | Self::McpArg(_) => return None,
            Self::GqlOperation => gql_operation(request)?,
            Self::GqlVar(tokens) => member(request, &["variables"], tokens).or_else(|| {
                let variables = parameter(&request.query, "variables")?;
                json::find(json::whole(&variables)?, tokens).and_then(json::scalar)
            })?,
        })
    }
}

fn url(request: &Record) -> String {
    let mut url = String::new();
    if !request.host.is_empty() && !request.path.starts_with('\u{1}') {
        url = format!("//{}", request.host);
    }
    url += &request.path;
    if !request.query.is_empty() {
        url = format!("{url}?{}", request.query);
    }
    url
}

/// A segment of a path, from 0, or from the end with a negative number.
fn segment(path: &str, number: i64) -> Option<String> {
    let inner = path.strip_prefix('/').unwrap_or(path);
    let inner = inner.strip_suffix('/').unwrap_or(inner);
    let segments: Vec<&str> = inner.split('/').collect();
    let at = if number < 0 { segments.len() as i64 + number } else { number };
    segments.get(usize::try_from(at).ok()?).map(|segment| (*segment).to_owned())
}

fn percent_decode(raw: &str) -> String {
    let spaced = raw.replace('+', " ");
    percent_encoding::percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
}

/// The first value of a name in a query or form.
fn parameter(raw: &str, name: &str) -> Option<String> {
    if raw.is_empty() {
        return None;
    }
    let pairs = raw.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let mut named = pairs.filter(|(known, _)| percent_decode(known) == name);
    named.next().map(|(_, value)| percent_decode(value))
}

/// The body as a form, when its content type says so.
fn form(request: &Record) -> Option<&str> {
    const FORM: &str = "application/x-www-form-urlencoded";
    let Body::Text(text) = &request.request.body else { return None };
    let kind = request.request.header("content-type")?.get(..FORM.len())?;
    kind.eq_ignore_ascii_case(FORM).then_some(text)
}

/// A member of the call in the request's body; of a batch, of the first.
fn member(request: &Record, path: &[&str], inside: &[String]) -> Option<String> {
    let mut json = json::whole(request.request.body.text()?)?;
    if json::is_array(json) {
        json = json::find(json, &["0".to_owned()])?;
    }
    let path: Vec<String> = path.iter().map(|token| (*token).to_owned()).collect();
    json::find(json::find(json, &path)?, inside).and_then(json::scalar).filter(|v| !v.is_empty())
}

fn is_tool_call(request: &Record) -> bool {
    member(request, &["method"], &[]).is_some_and(|method| method == "tools/call")
}

fn gql_operation(request: &Record) -> Option<String> {
    if let Some(name) = member(request, &["operationName"], &[]) {
        return Some(name);
    }
    if let Some(document) = member(request, &["query"], &[]) {
        return named_operation(&document);
    }
    let named = parameter(&request.query, "operationName").filter(|name| !name.is_empty());
    named.or_else(|| named_operation(&parameter(&request.query, "query")?))
}

/// What may hide braces and words: block strings, strings, comments.
static HIDDEN: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"(?s)"""(?:\\.|[^\\])*?"""|"(?:\\.|[^"\\])*"|#[^\n]*"#)
        .expect("a regular expression")
});
static TOKENS: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"[{}()\[\]]|[_A-Za-z][_0-9A-Za-z]*").expect("a regular expression")
});

/// The name of the first named operation of a document.
fn named_operation(document: &str) -> Option<String> {
    let plain = HIDDEN.replace_all(document, " ");
    let (mut depth, mut keyword) = (0_usize, false);
    for token in TOKENS.find_iter(&plain) {
        match token.as_str() {
            "{" | "(" | "[" => (depth, keyword) = (depth + 1, false),
            "}" | ")" | "]" => depth = depth.saturating_sub(1),
            name if keyword && depth == 0 => return Some(name.to_owned()),
            word => {
                keyword = depth == 0 && ["query", "mutation", "subscription"].contains(&word);
            }
        }
    }
    None
}

fn decode_base64(text: &str) -> Option<Vec<u8>> {
    if text.contains(['-', '_']) {
        URL_SAFE_PAD_INDIFFERENT.decode(text).ok()
    } else {
        STANDARD_PAD_INDIFFERENT.decode(text).ok()
    }
}

/// What follows an authentication scheme, in any case.
fn after_scheme<'t>(value: &'t str, scheme: &str) -> Option<&'t str> {
    let (head, rest) = value.split_at_checked(scheme.len())?;
    let found = head.eq_ignore_ascii_case(scheme) && rest.starts_with(' ');
    found.then(|| rest.trim_start_matches(' '))
}

fn jwt(value: &str, part: usize, tokens: &[String]) -> Option<String> {
    let value = value.trim();
    let token = after_scheme(value, "bearer").unwrap_or(value);
    let parts: Vec<&str> = token.split('.').collect();
    if parts.len() != 3 {
        return None;
    }
    let text = String::from_utf8(decode_base64(parts[part])?).ok()?;
    json::find(json::whole(&text)?, tokens).and_then(json::scalar)
}

fn basic_username(value: &str) -> Option<String> {
    let credentials = after_scheme(value.trim(), "basic")?;
    // What stands for a redacted password follows U+0001.
    let decoded = decode_base64(credentials.split('\u{1}').next().unwrap_or_default().trim())?;
    let end = decoded.iter().position(|byte| *byte == b':')?;
    Some(String::from_utf8_lossy(&decoded[..end]).into_owned())
}

impl Pipe {
    fn apply(&self, value: String) -> Option<String> {
        match self {
            Self::Jwt(part, tokens) => jwt(&value, *part, tokens),
            Self::BasicUsername => basic_username(&value),
            Self::Json(tokens) => json::find(json::whole(&value)?, tokens).and_then(json::scalar),
            Self::Base64 => String::from_utf8(decode_base64(value.trim())?).ok(),
            Self::Url => Some(percent_decode(&value)),
            Self::Lower => Some(value.to_lowercase()),
            Self::Trim => Some(value.trim().to_owned()),
            Self::Prefix(count) => Some(value.chars().take(*count).collect()),
            Self::Split(separator, part) => {
                let parts: Vec<&str> = value.split(separator.as_str()).collect();
                let at = if *part < 0 { parts.len() as i64 + part } else { *part };
                parts.get(usize::try_from(at).ok()?).map(|part| (*part).to_owned())
            }
            Self::Regex(regex, group) => {
                regex.captures(&value)?.get(*group).map(|found| found.as_str().to_owned())
            }
        }
    }
}
