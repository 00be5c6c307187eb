//! The middle part of a token: the claims, found by configured names in one pass that borrows from the decoded JSON.
//! Reading is not believing: the signature is checked by the caller before anything of this is used.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::refusal::TokenRefusal;

/// Distinct claims that a configuration may name, the registered ones included. An array of this size lies on the stack
/// while a token is checked.
pub(super) const SLOTS_MAX: usize = 16;

/// Types (`typ` in the header, `typ`, `token_type` and `token_use` among the claims) that an access token may carry.
const ACCESS_TYPES: [&str; 5] = ["jwt", "at+jwt", "application/at+jwt", "access", "bearer"];

/// Whether a token that says so of itself is an access token. Unknown types are not: a refresh or identity token has the
/// same issuer, key and user.
pub(super) fn is_access_type(typ: &str) -> bool {
    ACCESS_TYPES.iter().any(|known| known.eq_ignore_ascii_case(typ))
}

/// Where in the slots a claim is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slot(usize);

/// The claims to look for. Two purposes may share one claim, as `email` can be user id and name at once.
#[derive(Debug, Default)]
pub(super) struct Plan {
    names: Vec<Box<str>>,
}

impl Plan {
    /// The slot of a claim, a new one unless it was named before; `None` when there are too many.
    pub(super) fn slot(&mut self, name: &str) -> Option<Slot> {
        if let Some(slot) = self.find(name) {
            return Some(slot);
        }
        if self.names.len() == SLOTS_MAX {
            return None;
        }
        self.names.push(name.into());
        Some(Slot(self.names.len() - 1))
    }

    fn find(&self, name: &str) -> Option<Slot> {
        self.names.iter().position(|known| &**known == name).map(Slot)
    }

    /// Reads decoded JSON. A claim of this plan that appears twice is refused: two readers might take different ones.
    pub(super) fn read<'a>(&self, json: &'a [u8]) -> Result<ClaimValues<'a>, TokenRefusal> {
        let mut reader = serde_json::Deserializer::from_slice(json);
        let values = reader.deserialize_map(ObjectVisitor(self)).map_err(|_| TokenRefusal::Malformed)?;
        reader.end().map_err(|_| TokenRefusal::Malformed)?;
        Ok(ClaimValues(values))
    }
}

/// A claim's value, as far as claims are of use here.
#[derive(Debug, PartialEq)]
pub(super) enum Value<'a> {
    /// A text.
    Text(Cow<'a, str>),
    /// A whole number of at least zero.
    Unsigned(u64),
    /// A whole number below zero.
    Negative(i64),
    /// Any other number.
    Float(f64),
    /// A list of texts only.
    List(Vec<Cow<'a, str>>),
    /// Something else: true, an object, a mixed list.
    Other,
}

/// What was found, by slot. `null` counts as absent.
#[derive(Debug)]
pub(super) struct ClaimValues<'a>([Option<Value<'a>>; SLOTS_MAX]);

impl<'a> ClaimValues<'a> {
    /// The claim's value, if it was there.
    pub(super) fn get(&self, slot: Slot) -> Option<&Value<'a>> {
        self.0.get(slot.0).and_then(Option::as_ref)
    }

    /// A claim that is a text or absent.
    pub(super) fn text(&self, slot: Slot) -> Result<Option<&str>, TokenRefusal> {
        match self.get(slot) {
            None => Ok(None),
            Some(Value::Text(text)) => Ok(Some(text)),
            Some(_) => Err(TokenRefusal::Claims),
        }
    }

    /// An id: a text, or a whole number as its decimal text.
    pub(super) fn id(&self, slot: Slot) -> Result<Option<Cow<'_, str>>, TokenRefusal> {
        match self.get(slot) {
            None => Ok(None),
            Some(Value::Text(text)) => Ok(Some(Cow::Borrowed(text))),
            Some(Value::Unsigned(number)) => Ok(Some(Cow::Owned(number.to_string()))),
            Some(Value::Negative(number)) => Ok(Some(Cow::Owned(number.to_string()))),
            Some(_) => Err(TokenRefusal::Claims),
        }
    }

    /// A NumericDate in milliseconds; times before 1970 are zero and times beyond reason are the largest.
    pub(super) fn time_ms(&self, slot: Slot) -> Result<Option<u64>, TokenRefusal> {
        match self.get(slot) {
            None => Ok(None),
            Some(Value::Unsigned(seconds)) => Ok(Some(seconds.saturating_mul(1_000))),
            Some(Value::Negative(_)) => Ok(Some(0)),
            // Conversion from float saturates, and what is not a number becomes zero, which is long past.
            Some(Value::Float(seconds)) => Ok(Some((seconds * 1_000.0) as u64)),
            Some(_) => Err(TokenRefusal::Claims),
        }
    }

    /// Whether a text equals the claim or one of its list.
    pub(super) fn contains(&self, slot: Slot, wanted: &str) -> bool {
        match self.get(slot) {
            Some(Value::Text(text)) => text == wanted,
            Some(Value::List(texts)) => texts.iter().any(|text| text == wanted),
            _ => false,
        }
    }
}

struct ObjectVisitor<'p>(&'p Plan);

impl<'de> Visitor<'de> for ObjectVisitor<'_> {
    type Value = [Option<Value<'de>>; SLOTS_MAX];

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of claims")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut values = [const { None }; SLOTS_MAX];
        let mut seen = [false; SLOTS_MAX];
        while let Some(slot) = map.next_key_seed(KeySeed(self.0))? {
            let Some(Slot(index)) = slot else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            let (Some(value), Some(seen)) = (values.get_mut(index), seen.get_mut(index)) else {
                return Err(A::Error::custom("no such slot"));
            };
            if std::mem::replace(seen, true) {
                return Err(A::Error::custom("a claim was given twice"));
            }
            *value = map.next_value_seed(ValueSeed)?;
        }
        Ok(values)
    }
}

/// Turns a claim's name into its slot without keeping the name.
struct KeySeed<'p>(&'p Plan);

impl<'de> DeserializeSeed<'de> for KeySeed<'_> {
    type Value = Option<Slot>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for KeySeed<'_> {
    type Value = Option<Slot>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a claim's name")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Self::Value, E> {
        Ok(self.0.find(name))
    }
}

/// Reads any JSON value; `None` is `null`.
struct ValueSeed;

impl<'de> DeserializeSeed<'de> for ValueSeed {
    type Value = Option<Value<'de>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ValueSeed {
    type Value = Option<Value<'de>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a claim's value")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Some(Value::Text(Cow::Borrowed(text))))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Some(Value::Text(Cow::Owned(text.to_owned()))))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Self::Value, E> {
        Ok(Some(Value::Unsigned(number)))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Self::Value, E> {
        Ok(Some(u64::try_from(number).map_or(Value::Negative(number), Value::Unsigned)))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Self::Value, E> {
        Ok(Some(Value::Float(number)))
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Self::Value, E> {
        Ok(Some(Value::Other))
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut texts = Vec::new();
        let mut only_texts = true;
        while let Some(element) = seq.next_element_seed(ValueSeed)? {
            match element {
                Some(Value::Text(text)) => texts.push(text),
                _ => only_texts = false,
            }
        }
        Ok(Some(if only_texts { Value::List(texts) } else { Value::Other }))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Some(Value::Other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(names: &[&str]) -> (Plan, Vec<Slot>) {
        let mut plan = Plan::default();
        let slots = names.iter().map(|name| plan.slot(name).expect("few names")).collect();
        (plan, slots)
    }

    #[test]
    fn one_claim_may_serve_two_purposes() {
        let (plan, slots) = plan(&["email", "email"]);
        let claims = plan.read(br#"{"other":{"a":[1]},"email":"a@b"}"#).expect("well formed");
        assert_eq!(slots[0], slots[1]);
        assert_eq!(claims.text(slots[1]), Ok(Some("a@b")));
    }

    #[test]
    fn numbers_become_decimal_text_and_other_things_are_no_ids() {
        let (plan, slots) = plan(&["id"]);
        let id =
            |json: &str| plan.read(json.as_bytes()).expect("well formed").id(slots[0]).map(|id| id.map(String::from));
        assert_eq!(id(r#"{"id":42}"#), Ok(Some("42".to_owned())));
        assert_eq!(id(r#"{"id":-7}"#), Ok(Some("-7".to_owned())));
        assert_eq!(id(r#"{"id":"k\u00fc"}"#), Ok(Some("kü".to_owned())));
        assert_eq!(id(r#"{"id":null}"#), Ok(None));
        assert_eq!(id(r#"{}"#), Ok(None));
        for bad in [r#"{"id":1.5}"#, r#"{"id":true}"#, r#"{"id":["a"]}"#, r#"{"id":{}}"#, r#"{"id":1e30}"#] {
            assert_eq!(id(bad), Err(TokenRefusal::Claims), "{bad}");
        }
    }

    #[test]
    fn times_saturate() {
        let (plan, slots) = plan(&["exp"]);
        let time = |json: &str| plan.read(json.as_bytes()).expect("well formed").time_ms(slots[0]);
        assert_eq!(time(r#"{"exp":1.25}"#), Ok(Some(1_250)));
        assert_eq!(time(r#"{"exp":-1}"#), Ok(Some(0)));
        assert_eq!(time(r#"{"exp":18446744073709551615}"#), Ok(Some(u64::MAX)));
        assert_eq!(time(r#"{"exp":1e300}"#), Ok(Some(u64::MAX)));
        assert_eq!(time(r#"{"exp":"1"}"#), Err(TokenRefusal::Claims));
    }

    #[test]
    fn a_claim_given_twice_is_refused() {
        let (plan, _) = plan(&["sub"]);
        assert_eq!(plan.read(br#"{"sub":"a","sub":"b"}"#).err(), Some(TokenRefusal::Malformed));
        assert_eq!(plan.read(br#"{"sub":null,"s\u0075b":"b"}"#).err(), Some(TokenRefusal::Malformed));
        assert!(plan.read(br#"{"x":1,"x":2,"sub":"a"}"#).is_ok(), "what nobody reads may be odd");
    }

    #[test]
    fn deep_and_trailing_input_is_refused() {
        let (plan, _) = plan(&["sub"]);
        let deep = format!(r#"{{"sub":{}1{}}}"#, "[".repeat(2_000), "]".repeat(2_000));
        for bad in [deep.as_bytes(), b"{} {}", b"[]", b"", b"\xff", br#"{"sub":"\ud800"}"#] {
            assert_eq!(plan.read(bad).err(), Some(TokenRefusal::Malformed));
        }
    }
}
