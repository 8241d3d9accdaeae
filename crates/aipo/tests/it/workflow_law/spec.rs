//! Workflows as they are written, and random ones.

/// Part of a workflow. Tasks are told apart by their labels.
#[derive(Debug, Clone)]
pub(super) enum Spec {
    Task {
        label: u64,
        how: How,
        takes_nothing: bool,
        callback: Option<Box<Spec>>,
        errback: Option<Box<Spec>>,
    },
    Chain(Vec<Spec>),
    Group(Vec<Spec>),
    Chord(Vec<Spec>, Box<Spec>),
    /// A task that gives what it gets. Nobody writes it: it comes after a group that replaces a task.
    Gather,
}

/// How a task ends.
#[derive(Debug, Clone)]
pub(super) enum How {
    Well,
    Badly,
    AfterRetries(u32),
    /// It asks for one retry more than it may.
    OutOfRetries,
    /// It refuses its message.
    Rejecting,
    /// A mark that it carries is revoked before it starts.
    Marked,
    /// Its id is revoked before it starts: while it waits, if it is sent at once.
    Revoked,
    /// It is revoked while it runs.
    RevokedRunning,
    /// It has expired before it starts.
    Expired,
    /// No worker knows it.
    Unknown,
    /// It ends its worker, every time.
    Deadly,
    /// Another workflow in its place.
    As(Box<Spec>),
}

/// Makes random workflows.
pub(super) struct Maker {
    pub(super) random: fastrand::Rng,
    /// The last label given; no two workflows share one.
    labels: u64,
    /// Whether tasks may end their workers.
    deadly: bool,
    /// Whether it makes what replaces a task.
    replacing: bool,
}

impl Maker {
    pub(super) fn new(seed: u64, deadly: bool) -> Self {
        Self {
            random: fastrand::Rng::with_seed(seed),
            labels: 0,
            deadly,
            replacing: false,
        }
    }

    pub(super) fn workflow(&mut self) -> Spec {
        let depth = self.random.u32(1..=5);
        self.spec(depth)
    }

    fn label(&mut self) -> u64 {
        self.labels += 1;
        self.labels
    }

    fn spec(&mut self, depth: u32) -> Spec {
        match self.random.u32(0..if depth == 0 { 1 } else { 7 }) {
            0..=2 => self.task(depth),
            3 | 4 => self.chain(depth),
            5 => Spec::Group(self.members(depth, 2)),
            _ => {
                // One of twelve has an empty header.
                let least = usize::from(self.random.u32(0..12) > 0);
                let header = match least {
                    0 => Vec::new(),
                    _ => self.members(depth, least),
                };
                let body = self.spec(depth - 1);
                Spec::Chord(header, Box::new(body))
            }
        }
    }

    fn task(&mut self, depth: u32) -> Spec {
        let how = match self.random.u32(0..60) {
            0 | 1 => How::Badly,
            2..=6 => How::AfterRetries(self.random.u32(1..3)),
            7..=9 if depth > 0 => How::As(Box::new(self.replacement(depth))),
            10 => How::OutOfRetries,
            11 => How::Rejecting,
            // What ends a replacement has the id of the task that it replaces.
            12 if !self.replacing => How::Revoked,
            12 => How::Marked,
            13 => How::RevokedRunning,
            14 => How::Expired,
            15 => How::Unknown,
            16 if self.deadly && self.random.u32(0..4) == 0 => How::Deadly,
            _ => How::Well,
        };
        let linked = self.random.u32(0..5) == 0 && !matches!(how, How::As(_));
        let mut link = || linked.then(|| Box::new(self.spec(depth.saturating_sub(1))));
        let (callback, errback) = (link(), link());
        Spec::Task {
            label: self.label(),
            how,
            takes_nothing: self.random.u32(0..8) == 0,
            callback,
            errback,
        }
    }

    fn replacement(&mut self, depth: u32) -> Spec {
        let outer = std::mem::replace(&mut self.replacing, true);
        let spec = self.spec(depth - 1);
        self.replacing = outer;
        spec
    }

    fn chain(&mut self, depth: u32) -> Spec {
        let count = self.random.usize(1..4);
        Spec::Chain((0..count).map(|_| self.spec(depth - 1)).collect())
    }

    /// Members of a group are no groups: those are flattened. And there are several: one alone is no group, though it
    /// is a header.
    fn members(&mut self, depth: u32, least: usize) -> Vec<Spec> {
        let count = self.random.usize(least..4);
        (0..count)
            .map(|_| match self.spec(depth - 1) {
                Spec::Group(_) => self.task(0),
                Spec::Chain(steps) if matches!(&steps[..], [one] if ends_in_many(one)) => {
                    self.task(0)
                }
                member => member,
            })
            .collect()
    }
}

/// Whether it gives several results.
pub(super) fn ends_in_many(spec: &Spec) -> bool {
    match spec {
        Spec::Task { .. } | Spec::Gather => false,
        Spec::Chain(steps) => steps.last().is_some_and(ends_in_many),
        Spec::Group(_) => true,
        Spec::Chord(_, body) => ends_in_many(body),
    }
}
