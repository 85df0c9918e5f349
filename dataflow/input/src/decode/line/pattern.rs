//! A regular expression whose named groups are fields.
//!
//! A group is named as the field of a mapping (`ts`, `method`, `request_line`, `ip`, ...), or
//! `duration_s`, `duration_us`, `user`, `referer`, `x_forwarded_for`, `header_NAME`, `cookie_NAME`,
//! `response_header_NAME` (`_` in a header's name is `-`). Other groups are passed over.

use std::borrow::Cow;

use regex::Regex;
use spoor_operators::request::Request;

use crate::decode::error::Refusal;
use crate::decode::record::{Field, Parts, REFERER};
use crate::decode::settings::TimeUnit;
use crate::decode::site::InputSettings;
use spoor_api::codes::RefusalCode;

/// Most bytes a compiled expression may take.
const REGEX_BYTES_MAX: usize = 1 << 20;

/// See the module's description.
#[derive(Clone, Debug)]
pub struct Pattern {
    regex: Regex,
    groups: Vec<(usize, Field)>,
}

impl Pattern {
    /// Compiles an expression.
    ///
    /// # Errors
    /// It does not parse, or has no groups for what a record needs.
    pub fn compile(text: &str) -> Result<Self, String> {
        let regex = regex::RegexBuilder::new(text)
            .size_limit(REGEX_BYTES_MAX)
            .build()
            .map_err(|error| error.to_string().lines().last().unwrap_or_default().to_owned())?;
        let named = regex.capture_names().enumerate();
        let groups: Vec<(usize, Field)> =
            named.filter_map(|(number, name)| Some((number, field(name?)?))).collect();
        let has = |wanted: &[Field]| groups.iter().any(|(_, field)| wanted.contains(field));
        for (found, what) in [
            (has(&[Field::Ts(None)]), "`ts`"),
            (has(&[Field::Method, Field::RequestLine]), "`method` or `request_line`"),
            (
                has(&[Field::Path, Field::Url, Field::RequestLine]),
                "`path`, `url` or `request_line`",
            ),
        ] {
            if !found {
                return Err(format!("it needs a named group {what}, such as (?P<ts>...)"));
            }
        }
        Ok(Self { regex, groups })
    }

    pub(super) fn read<'a>(
        &'a self,
        line: &'a str,
        settings: &InputSettings,
        request: &mut Request<'a>,
    ) -> Result<(), Refusal> {
        let mut places = self.regex.capture_locations();
        if self.regex.captures_read(&mut places, line).is_none() {
            let reason = "the regular expression does not match".into();
            return Err(Refusal { code: RefusalCode::BadLine, reason });
        }
        let mut parts = Parts::new(settings);
        for (number, field) in &self.groups {
            let Some((start, end)) = places.get(*number) else { continue };
            let text = &line[start..end];
            if !matches!(text, "" | "-") {
                parts.put(field, Cow::Borrowed(text), request)?;
            }
        }
        parts.finish(request)
    }
}

/// The field a group is named after.
fn field(name: &str) -> Option<Field> {
    if let Some(field) = Field::named(name) {
        return Some(field);
    }
    let header = |name: &str| name.replace('_', "-").to_ascii_lowercase();
    Some(match name {
        "time" => Field::Ts(None),
        "duration_s" => Field::Duration(TimeUnit::S),
        "duration_us" => Field::Duration(TimeUnit::Us),
        "user" => Field::User,
        "referer" => Field::RequestHeader(REFERER.into()),
        "x_forwarded_for" => Field::Forwarded,
        "cookies" => Field::Cookies,
        _ => {
            if let Some(name) = name.strip_prefix("header_") {
                Field::RequestHeader(header(name))
            } else if let Some(name) = name.strip_prefix("response_header_") {
                Field::ResponseHeader(header(name))
            } else {
                Field::RequestCookie(name.strip_prefix("cookie_")?.into())
            }
        }
    })
}
