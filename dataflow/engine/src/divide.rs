//! Who reads what: the sources of this process, divided with the other processes that have them.
//!
//! What is known of a source is found by [`super::identify`]. A plain file of lines is read by
//! every process that was given it, each a stretch of what nobody
//! has read yet; any other file by the first of them, behind what was read of it by whoever. A
//! followed file and standard input belong to the process that has them, under a name of its own.
//! Every process decides alone, from what all have said, so no two read the same byte.

use crate::EngineError;
use crate::cluster::ClusterError;
use crate::cluster::hello::{Readable, Standing};
use crate::identify::{Asked, Rows};
use crate::sources::SourceRow;
use spoor_input::source::SourceSpec;
use spoor_input::source::named::{FileId, Identified, Named, absolute};
use spoor_input::source::ranges::{Ranges, line_start};
use spoor_store::StoreError;

/// A source this process reads.
#[derive(Clone, Debug)]
pub struct Reading {
    /// What to read.
    pub spec: SourceSpec,
    /// Its name in the whole cluster.
    pub name: String,
    /// A file of a directory: it is left out when it is no log.
    pub optional: bool,
    /// What is known of it.
    pub row: SourceRow,
}

/// What the processes said, and which of them this is.
pub struct Told<'a> {
    /// The number of this process.
    pub process: usize,
    /// By number, this process included.
    pub standings: &'a [Standing],
}

/// The files of these sources, for the other processes. One that cannot be read is found by the
/// thread that reads it.
#[must_use]
pub fn readable(sources: &[Named]) -> Vec<Readable> {
    let files = sources.iter().filter(|one| matches!(one.spec, SourceSpec::File { .. }));
    let readable = |one: &Named| Readable {
        name: one.name.clone(),
        bytes: one.spec.divisible().unwrap_or_default(),
        file: one.identify().map(|file| file.id),
    };
    files.map(readable).collect()
}

/// What this process reads of the sources it was given.
///
/// # Errors
/// Rows that are damaged, processes that have different files under one name.
pub fn divide(sources: Vec<Named>, told: &Told<'_>) -> Result<Vec<Reading>, EngineError> {
    let mut readings = Vec::new();
    let mut rows = Rows::of(told.process, told.standings)?;
    // A file that was followed until it was rotated is that source's, whoever else finds it.
    let is_followed = |one: &Named| matches!(one.spec, SourceSpec::Follow { .. });
    let (followed, rest): (Vec<_>, Vec<_>) = sources.into_iter().partition(is_followed);
    for source in followed.into_iter().chain(rest) {
        let reading = match &source.spec {
            SourceSpec::File { .. } => told.file(source, &mut rows)?,
            SourceSpec::Follow { .. } | SourceSpec::Stream { .. } | SourceSpec::Stdin { .. } => {
                Some(told.own(source, &mut rows)?)
            }
            SourceSpec::Part { .. } | SourceSpec::Directory { .. } => None,
        };
        readings.extend(reading);
    }
    Ok(readings)
}

/// The name of a source of which every process has its own.
#[must_use]
pub fn own_name(name: &str, process: usize) -> String {
    if process == crate::LEADER { name.to_owned() } else { format!("{name}@{process}") }
}

/// The process, other than the leader, that a source under such a name belongs to.
#[must_use]
pub fn owner(name: &str) -> Option<usize> {
    let (of, process) = name.rsplit_once('@')?;
    process.parse().ok().filter(|process| own_name(of, *process) == name)
}

impl Told<'_> {
    /// What every process knows of a source, this one's first.
    fn rows(&self, name: &str) -> Result<Vec<SourceRow>, EngineError> {
        let mut rows = Vec::new();
        let (before, after) = self.standings.split_at(self.process);
        for standing in after.iter().chain(before) {
            match standing.sources.iter().find(|(known, _)| known == name) {
                Some((_, row)) => rows.push(read_row(name, row)?),
                None => rows.push(SourceRow::default()),
            }
        }
        Ok(rows)
    }

    fn own(&self, source: Named, rows: &mut Rows) -> Result<Reading, EngineError> {
        let name = own_name(&source.name, self.process);
        let Named { optional, spec, .. } = source;
        let file = spec.path().and_then(Identified::of);
        let follows = matches!(spec, SourceSpec::Follow { .. });
        let path = spec.path().map(absolute);
        let asked = Asked { name, file: file.as_ref(), path, follows, is_own: true };
        let name = rows.settle(&asked);
        let mut row = self.rows(&name)?.swap_remove(0);
        row.ended &= !spec.is_new_each_time() && !follows;
        if follows {
            row.checkpoint = followed(&row, file.as_ref()).map_err(EngineError::Source)?;
            let path = asked.path.as_ref().map(|path| path.display().to_string());
            row.file = path.map(|path| FileId { path, ..FileId::default() });
        }
        Ok(Reading { spec, name, optional, row })
    }

    /// This process's part of a file; none when others read all of it.
    fn file(&self, source: Named, known: &mut Rows) -> Result<Option<Reading>, EngineError> {
        let Named { name, optional, spec } = source;
        let reads = |standing: &Standing, wanted: &dyn Fn(&Readable) -> bool| {
            standing.reads.iter().find(|file| wanted(file)).cloned()
        };
        let mine = reads(&self.standings[self.process], &|file| file.name == name);
        let mine = mine.unwrap_or_else(|| Readable { name: name.clone(), bytes: None, file: None });
        let of = |standing: &Standing| {
            reads(standing, &|file| file.name == name)
                .or_else(|| reads(standing, &|file| is_same(file, &mine)))
        };
        let readers: Vec<_> = self.standings.iter().map(of).collect();
        // All give it the name that the first of them gives it.
        let first = readers.iter().flatten().next();
        let name = first.map_or(name, |first| first.name.clone());
        if readers.iter().flatten().any(|others| !agrees(others, &mine)) {
            return Err(ClusterError::Disagree(format!(
                "{name} is not the same file for every process; give it to one of them only"
            ))
            .into());
        }
        let bytes = mine.bytes;
        let file = spec.path().and_then(Identified::of);
        let path = spec.path().map(absolute);
        let asked = Asked { name, file: file.as_ref(), path, follows: false, is_own: false };
        let name = known.settle(&asked);
        let place = readers[..self.process].iter().flatten().count();
        let shares = readers.iter().flatten().count();
        let mut rows = self.rows(&name)?;
        for row in &mut rows {
            if let Some((_, offset)) = FileId::of_places(&row.checkpoint) {
                // It was followed before, and is a file that ends now.
                row.checkpoint = offset.to_le_bytes().into();
                row.ended = false;
            }
        }
        let id = file.map(|file| file.id);
        let SourceSpec::File { path, format } = &spec else { return Ok(None) };
        let was_divided = rows.iter().any(|row| row.checkpoint.first() == Some(&b'['));
        let Some(bytes) = bytes.filter(|_| self.standings.len() > 1 || was_divided) else {
            if place > 0 {
                return Ok(None);
            }
            let furthest = rows.iter().map(|row| (row.ended, row.offset)).max();
            let furthest = rows.iter().position(|row| Some((row.ended, row.offset)) == furthest);
            let mut row = rows.swap_remove(furthest.unwrap_or_default());
            row.file = id.or(row.file);
            return Ok(Some(Reading { spec, name, optional, row }));
        };
        let mut done = Ranges::default();
        for row in rows.iter().filter(|row| !row.checkpoint.is_empty()) {
            done.union(&ranges(&name, row)?);
        }
        let align = |offset, until| line_start(path, offset, until);
        let share = done.missing(bytes).share(place, shares, align);
        let share = share.map_err(|error| EngineError::Source(format!("{name}: {error}")))?;
        let mut row = rows.swap_remove(0);
        row.ended = share.list().is_empty();
        row.file = id.or(row.file);
        let read = match row.checkpoint.is_empty() {
            true => Ranges::default(),
            false => ranges(&name, &row)?,
        };
        let (path, format) = (path.clone(), format.clone());
        let spec = SourceSpec::Part { path, format, ranges: share, read };
        Ok(Some(Reading { spec, name, optional, row }))
    }
}

/// Whether two processes have one file, under whatever names.
fn is_same(one: &Readable, other: &Readable) -> bool {
    let files = one.file.as_ref().zip(other.file.as_ref());
    one.bytes == other.bytes && files.is_some_and(|(one, other)| one.is_shared_with(other))
}

/// Whether what two processes have under one name may be one file: on two machines, copies of it.
fn agrees(one: &Readable, other: &Readable) -> bool {
    let head = |file: &Readable| file.file.as_ref().map(|id| (id.head_bytes, id.head_hash));
    one.bytes == other.bytes && head(one).zip(head(other)).is_none_or(|(one, other)| one == other)
}

/// The checkpoint of a followed file, also where it was read as a file that ends before.
fn followed(row: &SourceRow, file: Option<&Identified>) -> Result<Vec<u8>, String> {
    let checkpoint = &row.checkpoint;
    if checkpoint.is_empty() || FileId::of_places(checkpoint).is_some() {
        return Ok(checkpoint.clone());
    }
    let read = Ranges::decode(checkpoint).unwrap_or_default();
    match (read.list(), file) {
        ([], _) => Ok(Vec::new()),
        ([(0, until)], Some(file)) => Ok(file.checkpoint(*until)),
        _ => Err("a file that was read in parts cannot be followed before it is read to its end"
            .to_owned()),
    }
}

fn ranges(name: &str, row: &SourceRow) -> Result<Ranges, StoreError> {
    let damaged = || StoreError::Damaged(format!("source {name}: its checkpoint"));
    Ranges::decode(&row.checkpoint).ok_or_else(damaged)
}

/// Reads what the store keeps of a source.
///
/// # Errors
/// [`StoreError::Damaged`].
pub fn read_row(name: &str, row: &[u8]) -> Result<SourceRow, StoreError> {
    let damaged = |error| StoreError::Damaged(format!("source {name}: {error}"));
    serde_json::from_slice(row).map_err(damaged)
}

#[cfg(test)]
mod tests {
    use super::*;
    use spoor_input::source::opening::Stop;
    use spoor_input::source::{Next, Source, open};

    fn standing(files: &[(&str, Option<u64>)], rows: &[(&str, SourceRow)]) -> Standing {
        let reads = files.iter().map(|(name, bytes)| Readable {
            name: (*name).into(),
            bytes: *bytes,
            file: None,
        });
        let rows =
            rows.iter().map(|(name, row)| ((*name).to_owned(), serde_json::to_vec(row).unwrap()));
        Standing { reads: reads.collect(), sources: rows.collect(), ..Standing::default() }
    }

    fn text(source: &mut dyn Source) -> (String, Vec<u8>) {
        let (mut text, mut checkpoint) = (String::new(), Vec::new());
        while let Next::Chunk(chunk) = source.next().unwrap() {
            text.push_str(std::str::from_utf8(&chunk.bytes).unwrap());
            checkpoint = chunk.checkpoint.to_vec();
        }
        (text, checkpoint)
    }

    #[test]
    fn whoever_reads_on_every_line_is_read_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log.ndjson");
        let lines: Vec<String> = (0..100)
            .map(|at| format!("{{\"ts\":{at},\"method\":\"GET\",\"path\":\"/{at}\"}}\n"))
            .collect();
        let whole = lines.concat();
        std::fs::write(&path, &whole).unwrap();
        let spec = SourceSpec::File { path: path.clone(), format: None };
        let name = spec.name();
        let file = [(name.as_str(), spec.divisible().unwrap())];
        assert_eq!(file[0].1, Some(whole.len() as u64));

        // One process has read 10 lines; then three read, and only the first gets to an end.
        let offset = lines[..10].concat().len() as u64;
        let row =
            SourceRow { checkpoint: offset.to_le_bytes().into(), offset, ..SourceRow::default() };
        let first = [standing(&file, &[(&name, row)]), standing(&file, &[]), standing(&file, &[])];
        let read = |process: usize, standings: &[Standing]| {
            let told = Told { process, standings };
            let reading = divide(vec![spec.clone().into()], &told).unwrap().remove(0);
            let text = text(&mut *open(&reading.spec, 0, &Stop::default()).unwrap());
            (reading.row, text)
        };
        let parts: Vec<_> = (0..3).map(|process| read(process, &first)).collect();
        let together: String = parts.iter().map(|(_, (text, _))| text.as_str()).collect();
        assert_eq!(together, lines[10..].concat());
        assert!(parts.iter().all(|(_, (text, _))| text.lines().count() > 20), "all get a share");

        // The next time one process alone reads what the others left.
        let row = SourceRow { checkpoint: parts[0].1.1.clone(), ..SourceRow::default() };
        let alone = [standing(&file, &[(&name, row)])];
        let (row, (rest, checkpoint)) = read(0, &alone);
        assert!(!row.ended);
        assert_eq!(rest, parts[1].1.0.clone() + &parts[2].1.0);
        // And then there is nothing left.
        let row = SourceRow { checkpoint, ..SourceRow::default() };
        let (row, (rest, _)) = read(0, &[standing(&file, &[(&name, row)])]);
        assert!(row.ended && rest.is_empty());
    }

    #[test]
    fn what_cannot_be_divided_is_read_by_the_first_that_has_it() {
        let spec = || SourceSpec::File { path: "log.gz".into(), format: None };
        let file = [("log.gz", None)];
        let row = |offset: u64, ended| SourceRow { offset, ended, ..SourceRow::default() };
        let standings = [
            standing(&[], &[("log.gz", row(7, false))]),
            standing(&file, &[]),
            standing(&file, &[("log.gz", row(3, false))]),
        ];
        let of = |process| {
            divide(vec![spec().into()], &Told { process, standings: &standings }).unwrap()
        };
        assert_eq!(of(1)[0].row.offset, 7, "behind what anybody has read");
        assert!(of(2).is_empty());
        let other = [standing(&[("log.gz", Some(1))], &[]), standing(&file, &[])];
        let refused =
            divide(vec![spec().into()], &Told { process: 1, standings: &other }).unwrap_err();
        assert!(refused.to_string().contains("not the same file"), "{refused}");
    }

    #[test]
    fn a_name_says_whose_a_source_is_only_as_it_is_given() {
        for name in ["push", "log@0", "log@01", "log@", "log@x", "@1x"] {
            assert_eq!(owner(name), None, "{name}");
        }
        assert_eq!(owner("a@1@12"), Some(12));
    }

    #[test]
    fn a_followed_file_is_the_own_one_of_its_process() {
        let standings = [Standing::default(), Standing::default()];
        let spec = SourceSpec::Follow { path: "live.log".into(), format: None };
        for (process, name) in [(0, "live.log"), (1, "live.log@1")] {
            let told = Told { process, standings: &standings };
            let reading = divide(vec![spec.clone().into()], &told).unwrap();
            assert_eq!(reading[0].name, name);
            assert_eq!(owner(name), (process > 0).then_some(process));
        }
    }
}
