//! A secret value is in nothing that is stored, and the past says what the present said.

use proptest::prelude::*;
use proptest::sample::select;

use super::super::tests::{assign, compiled, fields, request};
use super::super::{CompiledRules, Outcome, SecretKey};
use crate::request::{Attack, Body, Message, Request};

const KEY: SecretKey = SecretKey([1; 32]);
/// `{"alg":"none"}`, `{"sub":"u-7"}`, and a signature.
const JWT: &str = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ1LTcifQ.c2lnbmF0dXJl";

fn rules(keys: &[&str], context: &[&str]) -> CompiledRules {
    let (keys, context) = (keys.join(","), context.join(","));
    compiled(&format!(r#"{{"grouping":[{keys}],"context":[{context}]}}"#))
}

/// A rule with a point, secret or not.
fn rule(name: &str, point: &str, secret: bool) -> String {
    let point = serde_json::to_string(point).unwrap();
    format!(r#"{{"name":"{name}","point":{point},"secret":{secret}}}"#)
}

/// Assigns and decodes what was stored; assigning that again must give the same.
fn stored(rules: &CompiledRules, request: &Request<'_>) -> (String, Vec<u8>) {
    let (outcome, new) = assign(rules, &mut request.clone(), true);
    let mut again = Request::decode(new.stored()).unwrap();
    let (same, old) = assign(rules, &mut again, false);
    assert_eq!((outcome, &new), (same, &old), "{request:?}");
    let value = new.head().unwrap().0.value.to_owned();
    assert_eq!(outcome == Outcome::Session, !new.identity.is_unassigned());
    (value, new.payload.to_vec())
}

fn holds(bytes: &[u8], text: &str) -> bool {
    memchr::memmem::find(bytes, text.as_bytes()).is_some()
}

/// A request that carries one secret at every place a secret can be.
fn with_secret(secret: &'static str) -> Request<'static> {
    let json = format!(
        r#"{{"token":"{secret}","token":"{secret}","list":[0,{{"token":"{secret}"}}],
            "method":"tools/call","params":{{"arguments":{{"k":"{secret}"}}}},
            "variables":{{"v":"{secret}"}}}}"#
    );
    Request {
        path: format!("/reset/{secret}/done").into(),
        query: format!("a=1&token={secret}&token={secret}&variables=%7B%22v%22:%22{secret}%22%7D")
            .into(),
        request: Message {
            headers: fields(&[("X-Token", secret), ("x-token", secret)]),
            cookies: fields(&[("tok", secret), ("other", "1")]),
            form: fields(&[("token", secret)]),
            body: Body::Json(json.clone().into()),
        },
        response: Message {
            headers: fields(&[("X-Token", secret)]),
            cookies: fields(&[("tok", secret)]),
            body: Body::Json(json.into()),
            ..Message::default()
        },
        ..request()
    }
}

#[test]
fn every_place_of_a_secret_is_cleared() {
    let secret = "s3cr3t-V4lue";
    let hash = KEY.hash_text(secret);
    for point in [
        "$request.segment.1",
        "$request.query.token",
        "$request.header.x-token",
        "$request.cookie.tok",
        "$request.form.token",
        "$request.body#/token",
        "$request.body#/list/1/token",
        "$request.mcp.arg#/k",
        "$request.gql.var#/v",
        "$response.header.x-token",
        "$response.cookie.tok",
        "$response.body#/token",
    ] {
        let all = with_secret(secret);
        let before = count(&all, secret);
        let rules = rules(&[&rule("k", point, true)], &[]);
        let (value, bytes) = stored(&rules, &all);
        assert_eq!(value, hash, "{point}");
        let mut kept = Request::decode(&bytes[head_len(&rules, &all)..]).unwrap();
        let after = count(&kept, secret);
        assert!(after < before, "{point}: {after} of {before} left");
        // Alone in the record, nothing of it is left.
        let (_, again) = assign(&rules, &mut kept, false);
        assert_eq!(again.head().unwrap().0.value, hash);
    }
    let points = [
        "$request.segment.1",
        "$request.query.token",
        "$request.header.x-token",
        "$request.cookie.tok",
        "$request.form.token",
        "$request.body#/token",
        "$request.body#/list/1/token",
        "$request.mcp.arg#/k",
        "$request.gql.var#/v",
        "$response.header.x-token",
        "$response.cookie.tok",
        "$response.body#/token",
        "$response.body#/list/1/token",
        "$response.body#/variables/v",
        "$response.body#/params/arguments/k",
    ];
    let keys: Vec<String> =
        points.iter().enumerate().map(|(n, point)| rule(&format!("k{n}"), point, true)).collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    let (_, bytes) = stored(&rules(&keys, &[]), &with_secret(secret));
    assert!(!holds(&bytes, secret), "{}", String::from_utf8_lossy(&bytes));
    let (_, bytes) = stored(&rules(&[], &keys), &with_secret(secret));
    assert!(!holds(&bytes, secret), "{}", String::from_utf8_lossy(&bytes));
}

fn head_len(rules: &CompiledRules, request: &Request<'_>) -> usize {
    assign(rules, &mut request.clone(), true).1.head_len as usize
}

fn count(request: &Request<'_>, text: &str) -> usize {
    let mut bytes = Vec::new();
    request.encode(&mut bytes);
    memchr::memmem::find_iter(&bytes, text).count()
}

#[test]
fn a_cookie_goes_from_the_header_it_came_in_too() {
    let mut it = request();
    it.request.headers = fields(&[("Cookie", "a=1; tok=s3cr3t; b=2")]);
    it.request.cookies = fields(&[("a", "1"), ("tok", "s3cr3t"), ("b", "2")]);
    it.response.headers = fields(&[("Set-Cookie", "tok=s3cr3t2; Path=/; HttpOnly")]);
    let rules = rules(
        &[&rule("k", "$request.cookie.tok", true)],
        &[&rule("c", "$response.cookie.tok", true)],
    );
    let (_, bytes) = stored(&rules, &it);
    assert!(!holds(&bytes, "s3cr3t"));
    for left in ["a=1; tok=\u{1}", "; b=2", "; Path=/; HttpOnly"] {
        assert!(holds(&bytes, left), "{left}");
    }
}

#[test]
fn of_credentials_what_is_no_secret_stays_readable() {
    let bearer = format!("Bearer {JWT}");
    for (value, stays, goes, user) in [
        (
            bearer.as_str(),
            "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJ1LTcifQ.\u{1}",
            "c2lnbm",
            "sub=u-7",
        ),
        (JWT, "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ1LTcifQ.\u{1}", "c2lnbm", "sub=u-7"),
        ("Basic YWRhOnBhc3N3b3Jk", "Basic YWRhOg==\u{1}", "Bhc3N3b3Jk", "basic=ada"),
        ("basic YWRhOnBhc3N3b3Jk", "Basic YWRhOg==\u{1}", "Bhc3N3b3Jk", "basic=ada"),
        ("Bearer opaque.but.dotted", "Bearer \u{1}", "opaque", "tail=dotted"),
        ("token-alone", "\u{1}", "token-alone", ""),
        ("Digest a b", "Digest \u{1}", "a b", ""),
    ] {
        let mut it = request();
        it.request.headers = fields(&[("authorization", value)]);
        let rules = rules(
            &[],
            &[
                &rule("sub", "$request.header.authorization | jwt.payload#/sub", false),
                &rule("basic", "$request.header.authorization | basic.username", false),
                &rule("tail", "$request.header.authorization | regex('dotted',0)", false),
            ],
        );
        let (identity, bytes) = stored(&rules, &it);
        assert_eq!(identity, KEY.hash_text(value), "{value}");
        assert!(holds(&bytes, stays) && !holds(&bytes, goes), "{value}: {bytes:?}");
        assert!(holds(&bytes, user), "{value}");
    }
}

#[test]
fn what_is_read_inside_a_secret_is_kept_beside_it() {
    let mut it = request();
    it.request.headers = fields(&[("x-token", JWT)]);
    let inside = "$request.header.x-token | jwt.payload#/sub";
    let keys = [rule("k", "$request.header.x-token", true)];
    let open = rules(&[&keys[0]], &[&rule("sub", inside, false)]);
    let (value, bytes) = stored(&open, &it);
    assert_eq!(value, KEY.hash_text(JWT));
    assert!(holds(&bytes, "sub=u-7") && !holds(&bytes, "eyJ"));
    let closed = rules(&[&keys[0]], &[&rule("sub", inside, true)]);
    let (_, bytes) = stored(&closed, &it);
    assert!(!holds(&bytes, "u-7") && holds(&bytes, &KEY.hash_text("u-7")));
    // What was kept in the clear is hashed as soon as a rule says it is secret.
    let (_, first) = assign(&open, &mut it, true);
    let (_, then) = assign(&closed, &mut Request::decode(first.stored()).unwrap(), false);
    assert!(!holds(&then.payload, "u-7") && holds(&then.payload, &KEY.hash_text("u-7")));
}

#[test]
fn a_rule_that_becomes_secret_later_redacts_the_past() {
    let all = with_secret("s3cr3t-V4lue");
    let point = "$request.body#/token";
    let (open, closed) =
        (rules(&[&rule("k", point, false)], &[]), rules(&[&rule("k", point, true)], &[]));
    let (_, first) = assign(&open, &mut all.clone(), true);
    let (_, late) = assign(&closed, &mut Request::decode(first.stored()).unwrap(), false);
    let (_, at_once) = assign(&closed, &mut all.clone(), true);
    assert_eq!(late, at_once);
}

#[test]
fn least_length_and_values_to_ignore_still_decide_on_the_past() {
    let key = |more: &str| {
        let rule = format!(r#"{{"name":"k","point":"$request.header.x","secret":true{more}}}"#);
        rules(&[&rule], &[])
    };
    let mut it = request();
    it.request.headers = fields(&[("x", "héé")]);
    let hash = KEY.hash_text("héé");
    for (more, works) in [
        (r#","min_length":3"#, true),
        (r#","min_length":4"#, false),
        (r#","ignore":["héé"]"#, false),
        (r#","ignore":["other"]"#, true),
    ] {
        let (value, bytes) = stored(&key(more), &it);
        assert_eq!(value == hash, works, "{more}");
        assert!(!holds(&bytes, "héé"), "{more}");
    }
}

#[test]
fn a_detection_that_quotes_a_secret_does_not_keep_it() {
    let mut it = request();
    it.request.headers = fields(&[("x", "' OR s3cr3t")]);
    it.attacks = vec![Attack {
        kind: "sqli".into(),
        payload: "x: ' OR s3cr3t!".into(),
        ..Attack::default()
    }];
    let (_, bytes) = stored(&rules(&[&rule("k", "$request.header.x", true)], &[]), &it);
    assert!(!holds(&bytes, "s3cr3t") && holds(&bytes, "sqli"));
}

#[test]
fn what_only_looks_like_a_marker_is_a_value_like_any_other() {
    let forged = KEY.marker("victim");
    let mut it = request();
    it.request.headers = fields(&[("x", &forged), ("authorization", "Bearer x")]);
    let (value, _) = stored(&rules(&[&rule("k", "$request.header.x", true)], &[]), &it);
    assert_eq!(value, KEY.hash_text(&forged));
    assert_ne!(value, KEY.hash_text("victim"));
}

/// Points of all kinds; the first eight cannot be secret.
const POINTS: &[&str] = &[
    "$method",
    "$host",
    "$status",
    "$app",
    "$request.rpc.method",
    "$request.mcp.tool",
    "$request.gql.operation",
    "$request.gql.operation | lower",
    "$path",
    "$url",
    "$client.ip",
    "$client.user_agent",
    "$request.segment.0",
    "$request.segment.-1",
    "$request.segment.1 | prefix(2)",
    "$request.header.authorization",
    "$request.header.authorization | jwt.payload#/sub",
    "$request.header.authorization | basic.username",
    "$request.header.authorization | split(' ',1)",
    "$request.header.cookie",
    "$request.header.cookie | regex('sid=(\\w+)',1)",
    "$request.header.user-agent",
    "$request.header.x",
    "$request.header.x | lower",
    "$request.cookie.sid",
    "$request.cookie.sid | url",
    "$request.query.q",
    "$request.query.q | json#/a",
    "$request.query.variables",
    "$request.form.f",
    "$request.body",
    "$request.body | prefix(3)",
    "$request.body#/a",
    "$request.body#/a/b",
    "$request.body#/params/arguments/a",
    "$request.mcp.arg#/a",
    "$request.gql.var#/a",
    "$response.header.set-cookie",
    "$response.cookie.sid",
    "$response.body#/a",
    "$response.body#/0/a",
];

fn any_rules(secret: bool) -> impl Strategy<Value = CompiledRules> {
    let one = (
        0..POINTS.len(),
        any::<bool>(),
        any::<bool>(),
        select(vec!["", r#","apps":["shop"]"#, r#","paths":["/a/*"]"#, r#","min_length":4"#]),
    );
    (prop::collection::vec(one, 0..6), any::<bool>()).prop_map(move |(rules, built_in)| {
        let (mut keys, mut context) = (Vec::new(), Vec::new());
        for (number, (point, hidden, is_key, more)) in rules.into_iter().enumerate() {
            let hidden = secret && hidden && point >= 8;
            let text = rule(&format!("r{number}"), POINTS[point], hidden);
            if is_key {
                keys.push(text.replace('}', more) + "}");
            } else {
                context.push(text);
            }
        }
        let off = if built_in { "" } else { r#""authorization""# };
        let (keys, context) = (keys.join(","), context.join(","));
        compiled(&format!(
            r#"{{"disabled_built_in":[{off}],"grouping":[{keys}],"context":[{context}]}}"#
        ))
    })
}

fn text(forged: bool) -> impl Strategy<Value = String> {
    let mut texts = vec![
        "",
        "v4lue",
        "-",
        "é ü",
        "a=b&c=d",
        "a;b",
        r#"{"a":"in"}"#,
        r#""q""#,
        "null",
        "%7B%22a%22:1%7D",
        "Bearer x.y.z",
        "Basic YWRhOnBhc3N3b3Jk",
        JWT,
        "/a/b",
        "7",
    ];
    let marker = KEY.marker("other");
    let ends = format!("Bearer x{marker}");
    if forged {
        texts.extend(["\u{1}", "\u{1}x", "%01x"]);
        texts.extend([marker.as_str(), ends.as_str()]);
    }
    select(texts.into_iter().map(String::from).collect::<Vec<_>>())
}

prop_compose! {
    fn any_request(forged: bool)(
        t in prop::collection::vec(text(forged), 16),
        kind in 0..6_usize,
    ) -> Request<'static> {
        let quoted = serde_json::to_string(&t[0]).unwrap();
        let body = match kind {
            0 => Body::Absent,
            1 => Body::Text(t[0].clone().into()),
            2 => Body::Json(format!(r#"{{"a":{quoted},"a":"twice","query":"query Q {{x}}"}}"#).into()),
            3 => Body::Json(format!(
                r#"[{{"method":"tools/call","params":{{"name":"n","arguments":{{"a":{quoted}}}}},"variables":{{"a":7}}}}]"#
            ).into()),
            4 => Body::Text(format!(r#"{{"a":{{"b":{quoted}}},"variables":{{"a":{quoted}}}}}"#).into()),
            _ => Body::Text(format!("f={}&g=1", t[0]).into()),
        };
        let pair = |name: &'static str, value: &String| (name.into(), value.clone().into());
        let json = Body::Json(format!(r#"{{"a":{quoted}}}"#).into());
        Request {
            path: format!("/{}/{}", t[1], t[2]).into(),
            query: format!("q={}&variables={}&q=again", t[3], t[4]).into(),
            host: "h".into(),
            app: if kind > 2 { "shop".into() } else { "".into() },
            ip: t[15].clone().into(),
            user_agent: t[5].clone().into(),
            request: Message {
                headers: [
                    pair("Authorization", &t[6]),
                    pair("X", &t[7]),
                    pair("Cookie", &format!("sid={}; b=1", t[8])),
                    pair("User-Agent", &t[5]),
                    pair("Content-Type", &"application/x-www-form-urlencoded".to_owned()),
                    pair("x", &t[9]),
                ].into_iter().collect(),
                cookies: [pair("sid", &t[8]), pair("sid", &t[10])].into_iter().collect(),
                form: if kind == 1 { [pair("f", &t[11])].into_iter().collect() } else { fields(&[]) },
                body,
            },
            response: Message {
                headers: [pair("Set-Cookie", &format!("sid={}; Path=/", t[12]))].into_iter().collect(),
                cookies: [pair("sid", &t[12])].into_iter().collect(),
                body: json,
                ..Message::default()
            },
            attacks: vec![Attack { kind: "x".into(), payload: t[13].clone().into(), ..Attack::default() }],
            ..request()
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// The record in the log gives the identity, facts and bytes the new record gave.
    #[test]
    fn the_past_says_what_the_present_said(rules in any_rules(true), request in any_request(true)) {
        stored(&rules, &request);
    }

    /// Nothing is lost by being stored before a rule is secret.
    #[test]
    fn a_raw_past_is_redacted_as_the_present_is(
        rules in any_rules(true),
        request in any_request(false),
    ) {
        let mut raw = Vec::new();
        let filled = if request.app.is_empty() { "default".into() } else { request.app.clone() };
        let mut request = Request { app: filled, ..request };
        request.encode(&mut raw);
        let late = assign(&rules, &mut Request::decode(&raw).unwrap(), false);
        prop_assert_eq!(late, assign(&rules, &mut request, true));
    }

    /// An explanation and the assignment agree on the key that decided.
    #[test]
    fn explanations_agree_with_assignment(rules in any_rules(true), request in any_request(true)) {
        let mut request = request;
        let (outcome, assigned) = assign(&rules, &mut request, true);
        let told = rules.explain(&request);
        let decided = told.keys_tried.last().filter(|key| key.worked);
        prop_assert_eq!(outcome == Outcome::Session, decided.is_some());
        if let Some(key) = decided {
            let (identity, facts) = assigned.head().unwrap();
            prop_assert_eq!(key.namespace.as_str(), identity.namespace);
            prop_assert!(key.reason.ends_with(identity.value));
            prop_assert!(facts.iter().any(|fact| fact.text == told.endpoint));
        }
    }
}
