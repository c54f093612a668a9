//! `$CONTROL/broker/v1`: who is connected, what they are subscribed to, what is retained, and away
//! with it. Commands and answers are JSON in the form of dynamic security's,
//! `{"commands": [{"command": …}]}` and `{"responses": […]}`; an answer goes to whoever asked.
//!
//! mosquitto's own two commands are for everybody who may publish there. The others need rules that
//! say so, an ACL file or dynamic security, or a client on this very machine: without rules a
//! stranger could send everybody away. They are carried out on a thread of their own, which asks
//! the workers for a page at a time, so that nobody's messages wait for a long list.

mod commands;
pub(crate) mod form;
mod rows;

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::time::Instant;

use serde_json::Value;

use crate::broker::Control;
use crate::broker::Shared;
use crate::daemon::conf::{Conf, Plugin};
use crate::daemon::control::commands::{COMMANDS, Command, For, Kick, Order};
use crate::daemon::control::form::Reply;
use crate::daemon::log::Log;
use crate::daemon::socket::From;
use crate::daemon::workers::Workers;
use crate::mqtt::QoS;
use crate::mqtt::Reason;
use crate::mqtt::message::Message;
use crate::mqtt::property::Properties;
use crate::mqtt::publish::Publish;

/// Where commands come in.
pub const TOPIC: &str = "$CONTROL/broker/v1";

/// Messages that wait for the thread; those beyond it are lost, and the log tells.
const TASKS_MAX: usize = 256;

/// Commands of one message; more are not looked at.
const COMMANDS_MAX: usize = 1_000;

/// Bytes of answers to one message; commands beyond it are not carried out.
const ANSWER_MAX: usize = 16_777_216;

enum Task {
    /// From a client of this worker, connected from there.
    Command(usize, From, Control),
    Renew(Vec<Plugin>),
}

/// The way to the thread; cheap to clone.
#[derive(Clone)]
pub(crate) struct Controller(SyncSender<Task>);

impl Controller {
    /// Starts the thread.
    pub(crate) fn start(
        conf: &Conf,
        workers: Workers,
        shared: Arc<Shared>,
        log: Log,
    ) -> io::Result<Self> {
        let (tasks, inbox) = mpsc::sync_channel(TASKS_MAX);
        let desk = Desk {
            workers,
            shared,
            plugins: conf.plugins.clone(),
            log,
        };
        std::thread::Builder::new()
            .name("control".to_owned())
            .spawn(move || desk.run(&inbox))?;
        Ok(Self(tasks))
    }

    /// Hands a message on. False: there is too much to do.
    pub(crate) fn command(&self, worker: usize, from: From, control: Control) -> bool {
        let task = Task::Command(worker, from, control);
        self.0.try_send(task).is_ok()
    }

    /// The configuration was read again.
    pub(crate) fn renew(&self, conf: &Conf) {
        // It listens as long as there is a way to it.
        let _ = self.0.send(Task::Renew(conf.plugins.clone()));
    }
}

/// What commands are carried out with.
pub(crate) struct Desk {
    pub(crate) workers: Workers,
    pub(crate) shared: Arc<Shared>,
    pub(crate) plugins: Vec<Plugin>,
    log: Log,
}

impl Desk {
    fn run(mut self, inbox: &Receiver<Task>) {
        for task in inbox {
            match task {
                Task::Command(worker, from, control) => self.obey(worker, from, &control),
                Task::Renew(plugins) => self.plugins = plugins,
            }
        }
    }

    fn obey(&self, worker: usize, from: From, control: &Control) {
        let mut kicks = Vec::new();
        let may = control.granted || from.is_local();
        let answer = form::answer(&control.payload, COMMANDS_MAX, ANSWER_MAX, |name, json| {
            self.one(name, json, may, control, &mut kicks)
        });
        let connection = control.connection;
        self.workers.tell(worker, move |worker| {
            let now = worker.now;
            worker.broker.reply(connection, &message(&answer), now);
        });
        // After the answer: who sends itself away is to have it.
        self.kick(kicks);
    }

    fn one(
        &self,
        name: &str,
        json: &Value,
        may: bool,
        control: &Control,
        kicks: &mut Vec<Kick>,
    ) -> Reply {
        let mut order = Order {
            desk: self,
            json,
            now: Instant::now(),
            kicks: Vec::new(),
        };
        let known = COMMANDS.iter().find(|row| row.is_called(name));
        let reply = match known {
            None => Err("Unknown command".to_owned()),
            Some(row) if !may && row.meant_for != For::Everybody => Err(NOT_ALLOWED.to_owned()),
            Some(row) => (row.obey)(&mut order),
        };
        if let (Some(row), Ok(_)) = (known, &reply) {
            self.tell(row, json, control);
        }
        kicks.append(&mut order.kicks);
        reply
    }

    /// Who changed what, for the log.
    fn tell(&self, row: &Command, json: &Value, control: &Control) {
        if row.meant_for != For::Changes {
            return;
        }
        let id = &*control.client_id;
        let user = control.user_name.as_deref();
        let user = user.map(|user| format!(", user {user:?}"));
        let mut words = json.clone();
        if let Some(words) = words.as_object_mut() {
            words.retain(|key, _| !matches!(key.as_str(), "command" | "correlationData"));
        }
        self.log.line(&format!(
            "control: {} {words} by client {id:?}{}",
            row.name,
            user.unwrap_or_default()
        ));
    }

    fn kick(&self, kicks: Vec<Kick>) {
        if kicks.is_empty() {
            return;
        }
        let kicks = Arc::new(kicks);
        for number in 0..self.workers.len() {
            let kicks = Arc::clone(&kicks);
            self.workers.tell(number, move |worker| {
                for kick in kicks.iter() {
                    let reason = Reason::ADMINISTRATIVE_ACTION;
                    let why = "an administrator ended the connection";
                    worker
                        .broker
                        .disconnect(kick.whom(), reason, why, worker.now);
                }
            });
        }
    }
}

const NOT_ALLOWED: &str = "Not allowed: no rule says that this client may give commands, and it \
                           is not on the broker's machine";

fn message(answer: &str) -> Message {
    let publish = Publish {
        dup: false,
        qos: QoS::AtMostOnce,
        retain: false,
        topic: "$CONTROL/broker/v1/response",
        packet_id: None,
        properties: Properties::EMPTY,
        payload: answer.as_bytes(),
    };
    Message::new(&publish, Instant::now())
}
