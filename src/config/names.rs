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

/// Declares words, each with what it stands for: the variant of the same name, if nothing else is said.
macro_rules! names {
    ($($(#[$doc:meta])* $name:ident for $target:ty { $($(#[$vdoc:meta])* $variant:ident = $word:literal $(=> $value:expr)?,)* })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
        pub(super) enum $name { $($(#[$vdoc])* #[serde(rename = $word)] $variant,)* }

        impl From<$name> for $target {
            fn from(name: $name) -> Self {
                match name { $($name::$variant => names!(@value $variant $($value)?),)* }
            }
        }
    )*};
    (@value $variant:ident) => { Self::$variant };
    (@value $variant:ident $value:expr) => { $value };
}

names! {
    /// Whether a rule is enforced.
    ModeName for Mode {
        /// Record only.
        Observe = "observe",
        /// Do what was decided.
        Enforce = "enforce",
    }
    /// Whether something is allowed.
    AccessName for Access {
        /// Yes.
        Allow = "allow",
        /// No.
        Deny = "deny",
    }
    /// What is done when a play does not fit.
    WhenFullName for WhenFull {
        /// Wait, then step down.
        WaitThenStepDown = "wait-then-step-down",
        /// Step down, and wait if nothing smaller fits.
        StepDownThenWait = "step-down-then-wait",
        /// Only wait.
        Wait = "wait",
        /// Only step down.
        StepDown = "step-down",
    }
    /// For whom somebody who plays steps down when he asks again.
    YieldsName for Yields {
        /// For who goes before him by class.
        ToHigher = "to-higher",
        /// For everybody who waits.
        Always = "always",
        /// For nobody.
        Never = "never",
    }
    /// What is worth a word to the operator.
    OnName for On {
        /// Transcodes are slower than their viewers.
        GpuStarving = "gpu-starving",
        /// A server does not answer.
        NodeDown = "node-down",
        /// The disk for transcodes is filling.
        DiskFilling = "disk-filling",
        /// Many plays are refused.
        Refused = "refused",
        /// The configuration was rejected.
        ConfigRejected = "config-rejected",
        /// The journal can't be written.
        JournalTrouble = "journal-trouble",
    }
    /// What happens to a request that can't be judged.
    OnErrorName for OnError {
        /// It passes.
        Admit = "admit",
        /// It is refused.
        Reject = "reject",
    }
    /// When a client is made to play a file as it is.
    DirectPlayName for DirectPlay {
        /// Never.
        Off = "off",
        /// When its transcode would have to wait or be refused.
        Pressure = "pressure",
        /// Whenever it would transcode.
        Always = "always",
    }
    /// When a text subtitle that would be drawn into the picture goes beside it.
    SubtitlesName for Subtitles {
        /// Never.
        AsIs = "as-is",
        /// When its transcode would have to wait or be refused.
        Pressure = "pressure",
        /// Whenever it would be drawn in.
        External = "external",
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
        ErrorCode = "error-code",
        /// 200, nothing supported.
        NothingSupported = "nothing-supported",
        /// HTTP 429.
        Http = "http",
    }
    /// A player.
    ClientName for Client {
        /// jellyfin-web and its wrappers.
        Web = "web",
        /// Jellyfin for Android TV.
        AndroidTv = "android-tv",
        /// Jellyfin for Android.
        Android = "android",
        /// Swiftfin.
        Swiftfin = "swiftfin",
        /// jellyfin-mpv-shim.
        MpvShim = "mpv-shim",
        /// The Kodi add-on.
        Kodi = "kodi",
        /// The Roku channel.
        Roku = "roku",
        /// The Chromecast receiver.
        Chromecast = "chromecast",
        /// Jellyfin Vue.
        Vue = "vue",
        /// Streamyfin.
        Streamyfin = "streamyfin",
        /// Findroid.
        Findroid = "findroid",
        /// Infuse.
        Infuse = "infuse",
        /// Anything else.
        Unknown = "unknown",
    }
    /// How logs are written.
    FormatName for LogFormat {
        /// Text on a terminal, else JSON.
        Auto = "auto",
        /// For people.
        Text = "text",
        /// One JSON object a line.
        Json = "json",
    }
    /// What the label `user` holds.
    UserLabelName for UserLabel {
        /// The user's name.
        Name = "name",
        /// The user's id.
        Id = "id",
        /// Nothing.
        None = "none",
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
