//! Listeners of a mosquitto.conf that answer over HTTP.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::http_port;
use crate::support::broker_process::BrokerProcess;
use crate::support::peers;
use crate::support::programs::{Program, mosquittos_21, skipped};
use crate::support::visitor::{Answer, Visitor};

#[test]
fn a_listener_of_a_file_answers_like_the_one_of_a_word() {
    let lines = "listener any 127.0.0.1\nallow_anonymous true\n\
                 listener any 127.0.0.1\nprotocol http";
    let broker = BrokerProcess::configured(lines, &[]);
    let visitor = Visitor::new(http_port(&broker));
    let listeners = visitor.json("/api/v1/listeners");
    assert_eq!(listeners["listeners"][1]["protocol"], "http");
    assert_eq!(visitor.get("/").status, 200);
    // Who is there stays when the file is read again.
    broker.hang_up();
    broker.wait_log("Reloading config");
    assert_eq!(visitor.get("/readyz").status, 200);
}

#[test]
fn nobody_in_particular_is_welcome_only_where_that_is_said() {
    let lines = "listener any 127.0.0.1\nallow_anonymous true\n\
                 listener any 127.0.0.1\nprotocol http\nlistener_allow_anonymous true\n\
                 listener any 127.0.0.1\nprotocol http\nlistener_allow_anonymous false";
    let broker = BrokerProcess::configured(lines, &[]);
    let [_, open, closed] = broker.ports[..] else {
        panic!("three ports")
    };
    for _ in 0..2 {
        assert_eq!(Visitor::new(open).get("/api/v1/overview").status, 200);
        assert_eq!(Visitor::new(closed).get("/api/v1/overview").status, 401);
    }
}

#[test]
fn what_mosquitto_answers_over_http_is_answered() {
    let folder = tempfile::tempdir().unwrap();
    let files = folder.path().join("files");
    std::fs::create_dir(&files).unwrap();
    std::fs::write(files.join("index.html"), "start").unwrap();
    std::fs::write(folder.path().join("secret"), "secret").unwrap();
    std::os::unix::fs::symlink(folder.path().join("secret"), files.join("link")).unwrap();
    let lines = format!(
        "listener any 127.0.0.1\nallow_anonymous true\n\
         listener any 127.0.0.1\nprotocol http_api\nhttp_dir {}",
        files.display()
    );
    let broker = BrokerProcess::configured(&lines, &[]);
    let visitor = Visitor::new(http_port(&broker));
    assert_eq!(visitor.get("/api/v1/version").body, "2.1.2");
    let listeners: Value = serde_json::from_str(&visitor.get("/api/v1/listeners").body).unwrap();
    assert_eq!(listeners["listeners"][1]["protocol"], "httpapi");
    assert_eq!(listeners["listeners"][0]["mtls"], false);
    let systree = visitor.get("/api/v1/systree");
    assert_eq!(systree.header("access-control-allow-origin"), Some("*"));
    let systree: Value = serde_json::from_str(&systree.body).unwrap();
    assert_eq!(systree["$SYS/broker/clients/connected"], 0);
    assert!(systree["$SYS/broker/uptime"].is_u64());
    // In bytes, as below $SYS.
    assert!(systree["$SYS/broker/heap/current"].as_u64() > Some(1_000_000));
    assert_eq!(visitor.get("/").body, "start");
    for path in [
        "/link",
        "/../secret",
        "/%2e%2e/secret",
        "/nothing",
        "/api/v1/overview",
    ] {
        assert_eq!(visitor.get(path).status, 404, "{path}");
    }
    let posted = visitor.post("/api/v1/version", "");
    assert_eq!(
        (posted.status, posted.body.as_str()),
        (405, "Invalid HTTP Method\n")
    );
}

#[test]
fn without_a_user_name_mosquittos_questions_are_refused_where_clients_are() {
    let lines = "listener any 127.0.0.1\nallow_anonymous false\n\
                 listener any 127.0.0.1\nprotocol http_api";
    let broker = BrokerProcess::configured(lines, &[]);
    let visitor = Visitor::new(http_port(&broker));
    let answer = visitor.get("/api/v1/version");
    assert_eq!(
        (answer.status, answer.body.as_str()),
        (401, "Not authorised\n")
    );
    assert_eq!(
        answer.header("www-authenticate"),
        Some("Basic realm=\"Mosquitto API\"")
    );
}

/// Requests that both are asked: what of them is compared below.
const PATHS: &[&str] = &[
    "/api/v1/version",
    "/api/v1/version?a=b",
    "/api/v1/version/",
    "/api/v1/listeners",
    "/api/v1/systree",
    "/api/v1/nothing",
    "/",
    "/sub/",
    "/sub",
    "/a.css",
    "/a%2ecss",
    "/sub/../a.css",
    "/link",
    "/../secret",
    "/nothing",
];

/// Nothing, u:p, u:wrong, v:p, u without a password, and what is neither.
const LOGINS: &[&str] = &[
    "",
    "Basic dTpw",
    "Basic dTp3cm9uZw==",
    "Basic djpw",
    "Basic dTo=",
    "Basic !",
    "Bearer x",
];

/// Ports and figures differ; their names do not.
fn shape(answer: &Answer, path: &str) -> (u16, Vec<Option<String>>, String) {
    let header = |name: &str| answer.header(name).map(str::to_owned);
    let headers = ["www-authenticate", "access-control-allow-origin"].map(header);
    let body = match serde_json::from_str::<Value>(&answer.body) {
        Ok(Value::Object(mut all)) if path.ends_with("listeners") => {
            let rows = all["listeners"].as_array_mut().unwrap();
            let numbers = rows.iter_mut().map(|row| &mut row["port"]);
            numbers.for_each(|port| *port = Value::Bool(port.is_u64()));
            Value::Object(all).to_string()
        }
        Ok(Value::Object(all)) => {
            assert!(all.values().all(Value::is_u64), "{answer:?}");
            let mut names: Vec<_> = all.into_iter().map(|(name, _)| name).collect();
            names.sort();
            names.join("\n")
        }
        _ => answer.body.clone(),
    };
    (answer.status, headers.to_vec(), body)
}

fn shapes(visitor: &Visitor) -> Vec<String> {
    let mut all = Vec::new();
    for path in PATHS {
        for login in LOGINS {
            let visitor = match *login {
                "" => visitor.with("Accept", "*/*"),
                login => visitor.with("Authorization", login),
            };
            let shape = shape(&visitor.get(path), path);
            all.push(format!("{path} {login:?}: {shape:?}"));
        }
        let posted = shape(&visitor.post(path, "{}"), path);
        all.push(format!("POST {path}: {:?}", (posted.0, posted.2)));
    }
    all
}

fn files(folder: &Path) -> String {
    let files = folder.join("files");
    std::fs::create_dir_all(files.join("sub")).unwrap();
    for (name, text) in [
        ("index.html", "start"),
        ("sub/index.html", "sub"),
        ("a.css", "b{}"),
    ] {
        std::fs::write(files.join(name), text).unwrap();
    }
    std::fs::write(folder.join("secret"), "secret").unwrap();
    std::os::unix::fs::symlink(folder.join("secret"), files.join("link")).unwrap();
    let line = format!("passwd -c -b {} u p", folder.join("users").display());
    assert_eq!(Program::mqttx().words(&line).run().status, 0);
    std::fs::write(folder.join("rules"), "user u\ntopic read /api/v1/version\n").unwrap();
    files.display().to_string()
}

#[test]
fn mosquitto_2_1_itself_answers_the_same() {
    let Some(program) = mosquittos_21("mosquitto") else {
        return skipped(4, "mosquitto 2.1 is not there");
    };
    let folder = tempfile::tempdir().unwrap();
    let files = files(folder.path());
    let place = |name: &str| folder.path().join(name).display().to_string();
    let users = format!("password_file {}\n", place("users"));
    let rules = format!("{users}acl_file {}\n", place("rules"));
    for (name, before) in [
        ("anybody", "allow_anonymous true\n".to_owned()),
        ("users", format!("allow_anonymous false\n{users}")),
        ("both", format!("allow_anonymous true\n{users}")),
        ("rules", format!("allow_anonymous false\n{rules}")),
    ] {
        let lines = |[mqtt, http]: [&str; 2]| {
            format!(
                "{before}listener {mqtt} 127.0.0.1\nlistener {http} 127.0.0.1\n\
                 protocol http_api\nhttp_dir {files}\n"
            )
        };
        let conf = folder.path().join("conf");
        let (_peer, [_, http]) = peers::start(|ports: [u16; 2]| {
            let ports = ports.map(|port| port.to_string());
            let lines = lines([&ports[0], &ports[1]]);
            std::fs::write(&conf, format!("user root\n{lines}")).unwrap();
            let mut command = Command::new(&program);
            command.arg("-c").arg(&conf);
            command
        });
        let theirs = shapes(&Visitor::new(http));
        let broker = BrokerProcess::configured(&lines(["any", "any"]), &["--log-type", "all"]);
        let ours = shapes(&Visitor::new(http_port(&broker)));
        for (ours, theirs) in ours.iter().zip(&theirs) {
            assert_eq!(ours, theirs, "{name}");
        }
    }
}

#[test]
fn a_folder_that_is_not_there_is_a_mistake() {
    let folder = tempfile::tempdir().unwrap();
    let conf = folder.path().join("conf");
    let lines = "user root\nlistener 1 127.0.0.1\nprotocol http_api\nhttp_dir /nowhere\n";
    std::fs::write(&conf, lines).unwrap();
    let line = format!("broker -c {}", conf.display());
    let left = Program::mqttx().words(&line).run();
    let told = left.err();
    let why = "Error: http_dir /nowhere: No such file or directory.\n";
    assert!(told.contains(why), "{told}");
    let found = format!("Error found at {}:4.\n", conf.display());
    assert!(told.contains(&found), "{told}");
    assert_eq!(left.status, 3, "{told}");
}
