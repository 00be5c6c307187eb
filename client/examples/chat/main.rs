//! Two people chat from two terminals. It reads plain lines and writes plain lines, so it can be scripted through pipes.
//!
//! What is typed is sent; what arrives is printed as `[number] sender: text`, and what else happens as `[number] * what`.
//! Notices about the connection and what could not be done go to stderr. Lines that begin with `/` are commands, and
//! `/help` shows them. At the end of the input it sends what is unsent, and exits.

mod commands;
mod show;

use std::collections::VecDeque;
use std::io::BufRead as _;
use std::process::{ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::{ArgGroup, Parser};
use switchyard_client::protocol::frame::Form;
use switchyard_client::{
    Client, ClientConfig, Draft, Ended, Error, Event, PendingSend, Sent, State, StaticToken, TokenError,
};
use tokio::process::Command;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use crate::commands::Line;

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
    /// Who you are: a token, as `switchyard token --user NAME` prints it. When it runs out, the chat ends.
    #[arg(long, env = "SWITCHYARD_TOKEN", hide_env_values = true, required_unless_present = "token_command")]
    token: Option<String>,
    /// The same for as long as you like: a command that prints a token, run again whenever a new one is needed.
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
    let mut chat = Chat { client, conversation, oldest: None, printed: 0, sends: VecDeque::new(), sent: 0, failed: 0 };
    let head = chat.show_history().await?;
    chat.printed = head;
    chat.client.subscribe(&chat.conversation, Some(head)).await?;
    eprintln!("(connected: type a message, or /help)");
    chat.run().await
}

fn config(args: &Args) -> Result<ClientConfig> {
    let mut config = match (&args.token, &args.token_command) {
        (Some(token), None) => ClientConfig::new(&args.url, StaticToken::new(token.trim())),
        (None, Some(command)) => {
            let (command, worked) = (command.clone(), Arc::new(AtomicBool::new(false)));
            ClientConfig::new(&args.url, move || run_token_command(command.clone(), Arc::clone(&worked)))
        }
        _ => bail!("give --token or --token-command"),
    };
    if args.json {
        config.form = Form::Json;
    }
    Ok(config)
}

/// One that never worked is wrong; one that did will again.
async fn run_token_command(command: String, worked: Arc<AtomicBool>) -> Result<String, TokenError> {
    let mut shell = Command::new("sh");
    shell.args(["-c", &command]).stdin(Stdio::null()).stderr(Stdio::inherit());
    let output = shell.output().await.map_err(|error| TokenError::Never(error.to_string()))?;
    if output.status.success() {
        worked.store(true, Ordering::Relaxed);
        return Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned());
    }
    let failed = format!("the token command ended with {}", output.status);
    if !worked.load(Ordering::Relaxed) {
        return Err(TokenError::Never(failed));
    }
    eprintln!("({failed}; it is run again soon)");
    Err(TokenError::Later(failed))
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

/// Tells when the connection is lost and when it is back. Ends with the client.
async fn tell_connection(mut state: watch::Receiver<State>) {
    while state.changed().await.is_ok() {
        match &*state.borrow_and_update() {
            State::Connecting => eprintln!("(reconnecting…)"),
            State::Online(_) => eprintln!("(reconnected)"),
            State::Closed(_) => return,
        }
    }
}

enum Next {
    Go,
    End,
}

struct Chat {
    client: Client,
    conversation: String,
    /// The oldest message that was shown.
    oldest: Option<u64>,
    /// The last number that was printed.
    printed: u64,
    sends: VecDeque<PendingSend>,
    /// The last number that a message of ours got.
    sent: u64,
    failed: usize,
}

impl Chat {
    async fn run(mut self) -> Result<()> {
        let mut lines = lines();
        let mut events = self.client.events();
        let mut state = self.client.state();
        state.mark_unchanged();
        // Beside the loop: a command waits while there is no connection, and this says why.
        tokio::spawn(tell_connection(state));
        loop {
            tokio::select! {
                line = lines.recv(), if self.sends.len() < SENDS_MAX => match line {
                    Some(line) => if matches!(self.take_line(&line).await?, Next::End) { break },
                    None => break,
                },
                event = events.next() => match event {
                    Some(event) => self.take_event(&event)?,
                    None => bail!("closed: {}", self.client.close().await),
                },
                result = async { self.sends.front_mut().expect("guarded").await }, if !self.sends.is_empty() => {
                    self.sends.pop_front();
                    self.note(result);
                }
            }
        }
        self.end().await
    }

    async fn take_line(&mut self, line: &str) -> Result<Next> {
        match Line::read(line) {
            Ok(Line::Text(text)) if text.is_empty() => {}
            Ok(Line::Text(text)) => self.sends.push_back(self.client.post(Draft::text(&self.conversation, text))),
            Ok(Line::Command(command)) => return self.run_command(command).await,
            Err(advice) => eprintln!("({advice})"),
        }
        Ok(Next::Go)
    }

    fn take_event(&mut self, event: &Event) -> Result<()> {
        self.printed = event.seq().unwrap_or(self.printed);
        match event {
            Event::Ended { reason: Ended::Removed, .. } => bail!("you are no longer a member"),
            Event::Ended { reason: Ended::Refused(error), .. } => bail!("no more events: {error}"),
            Event::Message(message) => self.oldest = self.oldest.or(Some(message.seq)),
            _ => {}
        }
        show::event(event).map_or(Ok(()), show::print)
    }

    fn note(&mut self, result: Result<Sent, Error>) {
        match result {
            Ok(sent) => self.sent = self.sent.max(sent.message.seq),
            Err(error) => {
                self.failed += 1;
                eprintln!("(not sent: {error})");
            }
        }
    }

    /// Sends what is unsent and shows it, then ends.
    async fn end(mut self) -> Result<()> {
        let mut events = self.client.events();
        let flushed = timeout(FLUSH, async {
            while let Some(send) = self.sends.pop_front() {
                self.note(send.await);
            }
            while self.printed < self.sent {
                let Some(event) = events.next().await else { break };
                self.take_event(&event)?;
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
}
