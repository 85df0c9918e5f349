//! What the ring keeps, counted in bytes.

use std::sync::Arc;

use proptest::prelude::*;
use spoor_operators::facts::{Assigned, Fact, Field, IdentityText, NO_GAP, Numbers, encode_head};
use spoor_operators::identity::{Identity, IdentityId};
use spoor_operators::session::Session;
use spoor_operators::sessionize::backend::SessionChange;
use spoor_operators::summary::Summary;
use spoor_operators::time::{Day, Epoch, EventTime};

use super::ring::{EpochChanges, Ring, Version, session_bytes};
use crate::limits::{FEED_EPOCHS_MAX, FEED_SESSION_BYTES_MAX};

/// A session that called so many endpoints.
fn session(value: &str, endpoints: usize) -> Arc<Session> {
    let identity = Identity {
        id: IdentityId::of("n", value, ""),
        namespace: "n".into(),
        value: value.into(),
        qualifier: "".into(),
        weak: false,
        secret: false,
    };
    let mut summary = Summary::default();
    for endpoint in 0..endpoints {
        let words =
            IdentityText { namespace: "n", value, qualifier: "", weak: false, secret: false };
        let endpoint = format!("GET /{endpoint}");
        let mut head = Vec::new();
        let facts = [Fact::new(Field::Endpoint, &endpoint)];
        encode_head(&mut head, words, &Numbers::default(), &facts);
        let assigned = Assigned {
            day: Day(0),
            identity: identity.id,
            ts: EventTime(0),
            id_hash: 0,
            gap_ms: NO_GAP,
            origin: 0,
            head_len: head.len() as u32,
            payload: head.into(),
        };
        summary.add(&assigned.head().unwrap().1);
    }
    let (start, end) = (EventTime(0), EventTime(endpoints as i64));
    let (identity, day) = (Arc::new(identity), Day(0));
    Arc::new(Session { identity, day, start, end, gap_ms: NO_GAP, summary })
}

fn change(old: Option<&Arc<Session>>, new: Option<&Arc<Session>>) -> SessionChange {
    SessionChange { old: old.cloned(), new: new.cloned() }
}

/// A ring that was told of epochs, from 1 on.
fn ring(bytes_max: usize, epochs: impl IntoIterator<Item = Vec<SessionChange>>) -> Ring {
    let mut ring = Ring::after(Epoch(0)).with_bytes_max(bytes_max);
    for (epoch, changes) in (1..).zip(epochs) {
        ring.remember(EpochChanges::of(Epoch(epoch), changes));
    }
    ring
}

/// Bytes that an epoch without sessions takes.
fn overhead(changes: usize) -> usize {
    let gone = session("", 0);
    let one = ring(usize::MAX, [vec![]]).bytes();
    let named = ring(usize::MAX, [vec![change(Some(&gone), None)]]).bytes();
    one + changes * (named - one - session_bytes(&gone))
}

#[test]
fn a_session_that_several_changes_share_is_counted_once() {
    let versions: Vec<_> = (0..4).map(|endpoints| session("a", endpoints)).collect();
    let steps = versions.windows(2).map(|pair| vec![change(Some(&pair[0]), Some(&pair[1]))]);
    let ring = ring(usize::MAX, steps);
    let sessions: usize = versions.iter().map(|version| session_bytes(version)).sum();
    assert_eq!(ring.bytes(), sessions + 3 * overhead(1));
}

#[test]
fn the_oldest_epochs_are_forgotten_when_there_is_no_room() {
    let one = session("a", 10);
    let size = session_bytes(&one) + overhead(1);
    let epochs = (0..10).map(|n| vec![change(None, Some(&session(&n.to_string(), 10)))]);
    let ring = ring(3 * size, epochs);
    assert!(ring.bytes() <= 3 * size);
    assert!(ring.between(Epoch(6), Epoch(10)).is_none(), "it is forgotten");
    let kept = ring.between(Epoch(7), Epoch(10)).unwrap();
    assert_eq!(kept.iter().map(|changes| changes.epoch.0).collect::<Vec<_>>(), [8, 9, 10]);
    assert_eq!(ring.between(Epoch(8), Epoch(9)).unwrap().len(), 1);
}

#[test]
fn an_epoch_larger_than_the_ring_is_forgotten_at_once() {
    let changes = (0..50).map(|n| change(None, Some(&session(&n.to_string(), 10)))).collect();
    let ring = ring(10 * session_bytes(&session("a", 10)), [changes]);
    assert_eq!(ring.bytes(), 0);
    assert!(ring.between(Epoch(0), Epoch(1)).is_none());
    assert!(ring.between(Epoch(1), Epoch(1)).is_some());
}

#[test]
fn a_large_session_that_changes_in_every_epoch_takes_next_to_nothing() {
    let mut last = session("a", 2_000);
    assert!(session_bytes(&last) > FEED_SESSION_BYTES_MAX);
    let epochs = (0..FEED_EPOCHS_MAX).map(|n| {
        let next = session("a", 2_001 + n);
        vec![change(Some(&std::mem::replace(&mut last, Arc::clone(&next))), Some(&next))]
    });
    let ring = ring(usize::MAX, epochs);
    assert!(ring.bytes() < FEED_SESSION_BYTES_MAX, "{} bytes", ring.bytes());
    let kept = ring.between(Epoch(0), Epoch(FEED_EPOCHS_MAX as u64)).unwrap();
    assert_eq!(kept.len(), FEED_EPOCHS_MAX);
    assert!(matches!(kept[0].changes[0].new, Some(Version::Large(_))));
    // Nobody but this test keeps the session.
    assert_eq!(Arc::strong_count(&last), 1);
}

proptest! {
    #[test]
    fn what_is_counted_is_what_is_kept(
        steps in prop::collection::vec(prop::collection::vec((0..5_usize, 0..40_usize), 0..4), 1..40),
        room in 1..40_usize,
    ) {
        let mut now: Vec<Option<Arc<Session>>> = vec![None; 5];
        let bytes_max = room * session_bytes(&session("a", 20));
        let mut ring = Ring::after(Epoch(0)).with_bytes_max(bytes_max);
        for (epoch, step) in (1..).zip(steps) {
            let mut changes = Vec::new();
            for (who, endpoints) in step {
                let next = session(&who.to_string(), endpoints);
                changes.push(change(now[who].as_ref(), Some(&next)));
                now[who] = Some(next);
            }
            ring.remember(EpochChanges::of(Epoch(epoch), changes));
            prop_assert!(ring.bytes() <= bytes_max);
            let mut kept: Vec<(*const Session, usize)> = Vec::new();
            let since = (0..=epoch).find(|since| ring.between(Epoch(*since), Epoch(epoch)).is_some());
            let epochs = ring.between(Epoch(since.unwrap()), Epoch(epoch)).unwrap();
            let mut expected = 0;
            for changes in &epochs {
                expected += overhead(changes.changes.len());
                for version in changes.changes.iter().flat_map(|c| c.old.iter().chain(&c.new)) {
                    if let Version::Whole(session) = version {
                        kept.push((Arc::as_ptr(session), session_bytes(session)));
                    }
                }
            }
            kept.sort_unstable();
            kept.dedup();
            let whole: usize = kept.iter().map(|(_, bytes)| bytes).sum();
            let large = ring.bytes() - expected - whole;
            let changes: usize = epochs.iter().map(|epoch| epoch.changes.len()).sum();
            prop_assert!(large <= changes * 2 * 200, "{large} bytes beyond what is kept");
        }
    }
}
