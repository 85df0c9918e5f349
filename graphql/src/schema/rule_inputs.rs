//! Rules as clients write them, translated to `rules/mod.rs` one to one. What is wrong with a point
//! or a glob is not found here but where the rule is checked, so that the answer is a modelled
//! error with its place.

use async_graphql::{InputObject, OneofObject};
use spoor_operators::facts::NO_GAP;
use spoor_operators::rules;

use super::operation::bad;
use super::request::ParameterType;
use super::rules::{Per, ScopeAction};
use super::scalars::Long;
use crate::error::ApiError;

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
    /// Shorter values (in characters) do not work.
    #[graphql(default = 1)]
    pub min_length: i32,
    /// Values that do not work.
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

/// An `Int` that cannot be negative.
fn small(name: &str, number: i32) -> Result<u32, ApiError> {
    u32::try_from(number).map_err(|_| bad(format!("`{name}` is {number}; it cannot be negative")))
}

impl From<ScopeRuleInput> for rules::ScopeRule {
    fn from(input: ScopeRuleInput) -> Self {
        let ScopeRuleInput { name, app, host, path, method, action } = input;
        Self { name, app, host, path, method, action: action.into() }
    }
}

impl TryFrom<GapInput> for rules::Gap {
    type Error = ApiError;

    fn try_from(input: GapInput) -> Result<Self, ApiError> {
        match input {
            GapInput::Ms(ms) => {
                let ms = u32::try_from(ms.0).ok().filter(|ms| *ms < NO_GAP);
                let most = NO_GAP - 1;
                ms.map(Self::Ms).ok_or_else(|| bad(format!("`gap.ms` has to be from 0 to {most}")))
            }
            GapInput::None(true) => Ok(Self::None),
            GapInput::None(false) => Err(bad("a gap is `{ms: ...}` or `{none: true}`")),
        }
    }
}

impl TryFrom<GroupingKeyInput> for rules::GroupingKey {
    type Error = ApiError;

    fn try_from(input: GroupingKeyInput) -> Result<Self, ApiError> {
        Ok(Self {
            name: input.name,
            point: input.point,
            namespace: input.namespace,
            apps: input.apps,
            hosts: input.hosts,
            paths: input.paths,
            min_length: small("minLength", input.min_length)?,
            ignore: input.ignore,
            per: input.per.into(),
            secret: input.secret,
            gap: input.gap.map(rules::Gap::try_from).transpose()?,
        })
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

impl TryFrom<SettingsInput> for rules::Settings {
    type Error = ApiError;

    fn try_from(input: SettingsInput) -> Result<Self, ApiError> {
        let positive = |number: Long, name: &str| {
            number.as_u64().ok_or_else(|| bad(format!("`{name}` is negative")))
        };
        Ok(Self {
            gap: input.gap.try_into()?,
            day_zone: input.day_zone,
            lateness_ms: positive(input.lateness_ms, "latenessMs")?,
            retention_days: input
                .retention_days
                .map(|days| small("retentionDays", days))
                .transpose()?,
            idle_timeout_ms: positive(input.idle_timeout_ms, "idleTimeoutMs")?,
            future_ms: input.future_ms.map(|ms| positive(ms, "futureMs")).transpose()?,
        })
    }
}
