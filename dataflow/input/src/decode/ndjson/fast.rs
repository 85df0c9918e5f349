//! The fast path: the usual line, in one pass, without an allocation.
//!
//! "Unusual" (nothing) is answered for any rule broken, a name twice in one object, a name with
//! escapes, and whatever [`Scan`] does not take. The general path then reads the line again.

use std::borrow::Cow;

use smallvec::SmallVec;
use spoor_operators::request::{Attack, Body, Fields, ID_BYTES_MAX, Message, Request};
use spoor_operators::time::EventTime;

use super::general::locate;
use super::scan::Scan;
use crate::decode::{timestamp, value};

/// Most names in one object; more are left to the general path, which finds equal ones by hash.
const NAMES_MAX: usize = 64;

/// A required field, or one that may come once only: a bit each.
mod seen {
    pub const TS: u32 = 1;
    pub const METHOD: u32 = 1 << 1;
    pub const PATH: u32 = 1 << 2;
}

/// Reads a usual line into an empty record. After "unusual" the record is of no use.
pub(super) fn read<'a>(line: &'a str, request: &mut Request<'a>) -> Option<()> {
    let mut scan = Scan::new(line);
    scan.take(b'{')?;
    let (mut first, mut seen) = (true, 0_u32);
    let mut url = None;
    let mut names = Names::default();
    while scan.more(&mut first, b'}')? {
        let name = scan.name()?;
        names.add(name)?;
        if scan.null()? {
            continue;
        }
        match name {
            "ts" => {
                request.ts = time(&mut scan)?;
                seen |= seen::TS;
            }
            "method" => {
                request.method = value::method(scan.string()?)?;
                seen |= seen::METHOD;
            }
            "path" => {
                request.path = scan.string()?;
                seen |= seen::PATH;
            }
            "id" => {
                request.id = scan.string()?;
                let good = (1..=ID_BYTES_MAX).contains(&request.id.len());
                request.explicit_id = good.then_some(true)?;
            }
            "url" => url = Some(scan.string()?),
            "attacks" => attacks(&mut scan, &mut request.attacks)?,
            _ => field(&mut scan, name, request)?,
        }
    }
    let required = seen & (seen::TS | seen::METHOD) == seen::TS | seen::METHOD;
    if !required || !scan.at_end() {
        return None;
    }
    if url.is_some() || seen & seen::PATH == 0 || request.path.is_empty() {
        let path = (seen & seen::PATH != 0).then(|| std::mem::take(&mut request.path));
        locate(request, path, url.filter(|url| !url.is_empty())).ok()?;
    }
    value::fall_back(request);
    Some(())
}

#[inline]
fn field<'a>(scan: &mut Scan<'a>, name: &str, request: &mut Request<'a>) -> Option<()> {
    match name {
        "app" => request.app = scan.string()?,
        "host" => request.host = scan.string()?,
        "query" => request.query = scan.string()?,
        "status" => {
            let status = scan.integer().filter(|status| *status <= value::STATUS_MAX)?;
            request.status = status as u16;
        }
        "duration_ms" => request.duration_ns = Some(scan.millis_as_nanos()?),
        "request_bytes" => request.request_bytes = scan.integer()?,
        "response_bytes" => request.response_bytes = scan.integer()?,
        "ip" => request.ip = value::client(scan.string()?)?,
        "user_agent" => request.user_agent = scan.string()?,
        "request" => message(scan, &mut request.request)?,
        "response" => message(scan, &mut request.response)?,
        "blocked" => request.blocked = scan.boolean()?,
        _ => {
            scan.raw()?;
        }
    }
    Some(())
}

#[inline]
fn time(scan: &mut Scan<'_>) -> Option<EventTime> {
    if scan.peek()? == b'"' {
        return timestamp::rfc3339(scan.string()?.as_bytes());
    }
    timestamp::in_range(i64::try_from(scan.integer()?).ok()?)
}

fn message<'a>(scan: &mut Scan<'a>, message: &mut Message<'a>) -> Option<()> {
    scan.take(b'{')?;
    let (mut first, mut names) = (true, Names::default());
    while scan.more(&mut first, b'}')? {
        let name = scan.name()?;
        names.add(name)?;
        if scan.null()? {
            continue;
        }
        match name {
            "headers" => fields(scan, &mut message.headers, false)?,
            "cookies" => fields(scan, &mut message.cookies, false)?,
            "form" => fields(scan, &mut message.form, true)?,
            "body" if scan.peek()? == b'"' => message.body = Body::Text(scan.string()?),
            "body" => message.body = Body::Json(Cow::Borrowed(scan.raw()?)),
            _ => {
                scan.raw()?;
            }
        }
    }
    Some(())
}

fn fields<'a>(scan: &mut Scan<'a>, fields: &mut Fields<'a>, scalars: bool) -> Option<()> {
    scan.take(b'{')?;
    let (mut first, mut names) = (true, Names::default());
    while scan.more(&mut first, b'}')? {
        let name = scan.name()?;
        names.add(name)?;
        match scan.peek()? {
            b'"' => fields.push((Cow::Borrowed(name), scan.string()?)),
            b'n' => {
                scan.null()?;
            }
            b'[' => {
                scan.take(b'[')?;
                let mut first = true;
                while scan.more(&mut first, b']')? {
                    let value = field_value(scan, scalars)?;
                    fields.push((Cow::Borrowed(name), value));
                }
            }
            _ => {
                let value = field_value(scan, scalars)?;
                fields.push((Cow::Borrowed(name), value));
            }
        }
    }
    Some(())
}

fn field_value<'a>(scan: &mut Scan<'a>, scalars: bool) -> Option<Cow<'a, str>> {
    match scan.peek()? {
        b'"' => scan.string(),
        b'-' | b'0'..=b'9' | b't' | b'f' if scalars => scan.raw().map(Cow::Borrowed),
        _ => None,
    }
}

fn attacks<'a>(scan: &mut Scan<'a>, attacks: &mut Vec<Attack<'a>>) -> Option<()> {
    scan.take(b'[')?;
    let mut first = true;
    while scan.more(&mut first, b']')? {
        let mut attack = Attack::default();
        scan.take(b'{')?;
        let (mut first, mut names) = (true, Names::default());
        while scan.more(&mut first, b'}')? {
            let name = scan.name()?;
            names.add(name)?;
            if scan.null()? {
                continue;
            }
            match name {
                "type" => attack.kind = scan.string()?,
                "subtype" => attack.subtype = scan.string()?,
                "point" => attack.point = scan.string()?,
                "payload" => attack.payload = scan.string()?,
                "blocked" => attack.blocked = scan.boolean()?,
                _ => {
                    scan.raw()?;
                }
            }
        }
        if attack.kind.is_empty() {
            return None;
        }
        attacks.push(attack);
    }
    Some(())
}

/// Names of one object, to find one that comes twice: a bit for each, by length and end letters;
/// only where the bit is taken are the names themselves compared.
#[derive(Default)]
struct Names<'a> {
    bits: u64,
    names: SmallVec<[&'a str; 16]>,
}

impl<'a> Names<'a> {
    #[inline]
    fn add(&mut self, name: &'a str) -> Option<()> {
        let bytes = name.as_bytes();
        let ends = match bytes {
            [] => 0,
            [first, .., last] => usize::from(*first) * 7 + usize::from(*last),
            [only] => usize::from(*only),
        };
        let bit = 1 << ((ends + bytes.len() * 5) % 64);
        let again = self.bits & bit != 0 && self.names.contains(&name);
        if again || self.names.len() == NAMES_MAX {
            return None;
        }
        self.bits |= bit;
        self.names.push(name);
        Some(())
    }
}
