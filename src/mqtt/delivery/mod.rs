//! The handshakes of §4.3 (QoS 1 and 2), the send quota of §4.9 and Topic Aliases (§3.3.2.3.4),
//! the same for either peer: the broker and the client layer both stand on them.
//!
//! Pure bookkeeping: nothing here encodes a packet or knows a connection. What must be kept until
//! it is acknowledged is the type parameter of [`Sender`].

pub mod alias;
pub mod receiver;
pub mod sender;

pub use alias::{AliasesIn, AliasesOut};
pub use receiver::Receiver;
pub use sender::{Pending, Pubrec, Sender};
