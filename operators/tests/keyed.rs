//! The keyed host with another instance than `sessionize`: a count by key, kept by a backend. It
//! equals differential's `count`, at any totally ordered time, however little stays in memory; its
//! output is a change stream relative to the opened state, and hydrated a full collection; and a
//! step that breaks the contract is caught.

#![allow(clippy::unwrap_used)]

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::rc::Rc;
use std::time::Duration;

use differential_dataflow::input::Input;
use differential_dataflow::lattice::Lattice;
use proptest::prelude::*;
use spoor_operators::keyed::{
    Cache, Contents, Hydrated, Keyed, KeyedOperator, KeyedOptions, Updates, Worker,
};
use timely::dataflow::operators::Inspect;
use timely::order::TotalOrder;
use timely::progress::Timestamp;
use timely::progress::timestamp::Refines;

type Kept = Rc<RefCell<BTreeMap<u8, isize>>>;

/// Counts records by their value; the counts are kept in `kept`.
struct Count<T> {
    kept: Kept,
    /// Keys below are dropped at a time.
    drops: Option<(T, u8)>,
    /// Makes wrong output.
    lies: bool,
}

impl<T> Count<T> {
    fn over(kept: &Kept) -> Self {
        Self { kept: Rc::clone(kept), drops: None, lies: false }
    }
}

fn changed(key: u8, before: isize, after: isize) -> impl Iterator<Item = ((u8, isize), isize)> {
    let both = [(before, -1), (after, 1)].into_iter();
    both.filter(move |(count, _)| before != after && *count != 0)
        .map(move |(count, diff)| ((key, count), diff))
}

impl<T: Clone + Ord> Keyed for Count<T> {
    type Time = T;
    type Key = u8;
    type Input = u8;
    type State = isize;
    type Item = (u8, isize);
    type Output = Vec<((u8, isize), isize)>;

    fn key(input: &u8) -> u8 {
        *input
    }
    fn begin(&mut self, time: &T, states: &mut Cache<u8, isize>, _: &mut Self::Output) {
        if let Some((at, below)) = self.drops.take_if(|(at, _)| *at <= *time) {
            assert!(at == *time, "visited at the time it drops");
            states.retain(|key| *key >= below);
            self.kept.borrow_mut().retain(|key, _| *key >= below);
        }
    }
    fn load(&mut self, key: &u8) -> isize {
        self.kept.borrow().get(key).copied().unwrap_or_default()
    }
    fn step(
        &mut self,
        _: &T,
        key: &u8,
        count: &mut isize,
        updates: &mut Updates<'_, u8, u8>,
        out: &mut Self::Output,
    ) {
        let before = *count;
        *count += updates.iter().map(|(_, diff)| diff).sum::<isize>();
        self.kept.borrow_mut().insert(*key, *count);
        out.extend(changed(*key, before, if self.lies { *count + 1 } else { *count }));
    }
    fn collection(key: &u8, count: &isize) -> Vec<(u8, isize)> {
        changed(*key, 0, *count).map(|(item, _)| item).collect()
    }
    fn is_empty(count: &isize) -> bool {
        *count == 0
    }
    fn bytes(_: &isize) -> usize {
        size_of::<isize>()
    }
}

impl<T: Clone + Ord> Contents for Count<T> {
    fn keys(&mut self) -> Vec<u8> {
        self.kept.borrow().keys().copied().collect()
    }
    fn dropping(&mut self, time: &T) -> Vec<u8> {
        let drops = self.drops.iter().find(|(at, _)| at == time);
        let below = drops.map_or(0, |(_, below)| *below);
        self.keys().into_iter().filter(|key| *key < below).collect()
    }
    fn contribute(&mut self, key: &u8, count: &isize, sign: isize, out: &mut Self::Output) {
        out.extend(changed(*key, 0, *count).map(|(item, _)| (item, sign)));
    }
}

/// Updates by time: what is added, and how often.
type Steps = Vec<(u64, Vec<(u8, isize)>)>;

/// What comes out of a count, and of differential's own count over the same input.
fn run<T>(at: fn(u64) -> T, steps: &Steps, bytes_max: usize) -> (Changes<T>, Changes<T>)
where
    T: Timestamp + TotalOrder + Lattice + Refines<()>,
{
    let steps = steps.clone();
    timely::execute_directly(move |worker| {
        let (ours, theirs) = (Rc::default(), Rc::default());
        let mut input = worker.dataflow::<T, _, _>(|scope| {
            let (input, values) = scope.new_collection::<u8, isize>();
            let options = KeyedOptions { bytes_max, ..KeyedOptions::default() };
            let counts = values.clone().keyed(Count::over(&Kept::default()), options);
            note(&ours, counts.inner);
            note(&theirs, values.count().inner);
            input
        });
        for (time, updates) in steps {
            input.advance_to(at(time));
            for (value, diff) in updates {
                input.update(value, diff);
            }
        }
        input.close();
        while worker.step() {}
        (consolidated(&ours), consolidated(&theirs))
    })
}

type Changes<T> = Vec<((u8, isize), T, isize)>;
type Noted<T> = Rc<RefCell<Changes<T>>>;

fn note<T: Timestamp>(noted: &Noted<T>, stream: timely::dataflow::Stream<'_, T, Changes<T>>) {
    let noted = Rc::clone(noted);
    stream.inspect(move |update| noted.borrow_mut().push(update.clone()));
}

fn consolidated<T: Timestamp>(noted: &Noted<T>) -> Changes<T> {
    let mut changes = noted.take();
    differential_dataflow::consolidation::consolidate_updates(&mut changes);
    changes
}

fn steps() -> impl Strategy<Value = Steps> {
    let update = (0..6_u8, prop_oneof![3 => Just(1_isize), 1 => Just(-1), 1 => Just(2)]);
    let step = (1..1_000_u64, prop::collection::vec(update, 0..6));
    prop::collection::vec(step, 1..8).prop_map(|steps| {
        let mut now = 0;
        let ascending = steps.into_iter().map(|(later, updates)| {
            now += later;
            (now, updates)
        });
        ascending.collect()
    })
}

fn compare<T>(at: fn(u64) -> T, steps: &Steps, bytes_max: usize) -> Result<(), TestCaseError>
where
    T: Timestamp + TotalOrder + Lattice + Refines<()> + Debug,
{
    let (ours, theirs) = run(at, steps, bytes_max);
    prop_assert_eq!(ours, theirs);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn a_count_equals_differentials_at_any_totally_ordered_time(
        steps in steps(),
        bytes_max in prop_oneof![Just(0), Just(usize::MAX)],
    ) {
        compare(|time| time, &steps, bytes_max)?;
        compare(Duration::from_nanos, &steps, bytes_max)?;
        compare(|time| time as i32 - 500, &steps, bytes_max)?;
    }

    /// Opened with state, the changes lead from that state to the final one; hydrated they are the
    /// final one, also where keys were dropped.
    #[test]
    fn changes_are_relative_to_the_opened_state_and_hydrated_they_are_a_collection(
        before in prop::collection::btree_map(0..6_u8, 1..4_isize, 0..6),
        steps in steps(),
        below in 0..6_u8,
        drop_at in any::<prop::sample::Index>(),
        hydrated in any::<bool>(),
    ) {
        let kept = Rc::new(RefCell::new(before.clone()));
        let dropped_at = steps[drop_at.index(steps.len())].0;
        let mut logic = Count::over(&kept);
        if hydrated {
            logic.drops = Some((dropped_at, below));
        }
        let mut expected: BTreeMap<(u8, isize), isize> = BTreeMap::new();
        if !hydrated {
            expected.extend(before.into_iter().map(|counted| (counted, -1)));
        }
        let found = match hydrated {
            true => process(Hydrated::new(logic), steps),
            false => process(logic, steps),
        };
        for counted in kept.take().into_iter().filter(|(_, count)| *count != 0) {
            *expected.entry(counted).or_default() += 1;
        }
        expected.retain(|_, diff| *diff != 0);
        prop_assert_eq!(found, expected);
    }
}

/// Processes steps by a worker without a dataflow; all changes, added up.
fn process<L>(logic: L, steps: Steps) -> BTreeMap<(u8, isize), isize>
where
    L: Keyed<Time = u64, Key = u8, Input = u8, Output = Vec<((u8, isize), isize)>>,
{
    let (mut worker, mut out) = (Worker::new(logic, 0), Vec::new());
    for (time, mut updates) in steps {
        worker.process(&time, &mut updates, &mut out);
    }
    let mut all = BTreeMap::new();
    for (item, diff) in out {
        *all.entry(item).or_default() += diff;
    }
    all.retain(|_, diff| *diff != 0);
    all
}

#[test]
#[cfg(debug_assertions)]
#[should_panic(expected = "the changes of a key are the difference of its states")]
fn output_that_is_not_the_difference_of_the_states_is_caught() {
    let mut logic = Count::<u64>::over(&Kept::default());
    logic.lies = true;
    process(logic, vec![(0, vec![(1, 1)])]);
}

/// What was kept comes out at the first time, even if the input ends without anything.
#[test]
fn a_hydrated_collection_is_there_without_input() {
    let found = timely::execute_directly(|worker| {
        let noted = Noted::<u64>::default();
        worker.dataflow::<u64, _, _>(|scope| {
            let values = scope.new_collection::<u8, isize>().1;
            let kept = Rc::new(RefCell::new(BTreeMap::from([(1, 2), (3, 1)])));
            let options = KeyedOptions { first: 7, ..KeyedOptions::default() };
            note(&noted, values.keyed(Hydrated::new(Count::over(&kept)), options).inner);
        });
        while worker.step() {}
        consolidated(&noted)
    });
    assert_eq!(found, [((1, 2), 7, 1), ((3, 1), 7, 1)]);
}
