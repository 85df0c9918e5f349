//! A part of a file: some ranges of it, read one after the other.
//!
//! The rest is read by other processes, or was read before. Its checkpoints are the ranges this
//! process has read, those of earlier runs included; they do not say where to go on, because who
//! reads what is decided anew at every start.

use std::path::PathBuf;
use std::sync::Arc;

use super::file::{self, Stream};
use super::ranges::Ranges;
use super::{Next, Source, SourceError};
use crate::decode::Format;

/// See the module's description.
pub(super) struct Part {
    name: String,
    path: PathBuf,
    format: Option<Arc<Format>>,
    left: Vec<(u64, u64)>,
    read: Ranges,
    current: Option<Stream>,
}

impl Part {
    pub(super) fn new(
        path: PathBuf,
        format: Option<Arc<Format>>,
        ranges: &Ranges,
        read: Ranges,
    ) -> Self {
        let mut left = ranges.list().to_vec();
        left.reverse();
        Self { name: path.display().to_string(), path, format, left, read, current: None }
    }
}

impl Source for Part {
    fn name(&self) -> &str {
        &self.name
    }

    fn next(&mut self) -> Result<Next, SourceError> {
        loop {
            if let Some(stream) = &mut self.current
                && let Next::Chunk(mut chunk) = stream.next()?
            {
                self.read.add(chunk.offset, chunk.end);
                chunk.checkpoint = self.read.encode().into();
                return Ok(Next::Chunk(chunk));
            }
            let Some((from, until)) = self.left.pop() else { return Ok(Next::End) };
            let stream = file::open_range(&self.path, self.format.clone(), from, until)?;
            self.current = Some(stream);
        }
    }
}
