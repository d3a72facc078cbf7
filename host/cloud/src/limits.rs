//! Every bound of the cloud, with its unit in the name and the reason beside it.
//!
//! What AWS itself bounds says so. The other bounds keep a long run in memory, however many storms it sees.

/// Services of one `DescribeServices` call (Amazon ECS API Reference, `DescribeServices`).
pub const SERVICES_PER_DESCRIBE: usize = 10;

/// Tasks of one `DescribeTasks` call, and of one page of `ListTasks` (Amazon ECS API Reference).
pub const TASKS_PER_PAGE: usize = 100;

/// Tasks that one service may desire (Amazon ECS service quotas, "tasks per service").
pub const TASKS_PER_SERVICE: u32 = 5_000;

/// Deployments of one service at once. AWS documents none; a storm of `forceNewDeployment` must end somewhere.
pub const DEPLOYMENTS_PER_SERVICE: usize = 10;

/// Milliseconds for which a stopped task is still shown (Amazon ECS Developer Guide: at least an hour), and a deleted
/// service too.
pub const REMEMBERED_MS: u64 = 3_600_000;

/// Stopped tasks of one service that are remembered; the oldest go first. A crash loop makes no more than this.
pub const STOPPED_TASKS_PER_SERVICE: usize = 1_000;

/// Tasks of the whole world, stopped ones among them: about 200 MB. At the cap no task starts, as when capacity is out.
pub const TASKS: usize = 500_000;

/// Instances that one group may be told to have. AWS documents no bound but those of the instances' own quotas.
pub const INSTANCES_PER_GROUP: u32 = 1_000;

/// Instances of the whole world. At the cap none is launched, as when capacity is out.
pub const INSTANCES: usize = 500_000;

/// Groups of the whole world.
pub const GROUPS: usize = 10_000;

/// Groups of one `DescribeAutoScalingGroups` call (Amazon EC2 Auto Scaling API Reference: 100 records).
pub const GROUPS_PER_DESCRIBE: usize = 100;

/// Refreshes of a group that are remembered, and shown on one page (Amazon EC2 Auto Scaling API Reference: 100 records).
pub const REFRESHES_PER_GROUP: usize = 100;

/// Clusters of the whole world.
pub const CLUSTERS: usize = 10_000;

/// Services of the whole world, deleted ones among them.
pub const SERVICES: usize = 100_000;

/// Bytes of a name (Amazon ECS API Reference, `CreateService`: up to 255 letters, digits, underscores and hyphens).
pub const NAME_BYTES: usize = 255;

/// Tags of a service (Amazon ECS API Reference, `Tag`).
pub const TAGS_PER_SERVICE: usize = 50;

/// Bytes of the reason of `StopTask` (up to 255 characters, as older editions of the Amazon ECS API Reference say).
pub const STOP_REASON_BYTES: usize = 255;

/// Bytes of a caller's token that are kept.
pub const CALLER_BYTES: usize = 256;

/// Calls that wait to land after their caller gave up. At the cap a late call is lost without ever landing.
pub const LATE_CALLS: usize = 10_000;

/// Faults that are scripted at once.
pub const SCRIPTED_FAULTS: usize = 10_000;

/// Faults that happen by chance; each costs a draw per call.
pub const CHANCE_FAULTS: usize = 100;

/// Entries that the call log keeps unless options say otherwise; the oldest go first. An entry takes 700 to 900 bytes,
/// so a full log is near a gigabyte; who makes that many reads leaves them out.
pub const LOG_ENTRIES: usize = 1_000_000;

/// The longest lag or delay that may be set, in milliseconds: a day, so that no sum of times comes near its limit.
pub const LAG_MS: u64 = 24 * 3_600_000;

/// The longest pause of the scheduler after tasks that failed to start, in milliseconds. It doubles from one second, as
/// the service scheduler's does (Amazon ECS Developer Guide, "service throttle logic").
pub const RESTART_PAUSE_MS: u64 = 15 * 60_000;

/// Bytes of a request body of AWS's wire; ours take some hundred.
pub const CALL_BODY_BYTES: usize = 64 * 1024;

/// Bytes of a request body under `/_cloud/`.
pub const CONTROL_BODY_BYTES: usize = 1024 * 1024;

/// Connections served at once; more wait to be accepted.
pub const CONNECTIONS: usize = 1_024;

/// Rows of one page under `/_cloud/`.
pub const ROWS_PER_PAGE: usize = 1_000;
