//! What the configuration asks for, as it is now: replaced whole when it is read again, and looked
//! at by everybody who serves at that moment.

use std::sync::Arc;

use crate::broker::limits::Limits;
use crate::daemon::bridge::conf::BridgeConf;
use crate::daemon::conf::Conf;
use crate::daemon::http::Token;
use crate::daemon::http::listening::Door;

/// See the module.
#[derive(Clone)]
pub(crate) struct Asked {
    pub(super) bridges: Vec<BridgeConf>,
    /// Where visitors come in.
    pub(super) doors: Vec<Arc<Door>>,
    pub(super) token: Option<Token>,
    /// What Client Identifiers are to begin with, where that is asked of all.
    pub(super) id_prefix: Option<String>,
    /// Clients need no user name.
    pub(super) anonymous: bool,
    pub(super) limits: Limits,
    /// How often it was replaced: answers about logins count only until then.
    pub(super) edition: u64,
}

impl Asked {
    pub(crate) fn new(conf: &Conf, doors: Vec<Arc<Door>>) -> Self {
        Self {
            bridges: conf.bridges.clone(),
            doors,
            token: conf.http_token.clone(),
            id_prefix: conf.client_id_prefixes.first().map(ToString::to_string),
            anonymous: conf.anonymous,
            limits: conf.limits.clone(),
            edition: 0,
        }
    }

    /// The one behind it.
    pub(super) fn after(mut self, before: &Self) -> Self {
        self.edition = before.edition + 1;
        self
    }

    /// What has become of a door; `None`: it is closed.
    pub(super) fn door_like(&self, door: &Door) -> Option<Arc<Door>> {
        let mut doors = self.doors.iter();
        doors.find(|one| one.rules.is_same(&door.rules)).cloned()
    }
}
