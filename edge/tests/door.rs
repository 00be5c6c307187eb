//! A door on a worker thread, spoken to over TCP by a public WebSocket client; the owners of conversations are played by
//! a stand-in behind the real link.

#[path = "door/owner.rs"]
mod owner;
#[path = "door/site.rs"]
mod site;

#[path = "door/endings.rs"]
mod endings;
#[path = "door/entrance.rs"]
mod entrance;
#[path = "door/marks.rs"]
mod marks;
#[path = "door/presence.rs"]
mod presence;
#[path = "door/talk.rs"]
mod talk;
#[path = "door/typing.rs"]
mod typing;
#[path = "door/wrong.rs"]
mod wrong;
