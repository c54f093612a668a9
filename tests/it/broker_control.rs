//! `$CONTROL/broker/v1` and `mqttx ctrl clients`, `kick` and so on, on a real broker: what is told,
//! to whom, and what becomes of clients, retained messages and Sessions.

use mqttx::mqtt::{Packet, Version};
use serde_json::{Value, json};

use crate::support::broker_process::BrokerProcess;
use crate::support::packets::{Hello, publish, retained, subscribe};
use crate::support::programs::{Left, Program};
use crate::support::raw_client::RawClient;

const TOPIC: &str = "$CONTROL/broker/v1";
const RESPONSE: &str = "$CONTROL/broker/v1/response";

fn ctrl(broker: &BrokerProcess, words: &str) -> Left {
    let port = broker.port.to_string();
    let program = Program::mqttx().args(["ctrl", "-h", "127.0.0.1", "-p", &port]);
    program.words(words).run()
}

#[track_caller]
fn told(broker: &BrokerProcess, words: &str) -> String {
    let left = ctrl(broker, words);
    assert_eq!(left.status, 0, "{words}: {}", left.err());
    left.out()
}

/// The rows of a word, as JSON.
#[track_caller]
fn rows(broker: &BrokerProcess, words: &str) -> Vec<Value> {
    let out = told(broker, &format!("{words} --json"));
    let rows = out.lines().map(|line| serde_json::from_str(line).unwrap());
    rows.collect()
}

/// The answer to a message of these bytes, by somebody who just publishes and subscribes.
#[track_caller]
fn ask(client: &mut RawClient, payload: &str) -> Value {
    client.send(&publish(Version::V5, TOPIC, payload, 0, 0, &[]));
    answer(client)
}

#[track_caller]
fn answer(client: &mut RawClient) -> Value {
    let frame = client.next_frame().unwrap();
    match Packet::decode(&frame, Version::V5).unwrap() {
        Packet::Publish(publish) => {
            assert_eq!(publish.topic, RESPONSE);
            serde_json::from_slice(publish.payload).unwrap()
        }
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn asker(port: u16, hello: &Hello) -> RawClient {
    RawClient::subscriber(port, hello, RESPONSE, 0)
}

#[test]
fn clients_sessions_and_subscriptions_are_told() {
    let broker = BrokerProcess::start(&["--workers", "2"]);
    let hello = Hello::new("alpha").user("bob").keep_alive(90);
    let mut alpha = RawClient::subscriber(broker.port, &hello, "a/#", 1);
    let v5 = Version::V5;
    alpha.send(&subscribe(v5, 2, "$share/g/x", 0, &[]));
    alpha.expect("SUBACK");
    drop(RawClient::subscriber(
        broker.port,
        &Hello::new("away").kept(),
        "z",
        2,
    ));
    let clients = rows(&broker, "clients");
    let found = clients.iter().find(|row| row["clientid"] == "alpha");
    let row = found.unwrap();
    assert_eq!(row["username"], "bob");
    assert_eq!(row["version"], "5.0");
    assert_eq!(row["keepAlive"], 90);
    assert_eq!(row["subscriptions"], 2);
    assert_eq!(row["address"], alpha.address().to_string());
    assert!(clients.iter().all(|row| row["clientid"] != "away"));
    let one = rows(&broker, "clients alpha");
    assert_eq!(one[0]["clientid"], "alpha");
    let sessions = rows(&broker, "sessions");
    let away = sessions.iter().find(|row| row["clientid"] == "away");
    assert_eq!(away.unwrap()["connected"], false);
    let lines = told(&broker, "subscriptions alpha away");
    assert_eq!(
        lines,
        "alpha\ta/#\t1\t\nalpha\t$share/g/x\t0\t\naway\tz\t2\t\n"
    );
    let all = told(&broker, "subscriptions");
    assert!(lines.lines().all(|line| all.contains(line)), "{all}");
    let stats = &rows(&broker, "stats")[0];
    // The one that asks, too.
    assert_eq!(
        (&stats["clients"], &stats["sessions"]),
        (&json!(2), &json!(3))
    );
    assert_eq!(stats["subscriptions"], 4);
    assert_eq!(stats["counters"]["violations"], 0);
    let left = ctrl(&broker, "clients nobody");
    assert_eq!(left.status, 1);
    let told =
        |name: &str| format!("mqttx ctrl: client not found: {name}\n  try: mqttx ctrl clients\n");
    assert_eq!(left.err(), told("nobody"));
    // The name is the client's own.
    assert_eq!(ctrl(&broker, "clients Anna").err(), told("Anna"));
}

#[test]
fn a_client_is_sent_away_and_the_log_says_by_whom() {
    let broker = BrokerProcess::start(&[]);
    let mut alpha = RawClient::connect(broker.port, &Hello::new("alpha"));
    let mut beta = RawClient::connect(broker.port, &Hello::new("beta").user("bob"));
    assert_eq!(told(&broker, "kick alpha"), "1 connection ended\n");
    assert_eq!(alpha.expect("DISCONNECT"), "DISCONNECT 0x98");
    let line = broker.wait_log("control: kickClient");
    assert!(line.contains(r#"{"clientid":"alpha"} by client"#), "{line}");
    assert_eq!(told(&broker, "kick --user bob"), "1 connection ended\n");
    beta.expect("DISCONNECT");
    let left = ctrl(&broker, "kick alpha");
    assert_eq!(
        (left.status, left.err()),
        (
            1,
            "mqttx ctrl: client not found: alpha\n  try: mqttx ctrl clients\n".into()
        )
    );
    // One that sends itself away has the answer first.
    let mut own = asker(broker.port, &Hello::new("own"));
    let payload = r#"{"commands":[{"command":"disconnectClient","clientid":"own"}]}"#;
    let answer = ask(&mut own, payload);
    assert_eq!(answer["responses"][0]["data"]["disconnected"], 1);
    own.expect("DISCONNECT");
}

#[test]
fn retained_messages_are_listed_and_deleted_for_good() {
    let folder = tempfile::tempdir().unwrap();
    let words = ["--persistence", folder.path().to_str().unwrap()];
    let broker = BrokerProcess::start(&words);
    let mut client = RawClient::connect(broker.port, &Hello::new("c"));
    for topic in ["a/1", "a/2", "b/1"] {
        client.send(&retained(publish(Version::V5, topic, "hello", 1, 7, &[])));
        client.expect("PUBACK");
    }
    let topics = |rows: &[Value]| {
        let mut topics: Vec<String> = rows
            .iter()
            .map(|row| row["topic"].as_str().unwrap().to_owned())
            .collect();
        topics.sort();
        topics
    };
    assert_eq!(topics(&rows(&broker, "retained")), ["a/1", "a/2", "b/1"]);
    let row = &rows(&broker, "retained b/#")[0];
    assert_eq!((&row["bytes"], &row["clientid"]), (&json!(5), &json!("c")));
    let deleted = told(&broker, "retained --delete a/#");
    assert_eq!(deleted, "2 retained messages deleted\n");
    assert_eq!(
        told(&broker, "retained --delete a/#"),
        "0 retained messages deleted\n"
    );
    for words in ["retained --delete $SYS/#", "retained --delete a/#/b"] {
        assert_eq!(ctrl(&broker, words).status, 1, "{words}");
    }
    drop(client);
    drop(broker);
    let broker = BrokerProcess::start(&words);
    assert_eq!(topics(&rows(&broker, "retained")), ["b/1"]);
}

#[test]
fn long_lists_come_whole_page_by_page() {
    let broker = BrokerProcess::start(&["--workers", "3"]);
    for number in 0..70 {
        let hello = Hello::new(&format!("c{number}")).kept();
        drop(RawClient::subscriber(broker.port, &hello, "a/+", 0));
    }
    let mut own = asker(broker.port, &Hello::new("own"));
    for (command, key, expected) in [
        ("listSessions", "sessions", 71),
        ("listSubscriptions", "subscriptions", 71),
        ("listClients", "clients", 1),
    ] {
        for count in [1, 7, 70, 71, 100_000] {
            let mut ids = Vec::new();
            let mut asked = json!({ "command": command, "count": count });
            loop {
                let whole = ask(&mut own, &json!({ "commands": [asked] }).to_string());
                let data = &whole["responses"][0]["data"];
                let rows = data[key].as_array().unwrap();
                assert!(rows.len() <= count);
                ids.extend(rows.iter().map(|row| row["clientid"].to_string()));
                match data.get("next") {
                    None => break,
                    Some(next) => asked["after"] = next.clone(),
                }
            }
            assert_eq!(ids.len(), expected, "{command} by {count}");
            ids.sort();
            ids.dedup();
            assert_eq!(ids.len(), expected, "{command} by {count}");
        }
    }
}

#[test]
fn rules_say_who_gives_commands_and_answers_go_to_nobody_else() {
    let folder = tempfile::tempdir().unwrap();
    let acl = folder.path().join("acl");
    let text = "topic #\ntopic read $CONTROL/#\nuser root\ntopic readwrite $CONTROL/broker/#\n";
    std::fs::write(&acl, text).unwrap();
    let broker = BrokerProcess::start(&["--acl-file", acl.to_str().unwrap()]);
    let left = ctrl(&broker, "clients");
    assert_eq!(left.status, 135);
    assert!(
        left.err().contains("topic readwrite $CONTROL/broker/#"),
        "{}",
        left.err()
    );
    let mut curious = asker(broker.port, &Hello::new("curious"));
    let port = broker.port.to_string();
    let words = ["ctrl", "-p", &port, "-u", "root", "-P", "x", "clients"];
    let left = Program::mqttx().args(words).run();
    assert!(left.out().contains("curious"), "{}", left.out());
    // Nothing but this comes to whoever did not ask.
    curious.send(&publish(Version::V5, TOPIC, "{}", 1, 9, &[]));
    assert_eq!(curious.expect(""), "PUBACK #9 0x87");
}

#[test]
fn a_stranger_from_elsewhere_gets_no_more_than_mosquitto_tells() {
    let broker = BrokerProcess::start_as({
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_mqttx"));
        command.args(["broker", "--listen", "mqtt://127.0.0.1:0?proxy=1"]);
        command
    });
    let hello = Hello::new("far");
    let mut far = RawClient::open(broker.port, Version::V5);
    far.send(b"PROXY TCP4 192.0.2.7 192.0.2.1 5555 1883\r\n");
    far.send(&hello.bytes());
    far.expect("CONNACK Success");
    far.send(&subscribe(Version::V5, 1, RESPONSE, 0, &[]));
    far.expect("SUBACK");
    let mut first = |command: &str| {
        let payload = json!({ "commands": [{ "command": command }] }).to_string();
        ask(&mut far, &payload)["responses"][0].clone()
    };
    assert_eq!(
        first("listListeners")["data"]["listeners"][0]["protocol"],
        "mqtt"
    );
    for command in ["listClients", "kickClient", "deleteRetained", "getStats"] {
        let response = first(command);
        let error = response["error"].as_str().unwrap();
        assert!(error.starts_with("Not allowed"), "{command}: {response}");
    }
}

#[test]
fn garbage_is_answered_and_harms_nobody() {
    let broker = BrokerProcess::start(&[]);
    let mut own = asker(broker.port, &Hello::new("own"));
    let mut check = |payload: &str, error: &str| {
        let whole = ask(&mut own, payload);
        assert_eq!(whole["responses"][0]["error"], error, "{payload}");
    };
    check("", "Payload not valid JSON");
    check("{\"commands\":[", "Payload not valid JSON");
    check(&"[".repeat(100_000), "Payload not valid JSON");
    check("5", "Invalid/missing commands");
    check("{\"commands\":{}}", "Invalid/missing commands");
    check("{\"commands\":[1]}", "Command not an object");
    check("{\"commands\":[{}]}", "Missing command");
    for (command, error) in [
        (r#""command":"dance""#, "Unknown command"),
        (r#""command":"kickClient""#, "Invalid/missing clientid"),
        (
            r#""command":"kickClient","clientid":5"#,
            "Invalid/missing clientid",
        ),
        (
            r#""command":"kickClient","clientid":"a","username":"b""#,
            "Either clientid or username",
        ),
        (
            r#""command":"getClient","clientid":"x""#,
            "Client not found",
        ),
        (r#""command":"listClients","count":0"#, "Invalid count"),
        (r#""command":"listClients","count":"x""#, "Invalid count"),
        (r#""command":"listClients","after":5"#, "Invalid after"),
        (r#""command":"listClients","after":"1""#, "Invalid after"),
        (
            r#""command":"listClients","after":"1.2.3""#,
            "Invalid after",
        ),
        (r#""command":"listClients","after":"-1.0""#, "Invalid after"),
        (
            r#""command":"listSubscriptions","after":"0.0.99999999999""#,
            "Invalid after",
        ),
        (
            r#""command":"listRetained","topic":"a/#/b""#,
            "Invalid topic",
        ),
        (
            r#""command":"listRetained","topic":"$share/g/a""#,
            "Invalid topic",
        ),
        (r#""command":"deleteRetained""#, "Invalid/missing topic"),
    ] {
        check(&format!("{{\"commands\":[{{{command}}}]}}"), error);
    }
    // Places that no client has are just the end.
    let whole = ask(
        &mut own,
        r#"{"commands":[{"command":"listClients","after":"9.9","correlationData":"x"}]}"#,
    );
    let response = &whole["responses"][0];
    assert_eq!(response["data"], json!({ "clients": [] }));
    assert_eq!(response["correlationData"], "x");
}

#[test]
fn the_file_of_mosquitto_decides_and_its_words_are_known() {
    let folder = tempfile::tempdir().unwrap();
    let lines = format!(
        "listener any 127.0.0.1\nallow_anonymous true\nenable_control_api true\n\
         plugin /usr/lib/mosquitto_dynamic_security.so\nplugin_opt_config_file {}",
        folder.path().join("d.json").display()
    );
    let own = folder.path().join("d.json");
    let init = [
        "ctrl",
        "dynsec",
        "init",
        own.to_str().unwrap(),
        "admin",
        "pw",
    ];
    assert_eq!(Program::mqttx().args(init).run().status, 0);
    let broker = BrokerProcess::configured(&lines, &[]);
    let port = broker.port.to_string();
    let reach = ["ctrl", "-p", &port, "-u", "admin", "-P", "pw"];
    let run = |words: &str| Program::mqttx().args(reach).words(words).run();
    // The administrator's role is about dynamic security only, until it is given more.
    assert_eq!(run("broker listPlugins").status, 135);
    for kind in ["publishClientSend", "subscribePattern"] {
        let role = format!("dynsec addRoleACL admin {kind} $CONTROL/broker/# allow");
        assert_eq!(run(&role).status, 0);
    }
    let listed = run("broker listPlugins").out();
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(
        listed,
        format!(
            "Plugin:            dynamic-security\nVersion:           {version}\n\
             Control endpoints: $CONTROL/dynamic-security/v1\n\n"
        )
    );
    let listed = run("broker listlisteners").out();
    assert_eq!(
        listed,
        format!(
            "Listener 1:\n  Port:              {port}\n  Protocol:          mqtt\n  \
             Bind address:      127.0.0.1\n  TLS:               false\n\n"
        )
    );
    let off = BrokerProcess::configured("listener any 127.0.0.1\nallow_anonymous true", &[]);
    assert_eq!(ctrl(&off, "clients").status, 135);
    let off = BrokerProcess::start(&["--no-control"]);
    assert_eq!(ctrl(&off, "clients").status, 135);
}
