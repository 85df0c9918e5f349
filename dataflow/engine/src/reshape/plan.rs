//! What is to be done, by what the stores say of themselves.
//!
//! Nothing is opened or written here: a table of what was found decides whether to begin, to go on
//! with a run that was cut off, to say that all is done, or to refuse.

use crate::cluster::hello::Shape;
use crate::marker::{Marker, UnderWay};

/// What a directory holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// No store, or one nothing was committed to.
    Nothing,
    /// A store of a process.
    Store(Shape),
    /// A marked one.
    Marked(Marker),
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Plan {
    /// Nothing: they are of that shape.
    Done,
    /// To bring stores of so many processes there.
    Begin { from: usize },
    /// To go on with what an earlier run began.
    GoOn(UnderWay),
}

/// Decides, or says what to do instead.
pub(super) fn plan(found: &[Found], to: usize) -> Result<Plan, String> {
    let begun = found.iter().find_map(|found| match found {
        Found::Marked(Marker::UnderWay(begun)) => Some(begun),
        _ => None,
    });
    let Some(begun) = begun else { return fresh(found, to) };
    if begun.to != to {
        return Err(format!(
            "these stores are being brought to {} processes, and that has not ended: run \
             `spoor store reshape --processes {0}` first, with the same directories",
            begun.to
        ));
    }
    check_count(found, begun.from, to)?;
    for (process, found) in found.iter().enumerate() {
        match found {
            Found::Marked(Marker::UnderWay(other)) => {
                if !other.is_same_work(begun) {
                    return Err(stranger(process));
                }
                check_place(process, other.process, other.from.max(to))?;
            }
            Found::Marked(Marker::Merged { processes }) if *processes == to && process >= to => {}
            Found::Store(shape) if shape.processes == to || shape.processes == begun.from => {
                check_place(process, shape.process, shape.processes)?;
            }
            Found::Nothing if process >= begun.from => {}
            Found::Nothing => return Err(missing(process, begun.from)),
            _ => return Err(stranger(process)),
        }
    }
    Ok(Plan::GoOn(begun.clone()))
}

fn fresh(found: &[Found], to: usize) -> Result<Plan, String> {
    let from = match found.first() {
        Some(Found::Store(shape)) => {
            check_place(0, shape.process, shape.processes)?;
            shape.processes
        }
        Some(Found::Marked(_)) => return Err(merged(0)),
        Some(Found::Nothing) | None => return Err(missing(0, 1)),
    };
    if from == to && found.len() >= to {
        let (staying, leaving) = found.split_at(to);
        check_stores(staying, from)?;
        let has_left = |found: &Found| *found == Found::Marked(Marker::Merged { processes: to });
        return match leaving.iter().position(|found| !has_left(found)) {
            None => Ok(Plan::Done),
            Some(at) => Err(stranger(to + at)),
        };
    }
    check_count(found, from, to)?;
    let (old, new) = found.split_at(from);
    check_stores(old, from)?;
    for (process, found) in (from..).zip(new) {
        match found {
            Found::Nothing => {}
            Found::Marked(_) => return Err(merged(process)),
            Found::Store(_) => {
                return Err(format!(
                    "process {process} is new, and its directory holds a store; give an empty one"
                ));
            }
        }
    }
    Ok(Plan::Begin { from })
}

/// Whether they are the stores of all processes, in order.
fn check_stores(found: &[Found], processes: usize) -> Result<(), String> {
    for (process, found) in found.iter().enumerate() {
        match found {
            Found::Nothing => return Err(missing(process, processes)),
            Found::Marked(_) => return Err(merged(process)),
            Found::Store(shape) if shape.processes != processes => return Err(stranger(process)),
            Found::Store(shape) => check_place(process, shape.process, processes)?,
        }
    }
    Ok(())
}

fn check_count(found: &[Found], from: usize, to: usize) -> Result<(), String> {
    let needed = from.max(to);
    if found.len() == needed {
        return Ok(());
    }
    Err(format!(
        "from {from} to {to} processes takes {needed} directories, in the order of the processes, \
         and {} are given",
        found.len()
    ))
}

fn check_place(given: usize, process: usize, processes: usize) -> Result<(), String> {
    if given == process {
        return Ok(());
    }
    Err(format!(
        "the directory given for process {given} holds the store of process {process} of \
         {processes}; give the directories in the order of the processes"
    ))
}

fn missing(process: usize, processes: usize) -> String {
    format!(
        "the directory given for process {process} holds no store; give those of all {processes} \
         processes, in their order"
    )
}

fn merged(process: usize) -> String {
    format!(
        "what the store given for process {process} held was moved to other processes before; \
         give an empty directory for a new process"
    )
}

fn stranger(process: usize) -> String {
    format!(
        "the store given for process {process} is not of the same cluster as that of process 0; \
         give the directories of one cluster, in the order of the processes"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(process: usize, processes: usize) -> Found {
        Found::Store(Shape { process, processes })
    }

    fn marked(process: usize, from: usize, to: usize, epoch: u64) -> Found {
        Found::Marked(Marker::UnderWay(UnderWay::new(process, from, to, epoch)))
    }

    fn left(processes: usize) -> Found {
        Found::Marked(Marker::Merged { processes })
    }

    #[test]
    fn the_stores_say_what_is_to_be_done() {
        use Found::Nothing;
        let check = |found: &[Found], to: usize, expected: Result<Option<usize>, &str>| {
            let planned = plan(found, to);
            match (&planned, expected) {
                (Ok(Plan::Done), Ok(None)) => {}
                (Ok(Plan::Begin { from }), Ok(Some(expected))) if *from == expected => {}
                (Ok(Plan::GoOn(begun)), Ok(Some(expected))) if begun.from == expected => {}
                (Err(text), Err(expected)) if text.contains(expected) => {}
                _ => panic!("{found:?} to {to}: {planned:?}, expected {expected:?}"),
            }
        };
        check(&[of(0, 1), Nothing], 2, Ok(Some(1)));
        check(&[of(0, 2), of(1, 2)], 1, Ok(Some(2)));
        check(&[of(0, 2), of(1, 2), Nothing], 3, Ok(Some(2)));
        check(&[of(0, 2), of(1, 2)], 2, Ok(None));
        check(&[of(0, 1), left(1)], 1, Ok(None));
        // As they were given.
        check(&[of(1, 2), of(0, 2)], 1, Err("holds the store of process 1 of 2"));
        check(&[of(0, 3), of(2, 3), of(1, 3)], 2, Err("given for process 1 holds the store of"));
        check(&[of(0, 2)], 1, Err("takes 2 directories"));
        check(&[of(0, 1)], 2, Err("takes 2 directories"));
        check(&[of(0, 2)], 2, Err("takes 2 directories"));
        check(&[of(0, 2), Nothing], 1, Err("process 1 holds no store"));
        check(&[Nothing, of(0, 1)], 2, Err("process 0 holds no store"));
        check(&[], 1, Err("process 0 holds no store"));
        check(&[of(0, 1), of(1, 2)], 2, Err("process 1 is new, and its directory holds a store"));
        check(&[of(0, 1), left(1)], 2, Err("give an empty directory"));
        check(&[of(0, 2), of(1, 3)], 1, Err("not of the same cluster"));
        check(&[of(0, 1), of(0, 1)], 1, Err("not of the same cluster"));
        check(&[left(1), of(0, 1)], 2, Err("give an empty directory"));
        // Cut off anywhere.
        check(&[marked(0, 1, 2, 7), Nothing], 2, Ok(Some(1)));
        check(&[marked(0, 1, 2, 7), marked(1, 1, 2, 7)], 2, Ok(Some(1)));
        check(&[marked(0, 1, 2, 7), of(1, 2)], 2, Ok(Some(1)));
        check(&[marked(0, 2, 1, 7), of(1, 2)], 1, Ok(Some(2)));
        check(&[marked(0, 2, 1, 7), left(1)], 1, Ok(Some(2)));
        check(&[marked(0, 1, 2, 7), Nothing], 3, Err("brought to 2 processes"));
        check(&[marked(0, 1, 2, 7)], 2, Err("takes 2 directories"));
        check(&[marked(0, 1, 2, 7), marked(1, 1, 2, 8)], 2, Err("not of the same cluster"));
        check(&[marked(1, 1, 2, 7), marked(0, 1, 2, 7)], 2, Err("in the order"));
        check(&[marked(0, 2, 1, 7), Nothing], 1, Err("process 1 holds no store"));
        check(&[marked(0, 2, 1, 7), left(2)], 1, Err("not of the same cluster"));
    }
}
