//! What dynamic security answers, as mosquitto_ctrl prints it.

use std::fmt::Write as _;

use serde_json::Value;

/// The text of an answer; commands that only do something have none. `None`: it is not an answer
/// to this command.
pub(crate) fn render(command: &str, data: &Value) -> Option<String> {
    let mut out = String::new();
    match command {
        "listClients" => list(&mut out, data, "clients", "username")?,
        "listGroups" => list(&mut out, data, "groups", "groupname")?,
        "listRoles" => list(&mut out, data, "roles", "rolename")?,
        "getClient" => client(&mut out, data.get("client")?)?,
        "getGroup" => group(&mut out, data.get("group")?)?,
        "getRole" => role(&mut out, data.get("role")?)?,
        "getDefaultACLAccess" => {
            for acl in data.get("acls")?.as_array()? {
                let allow = allow(acl.get("allow")?.as_bool()?);
                let _ = writeln!(out, "{:<20} : {}", text(acl, "acltype")?, allow.trim_end());
            }
        }
        "getAnonymousGroup" => {
            let _ = writeln!(out, "{}", text(data.get("group")?, "groupname")?);
        }
        "getDetails" => {
            for (name, value) in data.as_object()? {
                let _ = writeln!(out, "{name}: {value}");
            }
        }
        _ => {}
    }
    Some(out)
}

fn text<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    object.get(key)?.as_str()
}

fn allow(allow: bool) -> &'static str {
    if allow { "allow" } else { "deny " }
}

/// Names alone, or objects that have one.
fn list(out: &mut String, data: &Value, key: &str, name: &str) -> Option<()> {
    for one in data.get(key)?.as_array()? {
        if let Some(name) = one.as_str().or_else(|| text(one, name)) {
            let _ = writeln!(out, "{name}");
        }
    }
    Some(())
}

fn client(out: &mut String, client: &Value) -> Option<()> {
    let width = "Connections:".len();
    let _ = writeln!(out, "{:<width$} {}", "Username:", text(client, "username")?);
    match text(client, "clientid") {
        Some(id) => {
            let _ = writeln!(out, "{:<width$} {id}", "Clientid:");
        }
        None => out.push_str("Clientid:\n"),
    }
    if let Some(disabled) = client.get("disabled").and_then(Value::as_bool) {
        let _ = writeln!(out, "{:<width$} {disabled}", "Disabled:");
    }
    let list = |key| client.get(key).and_then(Value::as_array);
    members(out, "Roles:", width, list("roles"), "rolename", true);
    members(out, "Groups:", width, list("groups"), "groupname", true);
    let connections = list("connections");
    members(out, "Connections:", width, connections, "address", false);
    Some(())
}

fn group(out: &mut String, group: &Value) -> Option<()> {
    let _ = writeln!(out, "Groupname: {}", text(group, "groupname")?);
    let list = |key| group.get(key).and_then(Value::as_array);
    members(out, "Roles:", 10, list("roles"), "rolename", true);
    members(out, "Clients:", 10, list("clients"), "username", false);
    Some(())
}

/// A label, and a line each behind it.
fn members(
    out: &mut String,
    label: &str,
    width: usize,
    list: Option<&Vec<Value>>,
    name: &str,
    with_priority: bool,
) {
    let Some(list) = list else {
        let _ = writeln!(out, "{label}");
        return;
    };
    for (place, one) in list.iter().enumerate() {
        let label = if place == 0 { label } else { "" };
        let shown = one.as_str().or_else(|| text(one, name)).unwrap_or_default();
        let _ = write!(out, "{label:<width$} {shown}");
        if with_priority {
            let priority = one.get("priority").and_then(Value::as_i64).unwrap_or(-1);
            let _ = write!(out, " (priority: {priority})");
        }
        out.push('\n');
    }
}

fn role(out: &mut String, role: &Value) -> Option<()> {
    let _ = writeln!(out, "Rolename: {}", text(role, "rolename")?);
    for (place, acl) in role.get("acls")?.as_array()?.iter().enumerate() {
        let label = if place == 0 { "ACLs:" } else { "" };
        let _ = write!(out, "{label:<9} {:<20}", text(acl, "acltype")?);
        if let Some(given) = acl.get("allow").and_then(Value::as_bool) {
            let _ = write!(out, " : {}", allow(given));
        }
        if let Some(topic) = text(acl, "topic") {
            let _ = write!(out, " : {topic}");
        }
        let priority = acl.get("priority").and_then(Value::as_i64).unwrap_or(-1);
        let _ = writeln!(out, " (priority: {priority})");
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(command: &str, data: &str, expected: &str) {
        let data = serde_json::from_str(data).unwrap();
        assert_eq!(render(command, &data).as_deref(), Some(expected));
    }

    #[test]
    fn answers_look_as_mosquitto_ctrl_prints_them() {
        check(
            "listRoles",
            r#"{"roles":["admin",{"rolename":"r1"}]}"#,
            "admin\nr1\n",
        );
        check(
            "getClient",
            r#"{"client":{"username":"bob","roles":[{"rolename":"r1","priority":7}],"groups":[]}}"#,
            "Username:    bob\nClientid:\nRoles:       r1 (priority: 7)\nConnections:\n",
        );
        check(
            "getClient",
            r#"{"client":{"username":"bob","clientid":"cid","disabled":true,"roles":[],
                "groups":[{"groupname":"g1"},{"groupname":"g2","priority":3}],
                "connections":[{"address":"127.0.0.1"}]}}"#,
            "Username:    bob\nClientid:    cid\nDisabled:    true\n\
             Groups:      g1 (priority: -1)\n             g2 (priority: 3)\nConnections: 127.0.0.1\n",
        );
        check(
            "getGroup",
            r#"{"group":{"groupname":"g1","clients":[{"username":"bob"}],
                "roles":[{"rolename":"r1"}]}}"#,
            "Groupname: g1\nRoles:     r1 (priority: -1)\nClients:   bob\n",
        );
        check(
            "getRole",
            r#"{"role":{"rolename":"r1","acls":[
                {"acltype":"publishClientSend","topic":"a/#","priority":5,"allow":true},
                {"acltype":"subscribePattern","topic":"a/#","priority":0,"allow":false}]}}"#,
            "Rolename: r1\nACLs:     publishClientSend    : allow : a/# (priority: 5)\n          \
             subscribePattern     : deny  : a/# (priority: 0)\n",
        );
        check(
            "getDefaultACLAccess",
            r#"{"acls":[{"acltype":"publishClientSend","allow":false},
                {"acltype":"subscribe","allow":true}]}"#,
            "publishClientSend    : deny\nsubscribe            : allow\n",
        );
        check(
            "getAnonymousGroup",
            r#"{"group":{"groupname":"g1"}}"#,
            "g1\n",
        );
        check("deleteRole", "null", "");
    }

    #[test]
    fn an_answer_to_something_else_is_none() {
        assert_eq!(render("getClient", &Value::Null), None);
        assert_eq!(render("listRoles", &serde_json::json!({"roles": 5})), None);
    }
}
