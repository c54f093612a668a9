//! Who may connect: an answer over rules given as values, or a question to somebody who takes
//! longer, such as a password hash on another thread.

use crate::broker::connection::ConnectionId;
use crate::mqtt::Reason;

/// The rules for CONNECT.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// Clients without a user name may connect.
    pub anonymous: bool,
    /// User names and passwords are checked by asking; otherwise they are taken as given.
    pub passwords: bool,
    /// Authentication Methods somebody answers for (§4.12).
    pub methods: Vec<Box<str>>,
    /// Response Information for clients that ask for it (§3.2.2.3.15).
    pub response_information: Option<Box<str>>,
}

/// Something the broker cannot answer itself. The connection waits for the [`Verdict`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// Who asks.
    pub connection: ConnectionId,
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
        /// Password of CONNECT.
        password: Box<[u8]>,
    },
    /// A step of an Authentication Method (§4.12): CONNECT or AUTH.
    Exchange {
        /// Authentication Method.
        method: Box<str>,
        /// Authentication Data.
        data: Box<[u8]>,
        /// The client is connected and authenticates anew (§4.12.1).
        again: bool,
    },
}

/// The answer to a [`Question`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Yes; the data goes into CONNACK or AUTH.
    Accept(Box<[u8]>),
    /// AUTH 0x18 with this data: the exchange goes on.
    Continue(Box<[u8]>),
    /// No, for this reason; a Server Reference tells where else to go (§4.13).
    Refuse {
        /// Reason Code of CONNACK.
        reason: Reason,
        /// Server Reference, with 0x9C and 0x9D.
        server_reference: Option<Box<str>>,
    },
}
