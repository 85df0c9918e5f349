//! The threads that read sources, and what they send the coordinator.
//!
//! Each source has one thread; all send into one bounded channel, so a coordinator that does not
//! keep up makes them wait: memory does not grow with the input, and nothing is dropped.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use crossbeam_channel::Sender;

use crate::engine::divide::Reading;
use crate::source::{self, Chunk, Next, POLL_INTERVAL, SourceError, SourceId};

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
    reading: Reading,
    to: Sender<FromSource>,
    stop: Arc<AtomicBool>,
) -> std::io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name(format!("source-{}", id.0)).spawn(move || {
        let last = match read(id, &reading, &to, &stop) {
            Ok(()) => FromSource::End(id),
            Err(error) => FromSource::Failed(id, error),
        };
        // The coordinator is gone when everything stops.
        let _ = to.send(last);
    })
}

fn read(
    id: SourceId,
    reading: &Reading,
    to: &Sender<FromSource>,
    stop: &AtomicBool,
) -> Result<(), SourceError> {
    let (spec, checkpoint) = (&reading.spec, &reading.row.checkpoint);
    let mut source = match checkpoint.is_empty() {
        false => source::resume(spec, checkpoint)?,
        true => source::open(spec, 0)?,
    };
    let own_name = (reading.name != spec.name()).then_some(&reading.name);
    while !stop.load(Ordering::Acquire) {
        match source.next()? {
            Next::Chunk(mut chunk) => {
                chunk.source = id;
                if let Some(own_name) = own_name {
                    // What follows the name tells the files of a followed one apart.
                    let rest = chunk.name.strip_prefix(source.name()).unwrap_or_default();
                    chunk.name = format!("{own_name}{rest}").into();
                }
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
