//! JSON texts from plugins and operators, normalised: parsed once, bounded, on one line, keys sorted.
//!
//! So a text can stand inside a record as it is, and two texts that mean the same are the same bytes.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Value, value::RawValue};

use crate::caps;

/// A normalised JSON text.
#[derive(Clone)]
pub struct Json(Box<RawValue>);

/// Why a text was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidJson {
    /// More bytes than [`caps::JSON_BYTES`].
    #[error("the JSON text has {0} bytes; at most {cap} are allowed", cap = caps::JSON_BYTES)]
    TooLong(usize),
    /// Not JSON, nested deeper than 128, or a number that no double holds.
    #[error("not JSON: {0}")]
    Malformed(String),
}

impl Json {
    /// Normalise a text.
    pub fn parse(text: &str) -> Result<Self, InvalidJson> {
        if text.len() > caps::JSON_BYTES {
            return Err(InvalidJson::TooLong(text.len()));
        }
        serde_json::from_str(text).map(Self::normal).map_err(|error| InvalidJson::Malformed(error.to_string()))
    }

    /// The text of a value that serialises to JSON with string keys, as all our types do.
    #[must_use]
    pub fn of(value: &impl Serialize) -> Self {
        Self::normal(serde_json::to_value(value).expect("our types have string keys and finite numbers"))
    }

    fn normal(mut value: Value) -> Self {
        value.sort_all_objects();
        Self(serde_json::value::to_raw_value(&value).expect("a JSON value serialises"))
    }

    /// `{}`
    #[must_use]
    pub fn empty_object() -> Self {
        Self(RawValue::from_string("{}".into()).expect("it is JSON"))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.get()
    }

    /// Read it as a type.
    pub fn read<'a, T: Deserialize<'a>>(&'a self) -> Result<T, InvalidJson> {
        serde_json::from_str(self.0.get()).map_err(|error| InvalidJson::Malformed(error.to_string()))
    }
}

impl PartialEq for Json {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Json {}

impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

/// Only for records, whose texts were normalised when they were written.
impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Box::<RawValue>::deserialize(deserializer).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_that_mean_the_same_are_the_same_bytes() {
        let tidy = Json::parse("{\n \"b\": 1.50,\r\n \"a\" : [ 1, \"\\u0041\\n\" ] }").map(|json| json.to_string());
        assert_eq!(tidy, Ok(r#"{"a":[1,"A\n"],"b":1.5}"#.to_owned()));
    }

    #[test]
    fn what_no_record_could_hold_is_refused() {
        assert!(matches!(Json::parse("{"), Err(InvalidJson::Malformed(_))));
        assert!(matches!(Json::parse("1e400"), Err(InvalidJson::Malformed(_))));
        assert!(matches!(Json::parse(&"[".repeat(1000)), Err(InvalidJson::Malformed(_))));
        let long = format!("\"{}\"", "x".repeat(caps::JSON_BYTES));
        assert_eq!(Json::parse(&long), Err(InvalidJson::TooLong(long.len())));
        assert!(Json::parse(&long[..caps::JSON_BYTES - 1]).is_err());
        assert!(Json::parse(&format!("\"{}\"", "x".repeat(caps::JSON_BYTES - 2))).is_ok());
    }
}
