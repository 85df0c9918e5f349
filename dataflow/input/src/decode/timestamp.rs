//! Instants as records write them: RFC 3339 text, the times of logs, and plain numbers.
//!
//! Fractions are cut, not rounded, to the millisecond. A leap second (`23:59:60` UTC) is the last
//! millisecond of its day, so that it never moves a request to the next day. What is outside the
//! years 1 to 9999 is refused. RFC 3339 allows lower-case `t` and `z`, and a space for the `T`.

use spoor_operators::time::{DAY_MS, EventTime};

/// An instant in milliseconds, if it is in the accepted range.
#[must_use]
pub fn in_range(millis: i64) -> Option<EventTime> {
    (EventTime::MIN.0..=EventTime::MAX.0).contains(&millis).then_some(EventTime(millis))
}

/// A number of `per_second` units since the Unix epoch, cut to the millisecond below.
#[must_use]
pub fn from_number(number: f64, per_second: f64) -> Option<EventTime> {
    let millis = (number / per_second * 1000.0).floor();
    // The range is checked before the cast, which is exact below 2^53.
    let known = millis >= EventTime::MIN.0 as f64 && millis <= EventTime::MAX.0 as f64;
    known.then_some(EventTime(millis as i64))
}

/// RFC 3339, such as `2024-02-29T23:59:59.123+05:30`.
#[must_use]
pub fn rfc3339(text: &[u8]) -> Option<EventTime> {
    let (head, mut rest) = text.split_first_chunk::<19>()?;
    let separators = [head[4], head[7], head[13], head[16]] == *b"--::";
    if !separators || !matches!(head[10], b'T' | b't' | b' ') {
        return None;
    }
    let date = Date {
        year: two(head[0], head[1])? * 100 + two(head[2], head[3])?,
        month: two(head[5], head[6])?,
        day: two(head[8], head[9])?,
    };
    let clock = [two(head[11], head[12])?, two(head[14], head[15])?, two(head[17], head[18])?];
    let mut fraction_ms = 0;
    if let Some(digits) = rest.strip_prefix(b".") {
        let len = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (digits, after) = digits.split_at(len);
        if digits.is_empty() {
            return None;
        }
        for at in 0..3 {
            fraction_ms =
                fraction_ms * 10 + digits.get(at).map_or(0, |digit| i64::from(digit - b'0'));
        }
        rest = after;
    }
    let offset_minutes = match *rest {
        [b'Z' | b'z'] => 0,
        [sign, h1, h2, b':', m1, m2] => offset_minutes(sign, [h1, h2, m1, m2])?,
        _ => return None,
    };
    instant(date, clock, fraction_ms, offset_minutes)
}

/// Access log time, such as `20/Feb/2016:00:00:45 -0500`.
#[must_use]
pub fn access_log(text: &[u8]) -> Option<EventTime> {
    let &[
        d1,
        d2,
        b'/',
        a,
        b,
        c,
        b'/',
        y1,
        y2,
        y3,
        y4,
        b':',
        h1,
        h2,
        b':',
        m1,
        m2,
        b':',
        s1,
        s2,
        b' ',
        sign,
        o1,
        o2,
        o3,
        o4,
    ] = text
    else {
        return None;
    };
    let date = Date {
        year: two(y1, y2)? * 100 + two(y3, y4)?,
        month: month_named([a, b, c])?,
        day: two(d1, d2)?,
    };
    let clock = [two(h1, h2)?, two(m1, m2)?, two(s1, s2)?];
    instant(date, clock, 0, offset_minutes(sign, [o1, o2, o3, o4])?)
}

/// A time as a log writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// The instant; without a zone, as if it were UTC.
    pub at: EventTime,
    /// Whether the text has a zone.
    pub zoned: bool,
}

/// Any spelling that logs use: ISO 8601 (`2024-02-29T23:59:59,123+0530`, a blank or `T`, `-` or `/`
/// in the date) and access log time (`20/Feb/2016:00:00:45.123 -0500`, a blank or `:` before the
/// hour). Fraction and zone may be missing.
#[must_use]
pub fn written(text: &[u8]) -> Option<Written> {
    let text = text.trim_ascii();
    let (date, rest) = match text {
        [d1, d2, b'/', a, b, c, b'/', y1, y2, y3, y4, b':' | b' ', rest @ ..] => {
            let year = two(*y1, *y2)? * 100 + two(*y3, *y4)?;
            (Date { year, month: month_named([*a, *b, *c])?, day: two(*d1, *d2)? }, rest)
        }
        [y1, y2, y3, y4, s1, m1, m2, s2, d1, d2, b'T' | b't' | b' ' | b':', rest @ ..]
            if s1 == s2 && matches!(s1, b'-' | b'/') =>
        {
            let year = two(*y1, *y2)? * 100 + two(*y3, *y4)?;
            (Date { year, month: two(*m1, *m2)?, day: two(*d1, *d2)? }, rest)
        }
        _ => return None,
    };
    let [h1, h2, b':', m1, m2, b':', s1, s2, rest @ ..] = rest else { return None };
    let clock = [two(*h1, *h2)?, two(*m1, *m2)?, two(*s1, *s2)?];
    let (fraction_ms, rest) = match rest {
        [b'.' | b',', digits @ ..] => fraction(digits)?,
        _ => (0, rest),
    };
    let (offset, zoned) = match rest.trim_ascii() {
        [] => (0, false),
        b"Z" | b"z" | b"UTC" | b"GMT" => (0, true),
        [sign, h1, h2] => (offset_minutes(*sign, [*h1, *h2, b'0', b'0'])?, true),
        [sign, h1, h2, m1, m2] | [sign, h1, h2, b':', m1, m2] => {
            (offset_minutes(*sign, [*h1, *h2, *m1, *m2])?, true)
        }
        _ => return None,
    };
    instant(date, clock, fraction_ms, offset).map(|at| Written { at, zoned })
}

/// Milliseconds of the digits behind a decimal sign, and what follows them.
fn fraction(text: &[u8]) -> Option<(i64, &[u8])> {
    let len = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, rest) = text.split_at(len);
    let digit = |at: usize| digits.get(at).map_or(0, |digit| i64::from(digit - b'0'));
    (!digits.is_empty()).then_some((digit(0) * 100 + digit(1) * 10 + digit(2), rest))
}

/// Numbers below this count seconds, a thousand times as many milliseconds, and so on: 10^11
/// seconds are the year 5138, 10^11 milliseconds 1973.
const SECONDS_BELOW: u64 = 100_000_000_000;

/// How many units of a number since the Unix epoch are a second, by its magnitude.
#[must_use]
pub fn per_second_of(magnitude: u64) -> i64 {
    match magnitude {
        0..SECONDS_BELOW => 1,
        _ if magnitude < SECONDS_BELOW * 1_000 => 1_000,
        _ if magnitude < SECONDS_BELOW * 1_000_000 => 1_000_000,
        _ => 1_000_000_000,
    }
}

/// A number as text since the Unix epoch, cut to the millisecond below; without `per_second`, in
/// the unit its magnitude tells.
#[must_use]
pub fn number(text: &str, per_second: Option<i64>) -> Option<EventTime> {
    // Integers exactly; a double would lose the last digits of nanoseconds.
    if let Ok(number) = text.parse::<i64>() {
        let per_second = per_second.unwrap_or_else(|| per_second_of(number.unsigned_abs()));
        return in_range(match per_second {
            1 => number.checked_mul(1000)?,
            many => number.div_euclid(many / 1000),
        });
    }
    let digit = |byte: u8| byte.is_ascii_digit() || b".+-eE".contains(&byte);
    let number: f64 = text.bytes().all(digit).then(|| text.parse().ok())??;
    let per_second = per_second.unwrap_or_else(|| per_second_of(number.abs() as u64));
    from_number(number, per_second as f64)
}

#[derive(Clone, Copy)]
struct Date {
    year: i64,
    month: i64,
    day: i64,
}

fn instant(
    date: Date,
    clock: [i64; 3],
    fraction_ms: i64,
    offset_minutes: i64,
) -> Option<EventTime> {
    let [hour, minute, second] = clock;
    if hour > 23 || minute > 59 || second > 60 || date.day < 1 || date.day > days_in_month(date)? {
        return None;
    }
    let minutes = days_since_epoch(date) * 1440 + hour * 60 + minute - offset_minutes;
    if second == 60 {
        let last_of_day = minutes.rem_euclid(1440) == 1439;
        return if last_of_day { in_range(minutes * 60_000 + 59_999) } else { None };
    }
    in_range(minutes * 60_000 + second * 1000 + fraction_ms)
}

#[inline]
fn two(tens: u8, ones: u8) -> Option<i64> {
    let (tens, ones) = (tens.wrapping_sub(b'0'), ones.wrapping_sub(b'0'));
    (tens < 10 && ones < 10).then_some(i64::from(tens) * 10 + i64::from(ones))
}

fn offset_minutes(sign: u8, [h1, h2, m1, m2]: [u8; 4]) -> Option<i64> {
    let (hours, minutes) = (two(h1, h2)?, two(m1, m2)?);
    if hours > 23 || minutes > 59 {
        return None;
    }
    match sign {
        b'+' => Some(hours * 60 + minutes),
        b'-' => Some(-(hours * 60 + minutes)),
        _ => None,
    }
}

fn month_named(name: [u8; 3]) -> Option<i64> {
    const NAMES: [&[u8; 3]; 12] = [
        b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov",
        b"Dec",
    ];
    NAMES.iter().position(|known| **known == name).map(|index| index as i64 + 1)
}

fn days_in_month(date: Date) -> Option<i64> {
    let leap = date.year % 4 == 0 && (date.year % 100 != 0 || date.year % 400 == 0);
    match date.month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => Some(31),
        4 | 6 | 9 | 11 => Some(30),
        2 => Some(if leap { 29 } else { 28 }),
        _ => None,
    }
}

/// Days from 1970-01-01 in the proleptic Gregorian calendar; years are shifted to begin in March,
/// so that the leap day is the last of its year.
fn days_since_epoch(date: Date) -> i64 {
    const DAYS_TO_EPOCH: i64 = 719_468;
    let year = date.year - i64::from(date.month <= 2);
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * ((date.month + 9) % 12) + 2) / 5 + date.day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - DAYS_TO_EPOCH
}

const _: () = assert!(DAY_MS == 1440 * 60_000);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(text: &str, expected: Option<i64>) {
        assert_eq!(rfc3339(text.as_bytes()).map(EventTime::millis), expected, "{text}");
    }

    #[test]
    fn rfc_3339_in_all_its_spellings() {
        check("1970-01-01T00:00:00Z", Some(0));
        check("1970-01-01t00:00:00z", Some(0));
        check("1970-01-01 00:00:00.001Z", Some(1));
        check("1969-12-31T23:59:59.9999Z", Some(-1));
        check("2024-02-29T12:00:00.5+05:30", Some(1_709_188_200_500));
        check("2024-02-29T12:00:00-00:00", Some(1_709_208_000_000));
        check("0001-01-01T00:00:00Z", Some(EventTime::MIN.0));
        check("9999-12-31T23:59:59.999Z", Some(EventTime::MAX.0));
        for bad in [
            "",
            "2024-02-30T00:00:00Z",
            "2023-02-29T00:00:00Z",
            "2024-13-01T00:00:00Z",
            "2024-00-01T00:00:00Z",
            "2024-01-00T00:00:00Z",
            "2024-01-01T24:00:00Z",
            "2024-01-01T00:60:00Z",
            "2024-01-01T00:00:00",
            "2024-01-01T00:00:00.Z",
            "2024-01-01T00:00:00+0100",
            "2024-01-01T00:00:00+24:00",
            "2024-01-01T00:00:00Zx",
            "2024-01-01",
            "0000-12-31T23:59:59Z",
            "0001-01-01T00:00:00+00:01",
            "9999-12-31T23:59:59-00:01",
            "+024-01-01T00:00:00Z",
        ] {
            check(bad, None);
        }
    }

    #[test]
    fn a_leap_second_is_the_last_millisecond_of_its_day() {
        check("2016-12-31T23:59:60Z", Some(1_483_228_799_999));
        check("2016-12-31T23:59:60.5Z", Some(1_483_228_799_999));
        check("2017-01-01T00:59:60+01:00", Some(1_483_228_799_999));
        check("2016-12-31T22:59:60Z", None);
    }

    #[test]
    fn access_log_time_has_its_own_order() {
        let at = |text: &str| access_log(text.as_bytes()).map(EventTime::millis);
        assert_eq!(at("20/Feb/2016:00:00:45 -0500"), Some(1_455_944_445_000));
        assert_eq!(at("17/May/2015:10:05:03 +0000"), Some(1_431_857_103_000));
        for bad in ["20/Feb/2016:00:00:45", "20/feb/2016:00:00:45 -0500", "", "-"] {
            assert_eq!(at(bad), None, "{bad}");
        }
    }

    #[test]
    fn logs_write_time_in_many_ways() {
        let second = 1_714_557_600_000;
        for (text, ms, zoned) in [
            ("2024-05-01T10:00:00Z", second, true),
            ("2024-05-01T12:00:00.747+0200", second + 747, true),
            ("2024-05-01T12:00:00+02", second, true),
            ("2024-05-01 10:00:00,5 +00:00", second + 500, true),
            ("2024-05-01 10:00:00", second, false),
            ("2024/05/01 10:00:00.9999", second + 999, false),
            ("01/May/2024:10:00:00 +0000", second, true),
            ("01/May/2024:05:30:00.123 -0430", second + 123, true),
            ("01/May/2024:10:00:00.655", second + 655, false),
            ("01/May/2024 10:00:00", second, false),
            ("01/May/2024:10:00:00 UTC", second, true),
        ] {
            let expected = Some(Written { at: EventTime(ms), zoned });
            assert_eq!(written(text.as_bytes()), expected, "{text}");
        }
        for bad in [
            "2024-05/01 10:00:00",
            "2024-05-01T10:00",
            "2024-05-01T10:00:00.Z",
            "2024-05-01T10:00:00+2:00",
            "01/may/2024:10:00:00",
            "May  1 10:00:00",
            "10:00:00",
        ] {
            assert_eq!(written(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn the_magnitude_of_a_number_tells_its_unit() {
        for (text, ms) in [
            ("1714557600", 1_714_557_600_000),
            ("1714557600.25", 1_714_557_600_250),
            ("1714557600250", 1_714_557_600_250),
            ("1714557600250999", 1_714_557_600_250),
            ("1714557600250999999", 1_714_557_600_250),
        ] {
            assert_eq!(number(text, None), Some(EventTime(ms)), "{text}");
        }
        assert_eq!(number("1714557600", Some(1000)), Some(EventTime(1_714_557_600)));
        for bad in ["", "inf", "nan", "1e400", "1 000", "0x10"] {
            assert_eq!(number(bad, None), None, "{bad}");
        }
    }

    #[test]
    fn numbers_count_from_the_epoch_in_their_unit() {
        assert_eq!(from_number(1.5, 1.0), Some(EventTime(1500)));
        assert_eq!(from_number(-0.5, 1000.0), Some(EventTime(-1)));
        assert_eq!(from_number(2e9, 1e9), Some(EventTime(2000)));
        assert_eq!(from_number(f64::NAN, 1.0), None);
        assert_eq!(from_number(1e300, 1.0), None);
    }

    proptest! {
        #[test]
        fn every_instant_reads_back(ts in EventTime::MIN.0..=EventTime::MAX.0, minutes in -1439_i64..1440) {
            let zone = jiff::tz::Offset::from_seconds(minutes as i32 * 60).unwrap();
            let at = jiff::Timestamp::from_millisecond(ts).unwrap();
            prop_assert_eq!(rfc3339(at.to_string().as_bytes()), Some(EventTime(ts)));
            let local = zone.to_datetime(at);
            if (0..=9999).contains(&local.year()) {
                let (sign, rest) = (if minutes < 0 { '-' } else { '+' }, minutes.abs());
                let text = format!("{local}{sign}{:02}:{:02}", rest / 60, rest % 60);
                prop_assert_eq!(rfc3339(text.as_bytes()), Some(EventTime(ts)), "{}", text);
                let text = local.strftime("%d/%b/%Y:%H:%M:%S").to_string();
                let text = format!("{text} {sign}{:02}{:02}", rest / 60, rest % 60);
                prop_assert_eq!(access_log(text.as_bytes()), Some(EventTime(ts.div_euclid(1000) * 1000)).filter(|at| *at >= EventTime::MIN));
            }
        }

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = (rfc3339(&bytes), access_log(&bytes), written(&bytes));
        }
    }
}
