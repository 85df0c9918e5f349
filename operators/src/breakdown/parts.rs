//! The counts of a large breakdown in parts, so that a copy shares what does not change.
//!
//! For each field a tree: a leaf has up to [`PART_MAX`] entries, a branch four children by the next
//! two bits of the text's BLAKE3 hash. Nodes are shared by copies until they are changed, so a copy
//! costs nothing and a change the way to its leaf. The tree of a set of values is always the same,
//! whatever order they came in: a branch has more than [`PART_MAX`] entries, or is a leaf. The hash
//! is a cryptographic one because a place must not depend on a seed (parts are stored by it), and
//! nobody must be able to choose many texts with one place.

use std::sync::Arc;

use super::counts::Counts;
use crate::facts::{Fact, Field, RawFact};
use crate::wire::{Malformed, Reader};

/// Entries of a part, at most: few enough to be scanned.
pub const PART_MAX: usize = super::counts::SCAN_MAX;
/// Bytes of a [`PartKey`].
pub const PART_KEY_BYTES: usize = 10;

const FIELDS: usize = Field::ALL.len();
const WAYS: usize = 4;
const WAY_BITS: u32 = 2;
/// No branch below it: 64 bits of hash are used up.
const DEPTH_MAX: u8 = (u64::BITS / WAY_BITS) as u8;

/// Where a part lies in the tree. Ordered by field first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartKey {
    field: Field,
    /// Leading bits of the hashes of its texts, the others 0.
    prefix: u64,
    depth: u8,
}

impl PartKey {
    fn root(field: Field) -> Self {
        Self { field, prefix: 0, depth: 0 }
    }

    fn child(self, way: usize) -> Self {
        let shift = u64::BITS - WAY_BITS * (u32::from(self.depth) + 1);
        Self { prefix: self.prefix | (way as u64) << shift, depth: self.depth + 1, ..self }
    }

    /// The field its values are of.
    #[must_use]
    pub fn field(self) -> Field {
        self.field
    }

    /// Field, prefix, depth; bytes order as the keys do.
    #[must_use]
    pub fn to_bytes(self) -> [u8; PART_KEY_BYTES] {
        let mut bytes = [0; PART_KEY_BYTES];
        bytes[0] = self.field as u8;
        bytes[1..9].copy_from_slice(&self.prefix.to_be_bytes());
        bytes[9] = self.depth;
        bytes
    }

    /// The inverse of [`PartKey::to_bytes`].
    ///
    /// # Errors
    /// [`Malformed`] for anything else.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut from = Reader(bytes);
        let field = Field::from_u8(from.u8()?).ok_or(Malformed("field of a part"))?;
        let mut prefix = [0; 8];
        prefix.copy_from_slice(from.bytes(8)?);
        let (prefix, depth) = (u64::from_be_bytes(prefix), from.u8()?);
        let below = prefix.checked_shl(u32::from(depth) * WAY_BITS).unwrap_or(0);
        if depth > DEPTH_MAX || below != 0 || !from.is_empty() {
            return Err(Malformed("place of a part"));
        }
        Ok(Self { field, prefix, depth })
    }

    fn holds(self, text: &str) -> bool {
        let kept = u64::MAX.checked_shl(u64::BITS - WAY_BITS * u32::from(self.depth));
        place(text.as_bytes()) & kept.unwrap_or(0) == self.prefix
    }
}

/// The leading bits of the hash of a text.
fn place(text: &[u8]) -> u64 {
    let mut first = [0; 8];
    first.copy_from_slice(&blake3::hash(text).as_bytes()[..8]);
    u64::from_be_bytes(first)
}

fn way(place: u64, depth: u8) -> usize {
    (place >> (u64::BITS - WAY_BITS * (u32::from(depth) + 1))) as usize & (WAYS - 1)
}

#[derive(Clone, Debug)]
enum Node {
    Leaf(Arc<Counts>),
    Branch(Arc<Branch>),
}

#[derive(Clone, Debug, Default)]
struct Branch {
    entries: usize,
    children: [Option<Node>; WAYS],
}

/// Approximate bytes of the branches above a part.
pub(super) const WAY_BYTES: usize = 8 * size_of::<Branch>();

/// What adding or taking did.
#[derive(Default)]
struct Added {
    /// There is an entry more, or one less.
    is_other: bool,
    /// Bytes more, or less.
    bytes: isize,
}

/// Counts by `(field, text)` in a tree for each field.
#[derive(Clone, Debug, Default)]
pub(super) struct Parts {
    roots: [Option<Node>; FIELDS],
    distinct: [u64; FIELDS],
    bytes: isize,
}

impl Node {
    fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Leaf(one), Self::Leaf(other)) => Arc::ptr_eq(one, other),
            (Self::Branch(one), Self::Branch(other)) => Arc::ptr_eq(one, other),
            _ => false,
        }
    }

    fn add(&mut self, fact: RawFact<'_>, count: u64, key: &mut Option<u64>, depth: u8) -> Added {
        match self {
            Self::Leaf(leaf) => {
                let (entries, bytes) = (leaf.len(), leaf.heap_bytes());
                let own = Arc::make_mut(leaf);
                own.add(fact, count, 0);
                let mut added = Added {
                    is_other: own.len() > entries,
                    bytes: own.heap_bytes() as isize - bytes as isize,
                };
                if own.len() > PART_MAX && depth < DEPTH_MAX {
                    let before = own.heap_bytes() as isize;
                    let (split, bytes) = split(own, depth);
                    *self = split;
                    added.bytes += bytes - before;
                }
                added
            }
            Self::Branch(branch) => {
                let place = *key.get_or_insert_with(|| place(fact.text));
                let branch = Arc::make_mut(branch);
                let child = &mut branch.children[way(place, depth)];
                let added = match child {
                    Some(child) => child.add(fact, count, key, depth + 1),
                    None => new_leaf(child, fact, count),
                };
                branch.entries += usize::from(added.is_other);
                added
            }
        }
    }

    /// Takes from the count of a value that has at least so much.
    fn subtract(&mut self, fact: &Fact<'_>, count: u64, key: &mut Option<u64>, depth: u8) -> Added {
        match self {
            Self::Leaf(leaf) => {
                let (entries, bytes) = (leaf.len(), leaf.heap_bytes());
                let own = Arc::make_mut(leaf);
                own.subtract(fact, count);
                let bytes = own.heap_bytes() as isize - bytes as isize;
                Added { is_other: own.len() < entries, bytes }
            }
            Self::Branch(branch) => {
                let place = *key.get_or_insert_with(|| place(fact.text.as_bytes()));
                let own = Arc::make_mut(branch);
                let slot = &mut own.children[way(place, depth)];
                let Some(child) = slot else { return Added::default() };
                let mut taken = child.subtract(fact, count, key, depth + 1);
                if let Self::Leaf(leaf) = child
                    && leaf.len() == 0
                {
                    taken.bytes -= leaf.heap_bytes() as isize;
                    *slot = None;
                }
                own.entries -= usize::from(taken.is_other);
                if own.entries <= PART_MAX {
                    let (leaf, bytes) = unite(own);
                    *self = Self::Leaf(Arc::new(leaf));
                    taken.bytes += bytes;
                }
                taken
            }
        }
    }

    fn find(&self, text: &str) -> Option<&Counts> {
        let (mut node, mut depth, mut key) = (self, 0, None);
        loop {
            match node {
                Self::Leaf(leaf) => return Some(leaf),
                Self::Branch(branch) => {
                    let place = *key.get_or_insert_with(|| place(text.as_bytes()));
                    node = branch.children[way(place, depth)].as_ref()?;
                    depth += 1;
                }
            }
        }
    }

    /// Visits the parts in order of their keys.
    fn leaves<'a>(&'a self, key: PartKey, visit: &mut dyn FnMut(PartKey, &'a Counts)) {
        match self {
            Self::Leaf(leaf) => visit(key, leaf),
            Self::Branch(branch) => {
                for (way, child) in branch.children.iter().enumerate() {
                    if let Some(child) = child {
                        child.leaves(key.child(way), visit);
                    }
                }
            }
        }
    }
}

fn new_leaf(node: &mut Option<Node>, fact: RawFact<'_>, count: u64) -> Added {
    let mut leaf = Counts::default();
    leaf.add(fact, count, 0);
    let (is_new, bytes) = (leaf.len() > 0, leaf.heap_bytes() as isize);
    if is_new {
        *node = Some(Node::Leaf(Arc::new(leaf)));
    }
    Added { is_other: is_new, bytes: if is_new { bytes } else { 0 } }
}

/// A leaf instead of a branch that has too few entries, and how its bytes differ.
fn unite(branch: &Branch) -> (Counts, isize) {
    let mut leaf = Counts::default();
    let mut bytes = -(size_of::<Branch>() as isize);
    // Those below have no more entries than it has, so they are leaves.
    for child in branch.children.iter().flatten() {
        child.leaves(PartKey::root(Field::Method), &mut |_, part| {
            bytes -= part.heap_bytes() as isize;
            part.facts().for_each(|(fact, count)| leaf.append(&fact, count));
        });
    }
    bytes += leaf.heap_bytes() as isize;
    (leaf, bytes)
}

/// A branch instead of a leaf that has become too large, and its bytes.
fn split(leaf: &Counts, depth: u8) -> (Node, isize) {
    let mut children: [Counts; WAYS] = Default::default();
    for (fact, count) in leaf.facts() {
        children[way(place(fact.text.as_bytes()), depth)].append(&fact, count);
    }
    let (mut branch, mut bytes) = (Branch { entries: leaf.len(), ..Branch::default() }, 0);
    for (slot, child) in branch.children.iter_mut().zip(children) {
        if child.len() > PART_MAX && depth + 1 < DEPTH_MAX {
            let (node, more) = split(&child, depth + 1);
            bytes += more;
            *slot = Some(node);
        } else if child.len() > 0 {
            bytes += child.heap_bytes() as isize;
            *slot = Some(Node::Leaf(Arc::new(child)));
        }
    }
    (Node::Branch(Arc::new(branch)), bytes + size_of::<Branch>() as isize)
}

impl Parts {
    pub fn distinct(&self, field: Field) -> u64 {
        self.distinct[super::index(field)]
    }

    pub fn all_distinct(&self) -> [u64; FIELDS] {
        self.distinct
    }

    pub fn len(&self) -> usize {
        self.distinct.iter().sum::<u64>() as usize
    }

    pub fn heap_bytes(&self) -> usize {
        usize::try_from(self.bytes).unwrap_or(0)
    }

    pub fn add(&mut self, fact: RawFact<'_>, count: u64) {
        let at = super::index(fact.field);
        let added = match &mut self.roots[at] {
            Some(root) => root.add(fact, count, &mut None, 0),
            none => new_leaf(none, fact, count),
        };
        self.distinct[at] += u64::from(added.is_other);
        self.bytes += added.bytes;
    }

    /// Takes from a value's count; whether that much had been counted.
    pub fn subtract(&mut self, fact: &Fact<'_>, count: u64) -> bool {
        if self.count(fact) < count {
            return false;
        }
        let at = super::index(fact.field);
        let Some(root) = &mut self.roots[at] else { return count == 0 };
        let taken = root.subtract(fact, count, &mut None, 0);
        self.distinct[at] -= u64::from(taken.is_other);
        self.bytes += taken.bytes;
        if self.distinct[at] == 0 {
            self.roots[at] = None;
        }
        true
    }

    pub fn count(&self, fact: &Fact<'_>) -> u64 {
        let root = self.roots[super::index(fact.field)].as_ref();
        let part = root.and_then(|root| root.find(fact.text));
        part.map_or(0, |part| part.count(fact, 0))
    }

    /// All parts, or those of a field, in order of their keys.
    pub fn leaves(&self, field: Option<Field>) -> Vec<(PartKey, &Counts)> {
        let mut leaves = Vec::new();
        for of in Field::ALL.into_iter().filter(|of| field.is_none_or(|wanted| wanted == *of)) {
            if let Some(root) = &self.roots[super::index(of)] {
                root.leaves(PartKey::root(of), &mut |key, leaf| leaves.push((key, leaf)));
            }
        }
        leaves
    }

    /// Takes in a part as it was stored, which must not be there yet.
    pub fn take_in(&mut self, key: PartKey, part: Counts) -> Result<(), Malformed> {
        let belongs = |(fact, _): (Fact<'_>, u64)| fact.field == key.field && key.holds(fact.text);
        if part.len() == 0 || !part.facts().all(belongs) {
            return Err(Malformed("a part of a breakdown lies in another's place"));
        }
        let mut node = &mut self.roots[super::index(key.field)];
        for depth in 0..key.depth {
            let branch = node.get_or_insert_with(|| Node::Branch(Arc::default()));
            let Node::Branch(branch) = branch else {
                return Err(Malformed("a part of a breakdown inside another"));
            };
            let branch = Arc::make_mut(branch);
            branch.entries += part.len();
            node = &mut branch.children[way(key.prefix, depth)];
        }
        if node.is_some() {
            return Err(Malformed("a part of a breakdown twice"));
        }
        self.distinct[super::index(key.field)] += part.len() as u64;
        self.bytes += part.heap_bytes() as isize;
        *node = Some(Node::Leaf(Arc::new(part)));
        Ok(())
    }

    /// Whether nothing is in parts that should be in fewer or more.
    pub fn is_canonical(&self) -> bool {
        let mut nodes: Vec<_> = self.roots.iter().flatten().map(|root| (root, 0)).collect();
        while let Some((node, depth)) = nodes.pop() {
            match node {
                Node::Leaf(leaf) if leaf.len() > PART_MAX && depth < DEPTH_MAX => return false,
                Node::Leaf(_) => {}
                Node::Branch(branch) if branch.entries <= PART_MAX => return false,
                Node::Branch(branch) => {
                    nodes.extend(branch.children.iter().flatten().map(|child| (child, depth + 1)));
                }
            }
        }
        true
    }

    /// Visits the parts that are not what they were: what each is now, or that it is no more, and
    /// what there was in its place.
    pub fn changes<'a>(&'a self, old: &'a Self, visit: &mut Visit<'a>) {
        for field in Field::ALL {
            let at = super::index(field);
            differ(old.roots[at].as_ref(), self.roots[at].as_ref(), PartKey::root(field), visit);
        }
    }
}

/// Takes a part's key, and what it is now.
pub(super) type Visit<'a> = dyn FnMut(PartKey, Option<&'a Counts>) + 'a;

fn differ<'a>(old: Option<&'a Node>, new: Option<&'a Node>, key: PartKey, visit: &mut Visit<'a>) {
    match (old, new) {
        (Some(old), Some(new)) if old.is_same(new) => {}
        (Some(Node::Branch(old)), Some(Node::Branch(new))) => {
            for (way, (old, new)) in old.children.iter().zip(&new.children).enumerate() {
                differ(old.as_ref(), new.as_ref(), key.child(way), visit);
            }
        }
        (Some(Node::Leaf(old)), Some(Node::Leaf(new))) => {
            if old != new {
                visit(key, Some(new));
            }
        }
        (old, new) => {
            if let Some(old) = old {
                old.leaves(key, &mut |key, _| visit(key, None));
            }
            if let Some(new) = new {
                new.leaves(key, &mut |key, part| visit(key, Some(part)));
            }
        }
    }
}

impl PartialEq for Parts {
    fn eq(&self, other: &Self) -> bool {
        let mut same = self.distinct == other.distinct;
        if same {
            self.changes(other, &mut |_, _| same = false);
        }
        same
    }
}
