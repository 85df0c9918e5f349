//! Globs of rules, compiled: the usual ones (none, `*`, a plain text) without any matcher.
//!
//! `*`, `?`, `[...]` and `{a,b}` as in shells. In paths `*` and `?` stay within a segment and `**`
//! does not. Case is not told apart in hosts and methods.

use globset::{GlobBuilder, GlobMatcher};

/// What a glob is about, which decides how it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Of {
    /// An application.
    App,
    /// A host.
    Host,
    /// A method.
    Method,
    /// A raw path.
    Path,
    /// A path template, where `{` and `}` are plain.
    Template,
}

/// A compiled glob.
#[derive(Clone, Debug)]
pub(crate) enum Pattern {
    Any,
    Exact(String),
    ExactAnyCase(String),
    Glob(GlobMatcher),
}

impl Pattern {
    /// Compiles a glob. The error says in words what is wrong.
    pub(crate) fn new(text: &str, of: Of) -> Result<Self, String> {
        let any_case = matches!(of, Of::Host | Of::Method);
        let is_path = matches!(of, Of::Path | Of::Template);
        if text == "**" || (text == "*" && !is_path) {
            return Ok(Self::Any);
        }
        let text = if of == Of::Template { escape_braces(text) } else { text.to_owned() };
        if !text.contains(['*', '?', '[', ']', '{', '}', '\\']) {
            return Ok(if any_case { Self::ExactAnyCase(text) } else { Self::Exact(text) });
        }
        let glob = GlobBuilder::new(&text)
            .literal_separator(is_path)
            .case_insensitive(any_case)
            .backslash_escape(true)
            .build();
        match glob {
            Ok(glob) => Ok(Self::Glob(glob.compile_matcher())),
            Err(error) => Err(error.kind().to_string()),
        }
    }

    /// An absent glob matches everything.
    pub(crate) fn optional(text: Option<&str>, of: Of) -> Result<Self, String> {
        text.map_or(Ok(Self::Any), |text| Self::new(text, of))
    }

    #[inline]
    pub(crate) fn matches(&self, text: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(known) => known == text,
            Self::ExactAnyCase(known) => known.eq_ignore_ascii_case(text),
            Self::Glob(glob) => glob.is_match(text),
        }
    }
}

/// Whether one of the patterns matches, or there are none.
#[inline]
pub(crate) fn any_of(patterns: &[Pattern], text: &str) -> bool {
    patterns.is_empty() || patterns.iter().any(|pattern| pattern.matches(text))
}

fn escape_braces(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 4);
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => {
                out.push(c);
                out.extend(chars.next());
            }
            '{' | '}' => out.extend(['\\', c]),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_glob_means_what_its_place_says() {
        for (glob, of, text, expected) in [
            ("*", Of::Host, "a.b", true),
            ("*.Example", Of::Host, "shop.EXAMPLE", true),
            ("shop", Of::App, "Shop", false),
            ("shop*", Of::App, "shop-eu/x", true),
            ("get", Of::Method, "GET", true),
            ("{GET,HEAD}", Of::Method, "HEAD", true),
            ("/a/*", Of::Path, "/a/b", true),
            ("/a/*", Of::Path, "/a/b/c", false),
            ("/a/**", Of::Path, "/a/b/c", true),
            ("/a/**", Of::Path, "/b", false),
            ("**", Of::Path, "", true),
            ("**/login", Of::Path, "/x/y/login", true),
            ("/u/{int}", Of::Template, "/u/{int}", true),
            ("/u/{int}/*", Of::Template, "/u/{int}/x", true),
            ("/u/*", Of::Template, "/u/{uuid}", true),
            ("/u/{int}", Of::Template, "/u/int", false),
            ("/u/{a,b}", Of::Path, "/u/b", true),
        ] {
            let pattern = Pattern::new(glob, of).unwrap();
            assert_eq!(pattern.matches(text), expected, "{glob} on {text}");
        }
        assert!(Pattern::new("[", Of::Path).is_err());
        assert!(Pattern::new("{a", Of::Host).is_err());
    }
}
