//! Where `mqttx broker` listens: the URLs of `--listen`, and what may stand behind their `?`.

use std::io;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::anyhow;
use anyhow::bail;

use crate::broker::listener::{ListenerRules, Versions};
use crate::cli::args::broker::BrokerArgs;
use crate::commands::broker::with_remedy;
use crate::commands::secret;
use crate::daemon::conf::endpoint::ProxyRules;
use crate::daemon::conf::{Endpoint, Place};
use crate::mqtt::QoS;
use crate::mqtt::Version;
use crate::mqtt::topic;
use crate::net::proxy_header::HeaderVersion;
use crate::net::tls::TlsFault;
use crate::net::tls::server::{CertificateUser, KeyPassword, ServerTls, TlsServer};
use crate::net::tls::session::Server;
use crate::net::upgrade::WebSocketRules;

/// What a URL says of one listener.
struct Asked {
    endpoint: Endpoint,
    user: CertificateUser,
    websocket: WebSocketRules,
    alpn: Vec<String>,
}

/// TABLE: what may stand behind the `?` of a URL, between `&`s.
const PARAMETERS: &[(&str, Parameter)] = &[
    ("alpn", alpn),
    ("anonymous", anonymous),
    ("connections", connections),
    ("forwarded-for", forwarded_for),
    ("id", id),
    ("interface", interface),
    ("mount", mount),
    ("proxy", proxy),
    ("qos", qos),
    ("user", user),
    ("versions", versions),
];

/// Takes a value, or says what is wanted instead.
type Parameter = fn(&mut Asked, &str) -> Result<(), &'static str>;

/// Every place to listen.
pub(crate) fn listeners(args: &BrokerArgs) -> anyhow::Result<Vec<Endpoint>> {
    if args.listen.is_empty() {
        let ports = match args.port[..] {
            [] => &[1883],
            _ => &args.port[..],
        };
        return Ok(ports.iter().flat_map(|&port| at_port(args, port)).collect());
    }
    // Files are read once for all listeners that are alike.
    let mut servers: Vec<Arc<TlsServer>> = Vec::new();
    let mut endpoints = Vec::new();
    for url in &args.listen {
        let (scheme, mut asked) = read(url, args)?;
        if matches!(scheme, "ws" | "wss") {
            asked.endpoint.websocket = Some(Arc::new(asked.websocket));
        }
        if matches!(scheme, "mqtts" | "wss") {
            let options = server_tls(args, asked.user, asked.alpn)?;
            let known = servers
                .iter()
                .find(|server| same(server.options(), &options));
            let server = match known {
                Some(server) => Arc::clone(server),
                None => Arc::new(load(options)?),
            };
            servers.push(Arc::clone(&server));
            asked.endpoint.tls = Some(Server::Certificate(server));
        } else if asked.user != CertificateUser::Unused && asked.endpoint.proxy.is_none() {
            bail!(
                "--listen {url}: user is what a certificate says: mqtts, wss or proxy=2 is wanted"
            );
        }
        endpoints.push(asked.endpoint);
    }
    Ok(endpoints)
}

/// A port, on every address that is asked for.
fn at_port(args: &BrokerArgs, port: u16) -> Vec<Endpoint> {
    if args.bind.is_empty() {
        return Endpoint::local(port);
    }
    let addresses = args.bind.iter().enumerate();
    let endpoints = addresses.map(|(number, &ip)| Endpoint {
        same_port: number > 0,
        ..Endpoint::plain(Place::Tcp(SocketAddr::new(ip, port)))
    });
    endpoints.collect()
}

/// A URL of `--listen`: its scheme, and what it asks for.
fn read<'a>(url: &'a str, args: &BrokerArgs) -> anyhow::Result<(&'a str, Asked)> {
    let (whole, parameters) = url.split_once('?').unwrap_or((url, ""));
    let (scheme, place) = place_of(whole)?;
    let mut asked = Asked {
        endpoint: Endpoint::plain(place),
        user: CertificateUser::Unused,
        websocket: WebSocketRules {
            origins: args.origin.clone(),
            ..WebSocketRules::default()
        },
        // Clients that name a protocol mean this one; those that name none are as welcome.
        alpn: vec!["mqtt".to_owned(), "http/1.1".to_owned()],
    };
    for parameter in parameters.split('&').filter(|part| !part.is_empty()) {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        let Some((_, take)) = PARAMETERS.iter().find(|(known, _)| *known == name) else {
            let names: Vec<&str> = PARAMETERS.iter().map(|(name, _)| *name).collect();
            bail!(
                "--listen {url}: nothing is called {name:?}: {}",
                names.join(", ")
            );
        };
        let (needed, schemes): (_, &[&str]) = match name {
            "alpn" => ("mqtts or wss", &["mqtts", "wss"]),
            "forwarded-for" => ("ws or wss", &["ws", "wss"]),
            _ => ("", &[scheme]),
        };
        if !schemes.contains(&scheme) {
            bail!("--listen {url}: {name} says nothing without {needed}");
        }
        take(&mut asked, value)
            .map_err(|wanted| anyhow!("--listen {url}: {name} is to be {wanted}"))?;
    }
    Ok((scheme, asked))
}

fn place_of(url: &str) -> anyhow::Result<(&str, Place)> {
    let fault = |what: &str| anyhow!("--listen {url}: {what}");
    let (scheme, rest) = url
        .split_once(':')
        .ok_or_else(|| fault("a URL is wanted"))?;
    let default_port = match scheme {
        "unix" => return Ok((scheme, Place::Unix(rest.trim_start_matches("//").into()))),
        "mqtt" => 1883,
        "mqtts" => 8883,
        "ws" => 8080,
        "wss" => 8081,
        _ => return Err(fault("mqtt://, mqtts://, ws://, wss:// or unix: is wanted")),
    };
    let host = rest.trim_start_matches("//").trim_end_matches('/');
    let address = host.parse::<SocketAddr>().ok().or_else(|| {
        let ip = host.trim_start_matches('[').trim_end_matches(']');
        let ip = if ip == "localhost" {
            Some(Ipv4Addr::LOCALHOST.into())
        } else {
            ip.parse().ok()
        };
        Some(SocketAddr::new(ip?, default_port))
    });
    let named = host
        .strip_prefix("localhost:")
        .and_then(|port| port.parse().ok());
    let named = named.map(|port| SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port));
    let address = address
        .or(named)
        .ok_or_else(|| fault("an IP address is wanted, with a port"))?;
    Ok((scheme, Place::Tcp(address)))
}

/// What a TLS listener is made of.
pub(crate) fn server_tls(
    args: &BrokerArgs,
    user_name: CertificateUser,
    alpn: Vec<String>,
) -> anyhow::Result<ServerTls> {
    let (Some(cert), Some(key)) = (&args.cert, &args.key) else {
        bail!("mqtts, wss and https need --cert FILE and --key FILE");
    };
    if user_name != CertificateUser::Unused && args.cafile.is_none() {
        bail!(
            "user names from certificates need --cafile FILE, which says whose certificates count"
        );
    }
    Ok(ServerTls {
        cert: cert.clone(),
        key: key.clone(),
        ca_file: args.cafile.clone(),
        crl: args.crlfile.clone(),
        client_cert_required: args.require_certificate,
        user_name,
        alpn,
        key_log: args.tls_keylog.clone(),
        ..ServerTls::default()
    })
}

fn same(known: &ServerTls, asked: &ServerTls) -> bool {
    let key_password = known.key_password.clone();
    *known
        == ServerTls {
            key_password,
            ..asked.clone()
        }
}

/// Reads the files; the password of a locked key is asked for on the terminal.
/// For those who have none yet; clients then want it as their --cafile.
const MAKES_CERTIFICATE: &str = "openssl req -x509 -newkey rsa:2048 -nodes -days 365 -subj /CN=localhost \
    -addext subjectAltName=DNS:localhost -keyout key.pem -out cert.pem, for a certificate to try it with";

pub(crate) fn load(mut options: ServerTls) -> anyhow::Result<TlsServer> {
    let loaded = match options.load() {
        Err(TlsFault::EncryptedKey(path)) => {
            let locked = |_| anyhow!(TlsFault::EncryptedKey(path.clone()).to_string());
            let password = secret::ask(&format!("Password for {}: ", path.display()));
            options.key_password = Some(KeyPassword(password.map_err(locked)?.to_vec()));
            options.load()
        }
        other => other,
    };
    loaded.map_err(|fault| match &fault {
        TlsFault::File(path, error)
            if *path == options.cert && error.kind() == io::ErrorKind::NotFound =>
        {
            with_remedy(&fault, MAKES_CERTIFICATE)
        }
        _ => anyhow!(fault.to_string()),
    })
}

fn rules(asked: &mut Asked) -> &mut ListenerRules {
    &mut asked.endpoint.rules
}

fn alpn(asked: &mut Asked, value: &str) -> Result<(), &'static str> {
    asked.alpn = value
        .split(',')
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect();
    match asked.alpn.iter().all(|name| name.len() < 256) {
        true => Ok(()),
        false => Err("names of up to 255 bytes, between commas; without one it is not looked at"),
    }
}

fn yes_or_no(value: &str) -> Result<bool, &'static str> {
    match value {
        "yes" => Ok(true),
        "no" => Ok(false),
        _ => Err("yes or no"),
    }
}

fn anonymous(asked: &mut Asked, value: &str) -> Result<(), &'static str> {
    rules(asked).anonymous = Some(yes_or_no(value)?);
    Ok(())
}

fn connections(asked: &mut Asked, value: &str) -> Result<(), &'static str> {
    let most = value.parse().ok().filter(|&most: &usize| most > 0);
    rules(asked).connections_max = most.ok_or("a number above 0")?;
    Ok(())
}

fn forwarded_for(asked: &mut Asked, value: &str) -> Result<(), &'static str> {
    asked.websocket.forwarded_for = yes_or_no(value)?;
    Ok(())
}

fn id(asked: &mut Asked, value: &str) -> Result<(), &'static str> {
    rules(asked).user_name_as_client_id = match value {
        "user" => true,
        "client" => false,
        _ => return Err("user or client"),
    };
    Ok(())
}

fn interface(asked: &mut Asked, value: &str) -> Result<(), &'static str> {
    if value.is_empty() || matches!(asked.endpoint.place, Place::Unix(_)) {
        return Err("the name of a network interface");
    }
    asked.endpoint.interface = Some(value.to_owned());
    Ok(())
}

fn mount(asked: &mut Asked, value: &str) -> Result<(), &'static str> {
    topic::check_name(value).map_err(|_| "what topics begin with, without wildcards")?;
    rules(asked).mount_point = value.into();
    Ok(())
}

fn proxy(asked: &mut Asked, value: &str) -> Result<(), &'static str> {
    let version = match value {
        "1" => HeaderVersion::V1,
        "2" => HeaderVersion::V2,
        _ => return Err("1 or 2, the version of the PROXY protocol"),
    };
    asked.endpoint.proxy = Some(ProxyRules {
        version,
        tls_required: false,
        certificate_required: false,
    });
    Ok(())
}

fn qos(asked: &mut Asked, value: &str) -> Result<(), &'static str> {
    let most = value.parse().ok().and_then(QoS::from_bits);
    rules(asked).qos_max = most.ok_or("0, 1 or 2")?;
    Ok(())
}

fn user(asked: &mut Asked, value: &str) -> Result<(), &'static str> {
    asked.user = match value {
        "cn" => CertificateUser::CommonName,
        "subject" => CertificateUser::Subject,
        _ => return Err("cn or subject"),
    };
    rules(asked).user_name_proven = true;
    Ok(())
}

fn versions(asked: &mut Asked, value: &str) -> Result<(), &'static str> {
    let mut versions = Versions::NONE;
    for word in value.split(',') {
        let version = Version::ALL.into_iter().find(|version| {
            // 3, 4 and 5 are what CONNECT says.
            version.to_string() == word || version.level().to_string() == word
        });
        versions = versions.with(version.ok_or("3.1, 3.1.1 and 5.0, between commas")?);
    }
    rules(asked).versions = versions;
    Ok(())
}
