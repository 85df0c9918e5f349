//! Starting an engine: what the store knows, then the threads.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use parking_lot::Mutex;
use spoor_operators::assign::CompiledRules;
use spoor_operators::time::{Day, Epoch};

use crate::engine::committer::Committer;
use crate::engine::coordinator::{Channels, Command, Coordinator, Start};
use crate::engine::feed::Feed;
use crate::engine::hot::HotBytes;
use crate::engine::inputs::{self, FromSource};
use crate::engine::limits::{CHUNKS_WAITING_MAX, PUSHES_WAITING_MAX};
use crate::engine::open_sessions::OpenSessions;
use crate::engine::plan::Plan;
use crate::engine::progress::Progress;
use crate::engine::regroup::Regroup;
use crate::engine::sources::{SourceRow, SourceState};
use crate::engine::standing::Standing;
use crate::engine::{Context, Engine, EngineError, PUSH_SOURCE, Published, Settings, graph, keys};
use crate::source::{SourceId, SourceSpec};
use crate::store::{Store, StoreError};

impl Engine {
    /// Starts an engine behind the last committed epoch of its store.
    ///
    /// # Errors
    /// The store cannot be read, the rules cannot be in force, or the system refuses a thread. A
    /// source that cannot be opened is found by its thread: see [`Engine::join`].
    pub fn start(settings: Settings) -> Result<Self, EngineError> {
        let known = Known::read(&settings.store)?;
        let mut rules = known.rules.clone().unwrap_or_else(|| settings.rules.clone());
        if known.rules.is_none() {
            rules.version = 1;
        }
        let compiled = CompiledRules::new(
            &rules,
            &settings.key,
            &settings.applications,
            &settings.descriptions,
        );
        let compiled = Arc::new(compiled.map_err(EngineError::Rules)?);
        let specs = settings.sources.clone();
        let sources = source_states(&settings.store, &specs)?;
        let context = Arc::new(context(settings, &known, &sources, &compiled)?);
        let (push_offset, live_sources) = (sources[0].row.offset, unfinished(&sources, &specs));
        let regroup = known.regroup.map(|version| {
            let total = context.retained_requests();
            Arc::new(Regroup::new(version, Epoch(context.first_epoch), total, context.workers))
        });
        let start = Start {
            rules: compiled,
            regroup,
            first_day: known.first_day,
            push_offset,
            live_sources: live_sources.len(),
            new_rules: known.rules.is_none().then(|| Arc::new(rules)),
        };
        spawn_all(context, known, sources, start, live_sources)
    }
}

/// What a store knows that an engine begins with.
struct Known {
    rules: Option<spoor_operators::rules::RuleSet>,
    watermark: Option<spoor_operators::time::EventTime>,
    first_day: Option<Day>,
    regroup: Option<u64>,
    open: OpenSessions,
}

impl Known {
    fn read(store: &Store) -> Result<Self, StoreError> {
        let watermark = store.watermark();
        let rows = store.blobs_with_prefix(keys::OPEN_PREFIX)?;
        let open = OpenSessions::restore(rows.iter().map(Vec::as_slice), watermark)?;
        let number = |value: Vec<u8>| value.try_into().ok();
        Ok(Self {
            rules: store.rules()?.map(|(rules, _)| rules),
            watermark,
            first_day: store
                .blob(keys::FIRST_DAY)?
                .and_then(|value| value.try_into().ok())
                .map(|bytes| Day(i32::from_be_bytes(bytes))),
            regroup: store.blob(keys::REGROUP)?.and_then(number).map(u64::from_be_bytes),
            open,
        })
    }
}

/// Pushes first, then each source, as the store knows them.
fn source_states(store: &Store, specs: &[SourceSpec]) -> Result<Vec<SourceState>, StoreError> {
    let mut known: std::collections::HashMap<String, Vec<u8>> =
        store.sources()?.into_iter().collect();
    let names = std::iter::once(PUSH_SOURCE.to_owned()).chain(specs.iter().map(SourceSpec::name));
    let mut states = Vec::new();
    for name in names {
        let row = match known.remove(&name) {
            Some(row) => serde_json::from_slice(&row)
                .map_err(|error| StoreError::Damaged(format!("source {name}: {error}")))?,
            None => SourceRow::default(),
        };
        states.push(SourceState::new(name, row));
    }
    Ok(states)
}

/// Sources that are not read to their end, with their numbers and checkpoints.
type Unfinished = Vec<(SourceId, SourceSpec, Option<Vec<u8>>)>;

fn unfinished(states: &[SourceState], specs: &[SourceSpec]) -> Unfinished {
    let numbered = (1..).map(SourceId).zip(specs).zip(&states[1..]);
    numbered
        .filter(|(_, state)| !state.row.ended)
        .map(|((id, spec), state)| {
            let checkpoint = &state.row.checkpoint;
            (id, spec.clone(), (!checkpoint.is_empty()).then(|| checkpoint.clone()))
        })
        .collect()
}

fn context(
    settings: Settings,
    known: &Known,
    sources: &[SourceState],
    rules: &Arc<CompiledRules>,
) -> Result<Context, StoreError> {
    let committed = settings.store.committed().unwrap_or(Epoch(0));
    let statuses = sources.iter().map(|source| source.status(&rules.rules().settings));
    let hot = Arc::new(HotBytes::new(settings.workers));
    let standing = Standing {
        watermark: known.watermark,
        open_sessions: known.open.count(),
        sources: statuses.collect(),
        regroup: None,
        hot: Arc::clone(&hot),
        hot_bytes_max: settings.hot_bytes_max,
        workers: settings.workers,
    };
    let published = Published::of(&settings.store, standing, rules)?;
    Ok(Context {
        plan: Arc::new(Plan::after(committed)),
        feed: Feed::after(committed),
        hot,
        workers: settings.workers,
        first_epoch: committed.0 + 1,
        hot_bytes_max: settings.hot_bytes_max,
        limits: settings.epochs,
        ends_with_sources: settings.ends_with_sources,
        refuses_future: settings.refuses_future,
        remembers_changes: settings.remembers_changes,
        peers: OnceLock::new(),
        published: ArcSwap::from_pointee(published),
        store: settings.store,
        key: settings.key,
        applications: settings.applications,
        descriptions: settings.descriptions,
        stopped: AtomicBool::new(false),
        failure: Mutex::default(),
        source_failures: Mutex::default(),
    })
}

fn spawn_all(
    context: Arc<Context>,
    known: Known,
    sources: Vec<SourceState>,
    start: Start,
    to_read: Unfinished,
) -> Result<Engine, EngineError> {
    let (commands, commands_in): (Sender<Command>, Receiver<Command>) = unbounded();
    let (pushes, pushes_in) = bounded(PUSHES_WAITING_MAX);
    let (inputs_out, inputs): (Sender<FromSource>, _) = bounded(CHUNKS_WAITING_MAX);
    let (closed_out, closed) = unbounded();
    let progress = Arc::new(Progress::new(context.workers));
    let sources_stop = Arc::new(AtomicBool::new(false));
    let mut threads = Vec::new();

    let channels =
        Channels { commands: commands_in, pushes: pushes_in, inputs, closed: closed_out };
    let coordinator = Coordinator::new(Arc::clone(&context), channels, start);
    threads.push(thread("coordinator", move || coordinator.run())?);

    let committer = Committer {
        context: Arc::clone(&context),
        progress: Arc::clone(&progress),
        closed,
        coordinator: commands.clone(),
        sources,
        open: known.open,
        watermark: known.watermark,
    };
    threads.push(thread("committer", move || committer.run())?);

    let shared = Arc::clone(&context);
    threads.push(thread("dataflow", move || run_workers(&shared, &progress))?);
    for (id, spec, checkpoint) in to_read {
        let (to, stop) = (inputs_out.clone(), Arc::clone(&sources_stop));
        let reader = inputs::spawn(id, spec, checkpoint, to, stop);
        threads.push(reader.map_err(|error| EngineError::Thread(error.to_string()))?);
    }
    Ok(Engine { context, commands, pushes, sources_stop, threads })
}

fn thread(
    name: &str,
    run: impl FnOnce() + Send + 'static,
) -> Result<std::thread::JoinHandle<()>, EngineError> {
    let thread = std::thread::Builder::new().name(name.into()).spawn(run);
    thread.map_err(|error| EngineError::Thread(error.to_string()))
}

/// Runs timely's workers to their end.
fn run_workers(context: &Arc<Context>, progress: &Arc<Progress>) {
    let config = timely::Config::process(context.workers);
    let (shared, reached) = (Arc::clone(context), Arc::clone(progress));
    let workers = timely::execute(config, move |worker| graph::run(worker, &shared, &reached));
    let outcome = workers.map(|workers| workers.join().into_iter().find_map(Result::err));
    match outcome {
        Ok(None) => {}
        Ok(Some(error)) | Err(error) => context.fail(error),
    }
}
