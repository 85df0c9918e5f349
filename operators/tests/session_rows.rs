//! Summaries and session rows: what was counted can be taken back, stored, read in place and
//! compared; and no bytes, however damaged, are read as anything else than an error or a session.

#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeMap;
use std::hash::BuildHasher;
use std::sync::Arc;

use proptest::prelude::*;
use spoor_operators::facts::{Assigned, Fact, Field, IdentityText, Numbers, encode_head};
use spoor_operators::identity::{Identity, IdentityId};
use spoor_operators::session::{Session, SessionView};
use spoor_operators::summary::{Subtracted, Summary};
use spoor_operators::time::{Day, EventTime};

/// Numbers and facts of a request.
type Counted = (Numbers, Vec<(Field, String)>);

fn assigned((numbers, facts): &Counted) -> Assigned {
    let facts: Vec<_> = facts.iter().map(|(field, text)| Fact::new(*field, text)).collect();
    let mut payload = Vec::new();
    encode_head(&mut payload, IdentityText::default(), numbers, &facts);
    Assigned {
        head_len: payload.len() as u32,
        payload: payload.into(),
        ..support::parse("a@0").0.assigned()
    }
}

fn counted() -> impl Strategy<Value = Counted> {
    let any_size = || (0_u32..64, any::<u64>()).prop_map(|(shift, value)| value >> shift);
    let numbers = (0..1000_u16, any_size(), prop::option::of(any_size()), 0..3_u32, any::<u8>());
    let numbers = numbers.prop_map(|(status, bytes, duration_ns, detections, flags)| Numbers {
        status,
        request_bytes: bytes,
        response_bytes: bytes / 2,
        duration_ns,
        detections,
        blocked: flags & 1 != 0,
        shadow: flags & 2 != 0,
        zombie: flags & 4 != 0,
    });
    let fact = (prop::sample::select(&Field::ALL[..]), "[a-zé]{0,2}|[0-9]{1,3}");
    (numbers, prop::collection::vec(fact, 0..12))
}

fn summary(requests: &[Counted]) -> Summary {
    let mut summary = Summary::default();
    requests.iter().for_each(|request| summary.add(&assigned(request).facts().unwrap()));
    summary
}

fn session(requests: &[Counted]) -> Session {
    let identity = Identity {
        id: IdentityId::of("n", "v", ""),
        namespace: "n".into(),
        value: "v".into(),
        qualifier: "".into(),
        weak: requests.len().is_multiple_of(2),
        secret: requests.len().is_multiple_of(3),
    };
    Session {
        identity: Arc::new(identity),
        day: Day(-3),
        start: EventTime(-5),
        end: EventTime(i64::from(requests.len() as u32)),
        gap_ms: 1000,
        summary: summary(requests),
    }
}

fn row(session: &Session) -> Vec<u8> {
    let mut row = Vec::new();
    session.encode(&mut row);
    row
}

proptest! {
    #[test]
    fn a_summary_is_the_same_in_any_order_and_grouping(
        requests in prop::collection::vec(counted(), 0..30),
        cut in 0..30_usize,
    ) {
        let forth = summary(&requests);
        let mut back = requests.clone();
        back.reverse();
        let (left, right) = back.split_at(cut.min(back.len()));
        let mut merged = summary(left);
        merged.merge(&summary(right));
        prop_assert_eq!(&forth, &merged);
        prop_assert!(forth.cmp(&merged).is_eq());
        let hash = std::hash::BuildHasherDefault::<std::hash::DefaultHasher>::default();
        prop_assert_eq!(hash.hash_one(&forth), hash.hash_one(&merged));

        let mut counts = BTreeMap::<(Field, String), u64>::new();
        requests.iter().flat_map(|(_, facts)| facts).for_each(|(field, text)| {
            *counts.entry((*field, text.clone())).or_default() += 1;
        });
        for field in Field::ALL {
            let of_field = counts.iter().filter(|((known, _), _)| *known == field);
            prop_assert_eq!(forth.distinct(field), of_field.clone().count());
            for ((_, text), count) in of_field {
                prop_assert_eq!(forth.count(field, text), *count);
            }
            prop_assert_eq!(forth.count(field, "never"), 0);
        }
    }

    #[test]
    fn subtracting_is_exact_or_says_that_it_is_not(
        requests in prop::collection::vec(counted(), 1..30),
        at in any::<prop::sample::Index>(),
    ) {
        let mut rest = requests.clone();
        let gone = rest.swap_remove(at.index(requests.len()));
        let (mut subtracted, gone) = (summary(&requests), assigned(&gone));
        let known = subtracted.clone();
        match subtracted.subtract(&gone.facts().unwrap()) {
            Subtracted::Exact => prop_assert_eq!(subtracted, summary(&rest)),
            Subtracted::Recompute => {
                let one = gone.facts().unwrap().numbers;
                let longest = one.duration_ns.is_some_and(|ns| ns >= known.duration_max_ns);
                let sums = [known.request_bytes, known.response_bytes, known.duration_sum_ns];
                prop_assert!(longest || sums.contains(&u64::MAX));
            }
        }
    }

    #[test]
    fn a_row_gives_back_the_session_and_no_damage_panics(
        requests in prop::collection::vec(counted(), 0..20),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
    ) {
        let session = session(&requests);
        let bytes = row(&session);
        let read = Session::decode(&bytes).unwrap();
        prop_assert_eq!(&read, &session);
        prop_assert_eq!(row(&read), bytes.clone());

        let view = SessionView::new(&bytes).unwrap();
        prop_assert_eq!((view.id(), view.counters), (session.id(), session.summary.counters));
        prop_assert_eq!(&view.identity(), &*session.identity);
        prop_assert_eq!(view.histogram().unwrap(), session.summary.histogram.clone());
        let entries: Vec<_> = view.entries().unwrap().collect::<Result<_, _>>().unwrap();
        prop_assert_eq!(entries.len(), session.summary.breakdown.len());
        for (field, text, count) in entries {
            prop_assert_eq!(session.summary.count(field, text), count);
        }

        for len in 0..bytes.len() {
            prop_assert!(Session::decode(&bytes[..len]).is_err());
        }
        let mut damaged = bytes;
        for (at, byte) in damage {
            let at = at.index(damaged.len());
            damaged[at] = byte;
        }
        // Whatever it is now, reading it does not panic, nor does using what was read.
        if let Ok(session) = Session::decode(&damaged) {
            let _ = (session.summary.quantile_ms(0.5), session.summary.distinct(Field::Ip));
            let _ = Session::decode(&row(&session)).unwrap();
        }
        if let Ok(view) = SessionView::new(&damaged) {
            let _ = view.entries().map(|entries| entries.filter(Result::is_ok).count());
        }
    }
}

#[test]
fn many_distinct_values_are_counted_exactly() {
    let request = |n: u32| (Numbers::default(), vec![(Field::Ip, format!("10.0.0.{n}"))]);
    let requests: Vec<_> = (0..5000).chain(0..2500).map(request).collect();
    let session = session(&requests);
    assert_eq!(session.summary.distinct(Field::Ip), 5000);
    assert_eq!(session.summary.count(Field::Ip, "10.0.0.2499"), 2);
    assert_eq!(session.summary.count(Field::Ip, "10.0.0.2500"), 1);
    assert_eq!(session.summary.count(Field::Host, "10.0.0.1"), 0);
    assert_eq!(Session::decode(&row(&session)), Ok(session));
}
