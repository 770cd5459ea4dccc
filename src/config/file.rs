//! The YAML as it is written: every key optional, every value in its unit. Source of the JSON schema.

use std::{collections::BTreeMap, path::PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    journal::Journal,
    names::{
        AccessName, ClientName, DayName, DirectPlayName, FormatName, ModeName, OnErrorName,
        ShapeName, SubtitlesName, UserLabelName, VersionsName, WhenFullName, YieldsName,
    },
    quota::{Quotas, State},
    secret::Secret,
    texts::TextsSchema,
    units::{
        Address, BitrateLimit, Capacity, Limit, ListenAt, Network, Percent, Rate, SeatLimit, Size,
        Span, SpanOrNever, TimeOfDay, Workers,
    },
    word::Notify,
};

/// Declares a section of the file: each key optional, unknown ones refused.
macro_rules! sections {
    ($($(#[$doc:meta])* $name:ident { $($(#[$fdoc:meta])* $field:ident: $type:ty,)* })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub(super) struct $name {
            $($(#[$fdoc])* pub(super) $field: Option<$type>,)*
        }
    )*};
}

sections! {
    /// The configuration of Finweir. Every key has a default: `config/default.yaml`.
    File {
        /// Version of this format: 1.
        version: u64,
        /// `enforce` does what is decided; `observe` only records what would have been done.
        mode: ModeName,
        /// What happens to a request that can't be judged: it passes (`admit`), or it is refused (`reject`).
        on_error: OnErrorName,
        /// Where viewers connect, and how the wire is treated.
        server: Server,
        /// Metrics, probes, state and the status page.
        admin: Admin,
        /// The Jellyfin server, if there is one only.
        jellyfin: Jellyfin,
        /// Several Jellyfin servers, instead of `jellyfin`.
        nodes: Vec<Node>,
        /// What encodes: GPUs, or the CPU.
        gpus: Vec<Gpu>,
        /// Limits of the whole server.
        limits: Limits,
        /// What each user may do.
        users: Users,
        /// How often a user may start a transcode.
        starts: Starts,
        /// Groups of users, clients or networks; the first that matches counts.
        classes: Vec<Class>,
        /// Rules about libraries.
        libraries: Vec<Library>,
        /// Times of the week in which other limits hold.
        windows: Vec<Window>,
        /// The line out of the house.
        uplink: Uplink,
        /// When a client that would transcode is made to play the file as it is.
        direct_play: DirectPlayName,
        /// From this part of a GPU's seats on it is under pressure.
        pressure: Percent,
        /// When a text subtitle that would be drawn into the picture goes beside it.
        subtitles: SubtitlesName,
        /// Which version of a film a client plays that asked for none.
        versions: Versions,
        /// Whether a stream without a login may transcode.
        anonymous: AccessName,
        /// How long and how many may wait.
        queue: Queue,
        /// How long seats are held, and when they go back.
        leases: Leases,
        /// How running streams are ended for others, where a class has `preempt`.
        preemption: Preemption,
        /// The cost formula.
        cost: Cost,
        /// Players that are treated in another way than the built-in table says.
        clients: Vec<Client>,
        /// Texts for viewers: language, then reason, then text.
        #[schemars(with = "Option<TextsSchema>")]
        texts: BTreeMap<String, BTreeMap<String, String>>,
        /// Show a message on the screen of players that can.
        messages: bool,
        /// Show viewers their own place at `/finweir/`.
        viewer_page: bool,
        /// How often Jellyfin is asked what is running.
        poll: Poll,
        /// Logs.
        logging: Logging,
        /// Metrics.
        metrics: Metrics,
        /// What is written down of every decision, to explain and replay it.
        journal: Journal,
        /// Word sent to the operator when something is wrong.
        notify: Notify,
        /// How much of a request or an answer is read.
        requests: Requests,
        /// What must outlive a restart.
        state: State,
    }
    /// Where viewers connect, and how the wire is treated.
    Server {
        /// Where to listen: `address:port`, or `unix:/path`.
        listen: ListenAt,
        /// Peers whose `X-Forwarded-*` and PROXY headers are believed.
        trusted_proxies: Vec<Network>,
        /// Take a PROXY protocol header (v1 or v2) from trusted peers.
        proxy_protocol: bool,
        /// Add a `Via` header with this name.
        via: String,
        /// Worker threads.
        workers: Workers,
        /// Client connections at once.
        max_connections: u32,
        /// Idle upstream connections kept per worker.
        pool: u32,
        /// How long things may take.
        timeouts: Timeouts,
        /// How Finweir stops.
        drain: Drain,
    }
    /// How long things may take.
    Timeouts {
        /// A client sends the head of a request.
        head: Span,
        /// A client connection is idle between requests.
        keep_alive: Span,
        /// Connecting to Jellyfin.
        connect: Span,
        /// From the whole request sent to the first byte of the answer.
        first_byte: Span,
        /// Nothing moves in either direction of a body.
        idle: SpanOrNever,
        /// Nothing moves in either direction of a websocket.
        tunnel: SpanOrNever,
    }
    /// How Finweir stops.
    Drain {
        /// Between `/ready` going 503 and the listener closing.
        delay: Span,
        /// How long streams may finish after that.
        limit: Span,
    }
    /// The admin listener.
    Admin {
        /// Where to listen; anything but loopback needs a token.
        listen: Address,
        /// The token, as text or as `{env: NAME}`.
        token: Secret,
        /// A file with the token.
        token_file: PathBuf,
    }
    /// The Jellyfin server.
    Jellyfin {
        /// `http://host:port/base`, `https://…` or `unix:/path`.
        url: String,
        /// An API key, as text or as `{env: NAME}`.
        api_key: Secret,
        /// A file with the API key.
        api_key_file: PathBuf,
        /// The GPU it encodes on; needed only if there are several.
        gpu: String,
        /// A file with certificates to trust beside the public ones, PEM.
        ca_file: PathBuf,
        /// How long a call that Finweir makes for itself may take.
        timeout: Span,
        /// Less free than this where it writes its transcodes is worth a warning; of a small disk, a quarter; `0B`: never.
        disk_free: Size,
    }
    /// One of several Jellyfin servers.
    Node {
        /// Its name, in metrics and logs.
        name: String,
        /// `http://host:port/base`, `https://…` or `unix:/path`.
        url: String,
        /// An API key, as text or as `{env: NAME}`.
        api_key: Secret,
        /// A file with the API key.
        api_key_file: PathBuf,
        /// The GPU it encodes on; several nodes may name the same.
        gpu: String,
        /// A file with certificates to trust beside the public ones, PEM.
        ca_file: PathBuf,
        /// How long a call that Finweir makes for itself may take.
        timeout: Span,
        /// Less free than this where it writes its transcodes is worth a warning.
        disk_free: Size,
    }
    /// A GPU, or the CPU.
    Gpu {
        /// Its name.
        name: String,
        /// What it is: gives its capacity and its factor for tone-mapping.
        profile: super::profile::Profile,
        /// A number of seats, `profile`, or `auto`: the profile's number at first, then what is learned.
        capacity: Capacity,
        /// Physical cores, for the profile `software`.
        cores: u32,
        /// Kept free.
        headroom: Percent,
        /// Transcodes at once, whatever they cost.
        max_sessions: Limit,
        /// Whether Jellyfin's Intel low-power encoders are on.
        low_power: bool,
        /// Mode of this limit.
        mode: ModeName,
    }
    /// Limits of the whole server.
    Limits {
        /// Video transcodes at once, over all GPUs.
        transcodes: Limit,
    }
    /// What each user may do.
    Users {
        /// Limits of each user that no rule names.
        default: UserLimits,
        /// Users with limits of their own; the first that matches counts.
        rules: Vec<UserRule>,
    }
    /// What one user may do at once.
    UserLimits {
        /// Video transcodes.
        transcodes: Limit,
        /// Seats.
        seats: SeatLimit,
        /// Streams of any kind, direct play included.
        streams: Limit,
        /// What he may use in a day or a week.
        quota: Quotas,
        /// What is done when a play does not fit.
        when_full: WhenFullName,
        /// Stepping down never goes below this height, in pixels.
        floor: u32,
        /// For whom a play that asks again goes on in a smaller picture.
        yields: YieldsName,
        /// Mode of these limits.
        mode: ModeName,
    }
    /// Limits of one user.
    UserRule {
        /// A user name, a pattern of one with `*` and `?`, or a user id.
        user: String,
        /// Video transcodes.
        transcodes: Limit,
        /// Seats.
        seats: SeatLimit,
        /// Streams of any kind, direct play included.
        streams: Limit,
        /// What he may use in a day or a week.
        quota: Quotas,
        /// What is done when a play does not fit.
        when_full: WhenFullName,
        /// Stepping down never goes below this height, in pixels.
        floor: u32,
        /// For whom a play that asks again goes on in a smaller picture.
        yields: YieldsName,
        /// Mode of these limits.
        mode: ModeName,
    }
    /// How often a user may start a transcode.
    Starts {
        /// Starts of one user, over time.
        per_user: Rate,
        /// Starts of one user at once.
        burst: u32,
        /// Mode of this limit.
        mode: ModeName,
    }
    /// A group of users, clients or networks.
    Class {
        /// Its name.
        name: String,
        /// User names, patterns with `*` and `?`, or ids; none: any user.
        users: Vec<String>,
        /// Patterns of client names; none: any client.
        clients: Vec<String>,
        /// Networks; none: anywhere.
        networks: Vec<Network>,
        /// `on`: administrators only; `off`: everybody else.
        admin: bool,
        /// Limits of each user in this class.
        user: UserLimits,
        /// Video transcodes of the whole class.
        transcodes: Limit,
        /// Seats of the whole class.
        seats: SeatLimit,
        /// Whether it may transcode.
        transcode: AccessName,
        /// Whether it may transcode 4K sources.
        uhd: AccessName,
        /// When a client of it that would transcode is made to play the file as it is.
        direct_play: DirectPlayName,
        /// Longest wait.
        max_wait: Span,
        /// Its own part of each GPU's seats; others use what it leaves idle.
        share: Percent,
        /// Part of each GPU's seats that is kept free for it.
        reserve: Percent,
        /// Served before classes with a smaller number.
        priority: u32,
        /// Classes whose running streams may be ended for it where it would be refused.
        preempt: Vec<String>,
        /// Mode of these limits.
        mode: ModeName,
    }
    /// A rule about a library.
    Library {
        /// Its name, or a pattern of it.
        library: String,
        /// Classes it concerns; none: all.
        classes: Vec<String>,
        /// Whether its items may be transcoded.
        transcode: AccessName,
        /// Whether its 4K items may be transcoded.
        uhd: AccessName,
        /// Video transcodes of its items at once.
        transcodes: Limit,
        /// Mode of this rule.
        mode: ModeName,
    }
    /// A time of the week in which other limits hold.
    Window {
        /// Its name.
        name: String,
        /// Its days; one that crosses midnight belongs to the day it begins on. None: every day.
        days: Vec<DayName>,
        /// When it begins.
        from: TimeOfDay,
        /// When it ends.
        to: TimeOfDay,
        /// Classes it concerns; none: all.
        classes: Vec<String>,
        /// Whether they may transcode in it.
        transcode: AccessName,
        /// Whether they may transcode 4K sources in it.
        uhd: AccessName,
        /// Video transcodes of each of these classes.
        transcodes: Limit,
        /// Part of the GPUs' capacity that is there.
        capacity: Percent,
        /// GPUs whose capacity changes; none: all.
        gpus: Vec<String>,
        /// Mode of this rule.
        mode: ModeName,
    }
    /// The line out of the house.
    Uplink {
        /// What it carries.
        limit: BitrateLimit,
        /// Networks inside the house: their viewers don't use it.
        local: Vec<Network>,
        /// Mode of this limit.
        mode: ModeName,
    }
    /// Which version of a film a client plays that asked for none.
    Versions {
        /// `cheapest` puts first what plays without a transcode, or else with a cheaper one; `as-is` changes nothing.
        prefer: VersionsName,
        /// Least lines of a picture that may be put before a dearer one.
        floor: u32,
    }
    /// How long and how many may wait.
    Queue {
        /// Waiting in all.
        length: u32,
        /// Waiting of one user.
        per_user: u32,
        /// Longest wait, whatever the player's patience.
        max_wait: Span,
        /// How long who has left or been refused may ask again for the same item and have his old place.
        keep_place: Span,
    }
    /// How long seats are held, and when they go back.
    Leases {
        /// Reserved, but nothing is asked for: given back.
        reserve: Span,
        /// A playlist request prolongs a reservation to this.
        intent: Span,
        /// No segment and no report for this long: ended.
        idle: Span,
        /// A viewer paused for longer gives his seats up.
        park_after: SpanOrNever,
        /// How long a paused viewer may come back without asking.
        parked: Span,
        /// How long FFmpeg needs to go after a stop.
        linger: Span,
        /// A player that shows nothing for this long is dead.
        dead_after: Span,
        /// How long after a stop the same screen may start the next thing without queueing.
        grace: Span,
        /// How long after a start of Finweir running streams are taken in.
        recovery: Span,
        /// Another item on the same device replaces the old one once that read nothing for this long.
        replace_idle: Span,
        /// End Jellyfin's job of a dead player too.
        end_dead_jobs: bool,
        /// End Jellyfin's job of a viewer whose seats are lent out.
        end_parked: bool,
    }
    /// How running streams are ended for others, where a class has `preempt`.
    Preemption {
        /// How long the viewer who is told still watches.
        grace: Span,
        /// On one GPU, no more often than this.
        every: Span,
    }
    /// The cost formula: factors.
    Cost {
        /// Tone-mapping, on decode work, for GPUs whose profile has none.
        tone_map: f64,
        /// Sources of 1440p and more.
        uhd_surcharge: f64,
        /// More than 8 bits.
        ten_bit: f64,
        /// Dolby Vision.
        dolby_vision: f64,
        /// Subtitles drawn into the picture.
        burn_in: f64,
    }
    /// A player that is treated in another way.
    Client {
        /// The player.
        client: ClientName,
        /// How it is refused.
        shape: ShapeName,
        /// How long it waits.
        patience: Span,
        /// Whether it may be made to play a file as it is: it must come back by itself if it can't.
        direct_play: bool,
    }
    /// How often Jellyfin is asked what is running.
    Poll {
        /// While anything is held or waits.
        active: Span,
        /// While nothing is.
        idle: Span,
    }
    /// Logs.
    Logging {
        /// `auto` is text on a terminal, else JSON.
        format: FormatName,
        /// `error`, `warn`, `info`, `debug`, `trace`, or directives such as `info,finweir::hop=debug`.
        level: String,
    }
    /// Metrics.
    Metrics {
        /// What the label `user` of the two per-user counters holds.
        user_label: UserLabelName,
    }
    /// How much of a request or an answer is read.
    Requests {
        /// Most of a PlaybackInfo request or a report.
        max_request: Size,
        /// Most of a PlaybackInfo answer.
        max_answer: Size,
    }
}
