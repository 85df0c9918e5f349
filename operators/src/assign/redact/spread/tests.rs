//! A secret value is nowhere else in the record either, and what is no secret stays.

use super::super::super::tests::{assign, compiled, fields, request};
use super::super::super::{CompiledRules, SecretKey};
use crate::request::{Attack, Body, Message, Request};

const KEY: SecretKey = SecretKey([1; 32]);
const SECRET: &str = "s3cr3t/V4lue+x=";

fn rules(grouping: &str, context: &str) -> CompiledRules {
    compiled(&format!(r#"{{"grouping":[{grouping}],"context":[{context}]}}"#))
}

fn secret(point: &str) -> CompiledRules {
    rules(&format!(r#"{{"name":"k","point":"{point}","secret":true}}"#), "")
}

/// What is stored: the same when it is assigned again.
fn stored(rules: &CompiledRules, request: &Request<'_>) -> (String, String) {
    let (outcome, new) = assign(rules, &mut request.clone(), true);
    let mut again = Request::decode(new.stored()).unwrap();
    assert_eq!((outcome, &new), (outcome, &assign(rules, &mut again, false).1), "{request:?}");
    let value = new.head().unwrap().0.value.to_owned();
    (value, String::from_utf8_lossy(&new.payload).into_owned())
}

fn header(name: &'static str, value: &str) -> Request<'static> {
    let mut it = request();
    it.request.headers.push((name.into(), value.to_owned().into()));
    it
}

/// With the secret in the header `x-token`, and once elsewhere.
fn elsewhere(put: impl FnOnce(&mut Request<'static>)) -> Request<'static> {
    let mut it = header("x-token", SECRET);
    put(&mut it);
    it
}

#[test]
fn a_secret_is_masked_wherever_it_stands() {
    let rules = secret("$request.header.x-token");
    let coded = "s3cr3t%2FV4lue%2Bx%3D";
    let cookie = |text: &str| fields(&[("c", Box::leak(text.to_owned().into_boxed_str()))]);
    let cases: Vec<(&str, Request<'static>)> = vec![
        ("query", elsewhere(|it| it.query = format!("a={SECRET}&b=1").into())),
        ("coded query", elsewhere(|it| it.query = format!("a={coded}&b=1").into())),
        (
            "twice coded",
            elsewhere(|it| {
                it.query = format!("next={}", coded.replace('%', "%25")).into();
            }),
        ),
        ("path", elsewhere(|it| it.path = format!("/reset/{coded}/done").into())),
        ("user agent", elsewhere(|it| it.user_agent = format!("app ({SECRET})").into())),
        (
            "header",
            elsewhere(|it| {
                it.request.headers.push(("x-copy".into(), format!("t {SECRET}").into()));
            }),
        ),
        (
            "referer",
            elsewhere(|it| {
                it.request
                    .headers
                    .push(("Referer".into(), format!("https://h/p?x={coded}#y").into()));
            }),
        ),
        ("cookie", elsewhere(|it| it.request.cookies = cookie(SECRET))),
        (
            "set-cookie",
            elsewhere(|it| {
                it.response.cookies = cookie(SECRET);
                it.response.headers = fields(&[("Set-Cookie", "c=s3cr3t/V4lue+x=; Path=/")]);
            }),
        ),
        ("form", elsewhere(|it| it.request.form = cookie(SECRET))),
        (
            "json",
            elsewhere(|it| {
                it.request.body = Body::Json(format!(r#"{{"a":["x {SECRET}"],"b":2}}"#).into());
            }),
        ),
        (
            "escaped json",
            elsewhere(|it| {
                let text = SECRET.replace('/', "\\/");
                it.response.body = Body::Text(format!(r#"{{"a":"{text}"}}"#).into());
            }),
        ),
        (
            "json in json",
            elsewhere(|it| {
                let text = SECRET.replace('/', "\\\\\\/");
                it.response.body = Body::Json(format!(r#"{{"a":"{{\"b\":\"{text}\"}}"}}"#).into());
            }),
        ),
        ("text", elsewhere(|it| it.response.body = Body::Text(format!("no {SECRET}!").into()))),
        (
            "payload",
            elsewhere(|it| {
                it.attacks =
                    vec![Attack { kind: "x".into(), payload: SECRET.into(), ..Attack::default() }];
            }),
        ),
    ];
    let hash = KEY.hash_text(SECRET);
    for (place, it) in cases {
        let (value, text) = stored(&rules, &it);
        assert_eq!(value, hash, "{place}");
        for part in ["s3cr3t", "V4lue"] {
            assert!(!text.contains(part), "{place}: {text:?}");
        }
    }
}

#[test]
fn credentials_are_masked_without_their_scheme_too() {
    let rules = rules("", "");
    for (value, copies) in [
        ("Bearer opaque-Token-77", &["opaque-Token-77"][..]),
        (
            "Basic YWRhOnBhc3N3b3JkMQ==",
            &["YWRhOnBhc3N3b3JkMQ==", "passwordX".trim_end_matches('X')],
        ),
        ("token-alone-77", &["token-alone-77"]),
    ] {
        for copy in copies {
            let copy = if *copy == "password" { "password1" } else { copy };
            let mut it = header("authorization", value);
            it.query = format!("access_token={copy}").into();
            it.response.body = Body::Json(format!(r#"{{"token":"{copy}"}}"#).into());
            let (identity, text) = stored(&rules, &it);
            assert_eq!(identity, KEY.hash_text(value));
            assert!(!text.contains(copy), "{value} {copy}: {text:?}");
        }
    }
}

#[test]
fn what_a_response_sets_is_as_secret_as_what_a_request_sends() {
    let mut it = header("cookie", "sid=one");
    it.request.cookies = fields(&[("sid", "one")]);
    it.response.headers = fields(&[("set-cookie", "sid=two; HttpOnly")]);
    it.response.cookies = fields(&[("sid", "two")]);
    for point in ["$request.cookie.sid", "$response.cookie.sid"] {
        let (_, text) = stored(&secret(point), &it);
        assert!(!text.contains("one") && !text.contains("two"), "{point}: {text:?}");
        assert!(text.contains("; HttpOnly"));
    }
}

#[test]
fn a_secret_parameter_is_one_in_every_url() {
    let rules = secret("$request.query.token");
    for url in [
        "https://h/cb?a=1&token=pin7#z",
        "/cb?token=pin7",
        "https://h/cb#token=pin7&b=1",
        "https://h/go?next=https%3A%2F%2Fh%2Fcb%3Ftoken%3Dpin7",
    ] {
        let mut it = header("Referer", url);
        it.response.headers = fields(&[("Location", Box::leak(url.to_owned().into_boxed_str()))]);
        let quoted = serde_json::to_string(&format!("see {url} .")).unwrap();
        it.response.body = Body::Json(format!(r#"{{"redirect":{quoted}}}"#).into());
        let (_, text) = stored(&rules, &it);
        assert!(!text.contains("pin7"), "{url}: {text:?}");
        assert!(text.contains("/cb") || text.contains("%2Fcb"), "{url}: {text:?}");
    }
    let by_segment = secret("$request.segment.1");
    let (_, text) = stored(&by_segment, &header("referer", "https://h/reset/t0ken/x?y=1"));
    assert!(!text.contains("t0ken") && text.contains("https://h/reset/"), "{text:?}");
    let (_, text) = stored(&secret("$path"), &header("referer", "https://h/reset/t0ken"));
    assert!(!text.contains("t0ken"), "{text:?}");
}

#[test]
fn a_short_secret_is_masked_only_as_a_word() {
    let mut it = header("x-pin", "4711");
    it.query = "pin=4711&at=247112".into();
    let (_, text) = stored(&secret("$request.header.x-pin"), &it);
    assert!(!text.contains("pin=4711") && text.contains("at=247112"), "{text:?}");
    let mut it = header("x-pin", "7");
    it.query = "page=7".into();
    let (_, text) = stored(&secret("$request.header.x-pin"), &it);
    assert!(text.contains("page=7"), "{text:?}");
}

#[test]
fn nobody_hides_behind_a_secret_of_its_own() {
    let mut it = header("authorization", "Bearer x");
    (it.host, it.path, it.ip) = ("shop.example".into(), "/api/checkout".into(), "192.0.2.1".into());
    let plain = stored(&rules("", ""), &it).1;
    for (token, left) in [
        ("shop.example", "shop.example"),
        ("checkout", "/api/checkout"),
        ("192.0.2.1", "192.0.2.1"),
    ] {
        it.request.headers = fields(&[]);
        it.request.headers.push(("authorization".into(), format!("Bearer {token}").into()));
        let text = stored(&rules("", ""), &it).1;
        assert_eq!(text.matches(left).count(), plain.matches(left).count(), "{token}: {text:?}");
    }
}

#[test]
fn rules_read_what_they_read_before_masked() {
    // `{"sub":"u-7"}`
    let jwt = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ1LTcifQ.c2lnbmF0dXJl";
    let mut it = header("x-token", jwt);
    it.request.cookies = fields(&[("jwt", jwt)]);
    let key = r#"{"name":"k","point":"$request.header.x-token","secret":true}"#;
    let user = r#"{"name":"sub","point":"$request.cookie.jwt | jwt.payload#/sub","type":"user"}"#;
    let (_, text) = stored(&rules(key, user), &it);
    assert!(text.contains("sub=u-7") && !text.contains("eyJ"), "{text:?}");
    // A key that is not secret and finds a secret value gives its hash.
    let open = r#"{"name":"o","point":"$request.cookie.jwt"}"#;
    let (value, text) = stored(&rules(&format!("{open},{key}"), ""), &it);
    assert_eq!(value, KEY.hash_text(jwt));
    assert!(!text.contains("eyJ"), "{text:?}");
}

#[test]
fn json_stays_json_whatever_is_masked() {
    let rules = secret("$request.header.x-token");
    for (secret, body) in [
        ("12345678", r#"{"id":12345678,"list":[12345678,"12345678"],"12345678":true}"#),
        (r#"":"inner","b":"#, r#"{"a":"inner","b":1}"#),
        (r#"line\n1"#, r#"{"a":"line\\n1 line\n1"}"#),
        ("caf\u{e9}-s3cr3t", r#"{"a":"caf\u00e9-s3cr3t"}"#),
    ] {
        let mut it = header("x-token", secret);
        it.request.body = Body::Json(body.into());
        let (_, new) = assign(&rules, &mut it, true);
        let text = match Request::decode(new.stored()).unwrap().request.body {
            Body::Json(text) => text.into_owned(),
            other => panic!("{other:?}"),
        };
        let value = serde_json::from_str::<serde_json::Value>(&text);
        assert!(value.is_ok() && text != body, "{secret}: {text}");
    }
}

/// A record made of secrets is masked in a time that grows as the record does: what is counted is
/// that the result is right for many, where one search for each would not end.
#[test]
fn a_record_of_many_secrets_is_masked() {
    let cookies: Vec<String> = (0..2000).map(|n| format!("c{n}=value-{n:06}")).collect();
    let mut it = header("cookie", &cookies.join("; "));
    let values: Vec<String> = (0..2000).map(|n| format!("value-{n:06}")).collect();
    it.request.cookies = values.iter().map(|value| ("c".into(), value.clone().into())).collect();
    it.response = Message { body: Body::Text(values.join(" ").into()), ..Message::default() };
    let (_, text) = stored(&secret("$request.header.cookie"), &it);
    assert!(!text.contains("value-"));
}
