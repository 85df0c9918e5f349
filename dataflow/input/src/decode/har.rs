//! HTTP archives: one record an entry, in the order of the log.
//!
//! A file with a broken entry still gives its other entries; a file that is not JSON, or has no
//! entries, is one bad record. `serverIPAddress` is not the client, so there is no client address.
//! Sizes are headers and body as transferred; what the recorder did not know (negative) counts as
//! nothing. A response's body is kept when it is JSON or plain text: what rules can read.

use std::borrow::Cow;

use serde_json::value::RawValue;
use spoor_operators::request::{Body, Fields, Message, Request};

use super::error::Refusal;
use super::json::{self, Object, bad_field, is_null};
use super::{timestamp, value};
use spoor_api::codes::RefusalCode;

/// The entries of an archive.
///
/// # Errors
/// It is not JSON, or no archive.
pub fn entries(text: &str) -> Result<Vec<&RawValue>, Refusal> {
    let root = json::object(text)?;
    let log = find(&root, "log").ok_or_else(|| missing("log"))?;
    let log = json::inner("log", log)?;
    json::array("log.entries", find(&log, "entries").ok_or_else(|| missing("log.entries"))?)
}

/// Reads an entry into an empty record. Implicit ids are left to the caller.
///
/// # Errors
/// The rule the entry breaks.
pub fn read<'a>(entry: &'a str, request: &mut Request<'a>) -> Result<(), Refusal> {
    let entry = json::object(entry)?;
    let started = text(&entry, "startedDateTime")?.ok_or_else(|| missing("startedDateTime"))?;
    request.ts = timestamp::rfc3339(started.as_bytes())
        .ok_or_else(|| bad_field("startedDateTime", "has to be an RFC 3339 time"))?;
    if let Some(time) = find(&entry, "time") {
        request.duration_ns = value::duration_ns(json::number("time", time, "has to be a number")?);
    }
    let sent = find(&entry, "request").ok_or_else(|| missing("request"))?;
    read_request(&json::inner("request", sent)?, request)?;
    if let Some(answer) = find(&entry, "response") {
        read_response(&json::inner("response", answer)?, request)?;
    }
    value::fall_back(request);
    Ok(())
}

fn read_request<'a>(sent: &Object<'a>, request: &mut Request<'a>) -> Result<(), Refusal> {
    let method = text(sent, "method")?.ok_or_else(|| missing("request.method"))?;
    request.method = value::method(method)
        .ok_or_else(|| bad_field("request.method", "has to be an RFC 9110 token"))?;
    let url = text(sent, "url")?.ok_or_else(|| missing("request.url"))?;
    let target =
        value::url(&url).ok_or_else(|| bad_field("request.url", "has to be in absolute form"))?;
    request.host = target.host;
    request.path = target.path;
    request.query = target.query;
    request.request_bytes = bytes(sent)?;
    request.request = message(sent)?;
    let Some(posted) = find(sent, "postData") else { return Ok(()) };
    let posted = json::inner("request.postData", posted)?;
    request.request.form = pairs(&posted, "params")?;
    if let Some(body) = text(&posted, "text")?.filter(|text| !text.is_empty()) {
        request.request.body = Body::Text(body);
    }
    Ok(())
}

fn read_response<'a>(answer: &Object<'a>, request: &mut Request<'a>) -> Result<(), Refusal> {
    if let Some(status) = find(answer, "status") {
        const MUST: &str = "has to be an integer up to 999";
        let status: i64 = json::integer("response.status", status, MUST)?;
        request.status = u16::try_from(status.max(0))
            .ok()
            .filter(|status| u64::from(*status) <= value::STATUS_MAX)
            .ok_or_else(|| bad_field("response.status", MUST))?;
    }
    request.response_bytes = bytes(answer)?;
    request.response = message(answer)?;
    let Some(content) = find(answer, "content") else { return Ok(()) };
    let content = json::inner("response.content", content)?;
    let kind = text(&content, "mimeType")?.unwrap_or_default();
    let readable = kind.contains("json") || kind.starts_with("text/plain");
    if readable && text(&content, "encoding")?.is_none_or(|encoding| encoding.is_empty()) {
        request.response.body = text(&content, "text")?.map_or(Body::Absent, Body::Text);
    }
    Ok(())
}

fn message<'a>(side: &Object<'a>) -> Result<Message<'a>, Refusal> {
    let (headers, cookies) = (pairs(side, "headers")?, pairs(side, "cookies")?);
    Ok(Message { headers, cookies, ..Message::default() })
}

/// An array of `{name, value}`; a value that is not there is empty.
fn pairs<'a>(of: &Object<'a>, name: &str) -> Result<Fields<'a>, Refusal> {
    let mut fields = Fields::new();
    let Some(given) = find(of, name) else { return Ok(fields) };
    for pair in json::array(name, given)? {
        let pair = json::inner(name, pair)?;
        if let Some(key) = text(&pair, "name")? {
            fields.push((key, text(&pair, "value")?.unwrap_or_default()));
        }
    }
    Ok(fields)
}

fn bytes(side: &Object<'_>) -> Result<u64, Refusal> {
    let mut sum = 0_u64;
    for name in ["headersSize", "bodySize"] {
        if let Some(size) = find(side, name) {
            let size = json::number(name, size, "has to be a number")?;
            // The cast saturates, and makes nothing of a negative number.
            sum = sum.saturating_add(size as u64);
        }
    }
    Ok(sum)
}

fn find<'a>(Object(entries): &Object<'a>, name: &str) -> Option<&'a RawValue> {
    let found = entries.iter().find(|(known, _)| known == name).map(|(_, raw)| *raw);
    found.filter(|raw| !is_null(raw))
}

fn text<'a>(of: &Object<'a>, name: &str) -> Result<Option<Cow<'a, str>>, Refusal> {
    find(of, name).map(|raw| json::string(name, raw)).transpose()
}

fn missing(name: &str) -> Refusal {
    Refusal { code: RefusalCode::MissingField, reason: format!("`{name}` is missing") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_becomes_a_record() {
        let entry = r#"{"startedDateTime":"2024-05-01T10:00:00.000+02:00","time":12.5,
            "serverIPAddress":"9.9.9.9","pageref":"p",
            "request":{"method":"POST","url":"https://h:1/p?q=1#f","headersSize":-1,"bodySize":7,
              "headers":[{"name":"User-Agent","value":"UA"},{"name":"Cookie","value":"a=b"}],"cookies":[],
              "postData":{"mimeType":"x","text":"f=g","params":[{"name":"f","value":"g"},{"name":"h"}]}},
            "response":{"status":200,"headersSize":100,"bodySize":20,"headers":[],"cookies":[{"name":"s","value":"1"}],
              "content":{"mimeType":"application/json; charset=utf-8","text":"{\"token\":\"t\"}"}}}"#;
        let mut request = Request::default();
        read(entry, &mut request).unwrap();
        assert_eq!(request.ts.0, 1_714_550_400_000);
        assert_eq!(request.duration_ns, Some(12_500_000));
        assert_eq!(
            (&*request.method, &*request.host, &*request.path, &*request.query),
            ("POST", "h:1", "/p", "q=1")
        );
        assert_eq!((request.request_bytes, request.response_bytes, request.status), (7, 120, 200));
        assert_eq!((&*request.user_agent, &*request.ip), ("UA", ""));
        assert_eq!(format!("{:?}", request.request.cookies), r#"[("a", "b")]"#);
        assert_eq!(format!("{:?}", request.request.form), r#"[("f", "g"), ("h", "")]"#);
        assert_eq!(request.request.body, Body::Text("f=g".into()));
        assert_eq!(request.response.body, Body::Text(r#"{"token":"t"}"#.into()));
        assert_eq!(format!("{:?}", request.response.cookies), r#"[("s", "1")]"#);
    }

    #[test]
    fn what_is_no_archive_says_why() {
        for (text, code) in [
            ("[]", RefusalCode::BadJson),
            ("{\"log\":{\"entries\":[{}", RefusalCode::BadJson),
            ("{}", RefusalCode::MissingField),
            (r#"{"log":{}}"#, RefusalCode::MissingField),
            (r#"{"log":{"entries":{}}}"#, RefusalCode::BadField),
        ] {
            assert_eq!(entries(text).unwrap_err().code, code, "{text}");
        }
    }

    #[test]
    fn a_broken_entry_says_which_field() {
        for (entry, word) in [
            ("1", "object"),
            ("{}", "startedDateTime"),
            (r#"{"startedDateTime":"now"}"#, "startedDateTime"),
            (r#"{"startedDateTime":"2024-05-01T10:00:00Z"}"#, "`request`"),
            (
                r#"{"startedDateTime":"2024-05-01T10:00:00Z","request":{"method":"GET","url":"data:x"}}"#,
                "url",
            ),
            (
                r#"{"startedDateTime":"2024-05-01T10:00:00Z","request":{"method":"GET","url":"/","headers":{}}}"#,
                "headers",
            ),
        ] {
            let refusal = read(entry, &mut Request::default()).unwrap_err();
            assert!(refusal.reason.contains(word), "{entry}: {refusal:?}");
        }
    }
}
