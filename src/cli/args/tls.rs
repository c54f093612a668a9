//! TLS, in the words of mosquitto's clients.

use std::path::PathBuf;

use clap::Args;

#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "TLS")]
pub struct Tls {
    /// Trust the certificates in this file
    #[arg(long, value_name = "FILE")]
    pub cafile: Option<PathBuf>,

    /// Trust the certificates in this directory
    #[arg(long, value_name = "DIR")]
    pub capath: Option<PathBuf>,

    /// Certificate of this client; needs --key
    #[arg(long, value_name = "FILE")]
    pub cert: Option<PathBuf>,

    /// Private key of this client; needs --cert
    #[arg(long, value_name = "FILE")]
    pub key: Option<PathBuf>,

    /// Kind of key: pem (or engine, which is refused)
    #[arg(long, value_name = "KIND")]
    pub keyform: Option<String>,

    /// Cipher suites allowed, in OpenSSL's words
    #[arg(long, value_name = "LIST")]
    pub ciphers: Option<String>,

    /// Version of TLS: tlsv1.2 or tlsv1.3
    #[arg(long, value_name = "VERSION")]
    pub tls_version: Option<String>,

    /// Application protocol to ask for (ALPN)
    #[arg(long, value_name = "PROTOCOL")]
    pub tls_alpn: Option<String>,

    /// Do not check the broker's certificate: anybody can pose as the broker
    #[arg(long)]
    pub insecure: bool,

    /// Check the broker's certificate, but not that it is made out to this host
    #[arg(long)]
    pub tls_skip_hostname: bool,

    /// Trust the certificates the operating system trusts
    #[arg(long)]
    pub tls_use_os_certs: bool,

    /// Append the keys of the connection to this file, for a protocol analyser
    #[arg(long, value_name = "FILE")]
    pub tls_keylog: Option<PathBuf>,

    /// OpenSSL engine (refused: there is no OpenSSL inside)
    #[arg(long, value_name = "ENGINE")]
    pub tls_engine: Option<String>,

    /// Password hash for the engine's key (refused: there is no OpenSSL inside)
    #[arg(long, value_name = "SHA1")]
    pub tls_engine_kpass_sha1: Option<String>,

    /// Key both sides know, in hexadecimal; needs --psk-identity (built in with --features psk)
    #[arg(long, value_name = "HEX")]
    pub psk: Option<String>,

    /// Identity for --psk
    #[arg(long, value_name = "NAME")]
    pub psk_identity: Option<String>,

    /// No TLS, whatever else was said (also on port 8883)
    #[arg(long)]
    pub no_tls: bool,
}

impl Tls {
    /// Whether certificates or a key were given, which moves the default port.
    pub fn moves_port(&self) -> bool {
        self.cafile.is_some() || self.capath.is_some() || self.psk.is_some()
    }

    /// Whether the connection is to be encrypted, once its port is known.
    pub fn wanted(&self, port: u16) -> bool {
        !self.no_tls && (self.moves_port() || self.tls_use_os_certs || port == 8883)
    }

    /// An option that speaks of TLS while nothing asks for it.
    pub fn idle(&self) -> Option<&'static str> {
        [
            (self.cert.is_some(), "--cert"),
            (self.ciphers.is_some(), "--ciphers"),
            (self.tls_version.is_some(), "--tls-version"),
            (self.tls_alpn.is_some(), "--tls-alpn"),
            (self.insecure, "--insecure"),
            (self.tls_skip_hostname, "--tls-skip-hostname"),
            (self.tls_keylog.is_some(), "--tls-keylog"),
            (self.tls_engine.is_some(), "--tls-engine"),
            (self.psk_identity.is_some(), "--psk-identity"),
        ]
        .into_iter()
        .find_map(|(is_given, name)| is_given.then_some(name))
    }

    /// The relations between the options, in the order mosquitto's clients check them.
    pub(crate) fn conflict(&self) -> Option<&'static str> {
        if self.cert.is_some() != self.key.is_some() {
            return Some("Both certfile and keyfile must be provided if one of them is set.");
        }
        if self.keyform.is_some() && self.key.is_none() {
            return Some("If keyform is set, keyfile must be also specified.");
        }
        let engine = self.keyform.is_some() && self.tls_engine.is_some();
        if self.tls_engine_kpass_sha1.is_some() && !engine {
            return Some(
                "when using tls-engine-kpass-sha1, both tls-engine and keyform must also be provided.",
            );
        }
        if (self.cafile.is_some() || self.capath.is_some()) && self.psk.is_some() {
            return Some("Only one of --psk or --cafile/--capath may be used at once.");
        }
        if self.psk.is_some() && self.psk_identity.is_none() {
            return Some("--psk-identity required if --psk used.");
        }
        None
    }
}
