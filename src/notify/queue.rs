//! The words that a receiver has not taken yet: one for each condition, and never more than [`MOST`].

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

use super::word::Word;

/// Most words that wait for one receiver.
pub(super) const MOST: usize = 64;

/// What became of a word that was put in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pushed {
    /// It waits.
    Queued,
    /// It stands in the place of an older one about the same.
    Replaced,
    /// It waits, and the oldest was dropped.
    Dropped,
}

/// A queue of one receiver.
#[derive(Debug, Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    words: VecDeque<(u64, Word)>,
    next: u64,
    closed: bool,
}

// === impl Queue ===

impl Queue {
    /// Puts a word in. Never waits.
    pub(super) fn push(&self, word: Word) -> Pushed {
        let mut state = self.lock();
        let number = state.next;
        state.next += 1;
        let same =
            |(_, old): &&mut (u64, Word)| (old.event, &old.subject) == (word.event, &word.subject);
        let pushed = if let Some(old) = state.words.iter_mut().find(same) {
            *old = (number, word);
            Pushed::Replaced
        } else if state.words.len() >= MOST {
            state.words.pop_front();
            state.words.push_back((number, word));
            Pushed::Dropped
        } else {
            state.words.push_back((number, word));
            Pushed::Queued
        };
        drop(state);
        self.changed.notify_one();
        pushed
    }

    /// The word that is next, and its number, as soon as there is one. `None`: the queue was closed.
    pub(super) async fn next(&self) -> Option<(u64, Word)> {
        loop {
            {
                let state = self.lock();
                if state.closed {
                    return None;
                }
                if let Some(next) = state.words.front() {
                    return Some(next.clone());
                }
            }
            self.changed.notified().await;
        }
    }

    /// Takes a word out, unless a newer one has taken its place meanwhile.
    pub(super) fn done(&self, number: u64) {
        self.lock().words.retain(|(there, _)| *there != number);
    }

    /// Ends it: nobody is to be told any more.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
