//! Why records of a replay were refused: the first of each code, with its line and reason.
//!
//! The engine counts bytes, people count lines: the lines before a refused record are counted here,
//! in the input itself, which is read a second time as far as the last record that is told. Where
//! that cannot be done (standard input), its byte is told instead.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use spoor_dataflow::codes::RefusalCode;
use spoor_dataflow::decode::compress;
use spoor_dataflow::query::{RecordPlace, Refusal, Refusals};
use spoor_dataflow::source::utf8;

/// Most sources whose refusals are told; the others are counted.
const SOURCES_MAX: usize = 10;
/// Bytes read at a time while lines are counted.
const READ_BYTES: usize = 1 << 16;

/// Tells the first refused record of each code and source on standard error.
pub fn tell(sources: &[(String, Refusals)]) {
    for (source, refusals) in sources.iter().take(SOURCES_MAX) {
        let mut told: Vec<(&RefusalCode, &Refusal)> = refusals.0.iter().collect();
        told.sort_by_key(|(_, refusal)| refusal.first);
        let bytes = told.iter().filter_map(|(_, refusal)| match refusal.first {
            RecordPlace::Byte(at) => Some(at),
            RecordPlace::Entry(_) => None,
        });
        let lines = lines(Path::new(source), &bytes.collect::<Vec<_>>()).unwrap_or_default();
        let mut lines = lines.into_iter();
        for (code, Refusal { count, first, reason }) in told {
            let place = match (first, lines.next()) {
                (RecordPlace::Entry(index), _) => format!("entry {}", index + 1),
                (_, Some(line)) => format!("line {line}"),
                (RecordPlace::Byte(at), None) => format!("byte {at}"),
            };
            eprintln!("{source}, {place}: {code} ({count}): {reason}");
        }
    }
    if sources.len() > SOURCES_MAX {
        eprintln!("and records of {} more inputs", sources.len() - SOURCES_MAX);
    }
}

/// The numbers, from 1, of the lines at these bytes of an uncompressed file, in rising order.
fn lines(path: &Path, offsets: &[u64]) -> io::Result<Vec<u64>> {
    let metadata = std::fs::metadata(path)?;
    if !metadata.is_file() {
        return Err(io::Error::other("it can be read once only"));
    }
    let mut input = utf8(compress::open(File::open(path)?)?.0);
    let (mut lines, mut line, mut at) = (Vec::new(), 1, 0);
    let mut buffer = vec![0; READ_BYTES];
    while let Some(wanted) = offsets.get(lines.len()) {
        let most = usize::try_from(wanted - at).unwrap_or(usize::MAX).min(READ_BYTES);
        if most == 0 {
            lines.push(line);
            continue;
        }
        let read = input.read(&mut buffer[..most])?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        line += buffer[..read].iter().filter(|byte| **byte == b'\n').count() as u64;
        at += read as u64;
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    #[test]
    fn lines_are_counted_in_plain_and_compressed_files() {
        let text = b"a\nbb\n\nc";
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(text).unwrap();
        let dir = tempfile::tempdir().unwrap();
        for content in [text.to_vec(), gzip.finish().unwrap()] {
            let path = dir.path().join("log");
            std::fs::write(&path, content).unwrap();
            assert_eq!(lines(&path, &[0, 2, 2, 5, 6]).unwrap(), [1, 2, 2, 3, 4]);
            assert!(lines(&path, &[9]).is_err(), "past its end");
        }
        assert!(lines(dir.path(), &[0]).is_err(), "a directory");
    }
}
