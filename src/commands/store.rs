//! `spoor store`: what a store holds, whether it is whole, copies of it, its space.
//!
//! The work is `dataflow`'s; here are the words and the progress bar.

use std::fmt::Write as _;
use std::io::{self, IsTerminal as _};
use std::path::Path;

use indicatif::{HumanBytes, ProgressBar, ProgressStyle};
use spoor_dataflow::reshape::ReshapeState;
use spoor_dataflow::store::StoreError;
use spoor_dataflow::store::care::{self, Backup, Info};

use super::{Failure, reshape, say};
use crate::cli::StoreCommand;

/// Runs one of the commands.
pub fn run(command: &StoreCommand) -> Result<(), Failure> {
    match command {
        StoreCommand::Info { store, json } => info(&store.directory, *json),
        StoreCommand::Check { store, salvage_to } => check(&store.directory, salvage_to.as_deref()),
        StoreCommand::Backup { store, to } => backup(&store.directory, to),
        StoreCommand::Restore { from, store } => restore(from, &store.directory),
        StoreCommand::Compact { store } => compact(&store.directory),
        StoreCommand::Reshape { processes, directories } => reshape::run(directories, *processes),
    }
}

fn info(directory: &Path, json: bool) -> Result<(), Failure> {
    let info = care::info(directory).map_err(Failure::failed)?;
    if json {
        say(serde_json::to_string(&info).map_err(Failure::failed)?)?;
    } else {
        say(told(&info).trim_end())?;
    }
    Ok(())
}

/// What a store holds, for people.
fn told(info: &Info) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: &dyn std::fmt::Display| {
        let _ = writeln!(text, "{name:15} {value}");
    };
    let or = |value: Option<u64>| value.map_or("none".into(), |value| value.to_string());
    let fingerprint = info.fingerprint.as_deref().unwrap_or("none");
    let other = if info.readable { "" } else { " (another program's: this one refuses it)" };
    line("format", &info.format);
    line("fingerprint", &format_args!("{fingerprint}{other}"));
    line("zone", &info.zone);
    line("shape", &shape(info));
    if let Some(state) = &info.reshape {
        line("reshape", &reshaping(state));
    }
    line("incarnation", &info.incarnation);
    line("epoch", &or(info.epoch));
    line("acknowledged", &or(info.acknowledged));
    line("staged", &or(info.staged));
    line("watermark", &instant(info.watermark));
    line("sessions", &info.sessions);
    line("requests", &info.requests);
    line("days", &info.days);
    line("dead letters", &info.dead_letters);
    match info.rules {
        Some((version, epoch)) => {
            line("rules", &format_args!("version {version}, since epoch {epoch}"))
        }
        None => line("rules", &"none"),
    }
    line("bytes", &info.total_bytes);
    for (family, bytes) in &info.bytes {
        line("", &format_args!("{family} {bytes}"));
    }
    for source in &info.sources {
        let state = if source.ended { ", read to its end" } else { "" };
        let counts = &source.counts;
        line(
            "source",
            &format_args!(
                "{} at byte {}, {} records ({} bad){state}",
                source.name, source.offset, counts.read, counts.bad
            ),
        );
    }
    match info.in_use_by {
        Some(0) => line("in use", &"yes"),
        Some(pid) => line("in use", &format_args!("by process {pid}")),
        None => line("in use", &"no"),
    }
    text
}

/// Whose store it is.
fn shape(info: &Info) -> String {
    match &info.shape {
        Some(shape) => format!("process {} of {}", shape.process, shape.processes),
        None => "none".into(),
    }
}

/// What a change of the number of processes has made of it.
fn reshaping(state: &ReshapeState) -> String {
    match state {
        ReshapeState::UnderWay { process, from, to } => format!(
            "process {process}, from {from} to {to} processes, not ended: run `spoor store reshape \
             --processes {to}` again, with the same directories"
        ),
        ReshapeState::Left { processes } => format!(
            "left behind: what it held is in the store{} of {}; it can be deleted",
            if *processes == 1 { "" } else { "s" },
            super::reshape::processes(*processes)
        ),
    }
}

fn instant(ms: Option<i64>) -> String {
    match ms.map(jiff::Timestamp::from_millisecond) {
        Some(Ok(at)) => at.to_string(),
        Some(Err(_)) => "out of range".into(),
        None => "none".into(),
    }
}

fn check(directory: &Path, salvage_to: Option<&Path>) -> Result<(), Failure> {
    let bar = Bar::new("{msg:12} {bar:30} {percent:>3}%");
    let report = care::check(directory, &mut |what, done, total| bar.show(what, done, total));
    let report = report.map_err(Failure::failed)?;
    bar.end();
    // A list nobody reads to its end does not make the store good.
    let listed = list(&report.listed, report.problems);
    if let Some(to) = salvage_to {
        salvage(directory, to)?;
    }
    if report.problems > 0 {
        return Err(Failure::Failed(format!(
            "the store {} is damaged: {} problems",
            directory.display(),
            report.problems
        )));
    }
    listed?;
    let epoch = report.epoch.map_or("nothing committed".into(), |epoch| format!("epoch {epoch}"));
    say(format_args!("good: {epoch}, {} rows in {} files", report.rows, report.files))?;
    Ok(())
}

/// What is wrong, and how much more is.
fn list<T: std::fmt::Display>(listed: &[T], all: u64) -> Result<(), Failure> {
    listed.iter().try_for_each(say)?;
    match all - listed.len() as u64 {
        0 => Ok(()),
        more => say(format_args!("and {more} more")),
    }
}

fn salvage(directory: &Path, to: &Path) -> Result<(), Failure> {
    let bar = Bar::new("{msg:12} {pos} rows");
    let saved = care::salvage(directory, to, &mut |what, done, total| bar.show(what, done, total));
    let saved = saved.map_err(Failure::failed)?;
    bar.end();
    say(format_args!("saved epoch {} with {} rows to {}", saved.epoch, saved.rows, to.display()))?;
    match saved.acknowledged {
        Some(told) if told > saved.epoch => say(format_args!(
            "lost are epochs {} to {told}: files are read again from where epoch {} left them, \
             what was pushed since must be pushed again",
            saved.epoch + 1,
            saved.epoch
        ))?,
        Some(_) => say("nothing acknowledged is lost")?,
        None => say("whether something acknowledged is lost cannot be known")?,
    }
    Ok(())
}

fn backup(directory: &Path, to: &Path) -> Result<(), Failure> {
    let bar = Bar::bytes();
    let watch = &mut |what: &str, done, total| bar.show(what, done, total);
    let made = match care::backup(directory, to, watch) {
        Err(StoreError::InUse { .. }) => care::ask_backup(directory, to, watch),
        other => other,
    };
    let made = made.map_err(Failure::failed)?;
    bar.end();
    say(format_args!("backed up {} to {}", described(&made), to.display()))?;
    Ok(())
}

fn restore(from: &Path, directory: &Path) -> Result<(), Failure> {
    let bar = Bar::bytes();
    let made = care::restore(from, directory, &mut |what, done, total| bar.show(what, done, total));
    let made = made.map_err(Failure::failed)?;
    bar.end();
    say(format_args!("restored {} to {}", described(&made), directory.display()))?;
    Ok(())
}

fn described(backup: &Backup) -> String {
    let epoch = backup.epoch.map_or("an empty store".into(), |epoch| format!("epoch {epoch}"));
    format!("{epoch}, {}", HumanBytes(backup.bytes()))
}

fn compact(directory: &Path) -> Result<(), Failure> {
    let bar = Bar::new("{msg:12} {pos} of {len} column families");
    let done = care::compact(directory, &mut |what, done, total| bar.show(what, done, total));
    let done = done.map_err(Failure::failed)?;
    bar.end();
    say(format_args!("{} bytes before, {} after", done.before, done.after))?;
    Ok(())
}

/// How far the work is, on a terminal; nothing elsewhere.
pub struct Bar(Option<ProgressBar>);

impl Bar {
    pub fn new(template: &str) -> Self {
        let bar = io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template(template);
            ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        });
        Self(bar)
    }

    fn bytes() -> Self {
        Self::new("{msg:12} {bar:30} {bytes} of {total_bytes}, {eta} left")
    }

    pub fn show(&self, what: &str, done: u64, total: u64) -> bool {
        if let Some(bar) = &self.0 {
            if bar.message() != what {
                bar.set_message(what.to_owned());
            }
            bar.set_length(total);
            bar.set_position(done);
        }
        true
    }

    pub fn end(&self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}
