//! The parameters of a GET: `query`, `operationName`, `variables` and `extensions`, form-encoded.

use serde_json::{Map, Value};

use crate::execute::Params;

/// Reads the parameters of an address, without its `?`.
///
/// # Errors
/// What is wrong, in words.
pub fn params(address: &str) -> Result<Params, String> {
    let mut fields = Map::new();
    for part in address.split('&').filter(|part| !part.is_empty()) {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        let (name, value) = (decode(name), decode(value));
        let parsed = match name.as_str() {
            "query" | "operationName" => Value::String(value),
            "variables" | "extensions" if value.is_empty() => continue,
            "variables" | "extensions" => serde_json::from_str(&value)
                .map_err(|error| format!("`{name}` is not JSON: {error}"))?,
            _ => continue,
        };
        fields.insert(name, parsed);
    }
    Params::from_json(Value::Object(fields))
}

/// `%xx` and `+` decoded; bytes that are not UTF-8 become U+FFFD.
pub fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let digit = |at: usize| bytes.get(at).and_then(|byte| char::from(*byte).to_digit(16));
    let (mut at, mut decoded) = (0, Vec::with_capacity(bytes.len()));
    while let Some(&byte) = bytes.get(at) {
        at += 1;
        decoded.push(match (byte, digit(at), digit(at + 1)) {
            (b'%', Some(high), Some(low)) => {
                at += 2;
                (high * 16 + low) as u8
            }
            (b'+', ..) => b' ',
            _ => byte,
        });
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_of_an_address_are_decoded() {
        let read = params("query=%7B+a%20b%7D&variables=%7B%22x%22:1%7D&operationName=A").unwrap();
        assert_eq!(read.query, "{ a b}");
        assert_eq!(read.operation_name.as_deref(), Some("A"));
        assert_eq!(read.variables.len(), 1);
        assert_eq!(params("query=%").unwrap().query, "%");
        assert_eq!(params("query=%C3%28%zz").unwrap().query, "\u{fffd}(%zz");
        assert_eq!(params("query=a&x=1&variables=").unwrap().query, "a");
        for bad in ["", "query=a&variables=%7B", "query=a&variables=1", "x=1"] {
            assert!(params(bad).is_err(), "{bad}");
        }
    }
}
