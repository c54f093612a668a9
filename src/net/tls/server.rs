//! TLS as a server speaks it: its certificate, whose client certificates it takes, and what they say
//! of who the client is.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::ClientCertVerifier;
use rustls::{Error, ServerConfig, SupportedProtocolVersion, version};

use crate::net::tls::ciphers::{choose_ciphers, choose_ciphers_13};
use crate::net::tls::clients;
use crate::net::tls::key::private_key;
use crate::net::tls::names;
use crate::net::tls::{KeyLogFile, TlsFault, TlsVersion, certificates};

/// What a TLS listener is made of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerTls {
    /// The certificate, and those that lead to its root, in PEM.
    pub cert: PathBuf,
    /// Its key, in PEM.
    pub key: PathBuf,
    /// What the key is locked with.
    pub key_password: Option<KeyPassword>,
    /// Roots of client certificates.
    pub ca_file: Option<PathBuf>,
    /// A folder of such roots.
    pub ca_path: Option<PathBuf>,
    /// Revoked client certificates, in PEM.
    pub crl: Option<PathBuf>,
    /// Clients without a certificate are turned away.
    pub client_cert_required: bool,
    /// Client certificates count before and after their time, too.
    pub client_cert_dates_unchecked: bool,
    /// What of a client's certificate is its user name.
    pub user_name: CertificateUser,
    /// The least version.
    pub version_least: Option<TlsVersion>,
    /// Suites of TLS 1.2 by OpenSSL's names, between colons.
    pub ciphers: Option<String>,
    /// Suites of TLS 1.3.
    pub ciphers_13: Option<String>,
    /// Application protocols; a client that names others only is turned away. Empty: it is not
    /// looked at.
    pub alpn: Vec<String>,
    /// Secrets of each connection are appended here, for Wireshark.
    pub key_log: Option<PathBuf>,
}

/// What unlocks a key; not for logs.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyPassword(pub Vec<u8>);

impl fmt::Debug for KeyPassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// See [`ServerTls::user_name`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CertificateUser {
    /// Nothing: CONNECT says who it is.
    #[default]
    Unused,
    /// The common name.
    CommonName,
    /// The whole subject, as `CN=a,OU=b,O=c`.
    Subject,
}

/// A configuration in use. It can be replaced: connections that are there keep theirs.
#[derive(Debug)]
pub struct TlsServer {
    options: ServerTls,
    loaded: Mutex<Loaded>,
}

#[derive(Clone, Debug)]
struct Loaded {
    config: Arc<ServerConfig>,
    verifier: Option<Arc<dyn ClientCertVerifier>>,
}

impl ServerTls {
    /// Reads the files and puts the configuration together.
    pub fn load(&self) -> Result<TlsServer, TlsFault> {
        Ok(TlsServer {
            options: self.clone(),
            loaded: Mutex::new(self.read()?),
        })
    }

    fn read(&self) -> Result<Loaded, TlsFault> {
        let mut provider = ring::default_provider();
        if let Some(names) = &self.ciphers {
            choose_ciphers(&mut provider, names)?;
        }
        if let Some(names) = &self.ciphers_13 {
            choose_ciphers_13(&mut provider, names)?;
        }
        let provider = Arc::new(provider);
        let versions: &[&SupportedProtocolVersion] = match self.version_least {
            None | Some(TlsVersion::Tls12) => &[&version::TLS13, &version::TLS12],
            Some(TlsVersion::Tls13) => &[&version::TLS13],
        };
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(versions)?;
        let verifier = clients::verifier(self, &provider)?;
        let builder = match &verifier {
            Some(verifier) => builder.with_client_cert_verifier(Arc::clone(verifier)),
            None => builder.with_no_client_auth(),
        };
        let chain = certificates(&self.cert)?;
        let password = self
            .key_password
            .as_ref()
            .map(|KeyPassword(bytes)| &bytes[..]);
        let key = private_key(&self.key, password)?;
        let mut config = builder
            .with_single_cert(chain, key)
            .map_err(|error| self.unfit(&error))?;
        config.alpn_protocols = self
            .alpn
            .iter()
            .map(|name| name.as_bytes().to_vec())
            .collect();
        // For `records`.
        config.enable_secret_extraction = true;
        if let Some(path) = &self.key_log {
            config.key_log = Arc::new(KeyLogFile::open(path)?);
        }
        let config = Arc::new(config);
        Ok(Loaded { config, verifier })
    }

    /// Which of the two files it is about.
    fn unfit(&self, error: &Error) -> TlsFault {
        let (file, what) = match error {
            Error::InvalidCertificate(_) => (&self.cert, "a certificate that cannot be read"),
            Error::InconsistentKeys(_) => (&self.key, "the key of another certificate"),
            _ => (&self.key, "a private key that cannot be read"),
        };
        TlsFault::Content(file.clone(), what)
    }
}

impl TlsServer {
    /// What it was made of.
    pub fn options(&self) -> &ServerTls {
        &self.options
    }

    /// For a connection that is to begin.
    pub(crate) fn config(&self) -> Arc<ServerConfig> {
        self.loaded().config
    }

    /// Reads the files again, for connections from now on. An error leaves all as it was.
    pub fn reload(&self) -> Result<(), TlsFault> {
        let loaded = self.options.read()?;
        *self.loaded.lock().unwrap_or_else(PoisonError::into_inner) = loaded;
        Ok(())
    }

    /// Whether a client with these certificates would still be let in.
    pub(super) fn still_takes(&self, chain: &[CertificateDer<'_>]) -> bool {
        match (self.loaded().verifier, chain) {
            (None, _) => true,
            (Some(verifier), []) => !verifier.client_auth_mandatory(),
            (Some(verifier), [end_entity, intermediates @ ..]) => verifier
                .verify_client_cert(end_entity, intermediates, UnixTime::now())
                .is_ok(),
        }
    }

    /// The user name that a client's certificates prove.
    pub(super) fn user_name(&self, chain: &[CertificateDer<'_>]) -> Option<String> {
        let certificate = chain.first()?;
        match self.options.user_name {
            CertificateUser::Unused => None,
            CertificateUser::CommonName => names::common_name(certificate),
            CertificateUser::Subject => names::subject_name(certificate),
        }
    }

    fn loaded(&self) -> Loaded {
        let loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        loaded.clone()
    }
}
