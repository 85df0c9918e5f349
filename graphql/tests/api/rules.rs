//! Mutations: refusals are data, repeats are harmless.

use serde_json::{Value, json};

use crate::support::Server;

const CREATE: &str = "mutation ($input: CreateFlowInput!) { createFlow(input: $input) {
    clientMutationId version effectiveEpoch rules { flows { name } }
    errors { code message current { version } } } }";

async fn create(server: &Server, id: &str, expected: Option<u64>, name: &str) -> Value {
    let flow = json!({"name": name, "endpoints": [{"path": "/pay"}]});
    let input = json!({"clientMutationId": id, "expectedVersion": expected, "flow": flow});
    server.data(CREATE, json!({ "input": input })).await["createFlow"].clone()
}

#[tokio::test]
async fn a_change_is_applied_once_and_refused_as_data() {
    let server = Server::default();
    let first = create(&server, "c1", Some(1), "pay").await;
    assert_eq!(first["errors"], json!([]));
    assert_eq!(first["version"], 2);
    assert_eq!(first["effectiveEpoch"], 2);
    assert_eq!(first["clientMutationId"], "c1");
    assert_eq!(first["rules"]["flows"], json!([{"name": "pay"}]));
    assert_eq!(create(&server, "c1", Some(1), "pay").await, first);

    let reused = create(&server, "c1", None, "other").await;
    assert_eq!(reused["errors"][0]["code"], "KEY_REUSED");
    let stale = create(&server, "c2", Some(1), "other").await;
    assert_eq!(stale["errors"][0]["code"], "VERSION_CONFLICT");
    assert_eq!(stale["errors"][0]["current"]["version"], 2);
    let taken = create(&server, "c3", None, "pay").await;
    assert_eq!(taken["errors"][0]["code"], "NAME_TAKEN");
    assert_eq!(taken["rules"], Value::Null);
}

#[tokio::test]
async fn every_kind_of_rule_can_be_written_and_read() {
    let server = Server::default();
    let key = r#"key: { name: "user", point: "$request.header.x-user", apps: ["shop"],
        per: APP, secret: true, gap: { ms: 60000 } }"#;
    for mutation in [
        r#"createScopeRule(input: { rule: { name: "no-health", path: "/healthz", action: EXCLUDE },
            before: "everything" })"#,
        r#"updateScopeRule(input: { name: "no-health", rule: { name: "no-probe", path: "/healthz",
            action: EXCLUDE } })"#,
        r#"reorderScopeRules(input: { names: ["no-probe", "no-preflight", "everything"] })"#,
        &format!("createGroupingKey(input: {{ {key} }})"),
        r#"updateGroupingKey(input: { name: "user", key: { name: "user",
            point: "$request.header.x-user", gap: { none: true } } })"#,
        r#"reorderGroupingKeys(input: { names: ["user"] })"#,
        r#"setBuiltInKey(input: { name: "PHPSESSID", enabled: false })"#,
        r#"createContextParameter(input: { parameter: { name: "who", type: USER,
            point: "$request.header.x-user" } })"#,
        r#"createFlow(input: { flow: { name: "pay", endpoints: [{ method: "POST" }] } })"#,
        r#"updateSettings(input: { settings: { gap: { ms: 1000 }, dayZone: "UTC", latenessMs: 0,
            retentionDays: null, idleTimeoutMs: "60000", futureMs: null } })"#,
        r#"deleteScopeRule(input: { name: "no-probe" })"#,
    ] {
        let text = format!("mutation {{ done: {mutation} {{ errors {{ code path message }} }} }}");
        assert_eq!(server.data(&text, json!({})).await, json!({"done": {"errors": []}}), "{text}");
    }
    let query = "{ rules { version scope { name } grouping { name gap { ms } }
        builtInKeys { name enabled } context { name type } flows { name }
        settings { gap { ms } retentionDays idleTimeoutMs } } }";
    let rules = &server.data(query, json!({})).await["rules"];
    assert_eq!(rules["version"], 12);
    assert_eq!(rules["scope"], json!([{"name": "no-preflight"}, {"name": "everything"}]));
    assert_eq!(rules["grouping"], json!([{"name": "user", "gap": {"ms": null}}]));
    assert_eq!(rules["builtInKeys"][2], json!({"name": "PHPSESSID", "enabled": false}));
    assert_eq!(rules["context"], json!([{"name": "who", "type": "USER"}]));
    let settings = json!({"gap": {"ms": 1000}, "retentionDays": null, "idleTimeoutMs": 60000});
    assert_eq!(rules["settings"], settings);
}
