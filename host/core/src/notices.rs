//! Waiting notices: what a notifier has yet to tell, what goes into its next message, and when that may go out.
//!
//! It owns the rule of the digest: a few notices are told one by one, more than a few become one message that counts them,
//! and the pause between two messages grows for as long as there is always more to tell. It refuses to know media,
//! receivers and words.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use serde::{Deserialize, Deserializer, Serialize, de};

use crate::{
    caps,
    name::{EpisodeId, Seq},
    notice::{self, Urgency},
    record::{Fact, NoticeSent, Record},
    time::Timestamp,
};

/// What a notifier has yet to tell.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Notices {
    /// Whether it takes many notices as one, and pauses between messages.
    paced: bool,
    waiting: VecDeque<Waiting>,
    /// Notices that nobody was told of, since there was no room or the receiver will not have them.
    untold: u64,
    /// When the next message may go out.
    not_before: Timestamp,
    /// How long it waited before that.
    pause: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Waiting {
    seq: Seq,
    episode: Option<EpisodeId>,
    urgency: Urgency,
    kind: &'static str,
}

/// The same as it stands in a snapshot.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Saved {
    seq: Seq,
    episode: Option<EpisodeId>,
    urgency: Urgency,
    kind: String,
}

impl<'de> Deserialize<'de> for Waiting {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Saved { seq, episode, urgency, kind } = Saved::deserialize(deserializer)?;
        let known = Fact::KINDS.iter().find(|known| **known == kind).copied();
        let kind = known.ok_or_else(|| de::Error::custom(format!("there is no record of kind {kind:?}")))?;
        Ok(Self { seq, episode, urgency, kind })
    }
}

/// One message: what people are told at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The last record that it covers; nothing older waits once it is told.
    pub about: Seq,
    /// How many notices it covers.
    pub covers: u64,
    /// What it says of them.
    pub content: Content,
    /// Notices before these that nobody was told of.
    pub dropped: u64,
}

/// What a message says of the notices that it covers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// Each of them, oldest first: one notice, or the steps of one episode.
    Steps(Vec<Seq>),
    /// Their numbers, and the most important ones: more than anybody would read one by one.
    Digest {
        /// All of them, counted; the most urgent first.
        counts: Vec<Count>,
        /// Those to be named: first the ones that need a person, then the oldest of the others.
        named: Vec<Seq>,
    },
}

/// How many notices are of one kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Count {
    /// How much they matter.
    pub urgency: Urgency,
    /// The kind of their records.
    pub kind: &'static str,
    /// How many.
    pub count: u64,
}

impl Waiting {
    pub(crate) fn of(record: &Record) -> Self {
        let fact = &record.fact;
        Self { seq: record.seq, episode: fact.episode(), urgency: notice::urgency(fact), kind: fact.kind() }
    }
}

impl Notices {
    /// The oldest record that is still to be told.
    pub(crate) fn oldest(&self) -> Option<Seq> {
        self.waiting.front().map(|waiting| waiting.seq)
    }

    pub(crate) fn set_paced(&mut self, paced: bool) {
        self.paced = paced;
    }

    /// There is one more to tell. Returns when to come back for it, if not now.
    pub(crate) fn push(&mut self, waiting: Waiting, now: Timestamp) -> Option<Timestamp> {
        if self.waiting.len() >= caps::NOTICES {
            // What needs a person is the last to go.
            let oldest = self.waiting.iter().position(|waiting| waiting.urgency != Urgency::Person);
            self.waiting.remove(oldest.unwrap_or(0));
            self.untold += 1;
        }
        self.waiting.push_back(waiting);
        (self.waiting.len() == 1 && self.is_pausing(now)).then_some(self.not_before)
    }

    /// The next message, if it may go out now.
    pub(crate) fn due(&self, now: Timestamp) -> Option<Message> {
        let first = self.waiting.front()?;
        if !self.paced {
            return Some(self.steps(1));
        }
        if self.is_pausing(now) {
            return None;
        }
        let same = |next: &&Waiting| next.episode.is_some() && next.episode == first.episode;
        let steps = self.waiting.iter().take_while(same).count().max(1);
        let many = self.waiting.len() - steps >= caps::NOTICES_FEW || steps > caps::NOTICES_STEPS;
        Some(if many { self.digest() } else { self.steps(steps) })
    }

    fn is_pausing(&self, now: Timestamp) -> bool {
        self.paced && now < self.not_before
    }

    fn steps(&self, covers: usize) -> Message {
        let steps: Vec<Seq> = self.waiting.iter().take(covers).map(|waiting| waiting.seq).collect();
        let about = steps.last().copied().unwrap_or_default();
        Message { about, covers: steps.len() as u64, content: Content::Steps(steps), dropped: self.untold }
    }

    fn digest(&self) -> Message {
        let needs_person = |waiting: &&Waiting| waiting.urgency == Urgency::Person;
        let persons = self.waiting.iter().filter(needs_person).take(caps::NOTICES_NAMED_FOR_A_PERSON);
        let others = self.waiting.iter().filter(|waiting| !needs_person(waiting)).take(caps::NOTICES_NAMED_FIRST);
        let named = persons.chain(others).map(|waiting| waiting.seq).collect();
        let mut counts = BTreeMap::new();
        for waiting in &self.waiting {
            *counts.entry((Reverse(waiting.urgency), waiting.kind)).or_default() += 1;
        }
        let count = |((Reverse(urgency), kind), count)| Count { urgency, kind, count };
        let counts = counts.into_iter().map(count).collect();
        let about = self.waiting.back().map(|waiting| waiting.seq).unwrap_or_default();
        let covers = self.waiting.len() as u64;
        Message { about, covers, content: Content::Digest { counts, named }, dropped: self.untold }
    }

    /// People were told, or could not be. Returns when to come back for what still waits.
    pub(crate) fn sent(&mut self, sent: &NoticeSent, now: Timestamp) -> Option<Timestamp> {
        self.pace(sent.kept, now);
        if !sent.kept {
            let before = self.waiting.len();
            while self.waiting.front().is_some_and(|waiting| waiting.seq <= sent.about) {
                self.waiting.pop_front();
            }
            let gone = (before - self.waiting.len()) as u64;
            match sent.delivered {
                Ok(_) => self.untold = self.untold.saturating_sub(sent.dropped),
                Err(_) => self.untold += gone,
            }
        }
        (!self.waiting.is_empty() && self.is_pausing(now)).then_some(self.not_before)
    }

    /// The pause doubles while messages follow each other, and is short again after a quiet time as long as itself.
    fn pace(&mut self, kept: bool, now: Timestamp) {
        let (first, most) = (caps::NOTICES_PAUSE_FIRST_MS, caps::NOTICES_PAUSE_MOST_MS);
        let busy = kept || now < self.not_before + self.pause;
        let pause = if busy { self.pause * 2 } else { Duration::ZERO };
        self.pause = pause.clamp(Duration::from_millis(first), Duration::from_millis(most));
        self.not_before = now + self.pause;
    }
}

/// The counts of a digest as one line.
#[must_use]
pub fn headline(counts: &[Count]) -> String {
    let of = |urgency| counts.iter().filter(|count| count.urgency == urgency).map(|count| count.count).sum::<u64>();
    let (persons, warnings, all) =
        (of(Urgency::Person), of(Urgency::Warning), counts.iter().map(|count| count.count).sum::<u64>());
    let mut parts = Vec::new();
    if persons > 0 {
        parts.push(if persons == 1 { "1 needs a person".to_owned() } else { format!("{persons} need a person") });
    }
    if warnings > 0 {
        parts.push(if warnings == 1 { "1 warning".to_owned() } else { format!("{warnings} warnings") });
    }
    if parts.is_empty() { format!("{all} notices") } else { format!("{all} notices: {}", parts.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paced() -> Notices {
        Notices { paced: true, ..Notices::default() }
    }

    fn at(ms: u64) -> Timestamp {
        Timestamp::from_millis(1_000_000 + ms)
    }

    fn waiting(seq: u64, episode: u64, urgency: Urgency) -> Waiting {
        Waiting { seq: Seq(seq), episode: Some(EpisodeId(Seq(episode))), urgency, kind: "intent-ended" }
    }

    fn push(notices: &mut Notices, seqs: std::ops::RangeInclusive<u64>, urgency: Urgency) {
        for seq in seqs {
            notices.push(waiting(seq, seq, urgency), at(0));
        }
    }

    fn sent(message: &Message, delivered: Result<String, String>, kept: bool) -> NoticeSent {
        NoticeSent {
            notifier: "team".parse().expect("a name"),
            about: message.about,
            episode: None,
            delivered,
            dropped: message.dropped,
            covers: message.covers,
            kept,
        }
    }

    fn arrived(message: &Message) -> NoticeSent {
        sent(message, Ok("ok".into()), false)
    }

    fn steps(message: &Message) -> Vec<u64> {
        let Content::Steps(steps) = &message.content else { panic!("steps: {message:?}") };
        steps.iter().map(|seq| seq.0).collect()
    }

    fn named(message: &Message) -> Vec<u64> {
        let Content::Digest { named, .. } = &message.content else { panic!("a digest: {message:?}") };
        named.iter().map(|seq| seq.0).collect()
    }

    #[test]
    fn a_few_notices_are_told_one_by_one_and_one_more_makes_them_a_digest() {
        let mut notices = paced();
        push(&mut notices, 1..=3, Urgency::Warning);
        assert_eq!(steps(&notices.due(at(0)).expect("a message")), [1]);
        push(&mut notices, 4..=4, Urgency::Warning);
        let digest = notices.due(at(0)).expect("a message");
        assert_eq!((digest.about, digest.covers), (Seq(4), 4));
    }

    #[test]
    fn the_steps_of_one_episode_are_one_message() {
        let mut notices = paced();
        for (seq, episode) in [(11, 7), (12, 7), (13, 8)] {
            notices.push(waiting(seq, episode, Urgency::Person), at(0));
        }
        let message = notices.due(at(0)).expect("a message");
        assert_eq!((steps(&message), message.about), (vec![11, 12], Seq(12)));
        assert_eq!(notices.sent(&arrived(&message), at(0)), Some(at(caps::NOTICES_PAUSE_FIRST_MS)));
        let message = notices.due(at(caps::NOTICES_PAUSE_FIRST_MS)).expect("a message");
        assert_eq!(steps(&message), [13]);
    }

    #[test]
    fn a_digest_counts_everything_and_names_those_that_need_a_person_first() {
        let mut notices = paced();
        push(&mut notices, 1..=500, Urgency::Info);
        push(&mut notices, 501..=503, Urgency::Person);
        push(&mut notices, 504..=504, Urgency::Warning);
        let digest = notices.due(at(0)).expect("a message");
        assert_eq!(named(&digest), [501, 502, 503, 1, 2, 3, 4, 5]);
        assert_eq!((digest.about, digest.covers), (Seq(504), 504));
        let Content::Digest { counts, .. } = &digest.content else { panic!("a digest") };
        let told: Vec<_> = counts.iter().map(|count| (count.urgency, count.count)).collect();
        assert_eq!(told, [(Urgency::Person, 3), (Urgency::Warning, 1), (Urgency::Info, 500)]);
        assert_eq!(headline(counts), "504 notices: 3 need a person, 1 warning");
    }

    #[test]
    fn persons_beyond_what_a_message_can_name_are_counted() {
        let mut notices = paced();
        let many = caps::NOTICES_NAMED_FOR_A_PERSON as u64 + 1;
        push(&mut notices, 1..=many, Urgency::Person);
        let digest = notices.due(at(0)).expect("a message");
        assert_eq!(named(&digest).len() as u64, many - 1);
        let Content::Digest { counts, .. } = &digest.content else { panic!("a digest") };
        assert_eq!(counts[0].count, many);
    }

    #[test]
    fn at_the_cap_what_needs_a_person_stays_and_what_goes_is_counted() {
        let mut notices = paced();
        push(&mut notices, 1..=1, Urgency::Person);
        push(&mut notices, 2..=caps::NOTICES as u64, Urgency::Info);
        assert_eq!(notices.untold, 0);
        push(&mut notices, 10_001..=10_001, Urgency::Info);
        assert_eq!((notices.untold, notices.waiting.len()), (1, caps::NOTICES));
        let digest = notices.due(at(0)).expect("a message");
        assert_eq!((named(&digest)[..2].to_vec(), digest.dropped), (vec![1, 3], 1));
        notices.untold += 2;
        notices.sent(&arrived(&digest), at(0));
        assert_eq!(notices.untold, 2, "what was dropped meanwhile is told the next time");
    }

    #[test]
    fn when_even_the_last_place_needs_a_person_the_oldest_goes_and_is_counted() {
        let mut notices = paced();
        push(&mut notices, 1..=caps::NOTICES as u64 + 1, Urgency::Person);
        assert_eq!((notices.untold, notices.waiting[0].seq), (1, Seq(2)));
    }

    #[test]
    fn messages_pause_longer_and_longer_while_the_storm_lasts() {
        let (mut notices, mut now, mut seq, mut messages) = (paced(), 0, 0, Vec::new());
        // Ten notices a second for twenty minutes.
        while now < 20 * 60 * 1_000 {
            seq += 1;
            notices.push(waiting(seq, seq, Urgency::Warning), at(now));
            if let Some(message) = notices.due(at(now)) {
                messages.push((now, message.covers));
                notices.sent(&arrived(&message), at(now));
            }
            now += 100;
        }
        let times: Vec<u64> = messages.iter().map(|(at, _)| at / 1_000).take(9).collect();
        assert_eq!(times, [0, 1, 3, 7, 15, 31, 63, 123, 183], "{messages:?}");
        assert!(messages.len() < 30, "{}", messages.len());
        let told: u64 = messages.iter().map(|(_, covers)| covers).sum();
        assert_eq!(told + notices.waiting.len() as u64, seq, "every notice is told once");
    }

    #[test]
    fn a_receiver_that_is_away_for_ten_minutes_of_a_storm_then_gets_few_messages_with_everything() {
        let (mut notices, mut told, mut messages) = (paced(), 0, 0);
        // Five thousand notices in twenty minutes; nobody answers from the fifth minute to the fifteenth.
        for (seq, now) in (1..=5_000).zip((0_u64..).step_by(240)) {
            notices.push(waiting(seq, seq, Urgency::Warning), at(now));
            let Some(message) = notices.due(at(now)) else { continue };
            if (300_000..900_000).contains(&now) {
                notices.sent(&sent(&message, Err("no answer".into()), true), at(now));
            } else {
                notices.sent(&arrived(&message), at(now));
                (told, messages) = (told + message.covers, messages + 1);
            }
        }
        assert!(messages < 20, "{messages}");
        assert_eq!((told + notices.waiting.len() as u64, notices.untold), (5_000, 0));
    }

    #[test]
    fn after_a_quiet_time_the_pause_is_short_again() {
        let mut notices = paced();
        let mut tell = |now| {
            notices.push(waiting(now + 1, now + 1, Urgency::Info), at(now));
            let message = notices.due(at(now)).expect("a message");
            notices.sent(&arrived(&message), at(now));
            notices.pause.as_millis()
        };
        assert_eq!([tell(0), tell(1_000), tell(3_000)], [1_000, 2_000, 4_000]);
        assert_eq!(tell(3_000 + 4_000 + 4_000 - 1), 8_000, "not yet quiet");
        assert_eq!(tell(10_999 + 8_000 + 8_000), 1_000);
    }

    #[test]
    fn what_arrives_in_a_pause_is_due_at_its_end() {
        let mut notices = paced();
        push(&mut notices, 1..=1, Urgency::Info);
        let message = notices.due(at(0)).expect("a message");
        assert_eq!(notices.sent(&arrived(&message), at(0)), None, "nothing waits");
        let end = at(caps::NOTICES_PAUSE_FIRST_MS);
        assert_eq!(notices.push(waiting(2, 2, Urgency::Person), at(500)), Some(end));
        assert_eq!(notices.push(waiting(3, 3, Urgency::Person), at(600)), None, "it is known already");
        assert_eq!(notices.due(at(999)), None);
        assert!(notices.due(end).is_some());
    }

    #[test]
    fn what_a_receiver_will_not_have_is_counted_in_the_next_message() {
        let mut notices = paced();
        push(&mut notices, 1..=9, Urgency::Info);
        let digest = notices.due(at(0)).expect("a message");
        notices.sent(&sent(&digest, Err("404".into()), false), at(0));
        assert_eq!(notices.waiting.len(), 0);
        notices.push(waiting(10, 10, Urgency::Info), at(0));
        assert_eq!(notices.due(at(1_000)).expect("a message").dropped, 9);
    }

    #[test]
    fn a_notifier_without_a_pace_is_told_each_notice_at_once() {
        let mut notices = Notices::default();
        push(&mut notices, 1..=9, Urgency::Info);
        for seq in 1..=9 {
            let message = notices.due(at(0)).expect("a message");
            assert_eq!(steps(&message), [seq]);
            assert_eq!(notices.sent(&arrived(&message), at(0)), None);
        }
        assert_eq!(notices.due(at(0)), None);
    }
}
