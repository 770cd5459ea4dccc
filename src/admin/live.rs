//! What open pages are told: one rendering for all of them, once a second at most, while somebody listens.
//!
//! A page is drawn in parts. What has changed since the last rendering is sent to every listener as the same bytes; who
//! has just come, or was too slow for one, gets all parts. Spans of time are left out: the page counts them itself, so
//! that nothing is sent where only time has passed. What it counts them by, the time now, is put in as an event is sent:
//! what was drawn last may be old.
//!
//! Who may see a page may cease to: then it is told so, and nothing else.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use bytes::Bytes;
use http_body::Frame as Chunk;
use serde_json::{Map, Value, json};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, watch};

use crate::clock;

/// Between two renderings.
const TURN: Duration = Duration::from_secs(1);
/// Silence after which a comment is sent, so that proxies and browsers know that the connection lives.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// What a page is sent that may not listen any more: it loads itself again.
const OVER: &[u8] = b"event: over\ndata:\n\n";
/// Pages that listen at once.
pub(super) const LISTENERS: usize = 256;

/// The parts of a page, in order: the name and its markup.
pub(super) type Parts = Vec<(&'static str, String)>;

/// Seconds since 1970, now.
pub(super) type Now = fn() -> f64;

/// Ends when a page may not listen any more.
pub(super) type Over = Pin<Box<dyn Future<Output = ()> + Send>>;

/// One kind of page, and who has it open.
#[derive(Debug)]
pub(super) struct Live {
    now: Now,
    frames: watch::Sender<Arc<Frame>>,
    drawn: Mutex<Drawn>,
    come: Notify,
    free: Arc<Semaphore>,
}

/// What was drawn last.
#[derive(Debug, Default)]
struct Drawn {
    at: Option<Instant>,
    parts: Parts,
}

/// One rendering: its parts as JSON, all of them and those that have changed.
#[derive(Debug, Default)]
struct Frame {
    number: u64,
    whole: String,
    changed: String,
}

/// The body of an answer to a page that listens.
pub(super) struct Feed(Pin<Box<dyn Future<Output = Next> + Send>>);

/// What is sent next, and who listens on.
type Next = Option<(Bytes, Listener)>;

/// One page that listens.
struct Listener {
    now: Now,
    frames: watch::Receiver<Arc<Frame>>,
    stop: watch::Receiver<()>,
    /// `None`: it was told.
    over: Option<Over>,
    /// The rendering that it has seen.
    seen: Option<u64>,
    _place: OwnedSemaphorePermit,
}

// === impl Live ===

impl Live {
    /// Nobody listens. `free`: places for listeners, shared with other kinds of page.
    pub(super) fn new(now: Now, free: Arc<Semaphore>) -> Self {
        let (frames, _) = watch::channel(Arc::default());
        Self {
            now,
            frames,
            drawn: Mutex::default(),
            come: Notify::new(),
            free,
        }
    }

    /// Draws again and again while somebody listens, for ever.
    pub(super) async fn run(&self, draw: impl Fn() -> Parts) {
        loop {
            let come = self.come.notified();
            if self.frames.receiver_count() == 0 {
                come.await;
                continue;
            }
            tokio::time::sleep(TURN).await;
            self.refresh(&draw);
        }
    }

    /// Lets a page listen from now on, until `over`. `None`: too many do.
    pub(super) fn listen(
        &self,
        stop: watch::Receiver<()>,
        over: Over,
        draw: impl Fn() -> Parts,
    ) -> Option<Feed> {
        let place = self.free.clone().try_acquire_owned().ok()?;
        let listener = Listener {
            now: self.now,
            frames: self.frames.subscribe(),
            stop,
            over: Some(over),
            seen: None,
            _place: place,
        };
        self.come.notify_one();
        self.refresh(&draw);
        Some(Feed(Box::pin(listener.next())))
    }

    /// Draws, unless that was done a moment ago, and tells whoever listens what has changed.
    fn refresh(&self, draw: &impl Fn() -> Parts) {
        let mut drawn = self.drawn.lock().unwrap_or_else(PoisonError::into_inner);
        let at = clock::now();
        // A little less than a turn: the clock of the turns is not this one.
        let young = |last: Instant| at.saturating_duration_since(last) < TURN * 9 / 10;
        if drawn.at.is_some_and(young) {
            return;
        }
        drawn.at = Some(at);
        let parts: Parts = draw()
            .into_iter()
            .map(|(name, markup)| (name, without_spans(&markup)))
            .collect();
        let changed = parts.iter().filter(|part| !drawn.parts.contains(part));
        let changed: Vec<_> = changed.collect();
        if changed.is_empty() {
            return;
        }
        let frame = |number: u64| Frame {
            number,
            whole: json_of(parts.iter()),
            changed: json_of(changed.iter().copied()),
        };
        self.frames
            .send_modify(|last| *last = Arc::new(frame(last.number + 1)));
        drawn.parts = parts;
    }

    /// Pages that listen now.
    #[cfg(test)]
    pub(super) fn listeners(&self) -> usize {
        self.frames.receiver_count()
    }
}

/// Parts by name, in one line.
fn json_of<'a>(parts: impl Iterator<Item = &'a (&'static str, String)>) -> String {
    let parts: Map<String, Value> = parts
        .map(|(name, markup)| ((*name).to_owned(), json!(markup)))
        .collect();
    Value::Object(parts).to_string()
}

/// Markup without the text of its spans of time.
fn without_spans(markup: &str) -> String {
    const OPEN: &str = "<span data-at=";
    let mut out = String::with_capacity(markup.len());
    let mut rest = markup;
    while let Some((before, after)) = rest.split_once(OPEN) {
        out.push_str(before);
        out.push_str(OPEN);
        let Some((attributes, text)) = after.split_once('>') else {
            rest = after;
            break;
        };
        out.push_str(attributes);
        out.push('>');
        rest = text
            .find("</span>")
            .and_then(|end| text.get(end..))
            .unwrap_or(text);
    }
    out.push_str(rest);
    out
}

// === impl Listener ===

impl Listener {
    /// What it is sent next; `None` when the listener stops.
    async fn next(mut self) -> Option<(Bytes, Self)> {
        let over = self.over.as_mut()?;
        tokio::select! {
            biased;
            () = over => {
                self.over = None;
                return Some((Bytes::from_static(OVER), self));
            }
            () = std::future::ready(()), if self.seen.is_none() => {
                let frame = self.frames.borrow_and_update().clone();
                self.seen = Some(frame.number);
                let first = self.event(frame.number, &frame.whole);
                return Some((Bytes::from(format!("retry: 2000\n\n{first}")), self));
            }
            _ = self.stop.changed() => return None,
            changed = self.frames.changed() => changed.ok()?,
            () = tokio::time::sleep(KEEP_ALIVE) => return Some((Bytes::from_static(b":\n\n"), self)),
        }
        let frame = self.frames.borrow_and_update().clone();
        let follows = self.seen.is_some_and(|seen| seen + 1 == frame.number);
        self.seen = Some(frame.number);
        let parts = if follows {
            &frame.changed
        } else {
            &frame.whole
        };
        Some((Bytes::from(self.event(frame.number, parts)), self))
    }

    /// A server-sent event: one line of JSON.
    fn event(&self, number: u64, parts: &str) -> String {
        let now = (self.now)();
        format!("id: {number}\ndata: {{\"now\":{now},\"parts\":{parts}}}\n\n")
    }
}

// === impl Feed ===

impl http_body::Body for Feed {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Chunk<Bytes>, Infallible>>> {
        let next = ready!(self.0.as_mut().poll(context));
        Poll::Ready(next.map(|(bytes, listener)| {
            self.0 = Box::pin(listener.next());
            Ok(Chunk::data(bytes))
        }))
    }
}

impl std::fmt::Debug for Feed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Feed")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use http_body_util::BodyExt;

    use super::*;

    #[test]
    fn spans_of_time_are_left_for_the_page_to_count() {
        assert_eq!(
            without_spans(
                "<b>x</b><span data-at=\"7\" data-as=\"ago\">3 s ago</span> <i>y</i><span>z</span>"
            ),
            "<b>x</b><span data-at=\"7\" data-as=\"ago\"></span> <i>y</i><span>z</span>"
        );
        assert_eq!(without_spans("plain"), "plain");
    }

    fn live() -> Live {
        Live::new(|| 7.0, Arc::new(Semaphore::new(3)))
    }

    fn never() -> Over {
        Box::pin(std::future::pending())
    }

    async fn read(feed: &mut Feed) -> String {
        let chunk = feed.frame().await.unwrap().unwrap();
        String::from_utf8(chunk.into_data().unwrap().to_vec()).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn one_rendering_serves_all_and_only_changes_are_sent() {
        let live = live();
        let (_stop, stopped) = watch::channel(());
        let (drawn, held) = (AtomicU32::new(0), AtomicU32::new(1));
        let draw = || {
            drawn.fetch_add(1, Ordering::SeqCst);
            let held = held.load(Ordering::SeqCst);
            vec![("gpus", format!("{held} held")), ("nodes", "n".to_owned())]
        };
        let mut first = live.listen(stopped.clone(), never(), draw).unwrap();
        let mut second = live.listen(stopped.clone(), never(), draw).unwrap();
        assert_eq!(drawn.load(Ordering::SeqCst), 1);
        for feed in [&mut first, &mut second] {
            let whole = read(feed).await;
            assert!(
                whole.starts_with("retry: 2000\n\nid: 1\ndata: {"),
                "{whole}"
            );
            assert!(
                whole.contains("1 held") && whole.contains("\"nodes\""),
                "{whole}"
            );
        }
        held.store(2, Ordering::SeqCst);
        let changed = tokio::select! {
            () = live.run(draw) => unreachable!("it runs for ever"),
            changed = read(&mut first) => changed,
        };
        assert!(
            changed.contains("2 held") && !changed.contains("nodes"),
            "{changed}"
        );
        assert_eq!(read(&mut second).await, changed);
        // Nothing changes: a comment says that the connection lives.
        let silence = tokio::select! {
            () = live.run(draw) => unreachable!("it runs for ever"),
            silence = read(&mut first) => silence,
        };
        assert_eq!(silence, ":\n\n");
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_drawn_when_nobody_listens_and_a_stop_ends_who_does() {
        let live = live();
        let (stop, stopped) = watch::channel(());
        let drawn = AtomicU32::new(0);
        let draw = || {
            drawn.fetch_add(1, Ordering::SeqCst);
            Parts::new()
        };
        let hour = Duration::from_secs(3600);
        assert!(tokio::time::timeout(hour, live.run(draw)).await.is_err());
        assert_eq!(drawn.load(Ordering::SeqCst), 0);
        let feeds: Vec<_> = (0..3)
            .map(|_| live.listen(stopped.clone(), never(), draw).unwrap())
            .collect();
        assert!(
            live.listen(stopped.clone(), never(), draw).is_none(),
            "a fourth is one too many"
        );
        assert_eq!(live.listeners(), 3);
        drop(stop);
        for mut feed in feeds {
            read(&mut feed).await;
            assert!(feed.frame().await.is_none());
        }
        assert_eq!(live.listeners(), 0);
        assert!(live.listen(stopped, never(), draw).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_page_is_told_the_time_at_which_it_is_told_not_that_of_the_drawing() {
        static NOW: AtomicU32 = AtomicU32::new(7);
        let now: Now = || f64::from(NOW.load(Ordering::SeqCst));
        let live = Live::new(now, Arc::new(Semaphore::new(3)));
        let (_stop, stopped) = watch::channel(());
        let draw = || vec![("nodes", "nothing changes".to_owned())];
        let mut early = live.listen(stopped.clone(), never(), draw).unwrap();
        assert!(read(&mut early).await.contains("{\"now\":7,"));
        tokio::time::advance(Duration::from_secs(600)).await;
        NOW.store(607, Ordering::SeqCst);
        let mut late = live.listen(stopped, never(), draw).unwrap();
        let first = read(&mut late).await;
        assert!(first.contains("{\"now\":607,"), "{first}");
    }

    #[tokio::test(start_paused = true)]
    async fn who_may_not_listen_any_more_is_told_so_and_nothing_else() {
        let live = live();
        let (_stop, stopped) = watch::channel(());
        let drawn = AtomicU32::new(0);
        let draw = || vec![("nodes", drawn.fetch_add(1, Ordering::SeqCst).to_string())];
        let (end, ended) = tokio::sync::oneshot::channel::<()>();
        let over = Box::pin(async { drop(ended.await) });
        let mut feed = live.listen(stopped.clone(), over, draw).unwrap();
        read(&mut feed).await;
        drop(end);
        // Something new is there to be sent, too.
        tokio::time::advance(TURN).await;
        live.refresh(&draw);
        assert_eq!(read(&mut feed).await, "event: over\ndata:\n\n");
        assert!(feed.frame().await.is_none());

        let mut late = live.listen(stopped, Box::pin(async {}), draw).unwrap();
        assert_eq!(read(&mut late).await, "event: over\ndata:\n\n");
    }
}
