//! Plays one evening under one rule: viewers, servers and GPUs in virtual time.
//!
//! Events are taken in order of time, and of their making where they fall together. Every five seconds the players
//! report, the servers are polled as production polls them, and the picture of each viewer is looked at. Whether a
//! picture stands still is for the model GPU to say, never for the ledger.

mod playing;
mod tick;
mod watch;

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, BinaryHeap},
    time::Duration,
};

use core::net::IpAddr;

use self::watch::Watch;
use super::{
    keeper::{Keeper, News, Verdict},
    plan::{Evening, Form, Offer, Play, Viewer},
    score::Tally,
    units::{Ms, seconds},
};
use crate::{
    admission::{Bitrate, Demand, Kind, Origin, Reason, Rung, Who},
    gpu::model::{JobId, ModelGpu, Options},
    ident::{DeviceId, ItemId, NodeId, PlaySessionId, Ticket, UserId},
};

/// How often players report, servers are polled and pictures are looked at.
const TICK: Ms = 5_000;
/// Players report every second tick.
const REPORT: u64 = 2;
/// FFmpeg dies this long after the last request of a viewer who left without a word.
const ORPHAN: Ms = 60_000;
/// Length of a segment.
const SEGMENT: Ms = 6_000;
/// A seek this far beyond what is encoded waits for the running job instead of starting another (Jellyfin: 24 s).
const AHEAD: f64 = 24.0;
/// More events than this, or a longer evening, happen only if the numbers of a scenario misbehave.
const MOST_EVENTS: usize = 20_000_000;
const MOST_TIME: Ms = 100 * 3_600_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    Capacity { gpu: usize, at: usize },
    Kill { gpu: usize, job: JobId },
    Leave { viewer: usize, play: u64 },
    Act { viewer: usize, play: u64, at: usize },
    Ask { viewer: usize },
    Tick,
}

#[derive(Debug)]
enum State {
    /// Between two plays, or before the first.
    Away,
    /// With the session of this number.
    Waiting(u64),
    Watching(Box<Watch>),
    Gone,
}

/// What becomes of what he asks for, before anybody decides whether it fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Served {
    /// What Jellyfin answers, or one of its cheaper forms.
    Asked,
    /// The file as it is in place of a transcode.
    Direct,
    /// A transcode of less bitrate in place of the file: this one, or a cheaper one.
    Slim(usize),
}

/// What a viewer is at.
#[derive(Debug)]
struct Seat {
    state: State,
    /// The play he is at or wants next.
    next: usize,
    /// Which of its versions, and whether as it is.
    offer: usize,
    served: Served,
    /// When he first asked for it.
    wished: Option<Ms>,
    refusals: usize,
}

/// One evening under one rule.
pub(super) struct Run<'a> {
    evening: &'a Evening,
    nodes: Vec<NodeId>,
    keeper: Keeper,
    gpus: Vec<ModelGpu>,
    events: BinaryHeap<Reverse<(Ms, u64, What)>>,
    made: u64,
    now: Ms,
    seats: Vec<Seat>,
    at_work: BTreeSet<usize>,
    left: usize,
    tickets: BTreeMap<Ticket, usize>,
    jobs: u64,
    ticks: u64,
    tally: Tally,
}

impl<'a> Run<'a> {
    pub(super) fn new(evening: &'a Evening, keeper: Keeper) -> Self {
        let gpus = evening.gpus.iter().map(|gpu| {
            ModelGpu::new(Options {
                capacity_seats: gpu.seats,
                tone_map: gpu.tone_map,
            })
        });
        let seat = |_| Seat {
            state: State::Away,
            next: 0,
            offer: 0,
            served: Served::Asked,
            wished: None,
            refusals: 0,
        };
        let mut run = Self {
            evening,
            nodes: evening
                .servers
                .iter()
                .map(|(name, _)| NodeId::new(name))
                .collect(),
            keeper,
            gpus: gpus.collect(),
            events: BinaryHeap::new(),
            made: 0,
            now: 0,
            seats: evening.viewers.iter().map(seat).collect(),
            at_work: BTreeSet::new(),
            left: evening.viewers.len(),
            tickets: BTreeMap::new(),
            jobs: 0,
            ticks: 0,
            tally: Tally::new(evening),
        };
        for (gpu, plan) in evening.gpus.iter().enumerate() {
            for (at, (when, _)) in plan.changes.iter().enumerate() {
                run.at(*when, What::Capacity { gpu, at });
            }
        }
        for (viewer, plan) in evening.viewers.iter().enumerate() {
            run.at(plan.arrives, What::Ask { viewer });
        }
        run.at(0, What::Tick);
        run
    }

    fn at(&mut self, when: Ms, what: What) {
        self.made += 1;
        self.events.push(Reverse((when, self.made, what)));
    }

    /// Plays it to the end.
    pub(super) fn play(mut self) -> Tally {
        for _ in 0..MOST_EVENTS {
            if self.left == 0 || self.now > MOST_TIME {
                break;
            }
            let Some(Reverse((when, _, what))) = self.events.peek().copied() else {
                break;
            };
            let due = self.keeper.next_deadline().filter(|due| *due <= when);
            self.now = due.unwrap_or(when).max(self.now);
            if due.is_none() {
                self.events.pop();
                for gpu in &mut self.gpus {
                    gpu.advance(seconds(self.now));
                }
                self.happen(what);
            }
            self.take_news();
        }
        self.tally.ended = self.now;
        self.tally
    }

    fn take_news(&mut self) {
        // A grant may lead to a request, which may lead to news.
        for _ in 0..64 {
            let news = self.keeper.advance(self.now);
            if news.is_empty() {
                return;
            }
            for one in news {
                match one {
                    News::Granted(ticket) => {
                        if let Some(viewer) = self.tickets.remove(&ticket) {
                            self.begin(viewer, 0);
                        }
                    }
                    News::SteppedDown(whose, form) => {
                        let waits = |seat: &Seat| match seat.state {
                            State::Waiting(number) => session(number) == whose,
                            State::Away | State::Watching(_) | State::Gone => false,
                        };
                        // Who steps down without having waited has begun already.
                        if let Some(viewer) = self.seats.iter().position(waits) {
                            self.tickets.retain(|_, of| *of != viewer);
                            self.begin(viewer, form);
                        }
                    }
                    News::Refused(ticket, reason) => {
                        if let Some(viewer) = self.tickets.remove(&ticket) {
                            self.refused(viewer, reason);
                        }
                    }
                }
            }
        }
    }

    fn happen(&mut self, what: What) {
        match what {
            What::Capacity { gpu, at } => {
                let plan = self
                    .evening
                    .gpus
                    .get(gpu)
                    .and_then(|gpu| gpu.changes.get(at));
                if let (Some((_, seats)), Some(gpu)) = (plan, self.gpus.get_mut(gpu)) {
                    gpu.set_capacity(*seats);
                }
            }
            What::Kill { gpu, job } => {
                if let Some(gpu) = self.gpus.get_mut(gpu) {
                    gpu.stop(job);
                }
                self.keeper.dies(&session(job.0));
            }
            What::Leave { viewer, play } => {
                if self.is_at(viewer, play) {
                    self.look(viewer);
                    self.leave(viewer, true);
                }
            }
            What::Act { viewer, play, at } => {
                if self.is_at(viewer, play) {
                    self.act(viewer, at);
                }
            }
            What::Ask { viewer } => self.ask(viewer),
            What::Tick => self.tick(),
        }
    }

    fn plan(&self, viewer: usize) -> Option<(&'a Viewer, &'a Play)> {
        let plan = self.evening.viewers.get(viewer)?;
        let play = plan.plays.get(self.seats.get(viewer)?.next)?;
        Some((plan, play))
    }

    fn watch(&mut self, viewer: usize) -> Option<&mut Watch> {
        match &mut self.seats.get_mut(viewer)?.state {
            State::Watching(watch) => Some(watch),
            State::Away | State::Waiting(_) | State::Gone => None,
        }
    }

    fn is_at(&mut self, viewer: usize, play: u64) -> bool {
        self.watch(viewer).is_some_and(|watch| watch.job.0 == play)
    }

    fn ask(&mut self, viewer: usize) {
        let Some((plan, play)) = self.plan(viewer) else {
            self.gone(viewer);
            return;
        };
        let Some(seat) = self.seats.get_mut(viewer) else {
            return;
        };
        let first = seat.wished.is_none();
        seat.wished.get_or_insert(self.now);
        self.jobs += 1;
        let session = session(self.jobs);
        let at = self.keeper.version(&who(plan), play);
        let Some(offer) = play.offers.get(at) else {
            return;
        };
        let mut demand = demand(plan, play, offer, &session, self.nodes.get(plan.server));
        let mut served = Served::Asked;
        if let Some(file) = &offer.direct
            && self.keeper.plays_direct(self.now, &demand, file.rate)
        {
            (demand.kind, demand.rate) = (file.kind, Bitrate::new(file.rate));
            demand.rungs.clear();
            served = Served::Direct;
        }
        if let Some(place) = self.keeper.slims(self.now, &demand, &offer.slim) {
            demand = slimmer(&demand, &offer.slim, place);
            served = Served::Slim(place);
        }
        (seat.offer, seat.served) = (at, served);
        if first {
            self.tally.wish(play);
        }
        match self.keeper.ask(self.now, demand) {
            Verdict::Go(form) => self.begin(viewer, form),
            Verdict::Wait(ticket) => {
                self.tickets.insert(ticket, viewer);
                if let Some(seat) = self.seats.get_mut(viewer) {
                    seat.state = State::Waiting(self.jobs);
                }
                self.tally.waiting += 1;
            }
            Verdict::No(reason) => self.refused(viewer, reason),
        }
    }

    fn refused(&mut self, viewer: usize, reason: Reason) {
        let Some((plan, _)) = self.plan(viewer) else {
            return;
        };
        let Some(seat) = self.seats.get_mut(viewer) else {
            return;
        };
        if let State::Waiting(_) = seat.state {
            self.tally.waiting = self.tally.waiting.saturating_sub(1);
        }
        seat.state = State::Away;
        self.tally.refused(reason);
        let again = plan.retries.get(seat.refusals).copied();
        seat.refusals += 1;
        match again {
            Some(after) => self.at(self.now + after, What::Ask { viewer }),
            None => {
                self.tally.gave_up();
                self.gone(viewer);
            }
        }
    }

    fn gone(&mut self, viewer: usize) {
        self.at_work.remove(&viewer);
        if let Some(seat) = self.seats.get_mut(viewer)
            && !matches!(seat.state, State::Gone)
        {
            seat.state = State::Gone;
            self.left = self.left.saturating_sub(1);
        }
    }
}

fn segment(position: Ms) -> i64 {
    i64::try_from(position / SEGMENT).unwrap_or(i64::MAX)
}

fn session(number: u64) -> PlaySessionId {
    PlaySessionId::new(format!("{number:032x}"))
}

/// Who is before a screen.
pub(super) fn who(viewer: &Viewer) -> Who {
    Who {
        user: UserId::new(&viewer.user),
        name: Some(viewer.user.as_str().into()),
        admin: false,
        device: DeviceId::new(&viewer.device),
        client: viewer.client.as_str().into(),
        address: Some(IpAddr::from(if viewer.outside {
            [203, 0, 113, 7]
        } else {
            [192, 168, 1, 7]
        })),
    }
}

/// The same wish, for the form in this place instead.
pub(super) fn slimmer(demand: &Demand, forms: &[Form], place: usize) -> Demand {
    let form = forms.get(place);
    Demand {
        kind: form.map_or(demand.kind, |form| form.kind),
        rate: form.map_or(demand.rate, |form| Bitrate::new(form.rate)),
        rungs: rungs(forms, place),
        ..demand.clone()
    }
}

/// The forms after this one.
fn rungs(forms: &[Form], whole: usize) -> Vec<Rung> {
    let cheaper = forms.iter().enumerate().skip(whole + 1);
    let rungs = cheaper.map(|(index, form)| Rung {
        kind: form.kind,
        rate: Bitrate::new(form.rate),
        index,
    });
    rungs.collect()
}

fn demand(
    viewer: &Viewer,
    play: &Play,
    offer: &Offer,
    session: &PlaySessionId,
    node: Option<&NodeId>,
) -> Demand {
    let whole = offer.forms.first();
    Demand {
        who: who(viewer),
        item: ItemId::new(&play.item),
        session: Some(session.clone()),
        node: node.cloned().unwrap_or_else(|| NodeId::new("jellyfin")),
        kind: whole.map_or(Kind::Direct, |form| form.kind),
        origin: Origin::Negotiation,
        library: Some(play.shelf.as_str().into()),
        rungs: rungs(&offer.forms, 0),
        rate: Bitrate::new(whole.map_or(0, |form| form.rate)),
        would: None,
        patience: Duration::from_millis(viewer.patience),
        replaces: false,
        why: None,
    }
}
