//! Approvals: a person's yes to one exact plan, expiring, usable once.
//!
//! When the guard says that an intent needs people, a request is made: it shows the whole plan and its hash, and only
//! whoever repeats that hash can say yes. It owns the plan, who may speak, and whether what somebody says counts; the
//! records are in [`record`], what follows from them in `decide`. It refuses to know how a person
//! proved who they are.

pub mod record;

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use self::record::{Refusal, Saying};
use crate::{
    action::Change,
    caps,
    configuration::{Configuration, Mode, Policy},
    digest::Digest,
    intent::Intent,
    json::Json,
    name::{ApproverName, EpisodeId, IntentId, PluginName, PolicyName, Seq},
    notice,
    state::State,
    target::Target,
    time::Timestamp,
};

/// What the hash of a plan begins with, so that it is the hash of nothing else.
const DOMAIN: &[u8] = b"balm plan 1\n";

/// Who may approve, and for how long a request waits. By default nobody may.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Terms {
    /// A request that was not used by then expires.
    pub expires_after_ms: u64,
    /// People, by name.
    #[serde(default)]
    pub approvers: BTreeMap<ApproverName, Approver>,
}

impl Default for Terms {
    fn default() -> Self {
        Self { expires_after_ms: 15 * 60 * 1000, approvers: BTreeMap::new() }
    }
}

/// How a person who may approve is known. One person counts once, however they speak.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Approver {
    /// As the holder of the credential of this name, whose role lets it approve.
    pub credential: bool,
    /// As this user of the host's machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
}

/// Who speaks, as the host found out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Speaker {
    /// Whoever showed the token of a credential: its name.
    Holder(String),
    /// A user of the host's machine, as the kernel says; `None` if it does not.
    User(Option<u32>),
}

impl Terms {
    /// Whether nothing was configured.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// The approver who speaks, if it is one. A user that two names claim is nobody.
    #[must_use]
    pub fn find(&self, speaker: &Speaker) -> Option<&ApproverName> {
        match speaker {
            Speaker::Holder(name) => {
                let (name, approver) = self.approvers.get_key_value(&name.parse().ok()?)?;
                approver.credential.then_some(name)
            }
            Speaker::User(uid) => {
                let uid = (*uid)?;
                let mut named = self.approvers.iter().filter(|(_, approver)| approver.uid == Some(uid));
                let (name, _) = named.next()?;
                named.next().is_none().then_some(name)
            }
        }
    }

    /// When a request that is made now is repeated to people, and when it expires.
    #[must_use]
    pub(crate) fn deadlines(&self, now: Timestamp) -> (Timestamp, Timestamp) {
        let span = self.expires_after_ms.clamp(1, caps::APPROVAL_EXPIRES_MOST_S * 1000);
        let after = |ms| now + std::time::Duration::from_millis(ms);
        (after(span / 2), after(span))
    }
}

/// Everything that an approval is bound to. Whatever of it changes, it is another plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Plan {
    /// The host: intents of another one may have the same name.
    pub host: String,
    /// The intent: what is approved is this proposal, not every one that is like it.
    pub intent: IntentId,
    /// Of which episode.
    pub episode: EpisodeId,
    /// Of which policy.
    pub policy: PolicyName,
    /// What that is configured to be, but for its mode, which the guard looks at: of its JSON.
    pub policy_digest: Digest,
    /// The plugin that decided.
    pub plugin: PluginName,
    /// Its version in force: of the component's bytes.
    pub plugin_digest: Digest,
    /// The version of the guardrails.
    pub guardrails: Digest,
    /// What is done.
    pub action: String,
    /// Where.
    pub target: Target,
    /// How: the parameters as the action reads them.
    pub parameters: Json,
    /// What must still be true of the target.
    pub expects: Json,
    /// Seconds until it must be verified, if not the action's own deadline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verify_within: Option<u32>,
    /// Whether it is undone if it cannot be verified.
    pub undo: bool,
}

impl Plan {
    /// The plan of an intent, as things are now; `None` if it could not be carried out at all.
    #[must_use]
    pub fn of(state: &State, intent: &Intent) -> Option<Self> {
        let proposal = &intent.proposal;
        let change = Change::read(&proposal.action, &proposal.parameters).ok()?;
        let policy = state.configuration.policies.get(&intent.policy)?;
        let plugin = &policy.plugin;
        Some(Self {
            host: state.host.clone(),
            intent: intent.id,
            episode: intent.episode,
            policy: intent.policy.clone(),
            policy_digest: digest_of(policy),
            plugin: plugin.clone(),
            plugin_digest: state.plugins.get(plugin)?.digest,
            guardrails: state.guardrails?,
            action: change.action().into(),
            target: proposal.target.parse().ok()?,
            parameters: change.parameters(),
            expects: proposal.expects.clone(),
            verify_within: proposal.verify_within,
            undo: proposal.undo,
        })
    }

    /// SHA-256 over the line `balm plan 1` and the plan's JSON, with its keys sorted and nothing between them.
    #[must_use]
    pub fn hash(&self) -> Digest {
        Digest::of(&[DOMAIN, Json::of(self).as_str().as_bytes()])
    }

    /// The names of what is different in another plan.
    #[must_use]
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let fields = |plan: &Self| Json::of(plan).read::<BTreeMap<String, serde_json::Value>>().unwrap_or_default();
        let (ours, theirs) = (fields(self), fields(other));
        let names: std::collections::BTreeSet<&String> = ours.keys().chain(theirs.keys()).collect();
        names.into_iter().filter(|name| ours.get(*name) != theirs.get(*name)).cloned().collect()
    }

    /// What it changes, from what to what: `desired 4 → 6`.
    #[must_use]
    pub fn change(&self) -> String {
        notice::change(&self.parameters, &self.expects)
    }
}

fn digest_of(policy: &Policy) -> Digest {
    let policy = Policy { mode: Mode::default(), ..policy.clone() };
    Digest::of(&[Json::of(&policy).as_str().as_bytes()])
}

/// `ecs:scale-service desired 4 → 6 on arn:…, provided that {"desired":4} still holds`
impl std::fmt::Display for Plan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.action)?;
        let change = self.change();
        if !change.is_empty() {
            write!(f, " {change}")?;
        }
        write!(f, " on {}", self.target)?;
        if self.expects.as_str() != "{}" {
            write!(f, ", provided that {} still holds", self.expects)?;
        }
        Ok(())
    }
}

/// A request that has not ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Request {
    /// The record that made it.
    pub requested: Seq,
    /// When.
    pub requested_at: Timestamp,
    /// What people were shown.
    pub plan: Plan,
    /// Its hash.
    pub hash: Digest,
    /// How many different people must say yes.
    pub needs: u32,
    /// When people are told once more.
    pub reminds_at: Timestamp,
    /// When it is over.
    pub expires_at: Timestamp,
    /// People were told once more.
    pub reminded: bool,
    /// Who said yes, in their order.
    pub given: Vec<Given>,
    /// A call was admitted on it: nobody can say anything any more.
    pub used: bool,
}

/// A person's yes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Given {
    /// Whose.
    pub by: ApproverName,
    /// Why, in the person's words.
    pub why: String,
    /// When.
    pub at: Timestamp,
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Closed {
    /// A call was admitted on it.
    Used,
    /// Nobody, or too few, said yes in time.
    Expired,
    /// A person said no.
    Denied,
    /// What was approved is no longer so.
    Void,
}

impl Closed {
    const fn refusal(self) -> Refusal {
        match self {
            Self::Used => Refusal::Used,
            Self::Expired => Refusal::Expired,
            Self::Denied => Refusal::Denied,
            Self::Void => Refusal::Void,
        }
    }
}

/// All requests: open ones, and how the newest others ended, so that whoever comes late is told why it is too late.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Requests {
    open: BTreeMap<IntentId, Request>,
    closed: VecDeque<(IntentId, Closed)>,
}

impl Requests {
    /// The request of an intent, unless it has ended.
    #[must_use]
    pub fn get(&self, intent: IntentId) -> Option<&Request> {
        self.open.get(&intent)
    }

    /// Those that have not ended, oldest first.
    pub fn open(&self) -> impl Iterator<Item = &Request> {
        self.open.values()
    }

    /// Those that people can still say something to.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.open.values().filter(|request| !request.used).count()
    }

    pub(crate) fn get_mut(&mut self, intent: IntentId) -> Option<&mut Request> {
        self.open.get_mut(&intent)
    }

    pub(crate) fn insert(&mut self, request: Request) {
        self.open.insert(request.plan.intent, request);
    }

    /// It ended; what is known of how it ended already stays.
    pub(crate) fn close(&mut self, intent: IntentId, how: Closed) {
        let Some(request) = self.open.remove(&intent) else { return };
        if self.closed.len() >= caps::APPROVALS_REMEMBERED {
            self.closed.pop_front();
        }
        self.closed.push_back((intent, if request.used { Closed::Used } else { how }));
    }

    fn ended(&self, intent: IntentId) -> Option<Closed> {
        self.closed.iter().rev().find(|(closed, _)| *closed == intent).map(|(_, how)| *how)
    }
}

/// Something that a person says of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// Of which intent.
    pub intent: IntentId,
    /// What.
    pub saying: Saying,
    /// The hash that the person repeats, as it was typed.
    pub plan: String,
    /// Who speaks.
    pub speaker: Speaker,
    /// The same in words, for records, and why.
    pub person: crate::record::Person,
}

/// Whether what a person says counts now: the approver it is of, or why not.
pub(crate) fn hear(state: &State, said: &Said, now: Timestamp) -> Result<ApproverName, Refusal> {
    let by = state.configuration.approval.find(&said.speaker).ok_or(Refusal::NotAnApprover)?;
    let request = match state.approvals.get(said.intent) {
        Some(request) => request,
        None => return Err(state.approvals.ended(said.intent).map_or(Refusal::NoRequest, Closed::refusal)),
    };
    if request.used {
        return Err(Refusal::Used);
    }
    if now >= request.expires_at {
        return Err(Refusal::Expired);
    }
    if Digest::from_hex(said.plan.as_bytes()) != Some(request.hash) {
        return Err(Refusal::WrongPlan);
    }
    let has_said_yes = request.given.iter().any(|given| given.by == *by);
    match said.saying {
        Saying::Yes if has_said_yes => Err(Refusal::AlreadyGiven),
        Saying::Withdrawn if !has_said_yes => Err(Refusal::NotGiven),
        Saying::Yes | Saying::Withdrawn | Saying::No => Ok(by.clone()),
    }
}

/// What a request is worth at the moment of execution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// There is none.
    None,
    /// Its time is over.
    Expired,
    /// The plan is another one than people were shown: in these of its parts.
    Changed(Vec<String>),
    /// Of those who said yes, only these may still approve, and they are too few.
    Short(Vec<ApproverName>),
    /// These have approved the plan as it is.
    Approved(Vec<ApproverName>),
}

/// Look at a request once more, just before it is used.
pub(crate) fn standing(state: &State, intent: &Intent, now: Timestamp) -> Standing {
    let Some(request) = state.approvals.get(intent.id) else { return Standing::None };
    if now >= request.expires_at {
        return Standing::Expired;
    }
    if let Some(changed) = changed(state, intent, request) {
        return Standing::Changed(changed);
    }
    let by = still_approvers(&state.configuration, request);
    if by.len() < request.needs as usize { Standing::Short(by) } else { Standing::Approved(by) }
}

/// What is different now from what people were shown.
pub(crate) fn changed(state: &State, intent: &Intent, request: &Request) -> Option<Vec<String>> {
    match Plan::of(state, intent) {
        Some(plan) if plan.hash() == request.hash => None,
        Some(plan) => Some(request.plan.differences(&plan)),
        None => Some(vec!["policy".into()]),
    }
}

fn still_approvers(configuration: &Configuration, request: &Request) -> Vec<ApproverName> {
    let may = |given: &&Given| configuration.approval.approvers.contains_key(&given.by);
    request.given.iter().filter(may).map(|given| given.by.clone()).collect()
}

/// What is typed to say yes.
#[must_use]
pub fn command(intent: IntentId, hash: Digest) -> String {
    format!("balm approve {intent} --plan {hash}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Bench;

    fn plan() -> Plan {
        let bench = Bench::new();
        let state = bench.engine.state();
        Plan::of(state, &state.intents[&bench.intent]).expect("it could be carried out")
    }

    #[test]
    fn a_plan_is_told_in_words() {
        let wanted = "ecs:scale-service desired 4 → 6 on arn:aws:ecs:eu-central-1:123456789012:service/prod/web, \
                      provided that {\"desired\":4} still holds";
        assert_eq!(plan().to_string(), wanted);
    }

    #[test]
    fn the_hash_is_over_the_line_and_the_sorted_json_and_over_nothing_else() {
        let plan = plan();
        let text = format!("balm plan 1\n{}", Json::of(&plan));
        let begins = "balm plan 1\n{\"action\":\"ecs:scale-service\",\"episode\":";
        assert!(text.starts_with(begins) && text.ends_with("\"undo\":false}"), "{text}");
        assert_eq!(plan.hash(), Digest::of(&[text.as_bytes()]));
    }

    #[test]
    fn every_part_of_a_plan_counts() {
        let plan = plan();
        type Change = fn(&mut Plan);
        let changes: [(&str, Change); 14] = [
            ("host", |plan| plan.host.push('2')),
            ("intent", |plan| plan.intent.index += 1),
            ("episode", |plan| plan.episode = EpisodeId(Seq(999))),
            ("policy", |plan| plan.policy = "other".parse().expect("a name")),
            ("policy-digest", |plan| plan.policy_digest = Digest::ZERO),
            ("plugin", |plan| plan.plugin = "other".parse().expect("a name")),
            ("plugin-digest", |plan| plan.plugin_digest = Digest::ZERO),
            ("guardrails", |plan| plan.guardrails = Digest::ZERO),
            ("action", |plan| plan.action = "ecs:redeploy-service".into()),
            ("target", |plan| plan.target = crate::fixture::fleet()),
            ("parameters", |plan| plan.parameters = Json::empty_object()),
            ("expects", |plan| plan.expects = Json::empty_object()),
            ("verify-within", |plan| plan.verify_within = Some(60)),
            ("undo", |plan| plan.undo = !plan.undo),
        ];
        let fields = Json::of(&plan).read::<BTreeMap<String, serde_json::Value>>().expect("an object").len();
        assert_eq!(fields + 1, changes.len(), "all but verify-within, which is absent");
        for (name, change) in changes {
            let mut changed = plan.clone();
            change(&mut changed);
            assert_ne!(changed.hash(), plan.hash(), "{name}");
            assert_eq!(plan.differences(&changed), [name]);
        }
    }

    #[test]
    fn people_are_known_by_their_credential_or_their_user_and_by_nothing_else() {
        let approver = |credential, uid| Approver { credential, uid };
        let name = |text: &str| text.parse::<ApproverName>().expect("a name");
        let approvers = [
            (name("ada"), approver(true, Some(1000))),
            (name("grace"), approver(false, Some(1001))),
            (name("twin-a"), approver(false, Some(1002))),
            (name("twin-b"), approver(false, Some(1002))),
        ];
        let terms = Terms { approvers: approvers.into(), ..Terms::default() };
        let holder = |text: &str| terms.find(&Speaker::Holder(text.into())).map(ApproverName::as_str);
        let user = |uid| terms.find(&Speaker::User(uid)).map(ApproverName::as_str);
        assert_eq!((holder("ada"), user(Some(1000))), (Some("ada"), Some("ada")));
        assert_eq!((holder("grace"), user(Some(1001))), (None, Some("grace")), "no credential, or not of that role");
        assert_eq!((user(Some(1002)), user(Some(0)), user(None)), (None, None, None));
        for looks_alike in ["Ada", "ada ", "аda", "ada\u{200b}", "a\u{301}da", ""] {
            assert_eq!(holder(looks_alike), None, "{looks_alike:?}");
        }
        assert_eq!(Terms::default().find(&Speaker::User(Some(0))), None, "nobody is named: nobody may");
    }
}
