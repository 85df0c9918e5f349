//! The real logs this project is tried on decode with the counts that are known of them.
//!
//! They are no part of the project: `SPOOR_SHARED` names the folder they are in (default: `shared`
//! beside the project). Without it the tests say so and pass.

#![allow(clippy::unwrap_used, reason = "a failed test is what it is for")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use spoor_dataflow::codes::RefusalCode;
use spoor_dataflow::config::Config;
use spoor_dataflow::decode::{Decoder, Format, Mapping};
use spoor_dataflow::source::opening::Stop;
use spoor_dataflow::source::{self, Next, SourceSpec};

/// The folder of real data.
fn data() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared");
    let folder = std::env::var_os("SPOOR_SHARED").map_or(beside, PathBuf::from).join("data");
    if !folder.is_dir() {
        eprintln!("skipped: there is no {}; set SPOOR_SHARED", folder.display());
        return None;
    }
    Some(folder)
}

/// What a file decodes to.
#[derive(Debug, Default, PartialEq)]
struct Seen {
    format: String,
    good: u64,
    bad: BTreeMap<RefusalCode, u64>,
    with_client: u64,
    statuses: BTreeMap<u16, u64>,
    first_id: String,
}

fn read(path: &Path, format: Option<Format>) -> Seen {
    let spec = SourceSpec::File { path: path.into(), format: format.map(Arc::new) };
    let mut source = source::open(&spec, 0, &Stop::default()).unwrap();
    let (mut decoder, mut seen) = (Decoder::new(), Seen::default());
    while let Next::Chunk(chunk) = source.next().unwrap() {
        seen.format = chunk.format.to_string();
        decoder.decode(&chunk, &mut |record, _| match record {
            Ok(request) => {
                seen.good += 1;
                seen.with_client += u64::from(!request.ip.is_empty());
                *seen.statuses.entry(request.status / 100).or_default() += 1;
                if seen.first_id.is_empty() {
                    seen.first_id = request.id.to_string();
                }
            }
            Err(bad) => *seen.bad.entry(bad.code).or_default() += 1,
        });
    }
    seen
}

#[test]
fn access_logs_have_no_bad_line() {
    let Some(data) = data() else { return };
    for (name, lines) in [
        ("elastic_apache_logs/apache_logs.gz", 10_000),
        ("airis_blog_access/access3.log.gz", 206_860),
    ] {
        let path = data.join(name);
        let seen = read(&path, None);
        assert_eq!((&*seen.format, seen.good, seen.with_client), ("combined", lines, lines));
        assert_eq!(seen.bad, BTreeMap::new(), "{name}");
        assert_eq!(seen.first_id, format!("{}:0", path.display()));
    }
}

#[test]
fn archives_give_every_entry() {
    let Some(data) = data() else { return };
    for (name, entries) in [
        ("chrome_github.com_home.har.gz", 20),
        ("chrome_h2_h2o.examp1e.net.har.gz", 16),
        ("www.bbc.co.uk.160529_8V_7R3.har.gz", 1050),
        ("www.bbc.com.har.gz", 120),
        ("www.google.co.kr.har.gz", 10),
    ] {
        let seen = read(&data.join("har_samples").join(name), None);
        assert_eq!((&*seen.format, seen.good, seen.with_client), ("har", entries, 0), "{name}");
        assert_eq!(seen.bad, BTreeMap::new(), "{name}");
    }
}

#[test]
fn cloud_trail_through_its_sample_mapping() {
    let Some(data) = data() else { return };
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs/cloudtrail.toml");
    let config = Config::load(Some(&sample)).unwrap();
    let mapping = Mapping::compile("cloudtrail", &config.mappings["cloudtrail"]).unwrap();
    let path = data.join("invictus_cloudtrail/events.jsonl.gz");
    let seen = read(&path, Some(Format::Json(Arc::new(mapping))));
    assert_eq!((seen.good, seen.bad), (2900, BTreeMap::new()));
    // A call from `AWS Internal` has no client; one from `s3.amazonaws.com` has it by its name.
    assert_eq!(seen.with_client, 2730);
    assert_eq!(seen.statuses, BTreeMap::from([(2, 2600), (4, 300)]));
}
