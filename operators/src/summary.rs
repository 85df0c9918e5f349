//! The statistics of a session as retractable summaries (SEMANTICS 6).

use serde::{Deserialize, Serialize};

/// Statistics over a set of requests.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Summary {
    /// Requests.
    pub requests: u64,
}
