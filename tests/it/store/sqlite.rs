//! The store that is a database of mosquitto 2.1: what the suite asks of every store, databases
//! that mosquitto has written, what is written for it, kill -9, and what it refuses.

use std::path::Path;

use mqttx::broker::durable::record::Record;
use mqttx::daemon::store::Store;
use mqttx::daemon::store::memory::Memory;
use mqttx::daemon::store::sqlite::Sqlite;
use mqttx::mqtt::property::{PropertyId, Value};
use mqttx::mqtt::{PacketType, Version};
use rusqlite::Connection;

use crate::store::crash::kill_and_count;
use crate::store::mosquitto::db;
use crate::store::suite::check;
use crate::support::broker_process::BrokerProcess;
use crate::support::packets::{Hello, ack, publish, retained, subscribe};
use crate::support::programs::Program;
use crate::support::raw_client::RawClient;

/// The schema of mosquitto's first release with it; wills came with the next.
const SCHEMA: &str = "
    CREATE TABLE version_info (component TEXT NOT NULL, major INTEGER NOT NULL,
        minor INTEGER NOT NULL, patch INTEGER NOT NULL);
    CREATE TABLE base_msgs (store_id INT64 PRIMARY KEY, expiry_time INT64, topic STRING NOT NULL,
        payload BLOB, source_id STRING, source_username STRING, payloadlen INTEGER,
        source_mid INTEGER, source_port INTEGER, qos INTEGER, retain INTEGER, properties STRING);
    CREATE TABLE retains (topic STRING PRIMARY KEY, store_id INT64);
    CREATE TABLE clients (client_id TEXT PRIMARY KEY, username TEXT, connection_time INT64,
        will_delay_time INT64, session_expiry_time INT64, listener_port INT, max_packet_size INT,
        max_qos INT, retain_available INT, session_expiry_interval INT, will_delay_interval INT);
    CREATE TABLE subscriptions (client_id TEXT NOT NULL, topic TEXT NOT NULL,
        subscription_options INTEGER, subscription_identifier INTEGER,
        PRIMARY KEY (client_id, topic));
    CREATE TABLE client_msgs (client_id TEXT NOT NULL, cmsg_id INT64, store_id INT64, dup INTEGER,
        direction INTEGER, mid INTEGER, qos INTEGER, retain INTEGER, state INTEGER,
        subscription_identifier INTEGER);
    CREATE INDEX client_msgs_client_id ON client_msgs(client_id);
    CREATE INDEX retains_storeid ON retains(store_id);
";

/// A client that is away with a message in flight, one queued, and one whose PUBREL is missing;
/// another one that has sent a QoS 2 message and not released it; two retained messages.
const CONTENT: &str = r#"
    INSERT INTO clients VALUES
        ('keeper', 'ann', 1795000000, 0, 0, 1883, 0, 2, 1, 4294967295, 0),
        ('sender', NULL, 1795000000, 0, 0, 1883, 0, 2, 1, 4294967295, 0);
    INSERT INTO subscriptions VALUES ('keeper', 'a/#', 10, 7), ('keeper', 'r', 1, 0);
    INSERT INTO base_msgs VALUES
        (399999999999999872, 0, 'a/1', x'6f6e65', 'sender', NULL, 3, 1, 1883, 1, 0, NULL),
        (400000000000000000, 4102444800, 'a/2', x'74776f', 'sender', NULL, 3, 2, 1883, 2, 0,
         '[{"identifier":"content-type","value":"text"},
           {"identifier":"user-property","name":"k","value":"v"},
           {"identifier":"correlation-data","value":"00FF"}]'),
        (400000000000000128, 0, 'a/3', x'7468726565', 'sender', NULL, 5, 3, 1883, 2, 0, NULL),
        (400000000000000256, 0, 'r', x'6b657074', 'sender', 'ann', 4, 4, 1883, 1, 1, NULL),
        (400000000000000384, 0, 'a/r', x'78', 'sender', 'ann', 1, 4, 1883, 0, 1, NULL),
        (400000000000000512, 1000, 'a/old', x'6f', 'sender', NULL, 1, 5, 1883, 1, 0, NULL);
    INSERT INTO retains VALUES ('r', 400000000000000256), ('a/r', 400000000000000384);
    INSERT INTO client_msgs VALUES
        ('keeper', 1, 399999999999999872, 0, 1, 5, 1, 0, 3, 7),
        ('keeper', 2, 400000000000000000, 0, 1, 0, 2, 0, 11, 7),
        ('keeper', 3, 399999999999999872, 0, 1, 6, 2, 0, 9, 0),
        ('keeper', 4, 400000000000000512, 0, 1, 0, 1, 0, 11, 0),
        ('sender', 1, 400000000000000128, 0, 0, 9, 2, 0, 7, 0);
"#;

fn mosquittos(file: &Path) {
    let db = Connection::open(file).unwrap();
    db.execute_batch(SCHEMA).unwrap();
    db.execute_batch("INSERT INTO version_info VALUES ('database_schema', 1, 0, 0)")
        .unwrap();
    db.execute_batch(CONTENT).unwrap();
}

fn lines(file: &Path, more: &str) -> String {
    format!(
        "listener any 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\n\
         plugin /usr/lib/x86_64-linux-gnu/mosquitto_persist_sqlite.so\n\
         plugin_opt_db_file {}\n{more}\n",
        file.display()
    )
}

fn start(file: &Path) -> BrokerProcess {
    BrokerProcess::configured(&lines(file, ""), &["-v"])
}

#[test]
fn the_database_gives_back_what_the_model_has() {
    for seed in 0..20 {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("db");
        // What belongs to a Session belongs to one that is there.
        let fits = |model: &Memory, record: &Record| {
            let Some(session) = record.part_of() else {
                return true;
            };
            let mut model = model.clone();
            let mut found = false;
            let mut look =
                |record| found |= matches!(record, Record::Session(of) if of.session == session);
            model.load(&mut look).unwrap();
            found
        };
        check(seed, || Sqlite::open(&file, 4_096).unwrap(), fits);
    }
}

#[test]
fn a_broker_goes_on_with_the_database_of_mosquitto() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mosquitto.sqlite3");
    mosquittos(&file);
    for _ in 0..2 {
        let broker = start(&file);
        let log = broker.wait_log("restored");
        assert!(
            log.contains("2 sessions") && log.contains("2 retained"),
            "{log}"
        );
        broker.kill();
    }
    let mut broker = start(&file);
    let mut keeper = RawClient::open(broker.port, Version::V5);
    keeper.send(&Hello::new("keeper").kept().bytes());
    keeper.expect("CONNACK Success present");
    // What is in flight first, then what waits; what has expired does not come.
    let mut seen = Vec::new();
    for _ in 0..4 {
        seen.push(keeper.next().unwrap());
    }
    seen.sort();
    let starts = [
        "PUBLISH a/1 one q1",
        "PUBLISH a/2 two q2",
        "PUBLISH a/3 three q2",
        "PUBREL #6",
    ];
    for (line, start) in seen.iter().zip(starts) {
        assert!(line.starts_with(start), "{seen:#?}");
    }
    assert!(
        seen[1].contains("text") && seen[1].contains("k"),
        "{seen:#?}"
    );
    keeper.send(&ack(PacketType::Pubcomp, 6));
    keeper.send(&ack(PacketType::Puback, 5));
    keeper.ping();
    // The QoS 2 message that was not released is not taken for a new one.
    let mut sender = RawClient::open(broker.port, Version::V5);
    sender.send(&Hello::new("sender").kept().bytes());
    sender.expect("CONNACK Success present");
    sender.send(&ack(PacketType::Pubrel, 9));
    sender.expect("PUBCOMP #9");
    let mut late = RawClient::connect(broker.port, &Hello::new("late"));
    late.send(&subscribe(Version::V5, 1, "r", 1, &[]));
    let answers = [late.next().unwrap(), late.next().unwrap()];
    let kept = answers
        .iter()
        .any(|line| line.starts_with("PUBLISH r kept q1"));
    assert!(kept, "{answers:?}");
    broker.ask_to_end();
    assert!(broker.wait().success());
}

#[test]
fn what_is_written_is_what_mosquitto_reads() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mosquitto.sqlite3");
    let mut broker = start(&file);
    let hello = Hello::new("007")
        .kept()
        .user("ann")
        .will("gone", "0", 1, true)
        .will_with(PropertyId::WillDelayInterval, Value::Four(30));
    let mut keeper = RawClient::connect(broker.port, &hello);
    keeper.send(&subscribe(Version::V5, 1, "q/#", 1, &[]));
    keeper.expect("SUBACK");
    keeper.close_writing();
    broker.wait_log("Client 007 ");
    let mut source = RawClient::connect(broker.port, &Hello::new("source"));
    let written = [
        (PropertyId::ContentType, Value::String("text")),
        (PropertyId::MessageExpiryInterval, Value::Four(1_000)),
    ];
    source.send(&publish(Version::V5, "q/1", "one", 1, 1, &written));
    source.expect("PUBACK");
    source.send(&retained(publish(Version::V5, "1e3", "number", 1, 2, &[])));
    source.expect("PUBACK");
    broker.ask_to_end();
    assert!(broker.wait().success());
    let db = Connection::open(&file).unwrap();
    let ask = |sql: &str| -> Vec<String> {
        let mut statement = db.prepare(sql).unwrap();
        let rows = statement
            .query_map([], |row| row.get::<_, String>(0))
            .unwrap();
        rows.map(Result::unwrap).collect()
    };
    let check = |sql: &str, expected: &[&str]| assert_eq!(ask(sql), expected, "{sql}");
    check(
        "SELECT component || major || minor || patch FROM version_info",
        &["database_schema110"],
    );
    check(
        "SELECT client_id || ' ' || username || ' ' || session_expiry_interval || ' ' || \
         will_delay_interval || ' ' || (will_delay_time > 1700000000) FROM clients",
        &["007 ann 4294967295 30 1"],
    );
    check(
        "SELECT topic || payload || qos || retain FROM wills",
        &["gone011"],
    );
    check(
        "SELECT client_id || ' ' || topic || ' ' || subscription_options FROM subscriptions",
        &["007 q/# 1"],
    );
    check(
        "SELECT b.topic || ' ' || b.payload || ' ' || b.payloadlen || ' ' || b.properties || ' ' || \
         (b.expiry_time > 1700000000) || ' ' || m.qos || m.direction || m.state || m.mid \
         FROM client_msgs m JOIN base_msgs b ON b.store_id = m.store_id",
        &["q/1 one 3 [{\"identifier\":\"content-type\",\"value\":\"text\"}] 1 11110"],
    );
    // A topic that looks like a number stays what it is.
    check(
        "SELECT CAST(r.topic AS TEXT) || ' ' || b.payload || ' ' || b.source_id || b.retain \
         FROM retains r JOIN base_msgs b ON b.store_id = r.store_id",
        &["1e3 number source1"],
    );
}

#[test]
fn a_row_that_mosquitto_has_changed_since_is_mosquittos() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mosquitto.sqlite3");
    let broker = start(&file);
    let mut keeper = RawClient::connect(broker.port, &Hello::new("keeper").kept());
    keeper.send(&subscribe(Version::V5, 1, "q", 1, &[]));
    keeper.expect("SUBACK");
    drop(keeper);
    let mut source = RawClient::connect(broker.port, &Hello::new("source"));
    for number in 1..=2 {
        source.send(&publish(
            Version::V5,
            "q",
            &number.to_string(),
            1,
            number,
            &[],
        ));
        source.expect("PUBACK");
    }
    broker.kill();
    let db = Connection::open(&file).unwrap();
    db.execute_batch(
        "UPDATE client_msgs SET state = 3, mid = 77 WHERE cmsg_id = 1;
         UPDATE clients SET session_expiry_interval = 100, session_expiry_time = 4102444800;",
    )
    .unwrap();
    drop(db);
    let broker = start(&file);
    let mut keeper = RawClient::open(broker.port, Version::V5);
    keeper.send(&Hello::new("keeper").kept().bytes());
    keeper.expect("CONNACK Success present");
    keeper.expect("PUBLISH q 1 q1 #77");
    keeper.expect("PUBLISH q 2 q1 #");
}

#[test]
fn what_was_acknowledged_survives_kill_9_with_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("db");
    kill_and_count(8, |sync, workers| {
        let sync = if sync == "always" { "full" } else { "normal" };
        let more = format!("plugin_opt_sync {sync}\nplugin_opt_page_size 1024");
        let workers = workers.to_string();
        BrokerProcess::configured(&lines(&file, &more), &["--workers", &workers])
    });
}

#[test]
fn what_cannot_be_a_store_is_told_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    std::fs::write(
        path("text"),
        "this is no database, but a text of some length".repeat(99),
    )
    .unwrap();
    mosquittos(&path("newer"));
    Connection::open(path("newer"))
        .unwrap()
        .execute_batch("UPDATE version_info SET major = 2")
        .unwrap();
    let used = start(&path("used"));
    let conf = path("conf");
    for (file, more, told) in [
        ("text", "", "not a database"),
        (
            "newer",
            "",
            "its schema is version 2.0, and 1.1 is the newest known",
        ),
        ("used", "", "in use by another broker"),
        (
            "db",
            "plugin_opt_sync maybe",
            "plugin_opt_sync is to be extra, full, normal or off",
        ),
        (
            "db",
            "plugin_opt_page_size 1000",
            "plugin_opt_page_size is to be a power of two",
        ),
        (
            "db",
            "plugin_opt_page_size 131072",
            "plugin_opt_page_size is to be a power of two",
        ),
        (
            "db",
            "plugin_opt_flush_period soon",
            "plugin_opt_flush_period is to be a number",
        ),
        (
            "db",
            "persistence true",
            "persistence true asks for another store",
        ),
    ] {
        let before = std::fs::read(path(file)).ok();
        let text = format!("user root\n{}", lines(&path(file), more));
        std::fs::write(&conf, text).unwrap();
        let left = Program::mqttx().args(["broker", "-c"]).args([&conf]).run();
        assert_ne!(left.status, 0, "{more}: {left:?}");
        assert!(left.err().contains(told), "{file} {more}: {left:?}");
        if file != "used" {
            assert!(
                std::fs::read(path(file)).ok() == before,
                "{file} was touched"
            );
        }
    }
    drop(used);
}

#[test]
fn db_dumps_checks_and_imports_without_a_trace() {
    let folder = tempfile::tempdir().unwrap();
    // What an address would take for something else.
    let path = folder.path().join("a b%20?c#d.sqlite3");
    let file = path.to_str().unwrap();
    mosquittos(&path);
    let before = std::fs::read(&path).unwrap();
    let (stats, err, _) = db(&["dump", "--stats", file]);
    for row in ["session    2", "retained   2", "waiting    4"] {
        assert!(stats.contains(&format!("{row}\n")), "{row}: {stats} {err}");
    }
    let (rows, _, _) = db(&["dump", file]);
    for part in [
        r#""client_id":"keeper""#,
        r#""topic":"a/2""#,
        r#""subscribed":"a/#""#,
    ] {
        assert!(rows.contains(part), "{part}: {rows}");
    }
    let (json, _, _) = db(&["dump", "--json", file]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json.as_array().unwrap().len(), rows.lines().count());
    let (told, err, well) = db(&["check", file]);
    assert!(well && told.contains(": whole; "), "{told}{err}");
    let store = folder.path().join("store");
    let (told, err, well) = db(&["import", file, store.to_str().unwrap()]);
    assert!(well, "{told}{err}");
    assert_eq!(std::fs::read(&path).unwrap(), before);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
    let broker = BrokerProcess::start(&["--persistence", store.to_str().unwrap()]);
    let log = broker.wait_log("restored");
    assert!(
        log.contains("2 sessions") && log.contains("2 retained"),
        "{log}"
    );
    drop(broker);

    // Somebody works with it meanwhile: what is in its log counts.
    let broker = start(&path);
    let mut client = RawClient::connect(broker.port, &Hello::new("client"));
    client.send(&retained(publish(Version::V5, "new", "x", 1, 1, &[])));
    client.expect("PUBACK");
    let (rows, err, _) = db(&["dump", file]);
    assert!(rows.contains(r#""topic":"new""#), "{rows}{err}");
    assert!(db(&["check", file]).2);
    broker.kill();

    for cut in [before.len() - 1, before.len() / 2, 100, 20] {
        std::fs::write(&path, &before[..cut]).unwrap();
        for ending in ["-wal", "-shm"] {
            let _ = std::fs::remove_file(format!("{file}{ending}"));
        }
        let (out, err, well) = db(&["check", file]);
        assert!(!well && err.starts_with("mqttx db: "), "{cut}: {out}{err}");
    }
}

#[test]
fn a_transaction_that_was_killed_is_undone_and_never_believed() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    mosquittos(&path("whole"));
    let whole = Connection::open(path("whole")).unwrap();
    // Pages go to the file before the transaction has ended, where memory is short.
    whole
        .execute_batch(
            "PRAGMA journal_mode = DELETE; PRAGMA cache_size = 2; PRAGMA cache_spill = ON; BEGIN;
             DELETE FROM retains; DELETE FROM clients; DELETE FROM client_msgs;
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500)
             INSERT INTO retains SELECT 'made/' || i, i FROM n;",
        )
        .unwrap();
    // What kill -9 leaves: both files as they are now, and nobody who holds them.
    let (db_of, journal) = (path("killed"), path("killed-journal"));
    let killed = db_of.to_str().unwrap();
    std::fs::copy(path("whole"), &db_of).unwrap();
    std::fs::copy(path("whole-journal"), &journal).unwrap();
    drop(whole);
    let before = std::fs::read(&db_of).unwrap();
    assert_ne!(
        before,
        std::fs::read(path("whole")).unwrap(),
        "it was undone"
    );

    let (out, err, well) = db(&["dump", killed]);
    assert!(!well && err.contains("was interrupted"), "{out}{err}");
    assert!(!db(&["check", killed]).2);
    assert_eq!(
        std::fs::read(&db_of).unwrap(),
        before,
        "who looks changes nothing"
    );
    assert!(journal.exists());

    let broker = start(&db_of);
    let log = broker.wait_log("restored");
    assert!(
        log.contains("2 sessions") && log.contains("2 retained"),
        "{log}"
    );
    drop(broker);
    let (rows, err, well) = db(&["dump", killed]);
    assert!(well && !rows.contains("made/"), "{rows}{err}");
}
