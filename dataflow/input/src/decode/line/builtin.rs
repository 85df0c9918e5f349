//! The formats of lines that are built in, by the format strings of those that write them.
//!
//! Their order is that of detection: a format that says more of a line comes before one that would
//! read it too.

use std::sync::{Arc, LazyLock};

use super::dialect::{self, Dialect};
use super::{LineFormat, Shape, Steps, template};
use crate::decode::record::Field;

/// A built-in format.
#[derive(Debug)]
struct Known {
    name: &'static str,
    dialect: Dialect,
    text: &'static str,
    /// Steps of a good line, if not all, and that more may follow.
    open: Option<usize>,
}

const fn apache(name: &'static str, text: &'static str, needed: usize) -> Known {
    Known { name, dialect: Dialect::Apache, text, open: Some(needed) }
}

const fn nginx(name: &'static str, text: &'static str, open: Option<usize>) -> Known {
    Known { name, dialect: Dialect::Nginx, text, open }
}

const COMBINED: &str = r#"%h %l %u %t "%r" %>s %b "%{Referer}i" "%{User-Agent}i""#;

/// Number of the fields a line of the common format has.
const COMMON_FIELDS: usize = 7;

/// Of formats that read as many lines, the first counts.
static KNOWN: [Known; 14] = [
    nginx(
        "ingress_nginx",
        r#"$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent" $request_length $request_time [$proxy_upstream_name] [$proxy_alternative_upstream_name] $upstream_addr $upstream_response_length $upstream_response_time $upstream_status $req_id"#,
        None,
    ),
    nginx(
        "ingress_nginx_real_ip",
        r#"$remote_addr - [$proxy_add_x_forwarded_for] - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent" $request_length $request_time [$proxy_upstream_name] [$proxy_alternative_upstream_name] $upstream_addr $upstream_response_length $upstream_response_time $upstream_status $req_id"#,
        None,
    ),
    nginx(
        "nginx_main",
        r#"$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent" "$http_x_forwarded_for""#,
        Some(usize::MAX),
    ),
    Known {
        name: "traefik",
        dialect: Dialect::Apache,
        text: r#"%h %l %u %t "%r" %>s %b "%{Referer}i" "%{User-Agent}i" %k "%{router}n" "%{server}n" %{ms}Tms"#,
        open: None,
    },
    apache("vhost_combined", r#"%v %h %l %u %t "%r" %>s %b "%{Referer}i" "%{User-Agent}i""#, 8),
    apache("no_ident", r#"%h %t "%r" %>s %b "%{Referer}i" "%{User-Agent}i""#, 5),
    Known {
        name: "istio",
        dialect: Dialect::Envoy,
        text: r#"[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% "%UPSTREAM_TRANSPORT_FAILURE_REASON%" %BYTES_RECEIVED% %BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" "%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%" %UPSTREAM_CLUSTER% %UPSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS% %REQUESTED_SERVER_NAME% %ROUTE_NAME%"#,
        open: None,
    },
    Known {
        name: "envoy",
        dialect: Dialect::Envoy,
        text: r#"[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% %RESPONSE_FLAGS% %BYTES_RECEIVED% %BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" "%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%""#,
        open: None,
    },
    Known {
        name: "haproxy",
        dialect: Dialect::Haproxy,
        text: r#"%ci:%cp [%tr] %ft %b/%s %TR/%Tw/%Tc/%Tr/%Ta %ST %B %CC %CS %tsc %ac/%fc/%bc/%sc/%rc %sq/%bq %hr %hs %{+Q}r"#,
        open: Some(usize::MAX),
    },
    Known {
        name: "alb",
        dialect: Dialect::Nginx,
        text: r#"$type $time_iso8601 $elb $remote_addr:$remote_port $target $part1 $part2 $part3 $status $target_status $request_length $bytes_sent "$request" "$http_user_agent" $ssl_cipher $ssl_protocol $group "$trace" "$domain" "$certificate" $priority $started"#,
        open: Some(usize::MAX),
    },
    Known {
        name: "elb",
        dialect: Dialect::Nginx,
        text: r#"$time_iso8601 $elb $remote_addr:$remote_port $target $part1 $part2 $part3 $status $target_status $request_length $bytes_sent "$request" "$http_user_agent" $ssl_cipher $ssl_protocol"#,
        open: Some(usize::MAX),
    },
    Known {
        name: "s3",
        dialect: Dialect::Nginx,
        text: r#"$owner $bucket [$time_local] $remote_addr $requester $id $operation $key "$request" $status $error $bytes_sent $size $total_ms $turn "$http_referer" "$http_user_agent""#,
        open: Some(usize::MAX),
    },
    apache("combined", COMBINED, COMMON_FIELDS),
    apache("forwarded_combined", COMBINED, COMMON_FIELDS + 1),
];

static FORMATS: LazyLock<Vec<Arc<LineFormat>>> =
    LazyLock::new(|| KNOWN.iter().map(compiled).map(Arc::new).collect());

/// Every built-in format of lines, in the order of detection.
#[must_use]
pub fn all() -> &'static [Arc<LineFormat>] {
    &FORMATS
}

/// The format of this name.
#[must_use]
pub fn shared(name: &str) -> Option<Arc<LineFormat>> {
    FORMATS.iter().find(|format| format.name() == name).cloned()
}

/// Combined, which common is the beginning of.
#[must_use]
pub fn combined() -> &'static LineFormat {
    static COMBINED: LazyLock<Arc<LineFormat>> =
        LazyLock::new(|| shared("combined").expect("it is in the list"));
    &COMBINED
}

fn compiled(known: &Known) -> LineFormat {
    let pieces = dialect::read(known.dialect, known.text).expect("a built-in format parses");
    let mut steps = template::steps(pieces).expect("a built-in format can be read back");
    adapt(known.name, &mut steps);
    if let Some(needed) = known.open {
        steps.open = true;
        steps.needed = needed.min(steps.steps.len());
    }
    LineFormat::of_steps(known.name, steps)
}

/// What the format strings cannot say.
fn adapt(name: &str, steps: &mut Steps) {
    match name {
        // Addresses the request came through: a list of addresses, maybe in quotes, and the peer, if another word is an address.
        "forwarded_combined" => {
            steps.steps[0].field = Field::Client;
            steps.steps[0].shape = Shape::Addresses;
            let peer =
                super::Step { before: b" ".to_vec(), field: Field::Ip, shape: Shape::Address };
            steps.steps.insert(1, peer);
        }
        "vhost_combined" => steps.steps[0].field = Field::Vhost,
        "s3" => set(
            steps,
            &[(12, Field::Skip), (13, Field::Duration(crate::decode::settings::TimeUnit::Ms))],
        ),
        "alb" | "elb" => {
            let part = || Field::DurationPart(crate::decode::settings::TimeUnit::S);
            let at = if name == "alb" { 6 } else { 5 };
            set(steps, &[(at, part()), (at + 1, part()), (at + 2, part())]);
            if name == "alb" {
                let last = steps.steps.len() - 1;
                set(steps, &[(last, Field::Started)]);
                steps.steps[last].shape = Shape::Word;
            } else {
                steps.steps.last_mut().expect("it has steps").shape = Shape::Word;
            }
        }
        _ => {}
    }
}

fn set(steps: &mut Steps, fields: &[(usize, Field)]) {
    for (at, field) in fields {
        steps.steps[*at].field = field.clone();
    }
}
