//! From the listeners of the settings to the endpoints of [`Conf`].

use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;

use crate::broker::listener::{ListenerRules, Versions};
use crate::daemon::conf::endpoint::ProxyRules;
use crate::daemon::conf::listener_tls;
use crate::daemon::conf::parse::Fault;
use crate::daemon::conf::security;
use crate::daemon::conf::settings::{Listener, Settings};
use crate::daemon::conf::value::{Protocol, SocketDomain};
use crate::daemon::conf::{Conf, Endpoint, Place};
use crate::daemon::http::{HttpListener, Service, Token};
use crate::mqtt::QoS;
use crate::mqtt::Version;
use crate::net::proxy_header::HeaderVersion;
use crate::net::upgrade::WebSocketRules;

/// The port where nothing says otherwise.
const DEFAULT_PORT: u16 = 1883;

/// Puts the endpoints into `conf`; `ports` are those of the command line, for when no listener is
/// given.
pub(crate) fn apply(settings: &Settings, ports: &[u16], conf: &mut Conf) -> Result<(), Fault> {
    let mut lines = settings.lines.iter();
    if let Some(line) = lines.find(|line| line.name == "tls_keyform" && line.value == "engine") {
        let sentence = "Error: The 'tls_keyform' option 'engine' is not available: there are no \
                        OpenSSL engines here: use keys in PEM files.";
        let mut fault = Fault::new(sentence);
        fault.found_at.push(line.at.clone());
        return Err(fault);
    }
    conf.http_token = match &*settings.globals.http_token_file {
        None => None,
        Some(file) => Some(
            Token::read(file)
                .map_err(|what| Fault::new(format!("Error: Unusable http_token_file {what}.")))?,
        ),
    };
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
                conf.listeners.push(dress(endpoint, settings, &default)?);
            }
        }
        return Ok(());
    }
    // The default one, too, where a line is about it: mosquitto 2.0 and 2.1 open it.
    for listener in &settings.listeners {
        for endpoint in endpoints(listener)? {
            let endpoint = dress(endpoint, settings, listener)?;
            match service(listener) {
                None => conf.listeners.push(endpoint),
                Some(service) => conf.http.push(HttpListener { endpoint, service }),
            }
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

/// What an operator expects to be served and is not: mosquitto 2.0 did so beside WebSockets.
pub(crate) fn unserved(settings: &Settings) -> impl Iterator<Item = String> {
    let listeners = settings.listeners.iter().map(|listener| &listener.options);
    let served = |protocol: Protocol| protocol == Protocol::HttpApi;
    let unserved = listeners.filter(move |options| !served(*options.protocol));
    let folders = unserved.filter_map(|options| options.http_dir.as_ref());
    folders.map(|folder| {
        let folder = folder.display();
        format!("Warning: {folder} is not served: http_dir is for listeners of protocol http_api.")
    })
}

/// What is answered over HTTP, where that is what is spoken.
fn service(listener: &Listener) -> Option<Service> {
    match *listener.options.protocol {
        Protocol::Mqtt | Protocol::Websockets => None,
        Protocol::Http => Some(Service::Whole),
        Protocol::HttpApi => Some(Service::Mosquitto((*listener.options.http_dir).clone())),
    }
}

/// What is spoken at an endpoint, and what its clients may do.
fn dress(
    mut endpoint: Endpoint,
    settings: &Settings,
    listener: &Listener,
) -> Result<Endpoint, Fault> {
    let options = &listener.options;
    match *options.protocol {
        Protocol::Mqtt => {}
        Protocol::Websockets => {
            let head_max = &settings.globals.packet_buffer_size;
            let mut rules = WebSocketRules {
                origins: options.websockets_origin.to_vec(),
                ..WebSocketRules::default()
            };
            if head_max.is_given() {
                rules.head_max = usize::try_from(**head_max).unwrap_or(rules.head_max);
            }
            endpoint.websocket = Some(Arc::new(rules));
        }
        Protocol::Http | Protocol::HttpApi => {}
    }
    endpoint.interface = options.bind_interface.as_ref().cloned();
    let nodelay = &settings.globals.set_tcp_nodelay;
    endpoint.nodelay = **nodelay || !nodelay.is_given();
    endpoint.proxy = options.enable_proxy_protocol.map(|version| ProxyRules {
        version: match version {
            1 => HeaderVersion::V1,
            _ => HeaderVersion::V2,
        },
        tls_required: *options.proxy_protocol_v2_require_tls,
        certificate_required: *options.require_certificate,
    });
    endpoint.tls = listener_tls::server(settings, listener)?;
    endpoint.rules = rules(settings, listener);
    Ok(endpoint)
}

fn rules(settings: &Settings, listener: &Listener) -> ListenerRules {
    let options = &listener.options;
    let security = settings.security_of(listener);
    let defaults = ListenerRules::default();
    let written = *options.accept_protocol_versions;
    let spoken = [
        (written.v31, Version::V31),
        (written.v311, Version::V311),
        (written.v5, Version::V5),
    ];
    let spoken = spoken.into_iter().filter(|(spoken, _)| *spoken);
    let prefix = options.listener_auto_id_prefix.as_deref();
    let prefix = prefix.or(security.auto_id_prefix.as_deref());
    let local_only = settings.is_local_only();
    let own = *options.listener_allow_anonymous;
    let anonymous = own.or(*security.allow_anonymous).unwrap_or(local_only);
    ListenerRules {
        versions: spoken.fold(Versions::NONE, |set, (_, version)| set.with(version)),
        qos_max: match *options.max_qos {
            0 => QoS::AtMostOnce,
            1 => QoS::AtLeastOnce,
            _ => QoS::ExactlyOnce,
        },
        mount_point: options.mount_point.as_deref().unwrap_or_default().into(),
        anonymous: Some(anonymous),
        realm: security::realm_of(settings, listener),
        topic_alias_max: u16::try_from(*options.max_topic_alias).ok(),
        topic_alias_out_max: u16::try_from(*options.max_topic_alias_broker).ok(),
        user_name_as_client_id: *options.use_username_as_clientid,
        user_name_proven: *options.use_identity_as_username || *options.use_subject_as_username,
        assigned_id_prefix: prefix.map_or(defaults.assigned_id_prefix, Into::into),
        empty_client_ids: *security.allow_zero_length_clientid,
        // Zero and less set no limit.
        connections_max: usize::try_from(*options.max_connections)
            .ok()
            .filter(|&most| most > 0)
            .unwrap_or(usize::MAX),
        ..ListenerRules::default()
    }
}
