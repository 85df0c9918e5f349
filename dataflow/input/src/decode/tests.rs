//! Chunks in, records out: ids, offsets, line numbers, bad records, for every format.

use bytes::Bytes;
use proptest::prelude::*;

use super::*;

fn mapping(text: &str) -> Format {
    Format::Json(Arc::new(Mapping::compile("m", &toml::from_str(text).unwrap()).unwrap()))
}

const MAPPED: &str = "[fields]\nts = \"{/t}\"\nmethod = \"GET\"\npath = \"{/p}\"\n";

fn all_formats() -> Vec<Format> {
    let wrapped = format!("records = \"/in/Records\"\n{MAPPED}");
    let named = ["ndjson", "combined", "common", "har"].map(|name| name.parse().unwrap());
    named.into_iter().chain([mapping(MAPPED), mapping(&wrapped)]).collect()
}

/// `id path` of a good record, `code offset line raw` of a bad one.
fn decoded(format: Format, bytes: &[u8]) -> Vec<String> {
    let mut chunk = Chunk::whole("s".into(), Arc::new(format), Bytes::copy_from_slice(bytes));
    if !chunk.format.is_document() {
        chunk.offset = 100;
    }
    let mut records = Vec::new();
    Decoder::new().decode(&chunk, &mut |record, raw| {
        records.push(match record {
            Ok(request) => format!("{} {}", request.id, request.path),
            Err(bad) => {
                assert_eq!(&chunk.bytes[bad.raw.clone()], raw);
                let raw = String::from_utf8_lossy(raw);
                format!("{} {} {} {raw}", bad.code, bad.offset, bad.line)
            }
        });
    });
    records
}

#[test]
fn a_bad_line_never_stops_the_lines_behind_it() {
    let text = b"{\"ts\":0,\"method\":\"GET\",\"path\":\"/a\"}\n\n \r\n{}\n{\"ts\":0,\"method\":\"GET\",\"path\":\"/b\",\"id\":\"x\"}\r\n\xff\nnope";
    assert_eq!(
        decoded(Format::Ndjson, text),
        [
            "s:100 /a",
            "missing_field 140 4 {}",
            "x /b",
            "bad_utf8 189 6 \u{fffd}",
            "bad_json 191 7 nope",
        ]
    );
}

#[test]
fn a_mark_of_byte_order_is_no_part_of_the_first_line() {
    let text = "\u{feff}{\"ts\":0,\"method\":\"GET\",\"path\":\"/a\"}";
    assert_eq!(decoded(Format::Ndjson, text.as_bytes()), ["s:100 /a"]);
}

#[test]
fn an_access_log_takes_any_bytes() {
    let text = b"::1 - - [20/Feb/2016:00:00:45 -0500] \"GET /\xe4 HTTP/1.1\" 200 5\n\n\xff\n";
    assert_eq!(decoded(Format::Combined, text), ["s:100 /\u{fffd}", "bad_line 162 3 \u{fffd}"]);
}

#[test]
fn mapped_lines_and_documents() {
    let text = b"{\"t\":0,\"p\":\"/a\"}\n{\"t\":0}\n{\n\xff";
    assert_eq!(
        decoded(mapping(MAPPED), text),
        [
            "s:100 /a",
            "missing_field 117 2 {\"t\":0}",
            "bad_json 125 3 {",
            "bad_utf8 127 4 \u{fffd}",
        ]
    );
    let wrapped = || mapping(&format!("records = \"/in/Records\"\n{MAPPED}"));
    let text = b"{\"in\":{\"Records\":[{\"t\":0,\"p\":\"/a\"},\n7]}}\n{\"in\":{\"Records\":[{\"t\":0,\"p\":\"/b\"}]}}";
    assert_eq!(decoded(wrapped(), text), ["s:0 /a", "bad_json 1 2 7", "s:2 /b"]);
    assert_eq!(decoded(wrapped(), b"{\"in\":{}}"), ["missing_field 0 1 {\"in\":{}}"]);
    assert_eq!(decoded(wrapped(), b"{"), ["bad_json 0 1 {"]);
    assert_eq!(decoded(wrapped(), b"\xff"), ["bad_utf8 0 1 \u{fffd}"]);
}

#[test]
fn a_broken_entry_of_an_archive_does_not_hide_the_others() {
    let entry = r#"{"startedDateTime":"2024-05-01T10:00:00Z","request":{"method":"GET","url":"http://h/a"}}"#;
    let text = format!("\u{feff}{{\"log\":{{\"entries\":[{entry},{{}},{entry}]}}}}");
    assert_eq!(decoded(Format::Har, text.as_bytes()), ["s:0 /a", "missing_field 1 2 {}", "s:2 /a"]);
    assert_eq!(decoded(Format::Har, b"[]"), ["bad_json 0 1 []"]);
    assert_eq!(decoded(Format::Har, b"\xff"), ["bad_utf8 0 1 \u{fffd}"]);
}

#[test]
fn a_line_that_is_too_long_is_one_bad_record() {
    for format in all_formats() {
        let mut chunk = Chunk::whole("s".into(), Arc::new(format), Bytes::from_static(b"{\"id\":"));
        chunk.content = Content::TooLong;
        chunk.offset = 7;
        let mut seen = Vec::new();
        Decoder::new().decode(&chunk, &mut |record, raw| {
            let bad = record.unwrap_err();
            seen.push((bad.code, bad.offset, raw.to_vec()));
        });
        assert_eq!(seen, [(RefusalCode::TooLong, 7, b"{\"id\":".to_vec())]);
    }
}

#[test]
fn names_of_formats_are_read_back() {
    for name in ["ndjson", "combined", "common", "har"] {
        assert_eq!(name.parse::<Format>().unwrap().to_string(), name);
    }
    assert!("json".parse::<Format>().unwrap_err().to_string().contains("combined"));
    assert_eq!(mapping(MAPPED).to_string(), "m");
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(prop_oneof![4 => 0x20_u8..0x7f, 1 => any::<u8>(), 1 => Just(b'\n'), 1 => Just(b'"')], 0..200)) {
        for format in all_formats() {
            let _ = decoded(format, &bytes);
        }
    }

    #[test]
    fn no_json_panics(text in r#"(\{"(log|entries|in|Records|t|ts|p|path|request|method)":|\[|\]|\}|,|0|"[a-z\\]{0,3}"|null|\n){0,30}"#) {
        for format in all_formats() {
            let _ = decoded(format, text.as_bytes());
        }
    }
}
