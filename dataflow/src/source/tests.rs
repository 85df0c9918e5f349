//! Sources as their users see them.
