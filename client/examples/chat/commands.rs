//! What begins with `/`: how it is typed, and what it does.

use anyhow::Result;
use switchyard_client::protocol::v1;
use switchyard_client::{Error, Printable};

use crate::show::{self, print};
use crate::{Chat, Next};

/// Messages that are shown at the start, and by each `/history`.
const HISTORY: u32 = 20;

/// The name, how it is typed, and what it does.
const COMMANDS: [(&str, &str, &str); 10] = [
    ("history", "/history", "shows older messages"),
    ("members", "/members", "shows who is here"),
    ("info", "/info", "shows what this conversation is"),
    ("add", "/add USER…", "adds members"),
    ("remove", "/remove USER", "removes a member"),
    ("name", "/name TEXT", "gives the group another name"),
    ("avatar", "/avatar URL", "gives the group another avatar"),
    ("leave", "/leave", "leaves the group, and ends"),
    ("quit", "/quit", "ends, and stays a member"),
    ("help", "/help", "shows this"),
];

/// A line that was typed.
pub(crate) enum Line {
    Text(String),
    Command(Command),
}

pub(crate) enum Command {
    History,
    Members,
    Info,
    Add(Vec<String>),
    Remove(String),
    Name(String),
    Avatar(String),
    Leave,
    Quit,
    Help,
}

impl Line {
    /// A line that is no command and should be one says in words what to type.
    pub(crate) fn read(line: &str) -> Result<Self, String> {
        let Some(command) = line.strip_prefix('/') else { return Ok(Self::Text(line.to_owned())) };
        if command.starts_with('/') {
            return Ok(Self::Text(command.to_owned()));
        }
        let (name, rest) = command.split_once(char::is_whitespace).unwrap_or((command, ""));
        let words: Vec<String> = rest.split_whitespace().map(str::to_owned).collect();
        let command = match (name, words.as_slice()) {
            ("history", []) => Command::History,
            ("members", []) => Command::Members,
            ("info", []) => Command::Info,
            ("add", [_, ..]) => Command::Add(words),
            ("remove", [user]) => Command::Remove(user.clone()),
            ("name", [_, ..]) => Command::Name(rest.trim().to_owned()),
            ("avatar", [url]) => Command::Avatar(url.clone()),
            ("leave", []) => Command::Leave,
            ("quit", []) => Command::Quit,
            ("help", []) => Command::Help,
            _ => {
                return Err(match COMMANDS.iter().find(|(known, ..)| *known == name) {
                    Some((_, form, _)) => format!("type it as {form}"),
                    None => {
                        "no such command: /help shows all; a line that begins with // is sent with one /".to_owned()
                    }
                });
            }
        };
        Ok(Self::Command(command))
    }
}

impl Chat {
    /// Does what a command says. A change is not shown here: it comes as an event, to everybody.
    pub(crate) async fn run_command(&mut self, command: Command) -> Result<Next> {
        // What was typed before goes before. The end sees to that by itself, and does not wait for ever.
        while !matches!(command, Command::Quit)
            && let Some(send) = self.sends.pop_front()
        {
            self.note(send.await);
        }
        let id = &self.conversation;
        let done = match command {
            Command::History => self.show_history().await.map(drop),
            Command::Members => self.show_members().await,
            Command::Info => self.show_info().await,
            Command::Add(users) => {
                let users: Vec<&str> = users.iter().map(String::as_str).collect();
                self.changed(self.client.add(id, &users).await)
            }
            Command::Remove(user) => self.changed(self.client.remove(id, &user).await),
            Command::Name(name) => self.changed(self.client.update(id, Some(&name), None, None).await),
            Command::Avatar(url) => self.changed(self.client.update(id, None, Some(&url), None).await),
            Command::Leave => match self.client.leave(id).await {
                Ok(_) => return Ok(Next::End),
                Err(error) => Err(error.into()),
            },
            Command::Help => show_help(),
            Command::Quit => return Ok(Next::End),
        };
        if let Err(error) = done {
            eprintln!("({error:#})");
        }
        Ok(Next::Go)
    }

    /// What became of a change.
    fn changed(&self, answer: Result<v1::Changed, Error>) -> Result<()> {
        // The event of a change is not read before its answer.
        if answer?.seq <= self.printed {
            eprintln!("(it is so already)");
        }
        Ok(())
    }

    /// Shows the messages before the oldest shown, or the newest; gives the conversation's last number.
    pub(crate) async fn show_history(&mut self) -> Result<u64> {
        let page = self
            .client
            .history(v1::History {
                conversation: self.conversation.clone(),
                before: self.oldest,
                limit: HISTORY,
                ..v1::History::default()
            })
            .await?;
        // Newest first on the wire, newest last on a screen.
        for message in page.messages.iter().rev() {
            print(show::message(message))?;
        }
        match page.messages.iter().map(|message| message.seq).min() {
            Some(oldest) => self.oldest = Some(oldest),
            None if self.oldest.is_some() => eprintln!("(that is all)"),
            None => {}
        }
        Ok(page.head)
    }

    async fn show_members(&self) -> Result<()> {
        let mut after: Option<String> = None;
        loop {
            let page = self.client.members(&self.conversation, after.as_deref(), 0).await?;
            for member in &page.members {
                print(match member.role() {
                    v1::Role::Member => Printable(&member.user).to_string(),
                    role => format!("{} ({})", Printable(&member.user), show::word(role.as_str_name())),
                })?;
            }
            after = page.members.last().map(|member| member.user.clone());
            if !page.more || after.is_none() {
                return Ok(());
            }
        }
    }

    async fn show_info(&self) -> Result<()> {
        let info = self.client.get(&self.conversation).await?;
        print(format!("id: {}", info.id))?;
        print(format!("kind: {}", show::word(info.kind().as_str_name())))?;
        for (what, text) in [("name", &info.name), ("avatar", &info.avatar), ("context", &info.context)] {
            if let Some(text) = text {
                print(format!("{what}: {}", Printable(text)))?;
            }
        }
        print(format!("members: {}", info.member_count))?;
        print(format!("you: {}", show::word(info.role().as_str_name())))?;
        if info.closed {
            print("closed: it can only be read")?;
        }
        Ok(())
    }
}

fn show_help() -> Result<()> {
    for (_, form, what) in COMMANDS {
        print(format_args!("{form:<14}{what}"))?;
    }
    Ok(())
}
