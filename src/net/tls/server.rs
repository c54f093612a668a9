//! TLS as a server speaks it: its certificate, and whose client certificates it takes.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::server::WebPkiClientVerifier;
use rustls::version;

use crate::net::tls::key::private_key;
use crate::net::tls::{TlsFault, TlsVersion, certificates};

/// What a TLS listener is made of.
#[derive(Clone, Debug, Default)]
pub struct ServerTls {
    /// The certificate, and those that lead to its root, in PEM.
    pub cert: PathBuf,
    /// Its key, in PEM.
    pub key: PathBuf,
    /// Roots of client certificates.
    pub client_ca: Option<PathBuf>,
    /// Clients without a certificate are turned away.
    pub client_cert_required: bool,
    /// Only this version.
    pub version: Option<TlsVersion>,
}

impl ServerTls {
    /// Reads the files and puts the configuration together.
    pub fn load(&self) -> Result<Arc<ServerConfig>, TlsFault> {
        let provider = Arc::new(ring::default_provider());
        let versions: &[&rustls::SupportedProtocolVersion] = match self.version {
            None => &[&version::TLS13, &version::TLS12],
            Some(TlsVersion::Tls12) => &[&version::TLS12],
            Some(TlsVersion::Tls13) => &[&version::TLS13],
        };
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(versions)?;
        let builder = match &self.client_ca {
            None => builder.with_no_client_auth(),
            Some(file) => {
                let mut roots = RootCertStore::empty();
                for certificate in certificates(file)? {
                    roots.add(certificate)?;
                }
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                let verifier = match self.client_cert_required {
                    true => verifier,
                    false => verifier.allow_unauthenticated(),
                };
                let verifier = verifier
                    .build()
                    .map_err(|error| TlsFault::Config(rustls::Error::General(error.to_string())))?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        let chain = certificates(&self.cert)?;
        let mut config = builder.with_single_cert(chain, private_key(&self.key, None)?)?;
        // Clients that name a protocol mean this one; those that name none are as welcome.
        config.alpn_protocols = vec![b"mqtt".to_vec(), b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}
