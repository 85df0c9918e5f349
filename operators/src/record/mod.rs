//! Requests as values of a collection, and the typed way to make them.
//!
//! A [`Record`] is a request in its stored form: one allocation, ordered, hashed and sent as bytes.
//! [`NewRequest`] is what a program fills in, field by field or by serde, and turns into a record.
//! Invariant: a record that is made by [`NewRequest::build`] obeys the rules of a request
//! (section 1 of the semantics); what does not is a [`RequestError`].

mod json;
mod new;

use std::fmt;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

pub use self::new::{NewAttack, NewMessage, NewRequest, RequestError};
use crate::request::Request;
use crate::wire::Malformed;

/// A request in its stored form: owned, cheap to clone, to compare, to hash and to send.
///
/// Two records are equal when every field of the request is.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Record(Bytes);

impl Record {
    /// A request's record.
    #[must_use]
    pub fn new(request: &Request<'_>) -> Self {
        let mut bytes = Vec::new();
        request.encode(&mut bytes);
        Self(bytes.into())
    }

    /// The request, as it was encoded.
    ///
    /// # Errors
    /// [`Malformed`] for a record that came from elsewhere than [`Record::new`].
    pub fn request(&self) -> Result<Request<'_>, Malformed> {
        Request::decode(&self.0)
    }

    /// Stored bytes, copied so that they keep no larger buffer alive.
    pub(crate) fn of_stored(bytes: &[u8]) -> Self {
        Self(Bytes::copy_from_slice(bytes))
    }

    /// The stored form.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.request() {
            Ok(request) => request.fmt(f),
            Err(error) => write!(f, "Record({error})"),
        }
    }
}

impl From<Request<'_>> for Record {
    fn from(request: Request<'_>) -> Self {
        Self::new(&request)
    }
}
