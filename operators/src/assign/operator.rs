//! `assign` in a dataflow: the incremental join of requests and rules.
//!
//! Requests are arranged by a hash, the rules are laid beside every part of them. A new request
//! meets the rules in force, a changed rule set meets every request there is, and what comes out is
//! consolidated, so that only requests a change touches are retracted and inserted again. For use
//! without a store: the requests, as they came, are the state, in memory. This is ordinary
//! differential. Rules that never change need no state: [`Assign::assign_fixed`] is a map.

use std::sync::Arc;

use differential_dataflow::VecCollection;
use differential_dataflow::lattice::Lattice;
use timely::progress::Timestamp;
use xxhash_rust::xxh3::xxh3_64;

use super::{Applications, CompiledRules, Scratch, SecretKey};
use crate::facts::Assigned;
use crate::inventory::Descriptions;
use crate::record::Record;
use crate::rules::RuleSet;
use crate::rules::edit::EditError;

/// Parts the requests are arranged in; every worker has some.
const PARTS: u64 = 64;

/// What rules are compiled with, besides themselves. The same on every worker.
#[derive(Clone, Debug)]
pub struct AssignOptions {
    /// Key of the hashes of secret values.
    pub key: SecretKey,
    /// Which application a request belongs to.
    pub apps: Applications,
    /// What the applications' interfaces are said to be.
    pub descriptions: Descriptions,
}

impl AssignOptions {
    /// Options with a key of secret values, which should be random and kept: identities that are
    /// made of secrets are the same only under the same key.
    #[must_use]
    pub fn new(key: SecretKey) -> Self {
        Self { key, apps: Applications::default(), descriptions: Descriptions::default() }
    }

    /// Compiles rules under these options.
    ///
    /// # Errors
    /// Every reason the rules cannot be in force.
    pub fn compile(&self, rules: &RuleSet) -> Result<CompiledRules, Vec<EditError>> {
        CompiledRules::new(rules, &self.key, &self.apps, &self.descriptions)
    }
}

/// Assigns requests to identities.
pub trait Assign<'scope, T: Timestamp> {
    /// The requests with their identities and facts, under the rules in force.
    ///
    /// `rules` holds one rule set at any time, in all: insert it on one worker. Rules that do not
    /// compile (check them before) assign nothing.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::Arc;
    ///
    /// use differential_dataflow::input::Input;
    /// use spoor_operators::{Assign, AssignOptions, NewRequest, RuleSet, SecretKey};
    ///
    /// timely::example(|scope| {
    ///     let request = NewRequest::new("GET", "/orders/7", 0).ip("192.0.2.1").build();
    ///     let requests = scope.new_collection_from(request).1;
    ///     let rules = scope.new_collection_from([Arc::new(RuleSet::default())]).1;
    ///     let options = AssignOptions::new(SecretKey([7; 32]));
    ///     requests.assign(rules, options).inspect(|(assigned, _, _)| {
    ///         let (identity, _) = assigned.head().expect("made by assign");
    ///         assert_eq!((identity.namespace, identity.value), ("client-ip", "192.0.2.1"));
    ///     });
    /// });
    /// ```
    fn assign(
        self,
        rules: VecCollection<'scope, T, Arc<RuleSet>, isize>,
        options: AssignOptions,
    ) -> VecCollection<'scope, T, Assigned, isize>
    where
        T: Lattice;

    /// The same under rules that never change; nothing is kept.
    fn assign_fixed(self, rules: Arc<CompiledRules>) -> VecCollection<'scope, T, Assigned, isize>;
}

impl<'scope, T: Timestamp> Assign<'scope, T> for VecCollection<'scope, T, Record, isize> {
    fn assign(
        self,
        rules: VecCollection<'scope, T, Arc<RuleSet>, isize>,
        options: AssignOptions,
    ) -> VecCollection<'scope, T, Assigned, isize>
    where
        T: Lattice,
    {
        let part = |record: Record| (xxh3_64(record.as_bytes()) % PARTS, record);
        let rules = rules.flat_map(|rules| (0..PARTS).map(move |part| (part, rules.clone())));
        let mut versions = Versions { options, known: Vec::new() };
        let mut scratch = Scratch::default();
        self.map(part)
            .arrange_by_key()
            .join_core(rules.arrange_by_key(), move |_, record, rules| {
                versions.compiled(rules)?.assign_stored(record.as_bytes(), true, &mut scratch).ok()
            })
            .consolidate()
    }

    fn assign_fixed(self, rules: Arc<CompiledRules>) -> VecCollection<'scope, T, Assigned, isize> {
        let mut scratch = Scratch::default();
        self.flat_map(move |record| rules.assign_stored(record.as_bytes(), true, &mut scratch).ok())
    }
}

/// Most rule sets kept compiled: the one that goes, and the one that comes, and copies of them.
const COMPILED_MAX: usize = 8;

/// The rule sets of the join, compiled.
struct Versions {
    options: AssignOptions,
    known: Vec<(Arc<RuleSet>, Option<CompiledRules>)>,
}

impl Versions {
    /// The compiled form of a rule set; none if it does not compile.
    fn compiled(&mut self, rules: &Arc<RuleSet>) -> Option<&CompiledRules> {
        let known = self.known.iter().position(|(known, _)| Arc::ptr_eq(known, rules));
        let number = known.or_else(|| self.find(rules)).unwrap_or_else(|| self.compile(rules));
        self.known[number].1.as_ref()
    }

    /// Equal rules that are elsewhere in memory: from another process every part gets its own.
    fn find(&mut self, rules: &Arc<RuleSet>) -> Option<usize> {
        let number = self.known.iter().position(|(known, _)| known == rules)?;
        self.known[number].0 = Arc::clone(rules);
        Some(number)
    }

    fn compile(&mut self, rules: &Arc<RuleSet>) -> usize {
        if self.known.len() == COMPILED_MAX {
            self.known.remove(0);
        }
        self.known.push((rules.clone(), self.options.compile(rules).ok()));
        self.known.len() - 1
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{self, Sender};

    use differential_dataflow::input::Input;
    use timely::CommunicationConfig;
    use timely::worker::Worker;

    use super::*;
    use crate::request::{Message, Request};
    use crate::rules::GroupingKey;

    fn encoded(id: &str, header: Option<&str>) -> Record {
        let headers = header.map(|value| ("x-user".into(), value.to_owned().into()));
        let request = Request {
            id: id.to_owned().into(),
            method: "GET".into(),
            path: "/".into(),
            ip: "192.0.2.1".into(),
            request: Message { headers: headers.into_iter().collect(), ..Message::default() },
            ..Request::default()
        };
        request.into()
    }

    /// Every difference: epoch, id, identity's value and sign, in order.
    type Output = Vec<(u64, String, String, isize)>;

    /// A rule with what a rule may leave out left out, and one with all of it.
    fn new_rules() -> RuleSet {
        let keys = [
            r#"{"name":"user","point":"$request.header.x-user"}"#,
            r#"{"name":"other","point":"$request.header.x-other","namespace":"user","apps":["a"],
                "hosts":["h"],"paths":["/p"],"gap":{"ms":5}}"#,
        ];
        let mut rules = RuleSet { version: 2, ..RuleSet::default() };
        rules.grouping.extend(keys.map(|key| serde_json::from_str::<GroupingKey>(key).unwrap()));
        rules
    }

    fn work(worker: &mut Worker, sender: &Sender<(u64, String, String, isize)>) {
        let sender = sender.clone();
        let (mut requests, mut rules, probe) = worker.dataflow::<u64, _, _>(|scope| {
            let (requests, stream) = scope.new_collection::<Record, isize>();
            let (rules, rule_sets) = scope.new_collection::<Arc<RuleSet>, isize>();
            let options = AssignOptions::new(SecretKey([7; 32]));
            let assigned = stream.assign(rule_sets, options);
            let seen = assigned.inspect(move |(assigned, epoch, diff)| {
                let id = Request::decode(assigned.stored()).unwrap().id.into_owned();
                let value = assigned.head().unwrap().0.value.to_owned();
                sender.send((*epoch, id, value, *diff)).unwrap();
            });
            (requests, rules, seen.probe().0)
        });
        if worker.index() == 0 {
            let old = Arc::new(RuleSet::default());
            requests.insert(encoded("touched", Some("ann")));
            requests.insert(encoded("untouched", None));
            requests.insert(Record::of_stored(b"not a request"));
            rules.insert(old.clone());
            requests.advance_to(1);
            rules.advance_to(1);
            rules.remove(old);
            rules.insert(Arc::new(new_rules()));
            requests.advance_to(2);
            rules.advance_to(2);
            requests.insert(encoded("later", Some("bob")));
        }
        drop((requests, rules));
        while !probe.done() {
            worker.step();
        }
    }

    /// Runs one process for each way of communicating, all at once.
    fn run(processes: Vec<CommunicationConfig>) -> Output {
        let (sender, receiver) = mpsc::channel();
        std::thread::scope(|threads| {
            for communication in processes {
                let sender = sender.clone();
                threads.spawn(move || {
                    let worker = timely::WorkerConfig::default();
                    let config = timely::Config { communication, worker };
                    let guards = timely::execute(config, move |worker| work(worker, &sender));
                    guards.unwrap().join().into_iter().for_each(|result| result.unwrap());
                });
            }
        });
        drop(sender);
        let mut all: Vec<_> = receiver.iter().collect();
        all.sort();
        all
    }

    /// Processes of so many workers that talk over TCP.
    fn cluster(processes: usize, threads: usize) -> Vec<CommunicationConfig> {
        let bind = |_| std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let listeners: Vec<_> = (0..processes).map(bind).collect();
        let address = |of: &std::net::TcpListener| of.local_addr().unwrap().to_string();
        let addresses: Vec<_> = listeners.iter().map(address).collect();
        let process = |process| CommunicationConfig::Cluster {
            threads,
            process,
            addresses: addresses.clone(),
            report: false,
            zerocopy: false,
        };
        (0..processes).map(process).collect()
    }

    #[test]
    fn a_changed_rule_moves_exactly_the_requests_it_touches_wherever_they_are() {
        let client = "192.0.2.1";
        let expected = [
            (0, "touched", client, 1),
            (0, "untouched", client, 1),
            (1, "touched", client, -1),
            (1, "touched", "ann", 1),
            (2, "later", "bob", 1),
        ];
        for processes in [
            vec![CommunicationConfig::Thread],
            vec![CommunicationConfig::Process(2)],
            vec![CommunicationConfig::ProcessBinary(2)],
            cluster(2, 1),
            cluster(2, 2),
        ] {
            let name = format!("{processes:?}");
            let found = run(processes);
            let found: Vec<_> = found
                .iter()
                .map(|(epoch, id, value, diff)| (*epoch, id.as_str(), value.as_str(), *diff))
                .collect();
            assert_eq!(found, expected, "{name}");
        }
    }

    #[test]
    fn equal_rules_are_compiled_once_however_many_copies_arrive() {
        let options = AssignOptions::new(SecretKey([7; 32]));
        let mut versions = Versions { options, known: Vec::new() };
        for _ in 0..3 * COMPILED_MAX {
            assert!(versions.compiled(&Arc::new(RuleSet::default())).is_some());
            assert!(versions.compiled(&Arc::new(new_rules())).is_some());
        }
        assert_eq!(versions.known.len(), 2);
    }
}
