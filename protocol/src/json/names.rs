//! Numbers of the protobuf form that are names in the JSON form.

macro_rules! named_enum {
    ($module:ident, $enum:ty, { $($name:literal = $variant:path),* $(,)? }) => {
        pub(crate) mod $module {
            use serde::de::Error as _;
            use serde::{Deserialize as _, Deserializer, Serializer};

            #[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
            pub(crate) fn serialize<S: Serializer>(value: &i32, serializer: S) -> Result<S::Ok, S::Error> {
                match <$enum>::try_from(*value) {
                    $(Ok($variant) => serializer.serialize_str($name),)*
                    Err(_) => serializer.serialize_str("UNKNOWN"),
                }
            }

            pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i32, D::Error> {
                match &*std::borrow::Cow::<'de, str>::deserialize(deserializer)? {
                    $($name => Ok($variant as i32),)*
                    _ => Err(D::Error::custom(concat!("expected one of", $(" ", $name),*))),
                }
            }
        }
    };
}

named_enum!(message_kind, crate::v1::MessageKind, {
    "TEXT" = crate::v1::MessageKind::Text,
    "IMAGE" = crate::v1::MessageKind::Image,
    "FILE" = crate::v1::MessageKind::File,
    "SYSTEM" = crate::v1::MessageKind::System,
    "VIDEO" = crate::v1::MessageKind::Video,
    "AUDIO" = crate::v1::MessageKind::Audio,
});
named_enum!(conversation_kind, crate::v1::ConversationKind, {
    "direct" = crate::v1::ConversationKind::Direct,
    "group" = crate::v1::ConversationKind::Group,
    "customer_seller" = crate::v1::ConversationKind::CustomerSeller,
    "customer_support" = crate::v1::ConversationKind::CustomerSupport,
    "seller_support" = crate::v1::ConversationKind::SellerSupport,
    "internal" = crate::v1::ConversationKind::Internal,
});
named_enum!(role, crate::v1::Role, {
    "member" = crate::v1::Role::Member,
    "moderator" = crate::v1::Role::Moderator,
    "admin" = crate::v1::Role::Admin,
});

named_enum!(conversation_state, crate::v1::ConversationState, {
    "open" = crate::v1::ConversationState::Open,
    "closed" = crate::v1::ConversationState::Closed,
    "pending" = crate::v1::ConversationState::Pending,
    "declined" = crate::v1::ConversationState::Declined,
});
named_enum!(request_side, crate::v1::RequestSide, {
    "to_me" = crate::v1::RequestSide::ToMe,
    "by_me" = crate::v1::RequestSide::ByMe,
});

/// The same for a field that may be left out.
macro_rules! optional_enum {
    ($module:ident, $of:literal) => {
        pub(crate) mod $module {
            use serde::{Deserialize, Deserializer, Serialize, Serializer};

            #[derive(Serialize, Deserialize)]
            struct Named(#[serde(with = $of)] i32);

            #[allow(clippy::ref_option, reason = "serde's signature")]
            pub(crate) fn serialize<S: Serializer>(value: &Option<i32>, serializer: S) -> Result<S::Ok, S::Error> {
                value.map(Named).serialize(serializer)
            }

            pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i32>, D::Error> {
                Ok(Option::<Named>::deserialize(deserializer)?.map(|named| named.0))
            }
        }
    };
}

optional_enum!(optional_role, "super::role");
optional_enum!(optional_kind, "super::conversation_kind");
optional_enum!(optional_state, "super::conversation_state");
optional_enum!(optional_side, "super::request_side");
