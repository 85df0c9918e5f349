//! Starting an engine: what the store knows, then the threads.

use std::any::Any;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use spoor_operators::assign::CompiledRules;
use spoor_operators::rules::RuleSet;
use spoor_operators::time::{Day, Epoch, EventTime};
use timely::communication::AllocatorBuilder;
use timely::communication::allocator::ProcessBuilder;
use timely::communication::allocator::zero_copy::initialize::initialize_networking_from_sockets;

use crate::ask::Desk;
use crate::ask::forward::Forwarded;
use crate::ask::history::History;
use crate::ask::lists::Lists;
use crate::clock::Clock;
use crate::cluster::hello::Shape;
use crate::cluster::link::{Link, Watch};
use crate::cluster::meeting::Connections;
use crate::cluster::{self, Ownership};
use crate::command::Command;
use crate::committer::{Committer, Others};
use crate::coordinator::{Channels, Coordinator, Start};
use crate::divide::{Reading, Told, divide, own_name, read_row, readable};
use crate::fate::Fate;
use crate::feed::Feed;
use crate::guard::{Running, StopsOnPanic, Thread};
use crate::hot::HotBytes;
use crate::inputs::{self, FromSource};
use crate::join;
use crate::limits::CHUNKS_WAITING_MAX;
use crate::mail::{Found, Inbox, Mail, MailPeers, Note};
use crate::open_sessions::OpenSessions;
use crate::plan::Plan;
use crate::progress::Progress;
use crate::regroup::Regroup;
use crate::serving::{Published, Serving};
use crate::sources::{SourceRow, SourceState};
use crate::standing::Standing;
use crate::startup::Startup;
use crate::{
    Choices, Context, Engine, EngineError, Gauges, LEADER, PUSH_SOURCE, Place, Rulebook, Settings,
    graph, keys,
};
use spoor_api::lineage::Lineage;
use spoor_input::source::SourceId;
use spoor_input::source::opening::Stop;
use spoor_store::{Store, StoreError};

impl Engine {
    /// Starts an engine behind the last committed epoch of its store.
    ///
    /// # Errors
    /// The store cannot be read, the rules cannot be in force, or the system refuses a thread. A
    /// source that cannot be opened is found by its thread: see [`Engine::join`].
    pub fn start(settings: Settings) -> Result<Self, EngineError> {
        Self::start_watched(settings, &Startup::new())
    }

    /// As [`Engine::start`], while others watch. The services of `startup` are the engine's when
    /// this returns.
    ///
    /// # Errors
    /// As [`Engine::start`]; [`EngineError::Cancelled`] when it was given up.
    pub fn start_watched(mut settings: Settings, startup: &Startup) -> Result<Self, EngineError> {
        let membership = settings.cluster.take().filter(|cluster| cluster.processes() > 1);
        let read = |settings: &Settings| {
            startup.say("reading what the store knows");
            let known = Known::read(&settings.store)?;
            let standing = known.standing(settings)?;
            Ok((known, standing))
        };
        let (known, standings, joined) = match membership {
            Some(membership) => {
                let joined = join::join(&mut settings, &membership, startup, read)?;
                let join::Joined { connections, shape, known, standings } = joined;
                (known, standings, Some((connections, shape)))
            }
            None => {
                join::check_alone(&settings.store)?;
                let (known, standing) = read(&settings)?;
                (known, vec![standing], None)
            }
        };
        let rules = standings[LEADER].rules.clone();
        let lineage = standings[LEADER].lineage.clone();
        let compiled = CompiledRules::new(
            &rules,
            &settings.key,
            &settings.applications,
            &settings.descriptions,
        );
        let compiled = Arc::new(compiled.map_err(EngineError::Rules)?);
        let shape = joined.as_ref().map(|(_, shape)| *shape);
        let process = shape.map_or(LEADER, |shape| shape.process);
        let told = Told { process, standings: &standings };
        let readings = divide(std::mem::take(&mut settings.sources), &told)?;
        let sources = source_states(&told, &readings)?;
        let silent = joined.as_ref().map(|(connections, _)| connections.silent());
        let regroup = known.regroup.map(|version| {
            let first = settings.store.committed().map_or(1, |committed| committed.0 + 1);
            let total = settings.store.numbers().requests;
            Arc::new(Regroup::new(version, Epoch(first), total, settings.workers))
        });
        let seat = Seat { shape, silent, lineage, regroup: regroup.clone() };
        let context = Arc::new(context(settings, &known, &sources, &compiled, seat)?);
        let push_offset = sources[0].row.offset;
        let to_read: Vec<_> =
            (1..).map(SourceId).zip(readings).filter(|(_, reading)| !reading.row.ended).collect();
        let start = Start {
            rules: compiled,
            regroup,
            first_day: known.first_day,
            push_offset,
            live_sources: to_read.len(),
            new_rules: known.rules.is_none().then(|| Arc::new(rules)),
        };
        let engine = spawn_all(context, known, sources, start, to_read, joined)?;
        startup.done(engine.services());
        Ok(engine)
    }
}

/// What a store knows that an engine begins with.
struct Known {
    rules: Option<RuleSet>,
    watermark: Option<EventTime>,
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

    /// The same, for all processes of a cluster. A new store has the rules of the settings.
    fn standing(&self, settings: &Settings) -> Result<cluster::Standing, StoreError> {
        let rules =
            self.rules.clone().unwrap_or_else(|| RuleSet { version: 1, ..settings.rules.clone() });
        Ok(cluster::Standing {
            rules,
            is_new: self.rules.is_none(),
            lineage: settings.store.lineage().clone(),
            watermark: self.watermark.map(EventTime::millis),
            first_day: self.first_day.map(|day| day.0),
            regroup: self.regroup,
            sources: settings.store.sources()?,
            reads: readable(&settings.sources),
        })
    }
}

/// Pushes first, then each source this process reads.
fn source_states(told: &Told<'_>, readings: &[Reading]) -> Result<Vec<SourceState>, StoreError> {
    let push = own_name(PUSH_SOURCE, told.process);
    let mut known = told.standings[told.process].sources.iter();
    let row = match known.find(|(name, _)| *name == push) {
        Some((name, row)) => read_row(name, row)?,
        None => SourceRow::default(),
    };
    let state = |reading: &Reading| SourceState::new(reading.name.clone(), reading.row.clone());
    let pushes = SourceState::new(push, row);
    Ok(std::iter::once(pushes).chain(readings.iter().map(state)).collect())
}

/// Where an engine stands in its cluster; alone it has no shape.
struct Seat {
    shape: Option<Shape>,
    /// A process that has not been heard of for a while.
    silent: Option<Arc<AtomicUsize>>,
    lineage: Lineage,
    /// A change of rules that had not ended: it is shown from the first view on.
    regroup: Option<Arc<Regroup>>,
}

fn context(
    settings: Settings,
    known: &Known,
    sources: &[SourceState],
    rules: &Arc<CompiledRules>,
    Seat { shape, silent, lineage, regroup }: Seat,
) -> Result<Context, StoreError> {
    let committed = settings.store.committed().unwrap_or(Epoch(0));
    let statuses = sources.iter().map(|source| source.status(&rules.rules().settings));
    let gauges = Gauges {
        hot: Arc::new(HotBytes::new(settings.workers)),
        health: Arc::default(),
        clock: Arc::new(Clock::start()),
    };
    let standing = Standing {
        watermark: known.watermark,
        health: Arc::clone(&gauges.health),
        open_sessions: known.open.count(),
        sources: statuses.collect(),
        regroup,
        hot: Arc::clone(&gauges.hot),
        hot_bytes_max: settings.hot_bytes_max,
        workers: settings.workers,
        clock: Arc::clone(&gauges.clock),
    };
    let published = Published::of(&settings.store, standing, rules)?;
    let (workers, plan) = (settings.workers, Arc::new(Plan::after(committed)));
    let mail = shape.map(|shape| {
        let signal = Arc::clone(plan.signal());
        Mail::new((shape.process, shape.processes), workers, committed.0, signal)
    });
    let process = shape.map_or(LEADER, |shape| shape.process);
    let choices = Choices {
        hot_bytes_max: settings.hot_bytes_max,
        limits: match shape {
            None => settings.epochs,
            Some(_) => settings.epochs.of_a_cluster(),
        },
        ends_with_sources: settings.ends_with_sources,
        refuses_future: settings.refuses_future,
        remembers_changes: settings.remembers_changes,
    };
    let ends = choices.ends_with_sources;
    let fate = Arc::new(Fate::new(process, Arc::clone(&plan), mail.clone(), ends, silent));
    let serving = Serving {
        plan: Arc::clone(&plan),
        store: settings.store.clone(),
        fate: Arc::clone(&fate),
        lineage: Arc::new(lineage),
        feed: Feed::after(committed),
        peers: OnceLock::new(),
        answerer: OnceLock::new(),
        history: History::default(),
        lists: Lists::default(),
        forwarded: Forwarded::default(),
        published: ArcSwap::from_pointee(published),
    };
    Ok(Context {
        plan,
        store: settings.store,
        fate,
        serving: Arc::new(serving),
        place: Place {
            process,
            workers,
            ownership: Ownership::new(shape.map_or(1, |shape| shape.processes), workers),
            mail,
            push_source: sources[0].name.clone().into(),
            first_epoch: committed.0 + 1,
        },
        choices,
        gauges,
        rulebook: Rulebook {
            key: settings.key,
            applications: settings.applications,
            descriptions: settings.descriptions,
        },
        formats: settings.formats,
    })
}

fn spawn_all(
    context: Arc<Context>,
    known: Known,
    sources: Vec<SourceState>,
    start: Start,
    to_read: Vec<(SourceId, Reading)>,
    joined: Option<(Connections, Shape)>,
) -> Result<Engine, EngineError> {
    let (commands, commands_in): (Sender<Command>, Receiver<Command>) = unbounded();
    // `reader::push` keeps it short. A bounded channel would keep what its receiver left in it, and
    // with it the answers somebody waits for.
    let (pushes, pushes_in) = unbounded();
    let (inputs_out, inputs): (Sender<FromSource>, _) = bounded(CHUNKS_WAITING_MAX);
    let (closed_out, closed) = unbounded();
    let progress =
        Arc::new(Progress::new(context.place.workers, Arc::clone(context.plan.signal())));
    let sources_stop = Stop::default();
    let mut threads = Vec::new();

    let channels =
        Channels { commands: commands_in, pushes: pushes_in, inputs, closed: closed_out };
    let coordinator = Coordinator::new(Arc::clone(&context), channels, start);
    threads.push(thread(&context, "coordinator", move || coordinator.run())?);

    reach_others(&context, &commands, &pushes)?;
    let (found_out, found) = unbounded();
    let (visible_out, visible) = unbounded();
    let inbox = inbox(&context, &commands, found_out, visible_out);
    let watch = watch(&context);
    let mail = context.place.mail.clone();
    let others = mail.map(|mail| Others { mail, found, visible });
    let is_new = context.store.committed().is_none();
    let shape = joined.as_ref().map(|(_, shape)| *shape).filter(|_| is_new);
    let committer = Committer {
        context: Arc::clone(&context),
        progress: Arc::clone(&progress),
        closed,
        coordinator: commands.clone(),
        sources,
        open: known.open,
        watermark: known.watermark,
        others,
        shape,
    };
    let (shared, watching) = (Arc::clone(&context), Arc::clone(&watch));
    threads.push(thread(&context, "committer", move || {
        committer.run();
        let has_failed = || shared.plan.has_failed();
        if !has_failed() {
            shared.fate.drained();
        }
        let Some(mail) = &shared.place.mail else { return };
        if shared.choices.ends_with_sources {
            mail.wait_released(has_failed);
        }
        if !has_failed() {
            watching.ended();
            mail.close();
            mail.forget_questions();
        }
    })?);

    let connected = joined.map(|(connections, _)| connections.into_links(&watch)).transpose()?;
    let (links, heartbeats) = connected.unzip();
    let has_ended = Arc::new(AtomicBool::new(false));
    if let Some(heartbeats) = heartbeats {
        let (shared, has_ended) = (Arc::clone(&context), Arc::clone(&has_ended));
        threads.push(thread(&context, "cluster", move || {
            let on_failed = |process, reason| shared.fate.failed_at(process, reason);
            let goes_on = || !has_ended.load(Ordering::Acquire);
            heartbeats.watch(&watch, on_failed, || shared.fate.first_failure(), goes_on);
        })?);
    }
    let shared = Arc::clone(&context);
    threads.push(thread(&context, "dataflow", move || {
        let _ended = Sets(has_ended);
        run_workers(&shared, &progress, &inbox, links);
    })?);
    let reading = inputs::Shared {
        to: inputs_out,
        stop: sources_stop.clone(),
        health: Arc::clone(&context.gauges.health),
        fate: Some(Arc::clone(&context.fate)),
    };
    let readers = inputs::spawn(to_read, &reading);
    let readers = readers.map_err(|error| EngineError::Thread(error.to_string()))?;
    Ok(Engine { context, commands, pushes, sources_stop, threads, readers })
}

/// Sets a flag when it is dropped.
struct Sets(Arc<AtomicBool>);

impl Drop for Sets {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// Starts a thread whose panic stops the engine.
fn thread(
    context: &Context,
    name: &str,
    run: impl FnOnce() + Send + 'static,
) -> Result<Thread, EngineError> {
    let thread = Thread::start(&context.fate, name.into(), name.into(), run);
    thread.map_err(|error| EngineError::Thread(error.to_string()))
}

/// In a cluster, lets this process ask the others and answer them.
fn reach_others(
    context: &Arc<Context>,
    commands: &Sender<Command>,
    pushes: &Sender<Command>,
) -> Result<(), EngineError> {
    let Some(mail) = &context.place.mail else { return Ok(()) };
    let desk = Desk::new(&context.serving, context.place.process, commands.clone(), pushes.clone());
    let desk = desk.map_err(|error| EngineError::Thread(error.to_string()))?;
    let peers = MailPeers { mail: Arc::clone(mail), ownership: context.place.ownership };
    let is_first = context.serving.answerer.set(Arc::new(desk)).is_ok()
        && context.serving.peers.set(Arc::new(peers)).is_ok();
    assert!(is_first, "an engine is started once");
    Ok(())
}

/// Where what the other processes say goes.
fn inbox(
    context: &Arc<Context>,
    commands: &Sender<Command>,
    found: Sender<Found>,
    visible: Sender<u64>,
) -> Arc<Inbox> {
    let (context, commands) = (Arc::clone(context), commands.clone());
    // A thread that has ended need not be told.
    Arc::new(move |from, note| match note {
        Note::Found(what) => drop(found.send(what)),
        Note::Visible(epoch) => drop(visible.send(epoch)),
        Note::Failed { process, reason } => context.fate.failed_at(process, reason),
        Note::Question(id, question) => {
            if let (Some(mail), Some(answerer)) =
                (&context.place.mail, context.serving.answerer.get())
            {
                mail.hand_over(&**answerer, from, id, question);
            }
        }
        Note::Answer(id, answer) => {
            if let Some(mail) = &context.place.mail {
                mail.answered(id, answer);
            }
        }
        Note::Released => {
            if let Some(mail) = &context.place.mail {
                mail.release();
            }
        }
        told => drop(commands.send(Command::Told(from, told))),
    })
}

/// Stops this process when another is lost.
fn watch(context: &Arc<Context>) -> Arc<Watch> {
    let fate = Arc::downgrade(&context.fate);
    Watch::new(move |process, what| {
        if let Some(fate) = fate.upgrade() {
            fate.failed_at(process, format!("it is gone: {what}"));
        }
    })
}

/// Runs timely's workers to their end.
fn run_workers(
    context: &Arc<Context>,
    progress: &Arc<Progress>,
    inbox: &Arc<Inbox>,
    links: Option<Vec<Option<Link>>>,
) {
    let (builders, others) = match allocators(context, links) {
        Ok(built) => built,
        Err(error) => return context.fate.fail(error),
    };
    let (shared, reached, inbox) = (Arc::clone(context), Arc::clone(progress), Arc::clone(inbox));
    let config = timely::WorkerConfig::default();
    let running = Running::of(context.place.workers, context.plan.signal());
    let started = running.clone();
    let workers = timely::execute::execute_from(builders, others, config, move |worker| {
        started.this_thread();
        let _stops = StopsOnPanic::new(&shared.fate, "worker");
        graph::run(worker, &shared, &reached, &inbox);
    });
    let workers = match workers {
        Ok(workers) => workers,
        Err(error) => return context.fate.fail(error),
    };
    running.wait();
    if context.place.mail.is_some() && context.plan.has_failed() {
        // The threads of connections to processes that are gone never end.
        return std::mem::forget(workers);
    }
    if let Some(error) = workers.join().into_iter().find_map(Result::err) {
        context.fate.fail(error);
    }
}

type Allocators = (Vec<AllocatorBuilder>, Box<dyn Any + Send>);

/// What timely's workers exchange data with: memory within a process, connections between them.
fn allocators(context: &Context, links: Option<Vec<Option<Link>>>) -> Result<Allocators, String> {
    let workers = context.place.workers;
    let Some(links) = links else {
        return timely::CommunicationConfig::Process(workers).try_build();
    };
    let hooks = timely::communication::Hooks::default();
    let within = ProcessBuilder::new_typed_vector(workers, hooks.refill.clone(), None);
    let built =
        initialize_networking_from_sockets(within, links, context.place.process, workers, hooks);
    let (builders, guard) = built.map_err(|error| format!("threads of the network: {error}"))?;
    Ok((builders.into_iter().map(AllocatorBuilder::Tcp).collect(), Box::new(guard)))
}

/// What the threads of an engine share, without the threads: whoever tests publishes by hand.
#[cfg(test)]
pub(crate) fn still(settings: Settings) -> Arc<Context> {
    let known = Known::read(&settings.store).unwrap();
    let rules = known.rules.clone().unwrap_or_else(|| settings.rules.clone());
    let Settings { key, applications, descriptions, .. } = &settings;
    let compiled = Arc::new(CompiledRules::new(&rules, key, applications, descriptions).unwrap());
    let sources = [SourceState::new(PUSH_SOURCE.into(), SourceRow::default())];
    let lineage = settings.store.lineage().clone();
    let seat = Seat { shape: None, silent: None, lineage, regroup: None };
    Arc::new(context(settings, &known, &sources, &compiled, seat).unwrap())
}
