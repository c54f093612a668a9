//! What dynamic security knows: clients, groups and roles, and its JSON, which is mosquitto's.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use crate::broker::access::rules::Actions;
use crate::daemon::auth::hash::Hash;
use crate::mqtt::topic;

/// A priority nobody gave.
pub(crate) const NONE: i64 = -1;

/// Names with their priorities, highest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ranked(Vec<(String, i64)>);

impl Ranked {
    /// False: it was there already.
    pub(crate) fn add(&mut self, name: &str, priority: i64) -> bool {
        if self.has(name) {
            return false;
        }
        let after = |row: &&(String, i64)| row.1 >= priority;
        let place = self.0.iter().take_while(after).count();
        self.0.insert(place, (name.to_owned(), priority));
        true
    }

    pub(crate) fn remove(&mut self, name: &str) -> bool {
        let before = self.0.len();
        self.0.retain(|(held, _)| held != name);
        self.0.len() < before
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(held, _)| held == name)
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }

    pub(crate) fn priority(&self, name: &str) -> Option<i64> {
        let row = self.0.iter().find(|(held, _)| held == name);
        row.map(|(_, priority)| *priority)
    }

    pub(crate) fn json(&self, key: &str) -> Value {
        let rows = self.0.iter();
        rows.map(|(name, priority)| ranked(key, name, *priority))
            .collect()
    }
}

pub(crate) fn ranked(key: &str, name: &str, priority: i64) -> Value {
    let mut row = json!({ key: name });
    if priority != NONE {
        row["priority"] = json!(priority);
    }
    row
}

/// What people call it, and say about it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Texts {
    pub(crate) name: Option<String>,
    pub(crate) description: Option<String>,
}

impl Texts {
    pub(crate) fn read(json: &Value) -> Self {
        let mut texts = Self::default();
        texts.change(json);
        texts
    }

    /// Takes what is there.
    pub(crate) fn change(&mut self, json: &Value) {
        let text = |key: &str| json.get(key).and_then(Value::as_str).map(str::to_owned);
        // mosquitto_ctrl's own first file spells it with a capital.
        if let Some(name) = text("textname").or_else(|| text("textName")) {
            self.name = Some(name);
        }
        if let Some(description) = text("textdescription") {
            self.description = Some(description);
        }
    }

    fn put(&self, into: &mut Value) {
        if let Some(name) = &self.name {
            into["textname"] = json!(name);
        }
        if let Some(description) = &self.description {
            into["textdescription"] = json!(description);
        }
    }
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Client {
    pub(crate) texts: Texts,
    pub(crate) client_id: Option<String>,
    pub(crate) disabled: bool,
    pub(crate) password: Option<Hash>,
    pub(crate) roles: Ranked,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Group {
    pub(crate) texts: Texts,
    pub(crate) roles: Ranked,
    /// The priority is the group's among the groups of that client.
    pub(crate) clients: Ranked,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Role {
    pub(crate) texts: Texts,
    pub(crate) wildcards_refused: bool,
    pub(crate) acls: Vec<Acl>,
}

/// A rule of a role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Acl {
    pub(crate) kind: &'static Kind,
    pub(crate) topic: String,
    pub(crate) priority: i64,
    pub(crate) allow: bool,
}

/// What a rule is about.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    pub(crate) action: Actions,
    pub(crate) literal: bool,
}

/// All kinds, in the order in which they are listed.
pub(crate) const KINDS: &[Kind] = &[
    kind("publishClientSend", Actions::PUBLISH, false),
    kind("publishClientReceive", Actions::RECEIVE, false),
    kind("subscribeLiteral", Actions::SUBSCRIBE, true),
    kind("subscribePattern", Actions::SUBSCRIBE, false),
    kind("unsubscribeLiteral", Actions::UNSUBSCRIBE, true),
    kind("unsubscribePattern", Actions::UNSUBSCRIBE, false),
];

const fn kind(name: &'static str, action: Actions, literal: bool) -> Kind {
    Kind {
        name,
        action,
        literal,
    }
}

/// What is allowed where no rule fits, each with its name.
pub(crate) const DEFAULTS: [(&str, Actions); 4] = [
    ("publishClientSend", Actions::PUBLISH),
    ("publishClientReceive", Actions::RECEIVE),
    ("subscribe", Actions::SUBSCRIBE),
    ("unsubscribe", Actions::UNSUBSCRIBE),
];

/// All of it.
#[derive(Clone, Debug)]
pub(crate) struct Model {
    pub(crate) clients: BTreeMap<String, Client>,
    pub(crate) groups: BTreeMap<String, Group>,
    pub(crate) roles: BTreeMap<String, Role>,
    pub(crate) anonymous_group: Option<String>,
    pub(crate) otherwise: Actions,
}

impl Default for Model {
    fn default() -> Self {
        Self {
            clients: BTreeMap::new(),
            groups: BTreeMap::new(),
            roles: BTreeMap::new(),
            anonymous_group: None,
            otherwise: Actions::RECEIVE | Actions::UNSUBSCRIBE,
        }
    }
}

impl Acl {
    pub(crate) fn kind(name: &str) -> Option<&'static Kind> {
        KINDS
            .iter()
            .find(|kind| kind.name.eq_ignore_ascii_case(name))
    }

    /// `None`: of no kind there is, or not about a Topic Filter.
    pub(crate) fn read(json: &Value) -> Option<Self> {
        let kind = Self::kind(json.get("acltype")?.as_str()?)?;
        let topic = json.get("topic")?.as_str()?;
        topic::check_filter(topic).ok()?;
        Some(Self {
            kind,
            topic: topic.to_owned(),
            priority: json.get("priority").and_then(Value::as_i64).unwrap_or(0),
            allow: json.get("allow").and_then(Value::as_bool).unwrap_or(false),
        })
    }

    pub(crate) fn json(&self) -> Value {
        json!({
            "acltype": self.kind.name,
            "topic": self.topic,
            "priority": self.priority,
            "allow": self.allow,
        })
    }
}

impl Role {
    /// Takes a rule in: of one kind the highest priority first. False: it is there already.
    pub(crate) fn add(&mut self, acl: Acl) -> bool {
        let same = |held: &Acl| held.kind == acl.kind && held.topic == acl.topic;
        if self.acls.iter().any(same) {
            return false;
        }
        let rank = |acl: &Acl| {
            let kind = KINDS.iter().position(|kind| kind == acl.kind);
            (kind, -acl.priority)
        };
        let place = self.acls.iter().take_while(|held| rank(held) <= rank(&acl));
        let place = place.count();
        self.acls.insert(place, acl);
        true
    }

    pub(crate) fn json(&self, name: &str) -> Value {
        let mut json = json!({ "rolename": name });
        self.texts.put(&mut json);
        if self.wildcards_refused {
            json["allowwildcardsubs"] = json!(false);
        }
        json["acls"] = self.acls.iter().map(Acl::json).collect();
        json
    }
}

impl Client {
    /// As it is told; the groups are known to them.
    pub(crate) fn json(&self, name: &str, groups: &BTreeMap<String, Group>) -> Value {
        let mut json = self.head(name);
        json["roles"] = self.roles.json("rolename");
        let mut mine = Ranked::default();
        for (group, members) in groups {
            if let Some(priority) = members.clients.priority(name) {
                mine.add(group, priority);
            }
        }
        json["groups"] = mine.json("groupname");
        json
    }

    fn head(&self, name: &str) -> Value {
        let mut json = json!({ "username": name });
        if let Some(id) = &self.client_id {
            json["clientid"] = json!(id);
        }
        self.texts.put(&mut json);
        if self.disabled {
            json["disabled"] = json!(true);
        }
        json
    }
}

impl Group {
    pub(crate) fn json(&self, name: &str) -> Value {
        let mut json = json!({ "groupname": name });
        self.texts.put(&mut json);
        let clients = self.clients.names().map(|name| json!({ "username": name }));
        json["clients"] = clients.collect();
        json["roles"] = self.roles.json("rolename");
        json
    }
}

impl Model {
    /// The file's text.
    pub(crate) fn text(&self) -> String {
        let defaults: Map<String, Value> = DEFAULTS
            .iter()
            .map(|(name, action)| ((*name).to_owned(), json!(self.otherwise.has(*action))))
            .collect();
        let clients = self.clients.iter().map(|(name, client)| {
            let mut json = client.head(name);
            json["roles"] = client.roles.json("rolename");
            if let Some(password) = &client.password {
                json["encoded_password"] = json!(password.to_string());
            }
            json
        });
        let groups = self.groups.iter().map(|(name, group)| {
            let mut json = json!({ "groupname": name });
            group.texts.put(&mut json);
            json["roles"] = group.roles.json("rolename");
            json["clients"] = group.clients.json("username");
            json
        });
        let roles = self.roles.iter().map(|(name, role)| role.json(name));
        let mut whole = json!({
            "defaultACLAccess": defaults,
            "clients": clients.collect::<Value>(),
            "groups": groups.collect::<Value>(),
        });
        if let Some(group) = &self.anonymous_group {
            whole["anonymousGroup"] = json!(group);
        }
        whole["roles"] = roles.collect();
        let mut text = serde_json::to_string_pretty(&whole).unwrap_or_default();
        text.push('\n');
        text
    }

    /// Reads the file's text. Names that lead nowhere are left out.
    pub(crate) fn read(text: &[u8]) -> Result<Self, String> {
        let json: Value = serde_json::from_slice(text).map_err(|error| error.to_string())?;
        if !json.is_object() {
            return Err("not a JSON object".to_owned());
        }
        let mut model = Self::default();
        if let Some(defaults) = json.get("defaultACLAccess") {
            for (name, action) in DEFAULTS {
                if let Some(allow) = defaults.get(name).and_then(Value::as_bool) {
                    model.allow_otherwise(action, allow);
                }
            }
        }
        for json in list(&json, "roles")? {
            let name = name_of(json, "rolename")?;
            let mut role = Role {
                texts: Texts::read(json),
                wildcards_refused: json.get("allowwildcardsubs") == Some(&Value::Bool(false)),
                acls: Vec::new(),
            };
            for acl in list(json, "acls")?.iter().filter_map(Acl::read) {
                role.add(acl);
            }
            model.roles.insert(name, role);
        }
        for json in list(&json, "clients")? {
            let name = name_of(json, "username")?;
            let password = password_of(json).map_err(|what| format!("client {name:?}: {what}"))?;
            let id = json.get("clientid").and_then(Value::as_str);
            let client = Client {
                texts: Texts::read(json),
                client_id: id.map(str::to_owned),
                disabled: json.get("disabled") == Some(&Value::Bool(true)),
                password,
                roles: ranked_in(json, "roles", "rolename", |name| {
                    model.roles.contains_key(name)
                }),
            };
            model.clients.insert(name, client);
        }
        for json in list(&json, "groups")? {
            let name = name_of(json, "groupname")?;
            let known = |name: &str| model.clients.contains_key(name);
            let group = Group {
                texts: Texts::read(json),
                roles: ranked_in(json, "roles", "rolename", |name| {
                    model.roles.contains_key(name)
                }),
                clients: ranked_in(json, "clients", "username", known),
            };
            model.groups.insert(name, group);
        }
        let group = json.get("anonymousGroup").and_then(Value::as_str);
        let group = group.filter(|group| model.groups.contains_key(*group));
        model.anonymous_group = group.map(str::to_owned);
        Ok(model)
    }

    pub(crate) fn allow_otherwise(&mut self, action: Actions, allow: bool) {
        self.otherwise = match allow {
            true => self.otherwise | action,
            false => self.otherwise.without(action),
        };
    }
}

fn list<'a>(json: &'a Value, key: &str) -> Result<&'a [Value], String> {
    match json.get(key) {
        None | Some(Value::Null) => Ok(&[]),
        Some(Value::Array(list)) => Ok(list),
        Some(_) => Err(format!("{key} is no array")),
    }
}

fn name_of(json: &Value, key: &str) -> Result<String, String> {
    let name = json.get(key).and_then(Value::as_str);
    name.map(str::to_owned)
        .ok_or_else(|| format!("an entry without {key}"))
}

fn ranked_in(json: &Value, key: &str, name: &str, known: impl Fn(&str) -> bool) -> Ranked {
    let mut ranked = Ranked::default();
    let rows = json.get(key).and_then(Value::as_array);
    for row in rows.into_iter().flatten() {
        if let Some(name) = row
            .get(name)
            .and_then(Value::as_str)
            .filter(|name| known(name))
        {
            let priority = row.get("priority").and_then(Value::as_i64);
            ranked.add(name, priority.unwrap_or(NONE));
        }
    }
    ranked
}

/// In one text since 2.1, in three parts before.
fn password_of(json: &Value) -> Result<Option<Hash>, &'static str> {
    if let Some(encoded) = json.get("encoded_password").and_then(Value::as_str) {
        return Hash::parse(encoded).map(Some);
    }
    let text = |key: &str| json.get(key).and_then(Value::as_str);
    let (Some(hash), Some(salt)) = (text("password"), text("salt")) else {
        return Ok(None);
    };
    // Only what decodes is put together, so that no part can pass for two.
    let decodes = |part: &str| STANDARD.decode(part).is_ok();
    if !decodes(hash) || !decodes(salt) {
        return Err("a password that is not base64");
    }
    let iterations = json.get("iterations").and_then(Value::as_u64).unwrap_or(0);
    Hash::parse(&format!("$7${iterations}${salt}${hash}")).map(Some)
}
