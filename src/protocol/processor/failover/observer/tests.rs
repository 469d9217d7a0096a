use super::*;

const SILENCE_MS: u64 = 200;
const SESSION_MS: u64 = 6_000;
const INTERVAL_MS: u32 = 50;

fn observer() -> Observer {
    let options = Options {
        instance: "me".to_owned(),
        incarnation: 1,
        interval_ms: INTERVAL_MS,
        silence_ms: SILENCE_MS,
        session_ms: SESSION_MS,
    };
    Observer::new(options, 0)
}

fn heartbeat(instance: &str, incarnation: u64) -> Heartbeat {
    Heartbeat {
        instance: instance.to_owned(),
        incarnation,
        count: 0,
        interval_ms: INTERVAL_MS,
        patience_ms: 0,
        sign: Sign::Alive,
    }
}

fn victim(instance: &str, incarnation: u64) -> Victim {
    Victim {
        instance: instance.to_owned(),
        incarnation,
    }
}

/// Writes a heartbeat that comes back at once.
fn return_own(observer: &mut Observer, now_ms: u64) {
    observer.wrote(now_ms, now_ms);
    let own = Heartbeat {
        count: now_ms,
        ..heartbeat("me", 1)
    };
    observer.heard(now_ms, &own);
}

/// Lets time pass without a delay, with own heartbeats and those of `peers`.
fn live(observer: &mut Observer, from_ms: u64, to_ms: u64, peers: &[&str]) {
    for now_ms in (from_ms..=to_ms).step_by(10) {
        observer.turn(now_ms);
        return_own(observer, now_ms);
        for peer in peers {
            observer.heard(now_ms, &heartbeat(peer, 7));
        }
    }
}

#[test]
fn a_peer_that_falls_silent_is_a_victim_after_the_silence_and_not_before() {
    let mut observer = observer();
    live(&mut observer, 0, 1_000, &["peer"]);
    live(&mut observer, 1_010, 1_190, &[]);
    assert_eq!(observer.victim(1_199), None);
    assert_eq!(observer.victim(1_200), Some(victim("peer", 7)));
    assert!(observer.may_join(1_200, &victim("peer", 7)));
    assert!(observer.has_stopped(1_200, "peer"));
    assert!(observer.is_alive(1_199, "peer") && !observer.is_alive(1_200, "peer"));
    assert!(!observer.is_alive(1_200, "never"));
    assert!(!observer.may_join(1_200, &victim("peer", 8)));
}

#[test]
fn one_that_was_never_heard_or_said_goodbye_or_left_is_no_victim() {
    let mut observer = observer();
    live(&mut observer, 0, 1_000, &["left", "goodbye"]);
    let goodbye = Heartbeat {
        sign: Sign::Goodbye,
        ..heartbeat("goodbye", 7)
    };
    observer.heard(1_000, &goodbye);
    observer.left(&victim("left", 7));
    live(&mut observer, 1_000, 3_000, &[]);
    assert_eq!(observer.victim(3_000), None);
    assert!(!observer.has_stopped(3_000, "never"));
}

/// A goodbye of an earlier incarnation: its process has started again already.
#[test]
fn a_goodbye_that_comes_late_is_not_the_new_incarnation_s() {
    let mut observer = observer();
    live(&mut observer, 0, 1_000, &["peer"]);
    let goodbye = Heartbeat {
        sign: Sign::Goodbye,
        ..heartbeat("peer", 6)
    };
    observer.heard(1_000, &goodbye);
    observer.left(&victim("peer", 6));
    live(&mut observer, 1_010, 1_300, &[]);
    assert_eq!(observer.victim(1_300), Some(victim("peer", 7)));
}

#[test]
fn silence_during_an_own_pause_does_not_count() {
    let mut observer = observer();
    live(&mut observer, 0, 1_000, &["peer"]);
    let woken_ms = 1_000 + LATE_TURN_MS + 1;
    assert!(observer.turn(woken_ms + 500));
    return_own(&mut observer, woken_ms + 500);
    assert_eq!(observer.victim(woken_ms + 500), None);
    // A peer that is heard again is trusted again. Otherwise it gets time to come back.
    live(
        &mut observer,
        woken_ms + 510,
        woken_ms + 500 + RETURN_MS - 10,
        &[],
    );
    assert_eq!(observer.victim(woken_ms + 500 + RETURN_MS - 1), None);
    live(
        &mut observer,
        woken_ms + 500 + RETURN_MS,
        woken_ms + 600 + RETURN_MS,
        &[],
    );
    assert_eq!(
        observer.victim(woken_ms + 600 + RETURN_MS),
        Some(victim("peer", 7))
    );
}

#[test]
fn a_peer_that_is_heard_after_a_pause_is_judged_as_before_it() {
    let mut observer = observer();
    live(&mut observer, 0, 1_000, &["peer"]);
    assert!(observer.turn(3_000));
    live(&mut observer, 3_000, 3_020, &["peer"]);
    live(&mut observer, 3_030, 3_230, &[]);
    assert_eq!(observer.victim(3_230), Some(victim("peer", 7)));
}

#[test]
fn who_does_not_hear_itself_suspects_nobody() {
    let mut observer = observer();
    live(&mut observer, 0, 1_000, &["peer"]);
    for now_ms in (1_010..5_000).step_by(10) {
        observer.turn(now_ms);
        assert_eq!(observer.victim(now_ms), None, "at {now_ms}");
    }
}

/// Between two turns, nothing has reported yet that this process was late.
#[test]
fn a_check_that_comes_late_itself_says_no() {
    let mut observer = observer();
    live(&mut observer, 0, 1_000, &["peer"]);
    live(&mut observer, 1_010, 1_200, &[]);
    let victim = observer.victim(1_200).unwrap();
    assert!(observer.may_join(1_250, &victim));
    assert!(!observer.may_join(1_200 + LATE_TURN_MS + 1, &victim));
}

#[test]
fn the_next_in_order_acts_later() {
    let names = ["me", "b", "c"];
    let place = order::place("peer", "me", names.into_iter());
    let mut observer = observer();
    live(&mut observer, 0, 1_000, &["peer", "b", "c"]);
    let due_ms = 1_000 + SILENCE_MS + place * STAGGER_MS;
    live(&mut observer, 1_010, due_ms, &["b", "c"]);
    assert_eq!(observer.victim(due_ms - 1), None);
    assert_eq!(observer.victim(due_ms), Some(victim("peer", 7)));
}

#[test]
fn after_an_interruption_the_next_in_order_acts_later_too() {
    let names = ["me", "b", "c"];
    let place = order::place("peer", "me", names.into_iter());
    let mut observer = observer();
    live(&mut observer, 0, 1_000, &["peer", "b", "c"]);
    let due_ms = 3_000 + RETURN_MS + place * STAGGER_MS;
    live(&mut observer, 3_000, due_ms, &["b", "c"]);
    assert_eq!(observer.victim(due_ms - 1), None);
    assert_eq!(observer.victim(due_ms), Some(victim("peer", 7)));
}

#[test]
fn slow_peers_and_those_who_ask_for_it_are_given_more_time() {
    for (interval_ms, patience_ms, silence_ms) in [(250, 0, 1_000), (50, 800, 800)] {
        let mut observer = observer();
        live(&mut observer, 0, 1_000, &[]);
        let last = Heartbeat {
            interval_ms,
            patience_ms,
            ..heartbeat("peer", 7)
        };
        observer.heard(1_000, &last);
        live(&mut observer, 1_000, 1_000 + silence_ms, &[]);
        assert_eq!(observer.victim(1_000 + silence_ms - 1), None);
        assert!(observer.victim(1_000 + silence_ms).is_some());
    }
}

#[test]
fn a_peer_that_asks_for_a_session_is_left_to_the_group() {
    let mut observer = observer();
    live(&mut observer, 0, 1_000, &[]);
    let last = Heartbeat {
        patience_ms: 60_000,
        ..heartbeat("peer", 7)
    };
    observer.heard(1_000, &last);
    live(&mut observer, 1_000, 1_000 + SESSION_MS - 1, &[]);
    assert_eq!(observer.victim(1_000 + SESSION_MS - 1), None);
    let after_ms = 1_000 + SESSION_MS + 1_000;
    live(&mut observer, 1_000 + SESSION_MS, after_ms, &[]);
    let silent = victim("peer", 7);
    assert_eq!(observer.victim(after_ms).as_ref(), Some(&silent));
    assert!(
        !observer.may_join(after_ms, &silent),
        "it is looked for only"
    );
    assert!(may_fence(
        "peer",
        observer.has_stopped(after_ms, "peer"),
        ["me"].into_iter()
    ));
}

#[test]
fn an_eviction_by_another_peer_is_enough_and_counts_as_an_own_one() {
    let mut observer = observer();
    live(&mut observer, 0, 1_000, &["peer"]);
    live(&mut observer, 1_010, 1_300, &[]);
    assert_eq!(observer.victim(1_300), Some(victim("peer", 7)));
    let notice = Heartbeat {
        sign: Sign::Evicted,
        ..heartbeat("peer", 7)
    };
    assert_eq!(observer.heard(1_300, &notice), Heard::Ordinary);
    assert_eq!(observer.victim(1_300), None);
    let alive = observer.heard(1_310, &heartbeat("peer", 7));
    assert_eq!(alive, Heard::AfterEviction);
    assert_eq!(observer.needs("peer"), Some(SESSION_MS));
}

#[test]
fn an_engine_that_cannot_have_read_of_its_eviction_asks_for_a_session() {
    let mut observer = observer();
    live(&mut observer, 0, 1_000, &[]);
    assert_eq!(observer.patience(1_000 + SILENCE_MS, 0), 0);
    assert_eq!(observer.patience(1_001 + SILENCE_MS, 0), SESSION_MS);
    assert_eq!(observer.patience(1_001 + SILENCE_MS, 400), 400);
    live(&mut observer, 2_000, 2_010, &[]);
    assert_eq!(observer.patience(2_010, 0), 0, "its heartbeats come back");
    observer.options.silence_ms = 0;
    assert_eq!(observer.patience(9_000, 0), 0);
}

#[test]
fn an_engine_reads_that_it_is_evicted() {
    let mut observer = observer();
    for (incarnation, heard) in [(1, Heard::OfOwnEviction), (2, Heard::Ordinary)] {
        let notice = Heartbeat {
            sign: Sign::Evicted,
            ..heartbeat("me", incarnation)
        };
        assert_eq!(observer.heard(0, &notice), heard);
    }
}

#[test]
fn after_an_eviction_the_group_is_given_time() {
    let mut observer = observer();
    live(&mut observer, 0, 1_000, &["peer"]);
    live(&mut observer, 1_010, 1_300, &[]);
    observer.evicts(1_300, &victim("peer", 7));
    live(&mut observer, 1_310, 1_300 + AGAIN_MS, &[]);
    assert_eq!(observer.victim(1_299 + AGAIN_MS), None);
    assert!(observer.victim(1_300 + AGAIN_MS).is_some());
}

/// A heartbeat that was read late says nothing about the heartbeats that others wrote meanwhile.
#[test]
fn an_own_heartbeat_counts_from_when_it_was_written() {
    let mut observer = observer();
    live(&mut observer, 0, 1_000, &["peer"]);
    observer.wrote(1_000, 1_001);
    for now_ms in (1_010..1_300).step_by(10) {
        observer.turn(now_ms);
    }
    let own = Heartbeat {
        count: 1_001,
        ..heartbeat("me", 1)
    };
    observer.heard(1_300, &own);
    assert!(observer.turn(1_300));
    assert_eq!(observer.victim(1_300), None);
}

#[test]
fn a_silence_is_told_once_and_its_end_too() {
    let mut observer = observer();
    live(&mut observer, 0, 1_000, &["peer"]);
    live(&mut observer, 1_010, 1_200, &[]);
    let suspect = Suspect {
        victim: victim("peer", 7),
        heard_ms: 1_000,
        silence_ms: 200,
    };
    assert_eq!(observer.suspects(1_200), [suspect]);
    assert_eq!(observer.suspects(1_210), []);
    let heard = observer.heard(1_210, &heartbeat("peer", 7));
    assert_eq!(heard, Heard::AfterSilence);
    let heard = observer.heard(1_220, &heartbeat("peer", 7));
    assert_eq!(heard, Heard::Ordinary);
}

#[test]
fn one_that_is_silent_for_two_sessions_is_forgotten() {
    let mut observer = observer();
    live(&mut observer, 0, 1_000, &["peer"]);
    live(&mut observer, 1_010, 990 + 2 * SESSION_MS, &[]);
    assert_eq!(observer.ages(0).count(), 1);
    live(
        &mut observer,
        1_000 + 2 * SESSION_MS,
        1_000 + 2 * SESSION_MS,
        &[],
    );
    assert_eq!(observer.ages(0).count(), 0);
}

/// The limit is three of its current intervals, not of the intervals at which it wrote before.
#[test]
fn with_many_peers_it_writes_less_often_and_its_own_come_back_later() {
    let mut observer = observer();
    assert_eq!(observer.write_every(), INTERVAL_MS);
    for peer in 0..99 {
        observer.heard(0, &heartbeat(&format!("peer-{peer}"), 7));
    }
    assert_eq!(observer.write_every(), 250);
    for now_ms in (10..=750).step_by(10) {
        assert!(!observer.turn(now_ms), "at {now_ms}");
    }
    assert!(observer.turn(760));
}

#[test]
fn names_that_somebody_makes_up_do_not_fill_the_memory() {
    let mut observer = observer();
    for peer in 0..2 * PEERS_MAX {
        observer.heard(0, &heartbeat(&format!("peer-{peer}"), 7));
    }
    assert_eq!(observer.ages(0).count(), PEERS_MAX);
}

#[test]
fn one_that_was_evicted_alive_is_left_alone_then_given_twice_the_silence_by_its_evictor() {
    let mut observer = observer();
    live(&mut observer, 0, 1_000, &["peer"]);
    live(&mut observer, 1_010, 1_300, &[]);
    observer.evicted(&victim("peer", 7));
    assert_eq!(observer.victim(1_300), None);
    let heard = observer.heard(1_310, &heartbeat("peer", 7));
    assert_eq!(heard, Heard::AfterEviction);
    live(&mut observer, 1_310, 1_310 + SESSION_MS, &[]);
    assert_eq!(observer.victim(1_310 + SESSION_MS - 1), None);
    assert!(!observer.may_join(1_310 + SESSION_MS, &victim("peer", 7)));
    let later_ms = 1_310 + 10_000;
    live(&mut observer, later_ms - 3_000, later_ms, &["peer"]);
    live(&mut observer, later_ms + 10, later_ms + 2 * SILENCE_MS, &[]);
    assert_eq!(observer.victim(later_ms + 2 * SILENCE_MS - 1), None);
    let due = observer.victim(later_ms + 2 * SILENCE_MS);
    assert_eq!(due, Some(victim("peer", 7)));
    // Another incarnation is another process: the evicted one did not live.
    observer.evicted(&victim("peer", 7));
    let heard = observer.heard(later_ms + 800, &heartbeat("peer", 8));
    assert_eq!(heard, Heard::Ordinary);
}

#[test]
fn zero_turns_it_off() {
    let mut observer = observer();
    observer.options.silence_ms = 0;
    live(&mut observer, 0, 1_000, &["peer"]);
    live(&mut observer, 1_010, 9_000, &[]);
    assert_eq!(observer.victim(9_000), None);
    assert!(!observer.has_stopped(9_000, "peer"));
}

#[test]
fn a_live_member_or_one_of_an_older_release_is_never_fenced() {
    assert!(may_fence("gone", true, ["me", "peer"].into_iter()));
    assert!(!may_fence("peer", true, ["me", "peer"].into_iter()));
    assert!(!may_fence("gone", false, ["me", "peer"].into_iter()));
}

/// An instance is ready for a peer before that falls silent, and stays ready until it is evicted.
#[test]
fn one_is_ready_for_the_peers_that_it_evicts_first() {
    let peers: Vec<String> = (0..20).map(|n| format!("peer-{n:02}")).collect();
    let names: Vec<&str> = peers.iter().map(String::as_str).collect();
    let mut all = observer();
    live(&mut all, 0, 1_000, &names);
    let ready = all.first_for(1_000);
    assert!(
        ready.is_sorted() && (1..10).contains(&ready.len()),
        "{ready:?}"
    );
    for gone in &names {
        let mut one_less = observer();
        live(&mut one_less, 0, 1_000, &names);
        let others: Vec<&str> = names.iter().copied().filter(|name| name != gone).collect();
        live(&mut one_less, 1_010, 1_200, &others);
        let evicts = one_less
            .victim(1_200)
            .is_some_and(|victim| victim.instance == *gone);
        assert_eq!(ready.contains(&(*gone).to_owned()), evicts, "{gone}");
        let still = one_less.first_for(1_200).contains(&(*gone).to_owned());
        assert_eq!(still, evicts, "{gone}");
    }
}
