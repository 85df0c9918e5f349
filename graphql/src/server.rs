//! The routes, and a server that runs them.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{any, get, post};
use spoor_api::service::Services;
use tokio::net::TcpListener;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;

use crate::connections::Connections;
use crate::execute::Engine;
use crate::http::{self, console, origin, pages, push, ready};
use crate::options::{ConnectionLimits, ServerOptions};

/// Time open requests get to end after the server was asked to stop.
const GRACE: Duration = Duration::from_secs(5);

/// All routes.
pub fn router(services: Services, options: ServerOptions) -> Router {
    routes(Arc::new(Engine::new(services, options)))
}

/// All routes of an engine.
pub fn routes(engine: Arc<Engine>) -> Router {
    Router::new()
        .route(
            "/graphql",
            get(http::get)
                .post(http::post)
                .layer(from_fn_with_state(engine.clone(), ready::graphql))
                .fallback(any(http::other_method)),
        )
        .route(
            "/v1/requests",
            post(push::post).layer(from_fn_with_state(engine.clone(), ready::push)),
        )
        .route("/", get(console::home))
        .route("/assets/{name}", get(console::asset))
        .route("/graphiql", get(pages::graphiql))
        .route("/graphiql/graphiql.js", get(pages::graphiql_js))
        .route("/graphiql/graphiql.css", get(pages::graphiql_css))
        .route("/graphiql/licenses.txt", get(pages::graphiql_licenses))
        .route("/schema.graphql", get(pages::schema))
        .route("/healthz", get(pages::healthz))
        .route("/readyz", get(pages::readyz))
        .fallback(console::fallback)
        .layer(CompressionLayer::new())
        .layer(from_fn_with_state(engine.clone(), origin::guard))
        .layer(CatchPanicLayer::new())
        .with_state(engine)
}

/// Serves until `shutdown` resolves, then lets open requests end; those that do not within five
/// seconds are cut. WebSockets are closed at once, with 1001.
///
/// # Errors
/// When the listener fails.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    limits: ConnectionLimits,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let connections = Connections::new(router, limits);
    tokio::select! {
        // Only an error ends it; the listener is closed with it.
        ended = connections.accept(listener) => return ended,
        () = shutdown => {}
    }
    // Whoever does not end in time is cut with the runtime.
    let _ = tokio::time::timeout(GRACE, connections.stop()).await;
    Ok(())
}
