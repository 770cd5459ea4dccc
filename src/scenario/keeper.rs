//! Who decides: the core as production runs it, or one of the plain rules it is compared with.

mod cheaper;

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::civil::Date;

use super::{Rules, calendar::Calendar, rules::Starts, units::Ms};
use crate::{
    admission::{
        Activity, Admission, CostModel, Decision, Demand, Ended, Event, Kind, Reason, Running,
    },
    ident::{DeviceId, LeaseId, NodeId, PlaySessionId, Ticket},
};

/// What a wish came to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Verdict {
    /// Begin, in this form.
    Go(usize),
    Wait(Ticket),
    No(Reason),
}

/// What became of a ticket.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum News {
    Granted(Ticket),
    /// Whoever waits with this session begins in a cheaper form.
    SteppedDown(PlaySessionId, usize),
    Refused(Ticket, Reason),
    /// Somebody goes on in a smaller picture, for one who goes before him.
    Yielded,
    /// This stream is ended, and its player stopped.
    Ended(PlaySessionId),
    /// Its FFmpeg is ended, and its player let be.
    JobEnded(PlaySessionId),
}

/// A rule that knows nothing but what runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Plain {
    /// Everybody is let in.
    NoGate,
    /// So many transcodes at once; the next is refused.
    Count(usize),
    /// As many seats as a GPU has; whoever comes beyond that waits in one line.
    Fifo,
}

/// Decides, in virtual time.
#[derive(Debug)]
pub(super) enum Keeper {
    Core(Box<Core>),
    Plain(Box<Line>),
}

/// The core, asked as the gate asks it.
#[derive(Debug)]
pub(super) struct Core {
    base: Instant,
    admission: Admission,
    rules: Rules,
    starts: Option<Starts>,
    today: Calendar,
}

/// A plain rule at work.
#[derive(Debug)]
pub(super) struct Line {
    rule: Plain,
    /// What may be handed out on each GPU, thousandths.
    room: Vec<u64>,
    costs: Vec<CostModel>,
    /// Server to GPU.
    servers: Vec<(NodeId, usize)>,
    held: BTreeMap<LeaseId, Held>,
    waiting: VecDeque<Waiting>,
    sessions: BTreeMap<PlaySessionId, LeaseId>,
    last: u64,
    news: Vec<News>,
    /// How often each of these is told no before the rule is asked.
    barred: BTreeMap<DeviceId, u32>,
}

#[derive(Clone, Copy, Debug)]
struct Held {
    gpu: usize,
    cost: u64,
    /// Its job encodes.
    works: bool,
}

#[derive(Clone, Debug)]
struct Waiting {
    ticket: Ticket,
    session: Option<PlaySessionId>,
    gpu: usize,
    cost: u64,
    until: Ms,
}

// === impl Keeper ===

impl Keeper {
    /// `minute`: of the week, at `base`, which is on `date`.
    pub(super) fn core(base: Instant, rules: &Rules, minute: u16, date: Date) -> Self {
        // The recovery after a start belongs to another evening.
        let mut policy = (*rules.policy).clone();
        policy.timers.recovery = Duration::ZERO;
        let mut admission = Admission::new(base, Arc::new(policy));
        admission.set_minute_of_week(base, minute);
        Self::Core(Box::new(Core {
            base,
            admission,
            starts: rules.starts.map(Starts::new),
            rules: rules.clone(),
            today: Calendar::new(minute, date),
        }))
    }

    /// `room`: seats that may be handed out, and the factor for tone-mapping, of each GPU.
    pub(super) fn plain(rule: Plain, room: &[(f64, f64)], servers: Vec<(NodeId, usize)>) -> Self {
        let milli = |seats: f64| u64::from(crate::admission::Seats::from_f64(seats).milli());
        Self::Plain(Box::new(Line {
            rule,
            room: room.iter().map(|(seats, _)| milli(*seats)).collect(),
            costs: room
                .iter()
                .map(|(_, tone_map)| CostModel {
                    tone_map: *tone_map,
                    ..CostModel::default()
                })
                .collect(),
            servers,
            held: BTreeMap::new(),
            waiting: VecDeque::new(),
            sessions: BTreeMap::new(),
            last: 0,
            news: Vec::new(),
            barred: BTreeMap::new(),
        }))
    }

    /// Turns these away so often, whatever the rule says.
    pub(super) fn bar(&mut self, whom: BTreeMap<DeviceId, u32>) {
        if let Self::Plain(line) = self {
            line.barred = whom;
        }
    }

    pub(super) fn ask(&mut self, now: Ms, demand: Demand) -> Verdict {
        match self {
            Self::Core(core) => core.ask(now, demand),
            Self::Plain(line) => line.ask(now, &demand),
        }
    }

    /// Whoever plays this session asks anew for what he watches. A plain rule takes that for the same stream.
    pub(super) fn goes_on(&mut self, now: Ms, old: &PlaySessionId, demand: Demand) -> Verdict {
        match self {
            Self::Core(core) => core.ask(now, demand),
            Self::Plain(line) => line.goes_on(old, demand.session),
        }
    }

    /// Whoever waits has no need of it any more.
    pub(super) fn withdraw(&mut self, now: Ms, ticket: Ticket) {
        if let Self::Core(core) = self {
            let at = core.at(now);
            core.admission.withdraw(at, ticket);
        }
    }

    /// A request that starts FFmpeg, or reads on.
    pub(super) fn confirm(&mut self, now: Ms, session: &PlaySessionId, kind: &Kind, index: i64) {
        match self {
            Self::Core(core) => {
                let at = core.at(now);
                let activity = Activity::Segment { index };
                let _ = core.admission.confirm(at, session, kind, activity);
            }
            Self::Plain(line) => line.works(session, true),
        }
    }

    pub(super) fn touch(&mut self, now: Ms, session: &PlaySessionId, activity: Activity) {
        if let Self::Core(core) = self {
            let at = core.at(now);
            core.admission.touch(at, session, activity);
        }
    }

    /// The viewer has stopped.
    pub(super) fn stop(&mut self, now: Ms, session: &PlaySessionId) {
        match self {
            Self::Core(core) => {
                let at = core.at(now);
                core.admission.stop(at, session, Ended::Stopped);
            }
            Self::Plain(line) => line.over(session),
        }
    }

    /// FFmpeg has encoded everything. The core finds that out by itself.
    pub(super) fn rests(&mut self, session: &PlaySessionId) {
        match self {
            Self::Core(_) => {}
            Self::Plain(line) => line.works(session, false),
        }
    }

    /// FFmpeg has died with the viewer long gone. The core finds that out by itself.
    pub(super) fn dies(&mut self, session: &PlaySessionId) {
        match self {
            Self::Core(_) => {}
            Self::Plain(line) => line.over(session),
        }
    }

    /// What Jellyfin says is running on a server.
    pub(super) fn poll(&mut self, now: Ms, node: &NodeId, running: &[Running]) {
        if let Self::Core(core) = self {
            let at = core.at(now);
            core.admission.reconcile(at, node, running);
        }
    }

    pub(super) fn next_deadline(&self) -> Option<Ms> {
        match self {
            Self::Core(core) => {
                let timer = core.admission.next_deadline().map(|at| {
                    // Rounded up: a timer is never looked at before it is due.
                    let nanos = at.saturating_duration_since(core.base).as_nanos();
                    Ms::try_from(nanos.div_ceil(1_000_000)).unwrap_or(Ms::MAX)
                });
                timer.into_iter().chain([core.today.next]).min()
            }
            Self::Plain(line) => line.waiting.iter().map(|w| w.until).min(),
        }
    }

    /// Lets timers fire; then whatever has happened to tickets.
    pub(super) fn advance(&mut self, now: Ms) -> Vec<News> {
        match self {
            Self::Core(core) => {
                let at = core.at(now);
                if let Some(today) = core.today.turn(now) {
                    core.admission.set_today(at, today);
                }
                core.admission.advance(at);
                core.news()
            }
            Self::Plain(line) => {
                line.give_up(now);
                std::mem::take(&mut line.news)
            }
        }
    }
}

// === impl Core ===

impl Core {
    fn at(&self, now: Ms) -> Instant {
        self.base + Duration::from_millis(now)
    }

    fn ask(&mut self, now: Ms, demand: Demand) -> Verdict {
        let at = self.at(now);
        let session = demand.session.clone();
        if demand.kind.is_video()
            && let Some(starts) = &self.starts
            && !self.admission.replaces(&demand)
            && !starts.allows(now, &demand.who.user)
        {
            let wait = Duration::from_secs(10);
            self.admission.turn_away(&demand, Reason::StartRate, wait);
            return Verdict::No(Reason::StartRate);
        }
        let verdict = match self.admission.decide(at, demand) {
            Decision::Admit { lease, .. } => (Verdict::Go(0), Some(lease)),
            Decision::Downgrade { lease, rung, .. } => (Verdict::Go(rung), Some(lease)),
            Decision::Queue { ticket, .. } => (Verdict::Wait(ticket), None),
            Decision::Reject { reason, .. } => (Verdict::No(reason), None),
        };
        if let ((_, Some(lease)), Some(session)) = (verdict, session) {
            self.admission.bind(at, lease, &session);
        }
        verdict.0
    }

    fn news(&mut self) -> Vec<News> {
        let mut news = Vec::new();
        for event in self.admission.drain_events() {
            match event {
                Event::Granted { ticket, .. } => news.push(News::Granted(ticket)),
                Event::Downgraded {
                    subject,
                    rung,
                    reason,
                    ..
                } => {
                    let session = subject.session.clone();
                    news.extend(session.map(|session| News::SteppedDown(session, rung)));
                    news.extend((reason == Reason::Yields).then_some(News::Yielded));
                }
                Event::EndJob { subject, ended, .. } => {
                    let stops = matches!(ended, Ended::Preempted | Ended::Revoked);
                    let end = if stops { News::Ended } else { News::JobEnded };
                    news.extend(subject.session.clone().map(end));
                }
                Event::Refused {
                    ticket: Some(ticket),
                    reason,
                    ..
                } => news.push(News::Refused(ticket, reason)),
                Event::Admitted { .. }
                | Event::Queued { .. }
                | Event::Refused { ticket: None, .. }
                | Event::Withdrawn { .. }
                | Event::Moved { .. }
                | Event::LeaseEnded { .. }
                | Event::Reconciled { .. }
                | Event::Preempting { .. }
                | Event::CapacityChanged { .. }
                | Event::Operator { .. }
                | Event::PolicyChanged { .. } => {}
            }
        }
        news
    }
}

// === impl Line ===

impl Line {
    fn ask(&mut self, now: Ms, demand: &Demand) -> Verdict {
        self.last += 1;
        let lease = LeaseId(self.last);
        let node = self.servers.iter().find(|(node, _)| *node == demand.node);
        let gpu = node.map_or(0, |(_, gpu)| *gpu);
        let Kind::Video(work) = demand.kind else {
            return Verdict::Go(0);
        };
        if let Some(left) = self.barred.get_mut(&demand.who.device)
            && *left > 0
        {
            *left -= 1;
            return Verdict::No(Reason::GpuFull);
        }
        let cost = self
            .costs
            .get(gpu)
            .map_or(1000, |c| u64::from(c.seats(&work).milli()));
        let working = self.held.values().filter(|held| held.works).count();
        let fits = match self.rule {
            Plain::NoGate => true,
            Plain::Count(most) => working < most,
            Plain::Fifo => self.fits(gpu, cost) && !self.waiting.iter().any(|w| w.gpu == gpu),
        };
        if fits {
            self.hold(lease, demand.session.clone(), gpu, cost);
            return Verdict::Go(0);
        }
        let patience = Ms::try_from(demand.patience.as_millis()).unwrap_or(Ms::MAX);
        if self.rule == Plain::Fifo && patience > 0 {
            let ticket = Ticket(self.last);
            self.waiting.push_back(Waiting {
                ticket,
                session: demand.session.clone(),
                gpu,
                cost,
                until: now.saturating_add(patience),
            });
            return Verdict::Wait(ticket);
        }
        Verdict::No(match self.rule {
            Plain::Count(_) => Reason::ServerLimit,
            Plain::NoGate | Plain::Fifo => Reason::GpuFull,
        })
    }

    fn goes_on(&mut self, old: &PlaySessionId, new: Option<PlaySessionId>) -> Verdict {
        if let (Some(lease), Some(new)) = (self.sessions.remove(old), new) {
            self.sessions.insert(new, lease);
        }
        Verdict::Go(0)
    }

    fn fits(&self, gpu: usize, cost: u64) -> bool {
        let of_gpu = self
            .held
            .values()
            .filter(|held| held.works && held.gpu == gpu);
        let used: u64 = of_gpu.map(|held| held.cost).sum();
        let room = self.room.get(gpu).copied().unwrap_or(0);
        used + cost <= room || used == 0
    }

    fn hold(&mut self, lease: LeaseId, session: Option<PlaySessionId>, gpu: usize, cost: u64) {
        let works = true;
        self.held.insert(lease, Held { gpu, cost, works });
        if let Some(session) = session {
            self.sessions.insert(session, lease);
        }
    }

    fn works(&mut self, session: &PlaySessionId, works: bool) {
        let lease = self.sessions.get(session);
        if let Some(held) = lease.and_then(|lease| self.held.get_mut(lease)) {
            held.works = works;
        }
        self.serve();
    }

    fn over(&mut self, session: &PlaySessionId) {
        if let Some(lease) = self.sessions.remove(session) {
            self.held.remove(&lease);
        }
        self.serve();
    }

    fn give_up(&mut self, now: Ms) {
        let mut late = Vec::new();
        self.waiting.retain(|w| {
            let stays = w.until > now;
            if !stays {
                late.push(News::Refused(w.ticket, Reason::WaitedOut));
            }
            stays
        });
        self.news.extend(late);
        self.serve();
    }

    /// The first of each GPU's line goes in while it fits; nobody passes him.
    fn serve(&mut self) {
        for gpu in 0..self.room.len() {
            while let Some(at) = self.waiting.iter().position(|w| w.gpu == gpu) {
                let Some(first) = self.waiting.get(at).cloned() else {
                    break;
                };
                if !self.fits(gpu, first.cost) {
                    break;
                }
                self.waiting.remove(at);
                let lease = LeaseId(first.ticket.0);
                self.hold(lease, first.session, gpu, first.cost);
                self.news.push(News::Granted(first.ticket));
            }
        }
    }
}
