//! Rows about the whole broker, and those about who may do what.

use crate::daemon::conf::directives::{Directive, Mark, Scope, block, name_of};
use crate::daemon::conf::duration::Expiration;
use crate::daemon::conf::log_words::{LogDest, LogDests, LogType, LogTypes};
use crate::daemon::conf::security_words::RefuseSubscribe;
use crate::daemon::conf::value::{
    Bytes, File, Flag, Given, Int, Kind, Last, Maybe, MaybeFlag, MaybeInt, Number, Origin,
    SyncWord, Text, Trouble,
};

block! {
    /// What holds for the whole broker.
    Globals, GLOBALS, Global;
    /// Deliver a message to a version 3 client once for each of its overlapping subscriptions.
    allow_duplicate_messages: Flag = true, Deprecated("The behaviour will default to true.");
    /// Seconds between two saves of mosquitto's database. Here everything is saved at once.
    autosave_interval: Number = 1800;
    /// autosave_interval counts changes instead of seconds.
    autosave_on_changes: Flag = false;
    /// A retained message is delivered only while its publisher may still write to the topic.
    check_retain_source: Flag = false;
    /// Refuse SUBSCRIBE for messages that the ACL file does not give: where it gives none of them,
    /// or not all; mosquitto never does.
    acl_refuse_subscribe: RefuseSubscribe = RefuseSubscribe::Never;
    /// Only clients whose identifier begins with this may connect.
    clientid_prefixes: Last<Text> = None, Deprecated("");
    /// Log connections and disconnections.
    connection_messages: Flag = true;
    /// Answer on $CONTROL/broker/v1.
    enable_control_api: Flag = false;
    /// Clients with a session, connected or not, at a time; -1 sets no limit.
    global_max_clients: Number = -1;
    /// Connections at a time; -1 sets no limit.
    global_max_connections: Number = -1;
    /// Where log lines go; repeatable.
    log_dest: LogDests = vec![LogDest::Stderr];
    /// The facility of syslog, local0 to local7; without it lines are of the facility daemon.
    log_facility: MaybeInt<0, 7> = None;
    /// Log lines begin with the time.
    log_timestamp: Flag = true;
    /// The form of that time, as strftime has it; seconds since 1970 otherwise.
    log_timestamp_format: Text = None;
    /// What is logged; repeatable.
    log_type: LogTypes = LogType::DEFAULT.to_vec();
    /// Bytes of QoS 1 and 2 messages in flight to a client at a time; 0 sets no limit.
    max_inflight_bytes: Bytes = 0;
    /// QoS 1 and 2 messages in flight to a client at a time; 0 sets no limit.
    max_inflight_messages: Int<{ i64::MIN }, 65_535> = 20,
        Wrong("Error: 'max_inflight_messages' must be <= 65535.");
    /// Bytes of PUBLISH packets a second from one client; after that it is not read from for a
    /// while. 0 sets no limit.
    max_byte_rate: Int<0, 1_000_000_000_000> = 0;
    /// Connections a second from one address; one more is closed at once. 0 sets no limit.
    max_connection_rate: Int<0, 1_000_000> = 0;
    /// PUBLISH packets a second from one client; after that it is not read from for a while. 0
    /// sets no limit.
    max_message_rate: Int<0, 100_000_000> = 0;
    /// Seconds of Keep Alive at most; 0 lets all pass.
    max_keepalive: Int<0, 65_535> = 0;
    /// Bytes of a packet at most.
    max_packet_size: Int<20, { i64::MAX }> = 2_000_000,
        Wrong("Error: 'max_packet_size' must be >= 20.");
    /// Bytes that wait for a client beyond those in flight; 0 sets no limit.
    max_queued_bytes: Bytes = 0;
    /// QoS 1 and 2 messages that wait for a client beyond those in flight; 0 sets no limit.
    max_queued_messages: Number = 1000;
    /// Bytes of memory at most; 0 sets no limit.
    memory_limit: Int<0, { i64::MAX }> = 0;
    /// Bytes of payload at most; 0 sets no limit.
    message_size_limit: Int<0, 268_435_455> = 0,
        Note("Note: It is recommended to replace `message_size_limit` with `max_packet_size`.");
    /// Bytes of the buffer that packets are read into, and of the head of a WebSocket request.
    packet_buffer_size("packet_buffer_size", "websockets_headers_size"): Int<0, 65_535> = 4096,
        Wrong("Error: Packet buffer size must be between 0 and 65535 inclusive.");
    /// Keep sessions and messages on disk.
    persistence("persistence", "retained_persistence"): Flag = false;
    /// The name of the file they are kept in.
    persistence_file: Text = Some("mosquitto.db".to_owned());
    /// The folder of that file.
    persistence_location: File = None;
    /// always: an acknowledgement means that what is kept is on the disk; interval: that the system
    /// has it, and the disk within a second; off: that the system has it.
    persistence_sync: SyncWord = SyncWord::Interval;
    /// Forget a session this long after its client was last seen.
    persistent_client_expiration: Maybe<Expiration> = None;
    /// The secret in this file stands for an administrator on listeners of protocol http, as a
    /// bearer token. It is read again on reload.
    http_token_file: File = None;
    /// Write the process number here.
    pid_file: File = None;
    /// Keep QoS 0 messages for clients that are away, too.
    queue_qos0_messages: Flag = false;
    /// Take retained messages; otherwise clients that send one are disconnected.
    retain_available: Flag = true;
    /// Forget a retained message after so many minutes.
    retain_expiry_interval: MaybeInt<1, { i32::MAX as i64 }> = None,
        Wrong("Error: retain_expiry_interval must be >= 1.");
    /// Without use since version 1.5.
    retry_interval: Text = None, Gone("The 'retry_interval' option is no longer available.");
    /// Send small packets at once. Here that is always so.
    set_tcp_nodelay: Flag = false;
    /// Seconds between updates of $SYS; 0 publishes none of it.
    sys_interval: Int<0, 65_535> = 10;
    /// Deliver with the QoS of the subscription even if the message came with a lower one.
    upgrade_outgoing_qos: Flag = false;
    /// The user to become when started as root.
    user: Last<Text> = Some("mosquitto".to_owned());
    /// The level of a log that only builds with libwebsockets have.
    websockets_log_level: Number = 0, Gone("The 'websockets_log_level' option has no use here.");
    /// Without use since version 2.1.
    dhparamfile: Text = None, Gone("dhparamfile is no longer required.");
}

block! {
    /// Who may do what.
    Security, SECURITY, Security;
    /// Who may read and write which topics.
    acl_file: Last<File> = None;
    /// Clients may connect without a user name; in local only mode they may unless this says no.
    allow_anonymous: MaybeFlag = None;
    /// Clients may connect without a client identifier.
    allow_zero_length_clientid: Flag = true;
    /// What identifiers begin with that clients without one are given.
    auto_id_prefix: Text = None, Deprecated("Please use 'listener_auto_id_prefix' instead.");
    /// Clients, groups and roles of dynamic security, in mosquitto's JSON.
    dynsec_file: File = None;
    /// The key of JSON Web Tokens that come in place of passwords: a public key of RS256 or ES256
    /// in PEM, or a secret for HS256.
    jwt_key_file: File = None;
    /// Users and their password hashes.
    password_file: Last<File> = None;
    /// Identities and their keys for TLS-PSK.
    psk_file: Last<File> = None;
}
