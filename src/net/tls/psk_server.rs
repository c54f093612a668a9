//! A listener with keys in place of certificates (RFC 4279; in TLS 1.3 RFC 8446, §2.2): whoever knows
//! the key of an identity is that identity.
//!
//! The file has lines `identity:hexkey`; blank ones and those that begin with `#` say nothing.

use std::collections::HashMap;
use std::fmt;
use std::fs;
use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use openssl::ex_data::Index;
use openssl::ssl::{Ssl, SslContext, SslSessionCacheMode};

use crate::net::tls::psk::{PskConnection, builder, config};
use crate::net::tls::session::{Established, RECORD_MAX};
use crate::net::tls::{KeyLogFile, TlsFault, TlsVersion};

/// Keys by identity.
type Keys = HashMap<String, Vec<u8>>;

/// What a listener with keys is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PskServerOptions {
    /// The keys.
    pub file: PathBuf,
    /// The identity is the user name.
    pub identity_is_user: bool,
    /// The least version.
    pub version_least: Option<TlsVersion>,
    /// Suites of TLS 1.2 by OpenSSL's names.
    pub ciphers: Option<String>,
    /// Secrets of each connection are appended here, for Wireshark.
    pub key_log: Option<PathBuf>,
}

/// A listener with keys in use. Its keys can be read again.
pub struct PskServer {
    options: PskServerOptions,
    context: SslContext,
    keys: Arc<RwLock<Keys>>,
    identity: Index<Ssl, String>,
}

impl PskServer {
    /// Reads the file and puts the configuration together.
    pub fn load(options: PskServerOptions) -> Result<Self, TlsFault> {
        let keys = Arc::new(RwLock::new(read(&options)?));
        let identity = Ssl::new_ex_index().map_err(config)?;
        // TLS 1.3 takes one of these keys, too, with SHA-256 as RFC 8446 has it.
        let only = options
            .version_least
            .filter(|&version| version == TlsVersion::Tls13);
        let mut builder = builder(only, options.ciphers.as_deref())?;
        builder.set_session_cache_mode(SslSessionCacheMode::OFF);
        let known = Arc::clone(&keys);
        builder.set_psk_server_callback(move |ssl, name, room| {
            let name = name.and_then(|name| std::str::from_utf8(name).ok());
            let known = known.read().unwrap_or_else(PoisonError::into_inner);
            let Some((name, key)) = name.and_then(|name| known.get_key_value(name)) else {
                return Ok(0);
            };
            let Some(place) = room.get_mut(..key.len()) else {
                return Ok(0);
            };
            place.copy_from_slice(key);
            ssl.set_ex_data(identity, name.clone());
            Ok(key.len())
        });
        if let Some(path) = &options.key_log {
            let file = KeyLogFile::open(path)?;
            builder.set_keylog_callback(move |_, line| file.append(line));
        }
        Ok(Self {
            context: builder.build(),
            options,
            keys,
            identity,
        })
    }

    /// Reads the keys again, for connections from now on. An error leaves them as they were.
    pub fn reload(&self) -> Result<(), TlsFault> {
        let keys = read(&self.options)?;
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = keys;
        Ok(())
    }
}

impl fmt::Debug for PskServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PskServer").field(&self.options).finish()
    }
}

fn read(options: &PskServerOptions) -> Result<Keys, TlsFault> {
    let path = &options.file;
    let text = fs::read_to_string(path).map_err(|error| TlsFault::File(path.clone(), error))?;
    let mut keys = Keys::new();
    for (number, line) in text.lines().map(str::trim).enumerate() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let key = line
            .split_once(':')
            .filter(|(identity, _)| !identity.is_empty() && identity.len() < 128)
            .and_then(|(identity, key)| Some((identity.to_owned(), hex_key(key)?)));
        let Some((identity, key)) = key else {
            let what = "a line that is not IDENTITY:HEXKEY";
            return Err(TlsFault::Line(path.clone(), number + 1, what));
        };
        keys.insert(identity, key);
    }
    Ok(keys)
}

fn hex_key(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let pairs = text.as_bytes().chunks(2).map(|pair| match *pair {
        [high, low] => u8::try_from(digit(high)? << 4 | digit(low)?).ok(),
        _ => None,
    });
    pairs
        .collect::<Option<Vec<u8>>>()
        .filter(|key| !key.is_empty())
}

/// A connection of such a listener, without I/O.
pub(crate) struct Keyed {
    tls: PskConnection,
    server: Arc<PskServer>,
    open: bool,
    established: bool,
    closed: bool,
}

impl Keyed {
    pub(super) fn new(server: &Arc<PskServer>) -> io::Result<Self> {
        let mut ssl = Ssl::new(&server.context).map_err(io::Error::other)?;
        ssl.set_accept_state();
        Ok(Self {
            tls: PskConnection::new(ssl)?,
            server: Arc::clone(server),
            open: false,
            established: false,
            closed: false,
        })
    }

    /// OpenSSL keeps what is not whole itself.
    pub(super) fn held(&self) -> &[u8] {
        &[]
    }

    /// What its records add is not known.
    pub(super) fn reach(&self, plain: usize) -> usize {
        plain
    }

    pub(super) fn read(
        &mut self,
        room: &mut [u8],
        sealed: Range<usize>,
        out: &mut Vec<u8>,
    ) -> (usize, Result<(), String>) {
        let mut filled = 0;
        let result = self.read_all(room, sealed, &mut filled);
        out.append(self.tls.output());
        (filled, result.map_err(|error| error.to_string()))
    }

    fn read_all(
        &mut self,
        plain: &mut [u8],
        sealed: Range<usize>,
        filled: &mut usize,
    ) -> io::Result<()> {
        if !sealed.is_empty() {
            self.tls.take(&plain[sealed]);
        }
        if !self.open && !self.tls.handshake()? {
            return Ok(());
        }
        self.open = true;
        while *filled < plain.len() {
            match self.tls.read(&mut plain[*filled..])? {
                None => break,
                Some(0) => {
                    self.closed = true;
                    break;
                }
                Some(count) => *filled += count,
            }
        }
        Ok(())
    }

    pub(super) fn established(&mut self) -> Option<Established> {
        if self.established || !self.open {
            return None;
        }
        self.established = true;
        let ssl = self.tls.ssl();
        let cipher = ssl
            .current_cipher()
            .map_or("unknown", |cipher| cipher.name());
        let user = self
            .identity()
            .filter(|_| self.server.options.identity_is_user);
        Some(Established {
            version: ssl.version_str(),
            cipher: cipher.to_owned(),
            user_name: user.map(ToOwned::to_owned),
        })
    }

    fn identity(&self) -> Option<&str> {
        let identity = self.tls.ssl().ex_data(self.server.identity);
        identity.map(String::as_str)
    }

    /// Whether its identity still has a key.
    pub(super) fn would_be_taken(&self, server: &PskServer) -> bool {
        let keys = server.keys.read().unwrap_or_else(PoisonError::into_inner);
        let known = self.identity().is_some_and(|name| keys.contains_key(name));
        !self.established || known
    }

    /// What does not fill a record is gathered in `room`.
    pub(super) fn write<'a>(
        &mut self,
        parts: impl Iterator<Item = &'a [u8]>,
        room: &mut [u8],
    ) -> usize {
        let mut size = 0;
        for part in parts {
            if size + part.len() > RECORD_MAX {
                self.seal(&room[..size]);
                size = 0;
            }
            match part.len() >= RECORD_MAX {
                true => self.seal(part),
                false => {
                    room[size..size + part.len()].copy_from_slice(part);
                    size += part.len();
                }
            }
        }
        self.seal(&room[..size]);
        let out = self.tls.output();
        room[..out.len()].copy_from_slice(out);
        let size = out.len();
        out.clear();
        size
    }

    fn seal(&mut self, mut part: &[u8]) {
        while !part.is_empty() {
            // What goes wrong here ends the connection when it is read from.
            match self.tls.write(part) {
                Ok(count) if count > 0 => part = &part[count..],
                _ => return,
            }
        }
    }

    pub(super) fn close(&mut self, out: &mut Vec<u8>) {
        if self.open {
            self.tls.close();
            out.append(self.tls.output());
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    /// OpenSSL makes new keys itself, or ends the connection when it is read from.
    pub(super) fn is_over(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(text: &str) -> (tempfile::TempDir, PskServerOptions) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("keys");
        fs::write(&file, text).unwrap();
        let options = PskServerOptions {
            file,
            identity_is_user: true,
            version_least: None,
            ciphers: None,
            key_log: None,
        };
        (folder, options)
    }

    #[test]
    fn a_file_of_keys_is_read_or_refused_as_a_whole() {
        let (_folder, good) = options("# who knows\n\na:00ff\n b:AB \r\n");
        let keys = read(&good).unwrap();
        assert_eq!(keys["a"], [0, 0xff]);
        assert_eq!(keys["b"], [0xab]);
        for bad in [
            "a", "a:", ":00", "a:0", "a:xyz", "a:00\nb", "a: 00 00", "a:0x00",
        ] {
            let (_folder, bad_options) = options(bad);
            assert!(read(&bad_options).is_err(), "{bad:?}");
            assert!(PskServer::load(bad_options).is_err(), "{bad:?}");
        }
    }
}
