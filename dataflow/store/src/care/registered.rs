//! What others keep in a store, as the tools of a store see it.
//!
//! The store keeps bytes for the engine under names the engine chose: where each source is, answers
//! that are remembered, values of its own. A row that nobody decodes is a row that nobody checks, so
//! whoever keeps such rows registers how they are read, and hands that to [`super::check`] and
//! [`super::salvage`]. The store itself knows no engine, cluster or source.

use super::super::StoreError;

/// How the rows that others keep in a store are read. Each answers [`StoreError::Damaged`] for a row
/// that the program does not write, be it readable or not.
pub trait KeptRows {
    /// Where a source is: `name` and row as given to [`crate::Commit::sources`].
    ///
    /// # Errors
    /// [`StoreError::Damaged`].
    fn source(&self, name: &str, row: &[u8]) -> Result<(), StoreError>;

    /// A remembered answer, as given to [`crate::Commit::answers`].
    ///
    /// # Errors
    /// [`StoreError::Damaged`].
    fn answer(&self, answer: &[u8]) -> Result<(), StoreError>;

    /// A named value, as given to [`crate::Commit::blobs`]. An unknown name is an error.
    ///
    /// # Errors
    /// [`StoreError::Damaged`].
    fn value(&self, name: &str, value: &[u8]) -> Result<(), StoreError>;
}
