//! Global ids and cursors: opaque to clients, typed and checked here.

use async_graphql::ID;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use spoor_api::query::{Cursor, LetterPlace, Order, Statistic};
use spoor_operators::identity::{IdentityId, SessionId};
use spoor_operators::time::{Epoch, EventTime};

use super::lists::ListEpoch;
use super::operation::bad;
use crate::error::ApiError;

/// What a global id names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GlobalId {
    /// A session.
    Session(SessionId),
    /// An identity.
    Identity(IdentityId),
    /// A request: whose, when, and its own id. Nothing of it moves with the session it is in.
    Request(IdentityId, EventTime, String),
}

impl GlobalId {
    /// The id as clients see it.
    #[must_use]
    pub fn encode(&self) -> ID {
        let text = match self {
            Self::Session(id) => format!("Session:{id}"),
            Self::Identity(id) => format!("Identity:{id}"),
            Self::Request(identity, ts, id) => format!("Request:{identity}.{}:{id}", ts.0),
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
                let (at, id) = rest.split_once(':')?;
                let SessionId { identity, start } = at.parse().ok()?;
                Some(Self::Request(identity, start, id.into()))
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

/// A place in a list, as a client gave it back.
#[derive(Clone, Debug, PartialEq)]
pub struct After<T> {
    /// Where the list is read.
    pub list: ListEpoch,
    /// Only what comes after this.
    pub place: T,
}

/// Writes a cursor: what kind of list, where it is read, and a place in it.
fn cursor(kind: &str, list: ListEpoch, place: &str) -> String {
    URL_SAFE_NO_PAD.encode(format!("{kind}:{}:{place}", list.encode()))
}

/// Reads a cursor of a kind.
fn read_cursor<T>(
    kind: &str,
    text: &str,
    of: &str,
    place: impl FnOnce(&str) -> Option<T>,
) -> Result<After<T>, ApiError> {
    let read = || {
        let text = decode(text)?;
        let (list, rest) = text.strip_prefix(kind)?.strip_prefix(':')?.split_once(':')?;
        Some(After { list: ListEpoch::decode(list)?, place: place(rest)? })
    };
    read().ok_or_else(|| bad(format!("`after` is not a cursor of {of}")))
}

/// A position in a list of sessions: only good in the order it was made in.
#[must_use]
pub fn session_cursor(order: Order, list: ListEpoch, place: &Cursor) -> String {
    let value = place.value.map_or_else(|| "-".into(), |value| format!("{:x}", value.to_bits()));
    cursor("s2", list, &format!("{}:{value}:{}", order_tag(order), place.id))
}

/// Reads a position in a list of sessions.
pub fn read_session_cursor(order: Order, cursor: &str) -> Result<After<Cursor>, ApiError> {
    read_cursor("s2", cursor, "this order", |place| {
        let (tag, rest) = place.split_once(':')?;
        let (value, id) = rest.split_once(':')?;
        let value = match value {
            "-" => None,
            bits => Some(f64::from_bits(u64::from_str_radix(bits, 16).ok()?)),
        };
        let known = tag == order_tag(order);
        known.then_some(Cursor { value, id: id.parse().ok()? })
    })
}

fn order_tag(order: Order) -> String {
    format!("{:?}{}", order.by, if order.descending { '-' } else { '+' })
}

/// A position among a session's requests.
#[must_use]
pub fn request_cursor(list: ListEpoch, ts: EventTime, id: &str) -> String {
    cursor("r2", list, &format!("{}:{id}", ts.0))
}

/// Reads a position among a session's requests.
pub fn read_request_cursor(cursor: &str) -> Result<After<(EventTime, String)>, ApiError> {
    read_cursor("r2", cursor, "requests", |place| {
        let (ts, id) = place.split_once(':')?;
        Some((EventTime(ts.parse().ok()?), id.to_owned()))
    })
}

/// A position among the dead letters.
#[must_use]
pub fn letter_cursor(list: ListEpoch, place: LetterPlace) -> String {
    let LetterPlace { epoch, process, sequence } = place;
    cursor("d4", list, &format!("{}:{process}:{sequence}", epoch.0))
}

/// Reads a position among the dead letters.
pub fn read_letter_cursor(cursor: &str) -> Result<After<LetterPlace>, ApiError> {
    read_cursor("d4", cursor, "dead letters", |place| {
        let mut parts = place.splitn(3, ':');
        let epoch = Epoch(parts.next()?.parse().ok()?);
        let process = parts.next()?.parse().ok()?;
        let sequence = parts.next()?.parse().ok()?;
        Some(LetterPlace { epoch, process, sequence })
    })
}

/// A position among counted values, the greatest count first: count and value.
pub type CountPlace = (i64, String);

/// A position among the applications of an overview.
#[must_use]
pub fn app_cursor(list: ListEpoch, (requests, app): &CountPlace) -> String {
    cursor("a1", list, &format!("{requests}:{app}"))
}

/// Reads a position among the applications of an overview.
pub fn read_app_cursor(cursor: &str) -> Result<After<CountPlace>, ApiError> {
    read_cursor("a1", cursor, "applications", |place| {
        let (requests, app) = place.split_once(':')?;
        Some((requests.parse().ok()?, app.to_owned()))
    })
}

/// A position among the values of a field of a session that began at an instant then.
#[must_use]
pub fn value_cursor(
    list: ListEpoch,
    field: &str,
    start: EventTime,
    (count, value): &CountPlace,
) -> String {
    cursor("b1", list, &format!("{field}:{}:{count}:{value}", start.0))
}

/// Reads a position among the values of a field.
pub fn read_value_cursor(
    cursor: &str,
    field: &str,
) -> Result<After<(EventTime, CountPlace)>, ApiError> {
    read_cursor("b1", cursor, "this breakdown", |place| {
        let mut parts = place.splitn(4, ':');
        let known = parts.next()? == field;
        let start = EventTime(parts.next()?.parse().ok()?);
        let count = parts.next()?.parse().ok()?;
        let value = parts.next()?.to_owned();
        known.then_some((start, (count, value)))
    })
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
            GlobalId::Request(session().identity, EventTime(-7), "a:b/c".into()),
        ] {
            assert_eq!(GlobalId::decode(&id.encode()), Some(id));
        }
        assert_eq!(session_id(&session().to_string()).unwrap(), session());
        let list = ListEpoch::decode("5f0c3a9be1d24477-7~").unwrap();
        let order = Order { by: Statistic::DurationP95Ms, descending: false };
        for value in [Some(-1.5), None] {
            let place = Cursor { value, id: session() };
            let text = session_cursor(order, list, &place);
            assert_eq!(read_session_cursor(order, &text).unwrap(), After { list, place });
            assert!(read_session_cursor(by_start(), &text).is_err());
        }
        let place = (EventTime(7), "x:y".to_owned());
        let text = request_cursor(list, place.0, &place.1);
        assert_eq!(read_request_cursor(&text).unwrap(), After { list, place });
        assert!(read_letter_cursor(&text).is_err());
        let place = LetterPlace { epoch: Epoch(7), process: 2, sequence: 9 };
        let text = letter_cursor(list, place);
        assert_eq!(read_letter_cursor(&text).unwrap(), After { list, place });
        let place = (-3, "x:y".to_owned());
        let text = app_cursor(list, &place);
        assert_eq!(read_app_cursor(&text).unwrap(), After { list, place: place.clone() });
        let text = value_cursor(list, "Ip", EventTime(-9), &place);
        let place = (EventTime(-9), place);
        assert_eq!(read_value_cursor(&text, "Ip").unwrap(), After { list, place });
        assert!(read_value_cursor(&text, "App").is_err());
        for bad in ["", "!", "czE6", "é"] {
            assert!(GlobalId::decode(bad).is_none() && session_id(bad).is_err());
            assert!(read_session_cursor(order, bad).is_err());
            assert!(read_request_cursor(bad).is_err() && read_letter_cursor(bad).is_err());
            assert!(read_app_cursor(bad).is_err() && read_value_cursor(bad, "Ip").is_err());
        }
    }
}
