//! A line a minute that says how a server goes, for whoever watches its terminal or its log.

use std::time::Duration;

use spoor_dataflow::engine::Engine;
use spoor_dataflow::query::Status;

/// Time between two lines.
const PULSE: Duration = Duration::from_secs(60);

/// Logs a line a minute, of this process alone, while anything arrives. Never ends.
pub async fn beat(engine: &Engine) {
    let mut before = engine.own_status().unwrap_or_default();
    loop {
        tokio::time::sleep(PULSE).await;
        let Ok(now) = engine.own_status() else { continue };
        if read(&now) != read(&before) {
            tracing::info!("{}", line(&before, &now));
        }
        before = now;
    }
}

fn read(status: &Status) -> u64 {
    status.sources.iter().map(|source| source.counts.read).sum()
}

/// What became of the records of the last minute, and what there is now.
fn line(before: &Status, now: &Status) -> String {
    let new = read(now).saturating_sub(read(before));
    let bad =
        |status: &Status| -> u64 { status.sources.iter().map(|source| source.counts.bad).sum() };
    let bad = match bad(now).saturating_sub(bad(before)) {
        0 => String::new(),
        bad => format!(", {bad} of them bad"),
    };
    format!(
        "last minute: {new} records ({} a second{bad}); now {} sessions, {} of them open, of {} \
         requests; {} MiB in memory, {} MiB on disk",
        new / PULSE.as_secs(),
        now.sessions,
        now.open_sessions,
        now.requests,
        now.resident_bytes >> 20,
        now.store_bytes >> 20,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use spoor_dataflow::query::{SourceCounts, SourceStatus};

    #[test]
    fn a_line_says_what_came_and_what_there_is() {
        let status = |read, bad, sessions| Status {
            sources: vec![SourceStatus {
                counts: SourceCounts { read, bad, ..SourceCounts::default() },
                ..SourceStatus::default()
            }],
            sessions,
            open_sessions: 2,
            requests: read - bad,
            resident_bytes: 5 << 20,
            ..Status::default()
        };
        assert_eq!(
            line(&status(100, 1, 3), &status(700, 4, 9)),
            "last minute: 600 records (10 a second, 3 of them bad); now 9 sessions, 2 of them open, \
             of 696 requests; 5 MiB in memory, 0 MiB on disk"
        );
        assert!(!line(&status(100, 1, 3), &status(700, 1, 9)).contains("bad"));
    }
}
