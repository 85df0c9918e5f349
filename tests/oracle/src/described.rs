//! What applications' interfaces are said to be, and how a request stands to that.

use std::collections::BTreeMap;

use super::record::Record;
use super::sessions::template;

/// A described endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Upper case.
    pub method: String,
    /// Path with `{name}` where it varies.
    pub template: String,
    pub deprecated: bool,
}

/// The endpoints of each version of each application, the current version last.
#[derive(Clone, Debug, Default)]
pub struct Described(pub BTreeMap<String, Vec<Vec<Endpoint>>>);

/// What a request's endpoint is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judged {
    pub template: String,
    pub shadow: bool,
    pub zombie: bool,
}

impl Described {
    /// The endpoint of a request of an application: the current description's before an earlier
    /// one's, a literal segment before one that varies.
    pub fn judge(&self, app: &str, request: &Record) -> Judged {
        let otherwise =
            |shadow| Judged { template: template(&request.path), shadow, zombie: false };
        let Some(versions) = self.0.get(app) else { return otherwise(false) };
        for (age, version) in versions.iter().rev().enumerate() {
            let of_method = version.iter().filter(|known| known.method == request.method);
            let ranked = of_method.filter_map(|known| Some((rank(known, &request.path)?, known)));
            // Of equal ones the first.
            if let Some((_, found)) = ranked.min_by(|one, other| one.0.cmp(&other.0)) {
                let zombie = age > 0 || found.deprecated;
                return Judged { template: found.template.clone(), shadow: false, zombie };
            }
        }
        otherwise((1..400).contains(&request.status))
    }
}

fn without_slash(path: &str) -> &str {
    match path.strip_suffix('/') {
        Some("") | None => path,
        Some(rest) => rest,
    }
}

/// How exactly a template describes a path, least first, segment by segment; none: not at all.
fn rank(endpoint: &Endpoint, path: &str) -> Option<Vec<usize>> {
    let template: Vec<&str> = endpoint.template.split('/').collect();
    let path: Vec<&str> = without_slash(path).split('/').collect();
    if template.len() != path.len() {
        return None;
    }
    let of_segment = |(template, segment): (&&str, &&str)| {
        let (Some(open), Some(close)) = (template.find('{'), template.rfind('}')) else {
            return (template == segment).then_some(0);
        };
        let (prefix, suffix) = (&template[..open], &template[close + 1..]);
        let inside = segment.strip_prefix(prefix)?.strip_suffix(suffix)?;
        (!inside.is_empty()).then_some(usize::MAX - prefix.len() - suffix.len())
    };
    template.iter().zip(&path).map(of_segment).collect()
}
