//! API descriptions: what endpoints an application is said to have.

/// Descriptions of the applications' interfaces.
#[derive(Clone, Debug, Default)]
pub struct Descriptions {}
