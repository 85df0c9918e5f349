//! Several processes that work as one: who they are, how they find each other, what they agree on
//! before the dataflow begins.
//!
//! Every process has a store of its own and owns the partitions [`Ownership`] gives it. When they
//! start they connect each to each ([`meeting`]), each proves that it knows their common secret
//! ([`ClusterSecret`]), they tell each other where they stand ([`Hello`]), and agree on the epoch all
//! go on from ([`agree`]). One connection between each two then belongs to the dataflow ([`link`]),
//! the other carries heartbeats to the end. What is protected on them and what is not: SECURITY.md.

pub mod agree;
mod channel;
mod door;
mod handshake;
pub mod hello;
pub mod limits;
pub mod link;
pub mod meeting;
mod ownership;
mod roster;
mod secret;
#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

pub use hello::{Hello, Standing};
pub use limits::PROCESSES_MAX;
pub use ownership::Ownership;
pub use roster::NOBODY;
pub use secret::ClusterSecret;

/// The environment variable with the secret of the cluster.
pub const SECRET_VARIABLE: &str = "SPOOR_CLUSTER_SECRET";
/// What a line of the hosts file with the secret begins with.
const SECRET_KEY: &str = "secret";
/// What the file of a secret that was made for processes of one machine is called after.
const SECRET_FILE_SUFFIX: &str = ".secret";

/// Who belongs to the cluster, and which of them this process is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    /// This process's number.
    pub process: usize,
    /// `host:port` of every process, by number.
    pub hosts: Vec<String>,
    /// What proves that a process is one of them.
    pub secret: ClusterSecret,
}

/// Why the processes of a cluster cannot work together.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClusterError {
    /// The hosts file cannot be used.
    #[error("hosts file {path}: {reason}")]
    Hosts {
        /// The file.
        path: String,
        /// What is wrong and what to do.
        reason: String,
    },
    /// The address of this process cannot be listened on.
    #[error("cannot listen for the other processes on {address}: {error}")]
    Listen {
        /// `host:port`.
        address: String,
        /// What the system says.
        #[source]
        error: std::io::Error,
    },
    /// A process could not be talked to.
    #[error("process {process} ({address}): {reason}")]
    Peer {
        /// Its number.
        process: usize,
        /// `host:port`.
        address: String,
        /// What happened.
        reason: String,
    },
    /// Some have not come, or have not said what they were to say.
    #[error("{waits}: given up after {seconds} s; start all processes, then this one again")]
    Missing {
        /// Who is waited for, and for what.
        waits: String,
        /// For how long.
        seconds: u64,
    },
    /// One is gone: the meeting is to begin again.
    #[error("{0} is gone")]
    Left(String),
    /// The start was given up.
    #[error("the start was given up")]
    Cancelled,
    /// The system refuses a thread or a connection.
    #[error("the system refuses a thread or a connection: {0}")]
    System(#[source] std::io::Error),
    /// The processes do not fit together.
    #[error("{0}")]
    Disagree(String),
}

impl Membership {
    /// Of the processes at these addresses.
    #[must_use]
    pub fn new(process: usize, hosts: Vec<String>, secret: ClusterSecret) -> Self {
        Self { process, hosts, secret }
    }

    /// Reads a hosts file: a `host:port` a line, in the order of the processes; blank lines and what
    /// follows a `#` do not count. A line `secret = ...` has the secret, unless `secret` (of the
    /// environment) does. Processes that are all on this machine may do without one.
    ///
    /// # Errors
    /// [`ClusterError::Hosts`].
    pub fn read(path: &Path, process: usize, secret: Option<&str>) -> Result<Self, ClusterError> {
        let wrong =
            |reason: String| ClusterError::Hosts { path: path.display().to_string(), reason };
        let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
        let (hosts, written) = parse(&text, process).map_err(wrong)?;
        if written.is_some() && readable_by_others(path) {
            tracing::warn!("{} holds a secret and others may read it", path.display());
        }
        let secret = match secret.or(written) {
            Some(secret) => ClusterSecret::new(secret),
            None if hosts.iter().all(|host| is_loopback(host)) => {
                let mut name = path.file_name().unwrap_or_default().to_owned();
                name.push(SECRET_FILE_SUFFIX);
                ClusterSecret::of_file(&path.with_file_name(name))
            }
            None => Err(format!(
                "processes on several machines need a secret: set {SECRET_VARIABLE} for all, or \
                 write a line `{SECRET_KEY} = ...` (`openssl rand -hex 32` makes one)"
            )),
        };
        Ok(Self { process, hosts, secret: secret.map_err(wrong)? })
    }

    /// Number of processes.
    #[must_use]
    pub fn processes(&self) -> usize {
        self.hosts.len()
    }
}

/// The addresses, and the secret if there is one.
fn parse(text: &str, process: usize) -> Result<(Vec<String>, Option<&str>), String> {
    let (mut hosts, mut secret) = (Vec::<String>::new(), None);
    for line in text.lines() {
        let line = line.trim();
        let written = line.strip_prefix(SECRET_KEY).map(str::trim_start);
        if let Some(written) = written.and_then(|rest| rest.strip_prefix('=')) {
            if secret.replace(written.trim()).is_some() {
                return Err("it has two secrets".into());
            }
            continue;
        }
        let host = line.split('#').next().unwrap_or_default().trim();
        if host.is_empty() {
            continue;
        }
        let port = host.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
        if port.is_none_or(|port| port == 0) {
            return Err(format!("`{host}` is not host:port"));
        }
        if hosts.iter().any(|known| known == host) {
            return Err(format!("`{host}` is there twice"));
        }
        hosts.push(host.into());
    }
    if hosts.len() > PROCESSES_MAX {
        return Err(format!("a cluster has at most {PROCESSES_MAX} processes"));
    }
    if process >= hosts.len() {
        let count = hosts.len();
        return Err(format!("it names {count} processes, so there is no process {process}"));
    }
    Ok((hosts, secret))
}

/// Whether nobody on another machine reaches a `host:port`.
fn is_loopback(address: &str) -> bool {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
}

fn readable_by_others(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o044 != 0)
}
