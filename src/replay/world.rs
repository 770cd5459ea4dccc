//! The same evenings under another policy.
//!
//! The viewers of the journal ask for the same things at the same times. From there on the journal knows only what
//! came of the answers that they got, so:
//!
//! - who played and plays again: all that was written down about his play holds, later by as much as he waits longer.
//!   Who waits less takes his seats when he is let in, and begins to read when he did;
//! - who played and is now refused: the rest of his play is left out;
//! - who was refused, or left while he waited, and is now let in: he plays as long as plays of his class usually last,
//!   and his later tries for the same item are this play;
//! - who gets a smaller picture than he did is taken to accept it;
//! - a restart of the process ends what is assumed, as nothing is known of it by the next.
//!
//! What Jellyfin says is running is corrected by the same rules before the core compares it.

mod later;
mod plays;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};

use self::plays::{Key, Play, State};
use super::{
    Moment, Tally, at, core_of,
    traces::{Answer, Tickets, Usual, traces},
    what::What,
};
use crate::{
    admission::{
        Activity, Admission, Decision, Demand, Ended, Event, Input, Kind, Order, Origin, Policy,
    },
    ident::{ItemId, LeaseId, PlaySessionId, Ticket},
    journal::{Part, Step},
};

/// How often an assumed viewer shows signs of life: well within the time after which a play counts as idle.
const BEAT: u64 = 20_000_000_000;
/// So long after its beginning Jellyfin's list need not show a play, nanoseconds.
const UNSEEN: u64 = 20_000_000_000;
const SECOND: u64 = 1_000_000_000;
/// Who is assumed to play and asks again within this time means that play.
const JOINS: u64 = 3600 * SECOND;

/// What else than the policy is different.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    /// Files that every client plays as they are.
    pub items: HashSet<ItemId>,
    /// Clients that play every file as it is.
    pub clients: HashSet<Arc<str>>,
}

/// What is to be done at a later moment.
#[derive(Debug)]
enum Todo {
    /// An input that came earlier in the journal.
    Told(Input),
    Beat(usize),
    End(usize),
}

/// A part under a policy.
struct World<'a> {
    part: &'a Part,
    base: Instant,
    core: Admission,
    changes: &'a Changes,
    usual: &'a Usual,
    tally: &'a mut Tally,
    /// Policies of the journal are followed.
    follows: bool,
    answers: std::vec::IntoIter<Answer>,
    fates: Tickets,
    plays: Vec<Play>,
    /// Plays that hold a lease.
    on: BTreeSet<usize>,
    wishes: HashMap<Key, usize>,
    sessions: HashMap<PlaySessionId, usize>,
    /// By the journal's numbers.
    their_leases: HashMap<LeaseId, usize>,
    their_tickets: HashMap<Ticket, usize>,
    /// By the numbers of this run.
    leases: HashMap<LeaseId, usize>,
    tickets: HashMap<Ticket, usize>,
    todo: BTreeMap<(u64, u64), Todo>,
    made: u64,
    step: usize,
}

/// Replays one part. `policy`: instead of the journal's own.
pub(super) fn run(
    part: &Part,
    base: Instant,
    policy: Option<&Arc<Policy>>,
    changes: &Changes,
    usual: &Usual,
    tally: &mut Tally,
) {
    let first = policy.unwrap_or(&part.header.policy);
    let (answers, fates) = traces(part);
    tally.pause();
    let mut world = World {
        core: core_of(&part.header, base, Arc::clone(first)),
        part,
        base,
        changes,
        usual,
        tally,
        follows: policy.is_none(),
        answers: answers.into_iter(),
        fates,
        plays: Vec::new(),
        on: BTreeSet::new(),
        wishes: HashMap::new(),
        sessions: HashMap::new(),
        their_leases: HashMap::new(),
        their_tickets: HashMap::new(),
        leases: HashMap::new(),
        tickets: HashMap::new(),
        todo: BTreeMap::new(),
        made: 0,
        step: 0,
    };
    for (index, step) in part.steps.iter().enumerate() {
        world.step = index;
        world.catch_up(step.t);
        world.told(step);
    }
}

impl World<'_> {
    /// Does what is due before the next input of the journal.
    fn catch_up(&mut self, until: u64) {
        loop {
            let due = self.core.next_deadline().map(|due| {
                let since = due.saturating_duration_since(self.base).as_nanos();
                u64::try_from(since).unwrap_or(u64::MAX)
            });
            let next = self.todo.first_key_value().map(|((t, _), _)| *t);
            match (due, next) {
                (Some(due), next) if due <= until && next.is_none_or(|next| due <= next) => {
                    self.core.advance(at(self.base, due));
                    self.happened(due);
                }
                (_, Some(next)) if next <= until => {
                    if let Some(((t, _), todo)) = self.todo.pop_first() {
                        self.does(t, todo);
                    }
                }
                _ => return,
            }
        }
    }

    fn later(&mut self, t: u64, todo: Todo) {
        self.made += 1;
        self.todo.insert((t, self.made), todo);
    }

    fn does(&mut self, t: u64, todo: Todo) {
        match todo {
            Todo::Told(input) => {
                self.tell(t, &input);
            }
            Todo::Beat(place) => {
                let play = self.plays.get(place).filter(|play| play.is_assumed());
                if let Some(lease) = play.and_then(|play| play.lease) {
                    let (now, segment) = (at(self.base, t), Activity::Segment { index: 0 });
                    self.core.touch_lease(now, lease, segment);
                    self.happened(t);
                    self.later(t + BEAT, Todo::Beat(place));
                }
            }
            Todo::End(place) => {
                let play = self.plays.get(place).filter(|play| play.is_assumed());
                if let Some(lease) = play.and_then(|play| play.lease) {
                    self.tell(
                        t,
                        &Input::Release {
                            lease,
                            why: Ended::Stopped,
                        },
                    );
                }
            }
        }
    }

    fn tell(&mut self, t: u64, input: &Input) -> Option<Decision> {
        let answer = self.core.take(at(self.base, t), input);
        // A demand's own play is not known yet when its events are looked at.
        if answer.is_none() {
            self.happened(t);
        }
        answer
    }

    /// Looks at what the core did.
    fn happened(&mut self, t: u64) {
        // To begin a play may lead to more.
        for _ in 0..64 {
            let events = self.core.drain_events();
            let moment = Moment::of(self.part, self.step, t);
            self.tally.take(moment, &self.core, &events);
            if events.is_empty() {
                return;
            }
            for event in &events {
                self.saw(t, event);
            }
        }
    }

    fn saw(&mut self, t: u64, event: &Event) {
        match What::of(event) {
            What::Granted { ticket, lease, .. } => {
                if let Some(place) = self.tickets.remove(&ticket) {
                    self.begin(t, place, lease, None);
                }
            }
            What::Stepped {
                ticket: Some(ticket),
                lease,
                rung,
                ..
            } => {
                if let Some(place) = self.tickets.remove(&ticket) {
                    self.begin(t, place, lease, Some(rung));
                }
            }
            What::Refused {
                ticket: Some(ticket),
                ..
            }
            | What::Left { ticket, .. } => {
                if let Some(place) = self.tickets.remove(&ticket)
                    && let Some(play) = self.plays.get_mut(place)
                {
                    play.state = State::Refused;
                    play.held.clear();
                }
            }
            What::Ended { lease, .. } => {
                if let Some(place) = self.leases.remove(&lease) {
                    self.on.remove(&place);
                    if let Some(play) = self.plays.get_mut(place) {
                        play.state = State::Over;
                    }
                }
            }
            What::Admitted { .. }
            | What::Queued { .. }
            | What::Stepped { ticket: None, .. }
            | What::Refused { ticket: None, .. }
            | What::Other => {}
        }
    }

    /// One input of the journal.
    fn told(&mut self, step: &Step) {
        let t = step.t;
        match &step.told {
            Input::Decide(demand) => self.decide(t, demand),
            Input::TurnAway { demand, .. } => {
                if self.satisfied(t, demand).is_none() {
                    self.tell(t, &step.told);
                }
            }
            Input::Bind { lease, session } => {
                let Some(place) = self.their_leases.get(lease).copied() else {
                    if self.follows {
                        self.tell(t, &step.told);
                    }
                    return;
                };
                self.sessions.insert(session.clone(), place);
                let Some(play) = self.plays.get_mut(place) else {
                    return;
                };
                play.session = Some(session.clone());
                if let Some(lease) = play.lease.filter(|_| play.state == State::On) {
                    let session = session.clone();
                    self.tell(t, &Input::Bind { lease, session });
                }
            }
            Input::Release { lease, why } => self.release(t, *lease, *why),
            Input::Withdraw { ticket } => {
                let place = self.their_tickets.get(ticket);
                let ours = place.and_then(|place| self.plays.get(*place)?.ticket);
                if let Some(ticket) = ours.filter(|ticket| self.tickets.contains_key(ticket)) {
                    self.tell(t, &Input::Withdraw { ticket });
                }
            }
            Input::Confirm { session, .. }
            | Input::Touch { session, .. }
            | Input::SpendSessionBytes { session, .. }
            | Input::Stop { session, .. } => self.of_session(t, session, &step.told),
            Input::Reconcile { node, running } => {
                let running = self.corrected(t, node, running);
                let node = node.clone();
                self.tell(t, &Input::Reconcile { node, running });
            }
            // Under another policy a lease has another number.
            Input::Operate {
                order: Order::Pause | Order::Resume,
                ..
            } => {
                self.tell(t, &step.told);
            }
            Input::Policy(_) | Input::Operate { .. } => {
                if self.follows {
                    self.tell(t, &step.told);
                }
            }
            Input::Advance
            | Input::TouchDevice { .. }
            | Input::StopDevice { .. }
            | Input::Week { .. }
            | Input::Today(_)
            | Input::Flow(_)
            | Input::SpendBytes { .. }
            | Input::Usage(_)
            | Input::Drain => {
                self.tell(t, &step.told);
            }
        }
    }

    fn decide(&mut self, t: u64, written: &Demand) {
        let theirs = self.answers.next().unwrap_or(Answer::Refused);
        let mut demand = written.clone();
        if self.changed(&demand.item, &demand.who.client) && demand.kind.is_video() {
            demand.kind = Kind::Direct;
            demand.rungs.clear();
        }
        if let Some(place) = self.satisfied(t, &demand) {
            self.joins(t, place, &demand, theirs);
            return;
        }
        let of_session = demand.session.as_ref().and_then(|s| self.sessions.get(s));
        let mid_film = demand.origin != Origin::Negotiation;
        // What a play that was refused would have asked for later.
        if let Some(place) = of_session.copied()
            && mid_film
            && self
                .plays
                .get(place)
                .is_some_and(|play| play.is_withheld(t))
        {
            return;
        }
        let decision = self.tell(t, &Input::Decide(Box::new(demand.clone())));
        let place = self.plays.len();
        let mut play = Play::new(&demand, t);
        self.learn(&mut play, place, theirs);
        if let Some(session) = &demand.session {
            self.sessions.insert(session.clone(), place);
        }
        self.wishes.insert(play.key(), place);
        self.plays.push(play);
        match decision {
            Some(Decision::Admit { lease, .. }) => self.begin(t, place, lease, None),
            Some(Decision::Downgrade { lease, rung, .. }) => {
                self.begin(t, place, lease, Some(rung));
            }
            Some(Decision::Queue { ticket, .. }) => {
                self.tickets.insert(ticket, place);
                if let Some(play) = self.plays.get_mut(place) {
                    play.ticket = Some(ticket);
                }
            }
            Some(Decision::Reject { .. }) | None => {
                if let Some(play) = self.plays.get_mut(place) {
                    play.state = State::Refused;
                }
            }
        }
        self.happened(t);
    }

    /// Takes in what the journal knows about a play.
    fn learn(&mut self, play: &mut Play, place: usize, theirs: Answer) {
        match theirs {
            Answer::Began(lease, form) => {
                self.their_leases.insert(lease, place);
                play.their_form = form;
                play.began = Some(play.asked);
            }
            Answer::Waited(ticket) => {
                self.their_tickets.insert(ticket, place);
                if let Some((lease, form, at)) = self.fates.get(&ticket).copied().flatten() {
                    self.their_leases.insert(lease, place);
                    play.their_form = form;
                    play.began = Some(at);
                }
            }
            Answer::Refused => {}
        }
    }

    /// The play that this demand wishes for and that is assumed to run or to wait already.
    fn satisfied(&self, t: u64, demand: &Demand) -> Option<usize> {
        if demand.origin != Origin::Negotiation {
            return None;
        }
        let place = *self.wishes.get(&plays::key(demand))?;
        let play = self.plays.get(place)?;
        let runs = play.state == State::On && play.began.is_none();
        (runs && t.saturating_sub(play.asked) < JOINS).then_some(place)
    }

    /// A later try of somebody who is assumed to play already.
    fn joins(&mut self, t: u64, place: usize, demand: &Demand, theirs: Answer) {
        let Some(mut play) = self.plays.get(place).cloned() else {
            return;
        };
        play.asked = t;
        self.learn(&mut play, place, theirs);
        play.asked = self.plays.get(place).map_or(t, |play| play.asked);
        let lease = play.lease;
        let real = play.began.is_some();
        if let Some(known) = self.plays.get_mut(place) {
            *known = play;
        }
        // From here on the journal knows what he does.
        if real && let (Some(lease), Some(session)) = (lease, &demand.session) {
            self.sessions.insert(session.clone(), place);
            let session = session.clone();
            self.tell(t, &Input::Bind { lease, session });
        }
    }

    /// A play begins in this run.
    fn begin(&mut self, t: u64, place: usize, lease: LeaseId, rung: Option<usize>) {
        let Some(play) = self.plays.get_mut(place) else {
            return;
        };
        play.start(t, lease, rung);
        self.on.insert(place);
        self.leases.insert(lease, place);
        let session = play.session.clone();
        let began = play.began;
        let held = std::mem::take(&mut play.held);
        let shift = play.shift;
        let now = at(self.base, t);
        match began {
            None => {
                let lasts = self.lasts(lease);
                let lasts = u64::try_from(lasts.as_nanos()).unwrap_or(u64::MAX);
                self.core
                    .touch_lease(now, lease, Activity::Segment { index: 0 });
                self.later(t + BEAT, Todo::Beat(place));
                self.later(t.saturating_add(lasts), Todo::End(place));
            }
            Some(began) => {
                if let Some(session) = session.filter(|_| shift > 0) {
                    self.core.bind(now, lease, &session);
                }
                if began > t + plays::SAME {
                    // He waited then and doesn't now: his seats are taken from now on.
                    self.core
                        .touch_lease(now, lease, Activity::Segment { index: 0 });
                }
                for (then, input) in held {
                    self.later((then + shift).max(t), Todo::Told(input));
                }
            }
        }
    }

    /// How long the play of a lease usually lasts.
    fn lasts(&self, lease: LeaseId) -> Duration {
        let class = self.core.class_of(lease);
        self.usual.lasts(class.map_or("", |class| class.as_str()))
    }
}
