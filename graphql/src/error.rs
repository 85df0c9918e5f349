//! Errors as clients see them: a closed set of codes, and nothing of the inside.
//!
//! Resolvers fail with [`ApiError`]; [`finish`] gives every error of a response its
//! `extensions.code`. What went wrong inside is logged under the request's id, which is all the
//! client gets of it.

use async_graphql::{Response, ServerError};
use spoor_api::lineage::EpochToken;
use spoor_api::service::ServiceError;

/// `extensions.code` of an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// The query text does not parse.
    ParseFailed,
    /// The query does not fit the schema.
    ValidationFailed,
    /// The request as a whole cannot be executed: no such operation, a missing variable, ...
    BadRequest,
    /// An argument is wrong.
    BadUserInput,
    /// A limit was hit.
    ResourceExhausted,
    /// Cannot be answered now; try again.
    Unavailable,
    /// Took too long.
    Timeout,
    /// An epoch that is not of this store: of another one, or of a future that was lost.
    UnknownEpoch,
    /// A fault of the server; the message says under which id it is logged.
    Internal,
}

impl Code {
    /// The code in words.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ParseFailed => "GRAPHQL_PARSE_FAILED",
            Self::ValidationFailed => "GRAPHQL_VALIDATION_FAILED",
            Self::BadRequest => "BAD_REQUEST",
            Self::BadUserInput => "BAD_USER_INPUT",
            Self::ResourceExhausted => "RESOURCE_EXHAUSTED",
            Self::Unavailable => "UNAVAILABLE",
            Self::Timeout => "TIMEOUT",
            Self::UnknownEpoch => "UNKNOWN_EPOCH",
            Self::Internal => "INTERNAL",
        }
    }
}

/// Why a resolver could not answer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ApiError {
    /// An argument is wrong; the text says how.
    #[error("{0}")]
    BadInput(String),
    /// A limit was hit; the text says which.
    #[error("{0}")]
    Limit(String),
    /// Cannot be answered now.
    #[error("{0}")]
    Unavailable(String),
    /// An epoch that is not of this store.
    #[error(
        "`{0}` is not an epoch of this store: it is of another one, or of commits that were lost; \
         discard it, and everything read with it"
    )]
    UnknownEpoch(EpochToken),
    /// For the log only.
    #[error("{0}")]
    Internal(String),
}

impl ApiError {
    fn code(&self) -> Code {
        match self {
            Self::BadInput(_) => Code::BadUserInput,
            Self::Limit(_) => Code::ResourceExhausted,
            Self::Unavailable(_) => Code::Unavailable,
            Self::UnknownEpoch(_) => Code::UnknownEpoch,
            Self::Internal(_) => Code::Internal,
        }
    }
}

impl From<ServiceError> for ApiError {
    fn from(error: ServiceError) -> Self {
        match error {
            ServiceError::Limit(text) => Self::Limit(text),
            ServiceError::Stopped
            | ServiceError::NotYet(_)
            | ServiceError::Unanswered(_)
            | ServiceError::Unwanted
            | ServiceError::Gone(_)
            | ServiceError::Starting(_) => Self::Unavailable(error.to_string()),
            // Why is for the operator: it names files.
            ServiceError::Failed(_) => Self::Unavailable(ServiceError::Stopped.to_string()),
            other => Self::Internal(other.to_string()),
        }
    }
}

/// An error with its code.
#[must_use]
pub fn coded(code: Code, message: impl Into<String>) -> ServerError {
    let mut error = ServerError::new(message, None);
    set_code(&mut error, code);
    error
}

fn set_code(error: &mut ServerError, code: Code) {
    error.extensions.get_or_insert_default().set("code", code.as_str());
}

/// Whether a response is a *request error*: refused before execution, so that it has no `data`.
#[must_use]
pub fn is_request_error(response: &Response) -> bool {
    response.data == async_graphql::Value::Null
        && !response.errors.is_empty()
        && response.errors.iter().all(|error| error.path.is_empty())
}

/// Gives every error its code, and replaces internal errors by the id they are logged under.
pub fn finish(response: &mut Response, request_id: &str) {
    let refused = is_request_error(response);
    // The engine finds some faults of a document twice.
    response.errors.dedup_by(|a, b| {
        (&a.message, &a.locations, &a.path) == (&b.message, &b.locations, &b.path)
    });
    for error in &mut response.errors {
        let known = error.extensions.as_ref().is_some_and(|values| values.get("code").is_some());
        if known {
            continue;
        }
        let code = match error.source::<ApiError>() {
            Some(source) => source.code(),
            None if !refused => Code::BadUserInput,
            None => refusal(&error.message),
        };
        if code == Code::Internal {
            tracing::error!(request_id, path = ?error.path, cause = %error.message, "resolver failed");
            error.message = format!("internal error; it is logged as {request_id}");
            error.extensions.get_or_insert_default().set("requestId", request_id);
        }
        error.source = None;
        set_code(error, code);
    }
}

/// Distinguishes the engine's own limits from validation errors by their texts, which
/// `tests/api/limits.rs` pins.
fn refusal(message: &str) -> Code {
    const LIMITS: [&str; 5] = [
        "Query is too complex.",
        "Query is nested too deep.",
        "The recursion depth of the query",
        "The number of directives on the field",
        "The amount of aliases of the query",
    ];
    if LIMITS.iter().any(|limit| message.starts_with(limit)) {
        Code::ResourceExhausted
    } else {
        Code::ValidationFailed
    }
}
