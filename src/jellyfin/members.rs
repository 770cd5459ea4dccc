//! Members of Jellyfin's JSON objects, in PascalCase or camelCase, numbers also as strings.

use serde_json::{Map, Value};

/// The member `name` (given in PascalCase) of an answer, in either casing.
pub(super) fn member<'v>(value: &'v Value, name: &str) -> Option<&'v Value> {
    let object = value.as_object()?;
    object.get(name).or_else(|| object.get(&camel(name)))
}

/// The member `name` of something a client sent, in any letter case. The last one counts, as in .NET.
pub(super) fn any_case<'v>(value: &'v Value, name: &str) -> Option<&'v Value> {
    let members = value.as_object()?.iter().rev();
    members
        .filter(|(key, _)| key.eq_ignore_ascii_case(name))
        .map(|(_, value)| value)
        .next()
}

/// The name under which `object` has this member, if it has it.
pub(super) fn key_of(object: &Map<String, Value>, name: &str) -> Option<String> {
    [name.to_owned(), camel(name)]
        .into_iter()
        .find(|key| object.contains_key(key))
}

/// Sets the member `name`, under the name it has; a new one in the casing of its siblings.
pub(super) fn set(object: &mut Map<String, Value>, name: &str, value: Value) {
    let key = key_of(object, name).unwrap_or_else(|| {
        let camels = object
            .keys()
            .next()
            .is_some_and(|key| key.starts_with(|c: char| c.is_ascii_lowercase()));
        if camels { camel(name) } else { name.to_owned() }
    });
    object.insert(key, value);
}

/// Takes the member `name` out; the order of the others stays.
pub(super) fn remove(object: &mut Map<String, Value>, name: &str) {
    while let Some(key) = key_of(object, name) {
        object.shift_remove(&key);
    }
}

/// A member as text.
pub(super) fn text<'v>(value: &'v Value, name: &str) -> Option<&'v str> {
    member(value, name).and_then(Value::as_str)
}

/// A member as text, if it is not empty.
pub(super) fn filled<'v>(value: &'v Value, name: &str) -> Option<&'v str> {
    text(value, name).filter(|text| !text.is_empty())
}

/// A member as a truth value; absent is `false`.
pub(super) fn flag(value: &Value, name: &str) -> bool {
    member(value, name).and_then(truth).unwrap_or(false)
}

/// A member as a number that is not negative.
pub(super) fn natural(value: &Value, name: &str) -> Option<u64> {
    member(value, name).and_then(count)
}

/// A member as a number that fits.
pub(super) fn small<T: TryFrom<u64>>(value: &Value, name: &str) -> Option<T> {
    natural(value, name).and_then(|n| T::try_from(n).ok())
}

/// A member as any finite number.
pub(super) fn number(value: &Value, name: &str) -> Option<f64> {
    member(value, name).and_then(real)
}

/// `true`, `false`, or either as text in any letter case.
pub(super) fn truth(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(flag) => Some(*flag),
        Value::String(text) if text.eq_ignore_ascii_case("true") => Some(true),
        Value::String(text) if text.eq_ignore_ascii_case("false") => Some(false),
        Value::Null | Value::Number(_) | Value::String(_) | Value::Array(_) | Value::Object(_) => {
            None
        }
    }
}

/// A number that is not negative, or its text. A fraction is cut off.
pub(super) fn count(value: &Value) -> Option<u64> {
    match value {
        Value::Number(number) => number.as_u64().or_else(|| number.as_f64().and_then(whole)),
        Value::String(text) => text.trim().parse().ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

fn real(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
    .filter(|number| number.is_finite())
}

/// The whole part of a number, if it is one that fits.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the range is tested first, and a fraction is meant to be cut off"
)]
pub(super) fn whole(number: f64) -> Option<u64> {
    (0.0..9.0e18).contains(&number).then_some(number as u64)
}

/// Frames per second as thousandths, rounded.
pub(super) fn thousandths(number: f64) -> Option<u32> {
    whole((number * 1000.0).round()).and_then(|n| u32::try_from(n).ok())
}

fn camel(name: &str) -> String {
    // Jellyfin writes `eTag` for `ETag`: System.Text.Json lowers a leading run of capitals but its last.
    let bytes = name.as_bytes();
    let capitals = bytes.iter().take_while(|b| b.is_ascii_uppercase()).count();
    let lowered = match capitals {
        0 | 1 => capitals,
        all if all == bytes.len() => all,
        run => run - 1,
    };
    name.chars()
        .enumerate()
        .map(|(at, c)| {
            if at < lowered {
                c.to_ascii_lowercase()
            } else {
                c
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_member_is_found_in_either_casing() {
        let pascal = json!({"ETag": "a", "IsAVC": true, "Id": 1});
        let camel = json!({"eTag": "a", "isAVC": true, "id": 1});
        for value in [pascal, camel] {
            assert_eq!(text(&value, "ETag"), Some("a"));
            assert!(flag(&value, "IsAVC"));
            assert_eq!(natural(&value, "Id"), Some(1));
        }
    }

    #[test]
    fn a_new_member_takes_the_casing_of_its_siblings() {
        let mut value = json!({"mediaSources": []});
        set(value.as_object_mut().unwrap(), "ErrorCode", json!("x"));
        assert_eq!(value, json!({"mediaSources": [], "errorCode": "x"}));
    }

    #[test]
    fn numbers_may_be_text_and_negative_ones_are_no_counts() {
        let value = json!({"A": "12", "B": -3, "C": 4.9, "D": "x"});
        let read: Vec<_> = ["A", "B", "C", "D"].map(|n| natural(&value, n)).into();
        assert_eq!(read, [Some(12), None, Some(4), None]);
    }
}
