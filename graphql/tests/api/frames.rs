//! The corpus of the fuzz target of WebSocket messages, replayed: each file whole, cut at each
//! byte, and with each byte missing or replaced.

use std::path::Path;

#[path = "../../../fuzz/frames.rs"]
mod target;

#[test]
fn the_corpus_and_its_damaged_forms_hold_the_rules_of_the_protocol() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/frames");
    let mut files = 0;
    for entry in folder.read_dir().unwrap() {
        let input = std::fs::read(entry.unwrap().path()).unwrap();
        files += 1;
        target::frames(&input);
        for at in 0..input.len() {
            target::frames(&input[..at]);
            target::frames(&[&input[..at], &input[at + 1..]].concat());
            for byte in *b"\"\\{}[]\n0\x00\xff" {
                let mut damaged = input.clone();
                damaged[at] = byte;
                target::frames(&damaged);
            }
        }
    }
    assert!(files >= 8, "{} has {files} files", folder.display());
}
