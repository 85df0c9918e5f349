//! Rules as clients write them, translated to `spoor_operators::rules` one to one.
//!
//! Nothing is refused here: what is wrong with a point, a glob or a number is found where the rules
//! are checked, so that the client gets it in `errors` with its path. A number the rules have no
//! room for becomes one that their check refuses.

use async_graphql::{InputObject, OneofObject};
use spoor_operators::facts::NO_GAP;
use spoor_operators::rules;

use super::request::ParameterType;
use super::rules::{Per, ScopeAction};
use super::scalars::Long;

/// A scope rule; an absent pattern matches everything.
#[derive(InputObject)]
pub struct ScopeRuleInput {
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

/// A grouping key.
#[derive(InputObject)]
pub struct GroupingKeyInput {
    /// Unique among grouping keys.
    pub name: String,
    /// Where the value is read, such as `$request.header.authorization | jwt.payload#/sub`.
    pub point: String,
    /// Absent: the name. Keys with one namespace and equal values are one identity.
    pub namespace: Option<String>,
    /// Globs over apps it is limited to; empty: all.
    #[graphql(default)]
    pub apps: Vec<String>,
    /// Globs over hosts it is limited to; empty: all.
    #[graphql(default)]
    pub hosts: Vec<String>,
    /// Globs over paths it is limited to; empty: all.
    #[graphql(default)]
    pub paths: Vec<String>,
    /// Values shorter than this (in characters) count as absent; 1 to 65536.
    #[graphql(default = 1)]
    pub min_length: i32,
    /// Values that count as absent.
    #[graphql(default_with = "rules::ignore_default()")]
    pub ignore: Vec<String>,
    /// Whether the value is distinct for each app or host.
    #[graphql(default_with = "Per::None")]
    pub per: Per,
    /// Only a keyed hash of the value is kept or shown.
    #[graphql(default)]
    pub secret: bool,
    /// Absent: that of the settings.
    pub gap: Option<GapInput>,
}

/// How long a pause ends a session.
#[derive(OneofObject)]
pub enum GapInput {
    /// A step of this many milliseconds or more starts a new session; at most 4294967294.
    Ms(Long),
    /// `true`: only the day ends a session.
    None(bool),
}

/// A context parameter.
#[derive(InputObject)]
pub struct ContextParameterInput {
    /// Unique among context parameters.
    pub name: String,
    /// Where the value is read.
    pub point: String,
    /// What it is about.
    #[graphql(name = "type", default_with = "ParameterType::Text")]
    pub kind: ParameterType,
    /// Only a keyed hash of the value is kept or shown.
    #[graphql(default)]
    pub secret: bool,
}

/// A business flow.
#[derive(InputObject)]
pub struct FlowInput {
    /// Unique among flows.
    pub name: String,
    /// A request touches the flow when one of these matches its endpoint.
    pub endpoints: Vec<EndpointPatternInput>,
}

/// Globs over an endpoint; an absent one matches everything.
#[derive(InputObject)]
pub struct EndpointPatternInput {
    /// Glob over the app.
    pub app: Option<String>,
    /// Glob over the host.
    pub host: Option<String>,
    /// Glob over the method.
    pub method: Option<String>,
    /// Glob over the path template, such as `/orders/{int}`.
    pub path: Option<String>,
}

/// All settings: they replace those in force.
#[derive(InputObject)]
pub struct SettingsInput {
    /// For keys without a gap of their own.
    pub gap: GapInput,
    /// The zone days are counted in: an IANA name. Fixed once the store holds requests.
    pub day_zone: String,
    /// How far a source's watermark stays behind its greatest time.
    pub lateness_ms: Long,
    /// Days kept behind the watermark's day; null: all.
    pub retention_days: Option<i32>,
    /// A source silent for this long no longer holds the watermark back.
    pub idle_timeout_ms: Long,
    /// A request further ahead of the wall clock is refused; null: no limit.
    pub future_ms: Option<Long>,
}

/// A number of at least 1; what is negative becomes 0, which is refused like it.
fn at_least_one(number: i32) -> u32 {
    u32::try_from(number).unwrap_or(0)
}

/// A span of at least 0; what is negative becomes the longest one, which is refused like it.
fn span(ms: Long) -> u64 {
    ms.as_u64().unwrap_or(u64::MAX)
}

impl From<ScopeRuleInput> for rules::ScopeRule {
    fn from(input: ScopeRuleInput) -> Self {
        let ScopeRuleInput { name, app, host, path, method, action } = input;
        Self { name, app, host, path, method, action: action.into() }
    }
}

impl From<GapInput> for rules::Gap {
    fn from(input: GapInput) -> Self {
        match input {
            GapInput::Ms(ms) => Self::Ms(u32::try_from(ms.0).unwrap_or(NO_GAP)),
            GapInput::None(true) => Self::None,
            // Neither a time nor none: refused as a gap of nothing is.
            GapInput::None(false) => Self::Ms(0),
        }
    }
}

impl From<GroupingKeyInput> for rules::GroupingKey {
    fn from(input: GroupingKeyInput) -> Self {
        Self {
            name: input.name,
            point: input.point,
            namespace: input.namespace,
            apps: input.apps,
            hosts: input.hosts,
            paths: input.paths,
            min_length: at_least_one(input.min_length),
            ignore: input.ignore,
            per: input.per.into(),
            secret: input.secret,
            gap: input.gap.map(rules::Gap::from),
        }
    }
}

impl From<ContextParameterInput> for rules::ContextParameter {
    fn from(input: ContextParameterInput) -> Self {
        let ContextParameterInput { name, point, kind, secret } = input;
        Self { name, point, kind: kind.into(), secret }
    }
}

impl From<FlowInput> for rules::Flow {
    fn from(input: FlowInput) -> Self {
        let pattern = |input: EndpointPatternInput| {
            let EndpointPatternInput { app, host, method, path } = input;
            rules::EndpointPattern { app, host, method, path }
        };
        Self { name: input.name, endpoints: input.endpoints.into_iter().map(pattern).collect() }
    }
}

impl From<SettingsInput> for rules::Settings {
    fn from(input: SettingsInput) -> Self {
        Self {
            gap: input.gap.into(),
            day_zone: input.day_zone,
            lateness_ms: span(input.lateness_ms),
            retention_days: input.retention_days.map(at_least_one),
            idle_timeout_ms: span(input.idle_timeout_ms),
            future_ms: input.future_ms.map(span),
        }
    }
}
