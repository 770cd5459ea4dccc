//! What a viewer reads when a play is refused, made smaller or ended, in English and German.
//!
//! Short, kind, without a detail of the server, and saying what to do.

use schemars::JsonSchema;

use crate::{
    admission::Reason,
    proxy::{Notice, Texts},
};

/// Texts by language and reason; the schema knows the reasons.
pub(super) struct TextsSchema;

impl JsonSchema for TextsSchema {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Texts".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let notices = Notice::ALL.iter().map(|notice| notice.as_str());
        let reasons: serde_json::Map<String, serde_json::Value> = shown()
            .map(Reason::as_str)
            .chain(notices)
            .map(|reason| {
                let text = serde_json::json!({ "type": "string", "maxLength": 500 });
                (reason.to_owned(), text)
            })
            .collect();
        schemars::json_schema!({
            "type": "object",
            "propertyNames": { "pattern": "^[A-Za-z]{2,3}$" },
            "additionalProperties": {
                "type": "object",
                "properties": reasons,
                "additionalProperties": false,
            },
        })
    }
}

/// The built-in texts.
pub(super) fn built_in() -> Texts {
    let mut texts = Texts::default();
    for reason in Reason::ALL {
        if let Some((english, german)) = of(*reason) {
            texts.set("en", *reason, english.to_owned());
            texts.set("de", *reason, german.to_owned());
        }
    }
    for notice in Notice::ALL {
        let (english, german) = says(*notice);
        texts.set_notice("en", *notice, english.to_owned());
        texts.set_notice("de", *notice, german.to_owned());
    }
    texts
}

const fn says(notice: Notice) -> (&'static str, &'static str) {
    match notice {
        Notice::SteppedDown => (
            "The server is busy just now, so this plays in a lower quality.",
            "Der Server ist gerade ausgelastet, deshalb läuft das in geringerer Qualität.",
        ),
        Notice::Preempted => (
            "The server is full, and somebody else needs it now: this stops in {seconds} seconds. Please try again later, or choose \"Original\" quality.",
            "Der Server ist voll und wird jetzt anders gebraucht: Das hier endet in {seconds} Sekunden. Bitte versuche es später noch einmal oder wähle die Qualität \"Original\".",
        ),
        Notice::Spared => (
            "There is room after all: this plays on.",
            "Es ist doch noch Platz: Das hier läuft weiter.",
        ),
    }
}

/// The reasons that a viewer can be given.
pub(super) fn shown() -> impl Iterator<Item = Reason> {
    Reason::ALL.iter().copied().filter(|r| of(*r).is_some())
}

const fn of(reason: Reason) -> Option<(&'static str, &'static str)> {
    Some(match reason {
        Reason::Fits
        | Reason::Cheap
        | Reason::Replacement
        | Reason::Resume
        | Reason::Adopted
        | Reason::Waited
        | Reason::Observed
        | Reason::FailOpen
        | Reason::Yields
        | Reason::Pressure
        | Reason::RunsAlone
        | Reason::Operator => return None,
        Reason::UserLimit => (
            "You are already watching as many converted videos as you may at once. Please stop one of them, or choose \"Original\" quality here.",
            "Du siehst schon so viele umgewandelte Videos, wie gleichzeitig möglich sind. Bitte beende eines davon oder wähle hier die Qualität \"Original\".",
        ),
        Reason::UserStreams => (
            "You are already watching on as many screens as you may at once. Please stop one of them and try again.",
            "Du siehst schon auf so vielen Geräten, wie gleichzeitig möglich sind. Bitte beende eines davon und versuche es noch einmal.",
        ),
        Reason::ClassLimit => (
            "Too many people are watching converted videos just now. Please try again in a few minutes, or choose \"Original\" quality.",
            "Gerade sehen zu viele umgewandelte Videos. Bitte versuche es in ein paar Minuten noch einmal oder wähle die Qualität \"Original\".",
        ),
        Reason::ServerLimit | Reason::GpuFull | Reason::GpuSessions => (
            "The server is busy just now. Please try again in a few minutes, or choose \"Original\" quality.",
            "Der Server ist gerade ausgelastet. Bitte versuche es in ein paar Minuten noch einmal oder wähle die Qualität \"Original\".",
        ),
        Reason::UplinkFull => (
            "The server's internet connection is busy just now. Please choose a lower quality, or try again in a few minutes.",
            "Die Internetverbindung des Servers ist gerade ausgelastet. Bitte wähle eine geringere Qualität oder versuche es in ein paar Minuten noch einmal.",
        ),
        Reason::UhdDenied => (
            "This 4K video can't be converted for you. Please choose another version of it, or a player that plays 4K directly.",
            "Dieses 4K-Video kann für dich nicht umgewandelt werden. Bitte wähle eine andere Version oder ein Gerät, das 4K direkt abspielt.",
        ),
        Reason::TranscodeDenied => (
            "This video would have to be converted, which is not available to you. Please choose \"Original\" quality or another player.",
            "Dieses Video müsste umgewandelt werden; das ist für dich nicht vorgesehen. Bitte wähle die Qualität \"Original\" oder ein anderes Gerät.",
        ),
        Reason::LibraryRule => (
            "Videos of this library can't be converted just now. Please choose \"Original\" quality or another version.",
            "Videos dieser Bibliothek können gerade nicht umgewandelt werden. Bitte wähle die Qualität \"Original\" oder eine andere Version.",
        ),
        Reason::TimeWindow => (
            "This can't be played converted at this time of day. Please choose \"Original\" quality, or try again later.",
            "Um diese Zeit kann das nicht umgewandelt abgespielt werden. Bitte wähle die Qualität \"Original\" oder versuche es später noch einmal.",
        ),
        Reason::Quota => (
            "You have used up {quota}. It starts again in {renews}.{instead}",
            "Du hast {quota} aufgebraucht. In {renews} geht es von vorn los.{instead}",
        ),
        Reason::StartRate => (
            "That was started very often in a short time. Please wait a minute and try again.",
            "Das wurde in kurzer Zeit sehr oft gestartet. Bitte warte eine Minute und versuche es dann noch einmal.",
        ),
        Reason::QueueFull | Reason::WaitedOut => (
            "The server is busy, and nothing became free in time. Please try again in a few minutes.",
            "Der Server ist ausgelastet, und es wurde nicht rechtzeitig etwas frei. Bitte versuche es in ein paar Minuten noch einmal.",
        ),
        Reason::WaitTooLong => (
            "The server is busy, and it will take some minutes until something becomes free. Please try again later, or choose \"Original\" quality.",
            "Der Server ist ausgelastet, und es dauert einige Minuten, bis etwas frei wird. Bitte versuche es später noch einmal oder wähle die Qualität \"Original\".",
        ),
        Reason::Superseded => (
            "Something else was started on this device in the meantime.",
            "Auf diesem Gerät wurde inzwischen etwas anderes gestartet.",
        ),
        Reason::Paused => (
            "The server starts no new conversions just now. Please try again in a few minutes, or choose \"Original\" quality.",
            "Der Server beginnt gerade keine neuen Umwandlungen. Bitte versuche es in ein paar Minuten noch einmal oder wähle die Qualität \"Original\".",
        ),
        Reason::Draining => (
            "The server is being restarted. Please try again in a minute.",
            "Der Server wird neu gestartet. Bitte versuche es in einer Minute noch einmal.",
        ),
        Reason::Unreadable => (
            "This player's request was not understood. Please update the player, or try another one.",
            "Die Anfrage dieses Geräts wurde nicht verstanden. Bitte aktualisiere die App oder versuche eine andere.",
        ),
        Reason::Anonymous => (
            "Please sign in to play this video.",
            "Bitte melde dich an, um dieses Video abzuspielen.",
        ),
        Reason::Revoked => (
            "This playback was ended by the server's operator. Please try again later.",
            "Diese Wiedergabe wurde vom Betreiber des Servers beendet. Bitte versuche es später noch einmal.",
        ),
    })
}
