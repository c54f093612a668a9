//! From the TLS options to a configuration, or to the sentence that says why there is none.

use crate::cli::args::tls::Tls as Args;
use crate::cli::error::{Error, Kind};
use crate::cli::{Caller, Manner};
use crate::commands::outcome;
use crate::net::tls::{Tls, TlsFault, TlsOptions, TlsVersion};

/// What OpenSSL's users may ask for and rustls has no counterpart to.
const NO_ENGINES: &str = "OpenSSL engines (--tls-engine, --keyform engine) are not built into mqttx: \
                          its TLS is rustls, which has none.";
const NO_PSK: &str = "TLS-PSK (--psk) is not built into this version of mqttx: \
                      its TLS is rustls, which knows certificates only.";

/// None: no encryption is asked for.
pub(crate) fn tls(caller: Caller, args: &Args, port: u16) -> Result<Option<Tls>, Error> {
    let version = args.tls_version.as_deref().map(version).transpose()?;
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
    if args.psk.is_some() {
        return Err(failed(NO_PSK));
    }
    let form = args.keyform.as_deref();
    if args.tls_engine.is_some() || form == Some("engine") {
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
        alpn: args.tls_alpn.iter().cloned().collect(),
        version,
        ciphers: args.ciphers.clone(),
        key_log: args.tls_keylog.clone(),
        server_name: None,
    };
    Tls::new(&options)
        .map(Some)
        .map_err(|fault| explain(&fault))
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

fn explain(fault: &TlsFault) -> Error {
    let theirs = match fault {
        TlsFault::File(..) => "Problem setting TLS options: File not found.",
        TlsFault::Cipher(_) => "Problem setting TLS options, check the options are valid.",
        _ => return failed(format!("Problem setting TLS options: {fault}.")),
    };
    let told = match fault {
        TlsFault::File(path, error) => {
            format!(
                "cannot read {}: {}",
                path.display(),
                outcome::system_words(error)
            )
        }
        _ => fault.to_string(),
    };
    failed(theirs).in_short(told)
}
