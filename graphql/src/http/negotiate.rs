//! Media types and status codes of GraphQL over HTTP, in one place.
//!
//! The table follows the audits of `graphql-http` 1.23. The draft of August 2026 has 422 for
//! validation failures and 294 for partial success; no released client knows them yet.

use axum::http::header::ACCEPT;
use axum::http::{HeaderMap, StatusCode};

/// How an answer is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Media {
    /// `application/json`: what clients before the specification expect.
    Json,
    /// `application/graphql-response+json`.
    Graphql,
    /// `text/event-stream`: the `graphql-sse` protocol with one connection an operation.
    EventStream,
}

/// The outcome of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Executed, with errors of single fields or without.
    Executed,
    /// Refused before execution.
    Refused,
    /// Took too long, or there was no room for its answer: to be tried again.
    TimedOut,
}

impl Media {
    /// The content type.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json; charset=utf-8",
            Self::Graphql => "application/graphql-response+json; charset=utf-8",
            Self::EventStream => "text/event-stream",
        }
    }

    /// The status of an answer.
    #[must_use]
    pub fn status(self, outcome: Outcome) -> StatusCode {
        match (self, outcome) {
            (Self::Json | Self::EventStream, _) | (_, Outcome::Executed) => StatusCode::OK,
            (Self::Graphql, Outcome::Refused) => StatusCode::BAD_REQUEST,
            (Self::Graphql, Outcome::TimedOut) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// What the client accepts best; none when it accepts nothing we have.
    #[must_use]
    pub fn negotiate(headers: &HeaderMap) -> Option<Self> {
        let mut given = false;
        let mut best: Option<(u16, Self)> = None;
        for value in headers.get_all(ACCEPT) {
            given = true;
            for range in value.to_str().unwrap_or_default().split(',') {
                let Some((media, quality)) = parse_range(range) else { continue };
                if quality > 0 && best.is_none_or(|(known, _)| quality > known) {
                    best = Some((quality, media));
                }
            }
        }
        if given { best.map(|(_, media)| media) } else { Some(Self::Json) }
    }
}

/// A media range we can serve, with its quality in thousandths.
fn parse_range(range: &str) -> Option<(Media, u16)> {
    let mut parts = range.split(';').map(str::trim);
    let media = match parts.next()?.to_ascii_lowercase().as_str() {
        "application/json" | "application/*" | "*/*" => Media::Json,
        "application/graphql-response+json" => Media::Graphql,
        "text/event-stream" => Media::EventStream,
        _ => return None,
    };
    let mut quality = 1000;
    for parameter in parts {
        let Some((name, value)) = parameter.split_once('=') else { continue };
        match name.trim().to_ascii_lowercase().as_str() {
            "q" => quality = (value.trim().parse::<f32>().ok()?.clamp(0.0, 1.0) * 1000.0) as u16,
            "charset" if !is_utf8(value) => return None,
            _ => {}
        }
    }
    Some((media, quality))
}

/// Whether a charset's name is UTF-8.
#[must_use]
pub fn is_utf8(charset: &str) -> bool {
    let charset = charset.trim().trim_matches('"');
    charset.eq_ignore_ascii_case("utf-8") || charset.eq_ignore_ascii_case("utf8")
}

/// Whether a content type is `application/json` in UTF-8.
#[must_use]
pub fn is_json(content_type: &str) -> bool {
    let mut parts = content_type.split(';').map(str::trim);
    let json = parts.next().is_some_and(|media| media.eq_ignore_ascii_case("application/json"));
    json && parts.all(|parameter| match parameter.split_once('=') {
        Some((name, value)) if name.trim().eq_ignore_ascii_case("charset") => is_utf8(value),
        _ => true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(accept: Option<&'static str>, expected: Option<Media>) {
        let mut headers = HeaderMap::new();
        if let Some(accept) = accept {
            headers.insert(ACCEPT, accept.parse().unwrap());
        }
        assert_eq!(Media::negotiate(&headers), expected, "{accept:?}");
    }

    #[test]
    fn the_best_media_range_decides() {
        const GRAPHQL: &str = "application/graphql-response+json";
        check(None, Some(Media::Json));
        check(Some("*/*"), Some(Media::Json));
        check(Some("application/*"), Some(Media::Json));
        check(Some("application/json"), Some(Media::Json));
        check(Some(GRAPHQL), Some(Media::Graphql));
        check(
            Some("application/graphql-response+json, application/json;q=0.9"),
            Some(Media::Graphql),
        );
        check(
            Some("application/json;q=0.5, application/graphql-response+json"),
            Some(Media::Graphql),
        );
        check(Some("application/graphql-response+json; charset=utf-8"), Some(Media::Graphql));
        check(Some("application/json; charset=iso-8859-1"), None);
        check(Some("text/event-stream"), Some(Media::EventStream));
        check(Some("text/html"), None);
        check(Some("application/json;q=0"), None);
        check(Some(""), None);
        check(Some(",;q=x,"), None);
    }

    #[test]
    fn only_json_in_utf8_is_a_body() {
        for (content_type, expected) in [
            ("application/json", true),
            ("Application/JSON; charset=UTF-8", true),
            ("application/json; charset=\"utf-8\"; x=y", true),
            ("application/json; charset=latin1", false),
            ("application/jsonp", false),
            ("text/plain", false),
            ("", false),
        ] {
            assert_eq!(is_json(content_type), expected, "{content_type}");
        }
    }
}
