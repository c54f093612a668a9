//! Options that do not stand on the command line: profiles, the environment, secrets; which of them
//! count, what is told of them, and what never is.

use std::fs;
use std::path::Path;

use mqttx::mqtt::property::Properties;
use mqttx::mqtt::{PacketType, Reason, Version};

use crate::support::programs::{Left, Program};
use crate::support::scripted_broker::ScriptedBroker;

fn run(home: &Path, line: &str, environment: &[(&str, &str)]) -> Left {
    let mut program = Program::mqttx().env("XDG_CONFIG_HOME", home).words(line);
    for (name, value) in environment {
        program = program.env(name, value);
    }
    program.run()
}

#[track_caller]
fn prints(home: &Path, line: &str, environment: &[(&str, &str)], expected: &[&str]) {
    let left = run(home, line, environment);
    assert_eq!((left.status, &*left.err()), (0, ""), "{line}");
    let out = left.out();
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines, expected, "{line}");
}

#[track_caller]
fn fails(home: &Path, line: &str, environment: &[(&str, &str)], told: &str) {
    let left = run(home, line, environment);
    assert_eq!((left.status, &*left.out()), (1, ""), "{line}");
    let err = left.err();
    assert_eq!(err.lines().next().unwrap_or_default(), told, "{line}");
}

#[test]
fn the_command_line_counts_before_the_environment_and_that_before_a_profile() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    fs::create_dir(home.join("mqttx")).unwrap();
    let profile = "# mine\n[lab]\nhost = \"lab\" # a name\nport = 1\nid = 'me'\nkeepalive = 7\n\
        retain = true\n\
        property = ['connect user-property k 1 v', ['connect', 'user-property', 'a b', 'c']]\nfile = 'x'\n";
    fs::write(home.join("mqttx/profiles.toml"), profile).unwrap();
    fs::write(home.join("mosquitto_pub"), "-k 9\n-M 3\n").unwrap();
    prints(
        home,
        "pub --profile lab -p 3 -I you -m hi -t t --print-config",
        &[
            ("MQTTX_PORT", "2"),
            ("MQTTX_PASSWORD", "secret"),
            ("MQTTX_RETAIN", "off"),
            ("MQTTX_NODELAY", "1"),
            ("MQTTX_NO_SUCH_OPTION", "1"),
            ("MQTTX_USERNAME", ""),
            ("MQTTX_COUNT", "3"),
        ],
        &[
            "keepalive = 7  # profile",
            "max-inflight = 3  # command line or options file",
            "host = \"lab\"  # profile",
            "retain = true  # profile",
            "property = [[\"connect\", \"user-property\", \"k\", \"1 v\"], \
                [\"connect\", \"user-property\", \"a b\", \"c\"]]  # profile",
            "protocol-version = \"mqttv5\"  # profile",
            "nodelay = true  # environment",
            "pw = \"****\"  # environment",
            "port = 3  # command line or options file",
            "id-prefix = \"you\"  # command line or options file",
            "message = \"hi\"  # command line or options file",
            "topic = \"t\"  # command line or options file",
        ],
    );
    prints(
        home,
        "sub --print-config --proxy socks5h://ann:pw@h:1",
        &[
            ("MQTTX_TOPIC", "a\nb/#"),
            ("MQTTX_PROPERTY", "subscribe user-property k  v"),
        ],
        &[
            "property = [[\"subscribe\", \"user-property\", \"k\", \" v\"]]  # environment",
            "protocol-version = \"mqttv5\"  # environment",
            "topic = [\"a\", \"b/#\"]  # environment",
            "proxy = \"socks5h://ann:****@h:1\"  # command line or options file",
        ],
    );
    prints(
        home,
        "sub --print-config -t c",
        &[("MQTTX_TOPIC", "a\nb/#"), ("MQTTX_PROFILE", "lab")],
        &[
            "host = \"lab\"  # profile",
            "port = 1  # profile",
            "id = \"me\"  # profile",
            "keepalive = 7  # profile",
            "property = [[\"connect\", \"user-property\", \"k\", \"1 v\"], \
                [\"connect\", \"user-property\", \"a b\", \"c\"]]  # profile",
            "protocol-version = \"mqttv5\"  # profile",
            "topic = \"c\"  # command line or options file",
        ],
    );
}

#[test]
fn a_saved_profile_is_what_was_typed_without_its_secrets() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let file = home.join("mqttx/profiles.toml");
    let line = "pub -L mqtts://ann:secret@h/a/b -q 1 --repeat 2 --repeat-delay 0.5 -D publish content-type x \
        --psk ab --psk-identity i --save-profile one";
    let left = run(home, line, &[("MQTTX_KEEPALIVE", "9")]);
    assert_eq!((left.status, &*left.err()), (0, ""));
    let text = fs::read_to_string(&file).unwrap();
    assert!(
        !text.contains("secret") && !text.contains("psk = "),
        "{text}"
    );
    for name in ["--pw", "--psk"] {
        assert!(
            left.out().contains(&format!("{name} was not saved")),
            "{left:?}"
        );
    }
    // What is there already stays as it is, comments included.
    fs::write(&file, format!("# mine\n{text}")).unwrap();
    let left = run(
        home,
        "sub -t x -t y --random-filter 2.5 --save-profile two",
        &[],
    );
    assert_eq!(left.status, 0, "{left:?}");
    let after = fs::read_to_string(&file).unwrap();
    assert!(after.starts_with(&format!("# mine\n{text}")), "{after}");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    for (command, profile, expected) in [
        (
            "pub",
            "one",
            "topic username host port tls-use-os-certs qos repeat repeat-delay property \
            protocol-version psk-identity keepalive",
        ),
        ("sub", "two", "topic random-filter"),
    ] {
        let left = run(
            home,
            &format!("{command} --profile {profile} --print-config"),
            &[],
        );
        let out = left.out();
        let mut names: Vec<&str> = out.lines().filter_map(|l| l.split(' ').next()).collect();
        let mut expected: Vec<&str> = expected.split_whitespace().collect();
        names.sort_unstable();
        expected.sort_unstable();
        assert_eq!(names, expected);
        assert_eq!(
            out.contains("random-filter = \"2.5\""),
            profile == "two",
            "{out}"
        );
        assert_eq!(
            out.contains("repeat-delay = \"0.5\""),
            profile == "one",
            "{out}"
        );
    }
}

#[test]
fn what_is_wrong_elsewhere_is_told_with_its_place() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    fails(
        home,
        "pub --profile x -t a -n",
        &[],
        "mqttx pub: there is no profile 'x': no file of profiles is there",
    );
    fs::create_dir(home.join("mqttx")).unwrap();
    let profiles = "[a]\nqos = 3\n[b]\nhots = 'x'\n[c]\nhost = { a = 1 }\n[d]\n\
        retain = 'perhaps'\n[e]\nhelp = true\n";
    let file = home.join("mqttx/profiles.toml");
    fs::write(&file, profiles).unwrap();
    for (profile, told) in [
        ("a", "profile 'a': qos: Invalid QoS given: 3"),
        (
            "b",
            "profile 'b': hots: no option of that name can stand in a profile",
        ),
        (
            "c",
            "profile 'c': host: text, a number, true, false, or a list of them is due",
        ),
        ("d", "profile 'd': retain: true or false, not 'perhaps'"),
        (
            "e",
            "profile 'e': help: no option of that name can stand in a profile",
        ),
    ] {
        let line = format!("pub --profile {profile} -t a -n");
        fails(home, &line, &[], &format!("mqttx pub: {told}"));
    }
    let shown = file.display();
    let told = format!("mqttx pub: there is no profile 'z' in {shown}");
    fails(home, "pub --profile z -t a -n", &[], &told);
    fs::write(&file, "[a]\nhost = \n").unwrap();
    let left = run(home, "pub --profile a -t a -n", &[]);
    assert!(
        left.err().starts_with(&format!("mqttx pub: {shown}:")),
        "{left:?}"
    );
    for (variables, told) in [
        (
            ("MQTTX_PORT", "x"),
            "MQTTX_PORT: -p needs a whole number, not 'x'",
        ),
        (
            ("MQTTX_RETAIN", "2"),
            "MQTTX_RETAIN: true or false, not '2'",
        ),
        (
            ("MQTTX_TOPIC", "a/#"),
            "MQTTX_TOPIC: Invalid publish topic 'a/#', does it contain '+' or '#'?",
        ),
        (
            ("MQTTX_PROPERTY", "connect"),
            "MQTTX_PROPERTY: --property argument given but not enough arguments specified",
        ),
    ] {
        fails(home, "pub -n", &[variables], &format!("mqttx pub: {told}"));
    }
}

/// The password CONNECT carries, and what the run told.
fn password(line: &str, environment: &[(&str, &str)], input: &str) -> (Vec<u8>, Left) {
    let (tell, told) = std::sync::mpsc::channel();
    let script = ScriptedBroker::start(Version::V5, move |broker| {
        let mut peer = broker.accept_raw();
        tell.send(peer.expect(PacketType::Connect)).unwrap();
        peer.connack(false, Reason::NOT_AUTHORIZED, Properties::EMPTY);
        while peer.read_or_reset().is_some() {}
    });
    let line = format!(
        "pub -h 127.0.0.1 -p {} -V 5 -t t -n -u u {line}",
        script.port
    );
    let mut program = Program::mqttx().words(&line).input(input);
    for (name, value) in environment {
        program = program.env(name, value);
    }
    let left = program.run();
    script.join();
    let connect = told.recv().unwrap();
    let user = connect.windows(3).rposition(|w| w == b"\0\x01u").unwrap();
    (connect[user + 5..].to_vec(), left)
}

#[test]
fn a_password_comes_from_a_file_an_input_or_a_variable() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pw");
    fs::write(&file, b"se\xffcret\n\n").unwrap();
    let shown = file.display();
    for (line, environment, input, expected) in [
        (
            format!("--password-file {shown}"),
            ("A", ""),
            "",
            &b"se\xffcret\n"[..],
        ),
        (
            "--password-file -".to_owned(),
            ("A", ""),
            "typed\r\n",
            b"typed",
        ),
        (
            "--password-env MINE".to_owned(),
            ("MINE", "mine"),
            "",
            b"mine",
        ),
        (
            String::new(),
            ("MQTTX_PASSWORD_FILE", &*shown.to_string()),
            "",
            b"se\xffcret\n",
        ),
        ("-P given".to_owned(), ("MQTTX_PW", "other"), "", b"given"),
        (
            "--password given -d".to_owned(),
            ("MQTTX_PASSWORD_ENV", "NONE"),
            "",
            b"given",
        ),
    ] {
        let (sent, left) = password(&line, &[environment], input);
        assert_eq!(sent, expected, "{line}");
        assert_eq!(left.status, 135, "{left:?}");
        let told = format!("{}{}", left.out(), left.err());
        for secret in ["cret", "typed", "mine", "given"] {
            assert!(!told.contains(secret), "{told}");
        }
    }
}

#[test]
fn a_password_that_is_not_to_be_had() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path();
    fs::write(home.join("long"), vec![b'x'; 65_536]).unwrap();
    let long = home.join("long");
    let long = long.display();
    for (line, told) in [
        ("-P", "nobody is here to be asked for a password".to_owned()),
        ("--ask-password", "nobody is here to be asked for a password".to_owned()),
        ("--password-file", "--password-file argument given but no file specified".to_owned()),
        (
            "--password-file /none",
            "cannot read the password from /none: No such file or directory".to_owned(),
        ),
        (
            &*format!("--password-file {long}"),
            format!("cannot read the password from {long}: a password has at most 65,535 bytes"),
        ),
        ("--password-env NONE", "--password-env: there is no variable NONE".to_owned()),
        (
            "--password-env A=B",
            "--password-env: no variable can have the name 'A=B'".to_owned(),
        ),
        (
            "-P x --password-env A",
            "the password comes from one place: -P, --password-file, --password-env or --ask-password"
                .to_owned(),
        ),
    ] {
        fails(
            home,
            &format!("pub -p 1 -u u -t t -n {line}"),
            &[],
            &format!("mqttx pub: {told}"),
        );
    }
    fails(
        home,
        "pub -p 1 -u u -t t -s --password-file -",
        &[],
        "mqttx pub: standard input is either the password or the message, not both",
    );
}

/// Under mosquitto's names none of it exists.
#[cfg(unix)]
#[test]
fn mosquittos_names_know_none_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let link = folder.path().join("mosquitto_pub");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_mqttx"), &link).unwrap();
    for word in [
        "--profile",
        "--password-file",
        "--print-config",
        "--hostname",
        "-up",
    ] {
        let left = Program::new(&link)
            .env("MQTTX_PORT", "x")
            .words(&format!("{word} x"))
            .run();
        let told = format!("Error: Unknown option '{word}'.\n");
        assert!(
            left.status == 1 && left.err().starts_with(&told),
            "{left:?}"
        );
    }
    let left = Program::new(&link)
        .env("MQTTX_PORT", "x")
        .words("-q 3")
        .run();
    assert!(
        left.err().starts_with("Error: Invalid QoS given: 3"),
        "{left:?}"
    );
}
