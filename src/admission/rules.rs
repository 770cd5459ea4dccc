//! What the policy says about one demand: its class, its account, its price, and the first limit that blocks it.

use std::{sync::Arc, time::Duration};

use super::{
    Access, Admission, Bitrate, Demand, Kind, Mode, Policy, Reason, Seats, UserLimits,
    event::Subject,
    ledger::{Account, Hold},
    queue::{Lane, Line, Place, Screen},
    step::{Step, steps},
    uplink::Freed,
};
use crate::ident::{ClassId, DecisionId, PlaySessionId, Ticket, UserId};

/// A demand with what the policy in force says about it.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) demand: Demand,
    pub(super) account: Account,
    pub(super) limits: UserLimits,
    pub(super) priority: u32,
    /// Longest wait that the class and the queue allow.
    pub(super) max_wait: Duration,
    pub(super) cost: Seats,
    /// It is a smaller form of what was asked for.
    pub(super) stepped: bool,
    /// What it holds at least while its job may encode: its old job takes so much until it is gone.
    pub(super) keeps: Seats,
    /// What it takes of the line out of the house.
    pub(super) rate: Bitrate,
    /// Its viewer is outside.
    pub(super) outside: bool,
    /// Cheaper forms that its user's rule allows, dearest first.
    pub(super) steps: Vec<Step>,
    pub(super) subject: Arc<Subject>,
}

impl Asked {
    pub(super) fn new(policy: &Policy, demand: Demand) -> Self {
        let class_index = policy.class_index(&demand.who).unwrap_or(0);
        let class = policy.classes.get(class_index);
        let class_id = class.map_or_else(|| ClassId::new("default"), |class| class.id.clone());
        let gpu = if demand.kind.is_video() {
            policy.gpu_index(&demand.node)
        } else {
            None
        };
        let library = demand.library.as_deref();
        let libraries = policy
            .libraries
            .iter()
            .enumerate()
            .filter(|(_, rule)| rule.concerns(library, &class_id))
            .map(|(index, _)| index)
            .collect();
        let cost = price(policy, gpu, &demand.kind);
        let limits = policy.limits_of(&demand.who);
        let outside = policy.uplink.carries(demand.who.address);
        let rate = if outside { demand.rate } else { Bitrate::ZERO };
        let steps = steps(policy, &demand, limits, gpu, (cost, rate));
        let subject = Arc::new(Subject {
            decision: DecisionId::default(),
            user: demand.who.user.clone(),
            user_name: demand.who.name.clone(),
            device: demand.who.device.clone(),
            client: Arc::clone(&demand.who.client),
            class: class_id,
            item: demand.item.clone(),
            node: demand.node.clone(),
            gpu: gpu
                .and_then(|gpu| policy.gpus.get(gpu))
                .map(|gpu| gpu.id.clone()),
            session: demand.session.clone(),
            work: demand.kind.to_string(),
            cost,
        });
        Self {
            account: Account {
                user: demand.who.user.clone(),
                class: class_index,
                gpu,
                libraries,
            },
            limits: limits.clone(),
            priority: class.map_or(0, |class| class.priority),
            max_wait: class
                .and_then(|class| class.max_wait)
                .map_or(policy.queue.max_wait, |wait| {
                    wait.min(policy.queue.max_wait)
                }),
            cost,
            stepped: false,
            keeps: Seats::ZERO,
            rate,
            outside,
            steps,
            subject,
            demand,
        }
    }

    /// The same, by the number of the decision about it.
    pub(super) fn numbered(mut self, decision: DecisionId) -> Self {
        self.subject = Arc::new(Subject {
            decision,
            ..self.subject.as_ref().clone()
        });
        self
    }

    /// The same, as another policy sees it.
    pub(super) fn anew(&self, policy: &Policy) -> Self {
        Self::new(policy, self.demand.clone()).carrying(self)
    }

    /// What a play of this bitrate takes of the line out of the house, for the same viewer.
    pub(super) fn charged(&self, rate: Bitrate) -> Bitrate {
        if self.outside { rate } else { Bitrate::ZERO }
    }

    pub(super) fn screen(&self) -> Screen {
        (self.demand.who.user.clone(), self.demand.who.device.clone())
    }

    /// The same, bound to the session that was named later.
    pub(super) fn bound(&self, policy: &Policy, session: &PlaySessionId) -> Self {
        let session = Some(session.clone());
        Self::new(
            policy,
            Demand {
                session,
                rungs: Vec::new(),
                ..self.demand.clone()
            },
        )
        .carrying(self)
    }

    /// What it holds while its job may encode.
    pub(super) fn hold(&self) -> Hold {
        Hold {
            seats: self.cost.max(self.keeps),
            transcode: self.demand.kind.is_video(),
            stream: true,
            reserved: false,
            rate: self.rate,
        }
    }
}

/// What `kind` takes on this GPU.
pub(super) fn price(policy: &Policy, gpu: Option<usize>, kind: &Kind) -> Seats {
    match kind {
        Kind::Direct | Kind::Remux | Kind::Audio => Seats::ZERO,
        Kind::Video(work) => match gpu.and_then(|gpu| policy.gpus.get(gpu)) {
            Some(gpu) => policy.cost.seats_on(work, gpu),
            None => policy.cost.seats(work),
        },
    }
}

/// Whether waiting can help: what is wider than the limit itself never fits.
fn may_fit(limit: Option<Seats>, cost: Seats) -> bool {
    limit.is_none_or(|most| cost <= most)
}

/// What the rules say about a demand.
#[derive(Debug, Default)]
pub(super) struct Judgement {
    /// The first enforced rule that is in the way, and the line to wait in if it may pass.
    pub(super) block: Option<(Reason, Option<Line>)>,
    /// The first rule that only observes and would have been in the way.
    pub(super) would: Option<Reason>,
    /// The waiting demand that it goes past, and the seats which that one misses.
    pub(super) passes: Option<(Ticket, Seats)>,
    /// It fits only because nothing else runs on its GPU.
    pub(super) alone: bool,
}

impl Judgement {
    /// Its claim is to seats of this GPU, and they are not there.
    pub(super) fn gpu_full(lane: Lane) -> Self {
        Self {
            block: Some((Reason::GpuFull, Some(Line::Gpu(lane)))),
            ..Self::default()
        }
    }

    /// Notes a breach. `true`: it blocks, and no more need be looked at.
    pub(super) fn breach(&mut self, mode: Mode, reason: Reason, line: Option<Line>) -> bool {
        match mode {
            Mode::Observe => {
                self.would.get_or_insert(reason);
                false
            }
            Mode::Enforce => {
                self.block = Some((reason, line));
                true
            }
        }
    }
}

impl Admission {
    /// Whether a lease for `asked` covers a request for `kind`.
    pub(super) fn covers(&self, asked: &Asked, kind: &Kind) -> bool {
        match kind {
            Kind::Direct | Kind::Remux | Kind::Audio => true,
            Kind::Video(_) => {
                asked.demand.kind.is_video()
                    && price(&self.policy, asked.account.gpu, kind) <= asked.cost
            }
        }
    }

    /// Looks through all rules that hold for a demand. `freed`: what it would replace on its own screen.
    pub(super) fn judge(&self, asked: &Asked, place: Place, freed: Freed) -> Judgement {
        let mut verdict = Judgement::default();
        let video = asked.demand.kind.is_video();
        if self.draining && verdict.breach(self.policy.mode, Reason::Draining, None) {
            return verdict;
        }
        if video && (self.judge_access(asked, &mut verdict)) {
            return verdict;
        }
        if video
            && self.paused
            && verdict.breach(self.policy.mode, Reason::Paused, Some(Line::Server))
        {
            return verdict;
        }
        if self.judge_quota(asked, &mut verdict) {
            return verdict;
        }
        let _ = self.judge_user(asked, place, freed, &mut verdict)
            || self.judge_uplink(asked, place, freed, &mut verdict)
            || video
                && (self.judge_shared(asked, place, &mut verdict)
                    || self.judge_gpu(asked, place, &mut verdict));
        verdict
    }

    /// Only what no waiting cures: may this user transcode this at all.
    pub(super) fn judge_access(&self, asked: &Asked, verdict: &mut Judgement) -> bool {
        let uhd = match asked.demand.kind {
            Kind::Video(work) => work.is_uhd(),
            Kind::Direct | Kind::Remux | Kind::Audio => return false,
        };
        let denied = |access: Access| access == Access::Deny;
        let policy = &*self.policy;
        let anonymous = asked.account.user == UserId::anonymous() && denied(policy.anonymous);
        if anonymous && verdict.breach(policy.mode, Reason::Anonymous, None) {
            return true;
        }
        if let Some(class) = policy.classes.get(asked.account.class) {
            let mode = self.mode(class.mode);
            if denied(class.transcode) && verdict.breach(mode, Reason::TranscodeDenied, None) {
                return true;
            }
            if uhd && denied(class.uhd) && verdict.breach(mode, Reason::UhdDenied, None) {
                return true;
            }
        }
        let rules = asked
            .account
            .libraries
            .iter()
            .filter_map(|rule| policy.libraries.get(*rule));
        for rule in rules {
            let refused = denied(rule.transcode) || uhd && denied(rule.uhd);
            if refused && verdict.breach(self.mode(rule.mode), Reason::LibraryRule, None) {
                return true;
            }
        }
        for window in self.windows_now(&asked.subject.class) {
            let refused = denied(window.transcode) || uhd && denied(window.uhd);
            if refused && verdict.breach(self.mode(window.mode), Reason::TimeWindow, None) {
                return true;
            }
        }
        false
    }

    pub(super) fn judge_user(
        &self,
        asked: &Asked,
        place: Place,
        freed: Freed,
        verdict: &mut Judgement,
    ) -> bool {
        let used = self.ledger.user(&asked.account.user);
        let limits = &asked.limits;
        let mode = self.mode(limits.mode);
        let line = Line::User(asked.account.user.clone());
        // Somebody of this user who came first goes first, as far as the limit is the reason for waiting.
        let behind = self.queue.is_behind(&line, place);
        if asked.demand.kind.is_video() {
            let full = limits
                .transcodes
                .is_some_and(|most| used.transcodes >= most || behind)
                || limits
                    .seats
                    .is_some_and(|most| used.seats.plus(asked.cost) > most || behind);
            let line = may_fit(limits.seats, asked.cost).then(|| line.clone());
            if full && verdict.breach(mode, Reason::UserLimit, line) {
                return true;
            }
        }
        let streams = used.streams.saturating_sub(freed.streams);
        let full = limits.streams.is_some_and(|most| streams >= most);
        full && verdict.breach(mode, Reason::UserStreams, Some(line))
    }

    pub(super) fn judge_shared(
        &self,
        asked: &Asked,
        place: Place,
        verdict: &mut Judgement,
    ) -> bool {
        let policy = &*self.policy;
        let index = asked.account.class;
        let used = self.ledger.class(index);
        let line = Line::Class(index);
        let behind = self.queue.is_behind(&line, place);
        if let Some(class) = policy.classes.get(index) {
            let full = class
                .transcodes
                .is_some_and(|most| used.transcodes >= most || behind)
                || class
                    .seats
                    .is_some_and(|most| used.seats.plus(asked.cost) > most || behind);
            let mode = self.mode(class.mode);
            let line = may_fit(class.seats, asked.cost).then(|| line.clone());
            if full && verdict.breach(mode, Reason::ClassLimit, line) {
                return true;
            }
        }
        for &index in &asked.account.libraries {
            let Some(rule) = policy.libraries.get(index) else {
                continue;
            };
            let used = self.ledger.library(index).transcodes;
            let line = Line::Library(index);
            let full = rule
                .transcodes
                .is_some_and(|most| used >= most || self.queue.is_behind(&line, place));
            if full && verdict.breach(self.mode(rule.mode), Reason::LibraryRule, Some(line)) {
                return true;
            }
        }
        for window in self.windows_now(&asked.subject.class) {
            let full = window
                .transcodes
                .is_some_and(|most| used.transcodes >= most || behind);
            let mode = self.mode(window.mode);
            if full && verdict.breach(mode, Reason::TimeWindow, Some(line.clone())) {
                return true;
            }
        }
        let used = self.ledger.all().transcodes;
        let behind = self.queue.is_behind(&Line::Server, place);
        let full = policy.transcodes.is_some_and(|most| used >= most || behind);
        full && verdict.breach(policy.mode, Reason::ServerLimit, Some(Line::Server))
    }

    fn judge_gpu(&self, asked: &Asked, place: Place, verdict: &mut Judgement) -> bool {
        let Some((index, gpu)) = asked
            .account
            .gpu
            .and_then(|index| Some((index, self.policy.gpus.get(index)?)))
        else {
            return false;
        };
        let class = asked.account.class;
        let used = self.ledger.gpu(index);
        let mode = self.mode(gpu.mode);
        let lane = Lane {
            gpu: index,
            class,
            need: asked.cost,
        };
        let line = Line::Gpu(Lane {
            need: asked.need(),
            ..lane
        });
        let fits = self.has_seats(lane, Mode::Enforce);
        let goes = self.may_go(lane, place, fits);
        let wanted = used.seats.plus(asked.cost);
        if !fits || goes.is_err() {
            // What is kept free for others never comes free for this one.
            let most = self.most(index, class);
            let may_fit = asked.cost <= most || most == self.capacity_of(index, Mode::Enforce);
            let line = may_fit.then(|| line.clone());
            if verdict.breach(mode, Reason::GpuFull, line) {
                return true;
            }
        } else if !self.has_seats(lane, Mode::Observe) {
            let window = self.capacity_of(index, Mode::Observe) < wanted;
            verdict.would.get_or_insert(if window {
                Reason::TimeWindow
            } else {
                Reason::GpuFull
            });
        }
        if gpu.max_sessions.is_some_and(|most| used.transcodes >= most)
            && verdict.breach(mode, Reason::GpuSessions, Some(line))
        {
            return true;
        }
        verdict.passes = goes.ok().flatten();
        verdict.alone = match asked.demand.kind {
            Kind::Video(work) => {
                self.policy.cost.is_wider(&work, gpu)
                    || wanted > self.capacity_of(index, Mode::Enforce)
            }
            Kind::Direct | Kind::Remux | Kind::Audio => false,
        };
        false
    }

    /// The mode that a rule works in: the policy's is the upper bound of all.
    pub(super) fn mode(&self, rule: Mode) -> Mode {
        match self.policy.mode {
            Mode::Observe => Mode::Observe,
            Mode::Enforce => rule,
        }
    }
}

// === impl Kind ===

impl Kind {
    /// Whether video is encoded.
    pub fn is_video(&self) -> bool {
        match self {
            Self::Video(_) => true,
            Self::Direct | Self::Remux | Self::Audio => false,
        }
    }
}

/// `hevc 2160p hdr -> h264 1080p`, `remux`, `audio`, `direct`.
impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Direct => f.write_str("direct"),
            Self::Remux => f.write_str("remux"),
            Self::Audio => f.write_str("audio"),
            Self::Video(work) => write!(f, "{work}"),
        }
    }
}
