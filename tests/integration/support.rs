//! A house with a simulated Jellyfin, Finweir before it, and the clients in it.

mod client;
mod clients;
mod house;
mod http;
mod origin;
mod recording;
mod relay;
mod socket;

pub(crate) use self::{
    client::{Device, Play, Shown, ticks},
    clients::{AndroidTv, Curl, Kodi, Roku, Swiftfin, Unknown, Web},
    house::{House, Setting, both, items, until},
    http::{Answer, ask, open},
    origin::Origin,
    recording::recorded,
    relay::{Fault, Relay},
    socket::Socket,
};
