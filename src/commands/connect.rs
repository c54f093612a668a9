//! From Args to what the client layer asks for.
//!
//! What this build cannot do is refused here, in one line, before anything is sent.

use std::net::{IpAddr, ToSocketAddrs};
use std::time::Duration;

use crate::cli::args::connection::{Connection, PORT_DEFAULT, PORT_TLS};
use crate::cli::args::tls::Tls;
use crate::cli::args::will::Will;
use crate::cli::error::{Error, Kind};
use crate::cli::property;
use crate::cli::property::Target;
use crate::cli::{Caller, Manner, Program};
use crate::client;
use crate::client::{Backoff, Options, Retry};
use crate::mqtt::property::{PropertyId, Value};
use crate::mqtt::{QoS, Version};
use crate::net::Dial;
use crate::net::address::Address;

/// The three groups of options every command has.
pub(crate) struct Asked<'a> {
    pub(crate) caller: Caller,
    pub(crate) connection: &'a Connection,
    pub(crate) tls: &'a Tls,
    pub(crate) will: &'a Will,
    /// Where nothing was said about it.
    pub(crate) version: Version,
    /// No more unacknowledged messages than this may come in, or no limit of ours.
    pub(crate) receive_max: Option<u16>,
}

/// Letters and digits of an identifier made up here, as mosquitto's clients do for version 3.1.
const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

pub(crate) fn options(asked: &Asked<'_>) -> Result<Options, Error> {
    let Asked {
        caller,
        connection,
        tls,
        ..
    } = asked;
    let version = connection.protocol_version.unwrap_or(asked.version);
    let usual = if tls.moves_port() {
        PORT_TLS
    } else {
        PORT_DEFAULT
    };
    let port = connection.port.unwrap_or(usual);
    possible(connection, tls, port)?;
    let mut dial = Dial::new(Address::tcp(connection.host.clone(), port));
    // mosquitto's clients leave Nagle on; here it only ever delays.
    dial.nodelay = connection.nodelay || caller.manner == Manner::Mqttx;
    dial.bind = bind_address(connection)?;
    let mut options = Options::new(dial);
    options.version = version;
    options.client_id = client_id(connection, version);
    options.clean_start = !connection.disable_clean_session;
    nameless(asked, &options)?;
    options.keep_alive = connection.keepalive;
    options.user_name.clone_from(&connection.username);
    options.password = connection
        .pw
        .as_ref()
        .map(|pw| pw.as_encoded_bytes().to_vec());
    options.inflight_max = u16::try_from(connection.max_inflight).unwrap_or(u16::MAX);
    options.will = will(asked)?;
    options.trace = connection.debug;
    options.retry = Retry {
        backoff: Backoff::every(Duration::from_secs(1)),
        ..Retry::never()
    };
    if version == Version::V5 {
        connect_properties(asked, &mut options);
    }
    Ok(options)
}

fn connect_properties(asked: &Asked<'_>, options: &mut Options) {
    let connection = asked.connection;
    let mut typed = property::collect(&connection.property, Target::Connect);
    let kept = connection.disable_clean_session.then_some(u32::MAX);
    if let Some(seconds) = connection
        .session_expiry
        .or(kept)
        .filter(|&seconds| seconds > 0)
    {
        typed.push(PropertyId::SessionExpiryInterval, Value::Four(seconds));
    }
    // mosquitto's clients tell their own receive maximum last.
    let has_own = typed.properties().two(PropertyId::ReceiveMaximum).is_some();
    if let Some(most) = asked.receive_max.filter(|_| !has_own) {
        typed.push(PropertyId::ReceiveMaximum, Value::Two(most));
    }
    options.properties = typed;
}

/// What is not built in is refused, never passed over.
fn possible(connection: &Connection, tls: &Tls, port: u16) -> Result<(), Error> {
    let missing = if connection.unix.is_some() || port == 0 {
        "Unix sockets (--unix, -p 0) are"
    } else if connection.ws {
        "WebSockets (--ws, ws://) are"
    } else if connection.proxy.is_some() {
        "Proxies (--proxy) are"
    } else if tls.wanted(port) {
        "TLS is"
    } else {
        return Ok(());
    };
    Err(Error::new(
        Kind::Failed,
        format!("{missing} not built into this version of mqttx."),
    ))
}

/// mosquitto's clients take a host name here too.
fn bind_address(connection: &Connection) -> Result<Option<IpAddr>, Error> {
    let Some(text) = &connection.bind_address else {
        return Ok(None);
    };
    let found = (text.as_str(), 0)
        .to_socket_addrs()
        .ok()
        .and_then(|mut found| found.next());
    match found {
        Some(address) => Ok(Some(address.ip())),
        None => Err(
            Error::new(Kind::Failed, "Unable to connect (Lookup error).")
                .without_prefix()
                .in_short(format!(
                    "no address of this machine to connect from (-A): {text}"
                )),
        ),
    }
}

/// libmosquitto makes no client that is to keep a Session without a name.
fn nameless(asked: &Asked<'_>, options: &Options) -> Result<(), Error> {
    let refused = asked.caller.manner == Manner::Mosquitto
        && !options.clean_start
        && options.client_id.is_empty();
    if !refused {
        return Ok(());
    }
    let told = match asked.caller.program {
        Program::Publish => "Invalid id.",
        Program::Subscribe | Program::Request => "Invalid id and/or clean_session.",
    };
    Err(Error::new(Kind::Failed, told))
}

fn client_id(connection: &Connection, version: Version) -> String {
    if let Some(prefix) = &connection.id_prefix {
        return format!("{prefix}{}", std::process::id());
    }
    match &connection.id {
        Some(id) => id.clone(),
        // Version 3.1 knows no empty identifier.
        None if version == Version::V31 => format!("mosq-{}", letters(18)),
        None => String::new(),
    }
}

/// Chance enough for a name: what the hasher of the standard library was seeded with.
fn letters(count: u64) -> String {
    use std::hash::{BuildHasher, RandomState};
    let state = RandomState::new();
    let letter = |at| LETTERS[(state.hash_one(at) % LETTERS.len() as u64) as usize];
    (0..count).map(|at| char::from(letter(at))).collect()
}

fn will(asked: &Asked<'_>) -> Result<Option<client::Will>, Error> {
    let will = asked.will;
    let Some(topic) = &will.will_topic else {
        return Ok(None);
    };
    let payload = will
        .will_payload
        .as_ref()
        .map(|payload| payload.as_encoded_bytes().to_vec());
    Ok(Some(client::Will {
        topic: topic.clone(),
        payload: payload.unwrap_or_default(),
        qos: qos(will.will_qos),
        retain: will.will_retain,
        properties: property::collect(&asked.connection.property, Target::Will),
    }))
}

/// The lexer lets only 0, 1 and 2 through.
pub(crate) fn qos(digit: u8) -> QoS {
    QoS::from_bits(digit).expect("judged by the lexer")
}

/// One thread is enough for one connection, and starts fastest.
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime, Error> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::new(Kind::Failed, format!("Cannot start: {error}.")))
}
