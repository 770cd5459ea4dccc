//! Finweir: transcode admission control for Jellyfin.
//!
//! A *fish weir* lets the water through and decides which fish pass. Finweir stands between HAProxy and a Jellyfin
//! server. Before FFmpeg starts, it decides for every transcode: run now, wait, step down, or be refused in words the client
//! understands. Everything else passes untouched.
//!
//! ```text
//! HAProxy ─▶ hop (listener) ─▶ proxy: route ─▶ identity ─▶ plan ─▶ gate ─▶ answer or refuse
//!                 └── everything else, and every byte of media, straight through ──▶ Jellyfin
//! beside it: control (/Sessions, timers) · admin (metrics, health, state, page) on a thread of its own
//! ```
//!
//! # Where things are
//!
//! | layer | module | what it does |
//! |---|---|---|
//! | 0 | [`ident`], [`clock`], [`tasks`] | names; the one reader of the clocks; the one spawner |
//! | 1 pure | [`admission`] | decides which transcodes run, wait, step down or are turned away |
//! | 1 pure | [`jellyfin`] | reads and rewrites Jellyfin's messages |
//! | 2 | [`hop`] | HTTP/1.1 from sockets to sockets; knows nothing of Jellyfin |
//! | 2 | [`telemetry`] | turns events into metrics and log lines |
//! | 2 | [`journal`] | writes down what the core is told and does; reads it back |
//! | 3 | [`gate`] | lets async code wait on [`admission`] |
//! | 3 | [`upstream`] | calls Jellyfin for Finweir's own needs |
//! | 3 | [`demand`] | Jellyfin's words → the core's words |
//! | 3 | [`gpu`] | the model of a GPU |
//! | 4 | [`proxy`] | carries requests |
//! | 4 | [`control`] | the loops beside the data path |
//! | 4 | [`admin`] | shows state to operators and Prometheus |
//! | 4 | [`replay`] | decides a journal again: explains it, or tries another policy on it |
//! | 4 | [`notify`] | sends word to the operator when something is wrong, and again when it is well |
//! | 4 | `otlp` | sends a span for each decision; only with the feature of that name |
//! | 4 | [`scenario`] | measures policies with viewers in virtual time |
//! | 4 | [`sim`] | is a Jellyfin server, for tests and the demo |
//! | 5 | [`config`] | turns YAML into each module's settings |
//! | 6 | [`app`], [`demo`] | put it together |
//!
//! `src/main.rs` and `src/main/` are the commands: they read the command line and call [`app`], [`config`], [`demo`],
//! [`replay`] and [`scenario`].
//!
//! Dependencies point one way; `tests/architecture.rs` holds that. The two pure modules do no I/O, read no clock and
//! are not async: time is an argument. Start reading at [`proxy`], then [`admission`].
//!
//! # Words
//!
//! One word per thing, in code, YAML, metrics, page and documentation.
//!
//! | word | means |
//! |---|---|
//! | **demand** | a wish to run one transcode, with its cost |
//! | **work** | what must be done: codec, size, frame rate, tone-map, burn-in |
//! | **cost** | what it takes, in seats |
//! | **seat** | unit of capacity: one 1080p30 H.264 → 1080p H.264 transcode |
//! | **capacity** | what a GPU can bear now |
//! | **limit** | what policy allows a user or class |
//! | **quota** | what policy allows a user in a day or a week |
//! | **headroom** | capacity less what is held |
//! | **class** | users, clients or networks with limits together |
//! | **queue**, **ticket** | the waiting demands; the receipt of one |
//! | **admit, queue, downgrade, reject** | the four decisions |
//! | **lease** | seats held by one play session, renewed by signs of life |
//! | **reserve, confirm, touch, park, linger, release** | the moves of a lease |
//! | **patience** | how long a given client will wait |
//! | **reconcile, adopt, orphan** | compare with Jellyfin; take in a transcode that was not seen to start; a lease whose transcode is gone |
//! | **throttle** | limit attempts per time |
//! | **drain** | refuse new, finish old, stop |
//! | **fail open** | let pass what can't be judged, loudly |
//! | **upstream, downstream** | Jellyfin's side, the client's side |
//!
//! # Decisions that span modules
//!
//! **Own forwarding beside hyper.** hyper alone can't meet both bounds of the hop: its read buffers make it cheap per
//! byte and cost a megabyte per stalled download, and bounding them costs half again as much CPU per byte. Requests are
//! therefore framed here, by one strict parser, and large bodies moved by `splice(2)`; hyper carries the messages that
//! Finweir reads whole (PlaybackInfo, reports). Rejected: hyper only; hyper for what is odd on the wire, which would be
//! a second reading of the same bytes.
//!
//! **One lock.** All admission state is behind one mutex, held for microseconds. Rejected: a concurrent map, in which
//! an invariant over user, class and GPU at once can't be held.
//!
//! **Addresses are judged once.** A segment's address, without the two numbers that change, is classified the first
//! time and recognised by its hash afterwards ([`proxy`]). Rejected: trusting the PlaySessionId alone, which lets a
//! session that copies switch to an address that encodes.

pub mod admin;
pub mod admission;
pub mod app;
pub mod clock;
pub mod config;
pub mod control;
pub mod demand;
pub mod demo;
pub mod gate;
pub mod gpu;
pub mod hop;
pub mod ident;
pub mod jellyfin;
pub mod journal;
pub mod notify;
#[cfg(feature = "otlp")]
pub mod otlp;
pub mod proxy;
pub mod replay;
pub mod scenario;
pub mod sim;
pub mod tasks;
pub mod telemetry;
pub mod upstream;
