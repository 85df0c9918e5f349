//! Field mappings: how JSON of another shape becomes request records.

/// A mapping of the fields of a JSON log onto the record.
#[derive(Clone, Debug, Default)]
pub struct Mapping {
    /// Name, as `--format` takes it.
    pub name: String,
}
