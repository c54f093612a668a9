//! `ctrl clients`, `kick` and their neighbours, and `ctrl broker listListeners` as mosquitto_ctrl
//! has it: what a running broker tells of itself on `$CONTROL/broker/v1`. The words are rows of
//! `cli::operator`; how answers look is in `broker_text.rs`.

use std::process::ExitCode;

use serde_json::{Value, json};

use crate::cli::Caller;
use crate::cli::Manner;
use crate::cli::error::{Error, Kind};
use crate::cli::operator::{self, Wanted};
use crate::commands::ctrl::wire::{self, Answer};
use crate::commands::ctrl::{Errand, INVALID, Module, NO_COMMAND, broker_text};
use crate::commands::terminal;
use crate::mqtt::Reason;

pub(crate) const MODULE: Module = Module {
    name: "broker",
    about: "clients, sessions, subscriptions, retained messages, listeners",
    usage,
    run,
};

const TOPIC: &str = "broker/v1";

/// Rows asked for at a time.
const COUNT: usize = 1_000;

/// How somebody is let in.
const RIGHTS: &str = "`topic readwrite $CONTROL/broker/#` in the ACL file, or the role broker-admin \
                      of dynamic security";

/// The broker's own word for what it does not let this client do.
const NOT_ALLOWED: &str = "Not allowed";

/// And for a client that is not there.
const NOT_FOUND: &str = "Client not found";

fn usage(caller: Caller) -> String {
    let mut out = String::from("What a running broker tells of itself.\n");
    out += &operator::help();
    out +=
        "\nmosquitto_ctrl's words: listPlugins, listListeners; after `broker` the others by the\n";
    out += "names of their commands, too:";
    for word in operator::WORDS {
        out += &format!(" {}", word.command);
    }
    let name = caller.name();
    out += &format!("\n\nExample:\n  {name} {} listListeners\n", MODULE.name);
    out
}

/// `broker COMMAND …`
fn run(errand: &Errand<'_>) -> Result<ExitCode, Error> {
    let [name, rest @ ..] = errand.words else {
        return Ok(errand.refuse(INVALID, "Error: Invalid input."));
    };
    let Some(word) = operator::find(name) else {
        let sentence = format!("Command '{name}' not recognised.");
        return Ok(errand.refuse(NO_COMMAND, &sentence));
    };
    let wanted = match word.read(rest) {
        Ok(wanted) => wanted,
        Err(what) => return Ok(errand.refuse(INVALID, &format!("Error: {what}."))),
    };
    let theirs = ["listListeners", "listPlugins"].contains(&word.command);
    if theirs && !wanted.json {
        return Ok(match ask(errand, json!({ "command": word.command }))? {
            Answer::Done(data) => match broker_text::as_mosquitto(word.command, &data) {
                Some(text) => terminal::print_out(&text),
                None => errand.refuse(INVALID, "Error: Invalid response from server."),
            },
            Answer::Refused(why) => refused(errand, word.command, &why),
        });
    }
    carry_out(errand, &wanted)
}

/// A word of `cli::operator` and what stands behind it.
pub(crate) fn carry_out(errand: &Errand<'_>, wanted: &Wanted) -> Result<ExitCode, Error> {
    let command = wanted.word.command;
    match command {
        "kickClient" => kick(errand, wanted),
        "listRetained" if wanted.delete.is_some() => delete(errand, wanted),
        "listClients" if !wanted.operands.is_empty() => each_client(errand, wanted),
        "listSubscriptions" if !wanted.operands.is_empty() => {
            let mut worst = ExitCode::SUCCESS;
            for id in &wanted.operands {
                let asked = json!({ "command": command, "clientid": id });
                if list(errand, wanted, asked)? != ExitCode::SUCCESS {
                    worst = ExitCode::FAILURE;
                }
            }
            Ok(worst)
        }
        "listRetained" => {
            let filter = wanted.operands.first().map_or("#", |filter| filter);
            list(
                errand,
                wanted,
                json!({ "command": command, "topic": filter }),
            )
        }
        "getStats" => Ok(match ask(errand, json!({ "command": command }))? {
            Answer::Done(data) if wanted.json => terminal::print_out(&format!("{data}\n")),
            Answer::Done(data) => terminal::print_out(&broker_text::stats(&data)),
            Answer::Refused(why) => refused(errand, command, &why),
        }),
        _ => list(errand, wanted, json!({ "command": command })),
    }
}

/// Asks, and says what helps where nobody answers there or not everything.
fn ask(errand: &Errand<'_>, command: Value) -> Result<Answer, Error> {
    let answer = wire::ask(errand, TOPIC, command);
    answer.map_err(|error| match error.kind {
        Kind::Reason(code) if Reason(code) == Reason::NOT_AUTHORIZED => error.hint(format!(
            "enable_control_api true in the broker's file, and rights: {RIGHTS}"
        )),
        _ => error,
    })
}

fn refused(errand: &Errand<'_>, about: &str, why: &str) -> ExitCode {
    let remedy = match why {
        _ if why.starts_with(NOT_ALLOWED) => Some(format!("on the broker's machine, or {RIGHTS}")),
        // mosquitto_ctrl has no such command.
        NOT_FOUND if errand.caller.manner == Manner::Mqttx => Some("mqttx ctrl clients".to_owned()),
        _ => None,
    };
    errand.refused(about, why, remedy.as_deref());
    ExitCode::FAILURE
}

/// Every page of a list.
fn list(errand: &Errand<'_>, wanted: &Wanted, mut asked: Value) -> Result<ExitCode, Error> {
    let command = wanted.word.command;
    asked["count"] = json!(COUNT);
    let mut table = broker_text::Table::of(command, wanted.json);
    loop {
        let mut data = match ask(errand, asked.clone())? {
            Answer::Done(data) => data,
            Answer::Refused(why) => return Ok(refused(errand, command, &why)),
        };
        let rows = data[table.key()].take();
        let Value::Array(rows) = rows else {
            return Ok(errand.refuse(INVALID, "Error: Invalid response from server."));
        };
        // A terminal's table is as wide as its widest row, of those that come together.
        let printed = terminal::print_out(&table.render(&rows));
        match data.get("next") {
            Some(next) if printed == ExitCode::SUCCESS => asked["after"] = next.clone(),
            _ => return Ok(printed),
        }
    }
}

fn each_client(errand: &Errand<'_>, wanted: &Wanted) -> Result<ExitCode, Error> {
    let mut worst = ExitCode::SUCCESS;
    for id in &wanted.operands {
        let asked = json!({ "command": "getClient", "clientid": id });
        let ended = match ask(errand, asked)? {
            Answer::Done(data) if wanted.json => {
                terminal::print_out(&format!("{}\n", data["client"]))
            }
            Answer::Done(data) => terminal::print_out(&broker_text::client(&data["client"])),
            Answer::Refused(why) => refused(errand, id, &why),
        };
        if ended != ExitCode::SUCCESS {
            worst = ended;
        }
    }
    Ok(worst)
}

fn kick(errand: &Errand<'_>, wanted: &Wanted) -> Result<ExitCode, Error> {
    let users = wanted.user.iter().map(|user| ("username", user));
    let ids = wanted.operands.iter().map(|id| ("clientid", id));
    let mut worst = ExitCode::SUCCESS;
    for (key, name) in users.chain(ids) {
        let asked = json!({ "command": "kickClient", key: name });
        let ended = match ask(errand, asked)? {
            Answer::Done(data) if wanted.json => terminal::print_out(&format!("{data}\n")),
            Answer::Done(data) => {
                let count = data["disconnected"].as_u64().unwrap_or(0);
                let many = if count == 1 { "" } else { "s" };
                terminal::print_out(&format!("{count} connection{many} ended\n"))
            }
            Answer::Refused(why) => refused(errand, name, &why),
        };
        if ended != ExitCode::SUCCESS {
            worst = ended;
        }
    }
    Ok(worst)
}

fn delete(errand: &Errand<'_>, wanted: &Wanted) -> Result<ExitCode, Error> {
    let asked = json!({ "command": "deleteRetained", "topic": wanted.delete });
    Ok(match ask(errand, asked)? {
        Answer::Done(data) if wanted.json => terminal::print_out(&format!("{data}\n")),
        Answer::Done(data) => {
            let count = data["deleted"].as_u64().unwrap_or(0);
            let many = if count == 1 { "" } else { "s" };
            terminal::print_out(&format!("{count} retained message{many} deleted\n"))
        }
        Answer::Refused(why) => refused(errand, "deleteRetained", &why),
    })
}
