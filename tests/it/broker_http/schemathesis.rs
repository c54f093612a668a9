//! schemathesis asks whatever the document allows and much that it does not: no answer is a fault of
//! the broker's own, each is as the document says, and nobody gets in who may not.
//!
//! `tests/setup-peers` installs it; without it this is skipped aloud.

use std::process::Command;

use super::http_port;
use crate::support::broker_process::BrokerProcess;
use crate::support::packets::{self, Hello};
use crate::support::peers::peers;
use crate::support::programs::skipped;
use crate::support::raw_client::RawClient;
use crate::support::visitor::Visitor;
use mqttx::mqtt::Version;

/// Operations of the document but for those whose answers never end.
const OPERATIONS: usize = 19;

const TOKEN: &str = "a-token-of-many-letters";

#[test]
fn a_stranger_with_the_document_finds_no_fault() {
    let program = peers().join("schemathesis/bin/schemathesis");
    if !program.exists() {
        skipped(
            OPERATIONS,
            "schemathesis is not installed (tests/setup-peers)",
        );
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, TOKEN).unwrap();
    let token = token.to_str().unwrap();
    let words = [
        "--workers",
        "2",
        "--http",
        "0.0.0.0:0",
        "--http-token",
        token,
    ];
    let broker = BrokerProcess::start(&words);
    let visitor = Visitor::new(http_port(&broker));
    let mut somebody = RawClient::subscriber(broker.port, &Hello::new("somebody"), "a/#", 1);
    let kept = packets::publish(Version::V5, "kept", "x", 0, 0, &[]);
    somebody.send(&packets::retained(kept));
    somebody.ping();

    let place = format!("http://127.0.0.1:{}", visitor.port);
    let output = Command::new(program)
        .args(["--no-color", "run"])
        .arg(format!("{place}/api/v1/openapi.json"))
        .args(["--url", &place, "--header"])
        .arg(format!("Authorization: Bearer {TOKEN}"))
        // Streams of events do not end by themselves.
        .args(["--exclude-path-regex", "/(events|subscribe)$"])
        // One worker: CPython 3.11 cannot parse in two threads at a time ("AST constructor recursion depth").
        .args(["--max-examples", "8", "--seed", "1", "--workers", "1"])
        .args(["--phases", "coverage,fuzzing", "--no-shrink"])
        .args(["--request-timeout", "10", "--generation-database", "none"])
        .current_dir(&folder)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    assert!(said.contains(&format!("Tested: {OPERATIONS}")), "{said}");
    assert_eq!(visitor.get("/readyz").status, 200);
}
