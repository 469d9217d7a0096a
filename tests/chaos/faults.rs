//! Which faults there are, and which comes next.

use std::fmt;

use crate::support::random::Random;

/// What happens to the instances.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Instances {
    /// SIGKILL of one, which is started again.
    Kill,
    /// SIGSTOP of one beyond its session, then SIGCONT.
    Pause,
    /// SIGTERM of one, which is started again.
    Terminate,
    /// SIGTERM of each in turn, each started again before the next.
    Roll,
    /// One more.
    Grow,
    /// SIGTERM of one for good.
    Shrink,
}

/// What happens to the brokers; never to two at a time, since two replicas must be in sync.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Brokers {
    /// SIGKILL of one that is not the controller.
    Kill,
    /// SIGSTOP of one that is not the controller, shorter or longer than the 9 s after which the
    /// controller gives it up, then SIGCONT.
    Pause,
    /// SIGKILL of the active controller, which leads partitions too.
    KillController,
}

/// One step of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    Instances(Instances),
    Brokers(Brokers),
    /// Both at the same time.
    Mixed(Instances, Brokers),
    /// A reply topic that clients name is deleted.
    DeleteTopic,
}

impl fmt::Display for Instances {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Instances::Kill => "instance SIGKILL",
            Instances::Pause => "instance SIGSTOP",
            Instances::Terminate => "instance SIGTERM",
            Instances::Roll => "rolling SIGTERM",
            Instances::Grow => "one instance more",
            Instances::Shrink => "one instance less",
        })
    }
}

impl fmt::Display for Brokers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Brokers::Kill => "broker SIGKILL",
            Brokers::Pause => "broker SIGSTOP",
            Brokers::KillController => "controller SIGKILL",
        })
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Instances(fault) => fault.fmt(f),
            Fault::Brokers(fault) => fault.fmt(f),
            Fault::Mixed(instances, brokers) => write!(f, "{instances} and {brokers}"),
            Fault::DeleteTopic => f.write_str("reply topic deleted"),
        }
    }
}

impl Fault {
    /// The kind under which recoveries are counted.
    pub fn kind(self) -> String {
        match self {
            Fault::Mixed(..) => "instance and broker".to_owned(),
            fault => fault.to_string(),
        }
    }
}

const INSTANCES: [Instances; 6] = [
    Instances::Kill,
    Instances::Pause,
    Instances::Terminate,
    Instances::Roll,
    Instances::Grow,
    Instances::Shrink,
];
const BROKERS: [Brokers; 3] = [Brokers::Kill, Brokers::Pause, Brokers::KillController];
/// Mixed faults in each round.
const MIXED: usize = 2;
/// What an outage that lasts one instance's fault can be mixed with.
const MIXABLE: u64 = 3;

/// Draws faults like cards: each kind comes once before any comes again.
pub struct Deck {
    random: Random,
    left: Vec<Fault>,
}

impl Deck {
    pub fn new(random: Random) -> Deck {
        Deck {
            random,
            left: Vec::new(),
        }
    }

    /// The next fault.
    pub fn draw(&mut self) -> Fault {
        loop {
            if let Some(fault) = self.left.pop() {
                return fault;
            }
            self.shuffle();
        }
    }

    fn shuffle(&mut self) {
        let random = &mut self.random;
        let mut left: Vec<Fault> = INSTANCES.map(Fault::Instances).to_vec();
        left.extend(BROKERS.map(Fault::Brokers));
        left.push(Fault::DeleteTopic);
        for _ in 0..MIXED {
            let instances = INSTANCES[random.below(MIXABLE) as usize];
            let brokers = BROKERS[random.below(BROKERS.len() as u64) as usize];
            left.push(Fault::Mixed(instances, brokers));
        }
        for at in (1..left.len()).rev() {
            left.swap(at, random.below(at as u64 + 1) as usize);
        }
        self.left = left;
    }
}

#[test]
fn a_seed_decides_the_faults_and_each_kind_comes_in_each_round() {
    let draw = |seed| {
        let mut deck = Deck::new(Random::new(seed));
        (0..12).map(|_| deck.draw()).collect::<Vec<_>>()
    };
    assert_eq!(draw(7), draw(7));
    let round = draw(8);
    assert!(
        INSTANCES
            .iter()
            .all(|kind| round.contains(&Fault::Instances(*kind)))
    );
    assert!(
        BROKERS
            .iter()
            .all(|kind| round.contains(&Fault::Brokers(*kind)))
    );
    assert!(round.contains(&Fault::DeleteTopic));
}
