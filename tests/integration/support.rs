//! A house with a simulated Jellyfin, Finweir before it, and the clients in it.

mod client;
mod clients;
mod house;
mod http;
mod origin;
mod recording;
mod relay;

pub(crate) use self::{
    client::{Device, Play, Shown},
    clients::{AndroidTv, Curl, Kodi, Roku, Swiftfin, Unknown, Web},
    house::{House, Setting, both, items, until},
    http::{Answer, ask, open},
    origin::Origin,
    recording::recorded,
    relay::Relay,
};
