//! From the listeners of the settings to the endpoints of [`Conf`].

use std::net::{SocketAddr, ToSocketAddrs};

use crate::daemon::conf::parse::Fault;
use crate::daemon::conf::settings::{Listener, Settings};
use crate::daemon::conf::value::{Protocol, SocketDomain, TlsVersion};
use crate::daemon::conf::waiting::{Waiting, waiting};
use crate::daemon::conf::{Conf, Endpoint, Place};
use crate::net::tls;
use crate::net::tls::server::ServerTls;

/// What no listener can do yet.
const WAITING: &[Waiting] = &[
    waiting("accept_protocol_versions", &[]),
    waiting("bind_interface", &[]),
    waiting("enable_proxy_protocol", &[]),
    waiting("proxy_protocol_v2_require_tls", &["false", "0"]),
    waiting("http_dir", &[]),
    waiting("max_connections", &["-1"]),
    waiting("max_qos", &["2"]),
    waiting("mount_point", &[]),
    waiting("use_username_as_clientid", &["false", "0"]),
    waiting("capath", &[]),
    waiting("crlfile", &[]),
    waiting("ciphers", &[]),
    waiting("ciphers_tls1.3", &[]),
    waiting("use_identity_as_username", &["false", "0"]),
    waiting("use_subject_as_username", &["false", "0"]),
    waiting("disable_client_cert_date_checks", &["false", "0"]),
    waiting("psk_hint", &[]),
    waiting("psk_file", &[]),
    waiting("tls_keyform", &["pem"]),
    waiting("auto_id_prefix", &["auto-"]),
    waiting("listener_auto_id_prefix", &["auto-"]),
];

/// The port where nothing says otherwise.
const DEFAULT_PORT: u16 = 1883;

/// Puts the endpoints into `conf`; `ports` are those of the command line, for when no listener is
/// given.
pub(crate) fn apply(settings: &Settings, ports: &[u16], conf: &mut Conf) -> Result<(), Fault> {
    Waiting::check(WAITING, settings)?;
    conf.listeners.clear();
    if settings.is_local_only() {
        let default = settings
            .listeners
            .iter()
            .find(|listener| listener.is_default);
        let default = default.cloned().unwrap_or_default();
        for &port in if ports.is_empty() {
            &[DEFAULT_PORT]
        } else {
            ports
        } {
            for endpoint in Endpoint::local(port) {
                conf.listeners.push(dress(endpoint, &default)?);
            }
        }
        return Ok(());
    }
    for listener in settings
        .listeners
        .iter()
        .filter(|listener| listener.is_opened())
    {
        for endpoint in endpoints(listener)? {
            conf.listeners.push(dress(endpoint, listener)?);
        }
    }
    Ok(())
}

/// Every address a listener is to be on.
fn endpoints(listener: &Listener) -> Result<Vec<Endpoint>, Fault> {
    let options = &listener.options;
    let (port, host) = match listener.is_default {
        true => {
            let port = options.port.and_then(|port| u16::try_from(port).ok());
            (
                port.unwrap_or(DEFAULT_PORT),
                options.bind_address.as_ref().cloned(),
            )
        }
        false => (listener.port, listener.place.clone()),
    };
    if port == 0
        && !listener.any_port
        && let Some(path) = host
    {
        return Ok(vec![Endpoint::plain(Place::Unix(path.into()))]);
    }
    let wanted = |address: &SocketAddr| match *options.socket_domain {
        Some(SocketDomain::Ipv4) => address.is_ipv4(),
        Some(SocketDomain::Ipv6) => address.is_ipv6(),
        None => true,
    };
    let Some(host) = host else {
        // The second may be missing: many machines have no IPv6.
        let both = [
            SocketAddr::from(([0, 0, 0, 0], port)),
            SocketAddr::from(([0_u16; 8], port)),
        ];
        let places = both.into_iter().filter(wanted).enumerate();
        return Ok(places
            .map(|(number, address)| Endpoint {
                optional: number > 0,
                same_port: number > 0,
                ..Endpoint::plain(Place::Tcp(address))
            })
            .collect());
    };
    let unknown = |why: &str| {
        Fault::new(format!(
            "Error: Unable to resolve listener address '{host}': {why}."
        ))
    };
    let found = (host.as_str(), port).to_socket_addrs();
    let mut found: Vec<SocketAddr> = found
        .map_err(|error| unknown(&error.to_string()))?
        .filter(wanted)
        .collect();
    found.dedup();
    match found.is_empty() {
        true => Err(unknown("it has no address of that kind")),
        false => Ok(found
            .into_iter()
            .map(Place::Tcp)
            .map(Endpoint::plain)
            .collect()),
    }
}

/// What is spoken at an endpoint.
fn dress(mut endpoint: Endpoint, listener: &Listener) -> Result<Endpoint, Fault> {
    let options = &listener.options;
    match *options.protocol {
        Protocol::Mqtt => {}
        Protocol::Websockets => {
            endpoint.websocket = Some(options.websockets_origin.as_slice().into());
        }
        Protocol::HttpApi => {
            return Err(Fault::new("Error: HTTP API support not available."));
        }
    }
    if let (Some(cert), Some(key)) = (&*options.certfile, &*options.keyfile) {
        let version = match *options.tls_version {
            Some(TlsVersion::V13) => Some(tls::TlsVersion::Tls13),
            _ => None,
        };
        let tls = ServerTls {
            cert: cert.clone(),
            key: key.clone(),
            client_ca: options.cafile.as_ref().cloned(),
            client_cert_required: *options.require_certificate,
            version,
        };
        let fault = |fault: tls::TlsFault| Fault::new(format!("Error: {fault}."));
        endpoint.tls = Some(tls.load().map_err(fault)?);
    } else if *options.require_certificate {
        return Err(Fault::new(
            "Error: require_certificate without certfile, keyfile and cafile.",
        ));
    }
    Ok(endpoint)
}
