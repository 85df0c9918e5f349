//! What the engine keeps in a store is decoded by the check, and told when it is not written so.

use std::collections::HashMap;

use spoor_api::service::PushAnswer;
use spoor_operators::time::Epoch;
use spoor_store::Commit;
use spoor_store::testing::{Fed, Spec, synced};

use super::{check, info, salvage};
use crate::marker::ReshapeState;
use crate::open_sessions::OpenSessions;
use crate::sources::SourceRow;
use crate::{answers, keys};

type Named = (String, Vec<u8>);

/// What becomes of a value.
type Damage = fn(&[u8]) -> Vec<u8>;

/// A value of every kind the engine keeps, by name.
fn values() -> Vec<Named> {
    let closing = HashMap::from([(5_000, 2), (5_700, 1), (9_000, 1)]);
    let open = OpenSessions::default().apply(&closing, None);
    let open = open.into_iter().map(|(second, row)| (keys::open_second(second), row.unwrap()));
    let fixed: [(&str, &[u8]); 4] = [
        (keys::FIRST_DAY, &[0; 4]),
        (keys::REGROUP, &[0; 8]),
        (keys::SHAPE, br#"{"process":1,"processes":3}"#),
        (keys::RESHAPE, br#"{"under_way":{"process":1,"from":3,"to":2,"epoch":1}}"#),
    ];
    let fixed = fixed.into_iter().map(|(name, value)| (name.to_owned(), value.to_vec()));
    fixed.chain(open).collect()
}

fn answers_() -> Vec<Named> {
    let pushed = serde_json::to_vec(&PushAnswer::default()).unwrap();
    vec![("push".into(), pushed), ("rule".into(), answers::change(Epoch(1), b"x"))]
}

fn sources() -> Vec<Named> {
    vec![("a".into(), serde_json::to_vec(&SourceRow::default()).unwrap())]
}

/// A store with some sessions, and these rows of the engine's.
fn store(values: Vec<Named>, answers: Vec<Named>, sources: Vec<Named>) -> Fed {
    let mut fed = Fed::with(synced());
    let spec = |number: i64| Spec { minute: number * 7, ..Spec::default() };
    let commit = Commit {
        blobs: values.into_iter().map(|(name, value)| (name, Some(value))).collect(),
        answers: answers.into_iter().map(|(key, answer)| (key.into_bytes(), answer)).collect(),
        sources,
        ..Commit::default()
    };
    fed.feed_with(&(0..9).map(spec).collect::<Vec<_>>(), &[], commit);
    fed
}

fn problems(fed: Fed) -> Vec<String> {
    let Fed { directory, store, sessionizer, .. } = fed;
    drop((store, sessionizer));
    check(directory.path(), &mut |_, _, _| true).unwrap().listed
}

#[test]
fn a_whole_store_of_an_engine_has_no_problem() {
    assert_eq!(problems(store(values(), answers_(), sources())), [""; 0]);
}

#[test]
fn every_row_of_the_engine_that_is_not_written_so_is_told() {
    let damages: [(&str, Damage); 3] = [
        ("cut", |value| value[..value.len() - 1].to_vec()),
        ("longer", |value| [value, &[0]].concat()),
        ("empty", |_| Vec::new()),
    ];
    for (what, damage) in damages {
        let all = |rows: Vec<Named>| -> Vec<Named> {
            rows.into_iter().map(|(name, row)| (name, damage(&row))).collect()
        };
        let (values, answers, sources) = (all(values()), all(answers_()), all(sources()));
        let damaged = values.len() + answers.len() + sources.len();
        let found = problems(store(values, answers, sources));
        assert_eq!(found.len(), damaged, "{what}: {found:#?}");
    }
}

#[test]
fn a_value_under_another_name_is_told_and_nothing_is_salvaged_with_it() {
    let strange = vec![("more".to_owned(), b"1".to_vec())];
    let fed = store(strange.clone(), Vec::new(), Vec::new());
    assert_eq!(problems(fed), ["meta: the store is damaged: an engine's value `more`"]);
    let Fed { directory, store, sessionizer, .. } = store(strange, Vec::new(), Vec::new());
    drop((store, sessionizer));
    let to = tempfile::tempdir().unwrap();
    assert!(salvage(directory.path(), to.path(), &mut |_, _, _| true).is_err());
}

#[test]
fn a_store_says_where_its_sources_are() {
    let row = SourceRow { offset: 17, ended: true, ..SourceRow::default() };
    let row = serde_json::to_vec(&row).unwrap();
    let fed = store(Vec::new(), Vec::new(), vec![("a.log".into(), row)]);
    let info = info(fed.directory.path()).unwrap();
    let source = &info.sources[0];
    assert_eq!((source.name.as_str(), source.offset, source.ended), ("a.log", 17, true));
}

#[test]
fn a_store_says_whose_it_is_and_what_a_reshape_has_made_of_it() {
    let fed = store(values(), answers_(), sources());
    let of = |fed: &Fed| {
        let info = info(fed.directory.path()).unwrap();
        (info.shape.map(|shape| (shape.process, shape.processes)), info.reshape)
    };
    let under_way = ReshapeState::UnderWay { process: 1, from: 3, to: 2 };
    assert_eq!(of(&fed), (Some((1, 3)), Some(under_way)));
    let json = serde_json::to_string(&info(fed.directory.path()).unwrap()).unwrap();
    assert!(json.contains(r#""shape":{"process":1,"processes":3}"#), "{json}");
    assert!(json.contains(r#""reshape":{"state":"under_way","process":1,"from":3,"to":2}"#));
    let say = |epoch, name: &str, value: Option<&[u8]>| {
        let blobs = vec![(name.to_owned(), value.map(<[u8]>::to_vec))];
        fed.store.commit(Commit { epoch: Epoch(epoch), blobs, ..Commit::default() }).unwrap();
        of(&fed)
    };
    let left = say(2, keys::RESHAPE, Some(br#"{"merged":{"processes":1}}"#));
    assert_eq!(left, (None, Some(ReshapeState::Left { processes: 1 })));
    assert_eq!(say(3, keys::RESHAPE, None), (Some((1, 3)), None));
    assert_eq!(say(4, keys::SHAPE, None), (Some((0, 1)), None));
    assert_eq!(of(&Fed::new()), (None, None), "nothing was committed");
}
