//! Stories of rotation: a log is written to, renamed, copied, cut, compressed and deleted, while it
//! is followed and while it is not. No line is lost or doubled, and what is lost is told.

use super::*;
use std::time::Duration;

use crate::source::follow::Follow;

/// Files are read side by side: only what is read counts.
fn sorted(text: &str) -> Vec<String> {
    let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

/// A log that is written to, rotated and followed.
struct Story {
    place: Place,
    source: Option<Follow>,
    checkpoint: Vec<u8>,
    /// Ids of the lines that were read.
    ids: Vec<String>,
    missing: Vec<String>,
}

impl Story {
    /// A log with the lines 0 to 3, which were read.
    fn begin() -> Self {
        let place = Place::new();
        let log = place.file("access.log", lines(0..3));
        let source = Follow::at(&log, None, 0, &Stop::default()).patient_for(Duration::MAX);
        let mut story = Self {
            place,
            source: Some(source),
            checkpoint: Vec::new(),
            ids: Vec::new(),
            missing: Vec::new(),
        };
        assert_eq!(story.read(), lines(0..3));
        story
    }

    fn log(&self) -> PathBuf {
        self.place.path("access.log")
    }

    fn append(&self, numbers: std::ops::Range<usize>) {
        let log = fs::OpenOptions::new().create(true).append(true).open(self.log());
        log.unwrap().write_all(lines(numbers).as_bytes()).unwrap();
    }

    fn rename(&self, from: &str, to: &str) {
        fs::rename(self.place.path(from), self.place.path(to)).unwrap();
    }

    fn remove(&self, name: &str) {
        fs::remove_file(self.place.path(name)).unwrap();
    }

    /// As logrotate does it: the compressed file is there before the plain one goes.
    fn compress(&self, name: &str, end: &str) {
        let text = fs::read(self.place.path(name)).unwrap();
        let packed = match end {
            "gz" => gzip(std::str::from_utf8(&text).unwrap()),
            _ => zstd::encode_all(&text[..], 1).unwrap(),
        };
        let packed = self.place.file(&format!("{name}.{end}"), packed);
        let modified = fs::metadata(self.place.path(name)).unwrap().modified().unwrap();
        let packed = fs::OpenOptions::new().append(true).open(packed).unwrap();
        packed.set_modified(modified).unwrap();
        self.remove(name);
    }

    /// A copy, then nothing is left.
    fn copy_and_truncate(&self, copy: &str) {
        fs::copy(self.log(), self.place.path(copy)).unwrap();
        fs::OpenOptions::new().write(true).truncate(true).open(self.log()).unwrap();
    }

    /// What there is to read now.
    fn read(&mut self) -> String {
        let source = self.source.as_mut().expect("it is followed");
        let mut found = String::new();
        loop {
            match source.next().unwrap() {
                Next::Chunk(chunk) => {
                    self.checkpoint = chunk.checkpoint.to_vec();
                    let mut at = chunk.offset as usize;
                    for line in std::str::from_utf8(&chunk.bytes).unwrap().split_inclusive('\n') {
                        self.ids.push(format!("{}:{at}", chunk.name));
                        at += line.len();
                        found.push_str(line);
                    }
                }
                Next::Missing(what) => self.missing.push(what),
                Next::Idle => return found,
                other => panic!("{other:?}"),
            }
        }
    }

    fn stop(&mut self) {
        self.source = None;
    }

    fn start(&mut self) {
        let places = place::decode(&self.checkpoint).unwrap();
        let source = Follow::behind(&self.log(), None, places, &Stop::default());
        self.source = Some(source.patient_for(Duration::MAX));
    }

    /// Exactly these lines are read, whoever reads on; nothing is missing; no two have one id.
    fn check(mut self, expected: std::ops::Range<usize>) {
        if self.source.is_none() {
            self.start();
        }
        let found = self.read();
        assert_eq!(sorted(&found), sorted(&lines(expected)));
        assert_eq!(self.missing, Vec::<String>::new());
        // A crash here reads nothing again.
        self.stop();
        self.start();
        assert_eq!(self.read(), "", "after another start");
        assert_eq!(self.missing, Vec::<String>::new(), "after another start");
        let ids: std::collections::BTreeSet<_> = self.ids.iter().collect();
        assert_eq!(ids.len(), self.ids.len(), "{:?}", self.ids);
    }
}

/// What happens to a log of which the lines 0 to 3 were read; whether it is followed meanwhile; the
/// lines that are to be read then.
fn check(what: &str, followed: bool, expected: std::ops::Range<usize>, events: &dyn Fn(&Story)) {
    eprintln!("{what}, {}", if followed { "followed" } else { "not followed" });
    let mut story = Story::begin();
    if !followed {
        story.stop();
    }
    events(&story);
    story.check(expected);
}

#[test]
fn no_line_is_lost_or_doubled_by_a_rotation() {
    for followed in [true, false] {
        let check = |what: &str, expected, events: &dyn Fn(&Story)| {
            check(what, followed, expected, events);
        };
        check("nothing", 3..3, &|_| {});
        check("grown", 3..5, &|story| story.append(3..5));
        check("renamed", 3..6, &|story| {
            story.append(3..4);
            story.rename("access.log", "access.log.1");
            story.append(4..6);
        });
        check("renamed, and nothing new yet", 3..4, &|story| {
            story.append(3..4);
            story.rename("access.log", "access.log.1");
        });
        check("renamed to any name", 3..5, &|story| {
            story.append(3..4);
            story.rename("access.log", "yesterday");
            story.append(4..5);
        });
        check("written to after the rename", 3..6, &|story| {
            let mut old = fs::OpenOptions::new().append(true).open(story.log()).unwrap();
            story.rename("access.log", "access.log.1");
            story.append(3..4);
            old.write_all(lines(4..6).as_bytes()).unwrap();
        });
        for end in ["gz", "zst"] {
            check("compressed", 3..6, &|story| {
                story.append(3..4);
                story.rename("access.log", "access.log.1");
                story.append(4..6);
                story.compress("access.log.1", end);
            });
        }
        check("rotated twice", 3..8, &|story| {
            story.append(3..4);
            story.rename("access.log", "access.log.1");
            story.append(4..6);
            story.rename("access.log.1", "access.log.2");
            story.rename("access.log", "access.log.1");
            story.append(6..8);
        });
        check("rotated ten times, compressed but for the last", 3..23, &|story| {
            for round in 1..=10 {
                story.append(2 * round + 1..2 * round + 3);
                for number in (2..round).rev() {
                    let name = |number| format!("access.log.{number}.gz");
                    story.rename(&name(number), &name(number + 1));
                }
                if round > 1 {
                    story.rename("access.log.1", "access.log.2");
                    story.compress("access.log.2", "gz");
                }
                story.rename("access.log", "access.log.1");
            }
            fs::write(story.log(), "").unwrap();
        });
        check("rotated by date", 3..9, &|story| {
            story.append(3..5);
            story.rename("access.log", "access.log-20260301");
            story.compress("access.log-20260301", "gz");
            story.append(5..7);
            story.rename("access.log", "access.log-20260302");
            story.append(7..9);
        });
        check("rotated by date within the name", 3..9, &|story| {
            story.append(3..5);
            story.rename("access.log", "access-20260301.log");
            story.append(5..7);
            story.rename("access.log", "access-20260302.log");
            story.append(7..9);
        });
        check("copied and cut", 3..7, &|story| {
            story.append(3..5);
            story.copy_and_truncate("access.log.1");
            story.append(5..7);
        });
        check("copied and cut, and grown past the old place", 3..40, &|story| {
            story.append(3..5);
            story.copy_and_truncate("access.log.1");
            story.append(5..40);
        });
        check("copied, cut and compressed", 3..7, &|story| {
            story.append(3..5);
            story.copy_and_truncate("access.log.1");
            story.append(5..7);
            story.compress("access.log.1", "zst");
        });
        check("deleted and begun anew after it was read", 3..6, &|story| {
            // It is still there under another name: a hard link is no other file.
            fs::hard_link(story.log(), story.place.path("kept")).unwrap();
            story.remove("access.log");
            story.append(3..6);
        });
        check("other files with the same beginning of their names", 3..5, &|story| {
            story.place.file("access.log.bak", lines(50..60));
            story.place.file("access-ssl.log", lines(60..70));
            story.place.file("access.log.2", lines(70..80));
            story.append(3..4);
            story.rename("access.log", "access.log.1");
            story.append(4..5);
        });
    }
}

#[test]
fn a_restored_file_is_the_same_and_goes_on() {
    let mut story = Story::begin();
    story.stop();
    story.append(3..4);
    fs::copy(story.log(), story.place.path("copy")).unwrap();
    story.remove("access.log");
    story.rename("copy", "access.log");
    story.check(3..4);
}

#[test]
fn a_log_that_is_away_for_a_while_is_not_begun_anew() {
    let mut story = Story::begin();
    story.stop();
    let away = tempfile::tempdir().unwrap();
    fs::rename(story.log(), away.path().join("log")).unwrap();
    story.start();
    assert_eq!(story.read(), "");
    fs::rename(away.path().join("log"), story.log()).unwrap();
    story.append(3..5);
    story.check(3..5);
}

#[test]
fn what_is_not_found_is_told_with_the_place_and_the_rest_is_read() {
    let check = |followed: bool, expected: &str, word: &str, events: &dyn Fn(&Story)| {
        let mut story = Story::begin();
        if !followed {
            story.stop();
        }
        events(&story);
        if !followed {
            story.start();
        }
        assert_eq!(sorted(&story.read()), sorted(expected));
        let [missing] = &story.missing[..] else { panic!("{:?}", story.missing) };
        let at = format!("byte {}", lines(0..3).len());
        assert!(missing.contains(word) && missing.contains(&at), "{missing}");
        story.missing.clear();
        assert_eq!(story.read(), "");
        assert!(story.missing.is_empty(), "it is told once");
    };
    let deleted = |story: &Story| {
        story.append(3..4);
        story.remove("access.log");
        story.append(4..6);
    };
    check(false, &lines(4..6), "not in", &deleted);
    let cut = |story: &Story| {
        fs::write(story.log(), "").unwrap();
        story.append(4..6);
    };
    check(false, &lines(4..6), "not in", &cut);
    check(true, &lines(4..6), "no copy", &cut);
    let twice = |story: &Story| {
        story.remove("access.log");
        // What was written after the last look, by the clock of the file system.
        let later = std::time::SystemTime::now() + Duration::from_secs(5);
        let between = story.place.file("access.log.1", lines(4..6));
        let file = fs::OpenOptions::new().append(true).open(between).unwrap();
        file.set_modified(later).unwrap();
        story.append(6..8);
    };
    check(false, &lines(4..8), "not in", &twice);
}

#[test]
fn a_rotated_file_is_read_until_it_is_silent_and_its_last_line_is_taken_then() {
    let mut story = Story::begin();
    let mut old = fs::OpenOptions::new().append(true).open(story.log()).unwrap();
    story.rename("access.log", "access.log.1");
    story.append(3..4);
    assert_eq!(story.read(), lines(3..4));
    for number in 4..7 {
        old.write_all(lines(number..number + 1).as_bytes()).unwrap();
        assert_eq!(story.read(), lines(number..number + 1));
    }
    old.write_all(b"{\"cut\":").unwrap();
    assert_eq!(story.read(), "", "the rest of the line may come");
    // A restart does not forget it.
    story.append(7..8);
    assert_eq!(story.read(), lines(7..8));
    story.stop();
    story.start();
    assert_eq!(story.read(), "");
    let patient = story.source.take().unwrap();
    story.source = Some(patient.patient_for(Duration::ZERO));
    assert_eq!(story.read(), "{\"cut\":");
    old.write_all(b"1}\n").unwrap();
    story.append(8..9);
    assert_eq!(story.read(), lines(8..9), "it was let go of");
}

#[test]
fn what_cannot_be_opened_is_tried_again_until_it_can() {
    let mut story = Story::begin();
    // Whoever runs the tests may open anything but a loop.
    story.rename("access.log", "access.log.1");
    std::os::unix::fs::symlink("access.log", story.log()).unwrap();
    let mut source = story.source.take().unwrap();
    for _ in 0..3 {
        let Next::Failing(error) = source.next().unwrap() else { panic!("it was opened") };
        assert!(error.to_string().contains("access.log"), "{error}");
    }
    story.source = Some(source);
    story.remove("access.log");
    story.append(3..5);
    story.check(3..5);
}

#[test]
fn a_damaged_rotated_file_is_read_as_far_as_it_goes_and_then_told() {
    let mut story = Story::begin();
    story.stop();
    story.append(3..30_000);
    story.rename("access.log", "access.log.1");
    story.append(30_000..30_001);
    story.compress("access.log.1", "gz");
    let packed = story.place.path("access.log.1.gz");
    let bytes = fs::read(&packed).unwrap();
    fs::write(&packed, &bytes[..bytes.len() / 2]).unwrap();
    story.start();
    let mut source = story.source.take().unwrap();
    let mut found = String::new();
    let error = loop {
        match source.next().unwrap() {
            Next::Chunk(chunk) => found.push_str(std::str::from_utf8(&chunk.bytes).unwrap()),
            Next::Failing(error) => break error.to_string(),
            other => panic!("{other:?}"),
        }
    };
    assert!(error.contains("access.log.1.gz"), "{error}");
    assert!(found.lines().count() > 5_000 && found.contains("/30000\""));
    // It was being written: now it is whole.
    fs::write(&packed, &bytes).unwrap();
    while let Next::Chunk(chunk) = source.next().unwrap() {
        found.push_str(std::str::from_utf8(&chunk.bytes).unwrap());
    }
    assert_eq!(found.lines().count(), 30_001 - 3);
}

#[test]
fn two_thousand_followed_files_hold_no_buffers() {
    let place = Place::new();
    let mut followed: Vec<Follow> = (0..2000)
        .map(|number| {
            let path = place.file(&format!("{number}.log"), lines(0..5));
            Follow::at(&path, None, 0, &Stop::default())
        })
        .collect();
    for source in &mut followed {
        assert_eq!(text(&drain(source).unwrap()), lines(0..5));
    }
    append(&place.path("7.log"), "{\"part of a line");
    followed.iter_mut().for_each(|source| assert!(drain(source).unwrap().is_empty()));
    let held: usize = followed.iter().map(Follow::held_bytes).sum();
    assert!(held < 100, "{held} bytes");
}
