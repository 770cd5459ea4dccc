//! Why something is not played as it is.

/// A set of reasons, written in the server's order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::sim) struct Reasons(u32);

const NAMES: [&str; 28] = [
    "ContainerNotSupported",
    "VideoCodecNotSupported",
    "AudioCodecNotSupported",
    "SubtitleCodecNotSupported",
    "AudioIsExternal",
    "SecondaryAudioNotSupported",
    "VideoProfileNotSupported",
    "VideoLevelNotSupported",
    "VideoResolutionNotSupported",
    "VideoBitDepthNotSupported",
    "VideoFramerateNotSupported",
    "RefFramesNotSupported",
    "AnamorphicVideoNotSupported",
    "InterlacedVideoNotSupported",
    "AudioChannelsNotSupported",
    "AudioProfileNotSupported",
    "AudioSampleRateNotSupported",
    "AudioBitDepthNotSupported",
    "ContainerBitrateExceedsLimit",
    "VideoBitrateNotSupported",
    "AudioBitrateNotSupported",
    "UnknownVideoStreamInfo",
    "UnknownAudioStreamInfo",
    "DirectPlayError",
    "VideoRangeTypeNotSupported",
    "VideoCodecTagNotSupported",
    "StreamCountExceedsLimit",
    "VideoRotationNotSupported",
];

impl Reasons {
    pub(in crate::sim) const NONE: Self = Self(0);
    pub(super) const CONTAINER: Self = Self(1);
    pub(super) const VIDEO_CODEC: Self = Self(1 << 1);
    pub(super) const AUDIO_CODEC: Self = Self(1 << 2);
    pub(super) const SUBTITLE: Self = Self(1 << 3);
    pub(super) const CHANNELS: Self = Self(1 << 14);
    pub(super) const BITRATE: Self = Self(1 << 18);
    pub(super) const DIRECT_PLAY: Self = Self(1 << 23);
    /// Reasons that rank a direct play profile lowest.
    const VIDEO: Self =
        Self(1 << 1 | 1 << 7 | 1 << 8 | 1 << 9 | 1 << 10 | 1 << 11 | 1 << 12 | 1 << 13 | 1 << 19);
    const AUDIO: Self =
        Self(1 << 2 | 1 << 4 | 1 << 5 | 1 << 14 | 1 << 15 | 1 << 16 | 1 << 17 | 1 << 20);
    const CONTAINERS: Self = Self(1 | 1 << 18);

    /// The reason of that name.
    pub(super) fn named(name: &str) -> Self {
        NAMES
            .iter()
            .position(|n| *n == name)
            .map_or(Self::NONE, |at| Self(1 << at))
    }

    pub(super) fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(super) fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    pub(in crate::sim) fn is_none(self) -> bool {
        self.0 == 0
    }

    /// How near to playable: 0 the video is wrong, 1 the sound, 2 the container, 3 nothing of these.
    pub(super) fn rank(self) -> usize {
        [Self::VIDEO, Self::AUDIO, Self::CONTAINERS]
            .iter()
            .position(|group| self.has(*group))
            .unwrap_or(3)
    }

    pub(in crate::sim) fn names(self) -> Vec<&'static str> {
        NAMES
            .iter()
            .enumerate()
            .filter(|(at, _)| self.0 & (1 << at) != 0)
            .map(|(_, name)| *name)
            .collect()
    }

    /// Reads the list of an address.
    pub(in crate::sim) fn read(list: &str) -> Self {
        list.split(',')
            .map(|name| Self::named(name.trim()))
            .fold(Self::NONE, Self::and)
    }
}
