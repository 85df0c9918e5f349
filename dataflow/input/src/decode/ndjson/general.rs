//! The general path: any line, exactly, with the reason if it is bad.

use std::borrow::Cow;

use serde_json::value::RawValue;

use spoor_operators::request::{Attack, Body, Fields, ID_BYTES_MAX, Message, Request};

use crate::decode::error::Refusal;
use crate::decode::json::{self, Object, bad_field, is_null};
use crate::decode::{timestamp, value};
use spoor_api::codes::RefusalCode;

const TIME: &str = "has to be an RFC 3339 time, or integer milliseconds since the Unix epoch, in \
                    the years 1 to 9999";
const COUNT: &str = "has to be an integer of at least 0";

pub(super) fn read(line: &str) -> Result<Request<'_>, Refusal> {
    let Object(entries) = json::object(line)?;
    let mut request = Request::default();
    let mut parts = Parts::default();
    for &(ref name, raw) in entries.iter().filter(|(_, raw)| !is_null(raw)) {
        set(name, raw, &mut request, &mut parts)?;
    }
    request.ts = parts.ts.ok_or_else(|| missing("ts"))?;
    if request.method.is_empty() {
        return Err(missing("method"));
    }
    locate(&mut request, parts.path, parts.url)?;
    value::fall_back(&mut request);
    Ok(request)
}

/// Reads every field that can be read, whatever is missing. The names and raw values of the others
/// and of unknown ones come back.
pub(super) fn read_what_can_be<'a>(
    entries: &'a [(Cow<'a, str>, &'a RawValue)],
    request: &mut Request<'a>,
) -> Vec<(&'a str, &'a str)> {
    let mut parts = Parts::default();
    let mut unread = Vec::new();
    for (name, raw) in entries.iter().filter(|(_, raw)| !is_null(raw)) {
        if !matches!(set(name, raw, request, &mut parts), Ok(true)) {
            unread.push((&**name, raw.get()));
        }
    }
    request.ts = parts.ts.unwrap_or_default();
    let (path, url) = (parts.path, parts.url);
    if locate(request, path.clone(), url).is_err()
        && let Some((name, raw)) = entries.iter().find(|(name, _)| name == "url")
    {
        unread.push((&**name, raw.get()));
        request.path = path.unwrap_or_default();
    }
    value::fall_back(request);
    unread
}

/// Fields that are put together when all have been read.
#[derive(Default)]
struct Parts<'a> {
    ts: Option<spoor_operators::time::EventTime>,
    url: Option<Cow<'a, str>>,
    path: Option<Cow<'a, str>>,
}

/// Sets one field that is not null. False: the record has no field of this name.
fn set<'a>(
    name: &str,
    raw: &'a RawValue,
    request: &mut Request<'a>,
    parts: &mut Parts<'a>,
) -> Result<bool, Refusal> {
    match name {
        "id" => {
            request.id = id(raw)?;
            request.explicit_id = true;
        }
        "ts" => parts.ts = Some(time(raw)?),
        "app" => request.app = json::string(name, raw)?,
        "method" => {
            let text = json::string(name, raw)?;
            request.method = value::method(text)
                .ok_or_else(|| bad_field(name, "has to be an RFC 9110 token"))?;
        }
        "host" => request.host = json::string(name, raw)?,
        "path" => parts.path = Some(json::string(name, raw)?),
        "query" => request.query = json::string(name, raw)?,
        "url" => parts.url = Some(json::string(name, raw)?).filter(|text| !text.is_empty()),
        "status" => request.status = status(raw)?,
        "duration_ms" => {
            const MUST: &str = "has to be a number of at least 0";
            let millis = json::number(name, raw, MUST)?;
            let duration = value::duration_ns(millis).ok_or_else(|| bad_field(name, MUST))?;
            request.duration_ns = Some(duration);
        }
        "request_bytes" => request.request_bytes = json::integer(name, raw, COUNT)?,
        "response_bytes" => request.response_bytes = json::integer(name, raw, COUNT)?,
        "ip" => {
            let text = json::string(name, raw)?;
            request.ip = value::client(text)
                .ok_or_else(|| bad_field(name, "has to be an IP address or a host name"))?;
        }
        "user_agent" => request.user_agent = json::string(name, raw)?,
        "request" => request.request = message(name, raw)?,
        "response" => request.response = message(name, raw)?,
        "attacks" => request.attacks = attacks(raw)?,
        "blocked" => request.blocked = json::boolean(name, raw)?,
        _ => return Ok(false),
    }
    Ok(true)
}

fn missing(name: &str) -> Refusal {
    Refusal { code: RefusalCode::MissingField, reason: format!("`{name}` is missing") }
}

/// Host, path and query from their own fields, else from the URL.
pub(super) fn locate<'a>(
    request: &mut Request<'a>,
    path: Option<Cow<'a, str>>,
    url: Option<Cow<'a, str>>,
) -> Result<(), Refusal> {
    let target = match url {
        None => value::Target::default(),
        Some(url) => value::url(&url).ok_or_else(|| {
            bad_field("url", "has to be in absolute form (https://host/path) or begin with `/`")
        })?,
    };
    for (own, from_url) in [(&mut request.host, target.host), (&mut request.query, target.query)] {
        if own.is_empty() {
            *own = from_url;
        }
    }
    request.path = path.filter(|path| !path.is_empty()).unwrap_or(target.path);
    if request.path.is_empty() {
        let reason = "`path` or `url` is missing".into();
        return Err(Refusal { code: RefusalCode::MissingField, reason });
    }
    Ok(())
}

fn id(raw: &RawValue) -> Result<Cow<'_, str>, Refusal> {
    let text = json::string("id", raw)?;
    if text.is_empty() || text.len() > ID_BYTES_MAX {
        return Err(bad_field("id", "has to have 1 to 128 bytes"));
    }
    Ok(text)
}

fn time(raw: &RawValue) -> Result<spoor_operators::time::EventTime, Refusal> {
    let found = if raw.get().starts_with('"') {
        timestamp::rfc3339(json::string("ts", raw)?.as_bytes())
    } else {
        timestamp::in_range(json::integer("ts", raw, TIME)?)
    };
    found.ok_or_else(|| bad_field("ts", TIME))
}

fn status(raw: &RawValue) -> Result<u16, Refusal> {
    const MUST: &str = "has to be an integer from 0 to 999";
    let status: u16 = json::integer("status", raw, MUST)?;
    if u64::from(status) > value::STATUS_MAX { Err(bad_field("status", MUST)) } else { Ok(status) }
}

fn message<'a>(side: &str, raw: &'a RawValue) -> Result<Message<'a>, Refusal> {
    let Object(entries) = json::inner(side, raw)?;
    let mut message = Message::default();
    for &(ref name, raw) in entries.iter().filter(|(_, raw)| !is_null(raw)) {
        let place = || format!("{side}.{name}");
        match &**name {
            "headers" => message.headers = fields(&place(), raw, false)?,
            "cookies" => message.cookies = fields(&place(), raw, false)?,
            "form" => message.form = fields(&place(), raw, true)?,
            "body" => message.body = body(&place(), raw)?,
            _ => {}
        }
    }
    Ok(message)
}

fn body<'a>(place: &str, raw: &'a RawValue) -> Result<Body<'a>, Refusal> {
    if raw.get().starts_with('"') {
        return Ok(Body::Text(json::string(place, raw)?));
    }
    Ok(Body::Json(Cow::Borrowed(raw.get())))
}

/// An object of strings or arrays of strings; with `scalars`, of numbers and booleans too.
fn fields<'a>(place: &str, raw: &'a RawValue, scalars: bool) -> Result<Fields<'a>, Refusal> {
    let Object(entries) = json::inner(place, raw)?;
    let mut fields = Fields::new();
    for (name, raw) in entries {
        let values = match raw.get().as_bytes()[0] {
            b'n' => continue,
            b'[' => json::array(place, raw)?,
            _ => vec![raw],
        };
        for raw in values {
            let value = match raw.get().as_bytes()[0] {
                b'"' => json::string(place, raw)?,
                b'-' | b'0'..=b'9' | b't' | b'f' if scalars => Cow::Borrowed(raw.get()),
                _ => return Err(bad_field(place, "has to have strings, or arrays of them")),
            };
            fields.push((name.clone(), value));
        }
    }
    Ok(fields)
}

fn attacks(raw: &RawValue) -> Result<Vec<Attack<'_>>, Refusal> {
    json::array("attacks", raw)?.into_iter().map(attack).collect()
}

fn attack(raw: &RawValue) -> Result<Attack<'_>, Refusal> {
    let Object(entries) = json::inner("attacks", raw)?;
    let mut attack = Attack::default();
    for &(ref name, raw) in entries.iter().filter(|(_, raw)| !is_null(raw)) {
        let place = format!("attacks.{name}");
        match &**name {
            "type" => attack.kind = json::string(&place, raw)?,
            "subtype" => attack.subtype = json::string(&place, raw)?,
            "point" => attack.point = json::string(&place, raw)?,
            "payload" => attack.payload = json::string(&place, raw)?,
            "blocked" => attack.blocked = json::boolean(&place, raw)?,
            _ => {}
        }
    }
    if attack.kind.is_empty() { Err(missing("attacks.type")) } else { Ok(attack) }
}
