//! A request that a program fills in.
//!
//! [`NewRequest::build`] brings it into the form every decoder makes: upper-case method, the parts
//! of a URL, the canonical address, cookies and user agent from their headers. It refuses what
//! breaks a rule of requests (section 1 of the semantics). As JSON it is one object of the native form.

use std::borrow::Cow;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Record, json};
use crate::address;
use crate::request::{
    Attack, Body, CLIENT_BYTES_MAX, Fields, ID_BYTES_MAX, Message, NANOS_PER_MS, Request,
};
use crate::time::EventTime;

/// Why a request cannot be a record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// The method is empty or no RFC 9110 token.
    #[error("`{0}` is no method")]
    Method(String),
    /// There is neither a path nor a URL.
    #[error("a request has a path")]
    Path,
    /// The time is outside the years 1 to 9999.
    #[error("{0} ms is no time between the years 1 and 9999")]
    Time(i64),
    /// The id is empty or too long.
    #[error("an id has 1 to {ID_BYTES_MAX} bytes")]
    Id,
    /// The status has more than three digits.
    #[error("{0} is no status")]
    Status(u16),
    /// The duration is negative or no number.
    #[error("a duration is 0 or more milliseconds")]
    Duration,
    /// The client is neither an address nor a host name.
    #[error("`{0}` is neither an address nor a host name")]
    Client(String),
}

/// A request to be made into a [`Record`]. As JSON it is one object of the native form.
///
/// # Examples
///
/// ```
/// use spoor_operators::{NewRequest, Record};
///
/// let built: Record = NewRequest::new("GET", "https://shop.example/orders/7?page=2", 1_700_000_000_000)
///     .status(200)
///     .ip("192.0.2.1")
///     .header("X-User", "ann")
///     .build()?;
/// let request = built.request()?;
/// assert_eq!((&*request.host, &*request.path, &*request.query), ("shop.example", "/orders/7", "page=2"));
///
/// let read: NewRequest = serde_json::from_str(
///     r#"{"ts": "2023-11-14T22:13:20Z", "method": "get", "url": "https://shop.example/orders/7?page=2",
///         "status": 200, "ip": "192.0.2.1", "request": {"headers": {"X-User": "ann"}}}"#,
/// )?;
/// assert_eq!(read.build()?, built);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct NewRequest {
    /// Unique id, if the request has one: only then can it be told from a duplicate.
    pub id: Option<String>,
    /// When it started: milliseconds since the Unix epoch; an RFC 3339 text is read, too.
    #[serde(deserialize_with = "json::time")]
    pub ts: i64,
    /// Application; absent: that of the first rule of the applications that matches.
    pub app: Option<String>,
    /// Method, in any case.
    pub method: String,
    /// Stands in for those of `host`, `path` and `query` that are absent.
    pub url: Option<String>,
    /// Host.
    pub host: Option<String>,
    /// Raw path, without the query.
    pub path: Option<String>,
    /// Raw query, without `?`.
    pub query: Option<String>,
    /// 0: no response was seen.
    pub status: u16,
    /// Milliseconds to the full response.
    pub duration_ms: Option<f64>,
    /// Bytes of the request.
    pub request_bytes: u64,
    /// Bytes of the response.
    pub response_bytes: u64,
    /// Client address, or a host name.
    pub ip: Option<String>,
    /// Absent: that of the request's header.
    pub user_agent: Option<String>,
    /// What the client sent.
    pub request: NewMessage,
    /// What the server answered.
    pub response: NewMessage,
    /// Detections made upstream.
    pub attacks: Vec<NewAttack>,
    /// Blocked upstream.
    pub blocked: bool,
}

/// One side of a [`NewRequest`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct NewMessage {
    /// Header fields; a name may repeat. As JSON: an object of texts, or of lists of texts.
    #[serde(with = "json")]
    pub headers: Vec<(String, String)>,
    /// Cookies; none: those of the `cookie` or `set-cookie` headers.
    #[serde(with = "json")]
    pub cookies: Vec<(String, String)>,
    /// Form fields.
    #[serde(with = "json")]
    pub form: Vec<(String, String)>,
    /// The body: a text, or any JSON.
    pub body: Option<serde_json::Value>,
}

/// A detection made upstream.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NewAttack {
    /// Such as `sqli`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Such as `union`.
    pub subtype: String,
    /// Where it was found.
    pub point: String,
    /// What was found.
    pub payload: String,
    /// This detection led to a block.
    pub blocked: bool,
}

impl NewRequest {
    /// A request by its method, its URL or path with query, and its time in milliseconds since the
    /// Unix epoch.
    #[must_use]
    pub fn new(method: impl Into<String>, url: impl Into<String>, ts_ms: i64) -> Self {
        let (method, url) = (method.into(), Some(url.into()));
        Self { ts: ts_ms, method, url, ..Self::default() }
    }

    /// Sets the id.
    #[must_use]
    pub fn id(self, id: impl Into<String>) -> Self {
        Self { id: Some(id.into()), ..self }
    }

    /// Sets the application.
    #[must_use]
    pub fn app(self, app: impl Into<String>) -> Self {
        Self { app: Some(app.into()), ..self }
    }

    /// Sets the status of the response.
    #[must_use]
    pub fn status(self, status: u16) -> Self {
        Self { status, ..self }
    }

    /// Sets the time to the full response.
    #[must_use]
    pub fn duration(self, duration: Duration) -> Self {
        Self { duration_ms: Some(duration.as_secs_f64() * 1000.0), ..self }
    }

    /// Sets the bytes of request and response.
    #[must_use]
    pub fn bytes(self, request_bytes: u64, response_bytes: u64) -> Self {
        Self { request_bytes, response_bytes, ..self }
    }

    /// Sets the client address.
    #[must_use]
    pub fn ip(self, ip: impl Into<String>) -> Self {
        Self { ip: Some(ip.into()), ..self }
    }

    /// Sets the user agent.
    #[must_use]
    pub fn user_agent(self, user_agent: impl Into<String>) -> Self {
        Self { user_agent: Some(user_agent.into()), ..self }
    }

    /// Adds a header of the request.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.request.headers.push((name.into(), value.into()));
        self
    }

    /// Adds a cookie of the request.
    #[must_use]
    pub fn cookie(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.request.cookies.push((name.into(), value.into()));
        self
    }

    /// Sets the body of the request: a text, or any JSON.
    #[must_use]
    pub fn body(mut self, body: impl Into<serde_json::Value>) -> Self {
        self.request.body = Some(body.into());
        self
    }

    /// Adds a detection of an attack.
    #[must_use]
    pub fn attack(mut self, kind: impl Into<String>, blocked: bool) -> Self {
        self.attacks.push(NewAttack { kind: kind.into(), blocked, ..NewAttack::default() });
        self
    }

    /// The record.
    ///
    /// # Errors
    /// The first rule of a request that is broken.
    pub fn build(&self) -> Result<Record, RequestError> {
        Ok(Record::new(&self.request()?))
    }

    fn request(&self) -> Result<Request<'_>, RequestError> {
        let method = method(&self.method)?;
        let from_url = self.url.as_deref().map(parts).unwrap_or_default();
        let path = self.path.as_deref().unwrap_or(from_url.1);
        let ts = EventTime(self.ts);
        let explicit = self.id.as_ref().is_none_or(|id| (1..=ID_BYTES_MAX).contains(&id.len()));
        match () {
            () if path.is_empty() => return Err(RequestError::Path),
            () if ts < EventTime::MIN || EventTime::MAX < ts => {
                return Err(RequestError::Time(self.ts));
            }
            () if !explicit => return Err(RequestError::Id),
            () if self.status > 999 => return Err(RequestError::Status(self.status)),
            () => {}
        }
        let (request, response) =
            (self.request.message("cookie"), self.response.message("set-cookie"));
        let user_agent = self.user_agent.as_deref().or_else(|| {
            let agent = |(name, _): &&(String, String)| name.eq_ignore_ascii_case("user-agent");
            self.request.headers.iter().find(agent).map(|(_, value)| value.as_str())
        });
        Ok(Request {
            id: self.id.as_deref().unwrap_or_default().into(),
            explicit_id: self.id.is_some(),
            ts,
            app: self.app.as_deref().unwrap_or_default().into(),
            method,
            host: self.host.as_deref().unwrap_or(from_url.0).into(),
            path: path.into(),
            query: self.query.as_deref().unwrap_or(from_url.2).into(),
            status: self.status,
            duration_ns: self.duration_ms.map(nanos).transpose()?,
            request_bytes: self.request_bytes,
            response_bytes: self.response_bytes,
            ip: self.ip.as_deref().map_or(Ok(Cow::Borrowed("")), client)?,
            user_agent: user_agent.unwrap_or_default().into(),
            request,
            response,
            attacks: self.attacks.iter().map(NewAttack::attack).collect(),
            blocked: self.blocked,
            repaired: false,
            archive: Cow::Borrowed(""),
            kept: Fields::new(),
        })
    }
}

impl TryFrom<NewRequest> for Record {
    type Error = RequestError;

    fn try_from(request: NewRequest) -> Result<Self, RequestError> {
        request.build()
    }
}

impl NewMessage {
    /// The message; cookies fall back to a header.
    fn message(&self, cookie_header: &str) -> Message<'_> {
        let mut cookies = borrowed(&self.cookies);
        if cookies.is_empty() {
            let headers = self.headers.iter();
            let headers = headers.filter(|(name, _)| name.eq_ignore_ascii_case(cookie_header));
            // Of `set-cookie` the attributes are no cookies.
            let most = if cookie_header == "cookie" { usize::MAX } else { 1 };
            let pairs = headers.flat_map(|(_, value)| value.split(';').take(most));
            let pairs = pairs.filter_map(|pair| pair.trim().split_once('='));
            cookies.extend(pairs.map(|(name, value)| (name.into(), value.into())));
        }
        Message {
            headers: borrowed(&self.headers),
            cookies,
            form: borrowed(&self.form),
            body: match &self.body {
                None | Some(serde_json::Value::Null) => Body::Absent,
                Some(serde_json::Value::String(text)) => Body::Text(text.as_str().into()),
                Some(json) => Body::Json(json.to_string().into()),
            },
        }
    }
}

impl NewAttack {
    fn attack(&self) -> Attack<'_> {
        Attack {
            kind: self.kind.as_str().into(),
            subtype: self.subtype.as_str().into(),
            point: self.point.as_str().into(),
            payload: self.payload.as_str().into(),
            blocked: self.blocked,
        }
    }
}

fn borrowed(fields: &[(String, String)]) -> Fields<'_> {
    fields.iter().map(|(name, value)| (name.as_str().into(), value.as_str().into())).collect()
}

fn method(text: &str) -> Result<Cow<'_, str>, RequestError> {
    let is_token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    if text.is_empty() || !text.bytes().all(is_token) {
        return Err(RequestError::Method(text.into()));
    }
    Ok(if text.bytes().any(|b| b.is_ascii_lowercase()) {
        text.to_ascii_uppercase().into()
    } else {
        text.into()
    })
}

/// Host, path and query of a URL or of a path with its query; an absolute URL has a path.
fn parts(url: &str) -> (&str, &str, &str) {
    let url = url.split_once('#').map_or(url, |(before, _)| before);
    let (front, query) = url.split_once('?').unwrap_or((url, ""));
    match front.split_once("://") {
        Some((_, rest)) => match rest.find('/') {
            Some(at) => (&rest[..at], &rest[at..], query),
            None => (rest, "/", query),
        },
        None => ("", front, query),
    }
}

fn nanos(ms: f64) -> Result<u64, RequestError> {
    if ms.is_nan() || ms < 0.0 {
        return Err(RequestError::Duration);
    }
    Ok((ms * NANOS_PER_MS).round() as u64)
}

/// The canonical form of a client's address, or its host name.
fn client(text: &str) -> Result<Cow<'_, str>, RequestError> {
    if text.is_empty() {
        return Ok(Cow::Borrowed(""));
    }
    if let Some(address) = address::parse(text) {
        return Ok(address.to_string().into());
    }
    let named = |b: u8| b.is_ascii_alphanumeric() || b".-_".contains(&b);
    if text.len() <= CLIENT_BYTES_MAX && text.bytes().all(named) {
        return Ok(text.into());
    }
    Err(RequestError::Client(text.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Changes a good request; what it is refused for.
    fn refused(change: impl FnOnce(&mut NewRequest)) -> RequestError {
        let mut request = NewRequest::new("GET", "/", 0);
        assert!(request.build().is_ok());
        change(&mut request);
        request.build().unwrap_err()
    }

    #[test]
    fn what_breaks_a_rule_of_requests_is_refused() {
        assert_eq!(refused(|it| it.method = "G T".into()), RequestError::Method("G T".into()));
        assert_eq!(refused(|it| it.url = None), RequestError::Path);
        assert_eq!(refused(|it| it.ts = i64::MAX), RequestError::Time(i64::MAX));
        assert_eq!(refused(|it| it.id = Some(String::new())), RequestError::Id);
        assert_eq!(refused(|it| it.id = Some("x".repeat(129))), RequestError::Id);
        assert_eq!(refused(|it| it.status = 1000), RequestError::Status(1000));
        assert_eq!(refused(|it| it.duration_ms = Some(-1.0)), RequestError::Duration);
        assert_eq!(refused(|it| it.duration_ms = Some(f64::NAN)), RequestError::Duration);
        assert_eq!(refused(|it| it.ip = Some("a b".into())), RequestError::Client("a b".into()));
    }

    #[test]
    fn fields_come_in_their_canonical_form_and_fall_back_to_headers() {
        let record = NewRequest::new("post", "http://h.example?x=1#y", 5)
            .ip("::ffff:192.0.2.1")
            .duration(Duration::from_micros(1500))
            .header("Cookie", "a=1; b=2=3")
            .header("User-Agent", "curl")
            .body(serde_json::json!({"k": [1]}))
            .attack("sqli", true)
            .build()
            .unwrap();
        let request = record.request().unwrap();
        assert_eq!((&*request.method, &*request.host), ("POST", "h.example"));
        assert_eq!((&*request.path, &*request.query), ("/", "x=1"));
        assert_eq!((&*request.ip, &*request.user_agent), ("192.0.2.1", "curl"));
        assert_eq!(request.duration_ns, Some(1_500_000));
        let cookies: Vec<_> =
            request.request.cookies.iter().map(|(name, value)| (&**name, &**value)).collect();
        assert_eq!(cookies, [("a", "1"), ("b", "2=3")]);
        assert_eq!(request.request.body, Body::Json(r#"{"k":[1]}"#.into()));
        assert!(!request.explicit_id && request.attacks[0].blocked);
    }

    #[test]
    fn a_request_comes_back_from_json() {
        let mut request =
            NewRequest::new("GET", "/a?b", 1).id("r").header("x", "1").header("x", "2");
        request.response.headers.push(("y".into(), "3".into()));
        let text = serde_json::to_string(&request).unwrap();
        assert_eq!(serde_json::from_str::<NewRequest>(&text).unwrap(), request);
        for wrong in [r#"{"ts":"soon"}"#, r#"{"ts":1,"request":{"headers":{"a":1}}}"#] {
            assert!(serde_json::from_str::<NewRequest>(wrong).is_err(), "{wrong}");
        }
    }
}
