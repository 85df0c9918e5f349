//! Decompression, found by magic: gzip of any number of members, zstd of any number of frames, xz
//! and lz4. bzip2 is named and not read.
//!
//! What follows the last member of a gzip and is no member is passed over, as `gzip` does: padding
//! with zeros silently, anything else with a warning. What stands before a cut is read.

use std::io::{self, BufRead, BufReader, Cursor, Read};

use flate2::bufread::GzDecoder;

/// Greatest window of a zstd frame, as a power of two: 128 MiB bounds the decoder's memory.
const ZSTD_WINDOW_LOG_MAX: u32 = 27;
/// Greatest memory of an xz decoder in KiB, which its dictionary is most of.
const XZ_KIB_MAX: u32 = 128 << 10;
/// Bytes that tell what a stream is.
pub const MAGIC_BYTES: usize = 6;

/// How a stream is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Gzip,
    Zstd,
    Xz,
    Lz4,
    Bzip2,
}

impl Kind {
    fn of(head: &[u8]) -> Option<Self> {
        match head {
            [0x1f, 0x8b, ..] => Some(Self::Gzip),
            // A frame, or a skippable one.
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Some(Self::Zstd),
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Some(Self::Xz),
            [0x04, 0x22, 0x4d, 0x18, ..] => Some(Self::Lz4),
            [b'B', b'Z', b'h', b'1'..=b'9', 0x31, 0x41, ..] => Some(Self::Bzip2),
            _ => None,
        }
    }
}

/// Whether these first bytes are of a compressed stream.
#[must_use]
pub fn is_compressed(head: &[u8]) -> bool {
    Kind::of(head).is_some()
}

/// The uncompressed stream of a reader that is plain or compressed, and whether it was compressed.
/// A plain one is not buffered: what arrives is there at once.
///
/// # Errors
/// What reading its first bytes gives, or how it is compressed, if that cannot be read.
pub fn open(mut input: impl Read + Send + 'static) -> io::Result<(Box<dyn Read + Send>, bool)> {
    let head = magic(&mut input)?;
    let kind = Kind::of(&head);
    let input = Cursor::new(head).chain(input);
    let unpacked: Box<dyn Read + Send> = match kind {
        None => return Ok((Box::new(input), false)),
        Some(Kind::Gzip) => Box::new(Gzip::new(buffered(input))),
        Some(Kind::Zstd) => zstd_reader(buffered(input))?,
        Some(Kind::Xz) => {
            Box::new(lzma_rust2::XzReader::new_mem_limit(buffered(input), true, XZ_KIB_MAX))
        }
        Some(Kind::Lz4) => Box::new(Frames::new(buffered(input))),
        Some(Kind::Bzip2) => {
            return Err(io::Error::other("it is compressed with bzip2: unpack it first"));
        }
    };
    Ok((unpacked, true))
}

/// The first bytes of a stream; no more of a live one are waited for than tell that it is plain.
fn magic(input: &mut impl Read) -> io::Result<Vec<u8>> {
    const FIRST: usize = 4;
    let mut head = Vec::new();
    input.by_ref().take(FIRST as u64).read_to_end(&mut head)?;
    if head.starts_with(b"BZh") || head.starts_with(&[0xfd, b'7', b'z', b'X']) {
        input.by_ref().take((MAGIC_BYTES - FIRST) as u64).read_to_end(&mut head)?;
    }
    Ok(head)
}

fn buffered<R: Read>(input: R) -> BufReader<R> {
    BufReader::with_capacity(1 << 16, input)
}

fn zstd_reader(input: impl BufRead + Send + 'static) -> io::Result<Box<dyn Read + Send>> {
    let mut decoder = zstd::stream::read::Decoder::with_buffer(input)?;
    decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
    Ok(Box::new(decoder))
}

/// The members of a gzip, one after the other.
enum Gzip<R> {
    Member(Box<GzDecoder<R>>),
    End,
}

impl<R: BufRead> Gzip<R> {
    fn new(input: R) -> Self {
        Self::Member(Box::new(GzDecoder::new(input)))
    }
}

impl<R: BufRead> Read for Gzip<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let Self::Member(member) = self else { return Ok(0) };
            let read = member.read(buffer)?;
            if read > 0 || buffer.is_empty() {
                return Ok(read);
            }
            let Self::Member(member) = std::mem::replace(self, Self::End) else { return Ok(0) };
            let mut rest = member.into_inner();
            let zeros = skip_zeros(&mut rest)?;
            let more = rest.fill_buf()?;
            // Zeros are padding to the end of a block; behind them nothing belongs to the stream.
            if more.first() == Some(&0x1f) && !zeros {
                *self = Self::new(rest);
            } else if !more.is_empty() {
                tracing::warn!("what follows the end of a gzip stream is no gzip and is ignored");
            }
        }
    }
}

/// Passes over zeros; whether there were any.
fn skip_zeros(input: &mut impl BufRead) -> io::Result<bool> {
    let mut any = false;
    loop {
        let buffer = input.fill_buf()?;
        let zeros = buffer.iter().take_while(|byte| **byte == 0).count();
        let is_all = zeros == buffer.len() && zeros > 0;
        input.consume(zeros);
        any |= zeros > 0;
        if !is_all {
            return Ok(any);
        }
    }
}

/// The frames of an lz4 stream, one after the other.
struct Frames<R: Read>(Option<lz4_flex::frame::FrameDecoder<R>>);

impl<R: BufRead> Frames<R> {
    fn new(input: R) -> Self {
        Self(Some(lz4_flex::frame::FrameDecoder::new(input)))
    }
}

impl<R: BufRead> Read for Frames<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let Some(frame) = &mut self.0 else { return Ok(0) };
            let read = frame.read(buffer)?;
            if read > 0 || buffer.is_empty() {
                return Ok(read);
            }
            let Some(frame) = self.0.take() else { return Ok(0) };
            let mut rest = frame.into_inner();
            if !rest.fill_buf()?.is_empty() {
                *self = Self::new(rest);
            }
        }
    }
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

    fn lz4(text: &[u8]) -> Vec<u8> {
        let mut writer = lz4_flex::frame::FrameEncoder::new(Vec::new());
        writer.write_all(text).unwrap();
        writer.finish().unwrap()
    }

    /// `xz -c` of `one\n`.
    const XZ: &[u8] = &[
        0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00, 0x00, 0x04, 0xe6, 0xd6, 0xb4, 0x46, 0x02, 0x00, 0x21,
        0x01, 0x16, 0x00, 0x00, 0x00, 0x74, 0x2f, 0xe5, 0xa3, 0x01, 0x00, 0x03, 0x6f, 0x6e, 0x65,
        0x0a, 0x00, 0xf5, 0x5c, 0xbb, 0x56, 0x1f, 0xc6, 0xfd, 0x86, 0x00, 0x01, 0x1c, 0x04, 0x6f,
        0x2c, 0x9c, 0xc1, 0x1f, 0xb6, 0xf3, 0x7d, 0x01, 0x00, 0x00, 0x00, 0x00, 0x04, 0x59, 0x5a,
    ];

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
            (lz4(b"one"), "one"),
            ([lz4(b"one"), lz4(b"two")].concat(), "onetwo"),
            (XZ.to_vec(), "one\n"),
            (XZ.repeat(2), "one\none\n"),
        ] {
            assert_eq!(read(bytes).unwrap(), expected);
        }
    }

    #[test]
    fn what_follows_a_gzip_is_no_reason_to_refuse_it() {
        for behind in [&[0; 3][..], &[0; 100_000], b"a note", b"\0\0 a note"] {
            assert_eq!(read([&gzip(b"one"), behind].concat()).unwrap(), "one");
        }
    }

    #[test]
    fn what_cannot_be_unpacked_is_named() {
        let bzip2 = b"BZh91AY&SY".to_vec();
        assert!(read(bzip2).unwrap_err().to_string().contains("bzip2"));
        assert_eq!(read(b"BZh is a text".to_vec()).unwrap(), "BZh is a text");
    }

    #[test]
    fn a_stream_that_ends_early_is_an_error() {
        let text: Vec<u8> = (0..200_000_u32).flat_map(u32::to_le_bytes).map(|b| b & 0x7f).collect();
        for mut bytes in
            [gzip(&text), zstd::encode_all(&text[..], 1).unwrap(), lz4(&text), XZ.to_vec()]
        {
            bytes.truncate(bytes.len() / 2);
            assert!(read(bytes).is_err());
        }
    }
}
