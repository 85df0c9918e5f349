//! Under which name a store knows a source: by its file first, then by its name, then by its path.
//!
//! A file that was read under another name, or another spelling of its path, is that file still: it
//! goes on where it was, under the name it has in the store. Another file under a known name gets a
//! number. So a name and an offset are one request for ever. Stores of before knew files by their
//! paths alone.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use crate::cluster::hello::Standing;
use crate::divide::{own_name, owner, read_row};
use crate::sources::SourceRow;
use crate::{LEADER, PUSH_SOURCE};
use spoor_input::source::STDIN;
use spoor_input::source::named::{FileId, Identified, absolute};
use spoor_store::StoreError;

/// A source that is asked for.
pub struct Asked<'a> {
    /// Its name.
    pub name: String,
    /// The file that is there now.
    pub file: Option<&'a Identified>,
    /// Its absolute path.
    pub path: Option<PathBuf>,
    /// It is followed: another file at its path is its next one.
    pub follows: bool,
    /// It belongs to this process alone.
    pub is_own: bool,
}

/// What the processes know of sources.
pub struct Rows {
    rows: Vec<(usize, String, SourceRow)>,
    taken: HashSet<String>,
    process: usize,
}

impl Rows {
    /// Reads what every process said.
    ///
    /// # Errors
    /// [`StoreError::Damaged`].
    pub fn of(process: usize, standings: &[Standing]) -> Result<Self, StoreError> {
        let mut rows = Vec::new();
        for (number, standing) in standings.iter().enumerate() {
            for (name, row) in &standing.sources {
                rows.push((number, name.clone(), read_row(name, row)?));
            }
        }
        Ok(Self { rows, taken: HashSet::new(), process })
    }

    /// The name of a source in the store; nobody else gets it.
    pub fn settle(&mut self, asked: &Asked<'_>) -> String {
        let name = self.find(asked).unwrap_or_else(|| self.free(&asked.name));
        if name != asked.name {
            tracing::info!("{} is read as {name}, as this store knows it", asked.name);
        }
        self.taken.insert(name.clone());
        name
    }

    /// The rows that may be the source's.
    fn candidates<'a>(
        &'a self,
        asked: &'a Asked<'_>,
    ) -> impl Iterator<Item = (&'a str, &'a SourceRow)> {
        let (is_own, me) = (asked.is_own, self.process);
        let owned_by = (me > 0).then_some(me);
        let rows = self.rows.iter().filter(move |(process, name, _)| {
            let is_mine = || *name == asked.name || owner(name) == owned_by;
            !is_own || (*process == me && is_mine())
        });
        rows.filter(|(_, name, _)| !self.taken.contains(name) && !is_push(name))
            .map(|(_, name, row)| (name.as_str(), row))
    }

    fn find(&self, asked: &Asked<'_>) -> Option<String> {
        let by = |is_it: &dyn Fn(&str, &SourceRow) -> bool| {
            let mut candidates = self.candidates(asked);
            candidates.find(|(name, row)| is_it(name, row)).map(|(name, _)| name.to_owned())
        };
        let by_file = |_: &str, row: &SourceRow| {
            asked.file.zip(row.file()).is_some_and(|(file, known)| file.is(&known))
        };
        let by_name = |name: &str, row: &SourceRow| {
            let file = asked.file.zip(row.file());
            // One that is not known, or had nothing in it, may be any.
            let may_be =
                |(file, known): (&Identified, _)| known_nothing(&known) || file.begins_as(&known);
            name == asked.name && (asked.follows || file.is_none_or(may_be))
        };
        let by_path = |name: &str, row: &SourceRow| {
            let Some(path) = &asked.path else { return false };
            match (&row.file, asked.follows) {
                (Some(known), true) => Path::new(&known.path) == path,
                (None, true) => absolute(Path::new(self.base(name))) == *path,
                (_, false) => row.file().is_none() && is_linked(name, path),
            }
        };
        let by_kind = |name: &str, _: &SourceRow| {
            asked.path.is_none() && name == own_name(STDIN, self.process)
        };
        by(&by_file).or_else(|| by(&by_name)).or_else(|| by(&by_path)).or_else(|| by(&by_kind))
    }

    /// A name of this process alone, as it was asked for.
    fn base<'a>(&self, name: &'a str) -> &'a str {
        match self.process {
            LEADER => name,
            process => name.strip_suffix(&format!("@{process}")).unwrap_or(name),
        }
    }

    fn is_free(&self, name: &str) -> bool {
        !self.taken.contains(name) && self.rows.iter().all(|(_, known, _)| known != name)
    }

    /// The name, or the name with the first number that is free.
    fn free(&self, name: &str) -> String {
        if self.is_free(name) && !is_push(name) {
            return name.to_owned();
        }
        let numbered = (1_u64..).map(|number| format!("{name}#{number}"));
        let mut free = numbered.filter(|name| self.is_free(name));
        free.next().unwrap_or_else(|| name.to_owned())
    }
}

fn is_push(name: &str) -> bool {
    name.split('@').next() == Some(PUSH_SOURCE)
}

fn known_nothing(known: &FileId) -> bool {
    known.head_bytes == 0
}

/// Whether a name of before is a path to the same file, through links.
fn is_linked(name: &str, path: &Path) -> bool {
    let ends = [Path::new(name).canonicalize(), path.canonicalize()];
    matches!(&ends, [Ok(one), Ok(other)] if one == other)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The name of a file in a store that has these rows.
    fn name(rows: &[(&str, SourceRow)], name: &str, path: &Path, follows: bool) -> String {
        let row = |(name, row): &(&str, SourceRow)| {
            ((*name).to_owned(), serde_json::to_vec(row).unwrap())
        };
        let sources = rows.iter().map(row).collect();
        let standing = Standing { sources, ..Standing::default() };
        let mut rows = Rows::of(LEADER, &[standing]).unwrap();
        let file = Identified::of(path);
        let asked = Asked {
            name: name.into(),
            file: file.as_ref(),
            path: Some(absolute(path)),
            follows,
            is_own: follows,
        };
        let found = rows.settle(&asked);
        assert_ne!(rows.settle(&asked), found, "nobody else gets it");
        found
    }

    #[test]
    fn a_source_is_its_file_then_its_name_then_its_path() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        for name in ["a", "b"] {
            std::fs::write(path(name), format!("the content of {name}")).unwrap();
        }
        std::os::unix::fs::symlink(path("a"), path("link")).unwrap();
        std::fs::copy(path("a"), path("copy")).unwrap();
        let file = |name: &str| Identified::of(&path(name)).unwrap();
        let read = |name: &str| SourceRow { file: Some(file(name).id), ..SourceRow::default() };
        let followed =
            |name: &str| SourceRow { checkpoint: file(name).checkpoint(3), ..SourceRow::default() };
        let moved = |at: &str| {
            let known = FileId { path: path(at).display().to_string(), ..FileId::default() };
            SourceRow { file: Some(known), ..followed("b") }
        };
        // As stores of before have it: nothing but the path tells the file.
        let before = SourceRow::default;
        let (a, link) = (path("a").display().to_string(), path("link").display().to_string());
        for (rows, asked, at, follows, expected) in [
            (vec![], "x", "a", false, "x"),
            (vec![("y", read("a"))], "x", "a", false, "y"),
            (vec![("y", read("a"))], "x", "link", false, "y"),
            (vec![("y", followed("a"))], "x", "a", true, "y"),
            (vec![("y", followed("a"))], "x", "a", false, "y"),
            (vec![("x", read("b"))], "x", "a", false, "x#1"),
            (vec![("x", read("b")), ("x#1", read("b"))], "x", "a", false, "x#2"),
            (vec![("x", read("a"))], "x", "copy", false, "x"),
            (vec![("y", read("a"))], "x", "copy", false, "x"),
            (vec![("x", followed("b"))], "x", "a", true, "x"),
            (vec![("y", moved("a"))], "x", "a", true, "y"),
            (vec![("x", before())], "x", "a", false, "x"),
            (vec![(&*a, before())], "x", "a", false, &*a),
            (vec![(&*link, before())], "x", "a", false, &*link),
            (vec![(&*a, followed("b"))], "x", "a", true, &*a),
            (vec![(&*a, followed("b"))], "x", "a", false, "x"),
            (vec![], "push", "a", true, "push#1"),
        ] {
            let found = name(&rows, asked, &path(at), follows);
            assert_eq!(found, expected, "{asked} at {at} of {rows:?}");
        }
    }
}
