//! The clients: who they are and what they ask next. They break no rule that an edge enforces, and otherwise do as they
//! please: all at once, again, too late, in conversations that are not theirs.

use switchyard_cluster::home::{BlocksAsk, Decision, HomeAsk, ListAsk, ListFilter};
use switchyard_cluster::link::{
    AnnotateAsk, Annotation, CreateAsk, HistoryAsk, MarkAsk, MarksAsk, PageFrom, SendAsk, SendExtra, SubscribeAsk,
};
use switchyard_cluster::party::{Asker, EdgeId};
use switchyard_protocol::id::{ConversationId, ConversationKey, TenantId, UserId};
use switchyard_protocol::roles::Roles;
use switchyard_protocol::v1::{ConversationKind, MessageKind, Role};

use crate::ask::What;
use crate::oracle::Oracle;
use crate::rng::Rng;
use crate::timeline::user;

/// Users who come to be members of conversations.
pub(crate) const USERS: [&str; 5] = ["ana", "ben", "cleo", "dan", "eva"];

/// A user who never is.
pub(crate) const STRANGER: &str = "mallory";

/// What everybody is in the tenant, by their tokens; whoever is not named is a customer.
pub(crate) const ROLES: [(&str, Roles); 4] =
    [("ben", Roles::SELLER), ("dan", Roles::SUPPORT), ("gus", Roles::ADMIN), ("orders", Roles::SERVICE)];

/// What this user is.
pub(crate) fn roles_of(user: &UserId) -> Roles {
    ROLES.iter().find(|(name, _)| *name == user.as_str()).map_or(Roles::NONE, |(_, roles)| *roles)
}

/// One connection of a user.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) user: UserId,
    pub(crate) edge: EdgeId,
    /// Never used twice.
    pub(crate) session: u64,
    next_request: u64,
    /// Its user's home was told of it.
    pub(crate) here: bool,
}

impl Session {
    /// Whom the answer to its next request goes to.
    pub(crate) fn asker(&mut self) -> Asker {
        self.next_request += 1;
        let roles = roles_of(&self.user);
        Asker { edge: self.edge, session: self.session, request: self.next_request, ticket: 0, roles }
    }
}

/// A conversation that the clients talk about.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) key: ConversationKey,
    /// Who would create it, and with whom.
    pub(crate) create: Option<CreateAsk>,
}

pub(crate) fn tenant(name: &str) -> TenantId {
    TenantId::new(name).expect("a valid id")
}

/// Conversations: two direct ones, two groups, an old group, one that nobody creates, and the first group's id with
/// another tenant; two with the support, one of a customer with a seller, one that would be and has no seller, and an internal
/// group.
pub(crate) fn places() -> Vec<Place> {
    let own = tenant("t");
    let direct = |a: &str, b: &str| {
        let (a, b) = (user(a), user(b));
        let conversation = ConversationId::direct(&own, "direct", "", &a, &b);
        let create = CreateAsk {
            kind: ConversationKind::Direct,
            members: vec![a, b],
            name: None,
            avatar: None,
            context: Some("order 7".into()),
        };
        Place { key: ConversationKey { tenant: own.clone(), conversation }, create: Some(create) }
    };
    let group = |byte: u8, members: &[&str]| {
        let create = CreateAsk {
            kind: ConversationKind::Group,
            members: members.iter().map(|name| user(name)).collect(),
            name: Some("a group".into()),
            avatar: None,
            context: None,
        };
        let conversation = ConversationId::from_bytes([byte; 16]);
        Place { key: ConversationKey { tenant: own.clone(), conversation }, create: Some(create) }
    };
    let nobodys = |tenant_name: &str, byte: u8| {
        let conversation = ConversationId::from_bytes([byte; 16]);
        Place { key: ConversationKey { tenant: tenant(tenant_name), conversation }, create: None }
    };
    let of_two = |kind: ConversationKind, word: &str, pair: [&str; 2], members: &[&str]| {
        let [a, b] = pair.map(user);
        let conversation = ConversationId::direct(&own, word, "", &a, &b);
        let members = members.iter().map(|name| user(name)).collect();
        let create = CreateAsk { kind, members, name: None, avatar: None, context: None };
        Place { key: ConversationKey { tenant: own.clone(), conversation }, create: Some(create) }
    };
    let internal = {
        let mut place = group(4, &["dan", "gus"]);
        place.create = place.create.map(|create| CreateAsk { kind: ConversationKind::Internal, ..create });
        place
    };
    let (seller, customer) = (ConversationKind::SellerSupport, ConversationKind::CustomerSupport);
    vec![
        direct("ana", "ben"),
        direct("cleo", "ben"),
        group(1, &["ana", "ben", "cleo"]),
        group(2, &["dan", "ana"]),
        Place { create: None, ..group(OLD, &[]) },
        nobodys("t", 9),
        nobodys("x", 1),
        of_two(customer, "customer_support", ["ana", "ana"], &["ana"]),
        of_two(seller, "seller_support", ["ben", "dan"], &["ben", "dan"]),
        of_two(ConversationKind::CustomerSeller, "customer_seller", ["ana", "ben"], &["ana", "ben"]),
        of_two(ConversationKind::CustomerSeller, "customer_seller", ["ana", "cleo"], &["ana", "cleo"]),
        internal,
    ]
}

/// The old group.
pub(crate) fn old_key() -> ConversationKey {
    places().swap_remove(OLD_AT).key
}

/// The first byte of the old group's id.
pub(crate) const OLD: u8 = 3;

/// Where the old group stands among the places.
const OLD_AT: usize = 4;

/// Where the customer's conversation with the support does; the other kinds follow it.
const DESK_AT: usize = 7;

/// Whether this user is one to create the conversation.
fn creates(place: &Place, user: &UserId) -> bool {
    place.create.as_ref().is_some_and(|create| match create.kind {
        ConversationKind::Group | ConversationKind::Internal => create.members.first() == Some(user),
        _ => create.members.contains(user),
    })
}

pub(crate) fn sessions() -> Vec<Session> {
    let all = [
        ("ana", 0),
        ("ana", 1),
        ("ben", 1),
        ("ben", 1),
        ("cleo", 0),
        ("dan", 2),
        ("eva", 2),
        ("gus", 1),
        ("orders", 2),
        (STRANGER, 0),
    ];
    let session = |(at, (name, edge)): (usize, &(&str, u16))| Session {
        user: user(name),
        edge: EdgeId(*edge),
        session: at as u64,
        next_request: 0,
        here: false,
    };
    all.iter().enumerate().map(session).collect()
}

/// What a client does next.
#[derive(Debug)]
pub(crate) enum Deed {
    Ask(ConversationKey, Vec<What>),
    /// Reads this conversation no more.
    Unread(ConversationKey),
    /// Asks for something of the user's lists.
    Home(HomeAsk),
    /// Watches this user by way of this conversation.
    Watch(ConversationKey, UserId),
    /// The connection breaks, and another one takes its place.
    Reconnect,
}

/// The list of all of a user's conversations.
pub(crate) fn whole_list() -> HomeAsk {
    HomeAsk::List(Box::new(ListAsk { filter: ListFilter::default(), limit: 100, after: None, list: 0 }))
}

/// The list of all of a user's archived conversations.
pub(crate) fn archived_list() -> HomeAsk {
    let filter = ListFilter { archived: true, ..ListFilter::default() };
    HomeAsk::List(Box::new(ListAsk { filter, limit: 100, after: None, list: 0 }))
}

/// All whom a user has blocked.
pub(crate) fn all_blocks() -> HomeAsk {
    HomeAsk::Blocks(Box::new(BlocksAsk { after: None, limit: 100 }))
}

/// Chooses what to do.
pub(crate) struct Chooser<'a> {
    pub(crate) rng: &'a mut Rng,
    pub(crate) oracle: &'a Oracle,
    pub(crate) places: &'a [Place],
    pub(crate) wall_ms: u64,
    pub(crate) large: bool,
    /// Makes client ids and texts that were not there before.
    pub(crate) fresh: &'a mut u64,
}

impl Chooser<'_> {
    pub(crate) fn deed(&mut self, user: &UserId) -> Deed {
        let mut place = self.place();
        if roles_of(user).is_service() {
            let head = self.oracle.known.get(&place.key).copied().unwrap_or(0);
            let what = if self.rng.chance(150) { What::Get } else { self.send(&place.key, user, head) };
            return Deed::Ask(place.key.clone(), vec![what]);
        }
        // Most of the time about something of one's own, or that may come to be.
        for _ in 0..4 {
            let unborn = !self.oracle.known.contains_key(&place.key);
            if self.oracle.shows(&place.key, user) || unborn && creates(&place, user) {
                break;
            }
            place = self.place();
        }
        let key = place.key.clone();
        let known = self.oracle.known.get(&key).copied();
        if creates(&place, user) && (known.is_none() && self.rng.chance(700) || self.rng.chance(30)) {
            let create = place.create.clone().expect("there is a creator");
            return Deed::Ask(key, vec![What::Create(create); 1 + self.rng.below(2) as usize]);
        }
        let head = known.unwrap_or(0);
        // Seldom closed and soon open again, for little happens meanwhile.
        let closed = self.oracle.is_closed(&key);
        if self.rng.chance(if closed { 150 } else { 15 }) {
            return Deed::Ask(key, self.close(closed));
        }
        // One that is gone never comes back, and few are left to talk in.
        if self.rng.chance(3) {
            return Deed::Ask(key, vec![What::Erase; 1 + self.rng.below(2) as usize]);
        }
        let direct = place.create.as_ref().is_some_and(|create| create.kind == ConversationKind::Direct);
        if self.rng.chance(if direct { 60 } else { 3 }) {
            let answers = [What::Accept, What::Decline, What::Decline];
            return Deed::Ask(key, vec![self.rng.pick(&answers).clone(); 1 + self.rng.below(2) as usize]);
        }
        let what = match self.rng.below(100) {
            0..27 => self.send(&key, user, head),
            27..30 => {
                let peer = place.create.as_ref().and_then(|create| create.members.iter().find(|other| *other != user));
                let watched = peer.filter(|_| self.rng.chance(600)).cloned();
                let watched = watched.unwrap_or_else(|| self.user());
                // An edge answers for one's own.
                return if watched == *user { Deed::Reconnect } else { Deed::Watch(key, watched) };
            }
            30..39 => self.annotate(user, head),
            39..45 => self.mark(head),
            45..48 => return self.burst(key, user, head),
            48..60 => What::History(self.history(head)),
            60..72 => self.subscribe(head),
            72..76 => return Deed::Unread(key),
            76..78 => What::Get,
            78..79 => What::Unread,
            79..80 => What::Marks(MarksAsk {
                passed: self.rng.chance(500).then(|| self.position(head)),
                after: self.rng.chance(300).then(|| self.user()),
                limit: self.rng.within(1, 4) as usize,
            }),
            80..83 => What::Members {
                after: self.rng.chance(500).then(|| self.user()),
                limit: self.rng.within(1, 4) as usize,
            },
            83..89 => What::Add((0..self.rng.within(1, 3)).map(|_| self.user()).collect()),
            89..91 => What::Remove(self.user()),
            91..93 => What::Leave,
            93..95 => self.update(),
            95..97 => self.role(),
            97 => return Deed::Home(self.home(user)),
            98 => return Deed::Home(HomeAsk::Decide(self.decision(key, user))),
            _ => return Deed::Reconnect,
        };
        Deed::Ask(key, vec![what])
    }

    fn place(&mut self) -> Place {
        let old = self.oracle.known.contains_key(&self.places[OLD_AT].key);
        let at = match self.rng.below(20) {
            _ if old && self.rng.chance(600) => OLD_AT,
            0 => self.rng.below(self.places.len() as u64) as usize,
            1..4 => 0,
            4 => 1,
            5..10 => 2,
            10..13 => 3,
            13..16 => DESK_AT,
            16..20 => DESK_AT + 1 + self.rng.below(4) as usize,
            _ => 3,
        };
        self.places[at].clone()
    }

    fn user(&mut self) -> UserId {
        user(self.rng.pick::<&str>(&USERS))
    }

    fn send(&mut self, key: &ConversationKey, user: &UserId, head: u64) -> What {
        let used = || self.oracle.ids.keys().filter(|(used, _, _)| used == key);
        if self.rng.chance(400) {
            // Again, under an id of one's own; now and then an id of somebody else's.
            let foreign = self.rng.chance(150);
            let ids: Vec<_> = used().filter(|(_, sender, _)| foreign || sender == user).collect();
            if !ids.is_empty() {
                let (_, _, client_id) = (*self.rng.pick(&ids)).clone();
                return self.attempt(key, user, &client_id, head);
            }
        }
        let client_id = if key.conversation.as_bytes()[0] == OLD && self.rng.chance(300) {
            format!("old{}", self.rng.below(head + 1))
        } else if self.rng.chance(100) {
            format!("c{}", self.rng.below(5))
        } else {
            *self.fresh += 1;
            format!("n{}", self.fresh)
        };
        self.attempt(key, user, &client_id, head)
    }

    fn attempt(&mut self, key: &ConversationKey, user: &UserId, client_id: &str, head: u64) -> What {
        let first = self.oracle.first_attempt(key, user, client_id);
        let is_first = first.is_none();
        let since = match first {
            // What the first attempt said, or would have said.
            Some((since, text)) => {
                let since = self.rng.chance(600).then_some(since);
                if self.rng.chance(600) {
                    let kind = if roles_of(user).is_service() { MessageKind::System } else { MessageKind::Text };
                    return What::Send(SendAsk::new(client_id, &text, kind, since));
                }
                since
            }
            None if self.rng.chance(10) => Some(head + self.rng.within(1, 5)),
            None => self.rng.chance(600).then(|| head - self.rng.below(head.min(3) + 1)),
        };
        *self.fresh += 1;
        let mut text = format!("text {} of {user}", self.fresh);
        if self.large && self.rng.chance(300) {
            text.push_str(&"x".repeat(self.rng.within(10_000, 65_000) as usize));
        }
        let kind = *self.rng.pick(&[MessageKind::Text, MessageKind::Text, MessageKind::File, MessageKind::Audio]);
        let kind = if roles_of(user).is_service() { MessageKind::System } else { kind };
        let mut send = SendAsk::new(client_id, &text, kind, since);
        // Only a first attempt, as what is sent again must be the same.
        if head > 0 && is_first && self.rng.chance(150) {
            let reply_to = Some(self.target(head));
            send.extra = Some(Box::new(SendExtra { reply_to, ..SendExtra::default() }));
        }
        What::Send(send)
    }

    /// A number, mostly of one of the newest events: so that several change the same message at once.
    fn target(&mut self, head: u64) -> u64 {
        match self.rng.below(20) {
            0 => head + 1,
            1 => self.rng.below(head + 1),
            _ => head.saturating_sub(self.rng.below(6)),
        }
    }

    fn annotate(&mut self, user: &UserId, head: u64) -> What {
        let target = self.target(head);
        let emoji: Box<str> = (*self.rng.pick(&["+1", "-1", "?"])).into();
        *self.fresh += 1;
        let change = match self.rng.below(20) {
            0..4 => Annotation::Edit { text: format!("edit {} by {user}", self.fresh).into(), mentions: Vec::new() },
            4..6 => Annotation::Delete,
            6..17 => Annotation::React { emoji, remove: self.rng.chance(300) },
            _ => return What::Pin { target, remove: self.rng.chance(300) },
        };
        What::Annotate(AnnotateAsk { target, change })
    }

    fn burst(&mut self, key: ConversationKey, user: &UserId, head: u64) -> Deed {
        let count = if self.rng.chance(100) { 150 } else { self.rng.within(2, 12) };
        let mut asks: Vec<What> = Vec::new();
        for _ in 0..count {
            let next = self.send(&key, user, head);
            // Whatever says the same id at once says the same head.
            let clashes = |other: &What| match (other, &next) {
                (What::Send(a), What::Send(b)) => a.client_id() == b.client_id() && a.since != b.since,
                _ => false,
            };
            if !asks.iter().any(clashes) {
                asks.push(next);
            }
        }
        Deed::Ask(key, asks)
    }

    fn mark(&mut self, head: u64) -> What {
        let newest = self.rng.chance(500);
        let read = if newest { head } else { self.position(head) };
        match self.rng.below(4) {
            0 => What::Mark(MarkAsk { read: None, delivered: Some(read) }),
            1 => What::Mark(MarkAsk { read: Some(read), delivered: Some(self.position(head)) }),
            _ => What::Mark(MarkAsk { read: Some(read), delivered: None }),
        }
    }

    fn history(&mut self, head: u64) -> HistoryAsk {
        let seq = self.position(head);
        let back = self.rng.below(5_000);
        let from = match self.rng.below(6) {
            0 | 1 => PageFrom::Newest,
            2 => PageFrom::Before(seq),
            3 => PageFrom::After(seq),
            4 => PageFrom::BeforeTime(self.wall_ms.saturating_sub(back)),
            _ => PageFrom::AfterTime(self.wall_ms.saturating_sub(back)),
        };
        HistoryAsk { from, limit: *self.rng.pick(&[1, 2, 5, 50, 200]) }
    }

    /// A number, mostly of an event.
    fn position(&mut self, head: u64) -> u64 {
        match self.rng.below(30) {
            0 => u64::MAX,
            1 => head + self.rng.within(1, 3),
            2 => 0,
            _ => self.rng.below(head + 1),
        }
    }

    fn subscribe(&mut self, head: u64) -> What {
        let after = self.rng.chance(600).then(|| self.position(head));
        let events_max = *self.rng.pick(&[1, 3, 500]);
        let bytes_max = *self.rng.pick(&[1, 1_000, 262_144]);
        What::Subscribe(SubscribeAsk { after, events_max, bytes_max })
    }

    fn update(&mut self) -> What {
        *self.fresh += 1;
        let text = if self.rng.chance(200) { String::new() } else { format!("name {}", self.fresh) };
        let (name, avatar, context) = match self.rng.below(4) {
            0 => (Some(text), None, None),
            1 => (None, Some(text), None),
            2 => (None, None, Some(text)),
            _ => (Some(text.clone()), Some(text.clone()), Some(text)),
        };
        What::Update { name, avatar, context }
    }

    fn role(&mut self) -> What {
        let member = self.user();
        match self.rng.below(4) {
            0 => What::Promote { member, role: Role::Moderator },
            1 => What::Promote { member, role: Role::Admin },
            2 => What::Demote { member, role: Role::Moderator },
            _ => What::Demote { member, role: Role::Member },
        }
    }

    fn home(&mut self, user: &UserId) -> HomeAsk {
        match self.rng.below(10) {
            0..3 => HomeAsk::Watch,
            3 => archived_list(),
            4 => {
                let after = self.rng.chance(500).then(|| user.clone());
                HomeAsk::Blocks(Box::new(BlocksAsk { after, limit: self.rng.within(1, 3) as usize }))
            }
            5 | 6 => HomeAsk::Unread,
            7 => HomeAsk::Roles { issued_ms: self.wall_ms },
            _ => whole_list(),
        }
    }

    /// Blocks somebody, seldom for long, for little can be done meanwhile; or archives something.
    fn decision(&mut self, key: ConversationKey, user: &UserId) -> Decision {
        if self.rng.chance(300) {
            let conversation = key.conversation;
            let archive = self.rng.chance(700);
            return if archive { Decision::Archive(conversation) } else { Decision::Unarchive(conversation) };
        }
        let others: Vec<UserId> =
            USERS.iter().map(|name| crate::timeline::user(name)).filter(|other| other != user).collect();
        let held: Vec<&UserId> = others.iter().filter(|other| self.oracle.blocks.is_held(user, other)).collect();
        if !held.is_empty() && self.rng.chance(700) {
            return Decision::Unblock((*self.rng.pick(&held)).clone());
        }
        let other = self.rng.pick(&others).clone();
        if self.rng.chance(600) { Decision::Block(other) } else { Decision::Unblock(other) }
    }

    /// Closes or reopens, mostly what is to be; now and then both at once, or what is so already.
    fn close(&mut self, closed: bool) -> Vec<What> {
        let right = if closed { What::Reopen } else { What::Close };
        let other = if closed { What::Close } else { What::Reopen };
        match self.rng.below(10) {
            0 => vec![other],
            1 => vec![right, other],
            2 => vec![right.clone(), right],
            _ => vec![right],
        }
    }
}
