//! Log lines: one at `info` for each decision on a transcode, with a message and the same facts as fields.
//!
//! Never in a line: tokens, titles, item names, URLs and queries; and user names, unless the configuration labels
//! by name. What a client says of itself goes in as a string value, which both formats escape.

use std::{
    io::{self, IsTerminal},
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use tracing::{debug, info, warn};
use tracing_subscriber::{
    EnvFilter,
    fmt::MakeWriter,
    layer::SubscriberExt,
    registry::Registry,
    util::{SubscriberInitExt, TryInitError},
};

use super::{
    LogFormat, Settings,
    labels::{Decision, Verdict},
    spool::{LogGuard, Spool},
};
use crate::admission::{Event, Mode, Reason, Reconciled, Subject};

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The level or directives can't be read.
    #[error("log level `{0}` can't be read")]
    Level(String, #[source] tracing_subscriber::filter::ParseError),
    /// Another subscriber is in place: this was called twice.
    #[error("logging is set up already")]
    Twice(#[source] TryInitError),
    /// The thread that writes can't be had.
    #[error("the log can't have a thread")]
    Thread(#[source] io::Error),
}

/// Sends log lines to standard error, from now on and for the whole process. What it returns is to be kept until the
/// process ends.
///
/// # Errors
/// The level can't be read, or logging is set up already.
pub fn init_logging(settings: &Settings) -> Result<LogGuard, LogError> {
    let text = match settings.format {
        LogFormat::Auto => io::stderr().is_terminal(),
        LogFormat::Text => true,
        LogFormat::Json => false,
    };
    let (spool, written) = Spool::start(io::stderr()).map_err(LogError::Thread)?;
    subscriber(&settings.level, text, spool)?
        .try_init()
        .map_err(LogError::Twice)?;
    Ok(written)
}

type Lines = Box<dyn tracing::Subscriber + Send + Sync>;

/// Builds the subscriber that [`init_logging`] installs, with any writer.
pub(super) fn subscriber<W>(level: &str, text: bool, writer: W) -> Result<Lines, LogError>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let filter =
        EnvFilter::try_new(level).map_err(|error| LogError::Level(level.to_owned(), error))?;
    let layer = tracing_subscriber::fmt::layer().with_writer(writer);
    Ok(if text {
        let layer = layer
            .with_ansi(io::stderr().is_terminal())
            .with_target(false);
        Box::new(Registry::default().with(filter).with(layer))
    } else {
        let layer = layer
            .json()
            .flatten_event(true)
            .with_current_span(true)
            .with_span_list(false);
        Box::new(Registry::default().with(filter).with(layer))
    })
}

/// Says what happened. `names`: the configuration wants user names.
pub(super) fn log(event: &Event, names: bool) {
    let name = |subject: &Subject| names.then(|| subject.user_name.clone()).flatten();
    if let Some(decision) = Decision::of(event) {
        log_decision(&decision, name(decision.subject).as_deref());
    }
    match event {
        Event::Admitted { .. }
        | Event::Queued { .. }
        | Event::Granted { .. }
        | Event::Refused { .. }
        | Event::Downgraded { .. } => {}
        Event::Withdrawn {
            subject,
            ticket,
            waited,
        } => info!(
            decision.id = %subject.decision,
            user.id = subject.user.as_str(), user.name = name(subject).as_deref(),
            client = &*subject.client, class = subject.class.as_str(),
            ticket = %ticket, waited_ms = millis(*waited), work = subject.work,
            "Client left while it waited"
        ),
        Event::Moved {
            subject,
            lease,
            from,
            to,
        } => debug!(
            user.id = subject.user.as_str(), item.id = subject.item.as_str(),
            lease = %lease, from = from.as_str(), to = to.as_str(), "Lease moved"
        ),
        Event::LeaseEnded {
            subject,
            lease,
            ended,
            lasted,
        } => {
            let (user, lasted) = (subject.user.as_str(), lasted.as_secs());
            if subject.gpu.is_some() {
                info!(
                    decision.id = %subject.decision,
                    user.id = user, user.name = name(subject).as_deref(), lease = %lease,
                    ended = ended.as_str(), lasted_s = lasted, work = subject.work,
                    gpu = subject.gpu.as_ref().map(|g| g.as_str()), node = subject.node.as_str(),
                    "Lease ended"
                );
            } else {
                debug!(
                    decision.id = %subject.decision, user.id = user, lease = %lease, ended = ended.as_str(), lasted_s = lasted,
                    work = subject.work, node = subject.node.as_str(), "Lease ended"
                );
            }
        }
        Event::Reconciled {
            subject,
            lease,
            found,
        } => {
            let (user, node) = (subject.user.as_str(), subject.node.as_str());
            let lease = lease.map(|l| l.to_string());
            match found {
                Reconciled::Adopted | Reconciled::Orphan | Reconciled::Differs => info!(
                    user.id = user,
                    found = found.as_str(),
                    lease,
                    node,
                    work = subject.work,
                    seats = subject.cost.as_f64(),
                    "Jellyfin and the leases disagreed"
                ),
                Reconciled::Finished | Reconciled::Restarted => debug!(
                    user.id = user,
                    found = found.as_str(),
                    lease,
                    node,
                    work = subject.work,
                    "Jellyfin's job changed"
                ),
            }
        }
        Event::Preempting {
            subject,
            lease,
            grace,
        } => {
            let (user, client) = (subject.user.as_str(), &*subject.client);
            match grace {
                Some(grace) => info!(
                    user.id = user, user.name = name(subject).as_deref(), client,
                    class = subject.class.as_str(), lease = %lease, grace_s = grace.as_secs(),
                    work = subject.work, "A stream is to be ended for somebody who goes before it"
                ),
                None => info!(
                    user.id = user, user.name = name(subject).as_deref(), client,
                    lease = %lease, "A stream that was to be ended plays on"
                ),
            }
        }
        Event::EndJob {
            subject,
            lease,
            ended,
        } => info!(
            user.id = subject.user.as_str(), user.name = name(subject).as_deref(),
            client = &*subject.client, lease = %lease, ended = ended.as_str(),
            node = subject.node.as_str(), "Asked Jellyfin to end a job"
        ),
        Event::CapacityChanged { gpu, from, to } => info!(
            gpu = gpu.as_str(),
            from = from.as_f64(),
            to = to.as_f64(),
            "Capacity of a GPU changed"
        ),
        Event::Operator {
            order,
            who,
            subject,
        } => {
            let subject = subject.as_deref();
            info!(
                action = order.as_str(),
                who = &**who,
                user.id = subject.map(|s| s.user.as_str()),
                user.name = subject.and_then(name).as_deref(),
                work = subject.map(|s| s.work.as_str()),
                "The operator acted"
            );
        }
        Event::PolicyChanged { mode } => match mode {
            Mode::Observe => info!(mode = "observe", "Policy in force: nothing is refused"),
            Mode::Enforce => info!(mode = "enforce", "Policy in force"),
        },
    }
}

fn log_decision(decision: &Decision<'_>, name: Option<&str>) {
    let subject = decision.subject;
    let message = match (decision.verdict, decision.waited) {
        (Verdict::Admit, None) => "Admitted",
        (Verdict::Admit, Some(_)) => "Admitted after a wait",
        (Verdict::Queue, _) => "Queued",
        (Verdict::Downgrade, _) => "Stepped down",
        (Verdict::Reject, None) => "Refused",
        (Verdict::Reject, Some(_)) => "Refused after a wait",
    };
    macro_rules! line {
        ($level:ident) => {
            $level!(
                decision.id = %subject.decision,
                user.id = subject.user.as_str(),
                user.name = name,
                client = &*subject.client,
                class = subject.class.as_str(),
                decision = decision.verdict.as_str(),
                reason = decision.reason.as_str(),
                would = decision.would.map(Reason::as_str),
                seats = subject.cost.as_f64(),
                gpu = subject.gpu.as_ref().map(|g| g.as_str()),
                node = subject.node.as_str(),
                waited_ms = decision.waited.map(millis),
                work = subject.work,
                "{message}"
            )
        };
    }
    let plain = decision.verdict == Verdict::Admit && subject.gpu.is_none();
    if decision.reason == Reason::FailOpen {
        line!(warn);
    } else if plain && decision.would.is_none() {
        line!(debug);
    } else {
        line!(info);
    }
    debug!(
        user.id = subject.user.as_str(),
        item.id = subject.item.as_str(),
        device.id = subject.device.as_str(),
        "Decided about this item"
    );
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Lets a warning through once per interval, so that a failure that every request meets does not fill the disk.
#[derive(Debug)]
pub(super) struct Quiet {
    since: Instant,
    /// Milliseconds after `since` at which the next line may be written.
    next: AtomicU64,
    held_back: AtomicU64,
}

impl Quiet {
    const INTERVAL: u64 = 10_000;

    pub(super) fn new(now: Instant) -> Self {
        Self {
            since: now,
            next: AtomicU64::new(0),
            held_back: AtomicU64::new(0),
        }
    }

    /// `Some(n)`: write a line; `n` were held back since the last one.
    pub(super) fn pass(&self, now: Instant) -> Option<u64> {
        let at = millis(now.saturating_duration_since(self.since));
        let next = self.next.load(Ordering::Relaxed);
        let won = at >= next
            && self
                .next
                .compare_exchange(
                    next,
                    at + Self::INTERVAL,
                    Ordering::Relaxed,
                    Ordering::Relaxed,
                )
                .is_ok();
        if won {
            return Some(self.held_back.swap(0, Ordering::Relaxed));
        }
        self.held_back.fetch_add(1, Ordering::Relaxed);
        None
    }
}
