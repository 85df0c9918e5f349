//! Client addresses: one spelling for each, wherever one is compared.
//!
//! Records keep an address in its canonical form, so everything that is compared with it (filters,
//! networks, values to ignore) is brought into that form first. An IPv4-mapped IPv6 address
//! (`::ffff:192.0.2.1`, as a dual-stack socket names an IPv4 client) is the IPv4 address.

use std::borrow::Cow;
use std::net::IpAddr;

/// The address a text spells, in canonical form; none when it is no address.
#[must_use]
pub fn parse(text: &str) -> Option<IpAddr> {
    text.parse::<IpAddr>().ok().map(|address| address.to_canonical())
}

/// The canonical spelling of an address, or of the address in front of a `|` (the value of an
/// identity of namespace `client`); anything else as it is.
#[must_use]
pub fn canonical(text: &str) -> Cow<'_, str> {
    let (front, rest) = text.split_at(text.find('|').unwrap_or(text.len()));
    match parse(front).map(|address| address.to_string()) {
        Some(address) if address != front => Cow::Owned(address + rest),
        _ => Cow::Borrowed(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_one_spelling() {
        for (text, expected) in [
            ("10.0.0.1", "10.0.0.1"),
            ("2001:DB8:0:0::1", "2001:db8::1"),
            ("2001:0db8:0000:0000:0000:0000:0000:0001", "2001:db8::1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("::FFFF:C000:0201", "192.0.2.1"),
            ("::192.0.2.1", "::c000:201"),
            ("2001:DB8::1|curl/8 | x", "2001:db8::1|curl/8 | x"),
            ("crawl-1.Example.com", "crawl-1.Example.com"),
            ("010.0.0.1", "010.0.0.1"),
            ("a|::1", "a|::1"),
            ("", ""),
        ] {
            assert_eq!(canonical(text), expected, "{text}");
        }
    }
}
