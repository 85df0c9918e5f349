//! Lists as of one epoch: where a list is read goes with each of its cursors.
//!
//! The first page of a list is read at the newest epoch, the pages after it at the same one while
//! the engine keeps that. When it no longer does, the list goes on at the newest epoch, and that
//! page and all after it say so.

use async_graphql::Context;
use spoor_api::lineage::{EpochToken, Lineage};
use spoor_api::service::{ServiceError, View};
use spoor_operators::time::Epoch;

use super::operation::{Operation, Snapshot};
use crate::error::ApiError;

/// The epoch a list is read at, as its cursors say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListEpoch {
    token: EpochToken,
    /// The list had to go on at another epoch than it began with.
    moved: bool,
}

impl ListEpoch {
    /// As it stands in a cursor; has no `:`.
    #[must_use]
    pub fn encode(&self) -> String {
        format!("{}{}", self.token, if self.moved { "~" } else { "" })
    }

    /// Reads what [`ListEpoch::encode`] wrote.
    #[must_use]
    pub fn decode(text: &str) -> Option<Self> {
        let (token, moved) = text.strip_suffix('~').map_or((text, false), |token| (token, true));
        Some(Self { token: token.parse().ok()?, moved })
    }

    /// The epoch, and the store it is of.
    #[must_use]
    pub fn token(&self) -> EpochToken {
        self.token
    }
}

/// Where a page was read.
#[derive(Clone)]
pub struct ReadAt {
    /// The view it is of.
    pub at: Snapshot,
    /// For its cursors.
    pub list: ListEpoch,
}

impl ReadAt {
    fn new(at: &Snapshot, lineage: &Lineage, moved: bool) -> Self {
        let list = ListEpoch { token: lineage.token(at.view().epoch()), moved };
        Self { at: at.clone(), list }
    }

    /// The epoch of the page.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.list.token.epoch
    }

    /// Whether the list is as of one epoch up to here.
    #[must_use]
    pub fn is_consistent(&self) -> bool {
        !self.list.moved
    }
}

/// What a page says of those that follow.
pub trait Page {
    /// Whether another page follows.
    fn has_next(&self) -> bool;
}

/// Reads a page at the epoch `list` names, if that is still kept and not before `at_least` or the
/// epoch the request asks for; otherwise at `newest`. If another page follows, the epoch is kept.
pub async fn read<T: Page + Send + 'static>(
    ctx: &Context<'_>,
    newest: &Snapshot,
    list: Option<ListEpoch>,
    at_least: Epoch,
    page: impl Fn(&dyn View) -> Result<T, ServiceError> + Clone + Send + 'static,
) -> Result<(T, ReadAt), ApiError> {
    let page = move |view: &dyn View| {
        let found = page(view)?;
        if found.has_next() {
            view.keep_for_list();
        }
        Ok(found)
    };
    let operation = Operation::of(ctx)?;
    let at_least = at_least.max(operation.epoch_of(None)?);
    let lineage = operation.services().feed.lineage();
    let known = list.and_then(|list| Some((list.moved, lineage.epoch_of(list.token)?)));
    if let Some((moved, epoch)) = known.filter(|(_, epoch)| *epoch >= at_least)
        && let Some(at) = operation.kept(epoch).await?
    {
        let page = page.clone();
        let found = at.scan(move |view| match page(view) {
            Ok(found) => Ok(Some(found)),
            Err(ServiceError::Gone(_)) => Ok(None),
            Err(error) => Err(error),
        });
        if let Some(found) = found.await? {
            return Ok((found, ReadAt::new(&at, &lineage, moved)));
        }
    }
    let found = newest.scan(page).await?;
    Ok((found, ReadAt::new(newest, &lineage, list.is_some())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_epoch_of_a_list_comes_back() {
        for moved in [false, true] {
            let token = "5f0c3a9be1d24477-7".parse().unwrap();
            let list = ListEpoch { token, moved };
            assert_eq!(ListEpoch::decode(&list.encode()), Some(list));
        }
        for bad in ["", "~", "x", "7", "5f0c3a9be1d24477-7~~"] {
            assert_eq!(ListEpoch::decode(bad), None);
        }
    }
}
