//! Points, kind by kind: what they read, what they refuse, and that they read back.

use proptest::prelude::*;

use super::*;
use crate::request::{Body, Fields, Message, Request};

/// `{"alg":"none","kid":"k"}` and `{"sub":"u-7","n":1.50,"ok":true,"o":{}}`.
const JWT: &str =
    "eyJhbGciOiJub25lIiwia2lkIjoiayJ9.eyJzdWIiOiJ1LTciLCJuIjoxLjUwLCJvayI6dHJ1ZSwibyI6e319.c2ln";

fn fields<'a>(pairs: &[(&'a str, &'a str)]) -> Fields<'a> {
    pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()
}

fn full() -> Request<'static> {
    Request {
        app: "shop".into(),
        method: "POST".into(),
        host: "shop.example".into(),
        path: "/api/users/a%20b/".into(),
        query: "q=a%20b+c&q=2&empty=&na%6De=n&bad=%FF&flag".into(),
        status: 201,
        ip: "192.0.2.1".into(),
        user_agent: "curl/8".into(),
        request: Message {
            headers: fields(&[
                ("X-User", " Ada "),
                ("x-user", "second"),
                ("Authorization", "bEARER "),
                ("X-Basic", "basic YWRhOnA6dw=="),
                ("X-Path", "a,b|c)d"),
                ("X-B64", "8J-YgA"),
                ("X-Json", r#"{"a":["x",{"b/c~":"deep"}],"s":"q"}"#),
                ("X-Up", "ÄÖ"),
            ]),
            cookies: fields(&[("sid", "c1"), ("SID", "c2"), ("a b", "c3")]),
            form: fields(&[("user", "f1")]),
            body: Body::Json(
                r#"{"id":7,"big":12345678901234567890.10,"t":true,"n":null,"e":"","o":{},"l":["x"],
                    "esc":"a\u00e9\n\"","id":8,"bad":"\ud800","":"empty name"}"#
                    .into(),
            ),
        },
        response: Message {
            headers: fields(&[("X-Token", "t1")]),
            cookies: fields(&[("sid", "new")]),
            body: Body::Text(r#"{"token":"abc"}"#.into()),
            ..Message::default()
        },
        ..Request::default()
    }
}

fn read(point: &str, request: &Request<'_>) -> Option<String> {
    let point = Point::parse(point).unwrap_or_else(|error| panic!("{point}: {error}"));
    point.read(request, &mut Bodies::default()).map(|value| value.into_owned())
}

fn check(request: &Request<'_>, cases: &[(&str, Option<&str>)]) {
    for (point, expected) in cases {
        assert_eq!(read(point, request).as_deref(), *expected, "{point}");
    }
}

#[test]
fn every_kind_of_base_reads_its_place() {
    check(
        &full(),
        &[
            ("$method", Some("POST")),
            ("$host", Some("shop.example")),
            ("$path", Some("/api/users/a%20b/")),
            ("$status", Some("201")),
            ("$app", Some("shop")),
            ("$client.ip", Some("192.0.2.1")),
            ("$client.user_agent", Some("curl/8")),
            ("$request.header.x-USER", Some(" Ada ")),
            ("$request.header.none", None),
            ("$request.cookie.sid", Some("c1")),
            ("$request.cookie.SID", Some("c2")),
            ("$request.cookie.Sid", None),
            ("$request.cookie.\"a b\"", Some("c3")),
            ("$request.query.q", Some("a b c")),
            ("$request.query.name", Some("n")),
            ("$request.query.empty", None),
            ("$request.query.flag", None),
            ("$request.query.bad", Some("\u{fffd}")),
            ("$request.segment.0", Some("api")),
            ("$request.segment.2", Some("a%20b")),
            ("$request.segment.3", None),
            ("$request.segment.-1", Some("a%20b")),
            ("$request.segment.-3", Some("api")),
            ("$request.segment.-4", None),
            ("$request.form.user", Some("f1")),
            ("$request.body#/id", Some("7")),
            ("$request.body#/big", Some("12345678901234567890.10")),
            ("$request.body#/t", Some("true")),
            ("$request.body#/n", None),
            ("$request.body#/e", None),
            ("$request.body#/o", None),
            ("$request.body#/l", None),
            ("$request.body#/l/0", Some("x")),
            ("$request.body#/l/00", None),
            ("$request.body#/l/-", None),
            ("$request.body#/esc", Some("aé\n\"")),
            ("$request.body#/bad", None),
            ("$request.body#/", Some("empty name")),
            ("$request.body", None),
            ("$response.header.x-token", Some("t1")),
            ("$response.cookie.sid", Some("new")),
            ("$response.body#/token", Some("abc")),
            ("$response.body", Some(r#"{"token":"abc"}"#)),
        ],
    );
    let url = "//shop.example/api/users/a%20b/?q=a%20b+c&q=2&empty=&na%6De=n&bad=%FF&flag";
    check(&full(), &[("$url", Some(url))]);
    check(&Request::default(), &[("$status", None), ("$url", None), ("$host", None)]);
}

#[test]
fn every_pipe_changes_the_value_or_did_not_work() {
    let mut it = full();
    it.request.headers.push(("X-Jwt".into(), format!("bearer  {JWT}").into()));
    check(
        &it,
        &[
            ("$request.header.x-jwt | jwt.payload#/sub", Some("u-7")),
            ("$request.header.x-jwt | jwt.payload#/n", Some("1.50")),
            ("$request.header.x-jwt | jwt.payload#/o", None),
            ("$request.header.x-jwt | jwt.header#/kid", Some("k")),
            ("$request.header.authorization | jwt.payload#/sub", None),
            ("$request.header.x-basic | basic.username", Some("ada")),
            ("$request.header.x-user | basic.username", None),
            ("$request.header.x-json | json#/a/1/b~1c~0", Some("deep")),
            ("$request.header.x-json | json#/a", None),
            ("$request.header.x-user | json#/a", None),
            ("$request.header.x-b64 | base64", Some("😀")),
            ("$request.header.x-user | base64", None),
            ("$request.segment.2 | url", Some("a b")),
            ("$request.header.x-up | lower", Some("äö")),
            ("$request.header.x-user | trim | lower", Some("ada")),
            ("$request.header.x-up | prefix(1)", Some("Ä")),
            ("$request.header.x-up | prefix(9)", Some("ÄÖ")),
            ("$request.header.x-path | split(\",\",0)", Some("a")),
            ("$request.header.x-path | split(',', 1) | split('|', 0)", Some("b")),
            ("$request.header.x-path | split(\")\",-1)", Some("d")),
            ("$request.header.x-path | split(|,1)", Some("c)d")),
            ("$request.header.x-path | split(x,1)", None),
            ("$request.header.x-path | split(',',-3)", None),
            ("$request.header.x-path | regex(\"b\\|(c)\\)\",1)", Some("c")),
            ("$request.header.x-path | regex('(?:(x)|(a)),b', 1)", None),
            ("$request.header.x-path | regex([a-c],0)", Some("a")),
        ],
    );
}

#[test]
fn a_form_may_still_be_the_text_it_was() {
    let text = |kind: &'static str| Request {
        request: Message {
            headers: fields(&[("Content-Type", kind)]),
            body: Body::Text("user=a%2Bb+c&x=1".into()),
            ..Message::default()
        },
        ..Request::default()
    };
    let form = text("Application/X-WWW-Form-Urlencoded; charset=utf-8");
    check(&form, &[("$request.form.user", Some("a+b c")), ("$request.form.y", None)]);
    check(&text("text/plain"), &[("$request.form.user", None)]);
}

#[test]
fn calls_of_agents_and_graph_clients_are_read_from_the_body() {
    let body = |text: &'static str| Request {
        request: Message { body: Body::Json(text.into()), ..Message::default() },
        ..Request::default()
    };
    let call = r#"{"jsonrpc":"2.0","method":"tools/call",
        "params":{"name":"search","arguments":{"q":"x","deep":{"n":5}}}}"#;
    let cases = [
        ("$request.rpc.method", Some("tools/call")),
        ("$request.mcp.tool", Some("search")),
        ("$request.mcp.arg#/q", Some("x")),
        ("$request.mcp.arg#/deep/n", Some("5")),
        ("$request.mcp.arg#/deep", None),
    ];
    check(&body(call), &cases);
    let batch = format!("[{call},{{\"method\":\"other\"}}]");
    check(&body(Box::leak(batch.into_boxed_str())), &cases);
    let other = r#"{"method":"tools/list","params":{"name":"search","arguments":{"q":"x"}}}"#;
    check(&body(other), &[("$request.mcp.tool", None), ("$request.mcp.arg#/q", None)]);
    check(&body("[]"), &[("$request.rpc.method", None), ("$request.gql.operation", None)]);
    let graph = [("$request.gql.operation", Some("Cart")), ("$request.gql.var#/id/0", Some("9"))];
    for text in [
        r#"{"operationName":"Cart","query":"query Other{a}","variables":{"id":[9]}}"#,
        r##"{"query":"# query No\n fragment F on Q { query } {a(s: \"query B\")} mutation Cart {a}",
            "variables":{"id":[9]}}"##,
        r#"{"operationName":null,"query":"subscription Cart($q: Int = 1) @d {a}","variables":{"id":[9]}}"#,
        r#"[{"query":"query Cart {a}","variables":{"id":[9]}}]"#,
    ] {
        check(&body(text), &graph);
    }
    check(&body(r#"{"query":"{a query B}"}"#), &[("$request.gql.operation", None)]);
    let get = "query=query%20Cart%7Ba%7D&variables=%7B%22id%22:[9]%7D";
    check(&Request { query: get.into(), ..Request::default() }, &graph);
}

#[test]
fn a_wrong_point_is_refused_with_the_place_and_the_reason() {
    for (point, at, reason) in [
        ("", 0, "begins with `$`"),
        ("request.header.x", 0, "begins with `$`"),
        ("$", 0, "unknown point `$`"),
        ("$nope", 0, "unknown point `$nope`"),
        ("$request.nope", 9, "expected header.NAME"),
        ("$response.query.a", 10, "expected header.NAME, cookie.NAME or body"),
        ("$request.header.", 16, "expected a name"),
        ("$request.cookie.\"a", 16, "quote is not closed"),
        ("$request.segment.x", 17, "expected a number"),
        ("$request.segment.99999999999", 17, "expected a number"),
        ("$request.body#a", 14, "begins with `/`"),
        ("$request.body#/~2", 14, "`~0`"),
        ("$request.mcp.arg", 16, "expected `#/`"),
        ("$request.gql.var#", 17, "begins with `/`"),
        ("$host lower", 6, "expected ` | `"),
        ("$host | ", 8, "expected a pipe"),
        ("$request.cookie.é | uppper", 20, "unknown pipe `uppper`"),
        ("$host | jwt.payload", 19, "expected `#/`"),
        ("$host | prefix", 14, "expected `(`"),
        ("$host | prefix(0)", 15, "at least one"),
        ("$host | prefix(1", 16, "expected `)`"),
        ("$host | split(,1)", 14, "separator is empty"),
        ("$host | split(a)", 15, "expected `,`"),
        ("$host | regex('(',1)", 14, "not a regular expression"),
        ("$host | regex('a',1)", 18, "groups 0 to 0"),
        ("$host | regex('(?:a{1000}){1000}',0)", 14, "not a regular expression"),
    ] {
        let error = Point::parse(point).expect_err(point);
        assert_eq!(error.at, at, "{point}: {error}");
        assert!(error.reason.contains(reason), "{point}: {error}");
    }
    let long = format!("$request.header.{}", "x".repeat(POINT_CHARS_MAX));
    assert_eq!(Point::parse(&long).unwrap_err().at, POINT_CHARS_MAX);
    let piped = format!("$host{}", " | trim".repeat(PIPES_MAX + 1));
    assert!(Point::parse(&piped).unwrap_err().reason.contains("pipes"));
}

#[test]
fn the_canonical_text_is_one_and_travels_as_a_string() {
    for (point, canonical) in [
        (" $request.header.X-User|lower ", "$request.header.x-user | lower"),
        ("$request.cookie.'a b'", "$request.cookie.\"a b\""),
        ("$request.body#", "$request.body"),
        ("$request.body#/a~1b", "$request.body#/a~1b"),
        ("$host | split( , , 0)", ""),
        ("$host | regex( '^(\\d+)\"' , 1 )", "$host | regex(\"^(\\\\d+)\\\"\",1)"),
    ] {
        let Ok(parsed) = Point::parse(point) else {
            assert_eq!(canonical, "", "{point}");
            continue;
        };
        assert_eq!(parsed.to_string(), canonical);
        let json = serde_json::to_string(&parsed).unwrap();
        assert_eq!(serde_json::from_str::<Point>(&json).unwrap(), parsed);
    }
    assert!(serde_json::from_str::<Point>("\"$nope\"").is_err());
}

#[test]
fn a_body_however_deep_or_broken_is_read_or_not_and_never_more() {
    let read_body = |text: String| {
        let request = Request {
            request: Message { body: Body::Text(text.into()), ..Message::default() },
            ..Request::default()
        };
        read("$request.body#/a", &request)
    };
    let deep = 200_000;
    assert_eq!(read_body(format!("{}{}", "[".repeat(deep), "]".repeat(deep))), None);
    assert_eq!(read_body("[".repeat(deep)), None);
    let behind = format!(r#"{{"x":{}{},"a":"found"}}"#, "[".repeat(deep), "]".repeat(deep));
    assert_eq!(read_body(behind).as_deref(), Some("found"));
    for broken in [
        "{\"a\":1",
        "{\"a\":01}",
        "{\"a\":1,}",
        "{\"a\":tru}",
        "{\"a\":\"\n\"}",
        "{\"a\":1}x",
        "{\"a\":\"\\",
    ] {
        assert_eq!(read_body(broken.into()), None, "{broken}");
    }
}

/// Texts that are nearly points.
fn nearly() -> impl Strategy<Value = String> {
    let parts = prop::sample::select(vec![
        "$",
        "request.",
        "response.",
        "header.",
        "cookie.",
        "query.",
        "body",
        "segment.",
        "-1",
        "#/",
        "~",
        "~1",
        "a",
        "é",
        " ",
        "|",
        " | ",
        "\"",
        "'",
        "\\",
        "(",
        ")",
        ",",
        "prefix",
        "split",
        "regex",
        "json",
        "jwt.payload",
        "mcp.arg",
        "gql.var",
        "7",
        "lower",
        "$host",
        "[",
        "x",
    ]);
    prop::collection::vec(parts, 0..14).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn the_parser_never_panics_and_its_display_reads_back(
        text in prop_oneof![nearly(), ".{0,40}", "\\$request\\.(header|cookie|query)\\.\\PC{1,12}"],
    ) {
        if let Ok(point) = Point::parse(&text) {
            let again = Point::parse(point.as_str()).unwrap();
            prop_assert_eq!(again.as_str(), point.as_str());
            prop_assert_eq!(again.base(), point.base());
            point.read(&full(), &mut Bodies::default());
        }
    }

    /// The index takes what a general parser takes, and finds what it finds.
    #[test]
    fn json_is_read_as_a_general_parser_reads_it(
        text in "[\\[\\]{}:,\"a0-9.eE+\\-tfnrul\\\\ ]{0,24}|\\{\"a\":(\\[[0-9],\"[a-c\\\\nu0]{0,5}\"\\]|-?[0-9.e+]{1,5}|true|null)\\}",
    ) {
        let mut index = json::Index::default();
        let known = serde_json::from_str::<&serde_json::value::RawValue>(&text);
        if index.parse(&text) {
            let found = index.find(&text, 0, &["a"]).map(|node| text[index.span(node)].to_owned());
            // Escapes are looked at when a text is read, not before.
            if let Ok(value) = serde_json::from_str::<std::collections::HashMap<String, Box<serde_json::value::RawValue>>>(&text) {
                prop_assert_eq!(found.is_some(), value.contains_key("a"));
            }
        } else {
            prop_assert!(known.is_err(), "{}", text);
        }
    }
}
