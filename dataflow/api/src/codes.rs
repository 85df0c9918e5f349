//! Why a record was refused, as a closed code.
//!
//! Dead letters, answers of pushes and the report of a replay show the same few texts. They are part
//! of the product's interface and are what is stored and sent, so a text, once released, is never
//! changed. A text that is none of them can only come from another version of the program (or a
//! damaged row) and reads as [`RefusalCode::Unknown`].

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Why a record was refused. Closed: new reasons map onto one of these. Ordered as its texts are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RefusalCode {
    /// A field has a wrong type or value.
    BadField,
    /// Not JSON, or not an object.
    BadJson,
    /// A line that is not of the access log's format.
    BadLine,
    /// Bytes that are not UTF-8 where JSON was expected.
    BadUtf8,
    /// Its day has been dropped by retention.
    Expired,
    /// Its time is too far ahead of the wall clock.
    Future,
    /// A required field is absent.
    MissingField,
    /// The record is longer than the limit.
    TooLong,
    /// A code this version does not know. Never given to a record.
    Unknown,
}

impl RefusalCode {
    /// Every code, in the order of their texts.
    pub const ALL: [Self; 9] = [
        Self::BadField,
        Self::BadJson,
        Self::BadLine,
        Self::BadUtf8,
        Self::Expired,
        Self::Future,
        Self::MissingField,
        Self::TooLong,
        Self::Unknown,
    ];

    /// As dead letters and answers show it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BadField => "bad_field",
            Self::BadJson => "bad_json",
            Self::BadLine => "bad_line",
            Self::BadUtf8 => "bad_utf8",
            Self::Expired => "expired",
            Self::Future => "future",
            Self::MissingField => "missing_field",
            Self::TooLong => "too_long",
            Self::Unknown => "unknown",
        }
    }

    /// The code of a text that was stored or received.
    #[must_use]
    pub fn read(text: &str) -> Self {
        Self::ALL.into_iter().find(|code| code.as_str() == text).unwrap_or(Self::Unknown)
    }
}

impl fmt::Display for RefusalCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Serialize for RefusalCode {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for RefusalCode {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from).map(|text| Self::read(&text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_comes_back_from_its_text_and_others_are_unknown() {
        for code in RefusalCode::ALL {
            let text = serde_json::to_string(&code).unwrap();
            assert_eq!(text, format!("\"{code}\""));
            assert_eq!(serde_json::from_str::<RefusalCode>(&text).unwrap(), code);
        }
        for text in ["", "BAD_JSON", "bad_json ", &"x".repeat(1 << 20)] {
            assert_eq!(RefusalCode::read(text), RefusalCode::Unknown, "{text:.20}");
        }
    }

    #[test]
    fn codes_are_ordered_and_spelled_as_they_were_released() {
        let texts = RefusalCode::ALL.map(RefusalCode::as_str);
        assert_eq!(
            texts,
            [
                "bad_field",
                "bad_json",
                "bad_line",
                "bad_utf8",
                "expired",
                "future",
                "missing_field",
                "too_long",
                "unknown"
            ]
        );
        assert!(RefusalCode::ALL.is_sorted());
    }
}
