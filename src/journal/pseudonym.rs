//! Names that nobody can read back: a keyed hash instead of users, devices and sessions.
//!
//! The key lies beside the journal and nowhere else. With it, `finweir replay` finds a user whom a new configuration
//! names; without it, the journal can be given away. An address keeps its network only.

use std::{
    fs::{self, OpenOptions},
    io::{self, Read, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    os::unix::fs::OpenOptionsExt,
    path::Path,
    sync::Arc,
};

use ring::hmac;

use super::JournalError;
use crate::{
    admission::{Demand, Input, Policy, Running, Who},
    ident::{DeviceId, PlaySessionId, UserId},
};

/// The name of the key's file.
const KEY: &str = "key";
const KEY_LENGTH: usize = 32;

/// Turns names into pseudonyms.
#[derive(Clone)]
pub struct Pseudonyms(hmac::Key);

impl std::fmt::Debug for Pseudonyms {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pseudonyms(..)")
    }
}

impl Pseudonyms {
    /// Takes the key that lies in `dir`; `make`: makes one if there is none.
    ///
    /// # Errors
    /// It can't be read or made.
    pub fn of(dir: &Path, make: bool) -> Result<Self, JournalError> {
        let path = dir.join(KEY);
        let key = match fs::read(&path) {
            Ok(key) => Ok(key),
            Err(error) if make && error.kind() == io::ErrorKind::NotFound => {
                fs::create_dir_all(dir).and_then(|()| make_key(&path))
            }
            Err(error) => Err(error),
        };
        let key = key.and_then(|key| {
            if key.len() < KEY_LENGTH {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    "it is too short",
                ));
            }
            Ok(key)
        });
        match key {
            Ok(key) => Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, &key))),
            Err(error) => Err(JournalError::Key(path, error)),
        }
    }

    /// The pseudonym of a text: 32 hex digits, as an id of Jellyfin's looks.
    pub fn text(&self, text: &str) -> String {
        let tag = hmac::sign(&self.0, text.as_bytes());
        tag.as_ref()
            .iter()
            .take(16)
            .fold(String::with_capacity(32), |hex, byte| {
                format!("{hex}{byte:02x}")
            })
    }

    fn user(&self, user: &UserId) -> UserId {
        if *user == UserId::anonymous() {
            return user.clone();
        }
        UserId::new(self.text(user.as_str()))
    }

    fn device(&self, device: &DeviceId) -> DeviceId {
        DeviceId::new(self.text(device.as_str()))
    }

    fn session(&self, session: &PlaySessionId) -> PlaySessionId {
        PlaySessionId::new(self.text(session.as_str()))
    }

    fn who(&self, who: &Who) -> Who {
        Who {
            user: self.user(&who.user),
            name: who
                .name
                .as_ref()
                .map(|name| Arc::from(self.text(&name.to_lowercase()))),
            device: self.device(&who.device),
            address: who.address.map(network),
            ..who.clone()
        }
    }

    fn demand(&self, demand: &Demand) -> Demand {
        Demand {
            who: self.who(&demand.who),
            session: demand.session.as_ref().map(|s| self.session(s)),
            ..demand.clone()
        }
    }

    /// What is written in the place of an input.
    pub(super) fn input(&self, input: Input) -> Input {
        match input {
            Input::Decide(demand) => Input::Decide(Box::new(self.demand(&demand))),
            Input::TurnAway {
                demand,
                reason,
                retry_after,
            } => Input::TurnAway {
                demand: Box::new(self.demand(&demand)),
                reason,
                retry_after,
            },
            Input::Bind { lease, session } => Input::Bind {
                lease,
                session: self.session(&session),
            },
            Input::Confirm {
                session,
                kind,
                activity,
            } => Input::Confirm {
                session: self.session(&session),
                kind,
                activity,
            },
            Input::Touch { session, activity } => Input::Touch {
                session: self.session(&session),
                activity,
            },
            Input::TouchDevice {
                user,
                device,
                activity,
            } => Input::TouchDevice {
                user: self.user(&user),
                device: self.device(&device),
                activity,
            },
            Input::Stop { session, why } => Input::Stop {
                session: self.session(&session),
                why,
            },
            Input::StopDevice {
                user,
                device,
                item,
                why,
            } => Input::StopDevice {
                user: self.user(&user),
                device: self.device(&device),
                item,
                why,
            },
            Input::Reconcile { node, running } => Input::Reconcile {
                node,
                running: running
                    .into_iter()
                    .map(|one| Running {
                        who: self.who(&one.who),
                        ..one
                    })
                    .collect(),
            },
            Input::Policy(policy) => Input::Policy(Arc::new(self.policy(&policy))),
            Input::SpendBytes { user, bytes } => Input::SpendBytes {
                user: self.user(&user),
                bytes,
            },
            Input::SpendSessionBytes { session, bytes } => Input::SpendSessionBytes {
                session: self.session(&session),
                bytes,
            },
            Input::Operate { order, who } => Input::Operate {
                order,
                who: self.text(&who).into(),
            },
            Input::Usage(book) => Input::Usage(Box::new(book.renamed(
                |user| self.user(&UserId::new(user)).as_str().to_owned(),
                |name| self.text(&name.to_lowercase()),
            ))),
            other @ (Input::Advance
            | Input::Release { .. }
            | Input::Withdraw { .. }
            | Input::Week { .. }
            | Input::Today(_)
            | Input::Flow(_)
            | Input::Drain) => other,
        }
    }

    /// The policy with each user that it names by his pseudonym. A pattern stays as it is, and matches nobody.
    #[must_use]
    pub fn policy(&self, policy: &Policy) -> Policy {
        let rename = |user: &mut String| {
            if !is_pattern(user) {
                *user = self.text(UserId::new(&*user).as_str());
            }
        };
        let mut policy = policy.clone();
        for rule in &mut policy.users {
            rename(&mut rule.user);
        }
        for class in &mut policy.classes {
            class.users.iter_mut().for_each(rename);
        }
        policy
    }
}

/// Whether a policy names users by a pattern, or tells networks apart that are narrower than what a journal with
/// pseudonyms keeps.
pub(super) fn is_blurred(policy: &Policy) -> bool {
    let narrow = |net: &ipnet::IpNet| match net {
        ipnet::IpNet::V4(net) => net.prefix_len() > 24,
        ipnet::IpNet::V6(net) => net.prefix_len() > 48,
    };
    let classes = &policy.classes;
    policy.uplink.local.iter().any(narrow)
        || policy.users.iter().any(|rule| is_pattern(&rule.user))
        || classes
            .iter()
            .any(|c| c.users.iter().any(|u| is_pattern(u)) || c.networks.iter().any(narrow))
}

fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?'])
}

fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(address) => {
            let [a, b, c, _] = address.octets();
            Ipv4Addr::new(a, b, c, 0).into()
        }
        IpAddr::V6(address) => {
            let [a, b, c, ..] = address.segments();
            Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0).into()
        }
    }
}

fn make_key(path: &Path) -> io::Result<Vec<u8>> {
    let mut key = vec![0; KEY_LENGTH];
    fs::File::open("/dev/urandom")?.read_exact(&mut key)?;
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?
        .write_all(&key)?;
    Ok(key)
}
