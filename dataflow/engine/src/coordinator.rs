//! The coordinator: one thread that makes epochs of input, changes of rules and expiry.
//!
//! It opens an epoch, adds what arrives, and closes it: soon when little arrives, at a size or an
//! age when much does. An accepted change of rules closes the epoch it arrives in and begins the
//! next; so do days that retention drops. It takes no input while too many closed epochs wait for
//! their commit, which is all the back-pressure there is.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use crossbeam_channel::{Receiver, Sender, select};
use spoor_operators::assign::CompiledRules;
use spoor_operators::rules::RuleSet;
use spoor_operators::rules::edit::EditError;
use spoor_operators::time::{Day, Epoch};

use crate::command::{Closed, Command, PendingChange, PendingPush, PushReply};
use crate::inputs::FromSource;
use crate::limits::EPOCHS_IN_FLIGHT_MAX;
use crate::mail::{Mail, Note, Turn};
use crate::plan::{EpochPlan, Origin, Plan, Task};
use crate::regroup::Regroup;
use crate::rule_changes::{Prepared, Request, RuleChanges};
use crate::{Context, LEADER, answers};
use spoor_api::service::{Push, RuleChangeError, ServiceError};
use spoor_store::failpoint;

/// See the module's description.
pub struct Coordinator {
    context: Arc<Context>,
    plan: Arc<Plan>,
    channels: Channels,
    rules: Arc<CompiledRules>,
    regroup: Option<Arc<Regroup>>,
    first_day: Option<Day>,
    open: Closed,
    opened: Instant,
    bytes: usize,
    has_work: bool,
    push_offset: u64,
    live_sources: usize,
    /// Keys of pushes and changes that wait for their commit, hashed, with its epoch.
    keys_in_flight: HashMap<[u8; 16], Epoch>,
    deferred: Vec<Command>,
    changes: RuleChanges,
    stopping: bool,
    role: Role,
}

/// What this process is in its cluster.
enum Role {
    /// There is no other process.
    Alone,
    /// It says when epochs begin and end.
    Leader(Followers),
    /// It is told when epochs begin and end.
    Follower(Follower),
}

/// What the leader knows of the others.
struct Followers {
    mail: Arc<Mail>,
    /// One of them has work in the open epoch.
    want: bool,
    /// One of them has no room for more.
    are_full: bool,
    /// Those whose sources have not ended.
    reading: HashSet<usize>,
}

/// What a follower keeps in mind.
struct Follower {
    mail: Arc<Mail>,
    /// The leader knows of work in the open epoch, and that there is no room for more.
    told: (bool, bool),
    /// The open epoch is the last.
    is_last: bool,
}

/// What the coordinator listens to, and whom it tells.
pub struct Channels {
    /// Changes, commits, the end.
    pub commands: Receiver<Command>,
    /// Pushes: bounded.
    pub pushes: Receiver<Command>,
    /// Chunks of sources: bounded.
    pub inputs: Receiver<FromSource>,
    /// Closed epochs, for the committer.
    pub closed: Sender<Closed>,
}

/// What the coordinator begins with.
pub struct Start {
    /// The rules in force.
    pub rules: Arc<CompiledRules>,
    /// A regroup that had not ended.
    pub regroup: Option<Arc<Regroup>>,
    /// First retained day.
    pub first_day: Option<Day>,
    /// Bytes pushed so far.
    pub push_offset: u64,
    /// Sources that are read.
    pub live_sources: usize,
    /// The rules, if the store has none: committed with the first epoch.
    pub new_rules: Option<Arc<RuleSet>>,
}

impl Coordinator {
    /// A coordinator whose first epoch is open.
    pub fn new(context: Arc<Context>, channels: Channels, start: Start) -> Self {
        let plan = Arc::clone(&context.plan);
        let first = Epoch(plan.committed() + 1);
        let role = Role::of(&context);
        let mut coordinator = Self {
            open: Closed::new(Arc::new(EpochPlan::open(first, Arc::clone(&start.rules)))),
            context,
            plan,
            channels,
            rules: start.rules,
            regroup: start.regroup,
            first_day: start.first_day,
            opened: Instant::now(),
            bytes: 0,
            has_work: false,
            push_offset: start.push_offset,
            live_sources: start.live_sources,
            keys_in_flight: HashMap::new(),
            deferred: Vec::new(),
            changes: RuleChanges::default(),
            stopping: false,
            role,
        };
        coordinator.enter(first, false);
        if let Some(rules) = start.new_rules {
            coordinator.open.change = Some(PendingChange { rules, key: None, replies: Vec::new() });
            coordinator.has_work = true;
        }
        // The run before may have ended between a commit and the epoch that drops what it made due.
        coordinator.has_work |= coordinator.day_due().is_some();
        coordinator.tell_ended();
        coordinator
    }

    /// Runs until everything that was taken is in a closed epoch and nothing more comes.
    pub fn run(mut self) {
        while !self.plan.has_failed() && !self.is_finished() {
            self.wait();
            if self.is_due() {
                let next = self.close();
                self.begin(next, false, None);
            }
        }
        if !self.plan.has_failed() {
            let last = self.open.plan.epoch;
            self.close();
            if let Role::Leader(followers) = &self.role {
                followers.mail.broadcast(&Note::End(last.0));
            }
            self.plan.end_at(last);
        }
    }

    fn is_finished(&self) -> bool {
        let others_read = match &self.role {
            Role::Follower(follower) => return follower.is_last,
            Role::Leader(followers) => !followers.reading.is_empty() || followers.want,
            Role::Alone => false,
        };
        let drained = self.context.choices.ends_with_sources
            && self.live_sources == 0
            && !others_read
            && self.channels.inputs.is_empty()
            && self.regroup.is_none();
        self.stopping || (drained && self.is_settled())
    }

    /// Whether no day has to go any more: the last commit may move the watermark on.
    fn is_settled(&self) -> bool {
        let retains_all = self.rules.rules().settings.retention_days.is_none();
        let committed = !self.has_work && self.in_flight() == 0;
        retains_all || (committed && self.day_due().is_none())
    }

    /// The first day to be retained, when days before it are still there.
    fn day_due(&self) -> Option<Day> {
        self.context.first_day(&self.rules).filter(|day| Some(*day) > self.first_day)
    }

    fn in_flight(&self) -> usize {
        (self.open.plan.epoch.0 - 1 - self.plan.committed()) as usize
    }

    fn is_full(&self) -> bool {
        self.bytes >= self.context.choices.limits.bytes_max
    }

    /// Takes one thing, or waits until the open epoch may be due.
    fn wait(&mut self) {
        let limits = &self.context.choices.limits;
        let age = self.opened.elapsed();
        let due = if age < limits.age_min { limits.age_min - age } else { limits.age_min };
        // A full epoch is closed at once, unless too many are in flight or another closes it.
        let closes = !matches!(self.role, Role::Follower(_));
        let takes_input = !self.is_full() || (closes && self.in_flight() < EPOCHS_IN_FLIGHT_MAX);
        let (no_input, no_push) = (crossbeam_channel::never(), crossbeam_channel::never());
        let reads = takes_input && self.live_sources > 0;
        let inputs = if reads { self.channels.inputs.clone() } else { no_input };
        let pushes = if takes_input { self.channels.pushes.clone() } else { no_push };
        select! {
            recv(self.channels.commands) -> command => match command {
                Ok(command) => self.command(command),
                Err(_) => self.stopping = true,
            },
            recv(self.changes.prepared()) -> change => if let Ok(change) = change {
                self.prepared(change);
            },
            recv(inputs) -> input => if let Ok(input) = input { self.input(input) },
            recv(pushes) -> push => if let Ok(push) = push { self.command(push) },
            default(due) => {}
        }
    }

    /// Whether the open epoch is to be closed now.
    fn is_due(&self) -> bool {
        let (others_work, others_full) = match &self.role {
            Role::Follower(_) => return false,
            Role::Leader(followers) => (followers.want, followers.are_full),
            Role::Alone => (false, false),
        };
        let limits = &self.context.choices.limits;
        let age = self.opened.elapsed();
        let works = self.has_work || others_work || self.regroup.is_some();
        if !works || self.in_flight() >= EPOCHS_IN_FLIGHT_MAX {
            return false;
        }
        let waiting = !self.channels.inputs.is_empty() || !self.channels.pushes.is_empty();
        let calm = !waiting && self.in_flight() == 0;
        self.is_full() || others_full || age >= limits.age_max || (age >= limits.age_min && calm)
    }

    fn input(&mut self, input: FromSource) {
        match input {
            FromSource::Chunk(chunk) => {
                self.bytes += chunk.bytes.len();
                let mark = (chunk.checkpoint.clone(), chunk.end);
                self.open.marks.insert(chunk.source, mark);
                let origin = Origin::source(self.context.place.process, chunk.source);
                self.add(Task { chunk, origin });
            }
            FromSource::End(source) => {
                self.open.ended.push(source);
                self.source_ended();
            }
            FromSource::Stopped(_) => self.source_ended(),
            FromSource::LeftOut(_) => {
                self.context.fate.left_out();
                self.source_ended();
            }
            FromSource::Failed(_, error) => {
                // It was not read to its end: the next start tries it again.
                self.context.fate.source_failed(&error);
                self.source_ended();
            }
        }
    }

    /// One source less has anything to come.
    fn source_ended(&mut self) {
        self.live_sources -= 1;
        self.tell_ended();
    }

    fn add(&mut self, task: Task) {
        self.has_work = true;
        self.open.plan.add(task);
        self.plan.wake();
        self.tell_work();
    }

    /// Tells the leader of work in the open epoch, once, and once that there is no room for more.
    fn tell_work(&mut self) {
        let full = self.is_full();
        let Role::Follower(follower) = &mut self.role else { return };
        if follower.told == (true, full) || follower.told == (true, true) {
            return;
        }
        follower.told = (true, full);
        follower.mail.send(LEADER, &Note::Wants { epoch: self.open.plan.epoch.0, full });
    }

    /// Tells the leader that all sources here have ended, if they have.
    fn tell_ended(&mut self) {
        if let (Role::Follower(follower), 0) = (&self.role, self.live_sources) {
            let failures = self.context.fate.source_failures();
            follower.mail.send(LEADER, &Note::SourcesEnded { failures });
        }
    }

    fn command(&mut self, command: Command) {
        match command {
            Command::Push { push, reply } => self.push(push, reply),
            Command::Change { edit, expected, key, reply } => {
                self.change(Request { edit, expected, key, reply });
            }
            Command::Committed => self.committed(),
            Command::Told(from, note) => self.told(from, note),
            Command::Stop => match &self.role {
                Role::Follower(follower) => follower.mail.send(LEADER, &Note::Stop),
                _ => self.stopping = true,
            },
        }
    }

    /// Takes what another process says of epochs. What has passed by now is of no use any more.
    fn told(&mut self, from: usize, note: Note) {
        let open = self.open.plan.epoch.0;
        match (&mut self.role, note) {
            (Role::Leader(followers), Note::Wants { epoch, full }) if epoch == open => {
                followers.want = true;
                followers.are_full |= full;
            }
            (Role::Leader(followers), Note::SourcesEnded { failures }) => {
                followers.reading.remove(&from);
                if self.context.choices.ends_with_sources {
                    self.context.fate.sources_failed_at(from, failures);
                }
            }
            (Role::Leader(_), Note::Stop) => self.stopping = true,
            (Role::Follower(follower), Note::End(_)) => follower.is_last = true,
            (Role::Follower(_), Note::Turn(turn)) => self.turn(turn),
            _ => {}
        }
    }

    /// Follows the leader into the next epoch.
    fn turn(&mut self, turn: Turn) {
        let next = self.close();
        assert_eq!(next.0, turn.epoch, "the leader begins epochs in order, without holes");
        let mut change = None;
        if let Some(rules) = &turn.rules {
            let parsed = serde_json::from_str(rules).map_err(|error| error.to_string());
            let compiled = parsed.and_then(|rules: RuleSet| {
                let compiled = self.context.rulebook.compile(&rules);
                let compiled = compiled.map_err(|errors| format!("{errors:?}"))?;
                Ok((Arc::new(rules), compiled))
            });
            match compiled {
                Ok((rules, compiled)) => {
                    self.rules = compiled;
                    change = Some(PendingChange { rules, key: None, replies: Vec::new() });
                }
                Err(error) => {
                    return self
                        .context
                        .fate
                        .fail(format!("rules of the leader are refused: {error}"));
                }
            }
        }
        let known = self.regroup.take();
        self.regroup = turn.regroup.map(|(version, effective)| match known {
            Some(known) if known.version == version => known,
            _ => self.new_regroup(version, Epoch(effective)),
        });
        self.first_day = turn.first_day.map(Day);
        if let Role::Follower(follower) = &mut self.role {
            follower.told = (false, false);
        }
        self.enter(next, turn.drops_days);
        self.open.change = change;
    }

    fn new_regroup(&self, version: u64, effective: Epoch) -> Arc<Regroup> {
        let total = self.context.retained_requests();
        Arc::new(Regroup::new(version, effective, total, self.context.place.workers))
    }

    fn push(&mut self, push: Push, reply: PushReply) {
        failpoint::hit("panic-coordinator");
        let mut used = None;
        if let Some(key) = &push.key {
            let content = push.content_hash();
            if let Some(answer) = self.context.remembered_push(key, content) {
                let _ = reply.send(answer);
                return;
            }
            let of_key = |known: &&mut PendingPush| {
                known.key.as_ref().is_some_and(|(known, _)| known == key)
            };
            if let Some(pending) = self.open.pushes.iter_mut().find(of_key) {
                if pending.key.as_ref().is_some_and(|(_, known)| *known == content) {
                    pending.replies.push(reply);
                } else {
                    let _ = reply.send(Err(ServiceError::KeyReused));
                }
                return;
            }
            let in_flight = answers::push_key(key);
            if self.keys_in_flight.contains_key(&in_flight) {
                // Its first use waits for its commit: looked at again when that is done.
                self.deferred.push(Command::Push { push, reply });
                return;
            }
            used = Some((key.clone(), content, in_flight));
        }
        let name = Arc::clone(&self.context.place.push_source);
        let chunk = self.context.formats.chunk(name, push.format.as_deref(), push.body);
        let mut chunk = match chunk {
            Ok(chunk) => chunk,
            Err(text) => {
                let _ = reply.send(Err(ServiceError::UnknownFormat(text)));
                return;
            }
        };
        let key = used.map(|(key, content, in_flight)| {
            self.keys_in_flight.insert(in_flight, self.open.plan.epoch);
            (key, content)
        });
        let origin = Origin::push(self.context.place.process, self.open.pushes.len() as u32);
        chunk.offset = self.push_offset;
        chunk.end += self.push_offset;
        self.push_offset = chunk.end;
        self.bytes += chunk.bytes.len();
        self.open.pushes.push(PendingPush { origin, key, replies: vec![reply] });
        self.open.marks.insert(chunk.source, (Bytes::new(), chunk.end));
        self.add(Task { chunk, origin });
    }

    /// Takes a change of rules: answers it if it is a repeat, else has it prepared.
    fn change(&mut self, request: Request) {
        if let Some(key) = &request.key {
            let edited_with = serde_json::to_vec(&request.edit).unwrap_or_default();
            if let Some(answer) = self.context.remembered_change(key, &edited_with) {
                let _ = request.reply.send(answer);
                return;
            }
            if self.keys_in_flight.contains_key(&answers::change_key(key)) {
                // Its first use is looked at again when that is committed, or refused.
                let Request { edit, expected, key, reply } = request;
                self.deferred.push(Command::Change { edit, expected, key, reply });
                return;
            }
            self.keys_in_flight.insert(answers::change_key(key), Epoch(u64::MAX));
        }
        self.changes.ask(&self.context, &self.rules, request);
    }

    /// Applies a prepared change: the next epoch begins with it.
    fn prepared(&mut self, prepared: Prepared) {
        let Prepared { request: Request { edit, key, reply, .. }, outcome } = prepared;
        let allowed = outcome.and_then(|(rules, compiled)| {
            self.check_fixed(&rules).map_err(RuleChangeError::Invalid)?;
            Ok((rules, compiled))
        });
        match allowed {
            Ok((rules, compiled)) => {
                let epoch = self.close();
                if let Some(used) = &key {
                    self.keys_in_flight.insert(answers::change_key(used), epoch);
                }
                self.rules = compiled;
                self.regroup = Some(self.new_regroup(rules.version, epoch));
                let key = key.map(|key| (key, serde_json::to_vec(&edit).unwrap_or_default()));
                let change = PendingChange { rules, key, replies: vec![reply] };
                self.begin(epoch, false, Some(change));
                self.has_work = true;
            }
            Err(error) => {
                let _ = reply.send(Err(error));
                if let Some(key) = &key {
                    self.keys_in_flight.remove(&answers::change_key(key));
                    self.look_again();
                }
            }
        }
        self.changes.applied(&self.context, &self.rules);
    }

    /// Refuses what cannot change any more in a store that holds requests.
    fn check_fixed(&self, rules: &RuleSet) -> Result<(), Vec<EditError>> {
        let is_alone = matches!(self.role, Role::Alone);
        let empty = is_alone && self.context.retained_requests() == 0 && !self.has_work;
        crate::rules::check_fixed(self.rules.rules(), rules, empty)
    }

    /// After a commit: a regroup may have ended, and days may have to go. The leader's word on both is
    /// the only one: it may begin further epochs with a regroup before it takes note of its end, and
    /// whoever has forgotten it by then would have to begin anew what no worker goes through again.
    fn committed(&mut self) {
        let committed = Epoch(self.plan.committed());
        if !matches!(self.role, Role::Follower(_)) {
            if self.regroup.as_ref().is_some_and(|regroup| regroup.is_done_by(committed)) {
                self.regroup = None;
            }
            if let Some(day) = self.day_due() {
                let next = self.close();
                self.first_day = Some(day);
                self.begin(next, true, None);
                self.has_work = true;
            }
        }
        self.keys_in_flight.retain(|_, epoch| *epoch > committed);
        self.look_again();
    }

    /// Takes what waited for another use of its key.
    fn look_again(&mut self) {
        for command in std::mem::take(&mut self.deferred) {
            self.command(command);
        }
    }

    /// Hands the open epoch, whatever is in it, to the committer. The number of the next one, which
    /// is to be begun.
    fn close(&mut self) -> Epoch {
        let epoch = self.open.plan.epoch;
        let placeholder = Closed::new(Arc::clone(&self.open.plan));
        let closed = std::mem::replace(&mut self.open, placeholder);
        closed.plan.close();
        // Only a failed committer is gone, and then everything stops.
        let _ = self.channels.closed.send(closed);
        self.plan.wake();
        Epoch(epoch.0 + 1)
    }

    /// Begins an epoch, here and at the followers.
    fn begin(&mut self, epoch: Epoch, drops_days: bool, change: Option<PendingChange>) {
        if let Role::Leader(followers) = &mut self.role {
            (followers.want, followers.are_full) = (false, false);
            let rules = change
                .as_ref()
                .map(|change| serde_json::to_string(&*change.rules).expect("rules are plain data"));
            let regroup = self.regroup.as_ref();
            followers.mail.broadcast(&Note::Turn(Turn {
                epoch: epoch.0,
                rules,
                regroup: regroup.map(|regroup| (regroup.version, regroup.effective.0)),
                first_day: self.first_day.map(|day| day.0),
                drops_days,
            }));
        }
        self.enter(epoch, drops_days);
        self.open.change = change;
    }

    /// Enters an epoch: what holds throughout it is settled here.
    fn enter(&mut self, epoch: Epoch, drops_days: bool) {
        let mut plan = EpochPlan::open(epoch, Arc::clone(&self.rules));
        plan.first_day = self.first_day;
        plan.drops_days = drops_days;
        if self.context.choices.refuses_future {
            let future_ms = self.rules.rules().settings.future_ms;
            plan.future = future_ms.map(|ms| (Arc::clone(&self.context.gauges.clock), ms));
        }
        plan.regroup = self.regroup.clone();
        self.open = Closed::new(Arc::new(plan));
        self.opened = Instant::now();
        self.bytes = 0;
        self.has_work = false;
        self.plan.begin(Arc::clone(&self.open.plan));
    }
}

impl Role {
    fn of(context: &Context) -> Self {
        let Some(mail) = &context.place.mail else { return Self::Alone };
        let mail = Arc::clone(mail);
        if mail.me() == LEADER {
            let reading = mail.others().collect();
            return Self::Leader(Followers { mail, want: false, are_full: false, reading });
        }
        Self::Follower(Follower { mail, told: (false, false), is_last: false })
    }
}
