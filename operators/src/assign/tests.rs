//! What the rules say of a request, case by case.

use super::*;
use crate::facts::Assigned;
use crate::request::Fields;

pub(super) fn fields<'a>(pairs: &[(&'a str, &'a str)]) -> Fields<'a> {
    pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()
}

pub(super) fn request() -> Request<'static> {
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
