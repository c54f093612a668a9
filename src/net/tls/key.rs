//! Private keys of PEM files, also those locked with a password: PKCS #8 with PBES2 (RFC 8018),
//! PBKDF2 over SHA-2 and AES-CBC, which is what OpenSSL has written since 1.1.
//!
//! ```text
//! SEQUENCE                        EncryptedPrivateKeyInfo
//!   SEQUENCE  PBES2
//!     SEQUENCE
//!       SEQUENCE  PBKDF2
//!         SEQUENCE  salt, rounds, [key length], [SEQUENCE hash]
//!       SEQUENCE  cipher, IV
//!   OCTET STRING                  the locked key
//! ```

use std::fs;
use std::path::Path;

use aes::cipher::block_padding::Pkcs7;
use aes::cipher::{BlockModeDecrypt, KeyIvInit};
use aes::{Aes128, Aes192, Aes256};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::pem::{Error as PemError, PemObject};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use sha2::{Sha256, Sha384, Sha512};

use crate::net::tls::TlsFault;
use crate::net::tls::der::{Der, SEQUENCE};

const LOCKED_BEGIN: &str = "-----BEGIN ENCRYPTED PRIVATE KEY-----";
const LOCKED_END: &str = "-----END ENCRYPTED PRIVATE KEY-----";

/// More rounds than this would be a wait without end.
const ROUNDS_MAX: u32 = 10_000_000;

/// The first private key of a PEM file; `password` unlocks it where it is locked.
pub(super) fn private_key(
    path: &Path,
    password: Option<&[u8]>,
) -> Result<PrivateKeyDer<'static>, TlsFault> {
    let bytes = fs::read(path).map_err(|error| TlsFault::File(path.to_owned(), error))?;
    let text = String::from_utf8_lossy(&bytes);
    if text.contains("Proc-Type: 4,ENCRYPTED") {
        let what =
            "a key locked in OpenSSL's old way; change it: openssl pkcs8 -topk8 -in OLD -out NEW";
        return Err(TlsFault::Content(path.to_owned(), what));
    }
    if let Some((_, after)) = text.split_once(LOCKED_BEGIN) {
        let inside = after
            .split_once(LOCKED_END)
            .map_or("", |(inside, _)| inside);
        let inside: String = inside.split_whitespace().collect();
        let der = STANDARD.decode(inside).unwrap_or_default();
        let lock = Lock::read(&der).map_err(|_| {
            let what = "a key locked in a way mqttx has not (it has AES with PBKDF2 and SHA-2); \
                        change it: openssl pkcs8 -topk8 -in OLD -out NEW";
            TlsFault::Content(path.to_owned(), what)
        })?;
        let Some(password) = password else {
            return Err(TlsFault::EncryptedKey(path.to_owned()));
        };
        return match lock.open(password) {
            Ok(key) => Ok(PrivatePkcs8KeyDer::from(key).into()),
            Err(_) => Err(TlsFault::KeyPassword(path.to_owned())),
        };
    }
    PrivateKeyDer::from_pem_slice(&bytes).map_err(|error| {
        let what = match error {
            PemError::NoItemsFound => "no private key in this file",
            _ => "a private key that cannot be read",
        };
        TlsFault::Content(path.to_owned(), what)
    })
}

/// Why a key stays locked.
#[derive(Debug, PartialEq, Eq)]
enum Locked {
    Password,
    Unknown,
}

const OBJECT: u8 = 0x06;
const OCTETS: u8 = 0x04;
const INTEGER: u8 = 0x02;

const PBES2: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x05, 0x0d];
const PBKDF2: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x05, 0x0c];
/// Before the number of the hash.
const HMAC_WITH: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x02];
/// Before the number of the key's length and mode.
const AES: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x01];

/// PBES2 (RFC 8018) with PBKDF2 and AES in CBC mode, which is what OpenSSL writes by itself.
struct Lock<'a> {
    salt: &'a [u8],
    rounds: u32,
    hash: Derive,
    key_len: usize,
    iv: &'a [u8],
    locked: &'a [u8],
}

type Derive = fn(&[u8], &[u8], u32, &mut [u8]);

impl<'a> Lock<'a> {
    fn read(der: &'a [u8]) -> Result<Self, Locked> {
        let mut outer = Der(element(&mut Der(der), SEQUENCE)?);
        let mut scheme = Der(element(&mut outer, SEQUENCE)?);
        let locked = element(&mut outer, OCTETS)?;
        expect(&mut scheme, PBES2)?;
        let mut parts = Der(element(&mut scheme, SEQUENCE)?);
        let mut derivation = Der(element(&mut parts, SEQUENCE)?);
        let mut cipher = Der(element(&mut parts, SEQUENCE)?);
        expect(&mut derivation, PBKDF2)?;
        let mut derivation = Der(element(&mut derivation, SEQUENCE)?);
        let salt = element(&mut derivation, OCTETS)?;
        let rounds = number(element(&mut derivation, INTEGER)?)?;
        if derivation.0.first() == Some(&INTEGER) {
            element(&mut derivation, INTEGER)?;
        }
        let mut hash = Der(element(&mut derivation, SEQUENCE)?);
        let hash: Derive = match element(&mut hash, OBJECT)?.strip_prefix(HMAC_WITH) {
            Some([9]) => pbkdf2::pbkdf2_hmac::<Sha256>,
            Some([10]) => pbkdf2::pbkdf2_hmac::<Sha384>,
            Some([11]) => pbkdf2::pbkdf2_hmac::<Sha512>,
            _ => return Err(Locked::Unknown),
        };
        let key_len = match element(&mut cipher, OBJECT)?.strip_prefix(AES) {
            Some([2]) => 16,
            Some([22]) => 24,
            Some([42]) => 32,
            _ => return Err(Locked::Unknown),
        };
        Ok(Self {
            salt,
            rounds,
            hash,
            key_len,
            iv: element(&mut cipher, OCTETS)?,
            locked,
        })
    }

    fn open(&self, password: &[u8]) -> Result<Vec<u8>, Locked> {
        let mut key = [0; 32];
        let key = &mut key[..self.key_len];
        (self.hash)(password, self.salt, self.rounds, key);
        let opened = match self.key_len {
            16 => decrypt::<cbc::Decryptor<Aes128>>(key, self.iv, self.locked)?,
            24 => decrypt::<cbc::Decryptor<Aes192>>(key, self.iv, self.locked)?,
            _ => decrypt::<cbc::Decryptor<Aes256>>(key, self.iv, self.locked)?,
        };
        // A wrong password gives a right padding once in 256 times, but hardly a key.
        match opened.first() {
            Some(&SEQUENCE) => Ok(opened),
            _ => Err(Locked::Password),
        }
    }
}

fn decrypt<C: KeyIvInit + BlockModeDecrypt>(
    key: &[u8],
    iv: &[u8],
    locked: &[u8],
) -> Result<Vec<u8>, Locked> {
    let cipher = C::new_from_slices(key, iv).map_err(|_| Locked::Unknown)?;
    cipher
        .decrypt_padded_vec::<Pkcs7>(locked)
        .map_err(|_| Locked::Password)
}

fn number(bytes: &[u8]) -> Result<u32, Locked> {
    if bytes.is_empty() || bytes.len() > 4 {
        return Err(Locked::Unknown);
    }
    let value = bytes
        .iter()
        .fold(0, |value, byte| value << 8 | u32::from(*byte));
    if (1..=ROUNDS_MAX).contains(&value) {
        Ok(value)
    } else {
        Err(Locked::Unknown)
    }
}

/// An element of the frame, which must be there.
fn element<'a>(der: &mut Der<'a>, tag: u8) -> Result<&'a [u8], Locked> {
    der.take(tag).ok_or(Locked::Unknown)
}

fn expect(der: &mut Der<'_>, object: &[u8]) -> Result<(), Locked> {
    match element(der, OBJECT)? == object {
        true => Ok(()),
        false => Err(Locked::Unknown),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// openssl genpkey -algorithm EC -aes256
    const KEY_256: &str = concat!(
        "MIHsMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAirPCEM48Z4TgICCAAwDAYIKoZIhvcNAgkF",
        "ADAdBglghkgBZQMEASoEELbFORKpNLGlg9Of2Cp7zfoEgZBFfSUg26ymNX+5aGVT5PwF/jIgO7OhJpYA",
        "YwftAmUktEPkP6B5SmglPFMLK8qjXIY6Xrf0IRkqRtLx21oHrkqsUi1i7mN887kTS1GXUG4a3gqup70d",
        "U6/nJLuyIaoUvQsTbqetDN9cmuI5YfxkvyDyW0YOWQbbvu5e9ZnJFWVHuH4yvZf/lG/XFbKamSe/aOc=",
    );

    /// openssl pkcs8 -topk8 -v2 aes128 -v2prf hmacWithSHA512 -iter 1000
    const KEY_128: &str = concat!(
        "MIHsMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAgcbkmYKgQBSgICA+gwDAYIKoZIhvcNAgsF",
        "ADAdBglghkgBZQMEAQIEEKfLlHXpZ/CBjbNnkjriJvwEgZBBkI6a7HbfJQONgyrF+Obk1kuw1bCHuBTn",
        "7v7fng120QYGmF7RCokIPRVJkm6QjuWZJ1GqnipDAWXWLYoCds3KGmMRXE5Zgoa6DLIE6Vz/vOSF+x6r",
        "orS/2rAqNK938JM973X49O6h/Y4zg5oFIXOR3J7bFgMlDZTSxSqbK24R9fYCkPYHN7wo/A3625ktQQI=",
    );

    /// The key inside both.
    const OPEN: &str = concat!(
        "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgcpRBf7cZ+cbPwrOKRnD1oT/Fho76d5Kt",
        "eSifYjpqoF+hRANCAAT9Tkyn+leYr8/OyFuzhEvp75Ni56l8eEAt4u55Cu/hPDxXr2Jb6uVBbouNU07Q",
        "wAHtl3REy/lUbxd6zmo2ePZ/",
    );

    fn unlock(der: &[u8], password: &[u8]) -> Result<Vec<u8>, Locked> {
        Lock::read(der)?.open(password)
    }

    fn der(text: &str) -> Vec<u8> {
        STANDARD.decode(text).unwrap()
    }

    #[test]
    fn keys_locked_by_openssl_are_unlocked_with_their_password_only() {
        for (name, text) in [("AES-256, SHA-256", KEY_256), ("AES-128, SHA-512", KEY_128)] {
            let locked = der(text);
            let key = unlock(&locked, b"secret").unwrap();
            assert_eq!(key, der(OPEN), "{name}");
            assert_eq!(unlock(&locked, b"Secret"), Err(Locked::Password), "{name}");
        }
    }

    #[test]
    fn a_spoiled_key_is_refused_wherever_it_is_cut_or_changed() {
        let whole = der(KEY_128);
        for len in 0..whole.len() {
            assert!(unlock(&whole[..len], b"secret").is_err(), "cut at {len}");
        }
        // All of the frame around the locked bytes; salt, rounds and an empty parameter aside.
        for at in (0..31).chain(46..59).chain(61..76) {
            let mut spoiled = whole.clone();
            spoiled[at] ^= 0x55;
            assert!(unlock(&spoiled, b"secret").is_err(), "changed at {at}");
        }
    }

    #[test]
    fn a_locked_file_asks_for_its_password() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("locked.pem");
        fs::write(&path, format!("{LOCKED_BEGIN}\n{KEY_256}\n{LOCKED_END}\n")).unwrap();
        assert!(matches!(
            private_key(&path, None),
            Err(TlsFault::EncryptedKey(_))
        ));
        assert!(matches!(
            private_key(&path, Some(b"x")),
            Err(TlsFault::KeyPassword(_))
        ));
        let key = private_key(&path, Some(b"secret")).unwrap();
        assert_eq!(key.secret_der(), der(OPEN));
        fs::write(&path, format!("{LOCKED_BEGIN}\nAAAA\n{LOCKED_END}\n")).unwrap();
        assert!(matches!(
            private_key(&path, None),
            Err(TlsFault::Content(..))
        ));
    }
}
