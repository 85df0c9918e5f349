//! What each command does, and how it can fail.

mod descriptors;
mod ending;
mod generate;
mod replay;
mod reshape;
mod rules;
mod serve;
mod setup;
mod store;
mod verify;

use std::fmt;
use std::process::ExitCode;

use crate::cli::{Command, RulesCommand};

/// Why a command did not do its job.
#[derive(Debug)]
pub enum Failure {
    /// The call or the configuration is wrong: exit status 2.
    Usage(String),
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

    /// One line that says what to do.
    pub fn message(&self) -> &str {
        let (Self::Usage(message) | Self::Failed(message)) = self;
        message
    }

    /// The exit status.
    pub fn code(&self) -> ExitCode {
        match self {
            Self::Usage(_) => ExitCode::from(2),
            Self::Failed(_) => ExitCode::from(1),
        }
    }
}

/// Runs a command to its end.
pub fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Generate(args) => generate::run(&args),
        Command::Rules(RulesCommand::Check { file }) => rules::check(&file),
        Command::Serve(args) => serve::run(&args),
        Command::Replay(args) => replay::run(&args),
        Command::Verify(args) => verify::run(&args),
        Command::Store(command) => store::run(&command),
    }
}
