//! Why a play is not the file as it is: told by whoever asks, kept for the journal, and never looked at by a decision.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Admission, Demand, LeaseState, Seats};
use crate::ident::{ItemId, LeaseId};

/// Causes of one play at most.
pub const MOST_CAUSES: usize = 8;

/// Of which file a play is, and why it is not played as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Why {
    /// The media source: one item may be there in several versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<ItemId>,
    /// What each would be enough for it, [`MOST_CAUSES`] at most. Empty: the file is played as it is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<Cause>,
}

/// One cause. Codecs and the like are spelled as Jellyfin spells them, in lower case.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// The player has no decoder for the picture.
    VideoCodec {
        /// Of the file.
        codec: Arc<str>,
    },
    /// It has one, but not for this profile, level, depth or form of it.
    VideoForm {
        /// Of the file.
        codec: Arc<str>,
        /// What is too much for it.
        what: Form,
    },
    /// The player can't show this range of brightness.
    VideoRange {
        /// Of the file: `hdr10`, `dovi`.
        range: Arc<str>,
    },
    /// The picture is larger than the player takes.
    Resolution {
        /// Lines of the file.
        height: u32,
    },
    /// More pictures a second than the player takes.
    FrameRate,
    /// Lines of a picture come in two halves.
    Interlaced,
    /// The file is more than the ceiling that the player sent.
    Bitrate {
        /// The ceiling.
        kilobits: u64,
    },
    /// A subtitle that is a picture is drawn into the film.
    ImageSubtitle {
        /// Of the track: `pgssub`, `dvdsub`.
        codec: Arc<str>,
        /// Which track it is.
        index: i64,
    },
    /// A subtitle of text is drawn into the film.
    TextSubtitle {
        /// Of the track: `ass`, `subrip`.
        codec: Arc<str>,
        /// Which track it is.
        index: i64,
    },
    /// The player has no decoder for the sound.
    AudioCodec {
        /// Of the track.
        codec: Arc<str>,
    },
    /// More channels than the player takes, or another form of sound.
    AudioForm {
        /// Of the track.
        codec: Arc<str>,
        /// How many the track has; 0: it does not say.
        channels: u32,
    },
    /// The player does not take this kind of file.
    Container {
        /// Of the file.
        container: Arc<str>,
    },
    /// The player asked for it and not for the file, mostly after an error of its own; or a setting of Jellyfin's does.
    Demanded,
    /// It was running before Finweir saw it, or Jellyfin says too little about the file.
    Unknown,
}

/// What of a picture is too much for a decoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Form {
    /// Its profile.
    Profile,
    /// Its level.
    Level,
    /// Bits per sample.
    Depth,
    /// Frames that others refer to.
    References,
    /// Pixels that are not square.
    Anamorphic,
    /// It stands on its side.
    Rotation,
    /// H.264 that is not in AVC form.
    Avc,
}

/// What one lease holds at a moment.
#[derive(Clone, Copy, Debug)]
pub struct Held<'a> {
    /// The lease.
    pub lease: LeaseId,
    /// What was asked for.
    pub demand: &'a Demand,
    /// Where it stands.
    pub state: LeaseState,
    /// Seats that it holds.
    pub seats: Seats,
}

impl Admission {
    /// Every lease, with what it holds, in no order.
    pub fn holdings(&self) -> impl Iterator<Item = Held<'_>> {
        self.leases.values().map(|lease| Held {
            lease: lease.id,
            demand: &lease.asked.demand,
            state: lease.state,
            seats: lease.held.seats,
        })
    }
}
