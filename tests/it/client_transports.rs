//! Every way to a broker, walked to its end: a message of 20 kB goes out at QoS 2 and comes back.
//! The peers are mosquitto, microsocks and tinyproxy.

use std::fs;
use std::path::Path;
use std::process::Command;

use mqttx::client::{End, Engine, Event, Handler, Message, Options};
use mqttx::mqtt::property::Properties;
use mqttx::mqtt::subscribe::SubscribeOptions;
use mqttx::mqtt::{QoS, Version};
use mqttx::net::Dial;
use mqttx::net::address::Address;
use mqttx::net::proxy::{Login, Proxy, ProxyKind};
use mqttx::net::tls::{Tls, TlsFault, TlsOptions, TlsVersion, tls_error};
use mqttx::net::websocket::WebSocket;

use crate::support::certificates::Certificates;
use crate::support::peers::{Peer, installed, mosquitto, start};
use crate::support::probe::run;
use crate::support::scripted_broker::ScriptedBroker;

/// Publishes to itself.
struct Echo {
    payload: Vec<u8>,
    has_come: bool,
}

impl Handler for Echo {
    fn handle(&mut self, event: Event<'_>, client: &mut Engine) {
        match event {
            Event::Connack(_) => {
                let how = SubscribeOptions {
                    qos: QoS::ExactlyOnce,
                    ..Default::default()
                };
                client
                    .subscribe(&[("echo", how)], Properties::EMPTY)
                    .unwrap();
            }
            Event::Suback(_) => {
                let message = Message::new("echo", &self.payload).qos(QoS::ExactlyOnce);
                client.publish(&message).unwrap();
            }
            Event::Message(message) => {
                assert_eq!(message.payload, self.payload);
                self.has_come = true;
                client.finish();
            }
            _ => {}
        }
    }
}

fn echo(dial: Dial) -> End {
    let payload = (0..20_000_u32)
        .map(|n| (n.wrapping_mul(n) >> 8) as u8)
        .collect();
    let mut echo = Echo {
        payload,
        has_come: false,
    };
    let mut options = Options::new(dial);
    options.version = Version::V5;
    let (end, _) = run(options, &mut echo);
    assert_eq!(echo.has_come, matches!(end, End::Finished), "{end}");
    end
}

#[track_caller]
fn goes_round(dial: Dial) {
    let end = echo(dial);
    assert!(matches!(end, End::Finished), "{end}");
}

#[track_caller]
fn is_refused(dial: Dial) -> std::io::Error {
    match echo(dial) {
        End::Unreachable(error) => error,
        end => panic!("{end}"),
    }
}

fn local(port: u16) -> Dial {
    Dial::new(Address::tcp("localhost", port))
}

#[cfg(unix)]
#[test]
fn a_unix_socket_leads_to_a_broker() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("broker.sock");
    let lines = |[port]: [u16; 1]| {
        let socket = socket.display();
        // The last one to be opened is waited for.
        format!("listener 0 {socket}\nlistener {port} 127.0.0.1\n")
    };
    let Some((_broker, _)) = mosquitto(folder.path(), lines) else {
        return;
    };
    goes_round(Dial::new(Address::unix(socket.to_str().unwrap())));
    let error = is_refused(Dial::new(Address::unix("/nowhere/at/all")));
    assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
}

/// Elsewhere than on Linux only 127.0.0.1 is an address of this machine.
#[cfg(target_os = "linux")]
#[test]
fn a_local_address_is_bound() {
    let folder = tempfile::tempdir().unwrap();
    let lines = |[port]: [u16; 1]| format!("listener {port} 127.0.0.1\n");
    let Some((_broker, [port])) = mosquitto(folder.path(), lines) else {
        return;
    };
    let from = |bind: &str| Dial {
        bind: Some(bind.parse().unwrap()),
        ..local(port)
    };
    goes_round(from("127.0.0.1"));
    goes_round(from("127.0.0.2"));
    let error = is_refused(from("192.0.2.1"));
    assert_eq!(error.kind(), std::io::ErrorKind::AddrNotAvailable);
}

fn tls(port: u16, options: &TlsOptions) -> Dial {
    Dial {
        tls: Some(Tls::new(options).unwrap()),
        ..local(port)
    }
}

#[test]
fn tls_speaks_both_versions_and_notes_its_secrets_if_asked_to() {
    let made = Certificates::new();
    let lines = |[port]: [u16; 1]| made.listener(port, "localhost");
    let Some((_broker, [port])) = mosquitto(made.folder.path(), lines) else {
        return;
    };
    for version in [None, Some(TlsVersion::Tls12), Some(TlsVersion::Tls13)] {
        let log = made.path("keys.log");
        let mut options = made.options();
        options.version = version;
        options.key_log = Some(log.clone());
        goes_round(tls(port, &options));
        let secrets = fs::read_to_string(&log).unwrap();
        let label = match version {
            Some(TlsVersion::Tls12) => "CLIENT_RANDOM ",
            _ => "CLIENT_TRAFFIC_SECRET_0 ",
        };
        assert!(
            secrets.lines().any(|line| line.starts_with(label)),
            "{secrets}"
        );
        fs::remove_file(log).unwrap();
    }
}

#[test]
fn tls_trusts_whom_it_was_told_to_and_nobody_else() {
    let made = Certificates::new();
    let lines = |[port]: [u16; 1]| made.listener(port, "localhost");
    let Some((_broker, [port])) = mosquitto(made.folder.path(), lines) else {
        return;
    };
    goes_round(tls(port, &made.options()));
    let folder = made.path("trusted");
    fs::create_dir(&folder).unwrap();
    fs::copy(made.path("ca.pem"), folder.join("1a2b3c4d.0")).unwrap();
    let by_folder = TlsOptions {
        ca_path: Some(folder),
        ..TlsOptions::default()
    };
    goes_round(tls(port, &by_folder));

    let other = made.trusting("other.pem");
    let error = is_refused(tls(port, &other));
    assert!(
        matches!(
            tls_error(&error),
            Some(rustls::Error::InvalidCertificate(_))
        ),
        "{error}"
    );
    let elsewhere = TlsOptions {
        server_name: Some("elsewhere".into()),
        ..made.options()
    };
    let error = is_refused(tls(port, &elsewhere));
    assert!(error.to_string().contains("elsewhere"), "{error}");
    let anybody = TlsOptions {
        insecure: true,
        server_name: Some("x".into()),
        ..other
    };
    goes_round(tls(port, &anybody));
}

#[test]
fn a_certificate_that_vouches_for_itself_is_trusted_if_it_is_the_one_we_were_given() {
    let made = Certificates::new();
    let lines = |[port]: [u16; 1]| made.listener(port, "self");
    let Some((_broker, [port])) = mosquitto(made.folder.path(), lines) else {
        return;
    };
    let itself = made.trusting("self.pem");
    goes_round(tls(port, &itself));
    is_refused(tls(port, &made.trusting("other.pem")));
    is_refused(tls(
        port,
        &TlsOptions {
            server_name: Some("elsewhere".into()),
            ..itself
        },
    ));
}

#[test]
fn a_broker_without_tls_is_told_from_one_with_it() {
    let made = Certificates::new();
    let plain = ScriptedBroker::start(Version::V311, |broker| {
        let mut client = broker.accept_raw();
        client.send(&[0x20, 2, 0, 0]);
        while client.read_or_reset().is_some() {}
    });
    let error = is_refused(tls(plain.port, &made.options()));
    assert!(tls_error(&error).is_some(), "{error}");
    plain.join();
}

#[test]
fn a_broker_may_ask_for_our_certificate_and_a_protocol() {
    let made = Certificates::new();
    let lines = |[port]: [u16; 1]| {
        format!(
            "{}cafile {}\nrequire_certificate true\n",
            made.listener(port, "localhost"),
            made.path("ca.pem").display()
        )
    };
    let Some((_broker, [port])) = mosquitto(made.folder.path(), lines) else {
        return;
    };
    let known = TlsOptions {
        cert: Some(made.path("client.pem")),
        key: Some(made.path("client.key")),
        alpn: vec!["mqtt".into()],
        ..made.options()
    };
    goes_round(tls(port, &known));
    let end = echo(tls(port, &made.options()));
    assert!(!matches!(end, End::Finished), "{end}");
    let ciphers = Some("ECDHE-ECDSA-AES128-GCM-SHA256".into());
    goes_round(tls(port, &TlsOptions { ciphers, ..known }));
}

#[test]
fn what_tls_cannot_use_is_named() {
    let made = Certificates::new();
    made.write("empty.pem", "nothing here\n");
    made.write(
        "broken.pem",
        "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n",
    );
    made.write(
        "locked.key",
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
    );
    let fault = |change: &dyn Fn(&mut TlsOptions)| {
        let mut options = made.options();
        change(&mut options);
        Tls::new(&options).unwrap_err()
    };
    let path = |name: &str| Some(made.path(name));
    let file = fault(&|options| options.ca_file = path("none.pem"));
    assert!(
        matches!(&file, TlsFault::File(at, _) if *at == made.path("none.pem")),
        "{file}"
    );
    for name in ["empty.pem", "broken.pem"] {
        let content = fault(&|options| options.ca_file = path(name));
        assert!(matches!(&content, TlsFault::Content(at, _) if *at == made.path(name)));
    }
    let cert = |key: &'static str| {
        fault(&move |options| {
            options.cert = path("client.pem");
            options.key = path(key);
        })
    };
    assert!(matches!(cert("locked.key"), TlsFault::Content(..)));
    assert!(matches!(cert("client.pem"), TlsFault::Content(..)));
    assert!(matches!(cert("localhost.key"), TlsFault::Config(_)));
    let alone = fault(&|options| options.cert = path("client.pem"));
    assert!(matches!(alone, TlsFault::CertWithoutKey));
}

#[test]
fn websockets_carry_mqtt_with_and_without_tls() {
    let made = Certificates::new();
    // mosquitto 2.0.11 does not start with WebSocket listeners alone.
    let lines = |[direct, plain, secure]: [u16; 3]| {
        let listener = |port| format!("listener {port} 127.0.0.1\n");
        let websockets = "protocol websockets\n";
        let (direct, plain) = (listener(direct), listener(plain));
        let secure = made.listener(secure, "localhost");
        format!("{direct}{plain}{websockets}{secure}{websockets}")
    };
    let Some((_broker, [_, plain, secure])) = mosquitto(made.folder.path(), lines) else {
        return;
    };
    let headers = vec![("X-Tried-By".to_owned(), "a test".to_owned())];
    for websocket in [
        WebSocket::default(),
        WebSocket {
            path: "/mqtt?token=1".into(),
            headers,
        },
    ] {
        goes_round(Dial {
            websocket: Some(websocket.clone()),
            ..local(plain)
        });
        goes_round(Dial {
            websocket: Some(websocket),
            ..tls(secure, &made.options())
        });
    }
    let wrong = WebSocket {
        headers: vec![("a b".into(), "c".into())],
        ..WebSocket::default()
    };
    is_refused(Dial {
        websocket: Some(wrong),
        ..local(plain)
    });
}

/// A server that speaks HTTP and no WebSocket.
#[test]
fn a_failed_websocket_handshake_says_what_came() {
    let script = ScriptedBroker::start(Version::V311, |broker| {
        let mut client = broker.accept_raw();
        client.send(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
        while client.read_or_reset().is_some() {}
    });
    let error = is_refused(Dial {
        websocket: Some(WebSocket::default()),
        ..local(script.port)
    });
    assert!(error.to_string().contains("404"), "{error}");
    script.join();
}

fn by_way_of(kind: ProxyKind, port: u16, login: Option<(&str, &str)>, dial: Dial) -> Dial {
    let login = login.map(|(user_name, password)| Login {
        user_name: user_name.into(),
        password: password.into(),
    });
    Dial {
        proxy: Some(Proxy {
            kind,
            host: "127.0.0.1".to_owned(),
            port,
            login,
        }),
        ..dial
    }
}

#[test]
fn a_socks5_proxy_connects_for_us() {
    let Some(program) = installed("microsocks") else {
        return;
    };
    let made = Certificates::new();
    let lines = |[port, secure]: [u16; 2]| {
        let secure = made.listener(secure, "localhost");
        format!("listener {port} 127.0.0.1\n{secure}")
    };
    let Some((_broker, [port, secure])) = mosquitto(made.folder.path(), lines) else {
        return;
    };
    let proxy = |login: &[&str]| {
        let (proxy, [port]) = start(|[port]: [u16; 1]| {
            let mut command = Command::new(&program);
            command.args(["-i", "127.0.0.1", "-p", &port.to_string()]);
            command.args(login);
            command
        });
        (proxy, port)
    };
    let (_open, open) = proxy(&[]);
    let (_locked, locked) = proxy(&["-u", "ann", "-P", "p@ss"]);
    goes_round(by_way_of(ProxyKind::Socks5, open, None, local(port)));
    goes_round(by_way_of(
        ProxyKind::Socks5,
        open,
        None,
        Dial::new(Address::tcp("127.0.0.1", port)),
    ));
    let known = Some(("ann", "p@ss"));
    goes_round(by_way_of(ProxyKind::Socks5, locked, known, local(port)));
    goes_round(by_way_of(
        ProxyKind::Socks5,
        locked,
        known,
        tls(secure, &made.options()),
    ));
    for login in [None, Some(("ann", "wrong"))] {
        let error = is_refused(by_way_of(ProxyKind::Socks5, locked, login, local(port)));
        assert!(error.to_string().starts_with("SOCKS5 proxy: "), "{error}");
    }
    let closed = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    let error = is_refused(by_way_of(ProxyKind::Socks5, open, None, local(closed)));
    assert!(error.to_string().starts_with("SOCKS5 proxy: "), "{error}");
}

fn tinyproxy(program: &Path, folder: &Path, more: &str) -> (Peer, u16) {
    let (proxy, [port]) = start(|[port]: [u16; 1]| {
        let conf = folder.join(format!("tinyproxy-{port}.conf"));
        let lines = format!("Port {port}\nListen 127.0.0.1\nTimeout 60\nAllow 127.0.0.1\n{more}");
        fs::write(&conf, lines).unwrap();
        let mut command = Command::new(program);
        command.arg("-d").arg("-c").arg(conf);
        command
    });
    (proxy, port)
}

#[test]
fn an_http_proxy_connects_for_us() {
    let Some(program) = installed("tinyproxy") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let lines = |[port]: [u16; 1]| format!("listener {port} 127.0.0.1\n");
    let Some((_broker, [port])) = mosquitto(folder.path(), lines) else {
        return;
    };
    let (_open, open) = tinyproxy(&program, folder.path(), "");
    let (_locked, locked) = tinyproxy(&program, folder.path(), "BasicAuth ann secret\n");
    goes_round(by_way_of(ProxyKind::Http, open, None, local(port)));
    goes_round(by_way_of(
        ProxyKind::Http,
        locked,
        Some(("ann", "secret")),
        local(port),
    ));
    let error = is_refused(by_way_of(ProxyKind::Http, locked, None, local(port)));
    assert!(error.to_string().starts_with("HTTP proxy: 4"), "{error}");
    // Another kind of server in its place.
    let socks = by_way_of(ProxyKind::Socks5, open, None, local(port));
    is_refused(Dial {
        timeout: std::time::Duration::from_secs(2),
        ..socks
    });
}
