//! A bridge as visitors see it: that it is there, what crosses it, and why it is not.

use std::time::Instant;

use serde_json::Value;

use super::http_port;
use crate::broker_bridges::{bridged, wait_until_carried};
use crate::support::broker_process::{BrokerProcess, PATIENCE};
use crate::support::visitor::Visitor;

fn await_row(visitor: &Visitor, what: &str, is: impl Fn(&Value) -> bool) -> Value {
    let begun = Instant::now();
    loop {
        let row = visitor.json("/api/v1/bridges")["bridges"][0].clone();
        if is(&row) {
            return row;
        }
        assert!(begun.elapsed() < PATIENCE, "{what}: {row}");
    }
}

#[test]
fn a_bridge_shows_its_traffic_and_its_last_error() {
    let far = BrokerProcess::start(&[]);
    let (near, _folder) = bridged(
        far.port,
        "topic # both 1 here/ there/ | listener any 127.0.0.1 | allow_anonymous true | \
         listener any 127.0.0.1 | protocol http",
    );
    let visitor = Visitor::new(http_port(&near));
    wait_until_carried((near.ports[0], "here/x"), (far.port, "there/x"));
    let row = await_row(&visitor, "nothing crosses", |row| {
        row["messages_out"].as_u64() > Some(0)
    });
    assert_eq!(
        (&row["connected"], &row["failures"]),
        (&true.into(), &0.into())
    );
    assert!(row["last_error"].is_null());
    let metrics = visitor.get("/metrics").body;
    for line in [
        "mqttx_bridge_connected{bridge=\"b\"} 1",
        "mqttx_bridge_failures_total{bridge=\"b\"} 0",
        "mqttx_bridge_messages_total{bridge=\"b\",direction=\"in\"} 0",
    ] {
        assert!(metrics.contains(&format!("\n{line}")), "{line}: {metrics}");
    }
    far.kill();
    let row = await_row(&visitor, "it is not told", |row| {
        !row["last_error"].is_null()
    });
    assert!(row["failures"].as_u64() > Some(0));
    assert!(
        row["last_error"]["text"]
            .as_str()
            .is_some_and(|text| !text.is_empty())
    );
    await_row(&visitor, "it is still there", |row| {
        row["connected"] == false
    });
    let metrics = visitor.get("/metrics").body;
    assert!(
        metrics.contains("\nmqttx_bridge_connected{bridge=\"b\"} 0"),
        "{metrics}"
    );
}
