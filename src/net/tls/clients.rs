//! Which client certificates a listener takes: those that lead to its roots, are not revoked, and
//! stand in their time, unless that is not to be looked at.

use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore,
    SignatureScheme,
};

use crate::net::tls::TlsFault;
use crate::net::tls::server::ServerTls;
use crate::net::tls::trust::{self, vouches_for_itself};

const UNREADABLE_LIST: &str = "a certificate revocation list that cannot be read";

/// More certificates than this in one chain, each with its own time, are not gone through.
const TIMES_MAX: usize = 8;

/// The check that these options amount to; `None` asks clients for no certificate.
pub(super) fn verifier(
    options: &ServerTls,
    provider: &Arc<CryptoProvider>,
) -> Result<Option<Arc<dyn ClientCertVerifier>>, TlsFault> {
    let own = trust::own_roots(options.ca_file.as_deref(), options.ca_path.as_deref())?;
    if own.is_empty() {
        return Ok(None);
    }
    let mut roots = RootCertStore::empty();
    for certificate in &own {
        let unfit = |_| {
            let place = options.ca_file.as_ref().or(options.ca_path.as_ref());
            let what = "a certificate that cannot be read";
            TlsFault::Content(place.cloned().unwrap_or_default(), what)
        };
        roots.add(certificate.clone()).map_err(unfit)?;
    }
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
    let mut builder = match options.client_cert_required {
        true => builder,
        false => builder.allow_unauthenticated(),
    };
    if let Some(file) = &options.crl {
        builder = builder
            .with_crls(revoked(file)?)
            .only_check_end_entity_revocation();
        if !options.client_cert_dates_unchecked {
            builder = builder.enforce_revocation_expiration();
        }
    }
    let webpki = builder.build();
    let webpki = webpki.map_err(|error| match (error, &options.crl) {
        (VerifierBuilderError::InvalidCrl(_), Some(file)) => {
            TlsFault::Content(file.clone(), UNREADABLE_LIST)
        }
        (error, _) => TlsFault::Config(Error::General(error.to_string())),
    })?;
    let dates_unchecked = options.client_cert_dates_unchecked;
    Ok(Some(Arc::new(Clients {
        webpki,
        own,
        dates_unchecked,
    })))
}

/// Every revocation list of a PEM file; there must be one.
fn revoked(path: &Path) -> Result<Vec<CertificateRevocationListDer<'static>>, TlsFault> {
    let bytes = std::fs::read(path).map_err(|error| TlsFault::File(path.to_owned(), error))?;
    let read: Result<Vec<_>, _> = CertificateRevocationListDer::pem_slice_iter(&bytes).collect();
    let what = match read {
        Ok(found) if !found.is_empty() => return Ok(found),
        Ok(_) => "no certificate revocation list in this file",
        Err(_) => UNREADABLE_LIST,
    };
    Err(TlsFault::Content(path.to_owned(), what))
}

#[derive(Debug)]
struct Clients {
    webpki: Arc<dyn ClientCertVerifier>,
    own: Vec<CertificateDer<'static>>,
    dates_unchecked: bool,
}

impl ClientCertVerifier for Clients {
    fn offer_client_auth(&self) -> bool {
        self.webpki.offer_client_auth()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.webpki.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.webpki.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let mut now = now;
        for _ in 0..TIMES_MAX {
            let checked = self
                .webpki
                .verify_client_cert(end_entity, intermediates, now);
            now = match checked {
                Err(error) if vouches_for_itself(&error, end_entity, &self.own) => {
                    return Ok(ClientCertVerified::assertion());
                }
                // The check itself cannot leave the time out, but it can be asked about another.
                Err(Error::InvalidCertificate(CertificateError::ExpiredContext {
                    not_after,
                    ..
                })) if self.dates_unchecked => not_after,
                Err(Error::InvalidCertificate(CertificateError::NotValidYetContext {
                    not_before,
                    ..
                })) if self.dates_unchecked => not_before,
                other => return other,
            };
        }
        Err(CertificateError::Expired.into())
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
