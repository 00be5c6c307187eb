//! Two people chat from two terminals. It reads plain lines and writes plain lines, so it can be scripted through pipes.
//!
//! What is typed is sent; what arrives is printed as `[number] sender: text`, with everything escaped that could play
//! tricks on a terminal. Notices go to stderr. `/history` shows older messages, `/members` who is here, `/quit` leaves;
//! a line that begins with `//` is sent with one of them. At the end of the input it sends what is unsent, and exits.

use std::collections::VecDeque;
use std::io::{BufRead as _, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::{ArgGroup, Parser};
use switchyard_client::protocol::frame::Form;
use switchyard_client::protocol::v1;
use switchyard_client::{
    Client, ClientConfig, Ended, Error, Event, PendingSend, Printable, State, StaticToken, TokenError,
};
use tokio::sync::mpsc;
use tokio::time::timeout;

/// Messages that are shown at the start, and by each `/history`.
const HISTORY: u32 = 20;

/// Lines typed ahead of the program.
const LINES_MAX: usize = 64;

/// Sends under way before it stops taking lines.
const SENDS_MAX: usize = 64;

/// How long the end of the input waits for what is unsent.
const FLUSH: Duration = Duration::from_secs(10);

/// Chat from a terminal.
#[derive(Parser)]
#[command(group(ArgGroup::new("where").required(true).args(["with", "group", "new_group"])))]
struct Args {
    /// The server's address.
    #[arg(long, default_value = "ws://127.0.0.1:7400/v1/ws")]
    url: String,
    /// Who you are: a token, as `switchyard token --user NAME` prints it.
    #[arg(long, env = "SWITCHYARD_TOKEN", hide_env_values = true, required_unless_present = "token_command")]
    token: Option<String>,
    /// A command that prints a token; it is run again whenever a new one is needed.
    #[arg(long, conflicts_with = "token")]
    token_command: Option<String>,
    /// Talk to this user.
    #[arg(long, value_name = "USER")]
    with: Option<String>,
    /// Talk in this conversation.
    #[arg(long, value_name = "ID")]
    group: Option<String>,
    /// Make a group of this name and talk there.
    #[arg(long, value_name = "NAME", requires = "member")]
    new_group: Option<String>,
    /// A member of the new group.
    #[arg(long, value_name = "USER")]
    member: Vec<String>,
    /// Speak JSON instead of protobuf.
    #[arg(long)]
    json: bool,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match chat(Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("({error:#})");
            ExitCode::FAILURE
        }
    }
}

async fn chat(args: Args) -> Result<()> {
    let client = Client::connect(config(&args)?)?;
    client.ready().await.with_context(|| format!("cannot talk to {}", args.url))?;
    let conversation = conversation(&client, &args).await?;
    let mut chat = Chat { client, conversation, oldest: None, printed: 0, sends: VecDeque::new(), failed: 0 };
    let head = chat.show_history().await?;
    chat.printed = head;
    chat.client.subscribe(&chat.conversation, Some(head)).await?;
    eprintln!("(connected: type a message, or /history, /members, /quit)");
    chat.run().await
}

fn config(args: &Args) -> Result<ClientConfig> {
    let mut config = match (&args.token, &args.token_command) {
        (Some(token), None) => ClientConfig::new(&args.url, StaticToken::new(token.trim())),
        (None, Some(command)) => {
            let command = command.clone();
            ClientConfig::new(&args.url, move || run_token_command(command.clone()))
        }
        _ => bail!("give --token or --token-command"),
    };
    if args.json {
        config.form = Form::Json;
    }
    Ok(config)
}

async fn run_token_command(command: String) -> Result<String, TokenError> {
    let output = tokio::process::Command::new("sh")
        .args(["-c", &command])
        .stdin(std::process::Stdio::null())
        .stderr(std::process::Stdio::inherit())
        .output()
        .await
        .map_err(|error| TokenError::Never(error.to_string()))?;
    if !output.status.success() {
        return Err(TokenError::Later(format!("the token command ended with {}", output.status)));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

async fn conversation(client: &Client, args: &Args) -> Result<String> {
    if let Some(user) = &args.with {
        return Ok(client.create_direct(user, None).await?.conversation.id);
    }
    if let Some(name) = &args.new_group {
        let members: Vec<&str> = args.member.iter().map(String::as_str).collect();
        let id = client.create_group(name, &members).await?.conversation.id;
        eprintln!("(group {id}; others join with --group {id})");
        return Ok(id);
    }
    let id = args.group.as_deref().context("say with whom: --with, --group or --new-group")?;
    Ok(client.get(id).await.context("no such group")?.id)
}

/// Typed lines, read in a thread of their own: a read from a terminal cannot be taken back.
fn lines() -> mpsc::Receiver<String> {
    let (lines, typed) = mpsc::channel(LINES_MAX);
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().split(b'\n') {
            let Ok(line) = line else { return };
            let line = String::from_utf8_lossy(&line).trim_end_matches('\r').to_owned();
            if lines.blocking_send(line).is_err() {
                return;
            }
        }
    });
    typed
}

enum Next {
    Go,
    Leave,
}

struct Chat {
    client: Client,
    conversation: String,
    /// The oldest message that was shown.
    oldest: Option<u64>,
    /// The last number that was printed.
    printed: u64,
    sends: VecDeque<PendingSend>,
    failed: usize,
}

impl Chat {
    async fn run(mut self) -> Result<()> {
        let mut lines = lines();
        let mut events = self.client.events();
        let mut state = self.client.state();
        state.mark_unchanged();
        loop {
            tokio::select! {
                line = lines.recv(), if self.sends.len() < SENDS_MAX => match line {
                    Some(line) => if matches!(self.take_line(&line).await?, Next::Leave) { break },
                    None => break,
                },
                event = events.next() => match event {
                    Some(event) => self.show(event)?,
                    None => bail!("{}", self.client.close().await),
                },
                result = async { self.sends.front_mut().expect("guarded").await }, if !self.sends.is_empty() => {
                    self.sends.pop_front();
                    self.note(result.map(|_| ()));
                }
                changed = state.changed() => {
                    changed.context("the client is gone")?;
                    match &*state.borrow_and_update() {
                        State::Connecting => eprintln!("(reconnecting…)"),
                        State::Online(_) => eprintln!("(online)"),
                        State::Closed(closed) => bail!("closed: {closed}"),
                    }
                }
            }
        }
        self.leave().await
    }

    async fn take_line(&mut self, line: &str) -> Result<Next> {
        match line {
            "" => {}
            "/quit" => return Ok(Next::Leave),
            "/history" => match self.show_history().await {
                Ok(_) => {}
                Err(error) => eprintln!("({error:#})"),
            },
            "/members" => match self.show_members().await {
                Ok(()) => {}
                Err(error) => eprintln!("({error:#})"),
            },
            command if command.starts_with('/') && !command.starts_with("//") => {
                eprintln!("(there are /history, /members and /quit; begin with // to send a line that begins with /)");
            }
            text => {
                let text = text.strip_prefix('/').unwrap_or(text);
                let draft = switchyard_client::Draft::text(&self.conversation, text);
                self.sends.push_back(self.client.post(draft));
            }
        }
        Ok(Next::Go)
    }

    /// Sends what is unsent and shows it, then goes.
    async fn leave(mut self) -> Result<()> {
        let mut events = self.client.events();
        let mut last = self.printed;
        let flushed = timeout(FLUSH, async {
            while let Some(send) = self.sends.pop_front() {
                let result = send.await;
                last = last.max(result.as_ref().map_or(0, |sent| sent.message.seq));
                self.note(result.map(|_| ()));
            }
            while self.printed < last {
                let Some(event) = events.next().await else { break };
                self.show(event)?;
            }
            Ok::<_, anyhow::Error>(())
        })
        .await;
        let unsent = self.sends.len() + usize::from(flushed.is_err());
        self.client.close_within(Duration::from_secs(1)).await;
        if let Ok(result) = flushed {
            result?;
        }
        if unsent + self.failed > 0 {
            bail!("some messages were not sent");
        }
        Ok(())
    }

    fn note(&mut self, result: Result<(), Error>) {
        if let Err(error) = result {
            self.failed += 1;
            eprintln!("(not sent: {error})");
        }
    }

    /// Shows the messages before the oldest shown, or the newest; gives the conversation's last number.
    async fn show_history(&mut self) -> Result<u64> {
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
            say(message)?;
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
                let role = match member.role() {
                    v1::Role::Member => "",
                    v1::Role::Moderator => " (moderator)",
                    v1::Role::Admin => " (admin)",
                };
                print(format_args!("{}{role}", Printable(&member.user)))?;
            }
            after = page.members.last().map(|member| member.user.clone());
            if !page.more || after.is_none() {
                return Ok(());
            }
        }
    }

    fn show(&mut self, event: Event) -> Result<()> {
        self.printed = event.seq().unwrap_or(self.printed);
        match event {
            Event::Message(message) => {
                self.oldest.get_or_insert(message.seq);
                say(&message)
            }
            Event::Members { seq, change, .. } => {
                let by = Printable(&change.by);
                for member in &change.added {
                    print(format_args!("[{seq}] * {by} added {}", Printable(&member.user)))?;
                }
                for member in &change.removed {
                    match *member == change.by {
                        true => print(format_args!("[{seq}] * {by} left"))?,
                        false => print(format_args!("[{seq}] * {by} removed {}", Printable(member)))?,
                    }
                }
                for member in &change.promoted {
                    let role = member.role().as_str_name().to_lowercase();
                    print(format_args!("[{seq}] * {} is now {role}", Printable(&member.user)))?;
                }
                Ok(())
            }
            Event::Changed { seq, change, .. } => {
                let by = Printable(&change.by);
                let pinned = change.pinned.as_ref().or(change.unpinned.as_ref());
                match (change.closed, &change.name) {
                    _ if pinned.is_some() => print(format_args!("[{seq}] * {by} changed what is pinned")),
                    (Some(true), _) => print(format_args!("[{seq}] * {by} closed it: it can only be read")),
                    (Some(false), _) => print(format_args!("[{seq}] * {by} reopened it")),
                    (None, Some(name)) => print(format_args!("[{seq}] * {by} named it {}", Printable(name))),
                    (None, None) => print(format_args!("[{seq}] * {by} changed its avatar or context")),
                }
            }
            Event::Updated { seq, message, .. } => {
                print(format_args!("[{seq}] * [{}] now says: {}", message.seq, Printable(&message.text)))
            }
            Event::Deleted { seq, deleted, .. } => {
                let number = deleted.id.rsplit('.').next().unwrap_or_default();
                print(format_args!("[{seq}] * {} deleted [{}]", Printable(&deleted.by), Printable(number)))
            }
            Event::Reacted { seq, reacted, .. } => {
                let number = reacted.id.rsplit('.').next().unwrap_or_default();
                let (user, emoji) = (Printable(&reacted.user), Printable(&reacted.emoji));
                let deed = if reacted.removed { "took back" } else { "gave" };
                print(format_args!("[{seq}] * {user} {deed} {emoji} to [{}]", Printable(number)))
            }
            Event::Other { .. } | Event::Typing { .. } | Event::Marks { .. } => Ok(()),
            Event::Listed { .. } | Event::Relisted { .. } | Event::Unlisted { .. } => Ok(()),
            Event::Presence(_) | Event::Online { .. } => Ok(()),
            Event::Gap { missed_from, first_available, .. } => {
                eprintln!("(numbers {missed_from} to {} are no longer kept)", first_available - 1);
                Ok(())
            }
            Event::Ended { reason: Ended::Removed, .. } => bail!("you are no longer a member"),
            Event::Ended { reason: Ended::Refused(error), .. } => bail!("no more events: {error}"),
        }
    }
}

fn say(message: &v1::Message) -> Result<()> {
    if message.deleted {
        return print(format_args!("[{}] {}: (deleted)", message.seq, Printable(&message.sender)));
    }
    print(format_args!("[{}] {}: {}", message.seq, Printable(&message.sender), Printable(&message.text)))
}

/// A line on stdout; the reader may have gone.
fn print(line: std::fmt::Arguments<'_>) -> Result<()> {
    writeln!(std::io::stdout().lock(), "{line}").context("stdout is closed")
}
