//! Lists under traffic, ids that stay good, and filters and orders of what is not there.

use serde_json::{Value, json};

use crate::mock::line;
use crate::support::Server;

/// Commits sessions `s0` to `s6`; `s<n>` has `n + 1` requests.
fn seven(server: &Server) {
    for n in 0..7 {
        let lines: Vec<_> =
            (0..=n).map(|k| line(&format!("s{n}"), &format!("{n}-{k}"), 100 + k)).collect();
        server.mock.commit(&lines.join("\n"));
    }
}

/// One more request each, so many for some that every order changes.
fn stir(server: &Server, round: usize) {
    for n in 0..7 {
        let many = if n % 2 == round % 2 { 20 } else { 1 };
        let line = |k: usize| line(&format!("s{n}"), &format!("x{round}-{n}-{k}"), 500);
        server.mock.commit(&(0..many).map(line).collect::<Vec<_>>().join("\n"));
    }
    server.mock.commit(&line(&format!("new{round}"), "n", 100));
}

/// Reads a list page by page; `between` is called after each. The values, and what the pages say of
/// themselves.
async fn walk(
    server: &Server,
    query: &str,
    list: &str,
    mut between: impl FnMut(usize),
) -> (Vec<Value>, Vec<bool>) {
    let (mut after, mut seen, mut consistent) = (json!(null), Vec::new(), Vec::new());
    loop {
        let data = server.data(query, json!({ "after": after })).await;
        let page = list.split('/').fold(&data, |value, name| &value[name]);
        let entries = if page["nodes"].is_null() { &page["values"] } else { &page["nodes"] };
        seen.extend(entries.as_array().unwrap().iter().cloned());
        consistent.push(page["pageInfo"]["consistent"].as_bool().unwrap());
        after = page["pageInfo"]["endCursor"].clone();
        if page["pageInfo"]["hasNextPage"] == false {
            return (seen, consistent);
        }
        between(consistent.len());
    }
}

const PAGE: &str = "pageInfo { hasNextPage endCursor epoch consistent }";

fn sessions(order: &str) -> String {
    format!(
        "query ($after: String) {{ sessions(first: 2, after: $after, orderBy: {{ {order} }}) {{
        {PAGE} nodes {{ identity {{ value }} statistics {{ requests }} }} }} }}"
    )
}

#[tokio::test]
async fn the_pages_of_a_list_are_of_the_epoch_it_began_with_whatever_comes_meanwhile() {
    for order in ["by: REQUESTS", "by: REQUESTS, direction: ASC", "by: START", "by: END"] {
        let (server, quiet) = (Server::default(), Server::default());
        seven(&server);
        seven(&quiet);
        let expected = walk(&quiet, &sessions(order), "sessions", |_| ()).await;
        let found = walk(&server, &sessions(order), "sessions", |round| stir(&server, round)).await;
        assert_eq!(found, expected, "{order}");
        assert_eq!(found.1, [true; 4], "{order}");
    }
}

#[tokio::test]
async fn a_list_whose_epoch_is_forgotten_goes_on_and_says_so_to_its_end() {
    let server = Server::default();
    seven(&server);
    let query = sessions("by: REQUESTS, direction: ASC");
    let (_, consistent) = walk(&server, &query, "sessions", |round| {
        if round == 2 {
            server.mock.forget_lists();
            stir(&server, round);
        }
    })
    .await;
    assert_eq!(consistent[..3], [true, true, false]);
    assert!(consistent[2..].iter().all(|consistent| !consistent), "{consistent:?}");
}

#[tokio::test]
async fn an_epoch_that_is_asked_for_is_worth_more_than_that_of_the_list() {
    let server = Server::default();
    seven(&server);
    let data = server.data(&sessions("by: REQUESTS"), json!({})).await;
    let page = &data["sessions"]["pageInfo"];
    let epoch = server.mock.commit(&line("s0", "late", 900)).epoch;
    let token = |epoch: u64| json!(server.mock.token(epoch));
    let query = "query ($after: String, $epoch: EpochToken) {
        sessions(first: 2, after: $after, atLeastEpoch: $epoch, orderBy: { by: REQUESTS }) {
        pageInfo { epoch consistent } } }";
    for (at_least, expected) in [
        (Value::Null, json!({"epoch": page["epoch"], "consistent": true})),
        (
            token(page["epoch"].as_u64().unwrap()),
            json!({"epoch": page["epoch"], "consistent": true}),
        ),
        (token(epoch), json!({"epoch": epoch, "consistent": false})),
    ] {
        let variables = json!({ "after": page["endCursor"], "epoch": at_least });
        assert_eq!(server.data(query, variables).await["sessions"]["pageInfo"], expected);
    }
}

#[tokio::test]
async fn requests_values_and_applications_are_lists_of_one_epoch_too() {
    let requests = format!(
        "query ($after: String) {{ session(id: \"ID\") {{ requests(first: 2, after: $after) {{
        {PAGE} nodes {{ requestId }} }} }} }}"
    );
    let values = "query ($after: String) { session(id: \"ID\") {
        breakdown(by: ENDPOINT, first: 2, after: $after) {
        pageInfo { hasNextPage endCursor epoch consistent } distinct values { value count } } } }";
    let apps = format!(
        "query ($after: String) {{ overview {{ apps(first: 2, after: $after) {{ {PAGE} totalCount
        nodes {{ app totals {{ requests sessions }} }} }} }} }}"
    );
    for (query, list) in [
        (requests.as_str(), "session/requests"),
        (values, "session/breakdown"),
        (apps.as_str(), "overview/apps"),
    ] {
        let begun = || {
            let server = Server::default();
            seven(&server);
            let path = |n: usize| {
                line("s6", &format!("p{n}"), 200).replace("\"/p\"", &format!("\"/p{}\"", n % 5))
            };
            server.mock.commit(&(0..9).map(path).collect::<Vec<_>>().join("\n"));
            server
        };
        let (server, quiet) = (begun(), begun());
        let id = "{ sessions(filter: { value: [\"s6\"] }) { nodes { sessionId } } }";
        let data = quiet.data(id, json!({})).await;
        let id = data["sessions"]["nodes"][0]["sessionId"].as_str().unwrap();
        let query = query.replace("ID", id);
        let expected = walk(&quiet, &query, list, |_| ()).await;
        assert!(expected.0.len() > 4 && expected.1.iter().all(|consistent| *consistent));
        let found = walk(&server, &query, list, |round| {
            stir(&server, round);
            // The session begins earlier from now on.
            server.mock.commit(&line("s6", &format!("early{round}"), 50 - round as i64));
        })
        .await;
        assert_eq!(found, expected, "{list}");
    }
}

#[tokio::test]
async fn a_request_keeps_its_id_when_its_session_begins_earlier() {
    let server = Server::default();
    server.mock.commit(&[line("a", "r1", 100), line("a", "r2", 200)].join("\n"));
    let query = "{ sessions { nodes { id requests { nodes { id requestId } } } } }";
    let data = server.data(query, json!({})).await;
    let requests = data["sessions"]["nodes"][0]["requests"]["nodes"].clone();
    server.mock.commit(&line("a", "r0", 50));
    let node = "query ($id: ID!) { node(id: $id) { id ... on Request { requestId } } }";
    for request in requests.as_array().unwrap() {
        let found = server.data(node, json!({ "id": request["id"] })).await;
        assert_eq!(found["node"], *request);
    }
}

/// Asserts which of the sessions a filter selects, in the order they are listed.
async fn check(server: &Server, arguments: &str, expected: &[&str]) {
    let query = format!("{{ sessions({arguments}) {{ nodes {{ identity {{ value }} }} }} }}");
    let data = server.data(&query, json!({})).await;
    let nodes = data["sessions"]["nodes"].as_array().unwrap();
    let found: Vec<_> =
        nodes.iter().map(|node| node["identity"]["value"].as_str().unwrap()).collect();
    assert_eq!(found, expected, "{arguments}");
}

#[tokio::test]
async fn what_is_absent_is_not_zero() {
    let server = Server::default();
    for (session, ts, duration) in [("none", 3, ""), ("zero", 2, "0"), ("some", 1, "7.5")] {
        let line = line(session, "r", ts);
        let timed = match duration {
            "" => line,
            ms => line.replace("\"status\"", &format!("\"duration_ms\":{ms},\"status\"")),
        };
        server.mock.commit(&timed);
    }
    for by in ["SUM", "MAX", "P50", "P95", "P99"] {
        let by = format!("DURATION_{by}_MS");
        let range = |bounds: &str| format!("filter: {{ range: [{{ by: {by} {bounds} }}] }}");
        check(&server, &range("max: 5"), &["zero"]).await;
        check(&server, &range("min: 0"), &["zero", "some"]).await;
        check(&server, &range("min: 1, max: 9"), &["some"]).await;
        check(&server, &range(""), &["none", "zero", "some"]).await;
        let not = format!("filter: {{ not: {{ range: [{{ by: {by}, max: 5 }}] }} }}");
        check(&server, &not, &["none", "some"]).await;
        check(&server, &format!("orderBy: {{ by: {by} }}"), &["some", "zero", "none"]).await;
        let rising = format!("orderBy: {{ by: {by}, direction: ASC }}");
        check(&server, &rising, &["zero", "some", "none"]).await;
    }
}

#[tokio::test]
async fn an_address_is_found_however_it_is_spelled() {
    let server = Server::default();
    server.mock.commit(&line("four", "r", 2));
    let six = line("six", "r", 1).replace("192.0.2.7", "2001:db8::1");
    server.mock.commit(&six);
    for (ip, expected) in [
        ("192.0.2.7", "four"),
        ("::ffff:192.0.2.7", "four"),
        ("::FFFF:C000:207", "four"),
        ("2001:db8::1", "six"),
        ("2001:DB8::1", "six"),
        ("2001:0db8:0000:0000:0000:0000:0000:0001", "six"),
    ] {
        let filter = format!("filter: {{ request: {{ ip: [\"{ip}\"] }} }}");
        check(&server, &filter, &[expected]).await;
    }
    server.mock.commit(&line("2001:db8::2|curl", "r", 0));
    let value = "filter: { value: [\"2001:DB8:0::2|curl\"] }";
    check(&server, value, &["2001:db8::2|curl"]).await;
    check(
        &server,
        "filter: { request: { method: [\"get\"], endpoint: [\"get /p\"] } }",
        &["four", "six", "2001:db8::2|curl"],
    )
    .await;
}

#[tokio::test]
async fn only_a_status_of_zero_is_no_response() {
    let server = Server::default();
    let lines = [0, 42, 99, 200, 999]
        .map(|status| line("a", &format!("r{status}"), 1).replace("200", &status.to_string()));
    server.mock.commit(&lines.join("\n"));
    let query = "{ sessions { nodes { breakdown(by: STATUS_CLASS) { distinct values { value count }
        } requests { nodes { status } } } } }";
    let data = server.data(query, json!({})).await;
    let session = &data["sessions"]["nodes"][0];
    let value = |value: &str, count: u64| json!({"value": value, "count": count});
    let expected = [value("0xx", 2), value("2xx", 1), value("9xx", 1), value("none", 1)];
    assert_eq!(session["breakdown"], json!({"distinct": 4, "values": expected}));
    let statuses = [json!(null), json!(42), json!(99), json!(200), json!(999)];
    let statuses = statuses.map(|status| json!({"status": status}));
    let mut found = session["requests"]["nodes"].as_array().unwrap().clone();
    found.sort_by_key(|request| request["status"].as_i64());
    assert_eq!(found, statuses);
}

#[tokio::test]
async fn an_overview_needs_no_step_and_no_series() {
    let server = Server::default();
    server.mock.commit(&line("a", "r", 1));
    let answer = async |range: &str, fields: &str| {
        let query = format!("{{ overview(range: {{ {range} }}) {{ {fields} }} }}");
        server.post(&query, json!({})).await
    };
    let week = "from: \"2026-11-01T00:00:30Z\", until: \"2026-11-08T00:00:30Z\"";
    let found = answer(week, "totals { requests } from until stepMinutes").await;
    let overview = &found.body["data"]["overview"];
    assert_eq!(overview["totals"]["requests"], 1);
    assert_eq!(overview["from"], "2026-11-01T00:00:00.000Z", "begins with a whole minute");
    assert_eq!(overview["until"], "2026-11-08T00:01:00.000Z", "ends with a whole minute");
    assert_eq!(overview["stepMinutes"], Value::Null, "no series is asked for");
    for (range, expected) in [
        (week, json!(30)),
        ("from: \"2026-11-01T00:00:00Z\", until: \"2026-11-01T01:00:00Z\"", json!(1)),
        ("from: \"2020-01-01T00:00:00Z\", until: \"2026-01-01T00:00:00Z\"", json!(7 * 1440)),
        // Open ranges end where what is retained does: the mock has a day.
        ("", json!(5)),
        ("stepMinutes: 60", json!(60)),
    ] {
        let found = answer(range, "stepMinutes series { at }").await;
        assert_eq!(found.body["data"]["overview"]["stepMinutes"], expected, "{range}");
    }
    let minutes = format!("{week}, stepMinutes: 1");
    assert_eq!(answer(&minutes, "series { at }").await.code(), "RESOURCE_EXHAUSTED");
    assert_eq!(answer(&minutes, "totals { requests }").await.body["errors"], Value::Null);
}
