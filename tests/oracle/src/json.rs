//! JSON by pointer, where the text of a value matters and names may repeat: the first counts.
//!
//! One level is read at a time, what is below stays text.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

struct Members<'t>(Vec<(Cow<'t, str>, &'t RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct All;
        impl<'de> Visitor<'de> for All {
            type Value = Members<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
                let mut members = Vec::new();
                while let Some(name) = map.next_key::<String>()? {
                    members.push((Cow::Owned(name), map.next_value()?));
                }
                Ok(Members(members))
            }
        }
        from.deserialize_map(All)
    }
}

/// The whole of a text, if it is JSON.
pub fn whole(text: &str) -> Option<&str> {
    serde_json::from_str::<&RawValue>(text).ok().map(RawValue::get)
}

/// Whether a value is an array.
pub fn is_array(json: &str) -> bool {
    json.starts_with('[')
}

/// The value below a value that tokens name.
pub fn find<'t>(json: &'t str, tokens: &[String]) -> Option<&'t str> {
    tokens.iter().try_fold(json, |json, token| step(json, token))
}

fn step<'t>(json: &'t str, token: &str) -> Option<&'t str> {
    match json.as_bytes().first()? {
        b'{' => {
            let members: Members<'t> = serde_json::from_str(json).ok()?;
            let found = members.0.into_iter().find(|(name, _)| name == token);
            found.map(|(_, value)| value.get())
        }
        b'[' => {
            let digits = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_digit());
            if !digits || (token.len() > 1 && token.starts_with('0')) {
                return None;
            }
            let items: Vec<&'t RawValue> = serde_json::from_str(json).ok()?;
            items.get(token.parse::<usize>().ok()?).map(|item| item.get())
        }
        _ => None,
    }
}

/// A value as text: a string as it is, a number or truth value as it is written.
pub fn scalar(json: &str) -> Option<String> {
    match json.as_bytes().first()? {
        b'"' => serde_json::from_str(json).ok(),
        b'{' | b'[' | b'n' => None,
        _ => Some(json.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pointer_finds_the_text_of_a_value() {
        let text = r#" {"a":[1.0,{"b":"x\n"},null],"a":2,"n":1e5,"":true} "#;
        for (pointer, expected) in [
            ("/a/0", Some("1.0")),
            ("/a/1/b", Some("x\n")),
            ("/a/2", None),
            ("/a/01", None),
            ("/a/9", None),
            ("/a", None),
            ("/n", Some("1e5")),
            ("/", Some("true")),
        ] {
            let tokens: Vec<String> = pointer[1..].split('/').map(String::from).collect();
            let found = find(whole(text).unwrap(), &tokens).and_then(scalar);
            assert_eq!(found.as_deref(), expected, "{pointer}");
        }
        assert_eq!(whole("{"), None);
    }
}
