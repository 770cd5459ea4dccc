//! Who has logged in to act: sessions of browsers, a few, for some hours.
//!
//! A browser shows the token once and gets a random session instead: in a cookie that no script can read and no other
//! site can make it send, with a second secret in every form. Sessions live in memory: a restart ends them. Whoever
//! answers for long within one asks [`Session::over`] when that must stop.

use std::{
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use subtle::ConstantTimeEq;
use tokio::sync::watch;

/// Sessions at once; the oldest goes when one more comes.
const MOST: usize = 32;
/// How long a session lasts.
pub(super) const LIFE: Duration = Duration::from_secs(12 * 3600);
/// Failed logins of one address within [`WINDOW`] before it must wait.
const TRIES: u32 = 5;
/// Failed logins of all addresses together within [`WINDOW`].
const TRIES_OF_ALL: u32 = 60;
/// How long failures count.
pub(super) const WINDOW: Duration = Duration::from_secs(60);
/// Addresses whose failures are remembered.
const MOST_ADDRESSES: usize = 256;
/// Longest name that an operator gives himself.
const LONGEST_NAME: usize = 40;

/// The name of the cookie.
const COOKIE: &str = "finweir";

/// A random secret, never printed.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Secret(Arc<str>);

/// A session that holds.
#[derive(Clone, Debug)]
pub(super) struct Session {
    id: Secret,
    /// To be given back with every form.
    pub(super) form: Secret,
    /// Who, and from where.
    pub(super) who: Arc<str>,
    until: Instant,
    /// Has no sender when it was closed.
    open: watch::Receiver<()>,
}

/// A session as it is kept.
#[derive(Debug)]
struct Kept {
    session: Session,
    /// What the next page says about the last action.
    said: Option<String>,
    /// Gone with it, which tells whoever holds the session.
    _open: watch::Sender<()>,
}

/// All sessions, and who failed to open one.
#[derive(Debug, Default)]
pub(super) struct Sessions(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    open: Vec<Kept>,
    failed: Vec<(IpAddr, Instant)>,
}

// === impl Sessions ===

impl Sessions {
    /// Opens a session. `None`: the system gives no random numbers.
    pub(super) fn open(&self, now: Instant, name: &str, from: Option<IpAddr>) -> Option<Session> {
        let (held, open) = watch::channel(());
        let session = Session {
            id: Secret::random()?,
            form: Secret::random()?,
            who: Arc::from(called(name, from)),
            until: now + LIFE,
            open,
        };
        let mut state = self.lock();
        state.open.retain(|kept| kept.session.until > now);
        if state.open.len() >= MOST {
            state.open.remove(0);
        }
        state.open.push(Kept {
            session: session.clone(),
            said: None,
            _open: held,
        });
        Some(session)
    }

    /// The session that a `Cookie` header names.
    pub(super) fn find(&self, now: Instant, cookies: &str) -> Option<Session> {
        let given = cookies
            .split(';')
            .filter_map(|pair| pair.trim().split_once('='))
            .find_map(|(name, value)| (name == COOKIE).then_some(value))?;
        let state = self.lock();
        let mut open = state.open.iter().map(|kept| &kept.session);
        open.find(|open| open.until > now && open.id.is(given))
            .cloned()
    }

    /// Ends a session.
    pub(super) fn close(&self, session: &Session) {
        let mut state = self.lock();
        state.open.retain(|kept| kept.session.id != session.id);
    }

    /// Leaves a word for the next page of this session.
    pub(super) fn say(&self, session: &Session, word: String) {
        if let Some(kept) = self.lock().kept(session) {
            kept.said = Some(word);
        }
    }

    /// Takes the word that was left.
    pub(super) fn said(&self, session: &Session) -> Option<String> {
        self.lock().kept(session)?.said.take()
    }

    /// Whether this address may try to log in now.
    pub(super) fn may_try(&self, now: Instant, from: Option<IpAddr>) -> bool {
        let mut state = self.lock();
        state.failed.retain(|(_, at)| *at + WINDOW > now);
        let own = state.failed.iter().filter(|(who, _)| Some(*who) == from);
        let own = u32::try_from(own.count()).unwrap_or(u32::MAX);
        let all = u32::try_from(state.failed.len()).unwrap_or(u32::MAX);
        own < TRIES && all < TRIES_OF_ALL
    }

    /// Notes that a login failed.
    pub(super) fn failed(&self, now: Instant, from: Option<IpAddr>) {
        let mut state = self.lock();
        if let Some(from) = from
            && state.failed.len() < MOST_ADDRESSES
        {
            state.failed.push((from, now));
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl State ===

impl State {
    fn kept(&mut self, session: &Session) -> Option<&mut Kept> {
        let mut open = self.open.iter_mut();
        open.find(|kept| kept.session.id == session.id)
    }
}

// === impl Session ===

impl Session {
    /// Ends when it does: by a logout, by its age, or because too many came after it.
    pub(super) async fn over(mut self) {
        tokio::select! {
            // Nothing is ever sent.
            _ = self.open.changed() => {}
            () = tokio::time::sleep_until(self.until.into()) => {}
        }
    }

    /// The value of `Set-Cookie` that gives it to a browser. `secure`: it came by TLS, and must not be sent without.
    pub(super) fn cookie(&self, secure: bool) -> String {
        format!(
            "{COOKIE}={}; HttpOnly; SameSite=Strict; Path=/; Max-Age={}{}",
            self.id.0,
            LIFE.as_secs(),
            if secure { "; Secure" } else { "" }
        )
    }
}

/// The value of `Set-Cookie` that takes a session from a browser.
pub(super) fn no_cookie() -> String {
    format!("{COOKIE}=; HttpOnly; SameSite=Strict; Path=/; Max-Age=0")
}

/// What somebody is called in the record: the name that he gave himself, and where he came from.
pub(super) fn called(name: &str, from: Option<IpAddr>) -> String {
    let name: String = name
        .trim()
        .chars()
        .filter(|c| !c.is_control())
        .take(LONGEST_NAME)
        .collect();
    let name = if name.is_empty() { "operator" } else { &name };
    match from {
        Some(from) => format!("{name} ({})", from.to_canonical()),
        None => name.to_owned(),
    }
}

// === impl Secret ===

impl Secret {
    fn random() -> Option<Self> {
        let mut bytes = [0; 24];
        let random = rustls::crypto::ring::default_provider().secure_random;
        random.fill(&mut bytes).ok()?;
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        Some(Self(Arc::from(hex)))
    }

    /// Whether this is it; how long the answer takes says nothing about it.
    pub(super) fn is(&self, given: &str) -> bool {
        self.0.as_bytes().ct_eq(given.as_bytes()).into()
    }

    /// The secret itself, for the browser that owns it.
    pub(super) fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(..)")
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;
    use crate::clock;

    fn cookie(session: &Session) -> String {
        session.cookie(false).split(';').next().unwrap().to_owned()
    }

    #[test]
    fn a_session_is_found_by_its_cookie_until_it_ends() {
        let sessions = Sessions::default();
        let now = clock::now();
        let from = "192.0.2.7".parse().ok();
        let session = sessions.open(now, " anna\n ", from).unwrap();
        assert_eq!(&*session.who, "anna (192.0.2.7)");
        let given = format!("a=b; {}; c", cookie(&session));
        assert!(sessions.find(now, &given).is_some());
        assert!(sessions.find(now, "finweir=").is_none());
        assert!(sessions.find(now + LIFE, &given).is_none());
        sessions.say(&session, "done".to_owned());
        assert_eq!(sessions.said(&session).as_deref(), Some("done"));
        assert_eq!(sessions.said(&session), None);
        sessions.close(&session);
        assert!(sessions.find(now, &given).is_none());
        assert!(!format!("{session:?}").contains(session.form.expose()));
    }

    #[test]
    fn the_oldest_of_too_many_sessions_goes() {
        let sessions = Sessions::default();
        let now = clock::now();
        let first = sessions.open(now, "", None).unwrap();
        for _ in 1..MOST {
            sessions.open(now, "", None).unwrap();
        }
        assert!(sessions.find(now, &cookie(&first)).is_some());
        sessions.open(now, "", None).unwrap();
        assert!(sessions.find(now, &cookie(&first)).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_holds_a_session_is_told_of_its_end() {
        let sessions = Sessions::default();
        let opened = || sessions.open(clock::now(), "", None).unwrap();
        let kept = opened();
        let (closed, replaced) = (opened(), kept.clone());
        let mut over = Box::pin(closed.clone().over());
        assert!(over.as_mut().now_or_never().is_none());
        sessions.close(&closed);
        assert!(over.now_or_never().is_some());
        assert!(kept.over().now_or_never().is_none());
        for _ in 0..MOST {
            opened();
        }
        assert!(replaced.over().now_or_never().is_some());

        let aged = opened();
        let began = clock::now();
        aged.over().await;
        assert!(clock::now() - began >= LIFE);
    }

    #[test]
    fn who_guesses_must_wait_and_others_need_not() {
        let sessions = Sessions::default();
        let now = clock::now();
        let guesser = "192.0.2.7".parse().ok();
        for _ in 0..TRIES {
            assert!(sessions.may_try(now, guesser));
            sessions.failed(now, guesser);
        }
        assert!(!sessions.may_try(now, guesser));
        assert!(sessions.may_try(now, "192.0.2.8".parse().ok()));
        assert!(sessions.may_try(now + WINDOW, guesser));
    }
}
