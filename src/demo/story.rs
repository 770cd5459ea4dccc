//! Tells in words what happens, with the facts from Finweir itself: its leases, its queue, its counters.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use super::{
    device::{Device, Film, Trouble},
    player::{End, Move},
    print::Printer,
};
use crate::{
    admission::{LeaseView, Reason, Seats, Snapshot, WaiterView},
    gate::Gate,
    sim::Sim,
    telemetry::Telemetry,
};

/// Waits that are remembered, for the median.
const WAITS: usize = 10_000;
/// Names of reasons in the summary.
const REJECT: &str = "reject";

/// Tells what happens. Cheap to clone.
#[derive(Clone)]
pub(super) struct Story(Arc<Inner>);

struct Inner {
    printer: Printer,
    gate: Gate,
    telemetry: Telemetry,
    sim: Arc<Sim>,
    /// Seconds of real time that those who were let in had waited.
    waits: Mutex<Vec<f64>>,
    stalls: AtomicU64,
}

// === impl Story ===

impl Story {
    pub(super) fn new(printer: Printer, gate: Gate, telemetry: Telemetry, sim: Arc<Sim>) -> Self {
        Self(Arc::new(Inner {
            printer,
            gate,
            telemetry,
            sim,
            waits: Mutex::default(),
            stalls: AtomicU64::new(0),
        }))
    }

    /// The film plays: what Finweir let it in for.
    pub(super) fn starts(
        &self,
        device: &Device,
        film: &Film,
        session: Option<&str>,
        waited: Option<Duration>,
    ) {
        let snapshot = self.0.gate.snapshot();
        let lease = lease_of(&snapshot, device, session);
        let (who, film) = (device.who(), &film.name);
        let after = match waited {
            Some(waited) => {
                let seconds = waited.as_secs_f64();
                let mut waits = self.0.waits.lock().unwrap_or_else(PoisonError::into_inner);
                if waits.len() < WAITS {
                    waits.push(seconds);
                }
                format!(" after {seconds:.1} s")
            }
            None => String::new(),
        };
        let Some(lease) = lease else {
            self.tell(&format!("{who} plays {film}{after}"));
            return;
        };
        let work = arrows(&lease.work);
        if lease.cost == Seats::ZERO {
            self.tell(&format!("{who} plays {film}: {work}, takes no seats"));
            return;
        }
        let plain = matches!(lease.reason, Reason::Fits | Reason::Waited);
        let why = if plain {
            "admitted".to_owned()
        } else {
            format!("admitted, {}", lease.reason.in_words())
        };
        let verb = if waited.is_some() { "gets" } else { "starts" };
        self.tell(&format!(
            "{who} {verb} {film}{after}: {work}, {} seats, {why}; {}",
            lease.cost,
            held(&snapshot)
        ));
    }

    /// The answer is held back.
    pub(super) fn waits(&self, device: &Device, film: &Film) -> bool {
        let snapshot = self.0.gate.snapshot();
        let Some((place, waiter)) = waiter_of(&snapshot, device) else {
            return false;
        };
        self.tell(&format!(
            "{who} waits for {film}, {cost} seats: {why} [{reason}]; {place} in line, {held}",
            who = device.who(),
            film = film.name,
            cost = waiter.cost,
            why = waiter.reason.in_words(),
            reason = waiter.reason,
            place = nth(place),
            held = held(&snapshot),
        ));
        true
    }

    /// It was refused: the reason is in Finweir's last decisions.
    pub(super) fn refused(&self, device: &Device, film: &Film, waited: Option<Duration>) {
        let recent = self.0.telemetry.recent();
        let name = &*device.viewer.user;
        let decided = recent
            .iter()
            .find(|decided| decided.decision == REJECT && decided.user == name);
        let why = decided.map_or_else(
            || "refused".to_owned(),
            |decided| format!("{} [{}]", decided.reason.in_words(), decided.reason),
        );
        let after = waited.map_or_else(String::new, |waited| {
            format!(" after {:.1} s", waited.as_secs_f64())
        });
        self.tell(&format!(
            "{} is refused {}{after}: {why}; the screen shows {}",
            device.who(),
            film.name,
            device.viewer.app.shows()
        ));
    }

    /// A program asked for an encode without saying who it is.
    pub(super) fn bare(&self, device: &Device, film: &Film, refused: bool) {
        let (app, film) = (device.viewer.app.name(), &film.name);
        self.tell(&if refused {
            format!(
                "{app} without a login is refused {film}: {} [{}]",
                Reason::Anonymous.in_words(),
                Reason::Anonymous
            )
        } else {
            format!("{app} without a login is served {film}")
        });
    }

    /// Its viewer would not wait any longer.
    pub(super) fn gave_up(&self, device: &Device, film: &Film, waited: Duration) {
        self.tell(&format!(
            "{} waits no longer for {}, gave up after {:.1} s",
            device.who(),
            film.name,
            waited.as_secs_f64()
        ));
    }

    /// A film ended.
    pub(super) fn ends(&self, device: &Device, film: &Film, end: &End) {
        let (who, film) = (device.who(), &film.name);
        match end {
            End::Finished => self.tell(&format!("{who} has seen {film} to the end")),
            End::Left => self.tell(&format!("{who} has seen enough of {film}")),
            End::Lost(trouble) => self.tell(&format!("{who} LOSES {film}: {trouble}")),
            End::Spinner => self.tell(&format!("{who} gives up on {film}: no picture came")),
        }
    }

    /// A viewer does something in the middle of a film.
    pub(super) fn moves(&self, device: &Device, film: &Film, what: Move, position: f64) {
        let who = device.who();
        let film = &film.name;
        match what {
            Move::Seek(_) => self.tell(&format!("{who} jumps to {position:.0} s of {film}")),
            Move::Pause(seconds) => self.tell(&format!("{who} pauses {film} for {seconds:.0} s")),
        }
    }

    /// The picture stood still.
    pub(super) fn stalled(&self, device: &Device, film: &Film) {
        self.0.stalls.fetch_add(1, Ordering::Relaxed);
        self.tell(&format!("{} STALLS in {}", device.who(), film.name));
    }

    /// Something that should not happen.
    pub(super) fn trouble(&self, device: &Device, trouble: &Trouble) {
        self.tell(&format!("{} has trouble: {trouble}", device.who()));
    }

    /// Says how it stands.
    pub(super) fn stands(&self, after: Duration) {
        let snapshot = self.0.gate.snapshot();
        let counts = self.counts();
        self.0.printer.plain(format!(
            "── {after}: {held} by {transcodes}, {waiting} waiting, {playing} playing; so far {let_in} let in, {waited} \
             waited, {refused} refused; FFmpeg started {ffmpeg} times; stalls: {stalls}",
            after = clock_face(after),
            held = held(&snapshot),
            transcodes = plural(snapshot.transcodes.into(), "transcode"),
            waiting = snapshot.waiting.len(),
            playing = snapshot.leases.len(),
            let_in = counts.of("admit"),
            waited = counts.of("queue"),
            refused = counts.of(REJECT),
            ffmpeg = self.0.sim.started(),
            stalls = self.stalls(),
        ));
    }

    /// Says how it was.
    pub(super) fn was(&self, after: Duration) {
        let counts = self.counts();
        let mut waits = self
            .0
            .waits
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        waits.sort_unstable_by(f64::total_cmp);
        let middle = waits.get(waits.len() / 2);
        let longest = waits.last();
        let of_waits = match middle.zip(longest) {
            Some((middle, longest)) => {
                format!("; those let in waited {middle:.1} s (p50), {longest:.1} s at most")
            }
            None => String::new(),
        };
        let say = |line: String| self.0.printer.plain(line);
        say(String::new());
        say(format!("The evening lasted {}.", clock_face(after)));
        say(format!(
            "  admitted  {:>5}   {}",
            counts.of("admit"),
            counts.reasons("admit")
        ));
        say(format!(
            "  waited    {:>5}   {}{of_waits}",
            counts.of("queue"),
            counts.reasons("queue")
        ));
        say(format!(
            "  refused   {:>5}   {}",
            counts.of(REJECT),
            counts.reasons(REJECT)
        ));
        say(format!("  FFmpeg    {:>5}   starts", self.0.sim.started()));
        say(format!(
            "  stalls    {:>5}   of viewers who were let in",
            self.stalls()
        ));
    }

    fn tell(&self, line: &str) {
        self.0.printer.tell(line);
    }

    /// As the GPU's model counts them, and as the viewers do: the larger is the honest one.
    fn stalls(&self) -> u64 {
        self.0
            .sim
            .stalls()
            .max(self.0.stalls.load(Ordering::Relaxed))
    }

    fn counts(&self) -> Counts {
        Counts::read(&self.0.telemetry.gather())
    }
}

/// Decisions by kind and reason, as `/metrics` has them.
#[derive(Debug, Default)]
struct Counts(BTreeMap<(String, String), u64>);

// === impl Counts ===

impl Counts {
    fn read(metrics: &str) -> Self {
        let mut counts = BTreeMap::new();
        for line in metrics.lines() {
            let Some(rest) = line.strip_prefix("finweir_decisions_total{") else {
                continue;
            };
            let Some((labels, value)) = rest.split_once("} ") else {
                continue;
            };
            let label = |name: &str| {
                let start = format!("{name}=\"");
                let pairs = labels.split(',');
                pairs
                    .filter_map(|pair| pair.strip_prefix(&start)?.strip_suffix('"'))
                    .next()
                    .unwrap_or_default()
                    .to_owned()
            };
            if let Ok(value @ 1..) = value.trim().parse::<u64>() {
                counts.insert((label("decision"), label("reason")), value);
            }
        }
        Self(counts)
    }

    fn of(&self, decision: &str) -> u64 {
        self.matching(decision).map(|(_, count)| count).sum()
    }

    fn reasons(&self, decision: &str) -> String {
        let mut reasons: Vec<(&str, u64)> = self.matching(decision).collect();
        reasons.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let reasons: Vec<String> = reasons
            .into_iter()
            .map(|(reason, count)| format!("{reason} {count}"))
            .collect();
        reasons.join(", ")
    }

    fn matching<'a>(&'a self, decision: &'a str) -> impl Iterator<Item = (&'a str, u64)> {
        self.0
            .iter()
            .filter(move |((own, _), _)| own == decision)
            .map(|((_, reason), count)| (reason.as_str(), *count))
    }
}

fn lease_of<'a>(
    snapshot: &'a Snapshot,
    device: &Device,
    session: Option<&str>,
) -> Option<&'a LeaseView> {
    let own = |lease: &&LeaseView| match (&lease.session, session) {
        (Some(own), Some(session)) => own.as_str().eq_ignore_ascii_case(session),
        (Some(_), None) | (None, Some(_) | None) => lease.device.as_str() == device.id,
    };
    snapshot.leases.iter().rev().find(own)
}

fn waiter_of<'a>(snapshot: &'a Snapshot, device: &Device) -> Option<(usize, &'a WaiterView)> {
    let mut waiting = snapshot.waiting.iter().enumerate();
    waiting.find(|(_, waiter)| waiter.device.as_str() == device.id)
}

/// `7.4 of 8.5 seats held`
fn held(snapshot: &Snapshot) -> String {
    let add = |a: Seats, b: Seats| a.plus(b);
    let held = snapshot
        .gpus
        .iter()
        .map(|gpu| gpu.held)
        .fold(Seats::ZERO, add);
    let capacity = snapshot
        .gpus
        .iter()
        .map(|gpu| gpu.capacity)
        .fold(Seats::ZERO, add);
    format!("{held} of {capacity} seats held")
}

/// `hevc 2160p hdr → h264 1080p`
fn arrows(work: &str) -> String {
    work.replace("->", "→")
}

fn nth(place: usize) -> String {
    match place {
        0 => "first".to_owned(),
        1 => "second".to_owned(),
        2 => "third".to_owned(),
        other => format!("{}th", other + 1),
    }
}

fn plural(count: u64, noun: &str) -> String {
    let s = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{s}")
}

/// `0:45`, `12:03`
fn clock_face(span: Duration) -> String {
    let seconds = span.as_secs();
    format!("{}:{:02}", seconds / 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decisions_are_counted_as_the_metrics_have_them() {
        let counts = Counts::read(
            "# HELP finweir_decisions_total x\n\
             finweir_decisions_total{decision=\"admit\",reason=\"fits\"} 3\n\
             finweir_decisions_total{decision=\"admit\",reason=\"cheap\"} 5\n\
             finweir_decisions_total{decision=\"reject\",reason=\"gpu-full\"} 0\n\
             finweir_user_decisions_total{decision=\"admit\",user=\"x\"} 9\n",
        );
        assert_eq!((counts.of("admit"), counts.of("reject")), (8, 0));
        assert_eq!(counts.reasons("admit"), "cheap 5, fits 3");
        assert_eq!(clock_face(Duration::from_secs(723)), "12:03");
    }
}
