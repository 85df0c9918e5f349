//! What a client is told when a value does not fit: which, where, and what was expected.

use serde_json::{Value, json};

use crate::support::Server;

async fn refused(query: &str, variables: Value) -> (String, Value) {
    let answer = Server::default().post(query, variables).await;
    let error = &answer.body["errors"][0];
    assert!(error["message"].is_string(), "{query}: {}", answer.body);
    assert_eq!(answer.body.get("data"), None, "{query}: nothing runs");
    assert_eq!(answer.status, 400, "{query}");
    assert!(error["locations"][0]["line"].is_number(), "{query}: {error}");
    (error["message"].as_str().unwrap().to_owned(), error["extensions"]["input"].clone())
}

#[tokio::test]
async fn a_wrong_value_is_refused_with_its_place_and_the_reason() {
    let of = |kind: &str, use_of: &str| format!("query ($v: {kind}) {{ {use_of} {{ epoch }} }}");
    let first = of("Int", "sessions(first: $v)");
    let filter = of("SessionFilter", "sessions(filter: $v)");
    let time = |at: &str| json!({"v": {"time": {"from": at}}});
    for (query, variables, input, words) in [
        (&*first, json!({"v": "x"}), json!(["v"]), "expected Int"),
        (&*first, json!({"v": 2_147_483_648_u32}), json!(["v"]), "to 2147483647"),
        (&*first, json!({"v": 1.5}), json!(["v"]), "found 1.5"),
        (&*filter, json!({"v": {"opne": true}}), json!(["v", "opne"]), "no field \"opne\""),
        (&*filter, json!({"v": {"weak": 1}}), json!(["v", "weak"]), "expected Boolean"),
        (
            &*filter,
            json!({"v": {"and": [{}, {"request": {"status": ["200"]}}]}}),
            json!(["v", "and", "1", "request", "status", "0"]),
            "expected Int",
        ),
        (&*filter, time("2026-11-23"), json!(["v", "time", "from"]), "no time after the date"),
        (&*filter, time("2026-11-23T20:33:00+25:00"), json!(["v", "time", "from"]), "23:59"),
        (&*filter, json!({"v": {"time": {"from": 5}}}), json!(["v", "time", "from"]), "such as"),
        (
            &*filter,
            json!({"v": {"request": {"network": ["10.0.0.0/33"]}}}),
            json!(["v", "request", "network", "0"]),
            "not a network",
        ),
        (
            &*filter,
            json!({"v": {"range": [{"min": 1}]}}),
            json!(["v", "range", "0", "by"]),
            "\"by\" of type SessionStatistic! is missing",
        ),
        ("{ sessions(first: \"x\") { epoch } }", json!({}), json!(["first"]), "of \"sessions\""),
        (
            "{ sessions(filter: {time: {until: \"never\"}}) { epoch } }",
            json!({}),
            json!(["filter", "time", "until"]),
            "no year",
        ),
        (
            "{ ...F } fragment F on Query { sessions(orderBy: {by: NOTHING}) { epoch } }",
            json!({}),
            json!(["orderBy", "by"]),
            "SHADOW, START, USERS, ZOMBIE, found NOTHING",
        ),
        (
            "query ($v: Int!) { sessions(first: $v) { epoch } }",
            json!({"v": null}),
            json!(["v"]),
            "expected a value of type Int!, found null",
        ),
        (
            "query ($v: Int!) { sessions(first: $v) { epoch } }",
            json!({}),
            json!(["v"]),
            "of type Int! and was not given",
        ),
        (
            "query ($v: Int = \"5\") { sessions(first: $v) { epoch } }",
            json!({}),
            json!(["v"]),
            "default of the variable \"$v\" got an invalid value: expected Int",
        ),
        (
            "query ($v: Long) { overview(range: {stepMinutes: $v}) { epoch } }",
            json!({"v": 60}),
            json!(["range", "stepMinutes"]),
            "expected Int, found the variable \"$v\" of type Long",
        ),
        (
            "query ($v: [ID]!) { nodes(ids: $v) { id } }",
            json!({"v": []}),
            json!(["ids"]),
            "expected [ID!]!, found the variable \"$v\" of type [ID]!",
        ),
        (
            "query ($v: SessionStatistic) { sessions(orderBy: {by: $v}) { epoch } }",
            json!({"v": "START"}),
            json!(["orderBy", "by"]),
            "expected SessionStatistic!, found the variable \"$v\" of type SessionStatistic",
        ),
        (
            "query ($v: OrderDirection!) { sessions(orderBy: {by: START, direction: $v}) { epoch } }",
            json!({"v": "desc"}),
            json!(["v"]),
            "expected OrderDirection, one of ASC, DESC, found \"desc\"",
        ),
        (
            "mutation { createGroupingKey(input: {key: {name: \"a\", point: \"$host\",
                gap: {ms: 1, none: true}}}) { version } }",
            json!({}),
            json!(["input", "key", "gap"]),
            "exactly one of ms, none",
        ),
    ] {
        let (message, place) = refused(query, variables.clone()).await;
        assert_eq!(place, input, "{query} {variables}: {message}");
        assert!(message.contains(words), "{query} {variables}: {message}");
    }
}

#[tokio::test]
async fn values_that_fit_are_taken() {
    let server = Server::default();
    let query = "query ($f: SessionFilter, $n: Int = 5) {
        sessions(filter: $f, first: $n) { epoch } }";
    let order = "query ($by: SessionStatistic! = END, $which: OrderDirection, $open: Boolean) {
        sessions(orderBy: {by: $by, direction: $which}, filter: {and: [{open: $open}]}) { epoch } }";
    for variables in [json!({}), json!({"by": "START", "which": "ASC", "open": true})] {
        server.data(order, variables).await;
    }
    for variables in [
        json!({}),
        json!({"f": null, "n": null}),
        json!({"f": {"weak": null, "namespace": "one stands for a list"}}),
        json!({"f": {"time": {"until": "9999-12-31T23:59:59.999Z"}}}),
        json!({"f": {"identity": []}, "unknown": 1}),
    ] {
        server.data(query, variables).await;
    }
}

#[tokio::test]
async fn a_gap_that_is_read_can_be_written() {
    let server = Server::default();
    let change = "mutation ($gap: GapInput!) { createGroupingKey(input: {key: {name: \"a\",
        point: \"$host\", gap: $gap}}) { errors { path message } rules { grouping { gap { ms } } } } }";
    let written = server.data(change, json!({"gap": {"ms": 4_294_967_294_u32}})).await;
    let gap = &written["createGroupingKey"]["rules"]["grouping"][0]["gap"]["ms"];
    assert_eq!(*gap, 4_294_967_294_u32, "{written}");
}

/// A number the rules have no room for is refused like one that is merely out of bounds: as data.
#[tokio::test]
async fn a_number_out_of_bounds_is_refused_as_data_with_its_place() {
    let server = Server::default();
    let key = "mutation ($key: GroupingKeyInput!) { done: createGroupingKey(input: {key: $key}) {
        version errors { code path } } }";
    let settings = "mutation ($settings: SettingsInput!) { done: updateSettings(input: {
        settings: $settings}) { version errors { code path } } }";
    for (field, value) in [
        ("minLength", json!(0)),
        ("minLength", json!(-1)),
        ("gap", json!({"ms": 0})),
        ("gap", json!({"ms": -1})),
        ("gap", json!({"ms": 4_294_967_295_u32})),
        ("gap", json!({"ms": "9223372036854775807"})),
        ("gap", json!({"none": false})),
    ] {
        let mut given = json!({"name": "a", "point": "$host"});
        given[field] = value.clone();
        let refused = server.data(key, json!({"key": given})).await;
        let path = json!(["grouping", "0", field]);
        let expected = json!({"version": null, "errors": [{"code": "OUT_OF_RANGE", "path": path}]});
        assert_eq!(refused["done"], expected, "{field}: {value}");
    }
    for (field, value) in [
        ("gap", json!({"ms": -1})),
        ("latenessMs", json!(-1)),
        ("idleTimeoutMs", json!(-1)),
        ("futureMs", json!(-1)),
        ("futureMs", json!("9223372036854775807")),
        ("retentionDays", json!(-1)),
        ("retentionDays", json!(0)),
    ] {
        let mut given = json!({"gap": {"ms": 1}, "dayZone": "UTC", "latenessMs": 0,
            "retentionDays": 7, "idleTimeoutMs": 0, "futureMs": null});
        given[field] = value.clone();
        let refused = server.data(settings, json!({"settings": given})).await;
        let path = json!(["settings", field]);
        let expected = json!({"version": null, "errors": [{"code": "OUT_OF_RANGE", "path": path}]});
        assert_eq!(refused["done"], expected, "{field}: {value}");
    }
}

#[tokio::test]
async fn the_place_of_a_refused_rule_is_named_as_in_the_schema() {
    let server = Server::default();
    let change = "mutation { createGroupingKey(input: {key: {name: \"a\", point: \"$host\",
        minLength: 0}}) { errors { path } } }";
    let refused = server.data(change, json!({})).await;
    let path = &refused["createGroupingKey"]["errors"][0]["path"];
    assert_eq!(*path, json!(["grouping", "0", "minLength"]));
    let change = "mutation { updateSettings(input: {settings: {gap: {ms: 1}, dayZone: \"UTC\",
        latenessMs: 0, retentionDays: 0, idleTimeoutMs: \"999999999999999\", futureMs: null}}) {
        errors { path } } }";
    let refused = server.data(change, json!({})).await;
    let errors = refused["updateSettings"]["errors"].as_array().unwrap();
    let fields: Vec<&Value> = errors.iter().map(|error| &error["path"][1]).collect();
    assert_eq!(json!(fields), json!(["idleTimeoutMs", "retentionDays"]));
    let change = "mutation { setBuiltInKey(input: {name: \"no\", enabled: true}) {
        errors { path } } }";
    let refused = server.data(change, json!({})).await;
    assert_eq!(refused["setBuiltInKey"]["errors"][0]["path"], json!(["builtInKeys"]));
}

/// Relay refetches by `node(id:)` alone; the epoch comes beside the query.
#[tokio::test]
async fn the_epoch_of_an_operation_may_be_given_beside_it() {
    let server = Server::default();
    let body = |epoch: Value| {
        json!({"query": "{ status { epoch } nodes(ids: []) { id } }",
            "extensions": {"atLeastEpoch": epoch}})
    };
    let known = server.mock.token(1);
    for (epoch, code) in [
        (json!(known), ""),
        (Value::Null, ""),
        (json!("x"), "BAD_USER_INPUT"),
        (json!(1), "BAD_USER_INPUT"),
    ] {
        let request = axum::http::Request::post("/graphql")
            .header("content-type", "application/json")
            .body(axum::body::Body::from(body(epoch.clone()).to_string()));
        let answer = server.send(request.unwrap()).await;
        assert_eq!(answer.code(), code, "{epoch}: {}", answer.body);
    }
}
