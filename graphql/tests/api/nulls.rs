//! Null propagation: an error in a non-null field makes the nearest nullable parent null, and
//! nothing else. Some versions of the engine left the failed field out instead, and this one makes
//! the parent of a nullable field null unless the error is inside the field's `Option`.

use async_graphql::{EmptyMutation, EmptySubscription, Object, Schema};
use serde_json::{Value, json};
use spoor_api::service::ServiceError;

use crate::mock::line;
use crate::support::Server;

struct Query;
struct Item(i32);

#[Object]
impl Query {
    async fn maybe(&self) -> Option<Item> {
        Some(Item(0))
    }

    async fn sure(&self) -> Item {
        Item(0)
    }

    async fn list(&self) -> Vec<Option<Item>> {
        vec![Some(Item(1)), Some(Item(0))]
    }

    async fn strict_list(&self) -> Option<Vec<Item>> {
        Some(vec![Item(1), Item(0)])
    }

    async fn other(&self) -> i32 {
        7
    }
}

#[Object]
impl Item {
    async fn sure(&self) -> Result<i32, &'static str> {
        if self.0 == 0 { Err("zero") } else { Ok(self.0) }
    }

    async fn maybe(&self) -> Option<Result<i32, &'static str>> {
        Some(if self.0 == 0 { Err("zero") } else { Ok(self.0) })
    }

    /// How a nullable field must not be written.
    async fn outside(&self) -> Result<Option<i32>, &'static str> {
        if self.0 == 0 { Err("zero") } else { Ok(Some(self.0)) }
    }

    async fn deeper(&self) -> Item {
        Item(self.0)
    }

    async fn fine(&self) -> i32 {
        1
    }
}

async fn check(query: &str, data: Value, path: Value) {
    let schema = Schema::new(Query, EmptyMutation, EmptySubscription);
    let response = schema.execute(query).await;
    assert_eq!(serde_json::to_value(&response.data).unwrap(), data, "{query}");
    let paths: Vec<_> = response.errors.iter().map(|error| &error.path).collect();
    assert_eq!(serde_json::to_value(paths).unwrap(), json!([path]), "{query}");
}

#[tokio::test]
async fn an_error_bubbles_to_the_nearest_nullable_parent() {
    let fine = json!({"maybe": {"maybe": null, "fine": 1}, "other": 7});
    check("{ maybe { maybe fine } other }", fine, json!(["maybe", "maybe"])).await;
    let null = json!({"maybe": null, "other": 7});
    let outside = json!(["maybe", "outside"]);
    check("{ maybe { outside fine } other }", null.clone(), outside).await;
    check("{ maybe { sure fine } other }", null.clone(), json!(["maybe", "sure"])).await;
    let deep = json!(["maybe", "deeper", "deeper", "sure"]);
    check("{ maybe { deeper { deeper { sure } fine } } other }", null, deep).await;
    check("{ sure { sure } other }", Value::Null, json!(["sure", "sure"])).await;
    let list = json!({"list": [{"sure": 1}, null]});
    check("{ list { sure } }", list, json!(["list", 1, "sure"])).await;
    let strict = json!({"strictList": null, "other": 7});
    // Of an entry that may not be null the engine tells the position only.
    check("{ strictList { sure } other }", strict, json!(["strictList", 1])).await;
}

#[tokio::test]
async fn a_store_that_fails_hides_its_reasons_and_leaves_the_rest_of_the_answer() {
    let server = Server::default();
    server.mock.commit(&line("a", "a-1", 1_000));
    *server.mock.failure.lock() = Some(ServiceError::Store("/secret/path is corrupt".into()));
    let answer = server.post("{ sessions { totalCount } status { epoch } }", json!({})).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.body["data"], json!({"sessions": null, "status": {"epoch": 2}}));
    assert_eq!(answer.code(), "INTERNAL");
    let error = &answer.body["errors"][0];
    assert!(!answer.body.to_string().contains("secret"), "{}", answer.body);
    let id = error["extensions"]["requestId"].as_str().unwrap();
    assert!(error["message"].as_str().unwrap().contains(id));
}

/// What a wrong argument makes null is the field that has it, and nothing around it.
#[tokio::test]
async fn a_wrong_argument_leaves_the_rest_of_the_answer() {
    let server = Server::default();
    server.mock.commit(&line("a", "a-1", 1_000));
    let many = vec!["x"; 201];
    for (field, expected) in [
        ("sessions(first: -1) { epoch }", json!({"field": null})),
        (
            "sessions(filter: {range: [{by: REQUESTS, min: 2, max: 1}]}) { epoch }",
            json!({"field": null}),
        ),
        ("nodes(ids: $many) { id }", json!({"field": null})),
        ("nodes(ids: [\"x\"]) { id }", json!({"field": [null]})),
        (
            "sessions { nodes { open breakdown(by: IP, first: -1) { distinct } } }",
            json!({"field": {"nodes": [{"open": true, "breakdown": null}]}}),
        ),
        (
            "sessions { nodes { open requests(after: \"x\") { totalCount } } }",
            json!({"field": {"nodes": [{"open": true, "requests": null}]}}),
        ),
        (
            "overview { epoch apps(first: -1) { totalCount } }",
            json!({"field": {"epoch": 2, "apps": null}}),
        ),
    ] {
        let uses = if field.contains("$many") { "($many: [ID!]!)" } else { "" };
        let query = format!("query {uses} {{ field: {field} status {{ epoch }} }}");
        let answer = server.post(&query, json!({ "many": many })).await;
        let mut expected = expected;
        expected["status"] = json!({"epoch": 2});
        assert_eq!(answer.body["data"], expected, "{field}");
        assert_eq!(answer.body["errors"].as_array().map(Vec::len), Some(1), "{}", answer.body);
    }
}
