//! The words of the file that stand for closed enums of other modules.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    admission::{Access, Mode, WhenFull, Yields},
    jellyfin::{Client, Shape},
    notify::On,
    proxy::{DirectPlay, OnError, Subtitles},
    telemetry::{LogFormat, UserLabel},
};

/// Declares words, each with what it stands for.
macro_rules! names {
    ($($(#[$doc:meta])* $name:ident for $target:ty { $($(#[$vdoc:meta])* $variant:ident = $word:literal => $value:expr,)* })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
        pub(super) enum $name { $($(#[$vdoc])* #[serde(rename = $word)] $variant,)* }

        impl From<$name> for $target {
            fn from(name: $name) -> Self {
                match name { $($name::$variant => $value,)* }
            }
        }
    )*};
}

names! {
    /// Whether a rule is enforced.
    ModeName for Mode {
        /// Record only.
        Observe = "observe" => Self::Observe,
        /// Do what was decided.
        Enforce = "enforce" => Self::Enforce,
    }
    /// Whether something is allowed.
    AccessName for Access {
        /// Yes.
        Allow = "allow" => Self::Allow,
        /// No.
        Deny = "deny" => Self::Deny,
    }
    /// What is done when a play does not fit.
    WhenFullName for WhenFull {
        /// Wait, then step down.
        WaitThenStepDown = "wait-then-step-down" => Self::WaitThenStepDown,
        /// Step down, and wait if nothing smaller fits.
        StepDownThenWait = "step-down-then-wait" => Self::StepDownThenWait,
        /// Only wait.
        Wait = "wait" => Self::Wait,
        /// Only step down.
        StepDown = "step-down" => Self::StepDown,
    }
    /// For whom somebody who plays steps down when he asks again.
    YieldsName for Yields {
        /// For who goes before him by class.
        ToHigher = "to-higher" => Self::ToHigher,
        /// For everybody who waits.
        Always = "always" => Self::Always,
        /// For nobody.
        Never = "never" => Self::Never,
    }
    /// What is worth a word to the operator.
    OnName for On {
        /// Transcodes are slower than their viewers.
        GpuStarving = "gpu-starving" => Self::GpuStarving,
        /// A server does not answer.
        NodeDown = "node-down" => Self::NodeDown,
        /// The disk for transcodes is filling.
        DiskFilling = "disk-filling" => Self::DiskFilling,
        /// Many plays are refused.
        Refused = "refused" => Self::Refused,
        /// The configuration was rejected.
        ConfigRejected = "config-rejected" => Self::ConfigRejected,
        /// The journal can't be written.
        JournalTrouble = "journal-trouble" => Self::JournalTrouble,
    }
    /// What happens to a request that can't be judged.
    OnErrorName for OnError {
        /// It passes.
        Admit = "admit" => Self::Admit,
        /// It is refused.
        Reject = "reject" => Self::Reject,
    }
    /// When a client is made to play a file as it is.
    DirectPlayName for DirectPlay {
        /// Never.
        Off = "off" => Self::Off,
        /// When its transcode would have to wait or be refused.
        Pressure = "pressure" => Self::Pressure,
        /// Whenever it would transcode.
        Always = "always" => Self::Always,
    }
    /// When a text subtitle that would be drawn into the picture goes beside it.
    SubtitlesName for Subtitles {
        /// Never.
        AsIs = "as-is" => Self::AsIs,
        /// When its transcode would have to wait or be refused.
        Pressure = "pressure" => Self::Pressure,
        /// Whenever it would be drawn in.
        External = "external" => Self::External,
    }
    /// Which version of a film is listed first.
    VersionsName for bool {
        /// The one that costs least.
        Cheapest = "cheapest" => true,
        /// Jellyfin's choice.
        AsIs = "as-is" => false,
    }
    /// The shape of a refusal.
    ShapeName for Shape {
        /// 200 with `ErrorCode`.
        ErrorCode = "error-code" => Self::ErrorCode,
        /// 200, nothing supported.
        NothingSupported = "nothing-supported" => Self::NothingSupported,
        /// HTTP 429.
        Http = "http" => Self::Http,
    }
    /// A player.
    ClientName for Client {
        /// jellyfin-web and its wrappers.
        Web = "web" => Self::Web,
        /// Jellyfin for Android TV.
        AndroidTv = "android-tv" => Self::AndroidTv,
        /// Jellyfin for Android.
        Android = "android" => Self::Android,
        /// Swiftfin.
        Swiftfin = "swiftfin" => Self::Swiftfin,
        /// jellyfin-mpv-shim.
        MpvShim = "mpv-shim" => Self::MpvShim,
        /// The Kodi add-on.
        Kodi = "kodi" => Self::Kodi,
        /// The Roku channel.
        Roku = "roku" => Self::Roku,
        /// The Chromecast receiver.
        Chromecast = "chromecast" => Self::Chromecast,
        /// Jellyfin Vue.
        Vue = "vue" => Self::Vue,
        /// Streamyfin.
        Streamyfin = "streamyfin" => Self::Streamyfin,
        /// Findroid.
        Findroid = "findroid" => Self::Findroid,
        /// Infuse.
        Infuse = "infuse" => Self::Infuse,
        /// Anything else.
        Unknown = "unknown" => Self::Unknown,
    }
    /// How logs are written.
    FormatName for LogFormat {
        /// Text on a terminal, else JSON.
        Auto = "auto" => Self::Auto,
        /// For people.
        Text = "text" => Self::Text,
        /// One JSON object a line.
        Json = "json" => Self::Json,
    }
    /// What the label `user` holds.
    UserLabelName for UserLabel {
        /// The user's name.
        Name = "name" => Self::Name,
        /// The user's id.
        Id = "id" => Self::Id,
        /// Nothing.
        None = "none" => Self::None,
    }
    /// Days of the week, as numbers from Monday = 0.
    DayName for Vec<u8> {
        /// Monday.
        Mon = "mon" => vec![0],
        /// Tuesday.
        Tue = "tue" => vec![1],
        /// Wednesday.
        Wed = "wed" => vec![2],
        /// Thursday.
        Thu = "thu" => vec![3],
        /// Friday.
        Fri = "fri" => vec![4],
        /// Saturday.
        Sat = "sat" => vec![5],
        /// Sunday.
        Sun = "sun" => vec![6],
        /// Monday to Friday.
        Weekdays = "weekdays" => vec![0, 1, 2, 3, 4],
        /// Saturday and Sunday.
        Weekend = "weekend" => vec![5, 6],
    }
}
