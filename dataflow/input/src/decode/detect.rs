//! The format of an input from its first lines.
//!
//! The first line that speaks for a format decides; a broken first line does not keep the rest
//! from being recognised. JSON of another shape is never guessed at: it needs a mapping.

use spoor_operators::request::Request;

use super::Format;
use super::access_log;
use super::json;
use spoor_api::codes::RefusalCode;

/// Bytes of the uncompressed stream that are looked at.
pub const DETECT_BYTES: usize = 1 << 16;
/// Lines that are looked at.
const LINES: usize = 16;

/// The format these first bytes speak for; nothing when they are blank.
///
/// # Errors
/// What was seen and what to do, in words.
pub fn detect(head: &[u8]) -> Result<Option<Format>, String> {
    let text = String::from_utf8_lossy(head);
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text).trim_ascii();
    if text.is_empty() {
        return Ok(None);
    }
    let lines = text.lines().map(str::trim_ascii).filter(|line| !line.is_empty());
    if let Some(format) = lines.take(LINES).find_map(of_line) {
        return Ok(Some(format));
    }
    if first_name(text) == Some("log") {
        return Ok(Some(Format::Har));
    }
    let seen = if text.starts_with(['{', '[']) {
        "it is JSON, but its first lines have no `ts` and `method`; name a mapping"
    } else {
        "its first lines are of no known format; pass one"
    };
    Err(format!("{seen} with --format (ndjson, combined, common, har, or a configured mapping)"))
}

/// The format of a stream that may go on, from its whole lines so far; nothing while they do not
/// tell and are few.
///
/// # Errors
/// As [`detect`].
pub fn detect_live(lines: &[u8]) -> Result<Option<Format>, String> {
    let is_blank = |line: &&[u8]| line.trim_ascii().is_empty();
    let few = || lines.split(|byte| *byte == b'\n').filter(|line| !is_blank(line)).count() < LINES;
    match detect(lines) {
        Err(_) if lines.len() < DETECT_BYTES && few() => Ok(None),
        found => found,
    }
}

fn of_line(line: &str) -> Option<Format> {
    if !line.starts_with('{') {
        return of_log_line(line);
    }
    match json::object(line) {
        Ok(json::Object(entries)) => {
            let has = |wanted: &str| entries.iter().any(|(name, _)| name == wanted);
            let native = has("ts") && (has("method") || has("path") || has("url"));
            native.then_some(Format::Ndjson)
        }
        // Broken, or longer than what is looked at.
        Err(_) => {
            let native = line.contains("\"ts\"") && line.contains("\"method\"");
            native.then_some(Format::Ndjson)
        }
    }
}

fn of_log_line(line: &str) -> Option<Format> {
    let mut request = Request::default();
    match access_log::read(line, &mut request) {
        Err(refusal) if refusal.code == RefusalCode::BadLine => None,
        _ if line.matches('"').count() < 4 => Some(Format::Common),
        _ => Some(Format::Combined),
    }
}

/// The first name of an object.
fn first_name(text: &str) -> Option<&str> {
    let inner = text.strip_prefix('{')?.trim_ascii_start().strip_prefix('"')?;
    let (name, rest) = inner.split_once('"')?;
    rest.trim_ascii_start().starts_with(':').then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(head: &str, expected: Option<&str>) {
        let found = detect(head.as_bytes()).unwrap().map(|format| format.to_string());
        assert_eq!(found.as_deref(), expected, "{head}");
    }

    #[test]
    fn the_first_telling_line_decides() {
        let native = r#"{"ts":0,"method":"GET","path":"/"}"#;
        let common = r#"::1 - - [20/Feb/2016:00:00:45 -0500] "GET / HTTP/1.1" 200 5"#;
        check("", None);
        check(" \r\n\n", None);
        check(native, Some("ndjson"));
        check(&format!("\u{feff}\n# a comment\n{native}"), Some("ndjson"));
        check(r#"{"ts":0,"method":"GET","request":{"body":"cut o"#, Some("ndjson"));
        check(common, Some("common"));
        check(&format!(r#"{common} "-" "UA""#), Some("combined"));
        check(&common.replace("GET /", "-"), Some("common"));
        check(r#"{"log":{"version":"1.2","entries":[]}}"#, Some("har"));
        check("{\n  \"log\" : {\n    \"version\": \"1.2\"", Some("har"));
    }

    #[test]
    fn a_stream_that_may_go_on_is_given_some_lines() {
        let named = |lines: &str| {
            detect_live(lines.as_bytes()).map(|found| found.map(|format| format.to_string()))
        };
        assert_eq!(named("{\n"), Ok(None));
        assert_eq!(named("{\n\n  \"log\": {\n"), Ok(Some("har".into())));
        assert_eq!(named(&"what\n\n".repeat(LINES - 1)), Ok(None));
        assert!(named(&"what\n\n".repeat(LINES)).is_err());
        assert!(named(&format!("{}\n", "x".repeat(DETECT_BYTES))).is_err());
    }

    #[test]
    fn what_is_not_recognised_says_what_to_do() {
        for (head, word) in [
            (r#"{"eventTime":"x"}"#, "mapping"),
            ("[1]", "mapping"),
            ("a,b,c\n1,2,3", "--format"),
            ("\u{0}\u{1}\u{2}", "--format"),
        ] {
            assert!(detect(head.as_bytes()).unwrap_err().contains(word), "{head}");
        }
    }
}
