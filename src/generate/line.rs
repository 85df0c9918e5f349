//! One generated record on its way to NDJSON.
//!
//! A writer of its own instead of a serializer: a million lines take seconds, and the buffers are
//! used again. Texts put in are already JSON-safe (see `corpus.rs`).

use std::fmt::Write as _;

/// Where a client is.
#[derive(Clone, Copy, Debug)]
pub enum Address {
    /// IPv4.
    V4(u32),
    /// In 2001:db8::/32, by a number.
    V6(u32),
}

/// The parts of a record; object parts are JSON members, each with its comma in front.
#[derive(Default)]
pub struct Line {
    /// Distinguishes the ids of one run from those of another.
    run: u64,
    /// Application.
    pub app: &'static str,
    /// Host.
    pub host: &'static str,
    /// Method.
    pub method: &'static str,
    /// Raw path.
    pub path: String,
    /// Raw query.
    pub query: String,
    /// Status; 0: no response.
    pub status: u16,
    /// Time to the full response, microseconds.
    pub duration_us: u64,
    /// Bytes of the response.
    pub response_bytes: u64,
    /// Client address.
    pub address: Option<Address>,
    /// User agent.
    pub agent: &'static str,
    /// The record has an id.
    pub with_id: bool,
    /// Members of the request's headers.
    pub headers: String,
    /// Members of the request's cookies.
    pub cookies: String,
    /// The request's body, JSON.
    pub body: String,
    /// Members of the response's headers.
    pub response_headers: String,
    /// The response's body, JSON.
    pub response_body: String,
    /// Detections, JSON objects.
    pub attacks: String,
    /// Blocked upstream.
    pub blocked: bool,
    day: i64,
    date: String,
}

impl Line {
    /// A line of a run.
    pub fn new(run: u64) -> Self {
        Self { run, day: i64::MIN, ..Self::default() }
    }

    /// Empties everything for the next record.
    pub fn clear(&mut self) {
        for text in [
            &mut self.path,
            &mut self.query,
            &mut self.headers,
            &mut self.cookies,
            &mut self.body,
            &mut self.response_headers,
            &mut self.response_body,
            &mut self.attacks,
        ] {
            text.clear();
        }
        (self.blocked, self.with_id, self.address, self.response_bytes) = (false, true, None, 0);
    }

    /// Adds a member to a header or cookie object.
    pub fn put(members: &mut String, name: &str, value: &str) {
        members.push_str(",\"");
        members.push_str(name);
        members.push_str("\":\"");
        members.push_str(value);
        members.push('"');
    }

    /// Appends the record and a line feed.
    pub fn write(&mut self, number: u64, now_ms: i64, out: &mut Vec<u8>) {
        out.push(b'{');
        if self.with_id {
            out.extend_from_slice(b"\"id\":\"");
            hex(self.run >> 32, 8, out);
            out.push(b'-');
            hex(number, 8, out);
            out.extend_from_slice(b"\",");
        }
        out.extend_from_slice(b"\"ts\":\"");
        self.write_time(now_ms, out);
        for (name, value) in [("app", self.app), ("method", self.method), ("host", self.host)] {
            text(name, value, out);
        }
        text("path", &self.path, out);
        if !self.query.is_empty() {
            text("query", &self.query, out);
        }
        out.push(b'"');
        number_field("status", u64::from(self.status), out);
        number_field("duration_ms", self.duration_us / 1000, out);
        out.push(b'.');
        padded(self.duration_us % 1000, 3, out);
        let request_bytes = 180 + self.path.len() + self.query.len() + self.headers.len();
        number_field("request_bytes", (request_bytes + self.body.len()) as u64, out);
        let response_bytes = self.response_bytes + self.response_body.len() as u64;
        number_field("response_bytes", response_bytes, out);
        self.write_client(out);
        self.write_messages(out);
        if !self.attacks.is_empty() {
            out.extend_from_slice(b",\"attacks\":[");
            out.extend_from_slice(self.attacks.as_bytes());
            out.push(b']');
        }
        if self.blocked {
            out.extend_from_slice(b",\"blocked\":true");
        }
        out.extend_from_slice(b"}\n");
    }

    fn write_client(&self, out: &mut Vec<u8>) {
        match self.address {
            None => {}
            Some(Address::V4(bits)) => {
                out.extend_from_slice(b",\"ip\":\"");
                for (nth, byte) in bits.to_be_bytes().into_iter().enumerate() {
                    if nth > 0 {
                        out.push(b'.');
                    }
                    decimal(u64::from(byte), out);
                }
                out.push(b'"');
            }
            Some(Address::V6(bits)) => {
                out.extend_from_slice(b",\"ip\":\"2001:db8:0:1::");
                hex(u64::from(bits | 0x1000) & 0xffff, 4, out);
                out.push(b'"');
            }
        }
        out.extend_from_slice(b",\"user_agent\":\"");
        out.extend_from_slice(self.agent.as_bytes());
        out.push(b'"');
    }

    fn write_messages(&self, out: &mut Vec<u8>) {
        let sides = [
            ("request", &self.headers, self.cookies.as_str(), &self.body),
            ("response", &self.response_headers, "", &self.response_body),
        ];
        for (side, headers, cookies, body) in sides {
            if headers.is_empty() && cookies.is_empty() && body.is_empty() {
                continue;
            }
            out.extend_from_slice(b",\"");
            out.extend_from_slice(side.as_bytes());
            out.extend_from_slice(b"\":{");
            let begin = out.len();
            for (name, members) in [("headers", headers.as_str()), ("cookies", cookies)] {
                if let Some(members) = members.strip_prefix(',') {
                    comma(begin, out);
                    out.push(b'"');
                    out.extend_from_slice(name.as_bytes());
                    out.extend_from_slice(b"\":{");
                    out.extend_from_slice(members.as_bytes());
                    out.push(b'}');
                }
            }
            if !body.is_empty() {
                comma(begin, out);
                out.extend_from_slice(b"\"body\":");
                out.extend_from_slice(body.as_bytes());
            }
            out.push(b'}');
        }
    }

    /// RFC 3339 in UTC with milliseconds; the date is made once a day.
    fn write_time(&mut self, now_ms: i64, out: &mut Vec<u8>) {
        let (day, ms) = (now_ms.div_euclid(86_400_000), now_ms.rem_euclid(86_400_000) as u64);
        if day != self.day {
            self.day = day;
            self.date.clear();
            let (year, month, date) = civil(day);
            // Writing into a string cannot fail.
            let _ = write!(self.date, "{year:04}-{month:02}-{date:02}T");
        }
        out.extend_from_slice(self.date.as_bytes());
        for (value, width, mark) in [
            (ms / 3_600_000, 2, b':'),
            (ms / 60_000 % 60, 2, b':'),
            (ms / 1000 % 60, 2, b'.'),
            (ms % 1000, 3, b'Z'),
        ] {
            padded(value, width, out);
            out.push(mark);
        }
    }
}

/// Closes a text member and opens the next.
fn text(name: &str, value: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b"\",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":\"");
    out.extend_from_slice(value.as_bytes());
}

fn number_field(name: &str, value: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
    decimal(value, out);
}

fn comma(begin: usize, out: &mut Vec<u8>) {
    if out.len() > begin {
        out.push(b',');
    }
}

fn decimal(value: u64, out: &mut Vec<u8>) {
    let width = value.checked_ilog10().unwrap_or(0) as usize + 1;
    padded(value, width, out);
}

fn padded(mut value: u64, width: usize, out: &mut Vec<u8>) {
    let begin = out.len();
    out.resize(begin + width, b'0');
    for digit in out[begin..].iter_mut().rev() {
        *digit = b'0' + (value % 10) as u8;
        value /= 10;
    }
}

fn hex(value: u64, width: u32, out: &mut Vec<u8>) {
    for nibble in (0..width).rev() {
        out.push(b"0123456789abcdef"[(value >> (4 * nibble)) as usize & 15]);
    }
}

/// Year, month and day of the month of a day since 1970 (the usual era arithmetic).
fn civil(day: i64) -> (i64, u32, u32) {
    let shifted = day + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * of_year + 2) / 153;
    let date = (of_year - (153 * month + 2) / 5 + 1) as u32;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month as u32, date)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_the_calendar() {
        for ms in [0, 951_782_399_999, 951_782_400_000, 1_767_643_200_000, 4_102_444_799_123] {
            let mut out = Vec::new();
            Line::new(0).write_time(ms, &mut out);
            let read: jiff::Timestamp = String::from_utf8(out).unwrap().parse().unwrap();
            assert_eq!(read.as_millisecond(), ms);
        }
    }
}
