//! What a quota that is used up is called in the text of a refusal.

use std::time::Duration;

use crate::admission::{Measure, Period, QuotaView};

const MINUTE: u64 = 60;
const HOUR: u64 = 3600;
const DAY: u64 = 86_400;

/// Fills `{quota}`, `{renews}` and `{instead}` in a text of this language. There are words in English and German;
/// a text in another language gets the English ones.
pub(super) fn fill(text: &str, language: &str, quota: &QuotaView) -> String {
    let german = language == "de";
    let (what, of) = match (quota.measure, german) {
        (Measure::GpuTime, false) => ("your GPU time", "of"),
        (Measure::Plays, false) => ("your plays", "of"),
        (Measure::Bytes, false) => ("your data", "of"),
        (Measure::GpuTime, true) => ("deine GPU-Zeit", "von"),
        (Measure::Plays, true) => ("deine Wiedergaben", "von"),
        (Measure::Bytes, true) => ("dein Datenvolumen", "von"),
    };
    let period = when(quota.period, german);
    let used = amount(quota.measure, quota.used);
    let limit = amount(quota.measure, quota.limit);
    let instead = match (quota.measure, german) {
        (Measure::GpuTime, false) => {
            " What needs no conversion still plays: choose \"Original\" quality."
        }
        (Measure::GpuTime, true) => {
            " Was nicht umgewandelt werden muss, läuft noch: Wähle die Qualität \"Original\"."
        }
        (Measure::Plays | Measure::Bytes, _) => "",
    };
    text.replace("{quota}", &format!("{what} {period} ({used} {of} {limit})"))
        .replace("{renews}", &until(quota.renews, german))
        .replace("{instead}", instead)
}

/// `40 min`, `5 h`, `3 days`: never less than it takes.
fn until(left: Duration, german: bool) -> String {
    let seconds = left.as_secs() + u64::from(left.subsec_nanos() > 0);
    match (seconds, german) {
        (..=5940, _) => format!("{} min", seconds.div_ceil(MINUTE).max(1)),
        (..=172_800, _) => format!("{} h", seconds.div_ceil(HOUR)),
        (_, false) => format!("{} days", seconds.div_ceil(DAY)),
        (_, true) => format!("{} Tagen", seconds.div_ceil(DAY)),
    }
}

fn amount(measure: Measure, amount: f64) -> String {
    match measure {
        Measure::GpuTime => {
            let minutes = (amount / 60.0).floor();
            let (hours, rest) = ((minutes / 60.0).floor(), minutes % 60.0);
            match (hours > 0.0, rest > 0.0) {
                (false, _) => format!("{rest:.0} min"),
                (true, false) => format!("{hours:.0} h"),
                (true, true) => format!("{hours:.0} h {rest:.0} min"),
            }
        }
        Measure::Plays => format!("{amount:.0}"),
        Measure::Bytes if amount < 1e9 => format!("{:.0} MB", amount / 1e6),
        Measure::Bytes => format!("{:.1} GB", amount / 1e9).replace(".0 GB", " GB"),
    }
}

const fn when(period: Period, german: bool) -> &'static str {
    match (period, german) {
        (Period::Day, false) => "for today",
        (Period::Week, false) => "for this week",
        (Period::Day, true) => "für heute",
        (Period::Week, true) => "für diese Woche",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{admission::Mode, ident::UserId};

    fn quota(measure: Measure, period: Period, used: f64, limit: f64, renews: u64) -> QuotaView {
        QuotaView {
            user: UserId::new("u"),
            user_name: None,
            measure,
            period,
            used,
            limit,
            left: limit - used,
            renews: Duration::from_secs(renews),
            mode: Mode::Enforce,
        }
    }

    #[test]
    fn a_text_says_what_is_used_up_and_when_it_begins_anew() {
        let text = "You have used up {quota}. It starts again in {renews}.{instead}";
        let hours = quota(Measure::GpuTime, Period::Day, 10_980.0, 10_800.0, 18_000);
        assert_eq!(
            fill(text, "en", &hours),
            "You have used up your GPU time for today (3 h 3 min of 3 h). It starts again in 5 h. \
             What needs no conversion still plays: choose \"Original\" quality."
        );
        let plays = quota(Measure::Plays, Period::Week, 20.0, 20.0, 172_801);
        assert_eq!(
            fill("{quota}, {renews}{instead}", "de", &plays),
            "deine Wiedergaben für diese Woche (20 von 20), 3 Tagen"
        );
        let bytes = quota(Measure::Bytes, Period::Day, 50.04e9, 50e9, 61);
        assert_eq!(
            fill("{quota} {renews}", "fr", &bytes),
            "your data for today (50 GB of 50 GB) 2 min"
        );
    }
}
