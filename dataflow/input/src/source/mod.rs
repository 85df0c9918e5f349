//! Sources: where records come from, as chunks of whole records in the order of the input.
//!
//! A source keeps no queue: it reads only when asked for the next chunk, so whoever asks sets the
//! pace, and memory is bounded by a few chunks whatever the size of the input. Offsets are those of
//! the uncompressed stream. Every chunk carries a checkpoint; [`resume`] goes on behind it.

mod charset;
mod cut;
mod file;
mod follow;
pub mod named;
pub mod opening;
mod part;
mod place;
pub mod ranges;
mod rotated;
#[cfg(test)]
mod tests;
pub mod watch;

use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use crate::decode::chunk::{
    CHUNK_BYTES, Chunk, Content, RAW_BYTES_MAX, RECORD_BYTES_MAX, SourceId,
};
pub use charset::utf8;

use crate::decode::Format;
use opening::Stop;
use ranges::Ranges;

/// Name of the source of standard input.
pub const STDIN: &str = "stdin";

/// Something to read from.
#[derive(Clone, Debug)]
pub enum SourceSpec {
    /// A file, plain or compressed, read to its end.
    File {
        /// Path as given.
        path: PathBuf,
        /// None: from the content.
        format: Option<Arc<Format>>,
    },
    /// Some ranges of a plain file of lines; others read the rest, or have read it.
    Part {
        /// Path as given.
        path: PathBuf,
        /// None: from the content.
        format: Option<Arc<Format>>,
        /// What is to be read.
        ranges: Ranges,
        /// What this process has read before.
        read: Ranges,
    },
    /// Every file of a directory (not of those below it), by name. [`named::Named::expand`] makes
    /// files of it; it is not opened itself.
    Directory {
        /// Path as given.
        path: PathBuf,
        /// None: from the content, of each file.
        format: Option<Arc<Format>>,
    },
    /// Standard input, plain or compressed. Its name is `stdin`. It is another stream in each
    /// process, read from its beginning.
    Stdin {
        /// None: from the content.
        format: Option<Arc<Format>>,
    },
    /// A named pipe or a device, plain or compressed, read to its end. It is another stream
    /// each time, as standard input is.
    Stream {
        /// Path as given.
        path: PathBuf,
        /// None: from the content.
        format: Option<Arc<Format>>,
    },
    /// A plain file that grows, is rotated, or is truncated. It has no end.
    Follow {
        /// Path as given. It need not exist yet.
        path: PathBuf,
        /// None: from the content, as soon as there is a line.
        format: Option<Arc<Format>>,
    },
}

/// What a source has.
#[derive(Debug)]
pub enum Next {
    /// Records.
    Chunk(Chunk),
    /// Nothing now, perhaps later: ask again after [`LOOK_INTERVAL`].
    Idle,
    /// It cannot be read now: ask again, as if it were idle.
    Failing(SourceError),
    /// Something of it cannot be read any more, in words; the rest goes on.
    Missing(String),
    /// Nothing, ever.
    End,
}

/// How long to wait before asking an idle source again of which nobody tells when it changes.
pub const LOOK_INTERVAL: std::time::Duration = std::time::Duration::from_millis(100);

/// A source that could not be read; the text names it and the place.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// The system refused.
    #[error("{name}: {error} (at byte {offset})")]
    Io {
        /// Source.
        name: String,
        /// Offset in the uncompressed stream.
        offset: u64,
        /// What the system says.
        #[source]
        error: std::io::Error,
    },
    /// Its format is not known and was not given.
    #[error("{name}: {reason}")]
    Format {
        /// Source.
        name: String,
        /// What was seen and what to do.
        reason: String,
    },
    /// The input is not the one the checkpoint was made of.
    #[error("{name}: {reason}")]
    Resume {
        /// Source.
        name: String,
        /// What differs.
        reason: String,
    },
}

/// A source of chunks.
pub trait Source: Send {
    /// What its errors and its chunks call it: its path as given.
    fn name(&self) -> &str;

    /// The next chunk. Files and streams wait until there is one, or until they are told to stop,
    /// which is a failure then; a followed file never waits: it answers [`Next::Idle`].
    ///
    /// # Errors
    /// [`SourceError`]; everything before the place it names was delivered.
    fn next(&mut self) -> Result<Next, SourceError>;
}

impl SourceSpec {
    /// The path it reads, if it does.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::File { path, .. }
            | Self::Part { path, .. }
            | Self::Directory { path, .. }
            | Self::Stream { path, .. }
            | Self::Follow { path, .. } => Some(path),
            Self::Stdin { .. } => None,
        }
    }

    /// Whether several can read it, each a part: its length in bytes, if so.
    ///
    /// # Errors
    /// [`SourceError`]: it cannot be read, or its format is unknown.
    pub fn divisible(&self) -> Result<Option<u64>, SourceError> {
        match self {
            Self::File { path, format } => file::divisible(path, format.clone()),
            _ => Ok(None),
        }
    }

    /// What it is called when nobody gave it a name, and in errors: its path as given.
    #[must_use]
    pub fn name(&self) -> String {
        self.path().map_or_else(|| STDIN.into(), |path| path.display().to_string())
    }

    /// Whether what a process finds there is new, so that an earlier one cannot have read it to its
    /// end.
    #[must_use]
    pub fn is_new_each_time(&self) -> bool {
        matches!(self, Self::Stdin { .. } | Self::Stream { .. })
    }
}

/// Opens a source at an offset of its uncompressed stream. A stream begins where it begins; its
/// first byte is said to be at that offset.
///
/// # Errors
/// [`SourceError`]: it cannot be opened, is shorter than that, or its format is unknown.
pub fn open(
    spec: &SourceSpec,
    resume_at: u64,
    stop: &Stop,
) -> Result<Box<dyn Source>, SourceError> {
    let failed = |error| SourceError::Io { name: spec.name(), offset: resume_at, error };
    let live = |input: opening::Waiting, format: &Option<Arc<Format>>| {
        Box::new(file::Stream::live(spec.name().into(), input, format.clone(), resume_at))
    };
    match spec {
        SourceSpec::File { path, format } => file::open(path, format.clone(), resume_at, stop),
        SourceSpec::Part { path, format, ranges, read } => {
            Ok(Box::new(part::Part::new(path.clone(), format.clone(), ranges, read.clone())))
        }
        SourceSpec::Stream { path, format } => {
            Ok(live(opening::stream(path, stop).map_err(failed)?, format))
        }
        SourceSpec::Stdin { format } => Ok(live(opening::stdin(stop).map_err(failed)?, format)),
        SourceSpec::Follow { path, format } => {
            Ok(Box::new(follow::Follow::at(path, format.clone(), resume_at, stop)))
        }
        SourceSpec::Directory { .. } => Err(SourceError::Format {
            name: spec.name(),
            reason: "a directory is opened file by file".into(),
        }),
    }
}

/// Whether it is a checkpoint of any kind of source; an empty one is the beginning of each.
pub fn is_checkpoint(checkpoint: &[u8]) -> bool {
    checkpoint.is_empty()
        || Ranges::decode(checkpoint).is_some()
        || place::decode(checkpoint).is_ok()
}

/// Opens a source behind the chunk whose checkpoint this is.
///
/// # Errors
/// As [`open`]; [`SourceError::Resume`] when the checkpoint is not of this source.
pub fn resume(
    spec: &SourceSpec,
    checkpoint: &[u8],
    stop: &Stop,
) -> Result<Box<dyn Source>, SourceError> {
    let foreign = || SourceError::Resume {
        name: spec.name(),
        reason: "the checkpoint is not of a source of this kind".into(),
    };
    if let SourceSpec::Follow { path, format } = spec {
        let places = place::decode(checkpoint).map_err(|_| foreign())?;
        return Ok(Box::new(follow::Follow::behind(path, format.clone(), places, stop)));
    }
    if let SourceSpec::Part { .. } = spec {
        // Its ranges say where to go on.
        return open(spec, 0, stop);
    }
    let offset = <[u8; 8]>::try_from(checkpoint).map_err(|_| foreign())?;
    open(spec, u64::from_le_bytes(offset), stop)
}
