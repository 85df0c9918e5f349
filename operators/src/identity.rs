//! Identities: who a session belongs to, and the ids derived from them.
//!
//! An identity is `(namespace, value)`, with an app or host where the grouping key says so. Its id
//! is a cryptographic 128-bit hash of exactly that, so it is the same in every run, on every
//! machine, and nobody can craft a request that falls into another's session. The same hash
//! chooses the virtual partition, the worker and the hash-table slot.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::time::EventTime;

/// Number of virtual partitions. Part of every store's format: never change it.
pub const PARTITIONS: u16 = 1024;

/// 128-bit hash of an identity, shown as 32 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct IdentityId(pub u128);

/// What an id that does not parse is answered with.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
pub enum IdError {
    /// Not 32 lower-case hex digits.
    #[error("an identity id is 32 hex digits")]
    Identity,
    /// Not `<identity id>.<start in ms>`.
    #[error("a session id is `<identity id>.<start, ms since the epoch>`")]
    Session,
}

impl IdentityId {
    /// The id of `(namespace, value)`, qualified by an app or host when the key is per app or host.
    #[must_use]
    pub fn of(namespace: &str, value: &str, qualifier: &str) -> Self {
        let mut hasher = blake3::Hasher::new();
        for part in [namespace, value, qualifier] {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part.as_bytes());
        }
        let mut id = [0; 16];
        id.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
        Self(u128::from_be_bytes(id))
    }

    /// The virtual partition: the identity's leading bits, so keys in a partition sort by identity.
    #[must_use]
    pub fn partition(self) -> u16 {
        (self.0 >> 118) as u16
    }

    /// The pseudo-identity under which a request that is in no session is retained: spread over
    /// the partitions by `spread`, and impossible as a real identity but with chance 2^-118.
    #[must_use]
    pub fn unassigned(spread: u64) -> Self {
        Self(u128::from(spread >> 54) << 118)
    }

    /// Whether this is a pseudo-identity of [`IdentityId::unassigned`].
    #[must_use]
    pub fn is_unassigned(self) -> bool {
        self.0 << 10 == 0
    }
}

impl fmt::Display for IdentityId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for IdentityId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for IdentityId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        if text.len() != 32 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(IdError::Identity);
        }
        u128::from_str_radix(text, 16).map(Self).map_err(|_| IdError::Identity)
    }
}

/// `<identity id>.<start>`: names the session of that identity that *contains* the instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SessionId {
    /// Whose session.
    pub identity: IdentityId,
    /// Its first request's time, when the id was made.
    pub start: EventTime,
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.identity, self.start.0)
    }
}

impl FromStr for SessionId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let (identity, start) = text.split_once('.').ok_or(IdError::Session)?;
        let start = start.parse().map_err(|_| IdError::Session)?;
        let identity = identity.parse().map_err(|_| IdError::Session)?;
        Ok(Self { identity, start: EventTime(start) })
    }
}

/// An identity in words: what its id is the hash of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Identity {
    /// Hash of the three fields below.
    pub id: IdentityId,
    /// Namespace of the grouping key that decided.
    pub namespace: Arc<str>,
    /// The value, or its keyed hash (32 hex digits) when the key is secret.
    pub value: Arc<str>,
    /// App or host for keys that are `per` one of them, else empty.
    pub qualifier: Arc<str>,
    /// From the client address alone, or with the user agent.
    pub weak: bool,
    /// The value is a keyed hash.
    pub secret: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_the_same_in_every_run_and_parse_back() {
        let id = IdentityId::of("session-id", "abc", "");
        assert_eq!(id, IdentityId::of("session-id", "abc", ""));
        assert_ne!(id, IdentityId::of("session-ida", "bc", ""));
        assert_ne!(id, IdentityId::of("session-id", "abc", "shop"));
        assert_eq!(id.to_string().parse(), Ok(id));
        let session = SessionId { identity: id, start: EventTime(-5) };
        assert_eq!(session.to_string().parse(), Ok(session));
        assert!(id.partition() < PARTITIONS);
        assert!(!id.is_unassigned());
        assert!(IdentityId::unassigned(u64::MAX).is_unassigned());
        assert_eq!(IdentityId::unassigned(u64::MAX).partition(), PARTITIONS - 1);
        for bad in ["", ".", "12.5", "zz.1", &"1".repeat(33)] {
            assert!(bad.parse::<SessionId>().is_err(), "{bad}");
        }
    }
}
