//! The default codec: sessions as the rows they are stored as, then the explicit ids.
//!
//! Nothing in it is unsafe, and bytes that pass the frame's check by chance are still read with
//! every check a stored row is read with.

use std::sync::Arc;

use super::frame::Seal;
use super::{CodecError, HotCodec, HotDay};
use crate::session::Session;
use crate::sessionize::backend::{DayKey, IdSet, Sessions};
use crate::wire::{Malformed, Reader, put_u64};

/// Sessions as rows.
#[derive(Clone, Copy, Debug)]
pub struct Rows {
    seal: Seal,
}

impl Default for Rows {
    fn default() -> Self {
        Self { seal: Seal::new(*b"rows   1", 0) }
    }
}

/// The ids are not known.
const NO_IDS: u64 = 0;

impl HotCodec for Rows {
    fn encode(&self, key: DayKey, day: &HotDay, out: &mut Vec<u8>) {
        self.seal.write(key, out, |out| {
            put_u64(out, day.sessions.len() as u64);
            let mut row = Vec::new();
            for session in &day.sessions {
                row.clear();
                session.encode(&mut row);
                put_u64(out, row.len() as u64);
                out.extend_from_slice(&row);
            }
            put_u64(out, day.ids.as_ref().map_or(NO_IDS, |ids| ids.len() as u64 + 1));
            for (id, print) in day.ids.iter().flat_map(IdSet::iter) {
                out.extend_from_slice(&id.to_le_bytes());
                out.extend_from_slice(&print.to_le_bytes());
            }
        });
    }

    fn decode(&self, key: DayKey, bytes: &[u8]) -> Result<HotDay, CodecError> {
        let mut from = Reader(self.seal.open(key, bytes)?);
        let mut sessions = Sessions::new();
        for _ in 0..from.u64()? {
            sessions.push(Arc::new(Session::decode(from.block()?)?));
        }
        let ids = match from.u64()? {
            NO_IDS => None,
            more => {
                let mut ids = IdSet::default();
                for _ in 1..more {
                    ids.extend([(from.fixed_u64()?, from.fixed_u64()?)]);
                }
                Some(ids)
            }
        };
        if from.is_empty() {
            Ok(HotDay { sessions, ids })
        } else {
            Err(Malformed("bytes after an identity-day").into())
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::tests::{check_refusals, check_round_trip, day};
    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn an_identity_day_comes_back(day in day()) {
            check_round_trip(&Rows::default(), &day)?;
        }
    }

    #[test]
    fn damage_and_what_is_anothers_is_refused() {
        check_refusals(&Rows::default(), true);
    }
}
