//! API descriptions: what endpoints an application is said to have.

use crate::endpoint;
use crate::request::Request;

/// Descriptions of the applications' interfaces.
#[derive(Clone, Debug, Default)]
pub struct Descriptions {}

/// How a request stands to its application's descriptions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Called, and in no description of its app.
    pub shadow: bool,
    /// Called, and only in an earlier description, or marked deprecated.
    pub zombie: bool,
}

impl Descriptions {
    /// Appends the path template of a request, and judges it.
    pub fn judge(&self, request: &Request<'_>, out: &mut String) -> Verdict {
        endpoint::push_template(&request.path, out);
        Verdict::default()
    }
}
