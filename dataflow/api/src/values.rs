//! The values of a session by a field, the most frequent first, a page at a time.
//!
//! A page is chosen while values go by, so that it takes memory for itself and not for all values,
//! of which a large session has very many.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use serde::{Deserialize, Serialize};
use spoor_operators::facts::Field;
use spoor_operators::session::Session;

/// Values to find: those with the greatest counts first, equal ones in order of their texts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ValueQuery {
    /// Of this field.
    pub field: Field,
    /// At most this many.
    pub first: usize,
    /// Only those after this value with this count.
    pub after: Option<(u64, String)>,
}

/// A page of the values of a session.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ValuePage {
    /// Values and their counts, in order.
    pub values: Vec<(String, u64)>,
    /// More follow.
    pub has_next: bool,
    /// Distinct values of the field, in all.
    pub distinct: u64,
}

type Place = (Reverse<u64>, String);

/// Keeps the first values of a page.
pub struct Page<'a> {
    query: &'a ValueQuery,
    kept: BinaryHeap<Place>,
    distinct: u64,
}

impl<'a> Page<'a> {
    /// Nothing yet.
    #[must_use]
    pub fn new(query: &'a ValueQuery) -> Self {
        Self { query, kept: BinaryHeap::new(), distinct: 0 }
    }

    /// Takes a value up; each once.
    pub fn offer(&mut self, text: &str, count: u64) {
        self.distinct += 1;
        let place = (Reverse(count), text);
        let is_before = |(after, before): &(u64, String)| place <= (Reverse(*after), &**before);
        if self.query.after.as_ref().is_some_and(is_before) {
            return;
        }
        // One more than the page has, to know whether more follow.
        if self.kept.len() > self.query.first {
            let last = self.kept.peek().map(|(count, text)| (*count, &**text));
            if last.is_some_and(|last| place >= last) {
                return;
            }
            self.kept.pop();
        }
        self.kept.push((Reverse(count), text.to_owned()));
    }

    /// The page, in its order.
    #[must_use]
    pub fn finish(self) -> ValuePage {
        let mut kept = self.kept.into_sorted_vec();
        let has_next = kept.len() > self.query.first;
        kept.truncate(self.query.first);
        let values = kept.into_iter().map(|(Reverse(count), text)| (text, count)).collect();
        ValuePage { values, has_next, distinct: self.distinct }
    }
}

/// A page of the values of a session that is here with all of them.
#[must_use]
pub fn of(session: &Session, query: &ValueQuery) -> ValuePage {
    let mut page = Page::new(query);
    session.summary.entries(query.field).for_each(|(text, count)| page.offer(text, count));
    page.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_one_after_another_are_all_values_in_order() {
        let values: Vec<_> = (0..100_u64).map(|n| (format!("v{n}"), n * 7 % 10)).collect();
        let mut expected = values.clone();
        expected.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        for first in [1, 7, 99, 100, 101] {
            let (mut found, mut after) = (Vec::new(), None);
            loop {
                let query = ValueQuery { field: Field::Ip, first, after };
                let mut page = Page::new(&query);
                values.iter().for_each(|(text, count)| page.offer(text, *count));
                let page = page.finish();
                assert_eq!((page.distinct, page.values.len() <= first), (100, true));
                found.extend(page.values);
                if !page.has_next {
                    break;
                }
                after = found.last().map(|(text, count)| (*count, text.clone()));
            }
            assert_eq!(found, expected, "by {first}");
        }
    }
}
