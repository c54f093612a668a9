//! Which worker owns the Session of a Client Identifier. A CONNECT that arrives at another worker
//! is handed to the owner, so that taking over never reaches across workers.

use std::sync::Arc;

use hashbrown::HashMap;

use crate::broker::shared::SessionKey;

/// The place of a Session that is on its way to the worker its key names.
pub(crate) const UNDERWAY: u32 = u32::MAX;

#[derive(Default)]
pub(crate) struct Directory {
    sessions: HashMap<Arc<str>, SessionKey>,
    /// The most there ever were at a time.
    most: usize,
}

impl Directory {
    pub(crate) fn len(&self) -> usize {
        self.sessions.len()
    }

    pub(crate) fn most(&self) -> usize {
        self.most
    }

    pub(crate) fn find(&self, client_id: &str) -> Option<SessionKey> {
        self.sessions.get(client_id).copied()
    }

    /// Enters a new Session, unless another worker was quicker: then its key is returned.
    pub(crate) fn enter(&mut self, client_id: Arc<str>, key: SessionKey) -> Result<(), SessionKey> {
        match self.sessions.entry(client_id) {
            hashbrown::hash_map::Entry::Occupied(entry) => Err(*entry.get()),
            hashbrown::hash_map::Entry::Vacant(entry) => {
                entry.insert(key);
                self.most = self.most.max(self.sessions.len());
                Ok(())
            }
        }
    }

    /// A Session has moved.
    pub(crate) fn replace(&mut self, client_id: &str, before: SessionKey, key: SessionKey) {
        if let Some(entry) = self.sessions.get_mut(client_id)
            && *entry == before
        {
            *entry = key;
        }
    }

    /// Takes a Session out when it is the one entered.
    pub(crate) fn remove(&mut self, client_id: &str, key: SessionKey) {
        if self.sessions.get(client_id) == Some(&key) {
            self.sessions.remove(client_id);
        }
    }
}
