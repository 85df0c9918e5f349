//! What is kept of refused records: no secret, and what was wrong.

use spoor_operators::assign::{Applications, SecretKey};
use spoor_operators::inventory::Descriptions;
use spoor_operators::rules::RuleSet;

use super::*;

const SECRET: &str = "hunter2-correct-horse";

fn rules(text: &str) -> CompiledRules {
    let rules: RuleSet = serde_json::from_str(text).unwrap();
    let key = SecretKey([7; 32]);
    CompiledRules::new(&rules, &key, &Applications::default(), &Descriptions::default()).unwrap()
}

fn keys() -> CompiledRules {
    rules(
        r#"{"grouping":[
            {"name":"q","point":"$request.query.token","secret":true,"paths":["/login"]},
            {"name":"b","point":"$response.body#/token","secret":true},
            {"name":"c","point":"$request.cookie.sid","secret":true}]}"#,
    )
}

fn kept(format: &str, raw: &str) -> String {
    let format = format.parse().unwrap();
    let kept = bad(&format, raw.as_bytes(), &keys(), &mut Scratch::default());
    String::from_utf8(kept).unwrap()
}

/// A secret in every place of a record that breaks a rule in every way.
#[test]
fn no_secret_is_kept_and_the_rest_is() {
    let places = [
        r#""request":{"headers":{"authorization":"Bearer SECRET","accept":"text/html"}}"#,
        r#""query":"a=1&token=SECRET""#,
        r#""url":"https://h/p?token=SECRET""#,
        r#""response":{"body":{"token":"SECRET"}}"#,
        r#""request":{"cookies":{"sid":"SECRET"}}"#,
        r#""request":{"headers":{"cookie":"a=b; sid=SECRET"}}"#,
        r#""request":{"headers":{"referer":"https://h/x?token=SECRET"}}"#,
    ];
    let faults = [
        (r#""status":"abc""#, "}", "status"),
        (r#""ip":"not an address""#, "}", "ip"),
        (r#""duration_ms":-1"#, "}", "duration_ms"),
        (r#""blocked":0"#, "", "blocked"),
        (r#""x":"\ud800""#, "}", "path"),
        (r#""x":1"#, "}}", "path"),
        (r#""authorization":"Bearer SECRET""#, "}", "path"),
        (r#""request":{"headers":["authorization: Bearer SECRET"]}"#, "}", "path"),
        (r#""request":{"headers":{"authorization":["Bearer SECRET",1]}}"#, "}", "path"),
        (r#""SECRET":"SECRET""#, "", "path"),
    ];
    for place in places {
        for (fault, end, left) in faults {
            for ts in ["", r#""ts":"yesterday","#, r#""ts":1,"#] {
                let raw = format!(r#"{{{ts}"method":"GET","path":"/p",{place},{fault}{end}"#);
                let kept = kept("ndjson", &raw.replace("SECRET", SECRET));
                assert!(!kept.contains("hunter2"), "{raw}: {kept}");
                assert!(kept.contains(left), "{raw}: {kept}");
            }
        }
    }
}

#[test]
fn what_is_parsed_is_redacted_as_a_good_record_is() {
    let raw = r#"{"ts":1,"method":"GET","path":"/p","query":"a=open&token=s3","status":"abc",
        "request":{"headers":{"accept":"text/html"}},"response":{"body":{"token":"s4","n":[1]}}}"#;
    let kept = kept("ndjson", raw);
    for part in [r#""accept":"text/html""#, "a=open&token=%01", r#""n":[1]"#, r#""token":"\u0001"#]
    {
        assert!(kept.contains(part), "{part}: {kept}");
    }
    assert!(!kept.contains("s3") && !kept.contains("s4"), "{kept}");
}

#[test]
fn of_what_cannot_be_parsed_what_surely_is_no_secret_stays() {
    for (format, raw, expected) in [
        ("ndjson", "no json", "no json"),
        ("ndjson", "\u{feff}", "\u{feff}"),
        ("ndjson", r#"{"ts":17,"method":"GET","a":"b"#, r#"{"ts":17,"method":"GET","a":"***"#),
        ("ndjson", r#"["x",{"status":200,"pin":123456}]"#, r#"["***",{"status":200,"pin":***}]"#),
        ("ndjson", r#"ion":"Bearer x","b":[true,"c"]"#, r#"***"***"*** ***"***"***"***"***"***"#),
        ("ndjson", r#"{"path":"/a/b4c5d6e7?x=y","#, r#"{"path":"/a/***?x=***","#),
        (
            "combined",
            r#"1.2.3.4 - frank [10/Oct/2000:13:55:36 -0700] "GET /a/b?t=x&u=y HTTP/1.0" 2000 5 "http://h.example/p?q=1" "Mozilla (X11; rv:1)" "sid=x1""#,
            r#"1.2.3.4 - *** [10/Oct/2000:13:55:36 -0700] "GET /a/b?t=***&u=*** HTTP/1.0" 2000 5 "http://h.example/p?q=***" "Mozilla (***; rv:***" "sid=***""#,
        ),
        ("common", "Authorization: Bearer a b", "Authorization: ***"),
        ("common", "basic abc def", "basic *** def"),
        ("har", r#"{"log":{"entries":"abc"}}"#, r#"{"log":{"entries":"***"}}"#),
        ("har", "2001:db8::1 a1b2c3d4", "2001:db8::1 ***"),
    ] {
        assert_eq!(kept(format, raw), expected, "{raw}");
    }
}

#[test]
fn what_a_rule_makes_secret_is_not_kept_for_being_harmless() {
    let line = r#"1.2.3.4 - - [10/Oct/2000:13:55:36 -0700] "GET /reset/word HTTP/1.0" 2000 5"#;
    for (point, gone) in
        [("$client.ip", "1.2.3.4"), ("$request.segment.1", "word"), ("$path", "reset")]
    {
        let rules =
            rules(&format!(r#"{{"grouping":[{{"name":"k","point":"{point}","secret":true}}]}}"#));
        let kept = bad(&Format::Common, line.as_bytes(), &rules, &mut Scratch::default());
        assert!(!String::from_utf8_lossy(&kept).contains(gone), "{point}: {kept:?}");
    }
}

#[test]
fn a_good_record_at_a_wrong_time_is_kept_redacted() {
    let line = r#"{"ts":1,"method":"GET","path":"/elsewhere","query":"token=SECRET",
        "request":{"headers":{"authorization":"Basic SECRET","x":"y"}}}"#;
    let line = line.replace("SECRET", SECRET);
    let mut request = Request::default();
    ndjson::read(&line, &mut request).unwrap();
    let kept = good(&mut request, &keys(), &mut Scratch::default());
    let kept = String::from_utf8(kept).unwrap();
    assert!(!kept.contains("hunter2") && kept.contains(r#""x":"y""#), "{kept}");
    assert!(kept.contains(r#"Basic \u0001"#), "{kept}");
}

#[test]
fn no_bytes_panic_and_little_is_kept() {
    const ALPHABET: &[u8] = b"{}[]\":,\\=& a1.-/\xc3\xa9\x01";
    let mut seed = 1_u64;
    for len in 0..400 {
        let bytes: Vec<u8> = (0..len)
            .map(|_| {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                ALPHABET[(seed >> 33) as usize % ALPHABET.len()]
            })
            .collect();
        for format in ["ndjson", "common", "har"] {
            bad(&format.parse().unwrap(), &bytes, &keys(), &mut Scratch::default());
        }
    }
    let long = vec![b'a'; 1 << 20];
    let kept = bad(&Format::Ndjson, &long, &keys(), &mut Scratch::default());
    assert!(kept.len() <= RAW_BYTES_MAX);
}
