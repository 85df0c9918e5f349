//! Globs as regular expressions.
//!
//! `*` and `?` stay within a segment of a path, `**` as a whole segment does not; elsewhere nothing
//! separates. `[...]` and `{a,b}` as in shells, a backslash makes the next character plain.

use regex::Regex;

/// What a glob is matched with.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Of {
    App,
    Host,
    Method,
    Path,
    /// A path in which braces are plain.
    Template,
}

/// A glob, compiled.
#[derive(Clone, Debug)]
pub struct Glob(Regex);

impl Glob {
    /// Compiles a glob; why not, in words.
    pub fn new(pattern: &str, of: Of) -> Result<Self, String> {
        let any_case = matches!(of, Of::Host | Of::Method);
        let is_path = matches!(of, Of::Path | Of::Template);
        let mut re = String::from(if any_case { "(?is)^" } else { "(?s)^" });
        if pattern == "**" {
            re.push_str(".*");
        } else {
            let chars: Vec<char> = pattern.chars().collect();
            translate(&chars, is_path, of != Of::Template, &mut re)?;
        }
        re.push('$');
        Regex::new(&re).map(Self).map_err(|error| format!("glob {pattern}: {error}"))
    }

    /// Whether it matches a text.
    pub fn matches(&self, text: &str) -> bool {
        self.0.is_match(text)
    }
}

fn translate(glob: &[char], is_path: bool, braces: bool, re: &mut String) -> Result<(), String> {
    let (any, one) = if is_path { ("[^/]*", "[^/]") } else { (".*", ".") };
    let mut at = 0;
    while at < glob.len() {
        let rest = &glob[at..];
        let starts = at == 0 || glob[at - 1] == '/';
        if is_path && starts && rest.starts_with(&['*', '*', '/']) {
            // Any number of whole segments, none too.
            re.push_str(if at == 0 { "(?:/?|.*/)" } else { "(?:|.*/)" });
            at += 3;
            continue;
        }
        if is_path && starts && rest == ['*', '*'] {
            re.push_str(".*");
            return Ok(());
        }
        match rest[0] {
            '*' => re.push_str(any),
            '?' => re.push_str(one),
            '\\' if rest.len() > 1 => {
                re.push_str(&regex::escape(&rest[1].to_string()));
                at += 1;
            }
            '[' => {
                let end = rest.iter().skip(2).position(|c| *c == ']').ok_or("`[` is not closed")?;
                let inside = &rest[1..end + 2];
                let negated = matches!(inside[0], '!' | '^');
                re.push_str(if negated { "[^" } else { "[" });
                for c in &inside[usize::from(negated)..] {
                    match c {
                        '-' => re.push('-'),
                        c => re.push_str(&regex::escape(&c.to_string())),
                    }
                }
                re.push(']');
                at += end + 2;
            }
            '{' if braces => {
                let end = rest.iter().position(|c| *c == '}').ok_or("`{` is not closed")?;
                let either: Result<Vec<String>, String> = rest[1..end]
                    .split(|c| *c == ',')
                    .map(|part| {
                        let mut re = String::new();
                        translate(part, is_path, braces, &mut re)?;
                        Ok(re)
                    })
                    .collect();
                re.push_str(&format!("(?:{})", either?.join("|")));
                at += end;
            }
            plain => re.push_str(&regex::escape(&plain.to_string())),
        }
        at += 1;
    }
    Ok(())
}

/// Whether one of the globs matches, or there are none.
pub fn any(globs: &[Glob], text: &str) -> bool {
    globs.is_empty() || globs.iter().any(|glob| glob.matches(text))
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
            ("{GET,HEAD}", Of::Method, "head", true),
            ("/a/*", Of::Path, "/a/b/c", false),
            ("/a/**", Of::Path, "/a/b/c", true),
            ("/a/**", Of::Path, "/b", false),
            ("**", Of::Path, "", true),
            ("**/login", Of::Path, "/x/y/login", true),
            ("/a/**/z", Of::Path, "/a/z", true),
            ("/a/**/z", Of::Path, "/a/b/c/z", true),
            ("/u/{int}/*", Of::Template, "/u/{int}/x", true),
            ("/u/{int}", Of::Template, "/u/int", false),
            ("/u/{a,b}", Of::Path, "/u/b", true),
            ("/v[0-9]/[!a]", Of::Path, "/v2/b", true),
            ("/v[0-9]/[!a]", Of::Path, "/v2/a", false),
            (r"/\*", Of::Path, "/*", true),
            (r"/\*", Of::Path, "/a", false),
        ] {
            assert_eq!(Glob::new(glob, of).unwrap().matches(text), expected, "{glob} on {text}");
        }
        assert!(Glob::new("[", Of::Path).is_err() && Glob::new("{a", Of::Host).is_err());
    }
}
