//! Values as people write them: `20s`, `15%`, `6/min`, `1MiB`, `unlimited`. A bare number is refused where a unit
//! exists, and infinity is a word.

use std::{borrow::Cow, fmt, net::SocketAddr, num::NonZeroU32, path::PathBuf, time::Duration};

use ipnet::IpNet;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de, de::Visitor};

use crate::{
    admission::{Bitrate, Seats},
    hop::Listen,
};

/// What `never` stands for: long after the process has ended, short enough to be added to any time.
pub(super) const NEVER: Duration = Duration::from_secs(10 * 365 * 86_400);

/// A duration: `500ms`, `20s`, `1h30m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span(pub(super) Duration);

/// A duration, or `never`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SpanOrNever(pub(super) Duration);

/// A whole number, or `unlimited`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limit(pub(super) Option<u32>);

/// Seats, or `unlimited`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SeatLimit(pub(super) Option<Seats>);

/// A bitrate, or `unlimited`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BitrateLimit(pub(super) Option<Bitrate>);

/// Where a GPU's capacity comes from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Capacity {
    /// The profile's number.
    Profile,
    /// The profile's number, then what is learned.
    Auto,
    /// A number of seats.
    Seats(f64),
}

/// A number of worker threads, or `auto`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Workers(pub(super) Option<u16>);

/// A part of the whole: `15%`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Percent(pub(super) f64);

/// A number of bytes: `64KiB`, `1MB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Size(pub(super) usize);

/// Starts in a minute: `6/min`, or `unlimited`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rate(pub(super) Option<NonZeroU32>);

/// A time of day in minutes: `06:30`, `24:00`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TimeOfDay(pub(super) u16);

/// `address:port`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Address(pub(super) SocketAddr);

/// `address:port`, or `unix:/path`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ListenAt(pub(super) Listen);

/// `10.0.0.0/8`, or one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Network(pub(super) IpNet);

/// Gives a unit its reader and its place in the schema: how a text is read, what a number means, and what is said
/// when it is neither.
macro_rules! unit {
    ($name:ident, $wanted:literal, text $text:expr, number $number:expr, schema $schema:tt) => {
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                struct Unit;
                impl Visitor<'_> for Unit {
                    type Value = $name;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($wanted)
                    }
                    fn visit_str<E: de::Error>(self, text: &str) -> Result<$name, E> {
                        let read: fn(&str) -> Result<$name, String> = $text;
                        read(text.trim()).map_err(E::custom)
                    }
                    fn visit_u64<E: de::Error>(self, number: u64) -> Result<$name, E> {
                        #[expect(
                            clippy::cast_precision_loss,
                            reason = "no number here needs 53 bits"
                        )]
                        self.visit_f64(number as f64)
                    }
                    fn visit_f64<E: de::Error>(self, number: f64) -> Result<$name, E> {
                        let read: fn(f64) -> Result<$name, String> = $number;
                        read(number).map_err(E::custom)
                    }
                    fn visit_i64<E: de::Error>(self, _: i64) -> Result<$name, E> {
                        Err(E::custom(concat!("must be ", $wanted)))
                    }
                }
                from.deserialize_any(Unit)
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    };
}

unit!(Span, "a duration such as `20s`, `500ms` or `1h30m`",
    text |t| duration(t).map(Span),
    number |n| Err(format!("needs a unit: write `{n}s` or `{n}m`")),
    schema { "type": "string", "pattern": "^([0-9]+(\\.[0-9]+)?(ms|s|m|min|h|d))+$", "examples": ["20s", "1h30m"] });
unit!(SpanOrNever, "a duration such as `20s` or `1h30m`, or `never`",
    text |t| if t == "never" { Ok(SpanOrNever(NEVER)) } else { duration(t).map(SpanOrNever) },
    number |n| Err(format!("needs a unit: write `{n}s` or `{n}m`, or `never`")),
    schema { "type": "string", "pattern": "^(never|([0-9]+(\\.[0-9]+)?(ms|s|m|min|h|d))+)$", "examples": ["10m", "never"] });
unit!(Limit, "a whole number, or `unlimited`",
    text |t| if t == "unlimited" { Ok(Limit(None)) } else { whole(t).map(|n| Limit(Some(n))) },
    number |n| whole(&n.to_string()).map(|n| Limit(Some(n))),
    schema { "oneOf": [{ "type": "integer", "minimum": 0 }, { "const": "unlimited" }] });
unit!(SeatLimit, "a number of seats, or `unlimited`",
    text |t| if t == "unlimited" { Ok(SeatLimit(None)) } else { seats(t).map(|n| SeatLimit(Some(Seats::from_f64(n)))) },
    number |n| seats(&n.to_string()).map(|n| SeatLimit(Some(Seats::from_f64(n)))),
    schema { "oneOf": [{ "type": "number", "exclusiveMinimum": 0 }, { "const": "unlimited" }] });
unit!(BitrateLimit, "a bitrate such as `40Mbit/s`, or `unlimited`",
    text |t| if t == "unlimited" { Ok(BitrateLimit(None)) } else { bitrate(t).map(|b| BitrateLimit(Some(b))) },
    number |n| Err(format!("needs a unit: write `{n}Mbit/s`")),
    schema { "type": "string", "pattern": "^(unlimited|[0-9]+(\\.[0-9]+)? ?[kMG]bit/s)$", "examples": ["40Mbit/s", "unlimited"] });
unit!(Capacity, "a number of seats, `profile` or `auto`",
    text |t| match t {
        "auto" => Ok(Capacity::Auto),
        "profile" => Ok(Capacity::Profile),
        _ => t.parse().map_err(|_| "must be a number of seats, `profile` or `auto`".to_owned())
            .and_then(|n: f64| seats(&n.to_string())).map(Capacity::Seats),
    },
    number |n| seats(&n.to_string()).map(Capacity::Seats),
    schema { "oneOf": [{ "type": "number", "exclusiveMinimum": 0 }, { "enum": ["profile", "auto"] }] });
unit!(Workers, "a number of threads from 1 to 1024, or `auto`",
    text |t| if t == "auto" { Ok(Workers(None)) } else { threads(t) },
    number |n| threads(&n.to_string()),
    schema { "oneOf": [{ "type": "integer", "minimum": 1, "maximum": 1024 }, { "const": "auto" }] });
unit!(Percent, "a percentage from `0%` to `100%`",
    text |t| percent(t),
    number |n| Err(format!("needs a percent sign: write `{}%`", if n < 1.0 { n * 100.0 } else { n })),
    schema { "type": "string", "pattern": "^[0-9]+(\\.[0-9]+)?%$", "examples": ["15%"] });
unit!(Size, "a size such as `64KiB` or `1MB`",
    text |t| size(t),
    number |n| Err(format!("needs a unit: write `{n}B` or `{n}KiB`")),
    schema { "type": "string", "pattern": "^[0-9]+ ?(B|KB|KiB|MB|MiB|GB|GiB)$", "examples": ["1MiB"] });
unit!(Rate, "a rate such as `6/min`, or `unlimited`",
    text |t| rate(t),
    number |n| Err(format!("needs a unit: write `{n}/min`")),
    schema { "type": "string", "pattern": "^(unlimited|[0-9]+/(s|min|m))$", "examples": ["6/min"] });
unit!(TimeOfDay, "a time of day such as \"22:30\"",
    text |t| time_of_day(t),
    number |_| Err("must be a time of day in quotes, such as \"22:30\"".to_owned()),
    schema { "type": "string", "pattern": "^([01]?[0-9]|2[0-3]):[0-5][0-9]$|^24:00$", "examples": ["22:30"] });
unit!(Address, "an address and port such as `127.0.0.1:9097`",
    text |t| address(t).map(Address),
    number |n| Err(format!("needs an address: write `127.0.0.1:{n}`")),
    schema { "type": "string", "examples": ["127.0.0.1:9097"] });
unit!(ListenAt, "an address and port such as `127.0.0.1:8097`, or `unix:/path`",
    text |t| listen(t).map(ListenAt),
    number |n| Err(format!("needs an address: write `127.0.0.1:{n}`")),
    schema { "type": "string", "examples": ["127.0.0.1:8097", "unix:/run/finweir/finweir.sock"] });
unit!(Network, "a network such as `10.0.0.0/8`, or an address",
    text |t| network(t),
    number |_| Err("must be a network such as `10.0.0.0/8`, or an address".to_owned()),
    schema { "type": "string", "examples": ["192.168.1.0/24", "::1"] });

/// Reads a duration as people write it.
///
/// # Errors
/// What it must look like.
pub fn duration(text: &str) -> Result<Duration, String> {
    let wanted = || "must be a duration such as `20s`, `500ms` or `1h30m`".to_owned();
    let mut left: &str = &text.replace(' ', "");
    if left.is_empty() {
        return Err(wanted());
    }
    if left.parse::<f64>().is_ok() {
        return Err(format!("needs a unit: write `{left}s` or `{left}m`"));
    }
    let mut total = 0.0;
    while !left.is_empty() {
        let digits = left
            .find(|c: char| c != '.' && !c.is_ascii_digit())
            .unwrap_or(left.len());
        let (number, rest) = left.split_at_checked(digits).ok_or_else(wanted)?;
        let letters = rest
            .find(|c: char| !c.is_alphabetic())
            .unwrap_or(rest.len());
        let (unit, rest) = rest.split_at_checked(letters).ok_or_else(wanted)?;
        let factor = match unit {
            "ms" => 0.001,
            "s" | "sec" => 1.0,
            "m" | "min" => 60.0,
            "h" => 3600.0,
            "d" => 86_400.0,
            _ => return Err(wanted()),
        };
        total += number.parse::<f64>().map_err(|_| wanted())? * factor;
        left = rest;
    }
    if total > NEVER.as_secs_f64() {
        return Err("is longer than ten years; write `never` where that is allowed".to_owned());
    }
    Ok(Duration::from_millis(
        Duration::from_secs_f64(total + 0.000_4)
            .as_millis()
            .try_into()
            .unwrap_or(u64::MAX),
    ))
}

fn bitrate(text: &str) -> Result<Bitrate, String> {
    let wanted = || "must be a bitrate such as `40Mbit/s`, or `unlimited`".to_owned();
    let digits = text
        .find(|c: char| c != '.' && !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(digits).ok_or_else(wanted)?;
    let factor = match unit.trim() {
        "kbit/s" => 1e3,
        "Mbit/s" => 1e6,
        "Gbit/s" => 1e9,
        "" if !number.is_empty() => return Err(format!("needs a unit: write `{number}Mbit/s`")),
        _ => return Err(wanted()),
    };
    let bits = number.parse::<f64>().map_err(|_| wanted())? * factor;
    if !(1e5..=1e12).contains(&bits) {
        return Err("must be between 100kbit/s and 1000Gbit/s".to_owned());
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is within bounds that a whole number holds"
    )]
    let bits = bits.round() as u64;
    Ok(Bitrate::new(bits))
}

fn whole(text: &str) -> Result<u32, String> {
    text.parse()
        .map_err(|_| "must be a whole number from 0, or `unlimited`".to_owned())
}

fn seats(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(n) if (0.25..=10_000.0).contains(&n) => Ok(n),
        Ok(_) => Err("must be between 0.25 and 10000 seats".to_owned()),
        Err(_) => Err("must be a number of seats, or `unlimited`".to_owned()),
    }
}

fn threads(text: &str) -> Result<Workers, String> {
    match text.parse::<u16>() {
        Ok(n) if (1..=1024).contains(&n) => Ok(Workers(Some(n))),
        _ => Err("must be a number of threads from 1 to 1024, or `auto`".to_owned()),
    }
}

fn percent(text: &str) -> Result<Percent, String> {
    let number = text
        .strip_suffix('%')
        .and_then(|n| n.trim().parse::<f64>().ok());
    match number {
        Some(n) if (0.0..=100.0).contains(&n) => Ok(Percent(n / 100.0)),
        _ => Err("must be a percentage from `0%` to `100%`".to_owned()),
    }
}

pub(super) fn size(text: &str) -> Result<Size, String> {
    let wanted = || "must be a size such as `64KiB` or `1MB`".to_owned();
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(digits).ok_or_else(wanted)?;
    let number: usize = number.parse().map_err(|_| wanted())?;
    let factor = match unit.trim() {
        "B" => 1,
        "KB" | "kB" => 1000,
        "KiB" => 1 << 10,
        "MB" => 1_000_000,
        "MiB" => 1 << 20,
        "GB" => 1_000_000_000,
        "GiB" => 1 << 30,
        "" => return Err(format!("needs a unit: write `{number}B` or `{number}KiB`")),
        _ => return Err(wanted()),
    };
    number.checked_mul(factor).map(Size).ok_or_else(wanted)
}

fn rate(text: &str) -> Result<Rate, String> {
    if text == "unlimited" {
        return Ok(Rate(None));
    }
    let wanted = || "must be a rate such as `6/min`, or `unlimited`".to_owned();
    let (number, unit) = text.split_once('/').ok_or_else(wanted)?;
    let number: u32 = number.trim().parse().map_err(|_| wanted())?;
    let factor = match unit.trim() {
        "s" => 60,
        "min" | "m" => 1,
        _ => return Err(wanted()),
    };
    let per_minute = number.checked_mul(factor).ok_or_else(wanted)?;
    NonZeroU32::new(per_minute)
        .map(|n| Rate(Some(n)))
        .ok_or_else(wanted)
}

fn time_of_day(text: &str) -> Result<TimeOfDay, String> {
    let wanted = || "must be a time of day such as \"22:30\"".to_owned();
    let (hour, minute) = text.split_once(':').ok_or_else(wanted)?;
    let hour: u16 = hour.parse().map_err(|_| wanted())?;
    let minute: u16 = minute.parse().map_err(|_| wanted())?;
    if (hour < 24 && minute < 60) || (hour, minute) == (24, 0) {
        Ok(TimeOfDay(hour * 60 + minute))
    } else {
        Err(wanted())
    }
}

fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        "must be an address and a port such as `127.0.0.1:9097` (names are not looked up; all addresses: `0.0.0.0` or `[::]`)"
            .to_owned()
    })
}

fn listen(text: &str) -> Result<Listen, String> {
    match text.strip_prefix("unix:") {
        Some(path) if path.starts_with('/') => Ok(Listen::Unix(PathBuf::from(path))),
        Some(_) => Err("must name a socket by its whole path: `unix:/run/finweir.sock`".to_owned()),
        None => address(text).map(Listen::Tcp),
    }
}

fn network(text: &str) -> Result<Network, String> {
    text.parse::<IpNet>()
        .or_else(|_| text.parse::<std::net::IpAddr>().map(IpNet::from))
        .map(Network)
        .map_err(|_| "must be a network such as `10.0.0.0/8`, or an address".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_people_write_them() {
        for (text, millis) in [
            ("500ms", 500),
            ("20s", 20_000),
            ("1.5s", 1500),
            ("1h30m", 5_400_000),
            ("1h 30min", 5_400_000),
            ("2d", 172_800_000),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in [
            "",
            "20",
            "s",
            "20 parsecs",
            "1h30",
            "-5s",
            "1e9s",
            "99999d",
            "5s!",
            "\u{00b5}s",
        ] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_rates_times_and_parts_are_read() {
        assert_eq!(size("64KiB"), Ok(Size(65_536)));
        assert_eq!(size("1 MB"), Ok(Size(1_000_000)));
        assert!(size("64").is_err() && size("99999999999GiB").is_err() && size("KiB").is_err());
        assert_eq!(rate("6/min").map(|r| r.0.map(NonZeroU32::get)), Ok(Some(6)));
        assert_eq!(rate("1/s").map(|r| r.0.map(NonZeroU32::get)), Ok(Some(60)));
        assert_eq!(rate("unlimited"), Ok(Rate(None)));
        assert!(rate("0/min").is_err() && rate("6/h").is_err() && rate("6").is_err());
        assert_eq!(time_of_day("06:30"), Ok(TimeOfDay(390)));
        assert_eq!(time_of_day("24:00"), Ok(TimeOfDay(1440)));
        assert!(
            time_of_day("24:01").is_err()
                && time_of_day("7").is_err()
                && time_of_day("7:60").is_err()
        );
        assert_eq!(percent("15%"), Ok(Percent(0.15)));
        assert!(percent("101%").is_err() && percent("NaN%").is_err() && percent("15").is_err());
        assert!(seats("NaN").is_err() && seats("0").is_err() && seats("-1").is_err());
    }

    #[test]
    fn bitrates_are_read_with_their_unit() {
        assert_eq!(bitrate("40Mbit/s"), Ok(Bitrate::new(40_000_000)));
        assert_eq!(bitrate("2.5 Mbit/s"), Ok(Bitrate::new(2_500_000)));
        assert_eq!(bitrate("1Gbit/s"), Ok(Bitrate::new(1_000_000_000)));
        for text in [
            "40",
            "40MB/s",
            "Mbit/s",
            "-1Mbit/s",
            "0Mbit/s",
            "1e9Gbit/s",
            "NaNMbit/s",
            ".Mbit/s",
        ] {
            assert!(bitrate(text).is_err(), "{text}");
        }
    }

    #[test]
    fn never_can_be_added_to_any_time() {
        assert!(
            std::time::SystemTime::UNIX_EPOCH
                .checked_add(NEVER * 10)
                .is_some()
        );
    }
}
