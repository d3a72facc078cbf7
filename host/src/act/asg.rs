//! Changing Auto Scaling: `SetDesiredCapacity`, `TerminateInstanceInAutoScalingGroup`, `StartInstanceRefresh`.
//!
//! None takes an idempotency token. The intent's token goes into the user agent, as for ECS.

use aws_sdk_autoscaling::{
    Client,
    config::{AppName, Builder},
    types::RefreshPreferences,
};
use balm_core::{
    action::asg::{Change, MIN_HEALTHY_PERCENT},
    record::CallResult,
};

use super::ending;

/// One call on one group.
pub(super) struct Call<'a> {
    pub(super) client: &'a Client,
    pub(super) group: &'a str,
    pub(super) token: &'a str,
}

impl Call<'_> {
    /// Make it.
    pub(super) async fn make(&self, change: Change) -> CallResult {
        match change {
            Change::SetDesiredCapacity(to) => self.set_desired(to.desired).await,
            Change::TerminateInstance(terminate) => self.terminate(&terminate.instance).await,
            Change::StartInstanceRefresh(refresh) => {
                self.refresh(refresh.min_healthy_percent.unwrap_or(MIN_HEALTHY_PERCENT)).await
            }
        }
    }

    /// The group's cooldown is honoured: while it lasts, what changed the group before has yet to show its effect, and a
    /// change on top of it would go too far. AWS says so without doing anything, and the intent is judged and tried again a
    /// moment later; if that does not help, the policy decides anew.
    async fn set_desired(&self, desired: u32) -> CallResult {
        let Ok(desired) = i32::try_from(desired) else { return too_large(desired) };
        let call = self.client.set_desired_capacity().auto_scaling_group_name(self.group);
        let call = call.desired_capacity(desired).honor_cooldown(true);
        ending::of(call.customize().config_override(self.signed()).send().await)
    }

    /// Without decrement: the group replaces the instance, and a call that lands twice takes no second one.
    async fn terminate(&self, instance: &str) -> CallResult {
        let call = self.client.terminate_instance_in_auto_scaling_group().instance_id(instance);
        let call = call.should_decrement_desired_capacity(false);
        ending::of(call.customize().config_override(self.signed()).send().await)
    }

    async fn refresh(&self, min_healthy_percent: u32) -> CallResult {
        let Ok(percent) = i32::try_from(min_healthy_percent) else { return too_large(min_healthy_percent) };
        let preferences = RefreshPreferences::builder().min_healthy_percentage(percent).build();
        let call = self.client.start_instance_refresh().auto_scaling_group_name(self.group).preferences(preferences);
        ending::of(call.customize().config_override(self.signed()).send().await)
    }

    fn signed(&self) -> Builder {
        let name = AppName::new(self.token.to_owned()).expect("a token is made of letters, digits and a hyphen");
        Builder::new().app_name(name)
    }
}

fn too_large(number: u32) -> CallResult {
    CallResult::Refused { why: format!("{number} is more than AWS can be told") }
}
