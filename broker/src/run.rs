//! One run of the broker, in order: configuration, logs, what is bound, the roles, the ready line; then it waits for
//! signals and ends with a drain. The order is all that is decided here.

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use anyhow::Context;
use switchyard_protocol::id::UserId;

use crate::cli::RunArgs;
use crate::commands::print_line;
use crate::config::{LogFormat, Overrides, Problem, Settings, Source, StoreKind, Tokens};
use crate::exit::Failure;
use crate::listen::listen;
use crate::logs::{self, LogLevel};
use crate::ops::readiness::START;
use crate::ops::{Exporter, Ops, Readiness, Space, process};
use crate::ready::{Ready, ReadyFile};
use crate::roles::{self, Parts, Roles};
use crate::signals::Event;
use crate::threads::Threads;
use crate::version::{COMMIT, VERSION};

/// For whom development mode prints a token.
const DEV_USER: &str = "dev";

/// How often is looked whether all threads run: as often as anybody asks whether the process is ready.
const WATCH_EVERY: Duration = Duration::from_secs(1);

/// Runs every role until it is told to end. Errors of the configuration and of addresses come before anything is served.
pub fn run(args: &RunArgs) -> Result<(), Failure> {
    let source = Source::of_process(args.config.clone());
    let overrides = Overrides::from(args);
    let settings = Settings::resolve(&source, &overrides)?;
    let level = logs::start(&settings.config.log)?;
    let exporter = Exporter::install()?;
    process::set_start_time();
    let open_files_max = process::raise_open_files();
    tracing::info!(version = VERSION, commit = COMMIT, dev = settings.dev, open_files_max, "starting");

    let ops_listener = listen(settings.config.server.ops_listen, "--ops-listen")?;
    let ops_address = ops_listener.local_addr().context("the operations port has no address")?;
    let tokens = settings.tokens()?;
    let readiness = Readiness::default();
    readiness.not_ready(START, "the roles are starting");
    let (events, inbox) = mpsc::channel();
    let ready_file = Arc::new(ReadyFile::default());
    // Room on a cluster's disks is the cluster's business: what it refuses is told to whoever sends.
    let space = (settings.config.store.kind == StoreKind::Embedded).then(|| Space {
        data: settings.config.server.data.clone(),
        free_bytes_min: settings.config.store.free_bytes_min,
        readiness: readiness.clone(),
    });
    let mut ops = Threads::default();
    ops.add(
        Ops {
            listener: ops_listener,
            exporter,
            readiness: readiness.clone(),
            space: space.clone(),
            events: events.clone(),
            drain_deadline: settings.config.server.drain_deadline.0,
            ready_file: Arc::clone(&ready_file),
        }
        .start()?,
    );

    let mut roles = Roles::start(Parts { settings: &settings, tokens: &tokens, readiness: readiness.clone(), events })?;
    // The data directory is there by now: a process on a full disk is not ready for a moment first.
    space.iter().for_each(Space::measure);
    readiness.ready(START);
    let data = &settings.config.server.data;
    let ready = Ready::new(settings.dev, Roles::NAMES.to_vec(), data, roles.public_address(), ops_address);
    tell(&settings, &tokens, &ready)?;
    if let Some(path) = &args.ready_file {
        let failed = |e| Problem::new("--ready-file", format!("cannot write {}: {e}", path.display()));
        ready_file.write(path, &ready).map_err(|e| Failure::Usage(failed(e).into()))?;
    }
    print_line(&ready.line())?;

    if let Err(failure) = wait(&inbox, &mut roles, &mut ops, &Reload { source, overrides, level, settings: &settings })
    {
        // Whoever is served by what is left of it would only wait. Clients come again, to a process that is whole.
        tracing::error!(%failure, "a role has failed: ending at once");
        ready_file.remove();
        return Err(failure);
    }
    readiness.not_ready("drain", "the process is ending");
    let until = Instant::now() + settings.config.server.drain_deadline.0;
    let drained = roles.drain(until);
    ready_file.remove();
    tracing::info!("ended");
    drained
}

/// What a reload needs.
struct Reload<'a> {
    source: Source,
    overrides: Overrides,
    level: LogLevel,
    /// What the process was started with.
    settings: &'a Settings,
}

/// Serves until a drain is asked for (`Ok`) or a role fails.
fn wait(inbox: &Receiver<Event>, roles: &mut Roles, ops: &mut Threads, reload: &Reload<'_>) -> Result<(), Failure> {
    loop {
        match inbox.recv_timeout(WATCH_EVERY) {
            Ok(Event::Reload) => reload.apply(roles),
            Ok(Event::Failed(failure)) => return Err(failure),
            Ok(Event::Drain) => {
                tracing::info!("asked to end; draining");
                return Ok(());
            }
            Err(RecvTimeoutError::Timeout) => {
                roles.measure();
                if let Some(failure) = roles.failed().or_else(|| ops.ended()) {
                    return Err(failure);
                }
            }
            Err(RecvTimeoutError::Disconnected) => {
                return Err(anyhow::anyhow!("the operations thread has ended").into());
            }
        }
    }
}

impl Reload<'_> {
    /// Puts a new level and new secrets and keys in force, or, when anything is wrong anywhere, nothing at all.
    fn apply(&self, roles: &Roles) {
        let read = Settings::resolve(&self.source, &self.overrides)
            .and_then(|settings| settings.tokens().map(|tokens| (tokens, settings)))
            .and_then(|(tokens, settings)| Ok((roles::verifier(&tokens)?, tokens, settings)));
        let (verifier, tokens, settings) = match read {
            Ok(all) => all,
            Err(problems) => {
                for problem in &problems.0 {
                    tracing::error!(%problem, "not reloaded");
                }
                return;
            }
        };
        if let Err(error) = self.level.set(&settings.config.log.level) {
            tracing::error!(%error, "not reloaded");
            return;
        }
        roles.reload(verifier, &tokens);
        tracing::info!("reloaded secrets, keys and the log level");
        let keys = self.settings.need_restart(&settings);
        if !keys.is_empty() {
            tracing::warn!(keys = keys.join(", "), "these have changed too, but need a restart");
        }
    }
}

/// Says where it is served; in development also how to come in at once. Whoever reads JSON gets events alone, and
/// a token is never one.
fn tell(settings: &Settings, tokens: &Tokens, ready: &Ready) -> Result<(), Failure> {
    tracing::info!(clients = ready.ws(), operations = ready.ops(), "ready");
    if !settings.dev || settings.config.log.format == LogFormat::Json {
        return Ok(());
    }
    let user = UserId::new(DEV_USER).expect("the constant is a valid id");
    let token = crate::commands::dev_token(tokens, user)?;
    let data = settings.config.server.data.display();
    eprintln!();
    eprintln!("  Switchyard {VERSION} in development mode: loopback only, everything kept in {data}");
    eprintln!("  the page     {}", ready.page());
    eprintln!("  clients      {}", ready.ws());
    eprintln!("  operations   {}/metrics", ready.ops());
    eprintln!("  a token      {token}");
    eprintln!(
        "               for user `{DEV_USER}`, good for 15 minutes; others: switchyard token --user NAME --data {data}"
    );
    eprintln!();
    Ok(())
}
