//! Changing ECS: `UpdateService` and `StopTask`.
//!
//! Neither takes an idempotency token. The intent's token goes into the user agent, which CloudTrail records, so that each
//! call of AWS's own record leads to one record of the journal.

use aws_sdk_ecs::{
    Client,
    config::{AppName, Builder},
};
use balm_core::{action::ecs::Change, record::CallResult};

use super::ending;

/// One call on one service.
pub(super) struct Call<'a> {
    pub(super) client: &'a Client,
    pub(super) cluster: &'a str,
    pub(super) service: &'a str,
    pub(super) token: &'a str,
}

impl Call<'_> {
    /// Make it.
    pub(super) async fn make(&self, change: Change) -> CallResult {
        match change {
            Change::ScaleService(to) => self.scale(to.desired).await,
            Change::RedeployService(_) => self.redeploy().await,
            Change::StopTask(stop) => self.stop_task(&stop.task).await,
        }
    }

    async fn scale(&self, desired: u32) -> CallResult {
        let Ok(desired) = i32::try_from(desired) else {
            return CallResult::Refused { why: format!("{desired} is more than AWS can be told") };
        };
        let call = self.client.update_service().cluster(self.cluster).service(self.service).desired_count(desired);
        ending::of(call.customize().config_override(self.signed()).send().await)
    }

    async fn redeploy(&self) -> CallResult {
        let call = self.client.update_service().cluster(self.cluster).service(self.service).force_new_deployment(true);
        ending::of(call.customize().config_override(self.signed()).send().await)
    }

    async fn stop_task(&self, task: &str) -> CallResult {
        let reason = format!("stopped by Balm, {}", self.token);
        let call = self.client.stop_task().cluster(self.cluster).task(task).reason(reason);
        ending::of(call.customize().config_override(self.signed()).send().await)
    }

    fn signed(&self) -> Builder {
        let name = AppName::new(self.token.to_owned()).expect("a token is made of letters, digits and a hyphen");
        Builder::new().app_name(name)
    }
}
