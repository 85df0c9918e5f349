//! The engine as a whole, told as stories: pushes, rules, restarts, retention, subscribers.
//!
//! Each story runs on one and on three workers, ends by restarting on another number of workers,
//! and then has the store verified against a batch run over its own log.

#![allow(clippy::unwrap_used, reason = "a failed test is what it is for")]

mod common;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use common::{MINUTE, by_header, open, push, settings, verified, view, wait, wait_for};
use spoor_dataflow::engine::{Engine, Settings};
use spoor_dataflow::query::{Filter, Order, SessionQuery, Statistic};
use spoor_dataflow::service::{ChangesQuery, Event, Push, RuleChangeError, ServiceError, View};
use spoor_dataflow::store::{Store, StoreError, StoreOptions, WriteHook};
use spoor_operators::rules::edit::{ListEdit, RuleEdit};
use spoor_operators::rules::{Gap, GroupingKey, RuleSet, ScopeAction, ScopeRule};
use spoor_operators::time::Epoch;
use tempfile::TempDir;

const DAY: i64 = 24 * 60 * MINUTE;

fn start(dir: &Path, workers: usize) -> Engine {
    Engine::start(settings(open(dir), workers, None)).unwrap()
}

/// A request of a user, whose address is always another one's too.
fn request(id: &str, ts: i64, session: &str, ip: &str) -> String {
    format!(
        r#"{{"id":"{id}","ts":{ts},"method":"GET","host":"h","path":"/a","status":200,"ip":"{ip}",
        "request":{{"headers":{{"x-session-id":"{session}","x-user":"u-{ip}"}}}}}}"#
    )
    .replace('\n', "")
}

/// `namespace value start requests`, sorted.
fn sessions(view: &dyn View) -> Vec<String> {
    let query = SessionQuery {
        filter: Filter::all(),
        order: Order { by: Statistic::Start, descending: false },
        first: 1000,
        after: None,
        count: true,
    };
    let page = view.sessions(&query).unwrap();
    assert_eq!(page.total, Some(page.sessions.len() as u64));
    let mut shown: Vec<_> = page
        .sessions
        .iter()
        .map(|session| {
            let identity = &session.identity;
            let (start, requests) = (session.start.0, session.summary.requests);
            format!("{} {} {start} {requests}", identity.namespace, identity.value)
        })
        .collect();
    shown.sort();
    shown
}

fn change(engine: &Engine, edit: RuleEdit) -> Epoch {
    let answer = engine.services().admin.change(edit, None, None);
    let change = answer.blocking_recv().unwrap().unwrap();
    wait_for(engine, |view| view.status().unwrap().regroup.is_none());
    change.effective_epoch
}

fn stop(engine: Engine) {
    engine.stop();
    engine.join().unwrap();
}

fn story(tell: impl Fn(&Path, usize)) {
    for workers in [1, 3] {
        let dir = tempfile::tempdir().unwrap();
        tell(dir.path(), workers);
        verified(dir.path());
    }
}

#[test]
fn pushes_do_not_wait_for_rules_to_be_compiled() {
    let dir = tempfile::tempdir().unwrap();
    let engine = start(dir.path(), 1);
    push(&engine, &[request("1", 0, "a", "10.0.0.1")]);
    // Many keys with large patterns: compiling them takes much longer than a
    // push does.
    let key = |number: usize| GroupingKey {
        name: format!("k{number}"),
        point: format!(r#"$request.header.x-{number} | regex("^\\w{{20}}-({number})$", 1)"#),
        ..by_header("k", "x")
    };
    let rules = RuleSet { grouping: (0..64).map(key).collect(), ..RuleSet::default() };
    let edit = RuleEdit::Replace(Box::new(rules));
    let admin = engine.services().admin;
    let ask = || admin.change(edit.clone(), None, Some("once".into()));
    let (first, again) = (ask(), ask());
    let pushed = push(&engine, &[request("2", 1, "a", "10.0.0.1")]);
    let change = first.blocking_recv().unwrap().unwrap();
    assert!(pushed.epoch < change.effective_epoch.0, "the push went before");
    let same = again.blocking_recv().unwrap().unwrap();
    assert_eq!(same.effective_epoch, change.effective_epoch, "a repeat changes nothing");
    assert_eq!(same.rules.version, 2);
    // A refused change lets its key be used again.
    for name in ["", "n"] {
        let item = ScopeRule { name: name.into(), ..ScopeRule::default() };
        let edit = RuleEdit::Scope(ListEdit::Create { item, before: None });
        let answer = admin.change(edit, None, Some("another".into())).blocking_recv().unwrap();
        assert_eq!(answer.is_err(), name.is_empty());
    }
    stop(engine);
}

#[test]
fn what_is_pushed_is_in_sessions_when_the_answer_comes_and_after_a_restart() {
    story(|dir, workers| {
        let engine = start(dir, workers);
        let answer = push(
            &engine,
            &[
                request("1", 0, "a", "10.0.0.1"),
                request("2", 60 * MINUTE, "a", "10.0.0.1"),
                request("1", 0, "a", "10.0.0.1"),
                "no json".into(),
                String::new(),
                request("3", 5, "b", "10.0.0.2"),
            ],
        );
        let counts = answer.counts;
        let found = (counts.read, counts.accepted, counts.bad, counts.duplicate);
        assert_eq!(found, (5, 3, 1, 1));
        assert_eq!(answer.errors.len(), 1);
        assert_eq!((answer.errors[0].line, answer.errors[0].code.as_str()), (4, "bad_json"));
        let expected =
            ["session-id a 0 1", "session-id a 3600000 1", "session-id b 5 1"].map(String::from);
        assert_eq!(sessions(&*view(&engine)), expected);
        stop(engine);

        let engine = start(dir, 2);
        assert_eq!(sessions(&*view(&engine)), expected);
        // Late: it lies within the gap of both, and the duplicate is known after the restart.
        let late = [
            request("4", 29 * MINUTE, "a", "10.0.0.1"),
            request("2", 60 * MINUTE, "a", "10.0.0.1"),
        ];
        assert_eq!(push(&engine, &late).counts.duplicate, 1);
        assert_eq!(
            sessions(&*view(&engine)),
            ["session-id a 0 2", "session-id a 3600000 1", "session-id b 5 1"]
        );
        push(&engine, &[request("5", 31 * MINUTE, "a", "10.0.0.1")]);
        assert_eq!(sessions(&*view(&engine)), ["session-id a 0 4", "session-id b 5 1"]);
        let letters = view(&engine).dead_letters(10, None).unwrap();
        assert_eq!((letters.total, letters.letters[0].raw.as_slice()), (1, &b"no json"[..]));
        stop(engine);
    });
}

#[test]
fn a_changed_rule_regroups_the_retained_past_and_its_deletion_brings_it_back() {
    story(|dir, workers| {
        let engine = start(dir, workers);
        let mut lines = Vec::new();
        for n in 0..200_i64 {
            let (session, ip) = (format!("s{}", n % 20), format!("10.0.0.{}", n % 7));
            lines.push(request(&n.to_string(), n * MINUTE, &session, &ip));
        }
        push(&engine, &lines);
        let before = sessions(&*view(&engine));
        change(
            &engine,
            RuleEdit::Grouping(ListEdit::Create {
                item: by_header("user", "x-user"),
                before: None,
            }),
        );
        let by_user = sessions(&*view(&engine));
        assert_eq!(by_user.len(), 7);
        assert!(by_user.iter().all(|session| session.starts_with("user u-10.0.0.")));
        push(&engine, &[request("late", 3 * MINUTE, "s1", "10.0.0.1")]);
        stop(engine);

        let engine = start(dir, 2);
        change(&engine, RuleEdit::Grouping(ListEdit::Delete { name: "user".into() }));
        let mut after = before.clone();
        let position = after.iter().position(|s| s.starts_with("session-id s1 60000")).unwrap();
        after[position] = after[position].replace(" 1", " 2");
        after.sort();
        assert_eq!(sessions(&*view(&engine)).len(), after.len());
        assert_eq!(
            sessions(&*view(&engine)).iter().filter(|s| !before.contains(s)).count(),
            1,
            "only the session of the late request differs"
        );

        // A longer gap joins, and none leaves only the days.
        let mut settings = RuleSet::default().settings;
        settings.gap = Gap::None;
        change(&engine, RuleEdit::Settings(settings));
        assert_eq!(sessions(&*view(&engine)).len(), 20);

        // What is excluded is in no session, and comes back.
        let exclude = ScopeRule {
            name: "none".into(),
            path: Some("/a".into()),
            action: ScopeAction::Exclude,
            ..ScopeRule::default()
        };
        let first = Some("no-preflight".into());
        change(&engine, RuleEdit::Scope(ListEdit::Create { item: exclude, before: first }));
        assert_eq!(sessions(&*view(&engine)), Vec::<String>::new());
        assert_eq!(view(&engine).status().unwrap().requests, 201);
        change(&engine, RuleEdit::Scope(ListEdit::Delete { name: "none".into() }));
        assert_eq!(sessions(&*view(&engine)).len(), 20);
        stop(engine);
    });
}

#[test]
fn a_change_for_another_version_is_refused_with_the_rules_in_force() {
    let dir = tempfile::tempdir().unwrap();
    let engine = start(dir.path(), 1);
    let edit =
        RuleEdit::Grouping(ListEdit::Create { item: by_header("user", "x-user"), before: None });
    let change = |edit: &RuleEdit, expected, key: Option<&str>| {
        let admin = engine.services().admin;
        admin.change(edit.clone(), expected, key.map(String::from)).blocking_recv().unwrap()
    };
    let accepted = change(&edit, Some(1), Some("k")).unwrap();
    assert_eq!(accepted.rules.version, 2);
    let repeated = change(&edit, Some(1), Some("k")).unwrap();
    assert_eq!(repeated.effective_epoch, accepted.effective_epoch);
    let other = RuleEdit::Grouping(ListEdit::Delete { name: "user".into() });
    assert!(matches!(change(&other, None, Some("k")), Err(RuleChangeError::KeyReused)));
    match change(&other, Some(1), None) {
        Err(RuleChangeError::Conflict { current }) => assert_eq!(current.version, 2),
        other => panic!("{other:?}"),
    }
    assert!(matches!(change(&edit, None, None), Err(RuleChangeError::Invalid(_))));
    stop(engine);
}

#[test]
fn a_repeated_push_answers_what_it_answered_the_first_time() {
    let dir = tempfile::tempdir().unwrap();
    let push = |engine: &Engine| {
        let body = request("1", 0, "a", "10.0.0.1").replace(r#""id":"1","#, "");
        let answer = engine.services().ingest.push(body.into(), Some("once".into()));
        answer.blocking_recv().unwrap().unwrap()
    };
    let engine = start(dir.path(), 1);
    let first = push(&engine);
    assert_eq!(push(&engine), first);
    stop(engine);
    let engine = start(dir.path(), 2);
    assert_eq!(push(&engine), first);
    assert_eq!(sessions(&*view(&engine)), ["session-id a 0 1"]);
    stop(engine);
}

#[test]
fn a_key_is_for_one_push_or_one_change_also_while_its_first_use_waits() {
    let dir = tempfile::tempdir().unwrap();
    let engine = start(dir.path(), 1);
    let services = engine.services();
    let body = |who: &str| request("1", 0, who, "10.0.0.1");
    let take = |who: &str, format: Option<&str>| {
        let (format, key) = (format.map(String::from), Some("once".to_owned()));
        services.ingest.take(Push { body: body(who).into(), format, key })
    };
    // All of them are asked for before the first can be committed.
    let asked = [
        take("a", None),
        take("a", None),
        take("b", None),
        take("a", Some("ndjson")),
        take("a", None),
    ];
    let answers = asked.map(|answer| answer.blocking_recv().unwrap());
    let first = answers[0].clone().unwrap();
    assert_eq!(answers[1].as_ref(), Ok(&first));
    assert_eq!(answers[2], Err(ServiceError::KeyReused));
    assert_eq!(answers[3], Err(ServiceError::KeyReused));
    assert_eq!(answers[4].as_ref(), Ok(&first));
    let unknown = take("a", Some("nope")).blocking_recv().unwrap();
    assert_eq!(unknown, Err(ServiceError::KeyReused), "the key is looked at first");
    let unknown = Push { body: body("c").into(), format: Some("nope".into()), key: None };
    let unknown = services.ingest.take(unknown).blocking_recv().unwrap().unwrap_err();
    let unknown = unknown.to_string();
    for format in ["combined", "har", "ndjson"] {
        assert!(unknown.contains(format), "{unknown}");
    }
    assert_eq!(sessions(&*view(&engine)), ["session-id a 0 1"]);

    let change = |name: &str| {
        let edit = RuleEdit::BuiltIn { name: name.into(), enabled: false };
        services.admin.change(edit, Some(1), Some("edit".into()))
    };
    let asked = [change("client-ip"), change("client-ip"), change("authorization")];
    let [first, again, other] = asked.map(|answer| answer.blocking_recv().unwrap());
    let (first, again) = (first.unwrap(), again.unwrap());
    assert_eq!(first.effective_epoch, again.effective_epoch);
    assert!(matches!(other, Err(RuleChangeError::KeyReused)), "{other:?}");
    assert_eq!(view(&engine).rules().version, 2);
    stop(engine);
}

#[test]
fn days_behind_the_retention_are_dropped_whole_and_refused_from_then_on() {
    story(|dir, workers| {
        let engine = start(dir, workers);
        // At noon: the watermark is some seconds behind, on the same day.
        let day = |n: i64| request(&format!("d{n}"), n * DAY + DAY / 2, "a", "10.0.0.1");
        push(&engine, &[day(0), day(1), day(8)]);
        wait_for(&engine, |view| view.status().unwrap().sessions == 2);
        assert_eq!(sessions(&*view(&engine)).len(), 2);
        let answer = push(&engine, &["no json".into(), String::new(), day(0)]);
        assert_eq!((answer.counts.expired, answer.counts.accepted), (1, 0));
        let errors: Vec<_> =
            answer.errors.iter().map(|error| (error.line, error.code.as_str())).collect();
        assert_eq!(errors, [(1, "bad_json"), (3, "expired")]);
        let overview = view(&engine).overview(None, None, Some(60)).unwrap();
        assert_eq!((overview.totals.requests, overview.totals.sessions), (2, 2));
        stop(engine);
        let engine = start(dir, 2);
        assert_eq!(push(&engine, &[day(0)]).counts.expired, 1);
        push(&engine, &[day(20)]);
        wait_for(&engine, |view| view.status().unwrap().sessions == 1);
        let overview = view(&engine).overview(None, None, Some(60)).unwrap();
        assert_eq!((overview.totals.requests, overview.totals.sessions), (1, 1));
        stop(engine);
    });
}

/// A store whose last commit made a day due, and that was cut off before the day was dropped.
fn cut_off_before_a_drop() -> TempDir {
    loop {
        let dir = tempfile::tempdir().unwrap();
        let left = Arc::new(AtomicUsize::new(usize::MAX));
        let (writes, fails) = (Arc::clone(&left), |_| StoreError::NoRoom("it is full".into()));
        let less = move |left: usize| left.checked_sub(1);
        let hook = WriteHook(Arc::new(move |_| {
            let taken = writes.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less);
            taken.map(drop).map_err(fails)
        }));
        let options = StoreOptions { before_write: Some(hook), ..StoreOptions::default() };
        let store = Store::open(dir.path(), options).unwrap();
        let engine = Engine::start(settings(store, 1, None)).unwrap();
        // Again, because the first makes a day the first to retain, and that is a commit too.
        (0..3).for_each(|_| drop(push(&engine, &[request("a", DAY / 2, "a", "10.0.0.1")])));
        left.store(1, Ordering::SeqCst);
        let last = request("b", 20 * DAY, "a", "10.0.0.1");
        drop(engine.services().ingest.push(last.into(), None).blocking_recv());
        engine.join().unwrap_err();
        // Whatever else was committed instead is another story.
        if open(dir.path()).numbers().requests == 2 {
            return dir;
        }
    }
}

#[test]
fn a_day_that_was_due_at_a_crash_is_dropped_at_the_next_start_though_nothing_comes() {
    for ends_with_sources in [false, true] {
        let dir = cut_off_before_a_drop();
        let settings = settings(open(dir.path()), 1, None);
        let engine = Engine::start(Settings { ends_with_sources, ..settings }).unwrap();
        if ends_with_sources {
            wait(|| !engine.is_running());
            engine.join().unwrap();
        } else {
            wait_for(&engine, |view| view.status().unwrap().sessions == 1);
            stop(engine);
        }
        assert_eq!(verified(dir.path()).0.numbers().requests, 1);
    }
}

#[test]
fn a_subscriber_gets_a_snapshot_then_each_difference_once_and_can_resume() {
    let dir = tempfile::tempdir().unwrap();
    let engine = start(dir.path(), 2);
    push(&engine, &[request("1", 0, "a", "10.0.0.1")]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let feed = engine.services().feed;
    let mut changes = feed.session_changes(ChangesQuery::of(Filter::all(), 10)).unwrap();
    let mut next = || runtime.block_on(changes.next()).unwrap().unwrap();
    let Event::Snapshot { epoch, sessions, truncated } = next() else { panic!("no snapshot") };
    assert_eq!((sessions.len(), truncated), (1, false));
    // Two epochs, told at once because nobody fetched in between.
    push(&engine, &[request("2", 1, "a", "10.0.0.1")]);
    push(&engine, &[request("3", 2, "a", "10.0.0.1"), request("4", 0, "b", "10.0.0.1")]);
    let expect = |event: Event| {
        let Event::Changes { added, updated, removed, .. } = event else { panic!("{event:?}") };
        assert_eq!((added.len(), updated.len(), removed.len()), (1, 1, 0));
        assert_eq!(updated[0].summary.requests, 3);
        assert_eq!(&*added[0].identity.value, "b");
    };
    expect(next());
    let since = Some(feed.lineage().token(epoch));
    let resume = ChangesQuery { since, ..ChangesQuery::of(Filter::all(), 10) };
    let mut resumed = feed.session_changes(resume).unwrap();
    expect(runtime.block_on(resumed.next()).unwrap().unwrap());
    stop(engine);
}

#[test]
fn only_an_epoch_of_this_store_is_resumed_from() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let first = |engine: &Engine, since| {
        let query = ChangesQuery { since: Some(since), ..ChangesQuery::of(Filter::all(), 10) };
        let mut changes = engine.services().feed.session_changes(query).unwrap();
        push(engine, &[request("more", 3, "b", "10.0.0.2")]);
        runtime.block_on(changes.next()).unwrap().unwrap()
    };
    let is_snapshot = |event: &Event| matches!(event, Event::Snapshot { .. });
    let token = |engine: &Engine, epoch| engine.services().feed.lineage().token(epoch);

    let engine = start(dir.path(), 1);
    let push_one = |engine: &Engine, id: &str| push(engine, &[request(id, 0, "a", "10.0.0.1")]);
    for id in ["1", "2", "3"] {
        push_one(&engine, id);
    }
    let seen = view(&engine).epoch();
    let (told, never) = (token(&engine, seen), token(&engine, Epoch(seen.0 + 1000)));
    assert!(is_snapshot(&first(&engine, never)), "an epoch that was never committed");
    stop(engine);

    // A store that was made anew, behind the epoch and beyond it.
    let engine = start(other.path(), 1);
    assert!(is_snapshot(&first(&engine, told)));
    while view(&engine).epoch() <= seen {
        push_one(&engine, &format!("n{}", view(&engine).epoch().0));
    }
    assert!(is_snapshot(&first(&engine, told)));
    stop(engine);

    // The same store goes on where it was, but not from an epoch before the last.
    let engine = start(dir.path(), 1);
    let last = token(&engine, view(&engine).epoch());
    assert!(!is_snapshot(&first(&engine, last)));
    assert!(is_snapshot(&first(&engine, told)));
    stop(engine);
}

#[test]
fn the_watermark_and_what_is_open_survive_restarts_however_quick() {
    story(|dir, workers| {
        let engine = start(dir, workers);
        let line = |at: i64| request(&at.to_string(), at * MINUTE, &format!("s{at}"), "10.0.0.1");
        push(&engine, &(0..120).map(line).collect::<Vec<_>>());
        let known = |engine: &Engine| {
            let status = view(engine).status().unwrap();
            let sources: Vec<_> = status.sources.iter().map(|s| (s.watermark, s.counts)).collect();
            (status.watermark, status.open_sessions, status.requests, sources)
        };
        let before = (known(&engine), sessions(&*view(&engine)));
        let (watermark, open, ..) = before.0;
        assert!(
            watermark.is_some() && open > 0 && open < 120,
            "some are open, some closed: {open}"
        );
        stop(engine);
        for workers in [1, workers, 2] {
            let engine = start(dir, workers);
            assert_eq!((known(&engine), sessions(&*view(&engine))), before);
            stop(engine);
        }
        // What closes after a restart is what would have closed without.
        let engine = start(dir, workers);
        push(&engine, &[line(10_000)]);
        assert_eq!(view(&engine).status().unwrap().open_sessions, 1);
        stop(engine);
    });
}

#[test]
fn after_a_day_of_downtime_a_flood_of_late_and_new_requests_is_counted_as_if_it_had_been_up() {
    let line = |at: i64| {
        let user = format!("s{}", at * 7 % 12);
        request(&at.to_string(), at * DAY / 1500, &user, "10.0.0.1")
    };
    let (first, flood): (Vec<i64>, Vec<i64>) = (0..3000).partition(|at| at % 5 == 0 && *at < 1500);
    let in_one = tempfile::tempdir().unwrap();
    let engine = start(in_one.path(), 2);
    push(&engine, &(0..3000).map(line).collect::<Vec<_>>());
    let expected = sessions(&*view(&engine));
    stop(engine);
    story(|dir, workers| {
        let engine = start(dir, workers);
        push(&engine, &first.iter().map(|at| line(*at)).collect::<Vec<_>>());
        stop(engine);
        let engine = start(dir, workers);
        // Everybody comes at once, the newest first, and sends again what is not sure to be there.
        let again = first.iter().rev().take(40);
        let flood: Vec<_> = flood.iter().rev().chain(again).map(|at| line(*at)).collect();
        let services = engine.services();
        let answers: Vec<_> = flood
            .chunks(100)
            .map(|lines| services.ingest.push(lines.join("\n").into(), None))
            .collect();
        let counts = answers.into_iter().map(|answer| answer.blocking_recv().unwrap().unwrap());
        let duplicates: u64 = counts.map(|answer| answer.counts.duplicate).sum();
        assert_eq!(duplicates, 40);
        assert_eq!(sessions(&*view(&engine)), expected);
        stop(engine);
    });
}
