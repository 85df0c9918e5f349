//! `spoor generate`: traffic to standard output.

use std::io;

use super::Failure;
use crate::cli::GenerateArgs;
use crate::generate::{self, Options};

/// Writes the traffic asked for.
pub fn run(args: &GenerateArgs) -> Result<(), Failure> {
    let requests = match (args.requests, args.rate) {
        (None, None) => Some(generate::REQUESTS_DEFAULT),
        (requests, _) => requests,
    };
    let options = Options {
        requests,
        rate: args.rate,
        seed: args.seed,
        start_ms: args.start.as_millisecond(),
        users: args.users,
        late: args.late,
    };
    generate::run(&options, &mut io::stdout().lock()).map_err(Failure::output)
}
