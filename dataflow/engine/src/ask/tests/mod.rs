//! Several processes in one: real stores and contexts, questions passed on as bytes.
//!
//! Beside them one store is fed everything: what it answers is what the cluster has to answer.

mod failures;
mod feeds;
mod lists;
mod mutations;
mod reads;

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use crossbeam_channel::{Receiver, bounded, unbounded};
use differential_dataflow::difference::Semigroup;
use parking_lot::Mutex;
use spoor_operators::assign::{Applications, SecretKey};
use spoor_operators::facts::Assigned;
use spoor_operators::inventory::Descriptions;
use spoor_operators::rules::RuleSet;
use spoor_operators::sessionize::backend::SessionChange;
use spoor_operators::time::{Epoch, EventTime};
use spoor_operators::totals::Totals;

use super::{Answerer, Asked, Desk, Peers, Reply};
use crate::command::Command;
use crate::standing::Standing;
use crate::{Context, EpochLimits, Settings, reader, start};
use spoor_api::codes::RefusalCode;
use spoor_api::query::{DeadLetter, SourceCounts, SourceStatus};
use spoor_api::service::{ServiceError, Services, View};
use spoor_input::decode::Formats;
use spoor_store::Commit;
use spoor_store::testing::{Fed, Spec, assign};

/// What a process does with questions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mood {
    Answers,
    /// Takes them and says nothing.
    Silent,
    /// Is gone.
    Gone,
}

/// The way from each process to each other one.
#[derive(Default)]
struct Net {
    desks: OnceLock<Vec<Desk>>,
    moods: Mutex<Vec<Mood>>,
    /// Whoever waits for a silent process.
    waiting: Mutex<Vec<Reply>>,
}

struct Direct {
    me: usize,
    count: usize,
    net: Arc<Net>,
}

impl Peers for Direct {
    fn me(&self) -> usize {
        self.me
    }

    fn count(&self) -> usize {
        self.count
    }

    fn owner(&self, partition: u16) -> usize {
        usize::from(partition) % self.count
    }

    fn ask(&self, process: usize, question: Vec<u8>) -> Asked {
        assert_ne!(process, self.me, "nobody asks itself");
        let (answer, answered) = bounded(1);
        let reply: Reply = Box::new(move |bytes| drop(answer.send(bytes)));
        match self.net.moods.lock()[process] {
            Mood::Answers => {
                self.net.desks.get().unwrap()[process].handle(self.me, question, reply);
            }
            Mood::Silent => self.net.waiting.lock().push(reply),
            Mood::Gone => drop(reply),
        }
        Asked::new(answered, || ())
    }
}

struct Process {
    fed: Fed,
    context: Arc<Context>,
    services: Services,
    /// What its coordinator would be asked for.
    commands: Receiver<Command>,
    pushes: Receiver<Command>,
    counts: SourceCounts,
}

/// What happens in an epoch.
#[derive(Default)]
struct Happening {
    specs: Vec<Spec>,
    /// Known requests that are taken back.
    remove: Vec<usize>,
    watermark: Option<EventTime>,
    /// For each: the process that refuses it.
    letters: Vec<usize>,
    /// For each: minute, app, requests there are more, and as many that two processes say
    /// differently.
    totals: Vec<(i64, u8, i64, i64)>,
}

struct Cluster {
    processes: Vec<Process>,
    /// One process that has everything.
    whole: Process,
    net: Arc<Net>,
    known: Vec<Assigned>,
    epoch: u64,
}

impl Process {
    fn new() -> Self {
        let fed = Fed::new();
        let settings = Settings {
            store: fed.store.clone(),
            rules: RuleSet::default(),
            key: SecretKey([7; 32]),
            applications: Applications::default(),
            descriptions: Descriptions::default(),
            formats: Formats::default(),
            sources: Vec::new(),
            cluster: None,
            workers: 2,
            hot_bytes_max: 1 << 20,
            epochs: EpochLimits::default(),
            ends_with_sources: false,
            refuses_future: false,
            remembers_changes: true,
        };
        let context = start::still(settings);
        let ((commands_out, commands), (pushes_out, pushes)) = (unbounded(), unbounded());
        let services = reader::services(&context.serving, &commands_out, &pushes_out);
        Self { fed, context, services, commands, pushes, counts: SourceCounts::default() }
    }

    /// Commits an epoch, but lets nobody see it.
    fn commit(
        &mut self,
        events: Vec<(Assigned, isize)>,
        watermark: Option<EventTime>,
        dead_letters: Vec<DeadLetter>,
        totals: &[((i64, String), i64)],
    ) -> Vec<SessionChange> {
        let mut sums: BTreeMap<(i64, Arc<str>), Totals> = BTreeMap::new();
        for ((minute, app), requests) in totals {
            let more = Totals { requests: *requests, errors: -requests, ..Totals::default() };
            sums.entry((*minute, app.as_str().into())).or_default().plus_equals(&more);
        }
        self.counts.read += events.len() as u64;
        self.counts.bad += dead_letters.len() as u64;
        let totals = sums.into_iter().collect();
        let commit = Commit { watermark, dead_letters, totals, ..Commit::default() };
        self.fed.feed_events(events, commit)
    }

    fn publish(&self, epoch: u64, own_source: &str, changes: Vec<SessionChange>) {
        let context = &self.context;
        let source = |name: &str, counts| SourceStatus {
            source: name.into(),
            offset: 10,
            counts,
            idle: true,
            ..SourceStatus::default()
        };
        let standing = Standing {
            watermark: None,
            health: Arc::default(),
            clock: Arc::clone(&context.gauges.clock),
            open_sessions: 0,
            sources: vec![source("push", self.counts), source(own_source, SourceCounts::default())],
            regroup: None,
            hot: Arc::clone(&context.gauges.hot),
            hot_bytes_max: context.choices.hot_bytes_max,
            workers: context.place.workers,
        };
        let rules = context.serving.published().rules.clone();
        context.publish(standing, &rules, changes).unwrap();
        context.plan.committed_through(Epoch(epoch));
    }

    fn view(&self) -> Arc<dyn View> {
        self.services.reader.view().unwrap()
    }
}

impl Cluster {
    fn of(count: usize) -> Self {
        let net = Arc::new(Net::default());
        *net.moods.lock() = vec![Mood::Answers; count];
        let (mut processes, mut desks) = (Vec::new(), Vec::new());
        for me in 0..count {
            let mut process = Process::new();
            let peers: Arc<dyn Peers> = Arc::new(Direct { me, count, net: Arc::clone(&net) });
            assert!(process.context.serving.peers.set(peers).is_ok());
            let ((commands, taken), (pushes, pushed)) = (unbounded(), unbounded());
            process.services = reader::services(&process.context.serving, &commands, &pushes);
            (process.commands, process.pushes) = (taken, pushed);
            desks.push(Desk::new(&process.context.serving, me, commands, pushes).unwrap());
            processes.push(process);
        }
        assert!(net.desks.set(desks).is_ok());
        Self { processes, whole: Process::new(), net, known: Vec::new(), epoch: 0 }
    }

    fn mood(&self, process: usize, mood: Mood) {
        self.net.moods.lock()[process] = mood;
    }

    /// Commits and publishes an epoch everywhere.
    fn feed(&mut self, happening: Happening) {
        let changes = self.commit(happening);
        let count = self.processes.len();
        let mut all = Vec::new();
        for (me, changes) in changes.into_iter().enumerate() {
            all.extend(changes.clone());
            self.publish(me, changes);
        }
        self.whole.counts = SourceCounts::default();
        for process in &self.processes {
            self.whole.counts.add(&process.counts);
        }
        self.whole.publish(self.epoch, "own", all);
        assert_eq!(self.processes.len(), count);
    }

    fn publish(&self, process: usize, changes: Vec<SessionChange>) {
        self.processes[process].publish(self.epoch, &format!("own-{process}"), changes);
    }

    /// Commits an epoch everywhere; what each process is to publish.
    fn commit(&mut self, happening: Happening) -> Vec<Vec<SessionChange>> {
        self.epoch += 1;
        let count = self.processes.len();
        let mut events = Vec::new();
        for (number, spec) in happening.specs.iter().enumerate() {
            let request = spec.request(&format!("r{}-{number}", self.epoch));
            let assigned = assign(&self.whole.fed.compiled, request);
            self.known.push(assigned.clone());
            events.push((assigned, 1));
        }
        for at in happening.remove {
            if !self.known.is_empty() {
                let at = at % self.known.len();
                events.push((self.known.swap_remove(at), -1));
            }
        }
        let letters = self.letters(&happening.letters);
        let mut partial = vec![Vec::new(); count];
        let mut totals = Vec::new();
        for (number, (minute, app, requests, apart)) in happening.totals.into_iter().enumerate() {
            let bucket = (minute, format!("app{app}"));
            partial[number % count].push((bucket.clone(), requests + apart));
            partial[(number + 1) % count].push((bucket.clone(), -apart));
            totals.push((bucket, requests));
        }
        let mut changes = Vec::new();
        for (me, process) in self.processes.iter_mut().enumerate() {
            let owned = |(assigned, _): &&(Assigned, isize)| {
                usize::from(assigned.identity.partition()) % count == me
            };
            let mine = events.iter().filter(owned).cloned().collect();
            let letters = letters.iter().filter(|(process, _)| *process == me);
            let letters = letters.map(|(_, letter)| letter.clone()).collect();
            changes.push(process.commit(mine, happening.watermark, letters, &partial[me]));
        }
        let letters = letters.into_iter().map(|(_, letter)| letter).collect();
        self.whole.commit(events, happening.watermark, letters, &totals);
        changes
    }

    /// Refused records with their processes, in the order they are told apart in.
    fn letters(&self, processes: &[usize]) -> Vec<(usize, DeadLetter)> {
        let count = self.processes.len();
        let mut letters: Vec<_> = processes
            .iter()
            .enumerate()
            .map(|(number, process)| {
                let letter = DeadLetter {
                    sequence: 0,
                    source: "push".into(),
                    offset: self.epoch * 1000 + number as u64,
                    process: 0,
                    code: RefusalCode::BadJson,
                    reason: "no".into(),
                    raw: vec![number as u8],
                    epoch: Epoch(self.epoch),
                };
                (process % count, letter)
            })
            .collect();
        letters.sort_by_key(|(process, _)| *process);
        letters
    }
}

/// A request of an identity at a minute.
fn spec(identity: u8, minute: i64) -> Spec {
    Spec { identity, minute, status: 200, explicit_id: true, ..Spec::default() }
}

/// An epoch with a request of each of some identities.
fn some_requests(minute: i64) -> Happening {
    Happening {
        specs: (0..20).map(|identity| spec(identity, minute)).collect(),
        ..Happening::default()
    }
}

/// What a read came to, to compare.
fn shown<T: std::fmt::Debug>(answer: Result<T, ServiceError>) -> String {
    format!("{answer:?}")
}
