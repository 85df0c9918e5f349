//! Named places at which a test makes the process die, as if it had been killed just there, or at
//! which one of its threads panics or hangs.
//!
//! `SPOOR_FAILPOINT=name` in the environment aborts the process at once when it comes to that
//! place, `name:n` when it comes there for the n-th time. At a place called `panic-...` the thread
//! panics instead, at one called `hang-...` it never goes on. The variable is read once.
//!
//! A testing aid: only debug builds and builds with the feature `failpoints` have it. Everywhere
//! else [`hit`] is empty and [`warn_if_absent`] says that the variable has no effect.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

/// The environment variable.
pub const VARIABLE: &str = "SPOOR_FAILPOINT";

/// Whether this build has fail points.
pub const ENABLED: bool = cfg!(any(debug_assertions, feature = "failpoints"));

/// All places, in the order an epoch comes to them.
pub const POINTS: [&str; 9] = [
    "before-batch",
    "after-batch",
    "before-stage",
    "after-stage",
    "before-promote",
    "after-promote",
    "recovery",
    "retention",
    "regroup-slice",
];

/// Places at which a thread panics or hangs, and the process goes on.
pub const FAULTS: [&str; 7] = [
    "panic-worker",
    "panic-coordinator",
    "panic-committer",
    "panic-source",
    "panic-control",
    "hang-committer",
    "hang-control",
];

const UNREAD: u8 = 0;
const OFF: u8 = 1;
const ARMED: u8 = 2;

static STATE: AtomicU8 = AtomicU8::new(UNREAD);

/// A place to die at, and how many times it is still to be passed.
#[derive(Debug)]
struct Armed {
    point: &'static str,
    left: AtomicU64,
}

/// Dies, panics or hangs here, if the environment says so. `point` is one of [`POINTS`] or
/// [`FAULTS`].
#[inline]
pub fn hit(point: &str) {
    if ENABLED && STATE.load(Ordering::Relaxed) != OFF {
        passed(point);
    }
}

/// Logs a warning when the environment names a fail point and this build has none.
pub fn warn_if_absent() {
    if !ENABLED && std::env::var_os(VARIABLE).is_some_and(|asked| !asked.is_empty()) {
        tracing::warn!("{VARIABLE} has no effect: this build is without the feature `failpoints`");
    }
}

#[cold]
fn passed(point: &str) {
    static ARMED_POINT: OnceLock<Option<Armed>> = OnceLock::new();
    let armed = ARMED_POINT.get_or_init(|| {
        let asked = std::env::var(VARIABLE).ok().filter(|asked| !asked.is_empty());
        let armed = asked.and_then(|asked| {
            let armed = parse(&asked);
            if armed.is_none() {
                let known = [&POINTS[..], &FAULTS].concat().join(", ");
                tracing::warn!("{VARIABLE}={asked} names no fail point; there are: {known}");
            }
            armed
        });
        STATE.store(if armed.is_some() { ARMED } else { OFF }, Ordering::Relaxed);
        armed
    });
    if armed.as_ref().is_some_and(|armed| armed.dies_at(point)) {
        strike(point);
    }
}

fn strike(point: &str) {
    if point.starts_with("panic-") {
        panic!("{VARIABLE}: {point}");
    }
    eprintln!("{VARIABLE}: {point}");
    if !point.starts_with("hang-") {
        std::process::abort();
    }
    loop {
        std::thread::park();
    }
}

impl Armed {
    fn dies_at(&self, point: &str) -> bool {
        point == self.point && self.left.fetch_sub(1, Ordering::Relaxed) == 1
    }
}

/// `name` or `name:n`; none when there is no such place, or n is no number from 1.
fn parse(text: &str) -> Option<Armed> {
    let (name, times) = text.split_once(':').unwrap_or((text, "1"));
    let point = POINTS.into_iter().chain(FAULTS).find(|point| *point == name)?;
    let left = times.parse().ok().filter(|times| *times > 0)?;
    Some(Armed { point, left: AtomicU64::new(left) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn a_place_is_named_with_the_time_to_die_at() {
        let third = parse("retention:3").unwrap();
        let dies: Vec<_> = ["retention", "recovery", "retention", "retention", "retention"]
            .map(|point| third.dies_at(point))
            .into();
        assert_eq!(dies, [false, false, false, true, false]);
        assert!(parse("after-stage").unwrap().dies_at("after-stage"));
        for wrong in ["", "nowhere", "recovery:0", "recovery:x", "recovery:", ":1"] {
            assert!(parse(wrong).is_none(), "{wrong}");
        }
    }

    fn places(directory: &Path, found: &mut Vec<String>) {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                places(&path, found);
            } else if !path.ends_with("failpoint.rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                let hits = text.split("failpoint::hit(\"").skip(1);
                found.extend(hits.map(|rest| rest.split('"').next().unwrap().to_owned()));
            }
        }
    }

    #[test]
    fn every_place_in_the_code_is_listed_and_every_listed_one_is_in_the_code() {
        let mut found = Vec::new();
        for of in ["src", "../engine/src"] {
            places(&Path::new(env!("CARGO_MANIFEST_DIR")).join(of), &mut found);
        }
        for point in POINTS.into_iter().chain(FAULTS) {
            assert!(found.iter().any(|place| place == point), "{point} is nowhere");
        }
        for place in found {
            let is_listed = POINTS.contains(&&*place) || FAULTS.contains(&&*place);
            assert!(is_listed, "{place} is not listed");
        }
    }
}
