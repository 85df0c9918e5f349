//! What the fuzz targets do with an input. Shared by the fuzzer and by the test that replays the
//! corpus, so it is included by path and uses public interfaces only.
//!
//! Beyond not panicking, a decoder must account for the input: places lie inside of it and grow,
//! and a good record comes back from its stored form.

#![allow(dead_code)] // Each target uses one of them.

use std::sync::Arc;

use bytes::Bytes;
use spoor_input::decode::chunk::Chunk;
use spoor_input::decode::settings as config;
use spoor_input::decode::{Decoder, Format, Mapping, detect};
use spoor_operators::point::Point;
use spoor_operators::request::Request;

pub fn ndjson(input: &[u8]) {
    decode(Format::Ndjson, input);
}

pub fn access_log(input: &[u8]) {
    decode(Format::Combined, input);
}

pub fn har(input: &[u8]) {
    decode(Format::Har, input);
}

/// The first line is a template for the path, the rest are records, wrapped or not.
pub fn mapping(input: &[u8]) {
    let at = input.iter().position(|byte| *byte == b'\n').unwrap_or(0);
    let (path, records) = input.split_at(at);
    let one = |text: &str| config::Templates::One(text.to_owned());
    let mut shape = config::Mapping::default();
    for (field, template) in [
        ("ts", "{/t}"),
        ("method", "{/m}"),
        ("path", &String::from_utf8_lossy(path)),
        ("url", "{/u}"),
        ("status", "{/e?400:200}"),
        ("ip", "{/i}"),
        ("duration_ms", "{/d}"),
    ] {
        shape.fields.insert(field.to_owned(), one(template));
    }
    shape.request_headers.insert("x".to_owned(), one("{/h~1/0}"));
    shape.request_body = Some("/b".to_owned());
    for records_at in [None, Some("/in/Records".to_owned())] {
        shape.records = records_at;
        if let Ok(mapping) = Mapping::compile("fuzz", &shape) {
            decode(Format::Json(Arc::new(mapping)), records);
        }
    }
}

pub fn point(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    if let Err(error) = Point::parse(text) {
        assert!(!error.to_string().is_empty());
    }
}

fn decode(format: Format, input: &[u8]) {
    let _ = detect::detect(input);
    let chunk = Chunk::whole("s".into(), Arc::new(format), Bytes::copy_from_slice(input));
    let (mut line, mut stored) = (0, Vec::new());
    Decoder::new().decode(&chunk, &mut |record, raw| match record {
        Ok(request) => {
            assert!(!request.id.is_empty() && !request.method.is_empty());
            stored.clear();
            request.encode(&mut stored);
            let read = Request::decode(&stored).expect("a stored request reads back");
            assert_eq!(format!("{read:?}"), format!("{request:?}"));
        }
        Err(bad) => {
            assert!(bad.line > line, "places grow");
            line = bad.line;
            assert_eq!(&chunk.bytes[bad.raw], raw);
            assert!(!bad.reason.is_empty());
        }
    });
}
