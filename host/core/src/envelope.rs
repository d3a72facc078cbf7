//! Envelopes: what stands around a record's data, read together with them in one pass.
//!
//! What data are, their kind says, and it is written before them: so they are read as what they are where they stand, and not
//! gone over first to find their end. Where their kind stands behind them, or they are of another version, their text is kept
//! to be read afterwards. It refuses to know whether a record may be believed.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, Visitor},
};
use serde_json::value::RawValue;

use crate::{line::Framing, name::Seq, record::Fact, time::Timestamp};

/// The JSON of a line.
pub(crate) struct Envelope<'a> {
    pub(crate) v: u32,
    pub(crate) seq: Seq,
    pub(crate) at: Timestamp,
    pub(crate) kind: Cow<'a, str>,
    pub(crate) more: bool,
    pub(crate) framing: Framing,
    pub(crate) data: Data<'a>,
}

/// What a record says.
pub(crate) enum Data<'a> {
    /// As the version that was asked for has it; none if that does not know its kind.
    Fact(Option<Fact>),
    /// Not read yet.
    Text(&'a RawValue),
}

/// Read the JSON of a line, and its data if they are of a version.
pub(crate) fn read(json: &str, version: u32) -> serde_json::Result<Envelope<'_>> {
    let mut deserializer = serde_json::Deserializer::from_str(json);
    let envelope = Reader { version }.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(envelope)
}

/// Read the text of data of a kind, or nothing if this version does not know it.
pub(crate) fn read_data(kind: &str, text: &str) -> serde_json::Result<Option<Fact>> {
    OfKind(kind).deserialize(&mut serde_json::Deserializer::from_str(text))
}

struct Reader {
    version: u32,
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "lowercase")]
enum Field {
    V,
    Seq,
    At,
    Kind,
    More,
    Synced,
    Prev,
    Data,
    #[serde(other)]
    Other,
}

/// A text that is borrowed where it can be.
#[derive(Deserialize)]
struct Kind<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de> DeserializeSeed<'de> for Reader {
    type Value = Envelope<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Reader {
    type Value = Envelope<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a record")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
        let (mut v, mut seq, mut at, mut kind) = (None, None, None, None::<Kind<'de>>);
        let (mut more, mut synced, mut prev, mut data) = (None, None, None, None);
        while let Some(field) = map.next_key()? {
            match field {
                Field::V => once(&mut v, "v", map.next_value()?)?,
                Field::Seq => once(&mut seq, "seq", map.next_value()?)?,
                Field::At => once(&mut at, "at", map.next_value()?)?,
                Field::Kind => once(&mut kind, "kind", map.next_value()?)?,
                Field::More => once(&mut more, "more", map.next_value()?)?,
                Field::Synced => once(&mut synced, "synced", map.next_value()?)?,
                Field::Prev => once(&mut prev, "prev", map.next_value()?)?,
                Field::Data => {
                    let kind = kind.as_ref().filter(|_| v == Some(self.version));
                    let read = match kind {
                        Some(kind) => Data::Fact(map.next_value_seed(OfKind(&kind.0))?),
                        None => Data::Text(map.next_value()?),
                    };
                    once(&mut data, "data", read)?;
                }
                Field::Other => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        let missing = M::Error::missing_field;
        Ok(Envelope {
            v: v.ok_or_else(|| missing("v"))?,
            seq: seq.ok_or_else(|| missing("seq"))?,
            at: at.ok_or_else(|| missing("at"))?,
            kind: kind.ok_or_else(|| missing("kind"))?.0,
            more: more.unwrap_or_default(),
            framing: Framing { synced: synced.flatten(), prev: prev.flatten() },
            data: data.ok_or_else(|| missing("data"))?,
        })
    }
}

fn once<T, E: serde::de::Error>(place: &mut Option<T>, name: &'static str, value: T) -> Result<(), E> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(E::duplicate_field(name)),
    }
}

/// Data of a kind.
struct OfKind<'a>(&'a str);

impl<'de> DeserializeSeed<'de> for OfKind<'_> {
    type Value = Option<Fact>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        Fact::read(self.0, deserializer)
    }
}
