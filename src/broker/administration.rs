//! What an administrator does to Sessions from outside, and what is shown to those who look.

pub(super) mod inspection;
pub(super) mod retaining;
pub(super) mod snapshot;

use std::time::Instant;

use crate::broker::Broker;

impl Broker {
    /// Ends a Session that has no Network Connection and lives here, as if it had expired.
    pub fn end_session_of(&mut self, client_id: &str, now: Instant) -> bool {
        let Some(key) = self.shared.directory().find(client_id) else {
            return false;
        };
        let state = self.sessions.get(key.slot as usize);
        let idle = state.is_some_and(|state| state.key == key && state.connection.is_none());
        if idle {
            self.end_session(key.slot, now);
        }
        idle
    }
}
