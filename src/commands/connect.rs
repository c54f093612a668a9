//! From Args to what the client layer asks for.
//!
//! What this build cannot do is refused here, in one line, before anything is sent.

use std::net::{IpAddr, ToSocketAddrs};
use std::path::Path;
use std::time::Duration;

use crate::cli::address;
use crate::cli::args::approach::Approach;
use crate::cli::args::connection::{Connection, PORT_DEFAULT, PORT_TLS};
use crate::cli::args::tls::Tls;
use crate::cli::args::will::Will;
use crate::cli::error::{Error, Kind};
use crate::cli::property;
use crate::cli::property::Target;
use crate::cli::relations::PROBLEM_SETTING_WILL;
use crate::cli::words;
use crate::cli::{Caller, Manner, Program};
use crate::client;
use crate::client::{Backoff, Options, Retry, Session};
use crate::commands::encryption;
use crate::commands::reach;
use crate::commands::secret;
use crate::mqtt::limits;
use crate::mqtt::property::{PropertyId, Value};
use crate::mqtt::{QoS, Version};
use crate::net::address::Address;
use crate::net::proxy::{Login, Proxy, ProxyKind};
use crate::net::websocket::WebSocket;
use crate::net::{Dial, ServiceLookup};

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

/// As many bytes as the system's address of a socket has room for, with a zero behind them.
const SOCKET_PATH_MAX: usize = 107;

pub(crate) fn options(asked: &Asked<'_>) -> Result<Options, Error> {
    made(asked).map_err(|error| match asked.connection.quiet {
        true => error.silent(),
        false => error,
    })
}

fn made(asked: &Asked<'_>) -> Result<Options, Error> {
    let connection = asked.connection;
    let version = connection.protocol_version.unwrap_or(asked.version);
    let mut options = Options::new(dial(asked)?);
    options.version = version;
    options.client_id = client_id(connection, version);
    options.clean_start = !connection.disable_clean_session;
    nameless(asked, &options)?;
    options.keep_alive = connection.keepalive;
    options.user_name.clone_from(&connection.username);
    options.password = secret::password(connection)?;
    credentials(&options)?;
    if connection.scram {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(|error| {
            Error::new(
                Kind::Failed,
                format!("no random bytes for --scram: {error}"),
            )
        })?;
        options.scram = Some(seed);
    }
    options.inflight_max = u16::try_from(connection.max_inflight).unwrap_or(u16::MAX);
    options.will = will(asked)?;
    options.trace = connection.debug;
    options.retry = Retry {
        backoff: Backoff::every(Duration::from_secs(1)),
        ..Retry::never()
    };
    connect_properties(asked, &mut options)?;
    Ok(options)
}

/// The same for the commands whose words are ours alone.
pub(crate) fn approach(caller: Caller, args: &Approach, retry: Retry) -> Result<Options, Error> {
    let mut options = options(&Asked {
        caller,
        connection: &args.connection,
        tls: &args.tls,
        will: &args.will,
        version: caller.program.version(),
        receive_max: None,
    })?;
    options.retry = retry;
    reach::apply_first(&args.reach, &mut options);
    Ok(options)
}

/// A session that is about to begin.
pub(crate) fn session(options: Options) -> Result<Session, Error> {
    Session::new(options).map_err(|told| Error::new(Kind::Failed, told))
}

fn connect_properties(asked: &Asked<'_>, options: &mut Options) -> Result<(), Error> {
    let connection = asked.connection;
    let mut typed = property::collect(&connection.property, Target::Connect);
    if options.version != Version::V5 {
        let told = "Unable to connect (This feature is not supported).";
        return match typed.is_empty() {
            true => Ok(()),
            false => Err(Error::new(Kind::Failed, told)
                .without_prefix()
                .in_short("the properties of CONNECT need version 5 of the protocol")
                .hint("-V 5")),
        };
    }
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
    Ok(())
}

/// The way to the broker.
fn dial(asked: &Asked<'_>) -> Result<Dial, Error> {
    let Asked {
        caller,
        connection,
        tls,
        ..
    } = asked;
    let usual = if tls.moves_port() {
        PORT_TLS
    } else {
        PORT_DEFAULT
    };
    let port = connection.port.unwrap_or(usual);
    let is_named = connection.host.contains('/');
    if port == 0 && connection.unix.is_none() && !is_named && caller.manner == Manner::Mqttx {
        let told = "Port 0 is for a Unix socket, whose path -h is to be.";
        return Err(Error::new(Kind::Usage, told).hint("--unix PATH, or -p with the broker's port"));
    }
    let address = match &connection.unix {
        Some(path) => Address::unix(readable(path)?),
        None if port == 0 => Address::unix(connection.host.clone()),
        None => Address::tcp(connection.host.clone(), port),
    };
    let mut dial = Dial::new(address);
    // mosquitto's clients leave Nagle on; here it only ever delays.
    dial.nodelay = connection.nodelay || caller.manner == Manner::Mqttx;
    dial.bind = bind_address(connection)?;
    if connection.srv && !cfg!(feature = "srv") {
        let told = "SRV look-ups (-S) are not built into this mqttx.";
        return Err(Error::new(Kind::Failed, told).hint("cargo install mqttx --features srv"));
    }
    dial.service = connection.srv.then(ServiceLookup::default);
    dial.websocket = connection.ws.then(|| websocket(connection));
    dial.proxy = connection.proxy.as_ref().map(proxy);
    dial.tls = encryption::tls(*caller, tls, port)?;
    Ok(dial)
}

fn websocket(connection: &Connection) -> WebSocket {
    let mut asked = WebSocket::default();
    if let Some(path) = &connection.ws_path {
        asked.path.clone_from(path);
    }
    let lines = connection.ws_header.iter();
    let pairs = lines.filter_map(|line| words::reach::split_header(line));
    asked.headers = pairs
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    asked
}

/// What --reconnect-period makes of a command's own habit.
pub(crate) fn period(connection: &Connection, retry: &mut Retry) {
    if let Some(period) = connection.reconnect_period {
        retry.again &= period > 0;
        retry.backoff = Backoff::every(Duration::from_millis(period));
    }
}

fn readable(path: &Path) -> Result<String, Error> {
    if !(1..=SOCKET_PATH_MAX).contains(&path.as_os_str().len()) {
        return Err(
            Error::new(Kind::Failed, "Unable to connect (Invalid input).")
                .without_prefix()
                .in_short(format!(
                    "the path of a socket (--unix) holds 1 to {SOCKET_PATH_MAX} bytes"
                )),
        );
    }
    path.to_str().map(str::to_owned).ok_or_else(|| {
        let shown = path.display();
        Error::new(
            Kind::Failed,
            format!("The path of a socket must be UTF-8: {shown}."),
        )
    })
}

fn proxy(asked: &address::Proxy) -> Proxy {
    let login = asked.user_name.as_ref().map(|user_name| Login {
        user_name: user_name.clone().into_bytes(),
        password: asked.password.clone().unwrap_or_default().into_bytes(),
    });
    let kind = match asked.kind {
        address::ProxyKind::Socks5 => ProxyKind::Socks5,
        address::ProxyKind::Http => ProxyKind::Http,
    };
    Proxy {
        kind,
        host: asked.host.clone(),
        port: asked.port,
        login,
    }
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

/// libmosquitto makes no client that is to keep a Session without a name, nor one with an empty name.
fn nameless(asked: &Asked<'_>, options: &Options) -> Result<(), Error> {
    let is_typed = asked.connection.id.is_some();
    let refused = asked.caller.manner == Manner::Mosquitto
        && (is_typed || !options.clean_start)
        && options.client_id.is_empty();
    if !refused {
        return Ok(());
    }
    let told = match asked.caller.program {
        Program::Publish => "Invalid id.",
        _ => "Invalid id and/or clean_session.",
    };
    Err(Error::new(Kind::Failed, told))
}

/// What CONNECT has no room for.
fn credentials(options: &Options) -> Result<(), Error> {
    let told = match (&options.user_name, &options.password) {
        (Some(name), _) if name.len() > limits::STRING_MAX => {
            "the user name is longer than 65,535 bytes"
        }
        // [MQTT-3.1.2-22] of 3.1.1
        (None, Some(_)) if options.version != Version::V5 => {
            "a password without a user name needs MQTT 5"
        }
        _ => return Ok(()),
    };
    let theirs = "Problem setting username and/or password.";
    Err(Error::new(Kind::Failed, theirs).in_short(told))
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
    let properties = property::collect(&asked.connection.property, Target::Will);
    let version = asked.connection.protocol_version.unwrap_or(asked.version);
    if version != Version::V5 && !properties.is_empty() {
        let told = "the Will has properties, which need version 5 of the protocol";
        return Err(Error::new(Kind::Failed, PROBLEM_SETTING_WILL)
            .in_short(told)
            .hint("-V 5"));
    }
    let payload = will
        .will_payload
        .as_ref()
        .map(|payload| payload.as_encoded_bytes().to_vec());
    Ok(Some(client::Will {
        topic: topic.clone(),
        payload: payload.unwrap_or_default(),
        qos: qos(will.will_qos),
        retain: will.will_retain,
        properties,
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
