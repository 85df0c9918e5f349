//! Endpoints: a raw path turned into a template, where no API description says better.
//!
//! Section 6 of the semantics: a segment that is a whole number, a decimal number, a UUID or a long
//! hexadecimal word with a digit in it is replaced by what it is; a trailing `/` is dropped. A
//! redacted segment is `{secret}`. Written on bytes, without regular expressions: every request
//! passes.

/// Least length of a hexadecimal word.
const HEX_MIN: usize = 16;

/// Appends the template of a raw path.
pub fn push_template(path: &str, out: &mut String) {
    let path = match path.strip_suffix('/') {
        Some("") | None => path,
        Some(rest) => rest,
    };
    if path.is_empty() {
        out.push('/');
        return;
    }
    for (number, segment) in path.split('/').enumerate() {
        if number > 0 {
            out.push('/');
        }
        out.push_str(variable(segment.as_bytes()).unwrap_or(segment));
    }
}

/// What stands for a segment that varies.
fn variable(segment: &[u8]) -> Option<&'static str> {
    let first = *segment.first()?;
    if first == 1 {
        return Some("{secret}");
    }
    if !first.is_ascii_hexdigit() {
        return None;
    }
    let digits = segment.iter().take_while(|b| b.is_ascii_digit()).count();
    if digits == segment.len() {
        return Some("{int}");
    }
    if digits > 0 && segment[digits] == b'.' {
        let fraction = &segment[digits + 1..];
        let float = !fraction.is_empty() && fraction.iter().all(u8::is_ascii_digit);
        return float.then_some("{float}");
    }
    if segment.len() < HEX_MIN {
        return None;
    }
    if is_uuid(segment) {
        return Some("{uuid}");
    }
    let hex = segment.iter().all(u8::is_ascii_hexdigit) && segment.iter().any(u8::is_ascii_digit);
    hex.then_some("{hex}")
}

fn is_uuid(segment: &[u8]) -> bool {
    segment.len() == 36
        && segment.iter().enumerate().all(|(at, b)| match at {
            8 | 13 | 18 | 23 => *b == b'-',
            _ => b.is_ascii_hexdigit(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, expected: &str) {
        let mut out = String::new();
        push_template(path, &mut out);
        assert_eq!(out, expected, "{path}");
    }

    #[test]
    fn what_varies_in_a_path_is_replaced_by_what_it_is() {
        for (path, expected) in [
            ("/", "/"),
            ("", "/"),
            ("*", "*"),
            ("/a/b/", "/a/b"),
            ("//", "/"),
            ("/users/42", "/users/{int}"),
            ("/users/42/", "/users/{int}"),
            ("/v1/users/007/x", "/v1/users/{int}/x"),
            ("/rate/1.5", "/rate/{float}"),
            ("/rate/1.5.2", "/rate/1.5.2"),
            ("/rate/1.", "/rate/1."),
            ("/rate/.5", "/rate/.5"),
            ("/o/123e4567-e89b-12d3-a456-426614174000", "/o/{uuid}"),
            ("/o/123E4567-E89B-12D3-A456-426614174000", "/o/{uuid}"),
            ("/o/123e4567-e89b-12d3-a456-42661417400", "/o/123e4567-e89b-12d3-a456-42661417400"),
            ("/o/0123456789abcdef", "/o/{hex}"),
            ("/o/0123456789abcde", "/o/0123456789abcde"),
            ("/o/abcdefabcdefabcd", "/o/abcdefabcdefabcd"),
            ("/o/1234567890123456", "/o/{int}"),
            ("/a//b", "/a//b"),
            ("/caf%C3%A9/é", "/caf%C3%A9/é"),
            ("/t/\u{1}00112233445566778899aabbccddeeff~9", "/t/{secret}"),
        ] {
            check(path, expected);
        }
    }
}
