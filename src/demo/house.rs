//! The house of the demo: who lives there, what they play it on, and the rules of the evening.

use std::{borrow::Cow, net::SocketAddr, time::Duration};

use super::apps::App;
use crate::sim::SimUser;

/// What the profile `intel-uhd730` says of such a GPU as that of the house.
pub(super) const PROFILE_SEATS: f64 = 10.0;
/// What it really bears: Finweir finds out.
pub(super) const REAL_SEATS: f64 = 13.0;
/// Its factor for tone-mapping.
pub(super) const TONE_MAP: f64 = 0.25;
/// A minute of a film takes a second.
pub(super) const SHORTENED: i64 = 60;
/// The key by which Finweir sees what the simulated Jellyfin runs.
pub(super) const API_KEY: &str = "demo-api-key";
/// The token that one logs in with on the status page.
pub(super) const ADMIN_TOKEN: &str = "demo-admin-token";

/// What somebody does with an evening.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Habit {
    /// Watches whole films, seeks once, pauses once.
    Evening,
    /// The same, with a pause for dinner in the middle: longer than `leases.park_after`.
    Dinner,
    /// One film after the other, each to its end.
    Binge,
    /// Looks into each film for a few seconds.
    Hop,
    /// Watches for some time, then wants something else.
    Restless,
    /// Waits a few seconds and no longer.
    Impatient,
    /// Asks again at once when refused.
    Stubborn,
    /// Fetches streams with a program that knows nothing of Jellyfin.
    Bare,
}

/// A user on a device.
#[derive(Clone, Debug)]
pub(super) struct Viewer {
    /// The user's name.
    pub(super) user: Cow<'static, str>,
    /// The name of the device.
    pub(super) device: &'static str,
    /// What runs on it.
    pub(super) app: App,
    /// The device plays 4K, HEVC and HDR.
    pub(super) uhd: bool,
    /// The bit rate it asks for at most, Mbit/s.
    pub(super) megabits: i64,
    /// It is not in the house: what it plays goes over its line.
    pub(super) outside: bool,
    /// What its user does.
    pub(super) habit: Habit,
    /// When he begins, seconds of the evening.
    pub(super) begins: f64,
    /// The films he likes, best first.
    pub(super) films: &'static [&'static str],
}

/// In this order the limits bite within the first seconds: two 4K films, a greedy third device, somebody who waits,
/// a guest who may not.
#[rustfmt::skip]
const CAST: [Viewer; 18] = [
    Viewer { user: Cow::Borrowed("anna"), device: "Desk", app: App::Web, uhd: false, megabits: 12, outside: false, habit: Habit::Evening, begins: 0.2, films: &["Meridian", "The Observatory", "Copper Sky"] },
    Viewer { user: Cow::Borrowed("hugo"), device: "Laptop", app: App::Web, uhd: false, megabits: 12, outside: false, habit: Habit::Restless, begins: 0.8, films: &["The Observatory", "Saltwater", "Copper Sky"] },
    Viewer { user: Cow::Borrowed("felix"), device: "Chromebook", app: App::Web, uhd: false, megabits: 12, outside: false, habit: Habit::Restless, begins: 1.6, films: &["Copper Sky", "Northern Line", "Open Window"] },
    Viewer { user: Cow::Borrowed("hugo"), device: "Bedroom TV", app: App::AndroidTv, uhd: false, megabits: 15, outside: false, habit: Habit::Restless, begins: 2.4, films: &["Northern Line", "Winter Orchard", "Open Window"] },
    Viewer { user: Cow::Borrowed("hugo"), device: "Kitchen TV", app: App::Roku, uhd: false, megabits: 20, outside: false, habit: Habit::Restless, begins: 3.4, films: &["Paper Rivers", "Sprint", "Northern Line"] },
    Viewer { user: Cow::Borrowed("clara"), device: "iPad", app: App::Swiftfin, uhd: false, megabits: 8, outside: false, habit: Habit::Restless, begins: 4.4, films: &["Saltwater", "Meridian", "Two Kitchens"] },
    Viewer { user: Cow::Borrowed("jonas"), device: "Phone", app: App::Web, uhd: false, megabits: 8, outside: false, habit: Habit::Impatient, begins: 5.2, films: &["Copper Sky", "The Observatory", "Meridian"] },
    Viewer { user: Cow::Borrowed("ida"), device: "Workshop", app: App::MpvShim, uhd: true, megabits: 10, outside: false, habit: Habit::Stubborn, begins: 6.0, films: &["Sprint", "Paper Rivers", "Saltwater"] },
    Viewer { user: Cow::Borrowed("ben"), device: "Living room TV", app: App::AndroidTv, uhd: true, megabits: 120, outside: false, habit: Habit::Binge, begins: 0.5, films: &["Saltwater", "Copper Sky", "The Observatory", "Meridian"] },
    Viewer { user: Cow::Borrowed("emma"), device: "Media box", app: App::Kodi, uhd: true, megabits: 120, outside: false, habit: Habit::Binge, begins: 1.2, films: &["The Long Field", "Meridian", "Winter Orchard"] },
    Viewer { user: Cow::Borrowed("lena"), device: "Tablet", app: App::Web, uhd: false, megabits: 40, outside: false, habit: Habit::Dinner, begins: 2.0, films: &["Harbour Lights", "The Long Field", "Two Kitchens"] },
    Viewer { user: Cow::Borrowed("nobody"), device: "Script", app: App::Bare, uhd: false, megabits: 8, outside: false, habit: Habit::Bare, begins: 7.0, films: &["The Long Field"] },
    Viewer { user: Cow::Borrowed("david"), device: "Guest room TV", app: App::Roku, uhd: false, megabits: 10, outside: false, habit: Habit::Hop, begins: 8.0, films: &["Open Window", "Northern Line", "Winter Orchard", "Sprint", "Two Kitchens"] },
    Viewer { user: Cow::Borrowed("greta"), device: "Phone", app: App::Swiftfin, uhd: false, megabits: 4, outside: false, habit: Habit::Restless, begins: 9.0, films: &["Two Kitchens", "Open Window", "The Long Field"] },
    Viewer { user: Cow::Borrowed("frieda"), device: "Old TV stick", app: App::AndroidTv, uhd: true, megabits: 6, outside: false, habit: Habit::Restless, begins: 5.5, films: &["The Long Field", "Northern Line", "Two Kitchens"] },
    Viewer { user: Cow::Borrowed("lukas"), device: "School tablet", app: App::Web, uhd: false, megabits: 40, outside: false, habit: Habit::Restless, begins: 1.0, films: &["Harbour Lights", "Two Kitchens"] },
    Viewer { user: Cow::Borrowed("oma"), device: "TV far away", app: App::AndroidTv, uhd: true, megabits: 120, outside: true, habit: Habit::Dinner, begins: 1.4, films: &["The Long Field", "Two Kitchens"] },
    Viewer { user: Cow::Borrowed("karl"), device: "Phone on a train", app: App::Web, uhd: false, megabits: 8, outside: true, habit: Habit::Restless, begins: 6.5, films: &["Northern Line", "Winter Orchard", "Open Window"] },
];

/// How many viewers there are if nobody says.
pub(super) const USUAL: usize = CAST.len();
/// More would measure the machine and not the rules.
pub(super) const MOST: usize = 200;

// === impl Viewer ===

impl Viewer {
    /// The bit rate it asks for at most, bit/s.
    #[expect(clippy::cast_precision_loss, reason = "some megabits")]
    pub(super) fn most_bits(&self) -> f64 {
        self.megabits as f64 * 1e6
    }
}

/// The viewers of an evening; beyond the house come guests.
pub(super) fn viewers(count: usize) -> Vec<Viewer> {
    CAST.iter()
        .cycle()
        .take(count.min(MOST))
        .enumerate()
        .map(|(nth, viewer)| {
            let mut viewer = viewer.clone();
            if nth >= CAST.len() {
                let round = u16::try_from(nth / CAST.len()).unwrap_or(0);
                viewer.begins += f64::from(round) * 10.0;
                if viewer.app != App::Bare {
                    viewer.user = Cow::Owned(format!("guest{nth}"));
                }
            }
            viewer
        })
        .collect()
}

/// The users that these viewers log in as, and one for whoever wants to try.
pub(super) fn users(viewers: &[Viewer]) -> Vec<SimUser> {
    let mut names: Vec<&str> = viewers
        .iter()
        .filter(|viewer| viewer.app != App::Bare)
        .map(|viewer| &*viewer.user)
        .chain(["you"])
        .collect();
    names.sort_unstable();
    names.dedup();
    names
        .into_iter()
        .map(|name| SimUser::new(name, &password(name)))
        .collect()
}

/// Everybody's password.
pub(super) fn password(user: &str) -> String {
    format!("{user}-pw")
}

/// The rules of the house, as an operator writes them. Times shrink as the evening runs faster.
pub(super) fn rules(
    jellyfin: &str,
    listen: SocketAddr,
    admin: SocketAddr,
    level: &str,
    speed: f64,
) -> String {
    let span = |seconds: f64| {
        let real = Duration::from_secs_f64(seconds / speed);
        format!("{}ms", real.as_millis().max(20))
    };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped just before"
    )]
    let starts = (10.0 * speed).clamp(10.0, 10_000.0) as u32;
    format!(
        "mode: enforce
jellyfin: {{url: \"{jellyfin}\", api_key: {API_KEY}}}
gpus:
  - {{name: igpu, profile: intel-uhd730, capacity: auto}}
uplink: {{limit: 16Mbit/s}}
users:
  default: {{transcodes: 2}}
  rules:
    - {{user: lukas, quota: {{plays: 3/day}}}}
starts: {{per_user: {starts}/min, burst: 6}}
classes:
  - {{name: family, users: [anna, ben, clara, david, emma, frieda, hugo, jonas, karl, lena, lukas, oma, you], priority: 10, share: 70%}}
  - {{name: guests, users: [felix, greta, ida, \"guest*\"], user: {{transcodes: 1}}, transcodes: 3, uhd: deny, max_wait: {guest_wait}}}
queue: {{max_wait: {wait}}}
leases: {{linger: {linger}, reserve: {reserve}, intent: {reserve}, idle: {idle}, grace: {grace}, park_after: {park}}}
poll: {{active: {poll}, idle: {poll}}}
logging: {{level: \"{level}\"}}
metrics: {{user_label: name}}
server:
  listen: \"{listen}\"
  drain: {{delay: 0s, limit: 2s}}
admin: {{listen: \"{admin}\", token: {ADMIN_TOKEN}}}
",
        guest_wait = span(8.0),
        wait = span(12.0),
        linger = span(2.0),
        reserve = span(20.0),
        idle = span(90.0),
        grace = span(10.0),
        park = span(9.5),
        // Jellyfin is not asked more often than twice a second.
        poll = span((0.5 * speed).max(2.0)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn at(port: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    #[test]
    fn the_rules_of_the_house_are_a_configuration_without_a_doubt() {
        for speed in [0.5, 1.0, 20.0] {
            let text = rules("http://127.0.0.1:1", at(2), at(3), "warn", speed);
            let loaded = Config::parse_str("the demo", &text).unwrap_or_else(|m| panic!("{m}"));
            // A faster evening has shorter times, which in a real house would be too short.
            let doubts: Vec<_> = loaded
                .warnings
                .iter()
                .filter(|w| speed <= 1.0 || w.key != "leases.idle")
                // Nobody minds that a demo forgets who has had his plays.
                .filter(|w| w.key != "users.rules")
                .collect();
            assert!(doubts.is_empty(), "{doubts:?}");
            let gpu = &loaded.config.policy.gpus[0];
            assert_eq!(gpu.capacity.milli(), 8500);
            assert!((gpu.tone_map - TONE_MAP).abs() < 1e-9);
        }
    }

    #[test]
    fn everybody_has_a_login_and_guests_fill_a_larger_house() {
        let many = viewers(40);
        assert_eq!(many.len(), 40);
        assert!(many.iter().any(|viewer| viewer.user.starts_with("guest")));
        let users = users(&many);
        for viewer in many.iter().filter(|viewer| viewer.app != App::Bare) {
            assert!(users.iter().any(|user| user.name == viewer.user));
        }
        assert_eq!(viewers(3).len(), 3);
    }
}
