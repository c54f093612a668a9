//! What one bridge is asked to be.

use std::net::IpAddr;
use std::time::Duration;

use crate::daemon::conf::bridge_words::{
    BridgeAddress, BridgeTopic, ReloadType, RestartTimeout, StartType, TcpKeepAlive,
};
use crate::mqtt::Version;
use crate::net::tls::Tls;

/// See the module.
#[derive(Clone, Debug)]
pub struct BridgeConf {
    /// Its name.
    pub name: String,
    /// Where it connects to; the first is preferred.
    pub addresses: Vec<BridgeAddress>,
    /// All addresses are as good as the first.
    pub round_robin: bool,
    /// What it carries.
    pub topics: Vec<BridgeTopic>,
    /// What it speaks there.
    pub version: Version,
    /// Its Client Identifier there.
    pub remote_id: String,
    /// Its Client Identifier here.
    pub local_id: String,
    /// Its user name and password there.
    pub remote_user: Option<String>,
    /// See [`remote_user`](Self::remote_user).
    pub remote_password: Option<String>,
    /// Its user name here; without one all rules let it pass.
    pub local_user: Option<String>,
    /// The Session there ends with the connection.
    pub clean: bool,
    /// The Session here ends with the connection.
    pub local_clean: bool,
    /// Seconds the Session there outlives the connection, in version 5.
    pub session_expiry: u32,
    /// Seconds of Keep Alive there.
    pub keep_alive: u16,
    /// When it connects.
    pub start: StartType,
    /// Time without messages that ends a lazy connection.
    pub idle: Duration,
    /// Messages that wait before a lazy bridge connects.
    pub threshold: usize,
    /// How long it waits before it tries again.
    pub restart: RestartTimeout,
    /// The topic that tells whether it is connected.
    pub notification: Option<String>,
    /// It tells so here only.
    pub notification_local: bool,
    /// It tells the other broker that it is a bridge.
    pub try_private: bool,
    /// Messages go out with their RETAIN flag.
    pub outgoing_retain: bool,
    /// It takes away Subscriptions there of topics that only go out.
    pub attempt_unsubscribe: bool,
    /// It connects from this address.
    pub bind: Option<IpAddr>,
    /// TCP asks whether the other side is alive.
    pub tcp_keep_alive: Option<TcpKeepAlive>,
    /// Time that sent bytes may be unacknowledged.
    pub tcp_user_timeout: Option<Duration>,
    /// Bytes of a packet the other broker may send.
    pub packet_size_max: Option<u32>,
    /// Topic Aliases the other broker may set.
    pub topic_alias_max: u16,
    /// QoS 1 and 2 messages in flight, each way.
    pub receive_max: u16,
    /// What a reload does to the connection.
    pub reload: ReloadType,
    /// TLS there.
    pub tls: Option<Tls>,
    /// What all of this was made of: two that have it in common are the same.
    pub fingerprint: String,
}

impl PartialEq for BridgeConf {
    fn eq(&self, other: &Self) -> bool {
        self.fingerprint == other.fingerprint
    }
}
