//! Topics that are not for everybody to publish to: `$SYS` is the broker's own, and what is
//! published below `$CONTROL` is a command for somebody behind it, never a message for subscribers.
//! Who answers, and what, is left to the daemon.

use std::sync::Arc;

use crate::broker::Broker;
use crate::broker::connection::ConnectionId;
use crate::mqtt::Reason;
use crate::mqtt::publish::Publish;

/// What is published below this goes to somebody who answers.
const CONTROL: &str = "$CONTROL/";

/// A command.
#[derive(Clone, Debug)]
pub struct Control {
    /// Whose it is.
    pub connection: ConnectionId,
    /// Its Client Identifier.
    pub client_id: Arc<str>,
    /// Its user name, as authentication has it.
    pub user_name: Option<Arc<str>>,
    /// Rules say that it may publish there; without rules everybody may.
    pub granted: bool,
    /// The whole topic.
    pub topic: Box<str>,
    /// What is asked.
    pub payload: Box<[u8]>,
}

/// Whether only the broker and those behind it publish there.
pub(crate) fn is_reserved(topic: &str) -> bool {
    topic.starts_with("$SYS/") || topic.starts_with(CONTROL)
}

/// Whether this is where a client tells that it is connected, as bridges do: the one topic of the
/// broker's own that it may publish to.
fn is_state_of(client_id: &str, topic: &str) -> bool {
    let rest = topic.strip_prefix("$SYS/broker/connection/");
    rest.and_then(|rest| rest.strip_suffix("/state")) == Some(client_id)
}

impl Broker {
    /// Whether only the broker and those behind it publish there, and not this Session.
    pub(crate) fn is_reserved(&self, session: u32, topic: &str) -> bool {
        let client_id = &self.sessions[session as usize].client_id;
        is_reserved(topic) && !is_state_of(client_id, topic)
    }

    /// Takes a PUBLISH to a reserved topic; the Reason Code is for its acknowledgement.
    pub(crate) fn take_reserved(
        &mut self,
        slot: u32,
        session: u32,
        topic: &str,
        publish: &Publish<'_>,
    ) -> Reason {
        let known = self.access(slot).controls.iter();
        if !topic.starts_with(CONTROL) || !known.clone().any(|control| **control == *topic) {
            self.stats.dropped_denied += 1;
            return Reason::NOT_AUTHORIZED;
        }
        if publish.payload.len() > self.config.limits.control_size_max {
            self.stats.dropped_denied += 1;
            return Reason::QUOTA_EXCEEDED;
        }
        let state = &self.sessions[session as usize];
        self.effects.controls.push(Control {
            connection: self.connections[slot as usize].id,
            client_id: Arc::clone(&state.client_id),
            user_name: state.user_name.clone(),
            granted: state.rights.is_some(),
            topic: topic.into(),
            payload: publish.payload.into(),
        });
        Reason::SUCCESS
    }
}
