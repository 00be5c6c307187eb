//! The Rust SDK of Switchyard: conversations over one connection that mends itself.
//!
//! ```no_run
//! use switchyard_client::{Client, ClientConfig, Event, StaticToken};
//! # async fn example() -> Result<(), switchyard_client::Error> {
//! let client = Client::connect(ClientConfig::new("ws://127.0.0.1:7400/v1/ws", StaticToken::new("eyJ…")))?;
//! let conversation = client.create_direct("bob", None).await?.conversation;
//! client.subscribe(&conversation.id, Some(conversation.head)).await?;
//! client.send(&conversation.id, "hello").await?;
//! let mut events = client.events();
//! while let Some(event) = events.next().await {
//!     if let Event::Message(message) = event {
//!         println!("[{}] {}: {}", message.seq, message.sender, message.text);
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! What it promises:
//!
//! - **Nothing missed, nothing twice.** Events of a conversation arrive in the order of their numbers, across
//!   reconnects. Where the server no longer has what was missed, [`Event::Gap`] says so.
//! - **Stored once.** A message keeps its own id and is sent again under it until there is an answer. An outcome that
//!   cannot be known is [`Error::Unknown`], never a guess.
//! - **Bounded.** What waits to be sent and what waits to be read have limits. An application that does not read its
//!   events makes nothing grow: the SDK catches up from its position later.
//!
//! Order of sending: a message that was acknowledged before another one was sent has the lower number. Messages in
//! flight at the same time in one conversation keep the order in which they were submitted, unless the server asks
//! for one of them to be sent again (it is overloaded, or does not know the outcome): those already on their way behind
//! it may then come before it. Awaiting each send, or [`core::Settings::in_flight_per_conversation_max`] of 1, rules
//! that out.
//!
//! **Invariant:** [`core`] decides and does no input or output; [`Client`] and its driver do, and decide nothing.

pub mod core;

mod client;
mod config;
mod driver;
mod error;
mod event;
mod printable;
mod socket;
mod trust;

pub use client::{Client, Created, Draft, Events, PendingSend, Sent};
pub use config::{ClientConfig, StaticToken, TokenError, TokenFuture, TokenProvider};
pub use error::{Closed, Error};
pub use event::{Ended, Event, State};
pub use printable::Printable;
pub use switchyard_protocol as protocol;
pub use trust::Trust;
