//! Global ids and cursors: opaque to clients, typed and checked here.

use async_graphql::ID;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use spoor_dataflow::lineage::{EpochToken, Lineage};
use spoor_dataflow::query::{Cursor, LetterPlace, Order, Statistic};
use spoor_operators::identity::{IdentityId, SessionId};
use spoor_operators::time::EventTime;

use super::operation::bad;
use crate::error::ApiError;

/// What a global id names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GlobalId {
    /// A session.
    Session(SessionId),
    /// An identity.
    Identity(IdentityId),
    /// A request, by its id, of a session.
    Request(SessionId, String),
}

impl GlobalId {
    /// The id as clients see it.
    #[must_use]
    pub fn encode(&self) -> ID {
        let text = match self {
            Self::Session(id) => format!("Session:{id}"),
            Self::Identity(id) => format!("Identity:{id}"),
            Self::Request(session, id) => format!("Request:{session}:{id}"),
        };
        ID(URL_SAFE_NO_PAD.encode(text))
    }

    /// Reads an id a client gave back.
    #[must_use]
    pub fn decode(id: &str) -> Option<Self> {
        let text = decode(id)?;
        let (kind, rest) = text.split_once(':')?;
        match kind {
            "Session" => rest.parse().ok().map(Self::Session),
            "Identity" => rest.parse().ok().map(Self::Identity),
            "Request" => {
                let (session, id) = rest.split_once(':')?;
                Some(Self::Request(session.parse().ok()?, id.into()))
            }
            _ => None,
        }
    }
}

/// A session's id, global or `<identity>.<start>`.
pub fn session_id(id: &str) -> Result<SessionId, ApiError> {
    match GlobalId::decode(id) {
        Some(GlobalId::Session(id)) => Ok(id),
        _ => id.parse().map_err(|error| bad(format!("`{id:.80}`: {error}, or a global id"))),
    }
}

/// An identity's id, global or 32 hex digits.
pub fn identity_id(id: &str) -> Result<IdentityId, ApiError> {
    match GlobalId::decode(id) {
        Some(GlobalId::Identity(id)) => Ok(id),
        _ => id.parse().map_err(|error| bad(format!("`{id:.80}`: {error}, or a global id"))),
    }
}

/// A position in a list of sessions: only good in the order it was made in.
#[must_use]
pub fn session_cursor(order: Order, cursor: &Cursor) -> String {
    let bits = cursor.value.to_bits();
    URL_SAFE_NO_PAD.encode(format!("s1:{}:{bits:x}:{}", order_tag(order), cursor.id))
}

/// Reads a position in a list of sessions.
pub fn read_session_cursor(order: Order, cursor: &str) -> Result<Cursor, ApiError> {
    let read = || {
        let text = decode(cursor)?;
        let mut parts = text.splitn(4, ':');
        let known = parts.next()? == "s1" && parts.next()? == order_tag(order);
        let value = f64::from_bits(u64::from_str_radix(parts.next()?, 16).ok()?);
        let id = parts.next()?.parse().ok()?;
        known.then_some(Cursor { value, id })
    };
    read().ok_or_else(|| bad("`after` is no cursor of this order"))
}

fn order_tag(order: Order) -> String {
    format!("{:?}{}", order.by, if order.descending { '-' } else { '+' })
}

/// A position among a session's requests.
#[must_use]
pub fn request_cursor(ts: EventTime, id: &str) -> String {
    URL_SAFE_NO_PAD.encode(format!("r1:{}:{id}", ts.0))
}

/// Reads a position among a session's requests.
pub fn read_request_cursor(cursor: &str) -> Result<(EventTime, String), ApiError> {
    let read = || {
        let text = decode(cursor)?;
        let mut parts = text.splitn(3, ':');
        let known = parts.next()? == "r1";
        let ts = EventTime(parts.next()?.parse().ok()?);
        let id = parts.next()?.to_owned();
        known.then_some((ts, id))
    };
    read().ok_or_else(|| bad("`after` is no cursor of requests"))
}

/// A position among the dead letters.
#[must_use]
pub fn letter_cursor(place: LetterPlace, lineage: &Lineage) -> String {
    let LetterPlace { epoch, process, sequence } = place;
    URL_SAFE_NO_PAD.encode(format!("d3:{}:{process}:{sequence}", lineage.token(epoch)))
}

/// Reads a position among the dead letters.
///
/// # Errors
/// It is no such position, or one among those of another store.
pub fn read_letter_cursor(cursor: &str, lineage: &Lineage) -> Result<LetterPlace, ApiError> {
    let read = || {
        let text = decode(cursor)?;
        let mut parts = text.strip_prefix("d3:")?.splitn(3, ':');
        let token: EpochToken = parts.next()?.parse().ok()?;
        let process: u32 = parts.next()?.parse().ok()?;
        let sequence: u64 = parts.next()?.parse().ok()?;
        Some((token, process, sequence))
    };
    let read = read().ok_or_else(|| bad("`after` is no cursor of dead letters"));
    let (token, process, sequence) = read?;
    let epoch = lineage.epoch_of(token).ok_or(ApiError::UnknownEpoch(token))?;
    Ok(LetterPlace { epoch, process, sequence })
}

fn decode(text: &str) -> Option<String> {
    String::from_utf8(URL_SAFE_NO_PAD.decode(text).ok()?).ok()
}

/// The default order of sessions, by which cursors of other lists are made.
#[must_use]
pub fn by_start() -> Order {
    Order { by: Statistic::Start, descending: true }
}

#[cfg(test)]
mod tests {
    use spoor_dataflow::lineage::OpeningId;
    use spoor_operators::time::Epoch;

    use super::*;

    fn session() -> SessionId {
        SessionId { identity: IdentityId::of("n", "v", ""), start: EventTime(-5) }
    }

    #[test]
    fn ids_and_cursors_come_back_and_others_are_refused() {
        for id in [
            GlobalId::Session(session()),
            GlobalId::Identity(session().identity),
            GlobalId::Request(session(), "a:b/c".into()),
        ] {
            assert_eq!(GlobalId::decode(&id.encode()), Some(id));
        }
        assert_eq!(session_id(&session().to_string()).unwrap(), session());
        let order = Order { by: Statistic::DurationP95Ms, descending: false };
        let cursor = Cursor { value: -1.5, id: session() };
        assert_eq!(read_session_cursor(order, &session_cursor(order, &cursor)).unwrap(), cursor);
        assert!(read_session_cursor(by_start(), &session_cursor(order, &cursor)).is_err());
        let position = (EventTime(7), "x:y".to_owned());
        assert_eq!(
            read_request_cursor(&request_cursor(position.0, &position.1)).unwrap(),
            position
        );
        let (ours, other) = (Lineage::new(OpeningId(1)), Lineage::new(OpeningId(2)));
        let place = LetterPlace { epoch: Epoch(7), process: 2, sequence: 9 };
        let cursor = letter_cursor(place, &ours);
        assert_eq!(read_letter_cursor(&cursor, &ours).unwrap(), place);
        assert!(matches!(read_letter_cursor(&cursor, &other), Err(ApiError::UnknownEpoch(_))));
        for bad in ["", "!", "czE6", "é"] {
            assert!(GlobalId::decode(bad).is_none() && session_id(bad).is_err());
            assert!(read_session_cursor(order, bad).is_err());
            assert!(read_request_cursor(bad).is_err() && read_letter_cursor(bad, &ours).is_err());
        }
    }
}
