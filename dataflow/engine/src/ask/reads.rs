//! Reads that each process answers from its own store; what is whole is merged from them.
//!
//! A read is answered by the same code whether this process asks itself or another one does.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use spoor_operators::identity::{Identity, IdentityId, SessionId};
use spoor_operators::session::Session;
use spoor_operators::summary::Summary;
use spoor_operators::time::{Day, Epoch, EventTime};
use std::sync::Arc;

use crate::ask::crossing::Crossing;
use crate::ask::{export, wire};
use crate::feed::{self, Differences};
use crate::serving::{Published, Serving};
use spoor_api::query::{
    DeadLetterPage, Filter, LetterPlace, Overview, RequestPage, RequestQuery, SessionPage,
    SessionQuery, Status,
};
use spoor_api::service::{ServiceError, View};
use spoor_api::values::{ValuePage, ValueQuery};
use spoor_store::LettersBefore;

/// The process that answers, as of an epoch.
pub(crate) struct Here<'a> {
    pub(crate) serving: &'a Serving,
    pub(crate) process: usize,
    pub(crate) at: &'a Published,
}

/// Something a process can answer for its own part.
pub(crate) trait Read: Clone + Into<AnyRead> {
    /// What it answers.
    type Answer: Crossing;

    /// What this process has of it.
    ///
    /// # Errors
    /// Why it cannot be read.
    fn read(&self, here: &Here<'_>) -> Result<Self::Answer, ServiceError>;
}

macro_rules! reads {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// Any of the reads.
        #[derive(Clone, Debug, Serialize, Deserialize)]
        pub enum AnyRead {
            $($(#[$doc])* $name($name),)*
        }

        $(impl From<$name> for AnyRead {
            fn from(read: $name) -> Self {
                Self::$name(read)
            }
        })*

        impl AnyRead {
            /// Answers it, as bytes.
            pub(crate) fn answer(&self, here: &Here<'_>) -> Vec<u8> {
                match self {
                    $(Self::$name(read) => wire::answer(&read.read(here)),)*
                }
            }
        }
    };
}

reads! {
    /// A page of sessions.
    Sessions,
    /// A session.
    SessionAt,
    /// Values of a session.
    ValuesOf,
    /// An identity.
    IdentityOf,
    /// Requests of a session.
    RequestsOf,
    /// The neighbour of a session.
    ContinuesOf,
    /// Totals.
    OverviewOf,
    /// The days it has.
    RetainedOf,
    /// Refused records.
    Letters,
    /// Its state.
    StatusOf,
    /// What changed.
    ChangesAfter,
    /// Sessions as lines.
    ExportFrom,
}

/// A page of the sessions it owns.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Sessions(pub SessionQuery);

impl Read for Sessions {
    type Answer = SessionPage;

    fn read(&self, here: &Here<'_>) -> Result<SessionPage, ServiceError> {
        here.at.view.sessions(&self.0)
    }
}

/// The session that contains an instant.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SessionAt(pub SessionId);

impl Read for SessionAt {
    type Answer = Option<Arc<Session>>;

    fn read(&self, here: &Here<'_>) -> Result<Self::Answer, ServiceError> {
        here.at.view.session(self.0)
    }
}

/// Values of the session that contains an instant.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ValuesOf(pub SessionId, pub ValueQuery);

impl Read for ValuesOf {
    type Answer = ValuePage;

    fn read(&self, here: &Here<'_>) -> Result<ValuePage, ServiceError> {
        Ok(here.at.view.find_values(self.0, &self.1)?)
    }
}

/// An identity in words.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct IdentityOf(pub IdentityId);

impl Read for IdentityOf {
    type Answer = Option<Arc<Identity>>;

    fn read(&self, here: &Here<'_>) -> Result<Self::Answer, ServiceError> {
        here.at.view.identity(self.0)
    }
}

/// What has to be known of a session to find its requests and neighbours.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Extent {
    identity: IdentityId,
    day: Day,
    start: EventTime,
    end: EventTime,
    gap_ms: u32,
}

impl Extent {
    /// That of a session.
    #[must_use]
    pub fn of(session: &Session) -> Self {
        let Session { day, start, end, gap_ms, .. } = *session;
        Self { identity: session.identity.id, day, start, end, gap_ms }
    }

    /// A session of that extent, otherwise empty.
    fn session(&self) -> Session {
        let none: Arc<str> = Arc::from("");
        let identity = Identity {
            id: self.identity,
            namespace: Arc::clone(&none),
            value: Arc::clone(&none),
            qualifier: none,
            weak: false,
            secret: false,
        };
        Session {
            identity: Arc::new(identity),
            day: self.day,
            start: self.start,
            end: self.end,
            gap_ms: self.gap_ms,
            summary: Summary::default(),
        }
    }
}

/// Requests of a session.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RequestsOf(pub Extent, pub RequestQuery);

impl Read for RequestsOf {
    type Answer = RequestPage;

    fn read(&self, here: &Here<'_>) -> Result<RequestPage, ServiceError> {
        here.at.view.requests(&self.0.session(), &self.1)
    }
}

/// The neighbour a session continues.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ContinuesOf(pub Extent);

impl Read for ContinuesOf {
    type Answer = Option<SessionId>;

    fn read(&self, here: &Here<'_>) -> Result<Self::Answer, ServiceError> {
        here.at.view.continues(&self.0.session())
    }
}

/// Totals of a range: partial sums, which may be negative here.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct OverviewOf {
    /// See [`View::overview`].
    pub from: Option<EventTime>,
    /// See [`View::overview`].
    pub until: Option<EventTime>,
    /// See [`View::overview`].
    pub step_minutes: Option<u32>,
}

impl Read for OverviewOf {
    type Answer = Overview;

    fn read(&self, here: &Here<'_>) -> Result<Overview, ServiceError> {
        here.at.view.overview(self.from, self.until, self.step_minutes)
    }
}

/// From when until when it has sessions, in whole days.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct RetainedOf;

impl Read for RetainedOf {
    type Answer = Option<(EventTime, EventTime)>;

    fn read(&self, here: &Here<'_>) -> Result<Self::Answer, ServiceError> {
        here.at.view.retained()
    }
}

/// Refused records before a place among those of all processes.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Letters {
    /// At most this many.
    pub first: usize,
    /// Absent: from the newest.
    pub before: Option<LetterPlace>,
}

impl Read for Letters {
    type Answer = DeadLetterPage;

    fn read(&self, here: &Here<'_>) -> Result<DeadLetterPage, ServiceError> {
        let process = here.process as u32;
        let before =
            self.before.map_or(LettersBefore::End, |before| match process.cmp(&before.process) {
                std::cmp::Ordering::Equal => LettersBefore::Sequence(before.sequence),
                std::cmp::Ordering::Greater => LettersBefore::Epoch(before.epoch),
                std::cmp::Ordering::Less => {
                    LettersBefore::Epoch(Epoch(before.epoch.0.saturating_add(1)))
                }
            });
        let mut page = here.at.view.letters_before(self.first, before)?;
        page.letters.iter_mut().for_each(|letter| letter.process = process);
        Ok(page)
    }
}

/// The state of a process.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct StatusOf;

impl Read for StatusOf {
    type Answer = Status;

    fn read(&self, here: &Here<'_>) -> Result<Status, ServiceError> {
        let mut status = here.at.view.status()?;
        status.processes = vec![status.of_process(here.process as u32)];
        Ok(status)
    }
}

/// What changed after an epoch, up to the one the read is as of.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ChangesAfter {
    /// What came after this one.
    pub after: Epoch,
    /// Of which sessions.
    pub filter: Filter,
}

impl Read for ChangesAfter {
    /// None: no longer remembered, or too much to tell.
    type Answer = Option<Differences>;

    fn read(&self, here: &Here<'_>) -> Result<Self::Answer, ServiceError> {
        feed::differences(here.serving, here.at, &self.filter, self.after)
    }
}

/// Sessions as lines of a replay, in the order they are stored in.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct ExportFrom {
    /// Those after this one; absent: from the first.
    pub after: Option<(Day, SessionId)>,
    /// With the ids of their requests.
    pub with_requests: bool,
}

/// Lines, with the keys they are to be sorted by.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ExportPage {
    /// Key and line.
    pub lines: Vec<(Bytes, Bytes)>,
    /// The last of them, unless nothing follows.
    pub last: Option<(Day, SessionId)>,
}

impl Read for ExportFrom {
    type Answer = ExportPage;

    fn read(&self, here: &Here<'_>) -> Result<ExportPage, ServiceError> {
        export::page(&here.at.view, self)
    }
}
