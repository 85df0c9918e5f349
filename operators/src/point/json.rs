//! JSON by place: an index of a text's values, so that a pointer finds a span instead of a copy.
//!
//! The index is made once for a body and reused as a buffer; reading a text value without escapes
//! borrows it. The parser keeps its own stack, so depth is bounded by the text alone. Where a name
//! repeats in an object, reading takes the first, and redaction all of them.

use std::borrow::Cow;

use super::Pointer;

/// Kinds of values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Object,
    Array,
    Text,
    /// A number, `true` or `false`.
    Scalar,
    Null,
}

#[derive(Clone, Copy, Debug)]
struct Node {
    kind: Kind,
    /// Place of the name without its quotes; empty at 0 for none.
    name: (u32, u32),
    start: u32,
    end: u32,
    /// The node after this one and all that is in it.
    next: u32,
}

/// The places of all values of a text.
#[derive(Debug, Default)]
pub(crate) struct Index {
    nodes: Vec<Node>,
    open: Vec<u32>,
}

impl Index {
    /// Indexes a text. False: it is not JSON.
    pub(crate) fn parse(&mut self, text: &str) -> bool {
        self.nodes.clear();
        self.open.clear();
        if u32::try_from(text.len()).is_err() {
            return false;
        }
        let mut parser = Parser { bytes: text.as_bytes(), at: 0, index: self };
        parser.document().is_some()
    }

    /// Whether the whole is an array.
    pub(crate) fn is_array(&self) -> bool {
        self.nodes.first().is_some_and(|root| root.kind == Kind::Array)
    }

    /// Length of the whole, if it is an array.
    pub(crate) fn array_len(&self) -> Option<usize> {
        self.is_array().then(|| self.children(0).count())
    }

    /// The value a pointer names, beginning at the node `from` (0: the whole).
    pub(crate) fn find(&self, text: &str, from: usize, tokens: &[&str]) -> Option<usize> {
        let mut at = from;
        self.nodes.get(at)?;
        for token in tokens {
            at = self.child(text, at, token)?;
        }
        Some(at)
    }

    fn child(&self, text: &str, parent: usize, token: &str) -> Option<usize> {
        match self.nodes[parent].kind {
            Kind::Object => self.children(parent).find(|&child| self.is_named(text, child, token)),
            Kind::Array => self.children(parent).nth(array_index(token)?),
            _ => None,
        }
    }

    fn children(&self, parent: usize) -> impl Iterator<Item = usize> + '_ {
        let end = self.nodes[parent].next as usize;
        let mut at = parent + 1;
        std::iter::from_fn(move || {
            let child = (at < end).then_some(at)?;
            at = self.nodes[child].next as usize;
            Some(child)
        })
    }

    fn is_named(&self, text: &str, node: usize, name: &str) -> bool {
        let (start, end) = self.nodes[node].name;
        let raw = &text[start as usize..end as usize];
        if memchr::memchr(b'\\', raw.as_bytes()).is_none() {
            return raw == name;
        }
        unquote(&text[start as usize - 1..end as usize + 1]).is_some_and(|known| known == name)
    }

    /// The value of a node as section 2 of the semantics has it; none when it did not work.
    pub(crate) fn value<'t>(&self, text: &'t str, node: usize) -> Option<Cow<'t, str>> {
        let node = &self.nodes[node];
        let raw = &text[node.start as usize..node.end as usize];
        match node.kind {
            Kind::Text => {
                let inside = &raw[1..raw.len() - 1];
                if memchr::memchr(b'\\', inside.as_bytes()).is_none() {
                    return (!inside.is_empty()).then_some(Cow::Borrowed(inside));
                }
                unquote(raw).filter(|text| !text.is_empty()).map(Cow::Owned)
            }
            Kind::Scalar => Some(Cow::Borrowed(raw)),
            Kind::Object | Kind::Array | Kind::Null => None,
        }
    }

    /// Reads what a pointer names.
    pub(crate) fn read<'t>(&self, text: &'t str, pointer: &Pointer) -> Option<Cow<'t, str>> {
        let mut at = 0;
        self.nodes.first()?;
        for token in &pointer.0 {
            at = self.child(text, at, token)?;
        }
        self.value(text, at)
    }

    /// Every node a pointer can mean when names repeat, in order of place.
    pub(crate) fn find_all(&self, text: &str, tokens: &[&str]) -> Vec<usize> {
        let mut found = if self.nodes.is_empty() { vec![] } else { vec![0] };
        for token in tokens {
            let mut next = Vec::new();
            for parent in found {
                match self.nodes[parent].kind {
                    Kind::Object => next.extend(
                        self.children(parent).filter(|&child| self.is_named(text, child, token)),
                    ),
                    _ => next.extend(self.child(text, parent, token)),
                }
            }
            found = next;
        }
        found
    }

    /// Place of a node's value in the text.
    pub(crate) fn span(&self, node: usize) -> std::ops::Range<usize> {
        self.nodes[node].start as usize..self.nodes[node].end as usize
    }
}

fn unquote(quoted: &str) -> Option<String> {
    serde_json::from_str(quoted).ok()
}

fn array_index(token: &str) -> Option<usize> {
    let plain =
        token.bytes().all(|b| b.is_ascii_digit()) && (token == "0" || !token.starts_with('0'));
    if plain { token.parse().ok() } else { None }
}

struct Parser<'a> {
    bytes: &'a [u8],
    at: usize,
    index: &'a mut Index,
}

impl Parser<'_> {
    fn space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.bytes.get(self.at) {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn document(&mut self) -> Option<()> {
        self.space();
        self.value((0, 0))?;
        loop {
            self.space();
            let Some(&parent) = self.index.open.last() else {
                return (self.at == self.bytes.len()).then_some(());
            };
            let node = self.index.nodes[parent as usize];
            let first = self.index.nodes.len() == parent as usize + 1;
            let (close, is_object) = match node.kind {
                Kind::Object => (b'}', true),
                _ => (b']', false),
            };
            if self.eat(close) {
                let next = self.index.nodes.len() as u32;
                let node = &mut self.index.nodes[parent as usize];
                (node.end, node.next) = (self.at as u32, next);
                self.index.open.pop();
                continue;
            }
            if !first {
                if !self.eat(b',') {
                    return None;
                }
                self.space();
            }
            let name = if is_object { self.name()? } else { (0, 0) };
            self.value(name)?;
        }
    }

    fn name(&mut self) -> Option<(u32, u32)> {
        let start = self.at + 1;
        self.text()?;
        let end = self.at - 1;
        self.space();
        if !self.eat(b':') {
            return None;
        }
        self.space();
        Some((start as u32, end as u32))
    }

    /// One value; of an object or array, its beginning.
    fn value(&mut self, name: (u32, u32)) -> Option<()> {
        let start = self.at;
        let kind = match self.peek()? {
            b'{' => Kind::Object,
            b'[' => Kind::Array,
            b'"' => {
                self.text()?;
                Kind::Text
            }
            b't' => self.literal(b"true", Kind::Scalar)?,
            b'f' => self.literal(b"false", Kind::Scalar)?,
            b'n' => self.literal(b"null", Kind::Null)?,
            _ => {
                self.number()?;
                Kind::Scalar
            }
        };
        let own = self.index.nodes.len() as u32;
        if matches!(kind, Kind::Object | Kind::Array) {
            self.at += 1;
            self.index.open.push(own);
        }
        let (start, end) = (start as u32, self.at as u32);
        self.index.nodes.push(Node { kind, name, start, end, next: own + 1 });
        Some(())
    }

    fn literal(&mut self, word: &[u8], kind: Kind) -> Option<Kind> {
        let found = self.bytes[self.at..].starts_with(word);
        self.at += word.len();
        found.then_some(kind)
    }

    fn text(&mut self) -> Option<()> {
        if !self.eat(b'"') {
            return None;
        }
        loop {
            match self.peek()? {
                b'"' => {
                    self.at += 1;
                    return Some(());
                }
                b'\\' => self.at += 2,
                0..=0x1f => return None,
                _ => self.at += 1,
            }
        }
    }

    fn digits(&mut self) -> Option<()> {
        let start = self.at;
        while self.peek().is_some_and(|b| b.is_ascii_digit()) {
            self.at += 1;
        }
        (self.at > start).then_some(())
    }

    fn number(&mut self) -> Option<()> {
        self.eat(b'-');
        if !self.eat(b'0') {
            self.digits()?;
        }
        if self.eat(b'.') {
            self.digits()?;
        }
        if self.eat(b'e') || self.eat(b'E') {
            let _ = self.eat(b'+') || self.eat(b'-');
            self.digits()?;
        }
        Some(())
    }
}
