//! Listeners of the real broker, each with rules of its own: proxies, certificates as users,
//! revocation, reload, and what is answered to those who get it wrong.

mod certificates;
#[cfg(feature = "psk")]
mod keys;
mod proxies;
mod rules;

use std::process::Command;

use crate::support::broker_process::BrokerProcess;

pub(crate) fn configured(lines: &str) -> BrokerProcess {
    BrokerProcess::configured(lines, &["-v"])
}

pub(crate) fn listening(urls: &[&str], words: &[&str]) -> BrokerProcess {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mqttx"));
    command.arg("broker");
    for url in urls {
        command.args(["--listen", url]);
    }
    command.args(words);
    BrokerProcess::start_as(command)
}
