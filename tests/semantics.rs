//! Stories of docs/semantics.md through the real program, each a small log and what must come of
//! it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::path::Path;

use common::{
    LINE_KEYS, Replay, SUMMARY_KEYS, check_oracle, check_same, gzip, ndjson, replay, sample, spoor,
    write,
};
use serde_json::{Value, json};
use spoor_oracle::Oracle;

const MINUTE: i64 = 60_000;
/// 2026-03-02T10:00:00Z.
const MORNING: i64 = 1_772_445_600_000;

/// A request of a client, some minutes after [`MORNING`].
fn at(id: &str, minutes: i64) -> Value {
    at_ms(id, MORNING + minutes * MINUTE)
}

fn at_ms(id: &str, ts: i64) -> Value {
    json!({ "id": id, "ts": ts, "method": "GET", "path": "/a", "status": 200,
            "request": { "headers": { "x-session-id": "s" } } })
}

/// Replays records; the result must be the oracle's, whatever their order and the workers.
fn check_config(records: &[Value], config: &str) -> Replay {
    let mut reversed = records.to_vec();
    reversed.reverse();
    check_oracle(config, &ndjson(&reversed), &["1", "3"]);
    check_oracle(config, &ndjson(records), &["1", "3"]).0
}

fn check(records: &[Value], expected: &[&[&str]]) -> Replay {
    let replayed = check_config(records, "");
    let ids: Vec<Value> = replayed.lines.iter().map(|line| line["request_ids"].clone()).collect();
    assert_eq!(json!(ids), json!(expected));
    replayed
}

#[test]
fn a_late_request_joins_two_sessions_into_one() {
    check(&[at("a", 0), at("c", 50)], &[&["a"], &["c"]]);
    check(&[at("a", 0), at("c", 50), at("b", 25)], &[&["a", "b", "c"]]);
}

#[test]
fn a_request_days_late_is_not_lost() {
    let mut records: Vec<Value> = (0..200).map(|n| at(&format!("n{n:03}"), n * 60)).collect();
    records.push(at("late", 61));
    let replayed = check_config(&records, "");
    assert_eq!(replayed.summary["accepted"], 201);
    assert_eq!(replayed.lines[1]["request_ids"], json!(["n001", "late"]));
}

#[test]
fn a_pause_as_long_as_the_gap_ends_a_session_and_a_millisecond_less_does_not() {
    let gap = 30 * MINUTE;
    check(&[at_ms("a", MORNING), at_ms("b", MORNING + gap)], &[&["a"], &["b"]]);
    check(&[at_ms("a", MORNING), at_ms("b", MORNING + gap - 1)], &[&["a", "b"]]);
}

#[test]
fn requests_of_one_instant_are_ordered_by_their_ids() {
    check(&[at("b", 0), at("c", 0), at("a", 0)], &[&["a", "b", "c"]]);
}

#[test]
fn a_day_ends_a_session_in_the_configured_zone() {
    let midnight = 1_772_409_600_000 + 86_400_000;
    let records = [at_ms("a", midnight - 1), at_ms("b", midnight)];
    check(&records, &[&["a"], &["b"]]);
    let berlin = "[rules.settings]\nday_zone = \"Europe/Berlin\"\n";
    assert_eq!(check_config(&records, berlin).lines.len(), 1);
}

#[test]
fn a_duplicate_is_without_effect() {
    let replayed = check(&[at("a", 0), at("b", 1), at("a", 0)], &[&["a", "b"]]);
    assert_eq!((&replayed.summary["read"], &replayed.summary["accepted"]), (&json!(3), &json!(2)));
    // Without an id of its own, a request is always another one.
    let mut anonymous = at("", 0);
    anonymous.as_object_mut().unwrap().remove("id");
    let bytes = ndjson(&[anonymous.clone(), anonymous]);
    assert_eq!(replay(&["-"], &bytes).lines[0]["requests"], 2);
}

#[test]
fn excluded_unkeyed_and_bad_requests_are_counted_and_in_no_session() {
    let mut preflight = at("a", 0);
    preflight["method"] = "options".into();
    let nobody = json!({ "ts": MORNING, "method": "GET", "path": "/" });
    let replayed = check_config(&[preflight, nobody, at("b", 0)], "");
    assert_eq!(replayed.lines.len(), 1);

    let bytes =
        [&ndjson(&[at("a", 0)])[..], b"{oops\n\n  \n{\"ts\":1}\n", &ndjson(&[at("b", 1)])].concat();
    let mut oracle = Oracle::new("");
    oracle.read("stdin", "ndjson", &bytes);
    let replayed = replay(&["--format", "ndjson", "-"], &bytes);
    check_same(&replayed, &oracle.outcome(), false);
    assert_eq!((&replayed.summary["read"], &replayed.summary["bad"]), (&json!(4), &json!(2)));
}

#[test]
fn a_token_of_an_answer_and_of_later_requests_is_one_identity() {
    let config = r#"
        [secrets]
        key = "0123456789abcdef"
        [[rules.grouping]]
        name = "answer"
        point = "$response.body#/login/token"
        namespace = "token"
        [[rules.grouping]]
        name = "query"
        point = "$request.query.token"
        namespace = "token"
        [[rules.grouping]]
        name = "subject"
        point = "$request.header.authorization | jwt.payload#/sub"
        per = "app"
        min_length = 2
    "#;
    let login = json!({ "id": "1", "ts": MORNING, "method": "POST", "path": "/login",
        "request": { "headers": { "x-session-id": "other" } },
        "response": { "body": { "login": { "token": "t-1" } } } });
    let use_it = json!({ "id": "2", "ts": MORNING + 5, "method": "GET", "path": "/p",
        "query": "a=b&token=t-1", "ip": "192.0.2.1" });
    let claims = |app: &str, id: &str, claims: &str| {
        use base64::Engine as _;
        let payload = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(claims);
        json!({ "id": id, "ts": MORNING, "app": app, "method": "GET", "path": "/",
            "request": { "headers": { "Authorization": format!("bEaReR e30.{payload}.x") } } })
    };
    let records = [
        login,
        use_it,
        claims("shop", "3", r#"{"sub":"ann"}"#),
        claims("api", "4", r#"{"sub":"ann"}"#),
        claims("api", "5", r#"{"sub":"x"}"#),
    ];
    let replayed = check_config(&records, config);
    let namespaces: Vec<_> = replayed.lines.iter().map(|line| &line["namespace"]).collect();
    assert_eq!(json!(namespaces), json!(["authorization", "subject", "subject", "token"]));
    assert_eq!(replayed.lines[3]["request_ids"], json!(["1", "2"]));
}

#[test]
fn a_gap_of_a_key_and_no_gap_at_all() {
    let config = |gap: &str| {
        format!(
            "[[rules.grouping]]\nname = \"s\"\npoint = \"$request.header.x-session-id\"\ngap = {gap}\n"
        )
    };
    let records = [at("a", 0), at("b", 5), at("c", 500)];
    assert_eq!(check_config(&records, &config("{ ms = 1000 }")).lines.len(), 3);
    assert_eq!(check_config(&records, &config("\"none\"")).lines.len(), 1);
}

/// Whether any file below a directory contains the bytes.
fn any_file_contains(dir: &Path, bytes: &[u8]) -> bool {
    std::fs::read_dir(dir).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            return any_file_contains(&path, bytes);
        }
        let content = std::fs::read(&path).unwrap();
        content.windows(bytes.len()).any(|window| window == bytes)
    })
}

#[test]
fn a_secret_value_is_neither_in_the_output_nor_on_the_disk() {
    let config = r#"
        [[rules.grouping]]
        name = "token"
        point = "$request.query.token"
        secret = true
        [[rules.grouping]]
        name = "answer"
        point = "$response.body#/token"
        namespace = "token"
        secret = true
    "#;
    let secret = "hunter2-correct-horse-battery";
    let open = "not-a-secret-and-so-found-again";
    let mut records = Vec::new();
    for number in 0..50 {
        records.push(json!({ "id": format!("{open}-{number}"), "ts": MORNING + number,
            "method": "GET", "path": "/p", "query": format!("token={secret}") }));
        records.push(json!({ "ts": MORNING + number, "method": "GET", "path": "/p",
            "request": { "headers": { "authorization": format!("Basic {secret}") } } }));
        records.push(json!({ "ts": MORNING + number, "method": "POST", "path": "/login",
            "response": { "body": { "token": secret, "more": [1, 2] } } }));
    }
    // Elsewhere in the same record, and in the address the next request came from.
    records.push(json!({ "ts": MORNING + 60, "method": "GET", "path": "/p",
        "query": format!("token={secret}"), "request": { "headers": { "x-copy": secret } },
        "response": { "headers": { "location": format!("/q?token={secret}") }, "body": secret } }));
    records
        .push(json!({ "ts": MORNING + 61, "method": "GET", "path": "/p", "query": "token=other",
        "request": { "headers": { "referer": format!("https://h/p?token={secret}") } } }));
    let dir = tempfile::tempdir().unwrap();
    let file = write(dir.path(), "config.toml", config);
    let state = dir.path().join("state");
    let state = state.to_str().unwrap();
    let replayed =
        replay(&["--config", &file, "--state", state, "--requests", "-"], &ndjson(&records));
    assert_eq!(replayed.lines.len(), 3, "{}", replayed.output);
    let joined = replayed.lines.iter().filter(|line| line["requests"] == 101).count();
    assert_eq!(joined, 1, "the query and the answer join: {}", replayed.output);
    assert!(!replayed.output.contains(secret));
    assert!(!any_file_contains(Path::new(state), secret.as_bytes()));
}

/// Of refused records, by every code, no secret is on the disk; where they were is.
#[test]
fn a_secret_of_a_refused_record_is_not_on_the_disk() {
    let secret = "hunter2-correct-horse-battery";
    let good = format!(
        r#""method":"GET","path":"/p","query":"token={secret}","request":{{"headers":{{"authorization":"Bearer {secret}","cookie":"sid={secret}"}}}}"#
    );
    let time = "[20/Feb/2016:00:00:45 -0500]";
    let cases: Vec<(&str, &str, Vec<u8>)> = vec![
        ("ndjson", "bad_field", format!(r#"{{"ts":{MORNING},{good},"status":"{secret}"}}"#).into()),
        ("ndjson", "bad_json", format!(r#"{{"ts":{MORNING},{good}"#).into()),
        ("ndjson", "missing_field", format!("{{{good}}}").into()),
        ("ndjson", "bad_utf8", [format!(r#"{{{good},"x":""#).as_bytes(), b"\xff\"}"].concat()),
        ("ndjson", "too_long", format!(r#"{{{good},"x":"{}"}}"#, "x".repeat(2 << 20)).into()),
        ("ndjson", "expired", format!(r#"{{"ts":1000,{good}}}"#).into()),
        ("combined", "bad_line", format!(r#"1.2.3.4 - - {time} "GET /p?token={secret}"#).into()),
        (
            "combined",
            "bad_field",
            format!(r#"* - - {time} "GET /p?token={secret} HTTP/1.1" 200 5 "http://h/?t={secret}" "UA" "sid={secret}""#).into(),
        ),
        ("har", "bad_field", format!(r#"{{"log":{{"entries":[{{"startedDateTime":"x",{good}}}]}}}}"#).into()),
        ("har", "missing_field", format!(r#"{{"log":{{{good}}}}}"#).into()),
        ("mine", "missing_field", format!("{{{good}}}").into()),
        ("mine", "bad_json", format!("{{{good}").into()),
    ];
    let config = r#"
        [[rules.grouping]]
        name = "token"
        point = "$request.query.token"
        secret = true
        [mappings.mine.fields]
        ts = "{/at}"
        method = "{/method}"
        path = "{/path}"
    "#;
    for (format, code, input) in cases {
        for (kept, setting) in [(true, ""), (false, "[store]\ndead_letters = \"nothing\"\n")] {
            let dir = tempfile::tempdir().unwrap();
            let file = write(dir.path(), "config.toml", format!("{setting}{config}"));
            let state = dir.path().join("state");
            let mut text = input.clone();
            if code == "expired" {
                text = ndjson(&[json!({ "ts": MORNING, "method": "GET", "path": "/p" })]);
                text.extend(&input);
            }
            text.push(b'\n');
            let args = ["--config", &file, "--state", state.to_str().unwrap(), "--format", format];
            let more: &[&str] = if code == "expired" { &["--retention", "1", "-"] } else { &["-"] };
            let done = spoor(&[&["replay"][..], &args, more].concat(), &text);
            let said = String::from_utf8_lossy(&done.stderr).into_owned();
            assert!(!said.contains(secret), "{format} {code}: {said}");
            assert!(any_file_contains(&state, code.as_bytes()), "{format} {code}: {said}");
            assert!(!any_file_contains(&state, secret.as_bytes()), "{format} {code}: {said}");
            assert!(!any_file_contains(&state, b"hunter2"), "{format} {code}: {said}");
            let path = any_file_contains(&state, b"/p");
            let shown = kept && format == "combined";
            assert!(!shown || path, "{format} {code}: the rest stays");
        }
    }
}

#[test]
fn lines_and_summary_have_exactly_their_keys_in_order() {
    let replayed = replay(&["-"], &ndjson(&[at("a", 0)]));
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(&replayed.lines[0]), LINE_KEYS);
    assert_eq!(keys(&replayed.summary), SUMMARY_KEYS);
}

#[test]
fn inputs_may_be_compressed_and_several() {
    let dir = tempfile::tempdir().unwrap();
    let plain = write(dir.path(), "a.log", ndjson(&[at("a", 0)]));
    let gzipped = write(dir.path(), "b", gzip(&ndjson(&[at("b", 1)])));
    let zstd = write(dir.path(), "c", zstd::encode_all(&ndjson(&[at("c", 2)])[..], 1).unwrap());
    let output = dir.path().join("sessions.ndjson");
    let output = output.to_str().unwrap();
    let replayed = replay(
        &["--output", output, "--requests", &plain, &gzipped, &zstd, "-"],
        &ndjson(&[at("d", 3)]),
    );
    assert_eq!(replayed.output, "");
    let line: Value = serde_json::from_slice(&std::fs::read(output).unwrap()).unwrap();
    assert_eq!(line["request_ids"], json!(["a", "b", "c", "d"]));
}

#[test]
fn retention_drops_whole_days() {
    let day = 24 * 60;
    let records = [at("a", 0), at("b", 2 * day), at("c", 3 * day), at("d", 4 * day)];
    let replayed = replay(&["--retention", "1", "--requests", "-"], &ndjson(&records));
    let kept: Vec<_> = replayed.lines.iter().map(|line| line["request_ids"][0].clone()).collect();
    assert_eq!(json!(kept), json!(["c", "d"]));
}

#[test]
fn the_store_of_a_replay_verifies() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    let state = state.to_str().unwrap();
    let traffic = spoor(&["generate", "--requests", "5000", "--late", "0.3"], b"").stdout;
    replay(&["--state", state, "--workers", "2", "-"], &traffic);
    let verified = spoor(&["verify", "--state", state], b"");
    let said = String::from_utf8_lossy(&verified.stdout).into_owned();
    assert!(verified.status.success(), "{said}{}", String::from_utf8_lossy(&verified.stderr));
    assert!(said.contains("4") && !said.contains("differ"), "{said}");
}

/// The program ends with a status, and says why in one line that contains a text.
fn check_failure(args: &[&str], input: &[u8], status: i32, says: &str) {
    let output = spoor(args, input);
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(status), "{args:?}: {errors}");
    assert!(errors.contains(says), "{args:?}: {errors}");
    assert!(!errors.contains("panicked"), "{errors}");
}

#[test]
fn the_exit_status_says_whose_fault_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let wrong = write(dir.path(), "wrong.toml", "[engine]\nworker = 1\n");
    let point = "[[rules.grouping]]\nname = \"k\"\npoint = \"$request.hat.x\"\n";
    let wrong_rule = write(dir.path(), "rule.toml", point);
    let good = write(dir.path(), "good.log", ndjson(&[at("a", 0)]));
    let used = dir.path().join("used");
    std::fs::create_dir(&used).unwrap();
    write(&used, "something", "");
    let used = used.to_str().unwrap();
    for (args, status, says) in [
        (vec!["replay"], 2, "INPUT"),
        (vec!["replay", "--wrokers", "1", &good], 2, "--wrokers"),
        (vec!["replay", "--workers", "0", &good], 2, "--workers"),
        (vec!["replay", "--format", "cobol", &good], 2, "cobol"),
        (vec!["replay", "--config", &wrong, &good], 2, "worker"),
        (vec!["replay", "--config", &wrong_rule, &good], 2, "grouping.0.point"),
        (vec!["replay", "--config", "/nowhere.toml", &good], 2, "/nowhere.toml"),
        (vec!["replay", "--state", used, &good], 2, "used"),
        (vec!["replay", "/nowhere.log"], 1, "/nowhere.log"),
        (vec!["verify", "--state", "/nowhere"], 1, "/nowhere"),
        (vec!["rules", "check", "/nowhere.toml"], 2, "/nowhere.toml"),
        (vec!["generate", "--late", "2"], 2, "from 0 to 1"),
        (vec!["replay", "--log-level", "verbose", &good], 2, "use one of off, error, warn"),
        (vec!["replay", "--log-level", "spoor=loud", &good], 2, "`loud` is no level"),
        (vec!["replay", "--retention", "1.5d", &good], 2, "30d"),
        (vec!["replay", "--rules", &wrong_rule, &good], 2, "grouping.0.point"),
        (vec!["serve", "--listen", "example.com:80"], 2, "127.0.0.1:8080"),
        (vec!["rules", "diff", &good, "--state", "/nowhere"], 2, "good.log"),
    ] {
        check_failure(&args, b"", status, says);
    }
    let torn = gzip(&ndjson(&[at("a", 0), at("b", 1)]));
    let torn = write(dir.path(), "torn.gz", &torn[..torn.len() - 12]);
    check_failure(&["replay", &torn], b"", 1, "torn.gz");
    check_failure(&["replay", "--state", &good, &good], b"", 2, "this is a file");
}

#[test]
fn a_replay_says_why_records_are_bad() {
    let dir = tempfile::tempdir().unwrap();
    let good = String::from_utf8(ndjson(&[at("a", 0)])).unwrap();
    let log = format!("{good}\n{{\"ts\":1}}\nnot json\n{good}still not\n");
    let file = write(dir.path(), "mixed.log", &log);
    let packed = write(dir.path(), "mixed.log.gz", gzip(log.as_bytes()));
    for (input, bytes) in [(file.as_str(), &b""[..]), (&packed, b""), ("-", log.as_bytes())] {
        let output = spoor(&["replay", "--format", "ndjson", input], bytes);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(0), "{said}");
        let (missing, json) = match input {
            "-" => {
                (format!("stdin, byte {}: missing_field (1): ", good.len() + 1), "bad_json (2): ")
            }
            _ => (format!("{input}, line 3: missing_field (1): "), "line 4: bad_json (2): "),
        };
        assert!(said.contains(&missing) && said.contains(json), "{said}");
        let last = said.lines().last().unwrap();
        assert!(last.contains(r#""read":5,"accepted":1,"duplicate":1,"bad":3"#), "{last}");
    }
    // All bad: another exit status, what to try, and still a summary.
    let bad = write(dir.path(), "bad.log", "one\ntwo\n");
    check_failure(&["replay", "--format", "ndjson", &bad], b"", 3, "--format");
    check_failure(&["replay", "--format", "ndjson", &bad], b"", 3, "\"bad\":2");
}

#[test]
fn an_input_that_fails_does_not_take_the_others_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let good = write(dir.path(), "good.log", ndjson(&[at("a", 0)]));
    let torn = gzip(&ndjson(&[at("b", 0)]));
    let torn = write(dir.path(), "torn.gz", &torn[..torn.len() - 12]);
    for failing in [&torn, "/nowhere.log"] {
        for inputs in [[failing, &good], [&good, failing]] {
            let output = spoor(&[&["replay"], &inputs[..]].concat(), b"");
            let said = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(1), "{said}");
            assert_eq!(output.stdout.iter().filter(|byte| **byte == b'\n').count(), 1, "{said}");
            assert!(said.contains(failing) && said.trim_end().ends_with('}'), "{said}");
        }
    }
}

#[test]
fn what_failed_is_told_in_one_line() {
    let dir = tempfile::tempdir().unwrap();
    let unknown = write(dir.path(), "unknown.log", "what is\nthis\n");
    let other = write(dir.path(), "other.log", "neither\n");
    let torn = gzip(&ndjson(&[at("a", 0)]));
    let torn = write(dir.path(), "torn.gz", &torn[..torn.len() - 12]);
    for inputs in [vec![unknown.as_str()], vec![&torn], vec![&unknown, &torn, &other]] {
        let output = spoor(&[&["replay"], &inputs[..]].concat(), b"");
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), said.lines().count()), (Some(1), 1), "{said}");
        for input in inputs {
            assert_eq!(said.matches(input).count(), 1, "{input}: {said}");
        }
    }
}

#[test]
fn the_sample_rules_are_good_and_mistakes_are_listed_with_their_places() {
    for name in ["spoor.toml", "rules.toml", "cloudtrail.toml"] {
        let (file, _) = sample(name);
        let output = spoor(&["rules", "check", &file], b"");
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stdout));
    }
    let dir = tempfile::tempdir().unwrap();
    let rules = "[[scope]]\nname = \"a\"\npath = \"[\"\naction = \"include\"\n\
                 [[grouping]]\nname = \"k\"\npoint = \"$request.header.a | jwt.sub\"\n";
    let file = write(dir.path(), "rules.toml", rules);
    let output = spoor(&["rules", "check", &file], b"");
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    for place in ["scope.0.path", "grouping.0.point"] {
        assert!(said.lines().any(|line| line.contains(place)), "{place} in {said}");
    }
    let broken = write(dir.path(), "broken.toml", "version = 1\n[[scope\n");
    check_failure(&["rules", "check", &broken], b"", 2, "line 2");
}

#[test]
fn a_rule_file_is_compared_with_the_rules_in_force() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state").to_str().unwrap().to_owned();
    let log = write(dir.path(), "a.log", ndjson(&[at("a", 0)]));
    let rules =
        "[[grouping]]\nname = \"user\"\npoint = \"$request.header.x-user\"\ngap = \"10m\"\n";
    let file = write(dir.path(), "rules.toml", rules);
    replay(&["--rules", &file, "--retention", "7d", "--state", &state, &log], b"");
    let check = |rules: &str, status: i32, says: &[&str]| {
        let file = write(dir.path(), "other.toml", rules);
        let output = spoor(&["rules", "diff", &file, "--store", &state], b"");
        let said = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(status), "{said}");
        assert_eq!(said.lines().count(), says.len(), "{said}");
        says.iter().for_each(|line| assert!(said.contains(line), "{said}"));
    };
    let settings = "[settings]\nfuture = \"none\"\n";
    check(&format!("{rules}{settings}"), 0, &["as in force, version 1"]);
    check(settings, 1, &["- grouping.user"]);
    let changed = rules.replace("10m", "20m");
    check(
        &format!("{changed}[settings]\nfuture = \"1h\"\n"),
        1,
        &[
            r#"~ grouping.user.gap: {"ms":600000} -> {"ms":1200000}"#,
            "~ settings.future_ms: none -> 3600000",
        ],
    );
}

#[test]
fn output_that_nobody_reads_is_no_failure() {
    let dir = tempfile::tempdir().unwrap();
    let traffic = spoor(&["generate", "--requests", "3000"], b"").stdout;
    let log = write(dir.path(), "traffic.log", traffic);
    let state = dir.path().join("state").to_str().unwrap().to_owned();
    let (rules, _) = sample("rules.toml");
    for args in [
        vec!["generate", "--requests", "1000000"],
        vec!["replay", "--state", &state, &log],
        vec!["verify", "--state", &state],
        vec!["store", "info", "--state", &state],
        vec!["store", "check", "--state", &state],
        vec!["store", "compact", "--state", &state],
        vec!["rules", "check", &rules],
    ] {
        let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_spoor"))
            .args(&args)
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{args:?}: {said}");
        assert!(!said.contains("panicked") && !said.contains("pipe"), "{args:?}: {said}");
    }
}
