//! Logins that come by another way than MQTT, with the users and the patience of the broker.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

use crate::broker::ConnectionId;
use crate::broker::access::rules::RuleList;
use crate::broker::access::{Access, Asked, Question, Verdict};
use crate::daemon::auth::dynsec;
use crate::daemon::auth::guard::Guard;
use crate::daemon::auth::{Login, Standing};
use crate::daemon::control;

/// Who may publish to one of these may change what anybody may.
const COMMANDS: [&str; 2] = [control::TOPIC, dynsec::TOPIC];

impl Guard {
    pub(super) fn log_in(&mut self, login: Login) {
        let access = self.access();
        let access = access.of(login.realm);
        let standing = match &login.user {
            _ if login.wrong_token => Standing {
                accepted: false,
                is_admin: false,
                may_read: false,
                delay: self.note(None, &login, false),
            },
            None => Standing {
                accepted: login.anonymous.unwrap_or(access.anonymous),
                is_admin: commands(access, &login, None, None),
                may_read: reads(access, &login, None, None),
                delay: Duration::ZERO,
            },
            // Clients are taken by their word here, too.
            Some(user) if login.reads.is_some() && !access.passwords => {
                let user = Arc::from(&**user);
                Standing {
                    accepted: login.anonymous.unwrap_or(access.anonymous),
                    is_admin: false,
                    may_read: reads(access, &login, Some(&user), None),
                    delay: Duration::ZERO,
                }
            }
            Some(user) => self.of_user(access, &login, user),
        };
        drop(login.password);
        (login.reply)(standing);
    }

    fn of_user(&self, access: &Access, login: &Login, user: &str) -> Standing {
        let question = Question {
            connection: ConnectionId { slot: 0, serial: 0 },
            client_id: "".into(),
            realm: login.realm,
            asked: Asked::Password {
                user_name: user.into(),
                password: login.password.clone(),
            },
        };
        let (known, own) = match self.judge(&question) {
            Verdict::Accept(_) => (Some(Arc::from(user)), None),
            Verdict::AcceptAs(identity) => {
                let name = identity.user_name.as_deref().unwrap_or(user);
                (Some(Arc::from(name)), identity.rules)
            }
            Verdict::Continue(_) | Verdict::Refuse { .. } => (None, None),
        };
        let delay = self.note(Some(&question), login, known.is_some());
        Standing {
            accepted: known.is_some(),
            is_admin: known.is_some() && commands(access, login, known.as_ref(), own.as_ref()),
            may_read: known.is_some() && reads(access, login, known.as_ref(), own.as_ref()),
            delay,
        }
    }

    /// Counts wrong passwords of an address; how long it waits for the answer.
    fn note(&self, question: Option<&Question>, login: &Login, known: bool) -> Duration {
        let Some(address) = login.address else {
            return Duration::ZERO;
        };
        let mut bans = self.bans.lock().unwrap_or_else(PoisonError::into_inner);
        if known {
            bans.succeeded(address);
            return Duration::ZERO;
        }
        let penalty = bans.failed(address, Instant::now());
        drop(bans);
        self.tell_failed(question, address, penalty.failures, penalty.banned);
        penalty.delay
    }
}

/// Whether somebody may give commands to the broker: as the rules say, and without rules whoever is
/// on this machine.
fn commands(
    access: &Access,
    login: &Login,
    user: Option<&Arc<str>>,
    own: Option<&Arc<RuleList>>,
) -> bool {
    let Some(rules) = &access.rules else {
        let local = |address: IpAddr| address.to_canonical().is_loopback();
        return login.address.is_none_or(local);
    };
    let rights = rules.rights(&Arc::from(""), user, own);
    COMMANDS.iter().any(|topic| rights.may_publish(topic))
}

/// Whether somebody may receive what he asks about.
fn reads(
    access: &Access,
    login: &Login,
    user: Option<&Arc<str>>,
    own: Option<&Arc<RuleList>>,
) -> bool {
    let (Some(rules), Some(topic)) = (&access.rules, &login.reads) else {
        return true;
    };
    rules
        .rights(&Arc::from("http-api"), user, own)
        .may_receive(topic)
}
