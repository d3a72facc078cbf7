//! What rules answered before: the same question has the same answer for as long as the rules are the same.
//!
//! In a storm most questions are the same, and asking Cedar costs twenty times as much as remembering. Questions are
//! compared whole, so a remembered answer is never that of another question. It refuses to know how rules are asked.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use super::rules::Question;
use crate::caps;

/// The rules that permit, or why it is not permitted.
type Answer = Result<String, String>;

/// Questions with their answers.
#[derive(Debug, Default)]
pub(super) struct Memory(Mutex<HashMap<Question<'static>, Answer>>);

impl Memory {
    /// The answer given before, or the one that asking gives now.
    pub(super) fn answer(&self, question: &Question<'_>, ask: impl FnOnce() -> Answer) -> Answer {
        let mut remembered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(answer) = look_up(&remembered, question) {
            return answer.clone();
        }
        let answer = ask();
        if remembered.len() >= caps::ANSWERS_REMEMBERED {
            remembered.clear();
        }
        remembered.insert(question.clone().into_owned(), answer.clone());
        answer
    }
}

/// A map of questions that live for ever is also one of questions that live as long as this one.
fn look_up<'a>(remembered: &'a HashMap<Question<'a>, Answer>, question: &Question<'a>) -> Option<&'a Answer> {
    remembered.get(question)
}

#[cfg(test)]
mod tests {
    use std::{borrow::Cow, cell::Cell, collections::BTreeMap};

    use super::*;
    use crate::guard::rules::Resource;

    fn question(name: &str, tags: BTreeMap<String, String>) -> Question<'_> {
        let resource = Resource {
            kind: "Service",
            arn: name.to_owned(),
            account: "123456789012".into(),
            cluster: None,
            attributes: vec![("name", name.into())],
            tags: Cow::Owned(tags),
        };
        Question {
            policy: "web-cpu".into(),
            plugin: "scale-ecs-service".into(),
            digest: "00".into(),
            action: "ecs:scale-service",
            resource,
            numbers: std::array::from_fn(|_| ("desired", 4)),
            severity: "critical".into(),
            undo: false,
            approvals: 0,
        }
    }

    #[test]
    fn the_same_question_is_asked_once_and_another_is_asked_itself() {
        let (memory, asked) = (Memory::default(), Cell::new(0));
        let answer = |question: &Question<'_>| {
            memory.answer(question, || {
                asked.set(asked.get() + 1);
                Ok(asked.get().to_string())
            })
        };
        let web = question("web", BTreeMap::new());
        assert_eq!(answer(&web), Ok("1".into()));
        assert_eq!(answer(&web), Ok("1".into()));
        let mut number = web.clone();
        number.numbers[1].1 = 5;
        let others = [
            number,
            question("api", BTreeMap::new()),
            question("web", [("team".to_owned(), "web".to_owned())].into()),
            Question { policy: "web-cpv".into(), ..web.clone() },
            Question { digest: "01".into(), ..web.clone() },
            Question { action: "ecs:stop-task", ..web.clone() },
            Question { severity: "".into(), ..web.clone() },
            Question { undo: true, ..web.clone() },
            Question { approvals: 1, ..web.clone() },
        ];
        for (nth, other) in (2..).zip(&others) {
            assert_eq!(answer(other), Ok(nth.to_string()), "{other:?}");
        }
        assert_eq!(answer(&web), Ok("1".into()), "and the first is still remembered");
    }

    #[test]
    fn no_more_is_remembered_than_there_is_room_for() {
        let memory = Memory::default();
        let names: Vec<String> = (0..=caps::ANSWERS_REMEMBERED).map(|nth| format!("web-{nth}")).collect();
        for name in &names {
            assert_eq!(memory.answer(&question(name, BTreeMap::new()), || Ok(name.clone())), Ok(name.clone()));
        }
        assert_eq!(memory.0.lock().expect("nobody panicked").len(), 1);
    }
}
