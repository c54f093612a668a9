//! What several tests need: peers whose every byte is in a test's hand.
pub(crate) mod chance;
pub(crate) mod core;
pub(crate) mod packets;
pub(crate) mod peers;
pub(crate) mod probe;
#[cfg(unix)]
pub(crate) mod programs;
pub(crate) mod scripted_broker;
