//! Who a certificate is for, as text: its common name, or its whole subject in the form of RFC 2253
//! (`CN=a,OU=b,O=c`, last part first), which is what access rules are written for.

use rustls::pki_types::CertificateDer;

use crate::net::tls::der::{Der, SEQUENCE};

const SET: u8 = 0x31;
const OBJECT: u8 = 0x06;
const VERSION: u8 = 0xa0;
const COMMON_NAME: &[u8] = &[0x55, 4, 3];

/// TABLE: the attributes that have a short name; others go by their number.
const ATTRIBUTES: &[(&[u8], &str)] = &[
    (COMMON_NAME, "CN"),
    (&[0x55, 4, 4], "SN"),
    (&[0x55, 4, 5], "serialNumber"),
    (&[0x55, 4, 6], "C"),
    (&[0x55, 4, 7], "L"),
    (&[0x55, 4, 8], "ST"),
    (&[0x55, 4, 9], "street"),
    (&[0x55, 4, 10], "O"),
    (&[0x55, 4, 11], "OU"),
    (&[0x55, 4, 12], "title"),
    (&[0x55, 4, 13], "description"),
    (&[0x55, 4, 17], "postalCode"),
    (&[0x55, 4, 41], "name"),
    (&[0x55, 4, 42], "GN"),
    (&[0x55, 4, 43], "initials"),
    (&[0x55, 4, 44], "generationQualifier"),
    (&[0x55, 4, 46], "dnQualifier"),
    (&[0x55, 4, 65], "pseudonym"),
    (
        &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 1],
        "emailAddress",
    ),
    (&[9, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 1], "UID"),
    (&[9, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 25], "DC"),
];

/// The first common name of the subject; `None` also where it holds a NUL or is no text.
pub(crate) fn common_name(certificate: &CertificateDer<'_>) -> Option<String> {
    let mut parts = Der(subject(certificate)?);
    while !parts.is_empty() {
        let mut set = Der(parts.take(SET)?);
        while !set.is_empty() {
            let (object, tag, value) = attribute(&mut set)?;
            if object == COMMON_NAME {
                return text(tag, value).filter(|name| !name.is_empty());
            }
        }
    }
    None
}

/// The whole subject.
pub(crate) fn subject_name(certificate: &CertificateDer<'_>) -> Option<String> {
    let mut parts = Der(subject(certificate)?);
    let mut written = Vec::new();
    while !parts.is_empty() {
        let mut set = Der(parts.take(SET)?);
        let mut one = Vec::new();
        while !set.is_empty() {
            let (object, tag, value) = attribute(&mut set)?;
            one.push(render(object, tag, value)?);
        }
        one.reverse();
        written.push(one.join("+"));
    }
    written.reverse();
    let name = written.join(",");
    (!name.is_empty()).then_some(name)
}

/// The Name of the subject (RFC 5280, §4.1).
fn subject<'a>(certificate: &'a CertificateDer<'_>) -> Option<&'a [u8]> {
    let mut outer = Der(Der(certificate.as_ref()).take(SEQUENCE)?);
    let mut inner = Der(outer.take(SEQUENCE)?);
    if inner.next_tag() == Some(VERSION) {
        inner.take(VERSION)?;
    }
    inner.any()?; // serial number
    for _algorithm_issuer_validity in 0..3 {
        inner.take(SEQUENCE)?;
    }
    inner.take(SEQUENCE)
}

fn attribute<'a>(set: &mut Der<'a>) -> Option<(&'a [u8], u8, &'a [u8])> {
    let mut both = Der(set.take(SEQUENCE)?);
    let object = both.take(OBJECT)?;
    let (tag, value) = both.any()?;
    Some((object, tag, value))
}

/// The text of a string type; `None` where it is none, or would end early in a C program.
fn text(tag: u8, value: &[u8]) -> Option<String> {
    let text = match tag {
        // UTF8String, NumericString, PrintableString, IA5String, VisibleString.
        12 | 18 | 19 | 22 | 26 => std::str::from_utf8(value).ok()?.to_owned(),
        // TeletexString is taken for Latin-1 by everybody.
        20 => value.iter().map(|&byte| char::from(byte)).collect(),
        // BMPString.
        30 => {
            let units = value
                .chunks_exact(2)
                .map(|two| u16::from_be_bytes([two[0], two[1]]));
            let text: Result<String, _> = char::decode_utf16(units).collect();
            text.ok().filter(|_| value.len().is_multiple_of(2))?
        }
        _ => return None,
    };
    (!text.contains('\0')).then_some(text)
}

fn render(object: &[u8], tag: u8, value: &[u8]) -> Option<String> {
    let known = ATTRIBUTES.iter().find(|(known, _)| *known == object);
    let Some((_, name)) = known else {
        let number = dotted(object)?;
        let mut hex = format!("{number}=#{tag:02X}{:02X}", u8::try_from(value.len()).ok()?);
        value.iter().for_each(|byte| hex += &format!("{byte:02X}"));
        return Some(hex);
    };
    let text = text(tag, value)?;
    let last = text.len().saturating_sub(1);
    let mut out = format!("{name}=");
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b',' | b'+' | b'"' | b'\\' | b'<' | b'>' | b';' => {
                out += &format!("\\{}", char::from(byte));
            }
            b'#' if at == 0 => out += "\\#",
            b' ' if at == 0 || at == last => out += "\\ ",
            0..=0x1f | 0x7f..=0xff => out += &format!("\\{byte:02X}"),
            _ => out.push(char::from(byte)),
        }
    }
    Some(out)
}

/// An object identifier in digits.
fn dotted(object: &[u8]) -> Option<String> {
    let mut numbers = Vec::new();
    let mut number: u64 = 0;
    for &byte in object {
        number = number.checked_mul(128)? + u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            numbers.push(number);
            number = 0;
        }
    }
    let (&first, rest) = numbers.split_first()?;
    let top = (first / 40).min(2);
    let mut out = format!("{top}.{}", first - 40 * top);
    rest.iter().for_each(|number| out += &format!(".{number}"));
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, DistinguishedName, DnType, DnValue, KeyPair};

    fn certificate(parts: &[(DnType, DnValue)]) -> CertificateDer<'static> {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.distinguished_name = DistinguishedName::new();
        for (kind, value) in parts {
            params.distinguished_name.push(kind.clone(), value.clone());
        }
        let key = KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().der().clone()
    }

    fn utf8(text: &str) -> DnValue {
        DnValue::Utf8String(text.to_owned())
    }

    #[test]
    fn subjects_are_written_last_part_first() {
        let check = |parts: &[(DnType, DnValue)], common: Option<&str>, subject: Option<&str>| {
            let certificate = certificate(parts);
            assert_eq!(common_name(&certificate).as_deref(), common);
            assert_eq!(subject_name(&certificate).as_deref(), subject);
        };
        check(
            &[
                (DnType::OrganizationName, utf8("Works")),
                (DnType::OrganizationalUnitName, utf8("Hall 3")),
                (DnType::CommonName, utf8("device 7")),
            ],
            Some("device 7"),
            Some("CN=device 7,OU=Hall 3,O=Works"),
        );
        check(
            &[(DnType::CommonName, utf8(" a,b+\"c\\<>;#\u{fc} "))],
            Some(" a,b+\"c\\<>;#\u{fc} "),
            Some("CN=\\ a\\,b\\+\\\"c\\\\\\<\\>\\;#\\C3\\BC\\ "),
        );
        let bmp = DnValue::BmpString("\u{fc}".try_into().unwrap());
        check(
            &[(DnType::CommonName, bmp)],
            Some("\u{fc}"),
            Some("CN=\\C3\\BC"),
        );
        let own = DnType::CustomDnType(vec![1, 2, 840, 99]);
        check(&[(own, utf8("ab"))], None, Some("1.2.840.99=#0C026162"));
        check(&[], None, None);
        check(&[(DnType::CommonName, utf8("a\0b"))], None, None);
    }

    #[test]
    fn a_spoiled_certificate_has_no_names_and_ends_nothing() {
        let whole = certificate(&[(DnType::CommonName, utf8("x"))]);
        for cut in 0..whole.len() {
            let part = CertificateDer::from(whole[..cut].to_vec());
            assert_eq!(subject_name(&part), None, "cut at {cut}");
        }
        for at in 0..whole.len() {
            let mut bytes = whole.to_vec();
            bytes[at] ^= 0x7f;
            let spoiled = CertificateDer::from(bytes);
            let _ = (subject_name(&spoiled), common_name(&spoiled));
        }
    }
}
