//! The rules as the oracle reads them from a configuration or a store, and whose request it is by
//! them.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::described::Described;
use super::glob::{Glob, Of, any};
use super::points::Point;
use super::record::{Record, client};

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

/// Rules as data: the tables of a configuration, or the rules a store keeps.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct RuleTables {
    scope: Option<Vec<ScopeTable>>,
    grouping: Vec<KeyTable>,
    disabled_built_in: Vec<String>,
    context: Vec<ContextTable>,
    flows: Vec<FlowTable>,
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
struct ScopeTable {
    app: Option<String>,
    host: Option<String>,
    path: Option<String>,
    method: Option<String>,
    action: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct KeyTable {
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
struct ContextTable {
    name: String,
    point: String,
    #[serde(rename = "type")]
    kind: String,
    secret: bool,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct FlowTable {
    name: String,
    endpoints: Vec<ScopeTable>,
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
    /// 32 hex digits.
    pub id: String,
    pub namespace: String,
    pub value: String,
    /// App or host, where the key is per one of them.
    pub qualifier: String,
    pub weak: bool,
    pub secret: bool,
    /// Milliseconds; none: only the day ends a session.
    pub gap_ms: Option<i64>,
}

/// What the rules say of a request.
pub enum Decision {
    Excluded,
    Unkeyed,
    Identity(Identity),
}

/// What a request counts for beside what its record says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labels {
    pub app: String,
    /// Method and path template.
    pub endpoint: String,
    pub shadow: bool,
    pub zombie: bool,
    pub flows: Vec<String>,
    /// Name, kind (`text`, `user`, `role`) and value.
    pub context: Vec<(String, String, String)>,
}

/// Globs over app, host, path and method; an absent one matches everything.
#[derive(Clone, Debug)]
struct Globs {
    app: Option<Glob>,
    host: Option<Glob>,
    path: Option<Glob>,
    method: Option<Glob>,
}

impl Globs {
    fn new(table: &ScopeTable, path: Of) -> Result<Self, String> {
        let glob =
            |text: &Option<String>, of| text.as_ref().map(|text| Glob::new(text, of)).transpose();
        Ok(Self {
            app: glob(&table.app, Of::App)?,
            host: glob(&table.host, Of::Host)?,
            path: glob(&table.path, path)?,
            method: glob(&table.method, Of::Method)?,
        })
    }

    fn match_all(&self, request: &Record, app: &str, path: &str) -> bool {
        let holds =
            |glob: &Option<Glob>, text: &str| glob.as_ref().is_none_or(|glob| glob.matches(text));
        holds(&self.app, app)
            && holds(&self.host, &request.host)
            && holds(&self.path, path)
            && holds(&self.method, &request.method)
    }
}

/// What a rule is limited to.
#[derive(Clone, Debug)]
struct Limits {
    apps: Vec<Glob>,
    hosts: Vec<Glob>,
    paths: Vec<Glob>,
}

impl Limits {
    fn new(apps: &[String], hosts: &[String], paths: &[String]) -> Result<Self, String> {
        let globs = |texts: &[String], of| {
            texts.iter().map(|text| Glob::new(text, of)).collect::<Result<Vec<_>, _>>()
        };
        Ok(Self {
            apps: globs(apps, Of::App)?,
            hosts: globs(hosts, Of::Host)?,
            paths: globs(paths, Of::Path)?,
        })
    }

    fn allow(&self, request: &Record, app: &str) -> bool {
        any(&self.apps, app) && any(&self.hosts, &request.host) && any(&self.paths, &request.path)
    }
}

struct Key {
    table: KeyTable,
    point: Point,
    limits: Limits,
}

struct Context {
    table: ContextTable,
    point: Point,
}

/// The rules of a run.
pub struct Rules {
    tables: RuleTables,
    scope: Option<Vec<(Globs, bool)>>,
    keys: Vec<Key>,
    context: Vec<Context>,
    flows: Vec<(String, Vec<Globs>)>,
    applications: Vec<(String, Limits)>,
    pub mappings: BTreeMap<String, Mapping>,
    described: Described,
    key: [u8; 32],
    zone: jiff::tz::TimeZone,
}

/// A value a point gave.
struct Found {
    /// The value, or its keyed hash.
    text: String,
    /// Characters of the value that was hashed.
    hashed: Option<usize>,
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

/// First character of what stands for a redacted value; then its hash, `~` and its length.
const MARKER: char = '\u{1}';
const HASH_DIGITS: usize = 32;
/// A secret this long is masked inside other words, a shorter one only as a word of its own.
const ANYWHERE_BYTES_MIN: usize = 8;
const WORD_BYTES_MIN: usize = 4;

/// The marker a text ends with, and what is before it.
fn marker(text: &str) -> Option<(&str, Found)> {
    let (before, marker) = text.rsplit_once(MARKER)?;
    let (hash, chars) = marker.split_at_checked(HASH_DIGITS)?;
    let hex = hash.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let chars = chars.strip_prefix('~').filter(|chars| !chars.starts_with('+'))?.parse().ok()?;
    hex.then(|| (before, Found { text: hash.to_owned(), hashed: Some(chars) }))
}

/// A value, or the hash of the marker it is.
pub fn shown(request: &Record, text: &str) -> String {
    let stands = marker(text).filter(|(before, _)| request.is_stored && before.is_empty());
    stands.map_or_else(|| text.to_owned(), |(_, found)| found.text)
}

impl Rules {
    /// The rules of a configuration; what it does not say is as documented.
    pub fn parse(config: &str) -> Self {
        let config: Config = toml::from_str(config).expect("the configuration is TOML");
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
        let mappings = config.mappings.into_iter();
        let key = *blake3::hash(config.secrets.key.as_bytes()).as_bytes();
        let compiled = Self::compile(config.rules, &config.applications, Described::default(), key);
        let mut rules = compiled.expect("the rules are good");
        rules.mappings = mappings.map(|(name, table)| (name, mapping(table))).collect();
        rules
    }

    /// The rules a store keeps, as data, with the key of its secrets and what the applications'
    /// interfaces are said to be. Why they are none, in words.
    pub fn of_store(rules: Value, key: [u8; 32], described: Described) -> Result<Self, String> {
        let tables = serde_json::from_value(rules).map_err(|error| error.to_string())?;
        Self::compile(tables, &[], described, key)
    }

    fn compile(
        tables: RuleTables,
        applications: &[Application],
        described: Described,
        key: [u8; 32],
    ) -> Result<Self, String> {
        let zone = tables.settings.day_zone.as_deref().unwrap_or("UTC");
        let scope =
            |table: &ScopeTable| Ok((Globs::new(table, Of::Path)?, table.action == "include"));
        let keys = |table: &KeyTable| {
            Ok(Key {
                point: Point::parse(&table.point)?,
                limits: Limits::new(&table.apps, &table.hosts, &table.paths)?,
                table: table.clone(),
            })
        };
        let context = |table: &ContextTable| {
            Ok(Context { point: Point::parse(&table.point)?, table: table.clone() })
        };
        let flows = |table: &FlowTable| {
            let globs = table.endpoints.iter().map(|endpoint| Globs::new(endpoint, Of::Template));
            Ok((table.name.clone(), globs.collect::<Result<_, String>>()?))
        };
        let applications = applications.iter().map(|application| {
            let limits = Limits::new(&[], &application.hosts, &application.paths)?;
            Ok((application.name.clone(), limits))
        });
        let all =
            |scopes: &Vec<ScopeTable>| scopes.iter().map(scope).collect::<Result<_, String>>();
        Ok(Self {
            zone: jiff::tz::TimeZone::get(zone).map_err(|error| error.to_string())?,
            key,
            mappings: BTreeMap::new(),
            scope: tables.scope.as_ref().map(all).transpose()?,
            keys: tables.grouping.iter().map(keys).collect::<Result<_, String>>()?,
            context: tables.context.iter().map(context).collect::<Result<_, String>>()?,
            flows: tables.flows.iter().map(flows).collect::<Result<_, String>>()?,
            applications: applications.collect::<Result<_, String>>()?,
            described,
            tables,
        })
    }

    /// Days since 1970-01-01 in the configured zone.
    pub fn day_of(&self, ts: i64) -> i64 {
        let at = jiff::Timestamp::from_millisecond(ts).expect("a time of our calendar");
        let midnight = self.zone.to_datetime(at).date().at(0, 0, 0, 0);
        let midnight =
            jiff::tz::TimeZone::UTC.to_timestamp(midnight).expect("a time of our calendar");
        midnight.as_second().div_euclid(86_400)
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
        let found = self.keys.iter().find_map(|key| self.by_key(key, request, &app));
        match found.or_else(|| self.by_built_in(request)) {
            Some(identity) => Decision::Identity(self.without_secrets(identity, request, &app)),
            None => Decision::Unkeyed,
        }
    }

    /// A value that is, or has in it, what is secret elsewhere in the request shows its hash. In a
    /// stored record the value is masked already.
    fn without_secrets(&self, found: Identity, request: &Record, app: &str) -> Identity {
        if found.secret || request.is_stored {
            return found;
        }
        let (mut value, mut hashed) = (found.value.clone(), None);
        for secret in self.secrets(request, app) {
            let chars = secret.chars().count();
            if value == secret {
                (value, hashed) = (self.keyed_hash(&secret), Some(chars));
            } else if secret.len() >= ANYWHERE_BYTES_MIN && value.contains(&secret) {
                let stands = format!("{MARKER}{}~{chars}", self.keyed_hash(&secret));
                value = value.replace(&secret, &stands);
            }
        }
        if value == found.value {
            return found;
        }
        let masked = Found { text: value, hashed };
        self.identity(&found.namespace, masked, &found.qualifier, found.weak)
    }

    /// What secret rules read of a request, and its credentials; the longest first.
    fn secrets(&self, request: &Record, app: &str) -> Vec<String> {
        let keys = self.keys.iter().filter(|key| key.table.secret);
        let keys = keys.filter(|key| key.limits.allow(request, app)).map(|key| &key.point);
        let context = self.context.iter().filter(|rule| rule.table.secret).map(|rule| &rule.point);
        let mut secrets: Vec<String> = Vec::new();
        for point in keys.chain(context) {
            let Some(base) = point.base(request, app) else { continue };
            secrets.extend(point.pass(base.clone()));
            secrets.push(base);
        }
        if let Some(value) = request.request.header("authorization") {
            secrets.extend(value.split_once(' ').map(|(_, rest)| rest.trim().to_owned()));
            secrets.push(value.to_owned());
        }
        secrets.retain(|secret| secret.len() >= WORD_BYTES_MIN);
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        secrets
    }

    /// What a request counts for.
    pub fn labels(&self, request: &Record) -> Labels {
        let app = self.app_of(request);
        let endpoint = self.described.judge(&app, request);
        let flows = self.flows.iter().filter(|(_, globs)| {
            globs.iter().any(|globs| globs.match_all(request, &app, &endpoint.template))
        });
        let context = self.context.iter().filter_map(|context| {
            let found = self.value(&context.point, context.table.secret, request, &app)?;
            Some((context.table.name.clone(), context.table.kind.clone(), found.text))
        });
        Labels {
            endpoint: format!("{} {}", request.method, endpoint.template),
            shadow: endpoint.shadow,
            zombie: endpoint.zombie,
            flows: flows.map(|(name, _)| name.clone()).collect(),
            context: context.collect(),
            app,
        }
    }

    fn app_of(&self, request: &Record) -> String {
        if !request.app.is_empty() {
            return request.app.clone();
        }
        let found = self.applications.iter().find(|(_, limits)| limits.allow(request, ""));
        found.map_or_else(|| "default".into(), |(name, _)| name.clone())
    }

    fn in_scope(&self, request: &Record, app: &str) -> bool {
        let Some(rules) = &self.scope else { return request.method != "OPTIONS" };
        let decides = rules.iter().find(|(globs, _)| globs.match_all(request, app, &request.path));
        decides.is_some_and(|(_, includes)| *includes)
    }

    /// The value of a point in a record that may be redacted: what was kept of it, or what is there.
    fn value(&self, point: &Point, secret: bool, request: &Record, app: &str) -> Option<Found> {
        if let Some((_, kept)) = request.kept.iter().find(|(known, _)| *known == point.text) {
            return Some(self.seal(point, secret, request, kept.clone()));
        }
        let base = point.base(request, app)?;
        if point.has_pipes() {
            let stands = marker(&base).filter(|_| request.is_stored);
            let gone = stands.is_some_and(|(before, _)| {
                before.is_empty() || (point.is_authorization() && !point.reads_credentials())
            });
            if gone {
                return None;
            }
        }
        Some(self.seal(point, secret, request, point.pass(base)?))
    }

    /// The value itself, the hash its marker has, or its hash if it is secret.
    fn seal(&self, point: &Point, secret: bool, request: &Record, text: String) -> Found {
        let whole_header = point.is_authorization() && !point.has_pipes();
        let stands = marker(&text).filter(|_| request.is_stored);
        if let Some((_, found)) = stands.filter(|(before, _)| before.is_empty() || whole_header) {
            return found;
        }
        if secret {
            let hashed = Some(text.chars().count());
            return Found { text: self.keyed_hash(&text), hashed };
        }
        Found { text, hashed: None }
    }

    fn is_ignored(&self, found: &Found, ignore: &[String]) -> bool {
        ignore.iter().any(|ignored| match found.hashed {
            Some(_) => self.keyed_hash(ignored) == found.text,
            None => *ignored == found.text,
        })
    }

    fn by_key(&self, key: &Key, request: &Record, app: &str) -> Option<Identity> {
        if !key.limits.allow(request, app) {
            return None;
        }
        let table = &key.table;
        let found = self.value(&key.point, table.secret, request, app)?;
        let mut ignore = table.ignore.clone().unwrap_or_else(ignore_default);
        if table.point.trim_start().starts_with("$client.ip") {
            // An address is ignored however it is spelled.
            let canonical = |value: &String| client(value).unwrap_or_else(|_| value.clone());
            ignore = ignore.iter().map(canonical).collect();
        }
        let chars = found.hashed.unwrap_or_else(|| found.text.chars().count());
        if chars < table.min_length.unwrap_or(1) || self.is_ignored(&found, &ignore) {
            return None;
        }
        let qualifier = match table.per.as_str() {
            "app" => app,
            "host" => &request.host,
            _ => "",
        };
        Some(self.identity(namespace(table), found, qualifier, false))
    }

    fn by_built_in(&self, request: &Record) -> Option<Identity> {
        let on = |name: &str| !self.tables.disabled_built_in.iter().any(|off| off == name);
        let plain = |text: &str| {
            let stands = marker(text).filter(|(before, _)| request.is_stored && before.is_empty());
            stands.map_or_else(|| Found { text: text.to_owned(), hashed: None }, |(_, found)| found)
        };
        let works = |found: Found| {
            (!found.text.is_empty() && !self.is_ignored(&found, &ignore_default())).then_some(found)
        };
        let header = |name: &str| request.request.header(name).map(plain).and_then(works);
        let cookie = |name: &str| {
            let cookies = &request.request.cookies;
            let found = cookies.iter().find(|(known, _)| known == name);
            found.and_then(|(_, value)| works(plain(value)))
        };
        let strong = |name: &str, found: Option<Found>| {
            found.filter(|_| on(name)).map(|found| self.identity(name, found, "", false))
        };
        strong("mcp", header("mcp-session-id"))
            .or_else(|| {
                strong("session-id", header("x-session-id").or_else(|| header("session-id")))
            })
            .or_else(|| COOKIES.iter().find_map(|name| strong(name, cookie(name))))
            .or_else(|| {
                let text =
                    request.request.header("authorization").filter(|text| !text.is_empty())?;
                let stands = marker(text).filter(|_| request.is_stored).map(|(_, found)| found);
                let hashed = || Found { text: self.keyed_hash(text), hashed: Some(0) };
                strong("authorization", works(stands.unwrap_or_else(hashed)))
            })
            .or_else(|| self.by_client(request, on("client"), on("client-ip")))
            .or_else(|| {
                let archive = works(Found { text: request.archive.clone(), hashed: None })?;
                let is_there = !archive.text.is_empty() && on("archive");
                is_there.then(|| self.identity("archive", archive, "", true))
            })
    }

    fn by_client(&self, request: &Record, client: bool, client_ip: bool) -> Option<Identity> {
        if request.ip.is_empty() {
            return None;
        }
        let (ip, agent) = (shown(request, &request.ip), shown(request, &request.user_agent));
        let weak =
            |name: &str, text: String| self.identity(name, Found { text, hashed: None }, "", true);
        if agent.is_empty() {
            return client_ip.then(|| weak("client-ip", ip));
        }
        client.then(|| weak("client", format!("{ip}|{agent}")))
    }

    fn identity(&self, namespace: &str, found: Found, qualifier: &str, weak: bool) -> Identity {
        let mut parts = Vec::new();
        for part in [namespace, &found.text, qualifier] {
            parts.extend_from_slice(&(part.len() as u64).to_le_bytes());
            parts.extend_from_slice(part.as_bytes());
        }
        Identity {
            id: blake3::hash(&parts).to_hex()[..32].to_owned(),
            namespace: namespace.into(),
            value: found.text,
            qualifier: qualifier.into(),
            weak,
            secret: found.hashed.is_some(),
            gap_ms: self.gap_of(namespace),
        }
    }

    /// What stands for a secret value: half of a keyed BLAKE3 hash, in hex.
    pub fn keyed_hash(&self, value: &str) -> String {
        blake3::keyed_hash(&self.key, value.as_bytes()).to_hex()[..32].to_owned()
    }

    /// The gap of the first key of the namespace, else that of the settings.
    fn gap_of(&self, wanted: &str) -> Option<i64> {
        let first = self.tables.grouping.iter().find(|key| namespace(key) == wanted);
        match first.and_then(|key| key.gap.as_ref()).or(self.tables.settings.gap.as_ref()) {
            None => Some(GAP_MS),
            Some(Value::String(none)) if none == "none" => None,
            Some(gap) => Some(gap["ms"].as_i64().unwrap_or(GAP_MS)),
        }
    }
}

fn namespace(key: &KeyTable) -> &str {
    key.namespace.as_deref().unwrap_or(&key.name)
}

fn ignore_default() -> Vec<String> {
    ["null", "undefined", "-"].map(String::from).to_vec()
}
