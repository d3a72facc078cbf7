//! What steps of a scenario do to groups.

use super::{
    World,
    group::{Group, Instance, Phase},
    is_a_group_name, is_a_name,
    play::too_many,
};
use crate::{
    limits,
    name::{InstanceId, Place},
    scenario::{GroupAddress, NewGroup, NotPlayed},
};

/// A group comes to be, in a steady state.
pub(super) fn create(world: &mut World, new: &NewGroup) -> Result<(), NotPlayed> {
    let GroupAddress { account, region, group } = &new.address;
    let place = Place { account, region };
    let names = [(account, is_a_name as fn(&str) -> bool), (region, is_a_name), (group, is_a_group_name)];
    if let Some((text, _)) = names.into_iter().find(|(text, is_valid)| !is_valid(text)) {
        return Err(NotPlayed::NotAName(text.chars().take(limits::NAME_BYTES).collect()));
    }
    if new.min > new.desired || new.desired > new.max {
        return Err(NotPlayed::OutOfBounds { least: new.min, most: new.max });
    }
    too_many("instances per group", new.max as usize, limits::INSTANCES_PER_GROUP as usize)?;
    too_many("tags per group", new.tags.len(), limits::TAGS_PER_SERVICE)?;
    too_many("processes", new.suspended.len(), limits::TAGS_PER_SERVICE)?;
    too_many("groups", world.groups.len() + 1, limits::GROUPS)?;
    too_many("instances", world.clockwork.group_of.len() + new.desired as usize, limits::INSTANCES)?;
    let key = World::group_key(place, group);
    if world.group_names.contains_key(&key) {
        return Err(NotPlayed::Exists(group.clone()));
    }
    let index = world.groups.len();
    let mut made = Group::new(index, new, world.clockwork.now_ms);
    made.make_steady(&mut world.clockwork);
    world.group_names.insert(key, index);
    world.groups.push(made);
    Ok(())
}

/// Another person sets how many instances a group has.
pub(super) fn set_capacity(world: &mut World, address: &GroupAddress, desired: u32) -> Result<(), NotPlayed> {
    let (group, clockwork) = find(world, address)?;
    if !(group.min..=group.max).contains(&desired) {
        return Err(NotPlayed::OutOfBounds { least: group.min, most: group.max });
    }
    group.set_desired(desired, clockwork);
    Ok(())
}

pub(super) fn find<'w>(
    world: &'w mut World,
    address: &GroupAddress,
) -> Result<(&'w mut Group, &'w mut super::Clockwork), NotPlayed> {
    let GroupAddress { account, region, group } = address;
    world.group_mut(Place { account, region }, group).ok_or_else(|| NotPlayed::NoGroup {
        account: account.clone(),
        region: region.clone(),
        group: group.clone(),
    })
}

/// Changes the instance of that id, or the one in service with the lowest id; returns which.
pub(super) fn touch(
    world: &mut World,
    address: &GroupAddress,
    given: Option<&str>,
    change: impl FnOnce(&mut Instance),
) -> Result<String, NotPlayed> {
    let (group, _) = find(world, address)?;
    let chosen = match given {
        Some(text) => InstanceId::read(text),
        None => group.instances.values().find(|instance| instance.phase == Phase::InService).map(|found| found.id),
    };
    let found = chosen.and_then(|id| group.instances.get_mut(&id));
    let instance = found.ok_or_else(|| NotPlayed::NoInstance(address.group.clone()))?;
    change(instance);
    Ok(instance.id.to_string())
}
