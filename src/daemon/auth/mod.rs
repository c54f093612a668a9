//! Who may come in and do what: files and keys become the rules that the broker's core asks, and
//! the questions it cannot answer itself are answered here, on a thread of their own. A password
//! hash is made to be slow, and no worker waits for it.

pub mod acl_file;
pub mod bans;
pub mod dynsec;
mod exchange;
mod guard;
pub mod hash;
pub mod jwt;
mod login;
pub mod password_file;

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::mpsc::{self, SyncSender};
use std::time::Duration;
use std::time::Instant;

use zeroize::Zeroizing;

use crate::broker::ConnectionId;
use crate::broker::Control;
use crate::broker::access::rules::{Actions, Rules};
use crate::broker::access::{Access, Question, Verdict};
use crate::daemon::auth::bans::{Arrival, Bans};
use crate::daemon::auth::dynsec::Dynsec;
use crate::daemon::auth::guard::{Guard, Realms, Task};
use crate::daemon::auth::jwt::Jwt;
use crate::daemon::auth::password_file::PasswordFile;
use crate::daemon::conf::Conf;
use crate::daemon::log::Log;
use crate::daemon::workers::Workers;
use crate::mqtt::Reason;
use crate::mqtt::scram::METHOD;
use crate::net::system_words;

/// Questions and commands that wait for the thread; clients beyond it are told that the broker is
/// busy.
const TASKS_MAX: usize = 4_096;

/// Who may come in and do what, by the same rules for all: the broker's, or one listener's own.
#[derive(Clone, Debug, Default)]
pub struct Realm {
    /// Clients without a user name may connect.
    pub anonymous: bool,
    /// Users and their password hashes.
    pub passwords: Option<Arc<PasswordFile>>,
    /// Who may do what with which topics.
    pub rules: Option<Arc<Rules>>,
    /// What tokens in place of passwords are checked with.
    pub jwt: Option<Arc<Jwt>>,
    /// Dynamic security holds here.
    pub dynsec: bool,
    /// What Client Identifiers begin with, one of these; nothing when there are none.
    pub client_id_prefixes: Vec<Box<str>>,
}

impl Realm {
    fn access(&self, dynsec: Option<&Dynsec>) -> Access {
        let dynsec = dynsec.filter(|_| self.dynsec);
        let rules = self.rules.clone().or_else(|| dynsec.map(Dynsec::rules));
        // Without rules for all, a token's own still count.
        let open = || Rules {
            otherwise: Actions::ALL,
            strangers: Actions::ALL,
            ..Rules::default()
        };
        let rules = rules.or_else(|| self.jwt.as_ref().map(|_| Arc::new(open())));
        Access {
            anonymous: self.anonymous,
            passwords: self.passwords.is_some() || self.jwt.is_some() || dynsec.is_some(),
            client_id_prefixes: self.client_id_prefixes.clone(),
            methods: match &self.passwords {
                Some(file) if file.has_scram() => vec![METHOD.into()],
                _ => Vec::new(),
            },
            rules,
            ..Access::default()
        }
    }
}

/// Somebody who comes by another way than MQTT wants to know what it may do.
pub(crate) struct Login {
    /// Whose rules hold: see [`Access::realms`].
    pub(crate) realm: u16,
    /// Whether nobody in particular may come, where the place says so itself.
    pub(crate) anonymous: Option<bool>,
    pub(crate) user: Option<Box<str>>,
    pub(crate) password: Zeroizing<Box<[u8]>>,
    /// It showed a wrong token, which is no user's, and is only to be counted.
    pub(crate) wrong_token: bool,
    /// Where from: wrong passwords are counted.
    pub(crate) address: Option<IpAddr>,
    /// It also wants to know whether it may receive this.
    pub(crate) reads: Option<Box<str>>,
    /// Who is told.
    pub(crate) reply: Box<dyn FnOnce(Standing) + Send>,
}

/// See [`Login`].
#[derive(Clone, Copy)]
pub(crate) struct Standing {
    /// It is who it says.
    pub(crate) accepted: bool,
    /// It may give commands to the broker.
    pub(crate) is_admin: bool,
    /// It may receive what it asked about.
    pub(crate) may_read: bool,
    /// How long it is to be kept waiting for the answer.
    pub(crate) delay: Duration,
}

/// The way to the thread, and what is known without it; cheap to clone.
#[derive(Clone)]
pub(crate) struct Authenticator {
    tasks: SyncSender<Task>,
    bans: Arc<Mutex<Bans>>,
}

impl Authenticator {
    /// Starts the thread. The rules are those to begin with.
    pub(crate) fn start(
        conf: &Conf,
        workers: Workers,
        log: &Log,
    ) -> Result<(Self, Access), String> {
        let (tasks, inbox) = mpsc::sync_channel(TASKS_MAX);
        let bans = Arc::new(Mutex::new(Bans::new(&conf.limits, Instant::now())));
        let guard = Guard::open(conf, workers, log.clone(), Arc::clone(&bans))?;
        let access = guard.access();
        std::thread::Builder::new()
            .name("guard".to_owned())
            .spawn(move || guard.run(&inbox))
            .map_err(|error| {
                let words = system_words(&error);
                format!("starting the thread that checks passwords failed: {words}")
            })?;
        Ok((Self { tasks, bans }, access))
    }

    /// Asks; an answer that is there at once is returned.
    pub(crate) fn ask(
        &self,
        worker: usize,
        question: Question,
        address: Option<IpAddr>,
    ) -> Option<(ConnectionId, Verdict)> {
        let connection = question.connection;
        let task = Task::Question(worker, question, address);
        self.tasks.try_send(task).err()?;
        Some((connection, Verdict::refuse(Reason::SERVER_BUSY)))
    }

    /// Hands a command on. False: there is too much to do.
    pub(crate) fn command(&self, control: Control) -> bool {
        self.tasks.try_send(Task::Command(control)).is_ok()
    }

    /// Asks for somebody who came by another way. False: there is too much to do.
    pub(crate) fn log_in(&self, login: Login) -> bool {
        self.tasks.try_send(Task::Login(Box::new(login))).is_ok()
    }

    /// Puts other rules in force.
    pub(crate) fn renew(&self, conf: &Conf) -> io::Result<()> {
        let renewal = Task::Renew(Realms::of(conf));
        self.bans().set_limits(&conf.limits);
        self.tasks
            .send(renewal)
            .map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    /// Whether somebody from this address may connect now.
    pub(crate) fn arrives(&self, address: IpAddr, now: Instant) -> Arrival {
        self.bans().arrives(address, now)
    }

    fn bans(&self) -> std::sync::MutexGuard<'_, Bans> {
        self.bans.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
