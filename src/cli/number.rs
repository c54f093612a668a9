//! Numbers as C reads them: the leading part counts, the rest is dropped.
//!
//! mosquitto's clients read `-q 1x` as 1 and `-p x` as 0. Scripts rely on neither, but a drop-in
//! must not stop where the original went on. Under the name `mqttx` only whole numbers pass.

/// As `atoi`: blanks, a sign, digits; beyond the range of a C int it wraps.
pub(crate) fn leading_i32(text: &str) -> i32 {
    leading_i64(text) as i32
}

/// As `atol`: beyond the range it saturates.
pub(crate) fn leading_i64(text: &str) -> i64 {
    let text = text.trim_start_matches(is_c_space);
    let (negative, digits) = sign(text);
    let mut value: i64 = 0;
    for digit in digits.bytes().take_while(u8::is_ascii_digit) {
        value = value
            .saturating_mul(10)
            .saturating_add(i64::from(digit - b'0'));
    }
    if negative {
        value.saturating_neg()
    } else {
        value
    }
}

/// As `strtoll` with base 0, the whole text or nothing: decimal, `0x` hexadecimal, `0` octal.
pub(crate) fn whole_i64(text: &str) -> Option<i64> {
    let text = text.trim_start_matches(is_c_space);
    let (negative, digits) = sign(text);
    let (base, digits) = match digits.as_bytes() {
        [b'0', b'x' | b'X', _, ..] => (16, &digits[2..]),
        [b'0', _, ..] => (8, &digits[1..]),
        _ => (10, digits),
    };
    if digits.is_empty() {
        return None;
    }
    let mut value: i64 = 0;
    for digit in digits.chars() {
        let digit = i64::from(digit.to_digit(base)?);
        value = value.saturating_mul(i64::from(base)).saturating_add(digit);
    }
    Some(if negative {
        value.saturating_neg()
    } else {
        value
    })
}

/// As `atof`, for decimal numbers.
pub(crate) fn leading_f64(text: &str) -> f64 {
    let text = text.trim_start_matches(is_c_space);
    let bytes = text.as_bytes();
    let mut end = usize::from(matches!(bytes.first(), Some(b'+' | b'-')));
    let digits = |from: usize| {
        bytes[from..]
            .iter()
            .position(|byte| !byte.is_ascii_digit())
            .unwrap_or(bytes.len() - from)
    };
    end += digits(end);
    if bytes.get(end) == Some(&b'.') {
        end += 1 + digits(end + 1);
    }
    if matches!(bytes.get(end), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
        let exponent = bytes
            .get(end + 1 + sign..)
            .map_or(0, |_| digits(end + 1 + sign));
        if exponent > 0 {
            end += 1 + sign + exponent;
        }
    }
    text[..end].parse().unwrap_or(0.0)
}

fn sign(text: &str) -> (bool, &str) {
    match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    }
}

fn is_c_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\x0b' | '\x0c' | '\r')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leading_numbers() {
        for (text, expected) in [
            ("3", 3),
            (" \t-7x", -7),
            ("x", 0),
            ("", 0),
            ("+5", 5),
            ("99999999999", 1_215_752_191),
            ("-99999999999", -1_215_752_191),
        ] {
            assert_eq!(leading_i32(text), expected, "{text:?}");
        }
    }

    #[test]
    fn whole_numbers() {
        for (text, expected) in [
            ("10", Some(10)),
            ("0x10", Some(16)),
            ("010", Some(8)),
            ("0", Some(0)),
            ("-1", Some(-1)),
            ("", None),
            ("10s", None),
            ("08", None),
            ("0x", None),
            ("-", None),
        ] {
            assert_eq!(whole_i64(text), expected, "{text:?}");
        }
    }

    #[test]
    fn leading_fractions() {
        for (text, expected) in [
            ("1.5", 1.5),
            ("2.5s", 2.5),
            (".5", 0.5),
            ("1e2", 100.0),
            ("1e", 1.0),
            ("-0.5", -0.5),
            ("x", 0.0),
            ("1.", 1.0),
            ("", 0.0),
        ] {
            assert_eq!(leading_f64(text), expected, "{text:?}");
        }
    }
}
