//! What people are told of approvals: the plan, and what to type to say yes to it.

use serde::Serialize;

use crate::{
    approval::{self, record::ApprovalRequested},
    digest::Digest,
    name::{ApproverName, IntentId},
    record::Fact,
    time::Timestamp,
};

/// What people are asked to approve.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Approval {
    /// The hash of the plan.
    pub plan: Digest,
    /// How many different people must say yes.
    pub needs: u32,
    /// Who has.
    pub given: Vec<ApproverName>,
    /// When it is over.
    pub expires_at: Timestamp,
    /// What is typed on the host to say yes.
    pub command: String,
}

pub(super) fn of(fact: &Fact) -> Option<Approval> {
    let (intent, plan, needs, given, expires_at) = match fact {
        Fact::ApprovalRequested(it) => (it.plan.intent, it.hash, it.needs, Vec::new(), it.expires_at),
        Fact::ApprovalReminded(it) => (it.intent, it.hash, it.needs, it.given.clone(), it.expires_at),
        _ => return None,
    };
    Some(Approval { plan, needs, given, expires_at, command: approval::command(intent, plan) })
}

/// The intent of a record of an approval, and how it stands after it.
pub(super) fn intent_of(fact: &Fact) -> Option<(IntentId, String)> {
    Some(match fact {
        Fact::ApprovalRequested(it) => (it.plan.intent, format!("needs approval of {}", it.needs)),
        Fact::ApprovalReminded(it) => (it.intent, format!("needs approval of {}", missing(it.needs, it.given.len()))),
        Fact::ApprovalGiven(it) => (it.intent, format!("approved by {} of {}", it.count, it.needs)),
        Fact::ApprovalWithdrawn(it) => (it.intent, "an approval is withdrawn".into()),
        Fact::ApprovalDenied(it) => (it.intent, "denied".into()),
        Fact::ApprovalExpired(it) => (it.intent, "expired".into()),
        Fact::ApprovalVoid(it) => (it.intent, "void".into()),
        _ => return None,
    })
}

fn missing(needs: u32, given: usize) -> usize {
    (needs as usize).saturating_sub(given)
}

/// One line. What is typed comes first: a long plan is cut behind it, and stands whole in the record.
pub(super) fn words(fact: &Fact) -> String {
    match fact {
        Fact::ApprovalRequested(requested) => request_words(requested),
        Fact::ApprovalReminded(it) => {
            let (missing, command) = (missing(it.needs, it.given.len()), approval::command(it.intent, it.hash));
            let until = it.expires_at;
            format!("intent {} still needs approval of {missing}, until {until}: `{command}` says yes", it.intent)
        }
        Fact::ApprovalGiven(it) => {
            format!("intent {} is approved by {} ({} of {}): {}", it.intent, it.by, it.count, it.needs, it.person.why)
        }
        Fact::ApprovalWithdrawn(it) => {
            format!("intent {}: the approval of {} is withdrawn: {}", it.intent, it.by, it.person.why)
        }
        Fact::ApprovalDenied(it) => format!("intent {} is denied by {}: {}", it.intent, it.by, it.person.why),
        Fact::ApprovalExpired(it) => {
            let (given, needs) = (it.given.len(), it.needs);
            format!("nobody answered in time for intent {}: {given} of {needs} approved it; it is not done", it.intent)
        }
        Fact::ApprovalUsed(it) => format!("intent {} is admitted on the approval of {}", it.intent, list(&it.by)),
        Fact::ApprovalVoid(it) if it.given.is_empty() => {
            format!("intent {} needs no approval any more and is not done: {}", it.intent, it.why)
        }
        Fact::ApprovalVoid(it) => {
            format!("intent {}: the approval of {} is void, and it is not done: {}", it.intent, list(&it.given), it.why)
        }
        Fact::ApprovalRefused(it) => {
            format!("{} of intent {} by {} does not count: {}", it.saying, it.intent, it.person.who, it.reason)
        }
        _ => fact.kind().to_owned(),
    }
}

fn request_words(requested: &ApprovalRequested) -> String {
    let ApprovalRequested { plan, hash, needs, approvers, expires_at, .. } = requested;
    let (intent, policy, command) = (plan.intent, &plan.policy, approval::command(plan.intent, *hash));
    let nobody = if approvers.len() < *needs as usize {
        format!(" Only {} may approve: configure [[approver]] first.", approvers.len())
    } else {
        String::new()
    };
    format!(
        "intent {intent} of policy {policy} needs approval of {needs} until {expires_at}: `{command}` says yes.{nobody} The \
         plan: {plan}"
    )
}

fn list(names: &[ApproverName]) -> String {
    names.iter().map(ApproverName::as_str).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use crate::{
        approval::{Terms, record::ApprovalRequested},
        caps,
        configuration::Mode,
        fixture::Bench,
        json::Json,
        notice::{self, Urgency},
        record::{Fact, Record},
    };

    fn requested() -> Record {
        let mut bench = Bench::new();
        bench.configure(|configuration, policy| {
            configuration.policies.get_mut(policy).expect("it").mode = Mode::Suggest;
        });
        bench.judge_and_admit();
        bench.records.pop().expect("people were asked")
    }

    #[test]
    fn a_request_says_what_to_type_the_plan_and_that_nobody_may() {
        let record = requested();
        let told = notice::of(&record);
        let approval = told.approval.clone().expect("it is about an approval");
        let command =
            format!("`balm approve {} --plan {}` says yes.", told.intent.expect("an intent").id, approval.plan);
        assert!(told.headline.contains(&command), "{}", told.headline);
        assert!(told.headline.contains("Only 0 may approve: configure [[approver]] first."), "{}", told.headline);
        assert!(told.headline.contains("The plan: ecs:scale-service desired 4 → 6 on arn:"), "{}", told.headline);
        assert_eq!((told.urgency, approval.needs), (Urgency::Person, 1));
        assert!(notice::is_worth_telling(&record.fact) && !told.kind.is_empty());
    }

    #[test]
    fn a_long_plan_cuts_itself_and_never_what_is_to_be_typed() {
        let mut record = requested();
        let Fact::ApprovalRequested(requested) = &mut record.fact else { panic!("{record:?}") };
        let long = format!(r#"{{"task-definition":"{}"}}"#, "`balm approve 1.0`".repeat(500));
        requested.plan.expects = Json::parse(&long).expect("JSON");
        let ApprovalRequested { plan, hash, .. } = requested.as_ref();
        let command = crate::approval::command(plan.intent, *hash);
        let told = notice::of(&record);
        assert!(told.headline.len() <= caps::NOTICE_TEXT_BYTES + '…'.len_utf8());
        let first = told.headline.find("`balm approve").expect("it says what to type");
        assert!(told.headline[first..].starts_with(&format!("`{command}`")), "{}", told.headline);
    }

    #[test]
    fn the_terms_of_a_host_without_any_are_fifteen_minutes_and_nobody() {
        let terms = Terms::default();
        assert_eq!((terms.expires_after_ms, terms.approvers.len()), (900_000, 0));
    }
}
