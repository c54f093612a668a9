//! Commands about roles and their rules.

use serde_json::{Value, json};

use crate::daemon::auth::dynsec::commands::{DONE, Order};
use crate::daemon::auth::dynsec::members::checked;
use crate::daemon::auth::dynsec::model::{Acl, Role, Texts};
use crate::daemon::control::form::Reply;

const NOT_FOUND: &str = "Role not found";

fn found<'a>(order: &'a mut Order<'_>, role: &str) -> Result<&'a mut Role, String> {
    order
        .model
        .roles
        .get_mut(role)
        .ok_or_else(|| NOT_FOUND.to_owned())
}

/// The rules of a list; what is none is left out, as mosquitto does.
fn acls(json: &Value) -> Result<Option<Vec<Acl>>, String> {
    match json.get("acls") {
        None => Ok(None),
        Some(Value::Array(list)) => Ok(Some(list.iter().filter_map(Acl::read).collect())),
        Some(_) => Err("'acls' not an array".to_owned()),
    }
}

/// Everybody who has the role, by themselves or by a group.
fn kick(order: &mut Order<'_>, role: &str) {
    let clients = order.model.clients.iter();
    let users = clients.filter(|(_, client)| client.roles.has(role));
    let users: Vec<String> = users.map(|(user, _)| user.clone()).collect();
    let groups = order.model.groups.iter();
    let groups = groups.filter(|(_, group)| group.roles.has(role));
    let groups: Vec<String> = groups.map(|(name, _)| name.clone()).collect();
    for user in users {
        order.kick(&user);
    }
    for group in groups {
        order.kick_group(&group);
    }
}

fn changed(order: &mut Order<'_>, role: &str) -> Reply {
    kick(order, role);
    order.changed = true;
    Ok(DONE)
}

pub(crate) fn create(order: &mut Order<'_>) -> Reply {
    let name = checked(order.text("rolename")?, "rolename")?;
    if order.model.roles.contains_key(&name) {
        return Err("Role already exists".to_owned());
    }
    let mut role = Role {
        texts: Texts::read(order.json),
        wildcards_refused: order.json.get("allowwildcardsubs") == Some(&Value::Bool(false)),
        acls: Vec::new(),
    };
    for acl in acls(order.json)?.unwrap_or_default() {
        role.add(acl);
    }
    order.model.roles.insert(name, role);
    order.changed = true;
    Ok(DONE)
}

pub(crate) fn delete(order: &mut Order<'_>) -> Reply {
    let name = order.text("rolename")?;
    found(order, &name)?;
    kick(order, &name);
    order.model.roles.remove(&name);
    for client in order.model.clients.values_mut() {
        client.roles.remove(&name);
    }
    for group in order.model.groups.values_mut() {
        group.roles.remove(&name);
    }
    order.changed = true;
    Ok(DONE)
}

pub(crate) fn tell(order: &mut Order<'_>) -> Reply {
    let name = order.text("rolename")?;
    let role = found(order, &name)?;
    Ok(json!({ "role": role.json(&name) }))
}

pub(crate) fn list(order: &mut Order<'_>) -> Reply {
    let all = order.model.roles.iter();
    let all = all.map(|(name, role)| (name.as_str(), role.json(name)));
    Ok(order.page("roles", all.collect()))
}

pub(crate) fn modify(order: &mut Order<'_>) -> Reply {
    let name = order.text("rolename")?;
    let new = acls(order.json)?;
    let json = order.json;
    let Some(role) = order.model.roles.get_mut(&name) else {
        return Err("Role does not exist".to_owned());
    };
    role.texts.change(json);
    if let Some(allowed) = json.get("allowwildcardsubs").and_then(Value::as_bool) {
        role.wildcards_refused = !allowed;
    }
    if let Some(new) = new {
        role.acls.clear();
        for acl in new {
            role.add(acl);
        }
    }
    changed(order, &name)
}

pub(crate) fn add_acl(order: &mut Order<'_>) -> Reply {
    let name = order.text("rolename")?;
    found(order, &name)?;
    let kind = order.text("acltype")?;
    Acl::kind(&kind).ok_or("Invalid/missing acltype")?;
    order.text("topic")?;
    let acl = Acl::read(order.json).ok_or("Invalid ACL topic")?;
    if !found(order, &name)?.add(acl) {
        return Err("ACL with this topic already exists".to_owned());
    }
    changed(order, &name)
}

pub(crate) fn remove_acl(order: &mut Order<'_>) -> Reply {
    let name = order.text("rolename")?;
    found(order, &name)?;
    let kind = order.text("acltype")?;
    let kind = Acl::kind(&kind).ok_or("Invalid/missing acltype")?;
    let topic = order.text("topic")?;
    let role = found(order, &name)?;
    let before = role.acls.len();
    role.acls
        .retain(|acl| acl.kind != kind || acl.topic != topic);
    if role.acls.len() == before {
        return Err("ACL not found".to_owned());
    }
    changed(order, &name)
}
