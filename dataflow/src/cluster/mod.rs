//! Several processes that work as one: who they are, how they find each other, what they agree on
//! before the dataflow begins.
//!
//! Every process has a store of its own and owns the partitions [`Ownership`] gives it. When they
//! start they connect each to each ([`connect`]), tell each other where they stand ([`Hello`]), and
//! agree on the epoch all go on from ([`agree`]). The connections then belong to the dataflow
//! ([`link`]). The network between them is trusted: see SECURITY.md.

pub mod agree;
pub mod connect;
pub mod hello;
pub mod link;
mod ownership;

use std::path::Path;

pub use hello::{Hello, Standing};
pub use ownership::Ownership;

/// Most processes in a cluster.
pub const PROCESSES_MAX: usize = 64;

/// Who belongs to the cluster, and which of them this process is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    /// This process's number.
    pub process: usize,
    /// `host:port` of every process, by number.
    pub hosts: Vec<String>,
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
    /// The processes do not fit together.
    #[error("{0}")]
    Disagree(String),
}

impl Membership {
    /// Reads a hosts file: a `host:port` a line, in the order of the processes; blank lines and what
    /// follows a `#` do not count.
    ///
    /// # Errors
    /// [`ClusterError::Hosts`].
    pub fn read(path: &Path, process: usize) -> Result<Self, ClusterError> {
        let wrong =
            |reason: String| ClusterError::Hosts { path: path.display().to_string(), reason };
        let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
        Self::parse(&text, process).map_err(wrong)
    }

    fn parse(text: &str, process: usize) -> Result<Self, String> {
        let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
        let hosts: Vec<String> = lines.filter(|line| !line.is_empty()).map(Into::into).collect();
        for (at, host) in hosts.iter().enumerate() {
            let port = host.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
            if port.is_none_or(|port| port == 0) {
                return Err(format!("`{host}` is not host:port"));
            }
            if hosts[..at].contains(host) {
                return Err(format!("`{host}` is there twice"));
            }
        }
        if hosts.len() > PROCESSES_MAX {
            return Err(format!("a cluster has at most {PROCESSES_MAX} processes"));
        }
        if process >= hosts.len() {
            let count = hosts.len();
            return Err(format!("it names {count} processes, so there is no process {process}"));
        }
        Ok(Self { process, hosts })
    }

    /// Number of processes.
    #[must_use]
    pub fn processes(&self) -> usize {
        self.hosts.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hosts_file_names_every_process_once() {
        let parse = |text, process| Membership::parse(text, process);
        let hosts = parse("# two\n\na:1 # first\n b:2\n", 1).unwrap();
        assert_eq!((hosts.processes(), hosts.hosts[1].as_str()), (2, "b:2"));
        for (text, process, reason) in [
            ("a:1\nb:2", 2, "no process 2"),
            ("", 0, "no process 0"),
            ("a:1\na:1", 0, "twice"),
            ("a", 0, "not host:port"),
            ("a:0", 0, "not host:port"),
            ("a:99999", 0, "not host:port"),
        ] {
            let found = parse(text, process).unwrap_err();
            assert!(found.contains(reason), "{text:?}: {found}");
        }
        let many: String = (0..=PROCESSES_MAX).map(|at| format!("h{at}:1\n")).collect();
        assert!(parse(&many, 0).unwrap_err().contains("at most"));
    }
}
