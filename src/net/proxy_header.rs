//! The PROXY protocol, versions 1 and 2, as a server reads it: a proxy in front of it tells, before
//! the first byte of the client, who the client is. No I/O.
//!
//! Described in haproxy's `proxy-protocol.txt`. A header says where the connection came from, and in
//! version 2 also what the proxy knows of the TLS it took off.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Bytes of a header, addresses and all else included; the longest that make sense are shorter.
pub const HEADER_SIZE_MAX: usize = 500;

/// A line of version 1 is no longer, its end included.
const LINE_MAX: usize = 107;

const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// What a header came to.
#[derive(Debug, PartialEq, Eq)]
pub enum Header {
    /// Not all of it is here.
    More,
    /// The proxy looks whether we are there; nobody is behind it.
    Nobody,
    /// The client behind the proxy, and how many bytes the header has.
    Client(Box<Client>, usize),
}

/// Who is behind a proxy.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Client {
    /// Its address; none for a Unix socket.
    pub address: Option<SocketAddr>,
    /// How it came to the proxy, where that was by TLS.
    pub tls: Option<ClientTls>,
}

/// What a proxy knows of the TLS of its client.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct ClientTls {
    pub version: Option<String>,
    pub cipher: Option<String>,
    /// It showed a certificate, which the proxy found good.
    pub verified: bool,
    pub common_name: Option<String>,
}

/// Which of the two is spoken; a header of the other one is corrupt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderVersion {
    /// A line of text.
    V1,
    /// Binary.
    V2,
}

/// Reads the header at the front of `bytes`.
pub fn read(version: HeaderVersion, bytes: &[u8]) -> Result<Header, &'static str> {
    match version {
        HeaderVersion::V1 => read_line(bytes),
        HeaderVersion::V2 => read_binary(bytes),
    }
}

fn read_line(bytes: &[u8]) -> Result<Header, &'static str> {
    let start = bytes.len().min(6);
    if bytes[..start] != b"PROXY "[..start] {
        return Err("no PROXY header of version 1");
    }
    let seen = &bytes[..bytes.len().min(LINE_MAX)];
    let Some(end) = seen.windows(2).position(|two| two == b"\r\n") else {
        return match seen.len() < LINE_MAX {
            true => Ok(Header::More),
            false => Err("a PROXY header without end"),
        };
    };
    let line = std::str::from_utf8(&bytes[6..end]).map_err(|_| "a PROXY header that is no text")?;
    let words: Vec<&str> = line.split(' ').collect();
    let (family, rest) = words.split_first().unwrap_or((&"", &[]));
    if *family == "UNKNOWN" {
        return Ok(Header::Nobody);
    }
    let [from, to, from_port, to_port] = rest else {
        return Err("a PROXY header without its four words");
    };
    let parse = |text: &str| match *family {
        "TCP4" => text.parse::<Ipv4Addr>().ok().map(IpAddr::from),
        "TCP6" => text.parse::<Ipv6Addr>().ok().map(IpAddr::from),
        _ => None,
    };
    let (Some(from), Some(_)) = (parse(from), parse(to)) else {
        return Err("a PROXY header with a bad address");
    };
    let (Some(port), Some(_)) = (port(from_port), port(to_port)) else {
        return Err("a PROXY header with a bad port");
    };
    let client = Client {
        address: Some(SocketAddr::new(from, port)),
        tls: None,
    };
    Ok(Header::Client(Box::new(client), end + 2))
}

/// Digits only, and no more of them than needed.
fn port(text: &str) -> Option<u16> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit());
    let short = text == "0" || !text.starts_with('0');
    text.parse().ok().filter(|_| plain && short)
}

fn read_binary(bytes: &[u8]) -> Result<Header, &'static str> {
    let start = bytes.len().min(SIGNATURE.len());
    if bytes[..start] != SIGNATURE[..start] {
        return Err("no PROXY header of version 2");
    }
    let Some((head, rest)) = bytes.split_first_chunk::<16>() else {
        return Ok(Header::More);
    };
    let [.., command, family, high, low] = *head;
    let len = usize::from(u16::from_be_bytes([high, low]));
    if command >> 4 != 2 {
        return Err("a PROXY header of an unknown version");
    }
    if head.len() + len > HEADER_SIZE_MAX {
        return Err("a PROXY header that is too long");
    }
    let Some(body) = rest.get(..len) else {
        return Ok(Header::More);
    };
    let whole = &bytes[..head.len() + len];
    let fields = match (command & 0x0f, family) {
        // Also where the proxy itself is the client, or cannot say who is.
        (0, _) | (1, 0x00) => return Ok(Header::Nobody),
        (1, 0x11) => 12,
        (1, 0x21) => 36,
        (1, 0x31) => 216,
        (1, _) => return Err("a PROXY header of a kind of address that is not for MQTT"),
        _ => return Err("a PROXY header with an unknown command"),
    };
    let Some((addresses, more)) = body.split_at_checked(fields) else {
        return Err("a PROXY header without its addresses");
    };
    let mut client = Client {
        address: address(addresses),
        tls: None,
    };
    let mut checked = true;
    for field in Fields(more) {
        match field? {
            (0x03, sum) => checked = is_checksum(whole, more, sum),
            (0x20, inside) => client.tls = tls(inside)?,
            _ => {}
        }
    }
    if !checked {
        return Err("a PROXY header with a wrong checksum");
    }
    Ok(Header::Client(Box::new(client), whole.len()))
}

fn address(bytes: &[u8]) -> Option<SocketAddr> {
    let (ip, port): (IpAddr, &[u8]) = match bytes.len() {
        12 => {
            let ip: [u8; 4] = bytes[..4].try_into().ok()?;
            (ip.into(), &bytes[8..10])
        }
        36 => {
            let ip: [u8; 16] = bytes[..16].try_into().ok()?;
            (ip.into(), &bytes[32..34])
        }
        _ => return None,
    };
    Some(SocketAddr::new(
        ip,
        u16::from_be_bytes(port.try_into().ok()?),
    ))
}

/// The type-length-value fields behind the addresses.
struct Fields<'a>(&'a [u8]);

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u8, &'a [u8]), &'static str>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let whole = std::mem::take(&mut self.0);
        let cut = Err("a PROXY header with a field that is cut");
        let Some((&[kind, high, low], rest)) = whole.split_first_chunk() else {
            return Some(cut);
        };
        let len = usize::from(u16::from_be_bytes([high, low]));
        let Some((value, rest)) = rest.split_at_checked(len) else {
            return Some(cut);
        };
        self.0 = rest;
        Some(Ok((kind, value)))
    }
}

/// The field about TLS; none where the client came without.
fn tls(bytes: &[u8]) -> Result<Option<ClientTls>, &'static str> {
    const BY_TLS: u8 = 1;
    const SHOWED_CERTIFICATE: u8 = 2 | 4;
    let Some((&[flags, a, b, c, d], fields)) = bytes.split_first_chunk() else {
        return Err("a PROXY header with a field that is cut");
    };
    let mut tls = ClientTls {
        verified: flags & SHOWED_CERTIFICATE != 0 && [a, b, c, d] == [0; 4],
        ..ClientTls::default()
    };
    let text = |value: &[u8]| {
        let text = std::str::from_utf8(value)
            .ok()
            .filter(|text| !text.contains('\0'));
        text.map(ToOwned::to_owned)
            .ok_or("a PROXY header with a bad name")
    };
    for field in Fields(fields) {
        match field? {
            (0x21, value) => tls.version = Some(text(value)?),
            (0x22, value) => tls.common_name = Some(text(value)?),
            (0x23, value) => tls.cipher = Some(text(value)?),
            _ => {}
        }
    }
    Ok((flags & BY_TLS != 0).then_some(tls))
}

/// Whether `sum` is the CRC-32C of the whole header, itself counted as zeros.
fn is_checksum(whole: &[u8], fields: &[u8], sum: &[u8]) -> bool {
    let Ok(expected) = <[u8; 4]>::try_from(sum) else {
        return false;
    };
    let at = whole.len() - fields.len() + (sum.as_ptr() as usize - fields.as_ptr() as usize);
    let mut crc = u32::MAX;
    for (place, &byte) in whole.iter().enumerate() {
        let byte = if (at..at + 4).contains(&place) {
            0
        } else {
            byte
        };
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = crc >> 1 ^ (0x82f6_3b78 & 0_u32.wrapping_sub(crc & 1));
        }
    }
    !crc == u32::from_be_bytes(expected)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v2(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
        let mut out = SIGNATURE.to_vec();
        out.extend([command, family]);
        out.extend((body.len() as u16).to_be_bytes());
        out.extend(body);
        out
    }

    fn field(kind: u8, value: &[u8]) -> Vec<u8> {
        let mut out = vec![kind];
        out.extend((value.len() as u16).to_be_bytes());
        out.extend(value);
        out
    }

    const FROM: [u8; 12] = [192, 0, 2, 1, 10, 0, 0, 1, 0x30, 0x39, 7, 91];

    fn with_tls(flags: u8, verify: u32, fields: &[Vec<u8>]) -> Vec<u8> {
        let mut inside = vec![flags];
        inside.extend(verify.to_be_bytes());
        inside.extend(fields.concat());
        v2(0x21, 0x11, &[&FROM[..], &field(0x20, &inside)].concat())
    }

    fn client(version: HeaderVersion, bytes: &[u8]) -> Client {
        for cut in 0..bytes.len() {
            assert_eq!(
                read(version, &bytes[..cut]),
                Ok(Header::More),
                "cut at {cut}"
            );
        }
        let behind = [bytes, b"\x10\x0c"].concat();
        match read(version, &behind) {
            Ok(Header::Client(client, size)) => {
                assert_eq!(size, bytes.len());
                *client
            }
            other => panic!("{other:?}"),
        }
    }

    fn from(address: &str) -> Client {
        Client {
            address: Some(address.parse().unwrap()),
            tls: None,
        }
    }

    #[test]
    fn both_versions_tell_the_address() {
        let line = b"PROXY TCP4 192.0.2.1 10.0.0.1 12345 1883\r\n";
        assert_eq!(client(HeaderVersion::V1, line), from("192.0.2.1:12345"));
        let line = b"PROXY TCP6 2001:db8::7 ::1 65535 0\r\n";
        assert_eq!(client(HeaderVersion::V1, line), from("[2001:db8::7]:65535"));
        let binary = v2(0x21, 0x11, &FROM);
        assert_eq!(client(HeaderVersion::V2, &binary), from("192.0.2.1:12345"));
        let mut six = [0; 36];
        (six[15], six[33]) = (1, 80);
        assert_eq!(
            client(HeaderVersion::V2, &v2(0x21, 0x21, &six)),
            from("[::1]:80")
        );
        let unix = client(HeaderVersion::V2, &v2(0x21, 0x31, &[0; 216]));
        assert_eq!(unix, Client::default());
    }

    #[test]
    fn nobody_is_behind_a_health_check() {
        for header in [
            v2(0x20, 0, &[]),
            v2(0x20, 0x11, &FROM),
            v2(0x21, 0, &[1, 2, 3]),
        ] {
            assert_eq!(read(HeaderVersion::V2, &header), Ok(Header::Nobody));
        }
        for line in ["PROXY UNKNOWN\r\n", "PROXY UNKNOWN ::1 ::1 1 1\r\n"] {
            assert_eq!(read(HeaderVersion::V1, line.as_bytes()), Ok(Header::Nobody));
        }
    }

    #[test]
    fn what_the_proxy_knows_of_tls_comes_along() {
        let names = [
            field(0x21, b"TLSv1.3"),
            field(0x22, b"device"),
            field(0x23, b"AES"),
        ];
        let tls = client(HeaderVersion::V2, &with_tls(7, 0, &names))
            .tls
            .unwrap();
        assert_eq!(tls.version.as_deref(), Some("TLSv1.3"));
        assert_eq!(tls.cipher.as_deref(), Some("AES"));
        assert_eq!(tls.common_name.as_deref(), Some("device"));
        assert!(tls.verified);
        let verified = |flags, verify| {
            let tls = client(HeaderVersion::V2, &with_tls(flags, verify, &[])).tls;
            tls.map(|tls| tls.verified)
        };
        assert_eq!(verified(1, 0), Some(false), "no certificate");
        assert_eq!(verified(3, 0), Some(true));
        assert_eq!(verified(5, 0), Some(true), "shown in the session before");
        assert_eq!(verified(7, 1), Some(false), "a bad one");
        assert_eq!(verified(0, 0), None, "no TLS");
    }

    #[test]
    fn a_checksum_is_checked() {
        let mut header = v2(0x21, 0x11, &[&FROM[..], &field(0x03, &[0; 4])].concat());
        let at = header.len() - 4;
        // From another implementation.
        let sum = crc32c(&header);
        header[at..].copy_from_slice(&sum.to_be_bytes());
        client(HeaderVersion::V2, &header);
        header[20] ^= 1;
        assert!(read(HeaderVersion::V2, &header).is_err());
    }

    /// Bit by bit from the other end, as the polynomial is written in books.
    fn crc32c(bytes: &[u8]) -> u32 {
        let mut crc = u32::MAX;
        for byte in bytes {
            for bit in 0..8 {
                let set = (byte >> bit & 1 == 1) ^ (crc >> 31 == 1);
                crc <<= 1;
                if set {
                    crc ^= 0x1edc_6f41;
                }
            }
        }
        (!crc).reverse_bits()
    }

    #[test]
    fn corrupt_headers_are_refused() {
        let lines: [&[u8]; 16] = [
            b"\x10",
            b"GET",
            b"PROXY\t",
            b"PROXY TCP5 ",
            b"proxy ",
            b"PROXY  TCP4 1.2.3.4 1.2.3.4 1 1\r\n",
            b"PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n",
            b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3\r\n",
            b"PROXY TCP4 1.2.3.256 1.2.3.4 1 2\r\n",
            b"PROXY TCP4 ::1 ::1 1 2\r\n",
            b"PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n",
            b"PROXY TCP4 1.2.3.4 1.2.3.4 65536 2\r\n",
            b"PROXY TCP4 1.2.3.4 1.2.3.4 -1 2\r\n",
            b"PROXY TCP4 1.2.3.4 1.2.3.4 +1 2\r\n",
            b"PROXY TCP4 1.2.3.4 1.2.3.4 01 2\r\n",
            b"PROXY TCP4 \xff.2.3.4 1.2.3.4 1 2\r\n",
        ];
        for line in lines {
            let read = read(HeaderVersion::V1, line);
            let more = line == b"PROXY TCP5 " && read == Ok(Header::More);
            assert!(
                read.is_err() || more,
                "{:?}: {read:?}",
                String::from_utf8_lossy(line)
            );
        }
        assert!(read(HeaderVersion::V1, &[b"PROXY ", &[b'x'; 101][..]].concat()).is_err());
        let mut spoiled = v2(0x21, 0x11, &FROM);
        spoiled[11] = b'\r';
        let headers = [
            spoiled,
            b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2\r\n".to_vec(),
            v2(0x11, 0x11, &FROM),
            v2(0x31, 0x11, &FROM),
            v2(0x22, 0x11, &FROM),
            v2(0x2f, 0x11, &FROM),
            v2(0x21, 0x12, &FROM),
            v2(0x21, 0x22, &[0; 36]),
            v2(0x21, 0x32, &[0; 216]),
            v2(0x21, 0x41, &FROM),
            v2(0x21, 0x11, &FROM[..11]),
            v2(0x21, 0x21, &[0; 35]),
            v2(0x21, 0x31, &[0; 215]),
            v2(0x21, 0x11, &[0; 485]),
            v2(0x21, 0x11, &[&FROM[..], &[1]].concat()),
            v2(0x21, 0x11, &[&FROM[..], &[1, 0, 2, 0]].concat()),
            v2(
                0x21,
                0x11,
                &[&FROM[..], &field(0x20, &[1, 0, 0, 0])].concat(),
            ),
            v2(0x21, 0x11, &[&FROM[..], &field(0x03, &[0; 4])].concat()),
            v2(0x21, 0x11, &[&FROM[..], &field(0x03, &[0; 3])].concat()),
            with_tls(7, 0, &[vec![0x22, 0, 9, b'x']]),
            with_tls(7, 0, &[field(0x22, b"\xff")]),
            with_tls(7, 0, &[field(0x22, b"a\0b")]),
        ];
        for header in headers {
            assert!(read(HeaderVersion::V2, &header).is_err(), "{header:x?}");
        }
    }
}
