//! `spoor store reshape`: the stores of a cluster for another number of processes.
//!
//! The work is `dataflow`'s; here are the words and the progress bar.

use std::path::PathBuf;

use indicatif::HumanBytes;
use spoor_dataflow::reshape::{ReshapeError, Reshaped, reshape};

use super::store::Bar;
use super::{Failure, say};

/// Brings the stores there and says what was moved.
pub fn run(directories: &[PathBuf], processes: usize) -> Result<(), Failure> {
    let bar = Bar::new("{msg:12} {bar:30} {human_pos} of about {human_len} requests, {eta} left");
    let watch = &mut |progress: spoor_dataflow::reshape::Progress| {
        bar.show("moving", progress.requests, progress.total)
    };
    let done = reshape(directories, processes, watch).map_err(|error| match error {
        ReshapeError::Refused(text) => Failure::Usage(text),
        other => Failure::failed(other),
    })?;
    bar.end();
    tell(&done)
}

/// So many processes, in words.
pub fn processes(number: usize) -> String {
    format!("{number} process{}", if number == 1 { "" } else { "es" })
}

fn tell(done: &Reshaped) -> Result<(), Failure> {
    let to = done.to;
    match done.from {
        None => say(format_args!("nothing to do: these are the stores of {}", processes(to)))?,
        Some(from) => say(format_args!(
            "from {from} to {}: {} identity-days moved, with {} sessions and {} \
             requests ({})",
            processes(to),
            done.identity_days,
            done.sessions,
            done.requests,
            HumanBytes(done.bytes)
        ))?,
    }
    for directory in &done.left {
        say(format_args!("not needed any more, can be deleted: {}", directory.display()))?;
    }
    Ok(())
}
