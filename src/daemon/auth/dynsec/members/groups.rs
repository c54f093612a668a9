//! Commands about groups.

use serde_json::json;

use crate::daemon::auth::dynsec::Kick;
use crate::daemon::auth::dynsec::commands::{DONE, Order};
use crate::daemon::auth::dynsec::members::{checked, ranked};
use crate::daemon::auth::dynsec::model::{Group, NONE, Ranked, Texts};
use crate::daemon::control::form::Reply;

const NOT_FOUND: &str = "Group not found";
const NO_ROLE: &str = "Role not found";
const NO_CLIENT: &str = "Client not found";

fn found<'a>(order: &'a mut Order<'_>, group: &str) -> Result<&'a mut Group, String> {
    order
        .model
        .groups
        .get_mut(group)
        .ok_or_else(|| NOT_FOUND.to_owned())
}

fn roles(order: &Order<'_>) -> Result<Option<Ranked>, String> {
    let known = |name: &str| order.model.roles.contains_key(name);
    ranked(order.json, "roles", "rolename", known, NO_ROLE)
}

fn clients(order: &Order<'_>) -> Result<Option<Ranked>, String> {
    let known = |name: &str| order.model.clients.contains_key(name);
    ranked(order.json, "clients", "username", known, NO_CLIENT)
}

fn changed(order: &mut Order<'_>, group: &str) -> Reply {
    order.kick_group(group);
    order.changed = true;
    Ok(DONE)
}

pub(crate) fn create(order: &mut Order<'_>) -> Reply {
    let name = checked(order.text("groupname")?, "groupname")?;
    if order.model.groups.contains_key(&name) {
        return Err("Group already exists".to_owned());
    }
    let group = Group {
        texts: Texts::read(order.json),
        roles: roles(order)?.unwrap_or_default(),
        clients: clients(order)?.unwrap_or_default(),
    };
    order.model.groups.insert(name.clone(), group);
    changed(order, &name)
}

pub(crate) fn delete(order: &mut Order<'_>) -> Reply {
    let name = order.text("groupname")?;
    found(order, &name)?;
    if order.model.anonymous_group.as_deref() == Some(&*name) {
        return Err("Deleting the anonymous group is forbidden".to_owned());
    }
    order.kick_group(&name);
    order.model.groups.remove(&name);
    order.changed = true;
    Ok(DONE)
}

pub(crate) fn tell(order: &mut Order<'_>) -> Reply {
    let name = order.text("groupname")?;
    let group = found(order, &name)?;
    Ok(json!({ "group": group.json(&name) }))
}

pub(crate) fn list(order: &mut Order<'_>) -> Reply {
    let all = order.model.groups.iter();
    let all = all.map(|(name, group)| (name.as_str(), group.json(name)));
    Ok(order.page("groups", all.collect()))
}

pub(crate) fn modify(order: &mut Order<'_>) -> Reply {
    let name = order.text("groupname")?;
    found(order, &name)?;
    let (roles, clients) = (roles(order)?, clients(order)?);
    // Those who go, and those who come.
    order.kick_group(&name);
    let json = order.json;
    let group = found(order, &name)?;
    group.texts.change(json);
    if let Some(roles) = roles {
        group.roles = roles;
    }
    if let Some(clients) = clients {
        group.clients = clients;
    }
    changed(order, &name)
}

pub(crate) fn add_client(order: &mut Order<'_>) -> Reply {
    let (user, name) = (order.text("username")?, order.text("groupname")?);
    let priority = order.number("priority").unwrap_or(NONE);
    if !order.model.clients.contains_key(&user) {
        return Err(NO_CLIENT.to_owned());
    }
    if !found(order, &name)?.clients.add(&user, priority) {
        return Err("Client is already in this group".to_owned());
    }
    order.kick(&user);
    order.changed = true;
    Ok(DONE)
}

pub(crate) fn remove_client(order: &mut Order<'_>) -> Reply {
    let (user, name) = (order.text("username")?, order.text("groupname")?);
    if !order.model.clients.contains_key(&user) {
        return Err(NO_CLIENT.to_owned());
    }
    found(order, &name)?.clients.remove(&user);
    order.kick(&user);
    order.changed = true;
    Ok(DONE)
}

pub(crate) fn add_role(order: &mut Order<'_>) -> Reply {
    let (name, role) = (order.text("groupname")?, order.text("rolename")?);
    let priority = order.number("priority").unwrap_or(NONE);
    let known = order.model.roles.contains_key(&role);
    let group = found(order, &name)?;
    if !known {
        return Err(NO_ROLE.to_owned());
    }
    if !group.roles.add(&role, priority) {
        return Err("Group is already in this role".to_owned());
    }
    changed(order, &name)
}

pub(crate) fn remove_role(order: &mut Order<'_>) -> Reply {
    let (name, role) = (order.text("groupname")?, order.text("rolename")?);
    let known = order.model.roles.contains_key(&role);
    let group = found(order, &name)?;
    if !known {
        return Err(NO_ROLE.to_owned());
    }
    group.roles.remove(&role);
    changed(order, &name)
}

/// An empty name leaves clients without a user name in no group.
pub(crate) fn set_anonymous(order: &mut Order<'_>) -> Reply {
    let name = order.text("groupname")?;
    if !name.is_empty() {
        found(order, &name)?;
    }
    order.model.anonymous_group = (!name.is_empty()).then_some(name);
    order.kicks.push(Kick::Nobody);
    order.changed = true;
    Ok(DONE)
}

pub(crate) fn anonymous(order: &mut Order<'_>) -> Reply {
    let name = order.model.anonymous_group.as_deref().unwrap_or_default();
    Ok(json!({ "group": { "groupname": name } }))
}
