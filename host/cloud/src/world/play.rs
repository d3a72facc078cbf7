//! Steps of a scenario, carried out in the world.

use std::sync::Arc;

use super::{
    World,
    group::Instance,
    is_a_name,
    operate::task_definition,
    play_group,
    service::{Service, Status},
    task::Stop,
};
use crate::{
    limits,
    name::{Place, TaskId},
    scenario::{Address, NewService, NotPlayed, Step},
};

/// Carries a step out. Returns the task or instance that it touched, if it touched one.
pub(crate) fn play(world: &mut World, step: &Step) -> Result<Option<String>, NotPlayed> {
    match step {
        Step::CreateCluster { account, region, cluster } => create_cluster(world, Place { account, region }, cluster)?,
        Step::CreateService(new) => create_service(world, new)?,
        Step::SetDesired { service, desired } => {
            too_many("tasks per service", *desired as usize, limits::TASKS_PER_SERVICE as usize)?;
            let (service, clockwork) = active(world, service)?;
            service.desired = *desired;
            service.wake_soon(clockwork);
        }
        Step::Redeploy { service } => {
            let (service, clockwork) = active(world, service)?;
            too_many("deployments", service.deployments.len() + 1, limits::DEPLOYMENTS_PER_SERVICE)?;
            let definition = service.deployments.first().map(|newest| newest.task_definition.clone());
            service.deploy(definition.unwrap_or_else(|| "".into()), clockwork);
            service.wake_soon(clockwork);
        }
        Step::SetHealth { service, task, health } => {
            let (service, _) = active(world, service)?;
            let id = choose(service, task.as_deref())?;
            service.tasks.entry(id).and_modify(|task| task.health = *health);
            return Ok(Some(id.to_string()));
        }
        Step::KillTask { service, task } => {
            let (service, clockwork) = active(world, service)?;
            let id = choose(service, task.as_deref())?;
            let reason = "Essential container in task exited".to_owned();
            service.kill(id, Stop { code: "EssentialContainerExited", reason }, clockwork);
            return Ok(Some(id.to_string()));
        }
        Step::SetStarting { service, starting } => {
            let (service, clockwork) = active(world, service)?;
            service.set_starting(*starting, clockwork);
        }
        Step::DeleteService { service } => {
            let (service, clockwork) = active(world, service)?;
            (service.status, service.desired) = (Status::Draining, 0);
            service.wake_soon(clockwork);
        }
        Step::SetLag { lag } => world.clockwork.lag = *lag,
        Step::CreateGroup(new) => play_group::create(world, new)?,
        Step::SetCapacity { group, desired } => play_group::set_capacity(world, group, *desired)?,
        Step::SetInstanceHealth { group, instance, healthy } => {
            let sets = |found: &mut Instance| found.healthy = *healthy;
            return play_group::touch(world, group, instance.as_deref(), sets).map(Some);
        }
        Step::SetProtection { group, instance, protected } => {
            let sets = |found: &mut Instance| found.protected = *protected;
            return play_group::touch(world, group, instance.as_deref(), sets).map(Some);
        }
        Step::SetLaunching { group, launching } => {
            let (group, clockwork) = play_group::find(world, group)?;
            group.set_launching(*launching, clockwork);
        }
        Step::Suspend { group, processes } => {
            too_many("processes", processes.len(), limits::TAGS_PER_SERVICE)?;
            play_group::find(world, group)?.0.suspended.clone_from(processes);
        }
        Step::Refresh { group } => {
            let (group, clockwork) = play_group::find(world, group)?;
            if !group.is_refreshing() {
                group.start_refresh(None, clockwork);
            }
        }
    }
    Ok(None)
}

fn create_cluster(world: &mut World, place: Place<'_>, name: &str) -> Result<(), NotPlayed> {
    for text in [place.account, place.region, name] {
        if !is_a_name(text) {
            return Err(NotPlayed::NotAName(text.chars().take(limits::NAME_BYTES).collect()));
        }
    }
    if world.cluster(place, name).is_none() {
        too_many("clusters", world.clusters.len() + 1, limits::CLUSTERS)?;
    }
    world.add_cluster(place, name);
    Ok(())
}

fn create_service(world: &mut World, new: &NewService) -> Result<(), NotPlayed> {
    let Address { account, region, cluster, service } = &new.address;
    let place = Place { account, region };
    if !is_a_name(service) {
        return Err(NotPlayed::NotAName(service.chars().take(limits::NAME_BYTES).collect()));
    }
    new.within_bounds()?;
    if active(world, &new.address).is_ok() {
        return Err(NotPlayed::Exists(service.clone()));
    }
    too_many("services", world.services.len() + 1, limits::SERVICES)?;
    too_many("tasks", world.clockwork.homes.len() + new.desired as usize, limits::TASKS)?;
    create_cluster(world, place, cluster)?;
    let first = format!("{service}:1");
    let definition = task_definition(place, new.task_definition.as_deref().unwrap_or(&first), None);
    world.add_service(place, new, Arc::from(definition));
    Ok(())
}

fn active<'w>(
    world: &'w mut World,
    address: &Address,
) -> Result<(&'w mut Service, &'w mut super::Clockwork), NotPlayed> {
    let Address { account, region, cluster, service } = address.clone();
    let index = world.service_index(Place { account: &account, region: &region }, &cluster, &service);
    index
        .and_then(|index| world.service_mut(index))
        .filter(|(found, _)| found.status == Status::Active)
        .ok_or(NotPlayed::NoService { account, region, cluster, service })
}

/// The task of that id, or the running one with the lowest id that was not told to stop.
fn choose(service: &Service, given: Option<&str>) -> Result<TaskId, NotPlayed> {
    let found = match given {
        Some(text) => TaskId::read(text).filter(|id| service.tasks.contains_key(id)),
        None => service.tasks.values().find(|task| task.runs() && task.is_wanted()).map(|task| task.id),
    };
    found.ok_or_else(|| NotPlayed::NoTask(service.name.to_string()))
}

pub(super) fn too_many(what: &'static str, found: usize, most: usize) -> Result<(), NotPlayed> {
    if found > most { Err(NotPlayed::TooMany { what, most }) } else { Ok(()) }
}
