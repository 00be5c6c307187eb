//! Ids of users as clients may write them in JSON: text, or a number, which becomes its decimal text. Only how they are
//! read; what an id may be is checked elsewhere.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, Visitor};

struct UserText(String);

impl<'de> Deserialize<'de> for UserText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextOrNumber;
        impl Visitor<'_> for TextOrNumber {
            type Value = UserText;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a user's id: text, or a whole number")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(UserText(text.to_owned()))
            }

            fn visit_string<E: Error>(self, text: String) -> Result<Self::Value, E> {
                Ok(UserText(text))
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Self::Value, E> {
                Ok(UserText(number.to_string()))
            }
        }
        deserializer.deserialize_any(TextOrNumber)
    }
}

pub(crate) fn user_id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    UserText::deserialize(deserializer).map(|user| user.0)
}

pub(crate) fn optional_user_id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(Option::<UserText>::deserialize(deserializer)?.map(|user| user.0))
}

pub(crate) fn user_ids<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    Ok(Vec::<UserText>::deserialize(deserializer)?.into_iter().map(|user| user.0).collect())
}
