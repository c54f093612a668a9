//! A moment in local time, and strftime over it in the C locale.
//!
//! The calendar and the zone are jiff's; the letters are our own, because mosquitto's clients never
//! set a locale and scripts know `@c` and `@x` as C prints them.

use jiff::tz::TimeZone;

/// When a message arrived, on the wall and on the calendar.
#[derive(Clone, Debug)]
pub struct Moment {
    seconds: i64,
    nanoseconds: u32,
    /// UTC offset in seconds, and the zone's abbreviation (`CET`).
    offset: i32,
    zone: String,
    civil: jiff::civil::DateTime,
}

impl Moment {
    /// `seconds` and `nanoseconds` since 1970, seen in `zone`; beyond the calendar it is 1970.
    pub fn new(seconds: i64, nanoseconds: u32, zone: &TimeZone) -> Self {
        let timestamp = jiff::Timestamp::new(seconds, nanoseconds.min(999_999_999) as i32)
            .unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        let info = zone.to_offset_info(timestamp);
        Self {
            seconds,
            nanoseconds,
            offset: info.offset().seconds(),
            zone: info.abbreviation().to_owned(),
            civil: info.offset().to_datetime(timestamp),
        }
    }

    pub(crate) fn seconds(&self) -> i64 {
        self.seconds
    }

    pub(crate) fn nanoseconds(&self) -> u32 {
        self.nanoseconds
    }

    /// What strftime writes for `%{letter}`; a letter C does not know stays as it is.
    pub(crate) fn strftime(&self, letter: u8) -> String {
        let at = self.civil;
        let (weekday, yearday) = self.weekday_and_yearday();
        let (year, month, day) = (i32::from(at.year()), at.month(), at.day());
        let (hour, minute, second) = (at.hour(), at.minute(), at.second());
        let several = |letters: &str| letters.bytes().map(|l| self.part(l)).collect::<String>();
        match letter {
            b'a' => WEEKDAYS[weekday][..3].to_owned(),
            b'A' => WEEKDAYS[weekday].to_owned(),
            b'b' | b'h' => MONTHS[month as usize - 1][..3].to_owned(),
            b'B' => MONTHS[month as usize - 1].to_owned(),
            b'c' => several("a b e H:M:S Y"),
            b'C' => format!("{:02}", year.div_euclid(100)),
            b'd' => format!("{day:02}"),
            b'D' | b'x' => several("m/d/y"),
            b'e' => format!("{day:2}"),
            b'F' => several("Y-m-d"),
            b'g' => format!("{:02}", self.iso_week().0.rem_euclid(100)),
            b'G' => self.iso_week().0.to_string(),
            b'H' => format!("{hour:02}"),
            b'I' => format!("{:02}", twelve(hour)),
            b'j' => format!("{:03}", yearday + 1),
            b'k' => format!("{hour:2}"),
            b'l' => format!("{:2}", twelve(hour)),
            b'm' => format!("{month:02}"),
            b'M' => format!("{minute:02}"),
            b'n' => "\n".to_owned(),
            b'p' => if hour < 12 { "AM" } else { "PM" }.to_owned(),
            b'P' => if hour < 12 { "am" } else { "pm" }.to_owned(),
            b'r' => several("I:M:S p"),
            b'R' => several("H:M"),
            b's' => self.seconds.to_string(),
            b'S' => format!("{second:02}"),
            b't' => "\t".to_owned(),
            b'T' | b'X' => several("H:M:S"),
            b'u' => if weekday == 0 { 7 } else { weekday }.to_string(),
            b'U' => format!("{:02}", (yearday + 7 - weekday) / 7),
            b'V' => format!("{:02}", self.iso_week().1),
            b'w' => weekday.to_string(),
            b'W' => format!("{:02}", (yearday + 7 - (weekday + 6) % 7) / 7),
            b'y' => format!("{:02}", year.rem_euclid(100)),
            b'Y' => year.to_string(),
            b'z' => self.numeric_offset(),
            b'Z' => self.zone.clone(),
            b'%' => "%".to_owned(),
            _ => format!("%{}", char::from(letter)),
        }
    }

    /// One letter of a composed form; anything else stands for itself.
    fn part(&self, letter: u8) -> String {
        match letter {
            b' ' | b':' | b'/' | b'-' => char::from(letter).to_string(),
            _ => self.strftime(letter),
        }
    }

    /// Days since Sunday, and days since 1 January.
    fn weekday_and_yearday(&self) -> (usize, usize) {
        let date = self.civil.date();
        (
            date.weekday().to_sunday_zero_offset().unsigned_abs().into(),
            usize::from(date.day_of_year().unsigned_abs()) - 1,
        )
    }

    fn iso_week(&self) -> (i32, i8) {
        let week = self.civil.date().iso_week_date();
        (i32::from(week.year()), week.week())
    }

    fn numeric_offset(&self) -> String {
        let minutes = self.offset.unsigned_abs() / 60;
        let sign = if self.offset < 0 { '-' } else { '+' };
        format!("{sign}{:02}{:02}", minutes / 60, minutes % 60)
    }

    /// `2026-11-20T21:34:17+0000`, the `%I` of `-F`.
    pub(crate) fn iso(&self) -> String {
        ["F", "T", "z"]
            .map(|l| self.strftime(l.as_bytes()[0]))
            .into_iter()
            .enumerate()
            .fold(String::with_capacity(24), |mut out, (at, part)| {
                if at == 1 {
                    out.push('T');
                }
                out.push_str(&part);
                out
            })
    }

    /// `2026-11-20T21:34:16.539867+0000`, the `tst` of JSON.
    /// `14:02:11.318`, in local time.
    pub fn clock_millis(&self) -> String {
        format!(
            "{}.{:03}",
            self.strftime(b'T'),
            self.nanoseconds / 1_000_000
        )
    }

    pub(crate) fn iso_micros(&self) -> String {
        format!(
            "{}T{}.{:06}{}",
            self.strftime(b'F'),
            self.strftime(b'T'),
            self.nanoseconds / 1000,
            self.numeric_offset()
        )
    }
}

fn twelve(hour: i8) -> i8 {
    match hour % 12 {
        0 => 12,
        hour => hour,
    }
}

const WEEKDAYS: [&str; 7] = [
    "Sunday",
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
];

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn check(seconds: i64, zone: &TimeZone, expected: &[(u8, &str)]) {
        let moment = Moment::new(seconds, 5_000_001, zone);
        for (letter, text) in expected {
            assert_eq!(moment.strftime(*letter), *text, "%{}", char::from(*letter));
        }
    }

    /// Expected texts were printed by `TZ=UTC0 date -d @N +%X`.
    #[test]
    fn letters_as_c_writes_them() {
        check(
            1_735_689_599, // 2024-12-31 23:59:59 UTC
            &TimeZone::UTC,
            &[
                (b'a', "Tue"),
                (b'B', "December"),
                (b'c', "Tue Dec 31 23:59:59 2024"),
                (b'C', "20"),
                (b'D', "12/31/24"),
                (b'F', "2024-12-31"),
                (b'g', "25"),
                (b'G', "2025"),
                (b'I', "11"),
                (b'j', "366"),
                (b'p', "PM"),
                (b'r', "11:59:59 PM"),
                (b's', "1735689599"),
                (b'u', "2"),
                (b'U', "52"),
                (b'V', "01"),
                (b'W', "53"),
                (b'z', "+0000"),
                (b'Z', "UTC"),
                (b'%', "%"),
                (b'Q', "%Q"),
            ],
        );
        check(
            1_704_067_200, // 2024-01-01 00:00:00 UTC, a Monday
            &TimeZone::UTC,
            &[
                (b'U', "00"),
                (b'W', "01"),
                (b'V', "01"),
                (b'e', " 1"),
                (b'l', "12"),
                (b'k', " 0"),
            ],
        );
    }

    #[test]
    fn zones_west_of_greenwich() {
        let zone = TimeZone::fixed(jiff::tz::Offset::from_seconds(-(3 * 3600 + 1800)).unwrap());
        let moment = Moment::new(1_735_689_599, 539_867_123, &zone);
        assert_eq!(moment.iso(), "2024-12-31T20:29:59-0330");
        assert_eq!(moment.iso_micros(), "2024-12-31T20:29:59.539867-0330");
    }
}
