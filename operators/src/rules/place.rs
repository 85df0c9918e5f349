//! Where in a rule set something is, so that every reason it is refused for names its place.
//!
//! Checking a rule set and compiling it read globs and points by the same functions here, so what
//! passed the check compiles.

use std::cell::RefCell;

use super::edit::{EditCode, EditError};
use super::glob::{Of, Pattern};
use crate::point::Point;

/// A place in a rule set, and the errors found so far.
#[derive(Clone)]
pub(crate) struct Place<'e> {
    path: Vec<String>,
    errors: &'e RefCell<Vec<EditError>>,
}

impl<'e> Place<'e> {
    /// A list of the rule set.
    pub fn new(errors: &'e RefCell<Vec<EditError>>, list: &str) -> Self {
        Self { path: vec![list.into()], errors }
    }

    /// A place within: a position in a list, or a field.
    pub fn at(&self, step: impl ToString) -> Self {
        let mut path = self.path.clone();
        path.push(step.to_string());
        Self { path, errors: self.errors }
    }

    /// Adds an error about this place.
    pub fn refuse(&self, code: EditCode, message: impl Into<String>) {
        let error = EditError { code, path: self.path.clone(), message: message.into() };
        self.errors.borrow_mut().push(error);
    }

    /// A glob; one that does not parse is refused, and matches everything.
    pub fn glob(&self, text: Option<&str>, of: Of) -> Pattern {
        Pattern::optional(text, of).unwrap_or_else(|reason| {
            self.refuse(EditCode::InvalidGlob, reason);
            Pattern::Any
        })
    }

    /// Globs of which one must match; none: everything does.
    pub fn globs(&self, texts: &[String], of: Of) -> Vec<Pattern> {
        let patterns = texts.iter().enumerate();
        let patterns = patterns.map(|(number, text)| self.at(number).glob(Some(text), of));
        let patterns: Vec<Pattern> = patterns.collect();
        // One that matches everything is as good as none.
        let any = patterns.iter().any(|pattern| matches!(pattern, Pattern::Any));
        if any { Vec::new() } else { patterns }
    }

    /// A point, secret or not; one that does not parse is refused.
    pub fn point(&self, text: &str, secret: bool) -> Option<Point> {
        match Point::parse(text) {
            Ok(point) if secret && !point.base().can_be_secret() => {
                let reason = "this is no value of the client's, it cannot be secret";
                self.refuse(EditCode::InvalidPoint, reason);
                None
            }
            Ok(point) => Some(point),
            Err(error) => {
                self.refuse(EditCode::InvalidPoint, error.to_string());
                None
            }
        }
    }
}
