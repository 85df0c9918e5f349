//! What the processes agree on: whether they fit together, and the epoch all go on from.
//!
//! An epoch is promoted only after every process has staged it, so what one process has committed
//! every other has committed or staged: all can go on from the greatest committed epoch. What all
//! have staged is decided too: it may have been promoted and told, and a loss of power have taken
//! every promotion, which does not wait for the disk. An epoch that somebody has not even staged
//! was told to nobody, and is discarded.
//!
//! Pure, and the same on every process: each decides alone, with what all have said.

use super::ClusterError;
use super::hello::{Hello, PROTOCOL, Standing};

/// What a process does with its store before it goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recovery {
    /// It stands where all stand.
    Nothing,
    /// Its staged epoch was committed or staged by every other: promote it.
    Promote(u64),
    /// Its staged epoch was not staged by all: discard it.
    Discard(u64),
}

/// The epoch all go on from; none when all stores are new.
///
/// # Errors
/// [`ClusterError::Disagree`], in words of what to do.
pub fn agree(hellos: &[Hello]) -> Result<Option<u64>, ClusterError> {
    fit(hellos).map_err(ClusterError::Disagree)?;
    let committed = hellos.iter().filter_map(|hello| hello.committed).max();
    let staged_by_all = hellos.iter().map(|hello| hello.committed.max(hello.staged)).min();
    let target = committed.max(staged_by_all.flatten());
    for hello in hellos {
        let stands = hello.committed == target || (target.is_some() && hello.staged == target);
        if !stands {
            let at =
                |epoch: Option<u64>| epoch.map_or("nothing".into(), |at| format!("epoch {at}"));
            return Err(ClusterError::Disagree(format!(
                "the store of process {} holds {} and another holds {}: it is not of this cluster, \
                 or was restored alone; restore the stores of all processes from one backup",
                hello.shape.process,
                at(hello.committed),
                at(target),
            )));
        }
    }
    Ok(target)
}

/// What this process does so that its store stands at `target`.
#[must_use]
pub fn recovery(hello: &Hello, target: Option<u64>) -> Recovery {
    match hello.staged {
        None => Recovery::Nothing,
        Some(staged) if Some(staged) <= target => Recovery::Promote(staged),
        Some(staged) => Recovery::Discard(staged),
    }
}

fn fit(hellos: &[Hello]) -> Result<(), String> {
    let Some(leader) = hellos.first() else { return Err("there is no process".into()) };
    let used = hellos.iter().any(|hello| hello.committed.is_some());
    for (number, hello) in hellos.iter().enumerate() {
        let same = |what: &str, is_same: bool| {
            if is_same {
                Ok(())
            } else {
                Err(format!("process {number} has {what} than process 0"))
            }
        };
        same("another version of the program", hello.protocol == PROTOCOL)?;
        same("another hosts file", hello.shape.processes == hellos.len())?;
        same("another number in the hosts file", hello.shape.process == number)?;
        same("another number of workers", hello.workers == leader.workers)?;
        same("another day zone", hello.zone == leader.zone)?;
        same("other applications or API descriptions", hello.settings == leader.settings)?;
        if used && hello.key != leader.key {
            return Err(format!(
                "process {number} has another secret key than process 0: the same identities would \
                 have other ids; copy `secret.key`, or configure one key for all"
            ));
        }
        let (processes, store) = (hellos.len(), hello.store.filter(|_| hello.committed.is_some()));
        match store {
            Some(store) if store.processes != processes => {
                return Err(format!(
                    "the store of process {number} is one of {}, and there are {processes} \
                     processes now: run `spoor store reshape --processes {processes}` first",
                    store.processes
                ));
            }
            Some(store) if store.process != number => {
                return Err(format!(
                    "process {number} was given the store of process {}",
                    store.process
                ));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Checks that all know the same as of the epoch they stand at, and says what.
///
/// # Errors
/// [`ClusterError::Disagree`].
pub fn same_standing(standings: &[Standing]) -> Result<(), ClusterError> {
    let leader = standings.first().ok_or(ClusterError::Disagree("there is no process".into()))?;
    for (number, standing) in standings.iter().enumerate() {
        let same = standing.is_new == leader.is_new
            && (leader.is_new || standing.rules == leader.rules)
            && standing.first_day == leader.first_day
            && standing.regroup == leader.regroup;
        if !same {
            return Err(ClusterError::Disagree(format!(
                "the stores of process {number} and process 0 stand at one epoch and know \
                 different rules: restore the stores of all processes from one backup"
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::hello::Shape;
    use super::*;

    fn hello(process: usize, committed: Option<u64>, staged: Option<u64>) -> Hello {
        let shape = Shape { process, processes: 2 };
        Hello {
            protocol: PROTOCOL,
            shape,
            workers: 1,
            store: committed.map(|_| shape),
            committed,
            staged,
            zone: "UTC".into(),
            key: [0; 32],
            settings: String::new(),
        }
    }

    type At = (Option<u64>, Option<u64>);

    #[test]
    fn all_go_on_from_what_anybody_committed() {
        use Recovery::{Discard, Nothing, Promote};
        let check = |first: At, second: At, target: Option<u64>, does: [Recovery; 2]| {
            let hellos = [hello(0, first.0, first.1), hello(1, second.0, second.1)];
            assert_eq!(agree(&hellos).unwrap(), target, "{first:?} {second:?}");
            assert_eq!([recovery(&hellos[0], target), recovery(&hellos[1], target)], does);
        };
        check((None, None), (None, None), None, [Nothing, Nothing]);
        check((Some(4), None), (Some(4), None), Some(4), [Nothing, Nothing]);
        // Both staged, one was promoted: so is the other.
        check((Some(5), None), (Some(4), Some(5)), Some(5), [Nothing, Promote(5)]);
        // A promotion that reached the disk without the removal of what was staged is repeated.
        check((Some(5), Some(5)), (Some(5), None), Some(5), [Promote(5), Nothing]);
        // Both staged: it may have been promoted and told before the power went.
        check((Some(4), Some(5)), (Some(4), Some(5)), Some(5), [Promote(5), Promote(5)]);
        check((None, Some(1)), (None, Some(1)), Some(1), [Promote(1), Promote(1)]);
        // One has not staged: nobody was told.
        check((Some(4), Some(5)), (Some(4), None), Some(4), [Discard(5), Nothing]);
        check((None, Some(1)), (None, None), None, [Discard(1), Nothing]);
        check((Some(1), None), (None, Some(1)), Some(1), [Nothing, Promote(1)]);
    }

    #[test]
    fn processes_that_do_not_fit_say_why() {
        let check = |hellos: [Hello; 2], reason: &str| {
            let found = agree(&hellos).unwrap_err().to_string();
            assert!(found.contains(reason), "{found}");
        };
        let good = || hello(1, Some(4), None);
        let with = |change: fn(&mut Hello)| {
            let mut other = good();
            change(&mut other);
            [hello(0, Some(4), None), other]
        };
        check(with(|h| h.committed = Some(2)), "process 1 holds epoch 2");
        check([hello(0, Some(4), None), hello(1, None, None)], "process 1 holds nothing");
        check(with(|h| h.protocol = 0), "another version");
        check(with(|h| h.shape.processes = 3), "another hosts file");
        check(with(|h| h.shape.process = 0), "another number in the hosts file");
        check(with(|h| h.workers = 2), "another number of workers");
        check(with(|h| h.zone = "Asia/Tokyo".into()), "day zone");
        check(with(|h| h.key = [1; 32]), "secret key");
        check(with(|h| h.settings = "x".into()), "applications");
        check(with(|h| h.store = Some(Shape { process: 0, processes: 1 })), "store reshape");
        check(with(|h| h.store = Some(Shape { process: 0, processes: 2 })), "store of process 0");
    }

    #[test]
    fn stores_at_one_epoch_know_the_same() {
        let one = Standing { first_day: Some(3), ..Standing::default() };
        assert!(same_standing(&[one.clone(), one.clone()]).is_ok());
        let other = Standing { regroup: Some(2), ..one.clone() };
        assert!(same_standing(&[one, other]).is_err());
        assert!(same_standing(&[]).is_err());
    }
}
