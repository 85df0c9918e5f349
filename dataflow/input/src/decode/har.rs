//! HTTP archives: one record an entry, in the order of the log.
//!
//! A file with a broken entry still gives its other entries, one that is cut off those before the
//! cut; a file that is not JSON, or has no entries, is one bad record. `serverIPAddress` is not the
//! client, so there is no client address: where nothing tells who sent a request, the archive and
//! its browser stand for the sender. Sizes are headers and body as transferred; what the recorder
//! did not know (negative) counts as nothing. A response's body is kept when it is JSON or plain
//! text: what rules can read. Only time, method and URL are needed: any other value that is not what
//! it should be is left out.

use std::borrow::Cow;

use serde_json::value::RawValue;
use spoor_operators::request::{Body, Fields, Message, Request};

use super::error::Refusal;
use super::json::{self, Object, bad_field, is_null};
use super::{timestamp, value};
use spoor_api::codes::RefusalCode;

/// An archive.
#[derive(Debug, Default)]
pub struct Archive<'a> {
    /// In order.
    pub entries: Vec<&'a RawValue>,
    /// Name of the browser that wrote it, or of the tool; empty: it does not say.
    pub browser: Cow<'a, str>,
    /// Why there are no more entries.
    pub broken: Option<Refusal>,
}

/// Reads what is around the entries.
///
/// # Errors
/// It is not JSON, or no archive.
pub fn archive(text: &str) -> Result<Archive<'_>, Refusal> {
    let root = match json::object(text) {
        Ok(root) => root,
        Err(refusal) => return cut_off(text, refusal),
    };
    let log = find(&root, "log").ok_or_else(|| missing("log"))?;
    let log = json::inner("log", log)?;
    let entries = find(&log, "entries").ok_or_else(|| missing("log.entries"))?;
    let named = |side: &str| {
        let side = json::inner(side, find(&log, side)?).ok()?;
        text_of(&side, "name")
    };
    let browser = named("browser").or_else(|| named("creator")).unwrap_or_default();
    Ok(Archive { entries: json::array("log.entries", entries)?, browser, broken: None })
}

/// The entries in front of a cut.
fn cut_off(text: &str, refusal: Refusal) -> Result<Archive<'_>, Refusal> {
    let Some(start) = json::array_start(text, "entries") else { return Err(refusal) };
    let (entries, _) = json::elements(&text[start + 1..]);
    if entries.is_empty() {
        return Err(refusal);
    }
    Ok(Archive { entries, browser: Cow::Borrowed(""), broken: Some(refusal) })
}

/// Says which archive a record is of, where nothing tells who sent it.
pub fn name_archive(request: &mut Request<'_>, source: &str, browser: &str) {
    if request.ip.is_empty() {
        let separator = if browser.is_empty() { "" } else { "|" };
        request.archive = Cow::Owned(format!("{source}{separator}{browser}"));
    }
}

/// Reads an entry into an empty record. Implicit ids are left to the caller.
///
/// # Errors
/// The rule the entry breaks.
pub fn read<'a>(entry: &'a str, request: &mut Request<'a>) -> Result<(), Refusal> {
    let entry = json::object(entry)?;
    let started = text(&entry, "startedDateTime")?.ok_or_else(|| missing("startedDateTime"))?;
    let at = timestamp::written(started.as_bytes()).filter(|written| written.zoned);
    request.ts = at.ok_or_else(|| bad_field("startedDateTime", "has to be an ISO 8601 time"))?.at;
    if let Some(time) = find(&entry, "time") {
        match json::number("time", time, "has to be a number") {
            Ok(time) => request.duration_ns = value::duration_ns(time),
            Err(_) => request.repaired = true,
        }
    }
    let sent = find(&entry, "request").ok_or_else(|| missing("request"))?;
    read_request(&json::inner("request", sent)?, request)?;
    if let Some(answer) = find(&entry, "response") {
        match json::inner("response", answer) {
            Ok(answer) => read_response(&answer, request),
            Err(_) => request.repaired = true,
        }
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
    let mut side = Side { of: sent, repaired: false };
    request.request_bytes = side.bytes();
    request.request = side.message();
    if let Some(posted) = side.object("postData") {
        let mut posted = Side { of: &posted, repaired: false };
        request.request.form = posted.pairs("params");
        if let Some(body) = posted.text("text").filter(|text| !text.is_empty()) {
            request.request.body = Body::Text(body);
        }
        request.repaired |= posted.repaired;
    }
    request.repaired |= side.repaired;
    Ok(())
}

fn read_response<'a>(answer: &Object<'a>, request: &mut Request<'a>) {
    let mut side = Side { of: answer, repaired: false };
    if let Some(status) = find(answer, "status") {
        // A recorder writes 0 or less for an answer that never came.
        let status = json::number("status", status, "").map_or(f64::NAN, |status| status.max(0.0));
        match status <= value::STATUS_MAX as f64 && status.fract() == 0.0 {
            true => request.status = status as u16,
            false => side.repaired = true,
        }
    }
    request.response_bytes = side.bytes();
    request.response = side.message();
    if let Some(content) = side.object("content") {
        let mut content = Side { of: &content, repaired: false };
        let kind = content.text("mimeType").unwrap_or_default();
        let readable = kind.contains("json") || kind.starts_with("text/plain");
        if readable && content.text("encoding").is_none_or(|encoding| encoding.is_empty()) {
            request.response.body = content.text("text").map_or(Body::Absent, Body::Text);
        }
        request.repaired |= content.repaired;
    }
    request.repaired |= side.repaired;
}

/// An object of which what is odd is left out.
struct Side<'o, 'a> {
    of: &'o Object<'a>,
    repaired: bool,
}

impl<'a> Side<'_, 'a> {
    /// What was read, or that it could not be.
    fn keep<T>(&mut self, read: Option<T>) -> Option<T> {
        self.repaired |= read.is_none();
        read
    }

    fn text(&mut self, name: &str) -> Option<Cow<'a, str>> {
        let found = find(self.of, name)?;
        self.keep(json::lenient(found))
    }

    fn object(&mut self, name: &str) -> Option<Object<'a>> {
        let found = find(self.of, name)?;
        self.keep(json::inner(name, found).ok())
    }

    fn message(&mut self) -> Message<'a> {
        let (headers, cookies) = (self.pairs("headers"), self.pairs("cookies"));
        Message { headers, cookies, ..Message::default() }
    }

    /// An array of `{name, value}`; a value that is not there is empty.
    fn pairs(&mut self, name: &str) -> Fields<'a> {
        let mut fields = Fields::new();
        let Some(given) = find(self.of, name) else { return fields };
        for pair in self.keep(json::array(name, given).ok()).unwrap_or_default() {
            let Some(pair) = self.keep(json::inner(name, pair).ok()) else { continue };
            let mut pair = Side { of: &pair, repaired: false };
            if let Some(key) = pair.text("name") {
                fields.push((key, pair.text("value").unwrap_or_default()));
            }
            self.repaired |= pair.repaired;
        }
        fields
    }

    fn bytes(&mut self) -> u64 {
        let mut sum = 0_u64;
        for name in ["headersSize", "bodySize"] {
            let Some(size) = find(self.of, name) else { continue };
            // The cast saturates, and makes nothing of a negative number.
            let size = self.keep(json::number(name, size, "").ok()).unwrap_or(0.0) as u64;
            sum = sum.saturating_add(size);
        }
        sum
    }
}

fn find<'a>(Object(entries): &Object<'a>, name: &str) -> Option<&'a RawValue> {
    let found = entries.iter().find(|(known, _)| known == name).map(|(_, raw)| *raw);
    found.filter(|raw| !is_null(raw))
}

fn text_of<'a>(of: &Object<'a>, name: &str) -> Option<Cow<'a, str>> {
    json::lenient(find(of, name)?)
}

fn text<'a>(of: &Object<'a>, name: &str) -> Result<Option<Cow<'a, str>>, Refusal> {
    let Some(raw) = find(of, name) else { return Ok(None) };
    json::lenient(raw).map(Some).ok_or_else(|| bad_field(name, "has to be a string"))
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
            ("{\"log\":{\"entries\":[{", RefusalCode::BadJson),
            ("{}", RefusalCode::MissingField),
            (r#"{"log":{}}"#, RefusalCode::MissingField),
            (r#"{"log":{"entries":{}}}"#, RefusalCode::BadField),
        ] {
            assert_eq!(archive(text).unwrap_err().code, code, "{text}");
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
        ] {
            let refusal = read(entry, &mut Request::default()).unwrap_err();
            assert!(refusal.reason.contains(word), "{entry}: {refusal:?}");
        }
    }

    #[test]
    fn what_is_odd_beside_a_request_is_left_out() {
        let base = r#"{"startedDateTime":"2024-11-27T10:00:00.747+0100","request":{"method":"GET","url":"/p","headers":[{"name":"User-Agent","value":"UA"}]}"#;
        for (rest, repaired) in [
            ("}", false),
            (r#","time":"long"}"#, true),
            (r#","response":[]}"#, true),
            (r#","response":{"status":1000}}"#, true),
            (r#","response":{"status":-1}}"#, false),
            (r#","response":{"headers":{}}}"#, true),
            (r#","response":{"headers":[{"name":1}],"bodySize":"x"}}"#, true),
            (r#","response":{"content":{"mimeType":"text/plain","text":"\ud83d"}}}"#, false),
            (r#","response":{"content":{"mimeType":7}}}"#, true),
        ] {
            let entry = format!("{base}{rest}");
            let mut request = Request::default();
            read(&entry, &mut request).unwrap();
            assert_eq!((request.repaired, &*request.user_agent), (repaired, "UA"), "{rest}");
            assert_eq!(request.ts.0, 1_732_698_000_747);
        }
    }

    #[test]
    fn an_archive_says_what_wrote_it_and_may_be_cut_off() {
        let entry = r#"{"a":1}"#;
        for (text, entries, browser, whole) in [
            (
                format!(r#"{{"log":{{"browser":{{"name":"B"}},"entries":[{entry}]}}}}"#),
                1,
                "B",
                true,
            ),
            (r#"{"log":{"creator":{"name":"C"},"entries":[]}}"#.to_owned(), 0, "C", true),
            (format!(r#"{{"log":{{"entries":[{entry},{entry},{{"b"#), 2, "", false),
        ] {
            let archive = archive(&text).unwrap();
            let seen = (archive.entries.len(), &*archive.browser, archive.broken.is_none());
            assert_eq!(seen, (entries, browser, whole), "{text}");
        }
    }
}
