//! Secret values wherever else they stand in a record.
//!
//! A rule names one place of a secret, but the same value often stands in others: a token in the
//! query, in `referer` and in the body; a cookie in an error message. After the named places are
//! redacted, one pass masks their values in every other text a client or server can fill in, also
//! where they are percent-coded or escaped (up to [`FOLDS_MAX`] times). The names of secret query
//! parameters are looked for in every text that holds a URL, so a `referer` of a later request is
//! covered too. What routes a request or says who sent it (method, host, application, client
//! address, kind of a detection) and its id stay as they are: otherwise a client could hide by
//! sending, say, its own address as a token. Work is linear in the record.

use std::borrow::Cow;
use std::collections::HashSet;
use std::ops::Range;

use aho_corasick::{AhoCorasick, MatchKind};
use memchr::memmem;

use super::super::marker::{HASH_DIGITS, MARKER};
use super::super::read::AUTHORIZATION;
use super::text::replaced;
use super::{Sealer, percent_coded};
use crate::point::json::Index;
use crate::point::read::{form_text, percent_decode, segment};
use crate::request::{Body, Request};

/// Shortest secret masked inside other words, in bytes.
const ANYWHERE_BYTES_MIN: usize = 8;
/// Shortest secret masked elsewhere at all, where it is a word of its own.
const WORD_BYTES_MIN: usize = 4;
/// Longest secret looked for elsewhere: a longer one is a document, not a token.
const NEEDLE_BYTES_MAX: usize = 8 << 10;
/// Bytes of all secrets of one record that are looked for.
const NEEDLES_BYTES_MAX: usize = 256 << 10;
/// How often an escaped text may be escaped again and still be looked through.
const FOLDS_MAX: usize = 3;
/// Up to this many values are searched for one by one: cheaper than an automaton.
const ONE_BY_ONE_MAX: usize = 4;
/// Headers that are a URL: they are redacted as the request's own URL is.
const URL_HEADERS: [&str; 6] =
    ["referer", "location", "content-location", "origin", "x-original-url", "x-rewrite-url"];

/// What is secret of any URL, by the rules.
#[derive(Debug, Default)]
pub(super) struct UrlSecrets {
    /// Names of query parameters.
    pub(super) names: Vec<String>,
    pub(super) segments: Vec<i32>,
    /// The whole URL or its path.
    pub(super) whole: bool,
}

impl UrlSecrets {
    fn is_empty(&self) -> bool {
        self.names.is_empty() && self.segments.is_empty() && !self.whole
    }
}

/// How a marker is written at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Raw,
    UrlHeader,
    Path,
    /// A query, or a form as text.
    Query,
    Json,
    Body,
}

/// Looks for the secret values of one record.
pub(super) struct Finder<'s> {
    urls: &'s UrlSecrets,
    long: Words,
    short: Words,
    shortest: usize,
}

impl<'s> Finder<'s> {
    /// For the values that were sealed; none: there is nothing to look for.
    pub(super) fn new(
        sealer: &Sealer<'_>,
        urls: &'s UrlSecrets,
        request: &mut Request<'_>,
    ) -> Option<Self> {
        if sealer.originals.is_empty() && urls.is_empty() {
            return None;
        }
        let mut values = Values::default();
        sealer.originals.iter().for_each(|text| values.add(text));
        if !urls.names.is_empty() {
            for (form, text) in texts(request) {
                named_values(text, form, urls, sealer, &mut values);
            }
        }
        let (long, short): (Vec<_>, Vec<_>) =
            values.found.into_iter().partition(|value| value.len() >= ANYWHERE_BYTES_MIN);
        if long.is_empty() && short.is_empty() && urls.is_empty() {
            return None;
        }
        let shortest = long.iter().chain(&short).map(String::len).min().unwrap_or(usize::MAX);
        let long = Words::new(long, MatchKind::LeftmostLongest);
        let short = Words::new(short, MatchKind::Standard);
        Some(Self { urls, long, short, shortest })
    }

    /// Whether something of the record has to be masked.
    pub(super) fn finds(&self, request: &mut Request<'_>, sealer: &Sealer<'_>) -> bool {
        texts(request).iter().any(|(form, text)| {
            !self.spans(text, *form, sealer).is_empty()
                || (*form == Form::UrlHeader && !self.url_parts(text, sealer).is_empty())
        })
    }

    /// Masks everything found. True: the path changed.
    pub(super) fn mask(&self, request: &mut Request<'_>, sealer: &mut Sealer<'_>) -> bool {
        let mut path_changed = false;
        for (form, text) in texts(request) {
            if let Some(masked) = self.masked(text, form, sealer) {
                *text = Cow::Owned(masked);
                path_changed |= form == Form::Path;
            }
        }
        path_changed
    }

    /// A value that was read before masking, masked.
    pub(super) fn mask_value(&self, text: &str, sealer: &mut Sealer<'_>) -> Option<String> {
        self.masked(text, Form::Raw, sealer)
    }

    fn masked(&self, text: &str, form: Form, sealer: &mut Sealer<'_>) -> Option<String> {
        match form {
            Form::Raw | Form::Query => self.plain(text, form, sealer),
            Form::Path => self.segments(text, sealer),
            Form::UrlHeader => {
                let parts = self.url_parts(text, sealer);
                let whole = parts.first().is_some_and(|range| *range == (0..text.len()));
                let marked = parts.into_iter().map(|range| {
                    let marker = sealer.mark(&text[range.clone()]);
                    (range, if whole { marker } else { percent_coded(&marker) })
                });
                let first = replaced(text, marked.collect());
                let then = self.plain(first.as_deref().unwrap_or(text), Form::UrlHeader, sealer);
                then.or(first)
            }
            Form::Json => self.json(text, sealer),
            Form::Body => self.body(text, sealer),
        }
    }

    fn plain(&self, text: &str, form: Form, sealer: &mut Sealer<'_>) -> Option<String> {
        let spans = self.spans(text, form, sealer);
        let coded = form != Form::Raw && *spans.first()? != (0..text.len());
        let marked = spans.into_iter().map(|range| {
            let found = &text[range.clone()];
            if form == Form::Query || coded {
                return (range, percent_coded(&sealer.mark(&percent_decode(found))));
            }
            (range, sealer.mark(found))
        });
        replaced(text, marked.collect())
    }

    /// A path whose segments that hold a secret are replaced whole.
    fn segments(&self, path: &str, sealer: &mut Sealer<'_>) -> Option<String> {
        if self.spans(path, Form::Path, sealer).is_empty() {
            return None;
        }
        let (mut at, mut marked) = (0, Vec::new());
        for part in path.split('/') {
            if !self.spans(part, Form::Path, sealer).is_empty() {
                marked.push((at..at + part.len(), sealer.mark(part)));
            }
            at += part.len() + 1;
        }
        replaced(path, marked)
    }

    fn body(&self, text: &str, sealer: &mut Sealer<'_>) -> Option<String> {
        let spans = self.spans(text, Form::Body, sealer);
        if *spans.first()? == (0..text.len()) {
            return Some(sealer.mark(text));
        }
        if Index::default().parse(text) {
            return self.json(text, sealer);
        }
        self.plain(text, Form::Raw, sealer)
    }

    /// JSON that stays JSON: texts are masked inside, other values whole.
    fn json(&self, text: &str, sealer: &mut Sealer<'_>) -> Option<String> {
        if self.spans(text, Form::Body, sealer).is_empty() {
            return None;
        }
        let (mut at, mut marked) = (0, Vec::new());
        while let Some(token) = next_token(text, at) {
            at = token.end.max(at + 1);
            let quoted = text[token.clone()].starts_with('"');
            if !quoted {
                let scalar = &text[token.clone()];
                if !self.spans(scalar, Form::Raw, sealer).is_empty() {
                    let marker = sealer.mark(scalar);
                    marked.push((token, format!("\"{}\"", json_coded(&marker))));
                }
                continue;
            }
            let inner = token.start + 1..token.end - 1;
            for span in self.spans(&text[inner.clone()], Form::Json, sealer) {
                let span = inner.start + span.start..inner.start + span.end;
                let found = unescaped(&text[span.clone()]);
                marked.push((span, json_coded(&sealer.mark(&found))));
            }
        }
        let masked = replaced(text, marked);
        // A value that reaches over the borders of several: nothing of the whole stays.
        let left = masked.as_deref().unwrap_or(text);
        if !self.spans(left, Form::Body, sealer).is_empty() {
            return Some(format!("\"{}\"", json_coded(&sealer.mark(text))));
        }
        masked
    }

    /// Places of secrets in a text: in order, apart from each other, and of no marker.
    fn spans(&self, text: &str, form: Form, sealer: &Sealer<'_>) -> Vec<Range<usize>> {
        let mut found = Vec::new();
        let named =
            !self.urls.names.is_empty() && memchr::memchr2(b'=', b'%', text.as_bytes()).is_some();
        if text.len() < self.shortest && !named {
            return found;
        }
        let in_json = form == Form::Json && memchr::memchr(b'\\', text.as_bytes()).is_some();
        let mut folded = if in_json { json_unescape(text.as_bytes()) } else { Folded::of(text) };
        for fold in 0..=FOLDS_MAX {
            if fold > 0 {
                let Some(next) = folded.next() else { break };
                folded = next;
            }
            let named = named.then_some(Named { form, raw: text.as_bytes() });
            self.search(&folded, named, sealer, &mut found);
        }
        if found.is_empty() {
            return found;
        }
        let path = form == Form::Path;
        found.retain(|range| !path || is_token(&text[range.clone()]));
        apart(text, found, sealer)
    }

    fn search(
        &self,
        folded: &Folded<'_>,
        named: Option<Named<'_>>,
        sealer: &Sealer<'_>,
        found: &mut Vec<Range<usize>>,
    ) {
        let mut here = Vec::new();
        let bytes = plus_as_blank(&folded.bytes);
        self.long.search(&bytes, false, &mut here);
        self.short.search(&bytes, true, &mut here);
        if let Some(named) = named {
            named.spans(folded, &self.urls.names, &mut here);
            here.retain(|range| {
                std::str::from_utf8(&folded.bytes[range.clone()])
                    .is_ok_and(|text| !sealer.is_marker(text))
            });
        }
        found.extend(here.into_iter().map(|range| folded.place(range)));
    }

    /// Places of segments, or the whole, of a header that is a URL.
    fn url_parts(&self, text: &str, sealer: &Sealer<'_>) -> Vec<Range<usize>> {
        if text.is_empty() || sealer.is_marker(text) {
            return Vec::new();
        }
        if self.urls.whole {
            return std::iter::once(0..text.len()).collect();
        }
        let path = path_of_url(text);
        let mut found: Vec<Range<usize>> = Vec::new();
        for number in &self.urls.segments {
            let Some((at, part)) = segment(&text[path.clone()], *number) else { continue };
            let range = path.start + at..path.start + at + part.len();
            let is_known = part.is_empty() || sealer.is_marker(&percent_decode(part));
            if !is_known && !found.contains(&range) {
                found.push(range);
            }
        }
        found.sort_by_key(|range| range.start);
        found
    }
}

/// Every text that may repeat a secret, and how a marker is written in it.
fn texts<'r, 'a>(request: &'r mut Request<'a>) -> Vec<(Form, &'r mut Cow<'a, str>)> {
    let is_form = form_text(request).is_some();
    let mut found = Vec::with_capacity(24);
    found.push((Form::Path, &mut request.path));
    found.push((Form::Query, &mut request.query));
    found.push((Form::Raw, &mut request.user_agent));
    for (side, is_form) in [(&mut request.request, is_form), (&mut request.response, false)] {
        for (name, value) in &mut side.headers {
            // Its secret part is a marker already; what stays readable of it is meant to.
            if name.eq_ignore_ascii_case(AUTHORIZATION) {
                continue;
            }
            let url = URL_HEADERS.iter().any(|known| name.eq_ignore_ascii_case(known));
            found.push((if url { Form::UrlHeader } else { Form::Raw }, value));
        }
        for (name, value) in side.cookies.iter_mut().chain(&mut side.form) {
            found.push((Form::Raw, name));
            found.push((Form::Raw, value));
        }
        match &mut side.body {
            Body::Absent => {}
            Body::Json(text) => found.push((Form::Json, text)),
            Body::Text(text) => found.push((if is_form { Form::Query } else { Form::Body }, text)),
        }
    }
    for attack in &mut request.attacks {
        found.push((Form::Raw, &mut attack.point));
        found.push((Form::Raw, &mut attack.payload));
    }
    found.extend(request.kept.iter_mut().map(|(_, value)| (Form::Raw, value)));
    found
}

/// Values to look for.
#[derive(Default)]
struct Values {
    found: Vec<String>,
    known: HashSet<String>,
    bytes: usize,
}

impl Values {
    /// A value, what follows a scheme (`Bearer x`), and both decoded.
    fn add(&mut self, text: &str) {
        let text = text.trim();
        self.add_one(text);
        if let Some((scheme, rest)) = text.split_once(' ')
            && scheme.bytes().all(|byte| byte.is_ascii_alphabetic())
            && !rest.trim().contains(' ')
        {
            self.add_one(rest.trim());
        }
    }

    fn add_one(&mut self, text: &str) {
        self.add_text(text);
        if text.contains('%') {
            self.add_text(&percent_decode(text));
        }
    }

    fn add_text(&mut self, text: &str) {
        let fits = (WORD_BYTES_MIN..=NEEDLE_BYTES_MAX).contains(&text.len())
            && self.bytes + text.len() <= NEEDLES_BYTES_MAX;
        let text = text.replace('+', " ");
        if fits && self.known.insert(text.clone()) {
            self.bytes += text.len();
            self.found.push(text);
        }
    }
}

/// Several values, searched for at once.
struct Words {
    words: Vec<String>,
    all: Option<(AhoCorasick, MatchKind)>,
}

impl Words {
    fn new(words: Vec<String>, kind: MatchKind) -> Self {
        let many = words.len() > ONE_BY_ONE_MAX;
        let build = || AhoCorasick::builder().match_kind(kind).build(&words).ok();
        let all = if many { build().map(|all| (all, kind)) } else { None };
        Self { words, all }
    }

    /// Places of the words; `alone`: not as a part of longer ones.
    fn search(&self, text: &[u8], alone: bool, found: &mut Vec<Range<usize>>) {
        let mut add = |range: Range<usize>| {
            if !alone || is_alone(text, &range) {
                found.push(range);
            }
        };
        match &self.all {
            None => {
                for word in self.words.iter().filter(|word| word.len() <= text.len()) {
                    memmem::find_iter(text, word).for_each(|at| add(at..at + word.len()));
                }
            }
            Some((all, MatchKind::Standard)) => {
                all.find_overlapping_iter(text).for_each(|hit| add(hit.range()));
            }
            Some((all, _)) => all.find_iter(text).for_each(|hit| add(hit.range())),
        }
    }
}

fn is_alone(text: &[u8], range: &Range<usize>) -> bool {
    let part = |at: Option<&u8>| at.is_some_and(|byte| byte.is_ascii_alphanumeric());
    let before = range.start.checked_sub(1).and_then(|at| text.get(at));
    !part(before) && !part(text.get(range.end))
}

/// Whether a part of a path is a token and not the name of something: a client must not be able
/// to hide which endpoint it called.
fn is_token(text: &str) -> bool {
    text.len() >= ANYWHERE_BYTES_MIN
        && !text.contains('/')
        && text.bytes().any(|byte| byte.is_ascii_digit())
}

/// A text with escapes taken off, and where each byte was.
struct Folded<'t> {
    bytes: Cow<'t, [u8]>,
    /// Starts of the bytes in the text, and its end; none: each is where it was.
    at: Option<Vec<u32>>,
}

impl<'t> Folded<'t> {
    fn of(text: &'t str) -> Self {
        Self { bytes: Cow::Borrowed(text.as_bytes()), at: None }
    }

    fn place(&self, range: Range<usize>) -> Range<usize> {
        match &self.at {
            None => range,
            Some(at) => at[range.start] as usize..at[range.end] as usize,
        }
    }

    /// With one more layer of percent codes and backslashes taken off; none: there is none.
    fn next(&self) -> Option<Folded<'static>> {
        memchr::memchr2(b'%', b'\\', &self.bytes)?;
        let (mut bytes, mut at) = (Vec::with_capacity(self.bytes.len()), Vec::new());
        let start = |index: usize| match &self.at {
            None => index as u32,
            Some(at) => at[index],
        };
        let (mut index, mut changed) = (0, false);
        while index < self.bytes.len() {
            let rest = &self.bytes[index..];
            let (len, decoded) = unit(rest, true);
            changed |= len > 1;
            let mut buffer = [0; 4];
            let plain = decoded.put(&mut buffer);
            bytes.extend_from_slice(plain);
            at.extend(std::iter::repeat_n(start(index), plain.len()));
            index += len;
        }
        at.push(start(self.bytes.len()));
        changed.then_some(Folded { bytes: Cow::Owned(bytes), at: Some(at) })
    }
}

fn json_unescape(text: &[u8]) -> Folded<'static> {
    let (mut bytes, mut at) = (Vec::with_capacity(text.len()), Vec::with_capacity(text.len()));
    let mut index = 0;
    while index < text.len() {
        let (len, decoded) = unit(&text[index..], false);
        let mut buffer = [0; 4];
        let plain = decoded.put(&mut buffer);
        bytes.extend_from_slice(plain);
        at.extend(std::iter::repeat_n(index as u32, plain.len()));
        index += len;
    }
    at.push(text.len() as u32);
    Folded { bytes: Cow::Owned(bytes), at: Some(at) }
}

/// What an escape stands for.
enum Unit {
    Byte(u8),
    Char(char),
}

impl Unit {
    fn put(self, buffer: &mut [u8; 4]) -> &[u8] {
        match self {
            Unit::Byte(byte) => {
                buffer[0] = byte;
                &buffer[..1]
            }
            Unit::Char(char) => char.encode_utf8(buffer).as_bytes(),
        }
    }
}

/// Length and meaning of the first byte or escape of a text that is not empty.
fn unit(text: &[u8], percent: bool) -> (usize, Unit) {
    let hex = |from: usize, len: usize| {
        let digits = std::str::from_utf8(text.get(from..from + len)?).ok()?;
        let plain = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        if plain { u32::from_str_radix(digits, 16).ok() } else { None }
    };
    let byte = |code: u32| Unit::Byte((code & 0xff) as u8);
    let first = text[0];
    let escape = match (first, text.get(1)) {
        (b'%', _) if percent => hex(1, 2).map(|code| (3, byte(code))),
        (b'\\', Some(b'x')) if percent => hex(2, 2).map(|code| (4, byte(code))),
        (b'\\', Some(b'u')) => hex(2, 4).and_then(|code| match code {
            0xd800..=0xdbff => {
                let low = text.get(6..8).filter(|next| *next == b"\\u").and_then(|_| hex(8, 4))?;
                let low = low.checked_sub(0xdc00).filter(|low| *low < 0x400)?;
                let char = char::from_u32(0x10000 + ((code - 0xd800) << 10) + low)?;
                Some((12, Unit::Char(char)))
            }
            _ => Some((6, Unit::Char(char::from_u32(code)?))),
        }),
        (b'\\', Some(plain @ (b'"' | b'\\' | b'/'))) => Some((2, Unit::Byte(*plain))),
        (b'\\', Some(b'n')) => Some((2, Unit::Byte(b'\n'))),
        (b'\\', Some(b'r')) => Some((2, Unit::Byte(b'\r'))),
        (b'\\', Some(b't')) => Some((2, Unit::Byte(b'\t'))),
        (b'\\', Some(b'b')) => Some((2, Unit::Byte(8))),
        (b'\\', Some(b'f')) => Some((2, Unit::Byte(12))),
        _ => None,
    };
    escape.unwrap_or((1, Unit::Byte(first)))
}

/// `+` and a blank are the same in a query, so they are the same everywhere here.
fn plus_as_blank(bytes: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr(b'+', bytes).is_none() {
        return Cow::Borrowed(bytes);
    }
    bytes.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect()
}

/// The search for values of secret parameters in whatever looks like a URL.
#[derive(Clone, Copy)]
struct Named<'t> {
    form: Form,
    /// The text as it is.
    raw: &'t [u8],
}

impl Named<'_> {
    fn spans(self, folded: &Folded<'_>, names: &[String], found: &mut Vec<Range<usize>>) {
        let text = &folded.bytes;
        let is_url = matches!(self.form, Form::UrlHeader | Form::Query);
        let ends = |byte: &u8| {
            matches!(byte, b'&' | b'#')
                || (!is_url && (byte.is_ascii_whitespace() || matches!(byte, b'"' | b'<' | b'>')))
        };
        for at in memchr::memchr_iter(b'=', text) {
            let named = names.iter().any(|name| {
                let head = text[..at].strip_suffix(name.as_bytes());
                head.is_some_and(|head| self.begins(folded, head))
            });
            if named {
                let len = text[at + 1..].iter().take_while(|byte| !ends(byte)).count();
                if len > 0 {
                    found.push(at + 1..at + 1 + len);
                }
            }
        }
    }

    /// Whether a parameter begins after `head`, which is not one of the request's own: of those
    /// the rules themselves take care.
    fn begins(self, folded: &Folded<'_>, head: &[u8]) -> bool {
        match head.last() {
            Some(b'?' | b'#') => true,
            Some(byte @ (b'&' | b';')) => {
                let place = folded.place(head.len() - 1..head.len());
                self.form != Form::Query || self.raw.get(place.start) != Some(byte)
            }
            _ => false,
        }
    }
}

/// Values of secret parameters are secrets of the record too.
fn named_values(
    text: &str,
    form: Form,
    urls: &UrlSecrets,
    sealer: &Sealer<'_>,
    values: &mut Values,
) {
    if memchr::memchr(b'=', text.as_bytes()).is_none() && !text.contains('%') {
        return;
    }
    let (mut folded, mut spans) = (Folded::of(text), Vec::new());
    for _ in 0..=FOLDS_MAX {
        spans.clear();
        Named { form, raw: text.as_bytes() }.spans(&folded, &urls.names, &mut spans);
        for span in &spans {
            let value = String::from_utf8_lossy(&folded.bytes[span.clone()]);
            let decoded = percent_decode(&value);
            if !sealer.is_marker(&value) && !sealer.is_marker(&decoded) {
                values.add(&value);
            }
        }
        let Some(next) = folded.next() else { break };
        folded = next;
    }
}

/// Joins what overlaps, widens to whole characters, and leaves markers out.
fn apart(text: &str, mut found: Vec<Range<usize>>, sealer: &Sealer<'_>) -> Vec<Range<usize>> {
    found.sort_by_key(|range| range.start);
    let mut joined: Vec<Range<usize>> = Vec::with_capacity(found.len());
    for mut range in found {
        while !text.is_char_boundary(range.start) {
            range.start -= 1;
        }
        while !text.is_char_boundary(range.end) {
            range.end += 1;
        }
        match joined.last_mut() {
            Some(last) if range.start < last.end => last.end = last.end.max(range.end),
            _ => joined.push(range),
        }
    }
    let markers = markers(text, sealer);
    joined.retain(|range| {
        !range.is_empty() && !markers.iter().any(|m| m.start < range.end && range.start < m.end)
    });
    joined
}

/// Places of markers in a text, as they are or coded.
fn markers(text: &str, sealer: &Sealer<'_>) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    for begin in ["\u{1}", "%01", "\\u0001"] {
        for (at, _) in text.match_indices(begin) {
            let from = at + begin.len();
            let Some(rest) = text.get(from + HASH_DIGITS..) else { continue };
            let digits = rest.bytes().skip(1).take_while(u8::is_ascii_digit).count();
            let end = from + HASH_DIGITS + 1 + digits;
            let marker = text.get(from..end).map(|hash| format!("{MARKER}{hash}"));
            if marker.is_some_and(|marker| sealer.is_marker(&marker)) {
                found.push(at..end);
            }
        }
    }
    found
}

/// The path of a URL in absolute or origin form.
fn path_of_url(text: &str) -> Range<usize> {
    let end = text.find(['?', '#']).unwrap_or(text.len());
    let authority = match text[..end].find("://") {
        Some(at) => at + 3,
        None if text.starts_with("//") => 2,
        None => return 0..end,
    };
    text[authority..end].find('/').map_or(end, |at| authority + at)..end
}

fn json_coded(marker: &str) -> String {
    format!("\\u0001{}", marker.trim_start_matches(MARKER))
}

fn unescaped(raw: &str) -> Cow<'_, str> {
    if !raw.contains('\\') {
        return Cow::Borrowed(raw);
    }
    serde_json::from_str(&format!("\"{raw}\"")).map_or(Cow::Borrowed(raw), Cow::Owned)
}

/// The next text, number or word of JSON from a place on.
fn next_token(text: &str, from: usize) -> Option<Range<usize>> {
    let bytes = text.as_bytes();
    let between = |byte: &u8| b" \t\r\n{}[],:".contains(byte);
    let start = from + bytes.get(from..)?.iter().position(|byte| !between(byte))?;
    if bytes[start] != b'"' {
        let len = bytes[start..].iter().take_while(|byte| !between(byte)).count();
        return Some(start..start + len);
    }
    let mut at = start + 1;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => return Some(start..at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    None
}

#[cfg(test)]
mod tests;
