//! GPUs: the model of one that the simulated server encodes on.

pub mod model;
