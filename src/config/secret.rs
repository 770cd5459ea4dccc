//! Secrets in the file: the text itself, or the environment variable that holds it.

use schemars::JsonSchema;
use serde::Deserialize;

/// A secret: the text itself, or where it is.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(from = "SecretText")]
#[schemars(with = "SecretSchema")]
pub(super) struct Secret(pub(super) SecretText);

/// What a [`Secret`] is written as. Its `Debug` shows nothing.
#[derive(Clone)]
pub(super) enum SecretText {
    /// The secret.
    Plain(String),
    /// The environment variable that holds it.
    Env(String),
}

#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only its schema is used")]
enum SecretSchema {
    Plain(String),
    Env(EnvName),
}

/// The environment variable that holds a secret.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct EnvName {
    /// Its name.
    env: String,
}

// === impl Secret ===

impl From<SecretText> for Secret {
    fn from(text: SecretText) -> Self {
        Self(text)
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl<'de> Deserialize<'de> for SecretText {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Text;
        impl<'de> serde::de::Visitor<'de> for Text {
            type Value = SecretText;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a text in quotes, or `{env: NAME}`")
            }
            fn visit_str<E>(self, text: &str) -> Result<SecretText, E> {
                Ok(SecretText::Plain(text.to_owned()))
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(
                self,
                from: A,
            ) -> Result<SecretText, A::Error> {
                EnvName::deserialize(serde::de::value::MapAccessDeserializer::new(from))
                    .map(|name| SecretText::Env(name.env))
            }
        }
        from.deserialize_any(Text)
    }
}
