//! Orders, persists and fans out conversations.
