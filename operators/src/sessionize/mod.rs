//! Requests in, sessions out: an insertion costs O(log sessions of that identity and day).
//!
//! [`backend`] is the seam to whatever keeps the state, [`memory`] keeps it in memory.

pub mod backend;
