//! `spoor inspect`: what an input is taken for and why, before anything is read for good.
//!
//! It looks at the head of the input alone, so it answers at once whatever the size. Values are
//! shown as they are: they are the operator's own.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use spoor_dataflow::decode::detect::{self, DETECT_BYTES, Found};
use spoor_dataflow::decode::{Decoder, Format, Formats, compress};
use spoor_dataflow::source::{Chunk, utf8};
use spoor_operators::request::Request;
use spoor_operators::rules::BUILT_IN_KEYS;

use super::{Failure, say, setup};
use crate::cli::InspectArgs;

/// Bytes of the uncompressed input that are looked at.
const HEAD_BYTES: u64 = 4 << 20;
/// Records that are shown before and after.
const SHOWN: usize = 3;
/// Characters of a line or a value that are shown.
const WIDTH: usize = 150;

/// Says what an input is.
pub fn run(args: &InspectArgs) -> Result<(), Failure> {
    let config = setup::config(args.config.as_deref(), |_| {})?;
    let formats = setup::formats(&config)?;
    let mut head = head(&args.input)?;
    let text = &head[..head.len().min(DETECT_BYTES)];
    let (format, why) = match args.format.as_str() {
        "auto" => found(text, &formats).map_err(Failure::Failed)?,
        name => {
            let named = setup::format(name, &formats)?;
            (detect::adapted(&named, text), "named with --format".to_owned())
        }
    };
    say(format!("format   {format}: {why}"))?;
    // Of an input that goes on behind the head, whole lines.
    if !format.is_document() && head.len() as u64 >= HEAD_BYTES {
        let feed = head.iter().rposition(|byte| *byte == b'\n');
        head.truncate(feed.map_or(head.len(), |at| at + 1));
    }
    let name = args.input.display().to_string();
    let chunk = Chunk::whole(name.into(), format, head.into());
    let seen = Seen::of(&chunk, &formats);
    seen.tell()
}

/// The first bytes of an input, unpacked.
fn head(path: &Path) -> Result<Vec<u8>, Failure> {
    let failed = |error| Failure::Failed(format!("cannot read {}: {error}", path.display()));
    let input: Box<dyn Read + Send> = match path == Path::new("-") {
        true => Box::new(std::io::stdin()),
        false => Box::new(File::open(path).map_err(failed)?),
    };
    let (input, _) = compress::open(input).map_err(failed)?;
    let mut head = Vec::new();
    let read = utf8(input).take(HEAD_BYTES).read_to_end(&mut head);
    // What stands before a failure is worth a look.
    if head.is_empty() {
        read.map_err(failed)?;
    }
    let padding = head.iter().take_while(|byte| **byte == 0).count();
    head.drain(..padding);
    Ok(head)
}

/// The format, and why it is believed to be that.
fn found(head: &[u8], formats: &Formats) -> Result<(Arc<Format>, String), String> {
    let Some(found) = detect::explain(head, formats)? else {
        return Err("it is empty".into());
    };
    let Found { format, looked_at, read, wrapped, wrapper, others } = found;
    let mut why = match looked_at {
        0 => "by how it begins".to_owned(),
        _ => format!("it reads {read} of the first {looked_at} records"),
    };
    if let (Some(wrapper), 1..) = (wrapper, wrapped) {
        why.push_str(&format!(", {wrapped} of them inside of {}", wrapper.name()));
    }
    let others: Vec<String> =
        others.iter().map(|(name, read)| format!("{name} ({read})")).collect();
    if !others.is_empty() {
        why.push_str(&format!("; also read by {}", others.join(", ")));
    }
    Ok((Arc::new(format), why))
}

/// What is seen of some records.
#[derive(Default)]
struct Seen {
    good: usize,
    repaired: usize,
    /// By code and reason: how many, and the number of the first.
    bad: BTreeMap<String, (usize, u64)>,
    /// By field: how many have it.
    fields: BTreeMap<String, usize>,
    /// By grouping key: how many it works on.
    keys: BTreeMap<&'static str, usize>,
    shown: Vec<(String, String)>,
}

impl Seen {
    fn of(chunk: &Chunk, formats: &Formats) -> Self {
        let mut seen = Self::default();
        let mut decoder = Decoder::with(Arc::clone(formats.settings()));
        decoder.decode(chunk, &mut |record, raw| match record {
            Ok(request) => seen.good_record(&request, raw),
            Err(bad) => {
                let known = seen.bad.entry(format!("{}: {}", bad.code, bad.reason));
                known.or_insert((0, bad.line)).0 += 1;
            }
        });
        seen
    }

    fn good_record(&mut self, request: &Request<'_>, raw: &[u8]) {
        self.good += 1;
        self.repaired += usize::from(request.repaired);
        let native = native(request);
        for (name, _) in &native {
            *self.fields.entry(name.clone()).or_default() += 1;
        }
        for name in keys(request) {
            *self.keys.entry(name).or_default() += 1;
        }
        if self.shown.len() < SHOWN {
            let values: Vec<String> =
                native.iter().map(|(name, value)| format!("{name}={value}")).collect();
            self.shown.push((cut(&String::from_utf8_lossy(raw)), cut(&values.join(" "))));
        }
    }

    fn tell(&self) -> Result<(), Failure> {
        let bad: usize = self.bad.values().map(|(count, _)| count).sum();
        let all = self.good + bad;
        say(format!(
            "records  {all} looked at: {} good, {bad} bad, {} repaired",
            self.good, self.repaired
        ))?;
        let share = |(name, count): (&String, &usize)| match *count == self.good {
            true => name.clone(),
            false => format!("{name} ({count})"),
        };
        let fields: Vec<String> = self.fields.iter().map(share).collect();
        say(format!("fields   {}", fields.join(", ")))?;
        for (before, after) in &self.shown {
            say(format!("  line   {before}\n  read   {after}"))?;
        }
        for (reason, (count, line)) in &self.bad {
            say(format!("bad      {count}, first at record {line}: {reason}"))?;
        }
        let keys: Vec<String> =
            self.keys.iter().map(|(name, count)| format!("{name} on {count}")).collect();
        let keys = if keys.is_empty() { "none would work".into() } else { keys.join(", ") };
        say(format!("keys     {keys} of {} records", self.good))?;
        if self.good == 0 {
            return Err(Failure::Failed(
                "no record can be read: name another format with --format, or describe it under \
                 [formats] or [mappings] of the configuration"
                    .into(),
            ));
        }
        Ok(())
    }
}

/// The fields a record has.
fn native(request: &Request<'_>) -> Vec<(String, String)> {
    let mut fields = vec![("ts".to_owned(), time(request.ts.0))];
    for (name, value) in [
        ("app", &request.app),
        ("method", &request.method),
        ("host", &request.host),
        ("path", &request.path),
        ("query", &request.query),
        ("ip", &request.ip),
        ("user_agent", &request.user_agent),
    ] {
        if !value.is_empty() {
            fields.push((name.into(), value.to_string()));
        }
    }
    for (name, number) in [
        ("status", u64::from(request.status)),
        ("request_bytes", request.request_bytes),
        ("response_bytes", request.response_bytes),
    ] {
        if number > 0 {
            fields.push((name.into(), number.to_string()));
        }
    }
    if let Some(ns) = request.duration_ns {
        fields.push(("duration_ms".into(), (ns as f64 / 1e6).to_string()));
    }
    for (place, named) in [
        ("header", &request.request.headers),
        ("cookie", &request.request.cookies),
        ("response header", &request.response.headers),
    ] {
        fields.extend(
            named.iter().map(|(name, value)| (format!("{place} {name}"), value.to_string())),
        );
    }
    fields
}

/// Milliseconds since the Unix epoch as people write times.
fn time(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms).map_or_else(|_| ms.to_string(), |at| at.to_string())
}

/// The built-in grouping keys that would work on a record by itself.
fn keys(request: &Request<'_>) -> Vec<&'static str> {
    let header = |name: &str| {
        let mut headers = request.request.headers.iter();
        headers.any(|(known, value)| known.eq_ignore_ascii_case(name) && !value.is_empty())
    };
    let works = |key: &&str| match *key {
        "mcp" => header("mcp-session-id"),
        "session-id" => header("x-session-id") || header("session-id"),
        "authorization" => header("authorization"),
        "client" => !request.ip.is_empty() && !request.user_agent.is_empty(),
        "client-ip" => !request.ip.is_empty() && request.user_agent.is_empty(),
        "archive" => !request.archive.is_empty(),
        cookie => {
            request.request.cookies.iter().any(|(name, value)| *name == cookie && !value.is_empty())
        }
    };
    BUILT_IN_KEYS.into_iter().filter(works).collect()
}

/// A text on one line, not too long.
fn cut(text: &str) -> String {
    let text: String = text.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    match text.char_indices().nth(WIDTH) {
        Some((at, _)) => format!("{}...", &text[..at]),
        None => text,
    }
}
