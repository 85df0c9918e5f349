//! Standard input: a stream like a file's, but records are handed over as they arrive.
//!
//! What a process finds there is no continuation of what an earlier one found: it is read from its
//! beginning. Only offsets go on, so that an implicit id never names two requests.

use std::sync::Arc;

use super::file::Stream;
use super::{Source, SourceError};
use crate::decode::Format;

/// Its name.
pub const NAME: &str = "stdin";

pub(super) fn open(
    format: Option<Arc<Format>>,
    first: u64,
) -> Result<Box<dyn Source>, SourceError> {
    Ok(Box::new(Stream::live(NAME.into(), std::io::stdin(), format, first)))
}
