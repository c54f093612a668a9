//! Bridges through TLS, with certificates or with a key both sides know, between two of ours and
//! with mosquitto at either end.

use crate::broker_bridges::{bridged_to, messages, send, wait_until_carried, watcher};
use crate::support::broker_process::BrokerProcess;
use crate::support::certificates::Certificates;
use crate::support::packets::Hello;
use crate::support::peers;
use crate::support::raw_client::RawClient;

/// A message each way at each QoS. The bridge may be ended in the middle of the last handshake: the
/// next one to the same broker has to be another client, or it steps into that handshake.
fn both_ways(near: u16, far: u16) {
    wait_until_carried((far, "t/probe"), (near, "t/probe"));
    let (mut at_far, mut at_near) = (watcher(far, "t/+/x"), watcher(near, "t/+/x"));
    let mut local = RawClient::connect(near, &Hello::new("local"));
    let mut remote = RawClient::connect(far, &Hello::new("remote"));
    for qos in 0..=2 {
        send(&mut local, "t/out/x", "x", qos, 1);
        send(&mut remote, "t/in/x", "y", qos, 1);
        for client in [&mut at_far, &mut at_near] {
            let mut seen = messages(client, 2);
            seen.sort();
            let expected = [
                format!("PUBLISH t/in/x y q{qos}"),
                format!("PUBLISH t/out/x x q{qos}"),
            ];
            assert_eq!(seen, expected);
        }
    }
}

#[test]
fn certificates_of_both_sides_are_looked_at() {
    let certificates = Certificates::new();
    let path = |name: &str| certificates.path(name).display().to_string();
    let far = BrokerProcess::configured(
        &format!(
            "listener any 127.0.0.1\nallow_anonymous true\n\
             {}cafile {}\nrequire_certificate true\nlistener any 127.0.0.1\n",
            certificates
                .listener(0, "localhost")
                .split_once('\n')
                .unwrap()
                .1,
            path("ca.pem"),
        ),
        &["-v"],
    );
    let address = format!("localhost:{}", far.ports[0]);
    let ours = format!(
        "bridge_certfile {} | bridge_keyfile {}",
        path("client.pem"),
        path("client.key")
    );
    for (lines, told) in [
        (
            format!("bridge_cafile {} | {ours}", path("other.pem")),
            "certificate",
        ),
        (format!("bridge_cafile {}", path("ca.pem")), "ertificate"),
    ] {
        let (near, _folder) = bridged_to(&address, &format!("topic t/# both 2 | {lines}"));
        let said = near.wait_log("Bridge b disconnected");
        assert!(said.contains(told), "{said}");
        near.wait_log("next backoff");
    }
    // Another name than the one in the certificate, unless that is said not to matter.
    let numbers = format!("127.0.0.1:{}", far.ports[0]);
    let trusting = format!(
        "topic t/# both 2 | bridge_cafile {} | {ours}",
        path("ca.pem")
    );
    let (near, _folder) = bridged_to(&numbers, &trusting);
    let said = near.wait_log("Bridge b disconnected");
    assert!(said.contains("127.0.0.1"), "{said}");
    for (address, version, more) in [
        (&address, "mqttv311", "bridge_tls_version tlsv1.2"),
        (&address, "mqttv50", "bridge_alpn mqtt"),
        (&numbers, "mqttv31", "bridge_insecure true"),
    ] {
        let lines = format!(
            "{trusting} | remote_clientid {version} | bridge_protocol_version {version} | {more}"
        );
        let (near, _folder) = bridged_to(address, &lines);
        near.wait_log("connected to");
        both_ways(near.port, far.ports[1]);
    }
}

#[test]
fn mosquitto_at_the_other_end_of_tls() {
    let certificates = Certificates::new();
    let folder = tempfile::tempdir().unwrap();
    let lines = |[tls, plain]: [u16; 2]| {
        let tls = certificates.listener(tls, "localhost");
        format!("{tls}listener {plain} 127.0.0.1\n")
    };
    let Some((_mosquitto, [tls, plain])) = peers::mosquitto(folder.path(), lines) else {
        return;
    };
    let ca = certificates.path("ca.pem");
    for version in ["mqttv311", "mqttv50"] {
        let lines = format!(
            "topic t/# both 2 | remote_clientid {version} | bridge_protocol_version {version} | \
             bridge_cafile {}",
            ca.display()
        );
        let (near, _folder) = bridged_to(&format!("localhost:{tls}"), &lines);
        near.wait_log("connected to");
        both_ways(near.port, plain);
    }
}

#[test]
fn mosquitto_bridges_to_us_through_tls() {
    let certificates = Certificates::new();
    let tls = certificates.listener(0, "localhost");
    let tls = tls.split_once('\n').unwrap().1;
    let far = BrokerProcess::configured(
        &format!("allow_anonymous true\nlistener any 127.0.0.1\n{tls}listener any 127.0.0.1\n"),
        &["-v"],
    );
    for version in ["mqttv311", "mqttv50"] {
        let folder = tempfile::tempdir().unwrap();
        let lines = |[port]: [u16; 1]| {
            format!(
                "listener {port} 127.0.0.1\nconnection b\naddress localhost:{}\n\
                 topic t/# both 2\nremote_clientid {version}\nbridge_protocol_version {version}\n\
                 bridge_cafile {}\n",
                far.ports[0],
                certificates.path("ca.pem").display()
            )
        };
        let Some((_mosquitto, [port])) = peers::mosquitto(folder.path(), lines) else {
            return;
        };
        both_ways(port, far.ports[1]);
    }
}

#[cfg(feature = "psk")]
#[test]
fn a_key_both_know_leads_across_with_ours_or_mosquitto_at_either_end() {
    let folder = tempfile::tempdir().unwrap();
    let keys = folder.path().join("keys");
    std::fs::write(&keys, "bridge:00112233445566778899\n").unwrap();
    let listening = format!("psk_hint hint\npsk_file {}\n", keys.display());
    let far = BrokerProcess::configured(
        &format!(
            "allow_anonymous true\nlistener any 127.0.0.1\n{listening}listener any 127.0.0.1\n"
        ),
        &["-v"],
    );
    let known = "bridge_identity bridge | bridge_psk 00112233445566778899";
    let address = format!("127.0.0.1:{}", far.ports[0]);
    let (near, _folder) = bridged_to(&address, &format!("topic t/# both 2 | {known}"));
    near.wait_log("connected to");
    both_ways(near.port, far.ports[1]);
    drop(near);
    let wrong = "bridge_identity bridge | bridge_psk aabb";
    let (near, _folder) = bridged_to(&address, &format!("topic t/# both 2 | {wrong}"));
    near.wait_log("Bridge b disconnected");
    drop(near);
    let lines = |[port]: [u16; 1]| {
        format!(
            "listener {port} 127.0.0.1\nconnection b\naddress {address}\ntopic t/# both 2\n\
             remote_clientid mosquitto\n{}\n",
            known.replace(" | ", "\n")
        )
    };
    let Some((mosquitto, [port])) = peers::mosquitto(folder.path(), lines) else {
        return;
    };
    both_ways(port, far.ports[1]);
    drop(mosquitto);
    let lines = |[psk, plain]: [u16; 2]| {
        format!("listener {psk} 127.0.0.1\n{listening}listener {plain} 127.0.0.1\n")
    };
    let Some((_mosquitto, [psk, plain])) = peers::mosquitto(folder.path(), lines) else {
        return;
    };
    let (near, _folder) = bridged_to(
        &format!("127.0.0.1:{psk}"),
        &format!("topic t/# both 2 | {known}"),
    );
    near.wait_log("connected to");
    both_ways(near.port, plain);
}
