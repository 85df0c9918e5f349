//! The rules of single values, shared by all decoders, and what a record falls back to.
//!
//! Each function takes the text as it came and answers with the value as the record has it, or
//! nothing when it breaks the rule. Nothing is copied unless it has to change.

use std::borrow::Cow;

use spoor_operators::address;
use spoor_operators::request::{CLIENT_BYTES_MAX, Fields, Message, NANOS_PER_MS, Request};

/// Largest status.
pub const STATUS_MAX: u64 = 999;

/// A part of a text, borrowed if the text is.
#[must_use]
pub fn part<'a>(text: &Cow<'a, str>, range: std::ops::Range<usize>) -> Cow<'a, str> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(&text[range]),
        Cow::Owned(text) => Cow::Owned(text[range].to_owned()),
    }
}

/// A method: a non-empty RFC 9110 token, upper-cased.
#[must_use]
pub fn method(text: Cow<'_, str>) -> Option<Cow<'_, str>> {
    if text.bytes().all(|byte| byte.is_ascii_uppercase()) {
        return if text.is_empty() { None } else { Some(text) };
    }
    let token =
        text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte));
    match token {
        true if text.bytes().any(|byte| byte.is_ascii_lowercase()) => {
            Some(Cow::Owned(text.to_ascii_uppercase()))
        }
        true => Some(text),
        false => None,
    }
}

/// A client: an IP address in its canonical form (an IPv4-mapped IPv6 address is the IPv4 address),
/// or a host name as it came.
#[must_use]
pub fn client(text: Cow<'_, str>) -> Option<Cow<'_, str>> {
    if is_canonical_ipv4(text.as_bytes()) {
        return Some(text);
    }
    match address::parse(&text) {
        Some(address) => {
            let canonical = address.to_string();
            Some(if canonical == text { text } else { Cow::Owned(canonical) })
        }
        None => is_host_name(&text).then_some(text),
    }
}

/// Who sent a request, as a log writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Peer<'a> {
    /// Nobody says.
    Absent,
    /// As the record has it.
    Client(Cow<'a, str>),
    /// A value that is no client.
    Bad,
}

/// A peer as logs write it: an address with a port, in brackets, with a zone; a list of which the
/// first address counts; or a host name. `-`, `unix:` and `unknown` are absence.
#[must_use]
pub fn peer(text: Cow<'_, str>) -> Peer<'_> {
    if is_canonical_ipv4(text.as_bytes()) {
        return Peer::Client(text);
    }
    let plain = text.trim_ascii();
    if matches!(plain, "" | "-" | "unknown") || plain.starts_with("unix:") {
        return Peer::Absent;
    }
    if let Some(address) = addresses(plain).next() {
        return Peer::Client(Cow::Owned(address.to_string()));
    }
    if plain.contains(',') || plain.len() < text.len() {
        return Peer::Bad;
    }
    match client(text) {
        Some(client) => Peer::Client(client),
        None => Peer::Bad,
    }
}

/// The addresses of a list, in order; what is none is passed over.
pub fn addresses(list: &str) -> impl Iterator<Item = std::net::IpAddr> + '_ {
    list.split(',').filter_map(bare_address)
}

/// An address without port, brackets, zone and what the header `Forwarded` writes around it.
fn bare_address(text: &str) -> Option<std::net::IpAddr> {
    let text = text.trim_ascii();
    let text = match text.split_once("for=").or_else(|| text.split_once("For=")) {
        Some((_, rest)) => rest.split(';').next().unwrap_or(rest),
        None => text,
    };
    let text = text.trim_matches('"');
    let host = match text.strip_prefix('[') {
        Some(inner) => inner.split(']').next().unwrap_or(inner),
        // More than one colon is of the address itself.
        None => match text.split_once(':') {
            Some((host, port)) if !port.contains(':') => host,
            _ => text,
        },
    };
    address::parse(host.split('%').next().unwrap_or(host))
}

fn is_canonical_ipv4(text: &[u8]) -> bool {
    let (mut parts, mut digits, mut number) = (0, 0, 0_u32);
    for &byte in text {
        match byte {
            b'0'..=b'9' if digits == 0 || (number != 0 && digits < 3) => {
                number = number * 10 + u32::from(byte - b'0');
                digits += 1;
            }
            b'.' if digits > 0 && number < 256 => {
                (parts, digits, number) = (parts + 1, 0, 0);
            }
            _ => return false,
        }
    }
    parts == 3 && digits > 0 && number < 256
}

fn is_host_name(text: &str) -> bool {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    !text.is_empty() && text.len() <= CLIENT_BYTES_MAX && text.bytes().all(known)
}

/// Milliseconds to whole nanoseconds, rounded; too many are the greatest number.
#[must_use]
pub fn duration_ns(millis: f64) -> Option<u64> {
    // The cast saturates.
    (millis >= 0.0).then(|| (millis * NANOS_PER_MS).round() as u64)
}

/// Where a request goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Target<'a> {
    /// Authority without user information; empty: the target does not say.
    pub host: Cow<'a, str>,
    /// Raw.
    pub path: Cow<'a, str>,
    /// Raw, without `?`.
    pub query: Cow<'a, str>,
}

/// A URL in absolute form (`scheme://host/path?query#fragment`) or origin form (`/path?query`).
/// The fragment is dropped; an absolute form without a path has the path `/`.
#[must_use]
pub fn url<'a>(text: &Cow<'a, str>) -> Option<Target<'a>> {
    let end = text.find('#').unwrap_or(text.len());
    let target = target(&part(text, 0..end));
    (target.path.starts_with('/') || *target.path == *"*").then_some(target)
}

/// The target of a request line: absolute form gives host and path; anything else is a path, with
/// a query behind the first `?`.
#[must_use]
pub fn target<'a>(text: &Cow<'a, str>) -> Target<'a> {
    let Some(authority_at) = after_scheme(text) else { return path_and_query(text, 0) };
    let rest = &text[authority_at..];
    let authority_len = rest.find(['/', '?']).unwrap_or(rest.len());
    let authority = &rest[..authority_len];
    let host_at = authority_at + authority.rfind('@').map_or(0, |at| at + 1);
    let path_at = authority_at + authority_len;
    let mut target = path_and_query(text, path_at);
    if target.path.is_empty() {
        target.path = Cow::Borrowed("/");
    }
    Target { host: part(text, host_at..path_at), ..target }
}

fn path_and_query<'a>(text: &Cow<'a, str>, path_at: usize) -> Target<'a> {
    let query_at = memchr::memchr(b'?', &text.as_bytes()[path_at..]).map(|at| path_at + at);
    Target {
        host: Cow::Borrowed(""),
        path: part(text, path_at..query_at.unwrap_or(text.len())),
        query: query_at.map_or(Cow::Borrowed(""), |at| part(text, at + 1..text.len())),
    }
}

/// Index behind `scheme://`, if the text begins so.
fn after_scheme(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    if !bytes.first()?.is_ascii_alphabetic() {
        return None;
    }
    let in_scheme = |byte: &&u8| byte.is_ascii_alphanumeric() || b"+-.".contains(byte);
    let len = bytes.iter().take_while(in_scheme).count();
    bytes[len..].starts_with(b"://").then_some(len + 3)
}

/// Fills in what other fields of the record say: the user agent from its header, cookies from
/// theirs where none were given.
pub fn fall_back(request: &mut Request<'_>) {
    if request.user_agent.is_empty() {
        let header = first_header(&request.request, "user-agent");
        if let Some(agent) = header {
            request.user_agent = agent;
        }
    }
    cookies_from_headers(&mut request.request, "cookie", |value, into| {
        let mut at = 0;
        for pair in value.split(';') {
            push_cookie(value, at..at + pair.len(), into);
            at += pair.len() + 1;
        }
    });
    cookies_from_headers(&mut request.response, "set-cookie", |value, into| {
        let end = value.find(';').unwrap_or(value.len());
        push_cookie(value, 0..end, into);
    });
}

fn first_header<'a>(message: &Message<'a>, name: &str) -> Option<Cow<'a, str>> {
    let found = message.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value.clone())
}

fn cookies_from_headers<'a>(
    message: &mut Message<'a>,
    name: &str,
    read: impl Fn(&Cow<'a, str>, &mut Fields<'a>),
) {
    if !message.cookies.is_empty() {
        return;
    }
    let Message { headers, cookies, .. } = message;
    for (_, value) in headers.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name)) {
        read(value, cookies);
    }
}

/// Pushes `name=value`, without the blanks around both; a pair without a name is nothing.
#[expect(clippy::ptr_arg, reason = "what is found in a borrowed text borrows like it")]
fn push_cookie<'a>(text: &Cow<'a, str>, range: std::ops::Range<usize>, into: &mut Fields<'a>) {
    let Some(equals) = text[range.clone()].find('=') else { return };
    let name = trimmed(text, range.start..range.start + equals);
    let value = trimmed(text, range.start + equals + 1..range.end);
    if !name.is_empty() {
        into.push((part(text, name), part(text, value)));
    }
}

fn trimmed(text: &str, range: std::ops::Range<usize>) -> std::ops::Range<usize> {
    let inner = &text[range.clone()];
    let start = range.start + (inner.len() - inner.trim_ascii_start().len());
    let end = range.end - (inner.len() - inner.trim_ascii_end().len());
    start..end.max(start)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_method_is_a_token_in_upper_case() {
        for (text, expected) in [
            ("GET", Some("GET")),
            ("get", Some("GET")),
            ("M-SEARCH", Some("M-SEARCH")),
            ("x~1", Some("X~1")),
            ("", None),
            ("G T", None),
            ("\u{16}\u{3}", None),
            ("GÉT", None),
        ] {
            assert_eq!(method(text.into()).as_deref(), expected, "{text:?}");
        }
    }

    #[test]
    fn a_client_is_an_address_in_canonical_form_or_a_host_name() {
        let long = "a".repeat(254);
        for (text, expected) in [
            ("10.0.0.1", Some("10.0.0.1")),
            ("0.0.0.0", Some("0.0.0.0")),
            ("2001:DB8:0:0::1", Some("2001:db8::1")),
            ("::ffff:1.2.3.4", Some("1.2.3.4")),
            ("::FFFF:102:304", Some("1.2.3.4")),
            ("::1", Some("::1")),
            ("crawl-1.example.com", Some("crawl-1.example.com")),
            ("010.0.0.1", Some("010.0.0.1")),
            ("256.0.0.1", Some("256.0.0.1")),
            ("a_b", Some("a_b")),
            ("", None),
            ("fe80::1%eth0", None),
            ("[::1]", None),
            ("10.0.0.1:80", None),
            ("AWS Internal", None),
            (&long, None),
            (&long[1..], Some(&long[1..])),
        ] {
            assert_eq!(client(text.into()).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn a_peer_is_written_in_many_ways() {
        for (text, expected) in [
            ("203.0.113.7:51234", "203.0.113.7"),
            ("[2001:db8::7]", "2001:db8::7"),
            ("[2001:DB8::7]:443", "2001:db8::7"),
            ("fe80::1%eth0", "fe80::1"),
            ("::ffff:203.0.113.10", "203.0.113.10"),
            ("203.0.113.10, 10.0.0.1", "203.0.113.10"),
            ("unknown, 203.0.113.10", "203.0.113.10"),
            ("for=\"[2001:db8::7]:1\";proto=https", "2001:db8::7"),
            ("crawl-1.example.com", "crawl-1.example.com"),
        ] {
            assert_eq!(peer(text.into()), Peer::Client(expected.into()), "{text}");
        }
        for text in ["", "-", "unix:", "unix:/run/x.sock", "unknown"] {
            assert_eq!(peer(text.into()), Peer::Absent, "{text}");
        }
        for text in ["*", "(null)", "a, b", "AWS Internal", "10.0.0.1:80:80"] {
            assert_eq!(peer(text.into()), Peer::Bad, "{text}");
        }
    }

    #[test]
    fn a_url_gives_host_path_and_query() {
        for (text, expected) in [
            ("/a?b=c#d", Some(("", "/a", "b=c"))),
            ("https://u:p@h.example:8443/a%20b?x=?#y", Some(("h.example:8443", "/a%20b", "x=?"))),
            ("http://h", Some(("h", "/", ""))),
            ("http://h?q", Some(("h", "/", "q"))),
            ("//h/p", Some(("", "//h/p", ""))),
            ("/go?to=http://h/@x", Some(("", "/go", "to=http://h/@x"))),
            ("*", Some(("", "*", ""))),
            ("", None),
            ("#x", None),
            ("path", None),
            ("?x", None),
            ("mailto:x", None),
        ] {
            let found = url(&Cow::Borrowed(text));
            let found = found.as_ref().map(|at| (&*at.host, &*at.path, &*at.query));
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn cookies_come_from_their_headers_unless_given() {
        let header = |name: &'static str, value: &'static str| (name.into(), value.into());
        let mut request = Request::default();
        request.request.headers.push(header("Cookie", " a=b; c = d=e ;; =x; f"));
        request.request.headers.push(header("User-Agent", "UA"));
        request.response.headers.push(header("set-cookie", "s=1; Path=/; a=b"));
        request.response.headers.push(header("Set-Cookie", "t=2"));
        fall_back(&mut request);
        assert_eq!(format!("{:?}", request.request.cookies), r#"[("a", "b"), ("c", "d=e")]"#);
        assert_eq!(format!("{:?}", request.response.cookies), r#"[("s", "1"), ("t", "2")]"#);
        assert_eq!(request.user_agent, "UA");
        request.request.cookies = [header("z", "1")].into_iter().collect();
        fall_back(&mut request);
        assert_eq!(format!("{:?}", request.request.cookies), r#"[("z", "1")]"#);
    }

    #[test]
    fn durations_are_rounded_to_nanoseconds_and_saturate() {
        for (millis, expected) in [
            (0.0, Some(0)),
            (-0.0, Some(0)),
            (12.345, Some(12_345_000)),
            (0.000_000_5, Some(1)),
            (1e300, Some(u64::MAX)),
            (f64::INFINITY, Some(u64::MAX)),
            (-1.0, None),
            (f64::NAN, None),
        ] {
            assert_eq!(duration_ns(millis), expected, "{millis}");
        }
    }

    proptest! {
        #[test]
        fn the_quick_check_of_an_address_agrees_with_the_library(text in "[0-9]{1,4}(\\.[0-9]{1,4}){2,4}|[0-9.]{0,16}") {
            let library = text.parse::<std::net::Ipv4Addr>().is_ok_and(|address| address.to_string() == text);
            prop_assert_eq!(is_canonical_ipv4(text.as_bytes()), library);
        }

        #[test]
        fn no_text_panics(text in any::<String>()) {
            let _ = (url(&Cow::Borrowed(&text)), client(Cow::Borrowed(&text)), method(Cow::Borrowed(&text)));
            let mut request = Request::default();
            request.request.headers.push(("cookie".into(), text.clone().into()));
            request.response.headers.push(("set-cookie".into(), text.into()));
            fall_back(&mut request);
        }
    }
}
