//! Values of any type that can be deserialized, made from arbitrary bytes, and whether they come
//! back from the formats in which they travel.
//!
//! [`Anything`] is a deserializer that answers every question of a type with a choice: which
//! variant, how many entries, whether there is a value. So a new field or variant is covered without
//! a word here. A type that reads its own form out of bytes gets a session's row now and then, which
//! is the only such form there is.

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "not every test uses all of it; this is what tests what may be sent"
)]

use std::fmt::{self, Debug};
use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::any;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use serde::de::value::Error;
use serde::de::{
    self, DeserializeOwned, DeserializeSeed, EnumAccess, IntoDeserializer, MapAccess, SeqAccess,
    VariantAccess, Visitor,
};
use serde::{Deserializer, Serialize};
use spoor_operators::facts::{Assigned, Fact, Field, IdentityText, Numbers, encode_head};
use spoor_operators::identity::{Identity, IdentityId};
use spoor_operators::session::Session;
use spoor_operators::summary::Summary;
use spoor_operators::time::{Day, EventTime};

/// Values tried of each type.
const CASES: u32 = 200;

/// A format as a round trip.
type RoundTrip<T> = fn(&T) -> Result<(Vec<u8>, T), String>;

/// Checks that values of a type come back from bincode, as timely and the processes of a cluster
/// use it.
pub fn comes_back_from_bincode<T: Serialize + DeserializeOwned + Debug>(name: &str) {
    comes_back::<T>(name, false, |value| {
        let bytes = bincode::serialize(value).map_err(|error| error.to_string())?;
        let back = bincode::deserialize(&bytes).map_err(|error| error.to_string())?;
        Ok((bytes, back))
    });
}

/// Checks that values of a type come back from JSON.
pub fn comes_back_from_json<T: Serialize + DeserializeOwned + Debug>(name: &str) {
    comes_back::<T>(name, true, |value| {
        let bytes = serde_json::to_vec(value).map_err(|error| error.to_string())?;
        let back = serde_json::from_slice(&bytes).map_err(|error| error.to_string())?;
        Ok((bytes, back))
    });
}

fn comes_back<T: Serialize + DeserializeOwned + Debug>(
    name: &str,
    is_text: bool,
    there_and_back: RoundTrip<T>,
) {
    let config = Config {
        cases: CASES,
        failure_persistence: None,
        max_global_rejects: 100 * CASES,
        ..Config::default()
    };
    let outcome = TestRunner::new(config).run(&vec(any::<u8>(), 0..400), |choices| {
        let mut choices = Choices { bytes: &choices, is_text };
        let Ok(value) = T::deserialize(Anything(&mut choices)) else {
            return Err(TestCaseError::reject("no such value"));
        };
        let failed = |error| TestCaseError::fail(format!("{value:?}: {error}"));
        let (bytes, back) = there_and_back(&value).map_err(failed)?;
        let (again, _) = there_and_back(&back).map_err(failed)?;
        if format!("{value:?}") != format!("{back:?}") || bytes != again {
            return Err(failed(format!("came back as {back:?}")));
        }
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{name} does not come back: {error}"));
}

/// What is left to choose by; zeros when nothing is.
struct Choices<'a> {
    bytes: &'a [u8],
    is_text: bool,
}

impl Choices<'_> {
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.bytes.split_first() else { return 0 };
        self.bytes = rest;
        *first
    }

    fn word(&mut self) -> u64 {
        match self.byte() % 4 {
            0 => u64::from(self.byte() % 8),
            1 => u64::MAX - u64::from(self.byte() % 2),
            2 => 1 << (self.byte() % 64),
            _ => (0..8).fold(0, |word, _| word << 8 | u64::from(self.byte())),
        }
    }

    fn length(&mut self) -> usize {
        usize::from(self.byte() % 4)
    }

    fn text(&mut self) -> String {
        match self.byte() % 8 {
            0 => "$method".into(),
            1 => "é\u{0}\u{1f600}\"".into(),
            2 => "x".repeat(300),
            3 => String::new(),
            _ => (0..self.length()).map(|_| char::from(self.byte() % 128)).collect(),
        }
    }

    fn binary(&mut self) -> Vec<u8> {
        match self.byte() % 3 {
            0 => (0..self.length()).map(|_| self.byte()).collect(),
            _ => row(i64::from(self.byte()) - 100),
        }
    }
}

/// A session's row.
fn row(start: i64) -> Vec<u8> {
    let words = IdentityText { namespace: "user", value: "ann", ..IdentityText::default() };
    let numbers =
        Numbers { status: 503, duration_ns: Some(start.unsigned_abs()), ..Numbers::default() };
    let mut payload = Vec::new();
    encode_head(&mut payload, words, &numbers, &[Fact::new(Field::Method, "GET")]);
    let request = Assigned {
        day: Day(0),
        identity: IdentityId::of(words.namespace, words.value, words.qualifier),
        ts: EventTime(start),
        id_hash: 0,
        gap_ms: 1,
        origin: 0,
        head_len: payload.len() as u32,
        payload: payload.into(),
    };
    let mut session = Session {
        identity: Arc::new(Identity {
            id: request.identity,
            namespace: words.namespace.into(),
            value: words.value.into(),
            qualifier: words.qualifier.into(),
            weak: words.weak,
            secret: words.secret,
        }),
        day: request.day,
        start: request.ts,
        end: request.ts,
        gap_ms: request.gap_ms,
        summary: Summary::default(),
    };
    session.summary.add(&request.facts().unwrap());
    let mut row = Vec::new();
    session.encode(&mut row);
    row
}

/// Answers a type's questions by choices.
struct Anything<'c, 'a>(&'c mut Choices<'a>);

macro_rules! numbers {
    ($($method:ident $visit:ident $number:ty),*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            visitor.$visit(self.0.word() as $number)
        })*
    };
}

impl<'de> Deserializer<'de> for Anything<'_, '_> {
    type Error = Error;

    fn is_human_readable(&self) -> bool {
        self.0.is_text
    }

    /// What a type like this is depends on the bytes: bincode cannot say.
    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        panic!("a type that travels must say what it expects")
    }

    numbers! {
        deserialize_i8 visit_i8 i8, deserialize_i16 visit_i16 i16,
        deserialize_i32 visit_i32 i32, deserialize_i64 visit_i64 i64,
        deserialize_u8 visit_u8 u8, deserialize_u16 visit_u16 u16,
        deserialize_u32 visit_u32 u32, deserialize_u64 visit_u64 u64
    }

    fn deserialize_u128<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_u128(u128::from(self.0.word()) << 64 | u128::from(self.0.word()))
    }

    fn deserialize_i128<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_i128((u128::from(self.0.word()) << 64 | u128::from(self.0.word())) as i128)
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_bool(self.0.byte() % 2 == 1)
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_f32(f32::from(self.0.byte()))
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let few = [0.0, -0.0, 0.1, f64::MAX, f64::INFINITY, f64::NEG_INFINITY, f64::NAN];
        visitor.visit_f64(few[usize::from(self.0.byte()) % few.len()])
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_char(char::from(self.0.byte()))
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_string(self.0.text())
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_string(self.0.text())
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_byte_buf(self.0.binary())
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_byte_buf(self.0.binary())
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.0.byte().is_multiple_of(3) {
            visitor.visit_none()
        } else {
            visitor.visit_some(self)
        }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let left = self.0.length();
        visitor.visit_seq(Several { choices: self.0, left })
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        left: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_seq(Several { choices: self.0, left })
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        left: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_seq(Several { choices: self.0, left })
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let left = self.0.length();
        visitor.visit_map(Several { choices: self.0, left })
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_seq(Several { choices: self.0, left: fields.len() })
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let variant = u32::from(self.0.byte()) % variants.len() as u32;
        visitor.visit_enum(Variant { choices: self.0, variant })
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        Err(de::Error::custom("fields are read by their place"))
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }
}

/// So many values.
struct Several<'c, 'a> {
    choices: &'c mut Choices<'a>,
    left: usize,
}

impl<'de> SeqAccess<'de> for Several<'_, '_> {
    type Error = Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Error> {
        let Some(left) = self.left.checked_sub(1) else { return Ok(None) };
        self.left = left;
        seed.deserialize(Anything(self.choices)).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left)
    }
}

impl<'de> MapAccess<'de> for Several<'_, '_> {
    type Error = Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Error> {
        self.next_element_seed(seed)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Error> {
        seed.deserialize(Anything(self.choices))
    }
}

struct Variant<'c, 'a> {
    choices: &'c mut Choices<'a>,
    variant: u32,
}

impl<'de, 'c, 'a> EnumAccess<'de> for Variant<'c, 'a> {
    type Error = Error;
    type Variant = Anything<'c, 'a>;

    fn variant_seed<S: DeserializeSeed<'de>>(
        self,
        seed: S,
    ) -> Result<(S::Value, Self::Variant), Error> {
        let variant: de::value::U32Deserializer<Error> = self.variant.into_deserializer();
        Ok((seed.deserialize(variant)?, Anything(self.choices)))
    }
}

impl<'de> VariantAccess<'de> for Anything<'_, '_> {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        Ok(())
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, Error> {
        seed.deserialize(self)
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_tuple(len, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_tuple(fields.len(), visitor)
    }
}

impl Debug for Anything<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Anything")
    }
}
