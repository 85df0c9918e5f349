//! Durations as people write them: `"30m"`, `"90s"`, `"1h 30m"`, `"7d"`.
//!
//! The model counts milliseconds and days; this rewrites what a file or the environment says to
//! that, before the model is read, wherever the configuration has a duration. The names with a unit
//! in them (`lateness_ms = 5000`) are the model's own and stay good. A number without a unit is
//! refused with an example: nobody can say whether `gap = 30` are seconds or minutes.

use figment::value::{Dict, Map, Value};
use figment::{Error, Metadata, Profile, Provider};

/// What one key may say and what it becomes.
struct Key {
    /// Where: names from the top; `*` is any element of a list.
    place: &'static [&'static str],
    /// As people write it.
    name: &'static str,
    /// As the model has it.
    becomes: &'static str,
    unit: Unit,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Unit {
    Ms,
    Days,
    /// `{ ms = N }`.
    Gap,
}

const SETTINGS: &[&str] = &["settings"];
const fn key(
    place: &'static [&'static str],
    name: &'static str,
    becomes: &'static str,
    unit: Unit,
) -> Key {
    Key { place, name, becomes, unit }
}

/// Every duration of the configuration. Those of rules are found below `rules` and, in a file that
/// is rules alone, at the top.
const KEYS: [Key; 8] = [
    key(&["engine"], "epoch_min", "epoch_min_ms", Unit::Ms),
    key(&["engine"], "epoch_max", "epoch_max_ms", Unit::Ms),
    key(&["grouping", "*"], "gap", "gap", Unit::Gap),
    key(SETTINGS, "gap", "gap", Unit::Gap),
    key(SETTINGS, "lateness", "lateness_ms", Unit::Ms),
    key(SETTINGS, "retention", "retention_days", Unit::Days),
    key(SETTINGS, "idle_timeout", "idle_timeout_ms", Unit::Ms),
    key(SETTINGS, "future", "future_ms", Unit::Ms),
];

/// A provider whose durations become those of the model.
pub struct Durations<P>(pub P);

impl<P: Provider> Provider for Durations<P> {
    fn metadata(&self) -> Metadata {
        self.0.metadata()
    }

    fn data(&self) -> Result<Map<Profile, Dict>, Error> {
        let mut data = self.0.data()?;
        for dict in data.values_mut() {
            for key in &KEYS {
                rewrite(dict, key.place, key).map_err(Wrong::told)?;
                if let Some(Value::Dict(_, rules)) = dict.get_mut("rules") {
                    rewrite(rules, key.place, key).map_err(|wrong| wrong.below("rules").told())?;
                }
            }
        }
        Ok(data)
    }
}

/// A mistake and its place, names joined by dots.
struct Wrong {
    path: String,
    reason: String,
}

impl Wrong {
    fn at(name: &str, reason: String) -> Self {
        Self { path: name.into(), reason }
    }

    fn below(self, name: &str) -> Self {
        Self { path: format!("{name}.{}", self.path), ..self }
    }

    fn told(self) -> Error {
        Error::from(self.reason).with_path(&self.path)
    }
}

/// Rewrites one key at a place below a table.
fn rewrite(table: &mut Dict, place: &[&str], key: &Key) -> Result<(), Wrong> {
    let Some((name, rest)) = place.split_first() else { return rewrite_here(table, key) };
    match table.get_mut(*name) {
        Some(Value::Dict(_, table)) => rewrite(table, rest, key).map_err(|wrong| wrong.below(name)),
        Some(Value::Array(_, list)) => {
            for (at, element) in list.iter_mut().enumerate() {
                if let Value::Dict(_, table) = element {
                    let place = format!("{name}.{at}");
                    rewrite(table, &rest[1..], key).map_err(|wrong| wrong.below(&place))?;
                }
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

fn rewrite_here(table: &mut Dict, key: &Key) -> Result<(), Wrong> {
    let Some(value) = table.get(key.name) else { return Ok(()) };
    if key.becomes != key.name && table.contains_key(key.becomes) {
        let (one, other) = (key.name, key.becomes);
        return Err(Wrong::at(key.name, format!("give `{one}` or `{other}`, not both")));
    }
    let rewritten = read(value, key.unit).map_err(|reason| Wrong::at(key.name, reason))?;
    if let Some(rewritten) = rewritten {
        table.remove(key.name);
        table.insert(key.becomes.into(), rewritten);
    }
    Ok(())
}

/// What a value becomes; none when it is the model's own form, which the model checks.
fn read(value: &Value, unit: Unit) -> Result<Option<Value>, String> {
    let text = match value {
        Value::String(_, text) => text.trim(),
        Value::Num(_, number) => {
            let number = number.to_i128().map_or_else(String::new, |number| number.to_string());
            return Err(format!(
                "`{number}` has no unit; write a duration such as {}",
                example(unit)
            ));
        }
        _ => return Ok(None),
    };
    if text == "none" {
        // The gap has a word for it; elsewhere it is the absence of a limit.
        return Ok((unit != Unit::Gap).then(|| Value::from(figment::value::Empty::None)));
    }
    let ms = milliseconds(text)
        .ok_or_else(|| format!("`{text}` is no duration; write one such as {}", example(unit)))?;
    Ok(Some(match unit {
        Unit::Ms => Value::from(ms),
        Unit::Gap => Value::from(Map::from([("ms".to_owned(), Value::from(ms))])),
        Unit::Days if ms % DAY_MS == 0 => Value::from(ms / DAY_MS),
        Unit::Days => return Err(format!("`{text}` are not whole days; write one such as \"7d\"")),
    }))
}

const DAY_MS: u64 = 86_400_000;

fn example(unit: Unit) -> &'static str {
    match unit {
        Unit::Days => "\"7d\"",
        Unit::Ms | Unit::Gap => "\"30m\", \"90s\" or \"500ms\"",
    }
}

/// A day has 24 hours here; months and years have no length.
fn milliseconds(text: &str) -> Option<u64> {
    let span: jiff::Span = text.parse().ok()?;
    let duration = span.to_duration(jiff::SpanRelativeTo::days_are_24_hours()).ok()?;
    u64::try_from(duration.as_millis()).ok()
}
