//! The faults, and the choice of the next one.

use std::fmt;

use crate::support::random::Random;

/// A fault of the instances.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Instances {
    /// SIGKILL of one instance, which is started again.
    Kill,
    /// SIGSTOP of one instance for longer than its session, then SIGCONT.
    Pause,
    /// SIGTERM of one instance, which is started again.
    Terminate,
    /// SIGTERM of each instance in turn. Each is started again before the next.
    Roll,
    /// Start of one more instance.
    Grow,
    /// SIGTERM of one instance, which is not started again.
    Shrink,
}

/// A fault of the brokers. It never affects two at a time, since two replicas must be in sync.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Brokers {
    /// SIGKILL of one broker that is not the controller.
    Kill,
    /// SIGSTOP of one broker that is not the controller, then SIGCONT. The pause is shorter or longer than the
    /// 9 s after which the controller considers the broker dead.
    Pause,
    /// SIGKILL of the active controller, which leads partitions too.
    KillController,
}

/// A fault of the links between one instance and the brokers. The links of other instances work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Links {
    /// Connections end and are refused, for less than the session of the instance.
    CutBriefly,
    /// Connections end and are refused, for longer than the session of the instance.
    Cut,
    /// Every byte is late, in both directions.
    Slow,
    /// Requests of the instance arrive, but answers of the brokers wait until the end.
    Mute,
    /// Connections fall silent for good, and no side learns of it, as behind a firewall that has forgotten them.
    /// New ones work.
    Lost,
}

/// One step of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    Instances(Instances),
    Brokers(Brokers),
    Links(Links),
    /// A fault of instances and one of brokers at the same time.
    Mixed(Instances, Brokers),
    /// A reply topic that clients name is deleted.
    DeleteTopic,
    /// SIGKILL of one gateway, which is started again.
    Gateway,
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

impl fmt::Display for Links {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Links::CutBriefly => "link cut briefly",
            Links::Cut => "link cut",
            Links::Slow => "link slow",
            Links::Mute => "link cut one way",
            Links::Lost => "link's connections lost",
        })
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Instances(fault) => fault.fmt(f),
            Fault::Brokers(fault) => fault.fmt(f),
            Fault::Links(fault) => fault.fmt(f),
            Fault::Mixed(instances, brokers) => write!(f, "{instances} and {brokers}"),
            Fault::DeleteTopic => f.write_str("reply topic deleted"),
            Fault::Gateway => f.write_str("gateway SIGKILL"),
        }
    }
}

impl Fault {
    /// The name under which recoveries are counted.
    pub fn kind(self) -> String {
        match self {
            Fault::Mixed(..) => "instance and broker".to_owned(),
            fault => fault.to_string(),
        }
    }

    /// True when the time to recover from the fault has a bar of its own: no other fault may disturb the
    /// measurement.
    pub fn is_measured(self) -> bool {
        MEASURED.map(Fault::Instances).contains(&self)
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
const LINKS: [Links; 5] = [
    Links::CutBriefly,
    Links::Cut,
    Links::Slow,
    Links::Mute,
    Links::Lost,
];
/// The faults whose recovery is measured. They come more often, so that ten minutes have five of each.
pub const MEASURED: [Instances; 2] = [Instances::Kill, Instances::Terminate];
/// The number of times that each measured fault comes in a round.
const MEASURED_TIMES: usize = 3;
/// Number of mixed faults in each round.
const MIXED: usize = 2;
/// Number of instance faults that can be mixed with an outage.
const MIXABLE: u64 = 3;

/// Draws faults like cards: each kind comes once before any comes again. Measured faults come more often.
pub struct Deck {
    random: Random,
    /// A filter: only faults with this text in their names are drawn.
    only: String,
    left: Vec<Fault>,
}

impl Deck {
    pub fn new(random: Random, only: &str) -> Deck {
        Deck {
            random,
            only: only.to_owned(),
            left: Vec::new(),
        }
    }

    /// Draws the next fault.
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
        for _ in 1..MEASURED_TIMES {
            left.extend(MEASURED.map(Fault::Instances));
        }
        left.extend(BROKERS.map(Fault::Brokers));
        left.extend(LINKS.map(Fault::Links));
        left.extend([Fault::DeleteTopic, Fault::Gateway]);
        for _ in 0..MIXED {
            let instances = INSTANCES[random.below(MIXABLE) as usize];
            let brokers = BROKERS[random.below(BROKERS.len() as u64) as usize];
            left.push(Fault::Mixed(instances, brokers));
        }
        left.retain(|fault| fault.to_string().contains(&self.only));
        assert!(!left.is_empty(), "no fault is called {:?}", self.only);
        for at in (1..left.len()).rev() {
            left.swap(at, random.below(at as u64 + 1) as usize);
        }
        self.left = left;
    }
}

#[test]
fn a_seed_decides_the_faults_and_each_kind_comes_in_each_round() {
    let draw = |seed| {
        let mut deck = Deck::new(Random::new(seed), "");
        deck.shuffle();
        (0..deck.left.len())
            .map(|_| deck.draw())
            .collect::<Vec<_>>()
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
    assert!(
        LINKS
            .iter()
            .all(|kind| round.contains(&Fault::Links(*kind)))
    );
    assert!(round.contains(&Fault::DeleteTopic) && round.contains(&Fault::Gateway));
    let measured = round.iter().filter(|fault| fault.is_measured()).count();
    assert_eq!(measured, MEASURED_TIMES * MEASURED.len());
}

#[test]
fn a_deck_can_be_made_of_some_faults_only() {
    let mut deck = Deck::new(Random::new(7), "link");
    assert!((0..9).all(|_| matches!(deck.draw(), Fault::Links(_))));
}
