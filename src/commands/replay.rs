//! `spoor replay`: logs through the dataflow to their end, sessions out.

use std::fs::File;
use std::io::{self, BufWriter, IsTerminal as _, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use spoor_dataflow::decode::Format;
use spoor_dataflow::engine::{LEADER, Settings};
use spoor_dataflow::query::SourceCounts;
use spoor_dataflow::replay::{self, ReplayError, Summary};
use spoor_dataflow::source::SourceSpec;
use spoor_dataflow::source::named::{self, Named};
use tempfile::TempDir;

use super::{Failure, refusals, rules, setup};
use crate::cli::ReplayArgs;

/// Bytes of the output gathered before a write.
const OUTPUT_BYTES: usize = 1 << 18;
/// How often the progress is drawn.
const DRAW_INTERVAL: Duration = Duration::from_millis(100);

/// Replays and writes sessions, then the summary.
pub fn run(args: &ReplayArgs) -> Result<(), Failure> {
    let cluster = setup::cluster(&args.cluster)?;
    let leads = cluster.as_ref().is_none_or(|cluster| cluster.process == LEADER);
    if !leads && args.output.is_some() {
        return Err(Failure::Usage(
            "process 0 writes the sessions of all: give --output there".into(),
        ));
    }
    let rules = args.rules.as_deref().map(rules::read).transpose()?;
    let config = setup::config(args.config.as_deref(), |config| {
        if let Some(rules) = rules {
            config.rules = rules;
        }
        if let Some(workers) = args.workers {
            config.engine.workers = workers as usize;
        }
        // History is complete: every day is kept unless asked otherwise, no request is too new.
        config.rules.settings.retention_days = args.retention;
        config.rules.settings.future_ms = None;
        // A replay can be repeated: it need not survive a loss of power.
        config.store.sync = false;
    })?;
    let format = setup::format(&args.format, &setup::formats(&config)?)?;
    let Inputs { sources, unread } = inputs(&args.inputs, Some(&format))?;
    let (sources, twins) = named::without_twins(sources);
    for (twin, other) in twins {
        tracing::warn!("{} is the same file as {other}; it is read once", twin.name);
    }
    let (directory, _temporary) = state(args.state.as_deref())?;
    let settings = Settings {
        cluster,
        ends_with_sources: true,
        refuses_future: false,
        remembers_changes: false,
        ..setup::settings(config, &directory, args.state.is_some(), sources)?
    };
    // The output is opened first: a place that cannot be written is known before the work.
    let out = if leads { Some(output(args.output.as_deref())?) } else { None };

    let begin = Instant::now();
    let progress = Progress::new(&settings.sources);
    let mut watch = |counts: &SourceCounts, bytes| {
        progress.show(counts, bytes);
        if args.strict && counts.bad > 0 {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    };
    let replayed = replay::run(settings, &mut watch).map_err(Failure::failed)?;
    let counts = replayed.counts();
    if args.strict && counts.bad > 0 {
        progress.end();
        refusals::tell(replayed.refusals());
        return Err(Failure::Failed(
            "a record is bad, and --strict is given: nothing is written".into(),
        ));
    }
    progress.writing();
    let left_out = replayed.files_left_out();
    let written = out.map(|mut out| replayed.write_sessions(args.requests, &mut out));
    let written = written.transpose().map_err(|error| match error {
        ReplayError::Output(error) => Failure::output(error),
        other => Failure::failed(other),
    })?;
    let seconds = begin.elapsed().as_secs_f64();
    progress.end();
    if left_out > 0 && counts.read == 0 {
        return Err(Failure::Failed("nothing was read: every file was left out, as told".into()));
    }
    refusals::tell(replayed.refusals());
    let status = match replayed.end().map_err(Failure::failed) {
        Err(failure) if counts.read == 0 => return Err(failure),
        Err(failure) => {
            eprintln!("spoor: {}", failure.message().unwrap_or_default());
            FAILED
        }
        Ok(()) if unread => FAILED,
        Ok(()) if counts.read > 0 && counts.bad == counts.read => {
            eprintln!("spoor: {ALL_BAD_HINT}");
            ALL_BAD
        }
        Ok(()) => 0,
    };
    match written {
        Some((sessions, identities)) => tell(&summary(&counts, sessions, identities, seconds))?,
        None => {
            eprintln!("{} records in {seconds:.3} s; process 0 writes the sessions", counts.read);
        }
    }
    if status == 0 { Ok(()) } else { Err(Failure::Told(status)) }
}

/// Exit status when an input could not be read to its end; what was read is written.
const FAILED: u8 = 1;
/// Exit status when every record is bad.
const ALL_BAD: u8 = 3;
/// What to try then.
const ALL_BAD_HINT: &str = "every record is bad: is this the right format? Name one with --format, \
                            or describe your own under [formats] or [mappings] of the configuration; \
                            `spoor inspect` shows what it is taken for";

/// What is to be read.
struct Inputs {
    sources: Vec<Named>,
    /// Some inputs cannot be read; that was said.
    unread: bool,
}

/// The inputs that are there; each other one is told at once, and is the end's exit status.
fn inputs(paths: &[PathBuf], format: Option<&Arc<Format>>) -> Result<Inputs, Failure> {
    let (mut sources, mut unread) = (Vec::new(), None);
    for path in paths {
        let found = readable(path).and_then(|()| {
            Named::from(setup::input(path, format.cloned())).expand().map_err(Failure::failed)
        });
        match found {
            Ok(found) => sources.extend(found),
            Err(failure) => {
                if paths.len() > 1 {
                    eprintln!(
                        "spoor: {}; the other inputs are read",
                        failure.message().unwrap_or_default()
                    );
                }
                unread.get_or_insert(failure);
            }
        }
    }
    match unread {
        Some(failure) if sources.is_empty() => Err(failure),
        unread => Ok(Inputs { sources, unread: unread.is_some() }),
    }
}

fn summary(counts: &SourceCounts, sessions: u64, identities: u64, seconds: f64) -> Summary {
    Summary {
        read: counts.read,
        accepted: counts.accepted,
        duplicate: counts.duplicate,
        bad: counts.bad,
        excluded: counts.excluded,
        unkeyed: counts.unkeyed,
        expired: counts.expired,
        future: counts.future,
        repaired: counts.repaired,
        sessions,
        identities,
        seconds: (seconds * 1000.0).round() / 1000.0,
        requests_per_second: (counts.read as f64 / seconds.max(1e-9)).round(),
    }
}

/// In words for people, then as one JSON object, which is the last line.
fn tell(summary: &Summary) -> Result<(), Failure> {
    let Summary { read, bad, sessions, identities, seconds, .. } = summary;
    let json = serde_json::to_string(summary).map_err(Failure::failed)?;
    eprintln!(
        "{read} records ({bad} bad) in {seconds} s: {sessions} sessions of {identities} identities"
    );
    eprintln!("{json}");
    Ok(())
}

/// An input that is not there is told before anything else is done.
fn readable(path: &Path) -> Result<(), Failure> {
    if path == Path::new("-") {
        return Ok(());
    }
    match std::fs::metadata(path) {
        Ok(_) => Ok(()),
        Err(error) => Err(Failure::Failed(format!("cannot read {}: {error}", path.display()))),
    }
}

/// The directory of the state: the given one, which must be new or empty, or a temporary one that
/// goes when its guard does.
fn state(given: Option<&Path>) -> Result<(PathBuf, Option<TempDir>), Failure> {
    let Some(given) = given else {
        let temporary = tempfile::Builder::new().prefix("spoor-replay-").tempdir();
        let temporary = temporary.map_err(Failure::failed)?;
        return Ok((temporary.path().into(), Some(temporary)));
    };
    let refuse = |why: &str| {
        let given = given.display();
        Err(Failure::Usage(format!(
            "--state {given}: {why}; give a directory that is new or empty"
        )))
    };
    match std::fs::read_dir(given).map(Iterator::count) {
        Ok(entries) if entries > 0 => refuse("the directory is not empty"),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => refuse("this is a file"),
        Err(error) if error.kind() != io::ErrorKind::NotFound => refuse(&error.to_string()),
        _ => Ok((given.into(), None)),
    }
}

fn output(file: Option<&Path>) -> Result<Box<dyn Write>, Failure> {
    let Some(file) = file else {
        return Ok(Box::new(BufWriter::with_capacity(OUTPUT_BYTES, io::stdout().lock())));
    };
    let created = File::create(file)
        .map_err(|error| Failure::Failed(format!("cannot write {}: {error}", file.display())))?;
    Ok(Box::new(BufWriter::with_capacity(OUTPUT_BYTES, created)))
}

/// How far the work is, on a terminal; nothing elsewhere.
struct Progress(Option<ProgressBar>);

impl Progress {
    fn new(sources: &[Named]) -> Self {
        if !io::stderr().is_terminal() {
            return Self(None);
        }
        // Offsets count uncompressed bytes, so only of plain files is the whole known.
        let sizes: Option<Vec<u64>> = sources.iter().map(plain_size).collect();
        let bar = match sizes {
            Some(sizes) => ProgressBar::new(sizes.iter().sum()).with_style(style(
                "{bar:30} {percent:>3}% {bytes} of {total_bytes}, {msg}, {eta} left",
            )),
            None => ProgressBar::new_spinner().with_style(style("{spinner} {bytes}, {msg}")),
        };
        bar.enable_steady_tick(DRAW_INTERVAL);
        Self(Some(bar))
    }

    fn show(&self, counts: &SourceCounts, bytes: u64) {
        if let Some(bar) = &self.0 {
            bar.set_position(bytes);
            bar.set_message(format!("{} records", counts.read));
        }
    }

    fn writing(&self) {
        if let Some(bar) = &self.0 {
            bar.set_message("writing the sessions");
        }
    }

    fn end(&self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// The size of a file that is read as it is.
fn plain_size(source: &Named) -> Option<u64> {
    let SourceSpec::File { path, .. } = &source.spec else { return None };
    let compressed = ["gz", "zst", "xz", "lz4"]
        .iter()
        .any(|end| path.extension().is_some_and(|ext| ext == *end));
    if compressed { None } else { std::fs::metadata(path).ok().map(|file| file.len()) }
}
