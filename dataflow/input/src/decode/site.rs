//! What an operator says of all inputs: which zone a time without one is in, and who the client of
//! a request is when proxies stand between.
//!
//! Addresses of a forwarding header are believed only from the right: each was written by the one
//! who sent the request on, so the first address that is no trusted proxy is the client, whatever
//! stands left of it. Without networks and without a number of hops, private addresses are trusted.

use std::net::IpAddr;
use std::sync::Once;

use ipnet::IpNet;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use spoor_operators::request::Request;
use spoor_operators::time::EventTime;
use std::borrow::Cow;

use super::timestamp::{self, Written};
use super::value;

/// Request header that keeps the peer, where the client is another.
pub const PEER: &str = "x-peer";
/// Request header with the addresses a request came through.
pub const FORWARDED_FOR: &str = "x-forwarded-for";
/// Most proxies in a row.
pub const HOPS_MAX: u32 = 64;

/// `[client_ip]`: who the client is behind proxies. Absent: the peer, or what a format declares.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClientIp {
    /// Request headers with the client's address or a list of addresses; the first that has one
    /// counts. Logs that write them as a field have them as header, such as `x-forwarded-for`.
    pub from: Vec<String>,
    /// Networks of proxies; absent, with `hops` absent too: private, loopback and link-local ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trusted: Option<Vec<IpNet>>,
    /// Number of proxies, the peer among them; instead of `trusted`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hops: Option<u32>,
}

impl ClientIp {
    /// Checks what types cannot say.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn check(&self) -> Result<(), String> {
        if self.trusted.is_some() && self.hops.is_some() {
            return Err("give `trusted` or `hops`, not both".into());
        }
        if self.from.is_empty() && (self.trusted.is_some() || self.hops.is_some()) {
            return Err("`from` has to name a header, such as \"x-forwarded-for\"".into());
        }
        match self.hops {
            Some(hops) if hops == 0 || hops > HOPS_MAX => {
                Err(format!("`hops` has to be 1 to {HOPS_MAX}"))
            }
            _ => Ok(()),
        }
    }

    fn trusts(&self, address: IpAddr) -> bool {
        match &self.trusted {
            Some(networks) => networks.iter().any(|network| network.contains(&address)),
            None => is_private(address),
        }
    }

    /// The client of a chain of addresses, the peer last.
    fn choose(&self, chain: &[IpAddr]) -> Option<IpAddr> {
        if let Some(hops) = self.hops {
            // With fewer addresses than proxies, the first is as near as it gets.
            let at = chain.len().saturating_sub(1 + hops as usize);
            return chain.get(at).copied();
        }
        let untrusted = chain.iter().rev().find(|address| !self.trusts(**address));
        untrusted.or_else(|| chain.first()).copied()
    }

    /// Sets the client of a record, and keeps the peer.
    fn apply(&self, request: &mut Request<'_>) {
        let headers = &request.request.headers;
        let list = self.from.iter().find_map(|name| {
            let (_, text) = headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name))?;
            let list: Vec<IpAddr> = value::addresses(text).collect();
            (!list.is_empty()).then_some(list)
        });
        let Some(mut chain) = list else { return };
        chain.extend(spoor_operators::address::parse(&request.ip));
        let Some(client) = self.choose(&chain) else { return };
        set_client(request, Cow::Owned(client.to_string()));
    }
}

/// Makes another the client of a record; the peer becomes a header.
pub(super) fn set_client<'a>(request: &mut Request<'a>, client: Cow<'a, str>) {
    if client == request.ip {
        return;
    }
    let peer = std::mem::replace(&mut request.ip, client);
    if !peer.is_empty() {
        request.request.headers.push((Cow::Borrowed(PEER), peer));
    }
}

fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            let shared = a == 100 && (64..128).contains(&b);
            v4.is_private() || v4.is_loopback() || v4.is_link_local() || shared
        }
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local(),
    }
}

/// `[input]`: what holds for every input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct InputConfig {
    /// IANA zone of times that say none.
    pub time_zone: String,
}

impl Default for InputConfig {
    fn default() -> Self {
        Self { time_zone: "UTC".into() }
    }
}

/// What holds for every input, ready to apply.
#[derive(Clone, Debug, Default)]
pub struct InputSettings {
    /// None: UTC.
    zone: Option<TimeZone>,
    client: Option<ClientIp>,
}

impl InputSettings {
    /// Of a configuration.
    ///
    /// # Errors
    /// What is wrong, in words that name the place.
    pub fn new(input: &InputConfig, client: &ClientIp) -> Result<Self, String> {
        client.check().map_err(|reason| format!("client_ip: {reason}"))?;
        let name = input.time_zone.as_str();
        let zone = match name {
            "UTC" => None,
            _ => Some(TimeZone::get(name).map_err(|_| {
                format!("input.time_zone: `{name}` is no IANA zone, such as Europe/Berlin")
            })?),
        };
        Ok(Self { zone, client: (!client.from.is_empty()).then(|| client.clone()) })
    }

    /// The instant of a time as a log writes it.
    pub(super) fn instant(&self, written: Written) -> Option<EventTime> {
        if written.zoned {
            return Some(written.at);
        }
        static SAID: Once = Once::new();
        SAID.call_once(|| {
            let zone = self.zone.as_ref().and_then(TimeZone::iana_name).unwrap_or("UTC");
            tracing::warn!("times without a zone are taken as {zone} ([input] time_zone)");
        });
        let Some(zone) = &self.zone else { return Some(written.at) };
        let local =
            TimeZone::UTC.to_datetime(jiff::Timestamp::from_millisecond(written.at.0).ok()?);
        let at = zone.to_timestamp(local).ok()?;
        timestamp::in_range(at.as_millisecond())
    }

    /// Whether there is anything to do to a record that was read.
    #[inline]
    pub(super) fn names_client(&self) -> bool {
        self.client.is_some()
    }

    /// Makes who the configuration says the client of a record.
    pub(super) fn name_client(&self, request: &mut Request<'_>) {
        if let Some(client) = &self.client {
            client.apply(request);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(from: &[&str], trusted: Option<&[&str]>, hops: Option<u32>) -> ClientIp {
        let networks = |list: &[&str]| list.iter().map(|text| text.parse().unwrap()).collect();
        let from = from.iter().map(|name| (*name).to_owned()).collect();
        ClientIp { from, trusted: trusted.map(networks), hops }
    }

    #[test]
    fn the_client_is_the_first_that_is_no_proxy_counted_from_the_right() {
        let check = |rule: &ClientIp, list: &'static str, peer: &'static str, expected: &str| {
            rule.check().unwrap();
            let mut request = Request { ip: peer.into(), ..Request::default() };
            request.request.headers.push((FORWARDED_FOR.into(), list.into()));
            rule.apply(&mut request);
            let kept = request.request.headers.iter().find(|(name, _)| name == PEER);
            let kept = kept.map_or("", |(_, peer)| peer);
            assert_eq!(format!("{} {kept}", request.ip), expected, "{list}");
        };
        let private = client(&["X-Forwarded-For"], None, None);
        check(&private, "203.0.113.9", "10.0.0.5", "203.0.113.9 10.0.0.5");
        check(&private, "198.51.100.1, 203.0.113.9, 10.1.1.1", "10.0.0.5", "203.0.113.9 10.0.0.5");
        check(&private, "203.0.113.9", "198.51.100.7", "198.51.100.7 ");
        check(&private, "10.0.0.9", "10.0.0.5", "10.0.0.9 10.0.0.5");
        check(&private, "-", "10.0.0.5", "10.0.0.5 ");
        check(&private, "unknown, [2001:db8::7]:443", "::1", "2001:db8::7 ::1");
        check(&private, "203.0.113.9:5000", "", "203.0.113.9 ");
        let named = client(&["x-forwarded-for"], Some(&["198.51.100.0/24"]), None);
        check(&named, "203.0.113.9, 10.0.0.1", "198.51.100.7", "10.0.0.1 198.51.100.7");
        let none = client(&["x-forwarded-for"], Some(&[]), None);
        check(&none, "203.0.113.9", "10.0.0.5", "10.0.0.5 ");
        let hops = client(&["x-forwarded-for"], None, Some(2));
        check(&hops, "6.6.6.6, 203.0.113.9, 10.1.1.1", "10.0.0.5", "203.0.113.9 10.0.0.5");
        check(&hops, "203.0.113.9", "10.0.0.5", "203.0.113.9 10.0.0.5");
        let other = client(&["cf-connecting-ip"], None, None);
        check(&other, "203.0.113.9", "10.0.0.5", "10.0.0.5 ");
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        for (rule, word) in [
            (client(&["x"], Some(&[]), Some(1)), "not both"),
            (client(&[], None, Some(1)), "`from`"),
            (client(&["x"], None, Some(0)), "1 to 64"),
        ] {
            assert!(rule.check().unwrap_err().contains(word));
        }
        let nowhere = InputConfig { time_zone: "Mars/Olympus".into() };
        assert!(InputSettings::new(&nowhere, &ClientIp::default()).is_err());
    }

    #[test]
    fn a_time_without_a_zone_is_in_the_configured_one() {
        let berlin = InputConfig { time_zone: "Europe/Berlin".into() };
        let berlin = InputSettings::new(&berlin, &ClientIp::default()).unwrap();
        let at = |text: &str| berlin.instant(timestamp::written(text.as_bytes()).unwrap());
        assert_eq!(at("2024-05-01 12:00:00"), Some(EventTime(1_714_557_600_000)));
        assert_eq!(at("2024-05-01T10:00:00Z"), Some(EventTime(1_714_557_600_000)));
    }
}
