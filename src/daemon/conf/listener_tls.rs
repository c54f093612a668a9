//! From what the settings say about TLS to the server of a listener: its files are read here.

use std::path::PathBuf;
use std::sync::Arc;

use crate::daemon::conf::parse::Fault;
use crate::daemon::conf::settings::{Listener, Settings};
use crate::daemon::conf::value::TlsVersion;
use crate::net::tls;
use crate::net::tls::TlsFault;
use crate::net::tls::server::{CertificateUser, ServerTls};
use crate::net::tls::session::Server;

/// The server of a listener; none where it speaks without TLS.
pub(crate) fn server(settings: &Settings, listener: &Listener) -> Result<Option<Server>, Fault> {
    let options = &listener.options;
    if options.psk_hint.is_some() {
        return psk(settings, listener).map(Some);
    }
    let (Some(cert), Some(key)) = (&*options.certfile, &*options.keyfile) else {
        if *options.require_certificate && options.enable_proxy_protocol.is_none() {
            return Err(Fault::new(
                "Error: require_certificate without certfile, keyfile and cafile.",
            ));
        }
        return Ok(None);
    };
    let user_name = match (
        *options.use_subject_as_username,
        *options.use_identity_as_username,
    ) {
        (true, _) => CertificateUser::Subject,
        (false, true) => CertificateUser::CommonName,
        (false, false) => CertificateUser::Unused,
    };
    // A certificate that nobody looks at is not asked for: clients with a bad one come in, too.
    let asked = *options.require_certificate || user_name != CertificateUser::Unused;
    let tls = ServerTls {
        cert: cert.clone(),
        key: key.clone(),
        ca_file: options.cafile.as_ref().filter(|_| asked).cloned(),
        ca_path: options.capath.as_ref().filter(|_| asked).cloned(),
        crl: options.crlfile.as_ref().filter(|_| asked).cloned(),
        client_cert_required: *options.require_certificate,
        client_cert_dates_unchecked: *options.disable_client_cert_date_checks,
        user_name,
        version_least: least(listener),
        ciphers: options.ciphers.as_ref().cloned(),
        ciphers_13: options.ciphers_tls13.as_ref().cloned(),
        key_log: settings.tls_keylog.clone(),
        ..ServerTls::default()
    };
    if tls.client_cert_required && tls.ca_file.is_none() && tls.ca_path.is_none() {
        return Err(Fault::new(
            "Error: require_certificate without cafile or capath: no certificate would do.",
        ));
    }
    let server = tls.load().map_err(|fault| unusable(&tls, &fault))?;
    Ok(Some(Server::Certificate(Arc::new(server))))
}

fn least(listener: &Listener) -> Option<tls::TlsVersion> {
    match *listener.options.tls_version {
        Some(TlsVersion::V13) => Some(tls::TlsVersion::Tls13),
        _ => None,
    }
}

/// mosquitto's sentence for what cannot be used, and below it why.
fn unusable(tls: &ServerTls, fault: &TlsFault) -> Fault {
    let is = |path: &PathBuf, file: &Option<PathBuf>| file.as_ref() == Some(path);
    let sentence = match fault {
        TlsFault::File(path, _)
        | TlsFault::Content(path, _)
        | TlsFault::EncryptedKey(path)
        | TlsFault::KeyPassword(path) => {
            let shown = path.display();
            match path {
                _ if *path == tls.cert => {
                    format!("Unable to load server certificate \"{shown}\". Check certfile.")
                }
                _ if *path == tls.key => {
                    format!("Unable to load server key file \"{shown}\". Check keyfile.")
                }
                _ if is(path, &tls.crl) => {
                    let what = "Unable to load certificate revocation file";
                    format!("{what} \"{shown}\". Check crlfile.")
                }
                _ if is(path, &tls.ca_file) => {
                    format!("Unable to load CA certificates. Check cafile \"{shown}\".")
                }
                _ => format!("Unable to load CA certificates. Check capath \"{shown}\"."),
            }
        }
        TlsFault::Cipher(name) => match &tls.ciphers_13 {
            Some(list) if list.split(':').any(|one| one == name) => {
                format!("Unable to set TLS 1.3 ciphersuites. Check cipher_tls13 list \"{list}\".")
            }
            _ => {
                let list = tls.ciphers.as_deref().unwrap_or_default();
                format!("Unable to set TLS ciphers. Check cipher list \"{list}\".")
            }
        },
        other => return Fault::new(format!("Error: {other}.")),
    };
    Fault::new(format!("Error: {sentence}\nError: {fault}."))
}

#[cfg(feature = "psk")]
fn psk(settings: &Settings, listener: &Listener) -> Result<Server, Fault> {
    use crate::net::tls::psk_server::{PskServer, PskServerOptions};
    let options = &listener.options;
    let file = settings.security_of(listener).psk_file.as_ref();
    let file =
        file.ok_or_else(|| Fault::new("Error: psk_hint without psk_file: no key is known."))?;
    let options = PskServerOptions {
        file: file.clone(),
        identity_is_user: *options.use_identity_as_username,
        version_least: least(listener),
        ciphers: options.ciphers.as_ref().cloned(),
        key_log: settings.tls_keylog.clone(),
    };
    let server = PskServer::load(options).map_err(|fault| {
        let opening = format!("Error opening psk file \"{}\".", file.display());
        Fault::new(match fault {
            TlsFault::File(..) | TlsFault::Line(..) => format!("Error: {fault}.\n{opening}"),
            other => format!("Error: {other}."),
        })
    })?;
    Ok(Server::Keys(Arc::new(server)))
}

#[cfg(not(feature = "psk"))]
fn psk(_: &Settings, _: &Listener) -> Result<Server, Fault> {
    Err(Fault::new(
        "Error: psk_hint: this program was built without TLS-PSK; build it with --features psk.",
    ))
}
