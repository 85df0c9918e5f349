//! `spoor serve`: the engine and, over it, the server, until a signal.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use spoor_dataflow::cluster::Membership;
use spoor_dataflow::config::{Config, ServerConfig};
use spoor_dataflow::engine::startup::Startup;
use spoor_dataflow::engine::{Engine, Settings};
use spoor_dataflow::source::SourceSpec;
use spoor_dataflow::source::named::{self, Named};
use spoor_dataflow::store::care::Control;
use spoor_graphql::ServerOptions;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

use super::descriptors::Descriptors;
use super::ending::{Ending, bound_panics};
use super::{Failure, pulse, rules, setup};
use crate::cli::ServeArgs;

/// How long a server whose engine failed says so to who asks, before the process ends.
const FAREWELL: Duration = Duration::from_secs(1);
/// How often the server looks whether the engine still runs.
const ENGINE_CHECK: Duration = Duration::from_millis(200);
/// How long open requests may take to end.
const REQUESTS_MAX: Duration = Duration::from_secs(6);

/// A running engine, and what answers tools beside it.
struct Running {
    tools: Control,
    engine: Engine,
}

/// Why serving ends.
enum End {
    /// Somebody asked for it.
    Asked,
    /// The engine, or what answers tools, has ended.
    Engine,
    /// The server has ended.
    Server(Failure),
}

/// Serves until it is told to stop, or the engine fails.
pub fn run(args: &ServeArgs) -> Result<(), Failure> {
    bound_panics();
    let cluster = setup::cluster(&args.cluster)?;
    let rules = args.rules.as_deref().map(rules::read).transpose()?;
    let config = setup::config(args.config.as_deref(), |config| {
        if let Some(rules) = rules {
            config.rules = rules;
        }
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
    let rules_file = args.rules.clone().or_else(|| args.config.clone());
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(Failure::failed)?;
    // The address is taken before the store is opened: a second server on it changes nothing.
    let listen = config.server.listen;
    let listener = runtime.block_on(TcpListener::bind(listen)).map_err(|error| {
        Failure::Failed(format!("cannot listen on {listen}: {error}; choose another --listen"))
    })?;
    let options = options(&config.server, Descriptors::raise());
    let stop_signals = {
        let _within = runtime.enter();
        stop_signals().map_err(Failure::failed)?
    };
    let address = listener.local_addr().map_err(Failure::failed)?;

    // It answers from now on: probes, and that it is starting.
    let startup = Startup::new();
    startup.say("opening the store");
    let (stop, stopping) = oneshot::channel::<()>();
    let limits = options.connections.clone();
    let router = spoor_graphql::router(startup.services(), options);
    let mut server = runtime.spawn(spoor_graphql::serve(listener, router, limits, async {
        // It stops as well when nobody is left to say so.
        let _ = stopping.await;
    }));
    let mut stopped = runtime.spawn(stop_signals);
    tracing::info!("listening on {address}; starting");

    let mut starting = start(config, cluster, sources, rules_file, &startup)?;
    let started = runtime.block_on(async {
        tokio::select! {
            started = &mut starting => Ok(started),
            _ = &mut stopped => Err(End::Asked),
            served = &mut server => Err(End::Server(server_ended(served))),
        }
    });
    let running = match started {
        Ok(started) => {
            started.unwrap_or_else(|_| Err(Failure::Failed("the start panicked".into())))?
        }
        Err(end) => {
            let ending = Ending::begin("the start to be given up");
            startup.cancel();
            // Nothing has been taken yet, so how the start ends does not matter.
            if let Ok(Ok(running)) = runtime.block_on(starting) {
                running.engine.stop();
                let _ = running.engine.join();
            }
            ending.has_succeeded_but_for("the store to be closed");
            runtime.shutdown_timeout(ENGINE_CHECK);
            return match end {
                End::Server(failure) => Err(failure),
                _ => Ok(()),
            };
        }
    };
    tracing::info!(
        "the console at http://{address}/, GraphQL at http://{address}/graphql, \
         GraphiQL at http://{address}/graphiql, ingest at http://{address}/v1/requests"
    );
    let end = runtime.block_on(async {
        tokio::select! {
            _ = &mut stopped => End::Asked,
            () = ended(&running) => End::Engine,
            () = pulse::beat(&running.engine) => End::Engine,
            served = &mut server => End::Server(server_ended(served)),
        }
    });
    let ending = Ending::begin("open requests");
    let served = match end {
        End::Asked => {
            // The server may have ended by itself.
            let _ = stop.send(());
            let served =
                runtime.block_on(async { tokio::time::timeout(REQUESTS_MAX, &mut server).await });
            served
                .map_or(Ok(()), |served| served.map_err(Failure::failed)?.map_err(Failure::failed))
        }
        End::Engine => Ok(()),
        End::Server(failure) => Err(failure),
    };
    server.abort();
    runtime.shutdown_timeout(ENGINE_CHECK);
    shut_down(running, &ending)?;
    served
}

/// Opens the store and starts the engine, on a thread of its own.
fn start(
    config: Config,
    cluster: Option<Membership>,
    sources: Vec<Named>,
    rules_file: Option<PathBuf>,
    startup: &Startup,
) -> Result<oneshot::Receiver<Result<Running, Failure>>, Failure> {
    let (tell, started) = oneshot::channel();
    let startup = startup.clone();
    let start = move || {
        let directory = config.store.dir.clone();
        let settings = setup::settings(config, &directory, true, sources)?;
        let settings = Settings { cluster, ..settings };
        let rules_file = rules_file.as_deref();
        rules::warn_if_ignored(&settings.rules, rules_file, &settings.store, &directory);
        let tools = Control::start(settings.store.clone()).map_err(Failure::failed)?;
        let engine = Engine::start_watched(settings, &startup).map_err(Failure::failed)?;
        Ok(Running { tools, engine })
    };
    let thread = std::thread::Builder::new().name("start".into()).spawn(move || {
        // Whoever waited may have been told to stop.
        let _ = tell.send(start());
    });
    thread.map(|_| started).map_err(Failure::failed)
}

/// Why the server ended although nobody asked it to.
fn server_ended(served: Result<std::io::Result<()>, tokio::task::JoinError>) -> Failure {
    match served {
        Ok(Ok(())) => Failure::Failed("the server has ended by itself".into()),
        Ok(Err(error)) => Failure::failed(error),
        Err(error) => Failure::failed(error),
    }
}

/// Commits what was taken, unless the engine has failed, and ends.
fn shut_down(running: Running, ending: &Ending) -> Result<(), Failure> {
    let Running { tools, engine } = running;
    match engine.failure() {
        None => tracing::info!("stopping: committing what was taken"),
        Some(failure) => tracing::error!("stopping, nothing more is committed: {failure}"),
    }
    ending.waits_for("tools that talk to the store");
    drop(tools);
    ending.waits_for("the last epoch to be committed");
    engine.stop();
    engine.join().map_err(Failure::failed)?;
    ending.has_succeeded_but_for("the store to be closed");
    Ok(())
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
    let format = Some(setup::format(&args.format, &setup::formats(config)?)?);
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

/// The engine stopped by itself, or what answers tools did: there is no half-alive mode.
async fn ended(running: &Running) {
    while running.engine.is_running() && !running.tools.has_failed() {
        tokio::time::sleep(ENGINE_CHECK).await;
    }
    if running.tools.has_failed() {
        running.engine.abandon("the thread that answers tools panicked; its message is in the log");
    }
    tokio::time::sleep(FAREWELL).await;
}
