//! Answers that are remembered, so that a repeated push or mutation is harmless.
//!
//! An answer is committed with the epoch it is about, under a hash of its key, and with a hash of
//! what the key was used for: the same key with another body or edit is a mistake that must not
//! pass for a repeat. Of a change of rules only the epoch is kept besides. Answers of pushes from
//! before bodies were hashed have no hash and answer any repeat.

use serde::{Deserialize, Serialize};
use spoor_operators::time::Epoch;

use spoor_api::service::PushAnswer;

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

/// What is remembered of a push.
#[derive(Debug, Serialize, Deserialize)]
pub struct Pushed {
    #[serde(flatten)]
    answer: PushAnswer,
    /// Hash of the body and its format, in hex.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    content: Option<String>,
}

/// What is remembered of a push with this [`spoor_api::service::Push::content_hash`].
#[must_use]
pub fn pushed(answer: &PushAnswer, content: [u8; 32]) -> Vec<u8> {
    let content = Some(blake3::Hash::from_bytes(content).to_hex().to_string());
    let pushed = Pushed { answer: answer.clone(), content };
    serde_json::to_vec(&pushed).expect("an answer is plain data")
}

/// The answer of a remembered push; none when its key was used for another body.
///
/// # Errors
/// It is none.
pub fn read_pushed(
    answer: &[u8],
    content: [u8; 32],
) -> Result<Option<PushAnswer>, serde_json::Error> {
    let pushed: Pushed = serde_json::from_slice(answer)?;
    let content = blake3::Hash::from_bytes(content).to_hex();
    let same = pushed.content.is_none_or(|known| known == content.as_str());
    Ok(same.then_some(pushed.answer))
}

/// Whether it is an answer that may be remembered, of either kind.
#[must_use]
pub fn is_answer(answer: &[u8]) -> bool {
    let is_change = answer.len() == size_of::<u64>() + blake3::OUT_LEN;
    is_change || serde_json::from_slice::<Pushed>(answer).is_ok()
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
    fn a_push_is_remembered_with_what_was_pushed() {
        let answer = PushAnswer { epoch: 7, ..PushAnswer::default() };
        let kept = pushed(&answer, [1; 32]);
        assert!(is_answer(&kept));
        assert_eq!(read_pushed(&kept, [1; 32]).unwrap(), Some(answer.clone()));
        assert_eq!(read_pushed(&kept, [2; 32]).unwrap(), None);
        // As it was kept once.
        let old = serde_json::to_vec(&answer).unwrap();
        assert_eq!(read_pushed(&old, [2; 32]).unwrap(), Some(answer));
        assert!(read_pushed(b"{}", [0; 32]).is_err());
    }

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
