//! What commands do to clients, groups and roles. Everything is looked up before anything is
//! changed, so that a refused command changes nothing.

pub(crate) mod clients;
pub(crate) mod groups;
pub(crate) mod roles;

pub(crate) use crate::daemon::auth::dynsec::members::clients::hashed;

use serde_json::Value;

use crate::daemon::auth::dynsec::model::{NONE, Ranked};

/// Longer names are refused: they are kept for good.
const NAME_MAX: usize = 65_535;

/// The names of a list of objects, with their priorities; `None`: there is no such list.
fn ranked(
    json: &Value,
    key: &str,
    name: &str,
    known: impl Fn(&str) -> bool,
    unknown: &str,
) -> Result<Option<Ranked>, String> {
    let Some(list) = json.get(key) else {
        return Ok(None);
    };
    let wrong = || format!("'{key}' not an array or missing/invalid {name}");
    let mut ranked = Ranked::default();
    for row in list.as_array().ok_or_else(wrong)? {
        let name = row.get(name).and_then(Value::as_str).ok_or_else(wrong)?;
        if !known(name) {
            return Err(unknown.to_owned());
        }
        let priority = row.get("priority").and_then(Value::as_i64);
        ranked.add(name, priority.unwrap_or(NONE));
    }
    Ok(Some(ranked))
}

fn checked(name: String, key: &str) -> Result<String, String> {
    match name.len() > NAME_MAX {
        true => Err(format!("Invalid/missing {key}")),
        false => Ok(name),
    }
}
