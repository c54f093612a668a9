//! With --reconnect: a client whose connection is lost comes back to its Session, where what was
//! unacknowledged is delivered again (§4.4), and leaves nothing behind at the end.

use std::time::Duration;

use crate::client::{Backoff, Engine, Event, Handler, Options, Retry, Session};
use crate::mqtt::property::{Properties, PropertiesBuf, PropertyId, Value};
use crate::mqtt::{Reason, Version};

/// Attempts in a row before a broker counts as dead: about ten seconds.
const ATTEMPTS_MAX: u32 = 24;
const PAUSE_FIRST: Duration = Duration::from_millis(50);
const PAUSE_MOST: Duration = Duration::from_millis(500);

/// A Session outlives its connection by so many seconds (version 5; before it has no end).
const EXPIRY: u32 = 60;

/// Makes a client come back, and its Session wait for it.
pub(super) fn keep(options: &mut Options) {
    options.retry = Retry {
        attempts_max: Some(ATTEMPTS_MAX),
        backoff: Backoff::new(PAUSE_FIRST, PAUSE_MOST),
        ..Retry::once_connected()
    };
    if !options.version.is_v5() {
        options.clean_start = false;
        return;
    }
    let said = options.properties.properties();
    // Who has said how long is not contradicted.
    if said.four(PropertyId::SessionExpiryInterval).is_none() {
        let properties = &mut options.properties;
        properties.push(PropertyId::SessionExpiryInterval, Value::Four(EXPIRY));
    }
}

/// What the last DISCONNECT of such a client says: version 5 ends the Session with it. Before, where
/// nothing can be said, [`forget`] does.
pub(super) fn farewell(version: Version) -> PropertiesBuf {
    let mut properties = PropertiesBuf::new();
    if version.is_v5() {
        properties.push(PropertyId::SessionExpiryInterval, Value::Four(0)); // §3.14.2.2.2
    }
    properties
}

/// A Session that knows no expiry ends when its client connects with Clean Session.
pub(super) async fn forget(mut options: Options) {
    options.clean_start = true;
    options.retry = Retry::never();
    if let Ok(mut session) = Session::new(options) {
        session.run(&mut Passer).await;
    }
}

/// Leaves as soon as it is let in.
struct Passer;

impl Handler for Passer {
    fn handle(&mut self, event: Event<'_>, client: &mut Engine) {
        if let Event::Connack(connack) = event
            && connack.reason == Reason::SUCCESS
        {
            client.disconnect(Reason::NORMAL_DISCONNECTION, Properties::EMPTY);
        }
    }
}
