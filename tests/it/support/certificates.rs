//! Certificates for tests of TLS, and listeners of mosquitto that show them.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mqttx::net::tls::TlsOptions;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, ClientConnection, RootCertStore};

/// An authority, a broker's certificate for `localhost`, and a client's.
pub(crate) struct Certificates {
    pub(crate) folder: tempfile::TempDir,
}

impl Certificates {
    pub(crate) fn new() -> Self {
        let made = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params
            .distinguished_name
            .push(DnType::CommonName, "the authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        made.write("ca.pem", &ca.pem());
        for name in ["localhost", "client"] {
            let key = KeyPair::generate().unwrap();
            let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
            params.distinguished_name.push(DnType::CommonName, name);
            let certificate = params.signed_by(&key, &ca).unwrap();
            made.write(&format!("{name}.pem"), &certificate.pem());
            made.write(&format!("{name}.key"), &key.serialize_pem());
        }
        // Somebody else's authority, and a broker that vouches for itself.
        for name in ["other", "self"] {
            let key = KeyPair::generate().unwrap();
            let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            made.write(
                &format!("{name}.pem"),
                &params.self_signed(&key).unwrap().pem(),
            );
            made.write(&format!("{name}.key"), &key.serialize_pem());
        }
        made
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn options(&self) -> TlsOptions {
        self.trusting("ca.pem")
    }

    pub(crate) fn trusting(&self, name: &str) -> TlsOptions {
        TlsOptions {
            ca_file: Some(self.path(name)),
            ..TlsOptions::default()
        }
    }

    pub(crate) fn listener(&self, port: u16, certificate: &str) -> String {
        let path = |name: String| self.path(&name).display().to_string();
        format!(
            "listener {port} 127.0.0.1\ncertfile {}\nkeyfile {}\n",
            path(format!("{certificate}.pem")),
            path(format!("{certificate}.key")),
        )
    }
}

/// The beginning of a client's TLS with `localhost`, if the authority of this file vouches for it.
pub(crate) fn session(ca: &Path) -> ClientConnection {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_file(ca).unwrap())
        .unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    ClientConnection::new(Arc::new(config), "localhost".try_into().unwrap()).unwrap()
}
