//! Pages of the Relay connections: how many, where from, and what a page costs.

use async_graphql::SimpleObject;

use super::lists::ReadAt;
use super::operation::bad;
use super::scalars::Long;
use crate::error::ApiError;

/// Entries of a page unless asked otherwise.
pub const PAGE_DEFAULT: usize = 20;
/// Most entries of a page.
pub const PAGE_MAX: usize = 200;

/// Where a page lies in its list.
#[derive(Clone, Debug, SimpleObject)]
pub struct PageInfo {
    /// More entries follow.
    pub has_next_page: bool,
    /// Entries precede; lists are only read forwards, so this says whether `after` was given.
    pub has_previous_page: bool,
    /// Cursor of the first entry.
    pub start_cursor: Option<String>,
    /// Cursor of the last entry: give it as `after` for the next page.
    pub end_cursor: Option<String>,
    /// The committed epoch the page is read at.
    pub epoch: Long,
    /// The pages of the list up to this one are all as of one epoch: none of them misses or repeats
    /// an entry. The epoch a list begins at is kept while it is read on: for two minutes after a
    /// page, ten minutes in all, less when very much is written or very many lists are read. After
    /// that the list goes on at the newest epoch, and this is false from there to its end.
    pub consistent: bool,
}

impl PageInfo {
    /// Of a page with these cursors.
    #[must_use]
    pub fn new(has_next: bool, after: bool, cursors: &[String], read: &ReadAt) -> Self {
        Self {
            has_next_page: has_next,
            has_previous_page: after,
            start_cursor: cursors.first().cloned(),
            end_cursor: cursors.last().cloned(),
            epoch: read.epoch().0.into(),
            consistent: read.is_consistent(),
        }
    }
}

/// Checks `first`.
pub fn size(first: Option<i32>) -> Result<usize, ApiError> {
    bounded("first", first, PAGE_DEFAULT, PAGE_MAX)
}

/// Checks a number of entries, the argument `name`, against a bound of its own.
pub fn bounded(
    name: &str,
    given: Option<i32>,
    default: usize,
    most: usize,
) -> Result<usize, ApiError> {
    let Some(given) = given else { return Ok(default) };
    match usize::try_from(given) {
        Ok(entries) if entries <= most => Ok(entries),
        _ => Err(bad(format!("`{name}` is {given}; it must be from 0 to {most}"))),
    }
}

/// Cost of a list: that of its selection for each entry of the page.
#[must_use]
pub fn cost(first: Option<i32>, below: usize) -> usize {
    cost_of(first, PAGE_DEFAULT, PAGE_MAX, below)
}

/// Cost of a list with a bound of its own.
#[must_use]
pub fn cost_of(first: Option<i32>, default: usize, most: usize, below: usize) -> usize {
    let entries = first.and_then(|first| usize::try_from(first).ok()).unwrap_or(default);
    1 + entries.clamp(1, most).saturating_mul(below)
}
