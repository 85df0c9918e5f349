//! Sorts any number of lines in bounded memory: sorted runs in a temporary file, merged at the end.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Seek, SeekFrom, Write};

/// Bytes of lines held before they become a run on disk.
pub const RUN_BYTES: usize = 64 << 20;

/// Takes a key and its line.
pub type Visit<'a> = dyn FnMut(&[u8], &[u8]) -> io::Result<()> + 'a;

/// Lines with the keys they are to be sorted by.
pub struct Sorter {
    held: Vec<(Vec<u8>, Vec<u8>)>,
    held_bytes: usize,
    run_bytes: usize,
    runs: Vec<File>,
}

impl Default for Sorter {
    fn default() -> Self {
        Self::with_run_bytes(RUN_BYTES)
    }
}

impl Sorter {
    /// A sorter that holds so many bytes.
    #[must_use]
    pub fn with_run_bytes(run_bytes: usize) -> Self {
        Self { held: Vec::new(), held_bytes: 0, run_bytes, runs: Vec::new() }
    }

    /// Adds a line (without a line feed).
    ///
    /// # Errors
    /// A temporary file cannot be written.
    pub fn push(&mut self, key: Vec<u8>, line: Vec<u8>) -> io::Result<()> {
        self.held_bytes += key.len() + line.len();
        self.held.push((key, line));
        if self.held_bytes >= self.run_bytes { self.spill() } else { Ok(()) }
    }

    fn spill(&mut self) -> io::Result<()> {
        self.held.sort_unstable();
        let mut out = BufWriter::new(tempfile::tempfile()?);
        for (key, line) in self.held.drain(..) {
            for part in [&key, &line] {
                out.write_all(&(part.len() as u32).to_le_bytes())?;
                out.write_all(part)?;
            }
        }
        let mut run = out.into_inner().map_err(io::IntoInnerError::into_error)?;
        run.seek(SeekFrom::Start(0))?;
        self.runs.push(run);
        self.held_bytes = 0;
        Ok(())
    }

    /// Visits every key and line, in order of the keys.
    ///
    /// # Errors
    /// A temporary file cannot be read, or `visit` fails.
    pub fn finish(mut self, visit: &mut Visit<'_>) -> io::Result<()> {
        self.held.sort_unstable();
        let mut runs: Vec<Box<dyn Iterator<Item = io::Result<Pair>>>> = Vec::new();
        for run in std::mem::take(&mut self.runs) {
            let mut run = BufReader::new(run);
            runs.push(Box::new(std::iter::from_fn(move || read_pair(&mut run).transpose())));
        }
        runs.push(Box::new(self.held.into_iter().map(Ok)));
        let mut heads = BinaryHeap::new();
        for (number, run) in runs.iter_mut().enumerate() {
            if let Some(pair) = run.next() {
                heads.push(Reverse((pair?, number)));
            }
        }
        while let Some(Reverse(((key, line), number))) = heads.pop() {
            visit(&key, &line)?;
            if let Some(pair) = runs[number].next() {
                heads.push(Reverse((pair?, number)));
            }
        }
        Ok(())
    }
}

type Pair = (Vec<u8>, Vec<u8>);

fn read_pair(run: &mut BufReader<File>) -> io::Result<Option<Pair>> {
    if run.fill_buf()?.is_empty() {
        return Ok(None);
    }
    let mut part = || -> io::Result<Vec<u8>> {
        let mut len = [0; 4];
        run.read_exact(&mut len)?;
        let mut part = vec![0; u32::from_le_bytes(len) as usize];
        run.read_exact(&mut part)?;
        Ok(part)
    };
    Ok(Some((part()?, part()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_in_order_of_their_keys_however_many_runs_there_are() {
        for run_bytes in [1, 50, 1 << 20] {
            let mut sorter = Sorter::with_run_bytes(run_bytes);
            for n in (0..100_u32).rev() {
                sorter.push(n.to_be_bytes().to_vec(), format!("line {n}").into_bytes()).unwrap();
            }
            let mut found = Vec::new();
            let mut visit = |_: &[u8], line: &[u8]| {
                found.push(String::from_utf8_lossy(line).into_owned());
                Ok(())
            };
            sorter.finish(&mut visit).unwrap();
            let expected: Vec<_> = (0..100).map(|n| format!("line {n}")).collect();
            assert_eq!(found, expected);
        }
    }
}
