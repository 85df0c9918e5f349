//! The native form: one JSON object a line.
//!
//! Two paths. [`fast`] reads the usual line in one pass, borrows everything and answers "unusual"
//! to whatever it does not know for certain to be good. [`general`] reads anything, slowly and
//! exactly, and is the only one that refuses; so a reason never depends on the path. That both
//! agree on every line the fast one takes is tested against a third, plain reading.
//!
//! Where the semantics are silent: `null` is absence; of equal names the last counts; `app`,
//! `user_agent` and `url` that are empty are absent; an explicit `host`, `path` or `query` wins over
//! the same part of `url`; an integer has no fraction and no exponent; form values may also be
//! numbers or booleans (kept as JSON writes them); cookies fall back to their headers when none
//! were given.

mod fast;
mod general;
mod scan;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use serde_json::value::RawValue;
use spoor_operators::request::Request;

use super::error::Refusal;

/// Reads a line into an empty record. Implicit ids are left to the caller.
///
/// # Errors
/// The rule the line breaks.
pub fn read<'a>(line: &'a str, request: &mut Request<'a>) -> Result<(), Refusal> {
    if fast::read(line, request).is_none() {
        *request = general::read(line)?;
    }
    Ok(())
}

/// Reads of an object that is refused what can be read. The names and raw values of fields that
/// cannot, and of those no record has, come back.
pub fn read_what_can_be<'a>(
    entries: &'a [(Cow<'a, str>, &'a RawValue)],
    request: &mut Request<'a>,
) -> Vec<(&'a str, &'a str)> {
    general::read_what_can_be(entries, request)
}
