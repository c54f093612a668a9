//! Which pages may ask. A browser sends what a page of any site tells it to, with the user's own
//! login or from within the user's own machine; it also says whose page that was. And where nobody
//! is asked for a login, only the names of this machine lead here, so that no other name can be
//! made to (DNS rebinding).

use std::net::IpAddr;

use axum::http::HeaderMap;
use axum::http::header;

use crate::daemon::http::answer::{Fault, Kind};

/// Looks at a request's headers. `local_only`: nobody is asked for a login.
pub(super) fn check(headers: &HeaderMap, local_only: bool) -> Result<(), Fault> {
    let text = |name| match headers.get(name) {
        None => Ok(None),
        Some(value) => value.to_str().map(Some).map_err(|_| cross_site()),
    };
    let host = text(header::HOST)?.unwrap_or_default();
    if local_only && !is_local(host) {
        let what = "this address is for this machine only: ask for localhost";
        return Err(Fault::new(Kind::WrongHost, what));
    }
    if headers.get_all(header::ORIGIN).iter().count() > 1 {
        return Err(cross_site());
    }
    if let Some(origin) = text(header::ORIGIN)?
        && !is_own(origin, host)
    {
        return Err(cross_site());
    }
    // A page that is opened by a link comes from another site, and may.
    let site = headers.get("sec-fetch-site");
    let mode = headers.get("sec-fetch-mode");
    let foreign = site.is_some_and(|site| site == "cross-site" || site == "same-site");
    if foreign && mode.is_none_or(|mode| mode != "navigate") {
        return Err(cross_site());
    }
    Ok(())
}

fn cross_site() -> Fault {
    let what = "a page of another site may not ask here";
    Fault::new(Kind::CrossSite, what)
}

/// Whether a page's origin is this very server, which goes by the name of `host`.
fn is_own(origin: &str, host: &str) -> bool {
    let Some((scheme, authority)) = origin.split_once("://") else {
        return false;
    };
    matches!(scheme, "http" | "https") && authority.eq_ignore_ascii_case(host)
}

/// Whether this is a name of this machine for itself, with any port.
fn is_local(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split_once(']').map_or("", |(name, _)| name),
        None => host.split_once(':').map_or(host, |(name, _)| name),
    };
    let address = name.parse::<IpAddr>();
    name.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let pairs = pairs.iter();
        pairs
            .map(|(name, value)| {
                let name = axum::http::HeaderName::from_static(name);
                (name, value.parse().unwrap())
            })
            .collect()
    }

    #[test]
    fn names_of_this_machine_are_known() {
        for host in [
            "localhost",
            "LOCALHOST:8080",
            "127.0.0.1:1",
            "127.9.9.9",
            "[::1]:80",
            "[::1]",
        ] {
            assert!(is_local(host), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "127.0.0.1.evil.example",
            "localhost.evil:80",
            "[::1",
            "::1",
        ] {
            assert!(!is_local(host), "{host}");
        }
    }

    #[test]
    fn pages_of_other_sites_are_turned_away() {
        let check = |pairs: &[(&'static str, &str)]| check(&asked(pairs), true).is_ok();
        let host = ("host", "localhost:80");
        assert!(check(&[host]));
        assert!(check(&[host, ("origin", "http://localhost:80")]));
        assert!(check(&[host, ("sec-fetch-site", "same-origin")]));
        assert!(check(&[
            host,
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-mode", "navigate")
        ]));
        assert!(!check(&[host, ("origin", "http://localhost:81")]));
        assert!(!check(&[host, ("origin", "http://evil.example")]));
        assert!(!check(&[host, ("origin", "null")]));
        assert!(!check(&[host, ("sec-fetch-site", "cross-site")]));
        assert!(!check(&[
            host,
            ("sec-fetch-site", "same-site"),
            ("sec-fetch-mode", "cors")
        ]));
        assert!(!check(&[("host", "evil.example")]));
        assert!(!check(&[]));
    }
}
