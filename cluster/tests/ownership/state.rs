//! What there is: rows at replicas, writes on their way, the table of owners, and what each router believes.

/// Replicas of the store.
pub(crate) const REPLICAS: usize = 3;

/// How many make a quorum.
pub(crate) const QUORUM: usize = 2;

/// Any two of them.
pub(crate) const PAIRS: [(usize, usize); 3] = [(0, 1), (0, 2), (1, 2)];

/// Routers.
pub(crate) const ROUTERS: usize = 3;

/// Rows at most.
pub(crate) const ROWS: usize = 3;

/// Epochs at most, with one that never is.
pub(crate) const EPOCHS: usize = 7;

/// Writes on their way at most. More is a fault of the bounds, and is said.
pub(crate) const WRITES: usize = 9;

/// A set of replicas, or of routers.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Debug)]
pub(crate) struct Set(pub(crate) u8);

impl Set {
    pub(crate) const ALL: Self = Self(0b111);

    pub(crate) fn has(self, one: usize) -> bool {
        self.0 >> one & 1 == 1
    }

    pub(crate) fn add(&mut self, one: usize) {
        self.0 |= 1 << one;
    }

    pub(crate) fn remove(&mut self, one: usize) {
        self.0 &= !(1 << one);
    }

    pub(crate) fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// What a row says of its message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Body {
    /// There is no row.
    Absent,
    /// The text is gone, the message remains.
    Erased,
    /// The text.
    Text,
    /// The row was dropped.
    Dropped,
}

/// A row at a replica, as one number: the greater one wins, as in the store. From the top: the timestamp (epoch, then
/// overwrites within it), the body, and the bytes that never change: the epoch that wrote it, the first number of its batch, the
/// message. Where timestamps are equal the greater bytes win, which is why a text stands above its erasure: nothing but the
/// timestamp may decide between them.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Debug)]
pub(crate) struct Cell(u16);

impl Cell {
    pub(crate) const ABSENT: Self = Self(0);

    pub(crate) fn new(epoch: u8, first: usize, message: u8) -> Self {
        Self(0).with_bytes(epoch, first, message).with_body(Body::Text).stamped(epoch, 0)
    }

    fn with_bytes(self, epoch: u8, first: usize, message: u8) -> Self {
        Self(self.0 & !0x7f | u16::from(epoch) << 4 | (first as u16) << 2 | u16::from(message))
    }

    pub(crate) fn with_body(self, body: Body) -> Self {
        Self(self.0 & !(3 << 7) | (body as u16) << 7)
    }

    /// With this timestamp.
    pub(crate) fn stamped(self, epoch: u8, overwrites: u8) -> Self {
        Self(self.0 & 0x1ff | u16::from(epoch) << 10 | u16::from(overwrites) << 9)
    }

    /// As if this epoch had written it as a batch of its own.
    pub(crate) fn rebatched(self, epoch: u8, row: usize) -> Self {
        self.with_bytes(epoch, row, self.message())
    }

    /// The message alone.
    pub(crate) fn bare(self) -> Self {
        Self(u16::from(self.message()))
    }

    pub(crate) fn body(self) -> Body {
        [Body::Absent, Body::Erased, Body::Text, Body::Dropped][usize::from(self.0 >> 7 & 3)]
    }

    /// The batch: who wrote it, and where it begins.
    pub(crate) fn batch(self) -> (u8, usize) {
        ((self.0 >> 4 & 7) as u8, usize::from(self.0 >> 2 & 3))
    }

    pub(crate) fn message(self) -> u8 {
        (self.0 & 3) as u8
    }

    /// Whether a reader finds a row there.
    pub(crate) fn is_there(self) -> bool {
        matches!(self.body(), Body::Text | Body::Erased)
    }
}

/// A write on its way.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Debug)]
pub(crate) struct Write {
    /// Whose: the epoch.
    pub(crate) epoch: u8,
    /// The first row.
    pub(crate) start: u8,
    /// How many.
    pub(crate) count: u8,
    /// Nobody waits for it.
    pub(crate) abandoned: bool,
    /// What it writes.
    pub(crate) cells: [Cell; ROWS],
    /// The replicas that it has not reached.
    pub(crate) left: Set,
}

/// What a router is at.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Debug)]
pub(crate) enum Phase {
    /// It owns nothing, has not begun, or has stopped.
    #[default]
    Idle,
    /// Adoption: it reads rows.
    Reading,
    /// Adoption: it waits until what it wrote again is at a quorum.
    Rewriting,
    /// It reads its fence, to show what it holds.
    Confirming,
    /// It serves.
    Ready,
    /// It waits until a batch is at a quorum.
    Writing,
    /// It waits until an erasure is at a quorum.
    Erasing,
    /// It reads its fence, to say that a text is gone.
    ConfirmingErasure,
    /// It reads its fence, to drop what lies below its hint.
    ConfirmingHint,
    /// It has sent a claim for another, and yet answers (without [`Rule::MoveStopsAnswers`](super::rules::Rule)).
    Moving,
    /// The same, reading its fence.
    MovingConfirming,
}

/// What a router believes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub(crate) struct Router {
    pub(crate) phase: Phase,
    /// The epoch that it began last.
    pub(crate) epoch: u8,
    /// Adoption: the hint that it read.
    pub(crate) hint: u8,
    /// Adoption: the next row to read, or to write again; otherwise the row to be erased.
    pub(crate) next: u8,
    /// Rows that it shows.
    pub(crate) shown: u8,
    /// Rows that it holds, those on their way among them.
    pub(crate) held: u8,
    pub(crate) log: [Cell; ROWS],
    /// A quorum read under way: what was seen, and who was asked.
    pub(crate) seen: [Cell; ROWS],
    pub(crate) asked: Set,
    /// The hint below which it may drop rows.
    pub(crate) drops: u8,
    /// How many rows had been committed when the fence read began.
    pub(crate) began: u8,
}

/// See the module.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct State {
    /// The table of owners: who, and in which epoch.
    pub(crate) owner: u8,
    pub(crate) epoch: u8,
    /// Who owned each epoch.
    pub(crate) owners: [u8; EPOCHS + 1],
    /// Claims on their way: for each epoch that they would end, the routers that they are for.
    pub(crate) claims: [Set; EPOCHS + 1],
    /// Who has won each epoch and not begun it: one more than the router; 0 for nobody.
    pub(crate) won: [u8; EPOCHS + 1],
    /// The replicas that know each router to be fenced.
    pub(crate) fenced: [Set; ROUTERS],
    pub(crate) replicas: [[Cell; ROWS]; REPLICAS],
    pub(crate) writing: u8,
    pub(crate) writes: [Write; WRITES],
    pub(crate) routers: [Router; ROUTERS],
    /// The messages that were ever acknowledged or shown, by number; and how many.
    pub(crate) shown: [u8; ROWS],
    pub(crate) head: u8,
    /// The highest message that was ever sent. Which is sent first makes no difference.
    pub(crate) named: u8,
    /// The head when each message was first sent.
    pub(crate) since: [u8; 4],
    /// The hint that a quorum has: no read gives less.
    pub(crate) hint: u8,
    /// How many of the first rows may have been dropped.
    pub(crate) dropped: u8,
    /// Rows of which it was said that their text is gone.
    pub(crate) erased: Set,
}

impl State {
    /// The first router owns the shard, and nothing was written.
    pub(crate) fn start() -> Self {
        let mut routers = [Router::default(); ROUTERS];
        routers[0] = Router { phase: Phase::Ready, epoch: 1, ..Router::default() };
        Self {
            owner: 0,
            epoch: 1,
            owners: [0; EPOCHS + 1],
            claims: [Set::default(); EPOCHS + 1],
            won: [0; EPOCHS + 1],
            fenced: [Set::default(); ROUTERS],
            replicas: [[Cell::ABSENT; ROWS]; REPLICAS],
            writing: 0,
            writes: [Write::default(); WRITES],
            routers,
            shown: [0; ROWS],
            head: 0,
            named: 0,
            since: [0; 4],
            hint: 0,
            dropped: 0,
            erased: Set::default(),
        }
    }

    /// The writes on their way.
    pub(crate) fn under_way(&self) -> &[Write] {
        &self.writes[..usize::from(self.writing)]
    }

    /// The same.
    pub(crate) fn under_way_mut(&mut self) -> &mut [Write] {
        &mut self.writes[..usize::from(self.writing)]
    }

    /// Whether this router owns its epoch still, as the table has it.
    pub(crate) fn owns(&self, router: usize) -> bool {
        usize::from(self.owner) == router && self.epoch == self.routers[router].epoch
    }
}
