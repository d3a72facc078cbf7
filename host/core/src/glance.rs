//! Glancing at a line: what sorts it, found without reading all of it.
//!
//! The audit database sorts every record by its episode, and a record of a kilobyte says so in its first hundred bytes. So
//! reading stops there. It refuses to know what else a record says, and whether it may be believed.

use std::{borrow::Cow, fmt};

use serde::{
    Deserializer,
    de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, Visitor},
};

use crate::name::{EpisodeId, Seq};

/// What can be told of a believed line without reading all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Glance {
    /// Its number.
    pub seq: Seq,
    /// Whether its batch goes on.
    pub more: bool,
    /// The episode that it belongs to, if any; see [`Fact::episode`](crate::record::Fact::episode).
    pub episode: Option<EpisodeId>,
}

/// Glance at the JSON of a believed line, as far as its episode stands.
#[must_use]
pub fn glance(json: &[u8]) -> Option<Glance> {
    let mut found = Found::default();
    let whole =
        Walk { place: Place::Record, found: &mut found }.deserialize(&mut serde_json::Deserializer::from_slice(json));
    // What ends it early is no mistake of the line's: enough was seen.
    (whole.is_ok() || found.enough).then_some(())?;
    Some(Glance { seq: found.seq?, more: found.more, episode: found.episode })
}

#[derive(Default)]
struct Found {
    seq: Option<Seq>,
    more: bool,
    episode: Option<EpisodeId>,
    enough: bool,
}

#[derive(Clone, Copy)]
enum Place {
    Record,
    Data,
    /// Of an alert: a word, and what belongs to it.
    Reception,
    Received,
}

struct Walk<'a> {
    place: Place,
    found: &'a mut Found,
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a record")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<(), M::Error> {
        let Self { place, found } = self;
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            match (place, key.as_ref()) {
                (Place::Record, "seq") => found.seq = Some(map.next_value()?),
                (Place::Record, "more") => found.more = map.next_value()?,
                (Place::Record, "data") => map.next_value_seed(Walk { place: Place::Data, found })?,
                (Place::Data, "reception") => map.next_value_seed(Walk { place: Place::Reception, found })?,
                // The record itself is the episode's name.
                (Place::Reception, "opened") => found.enough = true,
                (Place::Reception, _) => map.next_value_seed(Walk { place: Place::Received, found })?,
                (Place::Data | Place::Received, "episode") => {
                    found.episode = map.next_value()?;
                    found.enough = found.episode.is_some();
                }
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
            if found.enough {
                return Err(M::Error::custom("enough was seen"));
            }
        }
        Ok(())
    }
}
