//! TLS 1.2 and 1.3 through rustls: whom to trust, who we are, and how the handshake is bounded.
//!
//! [`TlsOptions`] are words and file names; [`Tls`] is what they amount to, read once and shared by
//! as many connections as there are. OpenSSL's cipher names are known here, its cipher strings are
//! not a language we speak beyond that.

mod certified;
mod ciphers;
mod clients;
mod der;
mod key;
mod names;
mod protection;
#[cfg(feature = "psk")]
pub mod psk;
#[cfg(feature = "psk")]
pub mod psk_server;
pub mod records;
pub mod server;
pub mod session;
mod trust;

pub(crate) use ciphers::every_name as every_suite;
pub(crate) use trust::is_ca_as_end_entity;

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, KeyLog, SupportedProtocolVersion, version};
use tokio::io::AsyncReadExt;
use tokio_rustls::TlsConnector;
use zeroize::Zeroizing;

use crate::net::Stream;
use crate::net::system_words;
use crate::net::tls::ciphers::choose_ciphers;

/// What is wished of TLS.
#[derive(Clone, Debug, Default)]
pub struct TlsOptions {
    /// Certificates to trust, PEM.
    pub ca_file: Option<PathBuf>,
    /// A folder of such files.
    pub ca_path: Option<PathBuf>,
    /// Those of the operating system; they are also taken when neither of the above is given.
    pub os_roots: bool,
    /// Our own certificate and those that lead to it, PEM.
    pub cert: Option<PathBuf>,
    /// Its key, PEM.
    pub key: Option<PathBuf>,
    /// Trust whoever answers: no check of the certificate at all.
    pub insecure: bool,
    /// Trust its certificate whatever name it is made out to.
    pub any_name: bool,
    /// Application protocols to offer, in order.
    pub alpn: Vec<String>,
    /// Only this version, in place of both.
    pub version: Option<TlsVersion>,
    /// Cipher suites by OpenSSL's or the standard's names, between colons.
    pub ciphers: Option<String>,
    /// Secrets of each connection are appended here, for Wireshark.
    pub key_log: Option<PathBuf>,
    /// The name the certificate must have, when it is not the host's.
    pub server_name: Option<String>,
    /// A key in place of all certificates (feature `psk`).
    pub psk: Option<PskKey>,
}

/// Who we are, and what only the other side knows besides us.
#[derive(Clone)]
pub struct PskKey {
    pub identity: String,
    pub key: Zeroizing<Vec<u8>>,
}

impl fmt::Debug for PskKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Never the key.
        write!(f, "PskKey({:?})", self.identity)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsVersion {
    Tls12,
    Tls13,
}

/// A configuration ready for use.
#[derive(Clone, Debug)]
pub struct Tls(Kind);

#[derive(Clone, Debug)]
enum Kind {
    Certificates {
        config: Arc<ClientConfig>,
        server_name: Option<String>,
    },
    #[cfg(feature = "psk")]
    Psk(psk::PskClient),
}

/// Why there is no configuration.
#[derive(Debug)]
pub enum TlsFault {
    /// A file or folder cannot be read.
    File(PathBuf, io::Error),
    /// A file holds something else than it should.
    Content(PathBuf, &'static str),
    /// A line of a file is something else than it should.
    Line(PathBuf, usize, &'static str),
    /// The key needs a password.
    EncryptedKey(PathBuf),
    /// That was not the password.
    KeyPassword(PathBuf),
    /// No such cipher suite here.
    Cipher(String),
    /// Only one of certificate and key.
    CertWithoutKey,
    /// The operating system has no certificates to trust.
    NoOsRoots,
    /// rustls does not accept what was put together.
    Config(rustls::Error),
    /// A key was given, and nothing here can use one.
    PskNotBuilt,
    /// An identity or a key that cannot be used.
    Psk(&'static str),
    /// OpenSSL does not accept what was put together.
    OpenSsl(String),
}

impl fmt::Display for TlsFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path, error) => write!(f, "{}: {}", path.display(), system_words(error)),
            Self::Content(path, what) => write!(f, "{}: {what}", path.display()),
            Self::Line(path, line, what) => write!(f, "{}:{line}: {what}", path.display()),
            Self::EncryptedKey(path) => {
                write!(f, "{}: this key is locked with a password", path.display())
            }
            Self::KeyPassword(path) => {
                write!(f, "{}: wrong password for this key", path.display())
            }
            Self::Cipher(name) => write!(f, "no cipher suite of that name: {name}"),
            Self::CertWithoutKey => f.write_str("a certificate and its key belong together"),
            Self::NoOsRoots => f.write_str("the operating system has no certificates to trust"),
            Self::Config(error) => write!(f, "{error}"),
            Self::PskNotBuilt => f.write_str("TLS-PSK is not built into this mqttx"),
            Self::Psk(what) => f.write_str(what),
            Self::OpenSsl(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for TlsFault {}

impl From<rustls::Error> for TlsFault {
    fn from(error: rustls::Error) -> Self {
        Self::Config(error)
    }
}

impl Tls {
    /// Reads the files and puts the configuration together.
    pub fn new(options: &TlsOptions) -> Result<Self, TlsFault> {
        Self::unlocked(options, None)
    }

    /// The same with the password of the key; ask for one after [`TlsFault::EncryptedKey`].
    pub fn with_key_password(options: &TlsOptions, password: &[u8]) -> Result<Self, TlsFault> {
        Self::unlocked(options, Some(password))
    }

    fn unlocked(options: &TlsOptions, password: Option<&[u8]>) -> Result<Self, TlsFault> {
        if let Some(key) = &options.psk {
            return Self::with_psk(options, key);
        }
        let mut provider = ring::default_provider();
        if let Some(names) = &options.ciphers {
            choose_ciphers(&mut provider, names)?;
        }
        let provider = Arc::new(provider);
        let versions: &[&SupportedProtocolVersion] = match options.version {
            None => &[&version::TLS13, &version::TLS12],
            Some(TlsVersion::Tls12) => &[&version::TLS12],
            Some(TlsVersion::Tls13) => &[&version::TLS13],
        };
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(versions)?;
        let verifier = trust::verifier(options, &provider)?;
        let builder = builder
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let mut config = match (&options.cert, &options.key) {
            (Some(cert), Some(key)) => builder
                .with_client_auth_cert(certificates(cert)?, key::private_key(key, password)?)?,
            (None, None) => builder.with_no_client_auth(),
            _ => return Err(TlsFault::CertWithoutKey),
        };
        config.alpn_protocols = options
            .alpn
            .iter()
            .map(|name| name.clone().into_bytes())
            .collect();
        if let Some(path) = &options.key_log {
            config.key_log = Arc::new(KeyLogFile::open(path)?);
        }
        Ok(Self(Kind::Certificates {
            config: Arc::new(config),
            server_name: options.server_name.clone(),
        }))
    }

    #[cfg(feature = "psk")]
    fn with_psk(options: &TlsOptions, key: &PskKey) -> Result<Self, TlsFault> {
        psk::PskClient::new(options, key).map(|client| Self(Kind::Psk(client)))
    }

    #[cfg(not(feature = "psk"))]
    fn with_psk(_: &TlsOptions, _: &PskKey) -> Result<Self, TlsFault> {
        Err(TlsFault::PskNotBuilt)
    }

    /// The handshake, over a stream that stands.
    pub(super) async fn connect(&self, host: &str, stream: Stream) -> io::Result<Stream> {
        let (config, server_name) = match &self.0 {
            #[cfg(feature = "psk")]
            Kind::Psk(client) => {
                let opened = client.connect(host, stream).await?;
                return Ok(Stream::Psk(Box::new(opened)));
            }
            Kind::Certificates {
                config,
                server_name,
            } => (config, server_name),
        };
        let name = server_name.as_deref().unwrap_or(host);
        // The path of a Unix socket is no name a certificate could have.
        let name = if name.contains('/') {
            "localhost"
        } else {
            name
        };
        let name = ServerName::try_from(name.to_owned()).map_err(|_| {
            io::Error::new(
                io::ErrorKind::InvalidInput,
                "no certificate can have this host's name",
            )
        })?;
        let handshake = TlsConnector::from(Arc::clone(config)).connect(name, stream);
        match handshake.into_fallible().await {
            Ok(opened) => Ok(Stream::Tls(Box::new(opened))),
            Err((error, stream)) => Err(cut(error, stream).await),
        }
    }
}

/// The other side closed the connection within the handshake: most likely it speaks no TLS.
#[derive(Debug)]
struct Cut;

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the other side closed the connection within the TLS handshake")
    }
}

impl std::error::Error for Cut {}

/// A broker that closes while we still write may have said why just before: an alert, not encrypted
/// yet (RFC 5246, §7.2), waits to be read.
async fn cut(error: io::Error, mut stream: Stream) -> io::Error {
    use io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
    if !matches!(error.kind(), BrokenPipe | ConnectionReset | UnexpectedEof) {
        return error;
    }
    let mut record = [0; 7];
    // The connection is over, so nothing is waited for.
    match stream.read_exact(&mut record).await {
        Ok(_) if record.starts_with(&[21, 3]) && record[3..5] == [0, 2] => {
            let alert = rustls::Error::AlertReceived(record[6].into());
            io::Error::new(io::ErrorKind::InvalidData, alert)
        }
        _ => io::Error::new(error.kind(), Cut),
    }
}

/// Whether a connection ended within the handshake, without a word.
pub fn is_cut(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<Cut>())
}

/// What TLS has to say about a failed connection, if it was TLS that failed.
pub fn tls_error(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

/// Every certificate of a PEM file; there must be one.
fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsFault> {
    let bytes = fs::read(path).map_err(|error| TlsFault::File(path.to_owned(), error))?;
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    match read {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(TlsFault::Content(
            path.to_owned(),
            "no certificate in this file",
        )),
        Err(_) => Err(TlsFault::Content(
            path.to_owned(),
            "a certificate that cannot be read",
        )),
    }
}

/// Secrets in the format of NSS, which Wireshark reads.
#[derive(Debug)]
struct KeyLogFile(Mutex<File>);

impl KeyLogFile {
    fn open(path: &Path) -> Result<Self, TlsFault> {
        let file = File::options().create(true).append(true).open(path);
        let file = file.map_err(|error| TlsFault::File(path.to_owned(), error))?;
        Ok(Self(Mutex::new(file)))
    }

    fn append(&self, line: &str) {
        if let Ok(mut file) = self.0.lock() {
            // A full disk must not end the connection it only looks at.
            let _ = file.write_all(format!("{line}\n").as_bytes());
        }
    }
}

impl KeyLog for KeyLogFile {
    fn log(&self, label: &str, client_random: &[u8], secret: &[u8]) {
        let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
        self.append(&format!("{label} {} {}", hex(client_random), hex(secret)));
    }
}
