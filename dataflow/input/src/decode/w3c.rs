//! W3C extended logs: a `#Fields` line names the columns of what follows it. IIS and CloudFront
//! write these.
//!
//! The columns in force where a chunk begins travel with the chunk; a `#Fields` line inside of it
//! changes them from there on. Times are in UTC. IIS writes `+` for a blank in headers and times
//! what it took in milliseconds; CloudFront separates by tabs, escapes with `%` and counts seconds.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;
use spoor_operators::request::Request;

use super::error::Refusal;
use super::record::{Field, Parts};
use super::site::InputSettings;
use crate::decode::settings::TimeUnit;
use spoor_api::codes::RefusalCode;

/// What a line with the names of columns begins with.
const FIELDS: &str = "#Fields:";

/// The columns in force.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Columns {
    fields: Vec<Field>,
    /// Of CloudFront.
    is_cloudfront: bool,
}

impl Columns {
    /// Of a `#Fields` line; nothing when it is another line.
    #[must_use]
    pub fn of_line(line: &str) -> Option<Self> {
        let names = line.trim_ascii().strip_prefix(FIELDS)?;
        let names: Vec<&str> = names.split_ascii_whitespace().collect();
        let is_cloudfront = names.iter().any(|name| name.starts_with("x-edge-"));
        let has_host_header = names.contains(&"x-host-header");
        let fields = names.iter().map(|name| {
            // The host of CloudFront itself says less than the one that was asked for.
            match *name == "cs(Host)" && has_host_header {
                true => Field::Skip,
                false => field(name, is_cloudfront),
            }
        });
        Some(Self { fields: fields.collect(), is_cloudfront })
    }

    /// Those in force behind some lines; nothing when these do not change them.
    #[must_use]
    pub fn last_of(lines: &[u8]) -> Option<Self> {
        let at = memchr::memmem::rfind(lines, FIELDS.as_bytes())?;
        if at > 0 && lines[at - 1] != b'\n' {
            return None;
        }
        let rest = &lines[at..];
        let len = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
        Self::of_line(&String::from_utf8_lossy(&rest[..len]))
    }

    /// Reads a line into an empty record.
    ///
    /// # Errors
    /// The rule the line breaks.
    pub(super) fn read<'a>(
        &'a self,
        line: &'a str,
        settings: &InputSettings,
        request: &mut Request<'a>,
    ) -> Result<(), Refusal> {
        let mut parts = Parts::new(settings);
        let line = line.trim_end_matches(['\r', '\n']);
        let mut values = Values { rest: line, tabs: self.is_cloudfront && line.contains('\t') };
        for field in &self.fields {
            let Some(text) = values.next() else {
                return Err(bad_line("fewer values than columns of #Fields"));
            };
            if !matches!(text, "" | "-") && *field != Field::Skip {
                parts.put(field, self.plain(field, text), request)?;
            }
        }
        if values.next().is_some() {
            return Err(bad_line("more values than columns of #Fields"));
        }
        parts.finish_in_utc(request)
    }

    /// A value without the escapes of those who write such logs.
    fn plain<'a>(&self, field: &Field, text: &'a str) -> Cow<'a, str> {
        let is_text = matches!(
            field,
            Field::UserAgent
                | Field::RequestHeader(_)
                | Field::Cookies
                | Field::User
                | Field::Forwarded
        );
        if !is_text {
            return Cow::Borrowed(text);
        }
        if self.is_cloudfront && text.contains('%') {
            return Cow::Owned(percent_decode_str(text).decode_utf8_lossy().into_owned());
        }
        match !self.is_cloudfront && text.contains('+') {
            true => Cow::Owned(text.replace('+', " ")),
            false => Cow::Borrowed(text),
        }
    }
}

/// Values between blanks or tabs, maybe in quotes.
struct Values<'a> {
    rest: &'a str,
    tabs: bool,
}

impl<'a> Iterator for Values<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        if !self.tabs {
            self.rest = self.rest.trim_start_matches([' ', '\t']);
        }
        if self.rest.is_empty() {
            return None;
        }
        if !self.tabs
            && let Some((value, rest)) =
                self.rest.strip_prefix('"').and_then(|it| it.split_once('"'))
        {
            self.rest = rest;
            return Some(value);
        }
        let ends = |c: char| c == '\t' || (c == ' ' && !self.tabs);
        let (value, rest) = self.rest.split_at(self.rest.find(ends).unwrap_or(self.rest.len()));
        self.rest = rest.get(1..).unwrap_or_default();
        Some(value)
    }
}

fn field(name: &str, is_cloudfront: bool) -> Field {
    let header = |name: &str| match name.to_ascii_lowercase().as_str() {
        "user-agent" => Field::UserAgent,
        "host" => Field::Host,
        "cookie" => Field::Cookies,
        "x-forwarded-for" => Field::Forwarded,
        name => Field::RequestHeader(name.into()),
    };
    let within = |prefix: &str| name.strip_prefix(prefix)?.strip_suffix(')');
    if let Some(name) = within("cs(") {
        return header(name);
    }
    if let Some(name) = within("sc(") {
        return Field::ResponseHeader(name.to_ascii_lowercase());
    }
    match name.to_ascii_lowercase().as_str() {
        "date" => Field::Date,
        "time" => Field::Clock,
        "c-ip" => Field::Ip,
        "cs-method" => Field::Method,
        "cs-uri-stem" => Field::Path,
        "cs-uri-query" => Field::Query,
        "cs-uri" => Field::Url,
        "cs-host" | "x-host-header" => Field::Host,
        "cs-username" => Field::User,
        "sc-status" => Field::Status,
        "cs-bytes" => Field::RequestBytes,
        "sc-bytes" => Field::ResponseBytes,
        "time-taken" if is_cloudfront => Field::Duration(TimeUnit::S),
        "time-taken" => Field::Duration(TimeUnit::Ms),
        "x-forwarded-for" => Field::Forwarded,
        "x-edge-request-id" => Field::Id,
        _ => Field::Skip,
    }
}

fn bad_line(what: &str) -> Refusal {
    Refusal { code: RefusalCode::BadLine, reason: format!("not a line of this log: {what}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(columns: &str, line: &str, expected: &str) {
        let columns = Columns::of_line(columns).unwrap();
        let mut request = Request::default();
        columns.read(line, &InputSettings::default(), &mut request).unwrap();
        let Request { ip, method, host, path, query, status, user_agent, .. } = &request;
        let took = request.duration_ns.unwrap_or(0) / 1_000_000;
        let ts = request.ts.0;
        let seen = format!("{ts} {ip} {method} {host} {path} {query} {status} {user_agent} {took}");
        assert_eq!(seen, expected, "{line}");
    }

    #[test]
    fn the_line_of_fields_says_what_is_what() {
        check(
            "#Fields: date time s-ip cs-method cs-uri-stem cs-uri-query c-ip cs(User-Agent) sc-status time-taken\r",
            "2024-05-01 10:00:00 10.0.0.4 GET /p a=b 203.0.113.10 Mozilla/5.0+(X11) 200 65\r",
            "1714557600000 203.0.113.10 GET  /p a=b 200 Mozilla/5.0 (X11) 65",
        );
        check(
            "#Fields: date time x-edge-location c-ip cs-method cs(Host) cs-uri-stem sc-status cs(User-Agent) x-host-header time-taken",
            "2024-05-01\t10:00:00\tFRA60\t2001:db8::7\tPUT\td1.cloudfront.net\t/p\t200\tMozilla/5.0%20(X11)\tshop.example.com\t0.065",
            "1714557600000 2001:db8::7 PUT shop.example.com /p  200 Mozilla/5.0 (X11) 65",
        );
    }

    #[test]
    fn a_line_has_as_many_values_as_there_are_columns() {
        let columns = Columns::of_line("#Fields: date time c-ip cs-method cs-uri-stem").unwrap();
        for line in ["2024-05-01 10:00:00 ::1 GET", "2024-05-01 10:00:00 ::1 GET /p 200"] {
            let refusal = columns.read(line, &InputSettings::default(), &mut Request::default());
            assert_eq!(refusal.unwrap_err().code, RefusalCode::BadLine, "{line}");
        }
        assert_eq!(Columns::of_line("#Version: 1.0"), None);
        assert_eq!(Columns::last_of(b"x #Fields: a"), None);
        assert_eq!(Columns::last_of(b"x\n#Fields: c-ip\ny").unwrap().fields, [Field::Ip]);
    }
}
