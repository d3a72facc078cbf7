//! The world behind the calls: clusters, services, tasks, groups, instances, and how they change with time.
//!
//! It knows no faults, no log and no wire: what is asked of it is done at once and answered truly.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use self::{
    clockwork::{Clockwork, Event},
    group::Group,
    service::{Deployment, Service, Status},
    task::Phase,
};
use crate::{
    answer::{self, Health},
    limits,
    name::{Place, TaskId, short},
    random::{Random, Span},
    request::{Operation, Request},
};

pub(crate) mod clockwork;
pub(crate) mod group;
mod operate;
mod operate_group;
mod play;
mod play_group;
mod schedule;
pub(crate) mod service;
mod task;
mod view;

pub(crate) use play::play;

/// What a call is about, by name; empty where it is about nothing of that kind, or several.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Subject {
    pub(crate) cluster: String,
    pub(crate) service: String,
    pub(crate) task: String,
    pub(crate) group: String,
    pub(crate) instance: String,
}

/// What the log keeps of what a call changes, before and after.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(untagged)]
pub enum State {
    /// Of a service.
    Service(ServiceState),
    /// Of a group.
    Group(GroupState),
}

impl State {
    /// Tasks or instances that there shall be.
    pub fn desired(&self) -> u32 {
        match self {
            Self::Service(service) => service.desired,
            Self::Group(group) => group.desired,
        }
    }
}

/// What the log keeps of a group.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct GroupState {
    /// Instances that there shall be.
    pub desired: u32,
    /// Instances in service.
    pub in_service: u32,
    /// Those of them that are healthy.
    pub healthy: u32,
    /// Instances on their way there.
    pub pending: u32,
    /// How many refreshes there have been.
    pub refreshes: usize,
    /// The lifecycle state of the instance that the call is about, if it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance_state: Option<&'static str>,
}

/// What the log keeps of a service.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct ServiceState {
    /// Tasks that there shall be.
    pub desired: u32,
    /// Tasks in state RUNNING.
    pub running: u32,
    /// Tasks on their way there.
    pub pending: u32,
    /// How many deployments there are.
    pub deployments: usize,
    /// The newest deployment's id.
    pub newest_deployment: String,
    /// What new tasks run.
    pub task_definition: Arc<str>,
    /// The status of the task that the call is about, if it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task_status: Option<&'static str>,
    /// Its desired status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task_desired_status: Option<&'static str>,
}

/// A service with its tasks, as the log's readers and people at the controls see it.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Sight {
    /// The service's account.
    pub account: String,
    /// The service's region.
    pub region: String,
    /// The service in AWS's form, tags shown.
    pub service: answer::Service,
    /// Its tasks in AWS's form, stopped ones among them, by id.
    pub tasks: Vec<answer::Task>,
}

/// A group with its refreshes, as the log's readers and people at the controls see it.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct GroupSight {
    /// The group's account.
    pub account: String,
    /// The group's region.
    pub region: String,
    /// The group in AWS's form, with its instances.
    pub group: answer::asg::Group,
    /// Its refreshes in AWS's form, newest first.
    pub refreshes: Vec<answer::asg::Refresh>,
}

#[derive(Debug)]
struct Cluster {
    services: BTreeMap<String, usize>,
}

#[derive(Debug)]
pub(crate) struct World {
    clockwork: Clockwork,
    /// By `account/region/name`; slashes are in none of the three.
    clusters: BTreeMap<String, Cluster>,
    /// In order of creation. A deleted one stays in its place, so that places stay true.
    services: Vec<Service>,
    /// By `account/region/name`, as the place in the list.
    group_names: BTreeMap<String, usize>,
    /// In order of creation.
    groups: Vec<Group>,
}

impl World {
    pub(crate) fn new(random: Random, lag: clockwork::Lag) -> Self {
        Self {
            clockwork: Clockwork::new(random, lag),
            clusters: BTreeMap::new(),
            services: Vec::new(),
            group_names: BTreeMap::new(),
            groups: Vec::new(),
        }
    }

    pub(crate) fn now_ms(&self) -> u64 {
        self.clockwork.now_ms
    }

    /// Lets everything happen that is due by then. Time never goes back: an earlier time changes nothing.
    pub(crate) fn advance(&mut self, now_ms: u64) {
        while let Some(event) = self.clockwork.next(now_ms) {
            self.happen(event);
        }
        self.clockwork.now_ms = self.clockwork.now_ms.max(now_ms);
    }

    fn happen(&mut self, event: Event) {
        let Self { clockwork, services, groups, .. } = self;
        let now_ms = clockwork.now_ms;
        match event {
            Event::Step { service, task, version } => {
                services.get_mut(service).into_iter().for_each(|found| found.step(task, version, clockwork));
            }
            Event::ForgetTask { service, task } => {
                services.get_mut(service).into_iter().for_each(|found| found.forget(task, clockwork));
            }
            Event::Wake { service } => {
                let wakes = |found: &&mut Service| found.wakes_ms == Some(now_ms) && found.status != Status::Inactive;
                services.get_mut(service).into_iter().filter(wakes).for_each(|found| found.schedule(clockwork));
            }
            Event::ForgetService { service } => self.forget_service(service),
            Event::StepInstance { group, instance, version } => {
                groups.get_mut(group).into_iter().for_each(|found| found.step(instance, version, clockwork));
            }
            Event::WakeGroup { group } => {
                let wakes = |found: &&mut Group| found.wakes_ms == Some(now_ms);
                groups.get_mut(group).into_iter().filter(wakes).for_each(|found| found.schedule(clockwork));
            }
        }
    }

    fn forget_service(&mut self, index: usize) {
        let Some(service) = self.services.get(index) else { return };
        let key = cluster_key(service.place(), &service.cluster);
        let name = service.name.to_string();
        // The name may belong to a successor by now.
        if let Some(cluster) = self.clusters.get_mut(&key)
            && cluster.services.get(&name) == Some(&index)
        {
            cluster.services.remove(&name);
        }
    }

    fn cluster(&self, place: Place<'_>, name: &str) -> Option<&Cluster> {
        self.clusters.get(&cluster_key(place, name))
    }

    fn service_index(&self, place: Place<'_>, cluster: &str, name: &str) -> Option<usize> {
        self.cluster(place, cluster)?.services.get(name).copied()
    }

    /// The task's service, if the task is in that cluster.
    fn home(&self, place: Place<'_>, cluster: &str, task: TaskId) -> Option<&Service> {
        let service = self.services.get(*self.clockwork.homes.get(&task)?)?;
        let here = (&*service.account, &*service.region, &*service.cluster) == (place.account, place.region, cluster);
        here.then_some(service)
    }

    /// What a call is about; for a task, its service too.
    pub(crate) fn subject(&self, request: &Request) -> Subject {
        if let Some(subject) = self.group_subject(request) {
            return subject;
        }
        let (cluster, service, task) = match &request.operation {
            Operation::DescribeServices(call) => (&call.cluster, only(&call.services), ""),
            Operation::UpdateService(call) => (&call.cluster, call.service.as_str(), ""),
            Operation::ListTasks(call) => (&call.cluster, call.service_name.as_deref().unwrap_or_default(), ""),
            Operation::DescribeTasks(call) => (&call.cluster, "", only(&call.tasks)),
            Operation::StopTask(call) => (&call.cluster, "", call.task.as_str()),
            _ => return Subject::default(),
        };
        let cluster = cluster.as_deref().filter(|name| !name.is_empty()).map_or("default", short);
        let (mut service, task) = (short(service), short(task));
        let home = TaskId::read(task).and_then(|task| self.home(place(request), cluster, task));
        if let Some(home) = home {
            service = &home.name;
        }
        Subject {
            cluster: cluster.to_owned(),
            service: service.to_owned(),
            task: task.to_owned(),
            ..Subject::default()
        }
    }

    /// The state of what a call is about.
    pub(crate) fn state(&self, request: &Request, subject: &Subject) -> Option<State> {
        if !subject.group.is_empty() {
            return self.group_state(request, subject).map(State::Group);
        }
        let index = self.service_index(place(request), &subject.cluster, &subject.service)?;
        let service = self.services.get(index)?;
        let counts = service.count();
        let task = TaskId::read(&subject.task).and_then(|id| service.tasks.get(&id));
        let newest = service.deployments.first();
        Some(State::Service(ServiceState {
            desired: service.desired,
            running: counts.iter().map(|count| count.running).sum(),
            pending: counts.iter().map(|count| count.pending).sum(),
            deployments: service.deployments.len(),
            newest_deployment: service.newest(),
            task_definition: newest.map_or_else(|| "".into(), |newest| newest.task_definition.clone()),
            task_status: task.map(|task| task.phase.as_str()),
            task_desired_status: task.map(|task| task.wanted.as_str()),
        }))
    }

    /// Services with their tasks, in order of creation, from the `from`-th.
    pub(crate) fn sights(&self, from: usize, most: usize) -> Vec<Sight> {
        let sight = |service: &Service| Sight {
            account: service.account.to_string(),
            region: service.region.to_string(),
            service: service.show(view::Tags::Shown),
            tasks: service.tasks.values().map(|task| service.show_task(task)).collect(),
        };
        self.services.iter().skip(from).take(most).map(sight).collect()
    }

    fn add_cluster(&mut self, place: Place<'_>, name: &str) {
        self.clusters.entry(cluster_key(place, name)).or_insert_with(|| Cluster { services: BTreeMap::new() });
    }

    /// A steady service: all its tasks have run for a minute, its one deployment is complete.
    fn add_service(&mut self, place: Place<'_>, new: &crate::scenario::NewService, task_definition: Arc<str>) {
        let index = self.services.len();
        let now_ms = self.clockwork.now_ms;
        let mut service = Service {
            index,
            account: place.account.into(),
            region: place.region.into(),
            cluster: new.address.cluster.as_str().into(),
            name: new.address.service.as_str().into(),
            status: Status::Active,
            desired: new.desired,
            created_ms: now_ms.saturating_sub(60_000),
            tags: new.tags.clone(),
            health_check: new.health_check,
            starting: service::Starting::Normal,
            deployments: Vec::new(),
            tasks: BTreeMap::new(),
            stopped: VecDeque::new(),
            wakes_ms: None,
        };
        service.deploy(task_definition, &mut self.clockwork);
        let lag = std::mem::replace(&mut self.clockwork.lag.start_ms, Span::exactly(0));
        (0..new.desired).for_each(|_| _ = service.launch(0, &mut self.clockwork));
        self.clockwork.lag.start_ms = lag;
        service.make_steady();
        let key = cluster_key(place, &new.address.cluster);
        if let Some(cluster) = self.clusters.get_mut(&key) {
            cluster.services.insert(new.address.service.clone(), index);
        }
        self.services.push(service);
    }
}

impl Service {
    fn make_steady(&mut self) {
        let began_ms = self.created_ms;
        let complete = |newest: &mut Deployment| {
            (newest.created_ms, newest.updated_ms, newest.completed) = (began_ms, began_ms, true);
        };
        self.deployments.iter_mut().for_each(complete);
        for task in self.tasks.values_mut() {
            while task.phase != Phase::Running {
                task.step(began_ms);
            }
            task.created_ms = began_ms;
            if self.health_check == service::HealthCheck::Passing {
                task.health = Health::Healthy;
            }
        }
    }
}

/// Where a call is made.
fn place(request: &Request) -> Place<'_> {
    Place { account: &request.account, region: &request.region }
}

fn cluster_key(place: Place<'_>, name: &str) -> String {
    format!("{}/{}/{name}", place.account, place.region)
}

/// The only one of a list, or nothing.
fn only(list: &[String]) -> &str {
    match list {
        [one] => one,
        _ => "",
    }
}

/// Whether a text can be the name of a group (Amazon EC2 Auto Scaling API Reference, `CreateAutoScalingGroup`).
fn is_a_group_name(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_graphic() && byte != b':';
    (1..=limits::NAME_BYTES).contains(&text.len()) && text.bytes().all(allowed)
}

/// Whether a text can be the name of a cluster or service (Amazon ECS API Reference, `CreateService`).
fn is_a_name(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (1..=limits::NAME_BYTES).contains(&text.len()) && text.bytes().all(allowed)
}
