//! Quotas as people write them: `3h/day`, `20/week`, `50GB/day, 200GB/week`; and where usage is kept.

use std::{borrow::Cow, fmt, path::PathBuf};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{
    Deserialize, Deserializer,
    de::{self, Visitor},
};

use super::units::{duration, size};
use crate::admission::{GPU_SECOND, Measure, Period, Quota};

/// What a user may use in a day or a week.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Quotas {
    /// Seats that transcodes hold, times how long.
    pub(super) gpu_time: Option<GpuTime>,
    /// Plays begun, direct play included.
    pub(super) plays: Option<Plays>,
    /// Bytes of media.
    pub(super) bytes: Option<Bytes>,
}

/// Where Finweir keeps what must outlive a restart.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct State {
    /// A directory of its own.
    pub(super) dir: Option<PathBuf>,
}

macro_rules! quota {
    ($(#[$doc:meta])* $name:ident, $measure:expr, $amount:expr, $wanted:literal, $pattern:literal, $example:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub(super) struct $name(Vec<Quota>);

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                struct Text;
                impl Visitor<'_> for Text {
                    type Value = $name;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($wanted)
                    }
                    fn visit_str<E: de::Error>(self, text: &str) -> Result<$name, E> {
                        let amount: fn(&str) -> Option<u64> = $amount;
                        quotas(text, $measure, amount)
                            .map($name)
                            .ok_or_else(|| E::custom(concat!("must be ", $wanted)))
                    }
                    fn visit_u64<E: de::Error>(self, number: u64) -> Result<$name, E> {
                        Err(E::custom(format_args!("says no time: write `{number}/day` or the like")))
                    }
                    fn visit_i64<E: de::Error>(self, _: i64) -> Result<$name, E> {
                        Err(E::custom(concat!("must be ", $wanted)))
                    }
                }
                from.deserialize_any(Text)
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                concat!("Quota", stringify!($name)).into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "pattern": $pattern, "examples": [$example] })
            }
        }
    };
}

quota!(
    /// GPU time.
    GpuTime, Measure::GpuTime, gpu_time,
    "a duration a day or a week such as `3h/day` or `3h/day, 12h/week`, or `unlimited`",
    r"^(unlimited|[0-9.dhmins]+ ?/ ?(day|week)( ?, ?[0-9.dhmins]+ ?/ ?(day|week))?)$",
    "3h/day"
);
quota!(
    /// Plays.
    Plays, Measure::Plays, |text| text.parse().ok(),
    "a number a day or a week such as `20/week`, or `unlimited`",
    r"^(unlimited|[0-9]+ ?/ ?(day|week)( ?, ?[0-9]+ ?/ ?(day|week))?)$",
    "20/week"
);
quota!(
    /// Bytes.
    Bytes, Measure::Bytes, bytes,
    "a size a day or a week such as `50GB/day`, or `unlimited`",
    r"^(unlimited|[0-9]+ ?[kKMGT]?i?B ?/ ?(day|week)( ?, ?[0-9]+ ?[kKMGT]?i?B ?/ ?(day|week))?)$",
    "50GB/day"
);

fn gpu_time(text: &str) -> Option<u64> {
    let duration = duration(text).ok()?;
    let millis = u64::try_from(duration.as_millis()).ok()?;
    millis.checked_mul(GPU_SECOND / 1000)
}

fn bytes(text: &str) -> Option<u64> {
    let whole = |number: &str, unit: u64| number.trim().parse::<u64>().ok()?.checked_mul(unit);
    if let Some(number) = text.strip_suffix("TB") {
        whole(number, 1_000_000_000_000)
    } else if let Some(number) = text.strip_suffix("TiB") {
        whole(number, 1 << 40)
    } else {
        u64::try_from(size(text).ok()?.0).ok()
    }
}

/// One quota for each period named, separated by commas.
fn quotas(text: &str, measure: Measure, amount: fn(&str) -> Option<u64>) -> Option<Vec<Quota>> {
    if text.trim() == "unlimited" {
        return Some(Vec::new());
    }
    let mut all: Vec<Quota> = Vec::new();
    for one in text.split(',') {
        let (limit, period) = one.split_once('/')?;
        let period = Period::ALL
            .iter()
            .copied()
            .find(|known| known.as_str() == period.trim())?;
        let limit = amount(limit.trim())?;
        if all.iter().any(|known| known.period == period) {
            return None;
        }
        all.push(Quota {
            measure,
            period,
            limit,
        });
    }
    Some(all)
}

// === impl Quotas ===

impl Quotas {
    /// What is written here in place of the usual, measure by measure.
    pub(super) fn over(written: Option<&Self>, usual: &[Quota]) -> std::sync::Arc<[Quota]> {
        let of = |measure: Measure| {
            let here = written.and_then(|written| match measure {
                Measure::GpuTime => written.gpu_time.as_ref().map(|quota| &quota.0),
                Measure::Plays => written.plays.as_ref().map(|quota| &quota.0),
                Measure::Bytes => written.bytes.as_ref().map(|quota| &quota.0),
            });
            here.cloned().unwrap_or_else(|| {
                let own = usual.iter().filter(|quota| quota.measure == measure);
                own.copied().collect()
            })
        };
        Measure::ALL.iter().copied().flat_map(of).collect()
    }
}

/// Quotas in words: `3h of GPU time a day`.
pub(super) fn words(quotas: &[Quota]) -> String {
    let one = |quota: &Quota| {
        let period = quota.period.as_str();
        let amount = match quota.measure {
            Measure::GpuTime => {
                let millis = quota.limit / (GPU_SECOND / 1000);
                let time = super::validate::words(std::time::Duration::from_millis(millis));
                format!("{time} of GPU time")
            }
            Measure::Plays => format!("{} plays", quota.limit),
            Measure::Bytes => format!("{} MB", quota.limit / 1_000_000),
        };
        format!(", {amount} a {period}")
    };
    quotas.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<T: for<'de> Deserialize<'de>>(text: &str) -> Option<T> {
        serde_json::from_value(serde_json::Value::from(text)).ok()
    }

    #[test]
    fn quotas_are_read_as_people_write_them() {
        let limits = |quotas: Vec<Quota>| -> Vec<(u64, Period)> {
            quotas.into_iter().map(|q| (q.limit, q.period)).collect()
        };
        let time: GpuTime = read("3h/day, 12h30m / week").unwrap();
        assert_eq!(
            limits(time.0),
            [
                (10_800 * GPU_SECOND, Period::Day),
                (45_000 * GPU_SECOND, Period::Week)
            ]
        );
        let plays: Plays = read("20/week").unwrap();
        assert_eq!(limits(plays.0), [(20, Period::Week)]);
        let bytes: Bytes = read("2TB/week,50 GB/day").unwrap();
        assert_eq!(
            limits(bytes.0),
            [
                (2_000_000_000_000, Period::Week),
                (50_000_000_000, Period::Day)
            ]
        );
        assert_eq!(read::<Plays>("unlimited").unwrap().0, []);
        for text in [
            "",
            "3",
            "3/month",
            "3/day,4/day",
            "3h/day",
            "-1/day",
            "3/day,",
        ] {
            assert!(read::<Plays>(text).is_none(), "{text}");
        }
        for text in ["3/day", "3h", "h/day", "99999d/day"] {
            assert!(read::<GpuTime>(text).is_none(), "{text}");
        }
        for text in ["3/day", "3GB", "9999999999TB/day"] {
            assert!(read::<Bytes>(text).is_none(), "{text}");
        }
    }

    #[test]
    fn a_rule_changes_only_the_measures_that_it_names() {
        let usual = Quotas {
            gpu_time: read("3h/day,9h/week"),
            plays: read("20/week"),
            bytes: None,
        };
        let usual = Quotas::over(Some(&usual), &[]);
        assert_eq!(usual.len(), 3);
        assert_eq!(Quotas::over(None, &usual), usual);
        let rule = Quotas {
            gpu_time: read("unlimited"),
            plays: None,
            bytes: read("1GB/day"),
        };
        let measures: Vec<Measure> = Quotas::over(Some(&rule), &usual)
            .iter()
            .map(|quota| quota.measure)
            .collect();
        assert_eq!(measures, [Measure::Plays, Measure::Bytes]);
    }
}
