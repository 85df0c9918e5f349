//! What the fuzz target of WebSocket messages does with an input: each line is a message of one
//! client. Shared by the fuzzer and by the test that replays the corpus.
//!
//! Beyond not panicking: nothing starts before it is acknowledged, no id runs twice, and the reason
//! of a close fits into its frame.

use std::collections::HashSet;

use spoor_graphql::ws::protocol::{Action, Close, Connection, parse};

/// Longest reason a close frame has room for, in bytes.
const REASON_BYTES_MAX: usize = 123;

pub fn frames(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let mut connection = Connection::default();
    let mut running = HashSet::new();
    for message in text.split('\n') {
        let taken =
            parse(message).and_then(|message| connection.take(message, |id| running.contains(id)));
        match taken {
            Ok(Action::Start { id, .. }) => {
                assert!(connection.is_acknowledged());
                assert!(!id.is_empty() && running.insert(id), "an id runs once");
            }
            Ok(Action::Stop { id }) => {
                running.remove(&id);
            }
            Ok(Action::Acknowledge | Action::Pong(_) | Action::Nothing) => {}
            Err(close) => return closed(&close),
        }
    }
}

fn closed(close: &Close) {
    assert!((4400..4500).contains(&close.code()));
    let reason = close.reason();
    assert!(!reason.is_empty() && reason.len() <= REASON_BYTES_MAX);
}
