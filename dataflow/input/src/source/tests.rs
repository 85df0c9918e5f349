//! Sources as their users see them: what is read, in which order, and what a restart finds.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tempfile::TempDir;

use super::named::Named;
use super::*;

mod rotation;

fn open(spec: &SourceSpec, resume_at: u64) -> Result<Box<dyn Source>, SourceError> {
    super::open(spec, resume_at, &Stop::default())
}

fn resume(spec: &SourceSpec, checkpoint: &[u8]) -> Result<Box<dyn Source>, SourceError> {
    super::resume(spec, checkpoint, &Stop::default())
}

struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, bytes).unwrap();
        path
    }
}

fn append(path: &Path, text: &str) {
    let mut file = fs::OpenOptions::new().append(true).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

fn line(path: &str) -> String {
    format!("{{\"ts\":0,\"method\":\"GET\",\"path\":\"{path}\"}}\n")
}

fn lines(paths: std::ops::Range<usize>) -> String {
    paths.map(|number| line(&format!("/{number}"))).collect()
}

fn file(path: &Path) -> SourceSpec {
    SourceSpec::File { path: path.into(), format: None }
}

fn follow(path: &Path) -> SourceSpec {
    SourceSpec::Follow { path: path.into(), format: None }
}

/// Everything up to the end, or to when nothing is there for now.
fn drain(source: &mut dyn Source) -> Result<Vec<Chunk>, SourceError> {
    let mut chunks = Vec::new();
    while let Next::Chunk(chunk) = source.next()? {
        chunks.push(chunk);
    }
    Ok(chunks)
}

fn text(chunks: &[Chunk]) -> String {
    chunks.iter().map(|chunk| String::from_utf8_lossy(&chunk.bytes)).collect()
}

fn gzip(text: &str) -> Vec<u8> {
    let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    writer.write_all(text.as_bytes()).unwrap();
    writer.finish().unwrap()
}

#[test]
fn a_file_is_read_whole_plain_or_compressed_and_from_any_checkpoint() {
    let place = Place::new();
    let all = lines(0..60_000);
    let all = all.trim_end();
    for path in [
        place.file("plain", all),
        place.file("log.gz", gzip(all)),
        place.file("log.zst", zstd::encode_all(all.as_bytes(), 1).unwrap()),
    ] {
        let chunks = drain(&mut *open(&file(&path), 0).unwrap()).unwrap();
        assert!(chunks.len() > 1, "more than one chunk is needed to resume between them");
        assert_eq!(text(&chunks), all);
        assert_eq!(chunks[0].format.to_string(), "ndjson");
        let mut end = 0;
        for (at, chunk) in chunks.iter().enumerate() {
            assert_eq!(chunk.offset, end);
            end = chunk.end;
            let mut source = resume(&file(&path), &chunk.checkpoint).unwrap();
            assert_eq!(text(&drain(&mut *source).unwrap()), text(&chunks[at + 1..]));
        }
        assert_eq!(end, all.len() as u64);
        assert!(matches!(open(&file(&path), end + 1), Err(SourceError::Resume { .. })));
    }
}

#[test]
fn what_precedes_a_damage_is_delivered_then_the_place_is_told() {
    let place = Place::new();
    let all = lines(0..200_000);
    let mut bytes = gzip(&all);
    bytes.truncate(bytes.len() * 3 / 4);
    let path = place.file("cut.gz", bytes);
    let mut source = open(&file(&path), 0).unwrap();
    let mut before = String::new();
    let error = loop {
        match source.next() {
            Ok(Next::Chunk(chunk)) => before.push_str(&text(&[chunk])),
            Ok(other) => panic!("{other:?}"),
            Err(error) => break error.to_string(),
        }
    };
    assert!(before.len() > all.len() / 2 && all.starts_with(&before) && before.ends_with('\n'));
    assert!(error.contains("cut.gz") && error.contains("at byte"), "{error}");
}

#[test]
fn a_line_without_end_does_not_fill_memory() {
    let place = Place::new();
    let huge = "x".repeat(5 * RECORD_BYTES_MAX);
    let path = place.file("log", format!("{}{huge}\n{}", line("/a"), line("/b")));
    let chunks = drain(&mut *open(&file(&path), 0).unwrap()).unwrap();
    let kinds: Vec<_> = chunks.iter().map(|chunk| (chunk.content, chunk.bytes.len())).collect();
    let one = line("/a").len();
    assert_eq!(
        kinds,
        [(Content::Records, one), (Content::TooLong, RAW_BYTES_MAX), (Content::Records, one),]
    );
    assert_eq!(chunks[2].offset, chunks[1].end);
}

#[test]
fn a_directory_is_its_files_by_name() {
    let place = Place::new();
    for name in ["b", "a", "c"] {
        place.file(name, line(&format!("/{name}")));
    }
    fs::create_dir(place.path("below")).unwrap();
    let spec = SourceSpec::Directory { path: place.0.path().into(), format: None };
    assert!(open(&spec, 0).is_err());
    let mut all = Vec::new();
    for file in Named::from(spec).expand().unwrap() {
        all.extend(drain(&mut *open(&file.spec, 0).unwrap()).unwrap());
    }
    assert_eq!(text(&all), line("/a") + &line("/b") + &line("/c"));
    assert_eq!(&*all[0].name, place.path("a").to_str().unwrap());
}

#[test]
fn what_cannot_be_read_says_so_before_it_is_begun() {
    let place = Place::new();
    let missing = open(&file(&place.path("none")), 0).err().unwrap().to_string();
    assert!(missing.contains("none") && missing.contains("No such file"), "{missing}");
    let odd = place.file("odd.csv", "a,b\n1,2\n");
    let unknown = open(&file(&odd), 0).err().unwrap().to_string();
    assert!(unknown.contains("odd.csv") && unknown.contains("--format"), "{unknown}");
    let empty = drain(&mut *open(&file(&place.file("empty", "\n \n")), 0).unwrap()).unwrap();
    assert!(empty.is_empty());
}

#[test]
fn a_document_is_one_chunk_and_not_read_twice() {
    let place = Place::new();
    let har = format!("{{\n \"log\": {{\"entries\": [{}]}}}}", " ".repeat(3 << 20));
    let path = place.file("x.har.gz", gzip(&har));
    let chunks = drain(&mut *open(&file(&path), 0).unwrap()).unwrap();
    assert_eq!((chunks.len(), &*text(&chunks)), (1, &*har));
    let mut again = resume(&file(&path), &chunks[0].checkpoint).unwrap();
    assert!(matches!(again.next().unwrap(), Next::End));
    assert!(matches!(open(&file(&path), 5).unwrap().next(), Err(SourceError::Resume { .. })));
}

#[test]
fn a_live_stream_hands_over_what_has_arrived() {
    let (reader, mut writer) = std::io::pipe().unwrap();
    let mut source = file::Stream::live("stdin".into(), reader, None, 0);
    for number in 0..3 {
        writer.write_all(line(&format!("/{number}")).as_bytes()).unwrap();
        let Next::Chunk(chunk) = source.next().unwrap() else { panic!("a whole line is there") };
        assert_eq!(text(&[chunk]), line(&format!("/{number}")));
    }
    writer.write_all(b"{\"last").unwrap();
    drop(writer);
    assert_eq!(text(&drain(&mut source).unwrap()), "{\"last");
}

#[test]
fn a_live_stream_may_be_compressed() {
    let all = lines(0..30_000);
    let bytes = std::io::Cursor::new(zstd::encode_all(all.as_bytes(), 1).unwrap());
    let mut source = file::Stream::live("stdin".into(), bytes, None, 0);
    assert_eq!(text(&drain(&mut source).unwrap()), all);
}

#[test]
fn a_live_stream_is_read_from_its_beginning_and_counts_on_from_the_one_before() {
    let har = format!("{{\n \"log\": {{\"entries\": [{}]}}}}", " ".repeat(100));
    for all in [lines(0..3), har] {
        for bytes in [all.clone().into_bytes(), gzip(&all)] {
            let bytes = std::io::Cursor::new(bytes);
            let mut source = file::Stream::live("stdin".into(), bytes, None, 1000);
            let chunks = drain(&mut source).unwrap();
            assert_eq!(text(&chunks), all);
            assert_eq!(
                (chunks[0].offset, chunks.last().unwrap().end),
                (1000, 1000 + all.len() as u64)
            );
        }
    }
}

#[test]
fn a_followed_file_grows_and_its_last_line_waits_for_its_end() {
    let place = Place::new();
    let path = place.path("log");
    let mut source = open(&follow(&path), 0).unwrap();
    assert!(matches!(source.next().unwrap(), Next::Idle), "it need not exist yet");
    fs::write(&path, "").unwrap();
    assert!(matches!(source.next().unwrap(), Next::Idle));
    let whole = line("/a");
    append(&path, &whole[..10]);
    assert!(matches!(source.next().unwrap(), Next::Idle));
    append(&path, &whole[10..]);
    append(&path, "{\"ts");
    assert_eq!(text(&drain(&mut *source).unwrap()), whole);
    append(&path, "\":1}\n");
    let chunks = drain(&mut *source).unwrap();
    assert_eq!(text(&chunks), "{\"ts\":1}\n");
    assert_eq!(chunks[0].offset, whole.len() as u64);
}

#[test]
fn a_broken_first_line_does_not_keep_a_followed_file_from_being_recognised() {
    let place = Place::new();
    let path = place.file("log", "what is this\n");
    let mut source = open(&follow(&path), 0).unwrap();
    assert!(matches!(source.next().unwrap(), Next::Idle), "more lines may tell");
    append(&path, &line("/a"));
    let chunks = drain(&mut *source).unwrap();
    assert_eq!(text(&chunks), format!("what is this\n{}", line("/a")));
    assert_eq!(chunks[0].format.to_string(), "ndjson");
}

#[test]
fn a_checkpoint_of_another_kind_of_source_is_refused() {
    let place = Place::new();
    let path = place.file("log", lines(0..1));
    for checkpoint in [&b""[..], b"x", &[1; 6], &[0xff; 60]] {
        assert!(matches!(resume(&file(&path), checkpoint), Err(SourceError::Resume { .. })));
        assert!(matches!(resume(&follow(&path), checkpoint), Err(SourceError::Resume { .. })));
    }
}

#[test]
fn a_document_cannot_be_followed() {
    let place = Place::new();
    let path = place.file("x.har", "{\"log\":{}}\n");
    let spec = |format| SourceSpec::Follow { path: path.clone(), format };
    let har = Some(Arc::new(Format::Har));
    let error = open(&spec(har), 0).unwrap().next().unwrap_err().to_string();
    assert!(error.contains("followed"), "{error}");
    // What is found there may be replaced by a log.
    let mut source = open(&spec(None), 0).unwrap();
    let Next::Failing(error) = source.next().unwrap() else { panic!("it is followed") };
    assert!(error.to_string().contains("followed"), "{error}");
    fs::remove_file(&path).unwrap();
    fs::write(&path, line("/a")).unwrap();
    let mut found = String::new();
    for _ in 0..3 {
        if let Next::Chunk(chunk) = source.next().unwrap() {
            found += &text(&[chunk]);
        }
    }
    assert!(found.contains(&line("/a")), "{found}");
}

/// Writers of pipes, and what is read of them.
#[test]
fn a_pipe_is_read_as_its_writer_writes_and_stops_without_one() {
    let place = Place::new();
    let path = place.path("pipe");
    let made = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
    assert!(made.success());
    let named = Named::from(file(&path)).expand().unwrap();
    let specs: Vec<_> = named.into_iter().map(|one| one.spec).collect();
    assert!(matches!(&specs[..], [SourceSpec::Stream { .. }]) && specs[0].is_new_each_time());
    let text_of = |bytes: Vec<u8>| {
        let mut source = open(&specs[0], 100).unwrap();
        let path = path.clone();
        let writer = std::thread::spawn(move || fs::write(path, bytes).unwrap());
        let chunks = drain(&mut *source).unwrap();
        writer.join().unwrap();
        assert_eq!(chunks[0].offset, 100);
        text(&chunks)
    };
    assert_eq!(text_of(lines(0..3).into_bytes()), lines(0..3));
    assert_eq!(text_of(gzip(&lines(3..9))), lines(3..9));

    // Nobody writes: neither opening nor reading waits once it is told to stop.
    let stop = Stop::default();
    let mut source = super::open(&specs[0], 0, &stop).unwrap();
    let reader = std::thread::spawn(move || source.next().err().unwrap().to_string());
    stop.set();
    assert!(reader.join().unwrap().contains("told to stop"));
}

#[test]
fn what_is_no_regular_file_is_not_followed_and_the_file_that_comes_is() {
    let place = Place::new();
    let path = place.path("log");
    let mut source = open(&follow(&path), 0).unwrap();
    let socket = std::os::unix::net::UnixListener::bind(place.path("socket")).unwrap();
    fs::create_dir(place.path("directory")).unwrap();
    let mkfifo = std::process::Command::new("mkfifo").arg(place.path("pipe")).status().unwrap();
    assert!(mkfifo.success());
    for (kind, word) in
        [("directory", "a directory"), ("pipe", "a named pipe"), ("socket", "a socket")]
    {
        std::os::unix::fs::symlink(place.path(kind), &path).unwrap();
        let Next::Failing(error) = source.next().unwrap() else { panic!("{kind} is followed") };
        assert!(error.to_string().contains(word), "{error}");
        fs::remove_file(&path).unwrap();
    }
    drop(socket);
    fs::write(&path, line("/a")).unwrap();
    assert_eq!(text(&drain(&mut *source).unwrap()), line("/a"));
}
