//! Field mappings: how JSON of another shape becomes request records.
//!
//! A mapping is written as templates (see [`super::settings::Mapping`]) and compiled once. In a
//! template `{/json/pointer}` is the value there, `{/json/pointer | pipe}` what the pipes of points
//! make of it, and `{/json/pointer?A:B}` is `A` when there is a value and `B` when there is none. A
//! pointer goes on into a string that holds JSON, and `[name=Host]` in it is the element of a list
//! whose `name` is that, in any case of letters. What a value does to the record, and what of it can
//! be repaired, is in [`super::record`].
//!
//! With `records`, the input is a document: JSON values one after another, each of which has an
//! array of records at that pointer.

use std::borrow::Cow;

use serde_json::Value;
use spoor_operators::point::Point;
use spoor_operators::request::{Body, Fields, Request};

use super::error::Refusal;
use super::record::{Field, Parts};
use super::settings::{self as config, Templates};
use super::site::InputSettings;
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

/// Templates of which the first that gives a valid value counts.
type Choice = Vec<Template>;

/// Parts that make a text; absent when one of them is.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Template(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Value(Pointer),
    /// A point of which only the pipes are used.
    Piped(Pointer, Point),
    IfPresent {
        pointer: Pointer,
        then: String,
        otherwise: String,
    },
}

/// A JSON pointer, with its tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Pointer {
    text: String,
    tokens: Vec<Token>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Member(String),
    /// The element of a list that has this member.
    Having(String, String),
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
            Ok(match Field::named(given).ok_or_else(unknown)? {
                Field::Ts(_) => Field::Ts(config.ts_unit),
                Field::Duration(_) => Field::Duration(config.duration_unit),
                other => other,
            })
        };
        let mut fields = Vec::new();
        for (given, templates) in &config.fields {
            fields.push((field(given)?, choice(given, templates).map_err(refuse)?));
        }
        for required in [&["ts"][..], &["method", "request_line"], &["path", "url", "request_line"]]
        {
            if !required.iter().any(|name| config.fields.contains_key(*name)) {
                return Err(refuse(format!("it has to give `{}`", required.join("` or `"))));
            }
        }
        let named = |given: &std::collections::BTreeMap<String, Templates>| {
            let compiled = given.iter().map(|(name, templates)| {
                Ok((name.clone(), choice(name, templates).map_err(refuse)?))
            });
            compiled.collect::<Result<Vec<_>, MappingError>>()
        };
        for pointer in [&config.request_body, &config.response_body] {
            pointer.as_deref().map_or(Ok(()), check_pointer).map_err(refuse)?;
        }
        // The empty pointer is the document itself.
        if let Some(records) = config.records.as_deref().filter(|pointer| !pointer.is_empty()) {
            check_pointer(records).map_err(refuse)?;
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
        &'v self,
        root: &'v Value,
        settings: &InputSettings,
        request: &mut Request<'v>,
    ) -> Result<(), Refusal> {
        if !root.is_object() {
            let reason = "has to be a JSON object".into();
            return Err(Refusal { code: RefusalCode::BadJson, reason });
        }
        let mut parts = Parts::new(settings);
        for (field, choice) in &self.fields {
            if let Err(refusal) = self.put(field, choice, root, &mut parts, request) {
                if !self.drop_invalid.contains(field) {
                    return Err(refusal);
                }
                request.repaired = true;
            }
        }
        self.set_messages(root, request);
        parts.finish(request)
    }

    /// Gives a field its first valid value.
    fn put<'v>(
        &'v self,
        field: &'v Field,
        choice: &'v Choice,
        root: &'v Value,
        parts: &mut Parts<'v, '_>,
        request: &mut Request<'v>,
    ) -> Result<(), Refusal> {
        let mut done = Ok(());
        let (repaired, mut broke) = (request.repaired, false);
        for template in choice {
            let Some(text) = self.render_one(template, root) else { continue };
            request.repaired = false;
            match parts.put(field, text, request) {
                Err(refusal) => done = done.and(Err(refusal)),
                // Such as `unix:`, which is nobody's address.
                Ok(()) if *field == Field::Ip && request.ip.is_empty() => {}
                Ok(()) if !request.repaired => {
                    request.repaired = repaired;
                    return Ok(());
                }
                Ok(()) => broke = true,
            }
        }
        request.repaired = repaired || broke;
        done
    }

    fn set_messages<'v>(&'v self, root: &'v Value, request: &mut Request<'v>) {
        let fields = |choices: &'v [(String, Choice)], into: &mut Fields<'v>| {
            let rendered = choices.iter().filter_map(|(name, choice)| {
                let text = choice.iter().find_map(|template| self.render_one(template, root))?;
                Some((Cow::Borrowed(name.as_str()), text))
            });
            into.extend(rendered);
        };
        fields(&self.request_headers, &mut request.request.headers);
        fields(&self.request_cookies, &mut request.request.cookies);
        fields(&self.response_headers, &mut request.response.headers);
        request.request.body = body(self.request_body.as_deref(), root);
        request.response.body = body(self.response_body.as_deref(), root);
    }

    fn render_one<'v>(
        &'v self,
        Template(parts): &'v Template,
        root: &'v Value,
    ) -> Option<Cow<'v, str>> {
        if let [part @ (Part::Value(_) | Part::Piped(..))] = &parts[..] {
            return self.part_text(part, root);
        }
        let mut text = String::new();
        for part in parts {
            text.push_str(&self.part_text(part, root)?);
        }
        (!text.is_empty()).then_some(Cow::Owned(text))
    }

    fn part_text<'v>(&'v self, part: &'v Part, root: &'v Value) -> Option<Cow<'v, str>> {
        match part {
            Part::Text(literal) => Some(Cow::Borrowed(literal)),
            Part::Value(pointer) => self.value_text(pointer, root),
            Part::Piped(pointer, point) => {
                let text = point.convert(self.value_text(pointer, root)?)?;
                (!text.is_empty()).then_some(text)
            }
            Part::IfPresent { pointer, then, otherwise } => {
                let present = self.value_text(pointer, root).is_some();
                Some(Cow::Borrowed(if present { then } else { otherwise }))
            }
        }
    }

    fn value_text<'v>(&self, pointer: &Pointer, root: &'v Value) -> Option<Cow<'v, str>> {
        let text = match pointer.find(root)? {
            Cow::Borrowed(Value::String(text)) => Cow::Borrowed(text.as_str()),
            Cow::Owned(Value::String(text)) => Cow::Owned(text),
            other if other.is_null() => return None,
            other => Cow::Owned(other.to_string()),
        };
        let present = !text.is_empty() && !self.ignore.iter().any(|ignored| *ignored == text);
        present.then_some(text)
    }
}

impl Pointer {
    fn parse(text: &str) -> Result<Self, String> {
        check_pointer(text)?;
        let token = |token: &str| {
            let inner = token.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
            match inner.and_then(|inner| inner.split_once('=')) {
                Some((member, value)) => Token::Having(member.into(), value.into()),
                None => Token::Member(token.replace("~1", "/").replace("~0", "~")),
            }
        };
        let tokens = text.split('/').skip(1).map(token).collect();
        Ok(Self { text: text.into(), tokens })
    }

    fn find<'v>(&self, root: &'v Value) -> Option<Cow<'v, Value>> {
        if let Some(found) = root.pointer(&self.text) {
            return Some(Cow::Borrowed(found));
        }
        let mut at = Cow::Borrowed(root);
        for token in &self.tokens {
            if let Value::String(text) = &*at {
                at = Cow::Owned(serde_json::from_str(text).ok()?);
            }
            at = match at {
                Cow::Borrowed(value) => Cow::Borrowed(step(value, token)?),
                Cow::Owned(value) => Cow::Owned(step(&value, token)?.clone()),
            };
        }
        Some(at)
    }
}

fn step<'v>(value: &'v Value, token: &Token) -> Option<&'v Value> {
    match (value, token) {
        (Value::Object(members), Token::Member(name)) => members.get(name),
        (Value::Array(list), Token::Member(index)) => list.get(index.parse::<usize>().ok()?),
        (Value::Array(list), Token::Having(member, wanted)) => list.iter().find(|element| {
            let text = element.get(member).and_then(Value::as_str);
            text.is_some_and(|text| text.eq_ignore_ascii_case(wanted))
        }),
        _ => None,
    }
}

fn body<'v>(pointer: Option<&str>, root: &'v Value) -> Body<'v> {
    match pointer.and_then(|pointer| root.pointer(pointer)) {
        None | Some(Value::Null) => Body::Absent,
        Some(Value::String(text)) => Body::Text(Cow::Borrowed(text)),
        Some(other) => Body::Json(Cow::Owned(other.to_string())),
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
        let close = closing(inner).ok_or_else(|| format!("`{text}` has no closing brace"))?;
        parts.push(placeholder(&inner[..close])?);
        rest = &inner[close + 1..];
    }
    if !rest.is_empty() {
        parts.push(Part::Text(rest.into()));
    }
    if parts.is_empty() { Err("a template cannot be empty".into()) } else { Ok(Template(parts)) }
}

/// Where a placeholder ends: at the first brace that is not in the quotes of a pipe.
fn closing(inner: &str) -> Option<usize> {
    let pipes = inner.find('|').unwrap_or(inner.len());
    let mut quote = None;
    for (at, char) in inner.char_indices() {
        match (quote, char) {
            (None, '}') => return Some(at),
            (None, '"' | '\'') if at > pipes => quote = Some(char),
            (Some(open), _) if open == char => quote = None,
            _ => {}
        }
    }
    None
}

fn placeholder(inner: &str) -> Result<Part, String> {
    if let Some((pointer, pipes)) = inner.split_once('|') {
        let pointer = Pointer::parse(pointer.trim_end())?;
        let point = Point::parse(&format!("$path | {pipes}"));
        return Ok(Part::Piped(
            pointer,
            point.map_err(|error| format!("`{{{inner}}}`: {}", error.reason))?,
        ));
    }
    let Some((pointer, choices)) = inner.split_once('?') else {
        return Ok(Part::Value(Pointer::parse(inner)?));
    };
    let pointer = Pointer::parse(pointer)?;
    let (then, otherwise) = choices
        .split_once(':')
        .ok_or_else(|| format!("`{{{inner}}}` has to be like {{/pointer?THEN:ELSE}}"))?;
    Ok(Part::IfPresent { pointer, then: then.into(), otherwise: otherwise.into() })
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
    use crate::decode::timestamp;
    use proptest::prelude::*;
    use spoor_operators::time::EventTime;

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
        let settings = InputSettings::default();
        let done = mapping.read(&root, &settings, &mut request).map_err(|refusal| refusal.code);
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
            Ok("1000000 POST /p  400 None [] Absent"),
        );
    }

    #[test]
    fn what_breaks_the_rules_of_the_record_is_bad() {
        check("[]", Err(RefusalCode::BadJson));
        check(r#"{"verb":"GET","url":"/"}"#, Err(RefusalCode::MissingField));
        check(r#"{"at":0,"verb":"GET","service":"s"}"#, Err(RefusalCode::MissingField));
        check(r#"{"at":"soon","verb":"GET","url":"/"}"#, Err(RefusalCode::BadField));
        check(r#"{"at":0,"verb":"GET","url":"nowhere"}"#, Err(RefusalCode::BadField));
    }

    #[test]
    fn the_first_valid_choice_counts() {
        check(r#"{"at":0,"verb":"G T","url":"/"}"#, Ok("0 POST /  200 None [] Absent"));
    }

    #[test]
    fn what_a_record_does_not_need_is_left_out() {
        check(r#"{"at":0,"verb":"GET","url":"/","took":-1}"#, Ok("0 GET /  200 None [] Absent"));
    }

    #[test]
    fn values_are_taken_apart() {
        let text = r#"
            [fields]
            ts = "{/t}"
            request_line = "{/line}"
            host = "{/headers/[name=Host]/value}"
            ip = ["{/xff | split(',', 0) | trim}", "{/message/peer}"]
            user_agent = "{/agent | regex('^([a-z]{2,4})', 1)}"
        "#;
        let mapping = mapping(text).unwrap();
        for (line, expected) in [
            (
                r#"{"t":1714557600,"line":"GET /p?q HTTP/1.1","headers":[{"name":"x"},{"name":"HOST","value":"h"}],
                    "xff":" 203.0.113.9:80, 10.0.0.1","agent":"curl/8"}"#,
                "1714557600000 GET h /p q 203.0.113.9 curl",
            ),
            (
                r#"{"t":"2024-05-01T10:00:00+0000","line":"get /","xff":"(none)",
                    "message":"{\"peer\":\"[2001:db8::7]:443\"}"}"#,
                "1714557600000 GET  /  2001:db8::7 ",
            ),
        ] {
            let root = serde_json::from_str(line).unwrap();
            let mut request = Request::default();
            mapping.read(&root, &InputSettings::default(), &mut request).unwrap();
            let Request { method, host, path, query, ip, user_agent, .. } = &request;
            let ts = request.ts.0;
            let seen = format!("{ts} {method} {host} {path} {query} {ip} {user_agent}");
            assert_eq!(seen, expected, "{line}");
            assert!(!request.repaired);
        }
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
            (format!("{base}path = \"{{/x | upper}}\""), "upper"),
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
            let text = (ms * 1_000_000 + below).to_string();
            prop_assert_eq!(timestamp::number(&text, Some(1_000_000_000)), Some(EventTime(ms)));
        }
    }
}
