//! Real logs through the real program, compared line by line with the batch oracle, and with the
//! sessions other tools found in their own data.
//!
//! The data is not part of the project: it is looked for beside it, or where `SPOOR_DATA` says.
//! Where it is absent, these tests say so and compare nothing.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::collections::{BTreeMap, HashMap};

use common::{check_oracle, check_same, gunzip, ndjson, replay, sample, shared, write};
use serde_json::{Value, json};
use spoor_oracle::Oracle;

/// A file replayed under a configuration, by one worker and by two, equals the oracle.
fn check_log(file: &str, format: &str, config: &str) {
    let Some(path) = shared(file) else { return };
    let path = path.to_str().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let config_file = write(dir.path(), "config.toml", config);
    let mut oracle = Oracle::new(config);
    oracle.read(path, format, &gunzip(path.as_ref()));
    let expected = oracle.outcome();
    assert!(!expected.sessions.is_empty(), "a comparison of nothing");
    for (workers, named) in [("1", "auto"), ("2", format)] {
        let named = if config.contains("[mappings.") { format } else { named };
        let args =
            ["--config", &config_file, "--format", named, "--workers", workers, "--requests", path];
        check_same(&replay(&args, b""), &expected, true);
    }
}

#[test]
fn an_apache_log_of_three_days() {
    check_log("elastic_apache_logs/apache_logs.gz", "combined", "");
}

#[test]
fn an_apache_log_of_five_weeks_with_attacks_in_it() {
    check_log("airis_blog_access/access3.log.gz", "combined", "");
}

#[test]
fn the_same_log_by_days_in_its_own_zone_and_a_shorter_gap() {
    let config = r#"
        [rules.settings]
        day_zone = "America/New_York"
        gap = { ms = 600000 }
        [[rules.scope]]
        name = "no-heads"
        method = "HEAD"
        action = "exclude"
        [[rules.scope]]
        name = "posts"
        path = "/**"
        action = "include"
        [[rules.grouping]]
        name = "agent"
        point = "$client.user_agent | lower"
        min_length = 12
        gap = "none"
    "#;
    check_log("airis_blog_access/access3.log.gz", "combined", config);
}

#[test]
fn calls_of_an_aws_account_through_a_field_mapping() {
    let (_, config) = sample("cloudtrail.toml");
    check_log("invictus_cloudtrail/events.jsonl.gz", "cloudtrail", &config);
}

#[test]
fn archives_of_page_loads() {
    // An archive has no client address: the browser itself is the identity.
    let config = r#"
        [[rules.grouping]]
        name = "browser"
        point = "$client.user_agent"
    "#;
    for archive in [
        "chrome_github.com_home",
        "chrome_h2_h2o.examp1e.net",
        "www.bbc.co.uk.160529_8V_7R3",
        "www.bbc.com",
        "www.google.co.kr",
    ] {
        check_log(&format!("har_samples/{archive}.har.gz"), "har", config);
    }
}

#[test]
fn several_logs_at_once_are_one_set_of_requests() {
    let logs = ["elastic_apache_logs/apache_logs.gz", "airis_blog_access/access3.log.gz"];
    let Some(paths) = logs.map(shared).into_iter().collect::<Option<Vec<_>>>() else { return };
    let mut oracle = Oracle::new("");
    for path in &paths {
        oracle.read(path.to_str().unwrap(), "combined", &gunzip(path));
    }
    let args: Vec<&str> = paths.iter().map(|path| path.to_str().unwrap()).collect();
    check_same(&replay(&args, b""), &oracle.outcome(), false);
}

#[test]
fn generated_traffic_with_tokens_from_answers() {
    let (_, sample) = sample("spoor.toml");
    let config =
        format!("{}\n[secrets]\nkey = \"0123456789abcdef\"\n", sample.replace("[secrets]", ""));
    let args =
        ["generate", "--requests", "20000", "--seed", "5", "--users", "300", "--late", "0.2"];
    let traffic = common::spoor(&args, b"").stdout;
    let (_, expected) = check_oracle(&config, &traffic, &["1", "2", "3"]);
    assert!(expected.counts.duplicate > 0 && expected.counts.excluded > 0);
    // The token of a login's answer and of later requests is one identity.
    let joined = expected.sessions.iter().filter(|session| {
        let line = session.line(false);
        session.identity.namespace == "token"
            && line["methods"]["POST"].is_number()
            && line["methods"]["GET"].is_number()
    });
    assert!(joined.count() > 100);
}

/// A row of a table of labelled events.
struct Labelled {
    id: String,
    user: String,
    session: String,
    ts: i64,
}

/// Rows of a CSV text with quoted values, by their column names.
fn csv(bytes: &[u8]) -> Vec<HashMap<String, String>> {
    let text = std::str::from_utf8(bytes).unwrap();
    let (mut rows, mut row, mut value, mut quoted) = (Vec::new(), Vec::new(), String::new(), false);
    let mut chars = text.chars().peekable();
    while let Some(char) = chars.next() {
        match char {
            '"' if quoted && chars.peek() == Some(&'"') => value.extend(chars.next()),
            '"' => quoted = !quoted,
            ',' if !quoted => row.push(std::mem::take(&mut value)),
            '\n' if !quoted => {
                row.push(std::mem::take(&mut value));
                rows.push(std::mem::take(&mut row));
            }
            '\r' if !quoted => {}
            char => value.push(char),
        }
    }
    if !row.is_empty() {
        row.push(value);
        rows.push(row);
    }
    let names = rows.remove(0);
    let named = |row: Vec<String>| names.iter().cloned().zip(row).collect();
    rows.into_iter().map(named).collect()
}

/// Time of `2021-03-03 21:27:32.695` in UTC.
fn utc(text: &str) -> i64 {
    let at: jiff::civil::DateTime = text.replace(' ', "T").parse().unwrap();
    jiff::tz::TimeZone::UTC.to_timestamp(at).unwrap().as_millisecond()
}

/// How two tools agree on which neighbouring events of a user are one session.
#[derive(Debug, Default, PartialEq, Eq)]
struct Agreement {
    together: usize,
    apart: usize,
    /// They keep together what we keep apart, and the pause is at least the gap.
    theirs_spans_a_pause: usize,
    /// They keep apart what we keep together, and the pause is shorter than the gap.
    theirs_cuts_without_a_pause: usize,
}

/// Replays labelled events, and compares session boundaries. Sessions of ours that continue each
/// other over midnight count as one: a day's end is no boundary to the other tools.
fn agreement(events: &[Labelled]) -> Agreement {
    const GAP_MS: i64 = 30 * 60 * 1000;
    let config = "[[rules.grouping]]\nname = \"user\"\npoint = \"$request.cookie.uid\"\n";
    let record = |event: &Labelled| {
        json!({ "id": event.id, "ts": event.ts, "method": "GET", "path": "/",
                "request": { "cookies": { "uid": event.user } } })
    };
    let log = ndjson(&events.iter().map(record).collect::<Vec<_>>());
    let (replayed, _) = check_oracle(config, &log, &["2"]);

    let by_id: HashMap<&str, &Labelled> = events.iter().map(|e| (e.id.as_str(), e)).collect();
    let mut users: BTreeMap<&str, Vec<(&Value, &Labelled)>> = BTreeMap::new();
    for line in &replayed.lines {
        for id in line["request_ids"].as_array().unwrap() {
            let event = by_id[id.as_str().unwrap()];
            users.entry(&event.user).or_default().push((&line["id"], event));
        }
    }
    let mut found = Agreement::default();
    for steps in users.values().flat_map(|events| events.windows(2)) {
        let [(ours_before, before), (ours, after)] = steps else { continue };
        let pause = after.ts - before.ts;
        let across_midnight = before.ts.div_euclid(86_400_000) != after.ts.div_euclid(86_400_000);
        let ours = ours_before == ours || (across_midnight && pause < GAP_MS);
        let theirs = before.session == after.session;
        match (ours, theirs) {
            (true, true) => found.together += 1,
            (false, false) => found.apart += 1,
            (false, true) => {
                assert!(pause >= GAP_MS);
                found.theirs_spans_a_pause += 1;
            }
            (true, false) => {
                assert!(pause < GAP_MS);
                found.theirs_cuts_without_a_pause += 1;
            }
        }
    }
    found
}

#[test]
fn retentioneering_finds_the_same_sessions() {
    let Some(path) = shared("retentioneering_ecom/ecom.csv.gz") else { return };
    let events: Vec<Labelled> = csv(&gunzip(&path))
        .into_iter()
        .enumerate()
        .map(|(number, row)| Labelled {
            id: format!("{number:06}"),
            user: row["user_id"].clone(),
            session: row["session_id"].clone(),
            ts: utc(&row["timestamp"]),
        })
        .collect();
    // 31,106 events of 600 users in 3,605 sessions: every boundary is the same.
    let expected = Agreement { together: 27_501, apart: 3_005, ..Agreement::default() };
    assert_eq!(agreement(&events), expected);
}

#[test]
fn snowplow_finds_the_same_sessions_but_where_its_fixture_means_to_be_odd() {
    let Some(path) = shared("snowplow_web/snowplow_web_events.csv.gz") else { return };
    let mut rows = csv(&gunzip(&path));
    // The modelling drops events without a user, and of events with one id all but the first.
    rows.retain(|row| !row["domain_userid"].is_empty());
    let events: Vec<Labelled> = rows
        .into_iter()
        .map(|row| Labelled {
            id: row["event_id"].clone(),
            user: row["domain_userid"].clone(),
            session: row["domain_sessionid"].clone(),
            ts: utc(&row["derived_tstamp"]),
        })
        .collect();
    // Theirs, not ours: the fixture has sessions kept open for days (eleven pauses of a day and
    // more under one session id, to test that such sessions are cut off), and events of several
    // session ids at one instant (to test events that arrive without their page view).
    let found = agreement(&events);
    assert_eq!((found.theirs_spans_a_pause, found.theirs_cuts_without_a_pause), (11, 4));
    assert!(found.together + found.apart > 90, "{found:?}");
}
