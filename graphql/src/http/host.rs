//! Which host names the server answers to: what keeps a page from reaching it by DNS rebinding.
//!
//! A page can have a name of its own point to this machine and then calls the server as its own
//! origin; only the `Host` a browser sends gives it away. So names have to be known: loopback names
//! are, and those that are configured. An address is always allowed, since no name was resolved; so
//! is a request without `Host`, which no browser sends.

use std::net::IpAddr;

use axum::http::header::HOST;
use axum::http::{HeaderMap, Uri};

/// Any host is allowed by this one.
const ANY: &str = "*";

/// The host a request must not ask for, if it does.
#[must_use]
pub fn refused(uri: &Uri, headers: &HeaderMap, allowed: &[String]) -> Option<String> {
    let of_header = headers.get_all(HOST).iter().map(|value| value.to_str().unwrap_or("?"));
    let of_address = uri.authority().map(axum::http::uri::Authority::as_str);
    let mut all = of_header.chain(of_address);
    all.find(|host| !is_allowed(host, allowed)).map(|host| name(host).to_owned())
}

fn is_allowed(host: &str, allowed: &[String]) -> bool {
    let host = name(host);
    is_address(host)
        || is_loopback(host)
        || allowed.iter().any(|known| known == ANY || known.eq_ignore_ascii_case(host))
}

/// A host without its port, and without the dot a full name may end with.
fn name(host: &str) -> &str {
    let bare = match host.rsplit_once(':') {
        Some((bare, port)) if port.bytes().all(|digit| digit.is_ascii_digit()) => bare,
        _ => host,
    };
    bare.strip_suffix('.').unwrap_or(bare)
}

fn is_address(host: &str) -> bool {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    match bare {
        Some(bare) => bare.parse::<std::net::Ipv6Addr>().is_ok(),
        None => host.parse::<IpAddr>().is_ok_and(|address| address.is_ipv4()),
    }
}

fn is_loopback(host: &str) -> bool {
    let host = host.to_ascii_lowercase();
    host == "localhost" || host.ends_with(".localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(hosts: &[&str], uri: &str, expected: Option<&str>) {
        let mut headers = HeaderMap::new();
        for host in hosts {
            headers.append(HOST, host.parse().unwrap());
        }
        let allowed = ["spoor.example".to_owned()];
        let found = refused(&uri.parse().unwrap(), &headers, &allowed);
        assert_eq!(found.as_deref(), expected, "{hosts:?} {uri}");
        assert_eq!(refused(&uri.parse().unwrap(), &headers, &[ANY.to_owned()]), None);
    }

    #[test]
    fn names_have_to_be_known_and_addresses_not() {
        for good in [
            "localhost",
            "LocalHost:8080",
            "localhost.",
            "spoor.localhost:80",
            "127.0.0.1:8080",
            "127.9.9.9",
            "10.1.2.3:8080",
            "[::1]:8080",
            "[fe80::1]",
            "spoor.example",
            "SPOOR.example.:443",
        ] {
            check(&[good], "/graphql", None);
        }
        check(&[], "/healthz", None);
        for (bad, named) in [
            ("evil.example", "evil.example"),
            ("evil.example:8080", "evil.example"),
            ("localhost.evil.example", "localhost.evil.example"),
            ("127.0.0.1.evil.example", "127.0.0.1.evil.example"),
            ("evilspoor.example", "evilspoor.example"),
            ("sub.spoor.example", "sub.spoor.example"),
            ("evil-localhost", "evil-localhost"),
            ("localhost:80:90", "localhost:80"),
            ("0x7f.1", "0x7f.1"),
            ("::1", ":"),
            ("", ""),
        ] {
            check(&[bad], "/graphql", Some(named));
        }
        check(&["localhost", "evil.example"], "/", Some("evil.example"));
        check(&["localhost"], "http://evil.example/graphql", Some("evil.example"));
        check(&["localhost"], "http://localhost:8080/graphql", None);
    }
}
