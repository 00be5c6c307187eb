//! Generates the frames from their one definition, with no `protoc`, and hangs the JSON form's attributes on them; and the
//! document that describes them.

mod asyncapi;
#[path = "../src/code.rs"]
#[allow(dead_code, unreachable_pub, reason = "the crate's own; here its table alone is read")]
mod code;
#[path = "../src/limits.rs"]
#[allow(dead_code, unreachable_pub, reason = "the crate's own; here its table alone is read")]
mod limits;

use std::path::PathBuf;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto");
    println!("cargo:rerun-if-changed=build");
    println!("cargo:rerun-if-changed=src/code.rs");
    println!("cargo:rerun-if-changed=src/limits.rs");
    let mut compiler = protox::Compiler::new(["proto"])?;
    compiler.include_source_info(true).include_imports(true).open_file("switchyard/v1/frames.proto")?;
    let files = compiler.file_descriptor_set();
    for file in &files.file {
        let out = PathBuf::from(std::env::var_os("OUT_DIR").ok_or("cargo names a directory")?);
        std::fs::write(out.join("asyncapi.json"), asyncapi::document(file)?)?;
    }
    let mut config = prost_build::Config::new();
    // The frames that hold a choice are written by hand in json.rs; the rest is derived.
    const BY_HAND: [&str; 5] = ["ClientFrame", "ServerFrame", "Reply", "Event", "Subscriptions"];
    for message in files.file.iter().flat_map(|file| &file.message_type).filter_map(|message| message.name.as_deref()) {
        if !BY_HAND.contains(&message) {
            config.message_attribute(
                format!("switchyard.v1.{message}"),
                "#[derive(serde::Serialize, serde::Deserialize)] #[serde(default)]",
            );
        }
    }
    for field in [
        "Create.name",
        "Create.avatar",
        "Create.context",
        "Send.since",
        "Send.reply_to",
        "Edit.id",
        "Delete.id",
        "React.id",
        "Pin.id",
        "Message.reply_to",
        "Message.edited_ms",
        "Message.quote",
        "History.before",
        "History.after",
        "History.before_time_ms",
        "History.after_time_ms",
        "History.id",
        "Members.after",
        "Update.name",
        "Update.avatar",
        "Update.context",
        "Promote.role",
        "Demote.role",
        "Error.retry_after_ms",
        "SubscribedTo.error",
        "ResumedConversation.error",
        "OpenedConversation.error",
        "Conversation.name",
        "Conversation.avatar",
        "Conversation.context",
        "ConversationChanged.name",
        "ConversationChanged.avatar",
        "ConversationChanged.context",
        "ConversationChanged.closed",
        "ConversationChanged.pinned",
        "ConversationChanged.unpinned",
        "ConversationChanged.erased",
        "ConversationChanged.accepted",
        "Conversation.request",
        "UnreadCounts.requests",
        "Hello.subscribe",
        "Mark.read",
        "Mark.delivered",
        "Mark.id",
        "Marks.seq",
        "Marks.id",
        "Marks.after",
        "MemberMarks.passed_ms",
        "UnreadConversation.error",
        "Watch.conversation",
        "Unwatch.conversation",
        "UserPresence.last_seen_ms",
        "UserPresence.error",
        "List.cursor",
        "List.kind",
        "List.name",
        "List.state",
        "Listed.cursor",
        "Listing.last",
        "Listing.peer",
        "Welcome.all",
        "Subscribed.all",
        "SubscribedAll.error",
        "ListingChanged.added",
        "ListingChanged.head",
        "ListingChanged.changed",
        "Blocks.after",
    ] {
        config.field_attribute(format!("switchyard.v1.{field}"), "#[serde(skip_serializing_if = \"Option::is_none\")]");
    }
    // What most messages do not have, and JSON therefore leaves out.
    for field in ["Send.mentions", "Message.reactions", "Message.mentions", "Watched.counts", "Renewed.ended"] {
        config.field_attribute(format!("switchyard.v1.{field}"), "#[serde(skip_serializing_if = \"Vec::is_empty\")]");
    }
    for field in [
        "Message.pinned",
        "Message.deleted",
        "MemberMarks.passed_earlier",
        "Conversation.archived",
        "Conversation.blocked",
        "Conversation.declined",
        "List.archived",
        "Unread.all",
    ] {
        let skipped = "#[serde(skip_serializing_if = \"std::ops::Not::not\")]";
        config.field_attribute(format!("switchyard.v1.{field}"), skipped);
    }
    for (field, with) in [
        ("Create.kind", "conversation_kind"),
        ("Conversation.kind", "conversation_kind"),
        ("Send.kind", "message_kind"),
        ("Message.kind", "message_kind"),
        ("Quote.kind", "message_kind"),
        ("Conversation.role", "role"),
        ("Member.role", "role"),
        ("Promote.role", "optional_role"),
        ("Demote.role", "optional_role"),
        ("List.kind", "optional_kind"),
        ("List.state", "optional_state"),
        ("Conversation.request", "optional_side"),
    ] {
        config.field_attribute(format!("switchyard.v1.{field}"), format!("#[serde(with = \"crate::json::{with}\")]"));
    }
    // Ids of users are opaque text to us; applications often have numbers.
    for (field, with) in [
        ("Create.members", "user_ids"),
        ("Add.members", "user_ids"),
        ("Send.mentions", "user_ids"),
        ("Edit.mentions", "user_ids"),
        ("Watch.users", "user_ids"),
        ("Unwatch.users", "user_ids"),
        ("Remove.member", "user_id"),
        ("Promote.member", "user_id"),
        ("Demote.member", "user_id"),
        ("Members.after", "optional_user_id"),
        ("Marks.after", "optional_user_id"),
        ("Blocks.after", "optional_user_id"),
        ("Block.user", "user_id"),
        ("Unblock.user", "user_id"),
    ] {
        let with = format!("#[serde(deserialize_with = \"crate::json::user_id::{with}\")]");
        config.field_attribute(format!("switchyard.v1.{field}"), with);
    }
    // Seldom there, and larger than all else beside them.
    for field in ["Event.body.listed", "Event.listed", "Welcome.all"] {
        config.boxed(format!("switchyard.v1.{field}"));
    }
    config.compile_fds(files)?;
    Ok(())
}
