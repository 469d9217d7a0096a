use super::*;

const ATTEMPTS: usize = ATTEMPTS_MAX as usize;

/// No sequence of failures takes more steps than this: three up to the commit, one try of it and
/// [`ATTEMPTS_MAX`] more, an abort, and [`ATTEMPTS_MAX`] tries to get another producer.
const STEPS_MAX: usize = 3 + (1 + ATTEMPTS) + 1 + ATTEMPTS;

/// The result of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// Success, while the consumer is a member.
    Well,
    /// Success, but the consumer is no longer a member of its group.
    NoMember,
    Failed(Failure),
    /// Fenced by the coordinator, because the transaction was open for too long.
    OwnTimeout,
}

const ENDS: [End; 8] = [
    End::Well,
    End::NoMember,
    End::Failed(Failure::Retriable),
    End::Failed(Failure::Abort),
    End::Failed(Failure::Indefinite),
    End::Failed(Failure::Fenced),
    End::OwnTimeout,
    End::Failed(Failure::Fatal),
];

/// When the cancellation comes, relative to one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cancel {
    /// Before the step is asked for.
    Before,
    /// During its call.
    During,
}

/// One step and its result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Step {
    action: Action,
    end: End,
    /// A cancellation had come before the step was asked for.
    cancelled_before: bool,
    /// A cancellation had come before the step ended.
    cancelled: bool,
}

/// A whole transaction as it was carried out.
#[derive(Debug, Default)]
struct Trace {
    steps: Vec<Step>,
    outcome: Option<Outcome>,
}

fn finish(transaction: &mut Transaction, end: End) {
    match end {
        End::Well => transaction.succeeded(true),
        End::NoMember => transaction.succeeded(false),
        End::Failed(failure) => transaction.failed(failure, false),
        End::OwnTimeout => transaction.failed(Failure::Fenced, true),
    }
}

/// Runs a transaction whose calls end as given, cancelled at one step or never.
fn run(ends: &[End], cancel: Option<(usize, Cancel)>) -> Trace {
    let mut transaction = Transaction::default();
    let mut trace = Trace::default();
    let mut cancelled = false;
    for (index, end) in ends.iter().enumerate() {
        if cancel == Some((index, Cancel::Before)) {
            transaction.cancel();
            cancelled = true;
        }
        let action = transaction.action();
        if let Action::Done(outcome) = action {
            trace.outcome = Some(outcome);
            return trace;
        }
        let cancelled_before = cancelled;
        if cancel == Some((index, Cancel::During)) {
            transaction.cancel();
            cancelled = true;
        }
        finish(&mut transaction, *end);
        trace.steps.push(Step {
            action,
            end: *end,
            cancelled_before,
            cancelled,
        });
    }
    if let Action::Done(outcome) = transaction.action() {
        trace.outcome = Some(outcome);
    }
    trace
}

/// Checks every sequence of results until the transaction is done, with a cancellation at every place.
fn every_trace(check: &mut impl FnMut(&Trace)) {
    fn extend(
        ends: &mut Vec<End>,
        cancel: Option<(usize, Cancel)>,
        check: &mut impl FnMut(&Trace),
    ) {
        let trace = run(ends, cancel);
        if trace.outcome.is_some() {
            check(&trace);
            return;
        }
        assert!(ends.len() < STEPS_MAX, "endless: {trace:?}");
        for end in ENDS {
            ends.push(end);
            extend(ends, cancel, check);
            ends.pop();
        }
    }
    extend(&mut Vec::new(), None, check);
    for step in 0..STEPS_MAX {
        for when in [Cancel::Before, Cancel::During] {
            extend(&mut Vec::new(), Some((step, when)), check);
        }
    }
}

fn actions(trace: &Trace) -> Vec<Action> {
    trace.steps.iter().map(|step| step.action).collect()
}

/// The steps of a successful transaction up to `last`, which ends as given. All steps after it succeed again.
fn when(last: Action, end: End, cancel: Option<Cancel>) -> Trace {
    let way = [
        Action::Begin,
        Action::Produce,
        Action::SendOffsets,
        Action::Commit,
    ];
    let index = way.iter().position(|action| *action == last).unwrap();
    let mut ends = vec![End::Well; STEPS_MAX];
    ends[index] = end;
    run(&ends, cancel.map(|cancel| (index, cancel)))
}

#[test]
fn the_straight_way_is_begin_produce_send_offsets_commit() {
    let trace = run(&[End::Well; 4], None);
    let straight = [
        Action::Begin,
        Action::Produce,
        Action::SendOffsets,
        Action::Commit,
    ];
    assert_eq!(actions(&trace), straight);
    assert_eq!(trace.outcome, Some(Outcome::Committed));
}

#[test]
fn t1_nothing_is_committed_before_records_and_offsets_are_acknowledged() {
    every_trace(&mut |trace| {
        let mut done = Vec::new();
        for step in &trace.steps {
            match step.action {
                Action::SendOffsets => assert_eq!(done, [Action::Begin, Action::Produce]),
                Action::Commit => {
                    assert_eq!(done, [Action::Begin, Action::Produce, Action::SendOffsets]);
                }
                _ => {}
            }
            if matches!(step.end, End::Well | End::NoMember) {
                done.push(step.action);
            }
        }
    });
}

#[test]
fn t5_a_commit_without_an_answer_is_never_taken_for_aborted() {
    every_trace(&mut |trace| {
        let mut commits = trace.steps.iter().rev();
        let last = commits.find(|step| step.action == Action::Commit);
        let answered = |end: End| {
            let unanswered = [Failure::Retriable, Failure::Indefinite, Failure::Fatal];
            !unanswered.map(End::Failed).contains(&end)
        };
        if trace.outcome == Some(Outcome::Aborted) {
            assert!(last.is_none_or(|step| answered(step.end)), "{trace:?}");
        }
    });
}

#[test]
fn t3_once_cancelled_no_commit_is_begun() {
    every_trace(&mut |trace| {
        let late = |step: &Step| step.action == Action::Commit && step.cancelled_before;
        assert!(!trace.steps.iter().any(late), "{trace:?}");
    });
}

#[test]
fn t3_cancelled_before_each_step_it_is_aborted() {
    for action in [Action::Produce, Action::SendOffsets, Action::Commit] {
        let trace = when(action, End::Well, Some(Cancel::Before));
        assert_eq!(actions(&trace).last(), Some(&Action::Abort));
        assert_eq!(trace.outcome, Some(Outcome::Aborted));
    }
    let trace = when(Action::Begin, End::Well, Some(Cancel::Before));
    assert_eq!(
        (trace.steps, trace.outcome),
        (vec![], Some(Outcome::Aborted))
    );
}

#[test]
fn t3_cancelled_during_each_call_before_the_commit_it_is_aborted_after_it() {
    for action in [Action::Begin, Action::Produce, Action::SendOffsets] {
        let trace = when(action, End::Well, Some(Cancel::During));
        let last_two = &actions(&trace)[trace.steps.len() - 2..];
        assert_eq!(last_two, [action, Action::Abort], "{trace:?}");
        assert_eq!(trace.outcome, Some(Outcome::Aborted));
    }
}

#[test]
fn t3_a_commit_under_way_when_cancelled_counts_if_it_succeeds() {
    let trace = when(Action::Commit, End::Well, Some(Cancel::During));
    assert_eq!(trace.outcome, Some(Outcome::Committed));
}

#[test]
fn t3_a_commit_under_way_when_cancelled_is_unsettled_if_nobody_knows() {
    for end in [
        End::Failed(Failure::Indefinite),
        End::Failed(Failure::Fatal),
        End::Failed(Failure::Fenced),
        End::OwnTimeout,
    ] {
        let trace = when(Action::Commit, end, Some(Cancel::During));
        assert_eq!(actions(&trace).last(), Some(&Action::Renew), "{end:?}");
        assert_eq!(trace.outcome, Some(Outcome::Unsettled), "{end:?}");
    }
}

#[test]
fn t4_without_membership_no_offsets_are_sent() {
    let trace = when(Action::Produce, End::NoMember, None);
    assert_eq!(
        actions(&trace),
        [Action::Begin, Action::Produce, Action::Abort]
    );
    assert_eq!(trace.outcome, Some(Outcome::Aborted));
    every_trace(&mut |trace| {
        for pair in trace.steps.windows(2) {
            if pair[1].action == Action::SendOffsets {
                assert_eq!((pair[0].action, pair[0].end), (Action::Produce, End::Well));
            }
        }
    });
}

#[test]
fn t5_a_commit_of_which_nobody_knows_is_settled_by_a_new_producer() {
    for end in [
        End::Failed(Failure::Indefinite),
        End::Failed(Failure::Fatal),
        End::OwnTimeout,
    ] {
        let trace = when(Action::Commit, end, None);
        assert_eq!(
            actions(&trace)[3..],
            [Action::Commit, Action::Renew],
            "{end:?}"
        );
        assert_eq!(trace.outcome, Some(Outcome::Unsettled), "{end:?}");
    }
}

#[test]
fn t5_what_is_called_committed_or_aborted_is_so_for_certain() {
    every_trace(&mut |trace| {
        let commits = || trace.steps.iter().filter(|s| s.action == Action::Commit);
        let committed = commits().any(|s| matches!(s.end, End::Well | End::NoMember));
        assert_eq!(
            trace.outcome == Some(Outcome::Committed),
            committed,
            "{trace:?}"
        );
        if trace.outcome == Some(Outcome::Aborted) {
            let certain = |s: &Step| {
                use Failure::{Abort, Retriable};
                matches!(s.end, End::Failed(Retriable | Abort))
            };
            assert!(commits().all(certain), "{trace:?}");
        }
    });
}

#[test]
fn a_commit_that_can_be_repeated_is_repeated_and_then_given_up() {
    let retriable = End::Failed(Failure::Retriable);
    let mut ends = vec![End::Well, End::Well, End::Well, retriable, End::Well];
    let trace = run(&ends, None);
    assert_eq!(actions(&trace)[3..], [Action::Commit, Action::Commit]);
    assert_eq!(trace.outcome, Some(Outcome::Committed));

    ends.truncate(3);
    ends.extend([retriable; 1 + ATTEMPTS]);
    ends.push(End::Well);
    let trace = run(&ends, None);
    assert_eq!(actions(&trace).last(), Some(&Action::Renew));
    assert_eq!(trace.outcome, Some(Outcome::Unsettled));
}

#[test]
fn a_failure_before_the_commit_aborts() {
    let failures = [Failure::Retriable, Failure::Abort, Failure::Indefinite];
    let of_records = failures.map(|failure| (Action::Produce, failure));
    let refused = (Action::SendOffsets, Failure::Abort);
    for (action, failure) in of_records.into_iter().chain([refused]) {
        let trace = when(action, End::Failed(failure), None);
        assert_eq!(actions(&trace).last(), Some(&Action::Abort), "{failure:?}");
        assert_eq!(trace.outcome, Some(Outcome::Aborted), "{failure:?}");
    }
}

#[test]
fn t9_offsets_that_are_not_answered_are_left_to_a_new_producer() {
    for failure in [Failure::Retriable, Failure::Indefinite] {
        let trace = when(Action::SendOffsets, End::Failed(failure), None);
        assert_eq!(actions(&trace).last(), Some(&Action::Renew), "{failure:?}");
        assert_eq!(trace.outcome, Some(Outcome::Aborted), "{failure:?}");
    }
}

#[test]
fn an_abort_that_fails_is_made_good_by_a_new_producer() {
    let produce_fails = [End::Well, End::Failed(Failure::Abort)];
    for failure in [Failure::Retriable, Failure::Indefinite, Failure::Fatal] {
        let mut ends = produce_fails.to_vec();
        ends.extend([End::Failed(failure), End::Well]);
        let trace = run(&ends, None);
        assert_eq!(actions(&trace)[2..], [Action::Abort, Action::Renew]);
        assert_eq!(trace.outcome, Some(Outcome::Aborted));
    }
}

#[test]
fn fenced_by_another_process_it_ends_at_once() {
    for action in [
        Action::Begin,
        Action::Produce,
        Action::SendOffsets,
        Action::Commit,
    ] {
        let trace = when(action, End::Failed(Failure::Fenced), None);
        assert_eq!(trace.steps.last().map(|s| s.action), Some(action));
        assert_eq!(trace.outcome, Some(Outcome::Fenced));
    }
}

#[test]
fn fenced_by_its_own_time_out_or_its_own_fence_it_gets_a_new_producer() {
    every_trace(&mut |trace| {
        let another = |s: &Step| s.end == End::Failed(Failure::Fenced) && !s.cancelled;
        let fenced = trace.steps.last().is_some_and(another);
        let renewing = trace.steps.last().map(|s| s.action) == Some(Action::Renew);
        assert_eq!(
            trace.outcome == Some(Outcome::Fenced),
            fenced && !renewing,
            "{trace:?}"
        );
    });
    for action in [Action::Produce, Action::SendOffsets] {
        let trace = when(action, End::OwnTimeout, None);
        assert_eq!(actions(&trace).last(), Some(&Action::Renew));
        assert_eq!(trace.outcome, Some(Outcome::Aborted));
    }
}

#[test]
fn without_a_producer_it_fails_after_so_many_attempts() {
    let mut ends = vec![End::Failed(Failure::Fatal)];
    ends.extend([End::Failed(Failure::Indefinite); ATTEMPTS]);
    let trace = run(&ends, None);
    assert_eq!(trace.steps.len(), 1 + ATTEMPTS);
    assert_eq!(trace.outcome, Some(Outcome::Failed));
}

#[test]
fn every_sequence_of_failures_ends_within_a_named_number_of_steps() {
    let (mut traces, mut longest) = (0, 0);
    every_trace(&mut |trace| {
        traces += 1;
        longest = longest.max(trace.steps.len());
    });
    assert_eq!(longest, STEPS_MAX, "of {traces} transactions");
}

#[test]
fn a_commit_before_everything_is_acknowledged_becomes_an_abort() {
    for end in [End::Well, End::Failed(Failure::Fatal)] {
        let mut transaction = Transaction::default();
        // The mistake: records are taken for acknowledged that nobody has produced.
        transaction.go(Action::SendOffsets);
        transaction.succeeded(true);
        assert_eq!(transaction.action(), Action::Abort);
        finish(&mut transaction, end);
        if end != End::Well {
            assert_eq!(transaction.action(), Action::Renew);
            transaction.succeeded(true);
        }
        assert_eq!(transaction.action(), Action::Done(Outcome::OutOfOrder));
    }
}
