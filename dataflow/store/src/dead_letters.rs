//! Refused records: a numbered list of which the newest [`DEAD_LETTERS_KEPT`] are kept.

use rocksdb::{ColumnFamily, WriteBatch};
use spoor_operators::time::Epoch;
use spoor_operators::wire::{Malformed, Reader, put_str, put_u64};

use super::limits::DEAD_LETTERS_KEPT;
use super::options::KeptOfRefused;
use spoor_api::codes::RefusalCode;
use spoor_api::query::DeadLetter;

/// Key of a dead letter.
pub(super) fn key(sequence: u64) -> [u8; 8] {
    sequence.to_be_bytes()
}

/// Appends letters to the list (their sequence numbers are given here) and drops the oldest beyond
/// what is kept. `kept` is the range of sequence numbers of the list; `text`: what stays of the
/// records themselves.
pub(super) fn append(
    batch: &mut WriteBatch,
    cf: &ColumnFamily,
    kept: &mut (u64, u64),
    letters: &[DeadLetter],
    text: KeptOfRefused,
) {
    let surplus = letters.len().saturating_sub(DEAD_LETTERS_KEPT as usize);
    for letter in &letters[surplus..] {
        batch.put_cf(cf, key(kept.1), encode(letter, text));
        kept.1 += 1;
    }
    while kept.1 - kept.0 > DEAD_LETTERS_KEPT {
        batch.delete_cf(cf, key(kept.0));
        kept.0 += 1;
    }
}

/// Drops all that are kept; their sequence numbers are not given again.
pub(super) fn drop_all(batch: &mut WriteBatch, cf: &ColumnFamily, kept: &mut (u64, u64)) {
    (kept.0..kept.1).for_each(|sequence| batch.delete_cf(cf, key(sequence)));
    kept.0 = kept.1;
}

fn encode(letter: &DeadLetter, text: KeptOfRefused) -> Vec<u8> {
    let mut out = Vec::with_capacity(64 + letter.raw.len());
    put_str(&mut out, &letter.source);
    put_u64(&mut out, letter.offset);
    put_str(&mut out, letter.code.as_str());
    put_str(&mut out, &letter.reason);
    put_u64(&mut out, letter.epoch.0);
    if text == KeptOfRefused::Masked {
        out.extend_from_slice(&letter.raw);
    }
    out
}

/// Reads one entry of the list.
pub(super) fn decode(key: &[u8], value: &[u8]) -> Result<DeadLetter, Malformed> {
    let sequence = key.try_into().map_err(|_| Malformed("key of a dead letter"))?;
    let mut from = Reader(value);
    Ok(DeadLetter {
        sequence: u64::from_be_bytes(sequence),
        process: 0,
        source: from.str()?.into(),
        offset: from.u64()?,
        code: RefusalCode::read(from.str()?),
        reason: from.str()?.into(),
        epoch: Epoch(from.u64()?),
        raw: from.0.to_vec(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_comes_back_and_truncations_are_errors() {
        let letter = DeadLetter {
            sequence: 7,
            process: 0,
            source: "access.log".into(),
            offset: 12,
            code: RefusalCode::BadJson,
            reason: "not an object".into(),
            raw: b"\xff{".to_vec(),
            epoch: Epoch(3),
        };
        let bytes = encode(&letter, KeptOfRefused::Masked);
        assert_eq!(decode(&key(7), &bytes).as_ref(), Ok(&letter));
        let nothing = encode(&letter, KeptOfRefused::Nothing);
        let without = DeadLetter { raw: Vec::new(), ..letter };
        assert_eq!(decode(&key(7), &nothing), Ok(without));
        assert!(decode(&key(7), &bytes[..8]).is_err());
        assert!(decode(b"", &bytes).is_err());
    }
}
