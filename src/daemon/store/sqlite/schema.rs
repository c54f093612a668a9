//! The tables of mosquitto's persist-sqlite, version 1.1 of its schema, and what is added to them:
//! a column that mosquitto leaves alone, for what its columns have no room for; two indices, for
//! long queues; and one table.

/// Made where it is not there.
pub(super) const TABLES: &str = "
CREATE TABLE IF NOT EXISTS version_info (
    component TEXT NOT NULL, major INTEGER NOT NULL, minor INTEGER NOT NULL,
    patch INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS base_msgs (
    store_id INT64 PRIMARY KEY, expiry_time INT64, topic STRING NOT NULL, payload BLOB,
    source_id STRING, source_username STRING, payloadlen INTEGER, source_mid INTEGER,
    source_port INTEGER, qos INTEGER, retain INTEGER, properties STRING);
CREATE TABLE IF NOT EXISTS retains (topic STRING PRIMARY KEY, store_id INT64);
CREATE TABLE IF NOT EXISTS clients (
    client_id TEXT PRIMARY KEY, username TEXT, connection_time INT64, will_delay_time INT64,
    session_expiry_time INT64, listener_port INT, max_packet_size INT, max_qos INT,
    retain_available INT, session_expiry_interval INT, will_delay_interval INT);
CREATE TABLE IF NOT EXISTS subscriptions (
    client_id TEXT NOT NULL, topic TEXT NOT NULL, subscription_options INTEGER,
    subscription_identifier INTEGER, PRIMARY KEY (client_id, topic));
CREATE TABLE IF NOT EXISTS client_msgs (
    client_id TEXT NOT NULL, cmsg_id INT64, store_id INT64, dup INTEGER, direction INTEGER,
    mid INTEGER, qos INTEGER, retain INTEGER, state INTEGER, subscription_identifier INTEGER);
CREATE TABLE IF NOT EXISTS wills (
    client_id TEXT PRIMARY KEY, payload BLOB, topic STRING NOT NULL, payloadlen INTEGER,
    qos INTEGER, retain INTEGER, properties STRING);
CREATE TABLE IF NOT EXISTS mqttx_crossed (number INTEGER PRIMARY KEY, value BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS client_msgs_client_id ON client_msgs(client_id);
CREATE INDEX IF NOT EXISTS client_msgs_store_id ON client_msgs(store_id, client_id);
CREATE INDEX IF NOT EXISTS retains_storeid ON retains(store_id);
CREATE INDEX IF NOT EXISTS mqttx_places ON client_msgs(client_id, cmsg_id);
CREATE INDEX IF NOT EXISTS mqttx_mids ON client_msgs(client_id, mid) WHERE mid > 0;
INSERT INTO version_info (component, major, minor, patch)
    SELECT 'database_schema', 1, 1, 0
    WHERE NOT EXISTS (SELECT 1 FROM version_info WHERE component = 'database_schema');
UPDATE version_info SET minor = 1, patch = 0
    WHERE component = 'database_schema' AND major = 1 AND minor = 0;
";

/// Tables that get the column.
pub(super) const EXTENDED: [&str; 3] = ["base_msgs", "clients", "client_msgs"];

/// The version that is written, and the newest that is read.
pub(super) const VERSION: (i64, i64) = (1, 1);

/// `direction` in client_msgs.
pub(super) const IN: i64 = 0;
pub(super) const OUT: i64 = 1;

/// `state` in client_msgs.
pub(super) const WAIT_FOR_PUBACK: i64 = 3;
pub(super) const WAIT_FOR_PUBREC: i64 = 5;
pub(super) const RESEND_PUBREL: i64 = 6;
pub(super) const WAIT_FOR_PUBREL: i64 = 7;
pub(super) const WAIT_FOR_PUBCOMP: i64 = 9;
pub(super) const QUEUED: i64 = 11;

/// Numbers of retained messages, far from those of messages that Sessions wait for and from those
/// that mosquitto makes of the time.
pub(super) const RETAINED_FROM: i64 = 0x4000_0000_0000_0000;
