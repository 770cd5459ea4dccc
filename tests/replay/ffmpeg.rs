//! What a recorded FFmpeg command line did, compared with a plan.

use std::collections::HashMap;

use finweir::jellyfin::{Plan, Source, Track, VideoWork};

use super::recording::Job;

/// What FFmpeg's command line says that ran.
#[derive(Debug)]
pub(crate) struct Ran<'j> {
    kind: &'j str,
    /// `None`: no video.
    encoder: Option<&'j str>,
    scale: Option<&'j str>,
    tone_maps: bool,
    burns: bool,
    max_rate: Option<u64>,
}

impl<'j> Ran<'j> {
    /// Reads a job's command line.
    pub(crate) fn read(job: &'j Job) -> Self {
        let command = job.command.as_str();
        let argument = |name: &str| {
            let at = command.find(&format!(" {name} "))?;
            command.get(at..)?.split_whitespace().nth(1)
        };
        let filters = ["-vf", "-filter_complex"]
            .iter()
            .find_map(|name| command.split_once(&format!(" {name} \"")))
            .and_then(|(_, rest)| rest.split_once('"'))
            .map_or("", |(filters, _)| filters);
        Self {
            kind: &job.kind,
            encoder: argument("-codec:v:0").or_else(|| argument("-c:v:0")),
            scale: scale_of(filters),
            tone_maps: filters.contains("tonemap"),
            burns: filters.contains("subtitles=") || filters.contains("overlay"),
            max_rate: argument("-maxrate")
                .or_else(|| argument("-b:v"))
                .and_then(|rate| rate.parse().ok()),
        }
    }

    /// The codec that the encoder writes.
    fn codec(&self) -> Option<&'j str> {
        let encoder = self.encoder?;
        let bare = encoder.strip_prefix("lib").unwrap_or(encoder);
        let bare = bare.split('_').next().unwrap_or(bare);
        Some(match bare {
            "x264" => "h264",
            "x265" => "hevc",
            "svtav1" | "aom-av1" => "av1",
            "vpx-vp9" => "vp9",
            "vpx" => "vp8",
            other => other,
        })
    }

    /// How the plan differs from what ran.
    pub(crate) fn against(&self, plan: &Plan, source: Option<&Source>) -> Option<String> {
        let expected = match (self.kind, self.encoder) {
            (_, None) => "audio",
            (_, Some("copy")) | ("DirectStream" | "Remux", _) => "remux",
            (_, Some(_)) => "video",
        };
        let planned = match plan {
            Plan::Direct => "direct",
            Plan::Remux => "remux",
            Plan::Audio => "audio",
            Plan::Video(_) => "video",
        };
        if planned != expected {
            return Some(format!("{expected} ran, planned was {plan:?}"));
        }
        let Plan::Video(work) = plan else {
            return None;
        };
        self.against_work(work, source)
    }

    fn against_work(&self, work: &VideoWork, source: Option<&Source>) -> Option<String> {
        let mut wrong = Vec::new();
        if self.codec() != Some(work.codec_out.as_str()) {
            wrong.push(format!(
                "{:?} wrote what was planned as {}",
                self.encoder, work.codec_out
            ));
        }
        if self.tone_maps != work.tone_map {
            wrong.push(format!(
                "tone mapping: {} ran, {} planned",
                self.tone_maps, work.tone_map
            ));
        }
        if self.burns != work.burn_in {
            wrong.push(format!(
                "burn-in: {} ran, {} planned",
                self.burns, work.burn_in
            ));
        }
        if self.max_rate.unwrap_or(0) != work.bitrate.unwrap_or(0) {
            wrong.push(format!(
                "{:?} bit/s ran, {:?} planned",
                self.max_rate, work.bitrate
            ));
        }
        let video = source.and_then(|source| source.video(None));
        if let Some(size) = video.and_then(Track::size) {
            let ran = self.scale.map_or(Some(size), |scale| evaluate(scale, size));
            if ran != Some(work.size_out) {
                wrong.push(format!(
                    "{ran:?} ran ({:?}), {:?} planned",
                    self.scale, work.size_out
                ));
            }
            if work.size_in != Some(size) || work.millifps.is_none() || work.codec_in.is_none() {
                wrong.push(format!("the source is not told: {work:?}"));
            }
        }
        (!wrong.is_empty()).then(|| wrong.join("; "))
    }

    /// How a plan made without the source is cheaper than what ran.
    pub(crate) fn cheaper(&self, plan: &Plan) -> Option<String> {
        match (self.encoder, plan) {
            (None | Some("copy"), _) => None,
            (Some(_), Plan::Video(work)) => {
                let most = self.scale.and_then(|scale| evaluate(scale, (3840, 2160)))?;
                let area = |(w, h): (u32, u32)| u64::from(w) * u64::from(h);
                // A scale to the source's own size says nothing about another source.
                let bounded = !self.scale.is_some_and(|scale| scale.contains("*a)\\,min("));
                (bounded && area(work.size_out) < area(most))
                    .then(|| format!("{most:?} ran, {:?} planned", work.size_out))
            }
            (Some(_), Plan::Direct | Plan::Remux | Plan::Audio) => {
                Some(format!("an encode ran, planned was {plan:?}"))
            }
        }
    }
}

/// The two expressions of the scale filter.
fn scale_of(filters: &str) -> Option<&str> {
    let (_, rest) = filters.split_once("scale=")?;
    // Commas inside the expressions are escaped; the one that ends the filter is not.
    let ends =
        |(at, _): &(usize, &str)| !rest.get(..*at).is_some_and(|before| before.ends_with('\\'));
    let end = rest.match_indices(',').find(ends).map(|(at, _)| at);
    end.map_or(Some(rest), |end| rest.get(..end))
}

/// What a scale filter makes of a picture, evaluated as FFmpeg does: an own little calculator, so that the test
/// does not share a mistake with the library.
fn evaluate(scale: &str, (iw, ih): (u32, u32)) -> Option<(u32, u32)> {
    let clean = scale.replace("\\,", ",");
    let (w, h) = split_outside(&clean, ':')?;
    let h = h.strip_prefix(':')?;
    let mut names: HashMap<&str, f64> = HashMap::new();
    names.insert("iw", f64::from(iw));
    names.insert("ih", f64::from(ih));
    names.insert("a", f64::from(iw) / f64::from(ih));
    if w.contains("oh") {
        let oh = Calculator::run(h, &names)?.trunc();
        names.insert("oh", oh);
        return Some((pixels(Calculator::run(w, &names)?), pixels(oh)));
    }
    let ow = Calculator::run(w, &names)?.trunc();
    names.insert("ow", ow);
    Some((pixels(ow), pixels(Calculator::run(h, &names)?)))
}

/// Splits before the first `at` that stands in no bracket.
fn split_outside(text: &str, at: char) -> Option<(&str, &str)> {
    let mut depth = 0;
    for (index, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            c if c == at && depth == 0 => return text.split_at_checked(index),
            _ => {}
        }
    }
    None
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "an `as` from float saturates, and sizes are whole"
)]
fn pixels(value: f64) -> u32 {
    value as u32
}

/// Products, `min`, `max`, `trunc`, and names.
struct Calculator<'t> {
    rest: &'t str,
    names: &'t HashMap<&'t str, f64>,
}

impl<'t> Calculator<'t> {
    fn run(text: &'t str, names: &'t HashMap<&'t str, f64>) -> Option<f64> {
        let mut calculator = Self { rest: text, names };
        let value = calculator.product()?;
        calculator.rest.is_empty().then_some(value)
    }

    fn product(&mut self) -> Option<f64> {
        let mut value = self.factor()?;
        loop {
            if self.take('*') {
                value *= self.factor()?;
            } else if self.take('/') {
                value /= self.factor()?;
            } else {
                return Some(value);
            }
        }
    }

    fn factor(&mut self) -> Option<f64> {
        let end = self
            .rest
            .find(|c: char| !c.is_ascii_alphanumeric() && c != '.')
            .unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        if !self.take('(') {
            return word.parse().ok().or_else(|| self.names.get(word).copied());
        }
        let first = self.product()?;
        let value = match word {
            "" => first,
            // FFmpeg divides doubles too, and a hair below a whole number is the whole number to it.
            "trunc" => (first + 1e-9).trunc(),
            "min" | "max" => {
                self.take(',').then_some(())?;
                let second = self.product()?;
                if word == "min" {
                    first.min(second)
                } else {
                    first.max(second)
                }
            }
            _ => return None,
        };
        self.take(')').then_some(value)
    }

    fn take(&mut self, c: char) -> bool {
        self.rest
            .strip_prefix(c)
            .map(|rest| self.rest = rest)
            .is_some()
    }
}
