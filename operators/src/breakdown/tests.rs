//! Large breakdowns: what a change costs, that their parts are those of the set of values, and that
//! nobody can choose values that meet. Costs are counted, never timed.

use std::collections::BTreeMap;
use std::iter;

use super::*;

const FIELD: Field = Field::UserAgent;

fn add(to: &mut Breakdown, text: &str) {
    to.add(Fact::new(FIELD, text).into(), 1, 0);
}

fn breakdown(texts: impl IntoIterator<Item = String>) -> Breakdown {
    let mut made = Breakdown::default();
    texts.into_iter().for_each(|text| add(&mut made, &text));
    made
}

fn numbered(range: std::ops::Range<u32>) -> impl DoubleEndedIterator<Item = String> {
    range.map(|n| format!("agent {n}"))
}

/// The parts of a breakdown as they would be stored.
fn stored(of: &Breakdown) -> BTreeMap<PartKey, Vec<u8>> {
    let mut parts = BTreeMap::new();
    of.changed_parts(None, &mut |key, part| {
        let mut bytes = Vec::new();
        part.expect("nothing was there before").encode(&mut bytes);
        assert!(parts.insert(key, bytes).is_none());
    });
    parts
}

/// Texts whose public hashes have the same low bits: as many as a table of so many slots has.
fn colliding(texts: usize) -> Vec<String> {
    let mask = (4 * WHOLE_MAX as u64).next_power_of_two() - 1;
    let all = (0_u64..).map(|n| format!("Mozilla/5.0 ({n})"));
    all.filter(|text| FIELD.hash(text) & mask == 0).take(texts).collect()
}

#[test]
fn a_value_is_found_wherever_the_search_begins() {
    for hint in 0..=5 {
        let mut made = breakdown(numbered(0..4));
        for text in numbered(0..5) {
            made.add(Fact::new(FIELD, &text).into(), 1, hint);
        }
        let counts: Vec<_> = numbered(0..5).map(|text| made.count(FIELD, &text)).collect();
        assert_eq!(counts, [2, 2, 2, 2, 1], "from {hint}");
        assert_eq!(made.facts().count(), 5, "from {hint}");
    }
}

#[test]
fn chosen_values_do_not_meet_in_a_table() {
    let texts = colliding(WHOLE_MAX);
    let made = breakdown(texts.iter().cloned());
    let Form::Whole(counts) = &made.form else { panic!("not large yet") };
    let absent = (0..64).map(|n| format!("absent {n}"));
    let probes: Vec<_> = texts
        .iter()
        .cloned()
        .chain(absent)
        .map(|text| counts.probes(&Fact::new(FIELD, &text)))
        .collect();
    // At most half full, and spread by a good hash: about 1.5 on average, nowhere near all.
    let (sum, most) = (probes.iter().sum::<usize>(), probes.iter().max().unwrap());
    assert!(sum < 4 * probes.len() && *most < 64, "{sum} probes, {most} for one value");
}

#[test]
fn chosen_values_do_not_meet_in_one_part() {
    let made = breakdown(colliding(WHOLE_MAX + WHOLE_MAX / 4));
    let Form::Parts(large) = &made.form else { panic!("large") };
    let leaves = large.parts.leaves(None);
    assert!(leaves.iter().all(|(_, part)| part.len() <= PART_MAX));
    assert!(leaves.len() < WHOLE_MAX / 4, "{} parts", leaves.len());
}

#[test]
fn the_form_and_the_parts_are_those_of_the_set_of_values() {
    let most = WHOLE_MAX as u32;
    for values in [1, 32, 33, most - 1, most, most + 1, 5000] {
        let forth = breakdown(numbered(0..values));
        let back = breakdown(numbered(0..values).rev());
        let mut merged = breakdown(numbered(0..values / 3));
        merged.merge(&breakdown(numbered(values / 3..values)));
        let mut subtracted = breakdown(numbered(0..values + 1));
        let last = format!("agent {values}");
        assert!(subtracted.subtract(&Fact::new(FIELD, &last), 1));
        assert!(!subtracted.subtract(&Fact::new(FIELD, &last), 1));
        assert_eq!(forth.is_large(), values > most);
        for other in [&back, &merged, &subtracted] {
            assert!(forth == *other, "{values}");
            assert!(forth.cmp(other).is_eq() && stored(&forth) == stored(other), "{values}");
            let (mut one, mut two) = (Vec::new(), Vec::new());
            forth.encode(&mut one);
            other.encode(&mut two);
            assert!(one == two, "{values}");
        }
        assert_eq!((forth.len(), forth.distinct(FIELD)), (values as usize, values as usize));
        assert_eq!(forth.facts().count(), values as usize);
        assert_eq!(forth.of_field(Field::Ip).count(), 0);
        assert!(numbered(0..values).all(|text| forth.count(FIELD, &text) == 1));
        assert_eq!(forth.count(FIELD, &last), 0);
        let mut bytes = Vec::new();
        forth.encode(&mut bytes);
        assert!(Breakdown::decode(&bytes).unwrap() == forth);
    }
}

#[test]
fn values_are_taken_back_as_they_came() {
    let mut left = breakdown(numbered(0..3000));
    assert!(!left.subtract(&Fact::new(Field::Ip, "agent 1"), 1));
    add(&mut left, "agent 1");
    assert!(!left.subtract(&Fact::new(FIELD, "agent 1"), 3));
    assert!(left.subtract(&Fact::new(FIELD, "agent 1"), 1));
    for n in 0..3000_u32 {
        let was = left.clone();
        assert!(left.subtract(&Fact::new(FIELD, &format!("agent {n}")), 1), "{n}");
        if left.is_large() {
            let mut parts = 0;
            left.changed_parts(Some(&was), &mut |_, _| parts += 1);
            assert!(parts <= 6, "{parts} parts for one value");
        }
        if n % 97 == 0 || left.len() == WHOLE_MAX {
            let expected = breakdown(numbered(n + 1..3000));
            assert!(left == expected && stored(&left) == stored(&expected), "{n}");
        }
    }
    assert!(left.is_empty() && !left.is_large());
}

#[test]
fn a_change_costs_what_changed() {
    let mut was = breakdown(numbered(0..20_000));
    let whole = was.heap_bytes();
    assert!(was.bytes_beside(&was.clone()) < 1000, "a copy shares everything");
    for (text, is_new) in [("agent 7", false), ("one more", true)] {
        let mut now = was.clone();
        add(&mut now, text);
        let mut parts = 0;
        now.changed_parts(Some(&was), &mut |_, part| {
            // A part that was divided is gone, and its values are in at most four.
            parts += 1;
            assert!(part.is_none_or(|part| part.entries() <= PART_MAX));
        });
        assert!((1..=5).contains(&parts), "{parts} parts for {text}");
        assert!(now.bytes_beside(&was) * 100 < whole, "{} of {whole}", now.bytes_beside(&was));
        let mut found = Vec::new();
        now.each_new(&was, &mut |fact| found.push(fact.text.to_owned()));
        assert_eq!(found, Vec::from_iter(is_new.then_some(text.to_owned())));
        was = now;
    }
    // Bytes are counted along the way, not by looking.
    let Form::Parts(large) = &was.form else { panic!("large") };
    let leaves: usize = large.parts.leaves(None).iter().map(|(_, part)| part.heap_bytes()).sum();
    assert!((leaves..2 * leaves).contains(&large.parts.heap_bytes()), "{leaves}");
}

#[test]
fn parts_are_written_and_deleted_so_that_those_of_the_new_state_are_stored() {
    let mut states = vec![breakdown(numbered(0..700))];
    for (from, until) in [(0, 700), (700, 3000), (3000, 3001)] {
        let mut next = states.last().unwrap().clone();
        numbered(from..until).for_each(|text| add(&mut next, &text));
        states.push(next);
    }
    states.push(breakdown(numbered(100..900)));
    states.push(breakdown(numbered(0..10)));
    let mut kept: BTreeMap<PartKey, Vec<u8>> = BTreeMap::new();
    for (was, now) in iter::once(None).chain(states.iter().map(Some)).zip(&states) {
        now.changed_parts(was, &mut |key, part| match part {
            None => assert!(kept.remove(&key).is_some()),
            Some(part) => {
                let mut bytes = Vec::new();
                part.encode(&mut bytes);
                kept.insert(key, bytes);
            }
        });
        assert!(kept == stored(now));
        let keys = kept.keys().map(|key| key.to_bytes());
        assert!(keys.clone().is_sorted());
        assert!(keys.zip(kept.keys()).all(|(bytes, key)| PartKey::from_bytes(&bytes) == Ok(*key)));
    }
}

#[test]
fn a_head_and_its_parts_are_the_breakdown_and_nothing_less() {
    let mut made = breakdown(numbered(0..2000));
    made.add(Fact::new(Field::Method, "GET").into(), 9, 0);
    assert!(made.head().is_none(), "its parts have no name yet");
    made.anchor(EventTime(9), EventTime(10));
    made.anchor(EventTime(5), EventTime(8));
    made.anchor(EventTime(4), EventTime(12));
    let head = made.head().unwrap();
    assert_eq!((head.anchor, head.entries(), head.distinct(FIELD)), (EventTime(5), 2001, 2000));
    let mut bytes = Vec::new();
    head.encode(&mut bytes);
    assert_eq!(Head::decode(&bytes), Ok(head));
    assert!((0..bytes.len()).all(|len| Head::decode(&bytes[..len]).is_err()));
    assert_eq!(Breakdown::from(head).distinct(FIELD), 2000);

    let parts = stored(&made);
    let whole = |parts: &BTreeMap<PartKey, Vec<u8>>| {
        let parts = parts.iter().map(|(key, part)| (*key, &**part));
        Breakdown::from_stored_parts(head, parts)
    };
    assert!(whole(&parts) == Ok(made.clone()));
    assert_eq!(whole(&parts).unwrap().head(), Some(head));
    let keys: Vec<_> = parts.keys().copied().collect();
    for (at, key) in keys.iter().enumerate() {
        let mut missing = parts.clone();
        let part = missing.remove(key).unwrap();
        assert!(whole(&missing).is_err(), "without {key:?}");
        let other = keys[(at + 1) % keys.len()];
        missing.insert(other, part);
        assert!(whole(&missing).is_err(), "{key:?} under {other:?}");
    }
}
