//! The staff's column of the table of rights, cell by cell, open and closed, for each rank of the staff.

use std::cell::Cell;

use switchyard_client::protocol::code::ErrorCode;
use switchyard_client::protocol::v1::{ConversationKind, History, Marks, Role};
use switchyard_client::{Client, Error};

use super::super::sdk::{in_both_forms, nameless};
use super::client_as;
use crate::site::Site;

/// Yes.
const Y: Option<ErrorCode> = None;
/// No, by what one is here.
const N: Option<ErrorCode> = Some(ErrorCode::Forbidden);
/// There is no such thing, as far as the asker may know.
const X: Option<ErrorCode> = Some(ErrorCode::NotFound);
/// No, for it is closed.
const K: Option<ErrorCode> = Some(ErrorCode::Closed);

/// What can be done in a conversation: its first message is the customer's, its second an agent's.
#[derive(Clone, Copy, Debug)]
enum Deed {
    Send,
    History,
    Get,
    Subscribe,
    Open,
    Mark,
    Marks,
    React,
    EditCustomers,
    EditAgents,
    DeleteCustomers,
    DeleteAgents,
    Pin,
    AddStaff,
    AddCustomer,
    RemoveAgent,
    RemoveCustomer,
    Name,
    Context,
    Promote,
    Demote,
    Close,
    Reopen,
}

/// A conversation and its two messages.
struct Place {
    id: String,
    customers: String,
    agents: String,
}

impl Deed {
    async fn ask(self, client: &Client, place: &Place) -> Result<(), Error> {
        let Place { id, customers, agents } = place;
        match self {
            Self::Send => client.send(id, "text").await.map(drop),
            Self::History => client.history(History { conversation: id.clone(), ..History::default() }).await.map(drop),
            Self::Get => client.get(id).await.map(drop),
            Self::Subscribe => client.subscribe(id, None).await.map(drop),
            Self::Open => {
                client.subscribe(id, None).await?;
                let opened = client.open(&[id]).await?;
                assert!(opened.iter().all(|one| one.error.is_none()), "{opened:?}");
                client.open(&[]).await.map(drop)
            }
            Self::Mark => client.mark_read(id, 1).await,
            Self::Marks => client.marks(Marks { conversation: id.clone(), ..Marks::default() }).await.map(drop),
            Self::React => client.react(customers, "+1").await.map(drop),
            Self::EditCustomers => client.edit(customers, "changed", &[]).await.map(drop),
            Self::EditAgents => client.edit(agents, "changed", &[]).await.map(drop),
            Self::DeleteCustomers => client.delete(customers).await.map(drop),
            Self::DeleteAgents => client.delete(agents).await.map(drop),
            Self::Pin => client.pin(customers).await.map(drop),
            Self::AddStaff => client.add(id, &["other-agent"]).await.map(drop),
            Self::AddCustomer => client.add(id, &["friend"]).await.map(drop),
            Self::RemoveAgent => client.remove(id, "agent").await.map(drop),
            Self::RemoveCustomer => client.remove(id, "customer").await.map(drop),
            Self::Name => client.update(id, Some("name"), Some("avatar"), None).await.map(drop),
            Self::Context => client.update(id, None, None, Some("order 9")).await.map(drop),
            Self::Promote => client.promote(id, "customer", Role::Admin).await.map(drop),
            Self::Demote => client.demote(id, "agent", Role::Member).await.map(drop),
            Self::Close => client.close_conversation(id).await.map(drop),
            Self::Reopen => client.reopen_conversation(id).await.map(drop),
        }
    }

    /// Whether the SDK answers it without the server, or later.
    fn is_local(self) -> bool {
        matches!(self, Self::Mark)
    }
}

/// What is answered to staff who are no members, to the customer, and to everybody else, in an open conversation and a closed.
type Answers = [Option<ErrorCode>; 3];

const SUPPORT: [(Deed, Answers, Answers); 23] = [
    (Deed::Send, [Y, Y, X], [K, K, X]),
    (Deed::History, [Y, Y, X], [Y, Y, X]),
    (Deed::Get, [Y, Y, X], [Y, Y, X]),
    (Deed::Subscribe, [Y, Y, X], [Y, Y, X]),
    (Deed::Open, [Y, Y, X], [Y, Y, X]),
    (Deed::Mark, [Y, Y, X], [Y, Y, X]),
    (Deed::Marks, [Y, Y, X], [Y, Y, X]),
    (Deed::React, [Y, Y, X], [K, K, X]),
    (Deed::EditCustomers, [N, Y, X], [N, K, X]),
    (Deed::EditAgents, [N, N, X], [N, N, X]),
    (Deed::DeleteCustomers, [Y, Y, X], [K, K, X]),
    (Deed::DeleteAgents, [Y, N, X], [K, N, X]),
    (Deed::Pin, [Y, N, X], [K, N, X]),
    (Deed::AddStaff, [Y, N, X], [K, N, X]),
    (Deed::AddCustomer, [Y, N, X], [K, N, X]),
    (Deed::RemoveAgent, [Y, N, X], [K, N, X]),
    (Deed::RemoveCustomer, [Y, N, X], [K, N, X]),
    (Deed::Name, [Y, N, X], [K, N, X]),
    (Deed::Context, [Y, N, X], [K, N, X]),
    (Deed::Promote, [N, N, X], [N, N, X]),
    (Deed::Demote, [N, N, X], [N, N, X]),
    (Deed::Close, [Y, Y, X], [Y, Y, X]),
    (Deed::Reopen, [Y, Y, X], [Y, Y, X]),
];

fn code(answer: &Result<(), Error>) -> Option<ErrorCode> {
    answer.as_ref().err().map(|error| error.code().expect("the server refused it"))
}

/// A conversation of the customer or seller with the support, which an agent has taken.
async fn place(kind: ConversationKind, customer: &Client, agent: &Client, context: &str) -> Place {
    let made = customer.create_of_kind(kind, None, Some(context)).await.expect("theirs to make");
    let id = made.conversation.id;
    let customers = customer.send(&id, "help").await.expect("theirs").message.id;
    let agents = agent.send(&id, "how?").await.expect("staff may").message.id;
    Place { id, customers, agents }
}

#[test]
fn b9_staff_may_in_support_conversations_what_the_table_says_open_and_closed() {
    in_both_forms(|form| async move {
        let site = Site::dev();
        let agent = client_as(&site, form, "agent", "SUPPORT").await;
        client_as(&site, form, "other-agent", "MANAGER").await.close().await;
        let fresh = Cell::new(0);
        for (kind, role) in [(ConversationKind::CustomerSupport, "USER"), (ConversationKind::SellerSupport, "SELLER")] {
            // The same name is a customer once and sells later.
            let customer = client_as(&site, form, "customer", role).await;
            let stranger = client_as(&site, form, "mallory", role).await;
            for rank in ["SUPPORT", "MANAGER", "ADMIN"] {
                let staff = client_as(&site, form, &format!("staff-{rank}"), rank).await;
                let nowhere = Place {
                    id: "5".repeat(26),
                    customers: format!("{}.1", "5".repeat(26)),
                    agents: format!("{}.3", "5".repeat(26)),
                };
                for (deed, open, closed) in SUPPORT {
                    for (is_closed, answers) in [(false, open), (true, closed)] {
                        for (person, expected) in [&staff, &customer, &stranger].into_iter().zip(answers) {
                            if deed.is_local() && expected == X {
                                continue;
                            }
                            fresh.set(fresh.get() + 1);
                            let place = place(kind, &customer, &agent, &format!("order {}", fresh.get())).await;
                            if is_closed {
                                agent.close_conversation(&place.id).await.expect("staff may");
                            }
                            let answer = deed.ask(person, &place).await;
                            let said = format!("{rank}, {kind:?}: {deed:?}, closed {is_closed}: {answer:?}");
                            assert_eq!(code(&answer), expected, "{said}");
                            if expected == X {
                                assert_eq!(nameless(&answer), nameless(&deed.ask(person, &nowhere).await), "{said}");
                            }
                        }
                    }
                }
                staff.close().await;
            }
        }
    });
}

/// Conversations that staff have no part in.
#[test]
fn b9_staff_are_strangers_where_there_is_no_support_and_an_administrator_only_ends_groups() {
    in_both_forms(|form| async move {
        let site = Site::dev();
        let customer = client_as(&site, form, "customer", "USER").await;
        let seller = client_as(&site, form, "seller", "SELLER").await;
        let agent = client_as(&site, form, "agent", "SUPPORT").await;
        client_as(&site, form, "other-agent", "SUPPORT").await.close().await;
        for rank in ["SUPPORT", "MANAGER", "ADMIN"] {
            let staff = client_as(&site, form, &format!("staff-{rank}"), rank).await;
            let context = Some(rank);
            let kinds = [
                (&customer, customer.create_direct("seller", context).await),
                (&customer, customer.create_of_kind(ConversationKind::CustomerSeller, Some("seller"), context).await),
                (&agent, agent.create_of_kind(ConversationKind::Internal, Some("other-agent"), context).await),
                (&customer, customer.create_group(rank, &["seller"]).await),
            ];
            for (at, (owner, made)) in kinds.into_iter().enumerate() {
                let id = made.expect("theirs to make").conversation.id;
                let customers = owner.send(&id, "secret").await.expect("theirs").message.id;
                let place = Place { id, agents: customers.clone(), customers };
                for (deed, ..) in SUPPORT {
                    if deed.is_local() {
                        continue;
                    }
                    let ends = rank == "ADMIN" && at == 3 && matches!(deed, Deed::Close | Deed::Reopen);
                    let answer = deed.ask(&staff, &place).await;
                    assert_eq!(code(&answer), if ends { Y } else { X }, "{rank} in {at}: {deed:?}: {answer:?}");
                }
                assert_eq!(
                    owner.get(&place.id).await.expect("theirs").head,
                    if at == 3 && rank == "ADMIN" { 3 } else { 1 }
                );
            }
            staff.close().await;
        }
        // Closed by an administrator, a group is closed as by its own.
        let admin = client_as(&site, form, "root", "ADMIN").await;
        let group = customer.create_group("to end", &["seller"]).await.expect("made").conversation.id;
        seller.subscribe(&group, None).await.expect("a member");
        let mut events = seller.events();
        admin.close_conversation(&group).await.expect("an administrator may");
        match events.next().await {
            Some(switchyard_client::Event::Changed { change, .. }) => {
                assert_eq!((change.closed, change.by.as_str()), (Some(true), "root"));
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(
            code(&Deed::Send.ask(&seller, &Place { id: group, customers: String::new(), agents: String::new() }).await),
            K
        );
    });
}
