//! Markers: what stands for a redacted value, and the keyed hash in it.
//!
//! A marker is U+0001, 32 hex digits of the value's keyed hash, `~` and the value's length in
//! characters (so that a key's `min_length` still decides on the past). The hash is what a secret
//! identity shows.

use std::fmt::Write as _;

use super::SecretKey;

/// First character of a marker.
pub const MARKER: char = '\u{1}';
/// Hex digits of a keyed hash.
pub const HASH_DIGITS: usize = 32;

/// A keyed hash, in hex.
pub(super) type Hash = [u8; HASH_DIGITS];

/// A marker, read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Marker<'t> {
    /// The value's keyed hash: 32 hex digits.
    pub hash: &'t str,
    /// The value's length in characters.
    pub chars: u32,
}

impl<'t> Marker<'t> {
    /// Reads a text that is a marker as a whole.
    #[must_use]
    pub fn of(text: &'t str) -> Option<Self> {
        let text = text.strip_prefix(MARKER)?;
        let (hash, chars) = (text.get(..HASH_DIGITS)?, text.get(HASH_DIGITS..)?);
        let hex = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
        let chars = chars.strip_prefix('~')?;
        let plain = !chars.is_empty() && chars.bytes().all(|b| b.is_ascii_digit());
        if !plain || !hash.bytes().all(hex) {
            return None;
        }
        Some(Self { hash, chars: chars.parse().ok()? })
    }

    /// Reads the marker at the end of a text, and what is before it.
    #[must_use]
    pub fn at_end(text: &'t str) -> Option<(&'t str, Self)> {
        let at = text.rfind(MARKER)?;
        Some((&text[..at], Self::of(&text[at..])?))
    }
}

impl SecretKey {
    /// Hex digits of the first half of the keyed hash.
    pub(super) fn hash(&self, value: &str) -> Hash {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let hash = blake3::keyed_hash(&self.0, value.as_bytes());
        let mut hex = [0; HASH_DIGITS];
        for (pair, byte) in hex.chunks_exact_mut(2).zip(hash.as_bytes()) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 15)];
        }
        hex
    }

    /// Keyed hash of a value, as a secret identity shows it: 32 hex digits.
    #[must_use]
    pub fn hash_text(&self, value: &str) -> String {
        text_of(&self.hash(value)).to_owned()
    }

    /// The marker of a value.
    pub(super) fn marker(&self, value: &str) -> String {
        let mut out = String::with_capacity(HASH_DIGITS + 8);
        out.push(MARKER);
        out.push_str(text_of(&self.hash(value)));
        let written = write!(out, "~{}", value.chars().count());
        debug_assert!(written.is_ok(), "writing to a string does not fail");
        out
    }

    /// Seed of the hashes of request ids.
    pub(super) fn id_seed(&self) -> u64 {
        let hash = blake3::keyed_hash(&self.0, b"spoor: ids of requests");
        let mut seed = [0; 8];
        seed.copy_from_slice(&hash.as_bytes()[..8]);
        u64::from_le_bytes(seed)
    }
}

/// The digits as text.
pub(super) fn text_of(hash: &Hash) -> &str {
    std::str::from_utf8(hash).expect("hex digits are ASCII")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_says_the_hash_and_the_length_and_nothing_else_is_one() {
        let key = SecretKey([7; 32]);
        let marker = key.marker("héllo");
        let read = Marker::of(&marker).unwrap();
        assert_eq!((read.hash, read.chars), (key.hash_text("héllo").as_str(), 5));
        assert_eq!(Marker::at_end(&format!("Bearer a.b.{marker}")), Some(("Bearer a.b.", read)));
        assert_ne!(key.hash_text("a"), SecretKey([8; 32]).hash_text("a"));
        assert!(!format!("{key:?}").contains('7'));
        let hex = "0".repeat(32);
        for other in
            ["", "\u{1}", "\u{1}é", &hex, &format!("\u{1}{hex}"), &format!("\u{1}{hex}~+1")]
        {
            assert_eq!(Marker::of(other), None, "{other:?}");
        }
    }
}
