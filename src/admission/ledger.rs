//! Who holds what, per GPU, user and class; the invariant lives here.
