//! Who may ask, and what becomes of requests that are not as they should be.

use std::io::{Read, Write};
use std::process::Command;

use super::{broker, http_port};
use crate::support::broker_process::BrokerProcess;
use crate::support::visitor::{Answer, Visitor};

#[test]
fn pages_come_from_the_program_with_what_browsers_are_to_be_told() {
    let (_broker, visitor) = broker(&[]);
    for path in ["/", "/client"] {
        let page = visitor.get(path);
        assert_eq!(page.status, 200);
        assert_eq!(
            page.header("content-type"),
            Some("text/html; charset=utf-8")
        );
        assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
        let policy = page.header("content-security-policy").unwrap();
        assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"));
        let tag = page.header("etag").unwrap();
        let again = visitor.with("If-None-Match", tag).get(path);
        assert_eq!((again.status, again.body.as_str()), (304, ""));
    }
    assert_eq!(visitor.get("/assets/index.html").status, 200);
}

#[test]
fn no_path_leads_out_of_the_program() {
    let (_broker, visitor) = broker(&[]);
    for path in [
        "/assets/../Cargo.toml",
        "/assets/..%2f..%2fetc%2fpasswd",
        "/../../etc/passwd",
        "/assets/%2e%2e/%2e%2e/etc/passwd",
        "/assets//etc/passwd",
        "/assets/",
        "/api/v1/",
        "/api/v2/overview",
    ] {
        let answer = visitor.get(path);
        assert_eq!(
            (answer.status, answer.fault().as_str()),
            (404, "not_found"),
            "{path}"
        );
    }
}

#[test]
fn pages_of_other_sites_may_not_ask() {
    let (_broker, visitor) = broker(&[]);
    let check = |visitor: &Visitor, code: &str| {
        let answer = visitor.get("/api/v1/overview");
        assert_eq!((answer.status, answer.fault().as_str()), (403, code));
    };
    check(&visitor.with("Origin", "http://evil.example"), "cross_site");
    check(&visitor.with("Origin", "null"), "cross_site");
    check(&visitor.with("Sec-Fetch-Site", "cross-site"), "cross_site");
    check(&visitor.with("Host", "evil.example"), "wrong_host");
    let own = format!("http://localhost:{}", visitor.port);
    assert_eq!(
        visitor.with("Origin", &own).get("/api/v1/overview").status,
        200
    );
}

#[test]
fn requests_are_answered_as_they_are() {
    let (_broker, visitor) = broker(&[]);
    let check = |method: &str, path: &str, status: u16, code: &str| {
        let answer = visitor.ask(method, path, "");
        assert_eq!(
            (answer.status, answer.fault().as_str()),
            (status, code),
            "{method} {path}"
        );
    };
    check("POST", "/api/v1/overview", 405, "method_not_allowed");
    check("PUT", "/api/v1/clients/a", 405, "method_not_allowed");
    check("GET", "/api/v1/clients?limit=0", 400, "bad_request");
    check("GET", "/api/v1/clients?limit=x", 400, "bad_request");
    check("GET", "/api/v1/clients?sort=colour", 400, "bad_request");
    check("GET", "/api/v1/clients?colour=red", 400, "bad_request");
    check("GET", "/api/v1/retained?filter=a/%23/b", 400, "bad_request");
    check("GET", "/api/v1/retained?filter=%ff", 400, "bad_request");
    check("DELETE", "/api/v1/retained", 400, "bad_request");
    check("GET", "/mqtt", 426, "upgrade_wanted");
}

#[test]
fn heads_without_end_are_refused() {
    let (_broker, visitor) = broker(&[]);
    let flood = |head: String| {
        let mut stream = visitor.connect();
        let _ = stream.write_all(head.as_bytes());
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        answer
    };
    let long = format!(
        "GET / HTTP/1.1\r\nHost: localhost\r\nA: {}\r\n\r\n",
        "a".repeat(100_000)
    );
    assert_eq!(Answer::read(&flood(long)).status, 431);
    let many = format!(
        "GET / HTTP/1.1\r\nHost: localhost\r\n{}\r\n",
        "A: b\r\n".repeat(1_000)
    );
    assert_eq!(Answer::read(&flood(many)).status, 431);
    assert_eq!(
        Answer::read(&flood("\x16\x03\x01\r\n\r\n".to_owned())).status,
        400
    );
    assert_eq!(visitor.get("/healthz").status, 200);
}

/// Runs a broker that is not to start; what it says.
fn refused(words: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mqttx"));
    let output = command
        .args(["broker", "--port", "0"])
        .args(words)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn beyond_this_machine_somebody_has_to_be_named() {
    let said = refused(&["--http", "0.0.0.0:0"]);
    assert!(said.contains("--http-token FILE"), "{said}");
    let said = refused(&["--http", "nowhere"]);
    assert!(said.contains("PORT, ADDRESS:PORT"), "{said}");
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, "short\n").unwrap();
    let token = token.to_str().unwrap();
    let said = refused(&["--http", "0", "--http-token", token]);
    assert!(said.contains("at least 16"), "{said}");

    std::fs::write(token, "a-token-of-many-letters\n").unwrap();
    let broker = BrokerProcess::start(&["--http", "0.0.0.0:0", "--http-token", token]);
    let visitor = Visitor::new(http_port(&broker));
    assert_eq!(visitor.get("/healthz").status, 200);
    assert_eq!(visitor.get("/").status, 200);
    let answer = visitor.get("/api/v1/overview");
    assert_eq!(
        (answer.status, answer.fault().as_str()),
        (401, "login_wanted")
    );
    assert!(
        answer
            .header("www-authenticate")
            .unwrap()
            .starts_with("Basic")
    );
    let page = visitor
        .with("X-Requested-With", "page")
        .get("/api/v1/overview");
    assert!(page.header("www-authenticate").is_none());
    let wrong = visitor.with("Authorization", "Bearer a-token-of-many-letterz");
    assert_eq!(wrong.get("/api/v1/overview").status, 401);
    // As a wrong password: for those who ban by the log, and towards the broker's own bans.
    broker.wait_log("login failed from 127.0.0.1 (1 in a row)");
    // Nobody has a password here, so none is the right one.
    let somebody = visitor.with("Authorization", "Basic Ym9iOnNlY3JldA==");
    assert_eq!(somebody.get("/api/v1/overview").status, 401);
    let right = visitor.with("Authorization", "Bearer a-token-of-many-letters");
    assert_eq!(right.get("/api/v1/overview").status, 200);
    assert_eq!(right.json("/api/v1/me")["token"], true);
    // The right token from a wrong place is worth nothing.
    let foreign = right.with("Origin", "http://evil.example");
    let answer = foreign.delete("/api/v1/retained?filter=%23");
    assert_eq!(
        (answer.status, answer.fault().as_str()),
        (403, "cross_site")
    );
}

#[test]
fn users_of_the_broker_may_do_what_its_rules_say() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (users, rules) = (path("users"), path("rules"));
    for words in [&["-c", "-b", &users, "bob"][..], &["-b", &users, "amy"][..]] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mqttx"));
        command.arg("passwd").args(words).arg("secret");
        assert!(command.status().unwrap().success());
    }
    let text =
        "user bob\ntopic readwrite #\ntopic write $CONTROL/broker/v1\nuser amy\ntopic read #\n";
    std::fs::write(&rules, text).unwrap();
    let (_broker, visitor) = broker(&["--password-file", &users, "--acl-file", &rules]);
    assert_eq!(visitor.get("/api/v1/overview").status, 401);
    let bob = visitor.with("Authorization", "Basic Ym9iOnNlY3JldA==");
    assert_eq!(bob.get("/api/v1/overview").status, 200);
    assert_eq!(bob.json("/api/v1/me")["user"], "bob");
    let amy = visitor.with("Authorization", "Basic YW15OnNlY3JldA==");
    let answer = amy.get("/api/v1/overview");
    assert_eq!((answer.status, answer.fault().as_str()), (403, "forbidden"));
    assert_eq!(amy.json("/api/v1/me")["admin"], false);
    let wrong = visitor.with("Authorization", "Basic Ym9iOndyb25n");
    assert_eq!(wrong.get("/api/v1/overview").status, 401);
    for value in ["Basic", "Basic !", "Digest a", "Basic Ym9i"] {
        let answer = visitor.with("Authorization", value).get("/api/v1/overview");
        assert_eq!(answer.fault(), "bad_request", "{value}");
    }
}
