//! Which plan is repeated: its own hash, whole, and nothing else.

use balm_core::{
    approval::record::{Refusal, Saying},
    digest::Digest,
    name::IntentId,
};

use super::{Case, acts, case, waits};
use crate::approvals::{
    Needs::{Nobody, Suggest},
    scene::API,
};

pub(super) fn cases() -> Vec<Case> {
    let wrong = || waits(0).refusing(&[Refusal::WrongPlan]);
    let unknown = || waits(0).refusing(&[Refusal::NoRequest]);
    vec![
        case("the hash is made up", Suggest, |it| it.yes_to("ada", &Digest::ZERO.to_string()), wrong()),
        case("the hash is left out", Suggest, |it| it.yes_to("ada", ""), wrong()),
        case(
            "the hash is cut by its last digit",
            Suggest,
            |it| {
                let hash = it.hash();
                it.yes_to("ada", &hash[..63]);
            },
            wrong(),
        ),
        case(
            "only the beginning of the hash is given, as people see it elsewhere",
            Suggest,
            |it| {
                let hash = it.hash();
                it.yes_to("ada", &hash[..16]);
            },
            wrong(),
        ),
        case(
            "the hash has a digit too many",
            Suggest,
            |it| {
                let hash = it.hash() + "0";
                it.yes_to("ada", &hash);
            },
            wrong(),
        ),
        case(
            "the hash is in upper case",
            Suggest,
            |it| {
                let hash = it.hash().to_uppercase();
                it.yes_to("ada", &hash);
            },
            wrong(),
        ),
        case(
            "the hash has a prefix",
            Suggest,
            |it| {
                let hash = format!("sha256:{}", it.hash());
                it.yes_to("ada", &hash);
            },
            wrong(),
        ),
        case(
            "the hash has a line behind it",
            Suggest,
            |it| {
                let hash = it.hash() + "\n";
                it.yes_to("ada", &hash);
            },
            wrong(),
        ),
        case(
            "the hash is written in full-width digits",
            Suggest,
            |it| {
                let wide = |c: char| char::from_u32(u32::from(c) + 0xfee0).unwrap_or(c);
                let hash: String = it.hash().chars().map(wide).collect();
                it.yes_to("ada", &hash);
            },
            wrong(),
        ),
        case(
            "one bit of the hash is another",
            Suggest,
            |it| {
                let mut hash = it.hash().into_bytes();
                hash[40] = if hash[40] == b'0' { b'1' } else { b'0' };
                it.yes_to("ada", &String::from_utf8(hash).expect("digits"));
            },
            wrong(),
        ),
        case(
            "the digest of the guardrails is no plan",
            Suggest,
            |it| {
                let digest = it.plan().guardrails.to_string();
                it.yes_to("ada", &digest);
            },
            wrong(),
        ),
        case(
            "the digest of the plugin is no plan",
            Suggest,
            |it| {
                let digest = it.plan().plugin_digest.to_string();
                it.yes_to("ada", &digest);
            },
            wrong(),
        ),
        case(
            "the hash of the same plan on another host",
            Suggest,
            |it| {
                let mut plan = it.plan();
                plan.host = "another".into();
                it.yes_to("ada", &plan.hash().to_string());
            },
            wrong(),
        ),
        case(
            "the hash of a plan that wants one task more",
            Suggest,
            |it| {
                let mut plan = it.plan();
                plan.parameters = balm_core::json::Json::parse(r#"{"desired":7}"#).expect("JSON");
                it.yes_to("ada", &plan.hash().to_string());
            },
            wrong(),
        ),
        case(
            "the hash of a plan for another target",
            Suggest,
            |it| {
                let mut plan = it.plan();
                plan.target = API.parse().expect("a target");
                it.yes_to("ada", &plan.hash().to_string());
            },
            wrong(),
        ),
        case(
            "the hash of a plan with other expectations",
            Suggest,
            |it| {
                let mut plan = it.plan();
                plan.expects = balm_core::json::Json::empty_object();
                it.yes_to("ada", &plan.hash().to_string());
            },
            wrong(),
        ),
        case(
            "the hash of another intent that would do the same",
            Suggest,
            |it| {
                let other = it.propose_again();
                let hash = it.hash_of(other).expect("people were asked");
                it.yes_to("ada", &hash);
            },
            wrong(),
        ),
        case(
            "the right hash, of the wrong intent",
            Suggest,
            |it| {
                let (other, hash) = (it.propose_again(), it.hash());
                it.say(Saying::Yes, "ada", other, &hash);
            },
            wrong(),
        ),
        case(
            "an approval does not serve the next intent, which would do the same",
            Suggest,
            |it| {
                it.yes("ada");
                it.intent = it.propose_again();
                it.look();
            },
            waits(0),
        ),
        case(
            "an intent that there is not",
            Suggest,
            |it| {
                let (hash, none) = (it.hash(), IntentId { proposed: balm_core::name::Seq(999_999), index: 0 });
                it.say(Saying::Yes, "ada", none, &hash);
            },
            unknown(),
        ),
        case(
            "another index of the same decision",
            Suggest,
            |it| {
                let (hash, beside) = (it.hash(), IntentId { index: 1, ..it.intent });
                it.say(Saying::Yes, "ada", beside, &hash);
            },
            unknown(),
        ),
        case("an intent that needed nobody", Nobody, |it| it.yes("ada"), acts().refusing(&[Refusal::NoRequest])),
    ]
}
