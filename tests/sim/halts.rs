//! I6 when the state itself is damaged: exactly the damaged partitions halt, with the right word. The others go
//! on, and a repair is noticed without a restart.

use sequencer::core::limits::HOPS_MAX;
use sequencer::core::partitioner::partition_of;
use sequencer::processor::Mode;
use sequencer::wire::state::{self, Content, Footer, TopicId};

use crate::log::{Log, Slot};
use crate::requests::one_id;
use crate::world::{Config, World};

fn quiet(seed: u64) -> Config {
    Config {
        seed,
        mode: if seed.is_multiple_of(2) {
            Mode::Immediate
        } else {
            Mode::ExactlyOnce
        },
        partitions: 3,
        processes: 2,
        steps: 1_500,
        window: 3,
        names: 6,
        rewrite_floor: 40,
        footer_interval_ms: 100,
        moves_percent: 30,
        marker_percent: 40,
        faults: false,
        losses: false,
        grows: false,
        outside: false,
        rescales: 0,
        floor: 0,
        requests_max: usize::MAX,
        taken_in_time_max: usize::MAX,
        disturb: None,
    }
}

fn run(world: &mut World) {
    world.calm = false;
    for _ in 0..world.config.steps {
        world.step();
    }
    world.come_to_rest();
}

/// Damages `partitions` while no process runs, and checks which partitions halt.
fn halts(code: &'static str, partitions: &[usize], damage: impl Fn(&mut World, usize)) {
    for seed in 0..8 {
        let mut world = World::new(quiet(seed));
        run(&mut world);
        for node in 0..world.nodes.len() {
            world.crash(node);
        }
        let states: Vec<Option<Log>> = world
            .partitions
            .iter()
            .map(|part| part.state.clone())
            .collect();
        for partition in partitions {
            damage(&mut world, *partition);
            world.damaged.insert(*partition, code);
        }
        run(&mut world);
        for partition in 0..world.partitions.len() {
            let expected = world.damaged.get(&partition).copied();
            assert_eq!(
                world.halted(partition),
                expected,
                "seed {seed}, {partition}"
            );
        }
        world.check_all();
        // The repair.
        world.no_state_topic = false;
        for partition in partitions {
            world.partitions[*partition].state = states[*partition].clone();
        }
        world.damaged.clear();
        run(&mut world);
        world.check_all();
        world.stop();
    }
}

/// Creates the state topic again while owners run: they write the state in their memory.
pub fn lose_state(seed: u64) {
    let mut world = World::new(quiet(seed));
    run(&mut world);
    for part in &mut world.partitions {
        part.state = Some(Log::default());
        part.state_lost = true;
    }
    run(&mut world);
    world.check_all();
    for node in 0..world.nodes.len() {
        world.crash(node);
    }
    run(&mut world);
    world.check_all();
    world.stop();
}

#[test]
fn i6_a_state_that_is_lost_under_its_owner_is_written_again() {
    (0..8).for_each(lose_state);
}

/// Changes every footer of a partition.
fn doctor(world: &mut World, partition: usize, change: impl Fn(&mut Footer)) {
    let state = world.partitions[partition]
        .state
        .as_mut()
        .expect("a state log");
    for slot in &mut state.slots {
        let Slot::Record(record) = slot else { continue };
        let key = record.key.as_deref().unwrap_or_default();
        let Ok(read) = state::decode(key, record.value.as_deref(), None) else {
            continue;
        };
        if let (Content::Footer(mut footer), Some(batch)) = (read.content, read.batch) {
            change(&mut footer);
            let mut value = Vec::new();
            footer.encode(&mut value, batch);
            record.value = Some(value);
        }
    }
}

#[test]
fn i6_a_partition_whose_state_is_gone_halts() {
    halts("no_state", &[1], |world, partition| {
        world.partitions[partition].state = Some(Log::default());
    });
}

#[test]
fn i6_a_partition_in_whose_state_nothing_adds_up_halts() {
    halts("nothing_adds_up", &[0], |world, partition| {
        doctor(world, partition, |footer| footer.digest.0 ^= 1);
    });
}

#[test]
fn i6_partitions_of_a_newer_fold_version_halt_where_it_is_not_known() {
    halts("unknown_fold_version", &[0, 2], |world, partition| {
        doctor(world, partition, |footer| footer.fold_version += 1);
    });
}

#[test]
fn i6_a_partition_of_another_group_halts() {
    halts("other_group", &[2], |world, partition| {
        doctor(world, partition, |footer| footer.group = "another".into());
    });
}

#[test]
fn i6_a_partition_of_a_topic_that_was_made_again_halts() {
    halts("other_topic", &[1, 2], |world, partition| {
        doctor(world, partition, |footer| {
            footer.topic_id = TopicId([8; 16])
        });
    });
}

#[test]
fn i6_a_partition_with_state_of_a_newer_format_halts() {
    halts("unknown_format", &[1], |world, partition| {
        let state = world.partitions[partition]
            .state
            .as_mut()
            .expect("a state log");
        let records = state.slots.iter_mut().rev();
        let mut values = records.filter_map(|slot| match slot {
            Slot::Record(record) => record.value.as_mut(),
            _ => None,
        });
        values.next().expect("a record")[0] = state::FORMAT_VERSION + 1;
    });
}

#[test]
fn i6_without_a_state_topic_every_partition_halts() {
    halts("no_state_partition", &[0, 1, 2], |world, _| {
        world.no_state_topic = true
    });
}

/// The home of the name is elsewhere, and no partition may forward the request once more.
#[test]
fn i6_a_partition_that_must_forward_too_often_halts_and_has_not_counted() {
    for seed in 0..8 {
        let mut world = World::new(quiet(seed));
        run(&mut world);
        let name = "orders";
        let home = partition_of(name.as_bytes(), world.partitions.len() as u32) as usize;
        let elsewhere = (home + 1) % world.partitions.len();
        for (destination, hops) in [
            (home, HOPS_MAX),
            (elsewhere, HOPS_MAX - 1),
            (elsewhere, HOPS_MAX),
        ] {
            world.write_outside(one_id(name), destination, hops);
        }
        run(&mut world);
        for partition in 0..world.partitions.len() {
            let expected = (partition == elsewhere).then_some("too_many_hops");
            assert_eq!(
                world.halted(partition),
                expected,
                "seed {seed}, {partition}"
            );
        }
        world.check_all();
        world.stop();
    }
}
