//! What a GPU can bear now: the policy's number, lowered at once by a bad sample, raised slowly.

/// One reading of a GPU.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// Σ speed × seats over its unthrottled jobs: a direct reading of raw capacity, in seats
    /// (hardware A3, captures 18). `None`: no unthrottled job ran.
    pub throughput: Option<f64>,
    /// Jobs slower than real time whose viewers have less than 15 s in hand (hardware A5).
    pub starving: u32,
}
