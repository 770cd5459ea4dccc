//! Who may do what: users, classes, libraries and time windows, and what does not go together.

use std::collections::BTreeMap;

use super::{
    Build, limit,
    overlap::{overlap, share_a_class},
    words,
};
use crate::{
    admission::{
        Access, Class, Days, Fraction, Gpu, LibraryRule, Mode, Policy, PolicyError, QueueBounds,
        Seats, UserLimits, UserRule, WhenFull, Window, Yields,
    },
    config::{file, names::AccessName, quota::Quotas, tree::steps},
    ident::{ClassId, GpuId},
};

/// Minutes of a day.
const DAY: u16 = 1440;

/// The rules of the file.
pub(super) struct Written {
    pub(super) users: file::Users,
    pub(super) classes: Vec<file::Class>,
    pub(super) libraries: Vec<file::Library>,
    pub(super) windows: Vec<file::Window>,
}

/// The rules of the policy.
pub(super) struct Rules {
    pub(super) user: UserLimits,
    pub(super) users: Vec<UserRule>,
    pub(super) classes: Vec<Class>,
    pub(super) libraries: Vec<LibraryRule>,
    pub(super) windows: Vec<Window>,
}

impl Build<'_> {
    pub(super) fn rules(&mut self, written: Written, gpus: &[Gpu], queue: &QueueBounds) -> Rules {
        let usual = UserLimits {
            transcodes: Some(2),
            seats: None,
            streams: None,
            quotas: std::sync::Arc::default(),
            when_full: WhenFull::default(),
            floor: None,
            yields: Yields::default(),
            mode: Mode::Enforce,
        };
        let user = over(&usual, &written.users.default.unwrap_or_default());
        let users = self.users(written.users.rules.unwrap_or_default(), &user);
        let classes = self.classes(written.classes, &user, queue);
        let names: Vec<String> = classes.iter().map(|c| c.id.to_string()).collect();
        let libraries = self.libraries(written.libraries, &names);
        let windows = self.windows(written.windows, &names, gpus);
        Rules {
            user,
            users,
            classes,
            libraries,
            windows,
        }
    }

    fn users(&mut self, written: Vec<file::UserRule>, usual: &UserLimits) -> Vec<UserRule> {
        let mut seen: BTreeMap<String, String> = BTreeMap::new();
        let mut rules = Vec::new();
        for (nth, rule) in written.into_iter().enumerate() {
            let entry = self.entry("users.rules", nth);
            let key = format!("{entry}.user");
            let Some(user) = rule
                .user
                .map(|u| u.trim().to_owned())
                .filter(|u| !u.is_empty())
            else {
                self.wrong(
                    &entry,
                    "needs a `user`: a name, a pattern with `*` and `?`, or an id",
                );
                continue;
            };
            if let Some(first) = seen.insert(user.to_lowercase(), key.clone()) {
                let place = self.tree.place_of(&steps(&first)).clone();
                self.wrong(
                    &key,
                    format!(
                        "`{user}` is there twice (first at {place}); only the first would count"
                    ),
                );
            }
            let limits = over(
                usual,
                &file::UserLimits {
                    transcodes: rule.transcodes,
                    seats: rule.seats,
                    streams: rule.streams,
                    quota: rule.quota,
                    when_full: rule.when_full,
                    floor: rule.floor,
                    yields: rule.yields,
                    mode: rule.mode,
                },
            );
            rules.push(UserRule { user, limits });
        }
        rules
    }

    fn classes(
        &mut self,
        written: Vec<file::Class>,
        user: &UserLimits,
        queue: &QueueBounds,
    ) -> Vec<Class> {
        let mut taken = BTreeMap::new();
        let mut classes: Vec<Class> = Vec::new();
        let count = written.len();
        for (nth, class) in written.into_iter().enumerate() {
            let entry = self.entry("classes", nth);
            let name = self.name(&entry, class.name.as_deref(), &mut taken);
            self.allows_nothing(
                &entry,
                class.transcode,
                class.uhd,
                class.transcodes.is_some() || class.seats.is_some(),
            );
            if let Some(wait) = class.max_wait.filter(|w| w.0 > queue.max_wait) {
                self.warn(
                    &format!("{entry}.max_wait"),
                    format!(
                        "is more than `queue.max_wait`, so it ends after {} and not {}",
                        words(queue.max_wait),
                        words(wait.0)
                    ),
                );
            }
            let class = Class {
                id: ClassId::new(name),
                users: class.users.unwrap_or_default(),
                clients: class.clients.unwrap_or_default(),
                networks: class
                    .networks
                    .unwrap_or_default()
                    .into_iter()
                    .map(|n| n.0)
                    .collect(),
                admin: class.admin,
                user: class.user.map(|limits| over(user, &limits)),
                transcodes: limit(class.transcodes),
                seats: class.seats.and_then(|s| s.0),
                transcode: access(class.transcode),
                uhd: access(class.uhd),
                max_wait: class.max_wait.map(|s| s.0),
                share: class.share.and_then(|p| Fraction::new(p.0)),
                reserve: class
                    .reserve
                    .and_then(|p| Fraction::new(p.0))
                    .unwrap_or_default(),
                priority: class.priority.unwrap_or(0),
                preempt: class
                    .preempt
                    .unwrap_or_default()
                    .into_iter()
                    .map(ClassId::new)
                    .collect(),
                mode: class.mode.map_or(Mode::Enforce, Mode::from),
            };
            if everybody(&class) && nth + 1 < count {
                self.warn(
                    &entry,
                    "matches everybody, so no class after it is ever reached; put it last",
                );
            }
            classes.push(class);
        }
        if !classes.last().is_some_and(everybody) {
            let last = Class::everybody();
            if let Some(nth) = classes.iter().position(|c| c.id == last.id) {
                let entry = self.entry("classes", nth);
                self.wrong(
                    &format!("{entry}.name"),
                    "`default` is the class of everybody that no other class matches; give this one another name, or put it last without `users`, `clients`, `networks` and `admin`",
                );
            }
            classes.push(last);
        }
        classes
    }

    fn libraries(&mut self, written: Vec<file::Library>, classes: &[String]) -> Vec<LibraryRule> {
        let mut rules = Vec::new();
        for (nth, rule) in written.into_iter().enumerate() {
            let entry = self.entry("libraries", nth);
            let Some(library) = rule.library.filter(|l| !l.trim().is_empty()) else {
                self.wrong(
                    &entry,
                    "needs a `library`: its name in Jellyfin, or a pattern of it",
                );
                continue;
            };
            let concerned = self.class_names(&entry, rule.classes.unwrap_or_default(), classes);
            self.allows_nothing(&entry, rule.transcode, rule.uhd, rule.transcodes.is_some());
            let rule = LibraryRule {
                library,
                classes: concerned,
                transcode: access(rule.transcode),
                uhd: access(rule.uhd),
                transcodes: limit(rule.transcodes),
                mode: rule.mode.map_or(Mode::Enforce, Mode::from),
            };
            if rule.transcode == Access::Allow
                && rule.uhd == Access::Allow
                && rule.transcodes.is_none()
            {
                self.warn(
                    &entry,
                    "changes nothing: it denies nothing and has no `transcodes`",
                );
            }
            rules.push(rule);
        }
        rules
    }

    fn windows(
        &mut self,
        written: Vec<file::Window>,
        classes: &[String],
        gpus: &[Gpu],
    ) -> Vec<Window> {
        let gpus: Vec<String> = gpus.iter().map(|g| g.id.to_string()).collect();
        let mut taken = BTreeMap::new();
        let mut windows: Vec<Window> = Vec::new();
        let mut said: Vec<(String, Option<AccessName>)> = Vec::new();
        for (nth, window) in written.into_iter().enumerate() {
            let entry = self.entry("windows", nth);
            let name = self.name(&entry, window.name.as_deref(), &mut taken);
            let (Some(from), Some(to)) = (window.from, window.to) else {
                self.wrong(
                    &entry,
                    "needs `from` and `to`, such as \"22:00\" and \"06:30\"",
                );
                continue;
            };
            if from.0 == DAY {
                self.wrong(
                    &format!("{entry}.from"),
                    "must be before 24:00; write \"00:00\" and the next day",
                );
            }
            let concerned = self.class_names(&entry, window.classes.unwrap_or_default(), classes);
            let on: Vec<String> = window.gpus.unwrap_or_default();
            for (which, gpu) in on.iter().enumerate() {
                self.known(&format!("{entry}.gpus[{which}]"), "gpu", "gpus", gpu, &gpus);
            }
            if !on.is_empty() && window.capacity.is_none() {
                self.warn(&format!("{entry}.gpus"), "counts only with `capacity`");
            }
            self.allows_nothing(
                &entry,
                window.transcode,
                window.uhd,
                window.transcodes.is_some(),
            );
            let days = window.days.map_or(Days::ALL, |days| {
                Days::new(days.into_iter().flat_map(Vec::<u8>::from))
            });
            if days == Days::new([]) {
                self.wrong(
                    &format!("{entry}.days"),
                    "names no day; leave it out for every day",
                );
            }
            let made = Window {
                name,
                days,
                from: from.0 % DAY,
                to: to.0 % DAY,
                classes: concerned,
                transcode: access(window.transcode),
                uhd: access(window.uhd),
                transcodes: limit(window.transcodes),
                capacity: window.capacity.and_then(|p| Fraction::new(p.0)),
                gpus: on.into_iter().map(GpuId::new).collect(),
                mode: window.mode.map_or(Mode::Enforce, Mode::from),
            };
            let idle = made.transcode == Access::Allow
                && made.uhd == Access::Allow
                && made.transcodes.is_none()
                && made.capacity.is_none();
            if idle && window.transcode.is_none() && window.uhd.is_none() {
                self.warn(
                    &entry,
                    "changes nothing: it has no `transcode`, `uhd`, `transcodes` or `capacity`",
                );
            }
            for (other, (other_entry, other_said)) in windows.iter().zip(&said) {
                let opposed = matches!(
                    (window.transcode, other_said),
                    (Some(AccessName::Allow), Some(AccessName::Deny))
                        | (Some(AccessName::Deny), Some(AccessName::Allow))
                );
                if opposed && share_a_class(&made, other) && overlap(&made, other) {
                    let place = self
                        .tree
                        .place_of(&steps(&format!("{other_entry}.transcode")))
                        .clone();
                    self.wrong(
                        &format!("{entry}.transcode"),
                        format!("contradicts window `{}` ({place}), which says the opposite for the same class at the same time; narrow one of them", other.name),
                    );
                }
            }
            said.push((entry, window.transcode));
            windows.push(made);
        }
        windows
    }

    fn class_names(
        &mut self,
        entry: &str,
        written: Vec<String>,
        classes: &[String],
    ) -> Vec<ClassId> {
        for (which, class) in written.iter().enumerate() {
            self.known(
                &format!("{entry}.classes[{which}]"),
                "class",
                "classes",
                class,
                classes,
            );
        }
        written.into_iter().map(ClassId::new).collect()
    }

    /// `transcode: deny` beside a number or a permission says two things at once.
    fn allows_nothing(
        &mut self,
        entry: &str,
        transcode: Option<AccessName>,
        uhd: Option<AccessName>,
        number: bool,
    ) {
        if transcode != Some(AccessName::Deny) {
            return;
        }
        if uhd == Some(AccessName::Allow) {
            self.wrong(
                &format!("{entry}.uhd"),
                "is allowed, but `transcode: deny` denies all transcodes; drop one of them",
            );
        }
        if number {
            self.wrong(
                &format!("{entry}.transcode"),
                "is denied, so the number beside it can't count; drop one of them",
            );
        }
    }

    /// Shares and reserves are parts of one whole.
    fn parts(&mut self, policy: &Policy) {
        let last = |has: fn(&Class) -> bool| policy.classes.iter().rposition(has);
        let shares = hundredths(policy.classes.iter().filter_map(|class| class.share));
        if shares > 100.0
            && let Some(nth) = last(|class| class.share.is_some())
        {
            let entry = self.entry("classes", nth);
            self.wrong(
                &format!("{entry}.share"),
                format!(
                    "makes {shares}% with the shares before it; together they must be at most 100%"
                ),
            );
        }
        let reserves = hundredths(policy.classes.iter().map(|class| class.reserve));
        if reserves >= 100.0
            && let Some(nth) = last(|class| class.reserve.get() > 0.0)
        {
            let entry = self.entry("classes", nth);
            self.wrong(
                &format!("{entry}.reserve"),
                format!("makes {reserves}% with the reserves before it, which leaves nothing to anybody else"),
            );
        }
        for (nth, class) in policy.classes.iter().enumerate() {
            if class.share.is_some_and(|share| share < class.reserve) {
                let entry = self.entry("classes", nth);
                self.warn(
                    &format!("{entry}.reserve"),
                    "is more than `share`: beyond its share this class waits behind others for seats that only it may take",
                );
            }
        }
    }

    /// What only the whole shows.
    pub(super) fn across(&mut self, policy: &Policy) {
        let most = policy
            .gpus
            .iter()
            .fold(Seats::ZERO, |sum, g| sum.plus(g.capacity));
        let mut limits = vec![("users.default".to_owned(), &policy.user)];
        for (nth, rule) in policy.users.iter().enumerate() {
            limits.push((self.entry("users.rules", nth), &rule.limits));
        }
        for (entry, limits) in limits {
            if limits.seats.is_some_and(|s| s > most) && self.has(&format!("{entry}.seats")) {
                self.warn(
                    &format!("{entry}.seats"),
                    format!("is more than all GPUs have together ({most} seats)"),
                );
            }
            if let (Some(user), Some(all)) = (limits.transcodes, policy.transcodes)
                && user > all
                && self.has(&format!("{entry}.transcodes"))
            {
                self.warn(
                    &format!("{entry}.transcodes"),
                    format!("is more than `limits.transcodes` ({all})"),
                );
            }
        }
        for (nth, class) in policy.classes.iter().enumerate() {
            let entry = self.entry("classes", nth);
            if class.seats.is_some_and(|s| s > most) {
                self.warn(
                    &format!("{entry}.seats"),
                    format!("is more than all GPUs have together ({most} seats)"),
                );
            }
        }
        self.parts(policy);
        if self.mistakes.is_empty()
            && let Err(errors) = policy.check()
        {
            for error in errors {
                let key = match &error {
                    PolicyError::Duplicate { what, .. } | PolicyError::Unknown { what, .. } => {
                        (*what).to_owned()
                    }
                    PolicyError::NoDefaultClass => "classes".to_owned(),
                    PolicyError::Missing(what) => (*what).to_owned(),
                };
                self.wrong(&key, error.to_string());
            }
        }
    }
}

/// Parts of one whole, added up without the faults of fractions.
fn hundredths(parts: impl Iterator<Item = Fraction>) -> f64 {
    (parts.map(Fraction::get).sum::<f64>() * 10_000.0).round() / 100.0
}

fn over(usual: &UserLimits, written: &file::UserLimits) -> UserLimits {
    UserLimits {
        transcodes: written.transcodes.map_or(usual.transcodes, |l| l.0),
        seats: written.seats.map_or(usual.seats, |s| s.0),
        streams: written.streams.map_or(usual.streams, |l| l.0),
        quotas: Quotas::over(written.quota.as_ref(), &usual.quotas),
        when_full: written.when_full.map_or(usual.when_full, WhenFull::from),
        floor: written.floor.or(usual.floor),
        yields: written.yields.map_or(usual.yields, Yields::from),
        mode: written.mode.map_or(usual.mode, Mode::from),
    }
}

fn access(written: Option<AccessName>) -> Access {
    written.map_or(Access::Allow, Access::from)
}

fn everybody(class: &Class) -> bool {
    class.users.is_empty()
        && class.clients.is_empty()
        && class.networks.is_empty()
        && class.admin.is_none()
}
