//! Bodies of stored rows, records and homes, as the router's tests judge them.

#[path = "../../router/tests/mutated/home.rs"]
pub(crate) mod home;
#[path = "../../router/tests/mutated/judge.rs"]
pub(crate) mod judge;
#[path = "../../router/tests/mutated/shelf.rs"]
mod shelf;
#[path = "../../router/tests/mutated/story.rs"]
mod story;
