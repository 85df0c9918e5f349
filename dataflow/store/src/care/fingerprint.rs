//! The fingerprint of the graph: a hash over everything that decides what the rows mean.
//!
//! The format number is raised by whoever changes a layout on purpose. The fingerprint catches
//! what is changed without noticing: a field renumbered, another version of a row, another number
//! of partitions. It is written whenever a store is opened, and compared before. Stores of earlier
//! meanings that this program still understands are opened, and are of today's from then on.

use std::fmt::Write as _;

use spoor_operators::breakdown::{PART_KEY_BYTES, PART_MAX, WHOLE_MAX};
use spoor_operators::facts::Field;
use spoor_operators::identity::PARTITIONS;
use spoor_operators::request::STORED_VERSION;
use spoor_operators::session::{HEAD_ROW_VERSION, ROW_VERSION};

use super::super::keys::{BUCKET_BYTES, IDENTITY_DAY_BYTES, INDEX_KEY_BYTES, ROW_KEY_BYTES};
use super::super::{FORMAT, Family};

/// Text of what the rows mean; only its hash is kept.
fn meaning() -> String {
    let mut text = format!(
        "format {FORMAT}\nsession row {ROW_VERSION} {HEAD_ROW_VERSION}\n\
         breakdown {WHOLE_MAX} {PART_MAX} {PART_KEY_BYTES}\nrequest {STORED_VERSION}\n\
         partitions {PARTITIONS}\nkeys {IDENTITY_DAY_BYTES} {ROW_KEY_BYTES} {BUCKET_BYTES} \
         {INDEX_KEY_BYTES}\n"
    );
    for family in Family::ALL {
        let _ = writeln!(text, "family {}", family.name());
    }
    for field in Field::ALL {
        let _ = writeln!(text, "field {field:?} {}", field as u8);
    }
    text
}

/// What stores of older formats, which are upgraded, are marked with. The first
/// of format 1 have no breakdowns in parts: all their rows are whole.
const OLDER: [(u32, &str); 2] =
    [(1, "9b2990a2507bcd4d703f44717ea3a179"), (1, "d747aa9b3d1443b83f8f87b31bfe6a86")];

/// What a store of a format is marked with: 32 hex digits.
pub(crate) fn of(format: u32) -> String {
    match OLDER.iter().find(|(older, _)| *older == format) {
        Some((_, fingerprint)) => (*fingerprint).to_owned(),
        None => blake3::hash(meaning().as_bytes()).to_hex()[..32].to_owned(),
    }
}

/// Whether this program reads stores with a fingerprint.
pub(crate) fn is_understood(found: &str) -> bool {
    found == of(FORMAT) || OLDER.iter().any(|(_, older)| found == *older)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// When this fails, stores made before are refused: say in [`is_understood`] that they are read,
    /// if they are; raise [`FORMAT`]; or take back the change of the layout.
    #[test]
    fn the_fingerprint_changes_on_purpose_only() {
        assert_eq!(of(FORMAT), "b760773c85276d9a36db29ed7a1b48ce", "of\n{}", meaning());
    }
}
