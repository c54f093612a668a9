//! What lies below MQTT: WebSocket frames and requests, headers of proxies.

use mqttx::net::frames::Frames;
use mqttx::net::proxy_header::{self, Header, HeaderVersion};
use mqttx::net::upgrade::{self, Upgrade, WebSocketRules};

/// Frames come to the same wherever reads end: the first byte says how long they are.
pub fn websocket(data: &[u8]) {
    let Some((&first, bytes)) = data.split_first() else {
        return;
    };
    let rules = WebSocketRules {
        forwarded_for: first & 1 == 0,
        head_max: 400,
        ..WebSocketRules::default()
    };
    request(bytes, &rules);
    let whole = read_by(bytes, bytes.len().max(1));
    let parts = read_by(bytes, 1 + usize::from(first) % 7);
    assert_eq!(whole, parts);
}

type Read = (Vec<u8>, Vec<String>, Result<(), &'static str>);

fn read_by(bytes: &[u8], size: usize) -> Read {
    let mut frames = Frames::default();
    let (mut out, mut controls, mut result) = (Vec::new(), Vec::new(), Ok(()));
    for part in bytes.chunks(size) {
        let mut part = part.to_vec();
        let count;
        (count, result) = frames.read(&mut part, &mut controls);
        out.extend_from_slice(&part[..count]);
        if result.is_err() {
            break;
        }
    }
    let controls = controls.iter().map(|control| format!("{control:?}"));
    (out, controls.collect(), result)
}

fn request(bytes: &[u8], rules: &WebSocketRules) {
    match upgrade::read(bytes, rules) {
        Upgrade::More => assert!(bytes.len() < rules.head_max),
        Upgrade::Granted(granted) => {
            assert!(granted.size <= bytes.len());
            let shorter = upgrade::read(&bytes[..granted.size - 1], rules);
            assert_eq!(shorter, Upgrade::More, "all of a request is needed");
        }
        Upgrade::Refused(answer, _) => assert!(answer.starts_with(b"HTTP/1.1 ")),
    }
}

/// A header that is whole stays what it is, whatever follows.
pub fn proxy(data: &[u8]) {
    for version in [HeaderVersion::V1, HeaderVersion::V2] {
        let Ok(Header::Client(client, size)) = proxy_header::read(version, data) else {
            continue;
        };
        assert!(size <= data.len() && size <= proxy_header::HEADER_SIZE_MAX);
        let alone = proxy_header::read(version, &data[..size]);
        assert_eq!(alone, Ok(Header::Client(client, size)));
        for short in 0..size {
            let part = proxy_header::read(version, &data[..short]);
            assert_eq!(part, Ok(Header::More), "{short} of {size} bytes");
        }
    }
}
