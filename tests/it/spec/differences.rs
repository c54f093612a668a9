//! What a broker with a mosquitto.conf does otherwise than the standard has it, because mosquitto
//! does: every script that it must fail, under the reason. Those are the choices of
//! `Profile::MOSQUITTO` and the defaults of the file's directives.

/// Reasons, and the scripts that show them, by file and title.
const DIFFERENCES: [(&str, &[(&str, &str)]); 14] = [
    (
        "a copy for each overlapping Subscription",
        &[
            (
                "v3/publish.txt",
                "overlapping Subscriptions deliver one copy at the greatest QoS",
            ),
            (
                "v5/subscribe.txt",
                "overlapping Subscriptions deliver at the greatest QoS",
            ),
            (
                "v5/subscribe.txt",
                "overlapping Subscriptions deliver one copy",
            ),
            (
                "v5/subscribe.txt",
                "overlapping Subscriptions give all their identifiers",
            ),
            (
                "v5/subscribe.txt",
                "overlapping Subscriptions, one with No Local",
            ),
            (
                "v5/subscribe.txt",
                "the same identifier on two Subscriptions that match comes twice",
            ),
        ],
    ),
    (
        "more messages than the Receive Maximum are only counted",
        &[(
            "v5/delivery.txt",
            "a client beyond the server's Receive Maximum is told 0x93",
        )],
    ),
    (
        "max_packet_size is 2,000,000",
        &[
            (
                "v3/publish.txt",
                "payloads about the sizes where Remaining Length grows",
            ),
            (
                "v5/publish.txt",
                "payloads about the sizes where Remaining Length grows",
            ),
        ],
    ),
    (
        "max_inflight_messages is 20",
        &[(
            "v5/delivery.txt",
            "without Receive Maximum many messages are in flight",
        )],
    ),
    (
        "a second CONNECT ends the connection without a word",
        &[
            ("v5/connect.txt", "a second CONNECT is a Protocol Error"),
            (
                "v5/connect.txt",
                "a second CONNECT under another client id is a Protocol Error",
            ),
            (
                "v5/packets.txt",
                "the server sends no Session Expiry Interval in DISCONNECT",
            ),
            (
                "v5/packets.txt",
                "a Reason String that would make DISCONNECT too large is left out",
            ),
            ("v5/will.txt", "the Will is sent after a Protocol Error"),
        ],
    ),
    (
        "a Protocol Level that nobody has is refused in the words of version 5",
        &[(
            "v3/connect.txt",
            "a protocol level nobody supports is answered by return code 1",
        )],
    ),
    (
        "a Topic Alias of 0 is a Protocol Error",
        &[("v5/alias.txt", "alias 0")],
    ),
    (
        "most of what is wrong with a CONNECT is not answered",
        &[
            ("v5/connect-properties.txt", "U+0000 in a User Property"),
            (
                "v5/connect-properties.txt",
                "a User Property whose key is not UTF-8",
            ),
            (
                "v5/connect-properties.txt",
                "a User Property whose value is not UTF-8",
            ),
            ("v5/connect.txt", "Password Flag without a password"),
            ("v5/connect.txt", "U+0000 in the Will Topic"),
            ("v5/connect.txt", "U+0000 in the user name"),
            ("v5/connect.txt", "User Name Flag without a user name"),
            ("v5/connect.txt", "Will QoS 3"),
            ("v5/connect.txt", "Will QoS without Will Flag"),
            ("v5/connect.txt", "Will Retain without Will Flag"),
            ("v5/connect.txt", "a CONNECT without a client id"),
            ("v5/connect.txt", "a Will Topic has no wildcards"),
            ("v5/connect.txt", "a Will Topic that is not UTF-8"),
            ("v5/connect.txt", "a user name that is not UTF-8"),
            ("v5/connect.txt", "the reserved connect flag must be zero"),
        ],
    ),
    (
        "what is not UTF-8 in a property ends the connection without a word",
        &[
            ("v5/packets.txt", "a Reason String that is not UTF-8"),
            ("v5/publish.txt", "U+0000 in a Content Type"),
            ("v5/publish.txt", "a Content Type that is not UTF-8"),
            ("v5/publish.txt", "a Response Topic that is not UTF-8"),
            ("v5/publish.txt", "a User Property that is not UTF-8"),
        ],
    ),
    (
        "a Remaining Length of five bytes, a PINGREQ with a body end it so, too",
        &[
            ("v5/packets.txt", "a PINGREQ with a body"),
            ("v5/packets.txt", "a Remaining Length of five bytes"),
        ],
    ),
    (
        "PUBREC does not tell that nobody is subscribed",
        &[("v5/publish.txt", "nobody matches: PUBREC 0x10")],
    ),
    (
        "a Subscription Identifier of 0 is malformed",
        &[("v5/subscribe.txt", "Subscription Identifier 0")],
    ),
    (
        "unknown Packet Identifiers are not told (0x92)",
        &[
            (
                "v5/delivery.txt",
                "a PUBREL without its PUBLISH gets PUBCOMP 0x92",
            ),
            ("v5/delivery.txt", "a second PUBREL gets PUBCOMP 0x92"),
            (
                "v5/delivery.txt",
                "a PUBREC without its PUBLISH gets PUBREL 0x92",
            ),
            (
                "v5/delivery.txt",
                "a new Session knows no identifiers of the old one",
            ),
            (
                "v5/packets.txt",
                "Request Problem Information 0: no Reason String or User Property in acknowledgements",
            ),
        ],
    ),
    (
        "Client Identifiers of version 3.1 may have more than 23 characters",
        &[(
            "v3/connect.txt",
            "a client id of more than 23 characters is refused with 2",
        )],
    ),
];

/// What is wrong with the list, given the scripts that failed, by file and title.
pub(crate) fn faults(failed: &[(String, String)]) -> Vec<String> {
    let listed: Vec<(String, &str)> = DIFFERENCES
        .iter()
        .flat_map(|(_, scripts)| scripts.iter())
        .map(|(file, title)| (format!("tests/spec/{file}"), *title))
        .collect();
    let is = |one: &(String, &str), other: &(String, String)| one.0 == other.0 && one.1 == other.1;
    let new = failed
        .iter()
        .filter(|script| !listed.iter().any(|known| is(known, script)))
        .map(|(file, title)| format!("{file}: {title}: a difference that nobody has named"));
    let gone = listed
        .iter()
        .filter(|known| !failed.iter().any(|script| is(known, script)))
        .map(|(file, title)| format!("{file}: {title}: no difference any more"));
    new.chain(gone).collect()
}
