//! `spoor serve`: the engine and, over it, the server, until a signal.

use std::collections::HashSet;
use std::path::Path;
use std::time::Duration;

use spoor_dataflow::config::{Config, ServerConfig};
use spoor_dataflow::engine::{Engine, Settings};
use spoor_dataflow::source::SourceSpec;
use spoor_dataflow::source::named::{self, Named};
use spoor_dataflow::store::care::Control;
use spoor_graphql::ServerOptions;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use super::descriptors::Descriptors;
use super::{Failure, setup};
use crate::cli::ServeArgs;

/// How long a server whose engine failed says so to who asks, before the process ends.
const FAREWELL: Duration = Duration::from_secs(1);
/// How often the server looks whether the engine still runs.
const ENGINE_CHECK: Duration = Duration::from_millis(200);

/// Serves until it is told to stop, or the engine fails.
pub fn run(args: &ServeArgs) -> Result<(), Failure> {
    let cluster = setup::cluster(&args.cluster)?;
    let config = setup::config(args.config.as_deref(), |config| {
        if let Some(listen) = args.listen {
            config.server.listen = listen;
        }
        if let Some(state) = &args.state {
            config.store.dir.clone_from(state);
        }
        if let Some(workers) = args.workers {
            config.engine.workers = workers as usize;
        }
    })?;
    let sources = sources(args, &config)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(Failure::failed)?;
    // The address is taken before the store is opened: a second server on it changes nothing.
    let listen = config.server.listen;
    let listener = runtime.block_on(TcpListener::bind(listen)).map_err(|error| {
        Failure::Failed(format!("cannot listen on {listen}: {error}; choose another --listen"))
    })?;
    let directory = config.store.dir.clone();
    let server = config.server.clone();
    let descriptors = Descriptors::raise();
    let settings = Settings { cluster, ..setup::settings(config, &directory, true, sources)? };
    let tools = Control::start(settings.store.clone()).map_err(Failure::failed)?;
    let engine = Engine::start(settings).map_err(Failure::failed)?;
    let address = listener.local_addr().map_err(Failure::failed)?;
    let stopped = {
        let _within = runtime.enter();
        stop_signals().map_err(Failure::failed)?
    };
    tracing::info!(
        "GraphQL at http://{address}/graphql, GraphiQL at http://{address}/graphiql, \
         ingest at http://{address}/v1/requests"
    );
    let served = runtime.block_on(async {
        let options = options(&server, descriptors);
        let limits = options.connections.clone();
        let router = spoor_graphql::router(engine.services(), options);
        tokio::select! {
            served = spoor_graphql::serve(listener, router, limits, stopped) => {
                served.map_err(Failure::failed)
            }
            () = ended(&engine) => Ok(()),
        }
    });
    runtime.shutdown_timeout(ENGINE_CHECK);
    match engine.failure() {
        None => tracing::info!("stopping: committing what was taken"),
        Some(failure) => tracing::error!("stopping, nothing more is committed: {failure}"),
    }
    drop(tools);
    engine.stop();
    engine.join().map_err(Failure::failed)?;
    served
}

/// What the server allows, as configured and as there are descriptors.
fn options(server: &ServerConfig, descriptors: Descriptors) -> ServerOptions {
    let mut options = ServerOptions {
        hosts: server.hosts.clone(),
        allowed_origins: server.allowed_origins.clone(),
        introspection: server.introspection,
        ..ServerOptions::default()
    };
    let connections = &mut options.connections.connections_max;
    *connections = descriptors.connections().min(*connections);
    // Subscribers leave some connections to everybody else.
    options.socket.sockets_max = options.socket.sockets_max.min(*connections * 3 / 4);
    options
}

/// The sources of the configuration and of the command line.
fn sources(args: &ServeArgs, config: &Config) -> Result<Vec<Named>, Failure> {
    let mut sources = setup::sources(config)?;
    let format = setup::format(&args.format, config)?;
    for path in &args.follow {
        sources.push(Named::by_path(if path == Path::new("-") {
            SourceSpec::Stdin { format: format.clone() }
        } else {
            SourceSpec::Follow { path: path.clone(), format: format.clone() }
        }));
    }
    let (sources, twins) = named::without_twins(sources);
    for (twin, other) in twins {
        let name = twin.name;
        if !twin.optional {
            let same = format!("{name} and {other} are the same file; name it once");
            return Err(Failure::Usage(same));
        }
        tracing::warn!("{name} is the same file as {other}; it is read once");
    }
    let mut names = HashSet::new();
    for source in &sources {
        // Offsets and implicit ids are by name.
        if !names.insert(&source.name) {
            let name = &source.name;
            return Err(Failure::Usage(format!("{name} is a source twice; name it once")));
        }
        if let SourceSpec::Follow { path, .. } = &source.spec
            && !path.exists()
        {
            tracing::warn!("{} is not there yet; it is followed once it is", path.display());
        }
    }
    Ok(sources)
}

/// Waits for SIGINT or SIGTERM. From this call on they do not end the process by themselves, so it
/// is made before anybody is told that the server listens.
fn stop_signals() -> std::io::Result<impl Future<Output = ()>> {
    let mut interrupted = signal(SignalKind::interrupt())?;
    let mut terminated = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupted.recv() => {}
            _ = terminated.recv() => {}
        }
    })
}

/// The engine stopped by itself: there is no half-alive mode.
async fn ended(engine: &Engine) {
    while engine.is_running() {
        tokio::time::sleep(ENGINE_CHECK).await;
    }
    tokio::time::sleep(FAREWELL).await;
}
