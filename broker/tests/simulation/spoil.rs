//! Faults put in on purpose, on the way between doors and devices: the judge must find each, or it would not find the server's
//! own. What a device asks for or is told is altered in one way throughout a run; everything else is as ever.

use switchyard_protocol::v1::{self, ServerFrame, client_frame::Request, event::Body, reply, server_frame::Frame};

/// One fault.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Spoil {
    /// Messages come with other texts than were sent.
    AltersTexts,
    /// Who sends is told that another text is stored.
    AltersAcks,
    /// Messages are stored under other ids than they were sent with.
    RenamesSends,
    /// Who asks for what they have put away is shown the usual list.
    MixesLists,
    /// What is to be put away is put back.
    PutsBack,
    /// What is to be erased is closed, and goes on to be shown.
    Closes,
    /// Who is to be blocked is blocked no more.
    Unblocks,
    /// A request that is declined is accepted.
    Accepts,
    /// Nobody is told who comes and goes.
    LosesPresence,
    /// Whoever is watched is said to be there.
    InventsPresence,
}

impl Spoil {
    /// What goes to the server in place of this.
    pub(crate) fn request(self, request: Request) -> Request {
        match (self, request) {
            (Self::MixesLists, Request::List(list)) => Request::List(v1::List { archived: false, ..list }),
            (Self::RenamesSends, Request::Send(send)) => {
                Request::Send(v1::Send { client_id: format!("{}x", send.client_id), ..send })
            }
            (Self::PutsBack, Request::Archive(v1::Archive { conversation })) => {
                Request::Unarchive(v1::Unarchive { conversation })
            }
            (Self::Closes, Request::Erase(v1::Erase { conversation })) => Request::Close(v1::Close { conversation }),
            (Self::Unblocks, Request::Block(v1::Block { user })) => Request::Unblock(v1::Unblock { user }),
            (Self::Accepts, Request::Decline(v1::Decline { conversation })) => {
                Request::Accept(v1::Accept { conversation })
            }
            (_, request) => request,
        }
    }

    /// What comes to the device in place of this, if anything does.
    pub(crate) fn frame(self, mut frame: ServerFrame) -> Option<ServerFrame> {
        let told = match &mut frame.frame {
            Some(Frame::Event(v1::Event { body: Some(Body::Presence(_)), .. })) if self == Self::LosesPresence => {
                return None;
            }
            Some(Frame::Event(v1::Event { body: Some(Body::Presence(told)), .. })) => &mut told.presence,
            Some(Frame::Reply(v1::Reply { result: Some(reply::Result::Watched(told)), .. })) => &mut told.presence,
            Some(Frame::Event(v1::Event { body: Some(Body::Message(message)), .. })) if self == Self::AltersTexts => {
                message.text.push('!');
                return Some(frame);
            }
            Some(Frame::Reply(v1::Reply { result: Some(reply::Result::Sent(sent)), .. }))
                if self == Self::AltersAcks =>
            {
                sent.message.iter_mut().for_each(|message| message.text.push('!'));
                return Some(frame);
            }
            _ => return Some(frame),
        };
        if self == Self::InventsPresence {
            told.iter_mut().for_each(|one| one.online = true);
        }
        Some(frame)
    }
}
