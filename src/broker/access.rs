//! Who may do what: an answer over rules given as values, or a question to somebody who takes
//! longer, such as a password hash on another thread. How the core asks is in `permission.rs`.

pub mod pattern;
pub mod rules;

use std::sync::Arc;

use zeroize::Zeroizing;

use crate::broker::access::rules::{RuleList, Rules};
use crate::broker::connection::ConnectionId;
use crate::mqtt::Reason;

/// The rules for CONNECT, and for all that comes after it.
#[derive(Clone, Debug, Default)]
pub struct Access {
    /// Clients without a user name may connect.
    pub anonymous: bool,
    /// User names and passwords are checked by asking; otherwise they are taken as given.
    pub passwords: bool,
    /// Authentication Methods somebody answers for (§4.12).
    pub methods: Vec<Box<str>>,
    /// Response Information for clients that ask for it (§3.2.2.3.15).
    pub response_information: Option<Box<str>>,
    /// What Client Identifiers must begin with, one of these; nothing when there are none.
    pub client_id_prefixes: Vec<Box<str>>,
    /// Births of Sparkplug's nodes are kept for those who come later.
    pub sparkplug: bool,
    /// A retained message is sent only while its publisher may still publish there.
    pub retain_source_checked: bool,
    /// Topics below `$CONTROL` that somebody answers on; all others there are refused.
    pub controls: Vec<Box<str>>,
    /// The rules of listeners that have some of their own, by
    /// [`realm`](crate::broker::listener::ListenerRules::realm) from one on.
    pub realms: Vec<Self>,
    /// Who may do what with which topics; `None`: everybody everything.
    pub rules: Option<Arc<Rules>>,
}

/// The realm of the broker's own clients, such as bridges: everybody may do everything.
pub const TRUSTED: u16 = u16::MAX;

static TRUSTING: Access = Access {
    anonymous: true,
    passwords: false,
    methods: Vec::new(),
    response_information: None,
    client_id_prefixes: Vec::new(),
    controls: Vec::new(),
    realms: Vec::new(),
    rules: None,
    sparkplug: false,
    retain_source_checked: false,
};

impl Access {
    /// The rules of a realm.
    pub(crate) fn of(&self, realm: u16) -> &Self {
        match realm.checked_sub(1) {
            None => self,
            _ if realm == TRUSTED => &TRUSTING,
            Some(place) => self.realms.get(usize::from(place)).unwrap_or(self),
        }
    }
}

/// Who loses what with new rules.
#[derive(Clone, Debug, Default)]
pub struct Revoked {
    /// Users whose password is another now, or who are gone.
    pub users: Vec<Box<str>>,
    /// Only when they were accepted without a user name.
    pub nobody: bool,
}

/// Clients an administrator means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whom<'a> {
    /// Those with this user name; `None`: those without one.
    User(Option<&'a str>),
    /// The one with this Client Identifier.
    Client(&'a str),
}

/// Something the broker cannot answer itself. The connection waits for the [`Verdict`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// Who asks.
    pub connection: ConnectionId,
    /// Its Client Identifier; empty where it is still to be assigned, and later in an exchange.
    pub client_id: Box<str>,
    /// Whose rules hold for it: see [`Access::realms`].
    pub realm: u16,
    /// What is asked.
    pub asked: Asked,
}

/// See [`Question`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// Is this the user's password?
    Password {
        /// User Name of CONNECT.
        user_name: Box<str>,
        /// Password of CONNECT, wiped when it was judged.
        password: Zeroizing<Box<[u8]>>,
    },
    /// A step of an Authentication Method (§4.12): CONNECT or AUTH.
    Exchange {
        /// Authentication Method.
        method: Box<str>,
        /// Authentication Data.
        data: Box<[u8]>,
        /// The client is connected and authenticates anew (§4.12.1).
        again: bool,
        /// The user name it has then.
        user_name: Option<Box<str>>,
    },
}

/// Who a client turned out to be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// For CONNACK or AUTH.
    pub data: Box<[u8]>,
    /// Its user name from now on, in place of the one in CONNECT.
    pub user_name: Option<Box<str>>,
    /// Rules of its own, asked before all others.
    pub rules: Option<Arc<RuleList>>,
}

/// The answer to a [`Question`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Yes; the data goes into CONNACK or AUTH.
    Accept(Box<[u8]>),
    /// Yes, and this is who it is.
    AcceptAs(Box<Identity>),
    /// AUTH 0x18 with this data: the exchange goes on.
    Continue(Box<[u8]>),
    /// No, for this reason; a Server Reference tells where else to go (§4.13).
    Refuse {
        /// Reason Code of CONNACK.
        reason: Reason,
        /// Server Reference, with 0x9C and 0x9D.
        server_reference: Option<Box<str>>,
        /// Authentication Data, the last of an exchange.
        data: Box<[u8]>,
    },
}

impl Verdict {
    /// No, and nothing else.
    pub fn refuse(reason: Reason) -> Self {
        Self::Refuse {
            reason,
            server_reference: None,
            data: Box::default(),
        }
    }
}
