//! The advice as sentences and tables.

use super::{Advice, File, Group, Player, Setting};
use crate::replay::report::{clock, line, shortened};

/// Of a lesser part of its hours a cause is not said to be what a player forces.
const MOSTLY: f64 = 0.5;

/// "14 PGS subtitles in 9 files cost 31.0 h: convert the tracks to SRT."
pub(super) fn sentence(group: &Group, remedy: &str) -> String {
    let files = counted(group.files, "file");
    let what = match group.tracks {
        0 => format!("{} in {files}", group.name),
        1 => format!("{} (1 track) in {files}", group.name),
        tracks => format!("{} ({tracks} tracks) in {files}", group.name),
    };
    let cost = if group.seat_hours > 0.0 {
        format!("cost {}", hours(group.seat_hours))
    } else {
        "cost the GPU nothing".to_owned()
    };
    format!("{what} {cost}: {remedy}.")
}

/// "1 file", "3 files".
fn counted(count: usize, noun: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{plural}")
}

impl Advice {
    /// For a terminal. `top`: so many lines of each list.
    pub fn text(&self, top: usize) -> String {
        let mut out = String::new();
        let (from, to) = self.span;
        line(
            &mut out,
            format_args!(
                "From {} to {}: {} of the GPU's seats, {} encoded.",
                clock(from),
                clock(to),
                hours(self.seat_hours),
                counted(self.plays, "play"),
            ),
        );
        if self.causes.is_empty() {
            out.push_str("No picture was encoded in this time, so there is nothing to advise.\n");
        } else {
            self.tables(&mut out, top);
        }
        if !self.light.is_empty() {
            out.push_str(
                "\nWithout the GPU: the picture is copied, Jellyfin works for the rest.\n",
            );
            for group in self.light.iter().take(top) {
                line(
                    &mut out,
                    format_args!(
                        "  {:>7}  {}, {}",
                        hours(group.hours),
                        group.name,
                        counted(group.plays, "play")
                    ),
                );
            }
        }
        out
    }

    fn tables(&self, out: &mut String, top: usize) {
        let most = self.causes.iter().take(top);
        out.push_str("\nWhat to do, the dearest first:\n");
        for (nth, group) in most.clone().enumerate() {
            line(out, format_args!("  {:>2}. {}", nth + 1, group.advice));
        }
        line(
            out,
            format_args!(
                "\n{:<44}{:>9}{:>7}{:>7}{:>7}",
                "cause", "seat h", "plays", "users", "files"
            ),
        );
        for group in most {
            line(
                out,
                format_args!(
                    "{:<44}{:>9.1}{:>7}{:>7}{:>7}",
                    shortened(&group.name, 43),
                    group.seat_hours,
                    group.plays,
                    group.users,
                    group.files
                ),
            );
        }
        out.push_str("\nBy file:\n");
        for file in self.files.iter().take(top) {
            line(out, format_args!("{}", file.text()));
        }
        out.push_str("\nBy player:\n");
        for player in self.players.iter().take(top) {
            line(out, format_args!("{}", player.text()));
        }
        if !self.settings.is_empty() {
            out.push_str("\nBy setting, as the players sent it, set by hand or measured:\n");
            for setting in self.settings.iter().take(top) {
                line(out, format_args!("{}", setting.text()));
            }
        }
    }
}

impl File {
    fn text(&self) -> String {
        let title = match &self.title {
            Some(title) => shortened(title, 40),
            None => self.item.to_string(),
        };
        format!(
            "  {:>7}  {title}, {}: {}",
            hours(self.seat_hours),
            counted(self.plays, "play"),
            shortened(&self.named, 60)
        )
    }
}

impl Player {
    fn text(&self) -> String {
        let user = self.name.as_deref().unwrap_or(self.user.as_str());
        let part = (self.part * 100.0).round();
        let verb = if self.part >= MOSTLY {
            "forces"
        } else {
            "most often"
        };
        format!(
            "  {:>7}  {} ({}) of {}, {}: {verb} {} ({part:.0} %)",
            hours(self.seat_hours),
            shortened(&self.client, 28),
            shortened(self.device.as_str(), 16),
            shortened(user, 16),
            counted(self.plays, "play"),
            self.cause,
        )
    }
}

impl Setting {
    fn text(&self) -> String {
        let have = if self.users == 1 {
            "user has"
        } else {
            "users have"
        };
        format!(
            "  {:>7}  {} {have} {} Mbit/s in {} ({} of it for this alone): raise it, or set direct_play: always",
            hours(self.seat_hours),
            self.users,
            megabits(self.kilobits),
            shortened(&self.client, 28),
            hours(self.alone),
        )
    }
}

/// "31.0 h", or "12 min".
fn hours(hours: f64) -> String {
    if hours < 0.95 {
        format!("{:.0} min", hours * 60.0)
    } else {
        format!("{hours:.1} h")
    }
}

/// 8, or 1.5.
fn megabits(kilobits: u64) -> String {
    let (whole, tenth) = (kilobits / 1000, kilobits % 1000 / 100);
    if tenth == 0 {
        whole.to_string()
    } else {
        format!("{whole}.{tenth}")
    }
}
