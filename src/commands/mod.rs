//! What each command does, and how it can fail.

mod descriptors;
mod ending;
mod generate;
mod inspect;
mod pulse;
mod refusals;
mod replay;
mod reshape;
mod rules;
mod serve;
mod setup;
mod store;
mod verify;

use std::fmt;
use std::io::{self, Write as _};
use std::process::ExitCode;

use crate::cli::{Command, RulesCommand};

/// Why a command did not do its job.
#[derive(Debug)]
pub enum Failure {
    /// The call or the configuration is wrong: exit status 2.
    Usage(String),
    /// Everything was said already; this is the exit status.
    Told(u8),
    /// Whoever read standard output has seen enough: no failure, and nothing to say.
    ClosedPipe,
    /// Anything else: exit status 1.
    Failed(String),
}

impl Failure {
    /// A wrong call or configuration.
    pub fn usage(error: impl fmt::Display) -> Self {
        Self::Usage(error.to_string())
    }

    /// Anything else; the causes of an error follow it in the same line.
    pub fn failed(error: impl Into<anyhow::Error>) -> Self {
        Self::Failed(format!("{:#}", error.into()))
    }

    /// Output that cannot be written.
    pub fn output(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::ClosedPipe;
        }
        Self::Failed(format!("the output cannot be written: {error}"))
    }

    /// One line that says what to do, if there is anything to say.
    pub fn message(&self) -> Option<&str> {
        match self {
            Self::Usage(message) | Self::Failed(message) => Some(message),
            Self::ClosedPipe | Self::Told(_) => None,
        }
    }

    /// The exit status.
    pub fn code(&self) -> ExitCode {
        match self {
            Self::Usage(_) => ExitCode::from(2),
            Self::Told(status) => ExitCode::from(*status),
            Self::ClosedPipe => ExitCode::SUCCESS,
            Self::Failed(_) => ExitCode::from(1),
        }
    }
}

/// Writes a line to standard output; unlike `println!` it does not panic when nobody reads it.
pub fn say(line: impl fmt::Display) -> Result<(), Failure> {
    writeln!(io::stdout(), "{line}").map_err(Failure::output)
}

/// Runs a command to its end.
pub fn run(command: Command) -> Result<(), Failure> {
    spoor_dataflow::failpoint::warn_if_absent();
    match command {
        Command::Generate(args) => generate::run(&args),
        Command::Inspect(args) => inspect::run(&args),
        Command::Rules(RulesCommand::Check { file }) => rules::check(&file),
        Command::Rules(RulesCommand::Diff { file, state }) => rules::diff(&file, &state),
        Command::Serve(args) => serve::run(&args),
        Command::Replay(args) => replay::run(&args),
        Command::Verify(args) => verify::run(&args),
        Command::Store(command) => store::run(&command),
    }
}
