//! Standard input: a stream like a file's, but records are handed over as they arrive.

use std::sync::Arc;

use super::file::{Input, Stream};
use super::{Source, SourceError};
use crate::decode::Format;

/// Its name.
pub const NAME: &str = "stdin";

pub(super) fn open(
    format: Option<Arc<Format>>,
    resume_at: u64,
) -> Result<Box<dyn Source>, SourceError> {
    Ok(Box::new(Stream::new(NAME.into(), Input::live(std::io::stdin()), format, resume_at)))
}
