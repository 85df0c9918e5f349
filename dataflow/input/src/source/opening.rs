//! Opening what a path names, and reading it, without ever waiting for what may not come.
//!
//! A named pipe that nobody writes to, a terminal or a silent standard input would hold a thread
//! for ever, and with it the end of the process. So everything is opened without waiting, what is
//! no regular file is waited for in steps, and every step looks whether the source is to stop.

use std::fs::{File, FileType, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;

/// Nanoseconds that a wait for input lasts before it is looked whether to stop.
const STEP_NANOS: i64 = 100_000_000;
/// Bytes skipped of a compressed stream before it is looked whether to stop.
const SKIP_STEP_BYTES: u64 = 4 << 20;

/// Tells sources to stop; its clones tell and are told the same.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// From now on nothing waits any more.
    pub fn set(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Whether sources are to stop.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    /// The error of a read that was given up.
    ///
    /// # Errors
    /// When sources are to stop.
    pub(super) fn check(&self) -> io::Result<()> {
        if self.is_set() { Err(io::Error::other("it was told to stop")) } else { Ok(()) }
    }
}

/// What is at a path, for those who read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A regular file: it can be read again from any place.
    Regular,
    /// A named pipe or a character device: bytes come once.
    Stream,
}

/// What is at a path.
///
/// # Errors
/// What the system says; what is neither a file nor a stream of bytes is named.
pub fn kind(path: &Path) -> io::Result<Kind> {
    let found = std::fs::metadata(path)?.file_type();
    if found.is_file() {
        Ok(Kind::Regular)
    } else if found.is_fifo() || found.is_char_device() {
        Ok(Kind::Stream)
    } else {
        Err(io::Error::other(format!("it is {}, not a file", in_words(found))))
    }
}

fn in_words(kind: FileType) -> &'static str {
    match kind {
        kind if kind.is_dir() => "a directory",
        kind if kind.is_socket() => "a socket",
        kind if kind.is_fifo() => "a named pipe",
        kind if kind.is_char_device() => "a character device",
        kind if kind.is_block_device() => "a block device",
        _ => "something else",
    }
}

/// Whether a regular file is at a path.
///
/// # Errors
/// What the system says, or what it is instead.
pub fn check_regular(path: &Path) -> io::Result<()> {
    check(std::fs::metadata(path)?.file_type())
}

fn check(found: FileType) -> io::Result<()> {
    match found.is_file() {
        true => Ok(()),
        false => Err(io::Error::other(format!("it is {}, not a regular file", in_words(found)))),
    }
}

/// Opens a regular file. Anything else is refused before it is opened: opening a pipe for a moment
/// would break it for its writer.
///
/// # Errors
/// What the system says, or what it is instead of a regular file.
pub fn regular(path: &Path) -> io::Result<File> {
    check_regular(path)?;
    let file = open(path)?;
    // Another thing may have come there in between.
    check(file.metadata()?.file_type())?;
    Ok(file)
}

/// Opens a pipe or a device. A pipe need not have a writer yet.
///
/// # Errors
/// What the system says.
pub fn stream(path: &Path, stop: &Stop) -> io::Result<Waiting> {
    Ok(Waiting { file: open(path)?, stop: stop.clone() })
}

/// Standard input.
///
/// # Errors
/// It is closed.
pub fn stdin(stop: &Stop) -> io::Result<Waiting> {
    use std::os::fd::AsFd as _;
    let file = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    Ok(Waiting { file, stop: stop.clone() })
}

fn open(path: &Path) -> io::Result<File> {
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits();
    OpenOptions::new().read(true).custom_flags(flags.cast_signed()).open(path)
}

/// A stream of which a read waits until there is something, its end, or the word to stop.
#[derive(Debug)]
pub struct Waiting {
    file: File,
    stop: Stop,
}

impl Read for Waiting {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let step = Timespec { tv_sec: 0, tv_nsec: STEP_NANOS };
        loop {
            self.stop.check()?;
            let mut files = [PollFd::new(&self.file, PollFlags::IN)];
            match poll(&mut files, Some(&step)) {
                Ok(0) | Err(rustix::io::Errno::INTR) => continue,
                Ok(_) => {}
                Err(error) => return Err(error.into()),
            }
            match self.file.read(buffer) {
                Err(error) if is_no_failure(&error) => {}
                done => return done,
            }
        }
    }
}

fn is_no_failure(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

/// Skips bytes of a stream; answers how many there were.
///
/// # Errors
/// What reading gives, or that it is to stop.
pub fn skip(from: &mut dyn Read, len: u64, stop: &Stop) -> io::Result<u64> {
    let mut skipped = 0;
    while skipped < len {
        stop.check()?;
        let step = (len - skipped).min(SKIP_STEP_BYTES);
        let now = io::copy(&mut from.take(step), &mut io::sink())?;
        skipped += now;
        if now < step {
            break;
        }
    }
    Ok(skipped)
}
