//! Rules as data: scope, grouping keys, built-in keys, context parameters, flows and settings.
//!
//! A [`RuleSet`] is a plain value with a version: it is what the configuration file says, what a
//! mutation edits (`edit.rs`), what the store keeps, and, compiled, what `assign` applies. Points
//! and globs are text here; [`RuleSet::check`] finds every one that does not parse, with its place.
//! Names are unique within their list and are how a rule is addressed. Every field is always written,
//! absent ones too: rules also travel in formats that know a field only by its place.

pub mod check;
pub mod diff;
pub mod edit;
pub(crate) mod glob;
pub(crate) mod place;

use serde::{Deserialize, Serialize};

/// Everything an admin can change, in force together.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RuleSet {
    /// Counts the accepted changes; 1 for the rules a store begins with.
    pub version: u64,
    /// Ordered; the first that matches decides, none excludes.
    pub scope: Vec<ScopeRule>,
    /// Ordered; tried before the built-in keys.
    pub grouping: Vec<GroupingKey>,
    /// Built-in keys that are switched off, by name (see [`BUILT_IN_KEYS`]).
    pub disabled_built_in: Vec<String>,
    /// Named points kept with each request.
    pub context: Vec<ContextParameter>,
    /// Named sets of endpoints.
    pub flows: Vec<Flow>,
    /// Numbers.
    pub settings: Settings,
}

/// Names of the built-in keys in the order they are tried; each is also its namespace.
pub const BUILT_IN_KEYS: [&str; 16] = [
    "mcp",
    "session-id",
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
    "authorization",
    "client",
    "client-ip",
    "archive",
];

/// What a matching scope rule does.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum ScopeAction {
    /// The request is in a session.
    #[default]
    Include,
    /// It is counted, retained, and in no session.
    Exclude,
}

/// `{app?, host?, path?, method?, action}` with globs; an absent one matches everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScopeRule {
    /// Unique among scope rules.
    pub name: String,
    /// Glob over the application.
    #[serde(default)]
    pub app: Option<String>,
    /// Glob over the host; case is not told apart.
    #[serde(default)]
    pub host: Option<String>,
    /// Glob over the raw path; `*` stays within a segment, `**` does not.
    #[serde(default)]
    pub path: Option<String>,
    /// Glob over the method; case is not told apart.
    #[serde(default)]
    pub method: Option<String>,
    /// Include or exclude.
    pub action: ScopeAction,
}

/// Whether equal values in different apps or hosts are one identity.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Per {
    /// One identity everywhere.
    #[default]
    None,
    /// One for each app.
    App,
    /// One for each host.
    Host,
}

/// How long a pause ends a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Gap {
    /// A step of this many milliseconds or more starts a new session; at least 1.
    Ms(u32),
    /// Only the day ends a session.
    None,
}

/// Default gap: 30 minutes.
pub const GAP_DEFAULT: Gap = Gap::Ms(30 * 60 * 1000);

/// One way to tell whose request it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupingKey {
    /// Unique among grouping keys.
    pub name: String,
    /// Where the value is read (section 2 of the semantics).
    pub point: String,
    /// Absent: the name. Keys with one namespace and equal values are one identity.
    #[serde(default)]
    pub namespace: Option<String>,
    /// Globs over apps it is limited to; empty: all.
    #[serde(default)]
    pub apps: Vec<String>,
    /// Globs over hosts it is limited to; empty: all.
    #[serde(default)]
    pub hosts: Vec<String>,
    /// Globs over paths it is limited to; empty: all.
    #[serde(default)]
    pub paths: Vec<String>,
    /// Shorter values (in characters) did not work.
    #[serde(default = "one")]
    pub min_length: u32,
    /// Values that did not work.
    #[serde(default = "ignore_default")]
    pub ignore: Vec<String>,
    /// Whether the value is distinct for each app or host.
    #[serde(default)]
    pub per: Per,
    /// Only a keyed hash of the value is kept or shown.
    #[serde(default)]
    pub secret: bool,
    /// Absent: that of the settings. The first key of a namespace decides for the namespace.
    #[serde(default)]
    pub gap: Option<Gap>,
}

fn one() -> u32 {
    1
}

/// The values that do not work unless a key says otherwise.
#[must_use]
pub fn ignore_default() -> Vec<String> {
    ["null", "undefined", "-"].map(String::from).to_vec()
}

/// What a context parameter is about.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum ParameterType {
    /// Anything.
    #[default]
    Text,
    /// Names the user; a session has the set of its users.
    User,
    /// Names a role; a session has the set of its roles.
    Role,
}

/// A named point whose value is kept with each request.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContextParameter {
    /// Unique among context parameters.
    pub name: String,
    /// Where the value is read.
    pub point: String,
    /// What it is about.
    #[serde(default, rename = "type")]
    pub kind: ParameterType,
    /// Only a keyed hash of the value is kept or shown.
    #[serde(default)]
    pub secret: bool,
}

/// A business flow: a name and endpoint patterns.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Flow {
    /// Unique among flows.
    pub name: String,
    /// A request touches the flow when one of these matches its endpoint.
    pub endpoints: Vec<EndpointPattern>,
}

/// Globs over method, path template, host and app; an absent one matches everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EndpointPattern {
    /// Glob over the app.
    #[serde(default)]
    pub app: Option<String>,
    /// Glob over the host.
    #[serde(default)]
    pub host: Option<String>,
    /// Glob over the method.
    #[serde(default)]
    pub method: Option<String>,
    /// Glob over the path template, such as `/orders/{int}`; `{` and `}` are plain characters.
    #[serde(default)]
    pub path: Option<String>,
}

/// The numbers of section 5 of the semantics.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// For keys without a gap of their own.
    pub gap: Gap,
    /// IANA name. Fixed once a store holds requests: every key of it begins with a day.
    pub day_zone: String,
    /// How far a source's watermark stays behind its greatest time.
    pub lateness_ms: u64,
    /// Days kept behind the watermark's day; none: all.
    pub retention_days: Option<u32>,
    /// A source silent for this long (wall clock) no longer holds the watermark back.
    pub idle_timeout_ms: u64,
    /// A request further ahead of the wall clock is refused; none: no limit.
    pub future_ms: Option<u64>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            gap: GAP_DEFAULT,
            day_zone: "UTC".into(),
            lateness_ms: 5_000,
            retention_days: Some(7),
            idle_timeout_ms: 60_000,
            future_ms: Some(3_600_000),
        }
    }
}

impl Default for RuleSet {
    /// Everything but `OPTIONS` is in scope, the built-in keys group, nothing else is asked for.
    fn default() -> Self {
        let rule = |name: &str, method: Option<&str>, action| ScopeRule {
            name: name.into(),
            method: method.map(Into::into),
            action,
            ..ScopeRule::default()
        };
        Self {
            version: 1,
            scope: vec![
                rule("no-preflight", Some("OPTIONS"), ScopeAction::Exclude),
                rule("everything", None, ScopeAction::Include),
            ],
            grouping: Vec::new(),
            disabled_built_in: Vec::new(),
            context: Vec::new(),
            flows: Vec::new(),
            settings: Settings::default(),
        }
    }
}
