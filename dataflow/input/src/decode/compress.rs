//! Decompression, found by magic: gzip of any number of members, zstd of any number of frames.

use std::io::{self, BufRead, BufReader, Read};

/// Greatest window of a zstd frame, as a power of two: 128 MiB bounds the decoder's memory.
const ZSTD_WINDOW_LOG_MAX: u32 = 27;

/// Whether these first bytes are of a compressed stream.
#[must_use]
pub fn is_compressed(head: &[u8]) -> bool {
    is_gzip(head) || is_zstd(head)
}

fn is_gzip(head: &[u8]) -> bool {
    head.starts_with(&[0x1f, 0x8b])
}

/// A frame, or a skippable one.
fn is_zstd(head: &[u8]) -> bool {
    head.starts_with(&[0x28, 0xb5, 0x2f, 0xfd])
        || matches!(head, [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..])
}

/// The uncompressed stream of a reader that is plain, gzip or zstd, and whether it was compressed.
/// A plain one is not buffered: what arrives is there at once.
///
/// # Errors
/// What reading its first bytes gives.
pub fn open(mut input: impl Read + Send + 'static) -> io::Result<(Box<dyn Read + Send>, bool)> {
    let mut head = Vec::new();
    input.by_ref().take(4).read_to_end(&mut head)?;
    let (gzip, zstd) = (is_gzip(&head), is_zstd(&head));
    let input = io::Cursor::new(head).chain(input);
    if gzip {
        return Ok((Box::new(flate2::bufread::MultiGzDecoder::new(buffered(input))), true));
    }
    if zstd {
        return Ok((zstd_reader(buffered(input))?, true));
    }
    Ok((Box::new(input), false))
}

fn buffered<R: Read>(input: R) -> BufReader<R> {
    BufReader::with_capacity(1 << 16, input)
}

fn zstd_reader(input: impl BufRead + Send + 'static) -> io::Result<Box<dyn Read + Send>> {
    let mut decoder = zstd::stream::read::Decoder::with_buffer(input)?;
    decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
    Ok(Box::new(decoder))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        writer.write_all(text).unwrap();
        writer.finish().unwrap()
    }

    fn read(bytes: Vec<u8>) -> io::Result<String> {
        let mut text = String::new();
        open(io::Cursor::new(bytes))?.0.read_to_string(&mut text)?;
        Ok(text)
    }

    #[test]
    fn streams_of_every_kind_and_of_several_parts_are_read_whole() {
        let zstd = |text: &[u8]| zstd::encode_all(text, 1).unwrap();
        for (bytes, expected) in [
            (b"".to_vec(), ""),
            (b"a".to_vec(), "a"),
            (b"plain text".to_vec(), "plain text"),
            (gzip(b"one"), "one"),
            ([gzip(b"one"), gzip(b"two")].concat(), "onetwo"),
            (zstd(b"one"), "one"),
            ([zstd(b"one"), zstd(b"two")].concat(), "onetwo"),
        ] {
            assert_eq!(read(bytes).unwrap(), expected);
        }
    }

    #[test]
    fn a_stream_that_ends_early_is_an_error() {
        let text: Vec<u8> = (0..200_000_u32).flat_map(u32::to_le_bytes).map(|b| b & 0x7f).collect();
        for mut bytes in [gzip(&text), zstd::encode_all(&text[..], 1).unwrap()] {
            bytes.truncate(bytes.len() / 2);
            assert!(read(bytes).is_err());
        }
    }
}
