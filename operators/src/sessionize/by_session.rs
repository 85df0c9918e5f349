//! The requests that count, each with the session it is in, as changes.
//!
//! A session is named by its identity and start, so most changes of a session move none of its
//! requests: only what came is told. Where a session's start moves, or two become one, the requests
//! of the old session are read from the backend, retracted, and inserted under the new name. Duplicates of an
//! explicit id are left out; a request is its stored form, so a changed rule that only changes what
//! is counted of it changes nothing here.

use differential_dataflow::consolidation::consolidate;

use super::backend::SessionChange;
use super::rebuild;
use super::state::DayState;
use crate::facts::Assigned;
use crate::identity::SessionId;
use crate::record::Record;
use crate::time::EventTime;

/// Changes of one identity-day, gathered.
#[derive(Debug, Default)]
pub(super) struct BySession {
    changes: Vec<((SessionId, Record), isize)>,
}

impl BySession {
    /// A request comes to a session, or leaves it with a negative `diff`.
    pub fn add(&mut self, session: SessionId, request: &Assigned, diff: isize) {
        self.changes.push(((session, Record::of_stored(request.stored())), diff));
    }

    /// Requests that count come, each to the session it is in.
    pub fn add_all(&mut self, state: &DayState, requests: &[&Assigned]) {
        for request in requests {
            if let Some(session) = state.session_of(request.ts) {
                self.add(session.id(), request, 1);
            }
        }
    }

    /// Requests that count came and others went, which led to `changes` and to `state`. `before`
    /// reads what was retained before that, if a session has another name now.
    pub fn inserted(
        &mut self,
        state: &DayState,
        changes: &[SessionChange],
        came: &[Assigned],
        went: &[Assigned],
        before: impl FnOnce() -> Vec<Assigned>,
    ) {
        self.add_all(state, &came.iter().collect::<Vec<_>>());
        let renamed = |change: &&SessionChange| {
            change.new.as_ref().map(|new| new.start) != change.old.as_ref().map(|old| old.start)
        };
        let renamed = changes.iter().filter(renamed);
        let renamed: Vec<_> = renamed.filter_map(|change| change.old.as_ref()).collect();
        let old_of = |ts: EventTime| renamed.iter().find(|old| old.contains(ts));
        for request in went.iter().filter(|request| old_of(request.ts).is_none()) {
            if let Some(session) = old_session(state, changes, request.ts) {
                self.add(session, request, -1);
            }
        }
        if renamed.is_empty() {
            return;
        }
        let before = before();
        for request in rebuild::counted(&before) {
            let Some(old) = old_of(request.ts) else { continue };
            self.add(old.id(), request, -1);
            let stays = !went.iter().any(|gone| gone.stored() == request.stored());
            if let Some(new) = state.session_of(request.ts).filter(|_| stays) {
                self.add(new.id(), request, 1);
            }
        }
    }

    /// Hands the changes out, consolidated.
    pub fn drain_into(&mut self, out: &mut Vec<((SessionId, Record), isize)>) {
        consolidate(&mut self.changes);
        out.append(&mut self.changes);
    }
}

/// The session an instant lay in before some changes that left its start where it was.
fn old_session(state: &DayState, changes: &[SessionChange], ts: EventTime) -> Option<SessionId> {
    let old = changes.iter().filter_map(|change| change.old.as_ref());
    let changed = old.into_iter().find(|old| old.contains(ts)).map(|old| old.id());
    changed.or_else(|| state.session_of(ts).map(|session| session.id()))
}
