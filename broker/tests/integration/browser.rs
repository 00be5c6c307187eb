//! The page and the JavaScript SDK in a real Chromium, which is driven as a person would: by clicks and keys, and by looking.

mod annotations;
mod chat;
mod chrome;
mod groups;
mod history;
mod hostile;
mod kinds;
mod lists;
mod marks;
mod outage;
mod pins;
mod presence;
mod protocol;
mod requests;
mod sdk;

pub(crate) use chrome::Browser;
