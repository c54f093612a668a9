//! Brokers a domain names in DNS (RFC 2782): `_mqtt._tcp`, and `_secure-mqtt._tcp` for TLS.

use std::fmt;
use std::io;
use std::net::SocketAddr;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::RData;

/// Where a broker is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) host: String,
    pub(super) port: u16,
}

/// The domain names no broker, or could not be asked.
#[derive(Debug)]
pub struct NoSuchService(String);

impl fmt::Display for NoSuchService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NoSuchService {}

/// The brokers of this domain, in the order in which they are to be tried.
pub(super) async fn look_up(
    domain: &str,
    is_tls: bool,
    server: Option<SocketAddr>,
) -> io::Result<Vec<Target>> {
    let service = if is_tls { "_secure-mqtt" } else { "_mqtt" };
    let name = format!("{service}._tcp.{domain}.");
    let failed = |what: String| {
        let told = NoSuchService(format!("no broker by SRV ({name}): {what}"));
        io::Error::new(io::ErrorKind::NotFound, told)
    };
    let resolver = resolver(server).map_err(failed)?;
    let found = resolver.srv_lookup(&*name).await;
    let found = found.map_err(|error| failed(error.to_string()))?;
    let mut records = Vec::new();
    for record in found.answers() {
        let RData::SRV(srv) = &record.data else {
            continue;
        };
        let host = srv.target.to_utf8();
        let host = host.trim_end_matches('.').to_owned();
        // A lone dot says that the domain has no such service.
        if !host.is_empty() {
            let port = srv.port;
            records.push((srv.priority, srv.weight, Target { host, port }));
        }
    }
    match records.is_empty() {
        true => Err(failed("the domain has none".to_owned())),
        false => Ok(in_order(records, chance)),
    }
}

fn resolver(server: Option<SocketAddr>) -> Result<TokioResolver, String> {
    let builder = match server {
        None => TokioResolver::builder_tokio().map_err(|error| error.to_string())?,
        Some(address) => {
            let mut udp = ConnectionConfig::udp();
            udp.port = address.port();
            let server = NameServerConfig::new(address.ip(), true, vec![udp]);
            let config = ResolverConfig::from_parts(None, Vec::new(), vec![server]);
            TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
        }
    };
    builder.build().map_err(|error| error.to_string())
}

/// A number below `end`, seeded as the tables of the standard library are.
fn chance(end: u32) -> u32 {
    use std::hash::{BuildHasher, RandomState};
    (RandomState::new().hash_one(end) % u64::from(end.max(1))) as u32
}

/// The smallest priority first; among equals each as often as its weight says.
fn in_order(
    mut records: Vec<(u16, u16, Target)>,
    mut chance: impl FnMut(u32) -> u32,
) -> Vec<Target> {
    records.sort_by_key(|(priority, weight, _)| (*priority, *weight));
    let mut order = Vec::with_capacity(records.len());
    while let Some((first, ..)) = records.first() {
        let first = *first;
        let equals = records.iter().take_while(|(p, ..)| *p == first);
        let sum: u32 = equals
            .clone()
            .map(|(_, weight, _)| u32::from(*weight))
            .sum();
        let drawn = chance(sum + 1);
        let mut running = 0;
        let mut equals = equals.map(|(_, weight, _)| {
            running += u32::from(*weight);
            running
        });
        let at = equals.position(|sum| sum >= drawn).unwrap_or(0);
        order.push(records.remove(at).2);
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn priority_decides_and_among_equals_weight() {
        let record = |priority, weight, port| {
            let host = String::new();
            (priority, weight, Target { host, port })
        };
        let records = vec![
            record(2, 0, 9),
            record(1, 10, 1),
            record(1, 30, 3),
            record(1, 0, 0),
        ];
        let order = |draws: &[u32]| {
            let mut draws = draws.iter().copied();
            let order = in_order(records.clone(), |_| draws.next().unwrap_or(0));
            order.iter().map(|target| target.port).collect::<Vec<_>>()
        };
        assert_eq!(order(&[]), [0, 1, 3, 9]);
        assert_eq!(order(&[40, 10]), [3, 1, 0, 9]);
        assert_eq!(order(&[5, 31]), [1, 3, 0, 9]);
    }
}
