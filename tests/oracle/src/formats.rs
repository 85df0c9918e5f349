//! Other formats than the native one, each read the plain way.

use regex::bytes::Regex;
use serde_json::Value;

use super::record::{
    Bad, Body, Record, Side, client, nanos, native, rfc3339, split_target, split_url,
};
use super::rules::Mapping;

/// Every record of an input, or why it is bad.
pub fn read(
    source: &str,
    format: &str,
    mapping: Option<&Mapping>,
    bytes: &[u8],
) -> Vec<Result<Record, Bad>> {
    if format == "har" {
        return har(source, bytes);
    }
    let line_format = Regex::new(concat!(
        r#"(?s-u)^(\S+) +\S+ +.*?\[([^\]]+)\] +"((?:[^"\\]|\\.)*)" +(\S+) +(\S+)"#,
        r#"(?: +"((?:[^"\\]|\\.)*)"(?: +"((?:[^"\\]|\\.)*)"?)?)?"#
    ))
    .expect("a regular expression");
    let mut records = Vec::new();
    let mut offset = 0;
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let id = format!("{source}:{offset}");
        offset += line.len();
        let line = line.trim_ascii();
        if line.is_empty() {
            continue;
        }
        records.push(match (format, mapping) {
            ("ndjson", _) => native(line, id),
            (_, Some(mapping)) => mapped(line, id, mapping),
            _ => access_log(&line_format, line, id),
        });
    }
    records
}

fn access_log(line_format: &Regex, line: &[u8], id: String) -> Result<Record, Bad> {
    let parts = line_format.captures(line).ok_or("line")?;
    let part = |number: usize| {
        let text = parts.get(number).map(|part| String::from_utf8_lossy(part.as_bytes()));
        text.map(|text| text.into_owned()).filter(|text| text != "-").unwrap_or_default()
    };
    let time = part(2);
    let at = jiff::fmt::strtime::parse("%d/%b/%Y:%H:%M:%S %z", &time)
        .and_then(|parsed| parsed.to_timestamp())
        .map_err(|_| "time")?;
    let line = part(3);
    let (method, rest) = line.split_once(' ').ok_or("target")?;
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if method.is_empty() || !method.bytes().all(token) {
        return Err("method");
    }
    let target = match rest.rsplit_once(' ') {
        Some((target, version)) if version.starts_with("HTTP/") => target,
        None if rest.starts_with("HTTP/") => "",
        _ => rest,
    };
    if target.is_empty() {
        return Err("target");
    }
    let (host, path, query) = split_target(target);
    let number = |text: String| match text.as_str() {
        "" => Ok(0),
        digits => digits.parse::<u64>().map_err(|_| "number"),
    };
    let ip = part(1);
    Ok(Record {
        id,
        ts: at.as_millisecond(),
        method: method.to_uppercase(),
        host,
        path,
        query,
        status: number(part(4))?,
        response_bytes: number(part(5))?,
        ip: if ip.is_empty() { ip } else { client(&ip)? },
        user_agent: part(7),
        ..Record::default()
    })
}

/// The text a template of a mapping gives; none when a value of it is absent.
fn template(mapping: &Mapping, text: &str, record: &Value) -> Option<String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{/") {
        let (pointer, after) = after.split_once('}')?;
        if let Some((pointer, either)) = pointer.split_once('?') {
            let (then, otherwise) = either.split_once(':')?;
            let there = record.pointer(&format!("/{pointer}")).is_some_and(|value| {
                !value.is_null() && value.as_str().is_none_or(|text| !text.is_empty())
            });
            out.push_str(before);
            out.push_str(if there { then } else { otherwise });
            rest = after;
            continue;
        }
        let value = match record.pointer(&format!("/{pointer}"))? {
            Value::Null => return None,
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        if value.is_empty() || mapping.ignore.contains(&value) {
            return None;
        }
        out.push_str(before);
        out.push_str(&value);
        rest = after;
    }
    out.push_str(rest);
    Some(out)
}

fn mapped(line: &[u8], implicit_id: String, mapping: &Mapping) -> Result<Record, Bad> {
    let value: Value = serde_json::from_slice(line).map_err(|_| "json")?;
    let first =
        |templates: &[String]| templates.iter().find_map(|text| template(mapping, text, &value));
    let field = |name: &str| mapping.fields.get(name).and_then(|templates| first(templates));
    let id = field("id");
    let number = |name: &str| field(name).map_or(Ok(0), |text| text.parse().map_err(|_| "number"));
    let (host, path, query) = field("url").map(|url| split_url(&url)).unwrap_or_default();
    let headers = |from: &std::collections::BTreeMap<String, Vec<String>>| {
        from.iter().filter_map(|(name, texts)| Some((name.clone(), first(texts)?))).collect()
    };
    let record = Record {
        explicit_id: id.is_some(),
        id: id.unwrap_or(implicit_id),
        ts: rfc3339(&field("ts").ok_or("ts")?).ok_or("ts")?,
        app: field("app").unwrap_or_default(),
        method: field("method").ok_or("method")?.to_uppercase(),
        host: field("host").unwrap_or(host),
        path: field("path").unwrap_or(path),
        query: field("query").unwrap_or(query),
        status: number("status")?,
        duration_ns: match field("duration_ms") {
            Some(text) => Some(nanos(text.parse().map_err(|_| "duration")?)?),
            None => None,
        },
        request_bytes: number("request_bytes")?,
        response_bytes: number("response_bytes")?,
        ip: field("ip").map(|ip| client(&ip)).transpose()?.unwrap_or_default(),
        user_agent: field("user_agent").unwrap_or_default(),
        request: Side {
            headers: headers(&mapping.request_headers),
            cookies: headers(&mapping.request_cookies),
            body: Body::of(mapping.request_body.as_ref().and_then(|at| value.pointer(at))),
            ..Side::default()
        },
        response: Side {
            headers: headers(&mapping.response_headers),
            body: Body::of(mapping.response_body.as_ref().and_then(|at| value.pointer(at))),
            ..Side::default()
        },
        ..Record::default()
    };
    if record.path.is_empty() { Err("path") } else { Ok(record) }
}

fn har(source: &str, bytes: &[u8]) -> Vec<Result<Record, Bad>> {
    let archive: Value = serde_json::from_slice(bytes).expect("the archive is JSON");
    let entries = archive["log"]["entries"].as_array().expect("the archive has entries");
    let name = ["browser", "creator"].iter().find_map(|side| archive["log"][side]["name"].as_str());
    let archive_name = [source, name.unwrap_or_default()].join("|");
    let record = |(number, entry)| {
        let mut record = har_entry(entry, format!("{source}:{number}"))?;
        record.archive = archive_name.trim_end_matches('|').to_owned();
        Ok(record)
    };
    entries.iter().enumerate().map(record).collect()
}

fn har_entry(entry: &Value, id: String) -> Result<Record, Bad> {
    let (request, response) = (&entry["request"], &entry["response"]);
    let (host, path, query) = split_url(request["url"].as_str().ok_or("url")?);
    let size = |value: &Value| value.as_f64().filter(|size| *size > 0.0).unwrap_or(0.0) as u64;
    let pairs = |value: &Value| {
        let pair = |entry: &Value| {
            Some((entry["name"].as_str()?.to_owned(), entry["value"].as_str()?.to_owned()))
        };
        value.as_array().map(|all| all.iter().filter_map(pair).collect()).unwrap_or_default()
    };
    let side = |from: &Value, answer: bool| {
        let mut side = Side {
            headers: pairs(&from["headers"]),
            cookies: pairs(&from["cookies"]),
            ..Side::default()
        };
        side.fall_back(answer);
        side
    };
    let mut record = Record {
        id,
        ts: entry["startedDateTime"].as_str().and_then(rfc3339).ok_or("ts")?,
        method: request["method"].as_str().ok_or("method")?.to_uppercase(),
        host,
        path,
        query,
        status: response["status"].as_u64().unwrap_or(0),
        duration_ns: entry["time"].as_f64().filter(|ms| *ms >= 0.0).map(nanos).transpose()?,
        request_bytes: size(&request["headersSize"]) + size(&request["bodySize"]),
        response_bytes: size(&response["headersSize"]) + size(&response["bodySize"]),
        request: side(request, false),
        response: side(response, true),
        ..Record::default()
    };
    record.user_agent = record.request.header("user-agent").unwrap_or_default().into();
    Ok(record)
}
