//! Where records come from and how they are read: sources hand over chunks of whole records, decoders
//! make requests of them.
//!
//! Arrows inside: [`source`] knows [`decode`] (it looks at the first bytes to find a format), never
//! the other way round. Neither knows the store or the engine; what refuses a record is a code of
//! `spoor-api`.

pub mod decode;
pub mod source;
