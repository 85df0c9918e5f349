//! Answers that are remembered, so that a repeated push or mutation is harmless.
//!
//! An answer is committed with the epoch it is about, under a hash of its key. That of a push is
//! the answer itself; that of a change of rules is the epoch and the edit, because the same key
//! with another edit is a mistake that must not pass for a repeat.

use spoor_operators::time::Epoch;

use crate::service::PushAnswer;

/// Where the answer of a push with this key is kept.
#[must_use]
pub fn push_key(key: &str) -> [u8; 16] {
    hashed("push", key)
}

/// Where the answer of a change of rules with this key is kept.
#[must_use]
pub fn change_key(key: &str) -> [u8; 16] {
    hashed("change", key)
}

fn hashed(kind: &str, key: &str) -> [u8; 16] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(kind.as_bytes()).update(&[0]).update(key.as_bytes());
    let mut hash = [0; 16];
    hash.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    hash
}

/// What is remembered of a change of rules.
#[must_use]
pub fn change(epoch: Epoch, edit: &[u8]) -> Vec<u8> {
    let mut answer = epoch.0.to_be_bytes().to_vec();
    answer.extend_from_slice(blake3::hash(edit).as_bytes());
    answer
}

/// Whether it is an answer that may be remembered, of either kind.
#[must_use]
pub fn is_answer(answer: &[u8]) -> bool {
    let is_change = answer.len() == size_of::<u64>() + blake3::OUT_LEN;
    is_change || serde_json::from_slice::<PushAnswer>(answer).is_ok()
}

/// The epoch of a remembered change, and whether it was this edit.
#[must_use]
pub fn read_change(answer: &[u8], edit: &[u8]) -> Option<(Epoch, bool)> {
    let (epoch, hash) = answer.split_at_checked(8)?;
    let epoch = u64::from_be_bytes(epoch.try_into().ok()?);
    Some((Epoch(epoch), hash == blake3::hash(edit).as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_belongs_to_one_kind_and_one_edit() {
        assert_ne!(push_key("a"), change_key("a"));
        let answer = change(Epoch(7), b"edit");
        assert_eq!(read_change(&answer, b"edit"), Some((Epoch(7), true)));
        assert_eq!(read_change(&answer, b"other"), Some((Epoch(7), false)));
        assert_eq!(read_change(b"short", b""), None);
        assert!(is_answer(&answer) && !is_answer(&answer[1..]) && !is_answer(b"{}"));
        assert!(is_answer(&serde_json::to_vec(&PushAnswer::default()).unwrap()));
    }
}
