//! The threads that read sources, and what they send the coordinator.
//!
//! Each source has one thread; all send into one bounded channel, so a coordinator that does not
//! keep up makes them wait: memory does not grow with the input, and nothing is dropped.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use crossbeam_channel::Sender;

use crate::source::{self, Chunk, Next, POLL_INTERVAL, SourceError, SourceId, SourceSpec};

/// What a source's thread says.
#[derive(Debug)]
pub enum FromSource {
    /// Records.
    Chunk(Chunk),
    /// It was read to its end.
    End(SourceId),
    /// It cannot be read further.
    Failed(SourceId, SourceError),
}

/// Starts the thread of a source, behind its checkpoint if it has one.
///
/// # Errors
/// The system has no thread left.
pub fn spawn(
    id: SourceId,
    spec: SourceSpec,
    checkpoint: Option<Vec<u8>>,
    to: Sender<FromSource>,
    stop: Arc<AtomicBool>,
) -> std::io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name(format!("source-{}", id.0)).spawn(move || {
        let last = match read(id, &spec, checkpoint.as_deref(), &to, &stop) {
            Ok(()) => FromSource::End(id),
            Err(error) => FromSource::Failed(id, error),
        };
        // The coordinator is gone when everything stops.
        let _ = to.send(last);
    })
}

fn read(
    id: SourceId,
    spec: &SourceSpec,
    checkpoint: Option<&[u8]>,
    to: &Sender<FromSource>,
    stop: &AtomicBool,
) -> Result<(), SourceError> {
    let mut source = match checkpoint {
        Some(checkpoint) => source::resume(spec, checkpoint)?,
        None => source::open(spec, 0)?,
    };
    while !stop.load(Ordering::Acquire) {
        match source.next()? {
            Next::Chunk(mut chunk) => {
                chunk.source = id;
                if to.send(FromSource::Chunk(chunk)).is_err() {
                    return Ok(());
                }
            }
            Next::Idle => std::thread::sleep(POLL_INTERVAL),
            Next::End => return Ok(()),
        }
    }
    Ok(())
}
