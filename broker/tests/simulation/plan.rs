//! What kind of run a seed is: who is there, what fails how often, how much room everything has.

use std::time::Duration;

use switchyard_client::core::Settings;
use switchyard_edge::config::EdgeConfig;
use switchyard_protocol::frame::Form;

use crate::places;
use crate::profile::{OLD_AGE_MS, Profile};
use crate::rng::Rng;

/// A second in the simulation's unit.
pub(crate) const SECOND_US: u64 = 1_000_000;

/// One device of a user.
#[derive(Clone, Debug)]
pub(crate) struct DevicePlan {
    pub(crate) user: usize,
    /// It reads all conversations of its user, also those that come.
    pub(crate) all: bool,
    pub(crate) form: Form,
    /// Sends in flight in one conversation.
    pub(crate) width: usize,
    /// Events that its application's queue holds.
    pub(crate) events_max: usize,
    /// One read of the socket in so many comes seconds later.
    pub(crate) sleepy_one_in: u64,
    /// Longest pause until the application takes what waits.
    pub(crate) read_pause_us_max: u64,
    /// Things that the application does while there is trouble.
    pub(crate) deeds: u64,
    pub(crate) deed_pause_us_max: u64,
}

/// One run.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) profile: Profile,
    /// People; another service may be there beside them.
    pub(crate) users: usize,
    /// The role of each person's tokens; empty for customers.
    pub(crate) roles: Vec<&'static str>,
    /// From this time on the tokens of this user name no role any more.
    pub(crate) role_ends: Option<(usize, u64)>,
    pub(crate) devices: Vec<DevicePlan>,
    pub(crate) doors: u16,
    pub(crate) edge: EdgeConfig,
    /// From here on nothing fails any more.
    pub(crate) trouble_us: u64,
    /// One connection in so many is cut some time after it was made.
    pub(crate) cut_one_in: u64,
    /// The longest life of a connection that is cut.
    pub(crate) cut_us_max: u64,
    /// One connection attempt in so many comes to nothing.
    pub(crate) unreachable_one_in: u64,
    /// Bytes that the kernel keeps for a reader that does not take them.
    pub(crate) send_buffer: usize,
    pub(crate) requests_max: usize,
    pub(crate) event_bytes_max: usize,
    pub(crate) token_ttl: Duration,
    /// One answer of a token provider in so many is 'later'.
    pub(crate) no_token_one_in: u64,
    /// When the process goes down: killed, or told to go.
    pub(crate) ends_us: Vec<(u64, End)>,
}

/// How a process ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum End {
    Killed,
    Drained,
}

/// How often, for a chance that some runs do not have at all.
const NEVER: u64 = u64::MAX;

impl Plan {
    pub(crate) fn of(rng: &mut Rng) -> Self {
        let mut profile = Profile::of(rng);
        profile.large = false;
        if profile.config.unknown_after.is_zero() {
            // Nothing but unknown outcomes would come back.
            profile.config.unknown_after = Duration::from_millis(20);
        }
        let users = rng.within(2, 4) as usize;
        let mut devices = Vec::new();
        for user in 0..users {
            for _ in 0..if rng.chance(300) { 2 } else { 1 } {
                devices.push(DevicePlan::of(user, rng));
            }
        }
        if rng.chance(300) {
            devices.push(DevicePlan { all: false, ..DevicePlan::of(places::SERVICE, rng) });
        }
        let trouble_us = rng.within(2, 20) * SECOND_US;
        let cast = if rng.chance(400) { ["", "SUPPORT", "SELLER", "ADMIN"] } else { [""; 4] };
        let role_ends = (!cast[1].is_empty() && rng.chance(500)).then(|| (1, rng.below(trouble_us)));
        // Whoever is staff no more learns of it with the next token.
        let ttls: &[u64] = if role_ends.is_some() { &[20, 70] } else { &[20, 70, 900] };
        profile.old_rows = 0;
        if rng.below(12) == 0 {
            give_past(&mut profile, &mut devices, rng);
        }
        let mut ends_us = Vec::new();
        if rng.chance(500) {
            for _ in 0..rng.within(1, 3) {
                let end = *rng.pick(&[End::Killed, End::Killed, End::Drained]);
                ends_us.push((rng.below(trouble_us), end));
            }
        }
        Self {
            users,
            roles: cast[..users].to_vec(),
            role_ends,
            devices,
            doors: rng.within(1, 2) as u16,
            edge: edge(rng),
            trouble_us,
            cut_one_in: *rng.pick(&[1, 2, 5, NEVER]),
            cut_us_max: *rng.pick(&[100_000, SECOND_US, 10 * SECOND_US]),
            unreachable_one_in: *rng.pick(&[3, 10, NEVER]),
            send_buffer: *rng.pick(&[150, 600, 4_000, 65_536]),
            requests_max: *rng.pick(&[3, 20, 65_536]),
            event_bytes_max: *rng.pick(&[0, 300, 2_000, 1 << 20]),
            token_ttl: Duration::from_secs(*rng.pick(ttls)),
            no_token_one_in: *rng.pick(&[4, 20, NEVER]),
            ends_us,
            profile,
        }
    }
}

/// One conversation has a long past, of which the most is dropped when the run begins, or soon after. Everybody is quick
/// enough to read all of it if it is not.
fn give_past(profile: &mut Profile, devices: &mut [DevicePlan], rng: &mut Rng) {
    let rule = &mut profile.config.retention.group;
    (rule.events_max, rule.age_max) = (None, None);
    match rng.below(5) {
        // By some message of the run, it may be.
        0 => {
            profile.old_rows = rng.within(1_985, 2_009);
            rule.events_max = Some(*rng.pick(&[1, 10]));
        }
        // More than a thousand of them.
        1 | 2 => {
            profile.old_rows = rng.within(3_011, 3_040);
            rule.events_max = Some(*rng.pick(&[1, 10]));
        }
        // When the newest of the first thousand events is so old: at once, or after some seconds.
        _ => {
            profile.old_rows = rng.within(2_000, 2_040);
            let soon_ms = *rng.pick(&[1, 500, 10_000]);
            rule.age_max = Some(Duration::from_millis(OLD_AGE_MS - 999 + rng.within(0, soon_ms)));
        }
    }
    for device in devices {
        device.events_max = device.events_max.max(20);
        device.read_pause_us_max = device.read_pause_us_max.min(100_000);
    }
}

impl Plan {
    /// The role of a user's tokens, as long as nobody takes it away.
    pub(crate) fn role(&self, user: usize) -> &'static str {
        if user == places::SERVICE { "SERVICE" } else { self.roles[user] }
    }
}

impl DevicePlan {
    fn of(user: usize, rng: &mut Rng) -> Self {
        Self {
            user,
            all: rng.chance(400),
            form: *rng.pick(&[Form::Proto, Form::Proto, Form::Json]),
            width: *rng.pick(&[1, 2, 16]),
            events_max: *rng.pick(&[1, 3, 20, 512]),
            sleepy_one_in: *rng.pick(&[5, 40, NEVER]),
            read_pause_us_max: *rng.pick(&[1_000, 100_000, 3 * SECOND_US]),
            deeds: rng.within(3, 25),
            deed_pause_us_max: *rng.pick(&[1_000, 50_000, SECOND_US]),
        }
    }

    pub(crate) fn settings(&self, number: usize) -> Settings {
        Settings {
            device: format!("device {number}"),
            in_flight_per_conversation_max: self.width,
            ..Settings::default()
        }
    }
}

/// The edge's configuration: the default one, or with less room and shorter times in some places.
fn edge(rng: &mut Rng) -> EdgeConfig {
    let mut config = EdgeConfig::default();
    config.session.requests_in_flight_max = *rng.pick(&[4, 16, 256]);
    config.session.pages_in_flight_max = *rng.pick(&[1, 16]);
    config.session.token_warning = Duration::from_secs(*rng.pick(&[5, 60]));
    config.timing.heartbeat = Duration::from_secs(*rng.pick(&[2, 25]));
    config.timing.idle = config.timing.heartbeat.mul_f32(2.4);
    config.timing.slow = Duration::from_secs(*rng.pick(&[2, 30]));
    config.room.queue_bytes_max = *rng.pick(&[200, 800, 4_000, 262_144]);
    if rng.chance(200) {
        config.budgets.connection.requests_per_second = 10;
        config.budgets.connection.requests_burst = 15;
    }
    config
}
