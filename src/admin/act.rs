//! What an operator can do from here. Each order goes through the core, which tells who gave it.

use std::{pin::Pin, sync::Arc};

use axum::{
    Extension,
    extract::State,
    http::{StatusCode, Uri},
    response::{IntoResponse, Response},
};

use super::{
    Side,
    auth::{Asked, Caller},
    login::back,
};
use crate::{
    admission::{Mode, Order, Subject},
    ident::{DeviceId, LeaseId, NodeId, Ticket, UserId},
};

/// Every order, as a path.
pub(super) const PATHS: [&str; 7] = [
    "/release", "/let-in", "/message", "/pause", "/resume", "/mode", "/drain",
];

/// Longest message to a viewer, in characters: more fits on no screen.
const LONGEST_MESSAGE: usize = 300;

/// A message to whoever plays something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The server that the viewer is on.
    pub node: NodeId,
    /// The viewer.
    pub user: UserId,
    /// The device.
    pub device: DeviceId,
    /// What is shown.
    pub text: String,
}

/// Whether a message was taken, and if not, why.
pub type Sent = Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;

/// What came of an order.
#[derive(Debug)]
struct Outcome(StatusCode, String);

/// Carries an order out.
pub(super) async fn act(
    State(side): State<Side>,
    Extension(caller): Extension<Caller>,
    Extension(asked): Extension<Asked>,
    uri: Uri,
) -> Response {
    let (who, session) = match caller {
        Caller::Token(who) => (who, None),
        Caller::Operator(session) => (session.who.clone(), Some(session)),
        // The guard lets nobody else act.
        Caller::Reader => return StatusCode::FORBIDDEN.into_response(),
    };
    let Outcome(status, said) = match order(uri.path(), &asked) {
        Ok(order) => carry_out(&side, order, &who, &asked).await,
        Err(wrong) => Outcome(StatusCode::BAD_REQUEST, wrong.to_owned()),
    };
    match session {
        Some(session) => {
            side.guard.sessions.say(&session, said);
            back(None)
        }
        None => (status, format!("{said}\n")).into_response(),
    }
}

/// The order that a path and its fields name.
fn order(path: &str, asked: &Asked) -> Result<Order, &'static str> {
    let given = |name| match asked.query.get(name) {
        "" => asked.fields.get(name),
        given => given,
    };
    let number = |name, letter| {
        let text = given(name);
        text.strip_prefix(letter).unwrap_or(text).parse::<u64>()
    };
    let lease = || {
        let number = number("lease", 'L');
        number
            .map(LeaseId)
            .map_err(|_| "`lease` must be its number")
    };
    match path {
        "/release" => lease().map(Order::Release),
        "/message" => lease().map(Order::Message),
        "/let-in" => match number("ticket", 'T') {
            Ok(number) => Ok(Order::LetIn(Ticket(number))),
            Err(_) => Err("`ticket` must be its number"),
        },
        "/pause" => Ok(Order::Pause),
        "/resume" => Ok(Order::Resume),
        "/drain" => Ok(Order::Drain),
        "/mode" => match given("mode") {
            "observe" => Ok(Order::Mode(Mode::Observe)),
            "enforce" => Ok(Order::Mode(Mode::Enforce)),
            _ => Err("`mode` must be observe or enforce"),
        },
        _ => Err("no such action"),
    }
}

async fn carry_out(side: &Side, order: Order, who: &Arc<str>, asked: &Asked) -> Outcome {
    let text = match order {
        Order::Message(lease) => message_text(asked, lease),
        Order::Release(_)
        | Order::LetIn(_)
        | Order::Pause
        | Order::Resume
        | Order::Drain
        | Order::Mode(_) => String::new(),
    };
    if matches!(order, Order::Message(_)) && text.is_empty() {
        return Outcome(StatusCode::BAD_REQUEST, "The message is empty.".to_owned());
    }
    if order == Order::Drain {
        side.handles.readiness.draining();
    }
    let Some(about) = side.handles.gate.operate(order, who) else {
        return Outcome(StatusCode::CONFLICT, nothing(order).to_owned());
    };
    let name = about.as_deref().map_or("", called);
    match order {
        Order::Release(_) => done(format!("The stream of {name} is ended.")),
        Order::LetIn(_) => done(format!("{name} was let in.")),
        Order::Pause => done("No new transcode is let in until you resume.".to_owned()),
        Order::Resume => done("New transcodes are let in again.".to_owned()),
        Order::Mode(Mode::Observe) => {
            done("Observing until the next reload: nothing is refused.".to_owned())
        }
        Order::Mode(Mode::Enforce) => done("Enforcing until the next reload.".to_owned()),
        Order::Drain => {
            (side.handles.drain)();
            Outcome(StatusCode::ACCEPTED, "draining".to_owned())
        }
        Order::Message(_) => match about.as_deref() {
            Some(subject) => send(side, subject, text).await,
            None => Outcome(StatusCode::CONFLICT, nothing(order).to_owned()),
        },
    }
}

async fn send(side: &Side, subject: &Subject, text: String) -> Outcome {
    let message = Message {
        node: subject.node.clone(),
        user: subject.user.clone(),
        device: subject.device.clone(),
        text,
    };
    match (side.handles.message)(message).await {
        Ok(()) => done(format!("Jellyfin shows it to {}.", called(subject))),
        Err(why) => Outcome(
            StatusCode::BAD_GATEWAY,
            format!("The message was not shown: {why}."),
        ),
    }
}

/// The page has a field of its own for each stream.
fn message_text(asked: &Asked, lease: LeaseId) -> String {
    let text = match asked.fields.get("text") {
        "" => asked.fields.get(&format!("text-{}", lease.0)),
        text => text,
    };
    let text = text.trim().chars().filter(|c| !c.is_control());
    text.take(LONGEST_MESSAGE).collect()
}

fn done(said: String) -> Outcome {
    Outcome(StatusCode::OK, said)
}

/// Why there was nothing to do.
fn nothing(order: Order) -> &'static str {
    match order {
        Order::Release(_) | Order::Message(_) => "That stream has ended already.",
        Order::LetIn(_) => "That one does not wait any more.",
        Order::Pause => "It is paused already.",
        Order::Resume => "It is not paused.",
        Order::Mode(_) => "It works in this mode already.",
        Order::Drain => "It is stopping already.",
    }
}

/// The user's name; where that isn't known, the id.
fn called(subject: &Subject) -> &str {
    subject
        .user_name
        .as_deref()
        .unwrap_or(subject.user.as_str())
}
