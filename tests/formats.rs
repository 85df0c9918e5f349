//! Logs as people have them, through the real program: what is accepted, whose the requests are, how
//! it ends and what is said.
//!
//! The first table is of lines of our own. The second reads small inputs written after public bug
//! reports, which are not part of the project: they are looked for beside it, where `SPOOR_CASES`
//! or `../shared/cases` says; where they are absent, it says so and checks nothing.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::path::{Path, PathBuf};

use common::spoor;
use serde_json::Value;

/// What a replay came to.
struct Ended {
    status: i32,
    accepted: u64,
    bad: u64,
    /// `namespace value`, in order, each once.
    identities: Vec<String>,
    said: String,
}

fn replayed(args: &[&str]) -> Ended {
    let output = spoor(&[&["replay"], args].concat(), b"");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let summary: Value =
        said.lines().last().and_then(|line| serde_json::from_str(line).ok()).unwrap_or_default();
    let number = |name: &str| summary[name].as_u64().unwrap_or(0);
    let text = |line: &Value, name: &str| line[name].as_str().unwrap_or_default().to_owned();
    let mut identities: Vec<String> = String::from_utf8_lossy(&output.stdout)
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .map(|line: Value| format!("{} {}", text(&line, "namespace"), text(&line, "value")))
        .collect();
    identities.dedup();
    Ended {
        status: output.status.code().unwrap_or(-1),
        accepted: number("accepted"),
        bad: number("bad"),
        identities,
        said,
    }
}

/// A log, what the configuration says, and the identities that come out or what is said.
fn check(config: &str, log: &[u8], expected: Result<&[&str], &str>) {
    let dir = tempfile::tempdir().unwrap();
    let (file, config_file) = (dir.path().join("log"), dir.path().join("spoor.toml"));
    std::fs::write(&file, log).unwrap();
    std::fs::write(&config_file, config).unwrap();
    let (file, config_file) = (file.to_str().unwrap(), config_file.to_str().unwrap());
    let ended = replayed(&["--config", config_file, file]);
    let shown = String::from_utf8_lossy(&log[..log.len().min(400)]);
    match expected {
        Ok(identities) => {
            assert_eq!(ended.identities, identities, "{shown}\n{}", ended.said);
            assert_eq!(ended.status, 0, "{}", ended.said);
        }
        Err(word) => {
            assert!(ended.said.contains(word), "{shown}\n{}", ended.said);
            assert_ne!(ended.status, 0, "{}", ended.said);
        }
    }
}

const TIME: &str = "[02/Mar/2026:10:00:00 +0000]";

/// Two lines of combined, of two visitors.
fn two(before: &str) -> String {
    let line =
        |ip: &str| format!("{before}{ip} - - {TIME} \"GET /p HTTP/1.1\" 200 1 \"-\" \"UA\"\n");
    [line("203.0.113.1"), line("203.0.113.2")].concat()
}

const BOTH: &[&str] = &["client 203.0.113.1|UA", "client 203.0.113.2|UA"];

#[test]
fn a_word_in_front_is_never_the_client() {
    for before in [
        "",
        "shop.example.com ",
        "shop.example.com:443 ",
        "Mar  2 10:00:00 edge nginx: ",
        "<190>1 2026-03-02T10:00:00Z edge nginx 7 - - ",
        "2026-03-02T10:00:00.5Z stdout F ",
        "web-1  | ",
        "web-1  | 2026-03-02T10:00:00.5Z stdout F ",
        "[pod/web-1/nginx] ",
        "\0\0\0\0",
    ] {
        check("", two(before).as_bytes(), Ok(BOTH));
    }
    check("", two("rack7 unit3 ").as_bytes(), Err("no known format"));
}

#[test]
fn encodings_and_paddings_are_read() {
    let text = two("");
    let utf16: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    check("", format!("\u{feff}{text}").as_bytes(), Ok(BOTH));
    check("", &[&[0xff, 0xfe], &utf16[..]].concat(), Ok(BOTH));
    check("", &[&[0; 100_000], text.as_bytes()].concat(), Ok(BOTH));
    check("", text.replace('\n', "\r\n").as_bytes(), Ok(BOTH));
    check("", b"BZh91AY&SY", Err("bzip2"));
}

#[test]
fn documents_hold_records() {
    let record = |ip: &str| {
        format!(
            r#"{{"ts":"2026-03-02T10:00:00Z","method":"GET","path":"/","ip":"{ip}","user_agent":"UA"}}"#
        )
    };
    let (one, other) = (record("203.0.113.1"), record("203.0.113.2"));
    let text = |record: &str| serde_json::to_string(record).unwrap();
    for document in [
        format!("[{one},\n{other}]"),
        format!("[{one},{other}]"),
        format!(r#"{{"records":[{one},{other}]}}"#),
        format!("{{\"Records\":\n[{one},\n{other}]\n}}"),
        format!(
            r#"{{"logEvents":[{{"id":"1","message":{}}},{{"id":"2","message":{}}}]}}"#,
            text(&one),
            text(&other)
        ),
        format!("{}\n{}\n", text(&one), text(&other)),
    ] {
        check("", document.as_bytes(), Ok(BOTH));
    }
}

#[test]
fn the_client_behind_proxies_is_the_one_the_configuration_trusts() {
    let line = |forwarded: &str| {
        format!("10.0.0.5 - - {TIME} \"GET /p HTTP/1.1\" 200 1 \"-\" \"UA\" \"{forwarded}\"\n")
    };
    let log = [line("6.6.6.6, 203.0.113.1"), line("203.0.113.2, 10.9.9.9")].concat();
    check("", log.as_bytes(), Ok(&["client 10.0.0.5|UA"]));
    check("[client_ip]\nfrom = [\"x-forwarded-for\"]", log.as_bytes(), Ok(BOTH));
    let hops = "[client_ip]\nfrom = [\"x-forwarded-for\"]\nhops = 1";
    check(hops, log.as_bytes(), Ok(&["client 10.9.9.9|UA", "client 203.0.113.1|UA"]));
    check("[client_ip]\nhops = 1", log.as_bytes(), Err("client_ip"));
}

#[test]
fn strict_ends_at_the_first_bad_record_and_inspect_says_what_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("log");
    std::fs::write(&file, [&two(""), "what is this\n"].concat()).unwrap();
    let file = file.to_str().unwrap();
    let ended = replayed(&["--strict", file]);
    assert_eq!((ended.status, ended.identities.len()), (1, 0), "{}", ended.said);
    assert!(ended.said.contains("line 3: bad_line"), "{}", ended.said);
    let output = spoor(&["inspect", file], b"");
    let said = String::from_utf8_lossy(&output.stdout);
    for part in [
        "combined: it reads 2 of the first 3",
        "2 good, 1 bad",
        "ip",
        "record 3: bad_line",
        "client on 2",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(said.lines().count() < 25, "one screen: {said}");
}

/// The directory of the cases, if it is there.
fn cases() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/cases");
    let fixed = std::env::var_os("SPOOR_CASES").map(PathBuf::from);
    let found = fixed.into_iter().chain([beside]).find(|path| path.join("formats").is_dir());
    if found.is_none() {
        println!("there are no cases beside the project: nothing is checked");
    }
    found
}

/// Each case: its configured format, records accepted and bad, identities, exit status.
const CASES: &[(&str, &str, u64, u64, usize, i32)] = &[
    ("a01_vhost_no_port", "", 8, 0, 4, 0),
    ("a02_vhost_combined_port", "", 4, 0, 4, 0),
    ("a03_xff_list_first", "", 5, 0, 4, 0),
    ("a04_syslog_prefix", "", 4, 0, 4, 0),
    ("a05_compose_prefix", "", 4, 0, 4, 0),
    ("a06_cri_prefix", "", 4, 0, 4, 0),
    ("a07_docker_json_file", "", 4, 0, 4, 0),
    ("a08b_nul_prefix_100k", "", 4, 0, 4, 0),
    ("a08d_nul_padded_lines", "", 4, 0, 4, 0),
    ("a09_bom_access", "", 4, 0, 4, 0),
    ("a10_utf16le", "", 4, 0, 4, 0),
    ("a11_iso_time", "", 4, 0, 4, 0),
    ("a12_clf_fraction", "", 4, 0, 4, 0),
    ("a13_dev_server_time", "", 4, 0, 4, 0),
    ("a14_ingress_real_ip", "", 4, 0, 4, 0),
    ("a15_unix_peer", "", 4, 2, 4, 0),
    ("a18_unquoted_dash_referer", "", 3, 0, 3, 0),
    ("a19_raw_quotes_ua", "", 6, 0, 6, 0),
    ("a20_no_ident_user", "", 4, 0, 4, 0),
    ("a26_nginx_main_xff_last", "", 9, 0, 1, 0),
    ("a27_docker_banner", "", 4, 23, 4, 0),
    ("f03_istio", "istio", 5, 1, 4, 0),
    ("f05_gcp_ndjson", "gcp", 4, 0, 4, 0),
    ("f05b_gcp_array", "gcpdrop", 4, 0, 4, 0),
    ("f06c_azure_records_bom", "azurerec", 4, 0, 4, 0),
    ("f08b_cloudfront_tsv", "", 4, 0, 4, 0),
    ("f09_iis_w3c", "", 4, 0, 4, 0),
    ("f10_alb", "", 4, 0, 4, 0),
    ("f11_envoy_text", "", 4, 0, 4, 0),
    ("f12_haproxy_httplog", "", 4, 0, 4, 0),
    ("f15_cloudwatch_events", "cwevents", 4, 0, 4, 0),
    ("h01_lone_surrogate_body", "", 2, 0, 1, 0),
    ("h06_truncated", "", 16, 1, 1, 0),
    ("h20_sanitized_har", "", 10, 0, 1, 0),
    ("h21_zone_without_colon", "", 10, 0, 1, 0),
    ("j02_native_float_seconds", "", 0, 0, 0, 1),
    ("j06_native_array", "", 3, 0, 1, 0),
    ("j10_nginx_json_default_escape", "nginx", 5, 0, 5, 0),
    ("j11_nginx_json_bom", "nginx", 4, 0, 4, 0),
    ("j13_nginx_json_xff", "nginxxff", 4, 0, 4, 0),
    ("j14_cri_prefix_json", "nginx", 4, 0, 4, 0),
    ("j15_syslog_prefix_json", "nginx", 4, 0, 4, 0),
    ("j17_request_line_field", "reqline", 4, 0, 4, 0),
    ("j18_apache_json_z", "apache", 4, 0, 4, 0),
    ("z02_gz_zero_padded", "", 2000, 0, 150, 0),
    ("z03_gz_trailing_text", "", 2000, 0, 150, 0),
    ("z04_gz_truncated", "", 1441, 0, 150, 1),
    ("z15_lz4", "", 1000, 0, 150, 0),
    ("z16_xz", "", 1000, 0, 150, 0),
    ("a26_nginx_main_xff_last", "client_ip", 9, 0, 3, 0),
    ("z30_access_and_error_log", "", 20, 0, 20, 0),
];

#[test]
fn the_cases_beside_the_project() {
    let Some(cases) = cases() else { return };
    let config = cases.join("config/all.toml");
    let dir = tempfile::tempdir().unwrap();
    let proxied = dir.path().join("proxied.toml");
    std::fs::write(&proxied, "[client_ip]\nfrom = [\"x-forwarded-for\"]\n").unwrap();
    let mut wrong = Vec::new();
    for &(name, format, accepted, bad, identities, status) in CASES {
        let input = cases.join("formats").join(format!("{name}.in"));
        let input = input.to_str().unwrap();
        let ended = match format {
            "" => replayed(&[input]),
            "client_ip" => replayed(&["--config", proxied.to_str().unwrap(), input]),
            named => replayed(&["--config", config.to_str().unwrap(), "--format", named, input]),
        };
        let seen = (ended.accepted, ended.bad, ended.identities.len(), ended.status);
        if seen != (accepted, bad, identities, status) {
            let first = ended.said.lines().next().unwrap_or_default().to_owned();
            wrong.push(format!("{name} {format}: {seen:?}, {first}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
