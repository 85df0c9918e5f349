//! Serves a reader, a change feed, rules and ingest over GraphQL and HTTP.
