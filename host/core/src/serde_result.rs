//! A `Result` in records: `{"ok": …}` or `{"error": "…"}`.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
enum Written<'a, T> {
    Ok(&'a T),
    Error(&'a str),
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Read<'a, T> {
    Ok(T),
    Error(Cow<'a, str>),
}

pub(crate) fn serialize<T: Serialize, S: Serializer>(
    result: &Result<T, String>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let written = match result {
        Ok(value) => Written::Ok(value),
        Err(error) => Written::Error(error),
    };
    written.serialize(serializer)
}

pub(crate) fn deserialize<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Result<T, String>, D::Error> {
    Ok(match Read::deserialize(deserializer)? {
        Read::Ok(value) => Ok(value),
        Read::Error(error) => Err(error.into_owned()),
    })
}
