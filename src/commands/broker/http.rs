//! Where `mqttx broker` answers over HTTP: the places of `--http`, and who may come there.

use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::anyhow;

use crate::cli::args::broker::BrokerArgs;
use crate::commands::broker::listening::{load, server_tls};
use crate::commands::broker::{read, with_remedy};
use crate::daemon::conf::{Endpoint, Place};
use crate::daemon::http::{HttpListener, Service, Token};
use crate::net::tls::server::CertificateUser;
use crate::net::tls::session::Server;

/// Every place of `--http`.
pub(crate) fn listeners(args: &BrokerArgs) -> anyhow::Result<Vec<HttpListener>> {
    let mut all = Vec::new();
    let mut server = None;
    for place in &args.http {
        for mut endpoint in endpoints(place)? {
            if place.starts_with("https:") {
                if server.is_none() {
                    let alpn = vec!["http/1.1".to_owned()];
                    let options = server_tls(args, CertificateUser::Unused, alpn)?;
                    server = Some(Arc::new(load(options)?));
                }
                endpoint.tls = server.clone().map(Server::Certificate);
            }
            if endpoint.is_open() {
                // That this machine's clients need no name says nothing of others.
                endpoint.rules.anonymous = Some(args.allow_anonymous);
            }
            let service = Service::Whole;
            all.push(HttpListener { endpoint, service });
        }
    }
    Ok(all)
}

/// Loopback and open together, or neither.
pub(crate) fn check_open(args: &BrokerArgs, listeners: &[HttpListener]) -> anyhow::Result<()> {
    let open = listeners.iter().any(|one| one.endpoint.is_open());
    let listed = args.password_file.is_some() && args.acl_file.is_some();
    let users = listed || args.dynsec.is_some() || args.jwt_key.is_some();
    if open && !users && args.http_token.is_none() {
        return Err(with_remedy(
            "--http: nobody is named who may administrate the broker from other machines",
            "--http-token FILE, --dynsec FILE, or --password-file FILE with --acl-file FILE",
        ));
    }
    Ok(())
}

/// The secret of `--http-token`.
pub(crate) fn token(path: &Path) -> anyhow::Result<Token> {
    let shown = path.display();
    let file = read("token file", path)?;
    let text = String::from_utf8(file).map_err(|_| anyhow!("{shown}: not UTF-8"))?;
    Token::of_text(&text, path).map_err(|what| anyhow!("{shown}: {what}"))
}

/// A port is for this machine only, by both of its loopback addresses.
fn endpoints(place: &str) -> anyhow::Result<Vec<Endpoint>> {
    if let Some(path) = place.strip_prefix("unix:") {
        let path = path.trim_start_matches("//");
        return Ok(vec![Endpoint::plain(Place::Unix(path.into()))]);
    }
    let bare = place
        .strip_prefix("http:")
        .or_else(|| place.strip_prefix("https:"));
    let bare = bare.unwrap_or(place).trim_start_matches("//");
    let bare = bare.trim_end_matches('/');
    if let Ok(port) = bare.parse() {
        return Ok(Endpoint::local(port));
    }
    let named = bare.strip_prefix("localhost:");
    let named = named.and_then(|port| Some((Ipv4Addr::LOCALHOST, port.parse().ok()?).into()));
    let address: Option<SocketAddr> = bare.parse().ok().or(named);
    let address = address.ok_or_else(|| {
        with_remedy(
            format!("--http {place}: PORT, ADDRESS:PORT or unix:PATH is wanted"),
            "--http 8080",
        )
    })?;
    Ok(vec![Endpoint::plain(Place::Tcp(address))])
}
