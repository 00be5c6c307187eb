//! What users can do, each test named after its line in the list of features: over the SDK in both forms, and over plain
//! JSON with a public WebSocket library.

mod annotations;
mod answers;
mod archive;
mod blocks;
mod conversations;
mod erase;
mod kinds;
mod lists;
mod marks;
mod messages;
mod operations;
mod presence;
mod requests;
mod resume;
mod rights;
mod sdk;
mod sessions;
mod trace;
mod typing;
