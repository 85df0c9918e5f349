//! API descriptions: the endpoints an application is said to have, and what is called beside them.
//!
//! Built from OpenAPI 3 documents in JSON, for each application in the order of its versions; the
//! last is the current one. A request's endpoint is the template that describes it, the current
//! version's before an earlier one's, a literal segment before a variable. Section 6 of the
//! semantics says what is shadow and zombie; a request without a response seen (status 0) is
//! neither a proof that the endpoint exists, so it is not shadow.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde_json::Value;

use crate::endpoint;
use crate::request::Request;

/// Most segments of a described path.
pub const SEGMENTS_MAX: usize = 64;
/// Most endpoints of one document.
pub const ENDPOINTS_MAX: usize = 100_000;

const METHODS: [&str; 8] = ["get", "put", "post", "delete", "options", "head", "patch", "trace"];

/// Why a document is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DescriptionError {
    /// Not JSON.
    #[error("not JSON: {0}")]
    Json(String),
    /// JSON, and not an OpenAPI 3 document.
    #[error("not an OpenAPI 3 document in JSON: {0}")]
    NotOpenApi(&'static str),
    /// A path that cannot be matched.
    #[error("path `{path}`: {reason}")]
    Path {
        /// As the document has it.
        path: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// More than [`ENDPOINTS_MAX`] endpoints.
    #[error("a description has at most {ENDPOINTS_MAX} endpoints")]
    TooMany,
}

/// Descriptions of the applications' interfaces. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Descriptions {
    apps: Arc<HashMap<String, Vec<Version>>>,
}

/// A version by its name, and its endpoints.
pub type Listed<'a> = (&'a str, &'a [Endpoint]);

/// How a request stands to its application's descriptions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Called, and in no description of its app.
    pub shadow: bool,
    /// Called, and only in an earlier description, or marked deprecated.
    pub zombie: bool,
}

/// One described endpoint.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Endpoint {
    /// Upper case.
    pub method: String,
    /// Path template, the server's base path included.
    pub template: String,
    /// Marked deprecated.
    pub deprecated: bool,
}

#[derive(Clone, Debug)]
struct Version {
    name: String,
    endpoints: Vec<Endpoint>,
    /// Nodes of the tree of segments; the first is the root.
    nodes: Vec<Node>,
}

#[derive(Clone, Debug, Default)]
struct Node {
    literals: HashMap<String, usize>,
    /// Prefix and suffix around the variable part, the longest first.
    variables: Vec<(String, String, usize)>,
    /// Number of the endpoint, by method.
    methods: BTreeMap<String, usize>,
}

impl Descriptions {
    /// Adds a document as the newest version of an application's interface.
    ///
    /// # Errors
    /// [`DescriptionError`]; nothing is added then.
    pub fn add(&mut self, app: &str, document: &str) -> Result<(), DescriptionError> {
        let version = Version::read(document)?;
        Arc::make_mut(&mut self.apps).entry(app.to_owned()).or_default().push(version);
        Ok(())
    }

    /// Everything they say, in one order: equal for descriptions that judge alike.
    #[must_use]
    pub fn listing(&self) -> Vec<(&str, Vec<Listed<'_>>)> {
        let mut apps: Vec<(&str, Vec<_>)> = Vec::new();
        for (app, versions) in &*self.apps {
            let versions = versions.iter();
            let versions = versions.map(|version| (version.name.as_str(), &version.endpoints[..]));
            apps.push((app, versions.collect()));
        }
        apps.sort_unstable_by_key(|(app, _)| *app);
        apps
    }

    /// Whether an application has a description.
    #[must_use]
    pub fn describes(&self, app: &str) -> bool {
        self.apps.contains_key(app)
    }

    /// Names of an application's versions, the current one last.
    pub fn versions(&self, app: &str) -> impl Iterator<Item = &str> {
        self.apps.get(app).into_iter().flatten().map(|version| version.name.as_str())
    }

    /// The endpoints of an application's current description: those never called are orphans.
    #[must_use]
    pub fn current(&self, app: &str) -> &[Endpoint] {
        let current = self.apps.get(app).and_then(|versions| versions.last());
        current.map_or(&[], |version| &version.endpoints)
    }

    /// Appends the path template of a request, and judges it.
    pub fn judge(&self, request: &Request<'_>, out: &mut String) -> Verdict {
        let versions = if self.apps.is_empty() { None } else { self.apps.get(&*request.app) };
        let Some(versions) = versions else {
            endpoint::push_template(&request.path, out);
            return Verdict::default();
        };
        for (age, version) in versions.iter().rev().enumerate() {
            if let Some(found) = version.find(&request.method, &request.path) {
                out.push_str(&found.template);
                let zombie = age > 0 || found.deprecated;
                return Verdict { shadow: false, zombie };
            }
        }
        endpoint::push_template(&request.path, out);
        Verdict { shadow: (1..400).contains(&request.status), zombie: false }
    }
}

impl Version {
    fn read(document: &str) -> Result<Self, DescriptionError> {
        let document: Value = serde_json::from_str(document)
            .map_err(|error| DescriptionError::Json(error.to_string()))?;
        let kind = document.get("openapi").and_then(Value::as_str).unwrap_or_default();
        if !kind.starts_with("3.") {
            return Err(DescriptionError::NotOpenApi("`openapi` is not `3.…`"));
        }
        let no_paths = DescriptionError::NotOpenApi("`paths` is not an object");
        let paths = match document.get("paths") {
            Some(paths) => paths.as_object().ok_or(no_paths)?,
            None => return Err(no_paths),
        };
        let name = document.pointer("/info/version").and_then(Value::as_str).unwrap_or_default();
        let nodes = vec![Node::default()];
        let mut version = Self { name: name.to_owned(), endpoints: Vec::new(), nodes };
        for base in base_paths(&document) {
            for (path, item) in paths {
                for method in METHODS {
                    let Some(operation) = item.get(method) else { continue };
                    let deprecated = operation.get("deprecated").and_then(Value::as_bool);
                    version.insert(&base, path, method, deprecated.unwrap_or(false))?;
                }
            }
        }
        version.endpoints.shrink_to_fit();
        Ok(version)
    }

    fn insert(
        &mut self,
        base: &str,
        path: &str,
        method: &str,
        deprecated: bool,
    ) -> Result<(), DescriptionError> {
        let refuse = |reason| DescriptionError::Path { path: path.to_owned(), reason };
        if !path.starts_with('/') {
            return Err(refuse("a path begins with `/`"));
        }
        if self.endpoints.len() == ENDPOINTS_MAX {
            return Err(DescriptionError::TooMany);
        }
        let whole = format!("{base}{path}");
        let template = without_slash(&whole);
        if template.split('/').count() > SEGMENTS_MAX {
            return Err(refuse("too many segments"));
        }
        let mut node = 0;
        for segment in template.split('/') {
            node = self.step(node, segment).ok_or_else(|| refuse("braces do not pair"))?;
        }
        let method = method.to_ascii_uppercase();
        let number = self.endpoints.len();
        // Of two equal paths, as of two servers with one base, the first is it.
        if let std::collections::btree_map::Entry::Vacant(free) =
            self.nodes[node].methods.entry(method.clone())
        {
            free.insert(number);
            let template = template.to_owned();
            self.endpoints.push(Endpoint { method, template, deprecated });
        }
        Ok(())
    }

    /// The node below for a segment of a template.
    fn step(&mut self, node: usize, segment: &str) -> Option<usize> {
        let new = self.nodes.len();
        let next = match (segment.find('{'), segment.rfind('}')) {
            (None, None) => *self.nodes[node].literals.entry(segment.to_owned()).or_insert(new),
            (Some(open), Some(close)) if open < close => {
                let (prefix, suffix) = (&segment[..open], &segment[close + 1..]);
                let variables = &mut self.nodes[node].variables;
                let known = variables.iter().find(|(p, s, _)| p == prefix && s == suffix);
                known.map_or(new, |(_, _, next)| *next)
            }
            _ => return None,
        };
        if next == new {
            if let (Some(open), Some(close)) = (segment.find('{'), segment.rfind('}')) {
                let variables = &mut self.nodes[node].variables;
                let parts = (segment[..open].to_owned(), segment[close + 1..].to_owned(), new);
                variables.push(parts);
                variables.sort_by_key(|(p, s, _)| std::cmp::Reverse(p.len() + s.len()));
            }
            self.nodes.push(Node::default());
        }
        Some(next)
    }

    fn find(&self, method: &str, path: &str) -> Option<&Endpoint> {
        let mut budget = FIND_STEPS_MAX;
        let number = self.find_below(0, Some(without_slash(path)), method, &mut budget)?;
        self.endpoints.get(number)
    }

    /// Depth is that of the tree, which [`SEGMENTS_MAX`] bounds.
    fn find_below(
        &self,
        node: usize,
        rest: Option<&str>,
        method: &str,
        budget: &mut u32,
    ) -> Option<usize> {
        *budget = budget.checked_sub(1)?;
        let node = &self.nodes[node];
        let Some(rest) = rest else { return node.methods.get(method).copied() };
        let (segment, rest) = match rest.split_once('/') {
            Some((segment, rest)) => (segment, Some(rest)),
            None => (rest, None),
        };
        if let Some(&next) = node.literals.get(segment)
            && let Some(found) = self.find_below(next, rest, method, budget)
        {
            return Some(found);
        }
        node.variables.iter().find_map(|(prefix, suffix, next)| {
            let inside = segment.strip_prefix(prefix.as_str())?.strip_suffix(suffix.as_str())?;
            if inside.is_empty() {
                return None;
            }
            self.find_below(*next, rest, method, budget)
        })
    }
}

/// Most nodes looked at for one request, so that no path can be made to cost more.
const FIND_STEPS_MAX: u32 = 4_096;

fn without_slash(path: &str) -> &str {
    match path.strip_suffix('/') {
        Some("") | None => path,
        Some(rest) => rest,
    }
}

/// The distinct base paths of a document's servers; without servers, the empty one.
fn base_paths(document: &Value) -> Vec<String> {
    let servers = document.get("servers").and_then(Value::as_array).into_iter().flatten();
    let mut bases: Vec<String> = Vec::new();
    for server in servers {
        let url = server.get("url").and_then(Value::as_str).unwrap_or_default();
        let path = match url.split_once("://") {
            Some((_, rest)) => rest.find('/').map_or("", |at| &rest[at..]),
            None => url,
        };
        let base = path.trim_end_matches('/').to_owned();
        let usable = base.is_empty() || base.starts_with('/');
        if usable && !bases.contains(&base) {
            bases.push(base);
        }
    }
    if bases.is_empty() { vec![String::new()] } else { bases }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = r#"{"openapi":"3.0.3","info":{"version":"1"},"paths":{
        "/users/{id}":{"get":{}},
        "/legacy":{"get":{}},
        "/files/{name}.json":{"get":{}}}}"#;
    const NEW: &str = r#"{"openapi":"3.1.0","info":{"version":"2"},
        "servers":[{"url":"https://api.example/"},{"url":"/v2"}],"paths":{
        "/users/{id}":{"get":{},"delete":{"deprecated":true},"parameters":[]},
        "/users/me":{"get":{}},
        "/users/{id}/orders/{order}/":{"get":{}},
        "/":{"get":{}}}}"#;

    fn descriptions() -> Descriptions {
        let mut all = Descriptions::default();
        all.add("shop", OLD).unwrap();
        all.add("shop", NEW).unwrap();
        all
    }

    fn check(call: &str, status: u16, expected: (&str, bool, bool)) {
        let (method, path) = call.split_once(' ').unwrap();
        let request = Request {
            app: "shop".into(),
            method: method.into(),
            path: path.into(),
            status,
            ..Request::default()
        };
        let mut template = String::new();
        let verdict = descriptions().judge(&request, &mut template);
        assert_eq!((template.as_str(), verdict.shadow, verdict.zombie), expected, "{call}");
    }

    #[test]
    fn a_request_is_what_the_descriptions_say_or_shadow() {
        for (call, status, expected) in [
            ("GET /users/7", 200, ("/users/{id}", false, false)),
            ("GET /users/me", 200, ("/users/me", false, false)),
            ("GET /users/me/", 200, ("/users/me", false, false)),
            ("GET /v2/users/me", 200, ("/v2/users/me", false, false)),
            ("DELETE /users/me", 204, ("/users/{id}", false, true)),
            ("GET /users/me/orders/1", 200, ("/users/{id}/orders/{order}", false, false)),
            ("GET /legacy", 200, ("/legacy", false, true)),
            ("GET /files/a.json", 404, ("/files/{name}.json", false, true)),
            ("GET /files/.json", 200, ("/files/.json", true, false)),
            ("GET /", 200, ("/", false, false)),
            ("POST /users/7", 200, ("/users/{int}", true, false)),
            ("GET /nope/7", 399, ("/nope/{int}", true, false)),
            ("GET /nope/7", 400, ("/nope/{int}", false, false)),
            ("GET /nope/7", 0, ("/nope/{int}", false, false)),
        ] {
            check(call, status, expected);
        }
        let request =
            Request { app: "x".into(), path: "/a".into(), status: 200, ..Request::default() };
        let verdict = descriptions().judge(&request, &mut String::new());
        assert_eq!(verdict, Verdict::default(), "an app without a description has no shadow");
    }

    #[test]
    fn the_current_version_is_what_can_be_orphan() {
        let all = descriptions();
        assert_eq!(all.versions("shop").collect::<Vec<_>>(), ["1", "2"]);
        let templates: Vec<&str> =
            all.current("shop").iter().map(|endpoint| endpoint.template.as_str()).collect();
        assert!(templates.contains(&"/v2/users/me") && !templates.contains(&"/legacy"));
        assert!(all.current("x").is_empty() && !all.describes("x"));
    }

    #[test]
    fn a_document_that_is_none_is_refused_with_the_reason() {
        let deep =
            format!(r#"{{"openapi":"3.0.0","paths":{{"{}":{{"get":{{}}}}}}}}"#, "/a".repeat(65));
        for (document, reason) in [
            ("{", "not JSON"),
            ("[]", "`openapi`"),
            (r#"{"swagger":"2.0"}"#, "`openapi`"),
            (r#"{"openapi":"3.0.0"}"#, "`paths`"),
            (r#"{"openapi":"3.0.0","paths":[]}"#, "`paths`"),
            (r#"{"openapi":"3.0.0","paths":{"a":{"get":{}}}}"#, "begins with `/`"),
            (r#"{"openapi":"3.0.0","paths":{"/}a{":{"get":{}}}}"#, "braces"),
            (deep.as_str(), "too many segments"),
        ] {
            let error = Descriptions::default().add("a", document).unwrap_err();
            assert!(error.to_string().contains(reason), "{error}");
        }
    }

    #[test]
    fn alike_templates_are_told_apart_by_what_follows() {
        let mut paths = String::new();
        for number in 0..2_u32.pow(6) {
            let path: String =
                (0..6).map(|bit| if number >> bit & 1 == 0 { "/a" } else { "/{x}" }).collect();
            paths.push_str(&format!(
                r#"{}"{path}/end{number}":{{"get":{{}}}}"#,
                if number == 0 { "" } else { "," }
            ));
        }
        let mut all = Descriptions::default();
        all.add("a", &format!(r#"{{"openapi":"3.0.0","paths":{{{paths}}}}}"#)).unwrap();
        let path = "/a".repeat(6) + "/end63";
        let request = Request {
            app: "a".into(),
            method: "GET".into(),
            path: path.into(),
            ..Request::default()
        };
        let mut template = String::new();
        all.judge(&request, &mut template);
        assert_eq!(template, "/{x}".repeat(6) + "/end63");
    }
}
