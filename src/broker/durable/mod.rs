//! What survives a restart: [`record`] the facts, `recorder` notes them, `gate` holds back what promises
//! something until they are safe, `fetching` brings back the messages of long queues, and `restore` makes
//! a broker of them again. Where they lie is `daemon::store`'s business.

pub(super) mod fetching;
pub(super) mod gate;
pub mod record;
pub(super) mod recorder;
pub(super) mod restore;
