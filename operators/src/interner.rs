//! One shared copy of texts that recur: namespaces, apps, qualifiers.
//!
//! Per worker, and bounded: full, it forgets everything and starts again, so that a stream of texts
//! that never recur costs memory for [`INTERNED_MAX`] of them at most. Only sharing is lost by that.

use std::sync::Arc;

use hashbrown::HashTable;

use crate::seeded;

/// Most texts remembered.
pub const INTERNED_MAX: usize = 4096;

/// Gives equal texts the same allocation.
#[derive(Debug, Default)]
pub struct Interner {
    known: HashTable<Arc<str>>,
}

impl Interner {
    /// The shared copy of a text.
    pub fn get(&mut self, text: &str) -> Arc<str> {
        let hash = seeded::hash(text);
        if let Some(shared) = self.known.find(hash, |known| **known == *text) {
            return Arc::clone(shared);
        }
        if self.known.len() >= INTERNED_MAX {
            self.known.clear();
        }
        let shared: Arc<str> = text.into();
        self.known.insert_unique(hash, Arc::clone(&shared), |known| seeded::hash(&**known));
        shared
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_texts_are_shared_and_memory_is_bounded() {
        let mut interner = Interner::default();
        assert!(Arc::ptr_eq(&interner.get("shop"), &interner.get("shop")));
        for n in 0..3 * INTERNED_MAX {
            assert_eq!(&*interner.get(&n.to_string()), n.to_string());
            assert!(interner.known.len() <= INTERNED_MAX);
        }
    }
}
