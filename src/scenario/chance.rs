//! Chance that is the same each time: a seed and a name give one row of numbers.

/// A row of numbers (`SplitMix64`).
#[derive(Clone, Debug)]
pub(super) struct Chance(u64);

impl Chance {
    /// The row of one viewer: what is drawn for him does not depend on the others.
    pub(super) fn new(seed: u64, row: u64) -> Self {
        let mut chance = Self(seed ^ row.wrapping_mul(0xa076_1d64_78bd_642f));
        chance.next();
        chance
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number between 0 and 1, 1 not included.
    #[expect(clippy::cast_precision_loss, reason = "53 bits are kept")]
    pub(super) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// A whole number, both ends included.
    pub(super) fn between(&mut self, from: u64, to: u64) -> u64 {
        from + self.next() % (to.saturating_sub(from).saturating_add(1)).max(1)
    }

    /// Whether something of this probability happens.
    pub(super) fn happens(&mut self, part: f64) -> bool {
        self.unit() < part
    }

    /// One of several, by weight. `None`: there is none.
    pub(super) fn pick<'a, T>(&mut self, from: &'a [(T, f64)]) -> Option<&'a T> {
        let whole: f64 = from.iter().map(|(_, weight)| weight).sum();
        let mut at = self.unit() * whole;
        for (one, weight) in from {
            at -= weight;
            if at < 0.0 {
                return Some(one);
            }
        }
        from.last().map(|(one, _)| one)
    }
}
