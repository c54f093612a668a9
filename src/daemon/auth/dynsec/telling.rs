//! Commands of dynamic security in the words of mosquitto's log: which, about what. Passwords are
//! not among them.

use serde_json::Value;

/// What the line about a command says besides its name.
const ROWS: &[(&str, &[&str])] = &[
    ("getDefaultACLAccess", &[]),
    ("getDetails", &[]),
    ("createClient", &["username", "password"]),
    ("deleteClient", &["username"]),
    ("getClient", &["username"]),
    ("listClients", LIST),
    ("modifyClient", &["username"]),
    ("setClientPassword", &["username", "password"]),
    ("setClientId", &["username", "clientid"]),
    ("addClientRole", &["username", "rolename", "priority"]),
    ("removeClientRole", &["username", "rolename"]),
    ("enableClient", &["username"]),
    ("disableClient", &["username"]),
    ("createGroup", &["groupname"]),
    ("deleteGroup", &["groupname"]),
    ("getGroup", &["groupname"]),
    ("listGroups", LIST),
    ("modifyGroup", &["groupname"]),
    ("addGroupClient", &["groupname", "username", "priority"]),
    ("removeGroupClient", &["groupname", "username"]),
    ("addGroupRole", &["groupname", "rolename", "priority"]),
    ("removeGroupRole", &["groupname", "rolename"]),
    ("setAnonymousGroup", &["groupname"]),
    ("getAnonymousGroup", &[]),
    ("createRole", &["rolename"]),
    ("deleteRole", &["rolename"]),
    ("getRole", &["rolename"]),
    ("listRoles", LIST),
    ("modifyRole", &["rolename"]),
    ("addRoleACL", ACL),
    ("removeRoleACL", &["rolename", "acltype", "topic"]),
];

const LIST: &[&str] = &["verbose", "count", "offset"];

const ACL: &[&str] = &["rolename", "acltype", "topic", "priority", "allow"];

/// The lines about a command that was carried out, but for who gave it.
pub(crate) fn lines(command: &str, json: &Value) -> Vec<String> {
    if command.eq_ignore_ascii_case("setDefaultACLAccess") {
        let acls = json.get("acls").and_then(Value::as_array);
        let line = |acl| line("setDefaultACLAccess", &["acltype", "allow"], acl);
        return acls.into_iter().flatten().map(line).collect();
    }
    let mut rows = ROWS.iter();
    let row = rows.find(|(name, _)| name.eq_ignore_ascii_case(command));
    row.map(|(name, members)| line(name, members, json))
        .into_iter()
        .collect()
}

fn line(name: &str, members: &[&str], json: &Value) -> String {
    let mut line = name.to_owned();
    for &member in members {
        let value = match (member, json.get(member)) {
            ("password", Some(_)) => "******".to_owned(),
            ("verbose", value) => (value == Some(&Value::Bool(true))).to_string(),
            (_, Some(Value::String(text))) => text.clone(),
            (_, Some(value)) => value.to_string(),
            ("count", None) => "-1".to_owned(),
            ("offset", None) => "0".to_owned(),
            ("priority", None) => if members == ACL { "0" } else { "-1" }.to_owned(),
            (_, None) => continue,
        };
        line.push_str(&format!(" | {member}={value}"));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_line_says_what_a_command_is_about() {
        let check = |command: &str, json: Value, expected: &[&str]| {
            assert_eq!(lines(command, &json), expected);
        };
        check(
            "CREATEclient",
            json!({"username": "bob", "password": "tiger"}),
            &["createClient | username=bob | password=******"],
        );
        check(
            "listRoles",
            json!({}),
            &["listRoles | verbose=false | count=-1 | offset=0"],
        );
        check(
            "addRoleACL",
            json!({"rolename": "r", "acltype": "subscribePattern", "topic": "#", "allow": false}),
            &[
                "addRoleACL | rolename=r | acltype=subscribePattern | topic=# | priority=0 | allow=false",
            ],
        );
        check(
            "setDefaultACLAccess",
            json!({"acls": [{"acltype": "subscribe", "allow": true}]}),
            &["setDefaultACLAccess | acltype=subscribe | allow=true"],
        );
    }
}
