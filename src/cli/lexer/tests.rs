//! Lines of words, and what becomes of them.

use super::*;

const OURS: Caller = Caller {
    program: Program::Publish,
    manner: Manner::Mqttx,
};
const THEIRS: Caller = Caller {
    program: Program::Publish,
    manner: Manner::Mosquitto,
};

fn words(line: &str) -> Vec<OsString> {
    line.split_whitespace().map(OsString::from).collect()
}

fn clean(caller: Caller, line: &str, file: &str) -> String {
    let sources = Sources {
        file: file.into(),
        ..Sources::default()
    };
    match lex(caller, &words(line), &sources).unwrap() {
        Lexed::Words(words) => {
            let words: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
            words.join(" ").replace('\0', ",")
        }
        other => format!("{other:?}"),
    }
}

fn sentence(caller: Caller, line: &str) -> String {
    lex(caller, &words(line), &Sources::default())
        .unwrap_err()
        .message
}

#[test]
fn words_become_clean_words() {
    for (line, expected) in [
        ("-t a -m -x -q 1", "--topic=a --message=-x --qos=1"),
        (
            "-L mqtt://u:p@h:99/t",
            "--topic=t --username=u --pw=p --host=h --port=99",
        ),
        (
            "-L wss://h/t",
            "--topic=t --host=h --port=8883 --tls-use-os-certs --ws",
        ),
        (
            "-D will user-property -k -v -d",
            "--property=will,user-property,-k,-v --protocol-version=mqttv5 --debug",
        ),
        (
            "-x -1",
            "--session-expiry=4294967295 --protocol-version=mqttv5",
        ),
        ("-o file -n", "--null-message"),
        ("-m x --help", "Help"),
        ("--version -z", "Version"),
    ] {
        assert_eq!(clean(THEIRS, line, ""), expected, "{line}");
        assert_eq!(clean(OURS, line, ""), expected, "{line}");
    }
}

#[test]
fn our_own_manners() {
    assert_eq!(
        clean(OURS, "--qos=2 --url=mqtt://h/t --null-message", ""),
        "--qos=2 --topic=t --host=h --port=1883 --null-message"
    );
    assert_eq!(
        clean(OURS, "--property=publish content-type x=y", ""),
        "--property=publish,content-type,x=y --protocol-version=mqttv5"
    );
    assert_eq!(sentence(OURS, "--retain=1"), "--retain takes no value.");
}

#[test]
fn words_of_mqttx_cli() {
    let sub = Caller {
        program: Program::Subscribe,
        ..OURS
    };
    for (caller, line, expected) in [
        (
            OURS,
            "--hostname h -up a:1 b:2 -m x",
            "--host=h --property=publish,user-property,a,1 \
          --protocol-version=mqttv5 --property=publish,user-property,b,2 --protocol-version=mqttv5 \
          --message=x",
        ),
        (
            OURS,
            "-Cup k:v:w -se 9",
            "--property=connect,user-property,k,v:w \
          --protocol-version=mqttv5 --session-expiry=9 --protocol-version=mqttv5",
        ),
        (
            OURS,
            "-Wt w -Wm -x -Wr -Wd 3",
            "--will-topic=w --will-payload=-x --will-retain \
          --property=will,will-delay-interval,3 --protocol-version=mqttv5",
        ),
        (
            OURS,
            "-p 99 --protocol wss",
            "--port=8883 --port=99 --tls-use-os-certs --ws",
        ),
        (
            OURS,
            "-lm --no-clean -pf",
            "--stdin-line --disable-clean-session \
          --property=publish,payload-format-indicator,1 --protocol-version=mqttv5",
        ),
        (
            sub,
            "-rh 2 -nl",
            "--retain-handling=never --protocol-version=mqttv5 --no-local \
          --protocol-version=mqttv5",
        ),
    ] {
        let expected: Vec<&str> = expected.split_whitespace().collect();
        assert_eq!(clean(caller, line, ""), expected.join(" "), "{line}");
    }
}

#[test]
fn mistakes_with_words_of_mqttx_cli() {
    for (line, told) in [
        ("--hostname", "-h argument given but no host specified."),
        ("-up", "-up argument given but no value specified."),
        ("-up ab", "-up takes 'key: value', not 'ab'."),
        (
            "-ta 70000",
            "Property value (70000) out of range for property topic-alias.",
        ),
        (
            "--protocol http",
            "--protocol is mqtt, mqtts, ws or wss, not 'http'.",
        ),
        ("-lm -m x", "Only one type of message can be sent at once."),
        (
            "--ws-path mqtt",
            "--ws-path: a path starts with / and has no blanks: 'mqtt'",
        ),
    ] {
        assert_eq!(sentence(OURS, line), told, "{line}");
    }
    assert_eq!(sentence(THEIRS, "-up a:b"), "Unknown option '-up'.");
    assert_eq!(
        sentence(THEIRS, "--hostname h"),
        "Unknown option '--hostname'."
    );
}

#[test]
fn numbers_are_read_leniently_only_for_mosquitto() {
    assert_eq!(clean(THEIRS, "-q 1x -k 30s", ""), "--qos=1 --keepalive=30");
    assert_eq!(
        sentence(OURS, "-q 1x"),
        "-q needs a whole number, not '1x'."
    );
}

#[test]
fn the_leftmost_mistake_is_told() {
    assert_eq!(sentence(THEIRS, "-q 3 -z"), "Invalid QoS given: 3");
    assert_eq!(sentence(THEIRS, "-z -q 3"), "Unknown option '-z'.");
    assert_eq!(
        sentence(THEIRS, "-m a -m"),
        "Only one type of message can be sent at once."
    );
    assert_eq!(
        sentence(THEIRS, "-i a -I"),
        "-i and -I argument cannot be used together."
    );
    assert_eq!(
        sentence(THEIRS, "-D connect user-property k"),
        "--property argument given but not enough arguments specified."
    );
    assert_eq!(
        sentence(THEIRS, "--bind-address x"),
        "Unknown option '--bind-address'."
    );
}

#[test]
fn a_file_holds_an_option_a_line() {
    let file = "# no\n-t a b\r\n\n   -q  1\n-r \n-d";
    assert_eq!(
        clean(THEIRS, "-q 2", file),
        "--topic=a b --qos=1 --retain --debug --qos=2"
    );
}

#[test]
fn what_was_meant() {
    let hint = |line: &str| {
        lex(OURS, &words(line), &Sources::default())
            .unwrap_err()
            .hint
    };
    assert_eq!(hint("--retian").as_deref(), Some("--retain"));
    assert_eq!(hint("--wholly-unknown"), None);
    assert_eq!(hint("--v5").as_deref(), Some("-V 5"));
}
