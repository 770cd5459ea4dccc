//! Why something was decided, in the words of people.

use super::Reason;

impl Reason {
    /// The second half of "Refused: ...", "Admitted: ...".
    pub const fn in_words(self) -> &'static str {
        match self {
            Self::Fits => "all limits allow it",
            Self::Cheap => "nothing is encoded",
            Self::Replacement => "it replaces what that screen was playing",
            Self::Resume => "its session came back",
            Self::Adopted => "it was running already",
            Self::Waited => "seats came free",
            Self::Operator => "the operator let it in",
            Self::Observed => "over a limit that only observes",
            Self::FailOpen => "it could not be judged",
            Self::Yields => "somebody who goes first needs the seats",
            Self::RunsAlone => "wider than the GPU, which was empty",
            Self::Pressure => "seats are few, and others may come",
            Self::UserLimit => "this user runs all the transcodes allowed",
            Self::UserStreams => "this user runs all the streams allowed",
            Self::ClassLimit => "this class runs all the transcodes allowed",
            Self::ServerLimit => "the server runs all the transcodes allowed",
            Self::UplinkFull => "the line out of the house is full",
            Self::GpuFull => "the GPU has too few seats left",
            Self::GpuSessions => "the GPU runs all the sessions its driver allows",
            Self::UhdDenied => "this class may not transcode 4K",
            Self::TranscodeDenied => "this class may not transcode",
            Self::LibraryRule => "a rule of this library forbids it",
            Self::TimeWindow => "not at this time of day",
            Self::Quota => "this user's quota is used up",
            Self::StartRate => "too many starts in a short time",
            Self::QueueFull => "too many wait already",
            Self::WaitedOut => "no seat came free in time",
            Self::WaitTooLong => "no seat will come free in time",
            Self::Superseded => "the device asked for something else",
            Self::Paused => "the operator lets no new transcode in",
            Self::Draining => "Finweir is stopping",
            Self::Unreadable => "the request could not be read",
            Self::Anonymous => "a stream without a login may not transcode",
            Self::Revoked => "it was ended by a rule or the operator",
        }
    }
}
