//! What Auto Scaling answers. Its wire is XML, which is written elsewhere; serialised, these are what the controls show.

use serde::Serialize;

/// Groups, by name.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[expect(missing_docs, reason = "AWS's field of the same name, shortened")]
pub struct Groups {
    pub groups: Vec<Group>,
}

/// A group (Amazon EC2 Auto Scaling API Reference, `AutoScalingGroup`), as far as the model goes. Times are milliseconds
/// since 1970.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
#[expect(missing_docs, reason = "AWS's fields of the same names")]
pub struct Group {
    pub auto_scaling_group_name: String,
    pub auto_scaling_group_arn: String,
    pub min_size: u32,
    pub max_size: u32,
    pub desired_capacity: u32,
    /// In seconds.
    pub default_cooldown: u64,
    pub created_time: u64,
    /// By id. One that is gone is not among them.
    pub instances: Vec<Instance>,
    pub suspended_processes: Vec<String>,
    pub tags: Vec<super::Tag>,
}

/// An instance of a group.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
#[expect(missing_docs, reason = "AWS's fields of the same names")]
pub struct Instance {
    pub instance_id: String,
    pub availability_zone: String,
    /// `Pending`, `InService` or `Terminating`.
    pub lifecycle_state: &'static str,
    /// `Healthy` or `Unhealthy`.
    pub health_status: &'static str,
    pub protected_from_scale_in: bool,
}

/// What a group is about to do because of a call.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
#[expect(missing_docs, reason = "AWS's fields of the same names")]
pub struct Activity {
    pub activity_id: String,
    pub auto_scaling_group_name: String,
    pub description: String,
    pub cause: String,
    pub start_time: u64,
    pub status_code: &'static str,
}

/// Refreshes of a group, newest first.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[expect(missing_docs, reason = "AWS's field of the same name, shortened")]
pub struct Refreshes {
    pub refreshes: Vec<Refresh>,
}

/// A refresh of a group.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
#[expect(missing_docs, reason = "AWS's fields of the same names")]
pub struct Refresh {
    pub instance_refresh_id: String,
    pub auto_scaling_group_name: String,
    /// `Pending`, `InProgress` or `Successful`.
    pub status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_time: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end_time: Option<u64>,
    pub percentage_complete: u32,
    pub instances_to_update: u32,
}
