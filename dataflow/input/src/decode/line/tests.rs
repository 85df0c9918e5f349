//! Lines of every built-in format and of pasted ones, good and bad.

use proptest::prelude::*;

use super::*;
use spoor_api::codes::RefusalCode;

fn seen(line: &str) -> Result<String, RefusalCode> {
    seen_by(builtin::combined(), line)
}

fn seen_by(format: &LineFormat, line: &str) -> Result<String, RefusalCode> {
    let mut request = Request::default();
    let settings = InputSettings::default();
    format.read(line, &settings, &mut request).map_err(|refusal| refusal.code)?;
    let headers: Vec<String> =
        request.request.headers.iter().map(|(name, value)| format!("{name}={value}")).collect();
    Ok(format!(
        "{} {} {} {} {} {} {} {} {:?} {}",
        request.ts.0,
        request.ip,
        request.method,
        request.host,
        request.path,
        request.query,
        request.status,
        request.response_bytes,
        request.user_agent,
        headers.join(",")
    ))
}

fn check(line: &str, expected: Result<&str, RefusalCode>) {
    assert_eq!(seen(line), expected.map(str::to_owned), "{line}");
}

#[test]
fn lines_that_are_good() {
    let time = "[20/Feb/2016:00:00:45 -0500]";
    let ms = 1_455_944_445_000_i64;
    for (line, expected) in [
        (
            format!(
                r#"1.2.3.4 - - {time} "GET /a%20b?c=d HTTP/1.1" 200 187 "http://r/" "UA/1 (x)" extra "#
            ),
            format!(r#"{ms} 1.2.3.4 GET  /a%20b c=d 200 187 "UA/1 (x)" referer=http://r/"#),
        ),
        (
            format!(r#"h-1.example.com id jane doe {time} "get /" - - "-" "-""#),
            format!(r#"{ms} h-1.example.com GET  /  0 0 "" x-remote-user=jane doe"#),
        ),
        (
            format!(r#"- - - {time} "OPTIONS * HTTP/1.0" 200 -"#),
            format!(r#"{ms}  OPTIONS  *  200 0 "" "#),
        ),
        (
            format!(r#"::1 - - {time} "GET http://h:81/p?q HTTP/1.1" 499 0"#),
            format!(r#"{ms} ::1 GET h:81 /p q 499 0 "" "#),
        ),
        (
            format!(r#"::1 - - {time} "GET /a b" 200 5 "-" "say \"hi\" \\" x"#),
            format!(r#"{ms} ::1 GET  /a b  200 5 {:?} "#, r#"say \"hi\" \\"#),
        ),
        (
            format!(r#"::1 - - {time} "GET /\x22 HTTP/1.1" 200 5 "-" "cut off"#),
            format!(r#"{ms} ::1 GET  /\x22  200 5 "cut off" "#),
        ),
        (
            format!("::1 - - {time} \"GET /\u{fffd} HTTP/1.1\" 200 5 - \"an agent\"\r"),
            format!("{ms} ::1 GET  /\u{fffd}  200 5 \"an agent\" "),
        ),
        (
            format!(r#"::1 - - {time} "GET  /two HTTP/1.1" 200 5"#),
            format!(r#"{ms} ::1 GET   /two  200 5 "" "#),
        ),
    ] {
        check(&line, Ok(&expected));
    }
}

#[test]
fn lines_that_are_bad_and_why() {
    let time = "[20/Feb/2016:00:00:45 -0500]";
    for (line, code) in [
        ("".to_owned(), RefusalCode::BadLine),
        ("{}".to_owned(), RefusalCode::BadLine),
        (format!(r#"1.2.3.4 - - {time} "GET / HTTP/1.1" 200"#), RefusalCode::BadLine),
        (format!(r#"1.2.3.4 - - {time} GET / 200 1"#), RefusalCode::BadLine),
        (format!(r#"1.2.3.4 - {time} "GET / HTTP/1.1" 200 1"#), RefusalCode::BadLine),
        (format!(r#"1.2.3.4 - - {time} "GET / HTTP/1.1"#), RefusalCode::BadLine),
        (format!(r#"1.2.3.4 - - {time} "-" 408 0"#), RefusalCode::BadField),
        (format!(r#"1.2.3.4 - - {time} "GET HTTP/1.1" 400 0"#), RefusalCode::BadField),
        (format!(r#"1.2.3.4 - - {time} "\x16\x03\x01" 400 0"#), RefusalCode::BadField),
        (format!(r#"1.2.3.4 - - {time} "" 400 0"#), RefusalCode::BadField),
        (format!(r#"1.2.3.4 - - {time} "GET / HTTP/1.1" +20 0"#), RefusalCode::BadLine),
        (format!(r#"* - - {time} "GET / HTTP/1.1" 200 1"#), RefusalCode::BadField),
        (format!(r#"word 1.2.3.4 - - {time} "GET / HTTP/1.1" 200 1"#), RefusalCode::BadField),
        (
            format!(r#"word client.example - - {time} "GET / HTTP/1.1" 200 1"#),
            RefusalCode::BadField,
        ),
        (
            format!(r#"May  1 10:00:00 h nginx: 1.2.3.4 - - {time} "GET / HTTP/1.1" 200 1"#),
            RefusalCode::BadField,
        ),
        (r#"1.2.3.4 - - [today] "GET / HTTP/1.1" 200 1"#.to_owned(), RefusalCode::BadField),
    ] {
        check(&line, Err(code));
    }
}

/// What is read of a line by a format: time, client, peer, method, host, path, query, status, bytes
/// of request and response, milliseconds, user agent.
fn read_by(format: &LineFormat, line: &str) -> String {
    let mut request = Request::default();
    let done = format.read(line, &InputSettings::default(), &mut request);
    if let Err(refusal) = done {
        return format!("{}: {}", refusal.code, refusal.reason);
    }
    let header = |name: &str| {
        let found = request.request.headers.iter().find(|(known, _)| known == name);
        found.map_or("", |(_, value)| value)
    };
    format!(
        "{} {}<{} {} {} {} {} {} {}/{} {} {:?}{}",
        request.ts.0 - 1_714_557_600_000,
        request.ip,
        header("x-peer"),
        request.method,
        request.host,
        request.path,
        request.query,
        request.status,
        request.request_bytes,
        request.response_bytes,
        request.duration_ns.map_or(-1, |ns| (ns / 1_000_000) as i64),
        request.user_agent,
        if request.repaired { " repaired" } else { "" },
    )
}

fn check_built_in(name: &str, lines: &[(&str, &str)]) {
    let format = builtin::shared(name).unwrap();
    for (line, expected) in lines {
        assert_eq!(read_by(&format, line), *expected, "{name}: {line}");
    }
}

#[test]
fn the_formats_of_apache_and_nginx() {
    check_built_in(
        "combined",
        &[
            (
                r#"203.0.113.9 - - [01/May/2024:10:00:00 +0000] "GET /a HTTP/1.1" 200 100 "-" "App "Gold" 5.0 (x)""#,
                r#"0 203.0.113.9< GET  /a  200 0/100 -1 "App \"Gold\" 5.0 (x)""#,
            ),
            (
                r#"[2001:db8::7]:443 - - [01/May/2024:12:00:00.25 +0200] "GET /a?q="x" HTTP/1.1" 200 1 "http://r/"q"" "App/9" more"#,
                r#"250 2001:db8::7< GET  /a q="x" 200 0/1 -1 "App/9""#,
            ),
            (
                r#"unix: - - [2024-05-01T10:00:01Z] "POST /../../etc/passwd HTTP/1.1" 404 - "C:\tmp\" "App/10""#,
                r#"1000 < POST  /../../etc/passwd  404 0/0 -1 "App/10""#,
            ),
            (
                r#"fe80::1%eth0 - - [01/May/2024 10:00:00] "GET /p HTTP/1.1" 200 -"#,
                r#"0 fe80::1< GET  /p  200 0/0 -1 """#,
            ),
            (
                r#"203.0.113.9 - - [01/May/2024:10:00:00 +0000] "GET /p HTTP/1.1" 1000 -"#,
                r#"0 203.0.113.9< GET  /p  0 0/0 -1 "" repaired"#,
            ),
        ],
    );
    check_built_in(
        "vhost_combined",
        &[
            (
                r#"shop.example.com:443 203.0.113.9 - ada [01/May/2024:10:00:00 +0000] "GET /p HTTP/1.1" 200 100 "-" "UA/1""#,
                r#"0 203.0.113.9< GET shop.example.com:443 /p  200 0/100 -1 "UA/1""#,
            ),
            (
                r#"shop.example.com 2001:db8::7 - - [01/May/2024:10:00:00 +0000] "GET /p" 200 100"#,
                r#"0 2001:db8::7< GET shop.example.com /p  200 0/100 -1 """#,
            ),
            (
                r#"203.0.113.9 - - [01/May/2024:10:00:00 +0000] "GET /p" 200 100 "-" "UA/1""#,
                "bad_line: not a line of this format: it has no user",
            ),
        ],
    );
    check_built_in(
        "nginx_main",
        &[
            (
                r#"10.0.0.5 - - [01/May/2024:10:00:00 +0000] "GET /p HTTP/1.1" 200 100 "-" "UA "x" 1" "203.0.113.10, 10.1.1.1""#,
                r#"0 10.0.0.5< GET  /p  200 0/100 -1 "UA \"x\" 1""#,
            ),
            (
                r#"10.0.0.5 - - [01/May/2024:10:00:00 +0000] "GET /p HTTP/1.1" 200 100 "-" "UA" "-""#,
                r#"0 10.0.0.5< GET  /p  200 0/100 -1 "UA""#,
            ),
            (
                r#"10.0.0.5 - - [01/May/2024:10:00:00 +0000] "GET /p HTTP/1.1" 200 100 "-" "UA""#,
                "bad_line: not a line of this format: it has no x-forwarded-for",
            ),
        ],
    );
    check_built_in(
        "forwarded_combined",
        &[
            (
                r#"203.0.113.10, 10.0.0.1, 127.0.0.1 - - [01/May/2024:10:00:00 +0000] "GET /a HTTP/1.1" 200 1 "-" "UA""#,
                r#"0 203.0.113.10< GET  /a  200 0/1 -1 "UA""#,
            ),
            (
                r#""203.0.113.10, 198.51.100.1" 10.2.1.185 - - [01/May/2024:10:00:00 +0000] "GET /d HTTP/1.1" 200 1 "-" "UA""#,
                r#"0 203.0.113.10<10.2.1.185 GET  /d  200 0/1 -1 "UA""#,
            ),
            (
                r#"2001:db8:0:0::8000, 10.225.192.17 10.2.2.121 - - [01/May/2024:10:00:00 +0000] "GET /e HTTP/1.1" 200 1 "-" "UA""#,
                r#"0 2001:db8::8000<10.2.2.121 GET  /e  200 0/1 -1 "UA""#,
            ),
        ],
    );
    check_built_in(
        "no_ident",
        &[
            (
                r#"203.0.113.10 [01/May/2024:10:00:00 +0000] "GET /p HTTP/1.1" 200 153 "-" "curl/8.5.0""#,
                r#"0 203.0.113.10< GET  /p  200 0/153 -1 "curl/8.5.0""#,
            ),
            (
                r#"2001:db8::7 [01/May/2024:10:00:00 +0000] "GET /p?a=' OR 1=1 HTTP/1.1" 200 153"#,
                r#"0 2001:db8::7< GET  /p a=' OR 1=1 200 0/153 -1 """#,
            ),
            (
                r#"- [01/May/2024:10:00:00 +0000] "GET /p HTTP/1.1" 200 -"#,
                r#"0 < GET  /p  200 0/0 -1 """#,
            ),
        ],
    );
}

#[test]
fn the_formats_of_proxies() {
    check_built_in(
        "ingress_nginx",
        &[
            (
                r#"203.0.113.9 - - [01/May/2024:10:00:00 +0000] "GET /p HTTP/2.0" 200 59 "-" "curl/8.5.0" 89 0.001 [default-web-8080] [] 172.17.0.5:8080 59 0.000 200 0f"#,
                r#"0 203.0.113.9< GET  /p  200 89/59 1 "curl/8.5.0""#,
            ),
            (
                r#"2001:db8::7 - ada [01/May/2024:10:00:00 +0000] "GET /p HTTP/2.0" 502 59 "-" "say "hi"" 89 1.5 [default-web-8080] [] 172.17.0.5:8080, 172.17.0.6:8080 0, 59 0.700, 0.800 502, 502 0f"#,
                r#"0 2001:db8::7< GET  /p  502 89/59 1500 "say \"hi\"""#,
            ),
            (
                r#"203.0.113.9 - - [01/May/2024:10:00:00 +0000] "GET /p HTTP/2.0" 404 59 "-" "-" 89 0.000 [upstream-default-backend] [] - - - - 0f"#,
                r#"0 203.0.113.9< GET  /p  404 89/59 0 """#,
            ),
        ],
    );
    check_built_in(
        "ingress_nginx_real_ip",
        &[(
            r#"203.0.113.9 - [203.0.113.9] - - [01/May/2024:10:00:00 +0000] "GET /p HTTP/2.0" 200 59 "-" "curl/8.5.0" 89 0.001 [default-web-8080] [] 172.17.0.5:8080 59 0.000 200 0f"#,
            r#"0 203.0.113.9< GET  /p  200 89/59 1 "curl/8.5.0""#,
        )],
    );
    check_built_in(
        "traefik",
        &[
            (
                r#"203.0.113.9 - - [01/May/2024:10:00:00 +0000] "GET /m HTTP/1.1" 200 85 - "AppA/1.0" 623112 "Host-api" "http://172.25.0.9:4140" 13ms"#,
                r#"0 203.0.113.9< GET  /m  200 0/85 13 "AppA/1.0""#,
            ),
            (
                r#"2001:db8::7 - ada [01/May/2024:10:00:00 +0000] "GET /m HTTP/1.1" 404 19 "-" "-" 1 "-" "-" 0ms"#,
                r#"0 2001:db8::7< GET  /m  404 0/19 0 """#,
            ),
            (
                r#"203.0.113.9 - - [01/May/2024:10:00:00 +0000] "GET /m HTTP/1.1" 200 85 "-" "UA" 1 "api""#,
                "bad_line: not a line of this format: it has no field",
            ),
        ],
    );
    check_built_in(
        "envoy",
        &[
            (
                r#"[2024-05-01T10:00:00.310Z] "GET /p HTTP/2" 200 - 154 7 226 100 "203.0.113.10" "UA" "cc21" "shop.example.com" "10.0.2.1:80""#,
                r#"310 203.0.113.10< GET shop.example.com /p  200 154/7 226 "UA""#,
            ),
            (
                r#"[2024-05-01T10:00:00.310Z] "GET /p HTTP/2" 0 DC 154 0 226 - "2001:db8::7, 10.0.0.1" "-" "cc21" "h" "-""#,
                r#"310 2001:db8::7< GET h /p  0 154/0 226 """#,
            ),
            (
                r#"[2024-05-01T10:00:00.310Z] "- - HTTP/1.1" 400 DPE 0 11 0 - "-" "-" "-" "-" "-""#,
                "bad_field: `request line` has to begin with a method",
            ),
        ],
    );
    check_built_in(
        "istio",
        &[(
            r#"[2024-05-01T10:00:00.310Z] "GET /p?a=b HTTP/1.1" 200 - via_upstream - "-" 0 795 44 43 "-" "curl/8" "c" "reviews:9080" "10.1.1.1:80" outbound|80||x 10.1.1.2:1 10.1.1.3:80 203.0.113.10:43612 - default"#,
            r#"310 203.0.113.10< GET reviews:9080 /p a=b 200 0/795 44 "curl/8""#,
        )],
    );
    check_built_in(
        "haproxy",
        &[
            (
                r#"203.0.113.10:33317 [01/May/2024:10:00:00.655] http-in static/srv1 10/0/30/69/109 200 2750 - - ---- 1/1/1/1/0 0/0 {1wt.eu} {} "GET /p HTTP/1.1""#,
                r#"655 203.0.113.10< GET  /p  200 0/2750 109 """#,
            ),
            (
                r#"2001:db8::7:33317 [01/May/2024:10:00:00.655] in~ b/<NOSRV> -1/-1/-1/-1/+7 503 +217 - - SC-- 1/1/1/1/0 0/0 "POST /a "b" HTTP/1.1""#,
                r#"655 2001:db8::7< POST  /a "b"  503 0/217 7 """#,
            ),
            (
                r#"203.0.113.10:33317 [01/May/2024:10:00:00.655] in in/<NOSRV> -1/-1/-1/-1/0 400 0 - - PR-- 1/1/0/0/0 0/0 "<BADREQ>""#,
                "bad_field: `request line` has to begin with a method",
            ),
        ],
    );
}

#[test]
fn the_formats_of_a_cloud() {
    check_built_in(
        "alb",
        &[
            (
                r#"https 2024-05-01T10:00:02.186641Z app/my-lb/50dc 203.0.113.10:2817 10.0.0.1:80 0.086 0.048 0.037 200 200 34 57 "GET https://shop.example.com:443/p?a=b HTTP/1.1" "UA (x)" ECDHE TLSv1.2 arn:aws:x "Root=1-5" "shop.example.com" "arn" 1 2024-05-01T10:00:01.000000Z "forward" "-" "-""#,
                r#"1000 203.0.113.10< GET shop.example.com:443 /p a=b 200 34/57 171 "UA (x)""#,
            ),
            (
                r#"h2 2024-05-01T10:00:02.186641Z app/my-lb/50dc 2001:db8::7:2817 - -1 -1 -1 460 - 34 57 "GET https://h:443/?q=\x22<script> HTTP/2.0" "-" - - - "Root=1-5" "-" "-" - 2024-05-01T10:00:01.5Z "waf" "-" "-""#,
                r#"1500 2001:db8::7< GET h:443 / q=\x22<script> 460 34/57 -1 """#,
            ),
        ],
    );
    check_built_in(
        "elb",
        &[(
            r#"2024-05-01T10:00:00.186641Z my-lb 203.0.113.10:2817 10.0.0.1:80 0.086 0.048 0.037 200 200 0 57 "GET https://h:443/p HTTP/1.1" "UA" ECDHE TLSv1.2"#,
            r#"186 203.0.113.10< GET h:443 /p  200 0/57 171 "UA""#,
        )],
    );
    check_built_in(
        "s3",
        &[(
            r#"79a5 bucket [01/May/2024:10:00:00 +0000] 203.0.113.10 arn:aws:iam::1:user/x 3E57 REST.GET.OBJECT photos/a.jpg "GET /bucket/photos/a.jpg?x-id=GetObject HTTP/1.1" 200 - 2662992 3462992 70 10 "-" "S3Console/0.4" - 9vKB SigV4 ECDHE AuthHeader bucket.s3.amazonaws.com TLSv1.2 - -"#,
            r#"0 203.0.113.10< GET  /bucket/photos/a.jpg x-id=GetObject 200 0/2662992 70 "S3Console/0.4""#,
        )],
    );
}

fn pasted(dialect: Dialect, text: &str, line: &str, expected: &str) {
    let format = LineFormat::pasted("p", dialect, text).unwrap();
    assert_eq!(read_by(&format, line), expected, "{text}: {line}");
}

#[test]
fn formats_are_pasted_as_servers_write_them() {
    pasted(
        Dialect::Nginx,
        "log_format main '$remote_addr - $remote_user [$time_local] \"$request\" '\n  '$status $body_bytes_sent \"$http_referer\" '\n '\"$http_user_agent\" rt=$request_time';",
        r#"203.0.113.9 - ada l [01/May/2024:10:00:00 +0000] "GET /p HTTP/1.1" 200 9 "-" "UA" rt=0.25"#,
        r#"0 203.0.113.9< GET  /p  200 0/9 250 "UA""#,
    );
    pasted(
        Dialect::Nginx,
        "$msec|$remote_addr|$request_method|$scheme://$host$request_uri|$status|$http_user_agent",
        "1714557600.250|2001:db8::7|GET|https://h.example/p?q=1|200|UA with blanks",
        r#"250 2001:db8::7< GET h.example /p q=1 200 0/0 -1 "UA with blanks""#,
    );
    pasted(
        Dialect::Nginx,
        "$host:$server_port $remote_addr [$time_iso8601] $request_method $uri$is_args$args $status \"$upstream_addr\" $upstream_response_time $request_length",
        r#"h:8443 203.0.113.9 [2024-05-01T10:00:00+00:00] GET /p?q=1 200 "10.0.0.1:80, 10.0.0.2:80" 0.1, 0.2 77"#,
        r#"0 203.0.113.9< GET h /p q=1 200 77/0 -1 """#,
    );
    pasted(
        Dialect::Apache,
        r#"LogFormat "%v:%p %h %l %u %t \"%r\" %>s %O \"%{Referer}i\" \"%{User-Agent}i\" %D" vhost"#,
        r#"h.example:443 203.0.113.9 - - [01/May/2024:10:00:00 +0000] "GET /p HTTP/1.1" 200 9 "-" "UA" 2500"#,
        r#"0 203.0.113.9< GET h.example /p  200 0/9 2 "UA""#,
    );
    pasted(
        Dialect::Apache,
        r#"%a [%{%d/%b/%Y:%T}t.%{msec_frac}t %{%z}t] "%m %U%q %H" %>s "%{X-Forwarded-For}i" %{ms}T"#,
        r#"203.0.113.9 [01/May/2024:10:00:00.123 +0000] "GET /p?q=1 HTTP/1.1" 200 "-" 12"#,
        r#"123 203.0.113.9< GET  /p q=1 200 0/0 12 """#,
    );
    pasted(
        Dialect::Apache,
        "%{sec}t\t%a\t%m\t%U\t%q\t%s",
        "1714557600\t203.0.113.9\tGET\t/p\t?q=1\t200",
        r#"0 203.0.113.9< GET  /p q=1 200 0/0 -1 """#,
    );
    pasted(
        Dialect::Envoy,
        r#"%START_TIME(%Y-%m-%d %H:%M:%S)% %DOWNSTREAM_REMOTE_ADDRESS% %REQ(:METHOD)% %REQ(:PATH):200% %RESPONSE_CODE% %DURATION%"#,
        "2024-05-01 10:00:00 [2001:db8::7]:443 GET /p?q 200 5",
        r#"0 2001:db8::7< GET  /p q 200 0/0 5 """#,
    );
    pasted(
        Dialect::Haproxy,
        r#"log-format "%ci:%cp [%tr] %ST %B %Ta %[req.hdr(user-agent)] %{+Q}r""#,
        r#"2001:db8::7:5 [01/May/2024:10:00:00.1] 200 9 7 UA "GET /p HTTP/1.1""#,
        r#"100 2001:db8::7< GET  /p  200 0/9 7 "UA""#,
    );
}

#[test]
fn what_cannot_be_read_back_is_refused() {
    for (dialect, text, word) in [
        (Dialect::Nginx, "$remote_addr $status", "time"),
        (Dialect::Nginx, "[$time_local] $status", "method"),
        (Dialect::Nginx, "[$time_local] $request_method$status $uri", "$request_method"),
        (Dialect::Nginx, "${time_local", "`}`"),
        (Dialect::Apache, "%t %{Referer", "`}`"),
        (Dialect::Apache, "%t %", "letter"),
        (Dialect::Envoy, "%START_TIME", "`%`"),
        (Dialect::Envoy, "%REQ(:PATH", "`)`"),
        (Dialect::Haproxy, "%[src", "`]`"),
    ] {
        let refused = LineFormat::pasted("p", dialect, text).unwrap_err();
        assert!(refused.contains(word), "{text}: {refused}");
    }
}

#[test]
fn a_regular_expression_names_fields() {
    let format = LineFormat::regex(
        "own",
        r"^(?P<ts>\S+) (?P<ip>\S+) (?P<method>[A-Z]+) (?P<url>\S+) (?P<status>\d+) (?P<duration_us>\d+) (?P<header_x_tenant>\w+) (?P<other>.*)$",
    )
    .unwrap();
    let mut request = Request::default();
    let line = "1714557600 203.0.113.9 GET /p?q 200 2500 t1 rest";
    format.read(line, &InputSettings::default(), &mut request).unwrap();
    assert_eq!(request.duration_ns, Some(2_500_000));
    assert_eq!(format!("{:?}", request.request.headers), r#"[("x-tenant", "t1")]"#);
    assert_eq!(read_by(&format, "x"), "bad_line: the regular expression does not match");
}

/// What every format of lines can say of a request.
#[derive(Clone, Debug)]
struct Said {
    ip: std::net::IpAddr,
    seconds: i64,
    method: &'static str,
    path: String,
    query: Option<String>,
    status: u16,
    bytes: u32,
    agent: String,
    user: String,
}

fn said() -> impl Strategy<Value = Said> {
    let method = prop::sample::select(vec!["GET", "POST", "PATCH", "M-SEARCH"]);
    let query = prop::option::of("[a-z0-9=&%+.;'<>{}]{1,12}");
    let agent = "[A-Za-z][ !#-\\[\\]-~]{0,30}[)0-9a-z]";
    let user = prop::sample::select(vec!["-", "ada", "ada lovelace", "j.doe@example.com"]);
    let what = (method, "/[a-z0-9/%._~;,:@-]{0,16}", query, 100_u16..600, any::<u32>());
    let who = (any::<std::net::IpAddr>(), 0_i64..4_000_000_000, agent, user);
    (what, who).prop_map(|((method, path, query, status, bytes), (ip, seconds, agent, user))| {
        Said {
            ip: ip.to_canonical(),
            seconds,
            method,
            path,
            query,
            status,
            bytes,
            agent,
            user: user.into(),
        }
    })
}

/// A line of each built-in format that says this.
fn rendered(said: &Said) -> Vec<(&'static str, String)> {
    let Said { ip, seconds, method, path, query, status, bytes, agent, user } = said;
    let at = jiff::Timestamp::from_second(*seconds).unwrap();
    let clf = at.strftime("%d/%b/%Y:%H:%M:%S +0000").to_string();
    let iso = at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let haproxy = at.strftime("%d/%b/%Y:%H:%M:%S.000").to_string();
    let target = match query {
        Some(query) => format!("{path}?{query}"),
        None => path.clone(),
    };
    let line = format!("{method} {target} HTTP/1.1");
    let (address, word) = match ip {
        std::net::IpAddr::V4(_) => (ip.to_string(), ip.to_string()),
        std::net::IpAddr::V6(_) => (format!("[{ip}]"), ip.to_string()),
    };
    let behind = format!(r#"[{clf}] "{line}" {status} {bytes} "-" "{agent}""#);
    let times = "10.0.0.1:80 0.001 0.002 -1";
    let tail = "9 0.005 [ns-app-80] [] 10.0.0.1:80, 10.0.0.2:80 1, 2 0.001, 0.002 502, 200 0f";
    vec![
        ("combined", format!("{word} - {user} {behind}")),
        ("vhost_combined", format!("shop.example.com:443 {word} - {user} {behind}")),
        ("nginx_main", format!(r#"{word} - {user} {behind} "203.0.113.9, 10.0.0.1""#)),
        ("forwarded_combined", format!("{word}, 10.0.0.1 10.0.0.2 - {user} {behind}")),
        ("no_ident", format!("{word} {behind}")),
        ("ingress_nginx", format!("{word} - {user} {behind} {tail}")),
        ("ingress_nginx_real_ip", format!("{word} - [{word}] - {user} {behind} {tail}")),
        ("traefik", format!(r#"{word} - {user} {behind} 7 "api" "http://10.0.0.1" 5ms"#)),
        (
            "envoy",
            format!(
                r#"[{iso}] "{line}" {status} - 9 {bytes} 5 4 "{word}" "{agent}" "id" "h" "10.0.0.1:80""#
            ),
        ),
        (
            "istio",
            format!(
                r#"[{iso}] "{line}" {status} - via_upstream - "-" 9 {bytes} 5 4 "{word}" "{agent}" "id" "h" "10.0.0.1:80" outbound|80||x 10.0.0.1:1 10.0.0.2:80 {address}:1 - default"#
            ),
        ),
        (
            "haproxy",
            format!(
                r#"{word}:5 [{haproxy}] in~ b/s 1/0/1/2/5 {status} {bytes} - - ---- 1/1/1/1/0 0/0 {{a|b}} {{}} "{line}""#
            ),
        ),
        (
            "alb",
            format!(
                r#"https {iso} app/lb/5 {address}:5 {times} {status} 200 9 {bytes} "{line}" "{agent}" - - arn "t" "-" "-" 1 {iso} "forward""#
            ),
        ),
        (
            "elb",
            format!(
                r#"{iso} lb {address}:5 {times} {status} 200 9 {bytes} "{line}" "{agent}" - -"#
            ),
        ),
        (
            "s3",
            format!(
                r#"79a5 bucket [{clf}] {word} - 3E57 REST.GET.OBJECT k "{line}" {status} - {bytes} 9 5 4 "-" "{agent}" - x"#
            ),
        ),
    ]
}

proptest! {
    #[test]
    fn every_built_in_format_reads_back_what_was_written(said in said()) {
        let lines = rendered(&said);
        prop_assert_eq!(lines.len(), builtin::all().len());
        for (name, line) in lines {
            let format = builtin::shared(name).unwrap();
            let mut request = Request::default();
            let done = format.read(&line, &InputSettings::default(), &mut request);
            prop_assert_eq!(done, Ok(()), "{}: {}", name, line);
            let agent = if name == "haproxy" { "" } else { said.agent.as_str() };
            prop_assert_eq!(request.ts.0, said.seconds * 1000, "{}: {}", name, line);
            prop_assert_eq!(&request.ip, &said.ip.to_string(), "{}: {}", name, line);
            prop_assert_eq!(&request.method, said.method);
            prop_assert_eq!(&request.path, &said.path, "{}: {}", name, line);
            prop_assert_eq!(&*request.query, said.query.as_deref().unwrap_or_default());
            prop_assert_eq!((request.status, request.response_bytes), (said.status, said.bytes.into()));
            prop_assert_eq!(&request.user_agent, agent, "{}: {}", name, line);
            prop_assert!(!request.repaired, "{}: {}", name, line);
        }
    }

    #[test]
    fn no_line_panics(line in r#"[ -~]{0,20}|(\PC|[\[\]"\\ ]){0,30}|1\.2\.3\.4 - - \[20/Feb/2016:00:00:45 -0500\] "(\PC|[\\" ]){0,30}"#) {
        for format in builtin::all() {
            let _ = read_by(format, &line);
        }
    }

    #[test]
    fn no_format_string_panics(
        text in r#"(\PC|[$%{}\[\]()'"\\ ]){0,30}|(%t |\$time_local |%r|\$request|\$uri|%START_TIME% |%\{X\}i| |"|:|\[|\]){0,9}"#,
        line in r#"(\PC|[\[\]"\\ :|]){0,30}"#,
    ) {
        for dialect in [Dialect::Nginx, Dialect::Apache, Dialect::Envoy, Dialect::Haproxy] {
            if let Ok(format) = LineFormat::pasted("p", dialect, &text) {
                let _ = read_by(&format, &line);
            }
        }
    }
}
