//! The words of `mosquitto`, the broker: whole words in any order, read as mosquitto reads them.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::mqtt::MOSQUITTO_RELEASE;

/// Ports on one command line.
const PORTS_MAX: usize = 10;

/// What the broker is to be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MosquittoArgs {
    /// `-c`
    pub config_file: Option<PathBuf>,
    /// `-p`, each of them.
    pub ports: Vec<u16>,
    /// `-d`
    pub daemon: bool,
    /// `-q`
    pub quiet: bool,
    /// `-v`
    pub verbose: bool,
    /// `--test-config`
    pub test_config: bool,
    /// `--tls-keylog`
    pub tls_keylog: Option<PathBuf>,
}

/// What the words ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// To serve.
    Run(MosquittoArgs),
    /// To print this.
    Text(String),
}

/// A word that is not understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misuse {
    /// Begins with "Error: ".
    pub sentence: String,
    /// The usage belongs behind it.
    pub with_usage: bool,
}

/// Reads the words behind the program's name.
pub fn parse(words: &[OsString]) -> Result<Asked, Misuse> {
    let mut args = MosquittoArgs::default();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let mut value = |missing: &str| {
            words.next().ok_or_else(|| Misuse {
                sentence: format!("Error: {missing}"),
                with_usage: false,
            })
        };
        match word.to_str().unwrap_or_default() {
            "-c" | "--config-file" => {
                let missing = "-c argument given, but no config file specified.";
                args.config_file = Some(value(missing)?.into());
            }
            "-p" | "--port" => {
                let word = value("-p argument given, but no port specified.")?;
                args.ports
                    .push(port(&word.to_string_lossy(), args.ports.len())?);
            }
            "--tls-keylog" => {
                let missing = "--tls-keylog argument given, but no file specified.";
                args.tls_keylog = Some(value(missing)?.into());
            }
            "-d" | "--daemon" => args.daemon = true,
            "-q" | "--quiet" => args.quiet = true,
            "-v" | "--verbose" => args.verbose = true,
            "--test-config" => args.test_config = true,
            "-h" | "--help" => return Ok(Asked::Text(usage())),
            "--version" => return Ok(Asked::Text(version())),
            _ => {
                return Err(Misuse {
                    sentence: format!("Error: Unknown option '{}'.", word.to_string_lossy()),
                    with_usage: true,
                });
            }
        }
    }
    Ok(Asked::Run(args))
}

fn port(word: &str, before: usize) -> Result<u16, Misuse> {
    let misuse = |sentence: String| Misuse {
        sentence,
        with_usage: false,
    };
    let port = word.parse().ok().filter(|&port: &u16| port > 0);
    let port = port.ok_or_else(|| misuse(format!("Error: Invalid port specified ({word}).")))?;
    match before < PORTS_MAX {
        true => Ok(port),
        false => Err(misuse(format!(
            "Error: Only {PORTS_MAX} ports can be specified on the command line."
        ))),
    }
}

/// What `--version` prints: three lines.
fn version() -> String {
    let own = env!("CARGO_PKG_VERSION");
    format!("mosquitto {MOSQUITTO_RELEASE}\nRunning on mqttx {own}.\nLicense MIT OR Apache-2.0\n")
}

/// What `--help` prints.
pub fn usage() -> String {
    format!(
        "mosquitto version {MOSQUITTO_RELEASE} running on mqttx {}\n\n\
         mosquitto is an MQTT v5.0/v3.1.1/v3.1 broker.\n\n\
         Usage: mosquitto [-c config_file] [-d] [-h] [-p port] [-q] [-v] [--test-config]\n\
         \x20                [--tls-keylog file]\n\n\
         \x20-c : read this configuration file.\n\
         \x20-d : go to the background once the configuration is read.\n\
         \x20-h : print this.\n\
         \x20-p : listen on this port, up to {PORTS_MAX} times; not used when the file has a \
         listener.\n\
         \x20-q : log nothing, whatever the file says.\n\
         \x20-v : log everything, whatever the file says.\n\
         \x20--test-config : read the configuration file, say whether it is in order, and end.\n\
         \x20--tls-keylog : write the keys of TLS connections to this file, for those who look\n\
         \x20     into them with other programs. Never where it matters.\n\n\
         'mqttx broker --help' tells what this broker can do beside.\n\n",
        env!("CARGO_PKG_VERSION")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Asked, Misuse> {
        let words: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
        parse(&words)
    }

    #[test]
    fn words_are_understood() {
        let expected = MosquittoArgs {
            config_file: Some("a.conf".into()),
            ports: vec![1, 2],
            daemon: true,
            quiet: false,
            verbose: true,
            test_config: true,
            tls_keylog: Some("k".into()),
        };
        let line = "-c a.conf -p 1 --port 2 -d -v --test-config --tls-keylog k";
        assert_eq!(read(line), Ok(Asked::Run(expected)));
        let Ok(Asked::Text(version)) = read("--version") else {
            panic!("a text")
        };
        assert_eq!(version.lines().count(), 3);
        assert!(matches!(read("-h"), Ok(Asked::Text(_))));
    }

    #[test]
    fn what_is_wrong_is_told() {
        let check = |line: &str, sentence: &str| {
            assert_eq!(read(line).unwrap_err().sentence, sentence, "{line}");
        };
        check("-z", "Error: Unknown option '-z'.");
        check("file", "Error: Unknown option 'file'.");
        check(
            "-c",
            "Error: -c argument given, but no config file specified.",
        );
        check("-p", "Error: -p argument given, but no port specified.");
        check("-p 0", "Error: Invalid port specified (0).");
        check("-p 65536", "Error: Invalid port specified (65536).");
        check("-p x", "Error: Invalid port specified (x).");
        check(
            "--tls-keylog",
            "Error: --tls-keylog argument given, but no file specified.",
        );
        let eleven = "-p 1 ".repeat(11);
        check(
            &eleven,
            "Error: Only 10 ports can be specified on the command line.",
        );
    }
}
