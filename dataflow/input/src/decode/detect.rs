//! The format of an input from its first lines.
//!
//! Every format is tried on every line of the head, as the line is and behind what collectors put
//! around it; the one that reads most of them is the input's, if these are enough to believe it. Of
//! those that read as many the one that says more comes first ([`line::builtin`]); two configured
//! ones are not chosen between. JSON that is no lines is tried as a document. What is not
//! recognised is said with what was seen, and how to name a format.

use std::sync::Arc;

use serde_json::Value;
use spoor_operators::request::Request;

use super::site::InputSettings;
use super::w3c::Columns;
use super::{Format, Formats, document, json, known, line, lines, wrap};

/// Bytes of the uncompressed stream that are looked at.
pub const DETECT_BYTES: usize = 1 << 16;
/// Lines that are looked at.
const LINES_MAX: usize = 256;
/// Lines of a stream that may go on that are waited for.
const LIVE_LINES: usize = 16;
/// Lines among which one is enough.
const FEW_LINES: usize = 10;
/// One line in so many has to be of the format.
const SHARE: usize = 20;
/// Names of members that are shown of JSON that is not recognised.
const NAMES_MAX: usize = 8;

/// What an input was taken for, and why.
#[derive(Clone, Debug)]
pub struct Found {
    /// The format.
    pub format: Format,
    /// Lines or records of the head that were looked at.
    pub looked_at: usize,
    /// Of them, those that the format reads.
    pub read: usize,
    /// Of these, those that were wrapped; and the wrapper of the first.
    pub wrapped: usize,
    /// See `wrapped`.
    pub wrapper: Option<wrap::Wrapper>,
    /// Other formats that read some, with how many.
    pub others: Vec<(String, usize)>,
}

/// The format these first bytes speak for, of those that are built in; nothing when they are blank.
///
/// # Errors
/// What was seen and what to do, in words.
pub fn detect(head: &[u8]) -> Result<Option<Format>, String> {
    detect_among(head, &Formats::default())
}

/// As [`detect`], of the configured formats too.
///
/// # Errors
/// As [`detect`].
pub fn detect_among(head: &[u8], formats: &Formats) -> Result<Option<Format>, String> {
    Ok(explain(head, formats)?.map(|found| found.format))
}

/// As [`detect_among`], with why.
///
/// # Errors
/// As [`detect`].
pub fn explain(head: &[u8], formats: &Formats) -> Result<Option<Found>, String> {
    let text = String::from_utf8_lossy(head);
    let text = trimmed(&text);
    if text.is_empty() {
        return Ok(None);
    }
    let is_cut = head.len() >= DETECT_BYTES;
    let lines = whole_lines(text, is_cut);
    if let Some(columns) = lines.iter().rev().find_map(|line| Columns::of_line(line)) {
        let found = tried(&lines, vec![Format::W3c(Arc::new(columns))]);
        return Ok(found.into_iter().next().map(|scored| scored.found(&lines, Vec::new())));
    }
    let lines: Vec<&str> = lines.into_iter().filter(|line| !line.starts_with('#')).collect();
    if let Some(found) = best(&lines, formats)? {
        return Ok(Some(found));
    }
    if is_archive(text) {
        return Ok(Some(Found::plain(Format::Har)));
    }
    if document::is_json(text) {
        if let Some(found) = of_document(text, formats)? {
            return Ok(Some(found));
        }
        // A line longer than the head.
        if lines.is_empty() && text.contains("\"ts\"") && text.contains("\"method\"") {
            return Ok(Some(Found::plain(Format::Ndjson)));
        }
    }
    Err(unknown(text, &lines))
}

/// The format of a stream that may go on, from its whole lines so far; nothing while they do not
/// tell and are few.
///
/// # Errors
/// As [`detect`].
pub fn detect_live(lines: &[u8], formats: &Formats) -> Result<Option<Format>, String> {
    let is_blank = |line: &&[u8]| line.trim_ascii().is_empty();
    let few =
        || lines.split(|byte| *byte == b'\n').filter(|line| !is_blank(line)).count() < LIVE_LINES;
    match detect_among(lines, formats) {
        Err(_) if lines.len() < DETECT_BYTES && few() => Ok(None),
        found => found,
    }
}

/// A named format as the head says its records come: JSON that usually comes one value a line may
/// be one document, and a W3C log names its columns.
#[must_use]
pub fn adapted(format: &Arc<Format>, head: &[u8]) -> Arc<Format> {
    let text = String::from_utf8_lossy(head);
    let text = trimmed(&text);
    if let Format::W3c(_) = &**format {
        let columns = whole_lines(text, false).iter().rev().find_map(|line| Columns::of_line(line));
        let adapted = columns.map(|columns| Arc::new(Format::W3c(Arc::new(columns))));
        return adapted.unwrap_or_else(|| format.clone());
    }
    if format.is_document() || format.is_auto() || !document::is_json(text) {
        return format.clone();
    }
    let lines = whole_lines(text, head.len() >= DETECT_BYTES);
    let reads =
        |records: &[&str]| tried(records, vec![(**format).clone()]).first().map(|it| it.read);
    if reads(&lines).unwrap_or(0) > 0 || lines.is_empty() && head.len() >= DETECT_BYTES {
        return format.clone();
    }
    let document::Records { records, .. } = document::records(text);
    let records: Vec<&str> = records.iter().take(LINES_MAX).map(|raw| raw.get()).collect();
    let is_array = text.starts_with('[') && lines.len() != records.len();
    match is_array || reads(&records).unwrap_or(0) > 0 {
        true => Arc::new(Format::Document(format.clone())),
        false => format.clone(),
    }
}

/// Without byte order mark, padding and white space.
fn trimmed(text: &str) -> &str {
    let text = text.trim_start_matches('\0');
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    text.trim_matches(|c: char| c == '\0' || c.is_ascii_whitespace())
}

/// The lines that are there whole; of a head that is cut off the last is not, unless it is the
/// only one.
fn whole_lines(text: &str, is_cut: bool) -> Vec<&str> {
    let mut lines: Vec<&str> = text.lines().map(trimmed).filter(|line| !line.is_empty()).collect();
    if is_cut {
        lines.pop();
    }
    lines.truncate(LINES_MAX);
    lines
}

/// A format with how many lines it reads.
struct Scored {
    format: Format,
    read: usize,
    wrapped: usize,
    wrapper: Option<wrap::Wrapper>,
}

impl Scored {
    fn found(self, lines: &[&str], others: Vec<(String, usize)>) -> Found {
        let Self { format, read, wrapped, wrapper } = self;
        let looked_at = lines.iter().filter(|line| !line.starts_with('#')).count();
        Found { format, looked_at, read, wrapped, wrapper, others }
    }
}

impl Found {
    fn plain(format: Format) -> Self {
        Self { format, looked_at: 0, read: 0, wrapped: 0, wrapper: None, others: Vec::new() }
    }
}

/// How many lines each format reads, without repairs.
fn tried(lines: &[&str], formats: Vec<Format>) -> Vec<Scored> {
    let settings = InputSettings::default();
    let mut scored: Vec<Scored> = formats
        .into_iter()
        .map(|format| Scored { format, read: 0, wrapped: 0, wrapper: None })
        .collect();
    for line in lines {
        let mut layers = vec![line.to_string()];
        let mut wrappers = Vec::new();
        while layers.len() <= wrap::WRAPS_MAX
            && let Some((wrapper, inner)) = wrap::inner(&layers[layers.len() - 1])
        {
            wrappers.push(wrapper);
            layers.push(inner.into_owned());
        }
        let objects: Vec<Option<Value>> = layers.iter().map(|text| object(text)).collect();
        for scored in &mut scored {
            let depth = layers
                .iter()
                .zip(&objects)
                .position(|(text, object)| reads(&scored.format, text, object.as_ref(), &settings));
            let Some(depth) = depth else { continue };
            scored.read += 1;
            if depth > 0 {
                scored.wrapped += 1;
                scored.wrapper = scored.wrapper.or(Some(wrappers[0]));
            }
        }
    }
    scored
}

fn object(text: &str) -> Option<Value> {
    if text.starts_with('{') { json::tree(text).ok() } else { None }
}

fn reads(format: &Format, text: &str, object: Option<&Value>, settings: &InputSettings) -> bool {
    match format {
        Format::Json(mapping) => object.is_some_and(|object| {
            // A built-in mapping is for objects with certain members.
            let built_in = known::all().iter().find(
                |known| matches!(&*known.format, Format::Json(known) if Arc::ptr_eq(known, mapping)),
            );
            let meant = built_in.is_none_or(|known| known.is_meant_for(object));
            let mut request = Request::default();
            meant && mapping.read(object, settings, &mut request).is_ok()
        }),
        _ => {
            let mut read = lines::Read::default();
            read.record(format, text, settings).is_ok_and(|request| !request.repaired)
        }
    }
}

/// The format that reads most lines, if they are enough.
fn best(lines: &[&str], formats: &Formats) -> Result<Option<Found>, String> {
    let configured = formats.configured().map(|(_, format)| (**format).clone());
    let mut candidates = vec![Format::Ndjson];
    candidates.extend(configured.filter(|format| !format.is_document()));
    let configured = 1..candidates.len();
    candidates.extend(known::all().iter().map(|known| (*known.format).clone()));
    candidates.extend(line::builtin::all().iter().map(|format| match format.name() {
        "combined" => combined_or_common(lines),
        _ => Format::Lines(format.clone()),
    }));
    let scored = tried(lines, candidates);
    let Some(most) = scored.iter().map(|scored| scored.read).max().filter(|read| *read > 0) else {
        return Ok(None);
    };
    if most * SHARE < lines.len() || (most == 1 && lines.len() > FEW_LINES) {
        return Ok(None);
    }
    let is_native = scored[0].read == most;
    let equal: Vec<String> = scored[configured]
        .iter()
        .filter(|scored| scored.read == most && !is_native)
        .map(|scored| scored.format.to_string())
        .collect();
    if equal.len() > 1 {
        let names = equal.join(" and ");
        return Err(format!("{names} read its first lines equally well; name one with --format"));
    }
    let mut others: Vec<(String, usize)> = scored
        .iter()
        .filter(|scored| scored.read > 0)
        .map(|scored| (scored.format.to_string(), scored.read))
        .collect();
    let Some(at) = scored.iter().position(|scored| scored.read == most) else { return Ok(None) };
    let name = scored[at].format.to_string();
    others.retain(|(other, _)| *other != name);
    Ok(scored.into_iter().nth(at).map(|scored| scored.found(lines, others)))
}

/// Common when no line has what combined adds to it.
fn combined_or_common(lines: &[&str]) -> Format {
    let short = |line: &&str| line.matches('"').count() < 4;
    if lines.iter().all(short) { Format::Common } else { Format::Combined }
}

/// As [`best`], of the records of a document.
fn of_document(text: &str, formats: &Formats) -> Result<Option<Found>, String> {
    let document::Records { records, .. } = document::records(text);
    let records: Vec<&str> = records.iter().take(LINES_MAX).map(|raw| raw.get()).collect();
    let found = best(&records, formats)?;
    Ok(found
        .map(|found| Found { format: Format::Document(Arc::new(found.format.clone())), ..found }))
}

/// Whether it is an object whose first member is the `log` of an archive.
fn is_archive(text: &str) -> bool {
    let inner = text.strip_prefix('{').map(str::trim_ascii_start);
    let rest = inner.and_then(|inner| inner.strip_prefix("\"log\"")).map(str::trim_ascii_start);
    let value = rest.and_then(|rest| rest.strip_prefix(':')).map(str::trim_ascii_start);
    value.is_some_and(|value| value.starts_with('{'))
}

/// What is said of an input that is of no known format.
fn unknown(text: &str, lines: &[&str]) -> String {
    const NAME_ONE: &str = "name a format with --format, or describe it under [formats] or \
                            [mappings] of the configuration; `spoor inspect` shows more";
    let first = lines.first().copied().unwrap_or(text);
    let members = object(first).or_else(|| {
        let document::Records { records, .. } = document::records(text);
        object(records.first()?.get())
    });
    if let Some(Value::Object(members)) = members {
        let names: Vec<&str> = members.keys().take(NAMES_MAX).map(String::as_str).collect();
        let why = native_refusal(first);
        return format!(
            "it is JSON of no known format: the first object has {}{why}; {NAME_ONE}",
            names.join(", ")
        );
    }
    if document::is_json(text) {
        return format!("it is JSON, but its first record cannot be read; {NAME_ONE}");
    }
    let mut request = Request::default();
    let settings = InputSettings::default();
    let why = match line::builtin::combined().read(first, &settings, &mut request) {
        Err(refusal) if text.contains('"') => format!("; as combined: {}", refusal.reason),
        _ => String::new(),
    };
    format!(
        "its first lines are of no known format (the first has {}{why}); {NAME_ONE}",
        seen(first)
    )
}

/// Why a line that looks native is not.
fn native_refusal(line: &str) -> String {
    let mut read = lines::Read::default();
    match read.record(&Format::Ndjson, line, &InputSettings::default()) {
        Err(refusal) if line.contains("\"ts\"") => format!("; as ndjson: {}", refusal.reason),
        _ => String::new(),
    }
}

/// What a line looks like, without its values.
fn seen(line: &str) -> String {
    let (words, quotes) = (line.split_ascii_whitespace().count(), line.matches('"').count());
    let odd = line.chars().filter(|c| c.is_control() || *c == '\u{fffd}').count();
    match odd * 4 > line.chars().count() {
        true => "bytes that are no text".into(),
        false => format!("{words} words, {quotes} quotes, {} commas", line.matches(',').count()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(head: &str, expected: Option<&str>) {
        let found = detect(head.as_bytes()).unwrap().map(|format| format.to_string());
        assert_eq!(found.as_deref(), expected, "{head}");
    }

    #[test]
    fn the_format_that_reads_most_lines_is_found() {
        let native = r#"{"ts":0,"method":"GET","path":"/"}"#;
        let common = r#"::1 - - [20/Feb/2016:00:00:45 -0500] "GET / HTTP/1.1" 200 5"#;
        check("", None);
        check(" \r\n\n", None);
        check("\0\0\0\0", None);
        check(native, Some("ndjson"));
        check(&format!("\u{feff}\n# a comment\n{native}"), Some("ndjson"));
        check(&format!("{{\"ts\":0,\"method\":\"{}", "x".repeat(DETECT_BYTES)), Some("ndjson"));
        check(common, Some("common"));
        check(&format!(r#"{common} "-" "UA""#), Some("combined"));
        check(r#"{"log":{"version":"1.2","entries":[]}}"#, Some("har"));
        check("{\n  \"log\" : {\n    \"version\": \"1.2\"", Some("har"));
        check(&format!("[{native},\n{native}]"), Some("ndjson"));
        check(&format!("{}{common}\n{common}\n", "noise\n".repeat(23)), Some("common"));
        check(&format!("{}{common}\n", "web-1  | noise\n".repeat(5)), Some("common"));
    }

    #[test]
    fn one_line_in_many_does_not_speak_for_a_format() {
        let common = r#"::1 - - [20/Feb/2016:00:00:45 -0500] "GET / HTTP/1.1" 200 5"#;
        assert!(detect(format!("{}{common}", "noise\n".repeat(10)).as_bytes()).is_err());
        assert!(detect(format!("{}{common}\n{common}", "n\n".repeat(100)).as_bytes()).is_err());
    }

    #[test]
    fn two_configured_formats_are_not_chosen_between() {
        let mut formats = Formats::default();
        for name in ["one", "two"] {
            let regex = Some(r"(?P<ts>\S+) (?P<request_line>.*)".into());
            let config = super::super::formats::FormatConfig { regex, ..Default::default() };
            formats.add(name, &config).unwrap();
        }
        let refused = detect_among(b"2024-05-01T10:00:00Z GET /", &formats).unwrap_err();
        assert!(refused.contains("one and two"), "{refused}");
    }

    #[test]
    fn a_stream_that_may_go_on_is_given_some_lines() {
        let named = |lines: &str| {
            let found = detect_live(lines.as_bytes(), &Formats::default());
            found.map(|found| found.map(|format| format.to_string()))
        };
        assert_eq!(named("{\n"), Ok(None));
        assert_eq!(named("{\n\n  \"log\": {\n"), Ok(Some("har".into())));
        assert_eq!(named(&"what\n\n".repeat(LIVE_LINES - 1)), Ok(None));
        assert!(named(&"what\n\n".repeat(LIVE_LINES)).is_err());
        assert!(named(&format!("{}\n", "x".repeat(DETECT_BYTES))).is_err());
    }

    #[test]
    fn what_is_not_recognised_says_what_was_seen_and_what_to_do() {
        for (head, words) in [
            (r#"{"eventTime":"x"}"#, "eventTime"),
            (r#"{"ts":1591367999.3,"method":"GET","host":"h","uri":"/x"}"#, "as ndjson: `ts`"),
            (r#"["x"]"#, "JSON"),
            ("a,b,c\n1,2,3", "2 commas"),
            ("\u{0}\u{1}\u{2}\u{3}\u{4}", "no text"),
            (r#"x y::1 - - [today] "GET /" 200"#, "as combined"),
        ] {
            let refused = detect(head.as_bytes()).unwrap_err();
            assert!(refused.contains(words) && refused.contains("--format"), "{head}: {refused}");
        }
    }
}
