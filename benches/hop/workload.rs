//! What is asked for: the kinds of work, their addresses and the head of a request.

/// Body of a small answer.
pub(crate) const SMALL: u64 = 1024;
/// Body of a segment.
pub(crate) const SEGMENT: u64 = 2 << 20;
/// Body of a whole film.
pub(crate) const BIG: u64 = 1 << 30;

/// One table each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Kind {
    /// Small answers, as fast as they go.
    Small,
    /// 2 MB bodies of a static stream.
    Seg,
    /// 2 MB bodies at `hls1` addresses of transcodes, a session for each connection.
    Lease,
    /// 1 GiB direct play.
    Big,
    /// Small answers at a fixed rate: latency.
    Rate,
    /// Resident memory.
    Mem,
    /// System calls, where strace is installed.
    Calls,
}

// The token, the device and the ids are made up; the shapes are those of a Jellyfin 10.11 web client.
const SMALL_TARGET: &str = "/Items/dacff066de8493d578b5115be2d2abbb/Images/Primary?fillHeight=446&fillWidth=297&quality=96&tag=6853d691af72e58c6bb7b275ecff0bb3";
const SEG_TARGET: &str = "/Videos/31e149f349e25bfb3ef7af02a3d244d7/stream.mp4?static=true&mediaSourceId=31e149f349e25bfb3ef7af02a3d244d7&deviceId=TW96aWxsYS81LjA&ApiKey=5d1c3b7a9e5d1c3b7a9e5d1c3b7a9e42&Tag=6853d691af72e58c6bb7b275ecff0bb3";
const BIG_TARGET: &str = "/Videos/42f25a045ae36cfc4fa8b013b4e355e8/stream.mkv?static=true&mediaSourceId=42f25a045ae36cfc4fa8b013b4e355e8&deviceId=TW96aWxsYS81LjA&ApiKey=5d1c3b7a9e5d1c3b7a9e5d1c3b7a9e42&Tag=6853d691af72e58c6bb7b275ecff0bb3";
const LEASE_TARGET: &str = "/videos/31e149f3-49e2-5bfb-3ef7-af02a3d244d7/hls1/main/{n}.ts?DeviceId={i}&MediaSourceId=31e149f349e25bfb3ef7af02a3d244d7&VideoCodec=h264&AudioCodec=aac&AudioStreamIndex=1&VideoBitrate=1340034&AudioBitrate=159966&MaxFramerate=23.975065&MaxWidth=1920&SegmentContainer=ts&MinSegments=1&BreakOnNonKeyFrames=True&PlaySessionId={i}&ApiKey=5d1c3b7a9e5d1c3b7a9e5d1c3b7a9e42&TranscodingMaxAudioChannels=2&RequireAvc=false&EnableAudioVbrEncoding=true&Tag=6853d691af72e58c6bb7b275ecff0bb3&SubtitleMethod=Encode&h264-level=41&h264-videobitdepth=8&h264-profile=high&h264-deinterlace=true&h264-rangetype=SDR&TranscodeReasons=ContainerBitrateExceedsLimit&allowVideoStreamCopy=false&runtimeTicks=0&actualSegmentLengthTicks=30040000";

const HEADERS: &str = "Host: media.example.net\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0 Safari/537.36\r\nAccept: application/json\r\nAccept-Language: en-US,en;q=0.9\r\nAccept-Encoding: gzip, deflate, br\r\nSec-Fetch-Mode: cors\r\nSec-Fetch-Site: same-origin\r\nAuthorization: MediaBrowser Client=\"Jellyfin Web\", Device=\"Chrome\", DeviceId=\"TW96aWxsYS81LjA\", Version=\"10.11.0\", Token=\"5d1c3b7a9e5d1c3b7a9e5d1c3b7a9e42\"\r\nX-Forwarded-For: 192.0.2.17\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: media.example.net\r\nReferer: https://media.example.net/web/\r\n";

impl Kind {
    /// The address, with `{i}` for the connection and `{n}` for the number of the request on it.
    pub(crate) fn target(self) -> &'static str {
        match self {
            Self::Small | Self::Rate | Self::Calls => SMALL_TARGET,
            Self::Seg => SEG_TARGET,
            Self::Lease => LEASE_TARGET,
            Self::Big | Self::Mem => BIG_TARGET,
        }
    }
}

/// The request with number `n` on connection `i`.
pub(crate) fn request(target: &str, i: usize, n: usize) -> Vec<u8> {
    let session = format!("{:032x}", 0xa1b2_c3d4_0000_u64 + i as u64);
    let target = target
        .replace("{i}", &session)
        .replace("{n}", &n.to_string());
    format!("GET {target} HTTP/1.1\r\n{HEADERS}\r\n").into_bytes()
}
