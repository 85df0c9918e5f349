//! Serves the mock engine of the tests: to try the API, and to develop the end-to-end suite.
//!
//! `cargo run --release -p spoor-graphql --example mock_server -- 127.0.0.1:4010`

#![allow(clippy::unwrap_used, reason = "a failure ends a test")]

#[allow(dead_code, reason = "the tests use all of it")]
#[path = "../tests/api/mock.rs"]
mod mock;

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:4010".into());
    let listener = tokio::net::TcpListener::bind(&address).await?;
    println!("http://{}/graphiql", listener.local_addr()?);
    let router = spoor_graphql::router(mock::Mock::new().services(), Default::default());
    let shutdown = async {
        let _ = tokio::signal::ctrl_c().await;
    };
    spoor_graphql::serve(listener, router, Default::default(), shutdown).await
}
