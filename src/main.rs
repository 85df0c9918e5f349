//! The program `spoor`: the command line and nothing else.
//!
//! Each command turns its arguments and the configuration into a call of the engine, and what
//! comes back into output and an exit status: 0 when the job was done, 1 when it was not, 2 when
//! the call or the configuration is wrong, 3 when every record of a replay is bad. Every mistake is
//! told in one line that says what to do.

mod cli;
mod commands;
mod generate;

use std::process::ExitCode;

use clap::Parser as _;

/// Frees what other threads allocated cheaply, which is what a pipeline of threads does.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    cli.logging.start();
    match commands::run(cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if let Some(message) = failure.message() {
                eprintln!("spoor: {message}");
            }
            failure.code()
        }
    }
}
