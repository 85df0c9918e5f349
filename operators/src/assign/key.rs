//! What assignment is given besides the rules: the key of secret hashes, and the applications.
//!
//! The key is configured, or made once per store. It decides how secret values are shown, so it
//! must never be printed, and two stores agree on hashed identities only when they share it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Key of the hashes that stand for secret values, and of those of request ids.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretKey(pub [u8; 32]);

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(..)")
    }
}

/// Name of the application of a request that no [`AppRule`] matches.
pub const DEFAULT_APP: &str = "default";

/// Which application a request belongs to when the record does not say: the first rule that
/// matches, else [`DEFAULT_APP`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Applications {
    /// In order.
    pub rules: Vec<AppRule>,
}

/// One entry of `[[applications]]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AppRule {
    /// The application's name.
    pub name: String,
    /// Globs over the host, case not told apart; empty: all.
    #[serde(default)]
    pub hosts: Vec<String>,
    /// Globs over the raw path, `*` within a segment; empty: all.
    #[serde(default)]
    pub paths: Vec<String>,
}
