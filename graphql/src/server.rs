//! The routes, and a server that runs them.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{any, get, post};
use axum::serve::ListenerExt;
use spoor_dataflow::service::Services;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;

use crate::execute::Engine;
use crate::http::{self, origin, pages, push};
use crate::options::ServerOptions;

/// Time open requests get to end after the server was asked to stop.
const GRACE: Duration = Duration::from_secs(5);

/// All routes.
pub fn router(services: Services, options: ServerOptions) -> Router {
    let engine = Arc::new(Engine::new(services, options));
    Router::new()
        .route("/graphql", get(http::get).post(http::post).fallback(any(http::other_method)))
        .route("/v1/requests", post(push::post))
        .route("/", get(pages::landing))
        .route("/graphiql", get(pages::graphiql))
        .route("/graphiql/graphiql.js", get(pages::graphiql_js))
        .route("/graphiql/graphiql.css", get(pages::graphiql_css))
        .route("/graphiql/licenses.txt", get(pages::graphiql_licenses))
        .route("/schema.graphql", get(pages::schema))
        .route("/healthz", get(pages::healthz))
        .route("/readyz", get(pages::readyz))
        .layer(CompressionLayer::new())
        .layer(from_fn_with_state(engine.clone(), origin::guard))
        .layer(CatchPanicLayer::new())
        .with_state(engine)
}

/// Serves until `shutdown` resolves, then lets open requests end; those that do not within five
/// seconds, such as event streams, are cut.
///
/// # Errors
/// When the listener fails.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let listener = listener.tap_io(|socket| {
        // Small messages must not wait for one another; a socket without it works as well.
        let _ = socket.set_nodelay(true);
    });
    let (stopping, stopped) = oneshot::channel::<()>();
    let signal = async move {
        shutdown.await;
        let _ = stopping.send(());
    };
    let serving = axum::serve(listener, router).with_graceful_shutdown(signal);
    let cut = async move {
        let _ = stopped.await;
        tokio::time::sleep(GRACE).await;
    };
    tokio::select! {
        ended = serving => ended,
        () = cut => Ok(()),
    }
}
