//! Requests as they arrive: found, loaded or unknown conversations, members and strangers.

use switchyard_cluster::link::{Ask, Refusal, Request};
use switchyard_cluster::now::Now;
use switchyard_cluster::party::EdgeId;
use switchyard_protocol::code::ErrorCode;
use switchyard_protocol::id::{ConversationId, ConversationKey};
use switchyard_protocol::v1::{self, reply};

use super::rights::table::refuse_service;
use super::ticket::Ticket;
use super::writing::annotate::pending_change;
use super::writing::pipeline::{Pending, WAITING_BYTES_MAX, Work, ask_bytes};
use super::writing::targets::Targets;
use super::{Effect, LOADING_REQUESTS_MAX, Loading, Machine, ReadPlan, Slot, busy, refuse, succeed};

impl Machine {
    pub(super) fn request(&mut self, now: Now, request: Request, out: &mut Vec<Effect>) {
        if let Some(refusal) = refuse_service(request.from.roles, &request.ask) {
            return refuse(request.from, refusal, out);
        }
        if matches!(request.ask, Ask::Home(_)) {
            return self.ask_home(now, request, out);
        }
        if let Ask::Presence(ask) = request.ask {
            return self.presence_told(now, request, ask);
        }
        match self.slots.get_mut(&request.key) {
            Some(Slot::Loading(loading)) if !request.ask.is_answered() => {
                let Loading { waiting, edges, .. } = &mut **loading;
                if matches!(request.ask, Ask::Unsubscribe) {
                    edges.retain(|edge| *edge != request.from.edge);
                }
                // It takes its turn behind what it is to end; the last one of each is enough.
                let kind = std::mem::discriminant(&request.ask);
                waiting.retain(|other| other.from != request.from || std::mem::discriminant(&other.ask) != kind);
                waiting.push(request);
            }
            _ if !request.ask.is_answered() => self.over(&request, out),
            Some(Slot::Loaded(_)) => self.dispatch(now, request, out),
            Some(Slot::Loading(loading)) => {
                if loading.waiting.len() >= LOADING_REQUESTS_MAX || loading.bytes >= WAITING_BYTES_MAX {
                    refuse(request.from, busy("too many requests wait for this conversation"), out);
                } else {
                    if request.ask.is_stored() {
                        loading.hurry(&request.key, out);
                    }
                    loading.bytes += ask_bytes(&request.ask);
                    loading.waiting.push(request);
                }
            }
            Some(Slot::Parked(edges)) => {
                let edges = std::mem::take(edges);
                self.load(now, request, edges, out);
            }
            None => self.load(now, request, Vec::new(), out),
        }
    }

    /// Something is over, of a conversation that is not being loaded.
    fn over(&mut self, Request { from, key, ask, .. }: &Request, out: &mut Vec<Effect>) {
        match ask {
            Ask::Unsubscribe => {
                self.typing.close(key, from.edge);
                self.end_count(key, from.edge, out);
                match self.slots.get_mut(key) {
                    Some(Slot::Loaded(conversation)) => conversation.unsubscribe(from.edge),
                    Some(Slot::Parked(edges)) => {
                        edges.retain(|edge| *edge != from.edge);
                        if edges.is_empty() {
                            self.slots.remove(key);
                        }
                    }
                    Some(Slot::Loading(_)) | None => {}
                }
            }
            Ask::Hide => self.typing.close(key, from.edge),
            Ask::CountEnd => self.end_count(key, from.edge, out),
            Ask::TypingEnd => {
                self.typing.end(key, from.edge, from.session);
            }
            _ => {}
        }
    }

    fn load(&mut self, now: Now, request: Request, edges: Vec<EdgeId>, out: &mut Vec<Effect>) {
        let key = request.key.clone();
        out.push(Effect::Load { key: key.clone(), cutoffs: self.config.retention.cutoffs(now.wall_ms) });
        let mut loading = Loading { bytes: ask_bytes(&request.ask), edges, ..Loading::default() };
        if request.ask.is_stored() {
            loading.hurry(&key, out);
        }
        loading.waiting.push(request);
        self.slots.insert(key, Slot::Loading(Box::new(loading)));
    }

    /// A request about a conversation that is in memory.
    fn dispatch(&mut self, now: Now, request: Request, out: &mut Vec<Effect>) {
        let Request { from, key, user, ask } = request;
        let members_add = self.config.members_add;
        let Some(Slot::Loaded(conversation)) = self.slots.get_mut(&key) else { return };
        let place = conversation.state.members.place(&user);
        let member = place.and_then(|at| conversation.state.members.at(at));
        if !conversation.state.born() || !conversation.state.standing_of(member, from.roles).may_ask(&ask) {
            return self.stranger(Request { from, key, user, ask }, out);
        }
        // Who is no member is nobody whom one of two can have blocked, nor whose request it is.
        let place = place.unwrap_or(usize::MAX);
        conversation.touched = now.mono;
        conversation.passing = false;
        let work = match ask {
            Ask::Send(send) => {
                if conversation.typed {
                    conversation.typed = self.typing.end(&key, from.edge, from.session);
                }
                return self.send(now, from, &key, user, send, out);
            }
            Ask::Show => return self.open(from, &key, out),
            Ask::Typing if let Some(refusal) = conversation.state.blocked_typing(place) => {
                return refuse(from, refusal, out);
            }
            Ask::Typing if let Some(refusal) = conversation.state.why_not_send(place) => {
                return refuse(from, refusal, out);
            }
            Ask::Typing if conversation.state.is_unseen(place) => {
                return succeed(from, reply::Result::Done(v1::Done {}), out);
            }
            Ask::Typing => return self.typing(now, from, &key, &user, out),
            Ask::History(ask) => return self.history(from, &key, user, ask, out),
            Ask::Subscribe(ask) => return self.subscribe(from, &key, user, ask, out),
            // What is not answered was seen to before.
            Ask::Unsubscribe | Ask::Hide | Ask::TypingEnd | Ask::CountEnd | Ask::Home(_) | Ask::Presence(_) => return,
            Ask::Get if from.roles.is_service() => {
                let detail = v1::Detail { conversation: Some(conversation.state.extent(&key)) };
                return succeed(from, reply::Result::Detail(detail), out);
            }
            Ask::Get => {
                let plan = ReadPlan::Archived { user: user.clone(), joined: member.map_or(0, |member| member.joined) };
                conversation.pipeline().begin_reading(&Ask::Get);
                let ticket = Box::new(Ticket::Detail { to: from, key: key.clone(), user });
                return out.push(Effect::Read { key, ticket, plan });
            }
            Ask::Members { after, limit } => {
                let rest = conversation.state.members.after(after.as_ref());
                let members = rest.iter().take(limit);
                let members = members.map(|m| v1::Member { user: m.user.to_string(), role: m.role.into() }).collect();
                let page = v1::MemberPage { members, more: rest.len() > limit };
                return succeed(from, reply::Result::Members(page), out);
            }
            Ask::Watch(ask) => return self.vouch(from, &key, *ask, out),
            Ask::Count => return self.count_online(now, from, &key, out),
            Ask::Mark(ask) => return self.mark(now, from, &key, &user, ask, out),
            Ask::Unread => {
                let unread = conversation.state.unread_of(&key, member);
                return succeed(from, reply::Result::Unread(unread), out);
            }
            Ask::Marks(ask) => {
                let page = conversation.state.marks_page(&ask, &user);
                return succeed(from, reply::Result::Marks(page), out);
            }
            Ask::Create(ask) => Work::Create(ask),
            Ask::Add(users) => Work::Add(users),
            Ask::Remove(user) => Work::Remove(user),
            Ask::Leave => Work::Leave,
            Ask::Update(update) => Work::Update(update),
            Ask::Promote { member, role } => Work::Promote { member, role },
            Ask::Demote { member, role } => Work::Demote { member, role },
            Ask::Close => Work::Close,
            Ask::Reopen => Work::Reopen,
            Ask::Erase => Work::Erase,
            Ask::Accept => Work::Answer { accepted: true },
            Ask::Decline => Work::Answer { accepted: false },
            Ask::Annotate(ask) => {
                return self.change_message(now, &key, pending_change(now, from, user, Work::Annotate(ask)), out);
            }
            Ask::Pin { target, remove } => {
                let work = Work::Pin { target, remove };
                return self.change_message(now, &key, pending_change(now, from, user, work), out);
            }
        };
        let pending = Pending { asker: from, also: Vec::new(), user, since: now.mono, told_unknown: false, work };
        // What is refused already now need not wait for its turn; what is not is looked at again then. So is what is
        // refused for the conversation is closed, while it may be about to be reopened.
        if let Err(refusal) = conversation.state.prepare(&pending, members_add, &Targets::default())
            && (refusal.code != ErrorCode::Closed || conversation.pipeline.is_none())
        {
            return refuse(from, refusal, out);
        }
        match pending.work {
            Work::Add(users) => self.invite(Request { from, key, user: pending.user, ask: Ask::Add(users) }, out),
            work => conversation.enqueue(&key, Pending { work, ..pending }, &mut self.ready, out),
        }
    }

    /// Somebody who is no member, or a conversation that does not exist: the two are answered alike.
    fn stranger(&mut self, request: Request, out: &mut Vec<Effect>) {
        let Request { from, key, user, ask } = request;
        let Some(Slot::Loaded(conversation)) = self.slots.get_mut(&key) else { return };
        match ask {
            Ask::Unsubscribe | Ask::Hide | Ask::TypingEnd | Ask::CountEnd => {}
            Ask::Create(ask) if !conversation.state.born() => {
                self.invite(Request { from, key, user, ask: Ask::Create(ask) }, out);
            }
            // It was looked for in the store just now: the answer took its time.
            _ if !conversation.state.born() => refuse(from, Refusal::NOT_FOUND, out),
            ask => {
                let key = self.nobodys(&key);
                out.push(Effect::Decoy { key: key.clone(), to: from });
                if ask.is_stored() {
                    out.push(Effect::Hurry(key));
                }
            }
        }
    }

    /// Whether somebody who is no member asks for something of a conversation that exists.
    pub(super) fn is_strangers(&mut self, request: &Request) -> bool {
        let Some(conversation) = self.loaded_mut(&request.key) else { return false };
        request.ask.is_answered()
            && conversation.state.born()
            && !conversation.state.standing(&request.user, request.from.roles).may_ask(&request.ask)
    }

    /// A conversation that does not exist: nobody can aim for its id without the seed.
    fn nobodys(&self, key: &ConversationKey) -> ConversationKey {
        let mut bytes = *key.conversation.as_bytes();
        for (byte, mask) in bytes.iter_mut().zip(self.seed.to_le_bytes().into_iter().cycle()) {
            *byte ^= mask;
        }
        ConversationKey { tenant: key.tenant.clone(), conversation: ConversationId::from_bytes(bytes) }
    }
}
