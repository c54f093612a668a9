//! From the bridges of the settings to [`Conf`].

use std::net::IpAddr;
use std::time::Duration;

use zeroize::Zeroizing;

use crate::daemon::bridge::conf::BridgeConf;
use crate::daemon::conf::Conf;
use crate::daemon::conf::bridge_words::{BridgeTopic, BridgeVersion};
use crate::daemon::conf::directives::bridge::BridgeOptions;
use crate::daemon::conf::parse::Fault;
use crate::daemon::conf::settings::{Bridge, Settings};
use crate::daemon::conf::value::{self, Given, Kind};
use crate::mqtt::Version;
use crate::mqtt::topic;
use crate::net::tls::{PskKey, Tls, TlsOptions, TlsVersion};

/// The least Keep Alive of a bridge, in seconds.
const KEEP_ALIVE_MIN: i64 = 5;

/// Messages in flight where `max_inflight_messages` sets no limit.
const UNLIMITED: u16 = u16::MAX;

/// Puts them into `conf`.
pub(crate) fn apply(settings: &Settings, conf: &mut Conf) -> Result<(), Fault> {
    for bridge in &settings.bridges {
        conf.bridges.push(read(bridge, settings)?);
    }
    let mut ids: Vec<&str> = conf.bridges.iter().map(|one| &*one.local_id).collect();
    ids.sort_unstable();
    match ids.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(Fault::new(format!(
            "Error: Bridge local_clientid '{}' is not unique. Try changing or setting the \
             local_clientid value for one of the bridges.",
            pair[0]
        ))),
        None => Ok(()),
    }
}

/// What is to be told of a line about a bridge that was taken. Numbers that are too low are raised.
pub(crate) fn look_again(bridge: &mut Bridge, name: &str, value: &str) -> Option<String> {
    let options = &mut bridge.options;
    let told = match name {
        "keepalive_interval" if raise(&mut options.keepalive_interval, KEEP_ALIVE_MIN) => {
            "keepalive interval too low, using 5 seconds."
        }
        "idle_timeout" if raise(&mut options.idle_timeout, 1) => {
            "idle_timeout interval too low, using 1 second."
        }
        "threshold" if raise(&mut options.threshold, 1) => "threshold too low, using 1 message.",
        "restart_timeout" if value::Number::read(value).is_ok_and(|base| base < 1) => {
            "restart_timeout interval too low, using 1 second."
        }
        "bridge_insecure" if *options.bridge_insecure => {
            return Some(format!(
                "Warning: Bridge '{}' using insecure mode.",
                bridge.name
            ));
        }
        "topic" => {
            let topics = options.topic.value_mut();
            let last = topics.last()?;
            let same = |other: &BridgeTopic| {
                BridgeTopic {
                    qos: last.qos,
                    ..other.clone()
                } == *last
            };
            if topics.iter().filter(|one| same(one)).count() < 2 {
                return None;
            }
            let pattern = topics.pop()?.pattern;
            return Some(format!("Duplicate bridge topic '{pattern}', skipping"));
        }
        _ => return None,
    };
    Some(told.to_owned())
}

/// No less than `least`; whether it was.
fn raise(number: &mut Given<i64>, least: i64) -> bool {
    let low = **number < least;
    if low {
        *number.value_mut() = least;
    }
    low
}

fn at<T>(given: &Given<T>, sentence: impl Into<String>) -> Fault {
    let mut fault = Fault::new(sentence);
    fault.found_at.extend(given.at.clone());
    fault
}

fn read(bridge: &Bridge, settings: &Settings) -> Result<BridgeConf, Fault> {
    let options = &bridge.options;
    let bind = bind_address(options)?;
    let version = match *options.bridge_protocol_version {
        BridgeVersion::V31 => Version::V31,
        BridgeVersion::V311 => Version::V311,
        BridgeVersion::V5 => Version::V5,
    };
    let remote_id = options
        .remote_clientid
        .clone_text()
        .unwrap_or_else(|| format!("{}.{}", host_name(), bridge.name));
    let local_id = options.local_clientid.clone_text();
    let local_id = local_id.unwrap_or_else(|| format!("local.{remote_id}"));
    let notification = notification_topic(options, &remote_id)?;
    let size_max = u32::try_from(*options.bridge_max_packet_size).ok();
    let seconds = |number: i64| Duration::from_secs(u64::try_from(number).unwrap_or_default());
    let user_timeout = options
        .bridge_tcp_user_timeout
        .and_then(|ms| u64::try_from(ms).ok());
    let tls = tls_options(options)?;
    let mut conf = BridgeConf {
        name: bridge.name.clone(),
        addresses: options.address.to_vec(),
        round_robin: *options.round_robin,
        topics: options.topic.to_vec(),
        version,
        local_id,
        remote_user: options.remote_username.clone_text(),
        remote_password: options.remote_password.clone_text(),
        local_user: options.local_username.clone_text(),
        clean: *options.cleansession,
        local_clean: options.local_cleansession.unwrap_or(*options.cleansession),
        session_expiry: u32::try_from(*options.bridge_session_expiry_interval).unwrap_or(u32::MAX),
        keep_alive: u16::try_from(*options.keepalive_interval).unwrap_or(u16::MAX),
        start: *options.start_type,
        idle: seconds(*options.idle_timeout),
        threshold: usize::try_from(*options.threshold).unwrap_or_default(),
        restart: (*options.restart_timeout).clone(),
        notification: options.notifications.then_some(notification),
        notification_local: *options.notifications_local_only,
        try_private: *options.try_private,
        outgoing_retain: *options.bridge_outgoing_retain,
        attempt_unsubscribe: *options.bridge_attempt_unsubscribe,
        bind,
        tcp_keep_alive: (*options.bridge_tcp_keepalive).clone(),
        tcp_user_timeout: user_timeout.map(Duration::from_millis),
        packet_size_max: size_max.filter(|&max| max > 0),
        topic_alias_max: u16::try_from(*options.bridge_max_topic_alias).unwrap_or_default(),
        receive_max: receive_max(options, settings),
        reload: *options.bridge_reload_type,
        remote_id,
        tls: None,
        fingerprint: String::new(),
    };
    conf.fingerprint = format!("{conf:?} {tls:?} {:?}", options.bridge_psk.as_deref());
    conf.tls = match &tls {
        Some(tls) => Some(
            Tls::new(tls)
                .map_err(|fault| Fault::new(format!("Error: Bridge {}: {fault}", bridge.name)))?,
        ),
        None => None,
    };
    Ok(conf)
}

fn receive_max(options: &BridgeOptions, settings: &Settings) -> u16 {
    let wanted = options.bridge_receive_maximum.unwrap_or(0);
    match (wanted, *settings.globals.max_inflight_messages) {
        (0, 0) => UNLIMITED,
        (0, most) | (most, _) => u16::try_from(most).unwrap_or(UNLIMITED),
    }
}

fn bind_address(options: &BridgeOptions) -> Result<Option<IpAddr>, Fault> {
    let text = options.bridge_bind_address.as_deref();
    let address = text.map(str::parse).transpose();
    address.map_err(|_| {
        let sentence = "Error: Invalid 'bridge_bind_address' value: an IP address is wanted.";
        at(&options.bridge_bind_address, sentence)
    })
}

fn notification_topic(options: &BridgeOptions, remote_id: &str) -> Result<String, Fault> {
    let given = options.notification_topic.clone_text();
    let name = given.unwrap_or_else(|| format!("$SYS/broker/connection/{remote_id}/state"));
    match topic::check_name(&name) {
        Ok(()) => Ok(name),
        Err(_) => Err(at(
            &options.notification_topic,
            format!("Error: Invalid 'notification_topic' value ({name})."),
        )),
    }
}

/// `None`: nothing asks for TLS.
fn tls_options(options: &BridgeOptions) -> Result<Option<TlsOptions>, Fault> {
    if *options.bridge_require_ocsp {
        let sentence = "Error: The 'bridge_require_ocsp' option is not available: \
                        use a bridge_cafile that only the other broker's root is in.";
        return Err(at(&options.bridge_require_ocsp, sentence));
    }
    let psk = match (&*options.bridge_identity, &*options.bridge_psk) {
        (Some(identity), Some(digits)) => Some(PskKey {
            identity: identity.clone(),
            key: key(digits).ok_or_else(|| {
                let sentence = "Error: Invalid 'bridge_psk' value: hexadecimal digits are wanted.";
                at(&options.bridge_psk, sentence)
            })?,
        }),
        _ => None,
    };
    let roots = options.bridge_cafile.is_some() || options.bridge_capath.is_some();
    if options.bridge_certfile.is_some() != options.bridge_keyfile.is_some() {
        let sentence = "Error: Both bridge_certfile and bridge_keyfile must be provided.";
        return Err(at(&options.bridge_certfile, sentence));
    }
    if !roots && psk.is_none() && !*options.bridge_tls_use_os_certs {
        return match options.bridge_certfile.is_some() {
            true => Err(at(
                &options.bridge_certfile,
                "Error: bridge_certfile needs bridge_cafile, bridge_capath or \
                 bridge_tls_use_os_certs.",
            )),
            false => Ok(None),
        };
    }
    let version = match *options.bridge_tls_version {
        Some(value::TlsVersion::V13) => Some(TlsVersion::Tls13),
        Some(value::TlsVersion::V12) => Some(TlsVersion::Tls12),
        Some(value::TlsVersion::V11) => {
            let sentence = "Error: Unsupported bridge_tls_version \"tlsv1.1\".";
            return Err(at(&options.bridge_tls_version, sentence));
        }
        None => None,
    };
    let ciphers = [&options.bridge_ciphers, &options.bridge_ciphers_tls13];
    let ciphers: Vec<String> = ciphers
        .iter()
        .filter_map(|list| list.clone_text())
        .collect();
    Ok(Some(TlsOptions {
        ca_file: options.bridge_cafile.as_ref().cloned(),
        ca_path: options.bridge_capath.as_ref().cloned(),
        os_roots: *options.bridge_tls_use_os_certs,
        cert: options.bridge_certfile.as_ref().cloned(),
        key: options.bridge_keyfile.as_ref().cloned(),
        any_name: *options.bridge_insecure,
        alpn: options.bridge_alpn.clone_text().into_iter().collect(),
        version,
        ciphers: (!ciphers.is_empty()).then(|| ciphers.join(":")),
        psk,
        ..TlsOptions::default()
    }))
}

fn key(digits: &str) -> Option<Zeroizing<Vec<u8>>> {
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    let whole = !digits.is_empty() && digits.len().is_multiple_of(2);
    let bytes: Option<Vec<u8>> = digits.as_bytes().chunks(2).map(byte).collect();
    bytes.filter(|_| whole).map(Zeroizing::new)
}

/// What this machine is called, as `uname -n` has it.
fn host_name() -> String {
    #[cfg(unix)]
    let name = rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned();
    #[cfg(not(unix))]
    let name = std::env::var("COMPUTERNAME").unwrap_or_default();
    match name.is_empty() {
        true => "localhost".to_owned(),
        false => name,
    }
}

/// The text of a directive, if there is any.
trait CloneText {
    fn clone_text(&self) -> Option<String>;
}

impl CloneText for Given<Option<String>> {
    fn clone_text(&self) -> Option<String> {
        self.as_deref().map(str::to_owned)
    }
}
