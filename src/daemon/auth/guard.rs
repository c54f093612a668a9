//! The thread behind the questions: it has the realms and dynamic security, answers, obeys
//! commands, and puts new rules in force at every worker. Answers to wrong passwords may wait.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;

use crate::broker::ConnectionId;
use crate::broker::Control;
use crate::broker::access::{Access, Asked, Identity, Question, Revoked, Verdict, Whom};
use crate::daemon::auth::bans::Bans;
use crate::daemon::auth::dynsec::{self, Dynsec, Kick};
use crate::daemon::auth::exchange::{Asking, Exchanges};
use crate::daemon::auth::{Login, Realm};
use crate::daemon::conf::Conf;
use crate::daemon::conf::log_words::LogType;
use crate::daemon::log::Log;
use crate::daemon::workers::Workers;
use crate::mqtt::QoS;
use crate::mqtt::Reason;
use crate::mqtt::message::Message;
use crate::mqtt::property::Properties;
use crate::mqtt::publish::Publish;
use crate::mqtt::scram::METHOD;
use crate::net::system_words;

/// Answers that wait for their time; beyond it they are given at once.
const DELAYED_MAX: usize = 16_384;

/// Changes to dynamic security that are put in force together.
const BATCH_MAX: usize = 256;

pub(super) enum Task {
    Question(usize, Question, Option<IpAddr>),
    Command(Control),
    Login(Box<Login>),
    Renew(Realms),
}

/// The rules that files give, of the broker and of listeners.
pub(super) struct Realms {
    whole: Realm,
    own: Vec<Realm>,
    controls: Vec<Box<str>>,
    sparkplug: bool,
    retain_source_checked: bool,
}

impl Realms {
    pub(super) fn of(conf: &Conf) -> Self {
        let dressed = |realm: &Realm| Realm {
            client_id_prefixes: conf.client_id_prefixes.clone(),
            ..realm.clone()
        };
        Self {
            whole: Realm {
                anonymous: conf.anonymous,
                ..dressed(&conf.realm)
            },
            own: conf.realms.iter().map(dressed).collect(),
            controls: conf.controls.clone(),
            sparkplug: conf.sparkplug,
            retain_source_checked: conf.retain_source_checked,
        }
    }
}

impl Realms {
    /// The rules of a listener, by its realm.
    fn of_number(&self, number: u16) -> &Realm {
        let place = usize::from(number).checked_sub(1);
        let own = place.and_then(|place| self.own.get(place));
        own.unwrap_or(&self.whole)
    }
}

pub(super) struct Guard {
    realms: Realms,
    dynsec: Option<Dynsec>,
    workers: Workers,
    log: Log,
    pub(super) bans: Arc<Mutex<Bans>>,
    delayed: BTreeMap<(Instant, u64), (usize, ConnectionId, Verdict)>,
    exchanges: Exchanges,
    serial: u64,
}

impl Guard {
    pub(super) fn open(
        conf: &Conf,
        workers: Workers,
        log: Log,
        bans: Arc<Mutex<Bans>>,
    ) -> Result<Self, String> {
        let environment = std::env::var("MOSQUITTO_DYNSEC_PASSWORD").ok();
        let dynsec = match &conf.dynsec {
            None => None,
            Some(files) => {
                let (dynsec, told) = Dynsec::open(files, environment.as_deref())?;
                for line in told {
                    log.line(&line);
                }
                Some(dynsec)
            }
        };
        Ok(Self {
            realms: Realms::of(conf),
            dynsec,
            workers,
            log,
            bans,
            delayed: BTreeMap::new(),
            exchanges: Exchanges::new()?,
            serial: 0,
        })
    }

    /// The rules as they are now.
    pub(super) fn access(&self) -> Access {
        let mut controls = self.realms.controls.clone();
        if self.dynsec.is_some() {
            controls.push(dynsec::TOPIC.into());
        }
        let dynsec = self.dynsec.as_ref();
        let of = |realm: &Realm| Access {
            controls: controls.clone(),
            ..realm.access(dynsec)
        };
        Access {
            sparkplug: self.realms.sparkplug,
            retain_source_checked: self.realms.retain_source_checked,
            realms: self.realms.own.iter().map(of).collect(),
            ..of(&self.realms.whole)
        }
    }

    pub(super) fn run(mut self, inbox: &Receiver<Task>) {
        loop {
            let task = match self.delayed.first_key_value() {
                None => inbox.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(((at, _), _)) => {
                    inbox.recv_timeout(at.saturating_duration_since(Instant::now()))
                }
            };
            match task {
                Ok(Task::Question(worker, question, address)) => {
                    self.answer(worker, question, address);
                }
                Ok(Task::Command(control)) => self.obey(control, inbox),
                Ok(Task::Login(login)) => self.log_in(*login),
                Ok(Task::Renew(realms)) => self.renew(realms),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            self.give_delayed();
        }
    }

    fn give_delayed(&mut self) {
        let now = Instant::now();
        while let Some(entry) = self.delayed.first_entry()
            && entry.key().0 <= now
        {
            let (worker, connection, verdict) = entry.remove();
            self.give(worker, connection, verdict);
        }
    }

    fn give(&self, worker: usize, connection: ConnectionId, verdict: Verdict) {
        self.workers.tell(worker, move |worker| {
            worker.broker.answer(connection, &verdict, worker.now);
        });
    }

    fn answer(&mut self, worker: usize, question: Question, address: Option<IpAddr>) {
        let verdict = match &question.asked {
            Asked::Password { .. } => self.judge(&question),
            Asked::Exchange { .. } => self.exchange(worker, &question),
        };
        let connection = question.connection;
        let failed = matches!(verdict, Verdict::Refuse { .. });
        // The password is gone before anybody can know that it was judged.
        let Some(address) = address else {
            drop(question);
            return self.give(worker, connection, verdict);
        };
        let mut bans = self.bans.lock().unwrap_or_else(PoisonError::into_inner);
        if !failed {
            // A step on the way is no success yet.
            if !matches!(verdict, Verdict::Continue(_)) {
                bans.succeeded(address);
            }
            drop((bans, question));
            return self.give(worker, connection, verdict);
        }
        let now = Instant::now();
        let penalty = bans.failed(address, now);
        drop(bans);
        self.tell_failed(Some(&question), address, penalty.failures, penalty.banned);
        drop(question);
        if penalty.delay.is_zero() || self.delayed.len() >= DELAYED_MAX {
            return self.give(worker, connection, verdict);
        }
        self.serial += 1;
        let at = (now + penalty.delay, self.serial);
        self.delayed.insert(at, (worker, connection, verdict));
    }

    /// The lines that fail2ban reads.
    pub(super) fn tell_failed(
        &self,
        question: Option<&Question>,
        address: IpAddr,
        failures: u32,
        banned: Option<Duration>,
    ) {
        let user = match question.map(|question| &question.asked) {
            Some(Asked::Password { user_name, .. }) => format!(" for user {user_name:?}"),
            Some(Asked::Exchange { method, .. }) => format!(" by {method:?}"),
            None => String::new(),
        };
        self.log.line(&format!(
            "login failed from {address}{user} ({failures} in a row)"
        ));
        if let Some(time) = banned {
            let seconds = time.as_secs();
            self.log.line(&format!(
                "banned {address} for {seconds} s after {failures} failed logins"
            ));
        }
    }

    pub(super) fn judge(&self, question: &Question) -> Verdict {
        let refused = Verdict::refuse;
        let realm = self.realms.of_number(question.realm);
        match &question.asked {
            Asked::Password {
                user_name,
                password,
            } => {
                let token = realm.jwt.as_ref();
                if let Some(Ok(claims)) = token.map(|jwt| jwt.check(password, seconds())) {
                    return Verdict::AcceptAs(Box::new(Identity {
                        data: Box::default(),
                        user_name: Some(claims.user_name),
                        rules: claims.rules,
                    }));
                }
                let listed = realm.passwords.as_ref();
                let dynsec = self.dynsec.as_ref().filter(|_| realm.dynsec);
                let known = listed.is_some_and(|file| file.verify(user_name, password))
                    || dynsec.is_some_and(|dynsec| {
                        dynsec.verify(user_name, password, &question.client_id)
                    });
                match known {
                    true => Verdict::Accept(Box::default()),
                    false => refused(Reason::BAD_USER_NAME_OR_PASSWORD),
                }
            }
            Asked::Exchange { .. } => refused(Reason::BAD_AUTHENTICATION_METHOD),
        }
    }

    /// A step of an Authentication Method.
    fn exchange(&mut self, worker: usize, question: &Question) -> Verdict {
        let Asked::Exchange {
            method,
            data,
            again,
            user_name,
        } = &question.asked
        else {
            return self.judge(question);
        };
        let file = &self.realms.of_number(question.realm).passwords;
        let Some(file) = file.as_ref().filter(|_| **method == *METHOD) else {
            return self.judge(question);
        };
        let asking = Asking {
            worker,
            connection: question.connection,
            data,
            who: again.then_some(user_name.as_deref()),
        };
        self.exchanges.step(file, &asking)
    }

    /// Carries out commands, as many as are there, and puts what they changed in force once.
    fn obey(&mut self, control: Control, inbox: &Receiver<Task>) {
        let mut changed = false;
        let mut kicks = Vec::new();
        let mut answers = Vec::new();
        let mut others = Vec::new();
        let more = inbox.try_iter().take(BATCH_MAX);
        for task in std::iter::once(Task::Command(control)).chain(more) {
            let Task::Command(control) = task else {
                others.push(task);
                continue;
            };
            let Some(dynsec) = self.dynsec.as_mut() else {
                continue;
            };
            let mut outcome = dynsec.obey(&control.payload);
            let user = control.user_name.as_deref().unwrap_or_default();
            for line in outcome.told {
                let line = format!("dynsec: {}/{user} | {line}", control.client_id);
                self.log.say(LogType::Information, &line);
            }
            changed |= outcome.changed;
            kicks.append(&mut outcome.kicks);
            answers.push(outcome.answer);
        }
        if changed {
            self.save();
            self.put_in_force(&Revoked::default());
        }
        self.publish(answers);
        self.kick(kicks);
        for task in others {
            match task {
                Task::Question(worker, question, address) => {
                    self.answer(worker, question, address);
                }
                Task::Login(login) => self.log_in(*login),
                Task::Renew(realms) => self.renew(realms),
                Task::Command(_) => {}
            }
        }
    }

    fn save(&self) {
        if let Some(dynsec) = &self.dynsec
            && let Err(error) = dynsec.save()
        {
            let words = system_words(&error);
            self.log.line(&format!(
                "Error: the file of dynamic security cannot be written, changes are lost with \
                 the next start: {words}"
            ));
        }
    }

    fn publish(&self, answers: Vec<String>) {
        let topic = format!("{}/response", dynsec::TOPIC);
        let now = Instant::now();
        let message = |answer: &String| {
            let publish = Publish {
                dup: false,
                qos: QoS::AtMostOnce,
                retain: false,
                topic: &topic,
                packet_id: None,
                properties: Properties::EMPTY,
                payload: answer.as_bytes(),
            };
            Message::new(&publish, now)
        };
        let messages: Vec<Message> = answers.iter().map(message).collect();
        self.workers.tell(0, move |worker| {
            worker.broker.publish_own(&messages, worker.now);
        });
    }

    fn kick(&self, mut kicks: Vec<Kick>) {
        kicks.sort_by_key(|kick| match kick {
            Kick::Nobody => Reverse(String::new()),
            Kick::User(user) => Reverse(user.clone()),
        });
        kicks.dedup();
        if kicks.is_empty() {
            return;
        }
        // Who is sent away is to have the answer first, also at another worker: one turn for it to
        // be published, one for it to cross.
        self.workers.ask_all(|_| ());
        self.workers.ask_all(|_| ());
        let kicks = Arc::new(kicks);
        for number in 0..self.workers.len() {
            let kicks = Arc::clone(&kicks);
            self.workers.tell(number, move |worker| {
                for kick in kicks.iter() {
                    let whom = match kick {
                        Kick::User(user) => Whom::User(Some(user)),
                        Kick::Nobody => Whom::User(None),
                    };
                    let reason = Reason::ADMINISTRATIVE_ACTION;
                    let why = "its rights were changed";
                    worker.broker.disconnect(whom, reason, why, worker.now);
                }
            });
        }
    }

    fn renew(&mut self, realms: Realms) {
        let mut users = lost(&self.realms.whole, &realms.whole);
        for (old, new) in self.realms.own.iter().zip(&realms.own) {
            users.append(&mut lost(old, new));
        }
        self.realms = realms;
        self.put_in_force(&Revoked {
            users,
            nobody: false,
        });
    }

    fn put_in_force(&self, revoked: &Revoked) {
        let access = self.access();
        for number in 0..self.workers.len() {
            let (access, revoked) = (access.clone(), revoked.clone());
            self.workers.tell(number, move |worker| {
                worker.broker.set_access(access, &revoked, worker.now);
            });
        }
    }
}

/// Seconds since 1970.
fn seconds() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs() as i64)
}

/// Users whose password is another now, or gone.
fn lost(old: &Realm, new: &Realm) -> Vec<Box<str>> {
    match (&old.passwords, &new.passwords) {
        (Some(old), Some(new)) => old.lost(new),
        (None, Some(_)) | (Some(_), None) | (None, None) => Vec::new(),
    }
}
