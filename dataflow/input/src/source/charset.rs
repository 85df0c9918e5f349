//! UTF-16, as PowerShell and some exports on Windows write it, read as UTF-8.
//!
//! It is told by its byte order mark. Offsets are then those of the text as UTF-8.

use std::io::{self, Cursor, Read};

use encoding_rs_io::DecodeReaderBytesBuilder;

/// Bytes of a mark.
const MARK_BYTES: u64 = 2;

/// Whether these first bytes are of UTF-16.
pub(super) fn is_utf16(head: &[u8]) -> bool {
    head.starts_with(&[0xff, 0xfe]) || head.starts_with(&[0xfe, 0xff])
}

/// A stream as UTF-8, which it is unless it has a mark of UTF-16; any other byte stays as it is.
#[must_use]
pub fn utf8(input: Box<dyn Read + Send>) -> Box<dyn Read + Send> {
    Box::new(Sniffed::NotYet(input))
}

/// A stream as UTF-8, and whether it was UTF-16.
///
/// # Errors
/// What reading its first bytes gives.
pub(super) fn sniffed(mut input: Box<dyn Read + Send>) -> io::Result<(Box<dyn Read + Send>, bool)> {
    let mut head = Vec::new();
    input.by_ref().take(MARK_BYTES).read_to_end(&mut head)?;
    let is_utf16 = is_utf16(&head);
    let input = Cursor::new(head).chain(input);
    if !is_utf16 {
        return Ok((Box::new(input), false));
    }
    let decoded = DecodeReaderBytesBuilder::new().bom_override(true).build(input);
    Ok((Box::new(decoded), true))
}

/// A stream of which the first read looks at the mark.
enum Sniffed {
    NotYet(Box<dyn Read + Send>),
    Known(Box<dyn Read + Send>),
    Failed,
}

impl Read for Sniffed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Self::NotYet(_) = self
            && let Self::NotYet(input) = std::mem::replace(self, Self::Failed)
        {
            *self = Self::Known(sniffed(input)?.0);
        }
        match self {
            Self::Known(input) => input.read(buffer),
            Self::NotYet(_) | Self::Failed => Err(io::Error::other("it could not be read before")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn utf_16_is_read_as_utf_8_and_anything_else_as_it_is() {
        let text = "a\u{416}\n\u{1f600}";
        let little: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let big: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
        for (bytes, expected) in [
            ([vec![0xff, 0xfe], little].concat(), text.as_bytes()),
            ([vec![0xfe, 0xff], big].concat(), text.as_bytes()),
            (b"\xff plain \xfe".to_vec(), b"\xff plain \xfe"),
            (text.as_bytes().to_vec(), text.as_bytes()),
            (b"".to_vec(), b""),
            (b"x".to_vec(), b"x"),
        ] {
            let mut read = Vec::new();
            utf8(Box::new(Cursor::new(bytes))).read_to_end(&mut read).unwrap();
            assert_eq!(read, expected);
        }
    }
}
