//! Who may have what: the rights of each Session, where there are rules at all. Routes are built
//! of those only who may have the topic's messages, so no message asks again.

use std::collections::HashMap;
use std::sync::Arc;

use crate::broker::access::rules::Rights;
use crate::broker::shared::SessionKey;
use crate::broker::shared::subscriptions::{Matches, ShareGroup};

#[derive(Default)]
pub(crate) struct Readers(HashMap<SessionKey, Arc<Rights>>);

impl Readers {
    /// Enters the rights of a Session; without rules it has none and needs none.
    pub(crate) fn note(&mut self, session: SessionKey, rights: Option<Arc<Rights>>) {
        match rights {
            Some(rights) => self.0.insert(session, rights),
            None => self.0.remove(&session),
        };
    }

    /// Takes out who may not have the messages of `topic`.
    pub(crate) fn restrict(&self, topic: &str, matches: &mut Matches) {
        if self.0.is_empty() {
            return;
        }
        matches
            .subscriptions
            .retain(|subscription| self.may(subscription.session, topic));
        matches.shares = std::mem::take(&mut matches.shares)
            .into_iter()
            .filter_map(|group| self.members(group, topic))
            .collect();
    }

    /// The Shared Subscription of those members who may have the messages of `topic`; `None`:
    /// nobody may.
    pub(crate) fn members(&self, group: Arc<ShareGroup>, topic: &str) -> Option<Arc<ShareGroup>> {
        if self.0.is_empty() || group.turns().all(|session| self.may(session, topic)) {
            return Some(group);
        }
        group.only(|session| self.may(session, topic))
    }

    fn may(&self, session: SessionKey, topic: &str) -> bool {
        let rights = self.0.get(&session);
        rights.is_none_or(|rights| rights.may_receive(topic))
    }
}
