//! Where a value of a line begins and ends.

use std::ops::Range;

use super::{Shape, Step};
use crate::decode::record::Field;
use crate::decode::value;

/// A value and where what follows it begins.
pub(super) struct Found {
    pub value: Range<usize>,
    pub next: usize,
}

/// What comes behind a value, for values that have to look ahead.
#[derive(Clone, Copy)]
pub(super) struct Behind<'f> {
    pub next: Option<&'f Step>,
    pub tail: &'f [u8],
    pub open: bool,
}

/// Passes what stands before a value; blanks match any number of blanks.
#[inline]
pub(super) fn before(line: &str, mut at: usize, text: &[u8]) -> Option<usize> {
    let bytes = line.as_bytes();
    for byte in text {
        if *byte == b' ' {
            let blanks = bytes[at..].iter().take_while(|byte| is_blank(**byte)).count();
            // The value before may have been nothing, and its blank be behind us.
            if blanks == 0 && at > 0 && !is_blank(bytes[at - 1]) {
                return None;
            }
            at += blanks;
        } else if bytes.get(at) == Some(byte) {
            at += 1;
        } else {
            return None;
        }
    }
    Some(at)
}

#[inline]
fn is_blank(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}

/// The value of a step that begins at `at`.
#[inline]
pub(super) fn value(line: &str, at: usize, step: &Step, behind: Behind<'_>) -> Option<Found> {
    let bytes = line.as_bytes();
    match &step.shape {
        Shape::Word => word(bytes, at),
        Shape::Quoted => quoted(bytes, at, behind),
        Shape::Bracketed => {
            (bytes.get(at) == Some(&b'[')).then_some(())?;
            until(bytes, at + 1, b']', 1)
        }
        Shape::Until(byte) => until(bytes, at, *byte, 0),
        Shape::Before(text) => {
            let len = memchr::memmem::find(&bytes[at..], text)?;
            Some(Found { value: at..at + len, next: at + len })
        }
        Shape::BeforeLast(byte) => {
            let Found { value, .. } = word(bytes, at)?;
            let end =
                memchr::memrchr(*byte, &bytes[value.clone()]).map_or(value.end, |len| at + len);
            Some(Found { value: at..end, next: end })
        }
        Shape::Braced => match bytes.get(at) {
            Some(b'{') => until(bytes, at + 1, b'}', 1),
            _ => Some(Found { value: at..at, next: at }),
        },
        Shape::Words(count) => {
            let mut found = word(bytes, at)?;
            for _ in 1..*count {
                found = word(bytes, before(line, found.next, b" ")?)?;
            }
            Some(Found { value: at..found.value.end, next: found.next })
        }
        Shape::List => list(line, at),
        Shape::Addresses => Some(addresses(line, at)),
        Shape::Address => {
            let found = word(bytes, at)?;
            match value::addresses(&line[found.value.clone()]).next() {
                Some(_) => Some(found),
                None => Some(Found { value: at..at, next: at }),
            }
        }
        Shape::Rest => {
            (at < bytes.len()).then_some(Found { value: at..bytes.len(), next: bytes.len() })
        }
    }
}

#[inline]
fn word(bytes: &[u8], at: usize) -> Option<Found> {
    let rest = &bytes[at..];
    let len = memchr::memchr2(b' ', b'\t', rest).unwrap_or(rest.len());
    (len > 0).then_some(Found { value: at..at + len, next: at + len })
}

#[inline]
fn until(bytes: &[u8], at: usize, byte: u8, behind: usize) -> Option<Found> {
    let len = memchr::memchr(byte, &bytes[at..])?;
    Some(Found { value: at..at + len, next: at + len + behind })
}

/// A word, and more of them as long as the list goes on.
fn list(line: &str, at: usize) -> Option<Found> {
    let bytes = line.as_bytes();
    let mut end = word(bytes, at)?.next;
    while let Some(more) = before(line, end, b" ").and_then(|next| word(bytes, next)) {
        let goes_on = bytes[end - 1] == b',' || &bytes[more.value.clone()] == b":";
        let after_colon = end - at >= 1 && bytes[end - 1] == b':' && line[..end].ends_with(" :");
        if !goes_on && !after_colon {
            break;
        }
        end = more.next;
    }
    Some(Found { value: at..end, next: end })
}

/// A list of addresses, maybe in quotes, of more than one or with its own quotes; or nothing.
fn addresses(line: &str, at: usize) -> Found {
    let nothing = Found { value: at..at, next: at };
    let bytes = line.as_bytes();
    let found = match bytes.get(at) {
        Some(b'"') => until(bytes, at + 1, b'"', 1),
        _ => list(line, at),
    };
    match found {
        Some(found) if value::addresses(&line[found.value.clone()]).next().is_some() => found,
        _ => nothing,
    }
}

/// A value in quotes, as written between them, or a bare `-`.
#[inline]
fn quoted(bytes: &[u8], at: usize, behind: Behind<'_>) -> Option<Found> {
    match bytes.get(at)? {
        b'"' => {}
        b'-' if bytes.get(at + 1).is_none_or(|byte| is_blank(*byte)) => {
            return Some(Found { value: at..at + 1, next: at + 1 });
        }
        _ => return None,
    }
    let start = at + 1;
    let (mut first, mut last) = (None, None);
    let mut from = start;
    while let Some(len) = memchr::memchr2(b'"', b'\\', &bytes[from..]) {
        let here = from + len;
        if bytes[here] == b'\\' {
            // What is escaped may be the last byte, or longer than one: neither is a quote.
            from = (here + 2).min(bytes.len());
            continue;
        }
        if fits(bytes, here + 1, behind) {
            return Some(Found { value: start..here, next: here + 1 });
        }
        // The rest of the format may be missing, but that is not what is looked for first.
        if here + 1 == bytes.len() {
            last = Some(here);
        }
        first.get_or_insert(here);
        from = here + 1;
    }
    unescaped(bytes, start, last.or(first), behind)
}

/// The end of a value whose quotes are not as they should be.
#[cold]
fn unescaped(
    bytes: &[u8],
    start: usize,
    known: Option<usize>,
    behind: Behind<'_>,
) -> Option<Found> {
    let raw = memchr::memchr_iter(b'"', &bytes[start..]).map(|len| start + len);
    let found = raw.clone().find(|here| fits(bytes, here + 1, behind)).or(known);
    let end = found.unwrap_or(bytes.len());
    Some(Found { value: start..end, next: (end + 1).min(bytes.len()) })
}

/// Whether the rest of a line can follow a value in quotes.
#[inline]
fn fits(bytes: &[u8], at: usize, behind: Behind<'_>) -> bool {
    let rest = &bytes[at..];
    let Some(first) = rest.first() else { return behind.next.is_none() };
    let Some(next) = behind.next else {
        return if behind.open { is_blank(*first) && is_whole(rest) } else { rest == behind.tail };
    };
    let mut rest = rest;
    for byte in &next.before {
        match (byte, rest) {
            (b' ', [blank, ..]) if is_blank(*blank) => rest = rest.trim_ascii_start(),
            (_, [here, more @ ..]) if here == byte => rest = more,
            _ => return false,
        }
    }
    let Some(opens) = rest.first() else { return false };
    match next.shape {
        Shape::Quoted => match opens {
            b'"' => true,
            b'-' => rest.get(1).is_none_or(|byte| is_blank(*byte)),
            // What may follow is not what the format says, but whole.
            _ => behind.open && is_whole(rest),
        },
        Shape::Bracketed => *opens == b'[',
        Shape::Word if next.field == Field::Status || next.field == Field::ResponseBytes => {
            *opens == b'-' || opens.is_ascii_digit()
        }
        _ => true,
    }
}

/// Whether a text is words and values in quotes, each quote where it belongs.
fn is_whole(rest: &[u8]) -> bool {
    let mut from = 0;
    while let Some(len) = memchr::memchr(b'"', &rest[from..]) {
        let open = from + len;
        let opens = open == 0 || is_blank(rest[open - 1]);
        let Some(len) = memchr::memchr(b'"', &rest[open + 1..]) else { return false };
        let after = open + 1 + len + 1;
        if !opens || !rest.get(after).is_none_or(|byte| is_blank(*byte)) {
            return false;
        }
        from = after;
    }
    true
}
