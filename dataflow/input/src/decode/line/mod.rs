//! One engine for formats of one record a line.
//!
//! A format is compiled to steps: what stands before a value, where the value ends, and which field
//! it is. It comes from the format string of a server ([`template`]), from a regular expression with
//! named groups ([`pattern`]), or is built in ([`builtin`]). Reading walks the steps once over the
//! line and borrows every value.
//!
//! Invariants: `-` and an empty value are absence. A quoted value ends at the first quote that is
//! not escaped and behind which the rest of the line still fits; only if none does, at one that is
//! escaped; so a raw quote in a user agent does not cut it. Escapes stay as the log has them.

pub mod builtin;
pub mod dialect;
pub mod pattern;
mod scan;
pub mod template;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use spoor_operators::request::Request;

pub use dialect::Dialect;

use super::error::Refusal;
use super::record::{Field, Parts};
use super::site::InputSettings;
use spoor_api::codes::RefusalCode;

/// A format of lines, ready to read.
#[derive(Clone, Debug)]
pub struct LineFormat {
    name: String,
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    Steps(Steps),
    Pattern(pattern::Pattern),
}

/// Steps in order.
#[derive(Clone, Debug, Default)]
pub(super) struct Steps {
    steps: Vec<Step>,
    /// What follows the last value.
    tail: Vec<u8>,
    /// Steps a good line has; the others may be missing at its end.
    needed: usize,
    /// Whether more may follow.
    open: bool,
}

/// A value, and what stands before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Step {
    /// Blanks count as one and match any number.
    before: Vec<u8>,
    field: Field,
    shape: Shape,
}

/// Where a value ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// In quotes, or a bare `-`.
    Quoted,
    /// In brackets.
    Bracketed,
    /// In braces, or not there at all.
    Braced,
    /// Before the next blank, or the end.
    Word,
    /// So many words.
    Words(usize),
    /// Words, as long as they end with `,` or `:` stands alone: a list of upstreams or addresses.
    List,
    /// As [`Shape::List`], maybe in quotes; or nothing, when no addresses are there.
    Addresses,
    /// One address with the blank behind it, or nothing.
    Address,
    /// Before the next byte of this kind.
    Until(u8),
    /// Before the last byte of this kind in the word; the whole word if there is none.
    BeforeLast(u8),
    /// Before this text.
    Before(Vec<u8>),
    /// All that is left.
    Rest,
}

impl LineFormat {
    /// Of steps.
    pub(super) fn of_steps(name: &str, steps: Steps) -> Self {
        Self { name: name.into(), kind: Kind::Steps(steps) }
    }

    /// Of a format string of a server.
    ///
    /// # Errors
    /// What of it cannot be read back, in words.
    pub fn pasted(name: &str, dialect: Dialect, text: &str) -> Result<Self, String> {
        let pieces = dialect::read(dialect, text)?;
        template::steps(pieces).map(|steps| Self::of_steps(name, steps))
    }

    /// Of a regular expression with named groups.
    ///
    /// # Errors
    /// It does not parse, or lacks what a record needs.
    pub fn regex(name: &str, text: &str) -> Result<Self, String> {
        pattern::Pattern::compile(text).map(|pattern| Self::of_pattern(name, pattern))
    }

    /// Of a regular expression.
    pub(super) fn of_pattern(name: &str, pattern: pattern::Pattern) -> Self {
        Self { name: name.into(), kind: Kind::Pattern(pattern) }
    }

    /// Name, as `--format` takes it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Reads a line into an empty record. Implicit ids are left to the caller.
    ///
    /// # Errors
    /// The rule the line breaks.
    pub(super) fn read<'a>(
        &'a self,
        line: &'a str,
        settings: &InputSettings,
        request: &mut Request<'a>,
    ) -> Result<(), Refusal> {
        match &self.kind {
            Kind::Steps(steps) => steps.read(line.trim_ascii(), settings, request),
            Kind::Pattern(pattern) => pattern.read(line.trim_ascii(), settings, request),
        }
    }
}

impl Steps {
    #[inline]
    fn read<'a>(
        &'a self,
        line: &'a str,
        settings: &InputSettings,
        request: &mut Request<'a>,
    ) -> Result<(), Refusal> {
        match self.take(line, settings, request) {
            // Of a line of another format it is not the value that is wrong.
            Err(refusal) if refusal.code != RefusalCode::BadLine => {
                Err(self.lacking(line).unwrap_or(refusal))
            }
            done => done,
        }
    }

    /// What a line lacks of the format, whatever its values are.
    #[cold]
    fn lacking(&self, line: &str) -> Option<Refusal> {
        let mut at = 0;
        for (number, step) in self.steps.iter().enumerate().take(self.needed) {
            let found = scan::before(line, at, &step.before)
                .and_then(|at| scan::value(line, at, step, self.behind(number)));
            let Some(found) = found else { return Some(bad_line(step.field.name())) };
            at = found.next;
        }
        None
    }

    #[inline]
    fn take<'a>(
        &'a self,
        line: &'a str,
        settings: &InputSettings,
        request: &mut Request<'a>,
    ) -> Result<(), Refusal> {
        let mut parts = Parts::new(settings);
        let mut at = 0;
        for (number, step) in self.steps.iter().enumerate() {
            let found = scan::before(line, at, &step.before)
                .and_then(|at| scan::value(line, at, step, self.behind(number)));
            let Some(scan::Found { value, next }) = found else {
                if number >= self.needed {
                    break;
                }
                return Err(bad_line(step.field.name()));
            };
            at = next;
            let text = &line[value];
            if !matches!(text, "" | "-") || matches!(step.field, Field::RequestLine) {
                if matches!(step.field, Field::Status) && !is_status(text) {
                    return Err(bad_line("status"));
                }
                parts.put(&step.field, Cow::Borrowed(text), request)?;
            }
        }
        if !self.open && !is_end(&line[at..], &self.tail) {
            return Err(Refusal {
                code: RefusalCode::BadLine,
                reason: "not a line of this format: more follows than it says".into(),
            });
        }
        parts.finish(request)
    }

    /// What comes behind a step.
    fn behind(&self, number: usize) -> scan::Behind<'_> {
        scan::Behind { next: self.steps.get(number + 1), tail: &self.tail, open: self.open }
    }
}

/// Digits; `-1` and the like are what HAProxy writes of a request that was not answered.
#[inline]
fn is_status(text: &str) -> bool {
    let text = text.strip_prefix('-').unwrap_or(text);
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_end(rest: &str, tail: &[u8]) -> bool {
    let rest = rest.as_bytes();
    rest.is_empty() || rest.trim_ascii() == tail.trim_ascii()
}

fn bad_line(missing: &str) -> Refusal {
    Refusal {
        code: RefusalCode::BadLine,
        reason: format!("not a line of this format: it has no {missing}"),
    }
}
