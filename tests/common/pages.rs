//! Pages of the documentation, taken apart: their fenced blocks and the rows of their tables.

use std::path::PathBuf;

/// A file of the repository.
pub fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// Its text.
pub fn page(name: &str) -> String {
    std::fs::read_to_string(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The fenced blocks of a language, in order.
pub fn blocks(page: &str, language: &str) -> Vec<String> {
    let begin = format!("```{language}\n");
    let block = |part: &str| part.split("\n```").next().unwrap_or_default().to_owned();
    page.split(&begin).skip(1).map(block).collect()
}

/// The cells of a page's table rows, without headings.
pub fn rows(page: &str) -> Vec<Vec<String>> {
    let cells = |line: &str| -> Vec<String> {
        let line = line.replace("\\|", "\u{1}");
        let cells = line.trim_matches('|').split(" | ");
        cells.map(|cell| cell.replace('\u{1}', "|").trim().to_owned()).collect()
    };
    let lines: Vec<&str> = page.lines().collect();
    let is_row = |at: usize| {
        lines[at].starts_with("| ")
            && !lines[at].starts_with("| ---")
            && !lines.get(at + 1).is_some_and(|next| next.starts_with("| ---"))
    };
    (0..lines.len()).filter(|at| is_row(*at)).map(|at| cells(lines[at])).collect()
}
