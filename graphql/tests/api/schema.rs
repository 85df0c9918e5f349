//! The schema that is committed is the schema that is served, and all of it is described.

use std::path::Path;

use serde_json::json;

use crate::mock::line;
use crate::support::Server;

/// `SPOOR_UPDATE_SCHEMA=1` writes the file anew.
#[test]
fn the_committed_schema_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("schema.graphql");
    let sdl = spoor_graphql::sdl();
    if std::env::var_os("SPOOR_UPDATE_SCHEMA").is_some() {
        std::fs::write(&path, &sdl).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap();
    assert!(committed == sdl, "schema.graphql is not current: run with SPOOR_UPDATE_SCHEMA=1");
}

#[tokio::test]
async fn every_type_field_argument_and_value_is_described() {
    let query = "{ __schema { types { name description kind
        fields { name description args { name description } } inputFields { name description }
        enumValues { name description } } } }";
    let answer = Server::default().data(query, json!({})).await;
    let mut silent = Vec::new();
    for kind in answer["__schema"]["types"].as_array().unwrap() {
        let name = kind["name"].as_str().unwrap();
        if name.starts_with("__") || name == "ID" {
            continue;
        }
        let lists = ["fields", "inputFields", "enumValues"].map(|list| kind[list].as_array());
        let members = lists.into_iter().flatten().flatten();
        for described in members.chain([kind]) {
            if described["description"].as_str().unwrap_or_default().is_empty() {
                silent.push(format!("{name}.{}", described["name"].as_str().unwrap()));
            }
            for argument in described["args"].as_array().into_iter().flatten() {
                if argument["description"].as_str().unwrap_or_default().is_empty() {
                    silent.push(format!("{name}.{}({})", described["name"], argument["name"]));
                }
            }
        }
    }
    assert_eq!(silent, Vec::<String>::new());
}

/// An argument may be wrong: then its field is null, not what is around it.
#[tokio::test]
async fn every_field_that_takes_arguments_is_nullable() {
    let query = "{ __schema { subscriptionType { name }
        types { name fields { name args { name } type { kind } } } } }";
    let schema = &Server::default().data(query, json!({})).await["__schema"];
    for kind in schema["types"].as_array().unwrap() {
        // An event stream has no value to be null: it ends with the error.
        let stream = kind["name"] == schema["subscriptionType"]["name"];
        let builtin = kind["name"].as_str().unwrap().starts_with("__");
        for field in kind["fields"].as_array().into_iter().flatten().filter(|_| !stream && !builtin)
        {
            let takes = !field["args"].as_array().unwrap().is_empty();
            assert!(!takes || field["type"]["kind"] != "NON_NULL", "{}: {field}", kind["name"]);
        }
    }
}

#[tokio::test]
async fn pages_follow_one_another_in_every_order() {
    let server = Server::default();
    for n in 0..7 {
        let lines: Vec<_> =
            (0..=n).map(|k| line(&format!("s{n}"), &format!("{n}-{k}"), k)).collect();
        server.mock.commit(&lines.join("\n"));
    }
    for (by, direction, first) in [("REQUESTS", "ASC", "s0"), ("REQUESTS", "DESC", "s6")] {
        let query = format!(
            "query ($after: String) {{ sessions(first: 3, after: $after, orderBy: {{ by: {by},
            direction: {direction} }}) {{ pageInfo {{ hasNextPage endCursor }}
            nodes {{ identity {{ value }} }} }} }}"
        );
        let (mut after, mut seen) = (json!(null), Vec::new());
        loop {
            let data = server.data(&query, json!({ "after": after })).await;
            let page = &data["sessions"];
            for node in page["nodes"].as_array().unwrap() {
                seen.push(node["identity"]["value"].as_str().unwrap().to_owned());
            }
            after = page["pageInfo"]["endCursor"].clone();
            if page["pageInfo"]["hasNextPage"] == false {
                break;
            }
        }
        assert_eq!((seen.len(), seen[0].as_str()), (7, first));
        let other = "query ($after: String) { sessions(after: $after) { epoch } }";
        let refused = server.post(other, json!({ "after": after })).await;
        assert_eq!(refused.code(), "BAD_USER_INPUT", "a cursor is of one order");
    }
}
