//! Scalars of our own: instants, whole numbers that outgrow `Int`, and networks.

use async_graphql::{InputValueError, InputValueResult, Scalar, ScalarType, Value};
use ipnet::{IpNet, Ipv4Net};
use jiff::SignedDuration;
use jiff::civil;
use spoor_api::lineage;
use spoor_operators::address;
use spoor_operators::time::EventTime;

/// Greatest whole number every JSON reader keeps exactly.
const SAFE_INTEGER_MAX: u64 = (1 << 53) - 1;

/// Bits in front of an IPv4 address in its IPv4-mapped IPv6 form.
const MAPPED_PREFIX_BITS: u8 = 96;

const EPOCH: civil::DateTime = civil::DateTime::constant(1970, 1, 1, 0, 0, 0, 0);

/// Reads an instant, or says what is wrong with it.
fn instant(text: &str) -> Result<EventTime, String> {
    let bytes = text.as_bytes();
    let number = |range: std::ops::Range<usize>, what: &str| {
        let digits = bytes.get(range).filter(|it| it.iter().all(u8::is_ascii_digit));
        let digits = digits.and_then(|it| std::str::from_utf8(it).ok());
        digits.and_then(|it| it.parse::<i16>().ok()).ok_or_else(|| format!("there is no {what}"))
    };
    let sign = |at: usize, signs: &[u8], what: &str| match bytes.get(at) {
        Some(byte) if signs.contains(byte) => Ok(()),
        _ => Err(format!("there is no {what}")),
    };
    let (year, month, day) = (number(0..4, "year")?, number(5..7, "month")?, number(8..10, "day")?);
    sign(4, b"-", "`-` after the year")?;
    sign(7, b"-", "`-` after the month")?;
    sign(10, b"Tt ", "time after the date")?;
    let (hour, minute) = (number(11..13, "hour")?, number(14..16, "minute")?);
    let second = number(17..19, "second")?;
    sign(13, b":", "`:` after the hour")?;
    sign(16, b":", "`:` after the minute")?;
    let (millis, at) = decimals(bytes, 19)?;
    let offset_minutes = match bytes.get(at) {
        Some(b'Z' | b'z') if bytes.len() == at + 1 => 0,
        Some(before @ (b'+' | b'-')) if bytes.len() == at + 6 => {
            sign(at + 3, b":", "`:` in the offset")?;
            let hours = number(at + 1..at + 3, "hour of the offset")?;
            let minutes = number(at + 4..at + 6, "minute of the offset")?;
            if hours > 23 || minutes > 59 {
                return Err("the offset is more than 23:59".into());
            }
            let minutes = i64::from(hours) * 60 + i64::from(minutes);
            if *before == b'-' { -minutes } else { minutes }
        }
        None => return Err("there is no offset (`Z`, or `+01:00`)".into()),
        Some(_) => return Err("the offset is neither `Z` nor like `+01:00`".into()),
    };
    let small = |number: i16| i8::try_from(number).unwrap_or(i8::MAX);
    let date = civil::Date::new(year, small(month), small(day))
        .map_err(|_| "there is no such day".to_owned())?;
    // A leap second is the last of its minute.
    let second = if second == 60 { 59 } else { second };
    let time = civil::Time::new(small(hour), small(minute), small(second), 0)
        .map_err(|_| "there is no such time of day".to_owned())?;
    let local = EPOCH.duration_until(date.to_datetime(time)).as_secs() * 1000 + millis;
    let at = EventTime(local - offset_minutes * 60_000);
    let known = (EventTime::MIN..=EventTime::MAX).contains(&at);
    if known { Ok(at) } else { Err("it is not in the years 1 to 9999".into()) }
}

/// Milliseconds behind a `.`, and where what follows begins.
fn decimals(bytes: &[u8], at: usize) -> Result<(i64, usize), String> {
    if bytes.get(at) != Some(&b'.') {
        return Ok((0, at));
    }
    let digits = bytes[at + 1..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    if digits == 0 {
        return Err("there are no digits after the `.`".into());
    }
    let place = |n: usize| bytes.get(at + 1 + n).filter(|_| n < digits).map_or(0, |b| b - b'0');
    let millis = (0..3).fold(0, |sum, n| sum * 10 + i64::from(place(n)));
    Ok((millis, at + 1 + digits))
}

/// An instant in UTC with milliseconds, as RFC 3339 writes it: `2026-11-23T20:33:00.000Z`. Input
/// may have another offset and another number of decimals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DateTime(pub EventTime);

/// An instant in UTC with milliseconds, as RFC 3339 writes it: `2026-11-23T20:33:00.000Z`. Input
/// may have another offset and another number of decimals.
#[Scalar(specified_by_url = "https://www.rfc-editor.org/rfc/rfc3339")]
impl ScalarType for DateTime {
    fn parse(value: Value) -> InputValueResult<Self> {
        let Value::String(text) = &value else { return Err(InputValueError::expected_type(value)) };
        instant(text).map(Self).map_err(|why| {
            InputValueError::custom(format!(
                "{why}; an instant is written as RFC 3339 has it, such as 2026-11-23T20:33:00Z"
            ))
        })
    }

    fn is_valid(value: &Value) -> bool {
        Self::parse(value.clone()).is_ok()
    }

    fn to_value(&self) -> Value {
        // Not `jiff::Timestamp`, which ends some hours before the year 9999 does.
        let at = EPOCH.checked_add(SignedDuration::from_millis(self.0.0));
        at.map_or(Value::Null, |at| Value::String(format!("{at:.3}Z")))
    }
}

impl From<EventTime> for DateTime {
    fn from(at: EventTime) -> Self {
        Self(at)
    }
}

/// A whole number of 64 bits. A JSON number while its size is below 2^53, which every reader keeps
/// exactly; a string of digits beyond that. Input may be either.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Long(pub i128);

/// A whole number of 64 bits. A JSON number while its size is below 2^53, which every reader keeps
/// exactly; a string of digits beyond that. Input may be either.
#[Scalar]
impl ScalarType for Long {
    fn parse(value: Value) -> InputValueResult<Self> {
        let number = match &value {
            Value::Number(number) => {
                number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from))
            }
            Value::String(text) => text.parse().ok(),
            _ => None,
        };
        let number = number.ok_or_else(|| InputValueError::expected_type(value))?;
        if (i128::from(i64::MIN)..=i128::from(u64::MAX)).contains(&number) {
            Ok(Self(number))
        } else {
            Err(InputValueError::custom("more than 64 bits"))
        }
    }

    fn is_valid(value: &Value) -> bool {
        Self::parse(value.clone()).is_ok()
    }

    fn to_value(&self) -> Value {
        match i64::try_from(self.0) {
            Ok(number) if number.unsigned_abs() <= SAFE_INTEGER_MAX => Value::from(number),
            _ => Value::String(self.0.to_string()),
        }
    }
}

impl Long {
    /// The number when it is not negative and fits.
    #[must_use]
    pub fn as_u64(self) -> Option<u64> {
        u64::try_from(self.0).ok()
    }
}

impl From<u64> for Long {
    fn from(number: u64) -> Self {
        Self(number.into())
    }
}

impl From<i64> for Long {
    fn from(number: i64) -> Self {
        Self(number.into())
    }
}

impl From<u32> for Long {
    fn from(number: u32) -> Self {
        Self(number.into())
    }
}

impl From<usize> for Long {
    fn from(number: usize) -> Self {
        Self(number as i128)
    }
}

/// A committed epoch and the store it belongs to. Hand it back as it was given, as `since` or
/// `atLeastEpoch`; it is opaque, so compare epochs by their numbers (`epoch`). It is only good for
/// the store and the history it came from: after a store is made again, restored from a backup, or
/// loses commits, older tokens are known as foreign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochToken(pub lineage::EpochToken);

/// A committed epoch and the store it belongs to. Hand it back as it was given, as `since` or
/// `atLeastEpoch`; it is opaque, so compare epochs by their numbers (`epoch`). It is only good for
/// the store and the history it came from: after a store is made again, restored from a backup, or
/// loses commits, older tokens are known as foreign.
#[Scalar]
impl ScalarType for EpochToken {
    fn parse(value: Value) -> InputValueResult<Self> {
        let refused = || InputValueError::custom("not an `epochToken` as the server gave it");
        let Value::String(text) = &value else { return Err(refused()) };
        text.parse().map(Self).map_err(|_| refused())
    }

    fn is_valid(value: &Value) -> bool {
        Self::parse(value.clone()).is_ok()
    }

    fn to_value(&self) -> Value {
        Value::String(self.0.to_string())
    }
}

/// A network such as `10.0.0.0/8` or `2001:db8::/32`; an address alone is a network of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cidr(pub IpNet);

/// A network such as `10.0.0.0/8` or `2001:db8::/32`; an address alone is a network of one.
#[Scalar(specified_by_url = "https://www.rfc-editor.org/rfc/rfc4632")]
impl ScalarType for Cidr {
    fn parse(value: Value) -> InputValueResult<Self> {
        let Value::String(text) = &value else { return Err(InputValueError::expected_type(value)) };
        let single = || address::parse(text).map(IpNet::from);
        let network = text.parse::<IpNet>().ok().or_else(single);
        network
            .map(|network| Self(unmapped(network).trunc()))
            .ok_or_else(|| InputValueError::custom("not a network such as 10.0.0.0/8"))
    }

    fn is_valid(value: &Value) -> bool {
        Self::parse(value.clone()).is_ok()
    }

    fn to_value(&self) -> Value {
        Value::String(self.0.to_string())
    }
}

/// A network of IPv4-mapped IPv6 addresses is the network of the IPv4 addresses.
fn unmapped(network: IpNet) -> IpNet {
    let IpNet::V6(six) = network else { return network };
    let four = six.addr().to_ipv4_mapped().zip(six.prefix_len().checked_sub(MAPPED_PREFIX_BITS));
    let four = four.and_then(|(address, bits)| Ipv4Net::new(address, bits).ok());
    four.map_or(network, IpNet::V4)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<S: ScalarType>(input: impl Into<Value>, expected: Option<&str>) {
        let found = S::parse(input.into()).ok().map(|scalar| scalar.to_value().to_string());
        assert_eq!(found.as_deref(), expected);
    }

    #[test]
    fn scalars_are_written_in_one_way() {
        check::<DateTime>("2026-11-23T21:33:00+01:00", Some("\"2026-11-23T20:33:00.000Z\""));
        check::<DateTime>("2026-11-23T20:33:00.1239Z", Some("\"2026-11-23T20:33:00.123Z\""));
        check::<DateTime>("9999-12-31T23:59:59.999Z", Some("\"9999-12-31T23:59:59.999Z\""));
        check::<DateTime>("0001-01-01T00:00:00Z", Some("\"0001-01-01T00:00:00.000Z\""));
        check::<DateTime>("1969-12-31t23:59:59.9999z", Some("\"1969-12-31T23:59:59.999Z\""));
        check::<DateTime>("2016-12-31T23:59:60Z", Some("\"2016-12-31T23:59:59.000Z\""));
        check::<DateTime>("2026-11-23", None);
        check::<DateTime>(5, None);
        check::<Long>(5, Some("5"));
        check::<Long>("-7", Some("-7"));
        check::<Long>(9_007_199_254_740_991_i64, Some("9007199254740991"));
        check::<Long>(9_007_199_254_740_992_i64, Some("\"9007199254740992\""));
        check::<Long>(u64::MAX, Some("\"18446744073709551615\""));
        check::<Long>("18446744073709551616", None);
        check::<Long>("x", None);
        let token = "5f0c3a9be1d24477-1042";
        check::<EpochToken>(token, Some("\"5f0c3a9be1d24477-1042\""));
        check::<EpochToken>(1042, None);
        check::<EpochToken>("1042", None);
        check::<Cidr>("10.1.2.3/8", Some("\"10.0.0.0/8\""));
        check::<Cidr>("::1", Some("\"::1/128\""));
        check::<Cidr>("2001:DB8:0::/32", Some("\"2001:db8::/32\""));
        check::<Cidr>("::ffff:192.0.2.1", Some("\"192.0.2.1/32\""));
        check::<Cidr>("::FFFF:192.0.2.1/120", Some("\"192.0.2.0/24\""));
        check::<Cidr>("::ffff:0:0/95", Some("\"::fffe:0:0/95\""));
        check::<Cidr>("10.0.0.0/33", None);
    }

    #[test]
    fn an_instant_that_is_refused_says_why() {
        for (text, why) in [
            ("", "no year"),
            ("2026", "no month"),
            ("2026-11-23", "no time after the date"),
            ("2026-11-23T20", "no minute"),
            ("2026-11-23T20:33:00", "no offset"),
            ("2026-11-23T20:33:00.Z", "no digits"),
            ("2026-11-23T20:33:00+25:00", "more than 23:59"),
            ("2026-11-23T20:33:00+0100", "neither"),
            ("2026-11-23T20:33:00Zx", "neither"),
            ("2026-02-30T20:33:00Z", "no such day"),
            ("2026-11-23T24:33:00Z", "no such time"),
            ("0001-01-01T00:00:00+01:00", "years 1 to 9999"),
            ("9999-12-31T23:59:59-01:00", "years 1 to 9999"),
            ("\u{e9}\u{e9}26-11-23T20:33:00Z", "no year"),
        ] {
            let refused = instant(text).unwrap_err();
            assert!(refused.contains(why), "{text}: {refused}");
        }
    }
}
