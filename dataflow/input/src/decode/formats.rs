//! The formats a client can name: those that are built in, and the configured ones.
//!
//! A configured format hides a built-in one of its name. A body that a client pushes is a whole
//! input, so its form can be told from all of its bytes: of the formats with one JSON value a line,
//! it may also be one JSON array of these.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use super::chunk::{Chunk, Content};
use super::line::{Dialect, LineFormat};
use super::settings::FORMAT_AUTO;
use super::site::InputSettings;
use super::{Format, detect};

/// One of `[formats.NAME]`: a format of lines. Exactly one of the first six keys says what it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FormatConfig {
    /// A `log_format` of nginx.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nginx: Option<String>,
    /// A `LogFormat` of Apache.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub apache: Option<String>,
    /// An access log format of Envoy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub envoy: Option<String>,
    /// A `log-format` of HAProxy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub haproxy: Option<String>,
    /// A regular expression whose named groups are fields.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub regex: Option<String>,
    /// The name of another format, built in or a mapping; for use with `prefix`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
    /// A regular expression of what stands before each line and is no part of the format.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
}

/// Formats by name.
#[derive(Clone, Debug, Default)]
pub struct Formats {
    configured: BTreeMap<String, Arc<Format>>,
    settings: Arc<InputSettings>,
}

impl Formats {
    /// The built-in formats, and these mappings.
    #[must_use]
    pub fn with_mappings(mappings: BTreeMap<String, Arc<Format>>) -> Self {
        Self { configured: mappings, settings: Arc::default() }
    }

    /// The same, with what the configuration says of every input.
    #[must_use]
    pub fn with_settings(self, settings: InputSettings) -> Self {
        Self { settings: Arc::new(settings), ..self }
    }

    /// Adds a format of `[formats.NAME]`.
    ///
    /// # Errors
    /// What of it makes no sense, with its name.
    pub fn add(&mut self, name: &str, config: &FormatConfig) -> Result<(), String> {
        let place = |reason: String| format!("formats.{name}: {reason}");
        if self.configured.contains_key(name) {
            return Err(place("there is a mapping of this name".into()));
        }
        let mut format = self.compile(name, config).map_err(place)?;
        if let Some(prefix) = &config.prefix {
            let anchored = format!("^(?:{prefix})");
            let regex = regex::Regex::new(&anchored).map_err(|error| {
                place(format!("`prefix`: {}", error.to_string().lines().last().unwrap_or_default()))
            })?;
            format = Arc::new(Format::Behind(regex, format));
        }
        self.configured.insert(name.into(), format);
        Ok(())
    }

    fn compile(&self, name: &str, config: &FormatConfig) -> Result<Arc<Format>, String> {
        let FormatConfig { nginx, apache, envoy, haproxy, regex, format, prefix: _ } = config;
        let pasted = [
            (Dialect::Nginx, nginx),
            (Dialect::Apache, apache),
            (Dialect::Envoy, envoy),
            (Dialect::Haproxy, haproxy),
        ];
        let mut given = Vec::new();
        for (dialect, text) in pasted {
            given.extend(text.as_ref().map(|text| LineFormat::pasted(name, dialect, text)));
        }
        given.extend(regex.as_ref().map(|text| LineFormat::regex(name, text)));
        match (given.pop(), format) {
            (Some(only), None) if given.is_empty() => Ok(Arc::new(Format::Lines(Arc::new(only?)))),
            (None, Some(other)) => self.named(other).ok_or_else(|| self.unknown(other)),
            _ => {
                Err("give one of `nginx`, `apache`, `envoy`, `haproxy`, `regex` or `format`".into())
            }
        }
    }

    /// What the configuration says of every input.
    #[must_use]
    pub fn settings(&self) -> &Arc<InputSettings> {
        &self.settings
    }

    /// The configured formats, by name.
    pub fn configured(&self) -> impl Iterator<Item = (&str, &Arc<Format>)> {
        self.configured.iter().map(|(name, format)| (name.as_str(), format))
    }

    /// A body of a format as a chunk; without a name it is native.
    ///
    /// # Errors
    /// What is wrong with the name, in words.
    pub fn chunk(
        &self,
        source: Arc<str>,
        name: Option<&str>,
        body: Bytes,
    ) -> Result<Chunk, String> {
        let format = match name {
            None => Arc::new(Format::Ndjson),
            Some(FORMAT_AUTO) => Arc::new(self.detected(&body)?),
            Some(name) => self.named(name).ok_or_else(|| self.unknown(name))?,
        };
        let mut chunk = Chunk::whole(source, format, body);
        let by_line = match &*chunk.format {
            Format::Ndjson => true,
            Format::Json(mapping) => !mapping.unwraps(),
            _ => false,
        };
        if by_line && is_array(&chunk.bytes) {
            chunk.content = Content::Array;
        }
        Ok(chunk)
    }

    /// The format of this name.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<Arc<Format>> {
        self.configured.get(name).cloned().or_else(|| name.parse().map(Arc::new).ok())
    }

    /// What is said of a name that no format has.
    #[must_use]
    pub fn unknown(&self, name: &str) -> String {
        let configured = self.configured.keys().cloned();
        let known: Vec<String> = Format::built_in_names().into_iter().chain(configured).collect();
        format!("unknown format `{name:.80}`; there are auto, {}", known.join(", "))
    }

    fn detected(&self, body: &[u8]) -> Result<Format, String> {
        let head = &body[..body.len().min(detect::DETECT_BYTES)];
        let found = detect::detect_among(head, self);
        if first_byte(body) == Some(b'[') && found.is_err() {
            return Ok(Format::Ndjson);
        }
        Ok(found?.unwrap_or(Format::Ndjson))
    }
}

fn first_byte(bytes: &[u8]) -> Option<u8> {
    bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes).trim_ascii_start().first().copied()
}

/// Whether a body is meant as one array. One whose first line is broken and begins with a bracket
/// is lines if another of its lines is an object.
fn is_array(body: &[u8]) -> bool {
    if first_byte(body) != Some(b'[') {
        return false;
    }
    let body = body.strip_prefix("\u{feff}".as_bytes()).unwrap_or(body);
    if serde_json::from_slice::<Vec<IgnoredAny>>(body).is_ok() {
        return true;
    }
    let is_object = |line: &[u8]| {
        line.trim_ascii_start().starts_with(b"{")
            && serde_json::from_slice::<IgnoredAny>(line).is_ok()
    };
    !body.split(|byte| *byte == b'\n').any(is_object)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::Mapping;

    #[test]
    fn a_body_is_an_array_or_lines() {
        let mapping = |text: &str| {
            let mapping = Mapping::compile("m", &toml::from_str(text).unwrap()).unwrap();
            Arc::new(Format::Json(Arc::new(mapping)))
        };
        let lines = "[fields]\nts = \"{/t}\"\nmethod = \"GET\"\npath = \"{/p}\"\n";
        let formats = Formats::with_mappings(BTreeMap::from([
            ("lines".into(), mapping(lines)),
            ("wrapped".into(), mapping(&format!("records = \"/r\"\n{lines}"))),
        ]));
        let check = |name: Option<&'static str>, body: &'static str, expected: Result<_, &str>| {
            let found = formats.chunk("s".into(), name, Bytes::from_static(body.as_bytes()));
            let found = found.map(|chunk| (chunk.format.to_string(), chunk.content));
            match (&found, expected) {
                (Ok((format, content)), Ok((name, wanted))) => {
                    assert_eq!((format.as_str(), *content), (name, wanted), "{body}");
                }
                (Err(text), Err(says)) => assert!(text.contains(says), "{text}"),
                _ => panic!("{name:?} {body}: {found:?}"),
            }
        };
        let (array, records) = (Content::Array, Content::Records);
        check(None, "", Ok(("ndjson", records)));
        check(None, "{}", Ok(("ndjson", records)));
        check(None, " \n[{}]", Ok(("ndjson", array)));
        check(None, "\u{feff}[\n{},\n{}\n]\n", Ok(("ndjson", array)));
        check(None, "[]", Ok(("ndjson", array)));
        check(None, "[{},\n{", Ok(("ndjson", array)));
        check(None, "[oops\n{\"ts\":0}\n", Ok(("ndjson", records)));
        check(Some("ndjson"), "[{}]", Ok(("ndjson", array)));
        check(Some("lines"), "[{}]", Ok(("m", array)));
        check(Some("lines"), "{}\n{}", Ok(("m", records)));
        check(Some("wrapped"), "[{}]", Ok(("m", records)));
        check(Some("har"), "[{}]", Ok(("har", records)));
        check(Some("auto"), "[{}]", Ok(("ndjson", array)));
        check(Some("auto"), "{\"log\":{}}", Ok(("har", records)));
        check(Some("auto"), "what is this", Err("no known format"));
        check(Some("nope"), "", Err("w3c, lines, wrapped"));
    }

    #[test]
    fn a_configured_format_is_one_of_several_kinds() {
        let check = |text: &str, expected: Result<(), &str>| {
            let config: FormatConfig = toml::from_str(text).unwrap();
            let done = Formats::default().add("own", &config);
            match (&done, expected) {
                (Ok(()), Ok(())) => {}
                (Err(reason), Err(word)) => {
                    assert!(
                        reason.starts_with("formats.own: ") && reason.contains(word),
                        "{reason}"
                    );
                }
                _ => panic!("{text}: {done:?}"),
            }
        };
        check("nginx = '$remote_addr [$time_local] \"$request\" $status'", Ok(()));
        check("apache = '%h %t \"%r\" %>s'", Ok(()));
        check("envoy = '[%START_TIME%] \"%REQ(:METHOD)% %REQ(:PATH)% %PROTOCOL%\"'", Ok(()));
        check("haproxy = '%ci:%cp [%tr] %ST %{+Q}r'", Ok(()));
        check("regex = '(?P<ts>\\S+) (?P<request_line>.*)'", Ok(()));
        check("format = 'combined'\nprefix = '\\S+ '", Ok(()));
        check("", Err("give one of"));
        check("regex = 'x'\nformat = 'combined'", Err("give one of"));
        check("format = 'nope'", Err("unknown format"));
        check("format = 'combined'\nprefix = '('", Err("`prefix`"));
        check("nginx = '$time_local$request'", Err("$time_local"));
        check("nginx = '$remote_addr $status'", Err("no variable for the time"));
        check("regex = '(?P<ts>.*)'", Err("request_line"));
        check("regex = '('", Err("unclosed"));
    }
}
