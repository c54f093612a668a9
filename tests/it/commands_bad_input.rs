//! Bad input, option by option: one line, the status it is documented to leave, nothing on standard
//! output, and not a byte to the broker. Which options there are is read from help itself.

use std::ffi::OsString;
use std::io::ErrorKind;
use std::net::TcpListener;
use std::os::unix::ffi::OsStringExt;

use crate::support::certificates::Certificates;
use crate::support::programs::{Left, Program};

const PROGRAMS: [(&str, &str); 3] = [
    ("pub", "-t t -m x"),
    ("sub", "-t t -W 5"),
    ("rr", "-t t -e r -m x -W 5"),
];

/// A broker nobody may come to.
struct Untouched(TcpListener);

impl Untouched {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        Self(listener)
    }

    fn reach(&self) -> String {
        format!("-h 127.0.0.1 -p {}", self.0.local_addr().unwrap().port())
    }

    #[track_caller]
    fn check(&self, left: &Left, told: &str, what: &str) {
        let err = left.err();
        let mut lines = err.lines();
        let first = lines.next().unwrap_or_default();
        assert!(first.contains(told), "{what}: {told:?} expected: {left:?}");
        // The one line more there may be is the remedy.
        let rest: Vec<&str> = lines.filter(|line| !line.starts_with("  try: ")).collect();
        assert_eq!(rest, [""; 0], "{what}");
        assert_eq!((left.status, left.out()), (1, String::new()), "{what}");
        let came = self.0.accept().map(drop).map_err(|error| error.kind());
        assert_eq!(came, Err(ErrorKind::WouldBlock), "{what}: somebody came");
    }
}

/// The long options help lists, and whether a value follows.
fn options(program: &str) -> Vec<(String, bool)> {
    let help = Program::mqttx()
        .words(&format!("{program} --help"))
        .run()
        .out();
    let mut found = Vec::new();
    for line in help
        .lines()
        .filter(|line| line.trim_start().starts_with('-'))
    {
        let Some(at) = line.find("--") else { continue };
        let spelled = &line[at..];
        let end = spelled.find(|c: char| c.is_whitespace() || "=[".contains(c));
        let end = end.unwrap_or(spelled.len());
        // A value that may be left out is neither missing nor too much.
        if spelled[end..].starts_with('[') {
            continue;
        }
        found.push((spelled[..end].to_owned(), spelled[end..].starts_with(" <")));
    }
    assert!(found.len() > 40, "{help}");
    found
}

#[test]
fn a_value_is_missing_or_too_much() {
    let broker = Untouched::new();
    for (program, usual) in PROGRAMS {
        for (option, has_value) in options(program) {
            // These two never fail, and this one asks for what is missing.
            if ["--help", "--version", "--pw"].contains(&&*option) {
                continue;
            }
            let reach = broker.reach();
            let (line, told) = match has_value {
                true => (
                    format!("{program} {reach} {usual} {option}"),
                    "argument given but",
                ),
                false => (
                    format!("{program} {reach} {usual} {option}=x"),
                    "takes no value",
                ),
            };
            let line = match option.as_str() {
                // One payload only; the first one is the mistake.
                "--file" | "--message" => line.replace(" -m x", ""),
                _ => line,
            };
            let left = Program::mqttx().words(&line).run();
            broker.check(&left, told, &line);
        }
    }
}

#[test]
fn a_value_is_wrong() {
    let broker = Untouched::new();
    for (programs, words, told) in WRONG {
        for (program, usual) in PROGRAMS {
            if !programs.split(' ').any(|known| known == program) {
                continue;
            }
            let line = format!("{program} {usual} {} {words}", broker.reach());
            let left = Program::mqttx().words(&line).run();
            broker.check(&left, told, &line);
        }
    }
}

const ALL: &str = "pub sub rr";

/// The programs, the words, and a part of the line.
const WRONG: &[(&str, &str, &str)] = &[
    (ALL, "--no-such-option", "unknown option '--no-such-option'"),
    (ALL, "word", "unknown option 'word'"),
    (ALL, "-z", "unknown option '-z'"),
    (ALL, "-dq", "unknown option '-dq'"),
    (ALL, "-A 192.0.2.1.5", "no address of this machine"),
    (ALL, "--cafile /none", "cannot read /none"),
    (ALL, "--capath /none", "cannot read /none"),
    (ALL, "--cafile=", "or a folder of them is empty"),
    (ALL, "--capath=", "or a folder of them is empty"),
    (ALL, "--cafile /dev/null", "no certificate in this file"),
    (ALL, "--cert /none", "both certfile and keyfile"),
    (ALL, "--key /none", "both certfile and keyfile"),
    (ALL, "--keyform pem", "keyfile must be also specified"),
    (ALL, "--ciphers x", "--ciphers says nothing without TLS"),
    (ALL, "--tls-alpn x", "--tls-alpn says nothing without TLS"),
    (
        ALL,
        "--tls-keylog x",
        "--tls-keylog says nothing without TLS",
    ),
    (
        ALL,
        "--tls-engine x",
        "--tls-engine says nothing without TLS",
    ),
    (
        ALL,
        "--tls-skip-hostname",
        "--tls-skip-hostname says nothing without TLS",
    ),
    (ALL, "--insecure", "--insecure says nothing without TLS"),
    (ALL, "--tls-version 1.1", "no TLS version '1.1'"),
    (
        ALL,
        "--tls-engine-kpass-sha1 x",
        "both tls-engine and keyform",
    ),
    (ALL, "--psk ab", "--psk-identity required"),
    (
        ALL,
        "--psk ab --psk-identity a --cafile x",
        "only one of --psk or --cafile",
    ),
    (
        ALL,
        "--psk-identity a",
        "--psk-identity says nothing without TLS",
    ),
    (ALL, "-D x y z", "invalid command x"),
    (ALL, "-D publish y z", "invalid property name y"),
    (ALL, "-D connect receive-maximum 70000", "out of range"),
    (
        ALL,
        "-D connect receive-maximum 0",
        "the properties of CONNECT cannot be sent",
    ),
    (ALL, "-D publish", "not enough arguments"),
    (ALL, "-i a -I b", "cannot be used together"),
    (ALL, "-c", "must provide a client id"),
    (ALL, "-V 5 -c", "must provide a client id"),
    (ALL, "-k 4", "invalid keepalive"),
    (ALL, "-k x", "whole number"),
    (ALL, "-L http://h/t", "unsupported URL scheme"),
    (ALL, "-L mqtt://h", "topic missing"),
    (ALL, "-M 0", "maximum inflight"),
    (ALL, "-o /none", "cannot read options from /none"),
    (ALL, "-p 70000", "invalid port given: 70000"),
    (ALL, "-p x", "whole number"),
    (ALL, "--proxy ftp://h", "proxy"),
    (
        ALL,
        "--protocol http",
        "--protocol is mqtt, mqtts, ws or wss",
    ),
    (ALL, "-q 3", "invalid QoS given: 3"),
    (ALL, "-q x", "whole number"),
    (ALL, "--unix /none/socket", "No such file or directory"),
    (ALL, "-V 4", "invalid protocol version"),
    (ALL, "-x soon", "session-expiry-interval not a number"),
    (ALL, "-x -2", "session-expiry-interval out of range"),
    (ALL, "--will-payload x", "will"),
    (ALL, "--will-retain", "will"),
    (ALL, "--will-topic a/#", "invalid will topic"),
    (ALL, "--will-qos 3", "invalid will QoS 3"),
    (ALL, "--ws-path x --ws", "a path starts with /"),
    (ALL, "--ws-path /x", "say nothing without --ws"),
    (ALL, "--ws-header x --ws", "a header line reads"),
    (ALL, "--profile none", "there is no profile 'none'"),
    (ALL, "--password-env NONE", "there is no variable NONE"),
    (ALL, "--password-file /none", "cannot read the password"),
    (ALL, "-P x --ask-password", "comes from one place"),
    (
        "pub sub",
        "--reconnect-period -1",
        "invalid reconnect period",
    ),
    ("pub rr", "-t a/+", "invalid publish topic 'a/+'"),
    ("pub rr", "-n", "only one type of message"),
    ("pub rr", "-f /none", "only one type of message"),
    ("pub", "--repeat 0", "--repeat argument must be >0"),
    (
        "pub",
        "--repeat-delay -1",
        "--repeat-delay argument must be >=0",
    ),
    ("pub", "--repeat-delay x", "needs a number"),
    ("pub", "-l", "only one type of message"),
    ("sub rr", "-F %z", "invalid format specifier 'z'"),
    ("sub rr", "-F %", "incomplete format specifier"),
    ("sub rr", "-F \\q", "invalid escape specifier 'q'"),
    ("sub rr", "-W 0", "invalid timeout"),
    ("sub rr", "--retain-handling x", "unknown value 'x'"),
    ("rr", "-e a/#", "invalid response topic"),
    ("sub", "-t a/#/b", "invalid subscription topic 'a/#/b'"),
    ("sub", "-T a/#/b", "invalid filter topic 'a/#/b'"),
    ("sub", "-U a/#/b", "invalid unsubscribe topic 'a/#/b'"),
    ("sub", "-C 0", "invalid message count"),
    ("sub", "--random-filter 0", "between 0.1-100.0"),
    ("sub", "-R --retained-only", "makes no sense"),
    ("sub", "-t $share/g/t --no-local", "--no-local cannot stand"),
    ("sub", "--expect-json {", "--expect-json"),
    ("sub", "--expect-regex (", "--expect-regex"),
    ("sub", "--reject-regex (", "--reject-regex"),
    ("sub", "--idle soon", "--idle"),
    ("sub", "--ready-fd x", "--ready-fd"),
    ("sub", "--in-order", "--in-order needs two expectations"),
];

#[test]
fn what_is_missing_altogether() {
    let broker = Untouched::new();
    for (line, told) in [
        ("pub -t t", "both topic and message must be supplied"),
        ("pub -m x", "both topic and message must be supplied"),
        ("pub -t t -f /none", "unable to read file \"/none\""),
        ("pub -t t -s", "zero length input"),
        ("sub", "you must specify a topic"),
        ("rr -t t -m x", "all of topic, message, and response topic"),
        ("rr -t t -e r -f /none", "unable to read file \"/none\""),
    ] {
        let line = format!("{line} {}", broker.reach());
        let left = Program::mqttx().words(&line).run();
        broker.check(&left, told, &line);
    }
}

/// The programs beside pub, sub and rr: the words, and a part of the line.
const OTHERS: &[(&str, &str)] = &[
    ("record -t a/#/b", "invalid subscription topic 'a/#/b'"),
    ("record -t a -q 3", "invalid QoS given: 3"),
    (
        "record -t a --out /none/x",
        "cannot write to /none/x: No such file or directory",
    ),
    ("record -t a -W 0", "invalid timeout"),
    ("record -t a -C x", "-C needs a whole number, not 'x'"),
    (
        "record -t a --no-retained=x",
        "unknown option '--no-retained=x'",
    ),
    ("record --no-such", "unknown option '--no-such'"),
    ("record word", "unknown option 'word'"),
    ("record -t", "-t argument given but no topic specified"),
    ("replay /none", "unknown option '/none'"),
    (
        "replay -f /none",
        "cannot read /none: No such file or directory",
    ),
    ("replay -f", "-f argument given but no file specified"),
    ("replay --speed x", "--speed: 'x' is no speed"),
    ("replay --speed 0", "--speed: '0' is no speed"),
    ("replay --map x", "--map: 'x' is not A=B"),
    ("replay --loop=3", "--loop takes no value"),
    ("ls -t a/#/b", "invalid subscription topic 'a/#/b'"),
    ("ls -W x", "-W needs a whole number, not 'x'"),
    ("ls --tree=x", "--tree takes no value"),
    ("ls word", "unknown option 'word'"),
    ("top -t a/#/b", "invalid subscription topic 'a/#/b'"),
    ("top -W 0", "invalid timeout"),
    ("top --once=x", "--once takes no value"),
    ("top --no-such", "unknown option '--no-such'"),
    ("ping -c 0", "--count: '0' is no count"),
    ("ping --interval -1s", "--interval: '-1s' is no time"),
    (
        "ping --interval",
        "--interval argument given but no time specified",
    ),
    ("ping --wait x", "--wait: 'x' is no time"),
    ("ping --json=x", "--json takes no value"),
    ("ping word", "unknown option 'word'"),
    ("ping --cert x", "both certfile and keyfile"),
    ("ls -i a -I b", "cannot be used together"),
    ("record --psk ab", "--psk-identity required"),
    ("top -P x --ask-password", "comes from one place"),
    ("replay --cafile /none -f /dev/null", "cannot read /none"),
];

/// Those that go to no broker.
const LOCAL: &[(&str, &str)] = &[
    ("link", "required arguments were not provided: <DIR>"),
    (
        "link /dev/null/x",
        "cannot make /dev/null/x: Not a directory",
    ),
    ("link a b", "unexpected argument 'b' found"),
    ("link --no-such", "unexpected argument '--no-such' found"),
    (
        "completions",
        "required arguments were not provided: <SHELL>",
    ),
    ("completions tcsh", "invalid value 'tcsh' for '<SHELL>'"),
    ("completions bash zsh", "unexpected argument 'zsh' found"),
    ("man nosuch", "no page 'nosuch'"),
    ("man pub x", "unexpected argument 'x' found"),
    ("passwd", "FILE and USER are wanted"),
    ("passwd -b f u", "FILE and USER are wanted"),
    ("passwd -H md5 f u", "unknown hash type 'md5'"),
    ("passwd -I 0 -b f u p", "number of iterations must be > 0"),
    ("passwd -I", "-I argument given but not enough"),
    ("passwd --no-such f u", "no option '--no-such'"),
    ("passwd -c -D f u", "-c and -D cannot be used together"),
    ("passwd -D /none u", "unable to open password file /none"),
    ("passwd -b /none u p", "unable to open password file /none"),
    ("help nosuch", "no command 'nosuch'"),
    ("nosuch", "no command 'nosuch'"),
    ("--no-such", "no command '--no-such'"),
];

#[test]
fn the_other_programs() {
    let broker = Untouched::new();
    for (words, told) in OTHERS {
        let line = format!("{words} {}", broker.reach());
        // A value that is missing has to be missing at the end.
        let line = match told.contains("argument given but no") {
            true => {
                let (program, option) = words.split_once(' ').unwrap();
                format!("{program} {} {option}", broker.reach())
            }
            false => line,
        };
        broker.check(&Program::mqttx().words(&line).run(), told, &line);
    }
    for (words, told) in LOCAL {
        broker.check(&Program::mqttx().words(words).run(), told, words);
    }
    for (program, option) in [
        ("record", "-t"),
        ("ls", "-t"),
        ("top", "-t"),
        ("ping", "-i"),
        ("replay", "--will-topic"),
    ] {
        let left = Program::mqttx()
            .words(&format!("{program} {} {option}", broker.reach()))
            .args([OsString::from_vec(b"a\xff".to_vec())])
            .run();
        broker.check(
            &left,
            &format!("malformed UTF-8 in {option} argument"),
            program,
        );
    }
}

/// What OpenSSL's users may ask for, and our TLS has not: one sentence each, with the reason.
#[test]
fn what_openssl_has_and_we_have_not() {
    let broker = Untouched::new();
    let folder = tempfile::tempdir().unwrap();
    let made = Certificates::new();
    let key = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    key(
        "old",
        "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,86\n",
    );
    key("des3", DES3);
    let (cafile, cert) = (made.path("ca.pem"), made.path("client.pem"));
    let (cafile, cert) = (cafile.display(), cert.display());
    let engines = "OpenSSL engines (--tls-engine, --keyform engine) are not built into mqttx: \
                   its TLS is rustls";
    for (words, told) in [
        ("--tls-engine e", engines),
        ("--cert {cert} --key k --keyform engine", engines),
        (
            "--cert {cert} --key k --keyform engine --tls-engine e --tls-engine-kpass-sha1 a",
            engines,
        ),
        (
            "--cert {cert} --key k --keyform der",
            "must be one of 'pem' or 'engine'",
        ),
        ("--ciphers RC4-SHA", "no cipher suite of that name: RC4-SHA"),
        (
            "--ciphers ECDHE+AES:!RC4",
            "no cipher suite of that name: ECDHE+AES",
        ),
        (
            "--ciphers HIGH:@SECLEVEL=0",
            "no cipher suite of that name: @SECLEVEL=0",
        ),
        ("--tls-version tlsv1", "no TLS version 'tlsv1'"),
        (
            "--cert {cert} --key {dir}/old",
            "a key locked in OpenSSL's old way; change it: openssl pkcs8",
        ),
        (
            "--cert {cert} --key {dir}/des3",
            "a key locked in a way mqttx has not (it has AES with PBKDF2",
        ),
    ] {
        let words = words.replace("{cert}", &cert.to_string());
        let words = words.replace("{dir}", folder.path().to_str().unwrap());
        for (program, usual) in PROGRAMS {
            let line = format!(
                "{program} {usual} {} --cafile {cafile} {words}",
                broker.reach()
            );
            broker.check(&Program::mqttx().words(&line).run(), told, &line);
        }
    }
}

/// openssl pkcs8 -topk8 -v2 des3
const DES3: &str = "\
-----BEGIN ENCRYPTED PRIVATE KEY-----\n\
MIHjME4GCSqGSIb3DQEFDTBBMCkGCSqGSIb3DQEFDDAcBAgClHskk8qanQICCAAw\n\
DAYIKoZIhvcNAgkFADAUBggqhkiG9w0DBwQI6CtmO0DN8GUEgZBRXOyXMX165gLq\n\
MQUrCqW0Tv0InuANb+JgV9zFXunb0TGgp0Dsh8CzB124TVPNooeDB/RhQNKoMeBO\n\
JSCkwc/NzKBlmhnmIBimpCSKBPYQkSddyrxNFIVat4gcMdfb+pgpO5sy7GjML3EA\n\
wI9L1jcBqcT1qDikZCDpibTwb6ytbop4phz8naZ5uHvd8tLO5bU=\n\
-----END ENCRYPTED PRIVATE KEY-----\n";

#[test]
fn a_topic_that_is_no_utf_8() {
    let broker = Untouched::new();
    for (program, usual) in PROGRAMS {
        for (option, shown) in [("-t", "-t"), ("--will-topic", "--will-topic"), ("-i", "-i")] {
            let left = Program::mqttx()
                .words(&format!("{program} {usual} {} {option}", broker.reach()))
                .args([OsString::from_vec(b"a\xff".to_vec())])
                .run();
            let told = format!("malformed UTF-8 in {shown} argument");
            broker.check(&left, &told, &format!("{program} {option}"));
        }
    }
}

/// The links tell the same mistakes in mosquitto's sentences; `compare_argv` holds those against
/// mosquitto itself. Here: nothing is sent, and the status is 1.
#[test]
fn the_links_send_nothing_either() {
    let broker = Untouched::new();
    let links = crate::support::programs::Links::new();
    // What is not built in, or is ours alone, their help does not speak of.
    for (program, _) in PROGRAMS {
        let help = Program::new(links.path(&format!("mosquitto_{program}")))
            .words("--help")
            .run();
        assert_eq!(
            help.out().contains("\n -S"),
            cfg!(feature = "srv"),
            "{help:?}"
        );
        assert!(!help.out().contains("--password"), "{help:?}");
    }
    for (programs, words, _) in WRONG {
        // Their own names for what mosquitto has not, and what it passes over without a word.
        let ours = [
            "--tls",
            "--psk-id",
            "--protocol",
            "--ws-",
            "--profile",
            "--pass",
            "--ask",
            "--reconnect",
            "--no-local",
            "--expect",
            "--reject",
            "--idle",
            "--ready",
            "--in-order",
            "--cipher",
            "--insecure",
            "-o",
            "-k x",
            "-p x",
            "-q x",
            "-x -2",
            "-P",
            "-R",
            "-D connect receive-maximum 70000",
            "--repeat-delay x",
        ];
        if ours.iter().any(|word| words.contains(word)) {
            continue;
        }
        for (program, usual) in PROGRAMS.iter().filter(|(p, _)| programs.contains(p)) {
            let line = format!("{usual} {} {words}", broker.reach());
            let left = Program::new(links.path(&format!("mosquitto_{program}")))
                .words(&line)
                .run();
            assert_eq!(left.status, 1, "{program} {line}: {left:?}");
            assert!(!left.err().is_empty(), "{program} {line}");
            let came = broker.0.accept().map(drop).map_err(|error| error.kind());
            assert_eq!(came, Err(ErrorKind::WouldBlock), "{program} {line}");
        }
    }
}
