//! The configuration: what an operator writes once, as against the rules an admin changes live.
//!
//! Three layers, later ones win: built-in defaults, a TOML file, and environment variables named
//! `SPOOR_<SECTION>__<KEY>` (two underscores between section and key). The command line then
//! overwrites single fields of the loaded value. An unknown key is an error, never ignored: a
//! misspelt limit must not silently be no limit. Relative paths are relative to the directory the
//! program is started in. Rules in the file are the rules a *new* store begins with; once a store
//! exists its own rules count.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;

mod durations;

use figment::Figment;
use figment::providers::{Env, Format, Serialized, Toml};
use serde::{Deserialize, Serialize};
use spoor_engine::{PUSH_SOURCE, limits};
use spoor_operators::assign::{Applications, SecretKey};
use spoor_operators::inventory::Descriptions;
use spoor_operators::rules::RuleSet;
use spoor_store::{KeptOfRefused, SpillCodec};

use durations::Durations;

pub use spoor_input::decode::formats::FormatConfig;
pub use spoor_input::decode::settings::{FORMAT_AUTO, Mapping, Templates, TimeUnit};
pub use spoor_input::decode::site::{ClientIp, InputConfig};

/// Prefix of environment variables that are configuration.
pub const ENV_PREFIX: &str = "SPOOR_";
/// Most dataflow workers in one process.
pub const WORKERS_MAX: usize = 256;
/// Least hot state that still lets every worker keep what one epoch touches.
pub const HOT_BYTES_MIN: u64 = 8 << 20;
/// Shortest secret key, in bytes.
pub const SECRET_KEY_BYTES_MIN: usize = 16;

/// Everything `spoor serve` and `spoor replay` are told.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where state is kept.
    pub store: StoreConfig,
    /// How the dataflow runs.
    pub engine: EngineConfig,
    /// What `serve` reads besides what is pushed to it.
    pub sources: Vec<SourceConfig>,
    /// Which application a request belongs to when it does not say; the first match decides.
    pub applications: Applications,
    /// How JSON logs of other shapes become requests, by name.
    pub mappings: BTreeMap<String, Mapping>,
    /// Formats of lines, by name.
    pub formats: BTreeMap<String, FormatConfig>,
    /// What holds for every input.
    pub input: InputConfig,
    /// Who the client is behind proxies.
    pub client_ip: ClientIp,
    /// API descriptions, for endpoint templates and the inventory.
    pub descriptions: Vec<Description>,
    /// The rules a new store begins with.
    pub rules: RuleSet,
    /// Where the server listens.
    pub server: ServerConfig,
    /// The key secret values are hashed with.
    pub secrets: SecretsConfig,
}

/// `[store]`: where state is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StoreConfig {
    /// Directory of the store; made when it is not there.
    pub dir: PathBuf,
    /// Whether each commit waits for the disk. Without it a loss of power may take back the last
    /// epochs (never parts of one); a crash of the program may not either way.
    pub sync: bool,
    /// Most bytes of hot state that is written to nameless files in `dir` when it has no room in
    /// memory, instead of being read from the store again; 0: none.
    pub spill_bytes: ByteSize,
    /// How it is written there.
    pub spill_codec: SpillCodec,
    /// What dead letters keep of a refused record.
    pub dead_letters: KeptOfRefused,
}

impl Default for StoreConfig {
    fn default() -> Self {
        let (spill_bytes, spill_codec) = (ByteSize(0), SpillCodec::Rows);
        let dead_letters = KeptOfRefused::default();
        Self { dir: "state".into(), sync: true, spill_bytes, spill_codec, dead_letters }
    }
}

/// `[engine]`: how the dataflow runs. No limit here changes a result, only speed and memory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EngineConfig {
    /// Dataflow workers (threads); 0: one for each core.
    pub workers: usize,
    /// Budget of session state held in memory, all workers together.
    pub hot_bytes: ByteSize,
    /// Shortest age of an epoch in milliseconds, when little arrives.
    pub epoch_min_ms: u64,
    /// Longest age of an epoch in milliseconds, under load.
    pub epoch_max_ms: u64,
    /// Most input bytes of an epoch.
    pub epoch_bytes: ByteSize,
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self {
            workers: 0,
            hot_bytes: ByteSize(512 << 20),
            epoch_min_ms: 10,
            epoch_max_ms: 1_000,
            epoch_bytes: ByteSize(limits::EPOCH_BYTES_MAX as u64),
        }
    }
}

impl EngineConfig {
    /// The number of workers to start: as configured, or the number of cores.
    #[must_use]
    pub fn worker_count(&self) -> usize {
        if self.workers > 0 {
            return self.workers;
        }
        std::thread::available_parallelism().map_or(1, usize::from).min(WORKERS_MAX)
    }
}

/// What kind of thing a source is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SourceKind {
    /// A file, read once to its end.
    #[default]
    File,
    /// The files of a directory, in order of their names, read once to their ends.
    Directory,
    /// A file that grows: followed, through rotation and truncation.
    Follow,
    /// Standard input.
    Stdin,
}

/// One of `[[sources]]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceConfig {
    /// Unique among the sources: what the store, ids and the status know it by.
    pub name: String,
    /// What it is.
    #[serde(default)]
    pub kind: SourceKind,
    /// Which file or directory; absent for standard input.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
    /// `auto` (by content), or the name of a format: built in, of `[formats]` or a mapping.
    #[serde(default = "auto")]
    pub format: String,
}

fn auto() -> String {
    FORMAT_AUTO.into()
}

/// One of `[[descriptions]]`: an `OpenAPI` document of an application. In the order of an
/// application's versions: the last is the current one, an earlier one tells zombie endpoints.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Description {
    /// Whose.
    pub app: String,
    /// The document, JSON.
    pub file: PathBuf,
}

/// `[server]`: where the server listens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServerConfig {
    /// Address and port. Loopback unless said otherwise: there is no login in front of it.
    #[serde(deserialize_with = "listen")]
    pub listen: SocketAddr,
    /// Host names clients may ask for, without port, besides loopback names and addresses, which
    /// always may; `*`: any.
    pub hosts: Vec<String>,
    /// Origins, such as `https://console.example`, whose pages may call besides the server's own.
    pub allowed_origins: Vec<String>,
    /// Whether the schema may be asked for.
    pub introspection: bool,
}

impl ServerConfig {
    /// Checks names and origins, which would otherwise never be met.
    fn check(&self) -> Result<(), ConfigError> {
        for host in &self.hosts {
            let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
            let good = host == "*" || (!host.is_empty() && host.bytes().all(is_name));
            require(good, "server.hosts", || {
                format!("`{host}` is no host name; write it like \"spoor.example\", without port")
            })?;
        }
        for origin in &self.allowed_origins {
            let host = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
            let good = host.is_some_and(|host| !host.is_empty() && !host.contains(['/', '*']));
            require(good, "server.allowed_origins", || {
                format!("`{origin}` is no origin; write it like \"https://console.example\"")
            })?;
        }
        Ok(())
    }
}

/// Reads an address to listen on: `127.0.0.1:8080`, `[::1]:8080`, `localhost:8080`; a port alone
/// (`8080`, `:8080`) is one of the loopback, because nothing is opened to a network unasked.
///
/// # Errors
/// One line that shows what is right.
pub fn parse_listen(text: &str) -> Result<SocketAddr, String> {
    let text = text.trim();
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    let (host, port) = text.rsplit_once(':').unwrap_or(("", text));
    match (host, port.parse()) {
        ("" | "localhost", Ok(port)) => Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, port))),
        _ => Err(format!(
            "`{text}` is no address to listen on; write 127.0.0.1:8080 for this machine alone, \
             0.0.0.0:8080 for every address of it"
        )),
    }
}

fn listen<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Form {
        Port(u16),
        Text(String),
    }
    let text = match Form::deserialize(deserializer)? {
        Form::Port(port) => port.to_string(),
        Form::Text(text) => text,
    };
    parse_listen(&text).map_err(serde::de::Error::custom)
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
            hosts: Vec::new(),
            allowed_origins: Vec::new(),
            introspection: true,
        }
    }
}

/// `[secrets]`: the key secret values are hashed with. Neither: the store makes one for itself.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SecretsConfig {
    /// The key itself; better given as `SPOOR_SECRETS__KEY` than in a file others can read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// A file whose content, without white space at its ends, is the key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_file: Option<PathBuf>,
}

impl fmt::Debug for SecretsConfig {
    /// Never shows the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = self.key.as_ref().map(|_| "***");
        f.debug_struct("SecretsConfig")
            .field("key", &key)
            .field("key_file", &self.key_file)
            .finish()
    }
}

impl SecretsConfig {
    /// The key made of the configured text (its BLAKE3 hash), if one is configured.
    ///
    /// # Errors
    /// When both are given, the file cannot be read, or the key is shorter than
    /// [`SECRET_KEY_BYTES_MIN`].
    pub fn read(&self) -> Result<Option<SecretKey>, ConfigError> {
        let refuse = |reason: String| ConfigError::Invalid { place: "secrets".into(), reason };
        let key = match (&self.key, &self.key_file) {
            (None, None) => return Ok(None),
            (Some(_), Some(_)) => {
                return Err(refuse("give `key` or `key_file`, not both".into()));
            }
            (Some(key), None) => key.clone(),
            (None, Some(file)) => std::fs::read_to_string(file)
                .map_err(|source| ConfigError::Read { path: file.clone(), source })?,
        };
        let key = key.trim();
        if key.len() < SECRET_KEY_BYTES_MIN {
            return Err(refuse(format!("the key needs at least {SECRET_KEY_BYTES_MIN} bytes")));
        }
        Ok(Some(SecretKey(*blake3::hash(key.as_bytes()).as_bytes())))
    }
}

/// A number of bytes, written as a number or as text such as `"512 MiB"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct ByteSize(pub u64);

/// A size that does not parse.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{0}` is no size; write one such as \"512 MiB\" (B, KiB, MiB, GiB, KB, MB or GB)")]
pub struct SizeError(String);

impl FromStr for ByteSize {
    type Err = SizeError;

    fn from_str(text: &str) -> Result<Self, SizeError> {
        let bad = || SizeError(text.into());
        let text = text.trim();
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let factor: u64 = match unit.trim().to_ascii_lowercase().as_str() {
            "" | "b" => 1,
            "kib" => 1 << 10,
            "mib" => 1 << 20,
            "gib" => 1 << 30,
            "kb" => 1_000,
            "mb" => 1_000_000,
            "gb" => 1_000_000_000,
            _ => return Err(bad()),
        };
        let number: u64 = number.parse().map_err(|_| bad())?;
        number.checked_mul(factor).map(Self).ok_or_else(bad)
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Form {
            Number(u64),
            Text(String),
        }
        match Form::deserialize(deserializer)? {
            Form::Number(bytes) => Ok(Self(bytes)),
            Form::Text(text) => text.parse().map_err(serde::de::Error::custom),
        }
    }
}

/// Why a configuration is refused: one line that says where and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A file it names cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is no TOML.
    #[error("{path}, line {line}: {reason}")]
    Syntax {
        /// Which file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// What was expected.
        reason: String,
    },
    /// A key that is unknown, or a value of the wrong type.
    #[error("configuration: {0}")]
    Shape(String),
    /// A value out of bounds, or two that do not go together.
    #[error("configuration, `{place}`: {reason}")]
    Invalid {
        /// Such as `sources.access.path`.
        place: String,
        /// What to do.
        reason: String,
    },
}

impl Config {
    /// Defaults, then the file if one is given, then the environment; checked.
    ///
    /// # Errors
    /// [`ConfigError`], which says in one line where and what to do.
    pub fn load(path: Option<&Path>) -> Result<Self, ConfigError> {
        let mut figment = Figment::from(Serialized::defaults(Self::default()));
        if let Some(path) = path {
            let text = std::fs::read_to_string(path)
                .map_err(|source| ConfigError::Read { path: path.into(), source })?;
            figment = figment.merge(Durations(Toml::string(&checked_toml(path, &text)?)));
        }
        // Only names with a section: SPOOR_LOG and the like are not configuration.
        let env = Env::prefixed(ENV_PREFIX).filter(|key| key.as_str().contains("__")).split("__");
        let config: Self =
            figment.merge(Durations(env)).extract().map_err(|error| shape(path, error))?;
        config.check()?;
        Ok(config)
    }

    /// The rules of a file: of the `[rules]` of a configuration, or of a file that is rules alone.
    /// They are not checked.
    ///
    /// # Errors
    /// [`ConfigError`], which says in one line where and what to do.
    pub fn load_rules(path: &Path) -> Result<RuleSet, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Read { path: path.into(), source })?;
        let text = checked_toml(path, &text)?;
        if toml::from_str::<toml::Table>(&text).is_ok_and(|table| table.contains_key("rules")) {
            return Self::load(Some(path)).map(|config| config.rules);
        }
        let figment = Figment::from(Serialized::defaults(RuleSet::default()));
        figment
            .merge(Durations(Toml::string(&text)))
            .extract()
            .map_err(|error| shape(Some(path), error))
    }

    /// Reads the API descriptions.
    ///
    /// # Errors
    /// [`ConfigError`] when a file cannot be read or is no description.
    pub fn read_descriptions(&self) -> Result<Descriptions, ConfigError> {
        let mut descriptions = Descriptions::default();
        for Description { app, file } in &self.descriptions {
            let document = std::fs::read_to_string(file)
                .map_err(|source| ConfigError::Read { path: file.clone(), source })?;
            descriptions.add(app, &document).map_err(|error| ConfigError::Invalid {
                place: format!("descriptions.{app}"),
                reason: format!("{}: {error}", file.display()),
            })?;
        }
        Ok(descriptions)
    }

    /// Checks what types cannot say. [`Config::load`] has done so; call it again after overwriting
    /// fields. The rules are checked by [`RuleSet::check`], which lists every reason.
    ///
    /// # Errors
    /// [`ConfigError::Invalid`] with the first reason.
    pub fn check(&self) -> Result<(), ConfigError> {
        let engine = &self.engine;
        require(engine.workers <= WORKERS_MAX, "engine.workers", || {
            format!("at most {WORKERS_MAX}")
        })?;
        require(engine.hot_bytes.0 >= HOT_BYTES_MIN, "engine.hot_bytes", || {
            format!("at least {HOT_BYTES_MIN} bytes")
        })?;
        require(
            (1..=engine.epoch_max_ms).contains(&engine.epoch_min_ms),
            "engine.epoch_min_ms",
            || "at least 1 and not above epoch_max_ms".into(),
        )?;
        require(self.store.spill_codec.codec().is_some(), "store.spill_codec", || {
            "this build is without the feature `abomonation`".into()
        })?;
        require(engine.epoch_bytes.0 > 0, "engine.epoch_bytes", || "at least 1".into())?;
        self.check_sources()?;
        self.server.check()?;
        unique("applications", self.applications.rules.iter().map(|app| app.name.as_str()))?;
        self.secrets.read().map(|_| ())
    }

    fn check_sources(&self) -> Result<(), ConfigError> {
        unique("sources", self.sources.iter().map(|source| source.name.as_str()))?;
        for source in &self.sources {
            let place = format!("sources.{}", source.name);
            // Ids are `<name>:<offset>`, and those of later files and other processes add to the name.
            let is_free =
                |name: &str| !name.is_empty() && name != PUSH_SOURCE && !name.contains(['#', '@']);
            require(is_free(&source.name), &format!("{place}.name"), || {
                format!("not empty, not `{PUSH_SOURCE}`, and without `#` and `@`")
            })?;
            let reads_path = source.kind != SourceKind::Stdin;
            require(source.path.is_some() == reads_path, &place, || {
                let needs = if reads_path { "needs a `path`" } else { "takes no `path`" };
                format!("a source of this kind {needs}")
            })?;
        }
        Ok(())
    }
}

/// The text of a file, once it is TOML; so that a mistake is told with its line.
fn checked_toml(path: &Path, text: &str) -> Result<String, ConfigError> {
    match toml::from_str::<toml::Table>(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(ConfigError::Syntax {
            path: path.into(),
            line: 1 + error.span().map_or(0, |span| {
                text.as_bytes().iter().take(span.start).filter(|&&byte| byte == b'\n').count()
            }),
            reason: error.message().replace('\n', ", "),
        }),
    }
}

/// The first mistake in one line, with its key and the file or variable it came from.
fn shape(path: Option<&Path>, error: figment::Error) -> ConfigError {
    let Some(first) = error.into_iter().next() else {
        return ConfigError::Shape("cannot be read".into());
    };
    let key = first.path.join(".");
    let place = match (&first.metadata, path) {
        (Some(data), _) if data.name.contains("environment") => " (environment)".to_owned(),
        (_, Some(path)) => format!(" ({})", path.display()),
        _ => String::new(),
    };
    let at = if key.is_empty() { String::new() } else { format!(", at `{key}`") };
    // What lists names quotes each of them, and then the list once more.
    let kind = first.kind.to_string().replace("`one of `", "one of `").replace("``", "`");
    ConfigError::Shape(format!("{kind}{at}{place}"))
}

fn require(holds: bool, place: &str, reason: impl FnOnce() -> String) -> Result<(), ConfigError> {
    if holds {
        return Ok(());
    }
    Err(ConfigError::Invalid { place: place.into(), reason: reason() })
}

fn unique<'a>(place: &str, names: impl Iterator<Item = &'a str>) -> Result<(), ConfigError> {
    let mut seen = HashSet::new();
    for name in names {
        require(!name.is_empty(), place, || "every entry needs a name".into())?;
        require(seen.insert(name), place, || format!("`{name}` is there twice"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use spoor_operators::rules::Gap;

    fn load(text: &str) -> Result<Config, String> {
        let file = std::env::temp_dir()
            .join(format!("spoor-config-{}.toml", blake3::hash(text.as_bytes())));
        std::fs::write(&file, text).unwrap();
        let loaded = Config::load(Some(&file)).map_err(|error| error.to_string());
        std::fs::remove_file(&file).unwrap();
        loaded
    }

    #[test]
    fn an_empty_file_is_the_defaults() {
        assert_eq!(load(""), Ok(Config::default()));
        assert_eq!(Config::load(None).unwrap(), Config::default());
        assert!(Config::default().engine.worker_count() >= 1);
    }

    #[test]
    fn values_are_read_and_the_rest_stays_default() {
        let config = load(
            r#"
            [engine]
            workers = 3
            hot_bytes = "64 MiB"
            [[sources]]
            name = "access"
            kind = "follow"
            path = "access.log"
            [mappings.aws]
            ignore = ["-"]
            [mappings.aws.fields]
            ts = "{/eventTime}"
            ip = ["{/ip}", "{/client}"]
            [[rules.grouping]]
            name = "user"
            point = "$request.header.x-user"
            gap = { ms = 1000 }
            [rules.settings]
            gap = "none"
            "#,
        )
        .unwrap();
        assert_eq!(config.engine.worker_count(), 3);
        assert_eq!(config.engine.hot_bytes, ByteSize(64 << 20));
        assert_eq!(config.sources[0].format, FORMAT_AUTO);
        assert_eq!(config.mappings["aws"].fields["ip"].as_slice().len(), 2);
        assert_eq!(config.rules.grouping[0].min_length, 1);
        assert_eq!(config.rules.scope, RuleSet::default().scope);
    }

    #[test]
    fn a_mistake_is_told_in_one_line_with_its_place() {
        for (text, says) in [
            ("[engine]\nworker = 1", "`worker`, expected one of `workers`, `hot_bytes`"),
            ("\n[engine\n", "line 2"),
            ("[engine]\nworkers = \"many\"", "engine.workers"),
            ("[engine]\nworkers = 1000", "at most 256"),
            ("[engine]\nhot_bytes = \"3 parsecs\"", "3 parsecs"),
            ("[engine]\nepoch_min_ms = 0", "engine.epoch_min_ms"),
            ("[[sources]]\nname = \"a\"", "needs a `path`"),
            ("[[sources]]\nname = \"a\"\nkind = \"stdin\"\npath = \"x\"", "takes no `path`"),
            ("[[applications]]\nname = \"a\"\n[[applications]]\nname = \"a\"", "twice"),
            ("[secrets]\nkey = \"short\"", "at least 16 bytes"),
            ("[server]\nhosts = [\"a.example:80\"]", "without port"),
            ("[server]\nhosts = [\"http://a.example\"]", "no host name"),
            ("[server]\nallowed_origins = [\"console.example\"]", "https://console.example"),
            ("[server]\nallowed_origins = [\"https://a.example/\"]", "no origin"),
            ("[server]\nlisten = \"nowhere\"", "127.0.0.1:8080"),
            ("[server]\nlisten = \"example.com:80\"", "server.listen"),
            ("[rules.settings]\ngap = 30", "`30` has no unit; write a duration such as \"30m\""),
            ("[rules.settings]\ngap = 30", "rules.settings.gap"),
            ("[rules.settings]\ngap = \"soon\"", "\"30m\""),
            ("[rules.settings]\nretention = \"36h\"", "whole days"),
            ("[engine]\nepoch_max = \"-1s\"", "engine.epoch_max"),
            ("[engine]\nepoch_max = \"1s\"\nepoch_max_ms = 5", "epoch_max_ms"),
        ] {
            let error = load(text).unwrap_err();
            assert!(error.contains(says) && !error.contains('\n'), "{text}: {error}");
        }
    }

    #[test]
    fn a_key_is_never_shown() {
        let config = load("[secrets]\nkey = \"0123456789abcdef\"").unwrap();
        assert!(!format!("{config:?}").contains("0123456789"));
        assert!(config.secrets.read().unwrap().is_some());
        assert_eq!(Config::default().secrets.read().unwrap(), None);
    }

    #[test]
    fn durations_are_written_the_same_everywhere() {
        let config = load(
            r#"
            [engine]
            epoch_min = "20ms"
            epoch_max = "1.5s"
            [[rules.grouping]]
            name = "user"
            point = "$request.header.x-user"
            gap = "1h 30m"
            [rules.settings]
            gap = "15 minutes"
            lateness = "2s"
            retention = "30d"
            idle_timeout = "1m"
            future = "none"
            "#,
        )
        .unwrap();
        assert_eq!((config.engine.epoch_min_ms, config.engine.epoch_max_ms), (20, 1500));
        assert_eq!(config.rules.grouping[0].gap, Some(Gap::Ms(5_400_000)));
        let settings = config.rules.settings;
        assert_eq!(settings.gap, Gap::Ms(900_000));
        assert_eq!((settings.lateness_ms, settings.idle_timeout_ms), (2_000, 60_000));
        assert_eq!((settings.retention_days, settings.future_ms), (Some(30), None));
        // As they were written before there were units.
        let before =
            load("[rules.settings]\ngap = { ms = 1000 }\nlateness_ms = 7\nretention_days = 3");
        let settings = before.unwrap().rules.settings;
        assert_eq!((settings.gap, settings.lateness_ms), (Gap::Ms(1000), 7));
        assert_eq!(settings.retention_days, Some(3));
    }

    #[test]
    fn addresses_may_be_short_where_they_are_clear() {
        for (text, address) in [
            ("127.0.0.1:9", "127.0.0.1:9"),
            ("[::1]:9", "[::1]:9"),
            ("0.0.0.0:9", "0.0.0.0:9"),
            ("localhost:9", "127.0.0.1:9"),
            (":9", "127.0.0.1:9"),
            (" 9 ", "127.0.0.1:9"),
        ] {
            assert_eq!(parse_listen(text), Ok(address.parse().unwrap()), "{text}");
        }
        for bad in ["", "localhost", "::1:9x", "example.com:80", "127.0.0.1", ":99999"] {
            assert!(parse_listen(bad).unwrap_err().contains("127.0.0.1:8080"), "{bad}");
        }
        assert_eq!(load("[server]\nlisten = 9").unwrap().server.listen.port(), 9);
    }

    #[test]
    fn sizes_have_units() {
        for (text, bytes) in [("7", 7), ("1KiB", 1024), ("2 mb", 2_000_000), (" 1 GiB ", 1 << 30)] {
            assert_eq!(text.parse(), Ok(ByteSize(bytes)), "{text}");
        }
        for bad in ["", "MiB", "1.5 MiB", "-1", "99999999999 GiB"] {
            assert!(bad.parse::<ByteSize>().is_err(), "{bad}");
        }
    }
}
