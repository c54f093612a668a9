//! Brokers of others: nobody floods one by accident. Pure.

use std::net::IpAddr;

use crate::cli::args::bench::Bench;
use crate::commands::bench::plan::Mode;

/// Above this rate, in messages a second, a host on the open Internet must be meant.
const PUBLIC_RATE_MAX: f64 = 1_000.0;

/// A host that is neither here nor near is loaded slowly, or knowingly.
pub(super) fn allowed(args: &Bench, mode: Mode, connects: Option<f64>) -> Result<(), String> {
    let is_slow = match mode {
        Mode::Ramp(ramp) => ramp.to <= PUBLIC_RATE_MAX,
        Mode::RateOnly(rate) => rate <= PUBLIC_RATE_MAX,
        Mode::Steps(steps) => steps.to <= PUBLIC_RATE_MAX,
        Mode::MaxOnly => {
            let rate = connects.filter(|_| args.load.kind.is_connects());
            rate.is_some_and(|rate| rate <= PUBLIC_RATE_MAX)
        }
        Mode::Both | Mode::FindMax => false,
    };
    if args.target.yes || is_slow || args.target.way.unix.is_some() {
        return Ok(());
    }
    let Some(host) = args.target.host.iter().find(|host| !is_near(host)) else {
        return Ok(());
    };
    Err(format!(
        "{host} is not on this machine or a private network: say --rate 1k or less, or --yes if \
         you may load it"
    ))
}

/// Whether a host surely is this machine or on a private network. A name without a dot is one of
/// the local network.
fn is_near(host: &str) -> bool {
    match host.trim_matches(['[', ']']).parse::<IpAddr>() {
        Ok(IpAddr::V4(ip)) => ip.is_loopback() || ip.is_private() || ip.is_link_local(),
        Ok(IpAddr::V6(ip)) => {
            ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local()
        }
        Err(_) => {
            let host = host.trim_end_matches('.');
            !host.contains('.')
                || [".local", ".localhost", ".internal", ".lan", ".test"]
                    .iter()
                    .any(|end| host.ends_with(end))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_is_what_can_be_no_stranger() {
        for near in [
            "localhost",
            "127.0.0.1",
            "::1",
            "10.1.2.3",
            "pi.local",
            "broker",
        ] {
            assert!(is_near(near), "{near}");
        }
    }
}
