//! Messages of `tests/fixtures/protobuf/dev.proto`: whole ones, broken ones, and file after file that
//! describes nothing.

use super::*;
use crate::cli::encoding::from_hex;

const DEV: &[u8] = include_bytes!("../../../../tests/fixtures/protobuf/dev.binpb");

/// Every kind of field, as Google's own library wrote it.
const WHOLE: &str = "0a03c3bc3111000000000080354018ffffffffffffffffff0120012a070100feffffff0f\
    32100a0170120b08ffffffffffffffffff0132070a0171120210053a0d08fcffffffffffffffff011001420b0a05\
    696e6e65725a0208055202ff0060fbffffffffffffffff0168ffffffffffffffffff0170017dcdcccc3d8501ffff\
    ffff8901feffffffffffffff92010161920101629a010d01ffffffffffffffffff010007a00100a801ffffffffff\
    ffffffff01b201020801b20100";

fn reading(hex: &str) -> Result<String, String> {
    let decoder = Decoder::new(DEV, "dev.Reading").unwrap();
    let value = decoder.decode(&from_hex(hex.as_bytes()).unwrap())?;
    Ok(value.to_string())
}

#[test]
fn every_kind_of_field() {
    let (before, path) = (
        "{\"deviceId\":\"ü1\",\"value\":21.5,\"state\":\"FAULT\",\"unit\":\"KELVIN\",\
         \"trend\":[-1,0,2147483647],\"points\":{\"p\":{\"x\":-1},\"q\":{\"y\":-3}},\
         \"states\":{\"-4\":\"RUNNING\"},\"cause\":{\"deviceId\":\"inner\",\"at\":{\"x\":5}},\
         \"raw\":\"/wA=\",\"since\":\"-5\",\"serial\":\"18446744073709551615\",\"ok\":true,\
         \"share\":0.1,\"crc\":4294967295,\"offset\":\"-2\",\"tags\":[\"a\",\"b\"],\
         \"history\":[\"RUNNING\",\"FAULT\",\"UNKNOWN\",7],\"count\":0,\
         \"drift\":\"-9223372036854775808\",",
        "\"path\":[{\"x\":1},{}]}",
    );
    assert_eq!(reading(WHOLE), Ok(format!("{before}{path}")));
}

#[test]
fn fields_in_other_ways() {
    for (hex, json) in [
        ("", "{}"),
        // Lists that are not packed, and packed in pieces.
        ("28012802", "{\"trend\":[-1,1]}"),
        ("2a01012a0102", "{\"trend\":[-1,1]}"),
        ("2a00", "{\"trend\":[]}"),
        // The last of a scalar counts, a message comes in pieces.
        ("70017000", "{\"ok\":false}"),
        (
            "4202180142022001",
            "{\"cause\":{\"state\":\"RUNNING\",\"unit\":\"KELVIN\"}}",
        ),
        // Of a oneof the last that came counts.
        ("4a01615a00", "{\"at\":{}}"),
        ("5a0208054a0161", "{\"note\":\"a\"}"),
        // Halves of a pair, and the same key again.
        ("3a00", "{\"states\":{\"0\":\"UNKNOWN\"}}"),
        ("32030a0161", "{\"points\":{\"a\":{}}}"),
        ("3a0208013a0408011001", "{\"states\":{\"1\":\"RUNNING\"}}"),
        // Numbers JSON does not have, and an enum's that has no name.
        ("11000000000000f87f", "{\"value\":\"NaN\"}"),
        ("7d000080ff", "{\"share\":\"-Infinity\"}"),
        ("1863", "{\"state\":99}"),
        // Fields nobody described: all wire types.
        ("f00601f2060100f5060000000070 01", "{\"ok\":true}"),
        ("f106000000000000000 07001", "{\"ok\":true}"),
        ("f306f80601f4067001", "{\"ok\":true}"),
    ] {
        assert_eq!(reading(hex), Ok(json.to_owned()), "{hex}");
    }
}

#[test]
fn what_is_another_message() {
    for (hex, told) in [
        ("0801", "field 1 (deviceId) is a varint, not of a length"),
        ("1001", "field 2 (value) is a varint, not 64 bits"),
        ("1a0101", "field 3 (state) is of a length, not a varint"),
        ("2d00000000", "field 5 (trend) is 32 bits, not a varint"),
        ("4344", "field 8 (cause) is a group, not of a length"),
        ("0a01ff", "a Protobuf string that is not UTF-8"),
        ("0a0261", "the Protobuf message ends too early"),
        ("42030a0261", "the Protobuf message ends too early"),
        ("2a0180", "the Protobuf message ends too early"),
        ("f306", "the Protobuf message ends too early"),
        ("f406", "the end of a group that did not begin"),
        ("18ffffffffffffffffffff01", "more than ten bytes"),
        ("07", "a field with number 0"),
        ("0e", "wire type 6"),
    ] {
        let error = reading(hex).unwrap_err();
        assert!(error.contains(told), "{hex}: {error}");
    }
}

#[test]
fn no_cut_and_no_byte_panics() {
    let whole = from_hex(WHOLE.as_bytes()).unwrap();
    let decoder = Decoder::new(DEV, "dev.Reading").unwrap();
    for at in 0..whole.len() {
        let _ = decoder.decode(&whole[..at]);
        for byte in [0, 1, 4, 0x0b, 0x14, 0x7f, 0x80, 0xff] {
            let mut changed = whole.clone();
            changed[at] = byte;
            let _ = decoder.decode(&changed);
        }
    }
    for at in 0..DEV.len() {
        for byte in [0, 4, 0x0b, 0x80, 0xff] {
            let mut changed = DEV.to_vec();
            changed[at] = byte;
            if let Ok(decoder) = Decoder::new(&changed, "dev.Reading") {
                let _ = decoder.decode(&whole);
            }
        }
    }
}

#[test]
fn depth_has_an_end() {
    let nested = |levels: usize| {
        let mut bytes: Vec<u8> = Vec::new();
        for _ in 0..levels {
            let mut outer = vec![0x42];
            let mut len = bytes.len();
            while len >= 0x80 {
                outer.push(len as u8 | 0x80);
                len >>= 7;
            }
            outer.push(len as u8);
            outer.append(&mut bytes);
            bytes = outer;
        }
        bytes
    };
    let decoder = Decoder::new(DEV, "dev.Reading").unwrap();
    assert!(decoder.decode(&nested(DEPTH_MAX)).is_ok());
    assert_eq!(decoder.decode(&nested(DEPTH_MAX + 1)), Err(too_deep()));
    assert_eq!(decoder.decode(&nested(20_000)), Err(too_deep()));
}

#[test]
fn names_of_messages() {
    for name in ["dev.Reading", ".dev.Reading", "dev.Point"] {
        assert!(Decoder::new(DEV, name).is_ok(), "{name}");
    }
    let all = "dev.Point, dev.Reading";
    for (name, near) in [
        ("Reading", "dev.Reading"),
        ("dev.reading", "dev.Reading"),
        ("dev.Raeding", "dev.Reading"),
        ("dev.Pont", "dev.Point"),
        ("x", all),
        // An enum and a pair of a map are no messages to ask for.
        ("dev.State", all),
    ] {
        let told = Decoder::new(DEV, name).unwrap_err();
        assert_eq!(told, format!("no message '{name}' in it, but {near}"));
    }
}

#[test]
fn files_that_describe_nothing() {
    for file in [
        &b""[..],
        b"syntax = \"proto3\";",
        b"\xff",
        b"\x0a\x02\x12\x00",
        b"\x08\x01",
    ] {
        let told = Decoder::new(file, "dev.Reading").unwrap_err();
        assert!(told.starts_with("no descriptor set as protoc"), "{told}");
    }
    // A field whose message is in a file that was left out.
    let field = b"\x0a\x01a\x18\x01\x20\x01\x28\x0b\x32\x04.x.Y";
    let message = [b"\x0a\x01M\x12".as_slice(), &[field.len() as u8], field].concat();
    let file = [b"\x22".as_slice(), &[message.len() as u8], &message].concat();
    let set = [b"\x0a".as_slice(), &[file.len() as u8], &file].concat();
    let told = Decoder::new(&set, "M").unwrap_err();
    assert!(
        told.contains("x.Y is missing in it: --include_imports"),
        "{told}"
    );
}
