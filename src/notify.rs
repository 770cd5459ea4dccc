//! Sends word to the operator when something is wrong, and again when it is well.
//!
//! A loop looks every few seconds at what is there to be seen ([`Seen`]): it takes nothing from the data path and can
//! hold nothing up. [`conditions`] makes words of it, one for each condition until that clears, and no more than the
//! rate allows; what the rate holds back is said later, if it is still so. Each receiver has a bounded queue and a
//! loop of its own, so that one that is away costs the others nothing.

mod conditions;
mod message;
mod queue;
mod receiver;
mod send;
#[cfg(test)]
mod tests;
mod word;

use std::{fmt, num::NonZeroU32, sync::Arc, time::Duration};

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use tokio::sync::watch;

use self::{
    conditions::Conditions,
    queue::{Pushed, Queue},
    send::Sender,
    word::Word,
};
pub use self::{
    receiver::{Receiver, SCHEMES},
    word::On,
};
use crate::{
    admission::Snapshot,
    clock,
    tasks::Tasks,
    telemetry::{Sent, Telemetry},
    upstream::{TlsError, client_config},
};

/// Whom to tell, and of what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Where words go.
    pub receivers: Vec<Receiver>,
    /// What is worth a word.
    pub on: Vec<On>,
    /// When refusals are worth one.
    pub refused: Refused,
    /// How long a server is away, or a GPU starves, before a word is sent, and how long it is well again.
    pub after: Duration,
    /// When a word is sent again while its condition lasts.
    pub repeat: Duration,
    /// Most words in a minute; `None`: any number.
    pub rate: Option<NonZeroU32>,
    /// Whom the words are from.
    pub name: String,
    /// How often it looks and tries.
    pub pace: Pace,
}

/// More plays than this many are refused within this time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// That many are no reason for a word.
    pub more_than: u32,
    /// The time.
    pub within: Duration,
}

/// How often it looks, and how long it waits for a receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Between two looks.
    pub look: Duration,
    /// A receiver has this long to answer.
    pub patience: Duration,
    /// From the first failure to the next attempt; doubled at each.
    pub retry: Duration,
    /// Most between two attempts.
    pub retry_at_most: Duration,
}

/// What is there to be seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// GPUs with transcodes that starve, and how many.
    pub starving: Vec<(String, u32)>,
    /// Nodes that do not answer.
    pub down: Vec<String>,
    /// Nodes whose disk is filling, and how many bytes are free.
    pub filling: Vec<(String, u64)>,
    /// Nodes of whose disk nothing is known.
    pub unknown_disks: Vec<String>,
    /// Plays refused since the start.
    pub refusals: u64,
    /// The last configuration was rejected.
    pub config_rejected: bool,
    /// The journal can't be written.
    pub journal_trouble: bool,
}

/// A receiver, and what became of a test word.
pub type Tried = (Receiver, Result<(), String>);

/// Sends words. Cheap to clone.
#[derive(Clone)]
pub struct Notifier(Arc<Inner>);

struct Inner {
    settings: watch::Sender<Settings>,
    sender: Sender,
    telemetry: Telemetry,
}

// === impl Settings ===

impl Default for Settings {
    fn default() -> Self {
        Self {
            receivers: Vec::new(),
            on: On::ALL.to_vec(),
            refused: Refused {
                more_than: 10,
                within: Duration::from_secs(600),
            },
            after: Duration::from_secs(30),
            repeat: Duration::from_secs(3600),
            rate: NonZeroU32::new(6),
            name: "Finweir".to_owned(),
            pace: Pace::default(),
        }
    }
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            look: Duration::from_secs(5),
            patience: Duration::from_secs(10),
            retry: Duration::from_secs(2),
            retry_at_most: Duration::from_secs(300),
        }
    }
}

// === impl Seen ===

impl Seen {
    /// Looks.
    pub fn of(snapshot: &Snapshot, telemetry: &Telemetry) -> Self {
        let starving = snapshot.gpus.iter().filter(|gpu| gpu.starving > 0);
        let nodes = telemetry.nodes();
        let down = nodes.iter().filter(|node| node.reachable == Some(false));
        let filling = nodes.iter().filter_map(|node| {
            let disk = node.disk.as_ref().filter(|disk| disk.filling)?;
            Some((node.node.clone(), disk.free))
        });
        let unknown = nodes.iter().filter(|node| node.disk.is_none());
        Self {
            starving: starving
                .map(|gpu| (gpu.gpu.to_string(), gpu.starving))
                .collect(),
            down: down.map(|node| node.node.clone()).collect(),
            filling: filling.collect(),
            unknown_disks: unknown.map(|node| node.node.clone()).collect(),
            refusals: telemetry.refusals(),
            config_rejected: !telemetry.config_ok(),
            journal_trouble: telemetry.has_journal_trouble(),
        }
    }
}

// === impl Notifier ===

impl Notifier {
    /// Prepares to send.
    ///
    /// # Errors
    /// TLS can't be set up.
    pub fn new(settings: Settings, telemetry: Telemetry) -> Result<Self, TlsError> {
        let sender = Sender::new(client_config(None)?.as_ref())?;
        Ok(Self(Arc::new(Inner {
            settings: watch::Sender::new(settings),
            sender,
            telemetry,
        })))
    }

    /// Takes over new settings. What was said is remembered; the queue of a receiver that stays is kept.
    pub fn apply(&self, settings: Settings) {
        self.0.settings.send_if_modified(|now| {
            let changed = *now != settings;
            *now = settings;
            changed
        });
    }

    /// Looks and tells, for ever. Receivers are served by loops of `tasks`.
    pub async fn run(self, tasks: Tasks, look: impl Fn() -> Seen + Send) {
        let mut settings = self.0.settings.subscribe();
        let mut desk = Desk::default();
        loop {
            let now = settings.borrow_and_update().clone();
            desk.serve(&now, &self, &tasks);
            if !now.receivers.is_empty() {
                desk.tell(&now, &look(), &self.0.telemetry);
            }
            tokio::select! {
                () = tokio::time::sleep(now.pace.look) => {}
                _ = settings.changed() => {}
            }
        }
    }

    /// Sends a word to each receiver, once, and says what became of it.
    pub async fn test(&self) -> Vec<Tried> {
        let settings = self.0.settings.borrow().clone();
        let word = Word::test(clock::wall());
        let mut results = Vec::new();
        for receiver in &settings.receivers {
            let sent = self.0.sender.send(receiver, &word, &settings).await;
            results.push((receiver.clone(), sent.map_err(|error| error.to_string())));
        }
        results
    }
}

impl fmt::Debug for Notifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Notifier")
    }
}

/// What the loop keeps between two looks.
#[derive(Default)]
struct Desk {
    conditions: Conditions,
    receivers: Vec<(Receiver, Arc<Queue>)>,
    limiter: Option<DefaultDirectRateLimiter>,
    rate: Option<NonZeroU32>,
    /// The rate holds words back, which was counted.
    held_back: bool,
}

// === impl Desk ===

impl Desk {
    /// Starts loops for new receivers, ends those of old ones, and makes the limiter anew if the rate changed.
    fn serve(&mut self, settings: &Settings, notifier: &Notifier, tasks: &Tasks) {
        self.receivers.retain(|(receiver, queue)| {
            let stays = settings.receivers.contains(receiver);
            if !stays {
                queue.close();
            }
            stays
        });
        for receiver in &settings.receivers {
            if !self.receivers.iter().any(|(known, _)| known == receiver) {
                let queue = Arc::new(Queue::default());
                self.receivers.push((receiver.clone(), queue.clone()));
                tasks.spawn_loop(send::serve(
                    notifier.0.sender.clone(),
                    receiver.clone(),
                    queue,
                    notifier.0.settings.subscribe(),
                    notifier.0.telemetry.clone(),
                ));
            }
        }
        if self.rate != settings.rate {
            self.rate = settings.rate;
            let limiter = |rate| RateLimiter::direct(Quota::per_minute(rate));
            self.limiter = settings.rate.map(limiter);
        }
    }

    fn tell(&mut self, settings: &Settings, seen: &Seen, telemetry: &Telemetry) {
        let Self {
            conditions,
            receivers,
            limiter,
            held_back,
            ..
        } = self;
        let mut held = false;
        let words = conditions.update(clock::now(), clock::wall(), settings, seen, || {
            let may = limiter.as_ref().is_none_or(|l| l.check().is_ok());
            held |= !may;
            may
        });
        if held && !std::mem::replace(held_back, held) {
            telemetry.sent(Sent::HeldBack);
            tracing::warn!("More is wrong than words may be sent of; the rest follows");
        }
        *held_back = held;
        for word in words {
            tracing::info!(
                event = word.event,
                about = word.subject.as_deref(),
                state = word.state.as_str(),
                "Word to the operator"
            );
            for (_, queue) in receivers.iter() {
                match queue.push(word.clone()) {
                    Pushed::Queued => {}
                    Pushed::Replaced => telemetry.sent(Sent::Replaced),
                    Pushed::Dropped => telemetry.sent(Sent::Dropped),
                }
            }
        }
    }
}
