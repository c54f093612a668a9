//! From the words to what every run needs: how clients connect, what they send, and room for them.
//! Files that are named are read here, before the first byte is sent.

use std::ffi::OsString;
use std::net::{IpAddr, ToSocketAddrs, UdpSocket};
use std::sync::Arc;

use crate::cli::args::bench::{Agent, Bench, Target as Ends, Way};
use crate::cli::args::connection::Connection;
use crate::cli::args::tls::Tls;
use crate::cli::args::will::Will;
use crate::cli::property;
use crate::cli::property::Property;
use crate::cli::property::Target as Packet;
use crate::client::Options;
use crate::commands::bench::health;
use crate::commands::bench::load::Setting;
use crate::commands::bench::load::body::Payload;
use crate::commands::bench::load::pace::Clock;
use crate::commands::bench::load::who::{Person, Who, people};
use crate::commands::bench::plan::Plan;
use crate::commands::bench::report::{Target, Trouble};
use crate::commands::bench::stop::Stop;
use crate::commands::bench::trouble::{CALLER, plain};
use crate::commands::connect;
use crate::mqtt::Version;
use crate::net::Dial;
use crate::net::address::Transport;
#[cfg(unix)]
use crate::net::descriptors;

/// Open files besides the connections: timers, pollers, standard streams, reports.
#[cfg(unix)]
const DESCRIPTORS_OWN: u64 = 64;

/// Of what an agent says that is not acknowledged yet.
const INFLIGHT: u16 = 64;

/// What publishers hold ready to be sent, all together.
const PAYLOADS_BYTES_MAX: u64 = 4 << 30;

/// A file with payloads is no longer than this.
const PAYLOAD_FILE_MAX: u64 = 256 << 20;

/// What the user wants to be sent.
pub(super) fn payload(args: &Bench) -> Result<Payload, Trouble> {
    let load = &args.load;
    let Some(path) = load.file.as_ref().or(load.template.as_ref()) else {
        let (least, most) = load.sizes();
        return Ok(Payload::Sizes(least, most));
    };
    let name = path.display();
    let unreadable = |error: std::io::Error| plain(format!("cannot read {name}: {error}"));
    let len = std::fs::metadata(path).map_err(unreadable)?.len();
    if len > PAYLOAD_FILE_MAX {
        return Err(plain(format!("{name} has more than 256 MiB")));
    }
    let content = std::fs::read(path).map_err(unreadable)?;
    if load.template.is_some() {
        let text = String::from_utf8(content)
            .map_err(|_| plain(format!("{name}: a template is UTF-8 text")))?;
        return Ok(Payload::Template(text));
    }
    let parts = match &load.split {
        None => vec![content],
        Some(between) => split(&content, &unescaped(between)),
    };
    if parts.is_empty() {
        return Err(plain(format!("{name} holds nothing to send")));
    }
    Ok(Payload::Parts(parts))
}

/// Refuses payloads that cannot be made, or that there is no room for: each publisher has its own.
pub(super) fn check_payloads(payload: &Payload, plan: &Plan, pubs: u32) -> Result<(), Trouble> {
    if matches!(payload, Payload::Template(_)) {
        payload
            .bodies(pubs, plan.is_verified, plan.seed())
            .map_err(|what| plain(format!("--template: {what}")))?;
    }
    let bytes = payload.bytes(plan.is_verified) * u64::from(pubs);
    if bytes > PAYLOADS_BYTES_MAX {
        return Err(plain(format!(
            "the payloads of {pubs} publishers would take {} MiB; {} are the most",
            bytes >> 20,
            PAYLOADS_BYTES_MAX >> 20
        )));
    }
    Ok(())
}

/// The pieces between; what follows the last one only if there is anything.
fn split(content: &[u8], between: &[u8]) -> Vec<Vec<u8>> {
    let mut parts = vec![Vec::new()];
    let mut rest = content;
    while let Some((&first, after)) = rest.split_first() {
        if !between.is_empty() && rest.starts_with(between) {
            parts.push(Vec::new());
            rest = &rest[between.len()..];
        } else {
            if let Some(part) = parts.last_mut() {
                part.push(first);
            }
            rest = after;
        }
    }
    parts.pop_if(|part| part.is_empty());
    parts
}

/// As it is typed in a shell: \\n, \\t, \\0 and \\\\.
fn unescaped(text: &str) -> Vec<u8> {
    text.replace("\\\\", "\u{0}")
        .replace("\\n", "\n")
        .replace("\\t", "\t")
        .replace("\\0", "\u{1}")
        .bytes()
        .map(|byte| match byte {
            0 => b'\\',
            1 => 0,
            other => other,
        })
        .collect()
}

/// What every run has in common, and what is said about the broker.
pub(super) fn setting(
    args: &Bench,
    plan: &Plan,
    payload: Payload,
    stop: Stop,
) -> Result<(Setting, Target), Trouble> {
    let who = who(args, (plan.shape.pubs + plan.shape.subs) as usize)?;
    let [first, ..] = who.routes.as_slice() else {
        return Err(plain("which host? -h HOST"));
    };
    let address = &first.dial.address;
    let (host, port) = (address.host.clone(), address.port);
    let listener = if is_here(&host) {
        health::listener(port)
    } else {
        None
    };
    let target = Target {
        host: args.target.way.unix.as_ref().map_or_else(
            || args.target.host.join(","),
            |path| path.display().to_string(),
        ),
        port,
        version: args.target.way.protocol_version,
        transport: transport(&first.dial),
        process: listener.as_ref().map(|(_, name)| name.clone()),
        routes: args.target.host.len() * args.target.bind_address.len().max(1),
    };
    let nonce = nonce();
    let usual = || format!("mqttx-bench/{nonce:x}");
    let setting = Setting {
        who,
        clock: Clock::start(),
        threads: plan.threads,
        is_verified: plan.is_verified,
        target: listener.map(|(pid, _)| pid),
        prefix: args.load.topic.clone().unwrap_or_else(usual),
        payload,
        retain: args.load.retain,
        publish_properties: property::collect(&args.target.property, Packet::Publish),
        subscribe_properties: property::collect(&args.target.property, Packet::Subscribe),
        reconnects: args.load.reconnect,
        nonce,
        stop,
        enough: Arc::default(),
    };
    Ok((setting, target))
}

/// The way to the broker over which agents are spoken to.
pub(super) fn control(args: &Bench) -> Result<Options, Trouble> {
    let target = &args.target;
    let first = target.host.first().map_or("localhost", String::as_str);
    let mut asked = Asked::of(args);
    let Some(via) = &args.agents_via else {
        return options(&asked, first, target.bind_address.first(), None);
    };
    let (host, port) = match via.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') => {
            let port = port.parse();
            let wanted = |_| plain(format!("--via {via}: HOST:PORT is wanted"));
            (host, Some(port.map_err(wanted)?))
        }
        _ => (via.as_str(), None),
    };
    let way = Way {
        port,
        unix: None,
        ..target.way.clone()
    };
    asked.way = &way;
    options(&asked, host, None, None)
}

/// The way of an agent to the broker over which it is told what to do.
pub(super) fn agent(args: &Agent) -> Result<Options, Trouble> {
    let asked = Asked {
        way: &args.way,
        tls: &args.tls,
        properties: &[],
        inflight: INFLIGHT,
    };
    options(&asked, &args.host, args.bind_address.as_ref(), None)
}

/// What the words say about a connection.
struct Asked<'a> {
    way: &'a Way,
    tls: &'a Tls,
    properties: &'a [Property],
    inflight: u16,
}

impl<'a> Asked<'a> {
    fn of(args: &'a Bench) -> Self {
        Self {
            way: &args.target.way,
            tls: &args.tls,
            properties: &args.target.property,
            inflight: args.load.inflight(),
        }
    }
}

/// Refuses ends of a connection that there cannot be.
fn check_ends(target: &Ends) -> Result<(), Trouble> {
    if target.host.iter().any(String::is_empty) {
        return Err(plain("-h: a host is missing"));
    }
    for address in &target.bind_address {
        let is_ours = match address.parse::<IpAddr>() {
            Ok(ip) => UdpSocket::bind((ip, 0)).is_ok(),
            // A name, which is looked up later.
            Err(_) => !address.is_empty(),
        };
        if !is_ours {
            return Err(plain(format!(
                "-A {address}: this machine has no such address"
            )));
        }
    }
    Ok(())
}

fn who(args: &Bench, clients: usize) -> Result<Who, Trouble> {
    let target = &args.target;
    check_ends(target)?;
    let people = match &target.clients_csv {
        None => Vec::new(),
        Some(path) => {
            let text = std::fs::read_to_string(path)
                .map_err(|error| plain(format!("cannot read {}: {error}", path.display())))?;
            people(path, &text).map_err(plain)?
        }
    };
    if target.clients_csv.is_some() && people.len() < clients {
        return Err(plain(format!(
            "--clients-csv has {} lines for {clients} clients",
            people.len()
        )));
    }
    let has_version_5 = target.way.protocol_version == Version::V5;
    if !has_version_5 && !target.property.is_empty() {
        return Err(plain("-D: properties are for version 5"));
    }
    let mut nameless = people.iter().enumerate();
    if !has_version_5
        && let Some((at, _)) =
            nameless.find(|(_, one)| one.password.is_some() && one.user.is_none())
        && target.way.username.is_none()
    {
        return Err(plain(format!(
            "--clients-csv: client {} has a password and no user name, which needs MQTT 5",
            at + 1
        )));
    }
    let from = if target.bind_address.is_empty() {
        vec![None]
    } else {
        target.bind_address.iter().cloned().map(Some).collect()
    };
    let asked = Asked::of(args);
    let mut routes = Vec::new();
    for host in &target.host {
        for bind in &from {
            let mut route = options(&asked, host, bind.as_ref(), None)?;
            route.dial.known = Some(Arc::default());
            routes.push(route);
        }
    }
    let mut who = Who { routes, people };
    // Who has a certificate has a way of their own.
    if who.people.iter().any(|person| person.cert.is_some()) {
        let hosts = target.host.iter().cycle().zip(from.iter().cycle());
        let each = who.people.iter().take(clients).zip(hosts);
        let own: Result<Vec<Options>, Trouble> = each
            .map(|(person, (host, bind))| options(&asked, host, bind.as_ref(), Some(person)))
            .collect();
        who.routes = own?;
    }
    Ok(who)
}

/// What clients of one way have in common; each gets its own identifier.
fn options(
    asked: &Asked<'_>,
    host: &str,
    bind: Option<&String>,
    person: Option<&Person>,
) -> Result<Options, Trouble> {
    let way = asked.way;
    let mut connection: Connection = from_nothing();
    host.clone_into(&mut connection.host);
    connection.port = way.port;
    connection.unix.clone_from(&way.unix);
    connection.ws = way.ws;
    connection.ws_path.clone_from(&way.ws_path);
    connection.proxy.clone_from(&way.proxy);
    connection.bind_address = bind.cloned();
    connection.username.clone_from(&way.username);
    connection.pw = way.pw.clone().map(OsString::from);
    connection.keepalive = way.keepalive;
    connection.property = asked.properties.to_vec();
    connection.max_inflight = u32::from(asked.inflight);
    let mut tls = asked.tls.clone();
    if let Some(person) = person {
        tls.cert.clone_from(&person.cert);
        tls.key.clone_from(&person.key);
    }
    let asked = connect::Asked {
        caller: CALLER,
        connection: &connection,
        tls: &tls,
        will: &from_nothing::<Will>(),
        version: way.protocol_version,
        receive_max: None,
    };
    connect::options(&asked).map_err(|error| Trouble {
        sentence: error.message.trim_end_matches('.').to_owned(),
        hint: error.hint,
        status: error.kind.exit_status(),
    })
}

/// A group of options nobody said anything about.
fn from_nothing<A: clap::Args>() -> A {
    let command = A::augment_args(clap::Command::new("nothing").disable_help_flag(true));
    let matches = command.get_matches_from(["nothing"]);
    A::from_arg_matches(&matches).expect("every option of the group has a default")
}

/// Room for this many connections, as far as the system lets us.
#[cfg(unix)]
pub(super) fn room_for(clients: u32) -> Result<(), Trouble> {
    let wanted = u64::from(clients) + DESCRIPTORS_OWN;
    let allowed = descriptors::raise_limit().unwrap_or(u64::MAX);
    if allowed >= wanted {
        descriptors::make_room(wanted);
        return Ok(());
    }
    Err(Trouble {
        sentence: format!(
            "{clients} connections need {wanted} open files; the limit here is {allowed}"
        ),
        hint: Some("fewer clients, or a higher limit (ulimit -Hn)".to_owned()),
        status: 1,
    })
}

#[cfg(not(unix))]
pub(super) fn room_for(_: u32) -> Result<(), Trouble> {
    Ok(())
}

/// By the name of its URL scheme, but for what MQTT's own schemes say less clearly.
fn transport(dial: &Dial) -> &'static str {
    match (
        dial.address.transport,
        dial.websocket.is_some(),
        dial.tls.is_some(),
    ) {
        (Transport::Unix, ..) => "unix",
        (Transport::Tcp, true, true) => "wss",
        (Transport::Tcp, true, false) => "ws",
        (Transport::Tcp, false, true) => "tls",
        (Transport::Tcp, false, false) => "tcp",
    }
}

/// Whether this machine has one of the host's addresses: only those a socket can be bound to.
fn is_here(host: &str) -> bool {
    if host == "localhost" {
        return true;
    }
    let ips: Vec<IpAddr> = match host.parse() {
        Ok(ip) => vec![ip],
        Err(_) => (host, 0_u16)
            .to_socket_addrs()
            .map(|found| found.map(|address| address.ip()).collect())
            .unwrap_or_default(),
    };
    let is_own = |ip: &IpAddr| ip.is_loopback() || UdpSocket::bind((*ip, 0)).is_ok();
    ips.iter().any(is_own)
}

/// Chance enough to tell this bench's messages from another's.
pub(super) fn nonce() -> u32 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(std::process::id()) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_falls_into_its_parts() {
        let parts = |text: &str, between: &str| -> Vec<String> {
            split(text.as_bytes(), &unescaped(between))
                .into_iter()
                .map(|part| String::from_utf8(part).unwrap())
                .collect()
        };
        assert_eq!(parts("a\nb\n", "\\n"), ["a", "b"]);
        assert_eq!(parts("a--b", "--"), ["a", "b"]);
        assert_eq!(parts("", "\\n"), [""; 0]);
        assert_eq!(unescaped("\\t\\\\\\0"), b"\t\\\0");
    }
}
