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

/// What happens to the links between one instance and the brokers; the others' links are well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Links {
    /// Connections end and are refused, for less than its session.
    CutBriefly,
    /// The same for longer than its session.
    Cut,
    /// Every byte is late, in both directions.
    Slow,
    /// What the instance says arrives, what the brokers answer waits until the end.
    Mute,
}

/// One step of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    Instances(Instances),
    Brokers(Brokers),
    Links(Links),
    /// Instances and brokers at the same time.
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

impl fmt::Display for Links {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Links::CutBriefly => "link cut briefly",
            Links::Cut => "link cut",
            Links::Slow => "link slow",
            Links::Mute => "link cut one way",
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

    /// Whether the time to recover from it has a bar of its own: nothing else may blur it.
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
const LINKS: [Links; 4] = [Links::CutBriefly, Links::Cut, Links::Slow, Links::Mute];
/// Whose recovery is measured; they come more often, so that ten minutes have five of each.
pub const MEASURED: [Instances; 2] = [Instances::Kill, Instances::Terminate];
/// How often each of them comes in a round.
const MEASURED_TIMES: usize = 3;
/// Mixed faults in each round.
const MIXED: usize = 2;
/// What an outage that lasts one instance's fault can be mixed with.
const MIXABLE: u64 = 3;

/// Draws faults like cards: each kind comes once before any comes again, those that are measured more often.
pub struct Deck {
    random: Random,
    /// Of the faults only those with this in their names.
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
        for _ in 1..MEASURED_TIMES {
            left.extend(MEASURED.map(Fault::Instances));
        }
        left.extend(BROKERS.map(Fault::Brokers));
        left.extend(LINKS.map(Fault::Links));
        left.push(Fault::DeleteTopic);
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
    assert!(round.contains(&Fault::DeleteTopic));
    let measured = round.iter().filter(|fault| fault.is_measured()).count();
    assert_eq!(measured, MEASURED_TIMES * MEASURED.len());
}

#[test]
fn a_deck_can_be_made_of_some_faults_only() {
    let mut deck = Deck::new(Random::new(7), "link");
    assert!((0..9).all(|_| matches!(deck.draw(), Fault::Links(_))));
}
