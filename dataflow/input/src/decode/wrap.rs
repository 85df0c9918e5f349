//! Wrappers: what collectors put around a line that a server wrote.
//!
//! A wrapper is looked for only where a line is of no use as it is, and taken off only when what is
//! left then is a record: so a line is never cut that was whole. Known are Docker's `json-file`, CRI
//! (containerd, CRI-O), syslog (RFC 3164 and 5424, and rsyslog's ISO times), the prefixes of
//! `docker compose` and `kubectl logs --prefix`, a time alone, journald, CloudWatch and others that
//! have the line as a string in a JSON object, and a line that is a JSON string.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::Regex;
use serde_json::value::RawValue;

use super::json::{self, Object};

/// Wrappers around wrappers that are taken off.
pub const WRAPS_MAX: usize = 3;

/// What was put around a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrapper {
    /// `{"log": "...", "stream": ..., "time": ...}`, and others with the line as a member.
    Json,
    /// `TIME stdout F LINE`.
    Cri,
    /// Either form of syslog.
    Syslog,
    /// `service-1  | LINE`.
    Compose,
    /// `[pod/name/container] LINE`.
    Kubectl,
    /// `TIME LINE`.
    Time,
    /// A JSON string.
    Text,
}

impl Wrapper {
    /// In words.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Json => "a JSON object with the line as a string",
            Self::Cri => "CRI (containerd, CRI-O)",
            Self::Syslog => "syslog",
            Self::Compose => "docker compose",
            Self::Kubectl => "kubectl logs --prefix",
            Self::Time => "a time in front",
            Self::Text => "a JSON string",
        }
    }
}

/// Members that hold the line, in the order they are looked for.
const MEMBERS: [&str; 8] =
    ["log", "MESSAGE", "message", "textPayload", "jsonPayload", "event", "line", "msg"];

struct Patterns {
    cri: Regex,
    syslog: Regex,
    syslog_5424: Regex,
    compose: Regex,
    kubectl: Regex,
    time: Regex,
}

static PATTERNS: LazyLock<Patterns> = LazyLock::new(|| {
    let pattern = |text: &str| Regex::new(text).expect("a pattern of ours");
    const ISO: &str = r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?";
    Patterns {
        cri: pattern(&format!("^{ISO} (?:stdout|stderr) F ")),
        syslog: pattern(&format!(
            r"^(?:<\d{{1,3}}>)?(?:[A-Z][a-z]{{2}} [ \d]\d (?:\d{{4}} )?\d\d:\d\d:\d\d|{ISO}) (?:[^\s:\[\]]+ )?[^\s:\[\]]+(?:\[[^\]]*\])?: ?"
        )),
        syslog_5424: pattern(&format!(
            r#"^<\d{{1,3}}>1 (?:{ISO}|-) \S+ \S+ \S+ \S+ (?:-|(?:\[(?:[^\]"]|"(?:[^"\\]|\\.)*")*\])+) ?(?:\u{{feff}})?"#
        )),
        compose: pattern(r"^(?:\x1b\[[\d;]*m)?[A-Za-z0-9][A-Za-z0-9_.-]*\s+\| ?(?:\x1b\[[\d;]*m)?"),
        kubectl: pattern(r"^\[(?:pod|po)/[^\]\s]+\] "),
        time: pattern(&format!("^{ISO} ")),
    }
});

/// What is inside of a wrapped line; nothing when no wrapper is around it.
#[must_use]
pub fn inner(line: &str) -> Option<(Wrapper, Cow<'_, str>)> {
    let line = line.trim_ascii();
    match line.as_bytes().first()? {
        b'{' => return member(line).map(|inner| (Wrapper::Json, inner)),
        b'"' => {
            let text: String = serde_json::from_str(line).ok()?;
            return Some((Wrapper::Text, Cow::Owned(text)));
        }
        _ => {}
    }
    let patterns = &*PATTERNS;
    let known = [
        (Wrapper::Cri, &patterns.cri),
        (Wrapper::Syslog, &patterns.syslog_5424),
        (Wrapper::Syslog, &patterns.syslog),
        (Wrapper::Compose, &patterns.compose),
        (Wrapper::Kubectl, &patterns.kubectl),
        (Wrapper::Time, &patterns.time),
    ];
    known.into_iter().find_map(|(wrapper, pattern)| {
        let rest = &line[pattern.find(line)?.end()..];
        (!rest.is_empty()).then_some((wrapper, Cow::Borrowed(rest)))
    })
}

/// The line in a member of an object.
fn member(line: &str) -> Option<Cow<'_, str>> {
    let Object(entries) = json::object(line).ok()?;
    let found = |name: &str| entries.iter().find(|(known, _)| known == name).map(|(_, raw)| *raw);
    MEMBERS.iter().find_map(|name| text(found(name)?))
}

fn text(raw: &RawValue) -> Option<Cow<'_, str>> {
    match raw.get().as_bytes().first()? {
        b'"' => json::string("", raw).ok().map(|text| match text {
            Cow::Borrowed(text) => Cow::Borrowed(text.trim_end()),
            Cow::Owned(mut text) => {
                text.truncate(text.trim_end().len());
                Cow::Owned(text)
            }
        }),
        b'{' => Some(Cow::Borrowed(raw.get())),
        // journald writes what is not UTF-8 as numbers.
        b'[' => {
            let bytes: Vec<u8> = serde_json::from_str(raw.get()).ok()?;
            Some(Cow::Owned(String::from_utf8_lossy(&bytes).into_owned()))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_collectors_put_around_a_line() {
        let line = r#"::1 - - [01/May/2024:10:00:00 +0000] "GET / HTTP/1.1" 200 1"#;
        let text = serde_json::to_string(&format!("{line}\n")).unwrap();
        let bytes = serde_json::to_string(line.as_bytes()).unwrap();
        for (wrapped, wrapper) in [
            (format!("2024-05-01T10:00:00.123456789Z stdout F {line}"), Wrapper::Cri),
            (format!("2024-05-01T10:00:00.1+02:00 stderr F {line}"), Wrapper::Cri),
            (format!("May  1 10:00:00 edge1 nginx: {line}"), Wrapper::Syslog),
            (format!("<190>May 11 10:00:00 edge1 nginx[12]: {line}"), Wrapper::Syslog),
            (format!("2024-05-01T10:00:00.1+00:00 edge1 nginx[12]: {line}"), Wrapper::Syslog),
            (format!("<190>1 2024-05-01T10:00:00.1Z edge1 nginx - - - {line}"), Wrapper::Syslog),
            (
                format!(r#"<190>1 2024-05-01T10:00:00Z h a 1 m [x@1 k="v\]"][y@2] {line}"#),
                Wrapper::Syslog,
            ),
            (format!("web-1  | {line}"), Wrapper::Compose),
            (format!("[pod/web-1/nginx] {line}"), Wrapper::Kubectl),
            (format!("2024-05-01T10:00:00.1Z {line}"), Wrapper::Time),
            (format!(r#"{{"log":{text},"stream":"stdout","time":"x"}}"#), Wrapper::Json),
            (format!(r#"{{"__REALTIME_TIMESTAMP":"1","MESSAGE":{text}}}"#), Wrapper::Json),
            (format!(r#"{{"MESSAGE":{bytes}}}"#), Wrapper::Json),
            (format!(r#"{{"timestamp":1,"message":{text}}}"#), Wrapper::Json),
            (text.replace("\\n", ""), Wrapper::Text),
        ] {
            let found = inner(&wrapped).map(|(wrapper, inner)| (wrapper, inner.into_owned()));
            assert_eq!(found, Some((wrapper, line.to_owned())), "{wrapped}");
        }
        for bare in [line, "{}", r#"{"log":1}"#, "", "a | b", "\"x", "May 1 nginx: x"] {
            let found = inner(bare);
            assert!(found.is_none() || bare == "a | b", "{bare}: {found:?}");
        }
    }

    proptest! {
        #[test]
        fn no_line_panics(line in r#"(<1>)?(1 )?(2024-05-01T10:00:00Z |May  1 10:00:00 )?(\PC|[ |:\[\]"{}]){0,30}"#) {
            let _ = inner(&line);
        }
    }
}
