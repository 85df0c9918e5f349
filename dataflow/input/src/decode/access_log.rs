//! Access logs of Apache and nginx: `common`, and `combined` with referrer and user agent.
//!
//! ```text
//! client ident user [time] "METHOD target HTTP/x" status bytes "referrer" "user agent" ...
//! ```
//!
//! A line is good when it has the first seven fields; what follows the user agent is ignored. `-`
//! is absence. A backslash keeps the quote behind it from ending a value; escapes stay as the log
//! has them. A user agent that is cut off, without its closing quote, runs to the end of the line.
//! The referrer becomes the request header `referer`, an authenticated user `x-remote-user` (it may
//! contain blanks). Text that was not UTF-8 comes with U+FFFD already in it.

use std::borrow::Cow;

use spoor_operators::request::Request;

use super::error::Refusal;
use super::json::bad_field;
use super::{timestamp, value};
use spoor_api::codes::RefusalCode;

/// Request header that keeps the referrer.
pub const REFERER: &str = "referer";
/// Request header that keeps the authenticated user.
pub const REMOTE_USER: &str = "x-remote-user";

/// Reads a line into an empty record. Implicit ids are left to the caller.
///
/// # Errors
/// The rule the line breaks.
pub fn read<'a>(line: &'a str, request: &mut Request<'a>) -> Result<(), Refusal> {
    let line = line.trim_ascii();
    let (client, rest) = line.split_once(' ').ok_or_else(|| bad_line("client"))?;
    let (names, rest) = rest.split_once('[').ok_or_else(|| bad_line("time in brackets"))?;
    let (_, user) = names.trim_ascii().split_once(' ').ok_or_else(|| bad_line("user"))?;
    let (time, rest) = rest.split_once(']').ok_or_else(|| bad_line("time in brackets"))?;
    let mut rest = Rest(rest);
    let request_line = rest.quoted().ok_or_else(|| bad_line("request line in quotes"))?;
    let status = rest.word().ok_or_else(|| bad_line("status"))?;
    let bytes = rest.word().ok_or_else(|| bad_line("bytes"))?;

    request.ts = timestamp::access_log(time.as_bytes())
        .ok_or_else(|| bad_field("time", "has to be like 20/Feb/2016:00:00:45 -0500"))?;
    if let Some(client) = present(client) {
        request.ip = value::client(client.into())
            .ok_or_else(|| bad_field("client", "has to be an IP address or a host name"))?;
    }
    read_request_line(request_line, request)?;
    request.status = number(status, "status", value::STATUS_MAX)? as u16;
    request.response_bytes = number(bytes, "bytes", u64::MAX)?;
    if let Some(user) = present(user.trim_ascii()) {
        push_header(request, REMOTE_USER, user);
    }
    if let Some(referer) = rest.quoted() {
        if let Some(referer) = present(referer) {
            push_header(request, REFERER, referer);
        }
        request.user_agent = rest.quoted().and_then(present).unwrap_or_default().into();
    }
    Ok(())
}

/// `METHOD SP TARGET [SP HTTP/x]`.
fn read_request_line<'a>(line: &'a str, request: &mut Request<'a>) -> Result<(), Refusal> {
    let (method, rest) = line.split_once(' ').unwrap_or((line, ""));
    let method = value::method(method.into())
        .ok_or_else(|| bad_field("request line", "has to begin with a method"))?;
    let target = match rest.rsplit_once(' ') {
        Some((target, version)) if version.starts_with("HTTP/") => target,
        _ if rest.starts_with("HTTP/") && !rest.contains(' ') => "",
        _ => rest,
    };
    if target.is_empty() {
        return Err(bad_field("request line", "has to have a target"));
    }
    let target = value::target(&Cow::Borrowed(target));
    request.method = method;
    request.host = target.host;
    request.path = target.path;
    request.query = target.query;
    Ok(())
}

fn bad_line(missing: &str) -> Refusal {
    Refusal {
        code: RefusalCode::BadLine,
        reason: format!("not an access log line: it has no {missing}"),
    }
}

fn present(text: &str) -> Option<&str> {
    (!text.is_empty() && text != "-").then_some(text)
}

fn number(text: &str, name: &str, max: u64) -> Result<u64, Refusal> {
    if text == "-" {
        return Ok(0);
    }
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let number = if digits { text.parse().ok() } else { None };
    number.filter(|number| *number <= max).ok_or_else(|| {
        let most = if max == u64::MAX { String::new() } else { format!(" up to {max}") };
        bad_field(name, &format!("has to be a number{most}, or `-`"))
    })
}

fn push_header<'a>(request: &mut Request<'a>, name: &'static str, value: &'a str) {
    request.request.headers.push((Cow::Borrowed(name), Cow::Borrowed(value)));
}

/// What is left of a line.
struct Rest<'a>(&'a str);

impl<'a> Rest<'a> {
    /// A word between blanks.
    fn word(&mut self) -> Option<&'a str> {
        let text = self.0.trim_ascii_start();
        let len = text.find(' ').unwrap_or(text.len());
        self.0 = &text[len..];
        (len > 0).then(|| &text[..len])
    }

    /// A value in quotes, as written between them.
    fn quoted(&mut self) -> Option<&'a str> {
        let text = self.0.trim_ascii_start().strip_prefix('"')?;
        let mut from = 0;
        let end = loop {
            match memchr::memchr2(b'"', b'\\', &text.as_bytes()[from..]) {
                None => break text.len(),
                Some(at) if text.as_bytes()[from + at] == b'"' => break from + at,
                // The escaped character may be the last, or longer than a byte: neither is a quote.
                Some(at) => from = (from + at + 2).min(text.len()),
            }
        };
        self.0 = text.get(end + 1..).unwrap_or_default();
        Some(&text[..end])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn seen(line: &str) -> Result<String, RefusalCode> {
        let mut request = Request::default();
        read(line, &mut request).map_err(|refusal| refusal.code)?;
        let headers: Vec<String> =
            request.request.headers.iter().map(|(name, value)| format!("{name}={value}")).collect();
        Ok(format!(
            "{} {} {} {} {} {} {} {} {:?} {}",
            request.ts.0,
            request.ip,
            request.method,
            request.host,
            request.path,
            request.query,
            request.status,
            request.response_bytes,
            request.user_agent,
            headers.join(",")
        ))
    }

    fn check(line: &str, expected: Result<&str, RefusalCode>) {
        assert_eq!(seen(line), expected.map(str::to_owned), "{line}");
    }

    #[test]
    fn lines_that_are_good() {
        let time = "[20/Feb/2016:00:00:45 -0500]";
        let ms = 1_455_944_445_000_i64;
        for (line, expected) in [
            (
                format!(
                    r#"1.2.3.4 - - {time} "GET /a%20b?c=d HTTP/1.1" 200 187 "http://r/" "UA/1 (x)" extra "#
                ),
                format!(r#"{ms} 1.2.3.4 GET  /a%20b c=d 200 187 "UA/1 (x)" referer=http://r/"#),
            ),
            (
                format!(r#"h-1.example.com id jane doe {time} "get /" - - "-" "-""#),
                format!(r#"{ms} h-1.example.com GET  /  0 0 "" x-remote-user=jane doe"#),
            ),
            (
                format!(r#"- - - {time} "OPTIONS * HTTP/1.0" 200 -"#),
                format!(r#"{ms}  OPTIONS  *  200 0 "" "#),
            ),
            (
                format!(r#"::1 - - {time} "GET http://h:81/p?q HTTP/1.1" 499 0"#),
                format!(r#"{ms} ::1 GET h:81 /p q 499 0 "" "#),
            ),
            (
                format!(r#"::1 - - {time} "GET /a b" 200 5 "-" "say \"hi\" \\" x"#),
                format!(r#"{ms} ::1 GET  /a b  200 5 {:?} "#, r#"say \"hi\" \\"#),
            ),
            (
                format!(r#"::1 - - {time} "GET /\x22 HTTP/1.1" 200 5 "-" "cut off"#),
                format!(r#"{ms} ::1 GET  /\x22  200 5 "cut off" "#),
            ),
            (
                format!("::1 - - {time} \"GET /\u{fffd} HTTP/1.1\" 200 5 - \"not a referrer\"\r"),
                format!("{ms} ::1 GET  /\u{fffd}  200 5 \"\" "),
            ),
            (
                format!(r#"::1 - - {time} "GET  /two HTTP/1.1" 200 5"#),
                format!(r#"{ms} ::1 GET   /two  200 5 "" "#),
            ),
        ] {
            check(&line, Ok(&expected));
        }
    }

    #[test]
    fn lines_that_are_bad_and_why() {
        let time = "[20/Feb/2016:00:00:45 -0500]";
        for (line, code) in [
            ("".to_owned(), RefusalCode::BadLine),
            ("{}".to_owned(), RefusalCode::BadLine),
            (format!(r#"1.2.3.4 - - {time} "GET / HTTP/1.1" 200"#), RefusalCode::BadLine),
            (format!(r#"1.2.3.4 - - {time} GET / 200 1"#), RefusalCode::BadLine),
            (format!(r#"1.2.3.4 - {time} "GET / HTTP/1.1" 200 1"#), RefusalCode::BadLine),
            (format!(r#"1.2.3.4 - - {time} "GET / HTTP/1.1"#), RefusalCode::BadLine),
            (format!(r#"1.2.3.4 - - {time} "-" 408 0"#), RefusalCode::BadField),
            (format!(r#"1.2.3.4 - - {time} "GET HTTP/1.1" 400 0"#), RefusalCode::BadField),
            (format!(r#"1.2.3.4 - - {time} "\x16\x03\x01" 400 0"#), RefusalCode::BadField),
            (format!(r#"1.2.3.4 - - {time} "" 400 0"#), RefusalCode::BadField),
            (format!(r#"1.2.3.4 - - {time} "GET / HTTP/1.1" 1000 0"#), RefusalCode::BadField),
            (format!(r#"1.2.3.4 - - {time} "GET / HTTP/1.1" +20 0"#), RefusalCode::BadField),
            (format!(r#"1.2.3.4 - - {time} "GET / HTTP/1.1" 200 1.5"#), RefusalCode::BadField),
            (format!(r#"1.2.3.4:80 - - {time} "GET / HTTP/1.1" 200 1"#), RefusalCode::BadField),
            (r#"1.2.3.4 - - [today] "GET / HTTP/1.1" 200 1"#.to_owned(), RefusalCode::BadField),
        ] {
            check(&line, Err(code));
        }
    }

    proptest! {
        #[test]
        fn no_line_panics(line in r#"[ -~]{0,20}|(\PC|[\[\]"\\ ]){0,30}|1\.2\.3\.4 - - \[20/Feb/2016:00:00:45 -0500\] "(\PC|[\\" ]){0,30}"#) {
            let _ = read(&line, &mut Request::default());
        }
    }
}
