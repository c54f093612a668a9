//! Rows about a bridge.

use std::time::Duration;

use crate::daemon::conf::bridge_words::{
    BridgeAddresses, BridgeTopics, BridgeVersion, ReloadType, RestartTimeout, StartType,
    TcpKeepAlive,
};
use crate::daemon::conf::directives::{Directive, Mark, Scope, block, name_of};
use crate::daemon::conf::value::{
    File, Flag, Given, Int, Kind, Last, Maybe, MaybeFlag, MaybeInt, Number, Once, Origin, Text,
    TlsVersion, Trouble,
};

block! {
    /// What holds for one bridge.
    BridgeOptions, BRIDGE, Bridge;
    /// Where it connects to; the first is preferred.
    address("address", "addresses"): BridgeAddresses = Vec::new();
    /// What it carries, and which way; repeatable.
    topic: BridgeTopics = Vec::new();
    /// Take away, at each connection, subscriptions of topics that only go out.
    bridge_attempt_unsubscribe: Flag = true;
    /// Connect from this address.
    bridge_bind_address: Text = None;
    /// The version it speaks.
    bridge_protocol_version: BridgeVersion = BridgeVersion::V311;
    /// Bytes of a packet the other broker may send; 0 sets no limit.
    bridge_max_packet_size: Number = 0;
    /// Topic aliases the other broker may set.
    bridge_max_topic_alias: Int<0, 65_535> = 10,
        Wrong("Error: bridge_max_topic_alias must be > 0 and <= 65535.");
    /// Messages go out with their RETAIN flag.
    bridge_outgoing_retain: Flag = true;
    /// QoS 1 and 2 messages the other broker may have in flight; max_inflight_messages otherwise.
    bridge_receive_maximum: MaybeInt<1, 65_535> = None,
        Wrong("Error: bridge_receive_maximum must be greater than 0.");
    /// What a reload does to the connection.
    bridge_reload_type: ReloadType = ReloadType::Lazy;
    /// Seconds the session outlives the connection there, in version 5.
    bridge_session_expiry_interval: Int<0, 4_294_967_295> = 0,
        Wrong("Error: bridge_session_expiry_interval must not be negative.");
    /// TCP asks whether the other side is alive.
    bridge_tcp_keepalive: Maybe<TcpKeepAlive> = None, Noun("bridge_tcp_keepalive_idle");
    /// Milliseconds that sent bytes may be unacknowledged.
    bridge_tcp_user_timeout: MaybeInt<0, { i32::MAX as i64 }> = None,
        Wrong("Error: invalid TCP user timeout value.");
    /// The session there ends with the connection.
    cleansession: Flag = false;
    /// The session here ends with the connection; as cleansession without it.
    local_cleansession: MaybeFlag = None;
    /// Seconds without messages that end a lazy connection.
    idle_timeout: Number = 60;
    /// Seconds of Keep Alive.
    keepalive_interval: Int<{ i32::MIN as i64 }, 65_535> = 60,
        Wrong("Error: Bridge keepalive value too high.");
    /// Its client identifier here; local.REMOTE-ID without it.
    local_clientid: Text = None, Noun("bridge local clientd");
    /// Its password here.
    local_password: Text = None, Secret, Noun("bridge local_password");
    /// Its user name here.
    local_username: Text = None, Noun("bridge local_username");
    /// The topic that tells whether it is connected.
    notification_topic: Text = None;
    /// Tell whether it is connected.
    notifications: Flag = true;
    /// Tell so here only.
    notifications_local_only: Flag = false;
    /// Its client identifier there; HOST.NAME without it.
    remote_clientid("remote_clientid", "clientid"): Text = None, Noun("bridge remote clientid");
    /// Its password there.
    remote_password("remote_password", "password"): Text = None, Secret, Noun("bridge remote_password");
    /// Its user name there.
    remote_username("remote_username", "username"): Text = None, Noun("bridge remote_username");
    /// How long it waits before it tries again.
    restart_timeout: RestartTimeout =
        RestartTimeout::Backoff(Duration::from_secs(5), Duration::from_secs(30), Duration::ZERO);
    /// All addresses are as good as the first.
    round_robin: Flag = false;
    /// When it connects.
    start_type: StartType = StartType::Automatic;
    /// Messages that wait before a lazy bridge connects.
    threshold: Number = 10;
    /// Tell the other broker that a bridge is coming.
    try_private: Flag = true;
    /// Protocols for TLS's ALPN.
    bridge_alpn: Text = None;
    /// The roots that the other broker's certificate leads to.
    bridge_cafile: File = None;
    /// A folder of such roots.
    bridge_capath: File = None;
    /// Its certificate, in PEM.
    bridge_certfile: File = None;
    /// The key of its certificate, in PEM.
    bridge_keyfile: Last<File> = None;
    /// Ciphers of TLS 1.2, in OpenSSL's names.
    bridge_ciphers: Text = None;
    /// Ciphers of TLS 1.3.
    bridge_ciphers_tls13("bridge_ciphers_tls1.3"): Text = None;
    /// The identity of TLS-PSK.
    bridge_identity: Text = None;
    /// The key of TLS-PSK, in hexadecimal.
    bridge_psk: Text = None, Secret;
    /// Do not check whom the other broker's certificate is for.
    bridge_insecure: Flag = false;
    /// The other broker must prove that its certificate is not revoked.
    bridge_require_ocsp: Flag = false;
    /// Trust the roots of this machine.
    bridge_tls_use_os_certs: Flag = false;
    /// The version of TLS.
    bridge_tls_version: Once<Maybe<TlsVersion>> = None;
}
