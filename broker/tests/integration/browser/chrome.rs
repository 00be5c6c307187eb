//! A Chromium of a test's own, driven over WebDriver. It waits for what a test wants to see, in the browser, and never just
//! for a while. Browser and driver are ended by the session's and the process's own ids.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use fantoccini::error::CmdError;
use fantoccini::wd::{Capabilities, TimeoutConfiguration, WindowHandle};
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::plain::{Plain, acquainted};
use crate::site::Site;

/// Far longer than anything takes; reached only by a fault.
const GUARD: Duration = Duration::from_secs(30);

/// Attempts to start the driver.
const STARTS_MAX: usize = 3;

/// Enter, as WebDriver writes it.
pub(crate) const ENTER: &str = "\u{e007}";

/// A window as seen at a desk. Where the driver puts none of its own limits on pages that nobody looks at.
const ARGUMENTS: &[&str] = &[
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
    "--disable-background-timer-throttling",
    "--disable-backgrounding-occluded-windows",
    "--disable-renderer-backgrounding",
    "--window-size=1200,800",
];

/// See the module.
pub(crate) struct Browser {
    driver: Driver,
    runtime: Runtime,
    client: Client,
    session: String,
}

/// One window of a browser: what is done with it is done in front.
#[derive(Clone)]
pub(crate) struct Window<'a> {
    browser: &'a Browser,
    handle: WindowHandle,
}

/// The driver's process, with the folder that its browser keeps everything in.
struct Driver {
    child: Child,
    port: u16,
    profile: TempDir,
}

impl Driver {
    /// It chooses a free port by itself, and ends if another program has it by the time that it listens.
    fn start() -> Self {
        (0..STARTS_MAX).find_map(|_| Self::started()).expect("it says its port")
    }

    fn started() -> Option<Self> {
        let mut command = Command::new("chromedriver");
        command.arg("--port=0").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("`cargo xtask tools` installs chromedriver");
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let port = lines.by_ref().map_while(Result::ok).find_map(|line| {
            line.trim_end_matches('.').rsplit_once("on port ")?.1.parse().ok().filter(|port| *port != 0)
        });
        let Some(port) = port else {
            let _ = child.kill();
            let _ = child.wait();
            return None;
        };
        // What it says later is nobody's business, but may not hold it up.
        std::thread::spawn(move || lines.for_each(drop));
        Some(Self { child, port, profile: tempfile::tempdir().expect("a directory") })
    }

    /// Asks it for something by plain HTTP, and waits until it answers.
    fn ask(&self, method: &str, path: &str) {
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.port)) else { return };
        let _ = stream.set_read_timeout(Some(GUARD));
        let _ = write!(stream, "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n");
        let _ = stream.read(&mut [0; 1_024]);
    }
}

impl Browser {
    /// Starts one; it shows nothing yet.
    pub(crate) fn start() -> Self {
        let driver = Driver::start();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let profile = format!("--user-data-dir={}", driver.profile.path().display());
        let arguments: Vec<&str> = ARGUMENTS.iter().copied().chain([profile.as_str()]).collect();
        let mut capabilities = Capabilities::new();
        capabilities.insert("goog:chromeOptions".to_owned(), json!({"args": arguments}));
        let client = runtime.block_on(async {
            let url = format!("http://127.0.0.1:{}", driver.port);
            let mut builder = ClientBuilder::new(HttpConnector::new());
            let client = builder.capabilities(capabilities).connect(&url).await.expect("a browser");
            let timeouts = TimeoutConfiguration::new(Some(GUARD), Some(GUARD), None);
            client.update_timeouts(timeouts).await.expect("it is taken");
            client
        });
        let session = runtime.block_on(client.session_id()).expect("a session").expect("a session");
        Self { driver, runtime, client, session }
    }

    /// A window with this site's page.
    pub(crate) fn window(&self, site: &Site) -> Window<'_> {
        let handle = self.run(async |client| client.new_window(false).await).handle;
        let window = Window { browser: self, handle };
        window.do_in(async |client| client.goto(&site.page()).await);
        window
    }

    /// A window for each of these demo users, who has come in.
    pub(crate) fn people<const N: usize>(&self, site: &Site, names: [&str; N]) -> [Window<'_>; N] {
        names.map(|name| {
            let window = self.window(site);
            window.log_in(name);
            window
        })
    }

    /// Alice and Bob, who know each other, each with the conversation with the other open.
    pub(crate) fn chat(&self, site: &Site) -> [Window<'_>; 2] {
        let [alice, bob] = self.people(site, ["Alice", "Bob"]);
        acquainted(site, "alice", "bob");
        alice.open("Bob");
        bob.open("Alice");
        for window in [&alice, &bob] {
            window.until("!document.getElementById('asks').checkVisibility()", &[]);
        }
        [alice, bob]
    }

    /// Alice and Bob, who are members of Carol's group `Night shift`; with Carol, and the group's id.
    pub(crate) fn night_shift(&self, site: &Site) -> ([Window<'_>; 2], Plain, String) {
        let mut carol = Plain::open(site, "carol");
        let group = carol.group("Night shift", &["alice", "bob"]);
        (self.people(site, ["Alice", "Bob"]), carol, group)
    }

    fn run<T>(&self, act: impl AsyncFnOnce(&Client) -> Result<T, CmdError>) -> T {
        self.runtime.block_on(act(&self.client)).unwrap_or_else(|error| panic!("{error}"))
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Ends the browser, which would outlive its driver.
        self.driver.ask("DELETE", &format!("/session/{}", self.session));
        let _ = self.driver.child.kill();
        let _ = self.driver.child.wait();
    }
}

impl Window<'_> {
    fn do_in<T>(&self, act: impl AsyncFnOnce(&Client) -> Result<T, CmdError>) -> T {
        self.browser.run(async |client| {
            client.switch_to_window(self.handle.clone()).await?;
            act(client).await
        })
    }

    /// Runs a script; gives what it returns.
    pub(crate) fn script(&self, script: &str, given: &[Value]) -> Value {
        self.do_in(async |client| client.execute(script, given.to_vec()).await)
    }

    /// Runs the body of an async function; gives what it returns. A failure comes as `{"failed": …}`.
    pub(crate) fn run(&self, body: &str, given: &[Value]) -> Value {
        let script = format!(
            "const given = [...arguments]; const done = given.pop();
             (async () => {{ {body} }})().then(done, (error) => done({{ failed: String(error.stack ?? error) }}));"
        );
        let result = self.do_in(async |client| client.execute_async(&script, given.to_vec()).await);
        assert!(result.get("failed").is_none(), "{result}");
        result
    }

    /// Waits until this expression is something; `given` are its arguments. Gives it.
    pub(crate) fn until(&self, condition: &str, given: &[Value]) -> Value {
        // Looked at again and again in the browser. The page's own policy lets nobody make functions of texts.
        let script = format!(
            "const given = [...arguments]; const done = given.pop();
             const timer = setInterval(() => {{
                 const found = {condition};
                 if (found) {{ clearInterval(timer); done(found); }}
             }}, 10);"
        );
        self.browser.runtime.block_on(async {
            self.browser.client.switch_to_window(self.handle.clone()).await.expect("it is there");
            match self.browser.client.execute_async(&script, given.to_vec()).await {
                Ok(found) => found,
                Err(error) => {
                    let text = self.browser.client.execute("return document.body.innerText", Vec::new()).await;
                    panic!("never so: {condition} {given:?}: {error}; the page says {text:?}");
                }
            }
        })
    }

    /// Clicks on what this selector finds.
    pub(crate) fn click(&self, css: &str) {
        self.until("[...document.querySelectorAll(given[0])].some((one) => one.checkVisibility())", &[json!(css)]);
        self.do_in(async |client| client.find(Locator::Css(css)).await?.click().await);
    }

    /// Clicks on the first of these in which this text stands.
    pub(crate) fn click_on(&self, css: &str, text: &str) {
        self.until(
            "[...document.querySelectorAll(given[0])].some((one) => one.textContent.includes(given[1]))",
            &[json!(css), json!(text)],
        );
        let found = "return [...document.querySelectorAll(arguments[0])].findIndex((one) => one.textContent.includes(arguments[1]))";
        let at = self.script(found, &[json!(css), json!(text)]).as_u64().and_then(|at| usize::try_from(at).ok());
        self.do_in(async |client| {
            let all = client.find_all(Locator::Css(css)).await?;
            all.into_iter().nth(at.expect("it is there")).expect("it is there").click().await
        });
    }

    /// Types into what this selector finds.
    pub(crate) fn type_into(&self, css: &str, keys: &str) {
        self.do_in(async |client| client.find(Locator::Css(css)).await?.send_keys(keys).await);
    }

    /// Types into whatever has the focus.
    pub(crate) fn type_keys(&self, keys: &str) {
        self.do_in(async |client| client.active_element().await?.send_keys(keys).await);
    }

    /// Makes it so large.
    pub(crate) fn resize(&self, width: u32, height: u32) {
        self.do_in(async |client| client.set_window_size(width, height).await);
    }

    /// Loads the page again.
    pub(crate) fn reload(&self) {
        self.do_in(async |client| client.refresh().await);
    }

    /// Closes it.
    pub(crate) fn close(self) {
        self.do_in(async |client| client.close_window().await);
    }

    // What a person does on the page.

    /// Comes in as a demo user.
    pub(crate) fn log_in(&self, name: &str) {
        self.click_on(".person", name);
        self.until("document.getElementById('state').textContent === 'Online'", &[]);
    }

    /// Opens the conversation of this name, or begins it. Found and clicked in one go: the list may change at any time.
    pub(crate) fn open(&self, name: &str) {
        let item = "[...document.querySelectorAll('.item')].find((one) => one.checkVisibility() \
                    && one.querySelector('.name').textContent === given[0])";
        self.until(&format!("((item) => item && (item.click(), true))({item})"), &[json!(name)]);
        self.until("document.getElementById('chat-name').textContent === given[0]", &[json!(name)]);
    }

    /// Writes a message and sends it by Enter.
    pub(crate) fn say(&self, text: &str) {
        self.type_into("#text", &format!("{text}{ENTER}"));
    }

    /// Waits until a message with this text stands there, in this state.
    pub(crate) fn sees(&self, text: &str, state: &str) {
        let found = "[...document.querySelectorAll('.row')].some((row) => row.dataset.state === given[1] \
                     && row.querySelector('.bubble p')?.textContent === given[0])";
        self.until(found, &[json!(text), json!(state)]);
    }

    /// Clicks on a tool beside the message with this text.
    pub(crate) fn tool(&self, text: &str, words: &str) {
        let marked = "const row = [...document.querySelectorAll('.row')].find((row) => row.querySelector('.bubble p')?.textContent === arguments[0]);
                      row.id = 'marked'; row.tabIndex = 0; row.focus()";
        self.script(marked, &[json!(text)]);
        self.click(&format!("#marked .tools [aria-label='{words}']"));
        self.script("document.getElementById('marked').id = ''", &[]);
    }

    /// What can be pressed or filled in, stands there and has no name for whoever hears the page.
    pub(crate) fn nameless(&self) -> Value {
        let all = "return [...document.querySelectorAll('button, input, textarea, select')].filter((one) => one.checkVisibility() && \
                   !one.ariaLabel && !one.textContent.trim() && !one.labels?.length).map((one) => one.outerHTML)";
        self.script(all, &[])
    }

    /// Waits until this is told in the open conversation, beside messages.
    pub(crate) fn told(&self, text: &str) {
        let found = "[...document.querySelectorAll('.row.told p')].some((one) => one.textContent === given[0])";
        self.until(found, &[json!(text)]);
    }

    /// Waits until this stands for a moment at the page's edge.
    pub(crate) fn toasted(&self, text: &str) {
        self.until("document.getElementById('toasts').textContent.includes(given[0])", &[json!(text)]);
    }

    /// Waits until this is unread in the conversation of this name, as its badge says: 0 for no badge.
    pub(crate) fn unread(&self, name: &str, count: u64) {
        let badge = "[...document.querySelectorAll('#list .item')].some((one) => one.querySelector('.name').textContent === given[0] \
                     && (one.querySelector('.badge:not(.at)')?.textContent ?? '0 unread') === `${given[1]} unread`)";
        self.until(badge, &[json!(name), json!(count)]);
    }

    /// Waits until this has become of the own message with this text.
    pub(crate) fn ticks(&self, text: &str, progress: &str) {
        let found = "[...document.querySelectorAll('.row.own')].some((row) => row.dataset.progress === given[1] \
                     && row.querySelector('.bubble p').textContent === given[0])";
        self.until(found, &[json!(text), json!(progress)]);
    }

    /// Nobody looks at it from now on, or somebody does again. A browser without a screen always has the focus.
    pub(crate) fn look(&self, on: bool) {
        self.script(
            "document.hasFocus = () => arguments[0]; dispatchEvent(new Event(arguments[0] ? 'focus' : 'blur'))",
            &[json!(on)],
        );
    }

    /// The texts of all messages that stand there, in order.
    pub(crate) fn texts(&self) -> Vec<String> {
        let texts =
            self.script("return [...document.querySelectorAll('.bubble p')].map((text) => text.textContent)", &[]);
        serde_json::from_value(texts).expect("texts")
    }
}
