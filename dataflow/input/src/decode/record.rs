//! From the values of any log to a record: what each field of the record takes, and what of it can
//! be repaired.
//!
//! Line formats and field mappings both give their values here, so that a value means the same
//! wherever it stands. Only what a record needs (time, method, path) and a client that is no
//! address refuse it; any other value that breaks the record's rules is left out, and the record is
//! marked as repaired.

use std::borrow::Cow;

use spoor_operators::request::{ID_BYTES_MAX, Request};
use spoor_operators::time::EventTime;

use super::error::Refusal;
use super::json::bad_field;
use super::site::{self, InputSettings};
use super::value::{self, Peer};
use super::{timestamp, value::Target};
use crate::decode::settings::TimeUnit;
use spoor_api::codes::RefusalCode;

/// Request header that keeps the referrer.
pub const REFERER: &str = "referer";
/// Request header that keeps the authenticated user.
pub const REMOTE_USER: &str = "x-remote-user";

/// Where a value of a log goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Field {
    /// Nowhere.
    Skip,
    /// The explicit id.
    Id,
    /// The time; a number counts this unit, or what its magnitude tells.
    Ts(Option<TimeUnit>),
    /// The time again, of a format that has a better one behind the usual one.
    Started,
    /// The day of a time whose clock is another field.
    Date,
    /// The clock of a time whose day is another field.
    Clock,
    /// The application.
    App,
    /// The method, or a request line of which it is the first word.
    Method,
    /// The host.
    Host,
    /// The virtual host in front of a line, maybe with a port.
    Vhost,
    /// The path.
    Path,
    /// The query, with or without its `?`.
    Query,
    /// A URL or the target of a request, or a request line that has one.
    Url,
    /// `METHOD TARGET HTTP/x`.
    RequestLine,
    /// The status.
    Status,
    /// The duration.
    Duration(TimeUnit),
    /// A part of the duration, to be added.
    DurationPart(TimeUnit),
    /// Bytes of the request.
    RequestBytes,
    /// Bytes of the response.
    ResponseBytes,
    /// Who sent the request here.
    Ip,
    /// Who the format says is the client, whoever sent it on.
    Client,
    /// The user agent.
    UserAgent,
    /// The name of an access log that nobody fills in.
    Ident,
    /// The authenticated user.
    User,
    /// Addresses the request came through.
    Forwarded,
    /// A request header.
    RequestHeader(String),
    /// All request cookies as one header.
    Cookies,
    /// A request cookie.
    RequestCookie(String),
    /// A response header.
    ResponseHeader(String),
    /// Whether it was blocked.
    Blocked,
}

impl Field {
    /// The fields of the record itself, by their names in a configuration.
    const NAMES: [(Self, &'static str); 16] = [
        (Self::Id, "id"),
        (Self::Ts(None), "ts"),
        (Self::App, "app"),
        (Self::Method, "method"),
        (Self::Host, "host"),
        (Self::Path, "path"),
        (Self::Query, "query"),
        (Self::Url, "url"),
        (Self::RequestLine, "request_line"),
        (Self::Status, "status"),
        (Self::Duration(TimeUnit::Ms), "duration_ms"),
        (Self::RequestBytes, "request_bytes"),
        (Self::ResponseBytes, "response_bytes"),
        (Self::Ip, "ip"),
        (Self::UserAgent, "user_agent"),
        (Self::Blocked, "blocked"),
    ];

    /// The field a configuration names.
    pub fn named(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(_, known)| *known == name).map(|(field, _)| field.clone())
    }

    /// What refusals call it.
    pub fn name(&self) -> &str {
        match self {
            Self::Ts(_) | Self::Started | Self::Date | Self::Clock => "time",
            Self::RequestLine => "request line",
            Self::Ip | Self::Client => "client",
            Self::Duration(_) | Self::DurationPart(_) => "duration",
            Self::User => "user",
            Self::Vhost => "virtual host",
            Self::Ident => "ident",
            Self::Forwarded => site::FORWARDED_FOR,
            Self::RequestHeader(name) | Self::ResponseHeader(name) | Self::RequestCookie(name) => {
                name
            }
            Self::Cookies => "cookie",
            Self::Skip => "field",
            _ => Self::NAMES.iter().find(|(field, _)| field == self).map_or("", |(_, name)| name),
        }
    }
}

/// A record that is being put together.
#[derive(Debug)]
pub struct Parts<'v, 's> {
    settings: &'s InputSettings,
    ts: Option<EventTime>,
    date: Cow<'v, str>,
    clock: Cow<'v, str>,
    url: Option<Target<'v>>,
    client: Cow<'v, str>,
}

impl<'v, 's> Parts<'v, 's> {
    /// Of nothing yet.
    pub fn new(settings: &'s InputSettings) -> Self {
        let none = Cow::Borrowed("");
        let (date, clock, client) = (none.clone(), none.clone(), none);
        Self { settings, ts: None, date, clock, url: None, client }
    }

    /// Takes a value that is there.
    ///
    /// # Errors
    /// It is one the record needs, and breaks its rules.
    #[inline]
    pub fn put(
        &mut self,
        field: &'v Field,
        text: Cow<'v, str>,
        request: &mut Request<'v>,
    ) -> Result<(), Refusal> {
        match field {
            Field::Skip => {}
            Field::Ts(unit) => self.ts = Some(self.time(&text, *unit)?),
            Field::Status => match small_number(&text).filter(|it| *it <= value::STATUS_MAX) {
                Some(status) => request.status = status as u16,
                None => request.repaired = true,
            },
            Field::ResponseBytes => match small_number(&text) {
                Some(bytes) => request.response_bytes = bytes,
                None => request.repaired = true,
            },
            Field::Ip => match value::peer(text) {
                Peer::Client(client) => request.ip = client,
                Peer::Absent => {}
                Peer::Bad => return Err(bad_client()),
            },
            Field::RequestLine => {
                let (method, target) = request_line(text)?;
                request.method = method;
                self.url = Some(target);
            }
            Field::UserAgent => request.user_agent = text,
            Field::RequestHeader(name) => {
                request.request.headers.push((Cow::Borrowed(name), text));
            }
            _ => return self.put_rare(field, text, request),
        }
        Ok(())
    }

    fn put_rare(
        &mut self,
        field: &'v Field,
        text: Cow<'v, str>,
        request: &mut Request<'v>,
    ) -> Result<(), Refusal> {
        match field {
            Field::Id if text.len() <= ID_BYTES_MAX => {
                request.id = text;
                request.explicit_id = true;
            }
            Field::Id => request.repaired = true,
            Field::Started => {
                if let Some(at) = timestamp::written(text.as_bytes()) {
                    self.ts = self.settings.instant(at).or(self.ts);
                }
            }
            Field::Date => self.date = text,
            Field::Clock => self.clock = text,
            Field::App => request.app = text,
            Field::Method => request.method = method(text)?,
            Field::Host => request.host = text,
            Field::Vhost => {
                let name = text.rsplit_once(':').map_or(&*text, |(name, _)| name);
                if value::client(name.trim_matches(['[', ']']).into()).is_none() {
                    return Err(bad_field("virtual host", "has to be a host name"));
                }
                request.host = text;
            }
            Field::Path => request.path = text,
            Field::Query => {
                let skip = usize::from(text.starts_with('?'));
                request.query = value::part(&text, skip..text.len());
            }
            Field::Url => {
                let target = value::url(&text).or_else(|| Some(request_line(text).ok()?.1));
                self.url = Some(target.ok_or_else(|| bad_value("url"))?);
            }
            Field::Duration(unit) => match duration_ns(&text, *unit) {
                Some(duration) => request.duration_ns = Some(duration),
                None => request.repaired = true,
            },
            // What the other side did not do takes -1.
            Field::DurationPart(unit) => {
                if let Some(part) = duration_ns(&text, *unit) {
                    request.duration_ns =
                        Some(request.duration_ns.unwrap_or(0).saturating_add(part));
                }
            }
            Field::RequestBytes => match small_number(&text) {
                Some(bytes) => request.request_bytes = bytes,
                None => request.repaired = true,
            },
            Field::Client => match value::peer(text.clone()) {
                Peer::Client(client) => {
                    self.client = client;
                    if text.contains(',') {
                        let name = Cow::Borrowed(site::FORWARDED_FOR);
                        request.request.headers.push((name, text));
                    }
                }
                Peer::Absent => {}
                Peer::Bad => request.repaired = true,
            },
            Field::Ident if value::addresses(&text).next().is_some() => {
                return Err(bad_field("ident", "cannot be an address: there is a word in front"));
            }
            Field::User => {
                check_user(&text)?;
                request.request.headers.push((Cow::Borrowed(REMOTE_USER), text));
            }
            Field::Forwarded if value::addresses(&text).next().is_none() => {
                request.repaired = true;
            }
            Field::Forwarded => {
                request.request.headers.push((Cow::Borrowed(site::FORWARDED_FOR), text));
            }
            Field::Cookies => request.request.headers.push((Cow::Borrowed("cookie"), text)),
            Field::RequestCookie(name) => {
                request.request.cookies.push((Cow::Borrowed(name), text));
            }
            Field::ResponseHeader(name) => {
                request.response.headers.push((Cow::Borrowed(name), text));
            }
            Field::Blocked => match text.parse() {
                Ok(blocked) => request.blocked = blocked,
                Err(_) => request.repaired = true,
            },
            _ => {}
        }
        Ok(())
    }

    #[inline]
    fn time(&self, text: &str, unit: Option<TimeUnit>) -> Result<EventTime, Refusal> {
        let bytes = text.as_bytes();
        if let Some(at) = timestamp::access_log(bytes) {
            return Ok(at);
        }
        let found = match timestamp::written(bytes) {
            Some(written) => self.settings.instant(written),
            None => timestamp::number(text, unit.map(per_second)),
        };
        found.ok_or_else(|| {
            bad_field(
                "time",
                "has to be a time such as 2016-02-20T00:00:45Z or 20/Feb/2016:00:00:45 -0500",
            )
        })
    }

    /// As [`Parts::finish`]; day and clock are in UTC.
    pub fn finish_in_utc(mut self, request: &mut Request<'v>) -> Result<(), Refusal> {
        if !self.clock.is_empty() {
            let text = format!("{} {}Z", self.date, self.clock);
            self.clock = Cow::Borrowed("");
            self.ts = Some(self.time(&text, None)?);
        }
        self.finish(request)
    }

    /// Completes the record, which needs a time, a method and a path.
    ///
    /// # Errors
    /// What it lacks.
    #[inline]
    pub fn finish(mut self, request: &mut Request<'v>) -> Result<(), Refusal> {
        if !self.clock.is_empty() {
            let text = format!("{} {}", self.date, self.clock);
            self.ts = Some(self.time(&text, None)?);
        }
        request.ts = self.ts.ok_or_else(|| missing("ts"))?;
        if request.method.is_empty() {
            return Err(missing("method"));
        }
        if let Some(target) = self.url {
            for (own, from_url) in [
                (&mut request.host, target.host),
                (&mut request.path, target.path),
                (&mut request.query, target.query),
            ] {
                if own.is_empty() {
                    *own = from_url;
                }
            }
        }
        if request.path.is_empty() {
            return Err(missing("path"));
        }
        if !self.client.is_empty() {
            site::set_client(request, self.client);
        }
        value::fall_back(request);
        Ok(())
    }
}

/// A user may have blanks in it, but is not what other formats have in its place: a word in front
/// of the line moves its client, its ident or `-` there.
fn check_user(text: &str) -> Result<(), Refusal> {
    if !text.contains(' ') {
        return Ok(());
    }
    let odd = |word: &str| word == "-" || value::addresses(word).next().is_some();
    match text.split(' ').any(odd) {
        true => Err(bad_field("user", "has to be a name: there are words in front of the line")),
        false => Ok(()),
    }
}

fn method(text: Cow<'_, str>) -> Result<Cow<'_, str>, Refusal> {
    if let Some((word, _)) = text.split_once(' ') {
        let len = word.len();
        let found = value::method(value::part(&text, 0..len));
        // A target that is written out, or the version, tells a request line from two words.
        let is_line = text.rsplit(' ').next().is_some_and(|last| last.starts_with("HTTP/"))
            || request_line(text.clone()).is_ok_and(|(_, target)| target.path.starts_with('/'));
        return found.filter(|_| is_line).ok_or_else(|| bad_value("method"));
    }
    value::method(text).ok_or_else(|| bad_value("method"))
}

/// `METHOD SP TARGET [SP HTTP/x]`.
#[inline]
fn request_line(line: Cow<'_, str>) -> Result<(Cow<'_, str>, Target<'_>), Refusal> {
    let len = memchr::memchr(b' ', line.as_bytes()).unwrap_or(line.len());
    let method = value::method(value::part(&line, 0..len))
        .filter(|method| method != "-")
        .ok_or_else(|| bad_field("request line", "has to begin with a method"))?;
    let rest = len.saturating_add(1).min(line.len())..line.len();
    let text = &line[rest.clone()];
    let target = match text.rsplit_once(' ') {
        Some((target, version)) if version.starts_with("HTTP/") => target.len(),
        _ if text.starts_with("HTTP/") && !text.contains(' ') => 0,
        _ => text.len(),
    };
    if target == 0 {
        return Err(bad_field("request line", "has to have a target"));
    }
    let target = value::target(&value::part(&line, rest.start..rest.start + target));
    Ok((method, target))
}

/// A number of digits alone; HAProxy puts a `+` in front of what still grew when it was written.
#[inline]
fn small_number(text: &str) -> Option<u64> {
    let text = text.strip_prefix('+').unwrap_or(text);
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    if digits { text.parse().ok() } else { None }
}

/// A duration as text: a number in `unit`, or with a unit of its own such as `0.12s` and `13ms`; of
/// a list (of tries) the sum.
fn duration_ns(text: &str, unit: TimeUnit) -> Option<u64> {
    let (mut sum, mut any) = (0_u64, false);
    for part in text.split([',', ' ', ':']).filter(|part| !part.is_empty() && *part != "-") {
        any = true;
        if let Ok(number) = part.parse::<f64>() {
            let millis = number * 1000.0 / per_second(unit) as f64;
            sum = sum.saturating_add(value::duration_ns(millis)?);
            continue;
        }
        let len = part.find(|c: char| c.is_ascii_alphabetic() || c == 'µ').unwrap_or(part.len());
        let (number, own) = part.split_at(len);
        let per_second = match own {
            "s" => 1,
            "ms" => 1_000,
            "us" | "µs" => 1_000_000,
            "ns" => 1_000_000_000,
            _ => return None,
        };
        let number: f64 = number.parse().ok()?;
        sum = sum.saturating_add(value::duration_ns(number * 1000.0 / per_second as f64)?);
    }
    any.then_some(sum)
}

/// Units in a second.
pub fn per_second(unit: TimeUnit) -> i64 {
    match unit {
        TimeUnit::S => 1,
        TimeUnit::Ms => 1_000,
        TimeUnit::Us => 1_000_000,
        TimeUnit::Ns => 1_000_000_000,
    }
}

pub(super) fn missing(name: &str) -> Refusal {
    Refusal { code: RefusalCode::MissingField, reason: format!("`{name}` is missing") }
}

fn bad_value(name: &str) -> Refusal {
    bad_field(name, "does not have a value the record can take")
}

fn bad_client() -> Refusal {
    bad_field("client", "has to be an IP address or a host name")
}
