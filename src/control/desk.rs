//! Which ending or message is carried out next: a few at a time, so that a slow one holds up no other.
//!
//! What concerns one viewer is done in its order: he is told of an ending before it comes. Messages alone never take
//! all places, so that an ending does not wait behind what others are told; a message with an ending of the same viewer
//! behind it is as urgent as that. What waits is bounded: a message beyond the bound is not shown, and of endings no
//! more are taken, so that the channel fills and the gate says that the rest is left to Jellyfin's timers.

use std::collections::{HashSet, VecDeque};

use tokio::sync::mpsc;

use crate::{
    gate::{EndJob, Ending},
    ident::{DeviceId, UserId},
    tasks::Tasks,
};

/// Carried out at once. Each is a call or three to a server that may be slow.
const AT_ONCE: usize = 8;
/// Messages that hold up no ending, at once.
const MESSAGES_AT_ONCE: usize = 4;
/// Messages that wait.
const MESSAGES: usize = 64;
/// Endings that wait, beside those in the channel.
const ENDINGS: usize = 64;

/// Whose screen or player it is.
type Viewer = (UserId, DeviceId);

/// What waits, and whose turn it is not.
#[derive(Debug, Default)]
struct Desk {
    /// In the order in which it came.
    waiting: VecDeque<EndJob>,
    /// What is under way; `true`: a message that holds up no ending.
    busy: Vec<(Viewer, bool)>,
}

/// A place at the desk, given back at the end, however that comes.
struct Place {
    viewer: Viewer,
    back: mpsc::Sender<Viewer>,
}

/// Has everything that comes carried out, until nothing more can come.
pub(super) async fn serve<F>(
    tasks: Tasks,
    mut ends: mpsc::Receiver<EndJob>,
    mut carry_out: impl FnMut(EndJob) -> F + Send,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let (back, mut done) = mpsc::channel(AT_ONCE);
    let mut desk = Desk::default();
    let mut open = true;
    while open || !desk.busy.is_empty() {
        tokio::select! {
            end = ends.recv(), if open && desk.takes() => match end {
                Some(end) => desk.put(end),
                None => open = false,
            },
            Some(viewer) = done.recv() => desk.busy.retain(|(busy, _)| *busy != viewer),
        }
        while let Some(end) = desk.next() {
            let place = Place {
                viewer: viewer(&end),
                back: back.clone(),
            };
            let work = carry_out(end);
            tasks.spawn(async move {
                let _place = place;
                work.await;
            });
        }
    }
}

fn viewer(end: &EndJob) -> Viewer {
    (end.user.clone(), end.device.clone())
}

fn is_message(end: &EndJob) -> bool {
    match end.ending {
        Ending::Announce(_) | Ending::Spare => true,
        Ending::Job | Ending::Player => false,
    }
}

// === impl Desk ===

impl Desk {
    /// Whether one more may come.
    fn takes(&self) -> bool {
        self.waiting.iter().filter(|end| !is_message(end)).count() < ENDINGS
    }

    fn put(&mut self, end: EndJob) {
        let messages = self.waiting.iter().filter(|end| is_message(end)).count();
        if is_message(&end) && messages >= MESSAGES {
            tracing::warn!(node = %end.node, "too many messages to viewers at once; this one is not shown");
            return;
        }
        self.waiting.push_back(end);
    }

    /// Takes what is to be begun now.
    fn next(&mut self) -> Option<EndJob> {
        if self.busy.len() >= AT_ONCE {
            return None;
        }
        let endings = self.waiting.iter().filter(|end| !is_message(end));
        let urgent: HashSet<Viewer> = endings.map(viewer).collect();
        let messages = self.busy.iter().filter(|(_, message)| *message).count();
        // A viewer who has something under way, or something before this, has to wait.
        let mut before: HashSet<Viewer> = self.busy.iter().map(|(busy, _)| busy.clone()).collect();
        let firsts = self.waiting.iter().enumerate().filter_map(|(at, end)| {
            let viewer = viewer(end);
            let presses = urgent.contains(&viewer);
            before.insert(viewer).then_some((at, presses))
        });
        let firsts: Vec<(usize, bool)> = firsts.collect();
        let pressing = firsts.iter().find(|(_, presses)| *presses);
        let first = firsts.first().filter(|_| messages < MESSAGES_AT_ONCE);
        let (at, presses) = *pressing.or(first)?;
        let end = self.waiting.remove(at)?;
        self.busy.push((viewer(&end), !presses));
        Some(end)
    }
}

// === impl Place ===

impl Drop for Place {
    fn drop(&mut self) {
        // There is room for every place.
        self.back.try_send(self.viewer.clone()).ok();
    }
}

#[cfg(test)]
mod tests;
