//! Shapes of the API that the core's types have and cannot say themselves: the core knows no OpenAPI.
//!
//! Numbers in addresses and bodies are kept below 2^53, so that every client's JSON can carry them.

use std::str::FromStr;

use balm_core::{name::Seq, record::Fact};
use serde::Deserialize;
use utoipa::openapi::{
    RefOr, Schema,
    schema::{AdditionalProperties, KnownFormat, Object, ObjectBuilder, OneOfBuilder, SchemaFormat, Type},
};

use super::problem::Problem;

/// The largest number of a record that is read: 2^53 - 1.
const NUMBER_MOST: u64 = (1 << 53) - 1;

/// Characters of a person's reason.
pub(super) const WHY_CHARS: usize = 1_000;

/// What a name looks like; see `balm_core::name`.
const NAME: &str = "^[a-z0-9][a-z0-9_-]{0,63}$";

/// The number of a record, as it is written in addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Number(u64);

impl Number {
    /// As the core counts.
    pub(super) const fn seq(self) -> Seq {
        Seq(self.0)
    }

    /// The same of a body, which carries a number.
    pub(super) const fn read(number: u64) -> Result<Self, NoNumber> {
        if number <= NUMBER_MOST { Ok(Self(number)) } else { Err(NoNumber) }
    }
}

/// Why a text or number is not the number of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a record's number is written in digits and is below 2^53")]
pub(super) struct NoNumber;

impl TryFrom<String> for Number {
    type Error = NoNumber;

    fn try_from(text: String) -> Result<Self, NoNumber> {
        text.parse()
    }
}

impl FromStr for Number {
    type Err = NoNumber;

    fn from_str(text: &str) -> Result<Self, NoNumber> {
        let digits = (1..=16).contains(&text.len()) && text.bytes().all(|c| c.is_ascii_digit());
        text.parse().ok().filter(|_| digits).ok_or(NoNumber).and_then(Self::read)
    }
}

/// How many are asked for, as it is written in addresses.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Limit(usize);

/// Why a text says not how many.
#[derive(Debug, thiserror::Error)]
#[error("limit says how many at most: it is a number from 1 on, written in digits")]
pub(super) struct NoLimit;

impl TryFrom<String> for Limit {
    type Error = NoLimit;

    fn try_from(text: String) -> Result<Self, NoLimit> {
        let number: Number = text.parse().map_err(|_| NoLimit)?;
        usize::try_from(number.0).map(Self).map_err(|_| NoLimit)
    }
}

pub(crate) fn number() -> Object {
    let number = ObjectBuilder::new().schema_type(Type::Integer);
    number.minimum(Some(0)).maximum(Some(NUMBER_MOST)).build()
}

/// A kind that is asked for, if there is such a kind.
pub(super) fn read_kind(kind: Option<String>) -> Result<Option<String>, Problem> {
    match kind {
        Some(kind) if !Fact::KINDS.contains(&kind.as_str()) => {
            Err(Problem::malformed(format!("{kind:?} is no kind of record")))
        }
        kind => Ok(kind),
    }
}

/// How many are asked for.
pub(super) fn limit(most: usize) -> Object {
    let limit = ObjectBuilder::new().schema_type(Type::Integer);
    limit.minimum(Some(1)).maximum(Some(most)).build()
}

/// How many are asked for, or as many as usual.
pub(super) fn read_limit(limit: Option<Limit>, usual: usize, most: usize) -> Result<usize, Problem> {
    let limit = limit.map_or(usual, |Limit(limit)| limit);
    Some(limit)
        .filter(|limit| (1..=most).contains(limit))
        .ok_or_else(|| Problem::malformed(format!("limit must be from 1 to {most}")))
}

pub(crate) fn name() -> Object {
    ObjectBuilder::new().schema_type(Type::String).pattern(Some(NAME)).build()
}

pub(super) fn why() -> Object {
    let why = ObjectBuilder::new().schema_type(Type::String).description(Some("Why, for the record."));
    why.min_length(Some(1)).max_length(Some(WHY_CHARS)).build()
}

pub(super) fn time() -> Object {
    let time =
        ObjectBuilder::new().schema_type(Type::String).format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)));
    time.examples(["2026-11-01T09:51:03Z"]).build()
}

/// How far a policy's intents may go.
pub(crate) fn mode() -> Object {
    words(["off", "shadow", "suggest", "enforce"])
}

/// The kinds of records.
pub(super) fn kind() -> Object {
    words(Fact::KINDS.iter().copied())
}

pub(super) fn words<'a>(words: impl IntoIterator<Item = &'a str>) -> Object {
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(words)).build()
}

/// What a stop halts.
pub(crate) fn scope() -> Schema {
    let one = |key: &str, value: Object| {
        ObjectBuilder::new()
            .property(key, value)
            .required(key)
            .additional_properties(Some(AdditionalProperties::FreeForm(false)))
            .build()
    };
    let text = |words: &str| ObjectBuilder::new().schema_type(Type::String).description(Some(words)).build();
    let digest = ObjectBuilder::new().schema_type(Type::String).pattern(Some("^[0-9a-f]{64}$"));
    let digest = digest.description(Some("The digest of a plugin's version.")).build();
    let scope = OneOfBuilder::new()
        .item(words(["everything"]))
        .item(one("policy", name()))
        .item(one("version", digest))
        .item(one("target", text("An ARN.")))
        .item(one("targets", text("An ARN with stars, each of which stands for any characters.")));
    Schema::OneOf(scope.description(Some("What a stop halts.")).build())
}

/// What engaged a stop.
pub(crate) fn cause() -> Object {
    words(["person", "breaker", "storm"])
}

/// What becomes of alerts whose intents a stop refused.
pub(super) fn backlog() -> Object {
    words(["drop", "evaluate"])
}

/// For how many seconds a stop holds.
pub(super) fn seconds() -> Object {
    let seconds = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1)).maximum(Some(STOP_FOR_MOST_S));
    seconds.description(Some("For so many seconds; until somebody releases it, if it does not say.")).build()
}

/// The longest time of a stop that ends by itself: longer is until somebody says so.
pub(crate) const STOP_FOR_MOST_S: u64 = 30 * 24 * 3600;

/// A record, as the journal has it.
pub(super) enum Record {}

impl utoipa::PartialSchema for Record {
    fn schema() -> RefOr<Schema> {
        let integer =
            |description: &str| ObjectBuilder::new().schema_type(Type::Integer).description(Some(description)).build();
        let record = ObjectBuilder::new()
            .description(Some("A record of the journal."))
            .property("v", integer("The version of records."))
            .property("seq", integer("Its number: 1 for the first, without gaps."))
            .property("at", integer("When it was written, in milliseconds since 1970."))
            .property("kind", kind())
            .property("data", ObjectBuilder::new().description(Some("What it says; its shape follows from the kind.")));
        record.required("v").required("seq").required("at").required("kind").required("data").build().into()
    }
}

impl utoipa::ToSchema for Record {
    fn name() -> std::borrow::Cow<'static, str> {
        "Record".into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_records_are_digits_below_2_to_the_53() {
        for (text, number) in [("0", 0), ("1042", 1042), ("9007199254740991", NUMBER_MOST)] {
            assert_eq!(text.parse::<Number>().ok(), Some(Number(number)));
        }
        for wrong in ["", "-1", "+1", "1.0", "0x1", " 1", "9007199254740992", "99999999999999999999"] {
            assert!(wrong.parse::<Number>().is_err(), "{wrong}");
        }
        assert_eq!(Number::read(NUMBER_MOST + 1), Err(NoNumber));
    }
}
