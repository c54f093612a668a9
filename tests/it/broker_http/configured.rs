//! Listeners of a mosquitto.conf that answer over HTTP.

use super::http_port;
use crate::support::broker_process::BrokerProcess;
use crate::support::visitor::Visitor;

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
    let listeners: serde_json::Value =
        serde_json::from_str(&visitor.get("/api/v1/listeners").body).unwrap();
    assert_eq!(listeners["listeners"][1]["protocol"], "httpapi");
    assert_eq!(listeners["listeners"][0]["mtls"], false);
    let systree = visitor.get("/api/v1/systree");
    assert_eq!(systree.header("access-control-allow-origin"), Some("*"));
    let systree: serde_json::Value = serde_json::from_str(&systree.body).unwrap();
    assert_eq!(systree["$SYS/broker/clients/connected"], 0);
    assert!(systree["$SYS/broker/uptime"].is_u64());
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
