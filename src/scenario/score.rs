//! What an evening came to: counted while it runs, then made into one line.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{
    plan::{Evening, Form, Play},
    units::{Ms, seconds},
};
use crate::admission::{Ended, Reason};

/// The GPUs at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Moment {
    pub(super) at: Ms,
    /// Seats of the jobs that run: more than there are if the picture of some must stand still.
    pub(super) busy: f64,
    pub(super) capacity: f64,
    pub(super) waiting: usize,
}

/// Counts.
#[derive(Clone, Debug)]
pub(super) struct Tally {
    /// Of each user: minutes he wanted and minutes that were smooth.
    users: BTreeMap<String, (f64, f64)>,
    /// The same of evenings before this one.
    before: Vec<BTreeMap<String, (f64, f64)>>,
    names: Vec<String>,
    smooth: f64,
    asked: u32,
    admitted: u32,
    stalled: u32,
    stalls: u32,
    left_stalled: u32,
    gave_up: u32,
    waits: Vec<Ms>,
    refusals: BTreeMap<Reason, u32>,
    renditions: BTreeMap<String, u32>,
    stepped_down: u32,
    changes: u32,
    yielded: u32,
    ended: u32,
    /// Of evenings before this one.
    busy: f64,
    capacity: f64,
    pub(super) waiting: usize,
    pub(super) moments: Vec<Moment>,
}

/// What one policy came to in one scenario. The first nine members are the ones that scripts rely on.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// The scenario.
    pub scenario: String,
    /// The policy.
    pub policy: String,
    /// Smooth viewer-minutes as a part of the clairvoyant bound.
    pub smooth_share: f64,
    /// Plays whose picture stood still in mid-play at least once.
    pub stalled: u32,
    /// Jain's index between the users of a class, of the worst class.
    pub jain: f64,
    /// Half of those who were let in waited no longer.
    pub wait_p50_s: f64,
    /// Of twenty who were let in nineteen waited no longer.
    pub wait_p95_s: f64,
    /// How often somebody was told no, in mid-play as well.
    pub refused: u32,
    /// Viewers who gave up, with all that they still wanted.
    pub gave_up: u32,
    /// Smooth viewer-minutes of plays that need a GPU, or a line that may be too thin.
    pub smooth_minutes: f64,
    /// The clairvoyant bound.
    pub bound_minutes: f64,
    /// Plays that asked for either.
    pub asked: u32,
    /// Of those, plays that were let in.
    pub admitted: u32,
    /// Of those, plays in a cheaper form.
    pub stepped_down: u32,
    /// How often a picture stood still.
    pub stalls: u32,
    /// Viewers who had enough of it.
    pub left_stalled: u32,
    /// Mean of the seats of running jobs while any ran, as a part of what was there.
    pub seat_use: f64,
    /// Forms that were served, by size of the picture.
    pub renditions: BTreeMap<String, u32>,
    /// Refusals by reason, streams that were ended for somebody else included.
    pub refusals: BTreeMap<String, u32>,
    /// Answers that players asked for in mid-play.
    pub changes: u32,
    /// Plays that went on in a smaller picture for somebody who goes before them.
    pub yielded: u32,
    /// How often a stream was ended for somebody else.
    pub ended: u32,
    /// Smooth minutes of each user, of all evenings.
    #[serde(skip)]
    pub users: BTreeMap<String, f64>,
    /// Seats over time, for the picture.
    #[serde(skip)]
    pub(super) moments: Vec<Moment>,
}

// === impl Tally ===

impl Tally {
    pub(super) fn new(evening: &Evening) -> Self {
        let mut users = BTreeMap::new();
        for viewer in &evening.viewers {
            let wanted: Ms = viewer
                .plays
                .iter()
                .filter(|p| p.counted)
                .map(Play::wanted)
                .sum();
            if wanted > 0 {
                let user: &mut (f64, f64) = users.entry(viewer.user.clone()).or_default();
                user.0 += seconds(wanted) / 60.0;
            }
        }
        Self {
            users,
            before: Vec::new(),
            names: evening.viewers.iter().map(|v| v.user.clone()).collect(),
            smooth: 0.0,
            asked: 0,
            admitted: 0,
            stalled: 0,
            stalls: 0,
            left_stalled: 0,
            gave_up: 0,
            waits: Vec::new(),
            refusals: BTreeMap::new(),
            renditions: BTreeMap::new(),
            stepped_down: 0,
            changes: 0,
            yielded: 0,
            ended: 0,
            busy: 0.0,
            capacity: 0.0,
            waiting: 0,
            moments: Vec::new(),
        }
    }

    /// Nobody stood still.
    pub(super) fn is_smooth(&self) -> bool {
        self.stalled == 0
    }

    /// Smooth viewer-minutes.
    pub(super) fn minutes(&self) -> f64 {
        self.smooth
    }

    /// Takes in what another evening came to; the moments of this one stay.
    pub(super) fn add(&mut self, other: Self) {
        let (busy, capacity) = other.seat_use();
        self.before.push(other.users);
        self.before.extend(other.before);
        self.smooth += other.smooth;
        self.asked += other.asked;
        self.admitted += other.admitted;
        self.stalled += other.stalled;
        self.stalls += other.stalls;
        self.left_stalled += other.left_stalled;
        self.gave_up += other.gave_up;
        self.stepped_down += other.stepped_down;
        self.changes += other.changes;
        self.yielded += other.yielded;
        self.ended += other.ended;
        self.waits.extend(other.waits);
        self.busy += other.busy + busy;
        self.capacity += other.capacity + capacity;
        for (reason, count) in other.refusals {
            *self.refusals.entry(reason).or_default() += count;
        }
        for (form, count) in other.renditions {
            *self.renditions.entry(form).or_default() += count;
        }
    }

    /// Seats in use while any were, and what there were, over the moments of this evening.
    fn seat_use(&self) -> (f64, f64) {
        let busy = self.moments.iter().filter(|moment| moment.busy > 0.0);
        busy.fold((0.0, 0.0), |(busy, capacity), moment| {
            (
                busy + moment.busy.min(moment.capacity),
                capacity + moment.capacity,
            )
        })
    }

    /// Jain's index of each evening's worst class, on average.
    fn jain(&self, class_of: &BTreeMap<String, String>) -> f64 {
        let evenings = std::iter::once(&self.users).chain(&self.before);
        let (mut sum, mut count) = (0.0, 0.0);
        for users in evenings {
            let mut classes: BTreeMap<&str, Vec<(f64, f64)>> = BTreeMap::new();
            for (user, minutes) in users {
                let class = class_of.get(user).map_or("default", String::as_str);
                classes.entry(class).or_default().push(*minutes);
            }
            let of_class = classes.values().map(|users| jain(users));
            sum += of_class.fold(1.0, f64::min);
            count += 1.0;
        }
        sum / count
    }

    pub(super) fn wish(&mut self, play: &Play) {
        self.asked += u32::from(play.counted);
    }

    pub(super) fn admitted(&mut self, play: &Play, form: &Form, waited: Ms) {
        if play.counted {
            self.admitted += 1;
            self.waits.push(waited);
            *self.renditions.entry(form.called.clone()).or_default() += 1;
        }
    }

    /// `cheaper`: for the first time in a cheaper form than was asked for.
    pub(super) fn served(&mut self, play: &Play, cheaper: bool) {
        self.stepped_down += u32::from(cheaper && play.counted);
    }

    pub(super) fn changed(&mut self, play: &Play) {
        self.changes += u32::from(play.counted);
    }

    pub(super) fn yielded(&mut self) {
        self.yielded += 1;
    }

    pub(super) fn ended(&mut self, play: &Play) {
        self.ended += u32::from(play.counted);
    }

    pub(super) fn watched(
        &mut self,
        viewer: usize,
        play: &Play,
        smooth: f64,
        stalls: u32,
        fed_up: bool,
    ) {
        if !play.counted {
            return;
        }
        self.smooth += smooth / 60.0;
        let user = self
            .names
            .get(viewer)
            .and_then(|name| self.users.get_mut(name));
        if let Some((_, got)) = user {
            *got += smooth / 60.0;
        }
        self.stalls += stalls;
        self.stalled += u32::from(stalls > 0);
        self.left_stalled += u32::from(fed_up);
    }

    pub(super) fn refused(&mut self, reason: Reason) {
        *self.refusals.entry(reason).or_default() += 1;
    }

    pub(super) fn gave_up(&mut self) {
        self.gave_up += 1;
    }

    pub(super) fn moment(&mut self, moment: Moment) {
        self.moments.push(moment);
    }

    /// `class_of`: the class of a user, by his name.
    pub(super) fn outcome(
        mut self,
        scenario: &str,
        policy: &str,
        bound: f64,
        class_of: &BTreeMap<String, String>,
    ) -> Outcome {
        self.waits.sort_unstable();
        let (busy, capacity) = self.seat_use();
        let (busy, capacity) = (self.busy + busy, self.capacity + capacity);
        let jain = self.jain(class_of);
        let mut users: BTreeMap<String, f64> = BTreeMap::new();
        for (user, (_, got)) in self.before.iter().chain([&self.users]).flatten() {
            *users.entry(user.clone()).or_default() += got;
        }
        Outcome {
            scenario: scenario.to_owned(),
            policy: policy.to_owned(),
            smooth_share: if bound > 0.0 {
                round(self.smooth / bound, 4)
            } else {
                1.0
            },
            stalled: self.stalled,
            jain: round(jain, 4),
            wait_p50_s: percentile(&self.waits, 50),
            wait_p95_s: percentile(&self.waits, 95),
            refused: self.refusals.values().sum::<u32>() + self.ended,
            gave_up: self.gave_up,
            smooth_minutes: round(self.smooth, 1),
            bound_minutes: round(bound, 1),
            asked: self.asked,
            admitted: self.admitted,
            stepped_down: self.stepped_down,
            stalls: self.stalls,
            left_stalled: self.left_stalled,
            seat_use: if capacity > 0.0 {
                round(busy / capacity, 4)
            } else {
                0.0
            },
            renditions: self.renditions,
            refusals: self
                .refusals
                .iter()
                .map(|(reason, count)| (reason.to_string(), *count))
                .chain((self.ended > 0).then(|| (Ended::Preempted.to_string(), self.ended)))
                .collect(),
            changes: self.changes,
            yielded: self.yielded,
            ended: self.ended,
            users,
            moments: self.moments,
        }
    }
}

fn round(value: f64, digits: i32) -> f64 {
    let scale = 10_f64.powi(digits);
    (value * scale).round() / scale
}

fn percentile(sorted: &[Ms], part: usize) -> f64 {
    let at = (sorted.len() * part).div_ceil(100).saturating_sub(1);
    round(sorted.get(at).copied().map_or(0.0, seconds), 1)
}

/// Jain's index of what each user got, as a part of what he would have got had all that was got been shared evenly:
/// nobody is owed more than he wanted, and who wanted less leaves it to the others.
pub(super) fn jain(users: &[(f64, f64)]) -> f64 {
    let got: f64 = users.iter().map(|(_, got)| got).sum();
    let wanted: f64 = users.iter().map(|(wanted, _)| wanted).sum();
    if got <= 0.0 || wanted <= 0.0 {
        return 1.0;
    }
    let level = level(users, got);
    let (mut sum, mut squares, mut count) = (0.0, 0.0, 0.0);
    for (wanted, got) in users {
        let owed = wanted.min(level);
        if owed > 0.0 {
            let part = (got / owed).min(1.0);
            sum += part;
            squares += part * part;
            count += 1.0;
        }
    }
    if squares > 0.0 {
        sum * sum / (count * squares)
    } else {
        1.0
    }
}

/// The most that anybody gets if `whole` is shared evenly and nobody gets more than he wants.
fn level(users: &[(f64, f64)], whole: f64) -> f64 {
    let mut wants: Vec<f64> = users.iter().map(|(wanted, _)| *wanted).collect();
    wants.sort_by(f64::total_cmp);
    let mut left = whole;
    let mut heads = wants.len();
    for want in wants {
        #[expect(clippy::cast_precision_loss, reason = "users are few")]
        let each = left / heads as f64;
        if want > each {
            return each;
        }
        left -= want;
        heads -= 1;
        if heads == 0 {
            break;
        }
    }
    f64::INFINITY
}
