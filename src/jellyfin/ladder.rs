//! Smaller pictures of the same playback: what a TranscodingUrl becomes with a lower bitrate, and what that takes.
//!
//! The encoder itself makes the picture of a low bitrate narrower, and the widths here are those that
//! it would choose. So a step comes out the same whether Jellyfin is asked for it, by a lower ceiling, or its URL is
//! edited. An edit replaces the value that counts: one that is appended is ignored.

use super::{Encoding, Media, Plan, Query, Source, StreamQuery, UserPolicy, set_query_value};

/// Bitrate of the video in bit/s, and the widest and the highest picture: 1080p, 720p, 540p, 360p.
const LADDER: [(u64, u32, u32); 4] = [
    (8_000_000, 1920, 1080),
    (4_000_000, 1280, 720),
    (1_500_000, 960, 540),
    (700_000, 640, 360),
];
/// The most that is added to a ceiling for the sound: more would widen the picture of the lower steps.
const SOUND: u64 = 384_000;

/// A smaller picture of a playback.
#[derive(Clone, PartialEq)]
pub struct Step {
    /// The ceiling under which Jellyfin makes this of it by itself, bit/s, sound included.
    pub ceiling: u64,
    /// The TranscodingUrl with the values of this step.
    pub url: String,
    /// What Jellyfin does for that URL.
    pub plan: Plan,
}

// The URL holds a token.
impl std::fmt::Debug for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Step")
            .field("ceiling", &self.ceiling)
            .field("plan", &self.plan)
            .finish_non_exhaustive()
    }
}

/// The ceilings of the ladder with the height of the picture under each, highest first.
pub fn ceilings() -> impl Iterator<Item = (u64, u32)> {
    LADDER
        .into_iter()
        .map(|(bitrate, _, height)| (bitrate + SOUND, height))
}

/// The steps below what a source's TranscodingUrl asks for, dearest first. Empty: its video is not encoded.
pub fn steps(source: &Source, encoding: &Encoding, policy: UserPolicy) -> Vec<Step> {
    let plan = |source: &Source| Plan::of_source(source, Media::Video, encoding, policy);
    let Plan::Video(whole) = plan(source) else {
        return Vec::new();
    };
    let Some(url) = source.transcoding_url.as_deref() else {
        return Vec::new();
    };
    let query = url.split_once('?').map_or("", |(_, query)| query);
    let read = Query::parse(query);
    if read.is_nested() {
        return Vec::new();
    }
    let asked = StreamQuery::read(&read, Media::Video);
    let sound = asked.audio_bitrate.unwrap_or(SOUND).min(SOUND);
    let own = whole.bitrate.or(asked.video_bitrate);
    LADDER
        .into_iter()
        .filter(|(bitrate, ..)| own.is_none_or(|own| *bitrate < own))
        .filter_map(|(bitrate, width, height)| {
            let mut edited = set_query_value(url, "VideoBitrate", &bitrate.to_string());
            for (name, most, has) in [
                ("MaxWidth", width, asked.max_width),
                ("MaxHeight", height, asked.max_height),
            ] {
                let most = has.map_or(most, |has| has.min(most));
                edited = set_query_value(&edited, name, &most.to_string());
            }
            let smaller = Source {
                transcoding_url: Some(edited.clone()),
                ..source.clone()
            };
            let plan = plan(&smaller);
            matches!(plan, Plan::Video(_)).then_some(Step {
                ceiling: bitrate + sound,
                url: edited,
                plan,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn source(codec: &str, size: (u32, u32), bitrate: u64, url: &str) -> Source {
        Source::read(&json!({
            "Id": "a", "Bitrate": bitrate, "TranscodingUrl": url, "SupportsTranscoding": true,
            "MediaStreams": [{"Type": "Video", "Index": 0, "Codec": codec, "Width": size.0, "Height": size.1,
                "BitRate": bitrate, "ReferenceFrameRate": 23.976, "BitDepth": 8, "VideoRangeType": "SDR"}]
        }))
    }

    fn sizes(steps: &[Step]) -> Vec<(u32, u32)> {
        let size = |step: &Step| match &step.plan {
            Plan::Video(work) => work.size_out,
            Plan::Direct | Plan::Remux | Plan::Audio => (0, 0),
        };
        steps.iter().map(size).collect()
    }

    fn steps_of(source: &Source) -> Vec<Step> {
        steps(source, &Encoding::default(), UserPolicy::default())
    }

    #[test]
    fn a_film_steps_down_through_the_usual_sizes() {
        let url = "/videos/a/master.m3u8?VideoCodec=h264&VideoBitrate=19000000&AudioBitrate=640000&MaxWidth=3840&PlaySessionId=p&ApiKey=k";
        let steps = steps_of(&source("hevc", (3840, 2160), 20_000_000, url));
        assert_eq!(
            sizes(&steps),
            [(1920, 1080), (1280, 720), (960, 540), (640, 360)]
        );
        assert_eq!(
            steps[1].url,
            "/videos/a/master.m3u8?VideoCodec=h264&VideoBitrate=4000000&AudioBitrate=640000&MaxWidth=1280&PlaySessionId=p&ApiKey=k&MaxHeight=720"
        );
        assert_eq!(steps[1].ceiling, 4_384_000);
    }

    #[test]
    fn only_what_is_below_the_present_bitrate_is_a_step() {
        let url = "/videos/a/master.m3u8?VideoCodec=h264&VideoBitrate=2600000&AudioBitrate=128000";
        let steps = steps_of(&source("hevc", (1920, 1080), 9_000_000, url));
        assert_eq!(sizes(&steps), [(960, 540), (640, 360)]);
        assert_eq!(steps[0].ceiling, 1_628_000);
    }

    #[test]
    fn a_limit_of_the_client_is_never_raised() {
        let url =
            "/videos/a/master.m3u8?VideoCodec=h264&VideoBitrate=9000000&MaxWidth=720&maxheight=404";
        let steps = steps_of(&source("hevc", (1920, 1080), 20_000_000, url));
        for step in &steps[..2] {
            assert!(
                step.url.contains("MaxWidth=720&maxheight=404"),
                "{}",
                step.url
            );
        }
    }

    #[test]
    fn what_is_not_encoded_has_no_steps() {
        let copy = "/videos/a/master.m3u8?VideoCodec=copy";
        assert!(steps_of(&source("h264", (1920, 1080), 9_000_000, copy)).is_empty());
        assert!(steps_of(&Source::default()).is_empty());
    }

    #[test]
    fn a_step_prints_without_its_token() {
        let url = "/videos/a/master.m3u8?VideoCodec=h264&VideoBitrate=9000000&ApiKey=secret";
        let steps = steps_of(&source("hevc", (1920, 1080), 20_000_000, url));
        assert!(!format!("{steps:?}").contains("secret"));
    }
}
