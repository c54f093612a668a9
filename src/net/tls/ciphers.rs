//! Cipher suites by OpenSSL's names, one table for clients and listeners. Its cipher strings are not a
//! language we speak beyond that: a name that is not in the table is an error, never left out.

use rustls::crypto::CryptoProvider;

use crate::net::tls::TlsFault;

/// TABLE: rustls's suites of TLS 1.2 by OpenSSL's names. TLS 1.3's have one name everywhere.
const OPENSSL_NAMES: &[(&str, rustls::CipherSuite)] = {
    use rustls::CipherSuite as Suite;
    &[
        (
            "ECDHE-ECDSA-AES256-GCM-SHA384",
            Suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
        ),
        (
            "ECDHE-ECDSA-AES128-GCM-SHA256",
            Suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        ),
        (
            "ECDHE-ECDSA-CHACHA20-POLY1305",
            Suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
        ),
        (
            "ECDHE-RSA-AES256-GCM-SHA384",
            Suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
        ),
        (
            "ECDHE-RSA-AES128-GCM-SHA256",
            Suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
        ),
        (
            "ECDHE-RSA-CHACHA20-POLY1305",
            Suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
        ),
        ("TLS_AES_256_GCM_SHA384", Suite::TLS13_AES_256_GCM_SHA384),
        ("TLS_AES_128_GCM_SHA256", Suite::TLS13_AES_128_GCM_SHA256),
        (
            "TLS_CHACHA20_POLY1305_SHA256",
            Suite::TLS13_CHACHA20_POLY1305_SHA256,
        ),
    ]
};

/// The name OpenSSL has for a suite.
pub(super) fn name(suite: rustls::CipherSuite) -> &'static str {
    let row = OPENSSL_NAMES.iter().find(|(_, known)| *known == suite);
    row.map_or("unknown", |(name, _)| name)
}

/// All names there are, with colons between them.
pub(crate) fn every_name() -> String {
    let names: Vec<&str> = OPENSSL_NAMES.iter().map(|(name, _)| *name).collect();
    names.join(":")
}

/// Names that stand for all we have; rustls has no suite that they would leave out.
const EVERYTHING: &[&str] = &["DEFAULT", "ALL", "HIGH", "SECURE"];

/// As with OpenSSL, a list without any suite of TLS 1.3 leaves those alone.
pub(super) fn choose_ciphers(provider: &mut CryptoProvider, names: &str) -> Result<(), TlsFault> {
    let Some(chosen) = suites_of(names)? else {
        return Ok(());
    };
    let keeps_13 = !provider
        .cipher_suites
        .iter()
        .any(|s| is_13(s) && chosen.contains(&s.suite()));
    provider
        .cipher_suites
        .retain(|s| chosen.contains(&s.suite()) || (keeps_13 && is_13(s)));
    Ok(())
}

/// A list for TLS 1.3 alone, which leaves the suites of TLS 1.2 as they are.
pub(super) fn choose_ciphers_13(
    provider: &mut CryptoProvider,
    names: &str,
) -> Result<(), TlsFault> {
    let Some(chosen) = suites_of(names)? else {
        return Ok(());
    };
    provider
        .cipher_suites
        .retain(|s| !is_13(s) || chosen.contains(&s.suite()));
    match provider.cipher_suites.iter().any(is_13) {
        true => Ok(()),
        false => Err(TlsFault::Cipher(names.to_owned())),
    }
}

fn is_13(suite: &rustls::SupportedCipherSuite) -> bool {
    suite.tls13().is_some()
}

/// The suites of a list; `None`: it leaves nothing out.
fn suites_of(names: &str) -> Result<Option<Vec<rustls::CipherSuite>>, TlsFault> {
    let mut chosen = Vec::new();
    let mut is_everything = false;
    for name in names.split([':', ',', ' ']).filter(|name| !name.is_empty()) {
        let is_exclusion = name.starts_with(['!', '-']);
        if EVERYTHING
            .iter()
            .any(|known| known.eq_ignore_ascii_case(name))
        {
            is_everything = true;
        } else if let Some((_, suite)) = OPENSSL_NAMES
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
        {
            chosen.push(*suite);
        } else if !is_exclusion || OPENSSL_NAMES.iter().any(|(known, _)| *known == &name[1..]) {
            return Err(TlsFault::Cipher(name.to_owned()));
        }
    }
    match (is_everything, chosen.is_empty()) {
        (true, _) => Ok(None),
        (false, false) => Ok(Some(chosen)),
        (false, true) => Err(TlsFault::Cipher(names.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::crypto::ring;

    #[track_caller]
    fn check(names: &str, expected: Result<(usize, usize), &str>) {
        let mut provider = ring::default_provider();
        let chosen = match choose_ciphers(&mut provider, names) {
            Ok(()) => {
                let suites = &provider.cipher_suites;
                let of_13 = suites.iter().filter(|s| s.tls13().is_some()).count();
                Ok((suites.len() - of_13, of_13))
            }
            Err(TlsFault::Cipher(name)) => Err(name),
            Err(other) => panic!("{other}"),
        };
        assert_eq!(chosen, expected.map_err(str::to_owned));
    }

    #[test]
    fn cipher_suites_go_by_openssls_names() {
        check("ECDHE-RSA-AES128-GCM-SHA256", Ok((1, 3)));
        check(
            "ecdhe-rsa-aes128-gcm-sha256:ECDHE-RSA-CHACHA20-POLY1305:!aNULL",
            Ok((2, 3)),
        );
        check(
            "TLS_AES_128_GCM_SHA256:ECDHE-RSA-AES128-GCM-SHA256",
            Ok((1, 1)),
        );
        check("HIGH:!aNULL:!MD5", Ok((6, 3)));
        check("DES-CBC3-SHA", Err("DES-CBC3-SHA"));
        check(
            "HIGH:!ECDHE-RSA-AES128-GCM-SHA256",
            Err("!ECDHE-RSA-AES128-GCM-SHA256"),
        );
        check("!aNULL", Err("!aNULL"));
    }

    #[test]
    fn a_list_for_tls_13_leaves_the_rest_alone() {
        let check = |names: &str, expected: Option<(usize, usize)>| {
            let mut provider = ring::default_provider();
            let chosen = choose_ciphers_13(&mut provider, names).ok().map(|()| {
                let of_13 = provider.cipher_suites.iter().filter(|s| is_13(s)).count();
                (provider.cipher_suites.len() - of_13, of_13)
            });
            assert_eq!(chosen, expected, "{names}");
        };
        check("TLS_AES_128_GCM_SHA256", Some((6, 1)));
        check(
            "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256",
            Some((6, 2)),
        );
        check("ECDHE-RSA-AES128-GCM-SHA256", None);
        check("TLS_AES_128_CCM_SHA256", None);
        check("", None);
    }
}
