//! Certificates of clients: who they are, who is revoked, and files that are no good.

use std::fs;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer,
    DistinguishedName, DnType, IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams,
    SerialNumber, date_time_ymd,
};
use rustix::process::Signal;

use crate::broker_listeners_rules::{configured, listening};
use crate::support::broker_process::comes;
use crate::support::programs::{Left, Program};

/// A root, and certificates that it signed: `server`, and clients `good`, `bad`, `old` (its time is
/// over) and `stranger` (of another root).
struct Certificates {
    folder: tempfile::TempDir,
    ca: CertifiedIssuer<'static, KeyPair>,
}

const GOOD: u64 = 7;
const BAD: u64 = 8;

impl Certificates {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (ca, other) = (root("tests' root"), root("another root"));
        fs::write(folder.path().join("ca.pem"), ca.pem()).unwrap();
        for (name, serial) in [
            ("server", 1),
            ("good", GOOD),
            ("bad", BAD),
            ("old", 9),
            ("stranger", 10),
        ] {
            let key = KeyPair::generate().unwrap();
            let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
            params.serial_number = Some(SerialNumber::from(serial));
            params.distinguished_name = DistinguishedName::new();
            params
                .distinguished_name
                .push(DnType::OrganizationName, "Works");
            params
                .distinguished_name
                .push(DnType::CommonName, format!("{name} device"));
            if name == "old" {
                params.not_before = date_time_ymd(2001, 1, 1);
                params.not_after = date_time_ymd(2002, 1, 1);
            }
            let issuer = if name == "stranger" { &other } else { &ca };
            let certificate = params.signed_by(&key, issuer).unwrap();
            fs::write(folder.path().join(format!("{name}.pem")), certificate.pem()).unwrap();
            fs::write(
                folder.path().join(format!("{name}.key")),
                key.serialize_pem(),
            )
            .unwrap();
        }
        let made = Self { folder, ca };
        made.revoke(&[]);
        made
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// Writes a list of what is revoked.
    fn revoke(&self, serials: &[u64]) {
        let revoked = serials.iter().map(|&serial| RevokedCertParams {
            serial_number: SerialNumber::from(serial),
            revocation_time: date_time_ymd(2020, 1, 1),
            reason_code: None,
            invalidity_date: None,
        });
        let params = CertificateRevocationListParams {
            this_update: date_time_ymd(2020, 1, 1),
            next_update: date_time_ymd(2100, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let list = params.signed_by(&self.ca).unwrap();
        fs::write(self.path("crl.pem"), list.pem().unwrap()).unwrap();
    }

    /// The lines of a TLS listener that wants certificates.
    fn lines(&self) -> String {
        format!(
            "certfile {}\nkeyfile {}\ncafile {}\nrequire_certificate true\n",
            self.path("server.pem"),
            self.path("server.key"),
            self.path("ca.pem")
        )
    }

    fn words(&self, name: &str, port: u16) -> String {
        format!(
            "-h localhost -p {port} --cafile {} --cert {} --key {}",
            self.path("ca.pem"),
            self.path(&format!("{name}.pem")),
            self.path(&format!("{name}.key"))
        )
    }

    fn publish(&self, name: &str, port: u16) -> Left {
        let words = format!("pub {} -q 1 -t t -m x", self.words(name, port));
        Program::mqttx().words(&words).run()
    }
}

fn root(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.distinguished_name.push(DnType::CommonName, name);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

#[test]
fn certificates_are_users() {
    let certificates = Certificates::new();
    let lines = certificates.lines();
    let broker = configured(&format!(
        "listener any 127.0.0.1\n{lines}use_identity_as_username true\n\
         listener any 127.0.0.1\n{lines}use_subject_as_username true\n\
         listener any 127.0.0.1\n{lines}crlfile {}\ndisable_client_cert_date_checks true\n\
         allow_anonymous true",
        certificates.path("crl.pem")
    ));
    for (place, user) in ["good device", "CN=good device,O=Works"].iter().enumerate() {
        let left = certificates.publish("good", broker.ports[place]);
        assert_eq!(left.status, 0, "{}", left.err());
        broker.wait_log(user);
        for refused in ["old", "stranger"] {
            assert_ne!(
                certificates.publish(refused, broker.ports[place]).status,
                0,
                "{refused}"
            );
        }
    }
    assert_eq!(
        certificates.publish("old", broker.ports[2]).status,
        0,
        "its date is not looked at"
    );
    assert_ne!(certificates.publish("stranger", broker.ports[2]).status, 0);
}

#[test]
fn a_revoked_certificate_is_refused_and_its_client_sent_away_on_reload() {
    let certificates = Certificates::new();
    let lines = format!(
        "listener any 127.0.0.1\n{}allow_anonymous true\n",
        certificates.lines()
    );
    let broker = configured(&format!("{lines}crlfile {}", certificates.path("crl.pem")));
    let port = broker.port;
    let start = |name: &str| {
        let words = format!(
            "sub {} -i {name} -t t -V 5 --no-reconnect -C 1",
            certificates.words(name, port)
        );
        Program::mqttx().words(&words).start()
    };
    let (good, mut bad) = (start("good"), start("bad"));
    for name in ["good", "bad"] {
        broker.wait_log(&format!("Sending SUBACK to {name}"));
    }
    certificates.revoke(&[BAD]);
    broker.signal(Signal::HUP);
    assert_ne!(bad.finish_or("sub").status, 0);
    assert_ne!(certificates.publish("bad", port).status, 0);
    assert_eq!(certificates.publish("good", port).status, 0);
    assert_eq!(good.end().out(), "x\n", "nobody else noticed");
}

#[test]
fn without_a_file_sighup_reads_the_certificates_again() {
    let certificates = Certificates::new();
    let (cert, key) = (
        certificates.path("server.pem"),
        certificates.path("server.key"),
    );
    let ca = certificates.path("ca.pem");
    let crl = certificates.path("crl.pem");
    let words = [
        "--cert",
        &cert,
        "--key",
        &key,
        "--cafile",
        &ca,
        "--crlfile",
        &crl,
    ];
    let broker = listening(&["mqtts://127.0.0.1:0?user=cn"], &words);
    assert_eq!(certificates.publish("bad", broker.port).status, 0);
    broker.wait_log("user \"bad device\"");
    certificates.revoke(&[GOOD, BAD]);
    broker.signal(Signal::HUP);
    broker.wait_log("Reloading config.");
    let refused = || certificates.publish("bad", broker.port).status != 0;
    comes("the refusal", refused);
    fs::write(&crl, "no list").unwrap();
    broker.signal(Signal::HUP);
    broker.wait_log("no certificate revocation list in this file");
    assert!(refused(), "a fault leaves all as it was");
}
