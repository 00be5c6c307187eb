//! What a session's call needs of the door, kept in one place so that it can be lent beside the connections: the token
//! verifier, budgets, and the list of effects.

use std::collections::HashMap;
use std::sync::Arc;

use switchyard_cluster::mailbox::ROOM_KEPT_MAX;
use switchyard_cluster::now::Now;
use switchyard_cluster::party::EdgeId;
use switchyard_cluster::trace::Instance;

use super::Shared;
use super::connection::{ConnectionId, moment};
use crate::admission::budget::{self, Limit, Moment};
use crate::admission::connection::{ConnectionBudget, ConnectionRates};
use crate::admission::door::{Change, Entered};
use crate::auth::{Identity, Verifier};
use crate::fanout::FanOut;
use crate::session::{Context, Effect, Gate, PageLine};

/// See the module.
pub(super) struct Desk {
    pub(super) shared: Arc<Shared>,
    pub(super) edge: EdgeId,
    pub(super) instance: Instance,
    pub(super) verifier: Arc<Verifier>,
    pub(super) rates: ConnectionRates,
    /// What sessions want done and has not been done.
    pub(super) effects: Vec<Effect>,
    /// Limits of budgets that were met, for metrics.
    pub(super) met: Vec<Limit>,
    /// By slot, the pages of those few connections that wait for some.
    pub(super) pages: HashMap<u32, PageLine, foldhash::fast::RandomState>,
    /// By session, the changes that wait for their answers. They outlive their sessions: the store's work goes on.
    changes: HashMap<u64, Vec<Change>, foldhash::fast::RandomState>,
}

impl Desk {
    pub(super) fn new(shared: Arc<Shared>, edge: EdgeId, instance: Instance) -> Self {
        shared.admission.places().add_worker();
        Self {
            edge,
            instance,
            verifier: shared.verifier.current(),
            rates: ConnectionRates::new(&shared.config.budgets.connection),
            effects: Vec::new(),
            met: Vec::new(),
            pages: HashMap::default(),
            changes: HashMap::default(),
            shared,
        }
    }

    /// Counts a change that a session asks for; `false`: its user waits for too many.
    pub(super) fn begin_change(&mut self, id: ConnectionId, entered: Option<&Entered>, units: u32) -> bool {
        let Some(entered) = entered else { return true };
        match self.shared.admission.change(entered, units) {
            Ok(change) => {
                self.changes.entry(id.number()).or_default().push(change);
                true
            }
            Err(refusal) => {
                self.met.push(refusal.limit);
                false
            }
        }
    }

    /// One of the session's changes has its answer. Which one is not known; they are alike enough, and in the end all
    /// are answered.
    pub(super) fn end_change(&mut self, id: ConnectionId) {
        if let Some(changes) = self.changes.get_mut(&id.number()) {
            changes.pop();
            if changes.is_empty() {
                self.changes.remove(&id.number());
            }
        }
        if self.changes.is_empty() && self.changes.capacity() > ROOM_KEPT_MAX {
            self.changes = HashMap::default();
        }
    }

    /// Gives back what a burst has left.
    pub(super) fn rest(&mut self) {
        self.effects.shrink_to_fit();
        self.met.shrink_to_fit();
        self.pages.shrink_to_fit();
        self.changes.shrink_to_fit();
    }

    /// Lends all this to one connection's session.
    pub(super) fn lend<'a>(
        &'a mut self,
        id: ConnectionId,
        budget: &'a mut ConnectionBudget,
        entered: &'a mut Option<Entered>,
        readers: &'a FanOut,
        now: Now,
    ) -> Lent<'a> {
        let account = Account {
            shared: &self.shared,
            rates: &self.rates,
            met: &mut self.met,
            budget,
            entered,
            moment: moment(now),
        };
        let (edge, instance) = (self.edge, self.instance);
        Lent { edge, instance, verifier: &self.verifier, readers, effects: &mut self.effects, now, id, account }
    }
}

/// The desk, with one connection's accounts on it.
pub(super) struct Lent<'a> {
    edge: EdgeId,
    instance: Instance,
    verifier: &'a Verifier,
    readers: &'a FanOut,
    effects: &'a mut Vec<Effect>,
    now: Now,
    id: ConnectionId,
    account: Account<'a>,
}

impl Lent<'_> {
    /// What a call of the session takes.
    pub(super) fn call<R>(&mut self, call: impl FnOnce(&mut Context<'_>) -> R) -> R {
        let mut cx = Context {
            now: self.now,
            edge: self.edge,
            instance: self.instance,
            session: self.id.number(),
            config: &self.account.shared.config.session,
            verifier: self.verifier,
            directory: self.readers,
            gate: &mut self.account,
            fresh: &mut rand::random,
            effects: self.effects,
        };
        call(&mut cx)
    }

    /// A ping, a pong or an empty message came; `false`: one too many.
    pub(super) fn control_frame(&mut self) -> bool {
        let Account { budget, rates, moment, .. } = &mut self.account;
        let result = budget.control_frame(rates, *moment);
        self.account.noting(result).is_ok()
    }

    /// Has something done as if the session had wanted it.
    pub(super) fn want(&mut self, effect: Effect) {
        self.effects.push(effect);
    }
}

/// One connection's budgets.
struct Account<'a> {
    shared: &'a Shared,
    rates: &'a ConnectionRates,
    met: &'a mut Vec<Limit>,
    budget: &'a mut ConnectionBudget,
    entered: &'a mut Option<Entered>,
    moment: Moment,
}

impl Account<'_> {
    fn noting<T>(&mut self, result: Result<T, budget::Refusal>) -> Result<T, budget::Refusal> {
        if let Err(refusal) = &result {
            self.met.push(refusal.limit);
        }
        result
    }
}

impl Gate for Account<'_> {
    fn request(&mut self, cost: u64) -> Result<(), budget::Refusal> {
        let mut result = self.budget.request(self.rates, cost, self.moment);
        if let (Ok(()), Some(entered)) = (&result, &*self.entered) {
            result = self.shared.admission.request(entered, cost, self.moment);
        }
        self.noting(result)
    }

    fn admit(&mut self, identity: &Identity) -> Result<(), budget::Refusal> {
        let result = self.shared.admission.enter(&identity.tenant, &identity.user, self.moment);
        let entered = self.noting(result)?;
        *self.entered = Some(entered);
        Ok(())
    }
}
