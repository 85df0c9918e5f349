//! The parts of a [`NewRequest`](super::NewRequest) whose JSON is no plain type: a time that is a
//! number or a text, and fields with repeated names, an object whose values are a text or a list of
//! texts (what this module serializes).

use std::fmt;

use serde::de::{self, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serializer};

/// Reads milliseconds since the Unix epoch, or an RFC 3339 text.
pub fn time<'de, D: Deserializer<'de>>(from: D) -> Result<i64, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Time {
        Millis(i64),
        Text(String),
    }
    match Time::deserialize(from)? {
        Time::Millis(ms) => Ok(ms),
        Time::Text(text) => {
            let instant: jiff::Timestamp = text.parse().map_err(de::Error::custom)?;
            Ok(instant.as_millisecond())
        }
    }
}

type Fields = Vec<(String, String)>;

/// Writes fields, a list of texts for each name.
pub fn serialize<S: Serializer>(fields: &Fields, to: S) -> Result<S::Ok, S::Error> {
    let mut names: Vec<&str> = Vec::new();
    for (name, _) in fields {
        if !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    let mut map = to.serialize_map(Some(names.len()))?;
    for name in names {
        let values = fields.iter().filter(|(known, _)| known == name);
        map.serialize_entry(name, &values.map(|(_, value)| value).collect::<Vec<_>>())?;
    }
    map.end()
}

/// Reads fields; the values of a name are a text or a list of texts.
pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Fields, D::Error> {
    from.deserialize_map(Read)
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Values {
    One(String),
    Many(Vec<String>),
}

struct Read;

impl<'de> Visitor<'de> for Read {
    type Value = Fields;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of texts or lists of texts")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
        let mut fields = Fields::new();
        while let Some((name, values)) = map.next_entry::<String, Values>()? {
            match values {
                Values::One(value) => fields.push((name, value)),
                Values::Many(values) => {
                    fields.extend(values.into_iter().map(|value| (name.clone(), value)));
                }
            }
        }
        Ok(fields)
    }
}
