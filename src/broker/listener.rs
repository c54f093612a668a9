//! What one listener allows its clients, as values: each connection holds its listener's rules
//! from [`Broker::open_on`](crate::broker::Broker::open_on) to its end, also when the operator
//! changes them meanwhile. Sockets, TLS and addresses are the daemon's.
//!
//! A mount point is a prefix of all topics that the clients of a listener use. They never see it:
//! it is put before what they send and taken from what they get.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::mqtt::QoS;
use crate::mqtt::Reason;
use crate::mqtt::Version;
use crate::mqtt::connect::Connect;
use crate::mqtt::limits::STRING_MAX;
use crate::mqtt::topic;

/// Where clients come in, and how many are there.
#[derive(Debug, Default)]
pub struct Listener {
    /// What its clients may do.
    pub rules: ListenerRules,
    /// Network Connections over all workers; shared with the listeners it was and will be.
    open: Arc<AtomicUsize>,
}

/// What a listener allows. The default allows all that the broker does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerRules {
    /// Versions of the protocol.
    pub versions: Versions,
    /// The highest QoS of PUBLISH, of wills, and of what is granted to Subscriptions.
    pub qos_max: QoS,
    /// What stands before each topic of these clients; nothing when empty.
    pub mount_point: Box<str>,
    /// Whether clients may come without a user name; `None` is as for the broker.
    pub anonymous: Option<bool>,
    /// Topic Aliases a client may set; `None` is `topic_alias_max`.
    pub topic_alias_max: Option<u16>,
    /// Topic Aliases set for a client; `None` is `topic_alias_out_max`.
    pub topic_alias_out_max: Option<u16>,
    /// The Client Identifier is the user name, whatever CONNECT says.
    pub user_name_as_client_id: bool,
    /// The user name is the one that the client's certificate or key proves, and no password is
    /// asked for.
    pub user_name_proven: bool,
    /// What assigned Client Identifiers begin with.
    pub assigned_id_prefix: Box<str>,
    /// Whether clients may leave their Client Identifier to the broker.
    pub empty_client_ids: bool,
    /// Network Connections at a time; one more is closed at once.
    pub connections_max: usize,
    /// Who may come here and do what: the place, from one, among the broker's
    /// [`realms`](crate::broker::access::Access::realms); zero is as for the broker.
    pub realm: u16,
    /// Bytes of a packet; `None` is `packet_size_max`, which it cannot exceed.
    pub packet_size_max: Option<usize>,
    /// Publishers pause for those who read too slowly, before their messages are dropped.
    pub waited_for: bool,
}

impl Default for ListenerRules {
    fn default() -> Self {
        Self {
            versions: Versions::ALL,
            qos_max: QoS::ExactlyOnce,
            mount_point: "".into(),
            anonymous: None,
            topic_alias_max: None,
            topic_alias_out_max: None,
            user_name_as_client_id: false,
            user_name_proven: false,
            assigned_id_prefix: "auto-".into(),
            empty_client_ids: true,
            connections_max: usize::MAX,
            realm: 0,
            packet_size_max: None,
            waited_for: true,
        }
    }
}

/// A set of versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Versions(u8);

impl Versions {
    /// Every version there is.
    pub const ALL: Self = Self(0b11_1000);

    /// No version: to be filled.
    pub const NONE: Self = Self(0);

    /// This one too.
    #[must_use]
    pub const fn with(self, version: Version) -> Self {
        Self(self.0 | 1 << version.level())
    }

    /// Whether it is one of them.
    pub const fn has(self, version: Version) -> bool {
        self.0 & 1 << version.level() != 0
    }
}

/// Why a Network Connection is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TooMany {
    /// As many as `connections_max` of the broker.
    OfBroker,
    /// As many as the listener's own.
    OfListener,
    /// The broker stops.
    Stopping,
}

impl Listener {
    /// A listener nobody has come to yet.
    pub fn new(rules: ListenerRules) -> Self {
        Self {
            rules,
            open: Arc::default(),
        }
    }

    /// The same listener with other rules, for those who come from now on; those who are there
    /// count as before.
    #[must_use]
    pub fn with_rules(&self, rules: ListenerRules) -> Self {
        Self {
            rules,
            open: Arc::clone(&self.open),
        }
    }

    /// Whether both are one listener, perhaps with other rules.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.open, &other.open)
    }

    /// Its Network Connections now.
    pub fn connections(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// One more, if that may be.
    pub(crate) fn enter(&self) -> bool {
        if self.open.fetch_add(1, Ordering::Relaxed) < self.rules.connections_max {
            return true;
        }
        self.leave();
        false
    }

    pub(crate) fn leave(&self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }
}

impl ListenerRules {
    /// A CONNECT as it counts here: with the user name that is proven and the Client Identifier
    /// that follows from it, where these rules say so.
    pub(crate) fn seen<'a>(
        &self,
        connect: &Connect<'a>,
        proven: Option<&'a str>,
    ) -> Result<Connect<'a>, (Reason, &'static str)> {
        let mut seen = *connect;
        if !self.versions.has(connect.version) {
            let why = "this listener does not take this version";
            return Err((Reason::UNSUPPORTED_PROTOCOL_VERSION, why));
        }
        if self.user_name_proven {
            let Some(user_name) = proven else {
                let why = "no certificate or key tells who the client is";
                return Err((Reason::BAD_USER_NAME_OR_PASSWORD, why));
            };
            seen.user_name = Some(user_name);
            seen.password = None;
        }
        if self.user_name_as_client_id {
            let Some(user_name) = seen.user_name else {
                let why = "the user name is to be the Client Identifier, and there is none";
                return Err((Reason::NOT_AUTHORIZED, why));
            };
            seen.client_id = user_name;
        }
        if seen.client_id.is_empty() && !self.empty_client_ids {
            let why = "this listener wants a Client Identifier";
            return Err((Reason::CLIENT_ID_NOT_VALID, why));
        }
        if let Some(will) = &connect.will {
            if will.qos > self.qos_max {
                // [MQTT-3.2.2-12]
                let why = "the will's QoS is above what this listener takes";
                return Err((Reason::QOS_NOT_SUPPORTED, why));
            }
            if self.mount_point.len() + will.topic.len() > STRING_MAX {
                return Err((Reason::TOPIC_NAME_INVALID, "the Will Topic is too long"));
            }
        }
        Ok(seen)
    }

    /// The mount point, if there is one.
    pub(crate) fn mount(&self) -> Option<&str> {
        (!self.mount_point.is_empty()).then_some(&*self.mount_point)
    }
}

/// The Topic Name that a client of a mount point means; `None`: no Topic Name is that long.
pub(crate) fn mounted_name(mount: &str, topic: &str) -> Option<String> {
    (mount.len() + topic.len() <= STRING_MAX).then(|| [mount, topic].concat())
}

/// The Topic Filter that a client of a mount point means, below it also where it is shared; `None`:
/// there is no such filter.
pub(crate) fn mounted_filter(mount: &str, filter: &str) -> Option<String> {
    let mounted = match topic::split_share(filter) {
        Some((share, filter)) => ["$share/", share, "/", mount, filter].concat(),
        None => [mount, filter].concat(),
    };
    topic::check_filter(&mounted).is_ok().then_some(mounted)
}

/// A Topic Name as a client of the mount point knows it; `None`: it lies elsewhere.
pub(crate) fn unmounted<'a>(mount: &str, topic: &'a str) -> Option<&'a str> {
    topic.strip_prefix(mount).filter(|rest| !rest.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_stays_below_the_mount_point() {
        let check = |mount: &str, filter: &str, expected: Option<&str>| {
            assert_eq!(mounted_filter(mount, filter).as_deref(), expected);
        };
        check("a/", "b/#", Some("a/b/#"));
        check("a/", "#", Some("a/#"));
        check("a/", "$share/g/b", Some("$share/g/a/b"));
        check("a/", "$SYS/#", Some("a/$SYS/#"));
        check("a", "b", Some("ab"));
        check("a", "/#", Some("a/#"));
        check("a", "#", None);
        check("a", "+/b", None);
        check("a", "$share/g/#", None);
        check(
            "a/",
            &"b".repeat(STRING_MAX - 2),
            Some(&format!("a/{}", "b".repeat(65_533))),
        );
        check("a/", &"b".repeat(STRING_MAX - 1), None);
    }

    #[test]
    fn what_lies_elsewhere_has_no_name_below_the_mount_point() {
        assert_eq!(unmounted("a/", "a/b"), Some("b"));
        assert_eq!(unmounted("a/", "a/"), None);
        assert_eq!(unmounted("a/", "a"), None);
        assert_eq!(unmounted("a/", "b/a/"), None);
        assert!(mounted_name("a/", &"b".repeat(STRING_MAX)).is_none());
    }

    #[test]
    fn a_set_of_versions_has_those_put_into_it() {
        let versions = Versions::NONE.with(Version::V31).with(Version::V5);
        assert!(versions.has(Version::V31) && versions.has(Version::V5));
        assert!(!versions.has(Version::V311));
        let all = Version::ALL
            .into_iter()
            .fold(Versions::NONE, Versions::with);
        assert_eq!(all, Versions::ALL);
    }
}
