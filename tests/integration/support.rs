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
    client::{Device, Heard, Play, Shown, Wish, ticks},
    clients::{AndroidTv, App, Curl, Leaves, Shape, Viewer, Web},
    house::{House, Setting, both, items, until},
    http::{Answer, ask, open},
    origin::Origin,
    recording::recorded,
    relay::{Fault, Relay},
    socket::Socket,
};
