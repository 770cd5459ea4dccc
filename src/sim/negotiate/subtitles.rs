//! How a subtitle stream reaches a device.

use super::{listed_in, profile::DeviceProfile};
use crate::sim::library::Stream;

/// The way one stream goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::sim) struct Delivery {
    /// `External`, `Embed`, `Hls`, `Drop` or `Encode`.
    pub(in crate::sim) method: String,
    /// The format it arrives in.
    pub(in crate::sim) format: String,
}

/// Chooses the way: inside the file if nothing is converted, as a file of its own, or drawn into the picture.
pub(super) fn delivery(
    profile: &DeviceProfile,
    stream: &Stream,
    transcode: Option<(&str, bool)>,
) -> Delivery {
    let embeddable = match transcode {
        None => true,
        Some((container, _)) => container.eq_ignore_ascii_case("mkv"),
    };
    if embeddable {
        let embed = profile.subtitles.iter().find(|p| {
            p.method.eq_ignore_ascii_case("Embed")
                && same_format(&p.format, &stream.codec)
                && p.container.as_deref().is_none_or(|c| {
                    transcode.is_none_or(|(container, _)| listed_in(Some(c), container))
                })
        });
        if let Some(found) = embed {
            return Delivery::new("Embed", &found.format);
        }
    }
    let hls = transcode.is_some_and(|(_, hls)| hls);
    external(profile, stream, hls, false)
        .or_else(|| external(profile, stream, hls, true))
        .unwrap_or_else(|| Delivery::new("Encode", &stream.codec))
}

fn external(
    profile: &DeviceProfile,
    stream: &Stream,
    hls: bool,
    convert: bool,
) -> Option<Delivery> {
    if !stream.extractable {
        return None;
    }
    profile.subtitles.iter().find_map(|p| {
        let manifest = p.method.eq_ignore_ascii_case("Hls");
        let fits = if manifest {
            hls && stream.text
        } else {
            p.method.eq_ignore_ascii_case("External") && is_text(&p.format) == stream.text
        };
        let same = same_format(&p.format, &stream.codec);
        let possible = same || (convert && stream.text && convertible(&stream.codec, &p.format));
        (fits && possible).then(|| Delivery::new(&p.method, &p.format))
    })
}

fn same_format(a: &str, b: &str) -> bool {
    let plain = |name: &str| match name.to_ascii_lowercase().as_str() {
        "subrip" => "srt".to_owned(),
        other => other.to_owned(),
    };
    plain(a) == plain(b)
}

fn is_text(format: &str) -> bool {
    let format = format.to_ascii_lowercase();
    !["pgs", "dvd", "dvbsub", "sup", "sub", "xsub"]
        .iter()
        .any(|bitmap| format == *bitmap || (format.contains(bitmap) && *bitmap != "sub"))
}

/// Styled subtitles are neither made from others nor turned into others.
fn convertible(from: &str, to: &str) -> bool {
    let styled = |f: &str| f.eq_ignore_ascii_case("ass") || f.eq_ignore_ascii_case("ssa");
    !styled(from) && !styled(to)
}

// === impl Delivery ===

impl Delivery {
    fn new(method: &str, format: &str) -> Self {
        Self {
            method: method.to_owned(),
            format: format.to_ascii_lowercase(),
        }
    }

    pub(in crate::sim) fn is(&self, method: &str) -> bool {
        self.method.eq_ignore_ascii_case(method)
    }
}
