//! A cloud that is slow and lies: ECS services and their tasks, Auto Scaling groups and their instances, to be changed,
//! watched and mistrusted.
//!
//! Emulators of AWS do at once what they are told and never lose an answer. This one takes its time, as AWS does: a
//! call is accepted, the scheduler looks later, tasks start and stop one by one. It can be told to fail in every way
//! that a caller must survive: before or after a call is applied, without an answer, long after the caller gave up. And
//! it keeps a log of what was really done, so that a claim of having acted once can be recounted from outside.
//!
//! It knows nothing of the host that it is there to test.
//!
//! # As a library, in virtual time
//!
//! Time is an argument and comes in milliseconds since 1970; all randomness comes from the seed. The same seed and
//! calls give the same world, answers and log.
//!
//! ```
//! use balm_cloud::{Cloud, Options, Outcome, fault::{Fault, Matching, Scripted, When}};
//! use balm_cloud::request::{Operation, OperationName, Request, UpdateService};
//! use balm_cloud::scenario::{Address, NewService, Step};
//!
//! let mut cloud = Cloud::new(7, Options::default());
//! let address = Address { cluster: "prod".into(), service: "web".into(), ..Address::default() };
//! let web = Step::CreateService(NewService { address, desired: 4, ..NewService::default() });
//! cloud.play(0, &web.at_home("123456789012", "eu-central-1"))?;
//!
//! // The next update is applied, but its answer is lost.
//! let matching = Matching { operation: Some(OperationName::UpdateService), ..Matching::default() };
//! let fault = Fault::Closed { when: When::After };
//! cloud.plan().script(Scripted { matching, nth: 1, times: 1, fault })?;
//!
//! let scale = UpdateService {
//!     cluster: Some("prod".into()),
//!     service: "web".into(),
//!     desired_count: Some(6),
//!     ..UpdateService::default()
//! };
//! let request = Request {
//!     account: "123456789012".into(),
//!     region: "eu-central-1".into(),
//!     caller: "intent-7".into(),
//!     operation: Operation::UpdateService(scale),
//! };
//! assert_eq!(cloud.call(1_000, &request).outcome, Outcome::Lost);
//! assert_eq!(cloud.log().tally().by_caller["intent-7"], 1);
//! assert_eq!(cloud.look(600_000, 0, 1)[0].service.running_count, 6);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # As an HTTP endpoint
//!
//! [`http::Server`], or the program `balm-cloud`. ECS speaks AWS JSON 1.1, Auto Scaling and STS the query protocol, all at
//! `POST /`.
//! The signature is read, not verified: its credential scope says the region, its access key id the account; the
//! application's name in the SDK's user agent is the caller's token. Requests that are malformed, unsigned, or of an
//! operation that is not modelled are refused and reach neither faults nor log.
//!
//! | control | body or query | what it does |
//! |---|---|---|
//! | `POST /_cloud/scenario` | a [`scenario::Step`] | carries the step out; answers `{"task": id or null}`, the id of a task or an instance |
//! | `GET /_cloud/services` | `?from=0&limit=100` | services and their tasks, by place in order of creation |
//! | `GET /_cloud/groups` | `?from=0&limit=100` | groups, their instances and refreshes, by place in order of creation |
//! | `POST /_cloud/faults/scripted` | a [`fault::Scripted`] | plans a fault for the nth matching call |
//! | `POST /_cloud/faults/chance` | a [`fault::Chance`] | plans a fault by probability |
//! | `GET /_cloud/faults` | | what is planned and still to come |
//! | `DELETE /_cloud/faults` | | plans nothing any more; late calls still land |
//! | `GET /_cloud/log` | `?from=1&limit=100` | entries of the call log, by number; `next` is the next page's `from` |
//! | `GET /_cloud/tally` | | how many calls were applied, by caller and by service or group and operation |
//! | `GET /_cloud/time` | | `{"now-ms": …}`, the world's time |
//! | `POST /_cloud/time` | `{"skip-ms": n}` | lets the world's time jump ahead |
//! | `POST /_cloud/reset` | | an empty world, plan and log; time stays, numbers go on |
//!
//! A step or fault that cannot be is answered 400 with `{"error": …}`. Accounts and regions may be left out; they are
//! the endpoint's own then. Examples of bodies:
//!
//! ```json
//! {"do": "create-service", "cluster": "prod", "service": "web", "desired": 4, "tags": {"team": "shop"}}
//! {"do": "set-desired", "service": {"cluster": "prod", "service": "web"}, "desired": 9}
//! {"do": "kill-task", "service": {"cluster": "prod", "service": "web"}}
//! {"do": "set-starting", "service": {"cluster": "prod", "service": "web"}, "starting": "never"}
//! {"do": "create-group", "group": "fleet", "desired": 4, "min": 1, "max": 12}
//! {"do": "set-instance-health", "group": {"group": "fleet"}, "healthy": false}
//! {"do": "set-lag", "lag": {"start-ms": "200..900", "stop-ms": 50, "scheduler-ms": 10}}
//! {"matching": {"operation": "UpdateService"}, "nth": 2, "fault": {"kind": "closed", "when": "after"}}
//! {"matching": {"caller": "balm"}, "times": 5, "fault": {"kind": "late", "after-ms": "5000..9000", "held-ms": 3000}}
//! {"per-million": 10000, "fault": {"kind": "html-page", "status": 502, "when": "before"}}
//! ```
//!
//! The log file holds one [`log::Entry`] a line, written before its call is answered. A call that lands late is written
//! again, so the last line of a number counts; `applied-at-ms` says whether and when it changed the world. The lines
//! outlive the process, not the machine's power.
//!
//! # What differs from AWS
//!
//! - Task definitions are not registered: any is accepted.
//! - Deployments roll with 100 and 200 percent, have no circuit breaker, and never fail: a bad one stays in progress.
//! - Unhealthy tasks are not replaced until somebody stops or kills them.
//! - There are no events, load balancers, capacity providers, task sets or stand-alone tasks.
//! - A group's instances have no lifecycle hooks, warm pools, termination policies, checkpoints or warm-up; its bounds and
//!   zones are fixed, and suspended processes are only shown.
//! - Unhealthy instances are not replaced until somebody terminates them or refreshes the group; refreshes never fail.
//! - A second termination of an instance is accepted and changes nothing. AWS documents no behaviour.
//! - `DescribeAutoScalingGroups` and `DescribeInstanceRefreshes` have one page.
//! - All reads show what is true at that moment; only lag and faults make them stale.

pub mod answer;
mod cloud;
pub mod fault;
pub mod http;
pub mod limits;
pub mod log;
mod name;
mod random;
pub mod request;
pub mod scenario;
mod world;

pub use crate::{
    cloud::{Cloud, Options, Outcome, Reply},
    random::{NotASpan, Span},
    world::{
        GroupSight, GroupState, ServiceState, Sight, State,
        clockwork::Lag,
        group::Launching,
        service::{HealthCheck, Starting},
    },
};

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod group_tests;
#[cfg(test)]
mod lie_tests;
#[cfg(test)]
mod life_tests;
#[cfg(test)]
mod operation_tests;
