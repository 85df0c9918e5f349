//! File descriptors: as many as the system lets us have, divided before anybody takes one.
//!
//! A store that cannot open a file stops the engine. So it is given a part of its own, clients get
//! another, and what is left is for sources, the log and the other processes of a cluster.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What is asked for; more is of no use.
const WANTED: u64 = 65_536;
/// Below this many there is a warning: clients and sources are few then.
const FEW: u64 = 1_024;
/// Files the store has open at one time, where there are enough.
const STORE_FILES: u64 = 1_024;

/// How many descriptors this process may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Descriptors(u64);

impl Descriptors {
    /// Raises the limit of this process as far as it is allowed and of use.
    pub fn raise() -> Self {
        let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
        // None: without limit.
        let had = current.unwrap_or(WANTED);
        let wanted = maximum.unwrap_or(WANTED).min(WANTED).max(had);
        let raised = Rlimit { current: Some(wanted), maximum };
        let has = match setrlimit(Resource::Nofile, raised) {
            Ok(()) => wanted,
            Err(error) => {
                tracing::warn!(%error, "the limit of open files stays at {had}");
                had
            }
        };
        if has < FEW {
            tracing::warn!(
                "at most {has} files and connections may be open (`ulimit -n`); raise it to {FEW} \
                 or more"
            );
        }
        Self(has)
    }

    /// Files the store may have open.
    pub fn store(self) -> usize {
        usize::try_from(STORE_FILES.min(self.0 / 2)).unwrap_or(usize::MAX)
    }

    /// Connections clients may have open: a quarter of all.
    pub fn connections(self) -> usize {
        usize::try_from(self.0 / 4).unwrap_or(usize::MAX).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_store_and_the_clients_leave_a_quarter_to_the_rest() {
        for (all, store, connections) in
            [(64, 32, 16), (1_024, 512, 256), (4_096, 1_024, 1_024), (65_536, 1_024, 16_384)]
        {
            let divided = Descriptors(all);
            assert_eq!((divided.store(), divided.connections()), (store, connections));
            assert!((divided.store() + divided.connections()) as u64 <= all * 3 / 4);
        }
    }
}
