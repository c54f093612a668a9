//! What several tests need: peers whose every byte is in a test's hand.
pub(crate) mod probe;
pub(crate) mod scripted_broker;
