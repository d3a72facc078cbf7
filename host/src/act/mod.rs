//! Acting: the one place where AWS is changed, and only with an approved intent, which is used up.
//!
//! It owns what an ending of a call means; it refuses to know whether the call is right, which the guard decided.

mod asg;
mod ecs;
mod ending;

use std::sync::Arc;

use balm_core::{action::Change, guard::ApprovedIntent, record::CallResult, target::Resource};

use crate::{aws::Aws, kill_switch::KillSwitch};

/// Makes calls.
pub(crate) struct Actor {
    aws: Arc<Aws>,
    kill_switch: Arc<KillSwitch>,
}

impl Actor {
    pub(crate) fn new(aws: Arc<Aws>, kill_switch: Arc<KillSwitch>) -> Self {
        Self { aws, kill_switch }
    }

    /// Do what was approved, once.
    pub(crate) async fn act(&self, intent: ApprovedIntent) -> CallResult {
        if self.kill_switch.is_engaged() {
            return CallResult::NotDone { why: "everything was stopped before the call was made".into() };
        }
        let (target, token) = (intent.target().clone(), intent.token().to_owned());
        let Some(place) = self.aws.place(&target) else {
            return CallResult::Refused { why: format!("account {} is not configured", target.account) };
        };
        match (intent.into_change(), &target.resource) {
            (Change::Ecs(change), Resource::EcsService { cluster, name }) => {
                let call = ecs::Call { client: &place.ecs_once, cluster, service: name, token: &token };
                call.make(change).await
            }
            (Change::Asg(change), Resource::AsgGroup { name }) => {
                asg::Call { client: &place.asg_once, group: name, token: &token }.make(change).await
            }
            // The guard admits no such intent.
            (Change::Ecs(_) | Change::Asg(_), _) => {
                CallResult::Refused { why: format!("{target} is of another kind than what the action changes") }
            }
        }
    }
}
