//! From the TLS options to a configuration, or to the sentence that says why there is none.

use std::path::Path;

use zeroize::Zeroizing;

use crate::cli::args::tls::Tls as Args;
use crate::cli::error::{Error, Kind};
use crate::cli::{Caller, Manner};
use crate::commands::secret;
use crate::net::system_words;
use crate::net::tls::{PskKey, Tls, TlsFault, TlsOptions, TlsVersion, every_suite};

/// What OpenSSL's users may ask for and rustls has no counterpart to.
const NO_ENGINES: &str = "OpenSSL engines (--tls-engine, --keyform engine) are not built into mqttx: \
                          its TLS is rustls, which has none.";
const NO_PSK: &str = "TLS-PSK (--psk) is not built into this mqttx: \
                      its TLS is rustls, which knows certificates only.";

const THEIR_PSK: &str = "Problem setting TLS-PSK options.";

/// None: no encryption is asked for.
pub(crate) fn tls(caller: Caller, args: &Args, port: u16) -> Result<Option<Tls>, Error> {
    let version = args.tls_version.as_deref().map(version).transpose()?;
    let is_due = args.wanted(port) || (caller.manner == Manner::Mosquitto && !args.no_tls);
    if let Some(engine) = args.tls_engine.as_ref().filter(|_| is_due) {
        let told = format!("Problem setting TLS engine, is {engine} a valid engine?");
        return Err(failed(told).in_short(NO_ENGINES));
    }
    if !args.wanted(port) {
        // mosquitto's clients pass over these without a word.
        return match args
            .idle()
            .filter(|_| caller.manner == Manner::Mqttx && !args.no_tls)
        {
            None => Ok(None),
            Some(name) => Err(failed(format!("{name} says nothing without TLS."))
                .hint("--cafile FILE, --tls-use-os-certs or -p 8883 turn TLS on")),
        };
    }
    let form = args.keyform.as_deref();
    if form == Some("engine") {
        return Err(failed(NO_ENGINES));
    }
    if form.is_some_and(|form| form != "pem") {
        return Err(failed(
            "Problem setting key form, it must be one of 'pem' or 'engine'.",
        ));
    }
    let options = TlsOptions {
        ca_file: args.cafile.clone(),
        ca_path: args.capath.clone(),
        os_roots: args.tls_use_os_certs,
        cert: args.cert.clone(),
        key: args.key.clone(),
        insecure: args.insecure,
        any_name: args.tls_skip_hostname,
        alpn: args.tls_alpn.iter().cloned().collect(),
        version,
        ciphers: args.ciphers.clone(),
        key_log: args.tls_keylog.clone(),
        server_name: None,
        psk: psk(caller, args)?,
    };
    let made = match Tls::new(&options) {
        Err(TlsFault::EncryptedKey(path)) => {
            let prompt = format!("Password for {}: ", path.display());
            let password = secret::ask(&prompt).map_err(|_| locked(&path))?;
            Tls::with_key_password(&options, &password)
        }
        made => made,
    };
    made.map(Some).map_err(|fault| match fault {
        TlsFault::Cipher(_) if args.psk.is_none() => explain(&fault).hint(suites()),
        _ => explain(&fault),
    })
}

/// A key with a password, and nobody to ask for it.
fn locked(path: &Path) -> Error {
    let shown = path.display();
    failed(format!(
        "Problem setting TLS options: {shown}: this key is locked with a password."
    ))
    .hint("from a terminal it is asked for; openssl pkey -in KEY -out NEW unlocks it for scripts")
}

/// The key of --psk, and what cannot stand beside it.
fn psk(caller: Caller, args: &Args) -> Result<Option<PskKey>, Error> {
    let (Some(digits), Some(identity)) = (&args.psk, &args.psk_identity) else {
        return Ok(None);
    };
    if args.cert.is_some() && caller.manner == Manner::Mqttx {
        return Err(failed("--cert says nothing with --psk: one or the other."));
    }
    let Some(key) = hexadecimal(digits) else {
        return Err(failed(THEIR_PSK).in_short("--psk takes a key in hexadecimal"));
    };
    Ok(Some(PskKey {
        identity: identity.clone(),
        key,
    }))
}

/// As mosquitto reads it on both sides: pairs of zeros in front are bytes of the key, what follows
/// is a number, so that an odd count of digits has a meaning too.
fn hexadecimal(digits: &str) -> Option<Zeroizing<Vec<u8>>> {
    let digits = digits.as_bytes();
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let zeros = digits.chunks(2).take_while(|pair| *pair == b"00").count();
    let rest = &digits[2 * zeros..];
    let digit = |digit: &u8| char::from(*digit).to_digit(16).unwrap_or_default() as u8;
    let start = rest.iter().position(|digit| *digit != b'0');
    let (first, pairs) = match start {
        Some(start) => rest[start..].split_at((rest.len() - start) % 2),
        None => (&rest[..0], &rest[..0]),
    };
    // Never moves, so no copy of it stays behind.
    let mut key = Zeroizing::new(Vec::with_capacity(digits.len()));
    key.resize(zeros, 0);
    key.extend(first.iter().map(digit));
    key.extend(
        pairs
            .chunks_exact(2)
            .map(|pair| digit(&pair[0]) << 4 | digit(&pair[1])),
    );
    Some(key)
}

fn failed(told: impl Into<String>) -> Error {
    Error::new(Kind::Failed, told)
}

fn version(text: &str) -> Result<TlsVersion, Error> {
    match text {
        "tlsv1.2" => Ok(TlsVersion::Tls12),
        "tlsv1.3" => Ok(TlsVersion::Tls13),
        _ => Err(
            failed("Problem setting TLS options, check the options are valid.")
                .in_short(format!("no TLS version '{text}'"))
                .hint("--tls-version tlsv1.2 or tlsv1.3"),
        ),
    }
}

/// OpenSSL's cipher strings name families that rustls has none of.
fn suites() -> String {
    let names = every_suite();
    format!("--ciphers with some of these, which are all that rustls has: {names}")
}

fn explain(fault: &TlsFault) -> Error {
    let theirs = match fault {
        TlsFault::File(..) => "Problem setting TLS options: File not found.",
        TlsFault::Cipher(_) => "Problem setting TLS options, check the options are valid.",
        TlsFault::Psk(_) => THEIR_PSK,
        TlsFault::PskNotBuilt => {
            return failed(NO_PSK).hint("cargo install mqttx --features psk");
        }
        _ => return failed(format!("Problem setting TLS options: {fault}.")),
    };
    let told = match fault {
        // A shell's empty variable.
        TlsFault::File(path, _) if path.as_os_str().is_empty() => {
            "the path of a certificate, a key or a folder of them is empty".to_owned()
        }
        TlsFault::File(path, error) => {
            format!("cannot read {}: {}", path.display(), system_words(error))
        }
        _ => fault.to_string(),
    };
    failed(theirs).in_short(told)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_as_mosquitto_reads_them() {
        let key = |digits| hexadecimal(digits).map(|key| key.to_vec());
        assert_eq!(key("0aFf"), Some(vec![0x0a, 0xff]));
        assert_eq!(key("0000ab"), Some(vec![0, 0, 0xab]));
        assert_eq!(key("abc"), Some(vec![0x0a, 0xbc]));
        assert_eq!(key("0abc"), Some(vec![0x0a, 0xbc]));
        assert_eq!(key("0ab"), Some(vec![0xab]));
        assert_eq!(key("00"), Some(vec![0]));
        assert_eq!(key(""), None);
        assert_eq!(key("0x12"), None);
    }
}
