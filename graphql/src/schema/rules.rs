//! Rules as clients read them.

use async_graphql::{Enum, SimpleObject};
use spoor_operators::rules::{self, BUILT_IN_KEYS};

use super::request::ParameterType;
use super::scalars::Long;

/// Everything an admin can change, in force together.
#[derive(Clone, Debug, SimpleObject)]
pub struct RuleSet {
    /// Counts the accepted changes: give it as `expectedVersion`.
    pub version: Long,
    /// In order: the first that matches decides, none excludes.
    pub scope: Vec<ScopeRule>,
    /// In order: tried before the built-in keys.
    pub grouping: Vec<GroupingKey>,
    /// In the order they are tried, after the grouping keys.
    pub built_in_keys: Vec<BuiltInKey>,
    /// Points whose values are kept with each request.
    pub context: Vec<ContextParameter>,
    /// Named sets of endpoints.
    pub flows: Vec<Flow>,
    /// Numbers.
    pub settings: Settings,
}

/// Whether requests are in sessions; an absent pattern matches everything.
#[derive(Clone, Debug, SimpleObject)]
pub struct ScopeRule {
    /// Unique among scope rules.
    pub name: String,
    /// Glob over the application.
    pub app: Option<String>,
    /// Glob over the host.
    pub host: Option<String>,
    /// Glob over the raw path; `*` stays within a segment, `**` does not.
    pub path: Option<String>,
    /// Glob over the method.
    pub method: Option<String>,
    /// What the rule does.
    pub action: ScopeAction,
}

/// What a matching scope rule does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "rules::ScopeAction")]
pub enum ScopeAction {
    /// The request is in a session.
    Include,
    /// It is counted, retained, and in no session.
    Exclude,
}

/// Whether equal values in different apps or hosts are one identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "rules::Per")]
pub enum Per {
    /// One identity everywhere.
    None,
    /// One for each app.
    App,
    /// One for each host.
    Host,
}

/// How long a pause ends a session.
#[derive(Clone, Debug, SimpleObject)]
pub struct Gap {
    /// A step of this many milliseconds or more starts a new session; none: only the day ends it.
    pub ms: Option<Long>,
}

/// One way to tell whose request it is.
#[derive(Clone, Debug, SimpleObject)]
pub struct GroupingKey {
    /// Unique among grouping keys.
    pub name: String,
    /// Where the value is read.
    pub point: String,
    /// Keys with one namespace and equal values are one identity.
    pub namespace: String,
    /// Globs over apps it is limited to; empty: all.
    pub apps: Vec<String>,
    /// Globs over hosts it is limited to; empty: all.
    pub hosts: Vec<String>,
    /// Globs over paths it is limited to; empty: all.
    pub paths: Vec<String>,
    /// Values shorter than this (in characters) count as absent.
    pub min_length: Long,
    /// Values that count as absent.
    pub ignore: Vec<String>,
    /// Whether the value is distinct for each app or host.
    pub per: Per,
    /// Only a keyed hash of the value is kept or shown.
    pub secret: bool,
    /// None: that of the settings.
    pub gap: Option<Gap>,
}

/// A key that is always there and can be switched off.
#[derive(Clone, Debug, SimpleObject)]
pub struct BuiltInKey {
    /// Its name, which is also its namespace.
    pub name: &'static str,
    /// Whether it is tried.
    pub enabled: bool,
}

/// A named point whose value is kept with each request.
#[derive(Clone, Debug, SimpleObject)]
pub struct ContextParameter {
    /// Unique among context parameters.
    pub name: String,
    /// Where the value is read.
    pub point: String,
    /// What it is about.
    #[graphql(name = "type")]
    pub kind: ParameterType,
    /// Only a keyed hash of the value is kept or shown.
    pub secret: bool,
}

/// A business flow: a name and endpoint patterns.
#[derive(Clone, Debug, SimpleObject)]
pub struct Flow {
    /// Unique among flows.
    pub name: String,
    /// A request touches the flow when one of these matches its endpoint.
    pub endpoints: Vec<EndpointPattern>,
}

/// Globs over an endpoint; an absent one matches everything.
#[derive(Clone, Debug, SimpleObject)]
pub struct EndpointPattern {
    /// Glob over the app.
    pub app: Option<String>,
    /// Glob over the host.
    pub host: Option<String>,
    /// Glob over the method.
    pub method: Option<String>,
    /// Glob over the path template, such as `/orders/{int}`.
    pub path: Option<String>,
}

/// The numbers of sessions and retention.
#[derive(Clone, Debug, SimpleObject)]
pub struct Settings {
    /// For keys without a gap of their own.
    pub gap: Gap,
    /// The zone days are counted in: an IANA name.
    pub day_zone: String,
    /// How far a source's watermark stays behind its greatest time.
    pub lateness_ms: Long,
    /// Days kept behind the watermark's day; none: all.
    pub retention_days: Option<Long>,
    /// A source silent for this long no longer holds the watermark back.
    pub idle_timeout_ms: Long,
    /// A request further ahead of the wall clock is refused; none: no limit.
    pub future_ms: Option<Long>,
}

impl From<&rules::RuleSet> for RuleSet {
    fn from(rules: &rules::RuleSet) -> Self {
        let enabled = |name: &str| !rules.disabled_built_in.iter().any(|off| off == name);
        let built_in = |name| BuiltInKey { name, enabled: enabled(name) };
        Self {
            version: rules.version.into(),
            scope: rules.scope.iter().map(ScopeRule::from).collect(),
            grouping: rules.grouping.iter().map(GroupingKey::from).collect(),
            built_in_keys: BUILT_IN_KEYS.into_iter().map(built_in).collect(),
            context: rules.context.iter().map(ContextParameter::from).collect(),
            flows: rules.flows.iter().map(Flow::from).collect(),
            settings: Settings::from(&rules.settings),
        }
    }
}

impl From<&rules::ScopeRule> for ScopeRule {
    fn from(rule: &rules::ScopeRule) -> Self {
        Self {
            name: rule.name.clone(),
            app: rule.app.clone(),
            host: rule.host.clone(),
            path: rule.path.clone(),
            method: rule.method.clone(),
            action: rule.action.into(),
        }
    }
}

impl From<rules::Gap> for Gap {
    fn from(gap: rules::Gap) -> Self {
        match gap {
            rules::Gap::Ms(ms) => Self { ms: Some(ms.into()) },
            rules::Gap::None => Self { ms: None },
        }
    }
}

impl From<&rules::GroupingKey> for GroupingKey {
    fn from(key: &rules::GroupingKey) -> Self {
        Self {
            name: key.name.clone(),
            point: key.point.clone(),
            namespace: key.namespace.as_ref().unwrap_or(&key.name).clone(),
            apps: key.apps.clone(),
            hosts: key.hosts.clone(),
            paths: key.paths.clone(),
            min_length: key.min_length.into(),
            ignore: key.ignore.clone(),
            per: key.per.into(),
            secret: key.secret,
            gap: key.gap.map(Gap::from),
        }
    }
}

impl From<&rules::ContextParameter> for ContextParameter {
    fn from(parameter: &rules::ContextParameter) -> Self {
        Self {
            name: parameter.name.clone(),
            point: parameter.point.clone(),
            kind: parameter.kind.into(),
            secret: parameter.secret,
        }
    }
}

impl From<&rules::Flow> for Flow {
    fn from(flow: &rules::Flow) -> Self {
        let pattern = |pattern: &rules::EndpointPattern| EndpointPattern {
            app: pattern.app.clone(),
            host: pattern.host.clone(),
            method: pattern.method.clone(),
            path: pattern.path.clone(),
        };
        Self { name: flow.name.clone(), endpoints: flow.endpoints.iter().map(pattern).collect() }
    }
}

impl From<&rules::Settings> for Settings {
    fn from(settings: &rules::Settings) -> Self {
        Self {
            gap: settings.gap.into(),
            day_zone: settings.day_zone.clone(),
            lateness_ms: settings.lateness_ms.into(),
            retention_days: settings.retention_days.map(Long::from),
            idle_timeout_ms: settings.idle_timeout_ms.into(),
            future_ms: settings.future_ms.map(Long::from),
        }
    }
}
