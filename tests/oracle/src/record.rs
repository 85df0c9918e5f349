//! One request as the oracle sees it, and the native form.

use std::net::IpAddr;

use serde_json::{Map, Value};

/// One side of an exchange.
#[derive(Clone, Debug, Default)]
pub struct Side {
    pub headers: Vec<(String, String)>,
    pub cookies: Vec<(String, String)>,
    pub form: Vec<(String, String)>,
    pub body: Body,
}

/// A body as it came.
#[derive(Clone, Debug, Default)]
pub enum Body {
    /// None was recorded.
    #[default]
    Absent,
    /// A JSON value, as its text.
    Json(String),
    /// A string.
    Text(String),
}

impl Body {
    /// That of a record's member.
    pub fn of(value: Option<&Value>) -> Self {
        match value {
            None | Some(Value::Null) => Self::Absent,
            Some(Value::String(text)) => Self::Text(text.clone()),
            Some(other) => Self::Json(other.to_string()),
        }
    }

    /// Its text, whatever it is.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Absent => None,
            Self::Json(text) | Self::Text(text) => Some(text),
        }
    }
}

/// One request.
#[derive(Clone, Debug, Default)]
pub struct Record {
    pub id: String,
    pub explicit_id: bool,
    pub ts: i64,
    pub app: String,
    pub method: String,
    pub host: String,
    pub path: String,
    pub query: String,
    pub status: u64,
    pub duration_ns: Option<u128>,
    pub request_bytes: u64,
    pub response_bytes: u64,
    pub ip: String,
    pub user_agent: String,
    pub request: Side,
    pub response: Side,
    pub attacks: Vec<String>,
    pub blocked: bool,
    /// The archive it came from, and what wrote that.
    pub archive: String,
    /// It comes from a store: values may be markers that stand for redacted ones.
    pub is_stored: bool,
    /// What rules read in values before they were redacted, by point.
    pub kept: Vec<(String, String)>,
}

/// Why a record is bad, in words.
pub type Bad = &'static str;

impl Side {
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// Cookies from the headers, when none were given.
    pub fn fall_back(&mut self, response: bool) {
        if !self.cookies.is_empty() {
            return;
        }
        let name = if response { "set-cookie" } else { "cookie" };
        for (_, value) in self.headers.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name))
        {
            // Of a set-cookie header only the first part is the cookie.
            let parts = value.split(';').take(if response { 1 } else { usize::MAX });
            for (name, value) in parts.filter_map(|part| part.trim().split_once('=')) {
                self.cookies.push((name.trim().into(), value.trim().into()));
            }
        }
    }
}

/// Milliseconds of an RFC 3339 text.
pub fn rfc3339(text: &str) -> Option<i64> {
    text.parse::<jiff::Timestamp>().ok().map(|at| at.as_millisecond())
}

/// Canonical address, or a host name.
pub fn client(text: &str) -> Result<String, Bad> {
    if let Ok(ip) = text.parse::<IpAddr>() {
        let mapped = |ip: std::net::Ipv6Addr| match ip.segments() {
            [0, 0, 0, 0, 0, 0xffff, high, low] => {
                Some([high.to_be_bytes(), low.to_be_bytes()].concat())
            }
            _ => None,
        };
        return Ok(match ip {
            IpAddr::V6(six) => match mapped(six) {
                Some(four) => four.iter().map(u8::to_string).collect::<Vec<_>>().join("."),
                None => ip.to_string(),
            },
            IpAddr::V4(_) => ip.to_string(),
        });
    }
    let name = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
    let good = !text.is_empty() && text.len() <= 253 && text.bytes().all(name);
    if good { Ok(text.to_owned()) } else { Err("ip") }
}

/// Host, path and query of a URL, which may have a fragment.
pub fn split_url(url: &str) -> (String, String, String) {
    split_target(url.split('#').next().unwrap_or_default())
}

/// Host, path and query of a request's target; a `#` has no meaning there.
pub fn split_target(target: &str) -> (String, String, String) {
    let (host, rest) = match target.split_once("://") {
        Some((scheme, rest)) if scheme.bytes().all(|byte| byte.is_ascii_alphanumeric()) => {
            let end = rest.find(['/', '?']).unwrap_or(rest.len());
            (&rest[..end], &rest[end..])
        }
        _ => ("", target),
    };
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    let path = if path.is_empty() { "/" } else { path };
    (host.into(), path.into(), query.into())
}

fn text<'a>(record: &'a Map<String, Value>, name: &'static str) -> Result<Option<&'a str>, Bad> {
    match record.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(name),
    }
}

fn count(record: &Map<String, Value>, name: &'static str) -> Result<u64, Bad> {
    match record.get(name) {
        None | Some(Value::Null) => Ok(0),
        Some(value) => value.as_u64().ok_or(name),
    }
}

/// Nanoseconds of a number of milliseconds.
pub fn nanos(ms: f64) -> Result<u128, Bad> {
    if ms >= 0.0 { Ok((ms * 1e6).round() as u128) } else { Err("duration_ms") }
}

fn values(value: Option<&Value>, what: Bad) -> Result<Vec<(String, String)>, Bad> {
    let members = match value {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(value) => value.as_object().ok_or(what)?,
    };
    let mut found = Vec::new();
    for (name, value) in members {
        match value {
            Value::Null => {}
            Value::String(text) => found.push((name.clone(), text.clone())),
            Value::Array(texts) => {
                for text in texts {
                    found.push((name.clone(), text.as_str().ok_or(what)?.into()));
                }
            }
            _ => return Err(what),
        }
    }
    Ok(found)
}

fn side(record: &Map<String, Value>, name: &'static str) -> Result<Side, Bad> {
    let members = match record.get(name) {
        None | Some(Value::Null) => return Ok(Side::default()),
        Some(value) => value.as_object().ok_or(name)?,
    };
    let mut side = Side {
        headers: values(members.get("headers"), "headers")?,
        cookies: values(members.get("cookies"), "cookies")?,
        form: values(members.get("form"), "form")?,
        body: Body::of(members.get("body")),
    };
    side.fall_back(name == "response");
    Ok(side)
}

/// A record of the native form.
pub fn native(bytes: &[u8], implicit_id: String) -> Result<Record, Bad> {
    let value: Value = serde_json::from_slice(bytes).map_err(|_| "json")?;
    let members = value.as_object().ok_or("json")?;
    let id = text(members, "id")?;
    if id.is_some_and(|id| id.len() > 128) {
        return Err("id");
    }
    let mut record = Record {
        explicit_id: id.is_some(),
        id: id.map_or(implicit_id, Into::into),
        ts: match members.get("ts") {
            Some(Value::String(text)) => rfc3339(text).ok_or("ts")?,
            Some(value) => value.as_i64().ok_or("ts")?,
            None => return Err("ts"),
        },
        app: text(members, "app")?.unwrap_or_default().into(),
        method: text(members, "method")?.ok_or("method")?.to_uppercase(),
        status: count(members, "status")?,
        request_bytes: count(members, "request_bytes")?,
        response_bytes: count(members, "response_bytes")?,
        ip: text(members, "ip")?.map(client).transpose()?.unwrap_or_default(),
        user_agent: text(members, "user_agent")?.unwrap_or_default().into(),
        request: side(members, "request")?,
        response: side(members, "response")?,
        blocked: members.get("blocked").and_then(Value::as_bool).unwrap_or(false),
        ..Record::default()
    };
    if record.status > 999 {
        return Err("status");
    }
    if let Some(duration) = members.get("duration_ms").filter(|value| !value.is_null()) {
        record.duration_ns = Some(nanos(duration.as_f64().ok_or("duration_ms")?)?);
    }
    if let Some(url) = text(members, "url")? {
        (record.host, record.path, record.query) = split_url(url);
    }
    for (name, field) in
        [("host", &mut record.host), ("path", &mut record.path), ("query", &mut record.query)]
    {
        if let Some(given) = text(members, name)? {
            *field = given.into();
        }
    }
    if record.path.is_empty() {
        return Err("path");
    }
    if record.user_agent.is_empty() {
        record.user_agent = record.request.header("user-agent").unwrap_or_default().into();
    }
    if let Some(attacks) = members.get("attacks").filter(|value| !value.is_null()) {
        for attack in attacks.as_array().ok_or("attacks")? {
            record.attacks.push(attack["type"].as_str().ok_or("attacks")?.into());
        }
    }
    Ok(record)
}
