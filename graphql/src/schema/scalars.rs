//! Scalars of our own: instants, whole numbers that outgrow `Int`, and networks.

use async_graphql::{InputValueError, InputValueResult, Scalar, ScalarType, Value};
use ipnet::{IpNet, Ipv4Net};
use spoor_dataflow::lineage;
use spoor_operators::address;
use spoor_operators::time::EventTime;

/// Greatest whole number every JSON reader keeps exactly.
const SAFE_INTEGER_MAX: u64 = (1 << 53) - 1;

/// Bits in front of an IPv4 address in its IPv4-mapped IPv6 form.
const MAPPED_PREFIX_BITS: u8 = 96;

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
        let refused =
            || InputValueError::custom("not an RFC 3339 instant such as 2026-11-23T20:33:00Z");
        let at: jiff::Timestamp = text.parse().map_err(|_| refused())?;
        let at = EventTime(at.as_millisecond());
        if (EventTime::MIN..=EventTime::MAX).contains(&at) { Ok(Self(at)) } else { Err(refused()) }
    }

    fn is_valid(value: &Value) -> bool {
        Self::parse(value.clone()).is_ok()
    }

    fn to_value(&self) -> Value {
        let at = jiff::Timestamp::from_millisecond(self.0.0);
        at.map_or(Value::Null, |at| Value::String(format!("{at:.3}")))
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

/// A committed epoch together with which store committed it, to be handed back as it was given:
/// as `since` or `atLeastEpoch`. Opaque; epochs are compared by their numbers (`epoch`). A store
/// knows the epochs of its own past only: those of a store that was made anew, of the original of a
/// restored backup, or of a future that was lost are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochToken(pub lineage::EpochToken);

/// A committed epoch together with which store committed it, to be handed back as it was given:
/// as `since` or `atLeastEpoch`. Opaque; epochs are compared by their numbers (`epoch`). A store
/// knows the epochs of its own past only: those of a store that was made anew, of the original of a
/// restored backup, or of a future that was lost are told apart.
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
}
