//! Field mappings: how JSON of another shape becomes request records.
//!
//! A mapping is written as templates (see [`config::Mapping`]) and compiled once. In a
//! template `{/json/pointer}` is the value there, and `{/json/pointer?A:B}` is `A` when there is a
//! value and `B` when there is none. A field that breaks the record's rules makes a bad record,
//! unless the mapping drops it. Times may be RFC 3339, `2024-02-29 23:59:59` (UTC), access log time,
//! or numbers in the mapping's unit.
//!
//! With `records`, the input is a document: JSON values one after another, each of which has an
//! array of records at that pointer.

use std::borrow::Cow;

use serde_json::Value;
use spoor_operators::request::{Body, Fields, ID_BYTES_MAX, Request};
use spoor_operators::time::EventTime;

use super::error::Refusal;
use super::json::bad_field;
use super::settings::{self as config, Templates, TimeUnit};
use super::{timestamp, value};
use spoor_api::codes::RefusalCode;

/// A mapping of the fields of a JSON log onto the record, ready to apply.
#[derive(Clone, Debug)]
pub struct Mapping {
    /// Name, as `--format` takes it.
    pub name: String,
    fields: Vec<(Field, Choice)>,
    request_headers: Vec<(String, Choice)>,
    request_cookies: Vec<(String, Choice)>,
    response_headers: Vec<(String, Choice)>,
    request_body: Option<String>,
    response_body: Option<String>,
    records: Option<String>,
    ignore: Vec<String>,
    drop_invalid: Vec<Field>,
    ts_unit: TimeUnit,
    duration_unit: TimeUnit,
}

/// A mapping that makes no sense; the text names the place in it.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("mapping `{mapping}`: {reason}")]
pub struct MappingError {
    /// Its name.
    pub mapping: String,
    /// Where and why.
    pub reason: String,
}

/// A field of the record that a mapping can give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Id,
    Ts,
    App,
    Method,
    Host,
    Path,
    Query,
    Url,
    Status,
    DurationMs,
    RequestBytes,
    ResponseBytes,
    Ip,
    UserAgent,
    Blocked,
}

impl Field {
    const NAMES: [(Self, &'static str); 15] = [
        (Self::Id, "id"),
        (Self::Ts, "ts"),
        (Self::App, "app"),
        (Self::Method, "method"),
        (Self::Host, "host"),
        (Self::Path, "path"),
        (Self::Query, "query"),
        (Self::Url, "url"),
        (Self::Status, "status"),
        (Self::DurationMs, "duration_ms"),
        (Self::RequestBytes, "request_bytes"),
        (Self::ResponseBytes, "response_bytes"),
        (Self::Ip, "ip"),
        (Self::UserAgent, "user_agent"),
        (Self::Blocked, "blocked"),
    ];

    fn named(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(_, known)| *known == name).map(|(field, _)| *field)
    }

    fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(field, _)| *field == self).map_or("", |(_, name)| name)
    }
}

/// Templates of which the first that is not absent counts.
type Choice = Vec<Template>;

/// Parts that make a text; absent when one of them is.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Template(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Value(String),
    IfPresent { pointer: String, then: String, otherwise: String },
}

impl Mapping {
    /// Compiles a mapping of the configuration.
    ///
    /// # Errors
    /// [`MappingError`]: a field that does not exist, a template or a pointer that does not parse,
    /// or no way to a required field.
    pub fn compile(name: &str, config: &config::Mapping) -> Result<Self, MappingError> {
        let refuse = |reason| MappingError { mapping: name.into(), reason };
        let field = |given: &str| {
            let unknown = || refuse(format!("the record has no field `{given}`"));
            Field::named(given).ok_or_else(unknown)
        };
        let mut fields = Vec::new();
        for (given, templates) in &config.fields {
            fields.push((field(given)?, choice(given, templates).map_err(refuse)?));
        }
        for required in [&[Field::Ts][..], &[Field::Method], &[Field::Path, Field::Url]] {
            if !fields.iter().any(|(field, _)| required.contains(field)) {
                let names: Vec<_> = required.iter().map(|field| field.name()).collect();
                return Err(refuse(format!("it has to give `{}`", names.join("` or `"))));
            }
        }
        let named = |given: &std::collections::BTreeMap<String, Templates>| {
            let compiled = given.iter().map(|(name, templates)| {
                Ok((name.clone(), choice(name, templates).map_err(refuse)?))
            });
            compiled.collect::<Result<Vec<_>, MappingError>>()
        };
        for pointer in [&config.request_body, &config.response_body, &config.records] {
            pointer.as_deref().map_or(Ok(()), check_pointer).map_err(refuse)?;
        }
        Ok(Self {
            name: name.into(),
            fields,
            request_headers: named(&config.request_headers)?,
            request_cookies: named(&config.request_cookies)?,
            response_headers: named(&config.response_headers)?,
            request_body: config.request_body.clone(),
            response_body: config.response_body.clone(),
            records: config.records.clone(),
            ignore: config.ignore.clone(),
            drop_invalid: config
                .drop_invalid
                .iter()
                .map(|it| field(it))
                .collect::<Result<_, _>>()?,
            ts_unit: config.ts_unit,
            duration_unit: config.duration_unit,
        })
    }

    /// Whether records are inside of documents.
    #[must_use]
    pub fn unwraps(&self) -> bool {
        self.records.is_some()
    }

    /// Pointer to the records of a document.
    pub(super) fn records(&self) -> Option<&str> {
        self.records.as_deref()
    }

    /// Reads an object into an empty record. Implicit ids are left to the caller.
    ///
    /// # Errors
    /// The rule of the record that is broken.
    pub(super) fn read<'v>(
        &self,
        root: &'v Value,
        request: &mut Request<'v>,
    ) -> Result<(), Refusal> {
        if !root.is_object() {
            let reason = "has to be a JSON object".into();
            return Err(Refusal { code: RefusalCode::BadJson, reason });
        }
        let (mut ts, mut url) = (None, Cow::Borrowed(""));
        for (field, choice) in &self.fields {
            let Some(text) = self.render(choice, root) else { continue };
            let done = match field {
                Field::Ts => self.time(&text).map(|found| ts = Some(found)),
                Field::Url => {
                    url = text;
                    Some(())
                }
                _ => self.set(*field, text, request),
            };
            if done.is_none() && !self.drop_invalid.contains(field) {
                return Err(bad_field(field.name(), "does not have a value the record can take"));
            }
        }
        self.set_messages(root, request);
        request.ts = ts.ok_or_else(|| missing("ts"))?;
        if request.method.is_empty() {
            return Err(missing("method"));
        }
        self.locate(&url, request)?;
        value::fall_back(request);
        Ok(())
    }

    #[expect(clippy::ptr_arg, reason = "what is found in a borrowed text borrows like it")]
    fn locate<'v>(&self, url: &Cow<'v, str>, request: &mut Request<'v>) -> Result<(), Refusal> {
        let target = match value::url(url) {
            Some(target) => target,
            None if url.is_empty() || self.drop_invalid.contains(&Field::Url) => {
                value::Target::default()
            }
            None => return Err(bad_field("url", "does not have a value the record can take")),
        };
        for (own, from_url) in [
            (&mut request.host, target.host),
            (&mut request.path, target.path),
            (&mut request.query, target.query),
        ] {
            if own.is_empty() {
                *own = from_url;
            }
        }
        if request.path.is_empty() { Err(missing("path")) } else { Ok(()) }
    }

    /// Sets a field by the record's rules; nothing when it breaks one.
    fn set<'v>(&self, field: Field, text: Cow<'v, str>, request: &mut Request<'v>) -> Option<()> {
        match field {
            Field::Id => {
                request.id = Some(text).filter(|text| text.len() <= ID_BYTES_MAX)?;
                request.explicit_id = true;
            }
            Field::App => request.app = text,
            Field::Method => request.method = value::method(text)?,
            Field::Host => request.host = text,
            Field::Path => request.path = text,
            Field::Query => request.query = text,
            Field::Status => {
                let status = text.parse().ok().filter(|it| u64::from(*it) <= value::STATUS_MAX);
                request.status = status?;
            }
            Field::DurationMs => {
                let number: f64 = text.parse().ok()?;
                let millis = number * 1000.0 / per_second(self.duration_unit);
                request.duration_ns = Some(value::duration_ns(millis)?);
            }
            Field::RequestBytes => request.request_bytes = text.parse().ok()?,
            Field::ResponseBytes => request.response_bytes = text.parse().ok()?,
            Field::Ip => request.ip = value::client(text)?,
            Field::UserAgent => request.user_agent = text,
            Field::Blocked => request.blocked = text.parse().ok()?,
            Field::Ts | Field::Url => {}
        }
        Some(())
    }

    fn set_messages<'v>(&self, root: &'v Value, request: &mut Request<'v>) {
        let fields = |choices: &[(String, Choice)]| -> Fields<'v> {
            let rendered = choices.iter().filter_map(|(name, choice)| {
                Some((Cow::Owned(name.clone()), self.render(choice, root)?))
            });
            rendered.collect()
        };
        request.request.headers = fields(&self.request_headers);
        request.request.cookies = fields(&self.request_cookies);
        request.response.headers = fields(&self.response_headers);
        request.request.body = body(self.request_body.as_deref(), root);
        request.response.body = body(self.response_body.as_deref(), root);
    }

    fn time(&self, text: &str) -> Option<EventTime> {
        let bytes = text.as_bytes();
        let written = timestamp::rfc3339(bytes)
            .or_else(|| timestamp::plain_utc(bytes))
            .or_else(|| timestamp::access_log(bytes));
        if written.is_some() {
            return written;
        }
        // Integers exactly; a double would lose the last digits of nanoseconds.
        if let Ok(number) = text.parse::<i64>() {
            return timestamp::in_range(match self.ts_unit {
                TimeUnit::S => number.checked_mul(1000)?,
                TimeUnit::Ms => number,
                TimeUnit::Us => number.div_euclid(1000),
                TimeUnit::Ns => number.div_euclid(1_000_000),
            });
        }
        timestamp::from_number(text.parse().ok()?, per_second(self.ts_unit))
    }

    fn render<'v>(&self, choice: &Choice, root: &'v Value) -> Option<Cow<'v, str>> {
        choice.iter().find_map(|template| self.render_one(template, root))
    }

    fn render_one<'v>(&self, Template(parts): &Template, root: &'v Value) -> Option<Cow<'v, str>> {
        if let [Part::Value(pointer)] = &parts[..] {
            return self.value_text(pointer, root);
        }
        let mut text = String::new();
        for part in parts {
            match part {
                Part::Text(literal) => text.push_str(literal),
                Part::Value(pointer) => text.push_str(&self.value_text(pointer, root)?),
                Part::IfPresent { pointer, then, otherwise } => {
                    let present = self.value_text(pointer, root).is_some();
                    text.push_str(if present { then } else { otherwise });
                }
            }
        }
        (!text.is_empty()).then_some(Cow::Owned(text))
    }

    fn value_text<'v>(&self, pointer: &str, root: &'v Value) -> Option<Cow<'v, str>> {
        let text = match root.pointer(pointer)? {
            Value::Null => return None,
            Value::String(text) => Cow::Borrowed(text.as_str()),
            other => Cow::Owned(other.to_string()),
        };
        let present = !text.is_empty() && !self.ignore.iter().any(|ignored| *ignored == text);
        present.then_some(text)
    }
}

fn missing(name: &str) -> Refusal {
    Refusal { code: RefusalCode::MissingField, reason: format!("`{name}` is missing") }
}

fn body<'v>(pointer: Option<&str>, root: &'v Value) -> Body<'v> {
    match pointer.and_then(|pointer| root.pointer(pointer)) {
        None | Some(Value::Null) => Body::Absent,
        Some(Value::String(text)) => Body::Text(Cow::Borrowed(text)),
        Some(other) => Body::Json(Cow::Owned(other.to_string())),
    }
}

fn per_second(unit: TimeUnit) -> f64 {
    match unit {
        TimeUnit::S => 1.0,
        TimeUnit::Ms => 1e3,
        TimeUnit::Us => 1e6,
        TimeUnit::Ns => 1e9,
    }
}

fn choice(name: &str, templates: &Templates) -> Result<Choice, String> {
    let compiled = templates.as_slice().iter().map(|text| template(text));
    compiled.collect::<Result<_, _>>().map_err(|reason| format!("`{name}`: {reason}"))
}

fn template(text: &str) -> Result<Template, String> {
    let (mut parts, mut rest) = (Vec::new(), text);
    while let Some(open) = rest.find("{/") {
        if open > 0 {
            parts.push(Part::Text(rest[..open].into()));
        }
        let inner = &rest[open + 1..];
        let close = inner.find('}').ok_or_else(|| format!("`{text}` has no closing brace"))?;
        parts.push(placeholder(&inner[..close])?);
        rest = &inner[close + 1..];
    }
    if !rest.is_empty() {
        parts.push(Part::Text(rest.into()));
    }
    if parts.is_empty() { Err("a template cannot be empty".into()) } else { Ok(Template(parts)) }
}

fn placeholder(inner: &str) -> Result<Part, String> {
    let Some((pointer, choices)) = inner.split_once('?') else {
        check_pointer(inner)?;
        return Ok(Part::Value(inner.into()));
    };
    check_pointer(pointer)?;
    let (then, otherwise) = choices
        .split_once(':')
        .ok_or_else(|| format!("`{{{inner}}}` has to be like {{/pointer?THEN:ELSE}}"))?;
    Ok(Part::IfPresent { pointer: pointer.into(), then: then.into(), otherwise: otherwise.into() })
}

/// RFC 6901.
fn check_pointer(pointer: &str) -> Result<(), String> {
    let mut escapes = pointer.split('~').skip(1);
    if !pointer.starts_with('/') || !escapes.all(|behind| behind.starts_with(['0', '1'])) {
        return Err(format!("`{pointer}` is not a JSON pointer"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn mapping(text: &str) -> Result<Mapping, MappingError> {
        Mapping::compile("m", &toml::from_str(text).expect("the shape is right"))
    }

    const PLAIN: &str = r#"
        ignore = ["-"]
        drop_invalid = ["ip"]
        duration_unit = "s"
        request_body = "/in"
        [fields]
        ts = "{/at}"
        method = ["{/verb}", "POST"]
        url = "{/url}"
        path = "/{/service}/{/name}"
        ip = "{/from}"
        status = "{/error?400:200}"
        duration_ms = "{/took}"
        [request_headers]
        x-key = "{/who/key~1id}"
    "#;

    fn check(line: &str, expected: Result<&str, RefusalCode>) {
        let mapping = mapping(PLAIN).unwrap();
        let root = serde_json::from_str(line).unwrap();
        let mut request = Request::default();
        let done = mapping.read(&root, &mut request).map_err(|refusal| refusal.code);
        let shown = done.map(|()| {
            format!(
                "{} {} {} {} {} {:?} {:?} {:?}",
                request.ts.0,
                request.method,
                request.path,
                request.ip,
                request.status,
                request.duration_ns,
                request.request.headers,
                request.request.body,
            )
        });
        assert_eq!(shown, expected.map(str::to_owned), "{line}");
    }

    #[test]
    fn templates_make_the_record() {
        check(
            r#"{"at":"1970-01-01 00:00:01","verb":"get","service":"s3","name":"Get","from":"1.2.3.4","took":0.5,"who":{"key/id":"AK"},"in":{"a":1}}"#,
            Ok(
                r#"1000 GET /s3/Get 1.2.3.4 200 Some(500000000) [("x-key", "AK")] Json("{\"a\":1}")"#,
            ),
        );
        check(
            r#"{"at":"1000","verb":"-","url":"http://h/p","service":null,"name":1,"from":"not an ip","error":"x"}"#,
            Ok("1000 POST /p  400 None [] Absent"),
        );
    }

    #[test]
    fn what_breaks_the_rules_of_the_record_is_bad() {
        check("[]", Err(RefusalCode::BadJson));
        check(r#"{"verb":"GET","url":"/"}"#, Err(RefusalCode::MissingField));
        check(r#"{"at":0,"verb":"GET","service":"s"}"#, Err(RefusalCode::MissingField));
        check(r#"{"at":"soon","verb":"GET","url":"/"}"#, Err(RefusalCode::BadField));
        check(r#"{"at":0,"verb":"G T","url":"/"}"#, Err(RefusalCode::BadField));
        check(r#"{"at":0,"verb":"GET","url":"nowhere"}"#, Err(RefusalCode::BadField));
        check(r#"{"at":0,"verb":"GET","url":"/","took":-1}"#, Err(RefusalCode::BadField));
    }

    #[test]
    fn a_mapping_that_makes_no_sense_is_refused_with_its_place() {
        let base = "[fields]\nts = \"{/t}\"\nmethod = \"GET\"\n";
        for (text, word) in [
            (base.to_owned(), "`path` or `url`"),
            (format!("{base}path = \"/\"\nspeed = \"{{/x}}\""), "`speed`"),
            (format!("{base}path = \"{{/x\""), "closing"),
            (format!("{base}path = \"{{/x~2}}\""), "pointer"),
            (format!("{base}path = \"{{/x?1}}\""), "THEN:ELSE"),
            (format!("{base}path = \"\""), "empty"),
            (format!("records = \"x\"\n{base}path = \"/\""), "pointer"),
            (format!("drop_invalid = [\"x\"]\n{base}path = \"/\""), "`x`"),
        ] {
            let error = mapping(&text).unwrap_err().to_string();
            assert!(error.contains(word), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn no_template_panics(text in r"[{}/?:~a01 é]{0,20}") {
            let _ = template(&text);
        }

        #[test]
        fn nanoseconds_are_exact(ms in EventTime::MIN.0 / 1000..EventTime::MAX.0 / 1000, below in 0_i64..1_000_000) {
            let mut exact = mapping(PLAIN).unwrap();
            exact.ts_unit = TimeUnit::Ns;
            prop_assert_eq!(exact.time(&(ms * 1_000_000 + below).to_string()), Some(EventTime(ms)));
        }
    }
}
