//! Visits: who sends the generated requests, step by step.
//!
//! A visit is one client for a while: a shopper with a cookie, an app that logs in and then shows
//! the token it got, an administrator, an agent, a crawler, a scanner. Everything about a user
//! follows from its number, so users come back as the same without being kept anywhere.

use std::fmt::Write as _;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::corpus::{
    AGENTS, BROWSERS, CRAWLERS, GRAPHQL_CLIENTS, LANGUAGES, MOBILE_APPS, OPERATIONS, PROBES, Probe,
    SCANNERS, STUFFERS, TOOLS, WORDS,
};
use super::line::{Address, Line};

/// What all visits share.
pub struct World {
    /// Seed of the whole run.
    pub seed: u64,
    /// Number of users.
    pub users: u32,
}

/// Addresses of the mobile carrier's gateways.
const GATEWAYS: u32 = 12;
/// Base of the address range of home connections: 81.0.0.0.
const HOMES: u32 = 0x5100_0000;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Shopper,
    MobileUser,
    Partner,
    Administrator,
    Agent,
    GraphqlUser,
    Crawler,
    Scanner,
    Stuffer,
    Probe,
}

/// How many of 100 visits are of which kind.
const MIX: [(Kind, u32); 10] = [
    (Kind::Shopper, 36),
    (Kind::MobileUser, 25),
    (Kind::Partner, 5),
    (Kind::Administrator, 4),
    (Kind::Agent, 6),
    (Kind::GraphqlUser, 12),
    (Kind::Crawler, 5),
    (Kind::Scanner, 2),
    (Kind::Stuffer, 2),
    (Kind::Probe, 3),
];

/// One client for a while.
pub struct Visit {
    kind: Kind,
    user: u32,
    /// Hash of the user: what is the same in each of its visits.
    traits: u64,
    /// Hash of the visit: what is new each time.
    nonce: u64,
    step: u32,
    steps: u32,
    token: String,
}

/// Finalizer of SplitMix64: numbers that look random from numbers that do not.
pub fn mix(mut x: u64) -> u64 {
    x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

fn pick<T: Copy>(of: &[T], by: u64) -> T {
    of[(by % of.len() as u64) as usize]
}

impl Visit {
    /// A new visit of a user: few come often, most seldom.
    pub fn begin(world: &World, rng: &mut ChaCha8Rng) -> Self {
        let uniform: f64 = rng.random();
        let user = ((uniform * uniform * f64::from(world.users)) as u32).min(world.users - 1);
        let mut at = rng.random_range(0..100);
        let mut kind = Kind::Shopper;
        for (candidate, weight) in MIX {
            if at < weight {
                kind = candidate;
                break;
            }
            at -= weight;
        }
        let steps = match kind {
            Kind::Crawler => rng.random_range(40..200),
            Kind::Scanner => rng.random_range(30..120),
            Kind::Stuffer => rng.random_range(50..250),
            Kind::Probe => 200,
            _ => 2 + (rng.random::<f64>().powi(2) * 38.0) as u32,
        };
        let traits = mix(world.seed ^ (u64::from(user) << 8) ^ kind as u64);
        let nonce = rng.random();
        Self { kind, user, traits, nonce, step: 0, steps, token: String::new() }
    }

    /// Fills in the next request; whether it was the last.
    pub fn step(&mut self, now_ms: i64, rng: &mut ChaCha8Rng, line: &mut Line) -> bool {
        line.duration_us = duration_us(rng);
        line.status = 200;
        match self.kind {
            Kind::Shopper => self.shop(rng, line),
            Kind::MobileUser => self.mobile(now_ms, rng, line),
            Kind::Partner => self.partner(rng, line),
            Kind::Administrator => self.admin(rng, line),
            Kind::Agent => self.agent(rng, line),
            Kind::GraphqlUser => self.graphql(rng, line),
            Kind::Crawler => self.crawl(rng, line),
            Kind::Scanner => self.scan(rng, line),
            Kind::Stuffer => self.stuff(rng, line),
            Kind::Probe => self.health(line),
        }
        if line.status >= 500 {
            line.duration_us *= 8;
        }
        self.step += 1;
        self.step >= self.steps
    }

    fn home(&self) -> Address {
        if self.traits.is_multiple_of(7) {
            return Address::V6((self.traits >> 16) as u32);
        }
        Address::V4(HOMES | (self.traits >> 24) as u32 & 0x00ff_ffff)
    }

    /// A browser with its cookies; a shopper keeps the session cookie from visit to visit.
    fn shop(&self, rng: &mut ChaCha8Rng, line: &mut Line) {
        open(line, "shop", "shop.example.com", "GET");
        line.agent = pick(&BROWSERS, self.traits & self.traits >> 5);
        line.address = Some(self.home());
        browser_headers(line, self.traits);
        let _ = write!(line.cookies, ",\"sid\":\"{:016x}{:08x}\"", self.traits, self.user);
        let product = rng.random_range(1000..1400_u32);
        match (self.step, rng.random_range(0..100)) {
            (0, _) => {
                line.path.push('/');
                line.cookies.clear();
                let set = ",\"set-cookie\":\"sid=";
                let _ = write!(line.response_headers, "{set}{:016x}{:08x}", self.traits, self.user);
                line.response_headers.push_str("; Path=/; HttpOnly\"");
            }
            (_, 0..30) => write_to(&mut line.path, format_args!("/products/{product}")),
            (_, 30..45) => {
                line.path.push_str("/search");
                let _ = write!(line.query, "q={}&page=1", pick(&WORDS, rng.random()));
            }
            (_, 45..65) => {
                let hash = mix(u64::from(product) % 9);
                write_to(&mut line.path, format_args!("/static/app.{hash:016x}.js"));
                line.status = if rng.random_range(0..3) == 0 { 304 } else { 200 };
            }
            (_, 65..72) => {
                line.method = "OPTIONS";
                line.path.push_str("/cart/items");
                line.status = 204;
            }
            (_, 72..84) => {
                line.method = "POST";
                line.path.push_str("/cart/items");
                line.status = 201;
                write_to(&mut line.body, format_args!("{{\"product\":{product},\"quantity\":1}}"));
            }
            (_, 84..88) => {
                line.method = "POST";
                line.path.push_str("/checkout");
                let total = f64::from(product) / 10.0;
                write_to(
                    &mut line.body,
                    format_args!("{{\"total\":{total:.2},\"currency\":\"EUR\"}}"),
                );
                line.status = if rng.random_range(0..12) == 0 { 502 } else { 200 };
            }
            (_, 88..92) => {
                write_to(&mut line.path, format_args!("/orders/{}", 50_000 + self.user));
            }
            (_, 92..94) => {
                write_to(&mut line.path, format_args!("/products/{}", product + 9000));
                line.status = 404;
            }
            _ => line.path.push_str("/products"),
        }
        line.response_bytes = if line.status == 304 { 0 } else { rng.random_range(900..60_000) };
    }

    /// The app: logs in, gets a token in the response's body, and shows it from then on. Hundreds
    /// of users share an address and a user agent: only the token tells them apart.
    fn mobile(&mut self, now_ms: i64, rng: &mut ChaCha8Rng, line: &mut Line) {
        open(line, "api", "api.example.com", "GET");
        line.agent = pick(&MOBILE_APPS, self.traits);
        line.address = Some(Address::V4(0x2518_0700 | ((self.traits >> 8) as u32 % GATEWAYS)));
        Line::put(&mut line.headers, "accept", "application/json");
        if self.token.is_empty() {
            self.log_in(now_ms, line);
            return;
        }
        line.headers.push_str(",\"authorization\":\"Bearer ");
        line.headers.push_str(&self.token);
        line.headers.push('"');
        match rng.random_range(0..100) {
            0..25 => write_to(&mut line.path, format_args!("/v1/users/{}", self.user)),
            25..45 => write_to(&mut line.path, format_args!("/v1/users/{}/orders", self.user)),
            45..60 => {
                let (high, low) = (mix(rng.random::<u64>() % 5000), self.traits);
                line.path.push_str("/v1/orders/");
                write_uuid(&mut line.path, high, low);
            }
            60..72 => {
                line.method = "POST";
                line.path.push_str("/v1/payments");
                let amount = rng.random_range(500..90_000_u32);
                write_to(
                    &mut line.body,
                    format_args!("{{\"amount\":{amount},\"currency\":\"EUR\"}}"),
                );
                line.status = pick(&[201, 201, 201, 201, 402, 503], rng.random());
            }
            // Somebody else's order: what broken object level authorization looks like.
            72..74 => {
                let other = self.user ^ 1;
                write_to(&mut line.path, format_args!("/v1/users/{other}/orders"));
                line.status = 403;
            }
            _ => {
                line.path.push_str("/v1/feed");
                let _ = write!(line.query, "limit=20&cursor={:x}", rng.random::<u32>());
            }
        }
        line.response_bytes = rng.random_range(200..9_000);
    }

    fn log_in(&mut self, now_ms: i64, line: &mut Line) {
        line.method = "POST";
        line.path.push_str("/v1/login");
        let user = self.user;
        write_to(
            &mut line.body,
            format_args!(
                "{{\"username\":\"user{user}\",\"password\":\"pw-{:08x}\"}}",
                self.traits >> 32
            ),
        );
        let expires = now_ms / 1000 + 3600;
        let role = if self.traits.is_multiple_of(20) { "merchant" } else { "customer" };
        self.token = jwt(user, role, expires, self.nonce);
        line.response_body.push_str("{\"access_token\":\"");
        line.response_body.push_str(&self.token);
        write_to(
            &mut line.response_body,
            format_args!(
                "\",\"token_type\":\"Bearer\",\"user\":{{\"id\":{user},\"role\":\"{role}\"}}}}"
            ),
        );
    }

    /// A partner's server: a key in the query, given out in a response before.
    fn partner(&self, rng: &mut ChaCha8Rng, line: &mut Line) {
        open(line, "api", "api.example.com", "GET");
        line.agent = "partner-sync/3.2 (+https://partner.example.net)";
        line.address = Some(Address::V4(0xc633_6400 | (self.traits % 9) as u32));
        Line::put(&mut line.headers, "accept", "application/json");
        let key = mix(self.nonce);
        if self.step == 0 {
            line.method = "POST";
            line.path.push_str("/v1/token");
            Line::put(
                &mut line.headers,
                "x-partner",
                pick(&["acme", "globex", "initech"], self.traits),
            );
            write_to(
                &mut line.response_body,
                format_args!("{{\"access_token\":\"pk_{key:016x}\"}}"),
            );
            return;
        }
        line.path.push_str("/v1/export");
        let page = self.step;
        write_to(&mut line.query, format_args!("token=pk_{key:016x}&page={page}"));
        line.response_bytes = rng.random_range(20_000..400_000);
        line.status = if rng.random_range(0..40) == 0 { 429 } else { 200 };
    }

    /// The back office: a session id from the response's body that comes back as a cookie.
    fn admin(&self, rng: &mut ChaCha8Rng, line: &mut Line) {
        open(line, "admin", "admin.example.com", "GET");
        line.agent = pick(&BROWSERS, self.traits >> 7);
        line.address = Some(Address::V4(0x0a14_0000 | (self.traits % 40) as u32));
        browser_headers(line, self.traits);
        let session = mix(self.nonce ^ 0xad);
        let clerk = self.traits % 25;
        if self.step == 0 {
            line.method = "POST";
            line.path.push_str("/auth/login");
            write_to(
                &mut line.body,
                format_args!("{{\"user\":\"clerk{clerk}\",\"otp\":\"000000\"}}"),
            );
            write_to(
                &mut line.response_body,
                format_args!("{{\"session\":\"{session:016x}\",\"role\":\"admin\"}}"),
            );
            return;
        }
        write_to(&mut line.cookies, format_args!(",\"JSESSIONID\":\"{session:016x}\""));
        Line::put(&mut line.headers, "x-role", if clerk < 5 { "superadmin" } else { "admin" });
        match rng.random_range(0..10) {
            0..5 => write_to(&mut line.path, format_args!("/users/{}", rng.random_range(0..2000))),
            5 => {
                line.method = "DELETE";
                write_to(&mut line.path, format_args!("/users/{}", rng.random_range(0..2000)));
                line.status = 204;
            }
            6..8 => {
                let report = mix(rng.random::<u64>() % 30);
                write_to(&mut line.path, format_args!("/reports/{report:016x}"));
            }
            _ => line.path.push_str("/users"),
        }
        line.response_bytes = rng.random_range(500..30_000);
    }

    /// An agent that speaks MCP over streamable HTTP.
    fn agent(&self, rng: &mut ChaCha8Rng, line: &mut Line) {
        open(line, "mcp", "mcp.example.com", "POST");
        line.agent = pick(&AGENTS, self.traits);
        line.address = Some(Address::V4(0x2d4f_0000 | (self.traits >> 20) as u32 & 0xffff));
        line.path.push_str("/mcp");
        Line::put(&mut line.headers, "accept", "application/json, text/event-stream");
        let number = self.step;
        if self.step == 0 {
            line.response_headers.push_str(",\"mcp-session-id\":\"");
            write_uuid(&mut line.response_headers, self.nonce, self.traits);
            line.response_headers.push('"');
            line.body.push_str("{\"jsonrpc\":\"2.0\",\"id\":0,\"method\":\"initialize\",\"params\":{\"protocolVersion\":\"2025-06-18\"}}");
            return;
        }
        line.headers.push_str(",\"mcp-session-id\":\"");
        write_uuid(&mut line.headers, self.nonce, self.traits);
        line.headers.push('"');
        let (tool, argument) = pick(&TOOLS, rng.random());
        let value = rng.random_range(0..5000_u32);
        write_to(
            &mut line.body,
            format_args!(
                "{{\"jsonrpc\":\"2.0\",\"id\":{number},\"method\":\"tools/call\",\"params\":{{\"name\":\"{tool}\",\"arguments\":{{\"{argument}\":\"{value}\"}}}}}}"
            ),
        );
        if tool == "read_file" && value < 900 {
            line.status = 403;
            detect(
                line,
                "prompt-injection",
                "tool-poisoning",
                "$request.mcp.arg#/path",
                "ignore previous instructions",
                true,
            );
        }
        line.response_bytes = rng.random_range(150..4_000);
    }

    /// The app on GraphQL, which names its session in a header.
    fn graphql(&self, rng: &mut ChaCha8Rng, line: &mut Line) {
        open(line, "graphql", "graph.example.com", "POST");
        line.agent = pick(&GRAPHQL_CLIENTS, self.traits);
        line.address = Some(self.home());
        line.path.push_str("/graphql");
        Line::put(&mut line.headers, "content-type", "application/json");
        write_to(&mut line.headers, format_args!(",\"x-session-id\":\"g{:016x}\"", self.nonce));
        let (operation, variable) = pick(&OPERATIONS, rng.random());
        let value = rng.random_range(1..500_u32);
        write_to(
            &mut line.body,
            format_args!(
                "{{\"operationName\":\"{operation}\",\"query\":\"query {operation} {{ __typename }}\",\"variables\":{{\"{variable}\":{value},\"userId\":{}}}}}",
                self.user
            ),
        );
        line.response_bytes = rng.random_range(300..15_000);
        if rng.random_range(0..60) == 0 {
            line.status = 500;
        }
    }

    fn crawl(&self, rng: &mut ChaCha8Rng, line: &mut Line) {
        open(line, "shop", "shop.example.com", "GET");
        line.agent = pick(&CRAWLERS, self.traits);
        line.address = Some(Address::V4(0x42f9_4200 | (self.traits >> 9) as u32 & 0x3f));
        Line::put(&mut line.headers, "accept", "*/*");
        Line::put(&mut line.headers, "from", "bot@example.org");
        let product = 1000 + self.step * 3 + (self.nonce % 50) as u32;
        match self.step {
            0 => line.path.push_str("/robots.txt"),
            1 => line.path.push_str("/sitemap.xml"),
            _ => write_to(&mut line.path, format_args!("/products/{product}")),
        }
        line.status = if product > 1400 { 404 } else { 200 };
        line.response_bytes = rng.random_range(2_000..40_000);
    }

    fn scan(&self, rng: &mut ChaCha8Rng, line: &mut Line) {
        let method = if rng.random_range(0..5) == 0 { "POST" } else { "GET" };
        let (app, host) =
            pick(&[("shop", "shop.example.com"), ("api", "api.example.com")], self.nonce);
        open(line, app, host, method);
        line.agent = pick(&SCANNERS, self.traits);
        line.address = Some(Address::V4(0xb94d_0000 | (self.nonce % 60) as u32));
        Line::put(&mut line.headers, "accept", "*/*");
        let Probe { kind, subtype, path, query, point, payload } = pick(&PROBES, rng.random());
        line.path.push_str(path);
        line.query.push_str(query);
        line.status = 404;
        if !kind.is_empty() {
            let blocked = rng.random_range(0..3) > 0;
            detect(line, kind, subtype, point, payload, blocked);
            line.status = if blocked { 403 } else { pick(&[200, 404, 500], rng.random()) };
            if rng.random_range(0..8) == 0 {
                line.attacks.push(',');
                detect(line, "scanner", "", "$client.user_agent", "", blocked);
            }
        }
        line.response_bytes = rng.random_range(100..700);
    }

    /// Logins with leaked passwords from a few addresses; hardly one of them works.
    fn stuff(&self, rng: &mut ChaCha8Rng, line: &mut Line) {
        open(line, "api", "api.example.com", "POST");
        line.agent = pick(&STUFFERS, self.nonce);
        line.address = Some(Address::V4(0x5bd0_0000 | (self.nonce % 20) as u32));
        line.path.push_str("/v1/login");
        Line::put(&mut line.headers, "content-type", "application/json");
        let (user, password) = (rng.random_range(0..100_000_u32), rng.random::<u32>());
        write_to(
            &mut line.body,
            format_args!("{{\"username\":\"user{user}\",\"password\":\"{password:08x}\"}}"),
        );
        line.status = pick(&[401, 401, 401, 401, 429], rng.random());
        line.response_body.push_str("{\"error\":\"invalid_credentials\"}");
        if self.step > 20 && rng.random_range(0..10) == 0 {
            let blocked = line.status == 429;
            detect(line, "credential-stuffing", "", "$request.body#/username", "", blocked);
        }
    }

    /// The load balancer's health check: no headers, no id.
    fn health(&self, line: &mut Line) {
        open(line, "api", "api.example.com", "GET");
        line.agent = "kube-probe/1.34";
        line.address = Some(Address::V4(0x0a00_0001 + (self.traits % 3) as u32));
        line.path.push_str("/healthz");
        line.with_id = false;
        line.response_bytes = 2;
    }
}

fn open(line: &mut Line, app: &'static str, host: &'static str, method: &'static str) {
    (line.app, line.host, line.method) = (app, host, method);
}

fn browser_headers(line: &mut Line, traits: u64) {
    Line::put(&mut line.headers, "accept", "text/html,application/json;q=0.9");
    Line::put(&mut line.headers, "accept-language", pick(&LANGUAGES, traits >> 11));
    Line::put(&mut line.headers, "sec-fetch-mode", "cors");
}

fn detect(line: &mut Line, kind: &str, subtype: &str, point: &str, payload: &str, blocked: bool) {
    let _ = write!(line.attacks, "{{\"type\":\"{kind}\"");
    for (name, value) in [("subtype", subtype), ("point", point), ("payload", payload)] {
        if !value.is_empty() {
            let _ = write!(line.attacks, ",\"{name}\":\"{value}\"");
        }
    }
    line.attacks.push_str(if blocked { ",\"blocked\":true}" } else { "}" });
    line.blocked |= blocked;
}

/// Writing into a string cannot fail.
fn write_to(text: &mut String, what: std::fmt::Arguments<'_>) {
    let _ = text.write_fmt(what);
}

fn write_uuid(text: &mut String, high: u64, low: u64) {
    let _ = write!(
        text,
        "{:08x}-{:04x}-4{:03x}-a{:03x}-{:012x}",
        high >> 32,
        high >> 16 & 0xffff,
        high & 0xfff,
        low >> 52,
        low & 0xffff_ffff_ffff
    );
}

/// Mostly a few milliseconds, with a long tail.
fn duration_us(rng: &mut ChaCha8Rng) -> u64 {
    let uniform: f64 = rng.random();
    (1_500.0 / (1.0 - uniform * 0.9995).powf(0.8)) as u64
}

/// A token as an identity provider makes it; the signature is only there to be long enough.
fn jwt(user: u32, role: &str, expires: i64, nonce: u64) -> String {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let mut token = String::from("eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.");
    let claims = format!("{{\"sub\":\"user{user}\",\"role\":\"{role}\",\"exp\":{expires}}}");
    URL_SAFE_NO_PAD.encode_string(claims, &mut token);
    token.push('.');
    let signature = [mix(nonce), mix(nonce ^ 1), mix(nonce ^ 2), mix(nonce ^ 3)];
    URL_SAFE_NO_PAD.encode_string(signature.map(u64::to_be_bytes).concat(), &mut token);
    token
}
