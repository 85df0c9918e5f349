//! How each server writes variables in its format string, and which field each is.

use crate::decode::record::Field;
use crate::decode::settings::TimeUnit;

/// A part of a format string.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    Text(String),
    Var(Var),
}

/// A variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Var {
    /// As it is written.
    pub name: String,
    pub field: Field,
    pub hint: Hint,
}

/// What else is known of a variable's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hint {
    None,
    /// A port, after the last colon.
    Port,
    /// A scheme, which begins a URL.
    Scheme,
    /// `?`, or nothing.
    IsArgs,
    /// Maybe several, with commas.
    List,
    /// In braces of its own, or not there.
    Braced,
    /// So many words.
    Words(usize),
    /// A part of a time that others complete.
    TimePart,
}

/// Whose format string it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// `log_format` of nginx.
    Nginx,
    /// `LogFormat` of Apache.
    Apache,
    /// An access log format of Envoy.
    Envoy,
    /// `log-format` of HAProxy.
    Haproxy,
}

/// Reads a format string.
///
/// # Errors
/// What is not written as the server wants it, in words.
pub(super) fn read(dialect: Dialect, text: &str) -> Result<Vec<Piece>, String> {
    let text = text.trim();
    match dialect {
        Dialect::Nginx => nginx(&unwrapped(text, "log_format", '\'')),
        Dialect::Apache => apache(&unwrapped(text, "LogFormat", '"')),
        Dialect::Envoy => envoy(text),
        Dialect::Haproxy => haproxy(&unwrapped(text, "log-format", '"')),
    }
}

/// A format string as it is pasted with its directive, or in the quotes of a configuration: the
/// quoted texts, joined.
fn unwrapped(text: &str, directive: &str, quote: char) -> String {
    let behind = text.strip_prefix(directive).map(str::trim_start);
    if behind.is_none() && !(quote == '\'' && text.starts_with(quote)) {
        return text.to_owned();
    }
    let mut joined = String::new();
    let mut chars = behind.unwrap_or(text).chars();
    while chars.by_ref().any(|char| char == quote) {
        while let Some(char) = chars.next().filter(|char| *char != quote) {
            match char {
                '\\' => match chars.next() {
                    Some('t') => joined.push('\t'),
                    Some(next @ ('"' | '\'' | '\\')) => joined.push(next),
                    Some(next) => joined.extend(['\\', next]),
                    None => {}
                },
                char => joined.push(char),
            }
        }
        // Behind the format string of Apache is its name, which may not be quoted.
        if quote == '"' {
            break;
        }
    }
    match (joined.is_empty(), behind) {
        (true, Some(behind)) => behind.to_owned(),
        _ => joined,
    }
}

struct Reader {
    pieces: Vec<Piece>,
}

impl Reader {
    fn new() -> Self {
        Self { pieces: Vec::new() }
    }

    fn text(&mut self, char: char) {
        let char = if char == '\n' || char == '\r' { ' ' } else { char };
        match self.pieces.last_mut() {
            Some(Piece::Text(text)) => text.push(char),
            _ => self.pieces.push(Piece::Text(char.into())),
        }
    }

    fn var(&mut self, name: &str, (field, hint): (Field, Hint)) {
        self.pieces.push(Piece::Var(Var { name: name.into(), field, hint }));
    }
}

fn nginx(text: &str) -> Result<Vec<Piece>, String> {
    let mut out = Reader::new();
    let mut rest = text;
    while let Some(char) = rest.chars().next() {
        rest = &rest[char.len_utf8()..];
        if char != '$' {
            out.text(char);
            continue;
        }
        let (name, after) = match rest.strip_prefix('{') {
            Some(inner) => inner.split_once('}').ok_or("a `${` has no `}`")?,
            None => {
                let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
                rest.split_at(rest.find(|c| !is_name(c)).unwrap_or(rest.len()))
            }
        };
        if name.is_empty() {
            return Err("a `$` has no name behind it".into());
        }
        out.var(&format!("${name}"), nginx_variable(name));
        rest = after;
    }
    Ok(out.pieces)
}

fn nginx_variable(name: &str) -> (Field, Hint) {
    let field = match name {
        "remote_addr" => Field::Ip,
        "proxy_protocol_addr" => Field::Client,
        "remote_user" => Field::User,
        "time_local" | "time_iso8601" | "msec" => Field::Ts(None),
        "request" => Field::RequestLine,
        "request_method" => Field::Method,
        "request_uri" => Field::Url,
        "uri" | "document_uri" => Field::Path,
        "args" | "query_string" => Field::Query,
        "is_args" => return (Field::Skip, Hint::IsArgs),
        "host" | "http_host" | "server_name" => Field::Host,
        "status" => Field::Status,
        "body_bytes_sent" | "bytes_sent" => Field::ResponseBytes,
        "request_length" => Field::RequestBytes,
        "request_time" => Field::Duration(TimeUnit::S),
        "server_port" | "remote_port" => return (Field::Skip, Hint::Port),
        "scheme" => return (Field::Skip, Hint::Scheme),
        "proxy_add_x_forwarded_for" => return (Field::Forwarded, Hint::List),
        _ => match name.split_once('_') {
            Some(("http", header)) => return header_field(&header.replace('_', "-")),
            Some(("cookie", cookie)) => Field::RequestCookie(cookie.into()),
            Some(("upstream", _)) => return (Field::Skip, Hint::List),
            _ => match name.strip_prefix("sent_http_") {
                Some(header) => Field::ResponseHeader(header.replace('_', "-")),
                None => Field::Skip,
            },
        },
    };
    let hint = if name == "time_local" { Hint::Words(2) } else { Hint::None };
    (field, hint)
}

/// A request header by its name.
fn header_field(name: &str) -> (Field, Hint) {
    let name = name.to_ascii_lowercase();
    match name.as_str() {
        "user-agent" => (Field::UserAgent, Hint::None),
        "host" => (Field::Host, Hint::None),
        "cookie" => (Field::Cookies, Hint::None),
        "x-forwarded-for" => (Field::Forwarded, Hint::List),
        _ => (Field::RequestHeader(name), Hint::None),
    }
}

fn apache(text: &str) -> Result<Vec<Piece>, String> {
    let mut out = Reader::new();
    let mut rest = text;
    while let Some(char) = rest.chars().next() {
        rest = &rest[char.len_utf8()..];
        if char == '\\' && rest.starts_with('"') {
            continue;
        }
        if char != '%' {
            out.text(char);
            continue;
        }
        if let Some(after) = rest.strip_prefix('%') {
            out.text('%');
            rest = after;
            continue;
        }
        let from = rest;
        rest = rest.trim_start_matches(|c: char| "!,<>".contains(c) || c.is_ascii_digit());
        let argument = match rest.strip_prefix('{') {
            Some(inner) => {
                let (argument, after) = inner.split_once('}').ok_or("a `%{` has no `}`")?;
                rest = after.trim_start_matches(['<', '>']);
                Some(argument)
            }
            None => None,
        };
        let letters = if rest.starts_with("^t") { 3 } else { 1 };
        let directive = rest.get(..letters).filter(|it| it.is_ascii());
        let directive = directive.ok_or("a `%` has no letter behind it")?;
        rest = &rest[letters..];
        let name = format!("%{}", &from[..from.len() - rest.len()]);
        if directive == "t" && argument.is_none_or(|argument| argument.is_empty()) {
            out.text('[');
            out.var(&name, (Field::Ts(None), Hint::None));
            out.text(']');
            continue;
        }
        out.var(&name, apache_directive(directive, argument));
    }
    Ok(out.pieces)
}

fn apache_directive(letter: &str, argument: Option<&str>) -> (Field, Hint) {
    let field = match (letter, argument) {
        ("h", _) | ("a", None) => Field::Ip,
        ("l", _) => Field::Ident,
        ("u", _) => Field::User,
        ("t", Some(form)) => return strftime(form),
        ("r", _) => Field::RequestLine,
        ("m", _) => Field::Method,
        ("U", _) => Field::Path,
        ("q", _) => return (Field::Query, Hint::IsArgs),
        ("s", _) => Field::Status,
        ("b" | "B" | "O", _) => Field::ResponseBytes,
        ("I", _) => Field::RequestBytes,
        ("D", _) | ("T", Some("us")) => Field::Duration(TimeUnit::Us),
        ("T", Some("ms")) => Field::Duration(TimeUnit::Ms),
        ("T", _) => Field::Duration(TimeUnit::S),
        ("v" | "V", _) => Field::Host,
        ("p", _) => return (Field::Skip, Hint::Port),
        ("i", Some(name)) => return header_field(name),
        ("o", Some(name)) => Field::ResponseHeader(name.to_ascii_lowercase()),
        ("C", Some(name)) => Field::RequestCookie(name.into()),
        _ => Field::Skip,
    };
    (field, Hint::None)
}

/// A time with a form of its own.
fn strftime(form: &str) -> (Field, Hint) {
    let form = form.trim_start_matches("begin:");
    if form.starts_with("end:") {
        return (Field::Skip, words(form));
    }
    let unit = match form {
        "sec" => Some(TimeUnit::S),
        "msec" => Some(TimeUnit::Ms),
        "usec" => Some(TimeUnit::Us),
        _ => None,
    };
    if unit.is_some() {
        return (Field::Ts(unit), Hint::None);
    }
    let part = form.contains("_frac")
        || matches!(form, "%z" | "%Z")
        || !form.contains(['z', 'Z', 'T', 'H', 'X', 'c', 's', 'S']);
    let whole = form.contains("%z") && form.len() > 2;
    let hint = match words(form) {
        Hint::None if part || !whole => Hint::TimePart,
        hint => hint,
    };
    (Field::Ts(None), hint)
}

fn words(form: &str) -> Hint {
    match form.split_ascii_whitespace().count() {
        0 | 1 => Hint::None,
        many => Hint::Words(many),
    }
}

fn envoy(text: &str) -> Result<Vec<Piece>, String> {
    let mut out = Reader::new();
    let mut rest = text;
    while let Some(char) = rest.chars().next() {
        rest = &rest[char.len_utf8()..];
        if char == '\\' && rest.starts_with('n') {
            rest = &rest[1..];
            continue;
        }
        if char != '%' {
            out.text(char);
            continue;
        }
        if let Some(after) = rest.strip_prefix('%') {
            out.text('%');
            rest = after;
            continue;
        }
        let is_name = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
        let (command, mut after) = rest.split_at(rest.find(|c| !is_name(c)).unwrap_or(rest.len()));
        let mut argument = "";
        if let Some(inner) = after.strip_prefix('(') {
            (argument, after) = inner.split_once(')').ok_or("a `(` has no `)`")?;
        }
        let end = after.find('%').ok_or_else(|| format!("`%{command}` has no `%` behind it"))?;
        if command.is_empty()
            || !after[..end].trim_start_matches(':').bytes().all(|b| b.is_ascii_digit())
        {
            let head: String = rest.chars().take(20).collect();
            return Err(format!("`%{head}` is no command"));
        }
        out.var(&format!("%{command}%"), envoy_command(command, argument));
        rest = &after[end + 1..];
    }
    Ok(out.pieces)
}

fn envoy_command(command: &str, argument: &str) -> (Field, Hint) {
    let field = match command {
        "START_TIME" => return (Field::Ts(None), words(argument)),
        "REQ" => {
            let name = argument.rsplit('?').next().unwrap_or(argument);
            return match name.to_ascii_lowercase().as_str() {
                ":method" => (Field::Method, Hint::None),
                ":path" | "x-envoy-original-path" => (Field::Url, Hint::None),
                ":authority" | "host" => (Field::Host, Hint::None),
                ":scheme" => (Field::Skip, Hint::Scheme),
                // In a mesh who sent the request here is another proxy.
                "x-forwarded-for" => (Field::Client, Hint::List),
                name => header_field(name),
            };
        }
        "RESP" => Field::ResponseHeader(argument.to_ascii_lowercase()),
        "RESPONSE_CODE" => Field::Status,
        "BYTES_RECEIVED" => Field::RequestBytes,
        "BYTES_SENT" => Field::ResponseBytes,
        "DURATION" => Field::Duration(TimeUnit::Ms),
        "DOWNSTREAM_REMOTE_ADDRESS" | "DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT" => Field::Ip,
        _ => Field::Skip,
    };
    (field, Hint::None)
}

fn haproxy(text: &str) -> Result<Vec<Piece>, String> {
    let mut out = Reader::new();
    let mut rest = text;
    while let Some(char) = rest.chars().next() {
        rest = &rest[char.len_utf8()..];
        if char == '\\' && rest.starts_with([' ', '"', '[']) {
            continue;
        }
        if char != '%' {
            out.text(char);
            continue;
        }
        if let Some(after) = rest.strip_prefix('%') {
            out.text('%');
            rest = after;
            continue;
        }
        let mut flags = "";
        if let Some(inner) = rest.strip_prefix('{') {
            (flags, rest) = inner.split_once('}').ok_or("a `%{` has no `}`")?;
        }
        let (name, after) = match rest.strip_prefix('[') {
            Some(inner) => inner.split_once(']').ok_or("a `%[` has no `]`")?,
            None => {
                rest.split_at(rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len()))
            }
        };
        let found =
            if rest.starts_with('[') { haproxy_sample(name) } else { haproxy_variable(name) };
        rest = after;
        if name == "o" || name.is_empty() {
            continue;
        }
        let quoted = flags.contains("+Q");
        if quoted {
            out.text('"');
        }
        out.var(&format!("%{name}"), found);
        if quoted {
            out.text('"');
        }
    }
    Ok(out.pieces)
}

fn haproxy_variable(name: &str) -> (Field, Hint) {
    let field = match name {
        "ci" => Field::Ip,
        "cp" | "bp" | "fp" | "sp" | "bi" | "fi" | "si" => {
            return (Field::Skip, if name.ends_with('p') { Hint::Port } else { Hint::None });
        }
        "tr" | "t" => Field::Ts(None),
        "T" | "Tl" | "trg" | "trl" => return (Field::Ts(None), Hint::Words(2)),
        "Ts" => Field::Ts(Some(TimeUnit::S)),
        "Ta" | "Tt" | "Tu" => Field::DurationPart(TimeUnit::Ms),
        "ST" => Field::Status,
        "B" => Field::ResponseBytes,
        "U" => Field::RequestBytes,
        "hr" | "hs" => return (Field::Skip, Hint::Braced),
        "r" => Field::RequestLine,
        "HM" => Field::Method,
        "HU" => Field::Url,
        "HP" | "HPO" => Field::Path,
        "HQ" => Field::Query,
        _ => Field::Skip,
    };
    (field, Hint::None)
}

/// A sample expression: request headers by name, anything else passed over.
fn haproxy_sample(expression: &str) -> (Field, Hint) {
    let name = ["req.hdr(", "req.fhdr(", "hdr(", "capture.req.hdr("].iter().find_map(|call| {
        let name = expression.strip_prefix(call)?.split([')', ',']).next()?;
        (!name.is_empty() && !name.starts_with(|c: char| c.is_ascii_digit())).then_some(name)
    });
    match name {
        Some(name) => header_field(name),
        None if expression.starts_with("src") && !expression.starts_with("src_port") => {
            (Field::Ip, Hint::None)
        }
        None => (Field::Skip, Hint::None),
    }
}
