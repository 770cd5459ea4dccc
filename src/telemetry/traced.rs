//! What a tracer is told of each decision.

use std::{fmt, sync::OnceLock, time::Duration};

use super::labels::Decision;

/// One decision, for a tracer.
#[derive(Clone, Debug)]
pub struct Traced<'a> {
    /// What logs and exemplars call it.
    pub id: crate::ident::DecisionId,
    /// `admit`, `queue`, `downgrade`, `reject`.
    pub decision: &'static str,
    /// Why.
    pub reason: &'static str,
    /// What enforcing every rule would have answered, where it differs.
    pub would: Option<&'static str>,
    /// The user's id.
    pub user: &'a str,
    /// The user's name, if the configuration labels by name.
    pub name: Option<&'a str>,
    /// The client program.
    pub client: &'a str,
    /// The class.
    pub class: &'a str,
    /// The node.
    pub node: &'a str,
    /// The GPU, if it would encode video.
    pub gpu: Option<&'a str>,
    /// What of what into what.
    pub work: &'a str,
    /// Seats.
    pub seats: f64,
    /// How long it waited.
    pub waited: Duration,
}

type Tell = dyn Fn(&Traced<'_>) + Send + Sync;

/// Whoever wants to be told. Set once, at the start.
#[derive(Default)]
pub(super) struct Tracer(OnceLock<Box<Tell>>);

// === impl Tracer ===

impl Tracer {
    /// Tells `tell` of each decision from now on. It may not block.
    pub(super) fn set(&self, tell: Box<Tell>) {
        // A second one is one too many, and does no harm.
        self.0.set(tell).ok();
    }

    pub(super) fn tell(&self, decision: &Decision<'_>, names: bool) {
        let Some(tell) = self.0.get() else { return };
        let subject = decision.subject;
        tell(&Traced {
            id: subject.decision,
            decision: decision.verdict.as_str(),
            reason: decision.reason.as_str(),
            would: decision.would.map(crate::admission::Reason::as_str),
            user: subject.user.as_str(),
            name: subject.user_name.as_deref().filter(|_| names),
            client: &subject.client,
            class: subject.class.as_str(),
            node: subject.node.as_str(),
            gpu: subject.gpu.as_ref().map(crate::ident::GpuId::as_str),
            work: &subject.work,
            seats: subject.cost.as_f64(),
            waited: decision.waited.unwrap_or_default(),
        });
    }
}

impl fmt::Debug for Tracer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tracer")
    }
}
