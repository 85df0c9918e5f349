//! The command line: what can be asked for, with help that shows how.

use std::io::IsTerminal as _;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use tracing_subscriber::EnvFilter;

use spoor_dataflow::config::parse_listen;

use crate::generate;

/// Live user sessions from a stream of API requests.
#[derive(Debug, Parser)]
#[command(
    name = "spoor",
    version,
    about,
    long_about = "Live user sessions from a stream of API requests, exact under late data and \
                  changed rules.",
    after_help = "Examples:\n  \
        spoor inspect access.log.gz                     what it is, and what would be read of it\n  \
        spoor replay access.log.gz                      sessions of a log, one JSON object a line\n  \
        spoor generate --requests 1000 | spoor replay - the same of made-up traffic\n  \
        spoor serve --config configs/spoor.toml         a server with GraphQL on loopback"
)]
pub struct Cli {
    #[command(flatten)]
    pub logging: Logging,
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve live sessions over GraphQL: queries, subscriptions, rule changes, ingest
    Serve(ServeArgs),
    /// Run logs through the dataflow to their end and write one JSON object a session
    Replay(ReplayArgs),
    /// Say what format a log is of and why, what is read of it, and what would be bad
    Inspect(InspectArgs),
    /// Write realistic API traffic as NDJSON, the same bytes for the same options
    Generate(GenerateArgs),
    /// Recompute the sessions of a store from its request log and compare
    Verify(VerifyArgs),
    /// Look after a store: what it holds, whether it is whole, copies of it, its space
    #[command(subcommand)]
    Store(StoreCommand),
    /// Look after rule files
    #[command(subcommand)]
    Rules(RulesCommand),
}

/// How the program tells what it does.
#[derive(Debug, Args)]
pub struct Logging {
    /// Form of log lines on standard error
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
    /// What to log: off, error, warn, info, debug, trace, or levels by module such as
    /// warn,spoor_dataflow=debug
    #[arg(long, global = true, value_name = "LEVEL", default_value = "info", value_parser = log_level)]
    pub log_level: String,
}

/// Form of log lines.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum LogFormat {
    /// For people
    Text,
    /// One JSON object a line
    Json,
}

impl Logging {
    /// Sends logs to standard error from now on.
    pub fn start(&self) {
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let builder = tracing_subscriber::fmt()
            .with_env_filter(EnvFilter::new(&self.log_level))
            .with_ansi(!plain && std::io::stderr().is_terminal())
            .with_writer(std::io::stderr);
        match self.log_format {
            LogFormat::Text => builder.with_target(false).init(),
            LogFormat::Json => builder.json().init(),
        }
    }
}

/// The other processes that do the same work.
#[derive(Debug, Args)]
pub struct ClusterArgs {
    /// Work with other processes: a file with the host:port of each, one a line
    #[arg(long, value_name = "FILE", requires = "process", help_heading = "Cluster")]
    pub hosts: Option<PathBuf>,
    /// Which line of --hosts this process is, from 0 on
    #[arg(long, value_name = "I", requires = "hosts", help_heading = "Cluster")]
    pub process: Option<usize>,
}

/// `spoor serve`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    spoor serve\n  \
    spoor serve --listen 127.0.0.1:9000 --state /var/lib/spoor --workers 4\n  \
    spoor generate --rate 200 | spoor serve --follow -\n  \
    tail -F access.log | spoor serve --follow - --format combined")]
pub struct ServeArgs {
    /// Configuration file, TOML; see configs/spoor.toml
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Address and port to listen on, such as 127.0.0.1:9000; a port alone listens on loopback;
    /// overrides [server] listen
    #[arg(long, value_name = "ADDRESS", value_parser = parse_listen)]
    pub listen: Option<std::net::SocketAddr>,
    /// Directory of the store; overrides [store] dir
    #[arg(long, visible_alias = "store", value_name = "DIR")]
    pub state: Option<PathBuf>,
    /// Rules a new store begins with, TOML; overrides [rules]. A store that has rules keeps them
    #[arg(long, value_name = "FILE")]
    pub rules: Option<PathBuf>,
    /// Dataflow workers; overrides [engine] workers
    #[arg(long, value_name = "N", value_parser = workers())]
    pub workers: Option<u64>,
    /// Also follow this file, or read standard input with `-`
    #[arg(long, value_name = "FILE")]
    pub follow: Vec<PathBuf>,
    /// Format of what --follow names
    #[arg(long, value_name = "FORMAT", default_value = "auto")]
    pub format: String,
    /// The other processes.
    #[command(flatten)]
    pub cluster: ClusterArgs,
}

/// `spoor replay`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    spoor replay access.log.gz\n  \
    spoor replay --format combined --output sessions.ndjson day1.log day2.log.zst\n  \
    zcat events.jsonl.gz | spoor replay --config configs/cloudtrail.toml --format cloudtrail -\n\n\
    Exit status: 0 when every input was read to its end (bad records included: the first of each \
    kind is shown), 3 when every record was bad, 2 for a wrong call or configuration, 1 otherwise \
    (what could be read is written all the same).")]
pub struct ReplayArgs {
    /// Configuration file, TOML; see configs/spoor.toml
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Rules to group by, TOML; overrides [rules]
    #[arg(long, value_name = "FILE")]
    pub rules: Option<PathBuf>,
    /// auto (by content), or the name of a format; docs/formats.md lists them
    #[arg(long, value_name = "FORMAT", default_value = "auto")]
    pub format: String,
    /// End at the first bad record, write no sessions, exit with status 1
    #[arg(long)]
    pub strict: bool,
    /// Dataflow workers; overrides [engine] workers
    #[arg(long, value_name = "N", value_parser = workers())]
    pub workers: Option<u64>,
    /// Keep the state in this directory, which must be new or empty (default: a temporary one)
    #[arg(long, visible_alias = "store", value_name = "DIR")]
    pub state: Option<PathBuf>,
    /// Write the sessions to this file instead of standard output
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Add "request_ids" to each session, in order
    #[arg(long)]
    pub requests: bool,
    /// Keep only this many days behind the newest, such as 30 or 30d (default: every day)
    #[arg(long, value_name = "DAYS", value_parser = days)]
    pub retention: Option<u32>,
    /// The other processes; process 0 writes the sessions of all.
    #[command(flatten)]
    pub cluster: ClusterArgs,
    /// Logs to read, plain or compressed (gzip, zstd, xz, lz4); `-` is standard input
    #[arg(required = true, value_name = "INPUT")]
    pub inputs: Vec<PathBuf>,
}

/// `spoor inspect`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    spoor inspect access.log\n  \
    spoor inspect --config spoor.toml --format edge access.log.zst\n\n\
    Exit status: 0 when at least one record can be read, 1 when none can or the format is not \
    recognised, 2 for a wrong call or configuration.")]
pub struct InspectArgs {
    /// Configuration file, TOML; see configs/spoor.toml
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// auto (by content), or the name of a format; docs/formats.md lists them
    #[arg(long, value_name = "FORMAT", default_value = "auto")]
    pub format: String,
    /// A log, plain or compressed; `-` is standard input
    #[arg(value_name = "INPUT")]
    pub input: PathBuf,
}

/// `spoor generate`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    spoor generate --requests 1000000 > traffic.ndjson\n  \
    spoor generate --rate 200 | spoor serve --follow -\n  \
    spoor generate --requests 5000 --seed 7 --start 2026-03-01T22:00:00Z --users 50 --late 0.2")]
pub struct GenerateArgs {
    /// How many records (default: 100000, or without end at a --rate)
    #[arg(long, value_name = "N")]
    pub requests: Option<u64>,
    /// Records a second of real time, dated now (default: as fast as possible, in virtual time)
    #[arg(long, value_name = "R", value_parser = rate)]
    pub rate: Option<f64>,
    /// The same seed gives the same bytes
    #[arg(long, value_name = "S", default_value_t = 1)]
    pub seed: u64,
    /// Start of virtual time, RFC 3339
    #[arg(long, value_name = "TIME", conflicts_with = "rate", default_value = generate::START_DEFAULT)]
    pub start: jiff::Timestamp,
    /// Users that come back
    #[arg(long, value_name = "N", default_value_t = generate::USERS_DEFAULT)]
    pub users: u32,
    /// Share of records that come late: most up to 5 s, a few up to 5 min
    #[arg(long, value_name = "SHARE", default_value_t = generate::LATE_DEFAULT, value_parser = share)]
    pub late: f64,
}

/// `spoor verify`.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit status: 0 when the store is what a batch run gives, 1 when it is not \
    (the differences are listed) or cannot be read, 2 for a wrong call.\n\nThe store must not be in \
    use: stop the server first, or verify a copy."
)]
pub struct VerifyArgs {
    /// Configuration file, TOML
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Directory of the store; overrides [store] dir
    #[arg(long, visible_alias = "store", value_name = "DIR")]
    pub state: Option<PathBuf>,
    /// Most differences to list
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub list: usize,
}

/// `spoor store`.
#[derive(Debug, Subcommand)]
#[command(after_help = "Examples:\n  \
    spoor store info --state state --json\n  \
    spoor store backup --state state --to /backup/monday     also while a server has it open\n  \
    spoor store restore --from /backup/monday --state state2\n  \
    spoor store check --state state --salvage-to saved")]
pub enum StoreCommand {
    /// Say what a store holds, in use or not; nothing is written
    Info {
        #[command(flatten)]
        store: StoreDirectory,
        /// One JSON object instead of text
        #[arg(long)]
        json: bool,
    },
    /// Read every file and every row of a store or a backup, and list what is wrong; exit status 1
    /// if anything is
    Check {
        #[command(flatten)]
        store: StoreDirectory,
        /// Also write the last whole epoch to this new directory, as a store of its own
        #[arg(long, value_name = "DIR")]
        salvage_to: Option<PathBuf>,
    },
    /// Copy a store, with its secret key, to a new directory; a running server does it by itself
    Backup {
        #[command(flatten)]
        store: StoreDirectory,
        /// Where the backup goes: new or empty, and writable by the server if one runs
        #[arg(long, value_name = "DIR")]
        to: PathBuf,
    },
    /// Make a store of a backup, in a new directory, every file compared with its checksum
    Restore {
        /// The backup
        #[arg(long, value_name = "DIR")]
        from: PathBuf,
        #[command(flatten)]
        store: StoreDirectory,
    },
    /// Rewrite the files of a store that is not in use, to have the space back of what is gone
    Compact {
        #[command(flatten)]
        store: StoreDirectory,
    },
    /// Bring the stores of a cluster that is stopped to another number of processes; run again after
    /// an interruption, it goes on
    Reshape {
        /// Number of processes there are to be
        #[arg(long, value_name = "N")]
        processes: usize,
        /// The stores' directories in the order of the processes: all there are now; when there
        /// are to be more, new or empty ones follow
        #[arg(value_name = "DIR", required = true)]
        directories: Vec<PathBuf>,
    },
}

/// Which store.
#[derive(Debug, Args)]
pub struct StoreDirectory {
    /// Directory of the store
    #[arg(long = "state", visible_alias = "store", value_name = "DIR")]
    pub directory: PathBuf,
}

/// `spoor rules`.
#[derive(Debug, Subcommand)]
pub enum RulesCommand {
    /// Check a rule file, or the rules of a configuration, and list every mistake with its place
    Check {
        /// Rule file or configuration, TOML
        file: PathBuf,
    },
    /// Say how a rule file differs from the rules in force in a store, in use or not; exit status 1
    /// if it does
    #[command(
        after_help = "Each line is a difference: + a rule that only the file has, - one that \
        only the store has, ~ a field, before and after.\n\nExamples:\n  \
        spoor rules diff configs/rules.toml\n  \
        spoor rules diff configs/spoor.toml --state /var/lib/spoor"
    )]
    Diff {
        /// Rule file or configuration, TOML
        file: PathBuf,
        /// Directory of the store
        #[arg(long, visible_alias = "store", value_name = "DIR", default_value = "state")]
        state: PathBuf,
    },
}

fn workers() -> clap::builder::RangedU64ValueParser {
    clap::value_parser!(u64).range(1..=spoor_dataflow::config::WORKERS_MAX as u64)
}

/// A level, or levels by module: what `EnvFilter` takes, but a word that is no level is a mistake
/// there too, not a module nobody has.
fn log_level(text: &str) -> Result<String, String> {
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    for directive in text.split(',').map(str::trim) {
        let level = directive.rsplit_once('=').map_or(directive, |(_, level)| level);
        if !LEVELS.contains(&level.to_ascii_lowercase().as_str()) {
            return Err(format!(
                "`{level}` is no level; use one of {}, or levels by module such as \
                 warn,spoor_dataflow=debug",
                LEVELS.join(", ")
            ));
        }
    }
    EnvFilter::try_new(text).map(|_| text.to_owned()).map_err(|error| error.to_string())
}

fn days(text: &str) -> Result<u32, String> {
    let number = text.trim().trim_end_matches("days").trim_end_matches('d').trim_end();
    let wanted = || "give a number of whole days, such as 30 or 30d".to_owned();
    number.parse().ok().filter(|days| *days > 0).ok_or_else(wanted)
}

fn rate(text: &str) -> Result<f64, String> {
    number(text, |rate| rate > 0.0 && rate <= 1e7, "a number above 0 and at most 10000000")
}

fn share(text: &str) -> Result<f64, String> {
    number(text, |share| (0.0..=1.0).contains(&share), "a number from 0 to 1")
}

fn number(text: &str, good: impl Fn(f64) -> bool, wanted: &str) -> Result<f64, String> {
    text.parse().ok().filter(|value| good(*value)).ok_or_else(|| format!("give {wanted}"))
}
