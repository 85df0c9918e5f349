//! Points: where in a request a value is read, and the pipes it then goes through.
//!
//! The language is that of section 2 of the semantics: OpenAPI runtime expressions, extended. A
//! point is parsed once, when a rule is made, and refused with the place and the reason; reading
//! never fails, a value either *works* (a non-empty text) or it does not. [`Point`]'s display is
//! its canonical text: it parses back to an equal point, and names what `Request::kept` holds.

mod gql;
pub(crate) mod json;
mod parse;
pub(crate) mod pipe;
pub(crate) mod read;

use std::borrow::Cow;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub use read::Bodies;

/// Longest point, in characters.
pub const POINT_CHARS_MAX: usize = 1024;
/// Most pipes of a point.
pub const PIPES_MAX: usize = 16;

/// A side of the exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// What the client sent.
    Request,
    /// What the server answered.
    Response,
}

/// A JSON pointer (RFC 6901), its tokens unescaped. Empty: the whole value.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Pointer(pub(crate) Vec<String>);

/// Where a value is read, before any pipe.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Base {
    /// `$method`.
    Method,
    /// `$host`.
    Host,
    /// `$path`.
    Path,
    /// `$url`: `//host/path?query`, what is unknown left out.
    Url,
    /// `$status`.
    Status,
    /// `$app`.
    App,
    /// `$client.ip`.
    ClientIp,
    /// `$client.user_agent`.
    ClientUserAgent,
    /// `$request.header.NAME`; the name in lower case.
    Header(Side, String),
    /// `$request.cookie.NAME`.
    Cookie(Side, String),
    /// `$request.query.NAME`.
    Query(String),
    /// `$request.segment.N`; negative: from the end.
    Segment(i32),
    /// `$request.form.NAME`.
    Form(String),
    /// `$request.body#/pointer`.
    Body(Side, Pointer),
    /// `$request.rpc.method`.
    RpcMethod,
    /// `$request.mcp.tool`.
    McpTool,
    /// `$request.mcp.arg#/pointer`.
    McpArg(Pointer),
    /// `$request.gql.operation`.
    GqlOperation,
    /// `$request.gql.var#/pointer`.
    GqlVar(Pointer),
}

/// What happens to a value on its way.
#[derive(Clone, Debug)]
pub enum Pipe {
    /// `jwt.payload#/pointer`.
    JwtPayload(Pointer),
    /// `jwt.header#/pointer`.
    JwtHeader(Pointer),
    /// `basic.username`.
    BasicUsername,
    /// `json#/pointer`.
    Json(Pointer),
    /// `base64`.
    Base64,
    /// `url`.
    Url,
    /// `lower`.
    Lower,
    /// `trim`.
    Trim,
    /// `prefix(N)`, in characters.
    Prefix(u32),
    /// `split(SEP,N)`; negative: from the end.
    Split(String, i32),
    /// `regex(RE,GROUP)`: a group of the first match.
    Regex(regex::Regex, usize),
}

/// A base and pipes.
#[derive(Clone, Debug)]
pub struct Point {
    base: Base,
    pipes: Vec<Pipe>,
    text: String,
}

/// Why a text is not a point, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("at character {at}: {reason}")]
pub struct PointError {
    /// Characters before the place.
    pub at: usize,
    /// What is wrong there, and what was expected.
    pub reason: String,
}

impl Point {
    /// Parses a point.
    ///
    /// # Errors
    /// [`PointError`] with the place and the reason.
    pub fn parse(text: &str) -> Result<Self, PointError> {
        let (base, pipes) = parse::point(text)?;
        let mut point = Self { base, pipes, text: String::new() };
        point.text = parse::canonical(&point);
        Ok(point)
    }

    /// What its pipes make of a value that is not read from a request.
    #[must_use]
    pub fn convert<'r>(&self, value: Cow<'r, str>) -> Option<Cow<'r, str>> {
        let mut spare = json::Index::default();
        self.pipes.iter().try_fold(value, |value, pipe| pipe::apply(pipe, value, &mut spare))
    }

    /// Where it reads, before any pipe.
    #[must_use]
    pub fn base(&self) -> &Base {
        &self.base
    }

    /// What happens to the value, in order.
    #[must_use]
    pub fn pipes(&self) -> &[Pipe] {
        &self.pipes
    }

    /// The canonical text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl Pointer {
    /// Whether it means the whole value.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.0.is_empty()
    }

    /// The tokens, unescaped.
    #[must_use]
    pub fn tokens(&self) -> &[String] {
        &self.0
    }
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for token in &self.0 {
            write!(f, "/{}", token.replace('~', "~0").replace('/', "~1"))?;
        }
        Ok(())
    }
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Point {
    type Err = PointError;

    fn from_str(text: &str) -> Result<Self, PointError> {
        Self::parse(text)
    }
}

// The canonical text says everything, a compiled regex included.
impl PartialEq for Point {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Point {}

impl Hash for Point {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

impl Serialize for Point {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Point {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests;
