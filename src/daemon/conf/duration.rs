//! The value of `persistent_client_expiration`: a number and a unit.

use std::time::Duration;

use crate::daemon::conf::value::{Kind, Trouble, word};

/// See the module.
pub enum Expiration {}

const UNITS: [(char, u64); 6] = [
    ('s', 1),
    ('h', 3_600),
    ('d', 86_400),
    ('w', 604_800),
    ('m', 2_592_000),
    ('y', 31_536_000),
];

impl Kind for Expiration {
    type Value = Duration;
    const FORM: &'static str = "NUMBER(s | h | d | w | m | y)";

    fn read(text: &str) -> Result<Duration, Trouble> {
        let text = word(text);
        let of_unit = |&(unit, seconds): &(char, u64)| {
            let number: u64 = text.strip_suffix(unit)?.parse().ok()?;
            number.checked_mul(seconds)
        };
        let seconds = UNITS
            .iter()
            .find_map(of_unit)
            .filter(|&seconds| seconds > 0);
        seconds.map(Duration::from_secs).ok_or_else(|| {
            let name = "persistent_client_expiration";
            Trouble::Said(format!(
                "Error: Invalid '{name}' duration in configuration."
            ))
        })
    }

    fn show(value: &Duration) -> String {
        format!("{}s", value.as_secs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_and_its_unit() {
        let check = |text: &str, seconds: Option<u64>| {
            assert_eq!(
                Expiration::read(text).ok().map(|time| time.as_secs()),
                seconds,
                "{text}"
            );
        };
        check("5s", Some(5));
        check("2h", Some(7_200));
        check("1d", Some(86_400));
        check("1w", Some(604_800));
        check("1m", Some(2_592_000));
        check("1y", Some(31_536_000));
        check("0d", None);
        check("-1d", None);
        check("10", None);
        check("d", None);
        check("99999999999999999999y", None);
        check("999999999999999999y", None);
    }
}
