use super::*;

const DEFAULT: Definition = Definition::DEFAULT;

fn taken(sequence: &mut Sequence, definition: &Definition, count: u64) -> Result<(i64, i64), Code> {
    let grant = sequence.take(definition, count);
    grant.map(|g| (g.first, g.last)).map_err(|r| r.code)
}

fn defined(changes: Changes) -> (Definition, Sequence) {
    let definition = Definition::new(changes).unwrap();
    (definition, Sequence::defined(&definition, 0))
}

#[test]
fn a_batch_that_does_not_fit_is_refused_whole_and_the_last_id_is_given() {
    let mut sequence = Sequence::above(ID_LAST - 3);
    assert_eq!(taken(&mut sequence, &DEFAULT, 4), Err(Code::Exhausted));
    assert_eq!(
        taken(&mut sequence, &DEFAULT, 3),
        Ok((ID_LAST - 2, ID_LAST))
    );
    assert_eq!(taken(&mut sequence, &DEFAULT, 1), Err(Code::Exhausted));
    assert_eq!(sequence.stored(), ID_LAST + 1);
    assert_eq!(sequence.next(&DEFAULT), None);
}

#[test]
fn a_sequence_counts_down_in_steps() {
    let (definition, mut sequence) = defined(Changes {
        increment: Some(-10),
        min: Some(-25),
        max: Some(5),
        ..Changes::default()
    });
    assert_eq!(taken(&mut sequence, &definition, 3), Ok((5, -15)));
    assert_eq!(taken(&mut sequence, &definition, 2), Err(Code::Exhausted));
    assert_eq!(taken(&mut sequence, &definition, 1), Ok((-25, -25)));
    assert_eq!(sequence.next(&definition), None);
}

#[test]
fn the_last_of_64_bits_is_given() {
    let (definition, mut sequence) = defined(Changes {
        start: Some(i64::MAX - 1),
        max: Some(i64::MAX),
        ..Changes::default()
    });
    assert_eq!(
        taken(&mut sequence, &definition, 2),
        Ok((i64::MAX - 1, i64::MAX))
    );
    assert_eq!(taken(&mut sequence, &definition, 1), Err(Code::Exhausted));
    let (definition, mut sequence) = defined(Changes {
        start: Some(-i64::MAX),
        increment: Some(-1),
        min: Some(-i64::MAX),
        ..Changes::default()
    });
    assert_eq!(
        taken(&mut sequence, &definition, 1),
        Ok((-i64::MAX, -i64::MAX))
    );
    assert_eq!(sequence.next(&definition), None);
}

#[test]
fn a_batch_of_wide_steps_goes_from_one_end_of_64_bits_to_the_other() {
    for (increment, ids) in [
        (i64::MAX, (-i64::MAX, i64::MAX)),
        (-i64::MAX, (i64::MAX, -i64::MAX)),
    ] {
        let (definition, mut sequence) = defined(Changes {
            increment: Some(increment),
            min: Some(-i64::MAX),
            max: Some(i64::MAX),
            ..Changes::default()
        });
        assert_eq!(taken(&mut sequence, &definition, 4), Err(Code::Exhausted));
        assert_eq!(taken(&mut sequence, &definition, 3), Ok(ids));
        assert_eq!(sequence.next(&definition), None);
    }
}

#[test]
fn a_cycle_begins_again_at_its_bound_and_no_batch_spans_its_end() {
    let (definition, mut sequence) = defined(Changes {
        start: Some(4),
        min: Some(2),
        max: Some(5),
        at_end: Some(AtEnd::Cycle),
        ..Changes::default()
    });
    assert_eq!(taken(&mut sequence, &definition, 3), Err(Code::Exhausted));
    assert_eq!(taken(&mut sequence, &definition, 2), Ok((4, 5)));
    assert_eq!(taken(&mut sequence, &definition, 4), Ok((2, 5)));
    assert_eq!(taken(&mut sequence, &definition, 5), Err(Code::Exhausted));
}

#[test]
fn a_definitions_own_batch_limit_holds() {
    let (definition, mut sequence) = defined(Changes {
        max_count: Some(2),
        ..Changes::default()
    });
    assert_eq!(
        taken(&mut sequence, &definition, 3),
        Err(Code::InvalidCount)
    );
    assert_eq!(taken(&mut sequence, &definition, 2), Ok((1, 2)));
}

#[test]
fn contradicting_definitions_are_refused() {
    let refused = |changes: Changes| Definition::new(changes).unwrap_err().message;
    let none = Changes::default();
    for (changes, part) in [
        (
            Changes {
                increment: Some(0),
                ..none
            },
            "increment",
        ),
        (
            Changes {
                min: Some(2),
                max: Some(1),
                ..none
            },
            "above max",
        ),
        (
            Changes {
                start: Some(0),
                ..none
            },
            "start 0",
        ),
        (
            Changes {
                max_count: Some(0),
                ..none
            },
            "max_count",
        ),
        (
            Changes {
                min: Some(i64::MIN),
                ..none
            },
            "min must be",
        ),
    ] {
        let message = refused(changes);
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn a_live_sequence_may_change_what_keeps_its_promise() {
    let (definition, mut sequence) = defined(Changes {
        max: Some(10),
        ..Changes::default()
    });
    taken(&mut sequence, &definition, 5).unwrap();
    let changed = |changes| sequence.redefined(&definition, changes, false);
    let none = Changes::default();
    assert!(
        changed(Changes {
            start: Some(2),
            ..none
        })
        .is_err()
    );
    assert!(
        changed(Changes {
            increment: Some(-1),
            ..none
        })
        .is_err()
    );
    assert!(
        changed(Changes {
            max: Some(5),
            ..none
        })
        .is_err()
    );
    assert!(
        changed(Changes {
            min: Some(7),
            ..none
        })
        .is_err()
    );
    let (wider, after) = changed(Changes {
        max: Some(20),
        increment: Some(2),
        ..none
    })
    .unwrap();
    assert_eq!(after.next(&wider), Some(6));
}

#[test]
fn an_exhausted_sequence_goes_on_where_its_bound_is_raised_or_it_cycles() {
    let (definition, mut sequence) = defined(Changes {
        max: Some(3),
        ..Changes::default()
    });
    taken(&mut sequence, &definition, 3).unwrap();
    let none = Changes::default();
    let (wider, after) = sequence
        .redefined(
            &definition,
            Changes {
                max: Some(9),
                ..none
            },
            false,
        )
        .unwrap();
    assert_eq!(after.next(&wider), Some(4));
    let cycle = Changes {
        at_end: Some(AtEnd::Cycle),
        ..none
    };
    let (cycling, after) = sequence.redefined(&definition, cycle, false).unwrap();
    assert_eq!(after.next(&cycling), Some(1));
}

#[test]
fn a_retired_name_goes_on_beyond_its_last_id() {
    let (definition, mut sequence) = defined(Changes::default());
    taken(&mut sequence, &definition, 7).unwrap();
    let again = |start| {
        let changes = Changes {
            start: Some(start),
            ..Changes::default()
        };
        let (definition, after) = sequence.redefined(&definition, changes, true).unwrap();
        after.next(&definition)
    };
    assert_eq!(again(1), Some(8));
    assert_eq!(again(100), Some(100));
}

#[test]
fn a_sequence_moves_on_and_back_only_with_force() {
    let (definition, mut sequence) = defined(Changes::default());
    taken(&mut sequence, &definition, 7).unwrap();
    assert!(sequence.moved(&definition, 7, false).is_err());
    assert!(sequence.moved(&definition, 0, true).is_err());
    assert_eq!(sequence.moved(&definition, 8, false), Ok(sequence));
    assert_eq!(
        sequence
            .moved(&definition, 3, true)
            .unwrap()
            .next(&definition),
        Some(3)
    );
    assert_eq!(
        sequence
            .moved(&definition, 50, false)
            .unwrap()
            .next(&definition),
        Some(50)
    );
}

#[test]
fn raising_never_lowers() {
    let sequence = Sequence::above(100);
    assert_eq!(sequence.raised_above(50), sequence);
    assert_eq!(sequence.raised_above(200).next(&DEFAULT), Some(201));
}
