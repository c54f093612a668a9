//! The broker over HTTP: what it answers, whom, and what it does with requests that are not as they
//! should be.

mod api;
mod bridges;
mod configured;
mod messages;
mod openapi;
mod reload;
mod room;
mod schemathesis;
mod slow;
mod tls;
mod visits;

use crate::support::broker_process::BrokerProcess;
use crate::support::visitor::Visitor;

/// A broker with a listener for visitors, and one of them.
fn broker(words: &[&str]) -> (BrokerProcess, Visitor) {
    let words: Vec<&str> = [&["--http", "0"], words].concat();
    let broker = BrokerProcess::start(&words);
    let visitor = Visitor::new(http_port(&broker));
    (broker, visitor)
}

/// Those of MQTT come first, each on both addresses of this machine, if it has two.
fn http_port(broker: &BrokerProcess) -> u16 {
    *broker.ports.last().expect("a port")
}
