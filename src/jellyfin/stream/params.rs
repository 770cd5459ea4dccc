//! `params=`: a positional list of values between semicolons that overrides the named parameters.

use super::{StreamQuery, codecs, frames, int, list, method, natural, pixels};
use crate::{
    ident::{DeviceId, ItemId, PlaySessionId},
    jellyfin::Media,
};

impl StreamQuery {
    /// Applies a `params=` list. An empty place changes nothing; some places count for video requests only.
    pub(super) fn override_with(&mut self, params: &str, media: Media) {
        for (place, value) in params.split(';').enumerate() {
            if !value.trim().is_empty() {
                self.override_place(place, value, media == Media::Video);
            }
        }
    }

    fn override_place(&mut self, place: usize, value: &str, video: bool) {
        let truth = value.eq_ignore_ascii_case("true");
        // Place 3 is Static, which the controllers take from the named parameter only.
        match place {
            1 => self.device = Some(DeviceId::new(value)),
            2 => self.source = Some(ItemId::new(value)),
            4 if video => self.video_codecs = codecs(value),
            5 => self.audio_codecs = codecs(value),
            6 if video => self.audio = int(value),
            7 if video => self.subtitle = int(value).filter(|index| *index >= 0),
            8 if video => self.video_bitrate = int(value).map(natural),
            9 => self.audio_bitrate = int(value).map(natural),
            11 if video => self.max_millifps = frames(value),
            12 if video => self.max_width = int(value).map(pixels),
            13 if video => self.max_height = int(value).map(pixels),
            15 if video => self.level = Some(value.to_owned()),
            16 if video => self.max_ref_frames = int(value).map(natural),
            17 if video => self.max_bits = int(value).map(natural),
            18 if video => self.profile = Some(value.to_owned()),
            20 => self.session = Some(PlaySessionId::new(value)),
            22 => self.live_stream = Some(value.to_owned()),
            25 if video => {
                if let Some(method) = method(value) {
                    self.subtitle_method = Some(method);
                }
            }
            28 => self.tag = Some(value.to_owned()),
            29 if video => self.require_avc = truth,
            31 if video => self.require_non_anamorphic = truth,
            32 if video => self.deinterlace = truth,
            33 => self.reasons = list(value),
            _ => {}
        }
    }
}
