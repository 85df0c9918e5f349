//! The tools of a store with what the engine keeps in it: what it says, whether it is whole, what of
//! a damaged one can be saved.
//!
//! The store itself decodes only what is its own; [`Kept`] is what the engine registers with it:
//! where sources are, remembered answers, and the values named in `keys.rs`.

mod info;
mod kept;
#[cfg(test)]
mod tests;

use std::path::Path;

use spoor_store::StoreError;
use spoor_store::care::{self, CheckReport, Salvaged, Watch};

pub use info::{Info, SourceInfo, info};
pub use kept::Kept;

/// Checks a store that is not in use, or a backup: every row, the engine's among them.
///
/// # Errors
/// [`StoreError::InUse`], [`StoreError::NotAStore`]. Whatever is damaged is in the report.
pub fn check(directory: &Path, watch: Watch<'_>) -> Result<CheckReport, StoreError> {
    care::check(directory, &Kept, watch)
}

/// Writes the last whole epoch of a store that is not in use to a new directory.
///
/// # Errors
/// [`StoreError::Damaged`] when there is no whole epoch, [`StoreError::InUse`],
/// [`StoreError::NotEmpty`], failed writes.
pub fn salvage(directory: &Path, to: &Path, watch: Watch<'_>) -> Result<Salvaged, StoreError> {
    care::salvage(directory, to, &Kept, watch)
}
