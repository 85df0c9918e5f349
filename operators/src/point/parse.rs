//! The parser of points, and the canonical text it reads back.
//!
//! A name or pointer ends at white space or `|`, unless it is quoted: `$request.cookie."a b"`,
//! `$request.body#"/a b"`. Texts in parentheses may be quoted, with `"` or `'`; inside quotes a
//! backslash before the quote or another backslash makes it plain, any other backslash stays, so
//! that `regex("^(\d+)", 1)` reads as it looks.

use std::fmt::Write as _;

use super::{Base, PIPES_MAX, POINT_CHARS_MAX, Pipe, Point, PointError, Pointer, Side};

/// Most bytes a compiled regular expression may take.
const REGEX_BYTES_MAX: usize = 1 << 20;

const BASES: &str = "$method, $host, $path, $url, $status, $app, $client.ip, $client.user_agent, \
                     $request... or $response...";
const REQUEST: &str = "header.NAME, cookie.NAME, query.NAME, segment.N, form.NAME, body, \
                       rpc.method, mcp.tool, mcp.arg#/, gql.operation or gql.var#/";
const PIPES: &str = "jwt.payload#/, jwt.header#/, basic.username, json, base64, url, lower, trim, \
                     prefix(N), split(SEP,N) or regex(RE,GROUP)";

type Result<T> = std::result::Result<T, PointError>;

/// Parses a whole point.
pub(super) fn point(text: &str) -> Result<(Base, Vec<Pipe>)> {
    let mut from = Parser { text, at: 0 };
    if text.chars().nth(POINT_CHARS_MAX).is_some() {
        let reason = format!("a point has at most {POINT_CHARS_MAX} characters");
        return Err(PointError { at: POINT_CHARS_MAX, reason });
    }
    from.space();
    let base = from.base()?;
    let mut pipes = Vec::new();
    loop {
        from.space();
        if from.rest().is_empty() {
            return Ok((base, pipes));
        }
        if !from.eat("|") {
            return Err(from.error("expected ` | ` and a pipe, or the end"));
        }
        from.space();
        if pipes.len() == PIPES_MAX {
            return Err(from.error(format!("a point has at most {PIPES_MAX} pipes")));
        }
        pipes.push(from.pipe()?);
    }
}

struct Parser<'a> {
    text: &'a str,
    /// Byte offset, always at a character.
    at: usize,
}

impl<'a> Parser<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn error(&self, reason: impl Into<String>) -> PointError {
        self.error_at(self.at, reason)
    }

    fn error_at(&self, at: usize, reason: impl Into<String>) -> PointError {
        PointError { at: self.text[..at].chars().count(), reason: reason.into() }
    }

    fn space(&mut self) {
        self.at = self.text.len() - self.rest().trim_start().len();
    }

    fn eat(&mut self, token: &str) -> bool {
        let found = self.rest().starts_with(token);
        if found {
            self.at += token.len();
        }
        found
    }

    /// A word of letters, digits, `_` and `.`.
    fn word(&mut self) -> &'a str {
        let rest = self.rest();
        let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '.')));
        let word = &rest[..end.unwrap_or(rest.len())];
        self.at += word.len();
        word
    }

    fn base(&mut self) -> Result<Base> {
        let start = self.at;
        if !self.eat("$") {
            return Err(self.error(format!("a point begins with `$`: {BASES}")));
        }
        for (prefix, side) in [("request.", Side::Request), ("response.", Side::Response)] {
            if self.eat(prefix) {
                return self.message(side);
            }
        }
        Ok(match self.word() {
            "method" => Base::Method,
            "host" => Base::Host,
            "path" => Base::Path,
            "url" => Base::Url,
            "status" => Base::Status,
            "app" => Base::App,
            "client.ip" => Base::ClientIp,
            "client.user_agent" => Base::ClientUserAgent,
            other => {
                let reason = format!("unknown point `${other}`; expected {BASES}");
                return Err(self.error_at(start, reason));
            }
        })
    }

    fn message(&mut self, side: Side) -> Result<Base> {
        let start = self.at;
        if self.eat("header.") {
            return Ok(Base::Header(side, self.name()?.to_ascii_lowercase()));
        }
        if self.eat("cookie.") {
            return Ok(Base::Cookie(side, self.name()?));
        }
        if side == Side::Request {
            for (prefix, make) in
                [("query.", Base::Query as fn(String) -> Base), ("form.", Base::Form)]
            {
                if self.eat(prefix) {
                    return self.name().map(make);
                }
            }
            if self.eat("segment.") {
                return self.number().map(Base::Segment);
            }
        }
        Ok(match (self.word(), side) {
            ("body", _) => Base::Body(side, self.pointer(false)?),
            ("rpc.method", Side::Request) => Base::RpcMethod,
            ("mcp.tool", Side::Request) => Base::McpTool,
            ("mcp.arg", Side::Request) => Base::McpArg(self.pointer(true)?),
            ("gql.operation", Side::Request) => Base::GqlOperation,
            ("gql.var", Side::Request) => Base::GqlVar(self.pointer(true)?),
            (_, Side::Request) => {
                return Err(self.error_at(start, format!("expected {REQUEST}")));
            }
            (_, Side::Response) => {
                let reason = "expected header.NAME, cookie.NAME or body";
                return Err(self.error_at(start, reason));
            }
        })
    }

    /// What a name or pointer is made of: quoted, or up to white space or `|`.
    fn plain(&mut self) -> Result<String> {
        if self.rest().starts_with(['"', '\'']) {
            return self.quoted();
        }
        let rest = self.rest();
        let end = rest.find(|c: char| c.is_whitespace() || c == '|').unwrap_or(rest.len());
        self.at += end;
        Ok(rest[..end].to_owned())
    }

    fn name(&mut self) -> Result<String> {
        let start = self.at;
        let name = self.plain()?;
        if name.is_empty() {
            return Err(self.error_at(start, "expected a name"));
        }
        Ok(name)
    }

    fn quoted(&mut self) -> Result<String> {
        let start = self.at;
        let mut text = String::new();
        let mut chars = self.rest().char_indices();
        let quote = chars.next().map_or('"', |(_, quote)| quote);
        while let Some((at, c)) = chars.next() {
            if c == quote {
                self.at += at + 1;
                return Ok(text);
            }
            text.push(c);
            if c == '\\' {
                let Some((_, next)) = chars.next() else { break };
                if next == quote || next == '\\' {
                    text.pop();
                }
                text.push(next);
            }
        }
        Err(self.error_at(start, "this quote is not closed"))
    }

    fn pointer(&mut self, required: bool) -> Result<Pointer> {
        let start = self.at;
        if !self.eat("#") {
            if required {
                return Err(self.error("expected `#/` and a JSON pointer"));
            }
            return Ok(Pointer::default());
        }
        let text = self.plain()?;
        if text.is_empty() && !required {
            return Ok(Pointer::default());
        }
        let Some(tokens) = text.strip_prefix('/') else {
            return Err(self.error_at(start + 1, "a JSON pointer begins with `/`"));
        };
        let tokens: Option<Vec<String>> = tokens.split('/').map(unescape).collect();
        let wrong = "in a JSON pointer `~` is written `~0`, and `/` in a name `~1`";
        tokens.map(Pointer).ok_or_else(|| self.error_at(start + 1, wrong))
    }

    fn number<T: std::str::FromStr>(&mut self) -> Result<T> {
        let rest = self.rest();
        let end = rest.find(|c: char| !(c.is_ascii_digit() || c == '-')).unwrap_or(rest.len());
        let number = rest[..end].parse().map_err(|_| self.error("expected a number"))?;
        self.at += end;
        Ok(number)
    }

    fn pipe(&mut self) -> Result<Pipe> {
        let start = self.at;
        Ok(match self.word() {
            "jwt.payload" => Pipe::JwtPayload(self.pointer(true)?),
            "jwt.header" => Pipe::JwtHeader(self.pointer(true)?),
            "basic.username" => Pipe::BasicUsername,
            "json" => Pipe::Json(self.pointer(false)?),
            "base64" => Pipe::Base64,
            "url" => Pipe::Url,
            "lower" => Pipe::Lower,
            "trim" => Pipe::Trim,
            "prefix" => self.prefix()?,
            "split" => self.split()?,
            "regex" => self.regex()?,
            "" => return Err(self.error_at(start, format!("expected a pipe: {PIPES}"))),
            other => {
                let reason = format!("unknown pipe `{other}`; expected {PIPES}");
                return Err(self.error_at(start, reason));
            }
        })
    }

    fn prefix(&mut self) -> Result<Pipe> {
        self.expect("(")?;
        self.space();
        let start = self.at;
        let number: u32 = self.number()?;
        if number == 0 {
            return Err(self.error_at(start, "a prefix has at least one character"));
        }
        self.close()?;
        Ok(Pipe::Prefix(number))
    }

    fn split(&mut self) -> Result<Pipe> {
        self.expect("(")?;
        let (start, separator) = self.argument()?;
        if separator.is_empty() {
            return Err(self.error_at(start, "the separator is empty"));
        }
        self.expect(",")?;
        self.space();
        let part = self.number()?;
        self.close()?;
        Ok(Pipe::Split(separator, part))
    }

    fn regex(&mut self) -> Result<Pipe> {
        self.expect("(")?;
        let (start, pattern) = self.argument()?;
        let regex = regex::RegexBuilder::new(&pattern).size_limit(REGEX_BYTES_MAX).build();
        let regex = regex.map_err(|error| {
            let reason = error.to_string();
            let last = reason.lines().last().unwrap_or_default();
            self.error_at(start, format!("not a regular expression: {last}"))
        })?;
        self.expect(",")?;
        self.space();
        let start = self.at;
        let group = self.number()?;
        if group >= regex.captures_len() {
            let most = regex.captures_len() - 1;
            let reason = format!("the regular expression has groups 0 to {most}");
            return Err(self.error_at(start, reason));
        }
        self.close()?;
        Ok(Pipe::Regex(regex, group))
    }

    /// A text argument and where it begins: quoted, or up to `,` or `)`, trimmed.
    fn argument(&mut self) -> Result<(usize, String)> {
        self.space();
        let start = self.at;
        if self.rest().starts_with(['"', '\'']) {
            let text = self.quoted()?;
            return Ok((start, text));
        }
        let rest = self.rest();
        let end = rest.find([',', ')']).unwrap_or(rest.len());
        self.at += end;
        Ok((start, rest[..end].trim_end().to_owned()))
    }

    fn expect(&mut self, token: &str) -> Result<()> {
        self.space();
        if self.eat(token) {
            return Ok(());
        }
        let hint = if token == "(" { "" } else { "; quote a text that holds `,` or `)`" };
        Err(self.error(format!("expected `{token}`{hint}")))
    }

    fn close(&mut self) -> Result<()> {
        self.expect(")")
    }
}

fn unescape(token: &str) -> Option<String> {
    let mut out = String::with_capacity(token.len());
    let mut chars = token.chars();
    while let Some(c) = chars.next() {
        out.push(match c {
            '~' => match chars.next()? {
                '0' => '~',
                '1' => '/',
                _ => return None,
            },
            c => c,
        });
    }
    Some(out)
}

/// The one text of a point: names in their canonical case, every text argument quoted.
pub(super) fn canonical(point: &Point) -> String {
    let mut out = base_text(&point.base);
    for pipe in &point.pipes {
        out.push_str(" | ");
        pipe_text(pipe, &mut out);
    }
    out
}

fn base_text(base: &Base) -> String {
    let side = |side: &Side| if *side == Side::Request { "$request" } else { "$response" };
    match base {
        Base::Method => "$method".into(),
        Base::Host => "$host".into(),
        Base::Path => "$path".into(),
        Base::Url => "$url".into(),
        Base::Status => "$status".into(),
        Base::App => "$app".into(),
        Base::ClientIp => "$client.ip".into(),
        Base::ClientUserAgent => "$client.user_agent".into(),
        Base::Header(of, name) => format!("{}.header.{}", side(of), plain(name)),
        Base::Cookie(of, name) => format!("{}.cookie.{}", side(of), plain(name)),
        Base::Query(name) => format!("$request.query.{}", plain(name)),
        Base::Segment(number) => format!("$request.segment.{number}"),
        Base::Form(name) => format!("$request.form.{}", plain(name)),
        Base::Body(of, pointer) => format!("{}.body{}", side(of), pointer_text(pointer)),
        Base::RpcMethod => "$request.rpc.method".into(),
        Base::McpTool => "$request.mcp.tool".into(),
        Base::McpArg(pointer) => format!("$request.mcp.arg{}", pointer_text(pointer)),
        Base::GqlOperation => "$request.gql.operation".into(),
        Base::GqlVar(pointer) => format!("$request.gql.var{}", pointer_text(pointer)),
    }
}

fn pipe_text(pipe: &Pipe, out: &mut String) {
    let written = match pipe {
        Pipe::JwtPayload(pointer) => write!(out, "jwt.payload{}", pointer_text(pointer)),
        Pipe::JwtHeader(pointer) => write!(out, "jwt.header{}", pointer_text(pointer)),
        Pipe::BasicUsername => write!(out, "basic.username"),
        Pipe::Json(pointer) => write!(out, "json{}", pointer_text(pointer)),
        Pipe::Base64 => write!(out, "base64"),
        Pipe::Url => write!(out, "url"),
        Pipe::Lower => write!(out, "lower"),
        Pipe::Trim => write!(out, "trim"),
        Pipe::Prefix(number) => write!(out, "prefix({number})"),
        Pipe::Split(separator, part) => write!(out, "split({},{part})", quote(separator)),
        Pipe::Regex(regex, group) => write!(out, "regex({},{group})", quote(regex.as_str())),
    };
    debug_assert!(written.is_ok(), "writing to a string does not fail");
}

fn pointer_text(pointer: &Pointer) -> String {
    if pointer.is_whole() { String::new() } else { format!("#{}", plain(&pointer.to_string())) }
}

/// A name or pointer, quoted when it must be.
fn plain(text: &str) -> String {
    if text.starts_with(['"', '\'']) || text.contains(|c: char| c.is_whitespace() || c == '|') {
        quote(text)
    } else {
        text.to_owned()
    }
}

fn quote(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}
