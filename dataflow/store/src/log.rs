//! Blocks of the request log: the requests one identity-day got in one epoch, in arrival order.
//!
//! A block is its requests in their stored form, each with its length before it. Keys order blocks
//! by epoch, so an identity-day's blocks one after another are its requests in arrival order.

use bytes::Bytes;
use spoor_operators::request::STORED_VERSION;
use spoor_operators::time::EventTime;
use spoor_operators::wire::{Malformed, Reader, put_u64};

/// Appends a request to a block.
pub(super) fn push(block: &mut Vec<u8>, stored: &[u8]) {
    put_u64(block, stored.len() as u64);
    block.extend_from_slice(stored);
}

/// The requests of a block, as slices of it.
pub(super) fn split(block: &Bytes, into: &mut Vec<Bytes>) -> Result<(), Malformed> {
    let mut from = Reader(block);
    while !from.is_empty() {
        let stored = from.block()?;
        into.push(block.slice_ref(stored));
    }
    Ok(())
}

/// The number of requests in a block.
pub(super) fn count(block: &[u8]) -> Result<u64, Malformed> {
    let (mut from, mut requests) = (Reader(block), 0);
    while !from.is_empty() {
        from.block()?;
        requests += 1;
    }
    Ok(requests)
}

/// Time, id and whether the id is explicit, of a stored request: what ordering and duplicates need,
/// without decoding the rest.
///
/// # Errors
/// [`Malformed`] when the bytes are no stored request, as far as they were read.
pub fn peek(stored: &[u8]) -> Result<(EventTime, &str, bool), Malformed> {
    const EXPLICIT_ID: u8 = 1;
    const HAS_DURATION: u8 = 4;
    let mut from = Reader(stored);
    if from.u8()? != STORED_VERSION {
        return Err(Malformed("unknown version of a stored request"));
    }
    let flags = from.u8()?;
    let ts = EventTime(from.i64()?);
    let numbers = if flags & HAS_DURATION != 0 { 4 } else { 3 };
    for _ in 0..numbers {
        from.u64()?;
    }
    Ok((ts, from.str()?, flags & EXPLICIT_ID != 0))
}

/// The hash under which a request's id is indexed.
pub(super) fn id_hash(id: &str) -> u64 {
    xxhash_rust::xxh3::xxh3_64(id.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use spoor_operators::request::Request;

    proptest! {
        #[test]
        fn a_peek_sees_what_decoding_sees(
            ts: i64, id in ".{0,12}", explicit_id: bool, status: u16, duration_ns: Option<u64>,
        ) {
            let request = Request {
                ts: EventTime(ts),
                id: id.as_str().into(),
                explicit_id,
                status,
                duration_ns,
                ..Request::default()
            };
            let mut stored = Vec::new();
            request.encode(&mut stored);
            prop_assert_eq!(peek(&stored), Ok((EventTime(ts), id.as_str(), explicit_id)));
            let mut block = Vec::new();
            push(&mut block, &stored);
            push(&mut block, b"");
            prop_assert_eq!(count(&block), Ok(2));
            let mut read = Vec::new();
            split(&block.clone().into(), &mut read).unwrap();
            prop_assert_eq!(&read, &[Bytes::from(stored), Bytes::new()]);
            block.truncate(block.len() - 2);
            prop_assert!(count(&block).is_err());
        }

        #[test]
        fn no_bytes_make_a_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = (peek(&bytes).is_ok(), count(&bytes), split(&bytes.into(), &mut Vec::new()));
        }
    }
}
