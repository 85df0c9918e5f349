//! A one-pass scanner over a line of JSON that is known to be UTF-8.
//!
//! Every method answers nothing when it meets what it does not take: wrong syntax, a `\u` escape,
//! a number with an exponent, deep nesting. What it takes it has checked in full, so that nothing
//! the general path would refuse slips through.

use std::borrow::Cow;

/// Deepest nesting of a value that is skipped; recursion is bounded by it.
const DEPTH_MAX: u32 = 32;

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;

/// A place in a line.
#[derive(Clone, Copy, Debug)]
pub struct Scan<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scan<'a> {
    pub fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    #[inline]
    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// The next byte that is not blank, left where it is.
    #[inline]
    pub fn peek(&mut self) -> Option<u8> {
        loop {
            match self.byte()? {
                b' ' | b'\t' | b'\r' | b'\n' => self.at += 1,
                byte => return Some(byte),
            }
        }
    }

    /// Takes this byte, if it is next.
    #[inline]
    pub fn take(&mut self, byte: u8) -> Option<()> {
        if self.peek()? != byte {
            return None;
        }
        self.at += 1;
        Some(())
    }

    /// Whether only blanks are left.
    #[inline]
    pub fn at_end(&mut self) -> bool {
        self.peek().is_none()
    }

    /// After an opening bracket or a value: whether another entry follows. Takes the comma or the
    /// closing bracket.
    #[inline]
    pub fn more(&mut self, first: &mut bool, close: u8) -> Option<bool> {
        let byte = self.peek()?;
        if byte == close {
            self.at += 1;
            return Some(false);
        }
        if std::mem::take(first) {
            return Some(true);
        }
        if byte != b',' {
            return None;
        }
        self.at += 1;
        // A closing bracket behind a comma is refused by whatever reads the entry.
        Some(true)
    }

    /// A name and its colon; names with escapes are not taken.
    #[inline]
    pub fn name(&mut self) -> Option<&'a str> {
        self.take(b'"')?;
        let start = self.at;
        self.at = special(self.text.as_bytes(), start);
        if self.byte()? != b'"' {
            return None;
        }
        let name = self.text.get(start..self.at)?;
        self.at += 1;
        self.take(b':')?;
        Some(name)
    }

    /// A string, copied only if it has escapes.
    #[inline]
    pub fn string(&mut self) -> Option<Cow<'a, str>> {
        self.take(b'"')?;
        let start = self.at;
        self.at = special(self.text.as_bytes(), start);
        match self.byte()? {
            b'"' => {
                let text = self.text.get(start..self.at)?;
                self.at += 1;
                Some(Cow::Borrowed(text))
            }
            b'\\' => self.unescape(start).map(Cow::Owned),
            _ => None,
        }
    }

    /// The string from `start` on, of which everything up to its first escape was seen.
    #[cold]
    fn unescape(&mut self, start: usize) -> Option<String> {
        self.skip_rest_of_string()?;
        let mut rest = self.text.get(start..self.at - 1)?;
        let mut text = String::with_capacity(rest.len());
        while let Some((plain, behind)) = rest.split_once('\\') {
            text.push_str(plain);
            text.push(escaped(*behind.as_bytes().first()?)?);
            rest = behind.get(1..)?;
        }
        text.push_str(rest);
        Some(text)
    }

    /// Digits without a sign, leading zero, fraction or exponent: an integer below 10^18.
    #[inline]
    pub fn integer(&mut self) -> Option<u64> {
        let (value, len) = self.digits()?;
        if matches!(self.byte(), Some(b'.' | b'e' | b'E')) || len > 18 {
            return None;
        }
        Some(value)
    }

    /// An unsigned decimal number of milliseconds, as nanoseconds: at most nine digits and a
    /// fraction of at most six, so that the result is exact.
    #[inline]
    pub fn millis_as_nanos(&mut self) -> Option<u64> {
        let (whole, len) = self.digits()?;
        let mut nanos = 0;
        if self.byte() == Some(b'.') {
            self.at += 1;
            let from = self.at;
            let mut unit = 100_000;
            while let Some(digit @ b'0'..=b'9') = self.byte() {
                nanos += u64::from(digit - b'0') * unit;
                unit /= 10;
                self.at += 1;
            }
            if self.at == from || self.at - from > 6 {
                return None;
            }
        }
        if matches!(self.byte(), Some(b'e' | b'E')) || len > 9 {
            return None;
        }
        Some(whole * 1_000_000 + nanos)
    }

    /// Digits of JSON's grammar, and how many; more than 18 wrap and are for the caller to refuse.
    #[inline]
    fn digits(&mut self) -> Option<(u64, usize)> {
        self.peek()?;
        let from = self.at;
        let mut value = 0_u64;
        while let Some(digit @ b'0'..=b'9') = self.byte() {
            value = value.wrapping_mul(10).wrapping_add(u64::from(digit - b'0'));
            self.at += 1;
        }
        let len = self.at - from;
        let leading_zero = len > 1 && self.text.as_bytes()[from] == b'0';
        (len > 0 && !leading_zero).then_some((value, len))
    }

    /// `true` or `false`.
    #[inline]
    pub fn boolean(&mut self) -> Option<bool> {
        match self.peek()? {
            b't' => self.word("true").map(|()| true),
            _ => self.word("false").map(|()| false),
        }
    }

    /// Takes `null`, if it is next.
    #[inline]
    pub fn null(&mut self) -> Option<bool> {
        if self.peek()? == b'n' { self.word("null").map(|()| true) } else { Some(false) }
    }

    fn word(&mut self, word: &str) -> Option<()> {
        self.text.as_bytes().get(self.at..)?.starts_with(word.as_bytes()).then(|| {
            self.at += word.len();
        })
    }

    /// Skips any value and gives its text.
    #[inline]
    pub fn raw(&mut self) -> Option<&'a str> {
        self.peek()?;
        let start = self.at;
        self.skip(DEPTH_MAX)?;
        self.text.get(start..self.at)
    }

    fn skip(&mut self, depth: u32) -> Option<()> {
        match self.peek()? {
            b'"' => self.skip_string(),
            open @ (b'{' | b'[') => {
                let depth = depth.checked_sub(1)?;
                self.at += 1;
                let mut first = true;
                while self.more(&mut first, open + 2)? {
                    if open == b'{' {
                        self.peek()?;
                        self.skip_string()?;
                        self.take(b':')?;
                    }
                    self.skip(depth)?;
                }
                Some(())
            }
            b'-' | b'0'..=b'9' => self.skip_number(),
            b'n' => self.word("null"),
            _ => self.boolean().map(|_| ()),
        }
    }

    fn skip_string(&mut self) -> Option<()> {
        self.take(b'"')?;
        self.skip_rest_of_string()
    }

    /// Skips what is left of a string and its closing quote.
    fn skip_rest_of_string(&mut self) -> Option<()> {
        loop {
            self.at = special(self.text.as_bytes(), self.at);
            match self.byte()? {
                b'"' => {
                    self.at += 1;
                    return Some(());
                }
                b'\\' => {
                    escaped(*self.text.as_bytes().get(self.at + 1)?)?;
                    self.at += 2;
                }
                _ => return None,
            }
        }
    }

    fn skip_number(&mut self) -> Option<()> {
        if self.byte() == Some(b'-') {
            self.at += 1;
        }
        // `digits` skips blanks first: none may follow the sign.
        self.byte().filter(u8::is_ascii_digit)?;
        self.digits()?;
        if self.byte() == Some(b'.') {
            self.at += 1;
            self.some_digits()?;
        }
        if matches!(self.byte(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.byte(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.some_digits()?;
        }
        Some(())
    }

    fn some_digits(&mut self) -> Option<()> {
        let from = self.at;
        while self.byte().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        (self.at > from).then_some(())
    }
}

/// What a backslash and this byte stand for; `\u` is not taken.
fn escaped(byte: u8) -> Option<char> {
    Some(match byte {
        b'"' | b'\\' | b'/' => char::from(byte),
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        _ => return None,
    })
}

/// Index of the first quote, backslash or control character at or after `at`; the length if none.
/// Eight bytes at a time: a byte below `n` is the only kind that borrows into its high bit, and the
/// lowest such bit is never a false one.
#[inline]
fn special(bytes: &[u8], mut at: usize) -> usize {
    while let Some(word) = bytes.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
        let word = u64::from_le_bytes(*word);
        let quote = word ^ (ONES * b'"' as u64);
        let backslash = word ^ (ONES * b'\\' as u64);
        let found = (quote.wrapping_sub(ONES) & !quote)
            | (backslash.wrapping_sub(ONES) & !backslash)
            | (word.wrapping_sub(ONES * b' ' as u64) & !word);
        if found & HIGHS != 0 {
            return at + ((found & HIGHS).trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    let is_special = |&byte: &u8| byte == b'"' || byte == b'\\' || byte < b' ';
    let rest = bytes.get(at..).unwrap_or_default();
    rest.iter().position(is_special).map_or(bytes.len(), |found| at + found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn special_finds_the_first(bytes in proptest::collection::vec(
            prop_oneof![8 => 0x20_u8..0x80, 1 => any::<u8>(), 1 => Just(b'"'), 1 => Just(0x1f)], 0..70), at in 0_usize..70)
        {
            let at = at.min(bytes.len());
            let plain = bytes[at..].iter().position(|&byte| byte == b'"' || byte == b'\\' || byte < 0x20);
            prop_assert_eq!(special(&bytes, at), plain.map_or(bytes.len(), |found| at + found));
        }

        #[test]
        fn what_is_skipped_is_json(text in "[\\[\\]{}\",:0-9.eE+\\- \\\\ntrufalsx]{0,24}") {
            let mut scan = Scan::new(&text);
            if scan.raw().is_some() && scan.at_end() {
                prop_assert!(serde_json::from_str::<&serde_json::value::RawValue>(&text).is_ok(), "{}", text);
            }
        }
    }
}
