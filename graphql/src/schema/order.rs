//! Numbers of a session by name, and the order of a list by one of them.

use async_graphql::{Enum, InputObject};
use spoor_api::query::{Order, Statistic};

/// Numbers of a session that can bound a filter and order a list. Durations are in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "Statistic")]
pub enum SessionStatistic {
    /// First request.
    Start,
    /// Last request.
    End,
    /// From the first request to the last.
    DurationMs,
    /// Requests.
    Requests,
    /// Requests with a status of 400 and above.
    Errors,
    /// Requests with a status of 500 and above.
    ServerErrors,
    /// Attacks detected: each of each request.
    Detections,
    /// Requests with at least one detection.
    Malicious,
    /// Requests that were blocked.
    Blocked,
    /// Bytes of the requests.
    RequestBytes,
    /// Bytes of the responses.
    ResponseBytes,
    /// Time to the full response, summed.
    DurationSumMs,
    /// Time to the full response, at most.
    DurationMaxMs,
    /// Time to the full response: median.
    DurationP50Ms,
    /// Time to the full response: 95th percentile.
    DurationP95Ms,
    /// Time to the full response: 99th percentile.
    DurationP99Ms,
    /// Distinct client addresses.
    Ips,
    /// Distinct endpoints.
    Endpoints,
    /// Distinct users.
    Users,
    /// Requests of shadow endpoints.
    Shadow,
    /// Requests of zombie endpoints.
    Zombie,
}

/// Which way a list runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Enum)]
pub enum OrderDirection {
    /// Least first.
    Asc,
    /// Greatest first.
    #[default]
    Desc,
}

/// Order of a list of sessions; equal numbers are told apart by id, so every order is total.
/// Sessions that do not have the number (durations, where no request has one) come last, whichever
/// way the list runs.
#[derive(Clone, Copy, InputObject)]
pub struct SessionOrder {
    /// By which number.
    pub by: SessionStatistic,
    /// Which way.
    #[graphql(default)]
    pub direction: OrderDirection,
}

impl From<SessionOrder> for Order {
    fn from(order: SessionOrder) -> Self {
        Self { by: order.by.into(), descending: order.direction == OrderDirection::Desc }
    }
}
