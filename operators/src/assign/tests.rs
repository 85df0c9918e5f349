//! What the rules say of a request, case by case.

use super::*;
use crate::facts::Assigned;
use crate::request::Fields;

pub(super) fn fields<'a>(pairs: &[(&'a str, &'a str)]) -> Fields<'a> {
    pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()
}

pub(super) fn request<'a>() -> Request<'a> {
    Request {
        id: "r-1".into(),
        explicit_id: true,
        ts: EventTime(1_000),
        method: "GET".into(),
        host: "shop.example".into(),
        path: "/users/42/".into(),
        status: 200,
        ip: "192.0.2.1".into(),
        user_agent: "curl/8".into(),
        ..Request::default()
    }
}

pub(super) fn compiled(rules: &str) -> CompiledRules {
    let rules: RuleSet = serde_json::from_str(rules).unwrap();
    let (key, apps) = (SecretKey([1; 32]), Applications::default());
    CompiledRules::new(&rules, &key, &apps, &Descriptions::default()).unwrap()
}

pub(super) fn assign(
    rules: &CompiledRules,
    request: &mut Request<'_>,
    fresh: bool,
) -> (Outcome, Assigned) {
    let mut arena = Vec::new();
    let assignment = rules.assign(request, fresh, &mut Scratch::default(), &mut arena);
    (assignment.outcome, assignment.into_assigned(arena.into()))
}

fn identity(rules: &str, mut request: Request<'_>) -> String {
    let (outcome, assigned) = assign(&compiled(rules), &mut request, true);
    let (identity, _) = assigned.head().unwrap();
    match outcome {
        Outcome::Session => {
            let qualifier = if identity.qualifier.is_empty() { "" } else { " @ " };
            format!("{}={}{qualifier}{}", identity.namespace, identity.value, identity.qualifier)
        }
        other => format!("{other:?}"),
    }
}

#[test]
fn built_in_keys_are_tried_in_their_order() {
    let mut full = request();
    full.request.headers = fields(&[
        ("Authorization", "Bearer x"),
        ("Session-Id", "s2"),
        ("X-SESSION-ID", "s1"),
        ("Mcp-Session-Id", "m1"),
    ]);
    full.request.cookies = fields(&[("sid", "c3"), ("other", "o"), ("PHPSESSID", "c1")]);
    let expected = [
        ("mcp", "mcp=m1"),
        ("session-id", "session-id=s1"),
        ("PHPSESSID", "PHPSESSID=c1"),
        ("sid", "sid=c3"),
        ("authorization", &format!("authorization={}", SecretKey([1; 32]).hash_text("Bearer x"))),
        ("client", "client=192.0.2.1|curl/8"),
        ("", "Unkeyed"),
    ];
    let mut off: Vec<&str> = Vec::new();
    for (key, expected) in expected {
        let rules = format!(r#"{{"disabled_built_in":{off:?}}}"#);
        assert_eq!(identity(&rules, full.clone()), expected, "{off:?}");
        off.push(key);
    }
    let nobody = Request { user_agent: "".into(), ..request() };
    assert_eq!(identity("{}", nobody.clone()), "client-ip=192.0.2.1");
    assert_eq!(identity("{}", Request { ip: "".into(), ..nobody }), "Unkeyed");
}

#[test]
fn the_admins_keys_decide_first_in_their_order_and_within_their_limits() {
    let mut it = request();
    it.app = "shop".into();
    it.query = "token=t%2B1&token=t2&short=ab&no=null".into();
    it.request.headers = fields(&[("X-User", "u1")]);
    let key = |name: &str, point: &str, more: &str| {
        format!(r#"{{"name":"{name}","point":"{point}"{more}}}"#)
    };
    let user = key("user", "$request.header.x-user", "");
    for (keys, expected) in [
        (vec![key("t", "$request.query.token", ""), user.clone()], "t=t+1"),
        (vec![user.clone(), key("t", "$request.query.token", "")], "user=u1"),
        (vec![key("t", "$request.query.token", r#","namespace":"n""#)], "n=t+1"),
        (vec![key("t", "$request.query.none", ""), user.clone()], "user=u1"),
        (vec![key("t", "$request.query.no", ""), user.clone()], "user=u1"),
        (vec![key("t", "$request.query.no", r#","ignore":[]"#), user.clone()], "t=null"),
        (vec![key("t", "$request.query.short", r#","min_length":3"#), user.clone()], "user=u1"),
        (vec![key("t", "$request.query.short", r#","min_length":2"#), user.clone()], "t=ab"),
        (vec![key("t", "$request.query.short", r#","apps":["x","shop"]"#)], "t=ab"),
        (vec![key("t", "$request.query.short", r#","apps":["x"]"#), user.clone()], "user=u1"),
        (vec![key("t", "$request.query.short", r#","hosts":["SHOP.*"]"#)], "t=ab"),
        (vec![key("t", "$request.query.short", r#","hosts":["*.x"]"#), user.clone()], "user=u1"),
        (
            vec![key("t", "$request.query.short", r#","paths":["/users/*"]"#), user.clone()],
            "user=u1",
        ),
        (vec![key("t", "$request.query.short", r#","paths":["/users/**"]"#), user.clone()], "t=ab"),
        (vec![key("user", "$request.header.x-user", r#","per":"app""#)], "user=u1 @ shop"),
        (vec![key("user", "$request.header.x-user", r#","per":"host""#)], "user=u1 @ shop.example"),
    ] {
        let rules = format!(r#"{{"grouping":[{}]}}"#, keys.join(","));
        assert_eq!(identity(&rules, it.clone()), expected, "{keys:?}");
    }
}

#[test]
fn the_first_scope_rule_that_matches_decides() {
    let rule = |glob: &str, action: &str| {
        let name = format!("{glob}{action}").replace('"', "");
        format!(r#"{{"name":"{name}",{glob}"action":"{action}"}}"#)
    };
    let session = "client=192.0.2.1|curl/8";
    for (rules, expected) in [
        (vec![], "Excluded"),
        (vec![rule("", "include")], session),
        (vec![rule(r#""method":"get","#, "exclude"), rule("", "include")], "Excluded"),
        (vec![rule(r#""method":"post","#, "exclude"), rule("", "include")], session),
        (vec![rule(r#""path":"/users/**","#, "include")], session),
        (vec![rule(r#""path":"/users/*","#, "include")], "Excluded"),
        (vec![rule(r#""host":"*.example","#, "include"), rule("", "exclude")], session),
        (vec![rule(r#""app":"shop","#, "include")], "Excluded"),
        (vec![rule(r#""app":"default","#, "include")], session),
    ] {
        let all = format!(r#"{{"scope":[{}]}}"#, rules.join(","));
        assert_eq!(identity(&all, request()), expected, "{all}");
    }
}

#[test]
fn a_namespace_has_the_gap_of_its_first_key() {
    let rules = compiled(
        r#"{"settings":{"gap":{"ms":7}},"grouping":[
            {"name":"a","namespace":"n","point":"$host","gap":{"ms":5}},
            {"name":"b","namespace":"n","point":"$path","gap":"none"},
            {"name":"c","point":"$path","gap":"none"},
            {"name":"sid","point":"$path"}]}"#,
    );
    for (namespace, gap) in
        [("n", 5), ("c", crate::facts::NO_GAP), ("sid", 7), ("client", 7), ("unknown", 7)]
    {
        assert_eq!(rules.gap_of(namespace), gap, "{namespace}");
    }
    assert_eq!(assign(&rules, &mut request(), true).1.gap_ms, 5);
}

#[test]
fn the_facts_are_what_a_session_counts() {
    let rules = compiled(
        r#"{"context":[
                {"name":"user","point":"$request.header.x-user","type":"user"},
                {"name":"also","point":"$request.header.x-user","type":"user"},
                {"name":"role","point":"$request.header.x-role","type":"role"},
                {"name":"plan","point":"$request.header.x-plan"},
                {"name":"none","point":"$request.header.x-none"}],
            "flows":[
                {"name":"profile","endpoints":[{"path":"/users/{int}"},{"method":"GET"}]},
                {"name":"checkout","endpoints":[{"path":"/users/{uuid}"}]}]}"#,
    );
    let mut it = request();
    it.request.headers = fields(&[("x-user", "u1"), ("x-role", "admin"), ("x-plan", "free")]);
    let attack =
        |kind: &'static str| crate::request::Attack { kind: kind.into(), ..Default::default() };
    it.attacks = vec![attack("sqli"), attack("xss"), attack("sqli")];
    let (_, assigned) = assign(&rules, &mut it, true);
    let (_, facts) = assigned.head().unwrap();
    let found: Vec<_> = facts.iter().map(|fact| (fact.field, fact.text)).collect();
    assert_eq!(
        found,
        [
            (Field::Method, "GET"),
            (Field::Status, "200"),
            (Field::Host, "shop.example"),
            (Field::App, "default"),
            (Field::Endpoint, "GET /users/{int}"),
            (Field::Ip, "192.0.2.1"),
            (Field::UserAgent, "curl/8"),
            (Field::Attack, "sqli"),
            (Field::Attack, "xss"),
            (Field::Attack, "sqli"),
            (Field::Flow, "profile"),
            (Field::User, "u1"),
            (Field::Parameter, "user=u1"),
            (Field::Parameter, "also=u1"),
            (Field::Role, "admin"),
            (Field::Parameter, "role=admin"),
            (Field::Parameter, "plan=free"),
        ]
    );
    assert_eq!(facts.numbers.detections, 3);
    let bare = Request { status: 0, host: "".into(), ..request() };
    let (_, assigned) = assign(&compiled("{}"), &mut bare.clone(), true);
    let fields: Vec<_> = assigned.head().unwrap().1.iter().map(|fact| fact.field).collect();
    assert!(!fields.contains(&Field::Status) && !fields.contains(&Field::Host));
}

#[test]
fn an_explanation_tells_the_keys_tried_up_to_the_one_that_decided() {
    let rules = compiled(
        r#"{"disabled_built_in":["mcp"],
            "grouping":[{"name":"t","point":"$request.query.t","namespace":"n","apps":["x"]}]}"#,
    );
    let mut it = request();
    it.request.headers = fields(&[("x-session-id", "-"), ("session-id", "s2")]);
    assign(&rules, &mut it, true);
    let told = rules.explain(&it);
    let tried: Vec<_> = told
        .keys_tried
        .iter()
        .map(|key| (key.name.as_str(), key.worked, key.reason.as_str()))
        .collect();
    assert_eq!(
        tried,
        [
            ("t", false, "not for this application"),
            ("mcp", false, "switched off"),
            ("session-id", true, "found: s2"),
        ]
    );
    assert_eq!(told.endpoint, "GET /users/{int}");
}

#[test]
fn the_application_comes_from_the_first_rule_that_matches() {
    let rule = |name: &str, hosts: &[&str], paths: &[&str]| AppRule {
        name: name.into(),
        hosts: hosts.iter().map(|glob| (*glob).into()).collect(),
        paths: paths.iter().map(|glob| (*glob).into()).collect(),
    };
    let apps = Applications {
        rules: vec![
            rule("admin", &["shop.example"], &["/admin/**"]),
            rule("shop", &["SHOP.*"], &[]),
        ],
    };
    let key = SecretKey([1; 32]);
    let rules = RuleSet::default();
    let rules = CompiledRules::new(&rules, &key, &apps, &Descriptions::default()).unwrap();
    for (host, path, known, expected) in [
        ("shop.example", "/admin/x", "", "admin"),
        ("shop.example", "/x", "", "shop"),
        ("other", "/admin/x", "", "default"),
        ("shop.example", "/x", "mine", "mine"),
    ] {
        let mut it =
            Request { host: host.into(), path: path.into(), app: known.into(), ..request() };
        assign(&rules, &mut it, true);
        assert_eq!(it.app, expected, "{host}{path}");
    }
    let wrong = Applications { rules: vec![rule("a", &["["], &[])] };
    let wrong = CompiledRules::new(rules.rules(), &key, &wrong, &Descriptions::default());
    assert_eq!(wrong.unwrap_err()[0].path, ["applications", "0", "hosts", "0"]);
}

#[test]
fn only_an_explicit_id_can_repeat() {
    let rules = compiled("{}");
    let (_, explicit) = assign(&rules, &mut request(), true);
    let mut implicit = Request { explicit_id: false, ..request() };
    assert_ne!(explicit.id_hash, 0);
    assert_eq!(assign(&rules, &mut implicit, true).1.id_hash, 0);
    let mut other = Request { id: "r-2".into(), ..request() };
    assert_ne!(assign(&rules, &mut other, true).1.id_hash, explicit.id_hash);
}
