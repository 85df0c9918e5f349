//! The rules as the oracle reads them from a configuration, and whose request it is by them.

use std::collections::BTreeMap;

use base64::Engine as _;
use regex::Regex;
use serde::Deserialize;
use serde_json::Value;

use super::record::{Record, Side};

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Config {
    rules: RuleTables,
    applications: Vec<Application>,
    mappings: BTreeMap<String, MappingTable>,
    secrets: Secrets,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Secrets {
    key: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct RuleTables {
    scope: Option<Vec<Scope>>,
    grouping: Vec<Key>,
    disabled_built_in: Vec<String>,
    settings: Settings,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Settings {
    gap: Option<Value>,
    day_zone: Option<String>,
    lateness_ms: Option<i64>,
    /// None: every day is kept, as in a replay.
    retention_days: Option<i64>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Application {
    name: String,
    hosts: Vec<String>,
    paths: Vec<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Scope {
    app: Option<String>,
    host: Option<String>,
    path: Option<String>,
    method: Option<String>,
    action: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Key {
    name: String,
    point: String,
    namespace: Option<String>,
    apps: Vec<String>,
    hosts: Vec<String>,
    paths: Vec<String>,
    min_length: Option<usize>,
    ignore: Option<Vec<String>>,
    per: String,
    secret: bool,
    gap: Option<Value>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct MappingTable {
    fields: BTreeMap<String, Texts>,
    request_headers: BTreeMap<String, Texts>,
    request_cookies: BTreeMap<String, Texts>,
    response_headers: BTreeMap<String, Texts>,
    request_body: Option<String>,
    response_body: Option<String>,
    ignore: Vec<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum Texts {
    One(String),
    Any(Vec<String>),
}

/// A mapping, every template a list.
#[derive(Clone, Debug, Default)]
pub struct Mapping {
    pub fields: BTreeMap<String, Vec<String>>,
    pub request_headers: BTreeMap<String, Vec<String>>,
    pub request_cookies: BTreeMap<String, Vec<String>>,
    pub response_headers: BTreeMap<String, Vec<String>>,
    pub request_body: Option<String>,
    pub response_body: Option<String>,
    pub ignore: Vec<String>,
}

/// Whose requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    pub id: String,
    pub namespace: String,
    pub value: String,
    pub weak: bool,
    /// Milliseconds; none: only the day ends a session.
    pub gap_ms: Option<i64>,
}

/// What the rules say of a request.
pub enum Decision {
    Excluded,
    Unkeyed,
    Identity(Identity),
}

/// The rules of a run.
pub struct Rules {
    tables: RuleTables,
    applications: Vec<Application>,
    pub mappings: BTreeMap<String, Mapping>,
    key: [u8; 32],
    zone: jiff::tz::TimeZone,
}

const GAP_MS: i64 = 30 * 60 * 1000;
const LATENESS_MS: i64 = 5_000;

const COOKIES: [&str; 10] = [
    "PHPSESSID",
    "JSESSIONID",
    "ASP.NET_SessionId",
    "connect.sid",
    "laravel_session",
    "sessionid",
    "session_id",
    "session",
    "SESSION",
    "sid",
];

impl Rules {
    /// The rules of a configuration; what it does not say is as documented.
    pub fn parse(config: &str) -> Self {
        let config: Config = toml::from_str(config).expect("the configuration is TOML");
        let zone = config.rules.settings.day_zone.as_deref().unwrap_or("UTC");
        let lists = |tables: BTreeMap<String, Texts>| {
            let list = |texts| match texts {
                Texts::One(text) => vec![text],
                Texts::Any(texts) => texts,
            };
            tables.into_iter().map(|(name, texts)| (name, list(texts))).collect()
        };
        let mapping = |table: MappingTable| Mapping {
            fields: lists(table.fields),
            request_headers: lists(table.request_headers),
            request_cookies: lists(table.request_cookies),
            response_headers: lists(table.response_headers),
            request_body: table.request_body,
            response_body: table.response_body,
            ignore: table.ignore,
        };
        Self {
            zone: jiff::tz::TimeZone::get(zone).expect("the zone is known"),
            key: *blake3::hash(config.secrets.key.as_bytes()).as_bytes(),
            mappings: config
                .mappings
                .into_iter()
                .map(|(name, table)| (name, mapping(table)))
                .collect(),
            applications: config.applications,
            tables: config.rules,
        }
    }

    /// Days since 1970-01-01 in the configured zone.
    pub fn day_of(&self, ts: i64) -> i64 {
        let at = jiff::Timestamp::from_millisecond(ts).expect("a time of our calendar");
        let midnight = self.zone.to_datetime(at).date().at(0, 0, 0, 0);
        let midnight =
            jiff::tz::TimeZone::UTC.to_timestamp(midnight).expect("a time of our calendar");
        midnight.as_second() / 86_400
    }

    /// The first day that is kept, of the greatest time of each source; all of them are live.
    pub fn first_day(&self, latest: impl Iterator<Item = i64>) -> Option<i64> {
        let settings = &self.tables.settings;
        let kept = settings.retention_days?;
        let watermark = latest.min()? - settings.lateness_ms.unwrap_or(LATENESS_MS);
        Some(self.day_of(watermark) - kept)
    }

    /// Scope, then the keys in their order.
    pub fn decide(&self, request: &Record) -> Decision {
        let app = self.app_of(request);
        if !self.in_scope(request, &app) {
            return Decision::Excluded;
        }
        let found = self.tables.grouping.iter().find_map(|key| self.by_key(key, request, &app));
        match found.or_else(|| self.by_built_in(request)) {
            Some(identity) => Decision::Identity(identity),
            None => Decision::Unkeyed,
        }
    }

    fn app_of(&self, request: &Record) -> String {
        if !request.app.is_empty() {
            return request.app.clone();
        }
        let matches = |app: &&Application| {
            any(&app.hosts, &request.host, true) && any(&app.paths, &request.path, false)
        };
        let found = self.applications.iter().find(matches);
        found.map_or_else(|| "default".into(), |app| app.name.clone())
    }

    fn in_scope(&self, request: &Record, app: &str) -> bool {
        let Some(rules) = &self.tables.scope else { return request.method != "OPTIONS" };
        let given = |pattern: &Option<String>, text: &str, any_case| {
            pattern.as_ref().is_none_or(|pattern| glob(pattern, text, any_case))
        };
        let decides = rules.iter().find(|rule| {
            given(&rule.app, app, false)
                && given(&rule.host, &request.host, true)
                && given(&rule.path, &request.path, false)
                && given(&rule.method, &request.method, true)
        });
        decides.is_some_and(|rule| rule.action == "include")
    }

    fn by_key(&self, key: &Key, request: &Record, app: &str) -> Option<Identity> {
        let limited = any(&key.apps, app, false)
            && any(&key.hosts, &request.host, true)
            && any(&key.paths, &request.path, false);
        if !limited {
            return None;
        }
        let value = point(&key.point, request, app).filter(|value| !value.is_empty())?;
        let ignored = key.ignore.clone().unwrap_or_else(ignore_default).contains(&value);
        if ignored || value.chars().count() < key.min_length.unwrap_or(1) {
            return None;
        }
        let namespace = key.namespace.as_ref().unwrap_or(&key.name);
        let qualifier = match key.per.as_str() {
            "app" => app,
            "host" => &request.host,
            _ => "",
        };
        Some(self.identity(namespace, value, qualifier, key.secret, false))
    }

    fn by_built_in(&self, request: &Record) -> Option<Identity> {
        let on = |name: &str| !self.tables.disabled_built_in.iter().any(|off| off == name);
        let works = |value: Option<&str>| {
            let value = value.filter(|value| !value.is_empty())?;
            (!ignore_default().iter().any(|ignored| ignored == value)).then(|| value.to_owned())
        };
        let header = |name: &str| works(request.request.header(name));
        let strong = |name: &str, value: Option<String>| {
            value.filter(|_| on(name)).map(|value| self.identity(name, value, "", false, false))
        };
        strong("mcp", header("mcp-session-id"))
            .or_else(|| {
                strong("session-id", header("x-session-id").or_else(|| header("session-id")))
            })
            .or_else(|| {
                COOKIES
                    .iter()
                    .find_map(|name| strong(name, works(first(&request.request.cookies, name))))
            })
            .or_else(|| {
                let value = header("authorization").filter(|_| on("authorization"))?;
                Some(self.identity("authorization", value, "", true, false))
            })
            .or_else(|| self.by_client(request, on("client"), on("client-ip")))
    }

    fn by_client(&self, request: &Record, client: bool, client_ip: bool) -> Option<Identity> {
        if request.ip.is_empty() {
            return None;
        }
        if request.user_agent.is_empty() {
            let identity = self.identity("client-ip", request.ip.clone(), "", false, true);
            return client_ip.then_some(identity);
        }
        let value = format!("{}|{}", request.ip, request.user_agent);
        client.then(|| self.identity("client", value, "", false, true))
    }

    fn identity(
        &self,
        namespace: &str,
        value: String,
        qualifier: &str,
        secret: bool,
        weak: bool,
    ) -> Identity {
        let value = if secret { self.keyed_hash(&value) } else { value };
        let mut parts = Vec::new();
        for part in [namespace, &value, qualifier] {
            parts.extend_from_slice(&(part.len() as u64).to_le_bytes());
            parts.extend_from_slice(part.as_bytes());
        }
        Identity {
            id: blake3::hash(&parts).to_hex()[..32].to_owned(),
            namespace: namespace.into(),
            value,
            weak,
            gap_ms: self.gap_of(namespace),
        }
    }

    /// What stands for a secret value: half of a keyed BLAKE3 hash, in hex.
    pub fn keyed_hash(&self, value: &str) -> String {
        blake3::keyed_hash(&self.key, value.as_bytes()).to_hex()[..32].to_owned()
    }

    /// The gap of the first key of the namespace, else that of the settings.
    fn gap_of(&self, namespace: &str) -> Option<i64> {
        let of_namespace = |key: &&Key| key.namespace.as_deref().unwrap_or(&key.name) == namespace;
        let own = self.tables.grouping.iter().find(of_namespace).and_then(|key| key.gap.as_ref());
        match own.or(self.tables.settings.gap.as_ref()) {
            None => Some(GAP_MS),
            Some(Value::String(none)) if none == "none" => None,
            Some(gap) => Some(gap["ms"].as_i64().expect("a gap in milliseconds")),
        }
    }
}

fn ignore_default() -> Vec<String> {
    ["null", "undefined", "-"].map(String::from).to_vec()
}

fn any(patterns: &[String], text: &str, any_case: bool) -> bool {
    patterns.is_empty() || patterns.iter().any(|pattern| glob(pattern, text, any_case))
}

/// `**` is anything, `*` anything within a segment, `?` one character.
fn glob(pattern: &str, text: &str, any_case: bool) -> bool {
    let mut re = String::from(if any_case { "(?is)^" } else { "(?s)^" });
    let mut rest = pattern;
    while let Some(first) = rest.chars().next() {
        if let Some(after) = rest.strip_prefix("**") {
            re.push_str(".*");
            rest = after;
            continue;
        }
        match first {
            '*' => re.push_str("[^/]*"),
            '?' => re.push_str("[^/]"),
            plain => re.push_str(&regex::escape(&plain.to_string())),
        }
        rest = &rest[first.len_utf8()..];
    }
    re.push('$');
    Regex::new(&re).expect("a glob gives a regular expression").is_match(text)
}

fn first<'a>(pairs: &'a [(String, String)], name: &str) -> Option<&'a str> {
    pairs.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

/// The value of a point, or none if it did not work.
fn point(text: &str, request: &Record, app: &str) -> Option<String> {
    let mut parts = text.split(" | ");
    let mut value = base(parts.next().expect("a point has a base").trim(), request, app)?;
    for pipe in parts {
        value = apply(pipe.trim(), value)?;
    }
    Some(value)
}

fn base(base: &str, request: &Record, app: &str) -> Option<String> {
    if let Some(rest) = base.strip_prefix("$request.") {
        if let Some(name) = rest.strip_prefix("query.") {
            return query(&request.query, name);
        }
        return side(rest, &request.request);
    }
    if let Some(rest) = base.strip_prefix("$response.") {
        return side(rest, &request.response);
    }
    Some(match base {
        "$method" => request.method.clone(),
        "$host" => request.host.clone(),
        "$path" => request.path.clone(),
        "$app" => app.to_owned(),
        "$client.ip" => request.ip.clone(),
        "$client.user_agent" => request.user_agent.clone(),
        other => panic!("the oracle does not know the point {other}"),
    })
}

fn side(rest: &str, side: &Side) -> Option<String> {
    if let Some(name) = rest.strip_prefix("header.") {
        return side.header(name).map(Into::into);
    }
    if let Some(name) = rest.strip_prefix("cookie.") {
        return first(&side.cookies, name).map(Into::into);
    }
    let pointer = rest.strip_prefix("body#").expect("a point the oracle knows");
    match side.body.as_ref()? {
        Value::String(text) => scalar(serde_json::from_str::<Value>(text).ok()?.pointer(pointer)?),
        body => scalar(body.pointer(pointer)?),
    }
}

/// A parameter of a raw query; the tests use values that need no decoding.
fn query(query: &str, name: &str) -> Option<String> {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.filter(|(known, _)| *known == name).map(|(_, value)| value.to_owned()).next()
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        _ => None,
    }
}

fn apply(pipe: &str, value: String) -> Option<String> {
    if let Some(pointer) = pipe.strip_prefix("jwt.payload#") {
        let bearer = value.get(..7).is_some_and(|start| start.eq_ignore_ascii_case("bearer "));
        let token = if bearer { value[7..].trim() } else { &value };
        let payload = token.split('.').nth(1)?.trim_end_matches('=');
        let json = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(payload).ok()?;
        return scalar(serde_json::from_slice::<Value>(&json).ok()?.pointer(pointer)?);
    }
    if let Some(arguments) = pipe.strip_prefix("split(").and_then(|rest| rest.strip_suffix(')')) {
        let (separator, number) = arguments.rsplit_once(',').expect("split(SEP,N)");
        let number: usize = number.trim().parse().expect("split(SEP,N)");
        return value.split(separator).nth(number).map(Into::into);
    }
    if let Some(arguments) = pipe.strip_prefix("regex(").and_then(|rest| rest.strip_suffix(')')) {
        let (pattern, group) = arguments.rsplit_once(',').expect("regex(RE,GROUP)");
        let pattern = Regex::new(pattern.trim().trim_matches('"')).expect("regex(RE,GROUP)");
        let group: usize = group.trim().parse().expect("regex(RE,GROUP)");
        return pattern.captures(&value)?.get(group).map(|found| found.as_str().to_owned());
    }
    match pipe {
        "lower" => Some(value.to_lowercase()),
        "trim" => Some(value.trim().to_owned()),
        other => panic!("the oracle does not know the pipe {other}"),
    }
}
