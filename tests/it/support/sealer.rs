//! A TLS client whose every record is in a test's hand: rustls shakes hands with the broker's side, in
//! memory, and hands over the keys; from then on records are sealed and opened here, with ring, as
//! RFC 8446 (§5.2), RFC 5288 and RFC 7905 have them.

use std::sync::{Arc, OnceLock};

use mqttx::net::tls::records::Records;
use ring::aead::{self, Aad, LessSafeKey, Nonce, UnboundKey};
use rustls::client::{ClientConnectionData, UnbufferedClientConnection};
use rustls::crypto::{CryptoProvider, ring::default_provider};
use rustls::kernel::KernelConnection;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::ConnectionState;
use rustls::{
    CipherSuite, CipherSuiteCommon, ClientConfig, ConnectionTrafficSecrets, RootCertStore,
    ServerConfig, SupportedCipherSuite, Tls12CipherSuite, Tls13CipherSuite, version,
};

pub(crate) const ALERT: u8 = 21;
pub(crate) const HANDSHAKE: u8 = 22;
pub(crate) const DATA: u8 = 23;

/// Bytes in a record at most.
pub(crate) const RECORD: usize = 16_384;

/// Every kind of record that our listeners know.
pub(crate) const SUITES: [CipherSuite; 6] = [
    CipherSuite::TLS13_AES_128_GCM_SHA256,
    CipherSuite::TLS13_AES_256_GCM_SHA384,
    CipherSuite::TLS13_CHACHA20_POLY1305_SHA256,
    CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
];

/// Records that one key of ours may seal, where a test cannot wait for the standard's number.
pub(crate) const FEW: u64 = 5;

/// Lets one side say what it has to say: whether its hands are shaken.
macro_rules! speak {
    ($side:ident, $in:ident, $out:ident) => {
        loop {
            let status = $side.process_tls_records(&mut $in);
            let used = status.discard;
            let done = match status.state.unwrap() {
                ConnectionState::EncodeTlsData(mut data) => {
                    let mut room = [0; 4_096];
                    let size = data.encode(&mut room).unwrap();
                    $out.extend_from_slice(&room[..size]);
                    None
                }
                ConnectionState::TransmitTlsData(data) => {
                    data.done();
                    None
                }
                ConnectionState::BlockedHandshake => Some(false),
                ConnectionState::WriteTraffic(_) => Some(true),
                other => panic!("{other:?}"),
            };
            $in.drain(..used);
            if let Some(done) = done {
                break done;
            }
        }
    };
}
pub(crate) struct Sealer {
    pub(crate) tls_13: bool,
    sending: Keys,
    receiving: Keys,
    next: KernelConnection<ClientConnectionData>,
}

/// A key, and the number of the next record.
struct Keys {
    key: LessSafeKey,
    iv: [u8; 12],
    number: u64,
    chacha: bool,
}

impl Keys {
    fn new((number, secrets): (u64, ConnectionTrafficSecrets)) -> Self {
        let (algorithm, key, iv) = match secrets {
            ConnectionTrafficSecrets::Aes128Gcm { key, iv } => (&aead::AES_128_GCM, key, iv),
            ConnectionTrafficSecrets::Aes256Gcm { key, iv } => (&aead::AES_256_GCM, key, iv),
            ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv } => {
                (&aead::CHACHA20_POLY1305, key, iv)
            }
            _ => unreachable!("rustls has no other"),
        };
        Self {
            key: LessSafeKey::new(UnboundKey::new(algorithm, key.as_ref()).unwrap()),
            iv: iv.as_ref().try_into().unwrap(),
            number,
            chacha: *algorithm == aead::CHACHA20_POLY1305,
        }
    }

    fn nonce(&self) -> [u8; 12] {
        let mut nonce = self.iv;
        for (byte, number) in nonce[4..].iter_mut().zip(self.number.to_be_bytes()) {
            *byte ^= number;
        }
        nonce
    }

    fn aad_12(&self, typ: u8, size: usize) -> Vec<u8> {
        let mut aad = self.number.to_be_bytes().to_vec();
        aad.extend([typ, 3, 3]);
        aad.extend((size as u16).to_be_bytes());
        aad
    }
}

fn head(typ: u8, size: usize) -> [u8; 5] {
    let [high, low] = (size as u16).to_be_bytes();
    [typ, 3, 3, high, low]
}

impl Sealer {
    /// Both sides after a handshake with this suite.
    pub(crate) fn shaken(suite: CipherSuite) -> (Self, Records) {
        Self::shaken_with(&configs(provider(suite)), suite)
    }

    /// The same where a key may seal [`FEW`] records only.
    pub(crate) fn shaken_for_few(suite: CipherSuite) -> (Self, Records) {
        let mut provider = provider(suite);
        for suite in &mut provider.cipher_suites {
            limit(suite);
        }
        Self::shaken_with(&configs(provider), suite)
    }

    fn shaken_with(configs: &Configs, suite: CipherSuite) -> (Self, Records) {
        let (client, server) = (Arc::clone(&configs.0), Arc::clone(&configs.1));
        let name = "localhost".try_into().unwrap();
        let mut client = UnbufferedClientConnection::new(client, name).unwrap();
        let mut server = UnbufferedServerConnection::new(server).unwrap();
        let (mut to_client, mut to_server) = (Vec::new(), Vec::new());
        let (mut done, mut shaken) = (false, false);
        while !done || !shaken {
            done = speak!(client, to_client, to_server);
            shaken = speak!(server, to_server, to_client);
        }
        assert_eq!((to_client.len(), to_server.len()), (0, 0));
        let (secrets, next) = client.dangerous_into_kernel_connection().unwrap();
        let sealer = Self {
            tls_13: SUITES[..3].contains(&suite),
            sending: Keys::new(secrets.tx),
            receiving: Keys::new(secrets.rx),
            next,
        };
        (sealer, Records::new(server).unwrap())
    }

    /// One record of this type, with so many bytes of padding where there is such a thing.
    pub(crate) fn seal(&mut self, typ: u8, plain: &[u8], padding: usize) -> Vec<u8> {
        let mut inner = plain.to_vec();
        if self.tls_13 {
            inner.push(typ);
            inner.resize(inner.len() + padding, 0);
        }
        self.seal_inner(typ, inner)
    }

    /// One record with these bytes in it, whatever they are.
    pub(crate) fn seal_inner(&mut self, typ: u8, mut inner: Vec<u8>) -> Vec<u8> {
        let keys = &mut self.sending;
        let nonce = keys.nonce();
        let (outer, spoken, aad) = match self.tls_13 {
            true => (DATA, &[][..], head(DATA, inner.len() + 16).to_vec()),
            false if keys.chacha => (typ, &[][..], keys.aad_12(typ, inner.len())),
            false => (typ, &nonce[4..], keys.aad_12(typ, inner.len())),
        };
        let mut record = head(outer, spoken.len() + inner.len() + 16).to_vec();
        record.extend(spoken);
        let once = Nonce::assume_unique_for_key(nonce);
        let sealed = keys
            .key
            .seal_in_place_append_tag(once, Aad::from(aad), &mut inner);
        sealed.unwrap();
        keys.number += 1;
        record.append(&mut inner);
        record
    }

    /// What the broker's side sealed, record by record; an update of its key is followed.
    pub(crate) fn open(&mut self, mut sealed: &[u8]) -> Vec<(u8, Vec<u8>)> {
        let mut records = Vec::new();
        while !sealed.is_empty() {
            let size = usize::from(u16::from_be_bytes([sealed[3], sealed[4]]));
            let (record, rest) = sealed.split_at(5 + size);
            sealed = rest;
            assert_eq!(record[1..3], [3, 3]);
            assert!(size <= RECORD + 256);
            let (typ, plain) = self.open_one(record[0], &record[5..]);
            assert!(plain.len() <= RECORD);
            if self.tls_13 && typ == HANDSHAKE {
                assert_eq!(plain[..4], [24, 0, 0, 1]);
                self.receiving = Keys::new(self.next.update_rx_secret().unwrap());
            }
            records.push((typ, plain));
        }
        records
    }

    fn open_one(&mut self, outer: u8, body: &[u8]) -> (u8, Vec<u8>) {
        let keys = &mut self.receiving;
        let mut nonce = keys.nonce();
        let (mut plain, aad) = match self.tls_13 {
            true => {
                assert_eq!(outer, DATA);
                (body.to_vec(), head(DATA, body.len()).to_vec())
            }
            false if keys.chacha => (body.to_vec(), keys.aad_12(outer, body.len() - 16)),
            false => {
                nonce[4..].copy_from_slice(&body[..8]);
                (body[8..].to_vec(), keys.aad_12(outer, body.len() - 24))
            }
        };
        let once = Nonce::assume_unique_for_key(nonce);
        let opened = keys.key.open_in_place(once, Aad::from(aad), &mut plain);
        let size = opened.unwrap().len();
        keys.number += 1;
        plain.truncate(size);
        let typ = match self.tls_13 {
            true => plain.pop().unwrap(),
            false => outer,
        };
        (typ, plain)
    }

    /// From the next record on under the next key.
    pub(crate) fn update(&mut self) {
        self.sending = Keys::new(self.next.update_tx_secret().unwrap());
    }
}

type Configs = (Arc<ClientConfig>, Arc<ServerConfig>);

fn provider(suite: CipherSuite) -> CryptoProvider {
    let mut provider = default_provider();
    provider.cipher_suites.retain(|s| s.suite() == suite);
    provider
}

fn limit(suite: &mut SupportedCipherSuite) {
    let limited = |common: &CipherSuiteCommon| CipherSuiteCommon {
        suite: common.suite,
        hash_provider: common.hash_provider,
        confidentiality_limit: FEW,
    };
    *suite = match suite {
        SupportedCipherSuite::Tls13(suite) => {
            SupportedCipherSuite::Tls13(Box::leak(Box::new(Tls13CipherSuite {
                common: limited(&suite.common),
                hkdf_provider: suite.hkdf_provider,
                aead_alg: suite.aead_alg,
                quic: None,
            })))
        }
        SupportedCipherSuite::Tls12(suite) => {
            SupportedCipherSuite::Tls12(Box::leak(Box::new(Tls12CipherSuite {
                common: limited(&suite.common),
                prf_provider: suite.prf_provider,
                kx: suite.kx,
                sign: suite.sign,
                aead_alg: suite.aead_alg,
            })))
        }
    };
}

fn configs(provider: CryptoProvider) -> Configs {
    type Identity = (CertificateDer<'static>, Vec<u8>);
    static IDENTITY: OnceLock<Identity> = OnceLock::new();
    let (certificate, key) = IDENTITY.get_or_init(|| {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        (made.cert.der().clone(), made.signing_key.serialize_der())
    });
    let versions = match provider.cipher_suites[0] {
        SupportedCipherSuite::Tls13(_) => [&version::TLS13],
        SupportedCipherSuite::Tls12(_) => [&version::TLS12],
    };
    let provider = Arc::new(provider);
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).unwrap();
    let mut client = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    client.enable_secret_extraction = true;
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.clone()));
    let mut server = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&versions)
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)
        .unwrap();
    server.enable_secret_extraction = true;
    // They would be the first records to open.
    server.send_tls13_tickets = 0;
    (Arc::new(client), Arc::new(server))
}
