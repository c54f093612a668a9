//! Commands about clients.

use serde_json::{Value, json};

use crate::daemon::auth::dynsec::commands::{DONE, Order};
use crate::daemon::auth::dynsec::members::{checked, ranked};
use crate::daemon::auth::dynsec::model::{Client, NONE, Ranked, Texts};
use crate::daemon::auth::hash::{HASH_LEN, Hash, ITERATIONS, Method};
use crate::daemon::control::form::Reply;

const NOT_FOUND: &str = "Client not found";
const NO_ROLE: &str = "Role not found";
const INTERNAL: &str = "Internal error";

fn found<'a>(order: &'a mut Order<'_>, user: &str) -> Result<&'a mut Client, String> {
    order
        .model
        .clients
        .get_mut(user)
        .ok_or_else(|| NOT_FOUND.to_owned())
}

/// A member that is a text, if it is there at all.
fn maybe(json: &Value, key: &str, shown: &str) -> Result<Option<String>, String> {
    match json.get(key) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(format!("Invalid/missing {shown}")),
    }
}

pub(crate) fn hashed(password: &str) -> Result<Hash, String> {
    let mut salt = [0; HASH_LEN];
    getrandom::fill(&mut salt).map_err(|_| INTERNAL)?;
    let method = Method::Pbkdf2 {
        iterations: ITERATIONS,
    };
    Hash::new(method, &salt, password.as_bytes()).ok_or_else(|| INTERNAL.to_owned())
}

fn roles(order: &Order<'_>) -> Result<Option<Ranked>, String> {
    let known = |name: &str| order.model.roles.contains_key(name);
    ranked(order.json, "roles", "rolename", known, NO_ROLE)
}

fn groups(order: &Order<'_>) -> Result<Option<Ranked>, String> {
    let known = |name: &str| order.model.groups.contains_key(name);
    ranked(order.json, "groups", "groupname", known, "Group not found")
}

/// Puts a client into these groups, and no others.
fn join(order: &mut Order<'_>, user: &str, groups: &Ranked) {
    for (name, group) in &mut order.model.groups {
        group.clients.remove(user);
        if let Some(priority) = groups.priority(name) {
            group.clients.add(user, priority);
        }
    }
}

pub(crate) fn create(order: &mut Order<'_>) -> Reply {
    let user = checked(order.text("username")?, "username")?;
    let password = maybe(order.json, "password", "password")?;
    let client_id = maybe(order.json, "clientid", "client id")?;
    if order.model.clients.contains_key(&user) {
        return Err("Client already exists".to_owned());
    }
    let client = Client {
        texts: Texts::read(order.json),
        client_id: client_id.filter(|id| !id.is_empty()),
        disabled: false,
        password: password.map(|password| hashed(&password)).transpose()?,
        roles: roles(order)?.unwrap_or_default(),
    };
    let groups = groups(order)?.unwrap_or_default();
    order.model.clients.insert(user.clone(), client);
    join(order, &user, &groups);
    order.changed = true;
    Ok(DONE)
}

pub(crate) fn delete(order: &mut Order<'_>) -> Reply {
    let user = order.text("username")?;
    found(order, &user)?;
    order.model.clients.remove(&user);
    join(order, &user, &Ranked::default());
    order.kick(&user);
    order.changed = true;
    Ok(DONE)
}

pub(crate) fn tell(order: &mut Order<'_>) -> Reply {
    let user = order.text("username")?;
    let client = found(order, &user)?.clone();
    Ok(json!({ "client": client.json(&user, &order.model.groups) }))
}

pub(crate) fn list(order: &mut Order<'_>) -> Reply {
    let (clients, groups) = (&order.model.clients, &order.model.groups);
    let all = clients.iter();
    let all = all.map(|(name, client)| (name.as_str(), client.json(name, groups)));
    Ok(order.page("clients", all.collect()))
}

pub(crate) fn modify(order: &mut Order<'_>) -> Reply {
    let user = order.text("username")?;
    found(order, &user)?;
    let password = maybe(order.json, "password", "password")?;
    let password = password.map(|password| hashed(&password)).transpose()?;
    let client_id = maybe(order.json, "clientid", "client id")?;
    let (roles, groups) = (roles(order)?, groups(order)?);
    let json = order.json;
    let client = found(order, &user)?;
    client.texts.change(json);
    if let Some(id) = client_id {
        client.client_id = (!id.is_empty()).then_some(id);
    }
    if let Some(disabled) = json.get("disabled").and_then(Value::as_bool) {
        client.disabled = disabled;
    }
    if password.is_some() {
        client.password = password;
    }
    if let Some(roles) = roles {
        client.roles = roles;
    }
    if let Some(groups) = groups {
        join(order, &user, &groups);
    }
    changed(order, &user)
}

fn changed(order: &mut Order<'_>, user: &str) -> Reply {
    order.kick(user);
    order.changed = true;
    Ok(DONE)
}

pub(crate) fn set_password(order: &mut Order<'_>) -> Reply {
    let user = order.text("username")?;
    let password = order.text("password")?;
    found(order, &user)?.password = Some(hashed(&password)?);
    changed(order, &user)
}

pub(crate) fn set_id(order: &mut Order<'_>) -> Reply {
    let user = order.text("username")?;
    let id = maybe(order.json, "clientid", "client id")?;
    found(order, &user)?.client_id = id.filter(|id| !id.is_empty());
    changed(order, &user)
}

pub(crate) fn add_role(order: &mut Order<'_>) -> Reply {
    let (user, role) = (order.text("username")?, order.text("rolename")?);
    let priority = order.number("priority").unwrap_or(NONE);
    let known = order.model.roles.contains_key(&role);
    let client = found(order, &user)?;
    if !known {
        return Err(NO_ROLE.to_owned());
    }
    if !client.roles.add(&role, priority) {
        return Err(INTERNAL.to_owned());
    }
    changed(order, &user)
}

pub(crate) fn remove_role(order: &mut Order<'_>) -> Reply {
    let (user, role) = (order.text("username")?, order.text("rolename")?);
    let known = order.model.roles.contains_key(&role);
    let client = found(order, &user)?;
    if !known {
        return Err(NO_ROLE.to_owned());
    }
    client.roles.remove(&role);
    changed(order, &user)
}

pub(crate) fn enable(order: &mut Order<'_>) -> Reply {
    let user = order.text("username")?;
    found(order, &user)?.disabled = false;
    order.changed = true;
    Ok(DONE)
}

pub(crate) fn disable(order: &mut Order<'_>) -> Reply {
    let user = order.text("username")?;
    found(order, &user)?.disabled = true;
    changed(order, &user)
}
