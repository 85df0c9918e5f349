//! The native form as a specification, and both paths against a third, plain reading.

use proptest::prelude::*;
use serde_json::Value;
use spoor_operators::request::{Attack, Body, Fields, Message};
use spoor_operators::time::EventTime;

use super::*;
use crate::decode::{timestamp, value};
use spoor_api::codes::RefusalCode;

const FULL: &str = r#"{"id":"r-1","ts":"2024-05-01T10:00:00.250Z","app":"shop","method":"post","host":"shop.example","path":"/a%20b","query":"x=1","status":201,"duration_ms":12.5,"request_bytes":10,"response_bytes":20,"ip":"2001:DB8::1","user_agent":"UA/1","request":{"headers":{"Accept":["a","b"],"Cookie":"k=v"},"form":{"f":"g","n":1.50,"b":true},"body":{"q": [1, "é"]}},"response":{"cookies":{"s":["1","2"]},"body":"plain \"text\""},"attacks":[{"type":"sqli","subtype":"union","point":"query.x","payload":"' or 1","blocked":true},{"type":"new-kind"}],"blocked":true,"more":{"ignored":[null]}}"#;

fn check(line: &str, expected: Result<&str, RefusalCode>) {
    let mut request = Request::default();
    let found = read(line, &mut request).map_err(|refusal| refusal.code);
    let shown = |request: &Request<'_>| {
        format!(
            "{} {} {}|{}|{} {}",
            request.ts.0, request.method, request.host, request.path, request.query, request.status
        )
    };
    assert_eq!(found.map(|()| shown(&request)), expected.map(str::to_owned), "{line}");
}

/// Puts fields into a small good record.
fn with(fields: &str) -> String {
    format!(r#"{{"ts":0,"method":"GET","path":"/",{fields}}}"#)
}

#[test]
fn every_field_arrives() {
    let mut request = Request::default();
    read(FULL, &mut request).unwrap();
    let fields = |pairs: &[(&'static str, &'static str)]| -> Fields<'static> {
        pairs.iter().map(|&(name, value)| (name.into(), value.into())).collect()
    };
    let expected = Request {
        id: "r-1".into(),
        explicit_id: true,
        ts: EventTime(1_714_557_600_250),
        app: "shop".into(),
        method: "POST".into(),
        host: "shop.example".into(),
        path: "/a%20b".into(),
        query: "x=1".into(),
        status: 201,
        duration_ns: Some(12_500_000),
        request_bytes: 10,
        response_bytes: 20,
        ip: "2001:db8::1".into(),
        user_agent: "UA/1".into(),
        request: Message {
            headers: fields(&[("Accept", "a"), ("Accept", "b"), ("Cookie", "k=v")]),
            cookies: fields(&[("k", "v")]),
            form: fields(&[("f", "g"), ("n", "1.50"), ("b", "true")]),
            body: Body::Json(r#"{"q": [1, "é"]}"#.into()),
        },
        response: Message {
            cookies: fields(&[("s", "1"), ("s", "2")]),
            body: Body::Text("plain \"text\"".into()),
            ..Message::default()
        },
        attacks: vec![
            Attack {
                kind: "sqli".into(),
                subtype: "union".into(),
                point: "query.x".into(),
                payload: "' or 1".into(),
                blocked: true,
            },
            Attack { kind: "new-kind".into(), ..Attack::default() },
        ],
        blocked: true,
        ..Request::default()
    };
    assert_eq!(request, expected);
    assert!(fast::read(FULL, &mut Request::default()).is_some(), "the full line is a usual one");
}

#[test]
fn lines_that_are_good() {
    check(r#"{"ts":-1,"method":"get","path":"/"}"#, Ok("-1 GET |/| 0"));
    check(r#" { "ts" : 5 , "method" : "X-Y" , "path" : "p" } "#, Ok("5 X-Y |p| 0"));
    check(r#"{"ts":0,"method":"GET","url":"https://h/p?q#f"}"#, Ok("0 GET h|/p|q 0"));
    check(r#"{"ts":0,"method":"GET","url":"/p?q","host":"h"}"#, Ok("0 GET h|/p|q 0"));
    check(&with(r#""url":"http://h/other?q""#), Ok("0 GET h|/|q 0"));
    check(&with(r#""status":999,"id":null,"attacks":null,"request":null"#), Ok("0 GET |/| 999"));
    check(&with(r#""status":"x","status":204"#), Ok("0 GET |/| 204"));
    check(r#"{"ts":0,"\u006dethod":"GET","path":"\u002f\ud83d\ude00"}"#, Ok("0 GET |/😀| 0"));
    check(
        &with(r#""request":{"headers":{"a":[],"b":null},"other":1},"attacks":[]"#),
        Ok("0 GET |/| 0"),
    );
    check(&with(r#""request_bytes":18446744073709551615,"duration_ms":1e3"#), Ok("0 GET |/| 0"));
}

#[test]
fn lines_that_are_bad_and_why() {
    use RefusalCode::{BadField, BadJson, MissingField};
    for (line, code) in [
        ("x", BadJson),
        ("[]", BadJson),
        ("{", BadJson),
        (r#"{"ts":0,"method":"GET","path":"/"} x"#, BadJson),
        (r#"{"ts":0,"method":"GET","path":"/",}"#, BadJson),
        (r#"{"ts":0,"method":"GET","path":"\ud800"}"#, BadJson),
        ("{\"ts\":0,\"method\":\"GET\",\"path\":\"/\t\"}", BadJson),
        (r#"{"method":"GET","path":"/"}"#, MissingField),
        (r#"{"ts":null,"method":"GET","path":"/"}"#, MissingField),
        (r#"{"ts":0,"path":"/"}"#, MissingField),
        (r#"{"ts":0,"method":"GET"}"#, MissingField),
        (r#"{"ts":0,"method":"GET","path":""}"#, MissingField),
        (r#"{"ts":0.5,"method":"GET","path":"/"}"#, BadField),
        (r#"{"ts":"yesterday","method":"GET","path":"/"}"#, BadField),
        (r#"{"ts":253402300800000,"method":"GET","path":"/"}"#, BadField),
        (r#"{"ts":0,"method":"","path":"/"}"#, BadField),
        (r#"{"ts":0,"method":"G T","path":"/"}"#, BadField),
        (r#"{"ts":0,"method":1,"path":"/"}"#, BadField),
        (r#"{"ts":0,"method":"GET","url":"nowhere"}"#, BadField),
    ] {
        check(line, Err(code));
    }
    for fields in [
        r#""id":"""#,
        r#""id":7"#,
        r#""status":1000"#,
        r#""status":-1"#,
        r#""status":"200""#,
        r#""status":200.0"#,
        r#""duration_ms":-1"#,
        r#""duration_ms":"1""#,
        r#""request_bytes":-1"#,
        r#""response_bytes":1.5"#,
        r#""response_bytes":18446744073709551616"#,
        r#""ip":"""#,
        r#""ip":"a b""#,
        r#""ip":4"#,
        r#""app":[]"#,
        r#""user_agent":1"#,
        r#""request":[]"#,
        r#""request":{"headers":[]}"#,
        r#""request":{"headers":{"a":1}}"#,
        r#""request":{"headers":{"a":[1]}}"#,
        r#""request":{"form":{"a":{}}}"#,
        r#""response":{"cookies":{"a":true}}"#,
        r#""attacks":{}"#,
        r#""attacks":[{}]"#,
        r#""attacks":[{"type":1}]"#,
        r#""attacks":[{"type":"x","blocked":"yes"}]"#,
        r#""blocked":1"#,
    ] {
        check(
            &with(fields),
            Err(BadField).map_err(|code| if fields.contains("[{}]") { MissingField } else { code }),
        );
    }
    let long = with(&format!(r#""id":"{}""#, "x".repeat(129)));
    check(&long, Err(BadField));
}

#[test]
fn a_reason_names_the_field_and_never_the_value() {
    for fields in [
        r#""ip":"s3cret s3cret""#,
        r#""request":{"headers":{"authorization":{"s3cret":1}}}"#,
        r#""request":{"cookies":"s3cret"}"#,
        r#""status":"s3cret""#,
    ] {
        let line = with(fields);
        let refusal = read(&line, &mut Request::default()).unwrap_err();
        assert!(refusal.reason.contains('`') && !refusal.reason.contains("s3cret"), "{refusal:?}");
    }
}

/// The third reading: by the semantics from a parsed tree, with nothing shared but single values.
fn plain(line: &str) -> Option<Request<'static>> {
    let tree: Value = serde_json::from_str(line).ok()?;
    let top = tree.as_object()?;
    let text = |name: &str| match top.get(name).unwrap_or(&Value::Null) {
        Value::Null => Some(None),
        Value::String(text) => Some(Some(text.clone())),
        _ => None,
    };
    let integer = |name: &str| match top.get(name).unwrap_or(&Value::Null) {
        Value::Null => Some(0),
        other => other.as_u64(),
    };
    let mut request = Request {
        explicit_id: text("id")?.is_some(),
        id: text("id")?.unwrap_or_default().into(),
        ..Request::default()
    };
    if request.explicit_id && (request.id.is_empty() || request.id.len() > 128) {
        return None;
    }
    request.ts = match top.get("ts")? {
        Value::String(text) => timestamp::rfc3339(text.as_bytes())?,
        other => timestamp::in_range(other.as_i64()?)?,
    };
    request.app = text("app")?.unwrap_or_default().into();
    request.method = value::method(text("method")??.into())?.into_owned().into();
    let url = text("url")?.filter(|url| !url.is_empty()).map(std::borrow::Cow::Owned);
    let target = url.map_or(Some(value::Target::default()), |url| value::url(&url))?;
    let or = |own: Option<String>, other: std::borrow::Cow<'static, str>| {
        own.filter(|own| !own.is_empty()).map_or(other, Into::into)
    };
    request.host = or(text("host")?, target.host);
    request.path = or(text("path")?, target.path);
    request.query = or(text("query")?, target.query);
    if request.path.is_empty() {
        return None;
    }
    request.status = u16::try_from(integer("status")?).ok().filter(|status| *status <= 999)?;
    request.duration_ns = match top.get("duration_ms").unwrap_or(&Value::Null) {
        Value::Null => None,
        other => Some(value::duration_ns(other.as_f64()?)?),
    };
    request.request_bytes = integer("request_bytes")?;
    request.response_bytes = integer("response_bytes")?;
    if let Some(ip) = text("ip")? {
        request.ip = value::client(ip.into())?.into_owned().into();
    }
    request.user_agent = text("user_agent")?.unwrap_or_default().into();
    request.request = plain_message(top.get("request"))?;
    request.response = plain_message(top.get("response"))?;
    for attack in
        top.get("attacks").filter(|it| !it.is_null()).map_or(Some(&vec![]), Value::as_array)?
    {
        let text = |name: &str| match attack.get(name).unwrap_or(&Value::Null) {
            Value::Null => Some("".into()),
            other => Some(other.as_str()?.to_owned().into()),
        };
        attack.as_object()?;
        request.attacks.push(Attack {
            kind: text("type")?,
            subtype: text("subtype")?,
            point: text("point")?,
            payload: text("payload")?,
            blocked: plain_boolean(attack.get("blocked"))?,
        });
        if text("type")?.is_empty() {
            return None;
        }
    }
    request.blocked = plain_boolean(top.get("blocked"))?;
    value::fall_back(&mut request);
    Some(request)
}

fn plain_boolean(value: Option<&Value>) -> Option<bool> {
    value.filter(|value| !value.is_null()).map_or(Some(false), Value::as_bool)
}

fn plain_message(side: Option<&Value>) -> Option<Message<'static>> {
    let Some(side) = side.filter(|side| !side.is_null()) else { return Some(Message::default()) };
    side.as_object()?;
    let fields = |name: &str| {
        let mut fields = Fields::new();
        let Some(given) = side.get(name).filter(|given| !given.is_null()) else {
            return Some(fields);
        };
        for (key, given) in given.as_object()? {
            let values = match given {
                Value::Null => vec![],
                Value::Array(values) => values.clone(),
                other => vec![other.clone()],
            };
            for value in values {
                let text = match &value {
                    Value::String(text) => text.clone(),
                    Value::Number(_) | Value::Bool(_) if name == "form" => value.to_string(),
                    _ => return None,
                };
                fields.push((key.clone().into(), text.into()));
            }
        }
        Some(fields)
    };
    Some(Message {
        headers: fields("headers")?,
        cookies: fields("cookies")?,
        form: fields("form")?,
        body: match side.get("body").unwrap_or(&Value::Null) {
            Value::Null => Body::Absent,
            Value::String(text) => Body::Text(text.clone().into()),
            other => Body::Json(other.to_string().into()),
        },
    })
}

/// Everything but the spelling of JSON bodies and numbers in forms, which the plain reading does
/// not keep, and the order of names that come twice.
fn comparable(mut request: Request<'_>) -> String {
    for side in [&mut request.request, &mut request.response] {
        if let Body::Json(text) = &side.body {
            let mut body: Value = serde_json::from_str(text).unwrap();
            round(&mut body);
            side.body = Body::Json(body.to_string().into());
        }
        for fields in [&mut side.headers, &mut side.cookies, &mut side.form] {
            fields.sort_by(|a, b| a.0.cmp(&b.0));
        }
        for (_, value) in &mut side.form {
            if let Ok(mut number @ Value::Number(_)) = serde_json::from_str(value) {
                round(&mut number);
                *value = number.to_string().into();
            }
        }
    }
    format!("{request:?}")
}

/// Rounds what has a fraction or an exponent: each reading of a number may move its last digit, and
/// the plain one has read it once more.
fn round(value: &mut Value) {
    match value {
        Value::Number(number) if number.is_f64() => {
            *value = format!("{:.12e}", number.as_f64().unwrap()).into();
        }
        Value::Array(values) => values.iter_mut().for_each(round),
        Value::Object(entries) => entries.values_mut().for_each(round),
        _ => {}
    }
}

#[test]
fn numbers_of_many_digits_are_read_alike() {
    let line = |n: &str| {
        format!(
            r#"{{"ts":7,"method":"GET","path":"/","request":{{"form":{{"n":{n}}},"body":[{n}]}}}}"#
        )
    };
    for number in ["11e50", "1.1e51", "123456789012345678901234567890", "1e-310", "0.1"] {
        all_agree(&line(number)).unwrap();
    }
}

fn all_agree(line: &str) -> Result<(), TestCaseError> {
    let general = general::read(line);
    let mut quick = Request::default();
    if fast::read(line, &mut quick).is_some() {
        let general = general.as_ref();
        prop_assert_eq!(Ok(&quick), general, "{}", line);
    }
    let plain = plain(line).map(comparable);
    prop_assert_eq!(general.ok().map(comparable), plain, "{}", line);
    Ok(())
}

fn value_text() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        4 => "\"[a-z/=; .]{0,12}\"",
        2 => Just(r#""1.2.3.4""#.to_owned()),
        1 => Just(r#""2024-05-01T10:00:00.5+02:00""#.to_owned()),
        1 => Just(r#""https://h:1/p?q=1#f""#.to_owned()),
        1 => Just(r#""a\"b\\c\/\n\u00e9é""#.to_owned()),
        2 => "[0-9]{1,4}",
        1 => "-?[0-9]{1,3}\\.[0-9]{1,7}",
        1 => Just("null".to_owned()),
        1 => Just("true".to_owned()),
        1 => Just("{}".to_owned()),
        1 => Just("[]".to_owned()),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        let name = prop_oneof![
            Just("headers"), Just("cookies"), Just("form"), Just("body"), Just("type"),
            Just("blocked"), Just("point"), Just("Cookie"), Just("user-agent"), Just("set-cookie"), Just("a"),
        ];
        prop_oneof![
            3 => proptest::collection::vec((name, inner.clone()), 0..4).prop_map(|entries| {
                let entries: Vec<String> =
                    entries.into_iter().map(|(name, value)| format!("\"{name}\" :{value}")).collect();
                format!("{{{}}}", entries.join(", "))
            }),
            1 => proptest::collection::vec(inner, 0..3).prop_map(|values| format!("[{}]", values.join(","))),
        ]
    })
}

fn line() -> impl Strategy<Value = String> {
    let name = prop_oneof![
        Just("id"),
        Just("ts"),
        Just("app"),
        Just("method"),
        Just("host"),
        Just("path"),
        Just("query"),
        Just("url"),
        Just("status"),
        Just("duration_ms"),
        Just("request_bytes"),
        Just("response_bytes"),
        Just("ip"),
        Just("user_agent"),
        Just("request"),
        Just("response"),
        Just("attacks"),
        Just("blocked"),
        Just("other"),
    ];
    proptest::collection::vec((name, value_text()), 0..4).prop_map(|entries| {
        let mut line = r#"{"ts":7,"method":"GET","path":"/""#.to_owned();
        for (name, value) in entries {
            line.push_str(&format!(",\"{name}\":{value}"));
        }
        line + "}"
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn all_three_readings_agree(line in line()) {
        all_agree(&line)?;
    }

    #[test]
    fn all_three_readings_agree_on_a_damaged_line(
        at in 0..FULL.len(), len in 0_usize..3, put in "[\\[\\]{}\",:0-9.eE+\\- \\\\ntru]{0,3}")
    {
        let end = (at + len).min(FULL.len());
        if let (Some(head), Some(tail)) = (FULL.get(..at), FULL.get(end..)) {
            all_agree(&format!("{head}{put}{tail}"))?;
        }
    }
}
