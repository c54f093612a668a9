//! Whom a client trusts: certificates of files and folders, those of the operating system, or
//! anybody.
//!
//! One habit of small networks is honoured that webpki refuses: a self-signed certificate which is
//! at once the broker's own and the one in `--cafile`. It is accepted when it is that very
//! certificate; its name is checked all the same.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_name;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme,
};

use crate::net::tls::{TlsFault, TlsOptions, certificates};

/// The check that these options amount to.
pub(super) fn verifier(
    options: &TlsOptions,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, TlsFault> {
    if options.insecure {
        return Ok(Arc::new(Anybody(provider.clone())));
    }
    let own = own_roots(options.ca_file.as_deref(), options.ca_path.as_deref())?;
    let mut roots = RootCertStore::empty();
    for certificate in &own {
        roots.add(certificate.clone())?;
    }
    if options.os_roots || own.is_empty() {
        let found = rustls_native_certs::load_native_certs();
        let (added, _) = roots.add_parsable_certificates(found.certs);
        if added == 0 && own.is_empty() {
            return Err(TlsFault::NoOsRoots);
        }
    }
    let webpki =
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build();
    let webpki = webpki.map_err(|error| TlsFault::Config(Error::General(error.to_string())))?;
    Ok(Arc::new(Known {
        webpki,
        own,
        any_name: options.any_name,
    }))
}

/// The certificates of a file and of a folder, in which there must be some.
pub(super) fn own_roots(
    file: Option<&Path>,
    folder: Option<&Path>,
) -> Result<Vec<CertificateDer<'static>>, TlsFault> {
    let mut own = Vec::new();
    if let Some(file) = file {
        own.extend(certificates(file)?);
    }
    if let Some(folder) = folder {
        let failed = |error| TlsFault::File(folder.to_owned(), error);
        let before = own.len();
        for entry in fs::read_dir(folder).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            // Keys and notes lie beside certificates in such folders.
            own.extend(certificates(&path).unwrap_or_default());
        }
        if own.len() == before {
            return Err(TlsFault::Content(
                folder.to_owned(),
                "no certificate in this folder",
            ));
        }
    }
    Ok(own)
}

/// webpki's check, and the habit named above.
#[derive(Debug)]
struct Known {
    webpki: Arc<WebPkiServerVerifier>,
    own: Vec<CertificateDer<'static>>,
    any_name: bool,
}

impl ServerCertVerifier for Known {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let checked = self.webpki.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        );
        match checked {
            Err(error) if vouches_for_itself(&error, end_entity, &self.own) => {
                if !self.any_name {
                    verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
                }
                Ok(ServerCertVerified::assertion())
            }
            // Names are checked last: whoever comes that far is trusted for the rest.
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if self.any_name => Ok(ServerCertVerified::assertion()),
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.webpki
            .verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.webpki
            .verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.webpki.supported_verify_schemes()
    }
}

/// Whether it was refused only for being its own root, while it is one of those we were given: small
/// networks do that.
pub(super) fn vouches_for_itself(
    error: &Error,
    end_entity: &CertificateDer<'_>,
    own: &[CertificateDer<'static>],
) -> bool {
    is_ca_as_end_entity(error) && own.iter().any(|known| known == end_entity)
}

/// webpki looks at dates before it looks at this, so an expired certificate fails for its date.
pub(crate) fn is_ca_as_end_entity(error: &Error) -> bool {
    match error {
        Error::InvalidCertificate(CertificateError::Other(OtherError(inner))) => {
            inner.to_string().contains("CaUsedAsEndEntity")
        }
        _ => false,
    }
}

/// Asked for by `--insecure`: encrypted, but with whom is anybody's guess.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
