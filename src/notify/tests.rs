//! Words as receivers get them.
