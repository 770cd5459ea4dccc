//! The gate's three rules, in virtual time.
