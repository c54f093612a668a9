//! What a directive's value can be: how its text is read, and how it is shown again.
//!
//! A [`Kind`] is named in the table of directives and exists nowhere at run time; what it reads is
//! kept in a [`Given`], which knows whether and where the file said it.

use std::convert::Infallible;
use std::fmt;
use std::marker::PhantomData;
use std::num::{IntErrorKind, ParseIntError};
use std::ops::Deref;
use std::path::PathBuf;
use std::sync::Arc;

/// A line of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The file, as it was named.
    pub file: Arc<str>,
    /// Its line, from one.
    pub line: usize,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// A setting: its value, and where it was given; nowhere means that it is the default.
#[derive(Clone, Debug)]
pub struct Given<T> {
    value: T,
    /// Where the file says so.
    pub at: Option<Origin>,
}

impl<T> Given<T> {
    /// A default.
    pub fn unsaid(value: T) -> Self {
        Self { value, at: None }
    }

    /// For what is done to a line that was taken.
    pub(crate) fn value_mut(&mut self) -> &mut T {
        &mut self.value
    }

    /// Whether a file has it.
    pub fn is_given(&self) -> bool {
        self.at.is_some()
    }

    /// Takes one more line about it.
    pub(crate) fn take<K: Kind<Value = T>>(
        &mut self,
        text: &str,
        at: &Origin,
    ) -> Result<(), Trouble> {
        match &self.at {
            Some(_) if K::ONCE => return Err(Trouble::Duplicate),
            Some(_) => K::add(&mut self.value, text)?,
            None => self.value = K::read(text)?,
        }
        self.at = Some(at.clone());
        Ok(())
    }
}

impl<T> Deref for Given<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

/// Why a value is not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// It is none of those that are allowed.
    Invalid,
    /// No number where one belongs.
    NoNumber,
    /// A number far beyond any that is allowed.
    Beyond,
    /// Given twice in one block.
    Duplicate,
    /// A sentence of its own.
    Said(String),
}

/// See the module.
pub trait Kind {
    /// What it is read into.
    type Value;
    /// For manuals.
    const FORM: &'static str;
    /// A second line about it in one block is an error.
    const ONCE: bool = false;

    /// Reads the rest of a line, which is not empty.
    fn read(text: &str) -> Result<Self::Value, Trouble>;

    /// A later line about the same: it replaces what was said.
    fn add(value: &mut Self::Value, text: &str) -> Result<(), Trouble> {
        *value = Self::read(text)?;
        Ok(())
    }

    /// For manuals; empty where there is nothing.
    fn show(value: &Self::Value) -> String;
}

/// The first word: what follows it on a line is not looked at.
pub(crate) fn word(text: &str) -> &str {
    text.split(' ').next().unwrap_or(text)
}

/// Yes or no.
pub enum Flag {}

impl Kind for Flag {
    type Value = bool;
    const FORM: &'static str = "true | false";

    fn read(text: &str) -> Result<bool, Trouble> {
        match word(text) {
            "true" | "1" => Ok(true),
            "false" | "0" => Ok(false),
            _ => Err(Trouble::Invalid),
        }
    }

    fn show(value: &bool) -> String {
        value.to_string()
    }
}

/// Yes, no, or whatever something else says.
pub enum MaybeFlag {}

impl Kind for MaybeFlag {
    type Value = Option<bool>;
    const FORM: &'static str = Flag::FORM;

    fn read(text: &str) -> Result<Option<bool>, Trouble> {
        Flag::read(text).map(Some)
    }

    fn show(value: &Option<bool>) -> String {
        value.map_or_else(String::new, |value| value.to_string())
    }
}

/// A whole number within bounds.
pub enum Int<const LEAST: i64, const MOST: i64> {}

/// Any number of things.
pub type Number = Int<{ i32::MIN as i64 }, { i32::MAX as i64 }>;

/// Any number of bytes, also where mosquitto counts to two thousand million only.
pub type Bytes = Int<{ i64::MIN }, { i64::MAX }>;

impl<const LEAST: i64, const MOST: i64> Kind for Int<LEAST, MOST> {
    type Value = i64;
    const FORM: &'static str = "NUMBER";

    fn read(text: &str) -> Result<i64, Trouble> {
        let number: i64 =
            word(text)
                .parse()
                .map_err(|error: ParseIntError| match error.kind() {
                    IntErrorKind::PosOverflow | IntErrorKind::NegOverflow => Trouble::Beyond,
                    _ => Trouble::NoNumber,
                })?;
        match (LEAST..=MOST).contains(&number) {
            true => Ok(number),
            false if i32::try_from(number).is_err() => Err(Trouble::Beyond),
            false => Err(Trouble::Invalid),
        }
    }

    fn show(value: &i64) -> String {
        value.to_string()
    }
}

/// A number that need not be there.
pub enum MaybeInt<const LEAST: i64, const MOST: i64> {}

impl<const LEAST: i64, const MOST: i64> Kind for MaybeInt<LEAST, MOST> {
    type Value = Option<i64>;
    const FORM: &'static str = "NUMBER";

    fn read(text: &str) -> Result<Option<i64>, Trouble> {
        Int::<LEAST, MOST>::read(text).map(Some)
    }

    fn show(value: &Option<i64>) -> String {
        value.map_or_else(String::new, |value| value.to_string())
    }
}

/// The rest of the line.
pub enum Text {}

impl Kind for Text {
    type Value = Option<String>;
    const FORM: &'static str = "TEXT";
    const ONCE: bool = true;

    fn read(text: &str) -> Result<Option<String>, Trouble> {
        Ok(Some(text.to_owned()))
    }

    fn show(value: &Option<String>) -> String {
        value.clone().unwrap_or_default()
    }
}

/// A file or folder.
pub enum File {}

impl Kind for File {
    type Value = Option<PathBuf>;
    const FORM: &'static str = "PATH";
    const ONCE: bool = true;

    fn read(text: &str) -> Result<Option<PathBuf>, Trouble> {
        Ok(Some(text.into()))
    }

    fn show(value: &Option<PathBuf>) -> String {
        let path = value.as_ref();
        path.map_or_else(String::new, |path| path.display().to_string())
    }
}

/// As `K`, and the last line about it is the one that counts.
pub enum Last<K> {
    /// Never made.
    #[doc(hidden)]
    Never(PhantomData<K>, Infallible),
}

impl<K: Kind> Kind for Last<K> {
    type Value = K::Value;
    const FORM: &'static str = K::FORM;

    fn read(text: &str) -> Result<Self::Value, Trouble> {
        K::read(text)
    }

    fn show(value: &Self::Value) -> String {
        K::show(value)
    }
}

/// As `K`, and a second line about it is an error.
pub enum Once<K> {
    /// Never made.
    #[doc(hidden)]
    Never(PhantomData<K>, Infallible),
}

impl<K: Kind> Kind for Once<K> {
    type Value = K::Value;
    const FORM: &'static str = K::FORM;
    const ONCE: bool = true;

    fn read(text: &str) -> Result<Self::Value, Trouble> {
        K::read(text)
    }

    fn show(value: &Self::Value) -> String {
        K::show(value)
    }
}

/// A text a line, any number of lines.
pub enum Texts {}

impl Kind for Texts {
    type Value = Vec<String>;
    const FORM: &'static str = "TEXT";

    fn read(text: &str) -> Result<Vec<String>, Trouble> {
        Ok(vec![text.to_owned()])
    }

    fn add(value: &mut Vec<String>, text: &str) -> Result<(), Trouble> {
        value.push(text.to_owned());
        Ok(())
    }

    fn show(value: &Vec<String>) -> String {
        value.join(" ")
    }
}

/// Something that is there or is not, and is of kind `K` when it is.
pub enum Maybe<K> {
    /// Never made.
    #[doc(hidden)]
    Never(PhantomData<K>, Infallible),
}

impl<K: Kind> Kind for Maybe<K> {
    type Value = Option<K::Value>;
    const FORM: &'static str = K::FORM;
    const ONCE: bool = K::ONCE;

    fn read(text: &str) -> Result<Self::Value, Trouble> {
        K::read(text).map(Some)
    }

    fn show(value: &Self::Value) -> String {
        value.as_ref().map_or_else(String::new, K::show)
    }
}

/// An enumeration whose values are words.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident: $form:literal {
        $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)+
    }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name { $($(#[$variant_doc])* $variant,)+ }

        impl Kind for $name {
            type Value = Self;
            const FORM: &'static str = $form;

            fn read(text: &str) -> Result<Self, Trouble> {
                match word(text) {
                    $($word => Ok(Self::$variant),)+
                    _ => Err(Trouble::Invalid),
                }
            }

            fn show(value: &Self) -> String {
                match value { $(Self::$variant => $word,)+ }.to_owned()
            }
        }
    };
}

words! {
    /// What is spoken at a listener.
    Protocol: "mqtt | websockets | http | http_api" {
        /// MQTT over TCP or a Unix socket.
        Mqtt = "mqtt",
        /// MQTT in WebSocket frames.
        Websockets = "websockets",
        /// The browser's view of the broker, its API and its figures.
        Http = "http",
        /// What mosquitto answers over HTTP.
        HttpApi = "http_api",
    }
}

words! {
    /// What an acknowledgement promises of what is kept.
    SyncWord: "always | interval | off" {
        /// It is on the disk.
        Always = "always",
        /// The system has it; the disk within a second.
        Interval = "interval",
        /// The system has it.
        Off = "off",
    }
}

words! {
    /// Addresses of one kind only.
    SocketDomain: "ipv4 | ipv6" {
        /// IPv4.
        Ipv4 = "ipv4",
        /// IPv6.
        Ipv6 = "ipv6",
    }
}

words! {
    /// The least version of TLS.
    TlsVersion: "tlsv1.2 | tlsv1.3" {
        /// Still understood, never spoken.
        V11 = "tlsv1.1",
        /// TLS 1.2.
        V12 = "tlsv1.2",
        /// TLS 1.3.
        V13 = "tlsv1.3",
    }
}

words! {
    /// Where a private key comes from.
    KeyForm: "pem | engine" {
        /// A file.
        Pem = "pem",
        /// An engine of OpenSSL.
        Engine = "engine",
    }
}
