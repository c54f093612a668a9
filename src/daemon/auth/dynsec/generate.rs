//! Files to begin with: the one of `ctrl dynsec init`, with an administrator only, and the one that
//! a broker makes whose file is not there, with users and roles as mosquitto 2.1 has them.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::daemon::auth::dynsec::members::hashed;
use crate::daemon::auth::dynsec::model::{Client, Model};
use crate::daemon::auth::dynsec::{Files, replace};
use crate::daemon::auth::hash::Hash;
use crate::net::system_words;

/// Its own topics.
const OWN: &str = "$CONTROL/dynamic-security/#";

/// Characters of a password made up here.
const PASSWORD_LEN: usize = 20;
const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// A password of the environment may not be shorter.
const ENVIRONMENT_MIN: usize = 12;

/// The text of a file with one administrator, who may do nothing but administrate and look.
pub fn file_of_admin(user: &str, password: &str) -> Result<String, String> {
    first_file(user, hashed(password)?)
}

/// The text of a file in which this client has another password.
pub fn with_password(text: &[u8], user: &str, password: &str) -> Result<String, String> {
    let mut model = Model::read(text)?;
    if !model.clients.contains_key(user) {
        return Err(format!("there is no client {user:?}"));
    }
    set_password(&mut model, user, hashed(password)?);
    Ok(model.text())
}

pub(super) fn first_file(user: &str, password: Hash) -> Result<String, String> {
    let acl = |kind: &str, topic: &str| json!({ "acltype": kind, "topic": topic, "allow": true });
    let own = OWN;
    let role = json!({
        "rolename": "admin",
        "acls": [
            acl("publishClientSend", own),
            acl("publishClientReceive", own),
            acl("publishClientReceive", "$SYS/#"),
            acl("publishClientReceive", "#"),
            acl("subscribePattern", own),
            acl("subscribePattern", "$SYS/#"),
            acl("subscribePattern", "#"),
            acl("unsubscribePattern", "#"),
        ],
    });
    let admin = json!({
        "username": user,
        "textname": "Dynsec admin user",
        "roles": [{ "rolename": "admin" }],
    });
    let mut model = read(&json!({ "roles": [role], "clients": [admin] }))?;
    set_password(&mut model, user, password);
    Ok(model.text())
}

fn read(json: &Value) -> Result<Model, String> {
    Model::read(json.to_string().as_bytes())
}

fn set_password(model: &mut Model, user: &str, password: Hash) {
    let client: &mut Client = model.clients.entry(user.to_owned()).or_default();
    client.password = Some(password);
}

/// Makes the file. The lines are for the log.
pub(crate) fn generate(files: &Files, environment: Option<&str>) -> Result<Vec<String>, String> {
    let shown = files.config.display();
    let mut told =
        vec!["Dynamic security plugin config not found, generating a default config.".to_owned()];
    let given = match (&files.password_init, environment) {
        (Some(file), _) => {
            let file = file.display();
            told.push(format!("  Using admin password from file '{file}'"));
            Some(of_file(files)?)
        }
        (None, Some(password)) if password.len() < ENVIRONMENT_MIN => {
            return Err(format!(
                "MOSQUITTO_DYNSEC_PASSWORD must be at least {ENVIRONMENT_MIN} characters"
            ));
        }
        (None, Some(password)) => {
            let name = "MOSQUITTO_DYNSEC_PASSWORD";
            told.push(format!(
                "  Using admin password from {name} environment variable"
            ));
            Some(password.to_owned())
        }
        (None, None) => None,
    };
    let mut model = read(&default_config(given.is_none()))?;
    let mut listed = String::new();
    let users: Vec<String> = model.clients.keys().cloned().collect();
    for user in users {
        let password = match &given {
            Some(password) => password.clone(),
            None => made_up()?,
        };
        listed += &format!("{user} {password}\n");
        let hash = hashed(&password)?;
        set_password(&mut model, &user, hash);
    }
    if given.is_none() {
        let mut path = files.config.as_os_str().to_owned();
        path.push(".pw");
        let path = PathBuf::from(path);
        let list = path.display();
        replace(&path, listed.as_bytes())
            .map_err(|error| format!("cannot write {list}: {}", system_words(&error)))?;
        told.push(format!("  Generated passwords are at {list}"));
    }
    replace(&files.config, model.text().as_bytes())
        .map_err(|error| format!("cannot write {shown}: {}", system_words(&error)))?;
    Ok(told)
}

fn of_file(files: &Files) -> Result<String, String> {
    let Some(path) = &files.password_init else {
        return Ok(String::new());
    };
    let shown = path.display();
    let unusable = |what: &str| format!("Unable to get initial password from '{shown}', {what}.");
    let text = std::fs::read_to_string(path).map_err(|_| unusable("file not accessible"))?;
    match text.lines().next().map(str::trim_end) {
        None => Err(unusable("file empty")),
        Some("") => Err(unusable("password is empty")),
        Some(password) => Ok(password.to_owned()),
    }
}

fn made_up() -> Result<String, String> {
    let mut bytes = [0; PASSWORD_LEN];
    getrandom::fill(&mut bytes).map_err(|error| format!("no random bytes: {error}"))?;
    let letter = |byte: &u8| char::from(LETTERS[usize::from(byte % 64)]);
    Ok(bytes.iter().map(letter).collect())
}

fn default_config(with_demo: bool) -> Value {
    let rule = |kind: &str, topic: &str| json!({ "acltype": kind, "topic": topic, "allow": true });
    let role = |name: &str, about: &str, acls: Vec<Value>| {
        let (name, about) = (json!(name), json!(about));
        json!({ "rolename": name, "textdescription": about, "acls": acls })
    };
    let see = |topic: &str| {
        vec![
            rule("publishClientReceive", topic),
            rule("subscribePattern", topic),
        ]
    };
    let all = |topic: &str| {
        let mut rules = see(topic);
        rules.insert(0, rule("publishClientSend", topic));
        rules.push(rule("unsubscribePattern", topic));
        rules
    };
    let mut look = see("#");
    look.push(rule("unsubscribePattern", "#"));
    let state = vec![rule("publishClientSend", "$SYS/broker/connection/%c/state")];
    let mut clients = vec![json!({
        "username": "admin",
        "textname": "Administrator",
        "roles": [
            { "rolename": "super-admin" },
            { "rolename": "sys-observe" },
            { "rolename": "topic-observe" },
        ],
    })];
    if with_demo {
        clients.push(json!({
            "username": "democlient",
            "textname": "May read and write all topics of applications",
            "roles": [{ "rolename": "client" }],
        }));
    }
    json!({
        "clients": clients,
        "groups": [{
            "groupname": "unauthenticated",
            "textname": "Clients without a user name",
        }],
        "anonymousGroup": "unauthenticated",
        "roles": [
            role("client", "Reads and writes all topics of applications", all("#")),
            role("broker-admin", "Administrates the broker", all("$CONTROL/broker/#")),
            role("dynsec-admin", "Administrates clients, groups and roles", all(OWN)),
            role("super-admin", "Administrates everything", all("$CONTROL/#")),
            role("sys-notify", "Bridges tell the state of their connection", state),
            role("sys-observe", "Reads the broker's own topics", see("$SYS/#")),
            role("topic-observe", "Reads all topics of applications", look),
        ],
    })
}
