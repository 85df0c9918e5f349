//! Compilation: rules as data into what is applied, with every reason they cannot be.

use super::SecretKey;
use super::key::Applications;
use super::keys::{BuiltIn, Ignore, Key, Limits};
use super::read::Read;
use crate::address;
use crate::facts::NO_GAP;
use crate::point::Base;
use crate::rules::glob::{Of, Pattern};
use crate::rules::place::Place;
use crate::rules::{
    BUILT_IN_KEYS, EndpointPattern, Gap, GroupingKey, ParameterType, RuleSet, ScopeAction,
};

/// A compiled scope rule.
#[derive(Clone, Debug)]
pub(super) struct Scope {
    app: Pattern,
    host: Pattern,
    path: Pattern,
    method: Pattern,
    pub(super) include: bool,
}

impl Scope {
    #[inline]
    pub(super) fn matches(&self, request: &crate::request::Request<'_>) -> bool {
        self.method.matches(&request.method)
            && self.app.matches(&request.app)
            && self.host.matches(&request.host)
            && self.path.matches(&request.path)
    }
}

/// A compiled context parameter.
#[derive(Clone, Debug)]
pub(super) struct Context {
    pub(super) name: String,
    pub(super) kind: ParameterType,
    pub(super) read: Read,
}

/// A compiled flow: its name and what its endpoints look like.
#[derive(Clone, Debug)]
pub(super) struct CompiledFlow {
    pub(super) name: String,
    endpoints: Vec<EndpointGlobs>,
}

#[derive(Clone, Debug)]
struct EndpointGlobs {
    app: Pattern,
    host: Pattern,
    method: Pattern,
    path: Pattern,
}

impl CompiledFlow {
    #[inline]
    pub(super) fn matches(&self, request: &crate::request::Request<'_>, template: &str) -> bool {
        self.endpoints.iter().any(|globs| {
            globs.method.matches(&request.method)
                && globs.path.matches(template)
                && globs.app.matches(&request.app)
                && globs.host.matches(&request.host)
        })
    }
}

/// A compiled entry of the applications.
#[derive(Clone, Debug)]
pub(super) struct App {
    pub(super) name: String,
    pub(super) limits: Limits,
}

pub(super) fn scope(rules: &RuleSet, place: &Place<'_>) -> Vec<Scope> {
    let rules = rules.scope.iter().enumerate();
    let compiled = rules.map(|(number, rule)| {
        let at = place.at(number);
        Scope {
            app: at.at("app").glob(rule.app.as_deref(), Of::App),
            host: at.at("host").glob(rule.host.as_deref(), Of::Host),
            path: at.at("path").glob(rule.path.as_deref(), Of::Path),
            method: at.at("method").glob(rule.method.as_deref(), Of::Method),
            include: rule.action == ScopeAction::Include,
        }
    });
    compiled.collect()
}

/// The reading of a rule at `place`.
fn read(place: &Place<'_>, text: &str, secret: bool) -> Option<Read> {
    let point = place.at("point").point(text, secret)?;
    Some(Read { point, secret })
}

/// Milliseconds of a gap.
pub(super) fn gap_ms(gap: Gap) -> u32 {
    match gap {
        Gap::Ms(ms) => ms,
        Gap::None => NO_GAP,
    }
}

/// Namespace of a key.
pub(super) fn namespace(key: &GroupingKey) -> &str {
    key.namespace.as_deref().unwrap_or(&key.name)
}

/// The gap of a namespace: that of its first key, else that of the settings.
pub(super) fn gap_of(rules: &RuleSet, wanted: &str) -> u32 {
    let first = rules.grouping.iter().find(|key| namespace(key) == wanted);
    gap_ms(first.and_then(|key| key.gap).unwrap_or(rules.settings.gap))
}

pub(super) fn keys(rules: &RuleSet, secret: &SecretKey, place: &Place<'_>) -> Vec<Key> {
    let compile = |(number, key): (usize, &GroupingKey)| {
        let at = place.at(number);
        let limits = limits(&at, &key.apps, &key.hosts, &key.paths);
        let read = read(&at, &key.point, key.secret)?;
        // An address is compared in the form it is read in.
        let is_address = matches!(read.point.base(), Base::ClientIp);
        let ignore = key.ignore.iter().map(|value| match is_address {
            true => address::canonical(value).into_owned(),
            false => value.clone(),
        });
        let ignore: Vec<String> = ignore.collect();
        Some(Key {
            name: key.name.clone(),
            namespace: namespace(key).to_owned(),
            limits,
            read,
            min_length: key.min_length,
            ignore: Ignore::new(&ignore, secret),
            per: key.per,
            gap_ms: gap_of(rules, namespace(key)),
        })
    };
    rules.grouping.iter().enumerate().filter_map(compile).collect()
}

pub(super) fn limits(
    at: &Place<'_>,
    apps: &[String],
    hosts: &[String],
    paths: &[String],
) -> Limits {
    Limits {
        apps: at.at("apps").globs(apps, Of::App),
        hosts: at.at("hosts").globs(hosts, Of::Host),
        paths: at.at("paths").globs(paths, Of::Path),
    }
}

pub(super) fn built_in(rules: &RuleSet, secret: &SecretKey) -> BuiltIn {
    let enabled = BUILT_IN_KEYS.map(|name| !rules.disabled_built_in.iter().any(|off| off == name));
    let gaps = BUILT_IN_KEYS.map(|name| gap_of(rules, name));
    BuiltIn::new(enabled, gaps, secret)
}

pub(super) fn context(rules: &RuleSet, place: &Place<'_>) -> Vec<Context> {
    let rules = rules.context.iter().enumerate();
    let compiled = rules.filter_map(|(number, rule)| {
        let read = read(&place.at(number), &rule.point, rule.secret)?;
        Some(Context { name: rule.name.clone(), kind: rule.kind, read })
    });
    compiled.collect()
}

pub(super) fn flows(rules: &RuleSet, place: &Place<'_>) -> Vec<CompiledFlow> {
    let rules = rules.flows.iter().enumerate();
    let compiled = rules.map(|(number, rule)| {
        let at = place.at(number).at("endpoints");
        let globs = |(number, pattern): (usize, &EndpointPattern)| EndpointGlobs {
            app: at.at(number).at("app").glob(pattern.app.as_deref(), Of::App),
            host: at.at(number).at("host").glob(pattern.host.as_deref(), Of::Host),
            method: at.at(number).at("method").glob(pattern.method.as_deref(), Of::Method),
            path: at.at(number).at("path").glob(pattern.path.as_deref(), Of::Template),
        };
        let endpoints = rule.endpoints.iter().enumerate().map(globs).collect();
        CompiledFlow { name: rule.name.clone(), endpoints }
    });
    compiled.collect()
}

pub(super) fn apps(apps: &Applications, place: &Place<'_>) -> Vec<App> {
    let rules = apps.rules.iter().enumerate();
    let compiled = rules.map(|(number, rule)| {
        let limits = limits(&place.at(number), &[], &rule.hosts, &rule.paths);
        App { name: rule.name.clone(), limits }
    });
    compiled.collect()
}
