//! `ctrl dynsec …`: the clients, groups and roles of dynamic security, by mosquitto_ctrl's words.
//!
//! A command is a row: the words it takes become the members of a JSON object. How answers are
//! printed is in `dynsec_text.rs`.

use std::process::ExitCode;

use serde_json::{Map, Value, json};

use crate::cli::error::{Error, Kind};
use crate::cli::{Caller, Manner};
use crate::commands::ctrl::wire::{self, Answer};
use crate::commands::ctrl::{
    Errand, INVALID, Module, NO_COMMAND, dynsec_file, dynsec_text, password,
};
use crate::commands::terminal;
use crate::mqtt::Reason;

pub(crate) const MODULE: Module = Module {
    name: "dynsec",
    about: "clients, groups and roles of dynamic security",
    usage,
    run,
};

const TOPIC: &str = "dynamic-security/v1";

/// One command.
struct Row {
    name: &'static str,
    /// What stands behind it, in order; a member of the object each.
    words: &'static [Word],
    about: &'static str,
}

/// A word behind a command.
enum Word {
    /// A name of this kind.
    Name(&'static str),
    /// A whole number that may be missing.
    Number(&'static str),
    /// A text that may be missing.
    Rest(&'static str),
    /// `allow` or `deny`.
    Allow,
    /// `-i CLIENTID` and `-p PASSWORD`, in any order.
    ClientOptions,
    /// A password, asked for where it is missing.
    Password,
    /// The one default that is set: type and access.
    Default,
}

use Word::{Allow, ClientOptions, Default as DefaultAccess, Name, Number, Password, Rest};

const fn row(name: &'static str, words: &'static [Word], about: &'static str) -> Row {
    Row { name, words, about }
}

const USER: Word = Name("username");
const GROUP: Word = Name("groupname");
const ROLE: Word = Name("rolename");
const TYPE: Word = Name("acltype");
const TOPIC_WORD: Word = Name("topic");
const PRIORITY: Word = Number("priority");
const COUNT: Word = Number("count");
const OFFSET: Word = Number("offset");

const ROWS: &[Row] = &[
    row(
        "getDefaultACLAccess",
        &[],
        "what is allowed where no rule fits",
    ),
    row(
        "setDefaultACLAccess",
        &[DefaultAccess],
        "sets that, for one kind of access",
    ),
    row(
        "getAnonymousGroup",
        &[],
        "the group of clients without a user name",
    ),
    row("setAnonymousGroup", &[GROUP], "sets that"),
    row("createClient", &[USER, ClientOptions], "a new client"),
    row("deleteClient", &[USER], "takes a client out"),
    row("setClientPassword", &[USER, Password], "a new password"),
    row(
        "setClientId",
        &[USER, Rest("clientid")],
        "ties a client to a Client Identifier, or unties it",
    ),
    row(
        "addClientRole",
        &[USER, ROLE, PRIORITY],
        "gives a client a role; higher priorities are asked first",
    ),
    row("removeClientRole", &[USER, ROLE], "takes it away"),
    row("getClient", &[USER], "all about a client"),
    row("listClients", &[COUNT, OFFSET], "their user names"),
    row("enableClient", &[USER], "lets a client in again"),
    row("disableClient", &[USER], "keeps a client out"),
    row("createGroup", &[GROUP], "a new group"),
    row("deleteGroup", &[GROUP], "takes a group out"),
    row(
        "addGroupRole",
        &[GROUP, ROLE, PRIORITY],
        "gives a group a role",
    ),
    row("removeGroupRole", &[GROUP, ROLE], "takes it away"),
    row(
        "addGroupClient",
        &[GROUP, USER, PRIORITY],
        "puts a client into a group",
    ),
    row("removeGroupClient", &[GROUP, USER], "takes it out"),
    row("getGroup", &[GROUP], "all about a group"),
    row("listGroups", &[COUNT, OFFSET], "their names"),
    row("createRole", &[ROLE], "a new role"),
    row("deleteRole", &[ROLE], "takes a role out"),
    row(
        "addRoleACL",
        &[ROLE, TYPE, TOPIC_WORD, Allow, PRIORITY],
        "a rule for a role",
    ),
    row("removeRoleACL", &[ROLE, TYPE, TOPIC_WORD], "takes it out"),
    row("getRole", &[ROLE], "all about a role"),
    row("listRoles", &[COUNT, OFFSET], "their names"),
    row(
        "getDetails",
        &[],
        "how many clients, groups and roles there are",
    ),
];

/// Kinds of rules.
const TYPES: [&str; 6] = [
    "publishClientSend",
    "publishClientReceive",
    "subscribeLiteral",
    "subscribePattern",
    "unsubscribeLiteral",
    "unsubscribePattern",
];
const DEFAULT_TYPES: [&str; 4] = [
    "publishClientSend",
    "publishClientReceive",
    "subscribe",
    "unsubscribe",
];

fn run(errand: &Errand<'_>) -> Result<ExitCode, Error> {
    let [name, words @ ..] = errand.words else {
        return Ok(errand.refuse(INVALID, WRONG_WORDS));
    };
    if name == "init" {
        return dynsec_file::init(errand, words);
    }
    if let Some(file) = &errand.args.file {
        return match name.eq_ignore_ascii_case("setClientPassword") {
            true => dynsec_file::set_password(errand, file, words),
            false => Ok(errand.refuse(INVALID, "Error: -f goes with setClientPassword only.")),
        };
    }
    let Some(row) = ROWS.iter().find(|row| row.name.eq_ignore_ascii_case(name)) else {
        let sentence = format!("Command '{name}' not recognised.");
        return Ok(errand.refuse(NO_COMMAND, &sentence));
    };
    let Some(mut command) = read(errand, row, words)? else {
        return Ok(errand.refuse(INVALID, WRONG_WORDS));
    };
    command.insert("command".to_owned(), json!(row.name));
    let answer = wire::ask(errand, TOPIC, Value::Object(command));
    let answer = answer.map_err(|error| match error.kind {
        Kind::Reason(code) if Reason(code) == Reason::NOT_AUTHORIZED => error.hint(NEEDED),
        _ => error,
    });
    Ok(match answer? {
        Answer::Done(data) => match dynsec_text::render(row.name, &data) {
            Some(text) => terminal::print_out(&text),
            None => errand.refuse(INVALID, "Error: Invalid response from server."),
        },
        Answer::Refused(why) => {
            errand.refused(row.name, &why, None);
            // mosquitto_ctrl ends well all the same.
            match errand.caller.manner {
                Manner::Mosquitto => ExitCode::SUCCESS,
                Manner::Mqttx => ExitCode::FAILURE,
            }
        }
    })
}

/// Without it the broker knows no such topic.
const NEEDED: &str = "mqttx broker --dynsec FILE, and -u and -P of one who may administrate it";

const WRONG_WORDS: &str = "Error: Invalid input.";

/// The members that the words stand for. None: they are not what the row takes.
fn read(
    errand: &Errand<'_>,
    row: &Row,
    words: &[String],
) -> Result<Option<Map<String, Value>>, Error> {
    let mut members = Map::new();
    let mut words = words.iter();
    for kind in row.words {
        let read = match kind {
            Name(key) => put_word(&mut members, key, words.next(), |word| Some(json!(word))),
            Number(key) => match words.next() {
                None => Some(()),
                word => put_word(&mut members, key, word, |word| {
                    Some(json!(word.parse::<i64>().ok()?))
                }),
            },
            Rest(key) => put_word(
                &mut members,
                key,
                Some(words.next().map_or("", |w| w)),
                |word| Some(json!(word)),
            ),
            Allow => put_word(&mut members, "allow", words.next(), |word| {
                Some(json!(allowed(word)?))
            }),
            ClientOptions => client_options(errand, &mut members, &mut words)?,
            Password => {
                let typed = words.next().cloned();
                let word = match typed {
                    Some(word) => Some(word),
                    None => password::ask_twice(errand.caller)?,
                };
                put_word(&mut members, "password", word.as_ref(), |word| {
                    Some(json!(word))
                })
            }
            DefaultAccess => default_access(&mut members, words.next(), words.next()),
        };
        if read.is_none() {
            return Ok(None);
        }
    }
    let known = members.get("acltype").and_then(Value::as_str);
    let known = known.is_none_or(|known| TYPES.iter().any(|one| one.eq_ignore_ascii_case(known)));
    Ok((words.next().is_none() && known).then_some(members))
}

fn put_word(
    members: &mut Map<String, Value>,
    key: &str,
    word: Option<impl AsRef<str>>,
    read: impl Fn(&str) -> Option<Value>,
) -> Option<()> {
    members.insert(key.to_owned(), read(word?.as_ref())?);
    Some(())
}

fn allowed(word: &str) -> Option<bool> {
    match word {
        word if word.eq_ignore_ascii_case("allow") => Some(true),
        word if word.eq_ignore_ascii_case("deny") => Some(false),
        _ => None,
    }
}

fn client_options<'a>(
    errand: &Errand<'_>,
    members: &mut Map<String, Value>,
    words: &mut impl Iterator<Item = &'a String>,
) -> Result<Option<()>, Error> {
    while let Some(word) = words.next() {
        let key = match word.as_str() {
            "-i" | "-c" => "clientid",
            "-p" => "password",
            _ => return Ok(None),
        };
        let Some(value) = words.next() else {
            return Ok(None);
        };
        members.insert(key.to_owned(), json!(value));
    }
    if !members.contains_key("password")
        && let Some(typed) = password::ask_twice(errand.caller)?
    {
        members.insert("password".to_owned(), json!(typed));
    }
    Ok(Some(()))
}

fn default_access(
    members: &mut Map<String, Value>,
    kind: Option<&String>,
    access: Option<&String>,
) -> Option<()> {
    let kind = kind?;
    let mut known = DEFAULT_TYPES.iter();
    let kind = known.find(|one| one.eq_ignore_ascii_case(kind))?;
    let allow = allowed(access?)?;
    let acls = json!([{ "acltype": kind, "allow": allow }]);
    members.insert("acls".to_owned(), acls);
    Some(())
}

fn usage(caller: Caller) -> String {
    let mut out = String::from("Clients, groups and roles of dynamic security.\n\nCommands:\n");
    out += "  init FILE USERNAME [PASSWORD]\n      a new file with an administrator; no broker is asked\n";
    for row in ROWS {
        let words: Vec<String> = row.words.iter().map(shown).collect();
        let line = format!("  {} {}", row.name, words.join(" "));
        out += &format!("{}\n      {}\n", line.trim_end(), row.about);
    }
    out += &format!("\nACLTYPE is one of {},\n", TYPES[..3].join(", "));
    out += &format!("  {}.\n", TYPES[3..].join(", "));
    let (name, module) = (caller.name(), MODULE.name);
    out += &format!(
        "\nExample:\n  {name} -u admin {module} addRoleACL door publishClientSend 'door/#' allow\n"
    );
    out
}

fn shown(word: &Word) -> String {
    match word {
        Name(key) => key.to_uppercase(),
        Number(key) | Rest(key) => format!("[{}]", key.to_uppercase()),
        Allow => "allow|deny".to_owned(),
        ClientOptions => "[-i CLIENTID] [-p PASSWORD]".to_owned(),
        Password => "[PASSWORD]".to_owned(),
        DefaultAccess => format!("{} allow|deny", DEFAULT_TYPES.join("|")),
    }
}
