//! Records of TLS past the handshake: whatever a client could seal, well or ill meant, over every suite.

use mqttx::net::tls::records::{Records, Taken};
use rustls::{AlertDescription, CipherSuite, Error};

use crate::support::chance::Chance;
use crate::support::sealer::{ALERT, DATA, FEW, HANDSHAKE, RECORD, SUITES, Sealer};

const TLS13: CipherSuite = CipherSuite::TLS13_AES_128_GCM_SHA256;
const TLS12: CipherSuite = CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256;

/// A KeyUpdate that wants none in return, and one that does.
const UPDATE: &[u8] = &[24, 0, 0, 1, 0];
const UPDATE_BOTH: &[u8] = &[24, 0, 0, 1, 1];

/// What comes of `sealed`, read by so many bytes at a time; and the broker's answers.
fn read_by(records: &mut Records, sealed: &[u8], size: usize) -> (Result<Vec<u8>, Error>, Vec<u8>) {
    let (mut plain, mut held, mut out) = (Vec::new(), Vec::new(), Vec::new());
    for part in sealed.chunks(size) {
        // As the worker has it: some room, what was held, what was read.
        let mut room = vec![0xaa; RECORD];
        room.append(&mut held);
        room.extend_from_slice(part);
        let end = room.len();
        let (Taken { filled, rest }, result) = records.read(&mut room, RECORD..end, &mut out);
        plain.extend_from_slice(&room[..filled]);
        held = room[rest..].to_vec();
        if let Err(error) = result {
            return (Err(error), out);
        }
    }
    (Ok(plain), out)
}

fn read(records: &mut Records, sealed: &[u8]) -> (Result<Vec<u8>, Error>, Vec<u8>) {
    read_by(records, sealed, sealed.len())
}

/// One write of these parts.
fn write(records: &mut Records, parts: &[&[u8]]) -> Vec<u8> {
    let size: usize = parts.iter().map(|part| part.len()).sum();
    let mut room = vec![0x55; size + 64 * (size / RECORD + 4)];
    let size = records.write(parts.iter().copied(), &mut room);
    room.truncate(size);
    room
}

/// `sealed` ends the connection, with this alert.
fn refused(
    suite: CipherSuite,
    what: &str,
    alert: AlertDescription,
    seal: impl Fn(&mut Sealer) -> Vec<u8>,
) {
    let (mut client, mut records) = Sealer::shaken(suite);
    let mut sealed = client.seal(DATA, b"before", 0);
    sealed.extend(seal(&mut client));
    let mut room = [&[0; RECORD][..], &sealed].concat();
    let (end, mut out) = (room.len(), Vec::new());
    let (taken, result) = records.read(&mut room, RECORD..end, &mut out);
    assert!(result.is_err(), "{what} over {suite:?}");
    assert!(room[..taken.filled].starts_with(b"before"), "{what}");
    let answers = client.open(&out);
    assert_eq!(
        answers,
        [(ALERT, vec![2, alert.into()])],
        "{what} over {suite:?}"
    );
    assert!(write(&mut records, &[b"more"]).is_empty(), "{what}");
    let mut out = Vec::new();
    records.close(&mut out);
    assert!(out.is_empty(), "{what} is the end");
}

#[test]
fn bytes_arrive_in_order_wherever_reads_and_records_end() {
    let mut chance = Chance::new(7);
    for suite in SUITES {
        for size in [1, 2, 7, 1_000, 16_406, 16_407, 131_072] {
            let (mut client, mut records) = Sealer::shaken(suite);
            let (mut sealed, mut sent) = (Vec::new(), Vec::new());
            let count = if size < 100 { 3 } else { 20 };
            for _ in 0..count {
                let most = if size < 100 { 40 } else { RECORD + 1 };
                let length = chance.below(most);
                let part = chance.bytes(length);
                let padding = chance.below(200.min(RECORD + 1 - length));
                sealed.extend(client.seal(DATA, &part, padding));
                sent.extend(part);
            }
            let (plain, out) = read_by(&mut records, &sealed, size);
            assert!(plain.unwrap() == sent, "{suite:?} by {size}");
            assert!(out.is_empty());
        }
    }
}

#[test]
fn a_read_reaches_to_the_end_of_a_record() {
    for suite in SUITES {
        let (mut client, mut records) = Sealer::shaken(suite);
        let sealed = client.seal(DATA, &[1; RECORD], 0);
        let record = sealed.len();
        assert_eq!(read(&mut records, &sealed).0, Ok(vec![1; RECORD]));
        for (held, plain, reach) in [
            (0, 1, record),
            (0, RECORD, record),
            (0, RECORD + 1, 2 * record),
            (5, RECORD, record - 5),
            (5, RECORD + 1, 2 * record - 5),
            (1, RECORD, record - 1),
            (record - 1, 1, 1),
        ] {
            assert_eq!(
                records.reach(&sealed[..held], plain),
                reach,
                "{suite:?} {held} {plain}"
            );
        }
        assert!(records.reach(&[], usize::MAX) >= usize::MAX / 2);
    }
}

#[test]
fn what_is_sent_fills_records_wherever_its_parts_end() {
    let mut chance = Chance::new(11);
    for suite in SUITES {
        let (mut client, mut records) = Sealer::shaken(suite);
        for round in 0..30 {
            let count = 1 + chance.below(6);
            let mut parts = Vec::new();
            for _ in 0..count {
                let length = [0, 1, 100, RECORD - 1, RECORD, RECORD + 1, 70_000][chance.below(7)];
                parts.push(chance.bytes(length));
            }
            let slices: Vec<&[u8]> = parts.iter().map(|part| &part[..]).collect();
            let sent = parts.concat();
            let opened = client.open(&write(&mut records, &slices));
            assert_eq!(opened.len(), sent.len().div_ceil(RECORD), "round {round}");
            assert!(opened.iter().all(|(typ, _)| *typ == DATA));
            let arrived: Vec<u8> = opened.into_iter().flat_map(|(_, plain)| plain).collect();
            assert!(arrived == sent, "{suite:?}, round {round}");
        }
    }
}

/// The same without a copy; `None` when it has to be written as usual.
fn write_apart(records: &mut Records, plain: &[u8]) -> Option<Vec<u8>> {
    let (mut room, mut around, mut sent) = (plain.to_vec(), Vec::new(), Vec::new());
    room.extend_from_slice(b"behind");
    if !records.seal_apart(&mut room, plain.len(), &mut around) {
        assert_eq!(room, [plain, b"behind"].concat());
        return None;
    }
    let (before, behind) = records.around();
    let mut around = &around[..];
    for record in room[..plain.len()].chunks(RECORD) {
        for (size, data) in [(before, record), (behind, &[])] {
            sent.extend_from_slice(&around[..size]);
            sent.extend_from_slice(data);
            around = &around[size..];
        }
    }
    assert!(around.is_empty());
    assert!(room.ends_with(b"behind"), "it is somebody else's");
    Some(sent)
}

#[test]
fn what_is_sealed_where_it_lies_is_a_row_of_records_like_any_other() {
    let mut chance = Chance::new(17);
    for suite in SUITES {
        let (mut client, mut records) = Sealer::shaken(suite);
        for size in [1, 100, RECORD - 1, RECORD, RECORD + 1, 3 * RECORD, 70_000] {
            let plain = chance.bytes(size);
            let apart = write_apart(&mut records, &plain).unwrap();
            assert!(apart != plain);
            let opened = client.open(&apart);
            assert!(opened.iter().all(|(typ, _)| *typ == DATA));
            let arrived: Vec<u8> = opened.into_iter().flat_map(|(_, plain)| plain).collect();
            assert!(arrived == plain, "{suite:?}, {size}");
            // The next records are numbered on.
            let copied = client.open(&write(&mut records, &[b"copied"]));
            assert_eq!(copied, [(DATA, b"copied".to_vec())]);
        }
        let mut full = vec![1; RECORD];
        assert!(!records.seal_apart(&mut full, RECORD, &mut Vec::new()));
        records.close(&mut Vec::new());
        assert_eq!(write_apart(&mut records, b"late"), None);
    }
}

#[test]
fn what_must_be_said_first_is_not_passed_by_what_is_sealed_where_it_lies() {
    let (mut client, mut records) = Sealer::shaken(TLS13);
    let wish = client.seal(HANDSHAKE, UPDATE_BOTH, 0);
    assert_eq!(read(&mut records, &wish).0, Ok(Vec::new()));
    assert_eq!(write_apart(&mut records, b"first"), None);
    let opened = client.open(&write(&mut records, &[b"first"]));
    assert_eq!(opened.last(), Some(&(DATA, b"first".to_vec())));
    assert_eq!(opened.len(), 2);
    assert!(write_apart(&mut records, b"second").is_some());
    for suite in SUITES {
        let (_, mut records) = Sealer::shaken_for_few(suite);
        let count = (0..2 * FEW).take_while(|_| write_apart(&mut records, b"more").is_some());
        assert!((count.count() as u64) < FEW, "as many as one key may seal");
    }
}

#[test]
fn what_was_altered_is_refused() {
    let mac = AlertDescription::BadRecordMac;
    for suite in SUITES {
        for place in [5, 12, 13, 20, 40, 52] {
            refused(suite, "an altered byte", mac, |client| {
                let mut sealed = client.seal(DATA, &[7; 32], 0);
                let place = place.min(sealed.len() - 1);
                sealed[place] ^= 1;
                sealed
            });
        }
        refused(suite, "a record again", mac, |client| {
            client.seal(DATA, b"x", 0).repeat(2)
        });
        refused(suite, "records in another order", mac, |client| {
            let first = client.seal(DATA, b"first", 0);
            [client.seal(DATA, b"second", 0), first].concat()
        });
        refused(suite, "a record that is too short", mac, |_| {
            vec![
                DATA, 3, 3, 0, 15, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
            ]
        });
        refused(suite, "a record of nothing", mac, |_| {
            vec![DATA, 3, 3, 0, 0]
        });
        refused(
            suite,
            "bytes behind the update of a key that are under the old one",
            mac,
            |client| {
                let update = client.seal(HANDSHAKE, UPDATE, 0);
                match client.tls_13 {
                    true => [update, client.seal(DATA, b"x", 0)].concat(),
                    false => vec![DATA, 3, 3, 0, 0],
                }
            },
        );
    }
    // The type is in the clear, and protected.
    refused(TLS12, "another type", mac, |client| {
        let mut sealed = client.seal(DATA, b"xx", 0);
        sealed[0] = ALERT;
        sealed
    });
}

#[test]
fn what_is_too_long_is_refused_from_its_head_on() {
    let overflow = AlertDescription::RecordOverflow;
    refused(TLS13, "a long record", overflow, |_| {
        vec![DATA, 3, 3, 0x41, 1]
    });
    refused(TLS12, "a long record", overflow, |_| {
        vec![DATA, 3, 3, 0x48, 1]
    });
    for suite in SUITES {
        refused(suite, "a byte too many", overflow, |client| {
            client.seal(DATA, &[1; RECORD + 1], 0)
        });
        refused(
            suite,
            "another protocol",
            AlertDescription::DecodeError,
            |_| b"GET / HTTP/1.1".to_vec(),
        );
    }
    refused(TLS13, "too much padding", overflow, |client| {
        client.seal(DATA, &[1; 100], RECORD - 99)
    });
    let (mut client, mut records) = Sealer::shaken(TLS13);
    let sealed = client.seal(DATA, &[1; 100], RECORD - 100);
    assert_eq!(
        read(&mut records, &sealed).0,
        Ok(vec![1; 100]),
        "as much as may be"
    );
}

#[test]
fn what_belongs_to_the_handshake_is_refused_behind_it() {
    let unexpected = AlertDescription::UnexpectedMessage;
    refused(TLS13, "a record in the clear", unexpected, |_| {
        vec![20, 3, 3, 0, 1, 1]
    });
    refused(TLS13, "an alert in the clear", unexpected, |_| {
        vec![ALERT, 3, 3, 0, 2, 2, 40]
    });
    refused(TLS13, "nothing but padding", unexpected, |client| {
        client.seal_inner(DATA, vec![0; 100])
    });
    refused(TLS13, "nothing at all", unexpected, |client| {
        client.seal_inner(DATA, Vec::new())
    });
    refused(TLS13, "a type nobody knows", unexpected, |client| {
        client.seal(24, b"x", 0)
    });
    for suite in [TLS13, TLS12] {
        refused(suite, "a change of cipher", unexpected, |client| {
            client.seal(20, &[1], 0)
        });
        refused(suite, "a message of no bytes", unexpected, |client| {
            client.seal(HANDSHAKE, &[], 0)
        });
        refused(suite, "a Finished", unexpected, |client| {
            client.seal(HANDSHAKE, &[20, 0, 0, 0], 0)
        });
        refused(
            suite,
            "half an alert",
            AlertDescription::DecodeError,
            |client| client.seal(ALERT, &[1], 0),
        );
        refused(
            suite,
            "two alerts",
            AlertDescription::DecodeError,
            |client| client.seal(ALERT, &[1, 90, 1, 90], 0),
        );
        refused(
            suite,
            "an alert of no level",
            AlertDescription::IllegalParameter,
            |client| client.seal(ALERT, &[3, 90], 0),
        );
    }
    refused(TLS13, "a ClientHello", unexpected, |client| {
        client.seal(HANDSHAKE, &[1, 0, 0, 0], 0)
    });
}

#[test]
fn keys_are_updated_by_either_side() {
    for suite in &SUITES[..3] {
        let (mut client, mut records) = Sealer::shaken(*suite);
        for round in 0..100 {
            let both = round % 3 == 0;
            let mut sealed = client.seal(DATA, b"one ", 0);
            sealed.extend(client.seal(HANDSHAKE, if both { UPDATE_BOTH } else { UPDATE }, 3));
            client.update();
            sealed.extend(client.seal(DATA, b"two", 0));
            let (plain, out) = read(&mut records, &sealed);
            assert_eq!((plain.unwrap(), out), (b"one two".to_vec(), Vec::new()));
            let opened = client.open(&write(&mut records, &[b"three"]));
            let answer = (HANDSHAKE, UPDATE.to_vec());
            let data = (DATA, b"three".to_vec());
            match both {
                true => assert_eq!(opened, [answer, data]),
                false => assert_eq!(opened, [data]),
            }
        }
    }
}

#[test]
fn an_update_of_the_key_may_come_in_parts_with_nothing_between_or_behind() {
    let (mut client, mut records) = Sealer::shaken(TLS13);
    let mut sealed = Vec::new();
    for byte in UPDATE {
        sealed.extend(client.seal(HANDSHAKE, &[*byte], 0));
    }
    client.update();
    sealed.extend(client.seal(DATA, b"x", 0));
    assert_eq!(read(&mut records, &sealed).0, Ok(b"x".to_vec()));
    let unexpected = AlertDescription::UnexpectedMessage;
    for (typ, between) in [(DATA, &b"x"[..]), (DATA, b""), (ALERT, &[1, 90])] {
        refused(TLS13, "something between", unexpected, |client| {
            let begin = client.seal(HANDSHAKE, &UPDATE[..3], 0);
            [begin, client.seal(typ, between, 0)].concat()
        });
    }
    refused(TLS13, "two updates at once", unexpected, |client| {
        client.seal(HANDSHAKE, &UPDATE.repeat(2), 0)
    });
    refused(
        TLS13,
        "neither yes nor no",
        AlertDescription::IllegalParameter,
        |client| client.seal(HANDSHAKE, &[24, 0, 0, 1, 2], 0),
    );
    refused(TLS12, "an update of the key", unexpected, |client| {
        client.seal(HANDSHAKE, UPDATE, 0)
    });
}

#[test]
fn floods_that_carry_nothing_end() {
    let kinds: [(u8, &[u8], bool); 4] = [
        (DATA, b"", false),
        (ALERT, &[1, 90], false),
        (HANDSHAKE, UPDATE, true),
        (HANDSHAKE, UPDATE_BOTH, true),
    ];
    for (typ, plain, updates) in kinds {
        let (mut client, mut records) = Sealer::shaken(TLS13);
        let flood = |client: &mut Sealer, records: &mut Records, count: usize| {
            let mut sealed = Vec::new();
            for _ in 0..count {
                sealed.extend(client.seal(typ, plain, 0));
                if updates {
                    client.update();
                }
            }
            read(records, &sealed)
        };
        for _ in 0..10 {
            let (result, out) = flood(&mut client, &mut records, 32);
            assert_eq!((result.unwrap(), out), (Vec::new(), Vec::new()));
            let sealed = client.seal(DATA, b"x", 0);
            assert_eq!(read(&mut records, &sealed).0, Ok(b"x".to_vec()));
        }
        // However many were asked for, one is given.
        let opened = client.open(&write(&mut records, &[b"y"]));
        assert_eq!(opened.len(), if plain == UPDATE_BOTH { 2 } else { 1 });
        let (result, out) = flood(&mut client, &mut records, 33);
        assert!(result.is_err(), "{typ} {plain:?}");
        let alert = vec![2, AlertDescription::UnexpectedMessage.into()];
        assert_eq!(client.open(&out), [(ALERT, alert)]);
    }
}

#[test]
fn there_is_one_handshake() {
    let (mut client, mut records) = Sealer::shaken(TLS12);
    let hello = [1, 0, 0, 4, 3, 3, 0, 0];
    let sealed = client.seal(HANDSHAKE, &hello, 0);
    let (result, out) = read(&mut records, &sealed);
    assert_eq!(result, Ok(Vec::new()));
    let answer = vec![1, AlertDescription::NoRenegotiation.into()];
    assert_eq!(client.open(&out), [(ALERT, answer)]);
    let opened = client.open(&write(&mut records, &[b"goes on"]));
    assert_eq!(opened, [(DATA, b"goes on".to_vec())]);
    let sealed = client.seal(HANDSHAKE, &hello, 0);
    let (result, out) = read(&mut records, &sealed);
    assert!(result.is_err(), "a client that insists");
    let alert = vec![2, AlertDescription::UnexpectedMessage.into()];
    assert_eq!(client.open(&out), [(ALERT, alert)]);
}

#[test]
fn alerts_of_the_client_end_the_connection_without_an_answer() {
    let internal: u8 = AlertDescription::InternalError.into();
    let cases: [(CipherSuite, [u8; 2], bool); 5] = [
        (TLS13, [2, internal], false),
        (TLS13, [1, internal], false),
        (TLS13, [1, 90], true),
        (TLS12, [2, internal], false),
        (TLS12, [1, internal], true),
    ];
    for (suite, alert, goes_on) in cases {
        let (mut client, mut records) = Sealer::shaken(suite);
        let sealed = [client.seal(ALERT, &alert, 0), client.seal(DATA, b"x", 0)].concat();
        let (result, out) = read(&mut records, &sealed);
        match goes_on {
            true => assert_eq!(result, Ok(b"x".to_vec())),
            false => assert_eq!(result, Err(Error::AlertReceived(alert[1].into()))),
        }
        assert!(out.is_empty());
    }
}

#[test]
fn behind_a_goodbye_nothing_is_read_and_nothing_said() {
    for suite in SUITES {
        let (mut client, mut records) = Sealer::shaken(suite);
        let mut sealed = client.seal(DATA, b"last", 0);
        sealed.extend(client.seal(ALERT, &[1, 0], 0));
        sealed.extend([DATA, 3, 3, 0xff, 0xff]);
        let (result, mut out) = read(&mut records, &sealed);
        assert_eq!((result, out.len()), (Ok(b"last".to_vec()), 0));
        assert!(records.is_closed());
        records.close(&mut out);
        records.close(&mut out);
        assert_eq!(client.open(&out), [(ALERT, vec![1, 0])], "once");
        assert!(write(&mut records, &[b"more"]).is_empty());
    }
}

#[test]
fn a_key_is_not_used_up() {
    for suite in &SUITES[..3] {
        let (mut client, mut records) = Sealer::shaken_for_few(*suite);
        let sent = vec![7; 40 * RECORD];
        let opened = client.open(&write(&mut records, &[&sent]));
        let mut since = 0;
        for (typ, plain) in &opened {
            since += 1;
            assert!(since <= FEW, "as many as one key may seal");
            if *typ == HANDSHAKE {
                assert_eq!(plain, UPDATE_BOTH);
                since = 0;
            }
        }
        let arrived: usize = opened
            .iter()
            .filter(|(typ, _)| *typ == DATA)
            .map(|(_, plain)| plain.len())
            .sum();
        assert_eq!(arrived, sent.len());
    }
    for suite in &SUITES[3..] {
        let (mut client, mut records) = Sealer::shaken_for_few(*suite);
        let opened = client.open(&write(&mut records, &[&vec![7; 40 * RECORD]]));
        // One was Finished; the last says goodbye.
        assert_eq!(opened.len() as u64, FEW - 1);
        assert_eq!(opened.last(), Some(&(ALERT, vec![1, 0])));
        assert!(write(&mut records, &[b"more"]).is_empty());
    }
}
