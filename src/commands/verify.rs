//! `spoor verify`: a store against a batch run over its own request log.

use std::io::{self, IsTerminal as _};

use indicatif::ProgressBar;
use spoor_dataflow::verify;
use spoor_operators::assign::CompiledRules;

use super::{Failure, say, setup};
use crate::cli::VerifyArgs;

/// Verifies and lists differences.
pub fn run(args: &VerifyArgs) -> Result<(), Failure> {
    let config = setup::config(args.config.as_deref(), |config| {
        if let Some(state) = &args.state {
            config.store.dir.clone_from(state);
        }
    })?;
    let directory = config.store.dir.clone();
    if !directory.is_dir() {
        return Err(Failure::Failed(format!("there is no store in {}", directory.display())));
    }
    let (store, key) = setup::store(&config, &directory, true)?;
    let Some((rules, _)) = store.rules().map_err(Failure::failed)? else {
        return Err(Failure::Failed(format!("there is no store in {}", directory.display())));
    };
    let descriptions = config.read_descriptions().map_err(Failure::usage)?;
    let rules = CompiledRules::new(&rules, &key, &config.applications, &descriptions)
        .map_err(|errors| setup::rules_refused(&errors))?;

    let bar = io::stderr().is_terminal().then(ProgressBar::new_spinner);
    let watch = &mut |requests: u64| {
        if let Some(bar) = &bar {
            bar.set_message(format!("{requests} requests"));
            bar.tick();
        }
    };
    let report = verify::verify(&store, &rules, args.list, watch).map_err(Failure::failed)?;
    if let Some(bar) = &bar {
        bar.finish_and_clear();
    }
    // A list nobody reads to its end does not make the store good.
    let listed = report.listed.iter().try_for_each(say);
    let verify::Report { requests, sessions, differences, .. } = report;
    if differences > 0 {
        return Err(Failure::Failed(format!(
            "{differences} differences; {} listed",
            report.listed.len()
        )));
    }
    listed?;
    say(format_args!("good: {requests} requests give exactly the {sessions} sessions of the store"))
}
