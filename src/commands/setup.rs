//! From arguments and configuration to what the engine is started with.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use spoor_dataflow::cluster::{Membership, SECRET_VARIABLE};
use spoor_dataflow::config::{Config, FORMAT_AUTO, SourceKind};
use spoor_dataflow::decode::site::InputSettings;
use spoor_dataflow::decode::{Format, Formats, Mapping};
use spoor_dataflow::engine::{EpochLimits, Settings};
use spoor_dataflow::source::SourceSpec;
use spoor_dataflow::source::named::Named;
use spoor_dataflow::store::{SpillOptions, Store, StoreOptions};
use spoor_operators::assign::SecretKey;
use spoor_operators::rules::edit::EditError;
use spoor_operators::time::DayZone;

use super::Failure;
use super::descriptors::Descriptors;
use crate::cli::ClusterArgs;

/// The configuration, overwritten by the command line, its rules checked.
pub fn config(file: Option<&Path>, overwrite: impl FnOnce(&mut Config)) -> Result<Config, Failure> {
    let mut config = Config::load(file).map_err(Failure::usage)?;
    overwrite(&mut config);
    config.check().map_err(Failure::usage)?;
    config.rules.check().map_err(|errors| rules_refused(&errors))?;
    Ok(config)
}

/// The first mistake of rules; `spoor rules check` lists all.
pub fn rules_refused(errors: &[EditError]) -> Failure {
    let first = errors.first().map(ToString::to_string).unwrap_or_default();
    let more = match errors.len() {
        0 | 1 => String::new(),
        many => format!(" (and {} more: see `spoor rules check`)", many - 1),
    };
    Failure::Usage(format!("rules, {first}{more}"))
}

/// A format by its name, or what finds it by content.
pub fn format(name: &str, formats: &Formats) -> Result<Arc<Format>, Failure> {
    match name {
        FORMAT_AUTO => Ok(Arc::new(Format::Auto(Arc::new(formats.clone())))),
        _ => formats.named(name).ok_or_else(|| Failure::Usage(formats.unknown(name))),
    }
}

/// The formats inputs may be of.
pub fn formats(config: &Config) -> Result<Formats, Failure> {
    let compile = |(name, mapping): (&String, &spoor_dataflow::config::Mapping)| {
        let mapping = Mapping::compile(name, mapping).map_err(Failure::usage)?;
        Ok((name.clone(), Arc::new(Format::Json(Arc::new(mapping)))))
    };
    let mappings = config.mappings.iter().map(compile).collect::<Result<_, Failure>>()?;
    let settings = InputSettings::new(&config.input, &config.client_ip)
        .map_err(|reason| Failure::Usage(format!("configuration, {reason}")))?;
    let mut formats = Formats::with_mappings(mappings).with_settings(settings);
    for (name, format) in &config.formats {
        let added = formats.add(name, format);
        added.map_err(|reason| Failure::Usage(format!("configuration, {reason}")))?;
    }
    Ok(formats)
}

/// A file, a directory, or standard input for `-`.
pub fn input(path: &Path, format: Option<Arc<Format>>) -> SourceSpec {
    if path == Path::new("-") {
        SourceSpec::Stdin { format }
    } else if path.is_dir() {
        SourceSpec::Directory { path: path.into(), format }
    } else {
        SourceSpec::File { path: path.into(), format }
    }
}

/// The sources of the configuration, directories expanded.
pub fn sources(config: &Config) -> Result<Vec<Named>, Failure> {
    let formats = formats(config)?;
    let mut specs = Vec::new();
    for source in &config.sources {
        let format = Some(format(&source.format, &formats)?);
        let path: PathBuf = source.path.clone().unwrap_or_default();
        let spec = match source.kind {
            SourceKind::File => SourceSpec::File { path, format },
            SourceKind::Directory => SourceSpec::Directory { path, format },
            SourceKind::Follow => SourceSpec::Follow { path, format },
            SourceKind::Stdin => SourceSpec::Stdin { format },
        };
        let named = Named::chosen(&source.name, spec);
        specs.extend(named.expand().map_err(Failure::failed)?);
    }
    Ok(specs)
}

/// Opens the store, with the key of its secret hashes. `searchable`: requests can be looked up by
/// their ids.
pub fn store(
    config: &Config,
    directory: &Path,
    searchable: bool,
) -> Result<(Store, SecretKey), Failure> {
    let zone = DayZone::named(&config.rules.settings.day_zone).map_err(Failure::usage)?;
    // What does not wait for the disk is a bulk load.
    let sized = if config.store.sync { StoreOptions::default() } else { StoreOptions::bulk() };
    let options = StoreOptions {
        zone,
        sync: config.store.sync,
        open_files_max: Descriptors::raise().store(),
        index_request_ids: searchable,
        dead_letters: config.store.dead_letters,
        spill: SpillOptions {
            bytes_max: config.store.spill_bytes.0,
            codec: config.store.spill_codec,
        },
        ..sized
    };
    let store = Store::open(directory, options).map_err(Failure::failed)?;
    let key = match config.secrets.read().map_err(Failure::usage)? {
        Some(key) => key,
        None => SecretKey(store.secret_key().map_err(Failure::failed)?),
    };
    Ok((store, key))
}

/// The cluster this process belongs to, if it does.
pub fn cluster(args: &ClusterArgs) -> Result<Option<Membership>, Failure> {
    let (Some(hosts), Some(process)) = (&args.hosts, args.process) else { return Ok(None) };
    let secret = std::env::var(SECRET_VARIABLE).ok().filter(|secret| !secret.is_empty());
    Membership::read(hosts, process, secret.as_deref()).map(Some).map_err(Failure::usage)
}

/// What a single serving engine is started with: the configuration, over the store in a directory.
pub fn settings(
    config: Config,
    directory: &Path,
    searchable: bool,
    sources: Vec<Named>,
) -> Result<Settings, Failure> {
    let (store, key) = store(&config, directory, searchable)?;
    Ok(Settings {
        store,
        key,
        formats: formats(&config)?,
        descriptions: config.read_descriptions().map_err(Failure::usage)?,
        sources,
        cluster: None,
        workers: config.engine.worker_count(),
        hot_bytes_max: usize::try_from(config.engine.hot_bytes.0).unwrap_or(usize::MAX),
        epochs: epochs(&config),
        ends_with_sources: false,
        refuses_future: true,
        remembers_changes: true,
        applications: config.applications,
        rules: config.rules,
    })
}

/// When epochs close.
fn epochs(config: &Config) -> EpochLimits {
    let engine = &config.engine;
    EpochLimits {
        age_min: std::time::Duration::from_millis(engine.epoch_min_ms),
        age_max: std::time::Duration::from_millis(engine.epoch_max_ms),
        bytes_max: usize::try_from(engine.epoch_bytes.0).unwrap_or(usize::MAX),
        ..EpochLimits::default()
    }
}
