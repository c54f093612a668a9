//! The commands of dynamic security: `{"commands": [{"command": …, "correlationData": …}]}` in,
//! `{"responses": […]}` out, in mosquitto's words. What each does to clients, groups and roles is in
//! `members.rs`; here they are told apart, and what concerns the whole is done.

use serde_json::{Value, json};

use crate::daemon::auth::dynsec::members::{clients, groups, roles};
use crate::daemon::auth::dynsec::model::{DEFAULTS, Model};
use crate::daemon::auth::dynsec::telling;
use crate::daemon::auth::dynsec::{Kick, Outcome};
use crate::daemon::control::form;
use crate::daemon::control::form::Reply;

/// Commands of one message; more are not looked at.
const COMMANDS_MAX: usize = 10_000;

/// What one command works on.
pub(crate) struct Order<'a> {
    pub(crate) model: &'a mut Model,
    pub(crate) json: &'a Value,
    pub(crate) changed: bool,
    pub(crate) kicks: Vec<Kick>,
}

/// A command that only does something.
pub(crate) const DONE: Value = Value::Null;

impl Order<'_> {
    /// A text that must be there.
    pub(crate) fn text(&self, key: &str) -> Result<String, String> {
        let text = self.json.get(key).and_then(Value::as_str);
        text.map(str::to_owned)
            .ok_or_else(|| format!("Invalid/missing {key}"))
    }

    /// A whole number that may be missing.
    pub(crate) fn number(&self, key: &str) -> Option<i64> {
        self.json.get(key).and_then(Value::as_i64)
    }

    pub(crate) fn kick(&mut self, user: &str) {
        self.kicks.push(Kick::User(user.to_owned()));
    }

    /// Everybody in a group.
    pub(crate) fn kick_group(&mut self, group: &str) {
        if let Some(held) = self.model.groups.get(group) {
            let users = held.clients.names();
            self.kicks
                .extend(users.map(|user| Kick::User(user.to_owned())));
        }
        if self.model.anonymous_group.as_deref() == Some(group) {
            self.kicks.push(Kick::Nobody);
        }
    }

    /// A page of names, or of all about them.
    pub(crate) fn page(&self, key: &str, all: Vec<(&str, Value)>) -> Value {
        let verbose = self.json.get("verbose") == Some(&Value::Bool(true));
        let total = all.len();
        let count = self
            .number("count")
            .and_then(|count| usize::try_from(count).ok());
        let offset = self
            .number("offset")
            .and_then(|at| usize::try_from(at).ok());
        let rows = all
            .into_iter()
            .skip(offset.unwrap_or(0))
            .take(count.unwrap_or(usize::MAX));
        let rows = rows.map(|(name, whole)| if verbose { whole } else { json!(name) });
        json!({ "totalCount": total, key: rows.collect::<Value>() })
    }
}

/// Carries out a message.
pub(crate) fn obey(model: &mut Model, payload: &[u8]) -> Outcome {
    let mut outcome = Outcome {
        answer: String::new(),
        changed: false,
        kicks: Vec::new(),
        told: Vec::new(),
    };
    outcome.answer = form::answer(payload, COMMANDS_MAX, usize::MAX, |command, json| {
        let mut order = Order {
            model: &mut *model,
            json,
            changed: false,
            kicks: Vec::new(),
        };
        let reply = obey_one(command, &mut order);
        outcome.changed |= order.changed;
        outcome.kicks.append(&mut order.kicks);
        if reply.is_ok() {
            outcome.told.extend(telling::lines(command, json));
        }
        reply
    });
    outcome
}

fn obey_one(command: &str, order: &mut Order<'_>) -> Reply {
    let known = COMMANDS
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(command));
    match known {
        Some((_, obey)) => obey(order),
        None => Err("Unknown command".to_owned()),
    }
}

type Obey = fn(&mut Order<'_>) -> Reply;

/// Every command there is.
const COMMANDS: &[(&str, Obey)] = &[
    ("setDefaultACLAccess", set_default),
    ("getDefaultACLAccess", default_access),
    ("getDetails", details),
    ("createClient", clients::create),
    ("deleteClient", clients::delete),
    ("getClient", clients::tell),
    ("listClients", clients::list),
    ("modifyClient", clients::modify),
    ("setClientPassword", clients::set_password),
    ("setClientId", clients::set_id),
    ("addClientRole", clients::add_role),
    ("removeClientRole", clients::remove_role),
    ("enableClient", clients::enable),
    ("disableClient", clients::disable),
    ("createGroup", groups::create),
    ("deleteGroup", groups::delete),
    ("getGroup", groups::tell),
    ("listGroups", groups::list),
    ("modifyGroup", groups::modify),
    ("addGroupClient", groups::add_client),
    ("removeGroupClient", groups::remove_client),
    ("addGroupRole", groups::add_role),
    ("removeGroupRole", groups::remove_role),
    ("setAnonymousGroup", groups::set_anonymous),
    ("getAnonymousGroup", groups::anonymous),
    ("createRole", roles::create),
    ("deleteRole", roles::delete),
    ("getRole", roles::tell),
    ("listRoles", roles::list),
    ("modifyRole", roles::modify),
    ("addRoleACL", roles::add_acl),
    ("removeRoleACL", roles::remove_acl),
];

fn set_default(order: &mut Order<'_>) -> Reply {
    let acls = order.json.get("acls").and_then(Value::as_array);
    let acls = acls.ok_or("Missing/invalid actions array")?;
    for acl in acls {
        let kind = acl.get("acltype").and_then(Value::as_str);
        let allow = acl.get("allow").and_then(Value::as_bool);
        let (Some(kind), Some(allow)) = (kind, allow) else {
            continue;
        };
        if let Some((_, action)) = DEFAULTS
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(kind))
        {
            order.model.allow_otherwise(*action, allow);
            order.changed = true;
        }
    }
    Ok(DONE)
}

fn default_access(order: &mut Order<'_>) -> Reply {
    let otherwise = order.model.otherwise;
    let acls = DEFAULTS.iter();
    let acls =
        acls.map(|(name, action)| json!({ "acltype": name, "allow": otherwise.has(*action) }));
    Ok(json!({ "acls": acls.collect::<Value>() }))
}

fn details(order: &mut Order<'_>) -> Reply {
    let model = &order.model;
    Ok(json!({
        "clientCount": model.clients.len(),
        "groupCount": model.groups.len(),
        "roleCount": model.roles.len(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::auth::dynsec::generate::first_file;
    use crate::daemon::auth::dynsec::members::hashed;

    fn model() -> Model {
        let text = first_file("admin", hashed("pw").unwrap()).unwrap();
        Model::read(text.as_bytes()).unwrap()
    }

    /// See its first lines.
    const TALK: &str = include_str!("talk.txt");

    #[test]
    fn each_command_is_answered_as_mosquitto_does() {
        let mut model = model();
        let lines: Vec<&str> = TALK
            .lines()
            .filter(|line| line.starts_with(['>', '<']))
            .collect();
        assert!(lines.len() > 100);
        for pair in lines.chunks_exact(2) {
            let [command, expected] = [pair[0], pair[1]].map(|line| line[1..].trim_start());
            let outcome = obey(
                &mut model,
                format!(r#"{{"commands":[{{{command}}}]}}"#).as_bytes(),
            );
            let asked: Value = serde_json::from_str(&format!("{{{command}}}")).unwrap();
            let name = asked["command"].as_str();
            let expected = match (name, expected.contains(r#""command":"#)) {
                (Some(name), false) if expected.is_empty() => format!(r#""command":"{name}""#),
                (Some(name), false) => format!(r#""command":"{name}",{expected}"#),
                _ => expected.to_owned(),
            };
            let expected = format!(r#"{{"responses":[{{{expected}}}]}}"#);
            assert_eq!(outcome.answer, expected, "{command}");
        }
        // What was changed by all this is what a broker would find after a restart.
        let again = Model::read(model.text().as_bytes()).unwrap();
        assert_eq!(again.text(), model.text());
    }

    #[test]
    fn garbage_is_answered_and_changes_nothing() {
        let mut model = model();
        let before = model.text();
        let deep = "[".repeat(100_000);
        let rows: [(&[u8], &str); 9] = [
            (b"", "Payload not valid JSON"),
            (b"\xff\xfe", "Payload not valid JSON"),
            (b"{\"commands\":[", "Payload not valid JSON"),
            (deep.as_bytes(), "Payload not valid JSON"),
            (b"5", "Invalid/missing commands"),
            (b"{\"commands\":1}", "Invalid/missing commands"),
            (b"{\"commands\":{}}", "Invalid/missing commands"),
            (b"{\"commands\":[1]}", "Command not an object"),
            (b"{\"commands\":[{}]}", "Missing command"),
        ];
        for (payload, error) in rows {
            let outcome = obey(&mut model, payload);
            assert!(outcome.answer.contains(error), "{}", outcome.answer);
            assert!(!outcome.changed && outcome.kicks.is_empty());
        }
        assert_eq!(model.text(), before);
        assert_eq!(
            obey(&mut model, b"{\"commands\":[]}").answer,
            "{\"responses\":[]}"
        );
    }

    #[test]
    fn those_are_sent_away_whom_a_change_concerns() {
        let mut model = model();
        let mut kicks = |command: &str| {
            let payload = format!(r#"{{"commands":[{{{command}}}]}}"#);
            obey(&mut model, payload.as_bytes()).kicks
        };
        let user = |name: &str| Kick::User(name.to_owned());
        assert_eq!(kicks(r#""command":"createClient","username":"bob""#), []);
        assert_eq!(kicks(r#""command":"createRole","rolename":"r""#), []);
        assert_eq!(
            kicks(r#""command":"createGroup","groupname":"g","clients":[{"username":"bob"}]"#),
            [user("bob")]
        );
        assert_eq!(
            kicks(r#""command":"setAnonymousGroup","groupname":"g""#),
            [Kick::Nobody]
        );
        assert_eq!(
            kicks(r#""command":"addGroupRole","groupname":"g","rolename":"r""#),
            [user("bob"), Kick::Nobody]
        );
        assert_eq!(
            kicks(
                r#""command":"addRoleACL","rolename":"r","acltype":"subscribePattern","topic":"a""#
            ),
            [user("bob"), Kick::Nobody]
        );
        assert_eq!(
            kicks(r#""command":"disableClient","username":"bob""#),
            [user("bob")]
        );
        assert_eq!(kicks(r#""command":"getClient","username":"bob""#), []);
    }
}
